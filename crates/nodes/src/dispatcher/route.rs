//! Which driver a task goes to.

use crate::driver::kind::DriverKind;
use crate::probe::ProbeBy;
use crate::runtime::Runtime;
use crate::users::EndUsers;
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Probe, RemoteCommand, Task};

/// Returns which driver carries a task out; where none does, the answer.
pub(super) fn route(runtime: &Runtime, task: Task, node: NodeId) -> Result<DriverKind, Event> {
    let (profile, able) = (runtime.profile(node), runtime.abilities(node));
    match task {
        Task::Probe => match &profile.probe.driver.by {
            _ if !able.probes => Err(Event::Probe(node, Probe::Unknown)),
            ProbeBy::Connection { .. } | ProbeBy::CommandHere(_) => Ok(DriverKind::Probe),
            ProbeBy::CommandThere(_) => Ok(DriverKind::Shell),
            ProbeBy::Power if profile.reads_power() => Ok(DriverKind::Power),
            ProbeBy::Power | ProbeBy::Nothing | ProbeBy::Simulator => Err(Event::Probe(node, Probe::Unknown)),
        },
        Task::Run(RemoteCommand::EndUsers) if profile.shutdown.end_users == EndUsers::None => {
            Err(Event::Ended(node, task, Ok(())))
        }
        Task::Run(_) if able.runs_commands => Ok(DriverKind::Shell),
        Task::Run(RemoteCommand::Halt) if profile.shell.halting.is_some() => Ok(DriverKind::Power),
        Task::Run(_) if able.halts => {
            Err(cannot(task, node, "it has no shell: its BMC halts it, and no more"))
        }
        Task::Run(_) => Err(cannot(task, node, "it has no shell driver (see [shell])")),
        Task::ReadPower | Task::PowerOn | Task::PowerOff | Task::Reset => {
            match profile.power.driver.reach(task) {
                Some(_) => Ok(DriverKind::Power),
                None => Err(cannot(task, node, "it has no driver for that (see [power])")),
            }
        }
    }
}

fn cannot(task: Task, node: NodeId, why: &str) -> Event {
    Event::answer(task, node, Err(Failure::own(FailureKind::NotStarted, why.to_owned())))
}
