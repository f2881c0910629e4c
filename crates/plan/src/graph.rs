//! Who waits for whom: the order that groups put on nodes.
//!
//! A group is two vertices, its beginning and its end. A node lies between them, and `a > b` is one
//! edge from the end of `a` to the beginning of `b`. So the graph is linear in members and stated
//! orders, however large the groups, and a node in several groups obeys them all by itself. petgraph
//! is used here and in `cycles`, and nowhere else. Where not all of a group are waited for there is a third
//! vertex, see [`Gate`].
//!
//! Invariant: the order is a function of content; the same groups and edges in any order of
//! statement give the same waves (`shuffled_statements_give_the_same_waves`).

mod cycles;
mod enough;
mod scc;

use crate::drivers::NodeId;
use crate::threshold::Threshold;
pub use enough::{Choice, Counted, Footing, Gate, Lack};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// A group, by its place among the groups of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A vertex of the order, by number; [`Order::what`] says what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vertex(u32);

impl Vertex {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a vertex stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VertexKind {
    Node(NodeId),
    Begin(GroupId),
    End(GroupId),
}

/// The order of nodes. About 50 bytes a node in one group.
#[derive(Debug, Clone)]
pub struct Order {
    graph: DiGraph<(), (), u32>,
    nodes: u32,
    groups: u32,
    gates: Vec<Gate>,
    /// By threshold: how many members are left out of it and counted in its percentage all the same.
    excused: HashMap<Vertex, usize>,
    is_mirrored: bool,
}

impl Order {
    /// Returns the order of nodes of which none comes before another.
    pub fn unordered(nodes: &[NodeId]) -> Self {
        let count = nodes.iter().map(|node| node.index() + 1).max().unwrap_or(0);
        Self::new(count, &[], &[])
    }

    /// Returns the order of `nodes` nodes under these groups and edges (`(a, b)`: all of `a` before
    /// all of `b`). Cycles are allowed here and found by [`Order::cycles`].
    ///
    /// # Panics
    /// When a member or an edge names a node or group that is not there.
    pub fn new(nodes: usize, groups: &[Vec<NodeId>], edges: &[(GroupId, GroupId)]) -> Self {
        let edges = edges.iter().map(|&(before, after)| (before, after, None));
        Self::of(nodes, groups.len(), |group| groups[group.index()].iter().copied(), edges)
    }

    /// Returns the same as [`Order::new`] from groups that are kept in another form; `members` returns
    /// those of one group. An edge may say how many of the group before are enough.
    ///
    /// # Panics
    /// When a member or an edge names a node or group that is not there.
    pub fn of<M: Iterator<Item = NodeId>>(
        nodes: usize,
        groups: usize,
        members: impl Fn(GroupId) -> M,
        edges: impl ExactSizeIterator<Item = (GroupId, GroupId, Option<Threshold>)>,
    ) -> Self {
        let count = u32::try_from(nodes + 2 * groups).expect("an order has less than 2^32 vertices");
        let groups = u32::try_from(groups).unwrap_or(0);
        let nodes = count - 2 * groups;
        // Counted first: growing by doubling would cost half the memory again.
        let memberships: usize = (0..groups).map(|group| members(GroupId(group)).count()).sum();
        let capacity = 2 * memberships + groups as usize + edges.len();
        let graph = DiGraph::with_capacity(count as usize, capacity);
        let mut order =
            Self { graph, nodes, groups, gates: Vec::new(), excused: HashMap::new(), is_mirrored: false };
        for _ in 0..count {
            order.graph.add_node(());
        }
        for group in (0..groups).map(GroupId) {
            let (begin, end) = (order.vertex(VertexKind::Begin(group)), order.vertex(VertexKind::End(group)));
            order.add(begin, end);
            for node in members(group) {
                assert!(node.0 < nodes, "members are nodes of the inventory");
                order.add(begin, order.vertex(VertexKind::Node(node)));
                order.add(order.vertex(VertexKind::Node(node)), end);
            }
        }
        let mut known = HashMap::new();
        for (before, after, threshold) in edges {
            let from = match threshold {
                None => order.vertex(VertexKind::End(before)),
                Some(threshold) => {
                    let gate = Gate { group: before, threshold };
                    *known.entry(gate).or_insert_with(|| order.add_gate(gate, members(before)))
                }
            };
            order.add(from, order.vertex(VertexKind::Begin(after)));
        }
        order
    }

    fn add_gate(&mut self, gate: Gate, members: impl Iterator<Item = NodeId>) -> Vertex {
        let vertex = Vertex(u32::try_from(self.graph.add_node(()).index()).unwrap_or(u32::MAX));
        self.gates.push(gate);
        // One that is named twice is one all the same.
        let members: BTreeSet<NodeId> = members.collect();
        if members.is_empty() {
            self.add(self.vertex(VertexKind::Begin(gate.group)), vertex);
        }
        for node in members {
            self.add(self.vertex(VertexKind::Node(node)), vertex);
        }
        vertex
    }

    fn add(&mut self, from: Vertex, to: Vertex) {
        self.graph.add_edge(NodeIndex::new(from.index()), NodeIndex::new(to.index()), ());
    }

    /// Puts one node before another, beside what the groups say.
    pub fn put_before(&mut self, before: NodeId, after: NodeId) {
        self.add(self.vertex(VertexKind::Node(before)), self.vertex(VertexKind::Node(after)));
    }

    /// Returns how many nodes are ordered.
    pub fn node_count(&self) -> usize {
        self.nodes as usize
    }

    /// Returns the order read backwards: what came first comes last. Thresholds are of the order as it was made:
    /// backwards, all are waited for.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        self.graph.reverse();
        self.is_mirrored = !self.is_mirrored;
        self
    }

    /// Returns the vertex of something.
    pub fn vertex(&self, what: VertexKind) -> Vertex {
        match what {
            VertexKind::Node(node) => Vertex(node.0),
            VertexKind::Begin(group) => Vertex(self.nodes + 2 * group.0),
            VertexKind::End(group) => Vertex(self.nodes + 2 * group.0 + 1),
        }
    }

    /// Returns what a vertex stands for. In a mirrored order beginnings come after ends. A threshold is an end of its
    /// group as well.
    pub fn what(&self, vertex: Vertex) -> VertexKind {
        if let Some(gate) = self.gate_number(vertex) {
            return VertexKind::End(self.gates[gate].group);
        }
        let Some(group) = vertex.0.checked_sub(self.nodes) else { return VertexKind::Node(NodeId(vertex.0)) };
        if group % 2 == 0 {
            VertexKind::Begin(GroupId(group / 2))
        } else {
            VertexKind::End(GroupId(group / 2))
        }
    }

    /// Returns how many vertices there are.
    pub(crate) fn vertex_count(&self) -> usize {
        self.graph.node_count()
    }

    pub(crate) fn vertices(&self) -> impl Iterator<Item = Vertex> + use<> {
        (0..u32::try_from(self.vertex_count()).unwrap_or(u32::MAX)).map(Vertex)
    }

    /// Returns the vertices that wait for this one directly.
    pub fn trailing(&self, vertex: Vertex) -> impl Iterator<Item = Vertex> + '_ {
        self.neighbours(vertex, Direction::Outgoing)
    }

    /// Returns the vertices that this one waits for directly.
    pub fn leading(&self, vertex: Vertex) -> impl Iterator<Item = Vertex> + '_ {
        self.neighbours(vertex, Direction::Incoming)
    }

    fn neighbours(&self, vertex: Vertex, direction: Direction) -> impl Iterator<Item = Vertex> + '_ {
        self.graph
            .neighbors_directed(NodeIndex::new(vertex.index()), direction)
            .map(|index| Vertex(u32::try_from(index.index()).unwrap_or(u32::MAX)))
    }

    /// Returns all nodes that come before any of `from`, at any distance, sorted; `from` itself only
    /// where it stands before another of `from`.
    pub fn all_leading(&self, from: &[NodeId]) -> Vec<NodeId> {
        self.reach(from, Direction::Incoming)
    }

    /// Returns all nodes that come after any of `from`, at any distance, sorted.
    pub fn all_trailing(&self, from: &[NodeId]) -> Vec<NodeId> {
        self.reach(from, Direction::Outgoing)
    }

    /// Returns those of [`Order::all_leading`] and [`Order::all_trailing`] that lead or trail whoever else comes up:
    /// not by way of a threshold.
    pub fn all_bound(&self, node: NodeId) -> Vec<NodeId> {
        let mut bound = self.reach_past(&[node], Direction::Incoming, |vertex| self.gate(vertex).is_some());
        bound.extend(self.reach_past(&[node], Direction::Outgoing, |vertex| self.gate(vertex).is_some()));
        bound.sort_unstable();
        bound
    }

    fn reach(&self, from: &[NodeId], direction: Direction) -> Vec<NodeId> {
        self.reach_past(from, direction, |_| false)
    }

    fn reach_past(
        &self,
        from: &[NodeId],
        direction: Direction,
        stops: impl Fn(Vertex) -> bool,
    ) -> Vec<NodeId> {
        let mut seen = vec![false; self.vertex_count()];
        let mut queue: VecDeque<Vertex> = from.iter().map(|node| Vertex(node.0)).collect();
        while let Some(vertex) = queue.pop_front() {
            for next in self.neighbours(vertex, direction) {
                if !seen[next.index()] && !stops(next) {
                    seen[next.index()] = true;
                    queue.push_back(next);
                }
            }
        }
        (0..self.nodes).filter(|&node| seen[node as usize]).map(NodeId).collect()
    }

    /// Returns the vertices in an order in which each comes after what it waits for, or nothing when
    /// there is a cycle.
    pub fn sorted(&self) -> Option<Vec<Vertex>> {
        // Kahn's way: petgraph's toposort walks the graph twice, which was a third of a large plan.
        let mut waits_for = vec![0u32; self.vertex_count()];
        for edge in self.graph.raw_edges() {
            waits_for[edge.target().index()] += 1;
        }
        let mut sorted: Vec<Vertex> = Vec::with_capacity(self.vertex_count());
        sorted.extend(self.vertices().filter(|vertex| waits_for[vertex.index()] == 0));
        let mut next = 0;
        while let Some(&vertex) = sorted.get(next) {
            next += 1;
            for after in self.trailing(vertex) {
                let waits = &mut waits_for[after.index()];
                *waits -= 1;
                if *waits == 0 {
                    sorted.push(after);
                }
            }
        }
        (sorted.len() == self.vertex_count()).then_some(sorted)
    }

    /// Returns the nodes by wave: what would run when if all took equally long; each wave sorted.
    /// Empty when there is a cycle.
    pub fn waves(&self) -> Vec<Vec<NodeId>> {
        self.waves_of(|_| true)
    }

    /// Returns the same of those nodes alone that `runs` says; the others take no time, and what is
    /// before and after them stays so.
    pub fn waves_of(&self, runs: impl Fn(NodeId) -> bool) -> Vec<Vec<NodeId>> {
        let Some(sorted) = self.sorted() else { return Vec::new() };
        let mut level = vec![0u32; self.vertex_count()];
        let mut waves: Vec<Vec<NodeId>> = Vec::new();
        for vertex in sorted {
            let mut after = self.gate(vertex).map_or(level[vertex.index()], |_| {
                let mut over: Vec<u32> =
                    self.members_of(vertex).map(|node| level[node.index()] + u32::from(runs(node))).collect();
                over.sort_unstable();
                let last = self.needed_of(vertex).checked_sub(1);
                last.and_then(|at| over.get(at).copied()).unwrap_or(level[vertex.index()])
            });
            if let VertexKind::Node(node) = self.what(vertex) {
                if runs(node) {
                    if waves.len() <= after as usize {
                        waves.resize_with(after as usize + 1, Vec::new);
                    }
                    waves[after as usize].push(node);
                    after += 1;
                }
            }
            for next in self.trailing(vertex) {
                level[next.index()] = level[next.index()].max(after);
            }
        }
        for wave in &mut waves {
            wave.sort_unstable();
        }
        waves
    }

    /// Returns for each node the length of the longest path from its beginning to the end of the
    /// run, given how long each node takes; in any unit. All of a group are waited for, whatever its threshold. Empty
    /// when there is a cycle.
    pub fn critical(&self, takes: &[u64]) -> Vec<u64> {
        self.rest(takes, |_, _| true)
    }

    /// Returns the same where those that wait for so many of a group go on when so many are over. `counts` tells who is
    /// among these: a node that is acted on, or up already.
    pub fn critical_counting(&self, takes: &[u64], counts: impl Fn(NodeId) -> bool) -> Vec<u64> {
        let opening = self.opening(takes, counts);
        self.rest(takes, |member, next| opening.get(&next).is_none_or(|open| open.contains(&member)))
    }

    fn rest(&self, takes: &[u64], waits: impl Fn(Vertex, Vertex) -> bool) -> Vec<u64> {
        let Some(sorted) = self.sorted() else { return Vec::new() };
        let mut rest = vec![0u64; self.vertex_count()];
        for &vertex in sorted.iter().rev() {
            let trailing = self.trailing(vertex).filter(|next| waits(vertex, *next));
            let after = trailing.map(|next| rest[next.index()]).max().unwrap_or(0);
            rest[vertex.index()] = match self.what(vertex) {
                VertexKind::Node(node) => after + takes[node.index()],
                VertexKind::Begin(_) | VertexKind::End(_) => after,
            };
        }
        rest.truncate(self.node_count());
        rest
    }

    /// Returns a shortest way from one vertex to another, both included.
    pub fn path(&self, from: Vertex, to: Vertex) -> Option<Vec<Vertex>> {
        let mut came_from: Vec<Option<Vertex>> = vec![None; self.vertex_count()];
        let mut queue = VecDeque::from([from]);
        while let Some(vertex) = queue.pop_front() {
            let mut nexts: Vec<Vertex> = self.trailing(vertex).collect();
            nexts.sort_unstable();
            for next in nexts {
                if came_from[next.index()].is_some() || next == from {
                    continue;
                }
                came_from[next.index()] = Some(vertex);
                if next == to {
                    let mut path = vec![to];
                    while let Some(before) = path.last().and_then(|at| came_from[at.index()]) {
                        path.push(before);
                    }
                    path.reverse();
                    return Some(path);
                }
                queue.push_back(next);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn ids(numbers: &[u32]) -> Vec<NodeId> {
        numbers.iter().copied().map(NodeId).collect()
    }

    pub(super) fn edge(a: u32, b: u32) -> (GroupId, GroupId) {
        (GroupId(a), GroupId(b))
    }

    #[test]
    fn waves_follow_groups_and_free_nodes_come_at_once() {
        let order = Order::new(5, &[ids(&[0]), ids(&[1, 2]), ids(&[3])], &[edge(0, 1), edge(1, 2)]);
        assert_eq!(order.waves(), [ids(&[0, 4]), ids(&[1, 2]), ids(&[3])]);
        assert_eq!(order.mirrored().waves(), [ids(&[3, 4]), ids(&[1, 2]), ids(&[0])]);
    }

    #[test]
    fn nodes_that_do_not_run_take_no_wave() {
        let order = Order::new(4, &[ids(&[0]), ids(&[1]), ids(&[2])], &[edge(0, 1), edge(1, 2)]);
        assert_eq!(order.waves_of(|node| node != NodeId(1)), [ids(&[0, 3]), ids(&[2])]);
        assert_eq!(order.waves_of(|node| node == NodeId(2)), [ids(&[2])]);
        assert!(order.waves_of(|_| false).is_empty());
    }

    #[test]
    fn an_empty_group_still_passes_the_order_on() {
        let order = Order::new(2, &[ids(&[0]), ids(&[]), ids(&[1])], &[edge(0, 1), edge(1, 2)]);
        assert_eq!(order.waves(), [ids(&[0]), ids(&[1])]);
    }

    #[test]
    fn a_node_before_itself_through_its_groups_is_a_cycle() {
        let order = Order::new(1, &[ids(&[0]), ids(&[0])], &[edge(0, 1)]);
        assert_eq!(order.cycles().len(), 1);
        assert!(order.waves().is_empty());
    }

    #[test]
    fn a_deep_chain_overflows_no_stack() {
        let count = 200_000;
        let groups: Vec<Vec<NodeId>> = (0..count).map(|n| ids(&[n])).collect();
        let mut edges: Vec<_> = (1..count).map(|n| edge(n - 1, n)).collect();
        assert_eq!(Order::new(count as usize, &groups, &edges).waves().len(), count as usize);
        edges.push(edge(count - 1, 0));
        let order = Order::new(count as usize, &groups, &edges);
        assert!(order.sorted().is_none());
        // Trying every group of a large component took minutes.
        assert_eq!(order.cycles().len(), 1);
    }

    proptest! {
        #[test]
        fn shuffled_statements_give_the_same_waves(
            memberships in prop::collection::vec(prop::collection::vec(0u32..20, 0..5), 1..8),
            stated in prop::collection::vec((0u32..8, 0u32..8), 0..12),
        ) {
            let groups: Vec<Vec<NodeId>> = memberships.iter().map(|m| ids(m)).collect();
            let count = groups.len() as u32;
            let edges: Vec<_> = stated.iter().filter(|(a, b)| a < b && *b < count).map(|&(a, b)| edge(a, b)).collect();
            let mut turned_groups = groups.clone();
            turned_groups.iter_mut().for_each(|members| members.reverse());
            let turned: Vec<_> = edges.iter().rev().copied().collect();
            prop_assert_eq!(Order::new(20, &groups, &edges).waves(), Order::new(20, &turned_groups, &turned).waves());
        }
    }
}
