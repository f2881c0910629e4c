//! What is run on nodes, or asked of them by a command: lines, input, limits.

use super::{Purpose, Wires};
use crate::boot;
use crate::config::Profile;
use crate::probe::ProbeDriver;
use crate::shell::{self, ShellDriver};
use crate::users;
use orderly_exec::job::Job;
use orderly_plan::fleet::{Errand, NodeId, Task};
use std::time::Duration;

/// A command line for a node.
pub(super) struct OnNode<'c> {
    pub(super) line: &'c str,
    pub(super) input: &'c [u8],
    pub(super) limit: Duration,
}

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

    pub(super) fn begin_errand(&mut self, node: NodeId, errand: Errand) {
        let task = Task::Run(errand);
        let begun = self.errand_line(node, errand).is_some_and(|(line, input, limit)| {
            self.call_on(node, Purpose::Act(task), &OnNode { line: &line, input: &input, limit })
        });
        if !begun {
            let missing = self.no_call();
            self.fail_all(task, vec![node], &missing);
        }
    }

    /// Begins a command on one node; tells whether its shell driver can.
    pub(super) fn call_on(&mut self, node: NodeId, purpose: Purpose, what: &OnNode<'_>) -> bool {
        let errand = match purpose {
            Purpose::Act(Task::Run(errand)) => Some(errand),
            Purpose::Act(_)
            | Purpose::ReadPower
            | Purpose::Probe
            | Purpose::ProbePower
            | Purpose::LookAfter(_)
            | Purpose::Settle(_)
            | Purpose::Command(_)
            | Purpose::Crew => None,
        };
        let mut line = what.line.to_owned();
        // As a part of the line it arrives whole or not at all: a start file may read standard input.
        if !what.input.is_empty() {
            line = shell::fed(&line, what.input);
        }
        if let Some(own) = errand.and_then(|errand| self.spares_self(node, errand)) {
            line = shell::unless_self(own, &line);
        }
        let driver = &self.wiring.profile(node).shell.driver;
        // A boot id proves by itself that it was read.
        let is_announced = matches!(driver, ShellDriver::Ssh(_)) && errand != Some(Errand::ReadBootId);
        let mark = if is_announced { shell::draw_mark().ok() } else { None };
        if let Some(mark) = &mark {
            line = shell::announced(mark, &line);
        }
        let member = self.wiring.roster.member(node);
        // Shown as it was written, without what is around it.
        let (Some(argv), Some(shown)) =
            (shell::argv(driver, member, &line), shell::argv(driver, member, what.line))
        else {
            return false;
        };
        let id = self.call(Job::new(argv, what.limit), purpose, vec![node]);
        if let Some(call) = self.calls.get_mut(&id) {
            (call.argv, call.mark) = (shown, mark);
        }
        true
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
