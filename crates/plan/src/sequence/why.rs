//! Why one node waits for another: the lines of the file, one after the other.

use super::groups::Sequence;
use crate::diagnostic::Place;
use crate::drivers::NodeId;
use crate::graph::{GroupId, Order, VertexKind};
use crate::name::Roster;
use std::fmt::Write;

/// One statement of a chain that makes a node wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub reason: Reason,
    /// Where it is stated; nothing for the default sequence.
    pub place: Option<Place>,
}

/// What is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Member { node: NodeId, group: GroupId },
    Before { before: GroupId, after: GroupId },
}

impl Sequence {
    /// Returns a shortest chain of statements that makes `waits` wait for `leads`, beginning at
    /// `leads`; nothing when it does not wait. `order` is what [`Sequence::order`] returned.
    pub fn explain(&self, order: &Order, waits: NodeId, leads: NodeId) -> Option<Vec<Link>> {
        let path =
            order.path(order.vertex(VertexKind::Node(leads)), order.vertex(VertexKind::Node(waits)))?;
        let steps = path.windows(2).map(|step| (order.what(step[0]), order.what(step[1])));
        let reasons = steps.filter_map(|step| match step {
            (VertexKind::Node(node), VertexKind::End(group))
            | (VertexKind::Begin(group), VertexKind::Node(node)) => Some(Reason::Member { node, group }),
            (VertexKind::End(before), VertexKind::Begin(after)) => Some(Reason::Before { before, after }),
            _ => None,
        });
        let reasons: Vec<Reason> = reasons.collect();
        let stated = self.first_stated();
        let places = self.places(reasons.iter().map(|reason| match *reason {
            Reason::Member { node, group } => self.member_at(group, node),
            Reason::Before { before, after } => stated.get(&(before, after)).copied().unwrap_or_default(),
        }));
        Some(reasons.into_iter().zip(places).map(|(reason, place)| Link { reason, place }).collect())
    }

    /// Returns a chain for people, one statement a line: `cstartSeq:3:1: servers > clients`.
    pub fn explanation(&self, chain: &[Link], roster: &dyn Roster) -> String {
        let mut text = String::new();
        for link in chain {
            if let Some(place) = &link.place {
                // Writing to a String cannot fail.
                write!(text, "{place}: ").ok();
            }
            match link.reason {
                Reason::Member { node, group } => {
                    writeln!(text, "{} is in {}", roster.name(node), self.group_name(group)).ok();
                }
                Reason::Before { before, after } => {
                    let mirrored = if self.is_mirrored { " (mirrored)" } else { "" };
                    writeln!(text, "{}{mirrored}", self.written(before, after)).ok();
                }
            }
        }
        text
    }
}
