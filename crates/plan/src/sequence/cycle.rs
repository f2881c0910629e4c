//! The order a sequence puts on nodes, and the loops in it as people can mend them.

use super::groups::{At, Edge, GroupMember, Sequence};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::drivers::NodeId;
use crate::graph::{GroupId, Order, Vertex, VertexKind};
use crate::name::Roster;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// How many loops are described; each is mended alone, and mending one often mends others.
const DESCRIBED: usize = 20;

impl Sequence {
    /// Returns the order of the nodes of `roster`: the inventory the sequence was read with, or its
    /// own names.
    ///
    /// # Errors
    /// Each cycle as the whole loop, the shortest first, with the lines that make it.
    pub fn order(&self, roster: &dyn Roster) -> Result<Order, Diagnostics> {
        let order = self.unchecked_order(roster);
        let cycles = order.cycles();
        if cycles.is_empty() {
            return Ok(order);
        }
        let stated = self.first_stated(|edge| (edge.before, edge.after));
        let mut described = Vec::new();
        for found in cycles.iter().take(DESCRIBED) {
            described.push(Loop::new(&order, found).describe(self, &stated, roster));
        }
        if cycles.len() > DESCRIBED {
            let rest = cycles.len() - DESCRIBED;
            described.push(Diagnostic::about(&self.written.file, format!("{rest} more cycles like these")));
        }
        Err(Diagnostics(described))
    }

    /// Returns what makes its cycles, of each component a shortest one: the groups of which one comes before the other,
    /// and those that are joined by a node. Nothing where there are none.
    pub fn cycling(&self, roster: &dyn Roster) -> CycleParts {
        let order = self.unchecked_order(roster);
        let mut parts = CycleParts::default();
        for found in order.cycles() {
            let whole = Loop::new(&order, &found);
            parts.orders.extend(whole.edges());
            let joined = whole.0.iter().filter(|stretch| stretch.shared.is_some());
            parts.joints.extend(joined.map(|stretch| (stretch.enters, stretch.leaves)));
        }
        parts
    }

    /// Returns the order even where it has cycles.
    pub(super) fn unchecked_order(&self, roster: &dyn Roster) -> Order {
        Order::of(
            roster.count(),
            self.groups.len(),
            |group| self.group(group).members.iter().map(|member| member.node),
            self.edges.iter().map(|edge| (edge.before, edge.after, edge.threshold)),
        )
    }

    /// Returns where it is stated that a node is in a group.
    pub(super) fn member_at(&self, group: GroupId, node: NodeId) -> At {
        let of_node = |member: &&GroupMember| member.node == node;
        self.group(group).members.iter().find(of_node).map_or(At::NOWHERE, |member| member.at)
    }

    /// Returns where each order is first stated; those with equal keys are one.
    pub(super) fn first_stated<K: Eq + Hash>(&self, key: impl Fn(&Edge) -> K) -> HashMap<K, At> {
        let mut stated = HashMap::with_capacity(self.edges.len());
        for edge in &self.edges {
            stated.entry(key(edge)).or_insert(edge.at);
        }
        stated
    }

    /// Returns the first statement that one group is before another.
    pub(super) fn edge(&self, before: GroupId, after: GroupId) -> Option<&Edge> {
        self.edges.iter().find(|edge| (edge.before, edge.after) == (before, after))
    }
}

/// What cycles are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CycleParts {
    /// The first comes before the second.
    pub orders: BTreeSet<(GroupId, GroupId)>,
    /// A node is in both.
    pub joints: BTreeSet<(GroupId, GroupId)>,
}

/// Orders, and where they are stated.
type Stated = HashMap<(GroupId, GroupId), At>;

/// A stretch of a loop from where it enters a group to where it leaves one: the same, or another
/// that shares a node with it.
struct Stretch {
    enters: GroupId,
    shared: Option<NodeId>,
    leaves: GroupId,
}

struct Loop(Vec<Stretch>);

impl Loop {
    fn new(order: &Order, vertices: &[Vertex]) -> Self {
        let mut turned: Vec<VertexKind> = vertices.iter().map(|vertex| order.what(*vertex)).collect();
        // A beginning is only reached by an order, so a loop read from one falls into stretches.
        let start = turned.iter().position(|what| matches!(what, VertexKind::Begin(_))).unwrap_or(0);
        turned.rotate_left(start);
        let mut stretches = Vec::new();
        let (mut enters, mut shared) = (GroupId(0), None);
        for what in turned {
            match what {
                VertexKind::Begin(group) => (enters, shared) = (group, None),
                VertexKind::Node(node) => shared = Some(node),
                VertexKind::End(leaves) => {
                    let shared = shared.filter(|_| leaves != enters);
                    stretches.push(Stretch { enters, shared, leaves });
                }
            }
        }
        // Begin after a shared node, if there is one: "n02 comes before itself".
        if let Some(at) = stretches.iter().position(|stretch| stretch.shared.is_some()) {
            stretches.rotate_left(at);
        }
        Self(stretches)
    }

    fn describe(&self, sequence: &Sequence, stated: &Stated, roster: &dyn Roster) -> Diagnostic {
        let edge_at = |edge| stated.get(&edge).copied().unwrap_or(At::NOWHERE);
        let first_at = self.edges().next().map_or(At::NOWHERE, edge_at);
        let mut diagnostic = sequence.written.diagnose(first_at, self.sentence(sequence, roster));
        let mut notes: Vec<(At, String)> = Vec::new();
        for (before, after) in self.edges() {
            let clause = format!("{} > {}", sequence.group_name(before), sequence.group_name(after));
            notes.push((edge_at((before, after)), clause));
        }
        for stretch in &self.0 {
            let Some(node) = stretch.shared else { continue };
            for group in [stretch.enters, stretch.leaves] {
                let clause = format!("{} is in {}", roster.name(node), sequence.group_name(group));
                notes.push((sequence.member_at(group, node), clause));
            }
        }
        let places = sequence.written.places(notes.iter().map(|(at, _)| *at));
        for (place, (_, clause)) in places.into_iter().zip(notes) {
            diagnostic.notes.extend(place.map(|place| (place, clause)));
        }
        diagnostic
    }

    /// Returns the stated orders along the loop.
    fn edges(&self) -> impl Iterator<Item = (GroupId, GroupId)> {
        let next = self.0.iter().cycle().skip(1);
        self.0.iter().zip(next).map(|(from, to)| (from.leaves, to.enters))
    }

    /// Returns the loop in one sentence.
    fn sentence(&self, sequence: &Sequence, roster: &dyn Roster) -> String {
        let name = |group: GroupId| sequence.group_name(group);
        let Some(first) = self.0.first() else { return String::new() };
        let Some(node) = first.shared else {
            let mut chain: Vec<&str> = self.0.iter().map(|stretch| name(stretch.enters)).collect();
            chain.push(name(first.enters));
            return format!("cycle: {}", chain.join(" > "));
        };
        let mut sentence = format!(
            "cycle: {} comes before itself: it is in {} and in {}, and {}",
            roster.name(node),
            name(first.leaves),
            name(first.enters),
            name(first.leaves)
        );
        for stretch in &self.0[1..] {
            sentence.push_str(" > ");
            sentence.push_str(name(stretch.enters));
            if let Some(node) = stretch.shared {
                let and = format!(
                    "; {} is there and in {}, and {}",
                    roster.name(node),
                    name(stretch.leaves),
                    name(stretch.leaves)
                );
                sentence.push_str(&and);
            }
        }
        sentence.push_str(" > ");
        sentence.push_str(name(first.enters));
        sentence
    }
}
