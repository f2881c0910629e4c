//! How nodes stand before anything is done to them: probes first, then the power of those not up.
//!
//! One controller that hangs must not keep a whole run from beginning. A survey told which nodes the
//! run asks again by itself ([`Survey::asked_again_later`]) leaves those behind that are silent long
//! after all others answered; what it does not know of them is unknown, never down.

mod silence;

use crate::doing::Doing;
use crate::drivers::{Drivers, Event, NodeId, Power, Probe, Task};
use crate::graph::Order;
use crate::notice::{Busy, Notice, RunStatus};
use crate::outcome::NodeEnding;
use crate::run::Run;
use silence::Silence;
use std::collections::VecDeque;
use std::time::Duration;

/// What a node was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    Up,
    /// On but not up: booting, checking its disks, or hanging.
    On,
    /// Off; or, where power cannot be read, not up by its probe.
    Down,
    /// Neither up nor down is proven. Never taken for down.
    Unknown,
}

impl Condition {
    /// Returns the word used for it in JSON and in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::On => "on",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// What the drivers said of a node; `None` is not asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    pub power: Option<Power>,
    pub probe: Option<Probe>,
}

impl Reading {
    /// Returns what the readings prove.
    pub fn condition(self) -> Condition {
        match (self.probe, self.power) {
            (Some(Probe::Up), _) | (None, Some(Power::On)) => Condition::Up,
            (_, Some(Power::Off)) | (Some(Probe::Down), None) => Condition::Down,
            (Some(Probe::Down), Some(Power::On)) => Condition::On,
            (Some(Probe::Unknown), _) | (_, Some(Power::Unknown)) | (None, None) => Condition::Unknown,
        }
    }

    /// Returns the readings as people read them: `power on, probe down`.
    pub fn shown(self) -> String {
        let power = match self.power {
            None => None,
            Some(Power::On) => Some("power on"),
            Some(Power::Off) => Some("power off"),
            Some(Power::Unknown) => Some("power unknown"),
        };
        let probe = match self.probe {
            None => None,
            Some(Probe::Up) => Some("probe up"),
            Some(Probe::Down) => Some("probe down"),
            Some(Probe::Unknown) => Some("probe unknown"),
        };
        let said: Vec<&str> = [power, probe].into_iter().flatten().collect();
        if said.is_empty() { "nothing can be asked".to_owned() } else { said.join(", ") }
    }
}

/// Nodes that are to be asked something, and how many are being asked.
#[derive(Debug, Default)]
struct Asking {
    queue: VecDeque<NodeId>,
    under_way: usize,
}

impl Asking {
    fn is_done(&self) -> bool {
        self.under_way == 0 && self.queue.is_empty()
    }

    fn answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

/// Asks how nodes stand, all at once.
#[derive(Debug)]
pub struct Survey<'o> {
    nodes: Vec<NodeId>,
    /// By node of the inventory.
    readings: Vec<Reading>,
    answered: Vec<bool>,
    /// A question was begun and has no answer yet, by node.
    asked: Vec<Option<Task>>,
    /// Units have power and nothing to probe.
    units: Vec<bool>,
    sorted_out: bool,
    probes: Asking,
    /// Found not up; their power is to be read where it can be.
    not_up: Vec<NodeId>,
    powers: Asking,
    left: usize,
    interrupted: bool,
    silence: Silence<'o>,
}

impl<'o> Survey<'o> {
    /// Returns a survey of `nodes`, out of an inventory of `count`; `units` says which of all nodes
    /// are units (see [`crate::inventory::Node::power_with`]), and may be empty.
    pub fn new(count: usize, nodes: Vec<NodeId>, units: Vec<bool>) -> Self {
        Self {
            left: nodes.len(),
            nodes,
            readings: vec![Reading::default(); count],
            answered: vec![false; count],
            asked: vec![None; count],
            units,
            sorted_out: false,
            probes: Asking::default(),
            not_up: Vec::new(),
            powers: Asking::default(),
            interrupted: false,
            silence: Silence::default(),
        }
    }

    /// Lets these nodes be left behind when only such do not answer their probes (do not say what
    /// their power is), for as long again as the others took and for two seconds at the least. One
    /// that leads a node found up is waited for all the same: whether the sequence is violated
    /// depends on it.
    #[must_use]
    pub fn asked_again_later(mut self, order: &'o Order, probes: Vec<NodeId>, powers: Vec<NodeId>) -> Self {
        self.silence.excuse(order, probes, powers);
        self
    }

    /// Lets these nodes, sorted, be left behind in the same way, whatever they lead.
    #[must_use]
    pub fn not_waiting_for(mut self, absent: &[NodeId]) -> Self {
        self.silence.absent = absent.to_vec();
        self
    }

    /// Returns the nodes that were left behind, sorted: they are asked still, and unknown.
    pub fn left_behind(&self) -> &[NodeId] {
        &self.silence.behind
    }

    /// Returns what was read, by node of the inventory.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Returns what each node of the inventory was found to be; those not asked are unknown.
    pub fn conditions(&self) -> Vec<Condition> {
        self.readings.iter().map(|reading| reading.condition()).collect()
    }

    fn sort_out(&mut self, drivers: &dyn Drivers) {
        for &node in &self.nodes {
            let unit = self.units.get(node.index()).copied().unwrap_or(false);
            if !unit && drivers.abilities(node).probes {
                self.probes.queue.push_back(node);
            } else {
                self.not_up.push(node);
            }
        }
    }

    fn begin(&mut self, drivers: &mut dyn Drivers, task: Task) {
        let is_first = self.under_way() == 0;
        let questions = if task == Task::Probe { &mut self.probes } else { &mut self.powers };
        if questions.queue.is_empty() {
            return;
        }
        let begun = drivers.begin(task, &mut questions.queue);
        questions.under_way += begun.len();
        begun.iter().for_each(|node| self.asked[node.index()] = Some(task));
        if !begun.is_empty() && is_first {
            self.silence.begin(drivers.now());
        }
    }

    fn under_way(&self) -> usize {
        self.probes.under_way + self.powers.under_way
    }

    fn answer(&mut self, node: NodeId) {
        if !std::mem::replace(&mut self.answered[node.index()], true) {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// Returns when the nodes that are silent now are left behind, unless an answer comes before.
    fn patience_ends(&self) -> Option<Duration> {
        let waits = self.under_way() > 0 && self.probes.queue.is_empty() && self.powers.queue.is_empty();
        if waits { self.silence.ends() } else { None }
    }

    /// Leaves silent nodes behind when their time has come and nothing depends on what they say.
    fn leave_behind(&mut self, now: Duration) {
        if self.patience_ends().is_none_or(|end| now < end) {
            return;
        }
        let silent: Vec<NodeId> =
            self.nodes.iter().copied().filter(|node| self.asked[node.index()].is_some()).collect();
        let (is_probing, void) = (self.probes.under_way > 0, self.under_way());
        let is_up = |node: &NodeId| self.readings[node.index()].condition() == Condition::Up;
        if !self.silence.leave(&silent, is_probing, void, is_up) {
            return;
        }
        for node in silent {
            let reading = &mut self.readings[node.index()];
            // Without the second, a probe that said down would be taken for a node that is down.
            if is_probing {
                reading.probe = Some(Probe::Unknown);
            } else {
                reading.power = Some(Power::Unknown);
            }
            self.asked[node.index()] = None;
            if is_probing && self.silence.absent.binary_search(&node).is_ok() {
                // Whether it is on is still to be heard: its power may well be told at once.
                self.not_up.push(node);
                continue;
            }
            self.answer(node);
        }
        (self.probes.under_way, self.powers.under_way) = (0, 0);
    }

    /// Tells whether an answer is waited for; one of a node left behind comes too late.
    fn is_awaited(&mut self, node: NodeId, task: Task, now: Duration) -> bool {
        let awaited = self.asked[node.index()] == Some(task);
        if awaited {
            self.asked[node.index()] = None;
        }
        self.silence.heard(awaited, now);
        awaited
    }
}

impl Run for Survey<'_> {
    fn advance(&mut self, drivers: &mut dyn Drivers) {
        if self.interrupted {
            return;
        }
        if !std::mem::replace(&mut self.sorted_out, true) {
            self.sort_out(drivers);
        }
        self.leave_behind(drivers.now());
        self.begin(drivers, Task::Probe);
        // Read together, once all probes are in: drivers that take many nodes a call then need one.
        if self.probes.is_done() {
            for node in std::mem::take(&mut self.not_up) {
                if drivers.abilities(node).reads_power {
                    self.powers.queue.push_back(node);
                } else {
                    self.answer(node);
                }
            }
            self.begin(drivers, Task::ReadPower);
        }
    }

    fn hear(&mut self, drivers: &dyn Drivers, event: &Event) {
        let now = drivers.now();
        match *event {
            Event::Probe(node, _) if !self.is_awaited(node, Task::Probe, now) => {}
            Event::Power(node, _) if !self.is_awaited(node, Task::ReadPower, now) => {}
            Event::Probe(node, probe) => {
                self.probes.answered();
                self.readings[node.index()].probe = Some(probe);
                if probe == Probe::Up {
                    self.answer(node);
                } else {
                    self.not_up.push(node);
                }
            }
            Event::Power(node, power) => {
                self.powers.answered();
                self.readings[node.index()].power = Some(power);
                self.answer(node);
            }
            Event::BootId(..) | Event::Ended(..) | Event::Signal(_) | Event::Attention | Event::Asked => {}
        }
    }

    fn wake(&self) -> Option<Duration> {
        if self.interrupted { None } else { self.patience_ends() }
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
    }

    fn is_over(&self) -> bool {
        self.left == 0 || (self.interrupted && self.outstanding() == 0)
    }

    fn outstanding(&self) -> usize {
        self.under_way() + self.silence.void
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    fn status(&self, _now: Duration) -> RunStatus {
        let waiting = self.nodes.iter().filter(|node| !self.answered[node.index()]);
        RunStatus {
            phase: "asking".into(),
            done: self.nodes.len() - self.left,
            failed: 0,
            held: 0,
            total: self.nodes.len(),
            busy: waiting
                .map(|&node| Busy {
                    node,
                    doing: Doing::Asked,
                    since: Duration::ZERO,
                    // Whoever has not answered yet may well be able to.
                    last: match self.readings[node.index()] {
                        Reading { power: None, probe: None } => String::new(),
                        heard => heard.shown(),
                    },
                })
                .collect(),
            ..RunStatus::default()
        }
    }

    fn endings(&self) -> Vec<NodeEnding> {
        self.nodes.iter().copied().map(NodeEnding::skipped).collect()
    }
}

#[cfg(test)]
mod tests;
