//! Which way a task takes: what is known already, a connection of our own, or a process, for one node
//! or for many.

use super::route::{Asks, NAMES, Route};
use super::{Wires, told_to_end};
use crate::config::Profile;
use crate::probe::ProbeDriver;
use crate::template::Reach;
use orderly_plan::fleet::{Event, Failure, FailureKind, NodeId, Power, Probe, RemoteCommand, Task};
use std::collections::VecDeque;

impl Wires {
    /// Takes from `nodes` those that can go into one process with `first`, which is one of them.
    /// Only power controllers are asked for many nodes at once.
    pub(super) fn take_set(
        &mut self,
        task: Task,
        first: NodeId,
        nodes: &mut VecDeque<NodeId>,
    ) -> Vec<NodeId> {
        let profile = self.wiring.profile_of[first.index()];
        let suspect = self.controllers.is_suspect(first);
        let mut room = NAMES;
        let mut set = Vec::new();
        nodes.retain(|&node| {
            let bytes = self.wiring.roster.name(node).len() + 1;
            let fits = self.wiring.profile_of[node.index()] == profile
                && (room >= bytes || node == first)
                && self.controllers.has_room(node)
                && self.controllers.is_suspect(node) == suspect
                && self.goes_with(task, node, first)
                && (task != Task::Probe || self.abilities[node.index()].probes);
            if fits {
                room = room.saturating_sub(bytes);
                set.push(node);
            }
            !fits
        });
        set
    }

    pub(super) fn route(&self, task: Task, node: NodeId) -> Route {
        if self.ending {
            return Route::Known(Event::answer(task, node, Err(told_to_end())));
        }
        let profile = self.wiring.profile(node);
        match task {
            Task::Probe => self.route_to_probe(profile, node),
            Task::ReadPower => match profile.power.driver.reach(Task::ReadPower) {
                Some(reach) => Route::Process(reach, Asks::Controller),
                None => Route::Known(Event::Power(node, Power::Unknown)),
            },
            Task::PowerOn | Task::PowerOff | Task::Reset => match profile.power.driver.reach(task) {
                Some(reach) => Route::Process(reach, Asks::Controller),
                None => Route::Known(cannot(task, node, "it has no driver for that (see [power])")),
            },
            Task::Run(remote) => {
                if remote == RemoteCommand::EndUsers && profile.users_command().is_none() {
                    Route::Known(Event::Ended(node, task, Ok(())))
                } else if self.parallel(node).is_some() && self.abilities[node.index()].runs_commands {
                    Route::Batch
                } else if self.abilities[node.index()].runs_commands {
                    Route::Process(Reach::Each, Asks::Node)
                } else {
                    Route::Known(cannot(task, node, "it has no shell driver (see [shell])"))
                }
            }
        }
    }

    fn route_to_probe(&self, profile: &Profile, node: NodeId) -> Route {
        if !self.abilities[node.index()].probes {
            return Route::Known(Event::Probe(node, Probe::Unknown));
        }
        match &profile.probe.driver {
            ProbeDriver::Tcp { .. } => Route::Tcp,
            ProbeDriver::Shell { .. } if self.parallel(node).is_some() => Route::Batch,
            ProbeDriver::Shell { .. } | ProbeDriver::Command(_) => Route::Process(Reach::Each, Asks::Node),
            ProbeDriver::Power => match profile.power.driver.reach(Task::ReadPower) {
                Some(reach) => Route::Process(reach, Asks::Controller),
                None => Route::Known(Event::Probe(node, Probe::Unknown)),
            },
            ProbeDriver::None | ProbeDriver::Simulator => Route::Known(Event::Probe(node, Probe::Unknown)),
        }
    }
}

fn cannot(task: Task, node: NodeId, why: &str) -> Event {
    Event::answer(task, node, Err(Failure::own(FailureKind::NotStarted, why.to_owned())))
}
