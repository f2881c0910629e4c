//! How nodes stand before anything is done to them: probes first, then the power of those not up.

use crate::fleet::{Event, Fleet, NodeId, Power, Probe, Task};
use crate::machine::{Busy, Ending, Machine, Notice, Outcome, Stand};
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

/// Asks how nodes stand, all at once.
#[derive(Debug)]
pub struct Survey {
    nodes: Vec<NodeId>,
    /// By node of the inventory.
    readings: Vec<Reading>,
    answered: Vec<bool>,
    /// Units have power and nothing to probe.
    units: Vec<bool>,
    sorted_out: bool,
    to_probe: VecDeque<NodeId>,
    probing: usize,
    /// Found not up; their power is to be read where it can be.
    not_up: Vec<NodeId>,
    to_read: VecDeque<NodeId>,
    reading: usize,
    left: usize,
    interrupted: bool,
}

impl Survey {
    /// Returns a survey of `nodes`, out of an inventory of `count`; `units` says which of all nodes
    /// are units (see [`crate::inventory::Node::power_with`]), and may be empty.
    pub fn new(count: usize, nodes: Vec<NodeId>, units: Vec<bool>) -> Self {
        Self {
            left: nodes.len(),
            nodes,
            readings: vec![Reading::default(); count],
            answered: vec![false; count],
            units,
            sorted_out: false,
            to_probe: VecDeque::new(),
            probing: 0,
            not_up: Vec::new(),
            to_read: VecDeque::new(),
            reading: 0,
            interrupted: false,
        }
    }

    /// Returns what was read, by node of the inventory.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Returns what each node of the inventory was found to be; those not asked are unknown.
    pub fn conditions(&self) -> Vec<Condition> {
        self.readings.iter().map(|reading| reading.condition()).collect()
    }

    fn sort_out(&mut self, fleet: &dyn Fleet) {
        for &node in &self.nodes {
            let unit = self.units.get(node.index()).copied().unwrap_or(false);
            if !unit && fleet.abilities(node).probes {
                self.to_probe.push_back(node);
            } else {
                self.not_up.push(node);
            }
        }
    }

    fn begin(fleet: &mut dyn Fleet, task: Task, queue: &mut VecDeque<NodeId>) -> usize {
        if queue.is_empty() { 0 } else { fleet.begin(task, queue).len() }
    }

    fn answer(&mut self, node: NodeId) {
        if !std::mem::replace(&mut self.answered[node.index()], true) {
            self.left = self.left.saturating_sub(1);
        }
    }
}

impl Machine for Survey {
    fn advance(&mut self, fleet: &mut dyn Fleet) {
        if self.interrupted {
            return;
        }
        if !std::mem::replace(&mut self.sorted_out, true) {
            self.sort_out(fleet);
        }
        self.probing += Self::begin(fleet, Task::Probe, &mut self.to_probe);
        // Read together, once all probes are in: drivers that take many nodes a call then need one.
        if self.probing == 0 && self.to_probe.is_empty() {
            for node in std::mem::take(&mut self.not_up) {
                if fleet.abilities(node).reads_power {
                    self.to_read.push_back(node);
                } else {
                    self.answer(node);
                }
            }
            self.reading += Self::begin(fleet, Task::ReadPower, &mut self.to_read);
        }
    }

    fn hear(&mut self, event: &Event, _now: Duration) {
        match *event {
            Event::Probe(node, probe) => {
                self.probing = self.probing.saturating_sub(1);
                self.readings[node.index()].probe = Some(probe);
                if probe == Probe::Up {
                    self.answer(node);
                } else {
                    self.not_up.push(node);
                }
            }
            Event::Power(node, power) => {
                self.reading = self.reading.saturating_sub(1);
                self.readings[node.index()].power = Some(power);
                self.answer(node);
            }
            Event::BootId(..) | Event::Ended(..) | Event::Signal(_) | Event::Attention => {}
        }
    }

    fn wake(&self) -> Option<Duration> {
        None
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
    }

    fn is_over(&self) -> bool {
        self.left == 0 || (self.interrupted && self.outstanding() == 0)
    }

    fn outstanding(&self) -> usize {
        self.probing + self.reading
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    fn stand(&self, _now: Duration) -> Stand {
        let waiting = self.nodes.iter().filter(|node| !self.answered[node.index()]);
        Stand {
            phase: "asking",
            done: self.nodes.len() - self.left,
            failed: 0,
            held: 0,
            total: self.nodes.len(),
            busy: waiting
                .map(|&node| Busy {
                    node,
                    doing: "asked how it stands",
                    since: Duration::ZERO,
                    last: self.readings[node.index()].shown(),
                })
                .collect(),
            ..Stand::default()
        }
    }

    fn endings(&self) -> Vec<Ending> {
        self.nodes
            .iter()
            .map(|&node| Ending { node, outcome: Outcome::Skipped, began: None, ended: None, let_go: false })
            .collect()
    }
}
