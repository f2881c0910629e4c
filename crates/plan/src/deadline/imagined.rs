//! Nodes that take as long as they did before, on a virtual clock, and calls that wait for one another as the real ones
//! do. Nothing fails here: how long it takes is the question.

use super::NodeTakes;
use super::forecast::{CallLimits, SlotUse};
use crate::drivers::{Abilities, Drivers, Event, NodeId, Power, Probe, RemoteCommand, Task};
use crate::run::Run;
use crate::shutdown::{Shutdown, StopLimits};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// A call that runs.
#[derive(Debug)]
struct Call {
    task: Task,
    nodes: Vec<NodeId>,
    controllers: BTreeSet<u32>,
    /// It has a slot of those that run at once.
    has_slot: bool,
}

/// The nodes of a shutdown that is gone through beforehand.
#[derive(Debug)]
pub(super) struct ImaginedNodes<'f> {
    takes: &'f [NodeTakes],
    limits: &'f CallLimits,
    /// How often a node is asked, at the most.
    step: Duration,
    powers_off: bool,
    now: Duration,
    coming: BTreeMap<(Duration, u64), Call>,
    serial: u64,
    running: usize,
    busy: HashMap<u32, usize>,
    /// By node: when it had been told to halt, and its power had been switched off.
    over: Vec<(Option<Duration>, Option<Duration>)>,
    /// A call had to wait for others.
    has_waited: bool,
}

impl<'f> ImaginedNodes<'f> {
    pub(super) fn new(
        takes: &'f [NodeTakes],
        limits: &'f CallLimits,
        step: Duration,
        powers_off: bool,
    ) -> Self {
        Self {
            takes,
            limits,
            step,
            powers_off,
            now: Duration::ZERO,
            coming: BTreeMap::new(),
            serial: 0,
            running: 0,
            busy: HashMap::new(),
            over: vec![(None, None); takes.len()],
            has_waited: false,
        }
    }

    /// Returns the limits of nodes, without those in time.
    pub(super) fn patient(&self, stops: &[StopLimits]) -> Vec<StopLimits> {
        let patient = |stop: &StopLimits| StopLimits {
            timeout: Duration::MAX,
            let_go: None,
            cut_before: Duration::MAX,
            ..*stop
        };
        stops.iter().map(patient).collect()
    }

    /// Goes through a shutdown; returns when it is over, where a call had to wait for another.
    pub(super) fn stop(&mut self, run: &mut Shutdown<'_>) -> Option<Duration> {
        loop {
            run.advance(self);
            if run.is_over() {
                break;
            }
            let wake = run.wake();
            if wake.is_none() && self.coming.is_empty() {
                break;
            }
            for event in self.next(wake) {
                run.hear(self, &event);
            }
        }
        self.has_waited.then_some(self.now)
    }

    /// Tells whether a node switches its power off by itself once it is halted.
    fn is_off_by_itself(&self, node: NodeId) -> bool {
        let never_cut = self.takes[node.index()].off.is_some_and(|off| off.is_zero());
        self.powers_off && never_cut || !self.limits.calls[node.index()].able.probes
    }

    /// Tells whether nothing runs on it any more.
    fn is_down(&self, node: NodeId) -> bool {
        let calls = &self.limits.calls[node.index()];
        let settle =
            if self.is_off_by_itself(node) { Duration::ZERO } else { self.limits.stops[node.index()].settle };
        let sinks = self.takes[node.index()].halt.saturating_sub(calls.look + calls.tell + settle);
        self.over[node.index()].0.is_some_and(|told| self.now >= told + sinks)
    }

    fn is_off(&self, node: NodeId) -> bool {
        let takes = self.takes[node.index()].off.unwrap_or_default();
        let rest = takes.saturating_sub(self.limits.calls[node.index()].switch);
        let was_cut = self.over[node.index()].1.is_some_and(|cut| self.now >= cut + rest);
        was_cut || self.is_off_by_itself(node) && self.is_down(node)
    }

    fn answer(&mut self, task: Task, node: NodeId) -> Event {
        match task {
            Task::Probe => Event::Probe(node, if self.is_down(node) { Probe::Down } else { Probe::Up }),
            Task::ReadPower => Event::Power(node, if self.is_off(node) { Power::Off } else { Power::On }),
            Task::Run(RemoteCommand::ReadBootId) => Event::BootId(node, None),
            Task::Run(_) => {
                self.over[node.index()].0.get_or_insert(self.now);
                Event::Ended(node, task, Ok(()))
            }
            Task::PowerOff | Task::PowerOn | Task::Reset => {
                self.over[node.index()].1.get_or_insert(self.now);
                Event::Ended(node, task, Ok(()))
            }
        }
    }

    /// Returns the controller whose calls a task is counted among.
    fn controller(&self, task: Task, node: NodeId) -> Option<u32> {
        let is_power = !matches!(task, Task::Run(_) | Task::Probe);
        self.limits.calls[node.index()].controller.filter(|_| is_power)
    }

    fn bears(&self, controller: Option<u32>) -> bool {
        let busy = controller.and_then(|controller| self.busy.get(&controller)).copied().unwrap_or(0);
        controller.is_none() || busy < self.limits.per_controller
    }

    fn make(&mut self, call: Call) {
        self.running += usize::from(call.has_slot);
        call.controllers.iter().for_each(|controller| *self.busy.entry(*controller).or_default() += 1);
        let time = |node: &NodeId| self.limits.calls[node.index()].time(call.task);
        let takes = call.nodes.iter().map(time).max().unwrap_or_default();
        self.serial += 1;
        self.coming.insert((self.now + takes, self.serial), call);
    }

    fn end(&mut self, call: &Call) {
        self.running -= usize::from(call.has_slot);
        for controller in &call.controllers {
            if let Some(busy) = self.busy.get_mut(controller) {
                *busy -= 1;
            }
        }
    }
}

impl Drivers for ImaginedNodes<'_> {
    fn now(&self) -> Duration {
        self.now
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        let able = self.limits.calls[node.index()].able;
        let switches_power = self.takes[node.index()].off.is_some();
        Abilities { interval: able.interval.max(self.step), switches_power, ..able }
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let mut begun = Vec::new();
        let mut left = VecDeque::new();
        let mut shared = Call { task, nodes: Vec::new(), controllers: BTreeSet::new(), has_slot: true };
        while let Some(node) = nodes.pop_front() {
            let (slot, controller) =
                (self.limits.calls[node.index()].slot(task), self.controller(task, node));
            let is_part = slot == SlotUse::Shared && !shared.nodes.is_empty();
            let taken = self.running + usize::from(!shared.nodes.is_empty());
            let has_room = slot == SlotUse::None || is_part || taken < self.limits.at_once.max(1);
            let shares = controller.is_some_and(|controller| shared.controllers.contains(&controller));
            if !has_room {
                // Nor is there for those behind it: each would be looked at again after every call.
                nodes.push_front(node);
                break;
            }
            if !(self.bears(controller) || is_part && shares) {
                left.push_back(node);
                continue;
            }
            begun.push(node);
            if slot == SlotUse::Shared {
                shared.nodes.push(node);
                shared.controllers.extend(controller);
            } else {
                let controllers = controller.into_iter().collect();
                self.make(Call { task, nodes: vec![node], controllers, has_slot: slot == SlotUse::Own });
            }
        }
        if !shared.nodes.is_empty() {
            self.make(shared);
        }
        left.append(nodes);
        self.has_waited |= !left.is_empty();
        *nodes = left;
        begun
    }

    fn is_full(&self) -> bool {
        false
    }

    fn end_all(&mut self) {}

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        let next = self.coming.first_key_value().map(|((at, _), _)| *at);
        let Some(to) = next.into_iter().chain(until).min() else { return Vec::new() };
        self.now = self.now.max(to);
        let mut events = Vec::new();
        while let Some(entry) = self.coming.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let call = entry.remove();
            self.end(&call);
            events.extend(call.nodes.iter().map(|&node| self.answer(call.task, node)));
        }
        events
    }
}
