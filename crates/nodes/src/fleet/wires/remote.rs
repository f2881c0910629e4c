//! What is run on nodes, or asked of them by a command: lines, input, limits.

use super::Wires;
use super::call::{OnNode, Purpose};
use crate::boot;
use crate::probe::ProbeDriver;
use crate::shell::{self, ShellDriver};
use crate::users;
use orderly_exec::job::Job;
use orderly_plan::fleet::{NodeId, RemoteCommand, Task};
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

    pub(super) fn begin_remote(&mut self, node: NodeId, remote: RemoteCommand) {
        let task = Task::Run(remote);
        let begun = self.remote_line(node, remote).is_some_and(|(line, input, limit)| {
            self.call_on(node, Purpose::Act(task), &OnNode { line: &line, input: &input, limit })
        });
        if !begun {
            let missing = self.no_call();
            self.fail_all(task, vec![node], &missing);
        }
    }

    /// Begins a command on one node; tells whether its shell driver can.
    pub(super) fn call_on(&mut self, node: NodeId, purpose: Purpose, what: &OnNode<'_>) -> bool {
        let remote = match purpose {
            Purpose::Act(Task::Run(remote)) => Some(remote),
            Purpose::Act(_)
            | Purpose::ReadPower
            | Purpose::Probe
            | Purpose::ProbePower
            | Purpose::LookAfter(_)
            | Purpose::Confirm(_)
            | Purpose::Command(_)
            | Purpose::Batch => None,
        };
        let mut line = what.line.to_owned();
        // As a part of the line it arrives whole or not at all: a start file may read standard input.
        if !what.input.is_empty() {
            line = shell::fed(&line, what.input);
        }
        if let Some(own) = remote.and_then(|remote| self.spares_self(node, remote)) {
            line = shell::unless_self(own, &line);
        }
        let driver = &self.wiring.profile(node).shell.driver;
        // A boot id proves by itself that it was read.
        let is_announced = matches!(driver, ShellDriver::Ssh(_)) && remote != Some(RemoteCommand::ReadBootId);
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

    /// Returns the boot id that keeps a node from carrying out a remote command, where it is to be compared there:
    /// whatever halts or restarts a node, or ends its users, through a shell that is known.
    pub(super) fn spares_self(&self, node: NodeId, remote: RemoteCommand) -> Option<&str> {
        let ends = match remote {
            RemoteCommand::Halt
            | RemoteCommand::Restart
            | RemoteCommand::Maintenance
            | RemoteCommand::EndUsers => true,
            RemoteCommand::Notify | RemoteCommand::ReadBootId => false,
        };
        let knows_shell = match &self.wiring.profile(node).shell.driver {
            ShellDriver::Ssh(_) | ShellDriver::Parallel(_) => true,
            ShellDriver::None | ShellDriver::Simulator | ShellDriver::Command(_) => false,
        };
        let own = self.own_boot.as_deref()?;
        (ends && knows_shell && !self.may_be_self.contains(&node)).then_some(own)
    }

    /// Returns the command line of a remote command, what it reads, and how long it may take.
    pub(super) fn remote_line(
        &self,
        node: NodeId,
        remote: RemoteCommand,
    ) -> Option<(String, Vec<u8>, Duration)> {
        let profile = self.wiring.profile(node);
        let shutdown = &profile.shutdown;
        let timeout = profile.shell_timeout();
        let line = match remote {
            // One terminal that takes nothing more must not hold up a whole shutdown.
            RemoteCommand::Notify => {
                let timeout = timeout.min(shutdown.notify_timeout);
                return Some((shutdown.notify.clone(), self.message.clone(), timeout));
            }
            RemoteCommand::Halt => &shutdown.halt,
            RemoteCommand::Restart => &shutdown.restart,
            RemoteCommand::Maintenance => &shutdown.maintenance,
            RemoteCommand::EndUsers => {
                // The grace is the script's own waiting and not a node that does not answer.
                let timeout = timeout.max(shutdown.grace + Duration::from_secs(60));
                return Some((profile.users_command()?, users::SCRIPT.into(), timeout));
            }
            RemoteCommand::ReadBootId => {
                return Some((boot::COMMAND.to_owned(), Vec::new(), timeout.min(boot::TIMEOUT)));
            }
        };
        Some((line.clone(), Vec::new(), timeout))
    }
}
