//! Groups of which not all members are waited for.
//!
//! A threshold is a vertex of its own between the members of its group and the beginnings of the groups that wait
//! for so many of them. Who it may be waited for by goes through it as through the end of the group.

use super::{GroupId, Order, Vertex, VertexKind};
use crate::drivers::NodeId;
use crate::threshold::Threshold;
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use std::collections::VecDeque;

/// A threshold of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gate {
    pub group: GroupId,
    pub threshold: Threshold,
}

impl Order {
    /// Returns the threshold that a vertex is, if it is one. In a mirrored order there is none: all are waited for.
    pub fn gate(&self, vertex: Vertex) -> Option<Gate> {
        let at = self.gate_number(vertex)?;
        (!self.is_mirrored).then(|| self.gates[at])
    }

    /// Returns all thresholds.
    pub fn gates(&self) -> impl Iterator<Item = (Vertex, Gate)> + '_ {
        let first = self.nodes + 2 * self.groups;
        let all = if self.is_mirrored { &[] } else { self.gates.as_slice() };
        all.iter().zip(first..).map(|(gate, vertex)| (Vertex(vertex), *gate))
    }

    pub(super) fn gate_number(&self, vertex: Vertex) -> Option<usize> {
        vertex.0.checked_sub(self.nodes + 2 * self.groups).map(|at| at as usize)
    }

    /// Returns the members of a threshold's group.
    pub fn members_of(&self, gate: Vertex) -> impl Iterator<Item = NodeId> + '_ {
        self.leading(gate).filter_map(|vertex| match self.what(vertex) {
            VertexKind::Node(node) => Some(node),
            VertexKind::Begin(_) | VertexKind::End(_) => None,
        })
    }

    /// Leaves nodes that are away out of the groups of which so many are enough: a percentage is of the others.
    pub fn leave_out(&mut self, away: &[NodeId]) {
        let gates: Vec<(Vertex, Gate)> = self.gates().collect();
        for (vertex, gate) in gates {
            // Only a percentage is of the others. A number stays what it is, and where all are away nobody is up.
            let Threshold::Percent(_) = gate.threshold else { continue };
            if self.members_of(vertex).all(|node| away.binary_search(&node).is_ok()) {
                continue;
            }
            for node in away {
                let (from, to) = (NodeIndex::new(node.index()), NodeIndex::new(vertex.index()));
                if let Some(edge) = self.graph.find_edge(from, to) {
                    self.graph.remove_edge(edge);
                }
            }
        }
    }

    /// Returns the order as it binds while these nodes are as they must be: where enough of a group are, nobody
    /// waits for its others.
    pub fn counting(&self, holds: impl Fn(NodeId) -> bool) -> Counted<'_> {
        let mut counts = Vec::new();
        if self.gates().next().is_some() {
            counts.extend((0..self.nodes).map(|node| holds(NodeId(node))));
        }
        let is_enough = |(gate, Gate { threshold, .. }): (Vertex, Gate)| {
            let (mut members, mut holding) = (0, 0);
            for node in self.members_of(gate) {
                members += 1;
                holding += usize::from(counts[node.index()]);
            }
            threshold == Threshold::Ended || holding >= threshold.needed(members)
        };
        let enough = self.gates().map(is_enough).collect();
        Counted { order: self, counts, enough }
    }
}

/// An order, and of which groups enough are as they must be.
#[derive(Debug)]
pub struct Counted<'o> {
    order: &'o Order,
    /// By node; empty where no group has a threshold.
    counts: Vec<bool>,
    /// By threshold.
    enough: Vec<bool>,
}

impl Counted<'_> {
    /// Returns all nodes that any of `from` needs, at any distance, sorted.
    pub fn leading(&self, from: &[NodeId]) -> Vec<NodeId> {
        self.reach(from, Direction::Incoming)
    }

    /// Returns all nodes that need any of `from`, at any distance, sorted.
    pub fn trailing(&self, from: &[NodeId]) -> Vec<NodeId> {
        self.reach(from, Direction::Outgoing)
    }

    fn reach(&self, from: &[NodeId], direction: Direction) -> Vec<NodeId> {
        let order = self.order;
        let mut seen = vec![false; order.vertex_count()];
        let mut queue: VecDeque<Vertex> = from.iter().map(|node| Vertex(node.0)).collect();
        while let Some(vertex) = queue.pop_front() {
            for next in order.neighbours(vertex, direction) {
                if !seen[next.index()] && self.binds(vertex, next) && self.binds(next, vertex) {
                    seen[next.index()] = true;
                    queue.push_back(next);
                }
            }
        }
        (0..order.nodes).filter(|&node| seen[node as usize]).map(NodeId).collect()
    }

    /// Tells whether a member of a group is waited for, where `gate` is a threshold of that group.
    fn binds(&self, member: Vertex, gate: Vertex) -> bool {
        let Some(&true) = self.order.gate_number(gate).and_then(|at| self.enough.get(at)) else {
            return true;
        };
        self.counts.get(member.index()).copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ids;
    use super::*;

    /// n0, n1 and n2 are `a`, n3 is `b`: `a(…) > b`.
    fn order(threshold: Threshold) -> Order {
        let groups = [ids(&[0, 1, 2]), ids(&[3])];
        Order::of(
            4,
            2,
            |group| groups[group.index()].iter().copied(),
            [(GroupId(0), GroupId(1), Some(threshold))].into_iter(),
        )
    }

    #[test]
    fn where_enough_are_up_the_others_are_not_needed() {
        let order = order(Threshold::Count(2));
        let needed = |up: &[u32]| order.counting(|node| up.contains(&node.0)).leading(&ids(&[3]));
        assert_eq!(needed(&[0, 2]), ids(&[0, 2]));
        assert_eq!(needed(&[0]), ids(&[0, 1, 2]), "one more of them all must come up");
        assert_eq!(order.counting(|node| node.0 < 2).trailing(&ids(&[2])), ids(&[]));
        assert_eq!(order.counting(|node| node.0 < 1).trailing(&ids(&[2])), ids(&[3]));
        assert_eq!(order.all_leading(&ids(&[3])), ids(&[0, 1, 2]), "they lead it all the same");
    }

    #[test]
    fn those_that_ended_need_not_be_up() {
        let order = order(Threshold::Ended);
        assert_eq!(order.counting(|node| node.0 == 1).leading(&ids(&[3])), ids(&[1]));
    }

    #[test]
    fn a_percentage_is_of_those_that_are_not_away() {
        let mut order = order(Threshold::Percent(67));
        let needed =
            |order: &Order, up: &[u32]| order.counting(|node| up.contains(&node.0)).leading(&ids(&[3]));
        assert_eq!(needed(&order, &[0, 2]), ids(&[0, 1, 2]), "three of three");
        order.leave_out(&ids(&[1, 3]));
        assert_eq!(needed(&order, &[0, 2]), ids(&[0, 2]), "two of two");
        order.leave_out(&ids(&[0, 2]));
        assert_eq!(needed(&order, &[]), ids(&[0, 2]), "where all are away, nobody of them is up");
    }

    #[test]
    fn mirrored_all_are_waited_for() {
        let mirrored = order(Threshold::Count(1)).mirrored();
        assert_eq!(mirrored.counting(|_| false).leading(&ids(&[1])), ids(&[3]));
        assert_eq!(mirrored.counting(|_| true).leading(&ids(&[0, 1, 2])), ids(&[3]));
        assert_eq!(mirrored.waves(), [ids(&[3]), ids(&[0, 1, 2])]);
    }

    #[test]
    fn a_wave_begins_when_enough_of_the_last_are_over() {
        // n0 > n1 > n2 are `a` one after the other, n3 waits for two of them.
        let groups = [ids(&[0]), ids(&[1]), ids(&[2]), ids(&[0, 1, 2]), ids(&[3])];
        let edge = |a, b, threshold| (GroupId(a), GroupId(b), threshold);
        let edges = [edge(0, 1, None), edge(1, 2, None), edge(3, 4, Some(Threshold::Count(2)))];
        let order = Order::of(4, 5, |group| groups[group.index()].iter().copied(), edges.into_iter());
        assert_eq!(order.waves(), [ids(&[0]), ids(&[1]), ids(&[2, 3])]);
    }
}
