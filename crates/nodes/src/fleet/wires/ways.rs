//! Which way a task takes: what is known already, a connection of our own, or a process, for one node
//! or for many.

use super::{Wires, told_to_end, users_command};
use crate::config::Profile;
use crate::probe::ProbeDriver;
use crate::template::Reach;
use orderly_plan::fleet::{Errand, Event, Failure, FailureKind, NodeId, Power, Probe, Task};
use std::collections::VecDeque;

/// Bytes of node names one process gets: a single argument may have 128 KiB.
pub(super) const NAMES: usize = 96 * 1024;

/// What a task is for a node.
pub(super) enum Way {
    /// Answered without asking anybody.
    Known(Event),
    Tcp,
    /// Its controller is looked at first.
    Looked,
    /// A process; one for many when its template says so.
    Process(Reach, Asks),
    /// A part in the next call of a program that runs commands on many nodes.
    Crew,
}

/// Whom a process asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// The power controller, of which only so much may be asked at once.
    Controller,
    Node,
}

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

    pub(super) fn way(&self, task: Task, node: NodeId) -> Way {
        if self.ending {
            return Way::Known(Event::answer(task, node, Err(told_to_end())));
        }
        let profile = self.wiring.profile(node);
        match task {
            Task::Probe => self.way_to_probe(profile, node),
            Task::ReadPower => match profile.power.driver.reach(Task::ReadPower) {
                Some(reach) => Way::Process(reach, Asks::Controller),
                None => Way::Known(Event::Power(node, Power::Unknown)),
            },
            Task::PowerOn | Task::PowerOff | Task::Reset => match profile.power.driver.reach(task) {
                Some(reach) => Way::Process(reach, Asks::Controller),
                None => Way::Known(cannot(task, node, "it has no driver for that (see [power])")),
            },
            Task::Run(errand) => {
                if errand == Errand::EndUsers && users_command(profile).is_none() {
                    Way::Known(Event::Ended(node, task, Ok(())))
                } else if self.parallel(node).is_some() && self.abilities[node.index()].runs_commands {
                    Way::Crew
                } else if self.abilities[node.index()].runs_commands {
                    Way::Process(Reach::Each, Asks::Node)
                } else {
                    Way::Known(cannot(task, node, "it has no shell driver (see [shell])"))
                }
            }
        }
    }

    fn way_to_probe(&self, profile: &Profile, node: NodeId) -> Way {
        if !self.abilities[node.index()].probes {
            return Way::Known(Event::Probe(node, Probe::Unknown));
        }
        match &profile.probe.driver {
            ProbeDriver::Tcp { .. } => Way::Tcp,
            ProbeDriver::Shell { .. } if self.parallel(node).is_some() => Way::Crew,
            ProbeDriver::Shell { .. } | ProbeDriver::Command(_) => Way::Process(Reach::Each, Asks::Node),
            ProbeDriver::Power => match profile.power.driver.reach(Task::ReadPower) {
                Some(reach) => Way::Process(reach, Asks::Controller),
                None => Way::Known(Event::Probe(node, Probe::Unknown)),
            },
            ProbeDriver::None | ProbeDriver::Simulator => Way::Known(Event::Probe(node, Probe::Unknown)),
        }
    }
}

fn cannot(task: Task, node: NodeId, why: &str) -> Event {
    Event::answer(task, node, Err(Failure::own(FailureKind::NotStarted, why.to_owned())))
}
