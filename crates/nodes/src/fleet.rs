//! The nodes of a run behind [`Fleet`]: real ones through their drivers, imagined ones through the
//! simulator.

mod ahead;
mod command;
mod controllers;
mod programs;
mod wires;
mod wiring;

pub use command::{Command, CommandId, Host};

use crate::config::Cluster;
use crate::config::programs as named;
use crate::roster::Kind;
use crate::simulator::{Condition, Initial, Nature, Simulation, Store};
use orderly_exec::children::Children;
use orderly_exec::job::{Ended, Ending};
use orderly_exec::signals::Signals;
use orderly_exec::status::{OrStatus, Status};
use orderly_plan::diagnostic::Diagnostics;
use orderly_plan::fleet::{Abilities, Event, Failure, Fleet, NodeId, Task};
use orderly_plan::inventory::Inventory;
use std::collections::VecDeque;
use std::time::Duration;
use wires::Wires;
use wiring::{Wiring, wire};

/// The nodes of a run and their drivers.
#[derive(Debug)]
pub struct Drivers {
    fleet: Kindred,
    next: u64,
    ended: Vec<(CommandId, Result<Ended, Failure>)>,
}

#[derive(Debug)]
enum Kindred {
    Real(Box<Wires>),
    Simulated(Box<Simulation>),
}

impl Drivers {
    /// Wires up the nodes of `inventory` as `cluster` says, and listens to signals. Once a process.
    ///
    /// # Errors
    /// Rejected (3) when an override names nobody, or a driver cannot be used on a node.
    pub fn new(cluster: &Cluster, inventory: &Inventory) -> anyhow::Result<Self> {
        let wiring = wire(cluster, inventory).or_status(Status::Rejected)?;
        let children = Children::new(Signals::listen()?)?;
        let fleet = if cluster.is_simulated() {
            let names = wiring.roster.members().iter().map(|member| member.name.clone()).collect();
            let store = Store::at(cluster.simulator_state());
            let simulation = simulate(cluster, &wiring, cluster.simulator.initial);
            Kindred::Simulated(Box::new(simulation.on_real_clock(children, store, names)?))
        } else {
            Kindred::Real(Box::new(Wires::new(cluster, inventory, wiring, children)))
        };
        Ok(Self { fleet, next: 0, ended: Vec::new() })
    }

    /// Imagines the same nodes on a virtual clock, whatever their drivers: nothing is touched.
    ///
    /// # Errors
    /// As [`Drivers::new`].
    pub fn rehearse(cluster: &Cluster, inventory: &Inventory, initial: Initial) -> anyhow::Result<Self> {
        let wiring = wire(cluster, inventory).or_status(Status::Rejected)?;
        let simulation = simulate(cluster, &wiring, initial);
        Ok(Self { fleet: Kindred::Simulated(Box::new(simulation)), next: 0, ended: Vec::new() })
    }

    /// Checks that the programs by which the nodes are reached are there, and that nobody else can change
    /// them: nothing could be asked or done without them. A shutdown runs commands on nodes, a start none.
    ///
    /// # Errors
    /// Rejected (3), with all that is wrong.
    pub fn check_programs(&self, cluster: &Cluster, runs_commands: bool) -> anyhow::Result<()> {
        let Kindred::Real(wires) = &self.fleet else { return Ok(()) };
        let mut wrong = Diagnostics::default();
        named::check(&cluster.file, wires.profiles(), runs_commands, &mut wrong);
        wrong.or(()).or_status(Status::Rejected)
    }

    /// Tells whether the nodes are imagined; such a run says *simulated* first and last.
    pub fn is_simulated(&self) -> bool {
        matches!(self.fleet, Kindred::Simulated(_))
    }

    /// Returns the simulation, where there is one.
    pub fn simulation(&mut self) -> Option<&mut Simulation> {
        match &mut self.fleet {
            Kindred::Real(_) => None,
            Kindred::Simulated(simulation) => Some(simulation),
        }
    }

    /// Lets these nodes be stopped although they are this very machine (`--even-self`).
    pub fn allow_self(&mut self, nodes: &[NodeId]) {
        if let Kindred::Real(wires) = &mut self.fleet {
            wires.allow_self(nodes);
        }
    }

    /// Returns why nothing can come of asking a node about its power, or of probing it, as it is configured.
    pub fn permanent_failure(&self, node: NodeId) -> Option<Failure> {
        match &self.fleet {
            Kindred::Real(wires) => {
                wires.permanent_power_failure(node).or_else(|| wires.permanent_probe_failure(node))
            }
            Kindred::Simulated(_) => None,
        }
    }

    /// Takes note that the power program does not know these nodes; people are told.
    pub(crate) fn mark_unlisted(&mut self, nodes: &[NodeId]) {
        if let Kindred::Real(wires) = &mut self.fleet {
            wires.mark_unlisted(nodes);
        }
    }

    /// Sets what users are told by `RemoteCommand::Notify`.
    pub fn set_message(&mut self, message: &str) {
        if let Kindred::Real(wires) = &mut self.fleet {
            wires.set_message(message);
        }
    }

    /// Returns how many driver processes run at a time: as many as were asked for, or as there can be.
    pub fn at_once(&self, asked: usize) -> usize {
        match &self.fleet {
            Kindred::Real(wires) => wires.at_once(),
            Kindred::Simulated(_) => asked,
        }
    }

    /// Tells whether commands on this node go together with those on others, in one process: then
    /// nothing is gained by beginning only so many at a time.
    pub fn takes_many(&self, node: NodeId) -> bool {
        match &self.fleet {
            Kindred::Real(wires) => wires.takes_many(node),
            Kindred::Simulated(_) => false,
        }
    }

    /// Begins a command; [`Drivers::take_ended`] tells of its end after a later `next`, which may
    /// then return no event. In a simulation nothing runs and all succeeds.
    pub fn start(&mut self, command: &Command) -> CommandId {
        self.next += 1;
        let id = CommandId(self.next);
        match &mut self.fleet {
            Kindred::Real(wires) => wires.start(id, command),
            Kindred::Simulated(_) => self.ended.push((id, Ok(nothing_ran()))),
        }
        id
    }

    /// Returns the commands that ended since the last call. One that ran is `Ok`, whatever its exit
    /// status; a failure means that it did not run, or that its end is not known.
    pub fn take_ended(&mut self) -> Vec<(CommandId, Result<Ended, Failure>)> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.take_ended(),
            Kindred::Simulated(_) => std::mem::take(&mut self.ended),
        }
    }

    /// Ends the run: what is to be remembered is written.
    ///
    /// # Errors
    /// When the simulated world cannot be written.
    pub fn close(mut self) -> anyhow::Result<()> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.close(),
            Kindred::Simulated(simulation) => simulation.save()?,
        }
        Ok(())
    }
}

impl Fleet for Drivers {
    fn now(&self) -> Duration {
        match &self.fleet {
            Kindred::Real(wires) => wires.now(),
            Kindred::Simulated(simulation) => simulation.now(),
        }
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        match &self.fleet {
            Kindred::Real(wires) => wires.abilities(node),
            Kindred::Simulated(simulation) => simulation.abilities(node),
        }
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.begin(task, nodes),
            Kindred::Simulated(simulation) => simulation.begin(task, nodes),
        }
    }

    fn end_all(&mut self) {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.end_all(),
            Kindred::Simulated(simulation) => simulation.end_all(),
        }
    }

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.next(until),
            // The end of a simulated command is heard of without waiting.
            Kindred::Simulated(simulation) if !self.ended.is_empty() => simulation.next(Some(Duration::ZERO)),
            Kindred::Simulated(simulation) => simulation.next(until),
        }
    }

    fn why_unknown(&self, node: NodeId) -> Option<String> {
        match &self.fleet {
            Kindred::Real(wires) => wires.why_unknown(node),
            Kindred::Simulated(_) => None,
        }
    }

    fn permanent_power_failure(&self, node: NodeId) -> Option<Failure> {
        match &self.fleet {
            Kindred::Real(wires) => wires.permanent_power_failure(node),
            Kindred::Simulated(_) => None,
        }
    }

    fn take_warnings(&mut self) -> Vec<String> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.take_warnings(),
            Kindred::Simulated(_) => Vec::new(),
        }
    }

    fn take_last_warnings(&mut self) -> Vec<String> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.take_last_warnings(),
            Kindred::Simulated(_) => Vec::new(),
        }
    }
}

fn nothing_ran() -> Ended {
    Ended {
        ending: Ending::Exited(0),
        stdout: Vec::new(),
        stderr: Vec::new(),
        truncated: false,
        took: Duration::ZERO,
    }
}

fn simulate(cluster: &Cluster, wiring: &Wiring, initial: Initial) -> Simulation {
    let settings = &cluster.simulator;
    let natures = wiring
        .roster
        .members()
        .iter()
        .map(|member| {
            let name = member.name.as_str();
            let (boot, halt) = match member.kind {
                Kind::Node => (settings.time(name, settings.boot), settings.time(name, settings.halt)),
                Kind::Unit => (Duration::ZERO, Duration::ZERO),
            };
            let mut nature = Nature::sound(boot, halt);
            nature.latency = settings.latency;
            nature.powers_off = settings.powers_off;
            if settings.hang.iter().any(|hung| hung == name) {
                nature.hang();
            }
            if settings.fail.iter().any(|failing| failing == name) {
                nature.fail();
            }
            let condition = match initial {
                Initial::Off => Condition::Off,
                Initial::Up => Condition::Up,
            };
            (nature, condition)
        })
        .collect();
    let mut simulation = Simulation::imagine(natures);
    for index in 0..wiring.roster.len() {
        let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut abilities = wiring.abilities(node);
        abilities.interval =
            abilities.interval.div_f64(f64::from(settings.speed.max(1))).max(Duration::from_millis(1));
        simulation.set_abilities(node, abilities);
    }
    simulation.set_fanout(cluster.limits.fanout);
    simulation.set_limit(cluster.profile.power_timeout());
    simulation
}

#[cfg(test)]
mod tests;
