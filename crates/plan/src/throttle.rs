//! How many nodes boot at a time, and how soon one is powered on after another.

use crate::drivers::{NodeId, Task};
use std::collections::HashSet;
use std::time::Duration;

/// Holds acts on power back. Without limits it holds back nothing.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Least time between two power-ons.
    stagger: Duration,
    /// Most nodes between an act on their power and its end; `None` is no limit.
    booting: Option<usize>,
    /// Those nodes.
    under_way: HashSet<NodeId>,
    /// No node is powered on before this.
    next_power: Duration,
    now: Duration,
}

impl Throttle {
    pub(crate) fn new(stagger: Duration, booting: Option<usize>) -> Self {
        Self { stagger, booting, ..Self::default() }
    }

    /// Returns how many nodes may begin a task now. One that is reset boots as well; only one that is
    /// switched on draws its inrush of current.
    pub(crate) fn room(&self, task: Task, now: Duration) -> usize {
        if !is_act(task) {
            return usize::MAX;
        }
        let room = self.booting.map_or(usize::MAX, |limit| limit.saturating_sub(self.under_way.len()));
        if task != Task::PowerOn || self.stagger.is_zero() {
            return room;
        }
        if now < self.next_power { 0 } else { room.min(1) }
    }

    /// Takes note that a task was begun.
    pub(crate) fn begun(&mut self, task: Task, node: NodeId, now: Duration) {
        if is_act(task) {
            self.under_way.insert(node);
        }
        if task == Task::PowerOn {
            self.next_power = now + self.stagger;
        }
    }

    /// Takes note that a task waits to be begun: a node that is acted on anew must not stand in its own way.
    pub(crate) fn queued(&mut self, task: Task, node: NodeId) {
        if is_act(task) {
            self.under_way.remove(&node);
        }
    }

    /// Takes note that a node is over.
    pub(crate) fn over(&mut self, node: NodeId) {
        self.under_way.remove(&node);
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
