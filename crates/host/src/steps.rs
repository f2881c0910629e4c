//! The steps of a hand-over on this machine: every [`Action`] checked and carried out, by what the parts and the asset
//! can do.

pub mod backing;
pub mod fencing;
pub mod preconditions;
pub mod programs;
pub mod restoring;
pub mod storage;
#[cfg(test)]
mod twice;
pub mod unrestored;

pub use backing::Backing;

use crate::action::{Action, Perform, Way};
use crate::answer::Answer;
use crate::asset::State;
use crate::host::Host;
use crate::host::reachability::Reachability;
use crate::last_release::LastRelease;
use crate::parts::Transfer;
use crate::platform::Argv;
use crate::{backup, kill, ledger};
use anyhow::bail;

impl Host<'_> {
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
    use crate::action::{AssetMount, Part};
    use crate::asset::mount_spec;
    use crate::config::Config;
    use std::path::Path;

    /// An unmount that not even KILL ends may come true later: "still held" would then be a lie.
    #[test]
    fn after_a_command_that_cannot_be_ended_everything_is_unknown() {
        let text = "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"bind\"\nsource = \"/a\"\n\
                    [[asset.mount]]\nat = \"/b\"\n";
        let config = Config::read(Path::new("ha.toml"), text, "ec1").unwrap();
        let mut host = Host::new(&config, None).unwrap();
        let mount = mount_spec(host.asset.as_ref(), &config.asset.mounts[0]);
        let gone = Action::Part { way: Way::LetGo, part: Part::Mount(AssetMount(mount)) };
        assert_eq!(host.check(&gone), Answer::Yes);
        host.wedged = Some("umount /b cannot be ended".to_owned());
        for action in [gone, Action::LetGo, Action::Retake { mounts: Vec::new() }] {
            assert_eq!(host.check(&action), Answer::Unknown("umount /b cannot be ended".to_owned()));
        }
    }
}
