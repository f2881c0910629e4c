//! What the programs ask of real nodes beside the run itself.

use super::Dispatcher;
use super::route::route;
use crate::backend::Backend;
use crate::command::{CommandId, SideCommand};
use crate::config::{Cluster, programs};
use crate::driver::kind::DriverKind;
use crate::elsewhere::Door;
use crate::probe::ProbeBy;
use crate::runtime::CommandEnd;
use crate::template::Reach;
use orderly_exec::status::{OrStatus, Status};
use orderly_exec::visitors::Visitors;
use orderly_plan::deadline::SlotUse;
use orderly_plan::diagnostic::Diagnostics;
use orderly_plan::drivers::{Drivers, Failure, FailureKind, NodeId, Task, Teller};
use std::time::Duration;

impl Backend for Dispatcher {
    fn drivers(&mut self) -> &mut dyn Drivers {
        self
    }

    fn check_programs(&self, cluster: &Cluster, runs_commands: bool) -> anyhow::Result<()> {
        let mut wrong = Diagnostics::default();
        programs::check(&cluster.file, self.runtime.wiring.profiles_in_use(), runs_commands, &mut wrong);
        wrong.or(()).or_status(Status::Rejected)
    }

    fn share_limits(&mut self) -> anyhow::Result<()> {
        self.runtime.shared.share()
    }

    fn let_in(&mut self, visitors: &Visitors, door: &Door) -> anyhow::Result<()> {
        self.door = door.clone();
        self.runtime.children.let_in(visitors)
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

    fn slot(&self, node: NodeId, task: Task) -> SlotUse {
        let profile = self.runtime.profile(node);
        let reach = |task| match profile.power.driver.reach(task) {
            Some(Reach::Set) => SlotUse::Shared,
            Some(Reach::Each) => SlotUse::Own,
            None => SlotUse::None,
        };
        match route(&self.runtime, task, node) {
            Err(_) => SlotUse::None,
            Ok(DriverKind::Shell) if self.takes_many(node) => SlotUse::Shared,
            Ok(DriverKind::Shell) => SlotUse::Own,
            Ok(DriverKind::Power) if task == Task::Probe => reach(Task::ReadPower),
            Ok(DriverKind::Power) => reach(task),
            // A connection needs no process.
            Ok(DriverKind::Probe) => match profile.probe.driver.by {
                ProbeBy::CommandHere(_) => SlotUse::Own,
                ProbeBy::Connection { .. }
                | ProbeBy::CommandThere(_)
                | ProbeBy::Power
                | ProbeBy::Nothing
                | ProbeBy::Simulator => SlotUse::None,
            },
        }
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
