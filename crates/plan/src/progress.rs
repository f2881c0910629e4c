//! Where a run stands and what may start next: count-down over the order, longest path first.
//!
//! Waiting is per dependency and never a global barrier: a node may start as soon as everything it
//! waits for is complete, whatever unrelated nodes do. Nodes that are not targets are passed through
//! at once, so that the order between targets holds across them.
//!
//! Where so many of a group are enough ([`Gate`]), a node that is no target counts among them if it is up; where none
//! of the group is a target or up, all are passed through as elsewhere.
//!
//! Invariant: a node is handed out only when all targets before it are complete or let go
//! (`no_node_is_handed_out_before_its_leading_nodes`).

mod waits;

use crate::drivers::NodeId;
use crate::graph::{Gate, Order, Vertex, VertexKind};
use crate::threshold::Threshold;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

/// Where a node stands in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not a target.
    Outside,
    /// Waits for others.
    Waiting,
    /// May start.
    Ready,
    /// Handed out and not over.
    Begun,
    /// Over, well.
    Complete,
    /// Over, not well.
    Failed,
    /// Will not be started, because this node failed; the first to, where several did
    /// ([`Progress::obstacles`]).
    Held(NodeId),
}

/// A group of which too few came up for those that wait for so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    pub gate: Gate,
    /// How many are up, among targets and others.
    pub up: usize,
    /// How many are up or will be; after a run, as many as are up.
    pub counted: usize,
    /// How many would have been enough.
    pub needed: usize,
    /// How many there are.
    pub members: usize,
}

/// How a threshold of a group is counted.
#[derive(Debug)]
struct Tally {
    threshold: Threshold,
    /// Which members count, sorted.
    counts: Vec<NodeId>,
    /// How many of them may still fail.
    spare: usize,
    /// Nobody of the group is a target or up: those that wait for it go on as after any group of others.
    is_passed_through: bool,
}

/// The count-down of one run.
#[derive(Debug)]
pub struct Progress<'o> {
    order: &'o Order,
    standing: Vec<Standing>,
    /// For each vertex, how many vertices it still waits for.
    pending: Vec<u32>,
    /// For each vertex, whether what waits for it was told already.
    passed: Vec<bool>,
    /// For each vertex, whether a failure before it holds it.
    broken: Vec<bool>,
    tallies: HashMap<Vertex, Tally>,
    /// Members, and thresholds that count them although they are held.
    counted: HashSet<(Vertex, Vertex)>,
    priority: Vec<u64>,
    ready: BinaryHeap<(u64, Reverse<NodeId>)>,
}

impl Tally {
    fn counts(&self, member: Vertex, order: &Order) -> bool {
        match order.what(member) {
            VertexKind::Node(node) => self.counts.binary_search(&node).is_ok(),
            VertexKind::Begin(_) | VertexKind::End(_) => true,
        }
    }
}

impl<'o> Progress<'o> {
    /// Returns the beginning of a run over `targets`. `priority` has a number for each node (the
    /// rest of its critical path, see [`Order::critical`]); of those ready, larger ones go first.
    pub fn new(order: &'o Order, targets: &[NodeId], priority: Vec<u64>) -> Self {
        Self::among(order, targets, |_| false, priority)
    }

    /// Returns the same where some nodes that are no targets are up already (`is_up`).
    pub fn among(
        order: &'o Order,
        targets: &[NodeId],
        is_up: impl Fn(NodeId) -> bool,
        priority: Vec<u64>,
    ) -> Self {
        let count = order.vertex_count();
        let mut pending = vec![0u32; count];
        for vertex in order.vertices() {
            for next in order.trailing(vertex) {
                pending[next.index()] += 1;
            }
        }
        let mut standing = vec![Standing::Outside; order.node_count()];
        for target in targets {
            standing[target.index()] = Standing::Waiting;
        }
        let mut progress = Self {
            order,
            standing,
            pending,
            passed: vec![false; count],
            broken: vec![false; count],
            tallies: HashMap::new(),
            counted: HashSet::new(),
            priority,
            ready: BinaryHeap::new(),
        };
        for (vertex, gate) in order.gates() {
            progress.count(vertex, gate, &is_up);
        }
        let free: Vec<Vertex> =
            order.vertices().filter(|vertex| progress.pending[vertex.index()] == 0).collect();
        progress.reach(free);
        progress
    }

    /// Says how many a threshold waits for, and which members are among them.
    fn count(&mut self, vertex: Vertex, gate: Gate, is_up: &impl Fn(NodeId) -> bool) {
        let mut members: Vec<NodeId> = self.order.members_of(vertex).collect();
        if members.is_empty() {
            return;
        }
        members.sort_unstable();
        let all = members.len();
        let is_counted = |node: &NodeId| self.standing[node.index()] != Standing::Outside || is_up(*node);
        let counts: Vec<NodeId> = members.iter().copied().filter(is_counted).collect();
        let is_passed_through = counts.is_empty();
        let is_all = gate.threshold == Threshold::Ended || is_passed_through;
        let counts = if is_all { members } else { counts };
        let needed = if is_all { all } else { self.order.needed_of(vertex).min(counts.len()) };
        self.pending[vertex.index()] = u32::try_from(needed).unwrap_or(u32::MAX);
        let spare = counts.len() - needed;
        self.tallies.insert(vertex, Tally { threshold: gate.threshold, counts, spare, is_passed_through });
    }

    /// Returns where a node stands.
    pub fn standing(&self, node: NodeId) -> Standing {
        self.standing[node.index()]
    }

    /// Returns the next node that may start and counts it as begun.
    pub fn take(&mut self) -> Option<NodeId> {
        while let Some((_, Reverse(node))) = self.ready.pop() {
            if self.standing[node.index()] == Standing::Ready {
                self.standing[node.index()] = Standing::Begun;
                return Some(node);
            }
        }
        None
    }

    /// Puts a node that was taken back among those that may start.
    pub fn put_back(&mut self, node: NodeId) {
        if self.standing[node.index()] == Standing::Begun {
            self.standing[node.index()] = Standing::Ready;
            self.ready.push((self.priority_of(node), Reverse(node)));
        }
    }

    /// Tells whether some node may start now.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Counts a node as complete; those that waited for it alone may start.
    pub fn complete(&mut self, node: NodeId) {
        self.standing[node.index()] = Standing::Complete;
        self.let_go(node);
    }

    /// Lets those that wait for `node` go on although it is not over (`-W`).
    pub fn let_go(&mut self, node: NodeId) {
        let vertex = self.order.vertex(VertexKind::Node(node));
        // A node never begun (left alone because it is up already) may still wait for others.
        self.pass(vertex);
    }

    /// Counts a node as failed; those that wait for it, at any distance, are held and returned. Where
    /// it was let go before, those that went on are not called back.
    pub fn fail(&mut self, node: NodeId) -> Vec<NodeId> {
        self.fail_among(node, |_| false)
    }

    /// Returns the same where some targets that are held are up all the same (`is_up`): a threshold of their group
    /// counts them.
    pub fn fail_among(&mut self, node: NodeId, is_up: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        self.standing[node.index()] = Standing::Failed;
        let vertex = self.order.vertex(VertexKind::Node(node));
        let mut all_held = Vec::new();
        if self.passed[vertex.index()] {
            return all_held;
        }
        let (mut stack, mut reached) = (vec![vertex], Vec::new());
        self.broken[vertex.index()] = true;
        while let Some(vertex) = stack.pop() {
            for next in self.order.trailing(vertex) {
                if self.broken[next.index()] || self.passed[next.index()] {
                    continue;
                }
                let stands = if self.is_up_though_held(vertex, next, &is_up) {
                    self.count_down(vertex, next, &mut reached);
                    self.counted.insert((vertex, next));
                    true
                } else {
                    self.stands_without(vertex, next, &mut reached)
                };
                if stands {
                    continue;
                }
                self.broken[next.index()] = true;
                if let VertexKind::Node(held) = self.order.what(next) {
                    if self.standing[held.index()] == Standing::Waiting {
                        self.standing[held.index()] = Standing::Held(node);
                        all_held.push(held);
                    }
                }
                stack.push(next);
            }
        }
        self.reach(reached);
        all_held
    }

    /// Tells whether `next` is a threshold of which a member that is held counts: it is up, and was so before.
    fn is_up_though_held(&self, member: Vertex, next: Vertex, is_up: &impl Fn(NodeId) -> bool) -> bool {
        let (Some(tally), VertexKind::Node(node)) = (self.tallies.get(&next), self.order.what(member)) else {
            return false;
        };
        match self.standing[node.index()] {
            Standing::Outside => !tally.is_passed_through,
            Standing::Held(_) => is_up(node),
            Standing::Waiting | Standing::Ready | Standing::Begun | Standing::Complete | Standing::Failed => {
                false
            }
        }
    }

    /// Tells whether `next` is a threshold that can still be reached although a member of its group ended unwell. One
    /// that waits for nothing else is `reached`.
    fn stands_without(&mut self, member: Vertex, next: Vertex, reached: &mut Vec<Vertex>) -> bool {
        let Some(tally) = self.tallies.get_mut(&next) else { return false };
        if tally.threshold == Threshold::Ended {
            self.count_down(member, next, reached);
            return true;
        }
        if !tally.counts(member, self.order) {
            return true;
        }
        let stands = tally.spare > 0;
        tally.spare = tally.spare.saturating_sub(1);
        stands
    }

    /// Returns, by node, all failed nodes that hold it, sorted; none for one that is not held. Those held alike
    /// share a list.
    pub fn obstacles(&self) -> Vec<Arc<[NodeId]>> {
        let none: Arc<[NodeId]> = Arc::from([]);
        let mut known: HashSet<Arc<[NodeId]>> = HashSet::from([none.clone()]);
        let mut of_vertex = vec![none.clone(); self.order.vertex_count()];
        let mut of_node = vec![none.clone(); self.standing.len()];
        for vertex in self.order.sorted().unwrap_or_default() {
            let what = self.order.what(vertex);
            if let VertexKind::Node(node) = what {
                match self.standing[node.index()] {
                    Standing::Held(_) => of_node[node.index()] = of_vertex[vertex.index()].clone(),
                    Standing::Failed => of_vertex[vertex.index()] = Arc::from([node]),
                    Standing::Outside
                    | Standing::Waiting
                    | Standing::Ready
                    | Standing::Begun
                    | Standing::Complete => {}
                }
            }
            let own = of_vertex[vertex.index()].clone();
            if own.is_empty() || self.passed[vertex.index()] {
                continue;
            }
            for next in self.order.trailing(vertex) {
                let is_reached = self.tallies.contains_key(&next) && !self.broken[next.index()];
                if is_reached || self.counted.contains(&(vertex, next)) {
                    continue;
                }
                let before = &of_vertex[next.index()];
                if before.is_empty() {
                    of_vertex[next.index()] = own.clone();
                } else if **before != *own {
                    let union: BTreeSet<NodeId> = before.iter().chain(own.iter()).copied().collect();
                    let union: Arc<[NodeId]> = union.into_iter().collect();
                    let union = known.get(&union).cloned().unwrap_or(union);
                    known.insert(union.clone());
                    of_vertex[next.index()] = union;
                }
            }
        }
        of_node
    }

    /// Returns the groups of which too few can come up, in the order in which thresholds are stated.
    /// `is_up` tells of targets that were held and are up all the same.
    pub fn shortages(&self, is_up_all_the_same: impl Fn(NodeId) -> bool) -> Vec<Shortage> {
        let short = self.order.gates().filter(|(vertex, _)| self.broken[vertex.index()]);
        let shortage = |(vertex, gate): (Vertex, Gate)| {
            let counted = self.tallies.get(&vertex).map_or(&[][..], |tally| &tally.counts);
            let is_up = |node: &&NodeId| {
                self.passed[self.order.vertex(VertexKind::Node(**node)).index()] || is_up_all_the_same(**node)
            };
            let members = self.order.members_of(vertex).count();
            let up = counted.iter().filter(is_up).count();
            Shortage { gate, up, counted: up, needed: self.order.needed_of(vertex), members }
        };
        short.map(shortage).filter(|shortage| shortage.up < shortage.needed).collect()
    }

    /// Tells whether nothing is begun or may start: what still waits then waits for ever.
    pub fn is_over(&self) -> bool {
        !self.standing.iter().any(|standing| matches!(standing, Standing::Ready | Standing::Begun))
    }

    fn priority_of(&self, node: NodeId) -> u64 {
        self.priority.get(node.index()).copied().unwrap_or(0)
    }

    fn pass(&mut self, vertex: Vertex) {
        let mut reached = Vec::new();
        self.pass_to(vertex, &mut reached);
        self.reach(reached);
    }

    /// Tells those that wait for a vertex, once; those that wait for nothing else are `reached`.
    fn pass_to(&mut self, vertex: Vertex, reached: &mut Vec<Vertex>) {
        if std::mem::replace(&mut self.passed[vertex.index()], true) {
            return;
        }
        for next in self.order.trailing(vertex) {
            self.count_down(vertex, next, reached);
        }
    }

    /// Counts one that `next` waited for.
    fn count_down(&mut self, vertex: Vertex, next: Vertex, reached: &mut Vec<Vertex>) {
        if let Some(tally) = self.tallies.get(&next) {
            if self.pending[next.index()] == 0 || !tally.counts(vertex, self.order) {
                return;
            }
        }
        self.pending[next.index()] -= 1;
        if self.pending[next.index()] == 0 {
            reached.push(next);
        }
    }

    /// Goes through vertices that wait for nothing any more; a stack of its own, because a chain may
    /// be as long as the cluster is large.
    fn reach(&mut self, mut reached: Vec<Vertex>) {
        while let Some(vertex) = reached.pop() {
            if let VertexKind::Node(node) = self.order.what(vertex) {
                match self.standing[node.index()] {
                    Standing::Waiting => {
                        self.standing[node.index()] = Standing::Ready;
                        self.ready.push((self.priority_of(node), Reverse(node)));
                        continue;
                    }
                    Standing::Outside | Standing::Complete => {}
                    Standing::Ready | Standing::Begun | Standing::Failed | Standing::Held(_) => continue,
                }
            }
            self.pass_to(vertex, &mut reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GroupId;
    use proptest::prelude::*;

    fn chain() -> Order {
        let groups: Vec<Vec<NodeId>> = (0..3).map(|n| vec![NodeId(n)]).collect();
        Order::new(4, &groups, &[(GroupId(0), GroupId(1)), (GroupId(1), GroupId(2))])
    }

    fn all(count: u32) -> Vec<NodeId> {
        (0..count).map(NodeId).collect()
    }

    fn taken(progress: &mut Progress<'_>) -> Vec<u32> {
        std::iter::from_fn(|| progress.take()).map(|node| node.0).collect()
    }

    #[test]
    fn the_order_holds_across_nodes_that_are_no_targets() {
        let order = chain();
        let mut progress = Progress::new(&order, &[NodeId(0), NodeId(2)], Vec::new());
        assert_eq!(taken(&mut progress), [0]);
        progress.complete(NodeId(0));
        assert_eq!(taken(&mut progress), [2]);
    }

    #[test]
    fn what_follows_a_failure_is_held_and_the_rest_goes_on() {
        let order = chain();
        let mut progress = Progress::new(&order, &all(4), Vec::new());
        assert_eq!(taken(&mut progress), [0, 3]);
        progress.fail(NodeId(0));
        progress.complete(NodeId(3));
        assert!(progress.is_over());
        assert_eq!(progress.standing(NodeId(2)), Standing::Held(NodeId(0)));
    }

    #[test]
    fn a_leader_let_go_that_fails_later_calls_nobody_back() {
        let order = chain();
        let mut progress = Progress::new(&order, &all(3), Vec::new());
        taken(&mut progress);
        progress.let_go(NodeId(0));
        progress.fail(NodeId(0));
        assert_eq!(taken(&mut progress), [1]);
    }

    #[test]
    fn a_node_that_is_no_target_and_up_counts_though_what_leads_it_failed() {
        // n0 leads n1; n2 waits for one of the group of n1.
        let groups = [vec![NodeId(0)], vec![NodeId(1)], vec![NodeId(2)]];
        let edges = [(GroupId(0), GroupId(1), None), (GroupId(1), GroupId(2), Some(Threshold::Count(1)))];
        let order = Order::of(3, 3, |group| groups[group.index()].iter().copied(), edges.into_iter());
        let targets = [NodeId(0), NodeId(2)];
        for (is_up, standing) in [(true, Standing::Begun), (false, Standing::Held(NodeId(0)))] {
            let mut progress = Progress::among(&order, &targets, |node| is_up && node.0 == 1, Vec::new());
            assert_eq!(taken(&mut progress), [0]);
            progress.fail(NodeId(0));
            taken(&mut progress);
            assert_eq!(progress.standing(NodeId(2)), standing, "where n1 is up: {is_up}");
        }
    }

    #[test]
    fn the_longest_path_goes_first() {
        let order = Order::new(3, &[], &[]);
        let mut progress = Progress::new(&order, &all(3), vec![1, 9, 4]);
        assert_eq!(taken(&mut progress), [1, 2, 0]);
    }

    proptest! {
        // One order in nine is a cycle: the 10,000 of `make soak` reject more than the usual 1,024.
        #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

        #[test]
        fn no_node_is_handed_out_before_its_leading_nodes(
            memberships in prop::collection::vec(prop::collection::vec(0u32..16, 0..5), 1..8),
            stated in prop::collection::vec((0u32..8, 0u32..8), 0..12),
            targets in prop::collection::btree_set(0u32..16, 1..16),
            fails in prop::collection::btree_set(0u32..16, 0..3),
        ) {
            let groups: Vec<Vec<NodeId>> = memberships.iter().map(|m| m.iter().copied().map(NodeId).collect()).collect();
            let count = groups.len() as u32;
            let edges: Vec<_> = stated.iter().filter(|(a, b)| a < b && *b < count)
                .map(|&(a, b)| (GroupId(a), GroupId(b))).collect();
            let order = Order::new(16, &groups, &edges);
            prop_assume!(order.sorted().is_some());
            let targets: Vec<NodeId> = targets.into_iter().map(NodeId).collect();
            let mut progress = Progress::new(&order, &targets, Vec::new());
            let mut done = Vec::new();
            while let Some(node) = progress.take() {
                for leader in order.all_leading(&[node]) {
                    prop_assert!(!targets.contains(&leader) || done.contains(&leader), "{node:?} before {leader:?}");
                }
                if fails.contains(&node.0) { progress.fail(node); } else { progress.complete(node); done.push(node); }
            }
            prop_assert!(progress.is_over());
            for &target in &targets {
                prop_assert!(matches!(progress.standing(target), Standing::Complete | Standing::Failed | Standing::Held(_)));
            }
        }
    }
}
