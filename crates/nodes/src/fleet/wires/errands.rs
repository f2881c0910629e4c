//! What is run on nodes, or asked of them by a command: lines, input, limits.

use super::Wires;
use crate::boot;
use crate::config::{ProbeDriver, Profile};
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
        let (line, stdin, timeout) = self.errand_line(node, errand)?;
        let profile = self.wiring.profile(node);
        let argv = shell::argv(&profile.shell.driver, self.wiring.roster.member(node), &line)?;
        let mut job = Job::new(argv, timeout);
        job.stdin = stdin;
        Some(job)
    }

    /// Returns the command line of an errand, what it reads, and how long it may take.
    pub(super) fn errand_line(&self, node: NodeId, errand: Errand) -> Option<(String, Vec<u8>, Duration)> {
        let profile = self.wiring.profile(node);
        let shutdown = &profile.shutdown;
        let timeout = profile.shell_timeout();
        let line = match errand {
            Errand::Notify => return Some((shutdown.notify.clone(), self.message.clone(), timeout)),
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
