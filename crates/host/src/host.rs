//! This machine as the steps of a hand-over act on it: every [`Action`] checked and carried out.

pub mod apart;
pub mod backing;
pub mod fencing;
pub mod preconditions;
pub mod programs;
pub mod restoring;
pub mod storage;
#[cfg(test)]
mod twice;
pub mod unrestored;
pub mod way_back;
pub mod writable;

pub use crate::proved::Proved;
pub use backing::Backing;

use crate::action::{Action, Perform};
use crate::answer::Answer;
use crate::asset::{self, Asset, LastRelease, State};
use crate::config::Config;
use crate::holders::{self, Holder, Holders};
use crate::mountinfo::{self, Mount, Mounts};
use crate::parts::address::reachability::{self, Reachability};
use crate::parts::loopback::LoopbackTable;
use crate::parts::{Transfer, Way};
use crate::platform::{Argv, Platform};
use crate::reservations::{self, Reservations};
use crate::{backup, kill, ledger, mounts};
use anyhow::bail;
use orderly_exec::job::Job;
use orderly_exec::lock::Lock;
use orderly_exec::runner::{Run, Runner};
use std::time::Duration;

/// How long is waited between two looks at a service that is about to change.
pub(crate) const LOOKING: Duration = Duration::from_millis(250);

/// This machine, with its configuration and the lock of the run.
#[derive(Debug)]
pub struct Host<'c> {
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
    pub(crate) foreign_mounts: Vec<u64>,
    /// Why the last action did not come about, where the run goes on all the same.
    passed_over: Option<String>,
    /// A command that not even KILL ended. It may still do its work, so nothing is known any more.
    wedged: Option<String>,
}

impl<'c> Host<'c> {
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
            foreign_mounts: Vec::new(),
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
        let is_loopback = |loopback: &LoopbackTable| {
            loopback.at == mount.at
                && (is_on || own.locate(&loopback.source) == Some((mount.device, mount.root.clone())))
        };
        (is_on && self.config.asset.mounts.iter().any(|table| table.at == mount.at))
            || self.config.loopbacks.iter().any(is_loopback)
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
            Action::Part { way, part } => part.commands(*way, self),
            Action::Backup => vec![backup::command(self.config, &[])],
            // Which one is known only when the asset is mounted.
            Action::Restore => {
                vec![backup::restore_command(self.config, &["--restore", "ID", "--base", "ID"])]
            }
            Action::Unrestore { .. } => vec![backup::restore_command(self.config, &["--undo"])],
            Action::Release { mounts } => {
                let word = mounts.first().map(|mount| storage::intent_command(&mount.0.at));
                let by_hand = mounts.iter().rev().filter(|mount| mount.is_unmounted_by_hand(self));
                let unmounts = by_hand.flat_map(|mount| mount.commands(Way::LetGo, self));
                // Mounted by hand, and numbered by no backup before.
                let is_new = self.config.backup.is_none() && matches!(ledger::open_holding(), Ok(None));
                let label = mounts.first().filter(|_| is_new);
                let label = label.map(|mount| ledger::commands(&mount.0.at, platform)).unwrap_or_default();
                label.into_iter().chain(word).chain(unmounts).chain(self.asset.release_commands()).collect()
            }
            Action::Retake { mounts } => {
                let remounted = mounts.iter().flat_map(|mount| mount.commands(Way::Take, self));
                self.asset.take_commands(LastRelease::Clean).into_iter().chain(remounted).collect()
            }
            Action::Fence => {
                self.config.peer.fence.iter().chain(&self.config.peer.fence_status).cloned().collect()
            }
            Action::Run { argv } => vec![argv.clone()],
            Action::Take { end } => self.asset.take_commands(*end),
            Action::LetGo => self.asset.release_commands(),
            Action::Hold { mounts, .. } => {
                mounts.first().map(|mount| ledger::commands(&mount.0.at, platform)).unwrap_or_default()
            }
            Action::EndUsers
            | Action::Prove
            | Action::Compare { .. }
            | Action::CompareTake { .. }
            | Action::PeerDown { .. }
            | Action::LeftOut { .. }
            | Action::Silence { .. } => Vec::new(),
            Action::ProveOff => self.config.peer.fence_status.iter().cloned().collect(),
        }
    }

    /// Returns the commands that a finished takeover runs to take the word of the release away.
    pub fn forget_commands(&self) -> Vec<Argv> {
        self.config.asset.mounts.iter().map(|mount| storage::forget_command(&mount.at)).collect()
    }

    /// Runs commands one after the other.
    pub(crate) fn run(&mut self, commands: &[Argv], limit: Duration) -> anyhow::Result<()> {
        for argv in commands {
            self.runner.expect(&Job::new(argv, limit))?;
        }
        Ok(())
    }

    /// Returns this host with its asset, for the label.
    pub fn numbering(&mut self) -> ledger::Numbering<'_> {
        ledger::Numbering {
            config: self.config,
            asset: self.asset.as_ref(),
            run: &mut self.runner,
            by: ledger::LabelWriter::Child,
        }
    }

    /// Asks whether anybody answers at an address.
    pub fn reach(&mut self, ip: &str) -> Reachability {
        reachability::ask(ip, self.config.platform, &mut self.runner)
    }
}

impl Perform<Action> for Host<'_> {
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
        let checked = match action {
            Action::Part { way, part } => part.check(*way, self),
            Action::Release { .. } => Ok(storage::check_released(self)),
            Action::LetGo => Ok(storage::check_let_go(self)),
            Action::Retake { mounts } => storage::check_held(self, mounts),
            Action::Hold { mounts, wanted } => restoring::check_hold(self, mounts, wanted.as_ref()),
            Action::Unrestore { before } => restoring::check_unrestored(before.as_deref()),
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
            | Action::Silence { .. }
            | Action::Run { .. } => Ok(Answer::Untold),
        };
        checked.unwrap_or_else(|error| Answer::Unknown(format!("{error:#}")))
    }

    fn act(&mut self, action: &Action) -> anyhow::Result<()> {
        match action {
            // Some commands fail where there is nothing to do: an address that is gone, a service that is down.
            Action::Part { .. } if self.check(action) == Answer::Yes => Ok(()),
            Action::Part { way, part } => part.act(*way, self),
            Action::Backup => backing::backup(self),
            Action::Restore => restoring::restore(self),
            Action::Unrestore { before } => restoring::unrestore(self, before.as_deref()),
            Action::PeerDown { peer } => restoring::ask_peer(self, peer),
            Action::EndUsers => {
                self.notes.extend(kill::end_users(&|mount| self.asset.is_on(mount)));
                Ok(())
            }
            Action::Release { mounts } => storage::release(self, mounts),
            Action::Retake { mounts } => storage::retake(self, mounts),
            Action::Take { end } => storage::take(self, *end),
            Action::LetGo => storage::let_go(self),
            Action::Hold { wanted, .. } => restoring::hold(self, wanted.as_ref()),
            Action::Prove => storage::prove(self),
            Action::Compare { identity, mark, .. } => storage::compare(self, identity, mark.as_deref()),
            Action::CompareTake { identity, take_mark } => storage::compare_take(self, identity, take_mark),
            Action::Silence { ip } => match self.reach(ip) {
                Reachability::Silent => Ok(()),
                Reachability::Answered => bail!("somebody answers at {ip}"),
                Reachability::Unknown(why) => bail!("nobody can say whether somebody answers: {why}"),
            },
            Action::Fence => fencing::fence(self),
            Action::ProveOff => fencing::prove_off(self),
            Action::LeftOut { .. } => Ok(()),
            Action::Run { argv } => self.run(std::slice::from_ref(argv), self.config.asset.timeout),
        }
    }

    fn passed_over(&mut self) -> Option<String> {
        self.passed_over.take()
    }

    /// A backup is only as good as the services have been down since.
    fn is_outdated(&mut self, action: &Action) -> bool {
        *action == Action::Backup && self.asset_state() == State::Held && backing::runs_a_service(self)
    }

    fn interrupted(&mut self) -> Option<i32> {
        self.runner.interrupted().map(|signal| signal as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Part;
    use crate::parts::mount::AssetMount;
    use std::path::Path;

    /// An unmount that not even KILL ends may come true later: "still held" would then be a lie.
    #[test]
    fn after_a_command_that_cannot_be_ended_everything_is_unknown() {
        let text = "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"bind\"\nsource = \"/a\"\n\
                    [[asset.mount]]\nat = \"/b\"\n";
        let config = Config::read(Path::new("ha.toml"), text, "ec1").unwrap();
        let mut host = Host::new(&config, None).unwrap();
        let mount = mounts::configured(host.asset.as_ref(), &config.asset.mounts[0]);
        let gone = Action::Part { way: Way::LetGo, part: Part::Mount(AssetMount(mount)) };
        assert_eq!(host.check(&gone), Answer::Yes);
        host.wedged = Some("umount /b cannot be ended".to_owned());
        for action in [gone, Action::LetGo, Action::Retake { mounts: Vec::new() }] {
            assert_eq!(host.check(&action), Answer::Unknown("umount /b cannot be ended".to_owned()));
        }
    }
}
