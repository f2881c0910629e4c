//! This machine as the steps of a hand-over act on it: every [`Action`] checked and carried out.

mod addressing;
mod apart;
mod backing;
mod fencing;
mod ground;
mod programs;
mod restoring;
mod sharing;
mod storage;
#[cfg(test)]
mod twice;
mod unrestored;
pub mod way_back;
mod writable;

pub use crate::proved::Proved;
pub use backing::Backing;

use crate::action::{Action, Perform};
use crate::addresses::{self, Knock};
use crate::answer::Answer;
use crate::asset::{self, Asset, End, State};
use crate::backup;
use crate::config::{Address, Argv, Config, Loopback, Platform, Service, Share};
use crate::holders::{self, Holder, Holders};
use crate::kill;
use crate::ledger;
use crate::mountinfo::{self, Mount, Mounts};
use crate::mounts::{self, MountSpec, unmount_command};
use crate::reservations::{self, Reservations};
use crate::services;
use crate::shares;
use anyhow::{Context, bail};
use orderly_exec::job::{Job, show};
use orderly_exec::lock::Lock;
use orderly_exec::runner::{Run, Runner};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long is waited between two looks at a service that is about to change.
const LOOKING: Duration = Duration::from_millis(250);

/// This machine, with its configuration and the lock of the run.
#[derive(Debug)]
pub struct Machine<'c> {
    pub config: &'c Config,
    pub asset: Box<dyn Asset>,
    pub runner: Runner,
    /// `None` for a run that changes nothing.
    lock: Option<&'c Lock>,
    /// What is worth saying and fails nothing.
    pub notes: Vec<String>,
    /// Identity and change mark at the moment at which the asset was proven released: later steps
    /// (closing LUKS, detaching the storage) take it out of sight.
    pub proved: Option<Proved>,
    /// Whether this run left a trace on the asset by which the peer sees that it is held here.
    traced: bool,
    /// Mounts that this run made and that do not show what they should: whose they look like, they are its own.
    strays: Vec<u64>,
    /// Why the last action did not come about, where the run goes on all the same.
    passed_over: Option<String>,
    /// A command that not even KILL ended. It may still do its work, so nothing is known any more.
    wedged: Option<String>,
}

impl<'c> Machine<'c> {
    /// Returns this machine.
    ///
    /// # Errors
    /// When no process could be waited for.
    pub fn new(config: &'c Config, lock: Option<&'c Lock>) -> anyhow::Result<Self> {
        Ok(Self {
            config,
            asset: asset::of(config),
            runner: Runner::new()?,
            lock,
            notes: Vec::new(),
            proved: None,
            traced: false,
            strays: Vec::new(),
            passed_over: None,
            wedged: None,
        })
    }

    /// Returns who holds the asset.
    pub fn asset_state(&mut self) -> State {
        self.asset.state(&mut self.runner)
    }

    /// Returns what is mounted on this host.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub fn mounts(&mut self) -> anyhow::Result<Mounts> {
        mounts::table(self.config.platform, &mut self.runner)
    }

    /// Returns the mounts that keep the asset in use, in every mount namespace of this host. Solaris
    /// has one table, in which the global zone also sees what other zones mounted.
    pub fn asset_mounts(&mut self) -> Holders {
        if self.config.platform == Platform::Linux || !self.asset.has_mounts() {
            return holders::mounts(self.asset.as_ref());
        }
        let mut found = Holders::default();
        match self.mounts() {
            Ok(table) => {
                let ours = table.0.iter().filter(|mount| self.asset.is_on(mount));
                found.holders = ours.map(|mount| Holder::Mount { at: mount.at.clone(), pid: None }).collect();
            }
            Err(error) => found.unread.push(format!("{error:#}")),
        }
        found
    }

    /// Returns who uses files on the asset, and what keeps its mounts busy. On Solaris nobody is seen, and
    /// that is said.
    pub fn users(&mut self) -> Holders {
        match self.config.platform {
            Platform::Linux => {
                let own = mountinfo::own().unwrap_or_default();
                holders::users_of(&|mount| self.asset.is_on(mount), &|mount| self.is_known(mount, &own))
            }
            Platform::Solaris => {
                let places = self.config.asset.mounts.iter().map(|mount| mount.at.display().to_string());
                let ask = format!("fuser -c {}", places.collect::<Vec<_>>().join(" "));
                let unread = vec![format!("who uses the asset is not seen on solaris; {ask} tells")];
                Holders { holders: Vec::new(), unread }
            }
        }
    }

    /// Tells whether a release unmounts this mount by itself. The place alone does not tell: something else may
    /// be mounted over what it unmounts there.
    fn is_known(&self, mount: &Mount, own: &Mounts) -> bool {
        let is_on = self.asset.is_on(mount);
        let is_loopback = |loopback: &Loopback| {
            is_on || own.locate(&loopback.source) == Some((mount.device, mount.root.clone()))
        };
        (is_on && self.config.asset.mounts.iter().any(|table| table.at == mount.at))
            || self.loopback(&mount.at).is_some_and(is_loopback)
            || self.asset.mounts_itself(mount)
    }

    /// Returns what SCSI reservations stand between this host and the asset. Solaris has no
    /// `sg_persist`, and is not asked.
    pub fn reservations(&mut self) -> Reservations {
        if self.config.platform == Platform::Solaris {
            return Reservations::default();
        }
        let devices = self.asset.devices(&mut self.runner);
        let (own, limit) = (self.config.own.reservation_key, self.config.asset.timeout);
        reservations::look(&devices, own, limit, &mut self.runner)
    }

    /// Returns the commands that an action runs; empty where it is done without.
    pub fn commands(&mut self, action: &Action) -> Vec<Argv> {
        let platform = self.config.platform;
        match action {
            Action::Backup => vec![backup::command(self.config, &[])],
            // Which one is known only when the asset is mounted.
            Action::Restore => {
                vec![backup::restore_command(self.config, &["--restore", "ID", "--base", "ID"])]
            }
            Action::Unrestore { .. } => vec![backup::restore_command(self.config, &["--undo"])],
            Action::StopService { service } => {
                self.service(service).map(services::stop_command).into_iter().collect()
            }
            Action::StartService { service } => {
                self.service(service).map(services::start_command).into_iter().collect()
            }
            Action::AddAddress { cidr } => self
                .address(cidr)
                .map(|a| {
                    let announced = addresses::announce_command(&a, platform);
                    [addresses::add_command(&a, platform)].into_iter().chain(announced).collect()
                })
                .unwrap_or_default(),
            Action::RemoveAddress { cidr } => {
                self.address(cidr).map(|a| addresses::remove_command(&a, platform)).into_iter().collect()
            }
            Action::Mount { mount } => mount.commands(platform),
            Action::Unmount { at } => vec![unmount_command(at)],
            Action::Share { path, exports } => {
                self.share(path).map(|s| shares::add_commands(s, platform, exports)).unwrap_or_default()
            }
            Action::Unshare { path, exports } => {
                self.share(path).map(|s| shares::remove_commands(s, platform, exports)).unwrap_or_default()
            }
            Action::Release { mounts } => {
                let word = mounts.first().map(|mount| storage::intent_command(&mount.at));
                let by_hand = mounts.iter().rev().filter(|mount| self.is_unmounted_by_hand(mount));
                let unmounts = by_hand.map(|mount| unmount_command(&mount.at));
                // Mounted by hand, and numbered by no backup before.
                let is_new = self.config.backup.is_none() && matches!(ledger::open_holding(), Ok(None));
                let label = mounts.first().filter(|_| is_new);
                let label = label.map(|mount| ledger::commands(&mount.at, platform)).unwrap_or_default();
                label.into_iter().chain(word).chain(unmounts).chain(self.asset.release_commands()).collect()
            }
            Action::Retake { mounts } => {
                let remounted = mounts.iter().flat_map(|mount| mount.commands(platform));
                self.asset.take_commands(End::Clean).into_iter().chain(remounted).collect()
            }
            Action::Fence => {
                self.config.peer.fence.iter().chain(&self.config.peer.fence_status).cloned().collect()
            }
            Action::Run { argv } => vec![argv.clone()],
            Action::Take { end } => self.asset.take_commands(*end),
            Action::LetGo => self.asset.release_commands(),
            Action::Hold { mounts, .. } => {
                let place = mounts.first().map(|mount| ledger::commands(&mount.at, self.config.platform));
                place.unwrap_or_default()
            }
            Action::EndUsers
            | Action::Prove
            | Action::Compare { .. }
            | Action::CompareTake { .. }
            | Action::PeerDown { .. }
            | Action::LeftOut { .. }
            | Action::Knock { .. } => Vec::new(),
            Action::ProveOff => self.config.peer.fence_status.iter().cloned().collect(),
        }
    }

    /// Returns the commands that a finished takeover runs to take the word of the release away.
    pub fn forget_commands(&self) -> Vec<Argv> {
        self.config.asset.mounts.iter().map(|mount| storage::forget_command(&mount.at)).collect()
    }

    /// What taking mounts, releasing unmounts; of some kinds that goes for every mount.
    fn is_unmounted_by_hand(&self, mount: &MountSpec) -> bool {
        mount.what.is_some() && !self.asset.unmounts_when_let_go()
    }

    /// Runs commands one after the other.
    fn run(&mut self, commands: &[Argv], limit: Duration) -> anyhow::Result<()> {
        for argv in commands {
            let ended = self.runner.run(&Job::new(argv, limit));
            if !ended.succeeded() {
                bail!("{}: {}", show(argv), ended.clause());
            }
        }
        Ok(())
    }

    fn service(&self, name: &str) -> Option<&'c Service> {
        self.config.services.iter().find(|service| service.name == name)
    }

    /// Returns a configured address, with the prefix length that is asked for.
    fn address(&self, cidr: &str) -> Option<Address> {
        let ip = cidr.split('/').next();
        let found = self.config.addresses.iter().find(|address| Some(address.ip()) == ip)?;
        Some(Address { cidr: cidr.to_owned(), ..found.clone() })
    }

    fn share(&self, path: &Path) -> Option<&'c Share> {
        self.config.shares.iter().find(|share| share.path == *path)
    }

    fn loopback(&self, at: &Path) -> Option<&'c Loopback> {
        self.config.loopbacks.iter().find(|loopback| loopback.at == *at)
    }

    /// Returns how long one mount or unmount at a place may take.
    fn limit(&self, at: &Path) -> Duration {
        self.loopback(at).map_or(self.config.asset.timeout, |loopback| loopback.timeout)
    }

    fn check_service(&mut self, name: &str, wanted: &services::State) -> Answer {
        let Some(service) = self.service(name) else { return gone("service", name) };
        match services::state(service, &mut self.runner) {
            services::State::Unknown(why) => Answer::Unknown(why),
            state if state == *wanted => Answer::Yes,
            services::State::Up => Answer::No("it still runs".to_owned()),
            services::State::Down => Answer::No("it does not run".to_owned()),
        }
    }

    /// A command that returns has not always finished: the state is waited for within the limit.
    fn turn_service(
        &mut self,
        name: &str,
        command: fn(&Service) -> Argv,
        wanted: &services::State,
    ) -> anyhow::Result<()> {
        let service =
            self.service(name).with_context(|| format!("no service \"{name}\" is configured any more"))?;
        let until = Instant::now() + service.timeout;
        self.run(&[command(service)], service.timeout)?;
        while self.check_service(name, wanted) != Answer::Yes && Instant::now() < until {
            self.runner.pause(LOOKING);
            if self.runner.interrupted().is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Tells whether an action whose command fails where there is nothing to do (an address that is
    /// gone, a service that is down) has nothing to do.
    fn is_repeated(&mut self, action: &Action) -> bool {
        let fails_twice = matches!(
            action,
            Action::AddAddress { .. }
                | Action::RemoveAddress { .. }
                | Action::Unshare { .. }
                | Action::StopService { .. }
                | Action::StartService { .. }
        );
        fails_twice && self.check(action) == Answer::Yes
    }
}

impl Perform<Action> for Machine<'_> {
    fn check(&mut self, action: &Action) -> Answer {
        // Whoever ran it: a step, or the asset for itself.
        if let Some(command) = self.runner.left_behind() {
            self.wedged.get_or_insert(format!(
                "{command} cannot be ended and may still do its work; this host must be powered off before a takeover"
            ));
        }
        if let Some(why) = &self.wedged {
            return Answer::Unknown(why.clone());
        }
        match action {
            Action::StopService { service } => self.check_service(service, &services::State::Down),
            Action::StartService { service } => self.check_service(service, &services::State::Up),
            Action::AddAddress { cidr } => self.check_address(cidr, true),
            Action::RemoveAddress { cidr } => self.check_address(cidr, false),
            Action::Mount { mount } => self.check_mount(mount),
            Action::Unmount { at } => self.check_unmounted(at),
            Action::Share { path, exports } => self.check_share(path, exports),
            Action::Unshare { path, .. } => self.check_share(path, &[]),
            Action::Release { .. } => self.check_released(),
            Action::LetGo => self.check_let_go(),
            Action::Retake { mounts } => self.check_held(mounts),
            Action::Hold { mounts, wanted } => self.check_hold(mounts, wanted.as_ref()),
            Action::Unrestore { before } => self.check_unrestored(before.as_deref()),
            // Fencing is proven by itself: one that was off before is fenced all the same.
            Action::Fence
            | Action::ProveOff
            | Action::LeftOut { .. }
            | Action::PeerDown { .. }
            | Action::Backup
            | Action::EndUsers
            | Action::Restore
            | Action::Take { .. }
            | Action::Prove
            | Action::Compare { .. }
            | Action::CompareTake { .. }
            | Action::Knock { .. }
            | Action::Run { .. } => Answer::Untold,
        }
    }

    fn act(&mut self, action: &Action) -> anyhow::Result<()> {
        if self.is_repeated(action) {
            return Ok(());
        }
        match action {
            Action::Backup => self.backup(),
            Action::Restore => self.restore(),
            Action::Unrestore { before } => self.unrestore(before.as_deref()),
            Action::PeerDown { peer } => self.ask_peer(peer),
            Action::StopService { service } => {
                self.turn_service(service, services::stop_command, &services::State::Down)
            }
            Action::StartService { service } => {
                self.note_running()?;
                self.turn_service(service, services::start_command, &services::State::Up)
            }
            Action::EndUsers => {
                self.notes.extend(kill::end_users(&|mount| self.asset.is_on(mount)));
                Ok(())
            }
            Action::AddAddress { cidr } => self.add_address(cidr),
            Action::RemoveAddress { cidr } => match self.address(cidr) {
                Some(address) => self.remove_address(&address),
                None => Ok(()),
            },
            Action::Mount { mount } => self.mount_first(mount),
            Action::Unmount { at } => self.unmount(at),
            Action::Share { path, exports } => self.add_share(path, exports),
            Action::Unshare { path, exports } => self.remove_share(path, exports),
            Action::Release { mounts } => self.release(mounts),
            Action::Retake { mounts } => self.retake(mounts),
            Action::Take { end } => self.take(*end),
            Action::LetGo => self.let_go(),
            Action::Hold { wanted, .. } => self.hold(wanted.as_ref()),
            Action::Prove => self.prove(),
            Action::Compare { identity, mark, .. } => self.compare(identity, mark.as_deref()),
            Action::CompareTake { identity, take_mark } => self.compare_take(identity, take_mark),
            Action::Knock { ip } => match addresses::knock(ip, self.config.platform, &mut self.runner) {
                Knock::Silent => Ok(()),
                Knock::Answered => bail!("somebody answers at {ip}"),
                Knock::Unknown(why) => bail!("nobody can say whether somebody answers: {why}"),
            },
            Action::Fence => self.fence(),
            Action::ProveOff => self.prove_off(),
            Action::LeftOut { .. } => Ok(()),
            Action::Run { argv } => self.run(std::slice::from_ref(argv), self.config.asset.timeout),
        }
    }

    fn passed_over(&mut self) -> Option<String> {
        self.passed_over.take()
    }

    /// A backup is only as good as the services have been down since.
    fn is_outdated(&mut self, action: &Action) -> bool {
        *action == Action::Backup && self.asset_state() == State::Held && self.runs_a_service()
    }

    fn interrupted(&mut self) -> Option<i32> {
        self.runner.interrupted().map(|signal| signal as i32)
    }
}

fn gone(kind: &str, name: &str) -> Answer {
    Answer::Unknown(format!("the configuration has no {kind} {name} any more"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// An unmount that not even KILL ends may come true later: "still held" would then be a lie.
    #[test]
    fn after_a_command_that_cannot_be_ended_everything_is_unknown() {
        let text = "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"bind\"\nsource = \"/a\"\n\
                    [[asset.mount]]\nat = \"/b\"\n";
        let config = Config::read(Path::new("ha.toml"), text, "ec1").unwrap();
        let mut machine = Machine::new(&config, None).unwrap();
        let gone = Action::Unmount { at: PathBuf::from("/b") };
        assert_eq!(machine.check(&gone), Answer::Yes);
        machine.wedged = Some("umount /b cannot be ended".to_owned());
        for action in [gone, Action::LetGo, Action::Retake { mounts: Vec::new() }] {
            assert_eq!(machine.check(&action), Answer::Unknown("umount /b cannot be ended".to_owned()));
        }
    }
}
