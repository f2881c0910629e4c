//! What the programs ask of real nodes beside the run itself.

use super::Dispatcher;
use crate::backend::Backend;
use crate::command::{CommandId, SideCommand};
use crate::config::{Cluster, programs};
use crate::runtime::CommandEnd;
use orderly_exec::status::{OrStatus, Status};
use orderly_plan::diagnostic::Diagnostics;
use orderly_plan::drivers::{Drivers, Failure, FailureKind, NodeId, Task, Teller};
use std::time::Duration;

impl Backend for Dispatcher {
    fn check_programs(&self, cluster: &Cluster, runs_commands: bool) -> anyhow::Result<()> {
        let mut wrong = Diagnostics::default();
        programs::check(&cluster.file, self.runtime.wiring.profiles_in_use(), runs_commands, &mut wrong);
        wrong.or(()).or_status(Status::Rejected)
    }

    fn share_limits(&mut self) -> anyhow::Result<()> {
        self.runtime.shared.share()
    }

    fn allow_self(&mut self, nodes: &[NodeId]) {
        self.shell.allow_self(nodes);
    }

    fn set_message(&mut self, message: &str) {
        self.shell.set_message(message);
    }

    fn limit_grace(&mut self, most: Duration) {
        self.shell.limit_grace(most);
    }

    fn permanent_failure(&self, node: NodeId) -> Option<Failure> {
        self.permanent_power_failure(node).or_else(|| self.probe.permanent_failure(node))
    }

    fn unallowed(&self, node: NodeId, task: Task) -> Option<Failure> {
        let words = self.runtime.profile(node).power.driver.unallowed(self.runtime.member(node), task)?;
        Some(Failure::told(Teller::Power, FailureKind::Misconfigured, words))
    }

    fn mark_unlisted(&mut self, nodes: &[NodeId]) {
        self.power.unknowns.mark_unlisted(&mut self.runtime, nodes);
    }

    fn at_once(&self, _asked: usize) -> usize {
        self.runtime.fanout
    }

    fn machine(&self, node: NodeId) -> Option<String> {
        self.runtime.profile(node).power.driver.machine(self.runtime.member(node))
    }

    fn takes_many(&self, node: NodeId) -> bool {
        self.runtime.profile(node).shell.parallel().is_some()
    }

    fn start(&mut self, command: &SideCommand) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.shell.start(&mut self.runtime, id, command);
        id
    }

    fn take_ended(&mut self) -> Vec<CommandEnd> {
        std::mem::take(&mut self.runtime.answers.commands)
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.shell.close(&mut self.runtime);
        Ok(())
    }
}
