//! What imagined nodes are, what becomes of them, and the log of both.

use orderly_plan::drivers::{BootId, Failure, FailureKind, NodeId, Power, Probe, RemoteCommand, Task};
use std::time::Duration;

/// What an imagined node is at the moment. Times are the world's; none is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    Off,
    Booting {
        until: Option<Duration>,
    },
    Up,
    /// Its operating system goes down, and then this becomes of it.
    Halting {
        until: Option<Duration>,
        then: Then,
    },
    /// Its power is on and nothing runs on it.
    Halted,
}

/// What becomes of a node when its operating system is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Off,
    Halted,
    Boots,
}

impl NodeState {
    /// Tells whether an operating system runs, so that a loss of power would do harm.
    pub fn is_running(self) -> bool {
        match self {
            Self::Up | Self::Booting { .. } | Self::Halting { .. } => true,
            Self::Off | Self::Halted => false,
        }
    }
}

/// How a node takes what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedAnswer {
    Obeys,
    /// Refuses, this many times; then it obeys.
    Fails(FailureKind, u32),
    /// Says yes and does nothing.
    Ignores,
    /// Never answers; the call is given up at its limit.
    Hangs,
}

/// How a node's power or probe reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    Truth,
    Unknown,
    /// Every other reading is unknown.
    OftenUnknown,
    /// Every third reading of a node that is up (or on) says down (or off, which is a lie).
    Flaps,
}

/// How an imagined node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nature {
    /// From power-on to up; none is never.
    pub boot: Option<Duration>,
    /// From the halt command to down; none is never.
    pub halt: Option<Duration>,
    /// How long a call takes.
    pub latency: Duration,
    /// Power on, off and reset.
    pub power: SimulatedAnswer,
    /// Commands on the node.
    pub shell: SimulatedAnswer,
    pub power_reads: Reads,
    pub probe_reads: Reads,
    /// A halted node switches its power off by itself.
    pub powers_off: bool,
}

impl Nature {
    /// Returns a node that does as it is told, within these times.
    pub fn sound(boot: Duration, halt: Duration) -> Self {
        Self {
            boot: Some(boot),
            halt: Some(halt),
            latency: Duration::from_millis(20),
            power: SimulatedAnswer::Obeys,
            shell: SimulatedAnswer::Obeys,
            power_reads: Reads::Truth,
            probe_reads: Reads::Truth,
            powers_off: true,
        }
    }

    /// Takes as long to boot as it usually did. What was learned ends with the answer of the probe that saw it up, and begins
    /// with the call of its power-on; probes are asked at the same times again, so it must be up just before that one.
    pub fn boots_as_usual(&mut self, usual: Duration) {
        self.boot = Some(usual.saturating_sub(self.latency * 3));
    }

    /// Takes as long to halt as it usually did, by the same reckoning.
    pub fn halts_as_usual(&mut self, usual: Duration) {
        self.halt = Some(usual.saturating_sub(self.latency * 3));
    }

    /// Makes it refuse whatever it is told.
    pub fn fail(&mut self) {
        self.power = SimulatedAnswer::Fails(FailureKind::Failed, u32::MAX);
        self.shell = SimulatedAnswer::Fails(FailureKind::Failed, u32::MAX);
    }

    /// Makes it never come up, and never go down.
    pub fn hang(&mut self) {
        self.boot = None;
        self.halt = None;
    }
}

/// Something that was done to a node, or that became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    pub at: Duration,
    pub node: NodeId,
    pub what: DeedKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeedKind {
    /// A call was begun.
    Begun(Task),
    /// A call took effect.
    Acted(Task),
    /// The node is now this.
    Became(NodeState),
    /// Its power was taken away under a running operating system.
    Crashed,
}

#[derive(Debug, Clone)]
struct Imagined {
    nature: Nature,
    condition: NodeState,
    readings: u32,
    /// How often it booted.
    boots: u32,
}

/// All imagined nodes and what was done to them.
#[derive(Debug, Clone)]
pub struct SimulatedWorld {
    nodes: Vec<Imagined>,
    deeds: Vec<Deed>,
}

impl SimulatedWorld {
    pub(crate) fn new(natures: Vec<(Nature, NodeState)>) -> Self {
        let nodes = natures
            .into_iter()
            .map(|(nature, condition)| Imagined { nature, condition, readings: 0, boots: 0 })
            .collect();
        Self { nodes, deeds: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns what a node was when it was last looked at or acted on.
    pub fn condition(&self, node: NodeId) -> NodeState {
        self.nodes[node.index()].condition
    }

    /// Returns what a node is at `now`.
    pub fn condition_at(&mut self, now: Duration, node: NodeId) -> NodeState {
        self.pass(now, node);
        self.condition(node)
    }

    pub fn nature(&self, node: NodeId) -> &Nature {
        &self.nodes[node.index()].nature
    }

    pub fn nature_mut(&mut self, node: NodeId) -> &mut Nature {
        &mut self.nodes[node.index()].nature
    }

    pub(crate) fn set_condition(&mut self, node: NodeId, condition: NodeState) {
        self.nodes[node.index()].condition = condition;
    }

    pub(crate) fn note(&mut self, at: Duration, node: NodeId, what: DeedKind) {
        self.deeds.push(Deed { at, node, what });
    }

    pub(crate) fn deeds(&mut self, now: Duration) -> Vec<Deed> {
        for index in 0..self.nodes.len() {
            self.pass(now, NodeId(u32::try_from(index).unwrap_or(u32::MAX)));
        }
        // What becomes of a node is noted when somebody looks; the order of time is the true one.
        self.deeds.sort_by_key(|deed| deed.at);
        self.deeds.clone()
    }

    /// Returns how long a call takes; none never ends.
    pub(crate) fn latency(&self, task: Task, node: NodeId) -> Option<Duration> {
        let nature = self.nature(node);
        let answer = match task {
            Task::PowerOn | Task::PowerOff | Task::Reset => nature.power,
            Task::Run(_) => nature.shell,
            Task::Probe | Task::ReadPower => SimulatedAnswer::Obeys,
        };
        (answer != SimulatedAnswer::Hangs).then_some(nature.latency)
    }

    pub(crate) fn probe(&mut self, now: Duration, node: NodeId) -> Probe {
        self.pass(now, node);
        // One that hangs on its way down answers still, or it would be taken for down.
        let up = matches!(self.condition(node), NodeState::Up | NodeState::Halting { until: None, .. });
        match self.read(node, self.nature(node).probe_reads, up) {
            None => Probe::Unknown,
            Some(true) => Probe::Up,
            Some(false) => Probe::Down,
        }
    }

    pub(crate) fn power(&mut self, now: Duration, node: NodeId) -> Power {
        self.pass(now, node);
        let on = self.condition(node) != NodeState::Off;
        match self.read(node, self.nature(node).power_reads, on) {
            None => Power::Unknown,
            Some(true) => Power::On,
            Some(false) => Power::Off,
        }
    }

    /// Returns which boot a node is in, where it answers.
    pub(crate) fn boot_id(&mut self, now: Duration, node: NodeId) -> Option<BootId> {
        self.pass(now, node);
        let node = &self.nodes[node.index()];
        let answers = node.condition == NodeState::Up && node.nature.shell == SimulatedAnswer::Obeys;
        answers.then(|| BootId(node.boots.into()))
    }

    fn read(&mut self, node: NodeId, reads: Reads, truth: bool) -> Option<bool> {
        let node = &mut self.nodes[node.index()];
        node.readings = node.readings.wrapping_add(1);
        match reads {
            Reads::Truth => Some(truth),
            Reads::Unknown => None,
            Reads::OftenUnknown => (node.readings % 2 == 0).then_some(truth),
            Reads::Flaps => Some(truth && node.readings % 3 != 0),
        }
    }

    /// Has a call take effect.
    pub(crate) fn act(&mut self, now: Duration, node: NodeId, task: Task) -> Result<(), Failure> {
        self.pass(now, node);
        let is_power = !matches!(task, Task::Run(_));
        if !is_power && self.condition(node) != NodeState::Up {
            let detail = "simulated: nothing answers there";
            return Err(Failure::own(FailureKind::Unreachable, detail));
        }
        let nature = self.nature_mut(node);
        match if is_power { &mut nature.power } else { &mut nature.shell } {
            SimulatedAnswer::Fails(kind, times @ 1..) => {
                *times -= u32::from(*times < u32::MAX);
                return Err(Failure::own(*kind, "simulated failure"));
            }
            SimulatedAnswer::Ignores => return Ok(()),
            SimulatedAnswer::Obeys | SimulatedAnswer::Fails(_, 0) | SimulatedAnswer::Hangs => {}
        }
        self.note(now, node, DeedKind::Acted(task));
        self.obey(now, node, task);
        Ok(())
    }

    fn obey(&mut self, now: Duration, node: NodeId, task: Task) {
        let condition = self.condition(node);
        let nature = self.nature(node);
        let boots = NodeState::Booting { until: nature.boot.map(|boot| now + boot) };
        let halts = |then| NodeState::Halting { until: nature.halt.map(|halt| now + halt), then };
        let halted = if nature.powers_off { Then::Off } else { Then::Halted };
        let next = match task {
            Task::PowerOn if condition == NodeState::Off => boots,
            Task::PowerOff => NodeState::Off,
            Task::Reset if condition != NodeState::Off => boots,
            Task::Run(RemoteCommand::Halt) => halts(halted),
            Task::Run(RemoteCommand::Restart) => halts(Then::Boots),
            Task::Run(RemoteCommand::Maintenance) => halts(Then::Halted),
            Task::PowerOn
            | Task::Reset
            | Task::Probe
            | Task::ReadPower
            | Task::Run(RemoteCommand::Notify | RemoteCommand::EndUsers | RemoteCommand::ReadBootId) => {
                return;
            }
        };
        let power_lost = matches!(task, Task::PowerOff | Task::Reset);
        if power_lost && condition.is_running() {
            self.note(now, node, DeedKind::Crashed);
        }
        self.become_at(now, node, next);
        self.pass(now, node);
    }

    fn become_at(&mut self, at: Duration, node: NodeId, condition: NodeState) {
        if matches!(condition, NodeState::Booting { .. }) {
            self.nodes[node.index()].boots += 1;
        }
        if self.condition(node) != condition {
            self.set_condition(node, condition);
            self.note(at, node, DeedKind::Became(condition));
        }
    }

    /// Lets time pass for one node.
    fn pass(&mut self, now: Duration, node: NodeId) {
        loop {
            let (at, next) = match self.condition(node) {
                NodeState::Booting { until: Some(until) } if until <= now => (until, NodeState::Up),
                NodeState::Halting { until: Some(until), then } if until <= now => {
                    let next = match then {
                        Then::Off => NodeState::Off,
                        Then::Halted => NodeState::Halted,
                        Then::Boots => {
                            NodeState::Booting { until: self.nature(node).boot.map(|boot| until + boot) }
                        }
                    };
                    (until, next)
                }
                NodeState::Off
                | NodeState::Up
                | NodeState::Halted
                | NodeState::Booting { .. }
                | NodeState::Halting { .. } => return,
            };
            self.become_at(at, node, next);
        }
    }
}
