//! Starts nodes: off is powered on, up is left alone, on but not up is waited for and then given up (or,
//! where that was asked for, reset once), unknown is asked again and never acted on. What follows a failure is
//! held, all else goes on.
//!
//! What is done with one node is decided in `startup/starting.rs` and `startup/act.rs`; whose turn it is, in
//! [`crate::run`].
//!
//! Invariant: no node's power is touched before every target that leads it is up, or was let go
//! (`-W`) after its power-on succeeded (`no_node_is_touched_before_its_leaders_and_every_node_is_reported`).

mod act;
mod identity;
mod starting;
#[cfg(test)]
mod tests;

use crate::drivers::{BootId, NodeId};
use crate::graph::Order;
use crate::outcome::{NodeEnding, Outcome};
use crate::run::{NodeRun, Run};
use crate::survey::{Condition, Reading};
use crate::throttle::{Booting, Throttle};
pub use starting::Starting;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a node is, and how long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartLimits {
    /// A unit has power and nothing to probe.
    pub unit: bool,
    /// When a node that is acted on and not up has failed.
    pub timeout: Duration,
    /// How long a node that is on but not up may be booting before it is given up, or reset once.
    pub boot: Duration,
    /// How often a failed act is tried again.
    pub retries: u32,
    /// When what waits for it goes on although it is not up (`-W`).
    pub late: Option<Duration>,
    /// What becomes of it when it is on but not up for longer than that.
    pub stuck: Stuck,
}

/// What becomes of a node that is on but not up for longer than it may be booting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stuck {
    /// It is given up, and a reset is proposed.
    #[default]
    GivenUp,
    /// It is reset once (`--reset-stuck`).
    Reset,
    /// It is given up, because it is the machine that the run is on.
    ThisMachine,
    /// It is given up, because the run may still need it to reach or power others.
    Needed,
}

impl Default for StartLimits {
    fn default() -> Self {
        Self {
            unit: false,
            timeout: Duration::from_secs(900),
            boot: Duration::from_secs(600),
            retries: 2,
            late: None,
            stuck: Stuck::default(),
        }
    }
}

/// How a start is done.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// By node of the order.
    pub limits: Vec<StartLimits>,
    /// Least time between two power-ons.
    pub stagger: Duration,
    /// Most nodes between power-on and up.
    pub booting: Booting,
    /// Running targets that are reset (`-z`, `-Z`), sorted.
    pub reset: Vec<NodeId>,
    /// By node: how long it is expected to take, in milliseconds, for the longest path. May be empty.
    pub takes: Vec<u64>,
    /// That is known of every node to be started, so that the end can be foretold.
    pub is_foretold: bool,
    /// The boot of this very machine: a node that says it is in it is not reset.
    pub own_boot: Option<BootId>,
}

/// A start of nodes.
pub type Startup<'o> = NodeRun<'o, Starting>;

impl<'o> Startup<'o> {
    /// Returns a start of `targets` (with their units), which must be acyclic in `order`. `readings`
    /// is by node of the inventory, see [`crate::survey::Survey`].
    pub fn new(order: &'o Order, targets: &[NodeId], readings: &[Reading], options: StartOptions) -> Self {
        let mut takes = vec![0u64; order.node_count()];
        let mut marks = vec![0u64; order.node_count()];
        for target in targets {
            let up = readings[target.index()].condition() == Condition::Up
                && options.reset.binary_search(target).is_err();
            let expected = options.takes.get(target.index()).copied().unwrap_or(1).max(1);
            takes[target.index()] = if up { 0 } else { expected };
            marks[target.index()] = 1;
        }
        let ahead = order.critical(&marks);
        let courses = targets.iter().map(|&node| {
            let limits = options.limits.get(node.index()).copied().unwrap_or_default();
            // Some other target waits for it, at any distance.
            let leads = ahead[node.index()] > marks[node.index()];
            let is_to_be_reset = options.reset.binary_search(&node).is_ok();
            let course = Starting::new(limits, leads, readings[node.index()]);
            (node, course.resettable(is_to_be_reset, options.own_boot))
        });
        let is_up = |node: NodeId| {
            readings.get(node.index()).is_some_and(|reading| reading.condition() == Condition::Up)
        };
        let counts = |node: NodeId| marks[node.index()] > 0 || is_up(node);
        let rest = order.critical_counting(&takes, counts);
        let run = Self::of_courses(order, courses, is_up, rest)
            .throttled(Throttle::new(options.stagger, options.booting));
        if options.is_foretold { run.foretold(options.takes.clone()) } else { run }
    }
    /// Returns the targets that are on, did not come up and were not reset, sorted: another start would only wait for them
    /// again.
    pub fn stuck(&self) -> Vec<NodeId> {
        let failed =
            |ending: &NodeEnding| matches!(ending.outcome, Outcome::Failed(_) | Outcome::TimedOut(_));
        let failed: BTreeSet<NodeId> =
            self.endings().iter().filter(|ending| failed(ending)).map(|ending| ending.node).collect();
        let stuck = self.courses().filter(|(node, course)| failed.contains(node) && course.is_stuck());
        stuck.map(|(node, _)| node).collect()
    }
}
