//! Imagined nodes on a clock of their own: how each takes being told to go down, and what truly became
//! of it.

use super::super::*;
use crate::drivers::{
    Abilities, BootId, Drivers, Event, Failure, FailureKind, Power, Probe, RemoteCommand, Task,
};
use crate::outcome::Outcome;
use crate::run::Run;
use std::collections::{BTreeMap, VecDeque};

/// How a node behaves when it is told to go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Halts after this many seconds; the probe is down this many seconds earlier.
    Halts { takes: u64, early: u64 },
    /// Halts, but the connection is lost while it is told.
    LosesConnection { takes: u64 },
    /// Halts, but the command ends with a failure, as one does that its own shutdown ends.
    FailsAndHalts { takes: u64 },
    /// Loses the connection and stays up.
    StaysUp,
    /// Says no.
    Refuses,
    /// Accepts and never goes down.
    Hangs,
    /// Cannot be reached, though it runs; its probe is down.
    Unreachable,
    /// Was off before.
    Off,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Imagined {
    pub(super) manner: Manner,
    pub(super) able: Abilities,
    /// Switches itself off once halted.
    pub(super) powers_off: bool,
    /// Every third reading of its probe is down, whatever is true.
    pub(super) flaps: bool,
    pub(super) power_unreadable: bool,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) nodes: Vec<Imagined>,
    pub(super) told_at: Vec<Option<Duration>>,
    pub(super) cut_at: Vec<Option<Duration>>,
    pub(super) now: Duration,
    /// How often each was probed.
    pub(super) probed: Vec<u32>,
    pub(super) fanout: usize,
    pub(super) coming: BTreeMap<(Duration, u64), Event>,
    pub(super) serial: u64,
    pub(super) running: usize,
    pub(super) log: Vec<(Duration, NodeId, Task)>,
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    pub(super) fn new(nodes: Vec<Imagined>, fanout: usize) -> Self {
        Self {
            told_at: vec![None; nodes.len()],
            probed: vec![0; nodes.len()],
            cut_at: vec![None; nodes.len()],
            nodes,
            now: Duration::ZERO,
            fanout,
            coming: BTreeMap::new(),
            serial: 0,
            running: 0,
            log: Vec::new(),
        }
    }

    /// The truth: whether the node's operating system is gone and its file systems are written.
    pub(super) fn is_halted(&self, node: NodeId, at: Duration) -> bool {
        let told = self.told_at[node.index()];
        match self.nodes[node.index()].manner {
            Manner::Off => true,
            Manner::Halts { takes, .. }
            | Manner::LosesConnection { takes }
            | Manner::FailsAndHalts { takes } => told.is_some_and(|told| at >= told + seconds(takes)),
            Manner::StaysUp | Manner::Refuses | Manner::Hangs | Manner::Unreachable => false,
        }
    }

    fn probe(&mut self, node: NodeId) -> Probe {
        self.probed[node.index()] += 1;
        if self.nodes[node.index()].flaps && self.probed[node.index()] % 3 == 0 {
            return Probe::Down;
        }
        let early = match self.nodes[node.index()].manner {
            Manner::Halts { early, .. } => seconds(early),
            Manner::Unreachable => return Probe::Down,
            Manner::LosesConnection { .. }
            | Manner::FailsAndHalts { .. }
            | Manner::StaysUp
            | Manner::Refuses
            | Manner::Hangs
            | Manner::Off => Duration::ZERO,
        };
        let down = self.is_halted(node, self.now + early) || self.cut_at[node.index()].is_some();
        if down { Probe::Down } else { Probe::Up }
    }

    fn power(&self, node: NodeId) -> Power {
        let imagined = &self.nodes[node.index()];
        let off = imagined.manner == Manner::Off
            || self.cut_at[node.index()].is_some()
            || (imagined.powers_off && self.is_halted(node, self.now));
        if imagined.power_unreadable {
            Power::Unknown
        } else if off {
            Power::Off
        } else {
            Power::On
        }
    }

    fn act(&mut self, node: NodeId, task: Task) -> Event {
        let failure = |kind| Err(Failure::own(kind, "imagined".to_owned()));
        match task {
            Task::ReadPower => Event::Power(node, self.power(node)),
            Task::Probe => Event::Probe(node, self.probe(node)),
            Task::PowerOff => {
                self.cut_at[node.index()].get_or_insert(self.now);
                Event::Ended(node, task, Ok(()))
            }
            Task::Run(RemoteCommand::ReadBootId) => Event::BootId(node, Some(BootId(0))),
            Task::Run(_) => {
                let halted = self.is_halted(node, self.now);
                let result = match self.nodes[node.index()].manner {
                    _ if halted => failure(FailureKind::Unreachable),
                    Manner::Halts { .. } | Manner::Hangs => Ok(()),
                    Manner::LosesConnection { .. } | Manner::StaysUp | Manner::Unreachable | Manner::Off => {
                        failure(FailureKind::Unreachable)
                    }
                    Manner::Refuses | Manner::FailsAndHalts { .. } => failure(FailureKind::Failed),
                };
                self.told_at[node.index()].get_or_insert(self.now);
                Event::Ended(node, task, result)
            }
            Task::PowerOn | Task::Reset => panic!("{task:?} at shutdown"),
        }
    }
}

impl Drivers for World {
    fn now(&self) -> Duration {
        self.now
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        self.nodes[node.index()].able
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let mut begun = Vec::new();
        while self.running < self.fanout {
            let Some(node) = nodes.pop_front() else { break };
            begun.push(node);
            self.running += 1;
            self.log.push((self.now, node, task));
            let event = self.act(node, task);
            self.serial += 1;
            self.coming.insert((self.now + Duration::from_millis(300), self.serial), event);
        }
        begun
    }

    fn end_all(&mut self) {}

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        match (self.coming.first_key_value().map(|((at, _), _)| *at), until) {
            (Some(at), until) if until.is_none_or(|until| at <= until) => {
                self.now = at;
                self.running -= 1;
                self.coming.pop_first().map(|(_, event)| event).into_iter().collect()
            }
            (_, Some(until)) => {
                self.now = self.now.max(until);
                Vec::new()
            }
            (_, None) => panic!("waits for ever"),
        }
    }
}

pub(super) fn wishes() -> Wishes {
    Wishes { goal: Goal::Halt, power_off: true, force_off: false, stop_at_failure: false }
}

pub(super) fn limits() -> StopLimits {
    StopLimits {
        unit: false,
        settle: seconds(30),
        timeout: seconds(300),
        retries: 2,
        let_go: None,
        cut_before: Duration::MAX,
        hurried: false,
    }
}

pub(super) fn able(switches_power: bool, reads_power: bool, probes: bool) -> Abilities {
    Abilities {
        switches_power,
        reads_power,
        confirms_power: false,
        probes,
        interval: seconds(2),
        resets: false,
        runs_commands: true,
        halts: true,
    }
}

pub(super) fn imagined(manner: Manner) -> Imagined {
    Imagined {
        manner,
        able: able(true, true, true),
        powers_off: false,
        flaps: false,
        power_unreadable: false,
    }
}

/// Runs to the end and returns the endings and how often the machine was asked for more.
pub(super) fn run(machine: &mut Shutdown<'_>, world: &mut World) -> Vec<Outcome> {
    run_and_interrupt(machine, world, None)
}

/// Runs to the end; interrupted once so many rounds have passed.
pub(super) fn run_and_interrupt(
    machine: &mut Shutdown<'_>,
    world: &mut World,
    interrupt: Option<u32>,
) -> Vec<Outcome> {
    for round in 0..100_000 {
        if interrupt == Some(round) {
            machine.interrupt();
        }
        machine.advance(world);
        if machine.is_over() {
            return machine.endings().into_iter().map(|ending| ending.outcome).collect();
        }
        for event in world.next(machine.wake()) {
            machine.hear(world, &event);
        }
    }
    panic!("never over: {:?}", machine.status(world.now));
}
