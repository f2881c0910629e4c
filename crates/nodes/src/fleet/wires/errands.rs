//! What is run on nodes, or asked of them by a command: lines, input, limits.

use super::Wires;
use crate::boot;
use crate::config::{ProbeDriver, Profile, ShellDriver};
use crate::shell;
use crate::users;
use orderly_exec::job::Job;
use orderly_plan::fleet::{Errand, NodeId};
use std::time::Duration;

impl Wires {
    pub(super) fn probe_job(&self, node: NodeId) -> Option<Job> {
        let profile = self.wiring.profile(node);
        let member = self.wiring.roster.member(node);
        let argv = match &profile.probe.driver {
            ProbeDriver::Command(up) => up.fill(&[member], ""),
            ProbeDriver::Shell { command } => shell::argv(&profile.shell.driver, member, command)?,
            ProbeDriver::None | ProbeDriver::Simulator | ProbeDriver::Power | ProbeDriver::Tcp { .. } => {
                return None;
            }
        };
        Some(Job::new(argv, profile.probe.timeout))
    }

    pub(super) fn errand_job(&self, node: NodeId, errand: Errand) -> Option<Job> {
        let (mut line, mut stdin, timeout) = self.errand_line(node, errand)?;
        if errand == Errand::Notify {
            line = shell::fed(&line, &std::mem::take(&mut stdin));
        }
        let line = match self.spares_self(node, errand) {
            Some(own) => shell::unless_self(own, &line),
            None => line,
        };
        let profile = self.wiring.profile(node);
        let argv = shell::argv(&profile.shell.driver, self.wiring.roster.member(node), &line)?;
        let mut job = Job::new(argv, timeout);
        job.stdin = stdin;
        Some(job)
    }

    /// Returns the boot id that keeps a node from carrying out an errand, where it is to be compared there:
    /// whatever halts or restarts a node, or ends its users, through a shell that is known.
    pub(super) fn spares_self(&self, node: NodeId, errand: Errand) -> Option<&str> {
        let ends = match errand {
            Errand::Halt | Errand::Restart | Errand::Maintenance | Errand::EndUsers => true,
            Errand::Notify | Errand::ReadBootId => false,
        };
        let knows_shell = match &self.wiring.profile(node).shell.driver {
            ShellDriver::Ssh(_) | ShellDriver::Parallel(_) => true,
            ShellDriver::None | ShellDriver::Simulator | ShellDriver::Command(_) => false,
        };
        let own = self.own_boot.as_deref()?;
        (ends && knows_shell && !self.may_be_self.contains(&node)).then_some(own)
    }

    /// Returns the command line of an errand, what it reads, and how long it may take.
    pub(super) fn errand_line(&self, node: NodeId, errand: Errand) -> Option<(String, Vec<u8>, Duration)> {
        let profile = self.wiring.profile(node);
        let shutdown = &profile.shutdown;
        let timeout = profile.shell_timeout();
        let line = match errand {
            // One terminal that takes nothing more must not hold up a whole shutdown.
            Errand::Notify => {
                let timeout = timeout.min(shutdown.notify_timeout);
                return Some((shutdown.notify.clone(), self.message.clone(), timeout));
            }
            Errand::Halt => &shutdown.halt,
            Errand::Restart => &shutdown.restart,
            Errand::Maintenance => &shutdown.maintenance,
            Errand::EndUsers => {
                // The grace is the script's own waiting and not a node that does not answer.
                let timeout = timeout.max(shutdown.grace + Duration::from_secs(60));
                return Some((users_command(profile)?, users::SCRIPT.into(), timeout));
            }
            Errand::ReadBootId => {
                return Some((boot::COMMAND.to_owned(), Vec::new(), timeout.min(boot::TIMEOUT)));
            }
        };
        Some((line.clone(), Vec::new(), timeout))
    }
}

/// Returns the command that ends users' processes, where that is wanted.
pub(super) fn users_command(profile: &Profile) -> Option<String> {
    users::command(profile.shutdown.end_users, profile.shutdown.grace)
}
