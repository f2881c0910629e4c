//! How many nodes boot at a time, and how soon one is powered on after another.

use crate::drivers::{Drivers, NodeId, Task};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

/// How many nodes may be between an act on their power and its end.
#[derive(Debug, Clone, Default)]
pub struct Booting {
    /// `None` is no limit.
    pub limit: Option<usize>,
    /// By node: those with equal numbers are counted together. Empty where all are.
    pub class_of: Vec<u32>,
}

impl Booting {
    fn class(&self, node: NodeId) -> u32 {
        self.class_of.get(node.index()).copied().unwrap_or(0)
    }
}

/// Holds acts on power back. Without limits it holds back nothing.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Least time between two power-ons.
    stagger: Duration,
    booting: Booting,
    /// The nodes between an act on their power and its end.
    under_way: HashSet<NodeId>,
    /// By class: how many these are.
    count: BTreeMap<u32, usize>,
    /// No node is powered on before this.
    next_power: Duration,
    now: Duration,
}

impl Throttle {
    pub(crate) fn new(stagger: Duration, booting: Booting) -> Self {
        Self { stagger, booting, ..Self::default() }
    }

    /// Begins a task on as many of `queue` as limits allow now, those in front first, takes these out of it and
    /// returns them.
    pub(crate) fn begin(
        &mut self,
        drivers: &mut dyn Drivers,
        task: Task,
        queue: &mut VecDeque<NodeId>,
        now: Duration,
    ) -> Vec<NodeId> {
        let mut begun = Vec::new();
        let (Some(limit), true) = (self.booting.limit, is_act(task)) else {
            begun = drivers.begin_at_most(self.pace(task, now), task, queue);
            self.note_all(task, &begun, now);
            return begun;
        };
        // Most often there is no room at all, and then nobody is looked at.
        if self.booting.class_of.is_empty() && self.under_way.len() >= limit {
            return begun;
        }
        // One whose controller is busy is passed over and takes no other's place: more of its class are offered, each
        // node once.
        let places: Vec<NodeId> = queue.drain(..).collect();
        let mut waiting: BTreeMap<u32, VecDeque<usize>> = BTreeMap::new();
        for (at, &node) in places.iter().enumerate() {
            waiting.entry(self.booting.class(node)).or_default().push_back(at);
        }
        let mut left: Vec<usize> = Vec::new();
        while self.pace(task, now) > 0 {
            let mut chosen: Vec<usize> = Vec::new();
            for (class, nodes) in &mut waiting {
                let room = limit.saturating_sub(self.count.get(class).copied().unwrap_or(0));
                chosen.extend(nodes.drain(..room.min(nodes.len())));
            }
            if chosen.is_empty() {
                break;
            }
            chosen.sort_unstable();
            let mut offered: VecDeque<NodeId> = chosen.iter().map(|&at| places[at]).collect();
            let some = drivers.begin_at_most(self.pace(task, now), task, &mut offered);
            self.note_all(task, &some, now);
            let passed_over: HashSet<NodeId> = offered.into_iter().collect();
            left.extend(chosen.into_iter().filter(|&at| passed_over.contains(&places[at])));
            begun.extend(some);
        }
        left.extend(waiting.into_values().flatten());
        left.sort_unstable();
        queue.extend(left.into_iter().map(|at| places[at]));
        begun
    }

    /// Returns how many nodes may begin a task now, as far as the time between two is concerned. Only one that is
    /// switched on draws its inrush of current.
    fn pace(&self, task: Task, now: Duration) -> usize {
        if task != Task::PowerOn || self.stagger.is_zero() {
            return usize::MAX;
        }
        usize::from(now >= self.next_power)
    }

    /// Takes note that a task was begun. One that is reset boots as well.
    fn note_all(&mut self, task: Task, nodes: &[NodeId], now: Duration) {
        for &node in nodes {
            if is_act(task) && self.under_way.insert(node) {
                *self.count.entry(self.booting.class(node)).or_default() += 1;
            }
            if task == Task::PowerOn {
                self.next_power = now + self.stagger;
            }
        }
    }

    /// Takes note that a task waits to be begun: a node that is acted on anew must not stand in its own way.
    pub(crate) fn queued(&mut self, task: Task, node: NodeId) {
        if is_act(task) {
            self.over(node);
        }
    }

    /// Takes note that a node is over.
    pub(crate) fn over(&mut self, node: NodeId) {
        if self.under_way.remove(&node)
            && let Some(count) = self.count.get_mut(&self.booting.class(node))
        {
            *count -= 1;
        }
    }

    /// Takes note of the time at which nodes were last offered.
    pub(crate) fn advance(&mut self, now: Duration) {
        self.now = now;
    }

    /// Returns when the next node may be powered on. Not when that time has come already: then a node or a
    /// driver is waited for, not the clock.
    pub(crate) fn wake(&self) -> Option<Duration> {
        (self.next_power > self.now).then_some(self.next_power)
    }
}

fn is_act(task: Task) -> bool {
    matches!(task, Task::PowerOn | Task::PowerOff | Task::Reset)
}
