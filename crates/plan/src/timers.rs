//! Limits and appointments of nodes: what is due next, without looking at every node.

use crate::drivers::NodeId;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// Appointments, at most one of each kind `K` a node. Setting one replaces the one before.
#[derive(Debug)]
pub struct Timers<K> {
    due: HashMap<(NodeId, K), Duration>,
    /// Soonest first; entries that `due` does not agree with are of the past.
    heap: BinaryHeap<Reverse<(Duration, NodeId, K)>>,
}

impl<K: Copy + Ord + Hash> Default for Timers<K> {
    fn default() -> Self {
        Self { due: HashMap::new(), heap: BinaryHeap::new() }
    }
}

impl<K: Copy + Ord + Hash> Timers<K> {
    /// Makes an appointment.
    pub fn set(&mut self, node: NodeId, kind: K, at: Duration) {
        self.due.insert((node, kind), at);
        self.heap.push(Reverse((at, node, kind)));
    }

    /// Cancels an appointment, if there is one.
    pub fn cancel(&mut self, node: NodeId, kind: K) {
        self.due.remove(&(node, kind));
    }

    /// Tells whether there is such an appointment.
    pub fn has(&self, node: NodeId, kind: K) -> bool {
        self.due.contains_key(&(node, kind))
    }

    /// Returns when an appointment is, where there is such a one.
    pub fn at(&self, node: NodeId, kind: K) -> Option<Duration> {
        self.due.get(&(node, kind)).copied()
    }

    /// Takes out the next appointment that has come.
    pub fn take_due(&mut self, now: Duration) -> Option<(NodeId, K)> {
        while let Some(&Reverse((at, node, kind))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if self.due.get(&(node, kind)) == Some(&at) {
                self.due.remove(&(node, kind));
                return Some((node, kind));
            }
        }
        None
    }

    /// Returns when the next appointment is; may be sooner than that, never later.
    pub fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Cancels everything.
    pub fn clear(&mut self) {
        self.due.clear();
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_appointment_replaces_the_old_one() {
        let mut timers = Timers::default();
        let second = Duration::from_secs;
        timers.set(NodeId(1), 'a', second(5));
        timers.set(NodeId(1), 'a', second(9));
        timers.set(NodeId(2), 'a', second(7));
        timers.set(NodeId(2), 'b', second(1));
        timers.cancel(NodeId(2), 'b');
        assert_eq!(timers.take_due(second(8)), Some((NodeId(2), 'a')));
        assert_eq!(timers.take_due(second(8)), None);
        assert_eq!(timers.next(), Some(second(9)));
        assert_eq!(timers.take_due(second(9)), Some((NodeId(1), 'a')));
        assert!(!timers.has(NodeId(1), 'a'));
    }
}
