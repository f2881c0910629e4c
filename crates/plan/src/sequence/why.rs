//! Why one node waits for another: the lines of the file, one after the other.

use super::groups::{At, Sequence};
use crate::diagnostic::Place;
use crate::drivers::NodeId;
use crate::graph::{GroupId, Order, Vertex, VertexKind};
use crate::name::Roster;
use crate::threshold::Threshold;
use std::fmt::Write;

/// One statement of a chain that makes a node wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub reason: LinkReason,
    /// Where it is stated; nothing for the default sequence.
    pub place: Option<Place>,
    /// How many of the group before are waited for, where not all are.
    pub some: Option<SomeOf>,
}

/// So many of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SomeOf {
    pub needed: usize,
    /// Sorted.
    pub members: Vec<NodeId>,
    /// That member through which the chain leads.
    pub among: NodeId,
}

/// What is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkReason {
    Member {
        node: NodeId,
        group: GroupId,
    },
    Before {
        before: GroupId,
        after: GroupId,
        threshold: Option<Threshold>,
    },
    /// Beside the groups: by `power_with`, `gateway` and the like of the inventory.
    Inventory {
        first: NodeId,
        then: NodeId,
    },
}

/// Returns how many of a group are waited for at a vertex, where it is a threshold that not all of them have to reach.
fn some_of(order: &Order, vertex: Vertex, among: NodeId) -> Option<SomeOf> {
    order.gate(vertex)?;
    let needed = order.needed_of(vertex);
    let mut members: Vec<NodeId> = order.members_of(vertex).collect();
    members.sort_unstable();
    (needed < members.len()).then_some(SomeOf { needed, members, among })
}

impl Sequence {
    /// Returns a shortest chain of statements that makes `waits` wait for `leads`, beginning at
    /// `leads`; nothing when it does not wait. `order` is what [`Sequence::order`] returned.
    pub fn explain(&self, order: &Order, waits: NodeId, leads: NodeId) -> Option<Vec<Link>> {
        let path =
            order.path(order.vertex(VertexKind::Node(leads)), order.vertex(VertexKind::Node(waits)))?;
        let links = path.windows(2).filter_map(|step| {
            let reason = match (order.what(step[0]), order.what(step[1])) {
                (VertexKind::Node(node), VertexKind::End(group))
                | (VertexKind::Begin(group), VertexKind::Node(node)) => LinkReason::Member { node, group },
                (VertexKind::End(before), VertexKind::Begin(after)) => {
                    let threshold = order.gate(step[0]).map(|gate| gate.threshold);
                    LinkReason::Before { before, after, threshold }
                }
                (VertexKind::Node(first), VertexKind::Node(then)) => LinkReason::Inventory { first, then },
                _ => return None,
            };
            Some((reason, step[0]))
        });
        let mut links: Vec<(LinkReason, Vertex)> = links.collect();
        // Into a group whose threshold is next and out of it again it is the same statement.
        links.dedup_by_key(|(reason, _)| *reason);
        let stated = self.first_stated(|edge| (edge.before, edge.after, edge.threshold));
        let places = self.written.places(links.iter().map(|(reason, _)| match *reason {
            LinkReason::Member { node, group } => self.member_at(group, node),
            LinkReason::Before { before, after, threshold } => {
                stated.get(&(before, after, threshold)).copied().unwrap_or_default()
            }
            LinkReason::Inventory { .. } => At::NOWHERE,
        }));
        let mut among = leads;
        let link = |((reason, vertex), place): ((LinkReason, Vertex), Option<Place>)| {
            if let LinkReason::Member { node, .. } = reason {
                among = node;
            }
            Link { reason, place, some: some_of(order, vertex, among) }
        };
        Some(links.into_iter().zip(places).map(link).collect())
    }

    /// Returns a chain for people, one statement a line: `cstartSeq:3:1: servers > clients`.
    pub fn explanation(&self, chain: &[Link], roster: &dyn Roster) -> String {
        let mut text = String::new();
        for link in chain {
            if let Some(place) = &link.place {
                // Writing to a String cannot fail.
                write!(text, "{place}: ").ok();
            }
            writeln!(text, "{}", self.statement(link.reason, roster)).ok();
        }
        text
    }

    /// Returns what one link states, as it is written.
    pub fn statement(&self, reason: LinkReason, roster: &dyn Roster) -> String {
        match reason {
            LinkReason::Member { node, group } => {
                format!("{} is in {}", roster.name(node), self.group_name(group))
            }
            LinkReason::Before { before, after, threshold } => {
                let mirrored = if self.is_mirrored { " (mirrored)" } else { "" };
                format!("{}{mirrored}", self.as_written(before, after, threshold))
            }
            LinkReason::Inventory { first, then } => {
                format!("{} goes before {} by the inventory", roster.name(first), roster.name(then))
            }
        }
    }
}
