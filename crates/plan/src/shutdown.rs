//! Stopping nodes: each is halted after all that must go down before it, watched until it is really
//! down, and then powered off.
//!
//! What is done with one node is decided in `shutdown/stopping.rs`; whose turn it is, in [`crate::run`].
//!
//! Invariant: no node is told to go down before everything that must go down before it is down, off or
//! let go by `-W` (`no_node_goes_down_before_what_depends_on_it`).

mod round;
mod stopping;
#[cfg(test)]
mod tests;
mod wishes;

use crate::drivers::NodeId;
use crate::graph::Order;
use crate::run::NodeRun;
use std::time::Duration;

pub use round::Round;
pub use stopping::Stopping;
pub use wishes::{Goal, StopLimits, Wishes};

/// A stopping of nodes.
pub type Shutdown<'o> = NodeRun<'o, Stopping>;

impl<'o> Shutdown<'o> {
    /// Returns the stopping of `targets` in `order`, in which what comes first goes down first.
    /// `priority` is as for [`crate::progress::Progress::new`]; `limits` has an entry for each node of the order.
    pub fn new(
        order: &'o Order,
        targets: &[NodeId],
        priority: Vec<u64>,
        wishes: Wishes,
        limits: &[StopLimits],
    ) -> Self {
        let mut targets = targets.to_vec();
        targets.sort_unstable();
        targets.dedup();
        let courses = targets.into_iter().map(|node| (node, Stopping::new(wishes, limits[node.index()])));
        Self::of_courses(order, courses, |_| false, priority).stopping_at_failure(wishes.stop_at_failure)
    }

    /// Has the power-off of each node begin before another time than was said first, or not at all.
    pub fn cut_before(&mut self, before: &[Duration]) {
        for (node, course) in self.courses_mut() {
            course.cut_before(before.get(node.index()).copied().unwrap_or_default());
        }
    }

    /// Returns the nodes that are down and kept their power, for which it was too late.
    pub fn kept_power(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.courses().filter(|(_, course)| course.has_kept_power()).map(|(node, _)| node)
    }

    /// Returns the nodes that are not over, each with when it was told to go down and when its power-off began; none
    /// where that is still to come.
    pub fn unfinished(&self) -> impl Iterator<Item = (NodeId, Option<Duration>, Option<Duration>)> + '_ {
        self.unfinished_courses().map(|(node, course)| (node, course.told_at(), course.cut_began()))
    }

    /// Returns how long nodes waited until their command and their power-off could be sent, and how long the command
    /// then took.
    pub fn tellings(&self) -> impl Iterator<Item = (NodeId, Duration, Duration)> + '_ {
        self.courses()
            .filter_map(|(node, course)| course.telling().map(|(waited, took)| (node, waited, took)))
    }

    /// Returns when each power-off began, the last where there were several.
    pub fn power_offs(&self) -> impl Iterator<Item = (NodeId, Duration)> + '_ {
        self.courses().filter_map(|(node, course)| Some((node, course.cut_began()?)))
    }
}
