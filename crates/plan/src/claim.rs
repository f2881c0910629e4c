//! What a run acts on, and which runs may go on beside each other.
//!
//! A claim is in names and not in numbers, because two runs may have read two inventories. Each says what it acts on and
//! what that leads or trails, as it has read it: two that both say so in time see the same, whoever looks.
//!
//! Invariants: no two runs that touch act at once, none that touches nobody is held up, and one that waits is passed only
//! by runs that it does not touch (`a_queue_lets_no_two_that_touch_act_and_holds_up_nobody_else`).

use crate::drivers::NodeId;
use crate::graph::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a run acts on. Sets are in order of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub targets: BTreeSet<String>,
    /// The units that are switched with them.
    pub units: BTreeSet<String>,
    /// Their addresses and what switches their power: one that has another name in another inventory has the same.
    pub marks: BTreeSet<String>,
    /// All that leads or trails them through either sequence, at any distance.
    pub bound: BTreeSet<String>,
    /// What leads or trails them is not known, so it may be anything.
    pub unbounded: bool,
}

/// In what two runs touch, as the first of them sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Both act on these nodes or units.
    Both(Vec<String>),
    /// Both act on what is there, under different names.
    Marks(Vec<String>),
    /// These of the other lead or trail what this one acts on.
    Others(Vec<String>),
    /// These of this one lead or trail what the other acts on.
    Own(Vec<String>),
    /// Of one of them it is not known what leads or trails what it acts on.
    Unknown,
}

impl Claim {
    /// Returns what a run claims that acts on these nodes and units, in the orders in which nodes start and stop.
    pub fn of<'n>(
        orders: &[&Order],
        targets: &[NodeId],
        units: &[NodeId],
        name: impl Fn(NodeId) -> &'n str,
    ) -> Self {
        let acted = [targets, units].concat();
        let names = |nodes: &[NodeId]| nodes.iter().map(|&node| name(node).to_owned()).collect();
        let mut claim = Self { targets: names(targets), units: names(units), ..Self::default() };
        for order in orders {
            for bound in [order.all_leading(&acted), order.all_trailing(&acted)] {
                claim.bound.extend(bound.into_iter().map(|node| name(node).to_owned()));
            }
        }
        claim
    }

    /// Claims what another says as well.
    pub fn add(&mut self, other: Self) {
        self.targets.extend(other.targets);
        self.units.extend(other.units);
        self.marks.extend(other.marks);
        self.bound.extend(other.bound);
        self.unbounded |= other.unbounded;
    }

    /// Returns in what two runs touch; nothing where both may go on.
    pub fn touch(&self, other: &Self) -> Option<Touch> {
        let both: Vec<String> = self.acted().filter(|name| other.acts_on(name)).cloned().collect();
        if !both.is_empty() {
            return Some(Touch::Both(both));
        }
        let marks: Vec<String> = self.marks.intersection(&other.marks).cloned().collect();
        if !marks.is_empty() {
            return Some(Touch::Marks(marks));
        }
        let bound = |by: &Self, acting: &Self| -> Vec<String> {
            acting.acted().filter(|name| by.bound.contains(*name)).cloned().collect()
        };
        match (bound(self, other), bound(other, self)) {
            (others, _) if !others.is_empty() => Some(Touch::Others(others)),
            (_, own) if !own.is_empty() => Some(Touch::Own(own)),
            _ => (self.unbounded || other.unbounded).then_some(Touch::Unknown),
        }
    }

    fn acted(&self) -> impl Iterator<Item = &String> {
        self.targets.iter().chain(&self.units)
    }

    fn acts_on(&self, name: &str) -> bool {
        self.targets.contains(name) || self.units.contains(name)
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A shutdown waits for its time; until then its nodes are anybody's.
    Pending,
    /// It waits for runs that it touches.
    Waiting,
    Acting,
}

/// A run among others.
#[derive(Debug, Clone, Copy)]
pub struct Queued<'c> {
    /// Those that came later have larger ones.
    pub number: u64,
    pub stage: Stage,
    pub claim: &'c Claim,
}

impl Queued<'_> {
    /// Tells in what another run is in this one's way: it acts, or has waited for longer. Of shutdowns that wait for their
    /// time each is in the other's, as both would stop the same nodes.
    pub fn is_held_by(&self, other: &Queued<'_>) -> Option<Touch> {
        let is_before = match (self.stage, other.stage) {
            (Stage::Pending, Stage::Pending) => true,
            (Stage::Pending, _) | (_, Stage::Pending) => false,
            (_, Stage::Acting) => true,
            (_, Stage::Waiting) => other.number < self.number,
        };
        if is_before { self.claim.touch(other.claim) } else { None }
    }
}

#[cfg(test)]
mod tests;
