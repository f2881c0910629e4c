//! Who waits for whom amid a run, for people who ask.

use super::{Progress, Standing};
use crate::drivers::NodeId;
use crate::graph::{Vertex, VertexKind};
use crate::notice::Hindered;
use std::collections::{BTreeSet, HashMap};

impl Progress<'_> {
    /// Returns the nodes whose turn has not come, those together that wait for the same nodes, which are those directly
    /// before them that are not over. Where that would be more than `most`, the largest of them.
    pub fn waits(&self, most: usize) -> Vec<Hindered> {
        let mut alike: HashMap<Vec<usize>, Vec<NodeId>> = HashMap::new();
        let mut lists = VertexLists::default();
        for node in (0..).map(NodeId).take(self.standing.len()) {
            if self.standing(node) == Standing::Waiting {
                let vertex = self.order.vertex(VertexKind::Node(node));
                let mut key: Vec<usize> =
                    self.unpassed(vertex).map(|before| lists.of(before, self)).collect();
                key.sort_unstable();
                key.dedup();
                alike.entry(key).or_default().push(node);
            }
        }
        let mut alike: Vec<(Vec<usize>, Vec<NodeId>)> = alike.into_iter().collect();
        alike.sort_unstable_by_key(|(_, nodes)| (std::cmp::Reverse(nodes.len()), nodes[0]));
        alike.truncate(most);
        let hindered = |(key, nodes): (Vec<usize>, Vec<NodeId>)| {
            let before = key.iter().flat_map(|&list| lists.lists[list].iter().copied()).collect();
            Hindered { nodes, by: self.unfinished(before) }
        };
        alike.into_iter().map(hindered).collect()
    }

    /// Returns the nodes that are directly before one whose turn has not come, and not over.
    pub fn waited_for_by(&self, node: NodeId) -> Vec<NodeId> {
        let mut lists = VertexLists::default();
        let vertex = self.order.vertex(VertexKind::Node(node));
        let numbers: Vec<usize> = self.unpassed(vertex).map(|before| lists.of(before, self)).collect();
        self.unfinished(numbers.into_iter().flat_map(|list| lists.lists[list].iter().copied()).collect())
    }

    fn unpassed(&self, vertex: Vertex) -> impl Iterator<Item = Vertex> + '_ {
        self.order.leading(vertex).filter(|before| !self.passed[before.index()])
    }

    /// Returns the targets that are not over and stand among these vertices, or before one that is not itself a target.
    fn unfinished(&self, mut stack: Vec<Vertex>) -> Vec<NodeId> {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut found = BTreeSet::new();
        while let Some(vertex) = stack.pop() {
            if !seen.insert(vertex.index()) {
                continue;
            }
            match self.order.what(vertex) {
                VertexKind::Node(node) if self.standing(node) != Standing::Outside => {
                    if !matches!(self.standing(node), Standing::Failed | Standing::Held(_)) {
                        found.insert(node);
                    }
                }
                VertexKind::Node(_) => stack.extend(self.unpassed(vertex)),
                // The end of a group waits for its beginning too, and so for whom its members wait for: they are nearer.
                VertexKind::Begin(_) | VertexKind::End(_) => {
                    let is_node = |before: &Vertex| matches!(self.order.what(*before), VertexKind::Node(_));
                    let from = stack.len();
                    stack.extend(self.unpassed(vertex).filter(is_node));
                    if stack.len() == from {
                        stack.extend(self.unpassed(vertex));
                    }
                }
            }
        }
        found.into_iter().collect()
    }
}

/// Lists of vertices, each kept once: that of the beginning of a group is what is before it, so that groups that wait for
/// the same have the same.
#[derive(Default)]
struct VertexLists {
    lists: Vec<Vec<Vertex>>,
    numbers: HashMap<Vec<Vertex>, usize>,
    of_vertex: HashMap<Vertex, usize>,
}

impl VertexLists {
    fn of(&mut self, vertex: Vertex, progress: &Progress<'_>) -> usize {
        if let Some(&number) = self.of_vertex.get(&vertex) {
            return number;
        }
        let mut list: Vec<Vertex> = match progress.order.what(vertex) {
            VertexKind::Node(_) => vec![vertex],
            VertexKind::Begin(_) | VertexKind::End(_) => progress.unpassed(vertex).collect(),
        };
        list.sort_unstable();
        let number = *self.numbers.entry(list).or_insert_with_key(|list| {
            self.lists.push(list.clone());
            self.lists.len() - 1
        });
        self.of_vertex.insert(vertex, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GroupId, Order};
    use proptest::prelude::*;

    fn hindered(nodes: &[u32], by: &[u32]) -> Hindered {
        let ids = |numbers: &[u32]| numbers.iter().copied().map(NodeId).collect();
        Hindered { nodes: ids(nodes), by: ids(by) }
    }

    /// Two groups of clients after one of servers: they wait for the same, and for whom of it is not over.
    #[test]
    fn groups_that_wait_for_the_same_nodes_are_told_together() {
        let groups: Vec<Vec<NodeId>> = [&[0, 1][..], &[2, 3], &[4], &[5]]
            .map(|group| group.iter().copied().map(NodeId).collect())
            .into();
        let edges = [(0, 1), (0, 2), (2, 3)].map(|(a, b)| (GroupId(a), GroupId(b)));
        let order = Order::new(6, &groups, &edges);
        let targets: Vec<NodeId> = (0..6).map(NodeId).collect();
        let mut progress = Progress::new(&order, &targets, Vec::new());
        assert_eq!(progress.waits(9), [hindered(&[2, 3, 4], &[0, 1]), hindered(&[5], &[4])]);
        assert_eq!(progress.waits(1).len(), 1);
        while progress.take().is_some() {}
        progress.complete(NodeId(0));
        assert_eq!(progress.waits(9), [hindered(&[2, 3, 4], &[1]), hindered(&[5], &[4])]);
        progress.fail(NodeId(1));
        assert_eq!(progress.waits(9), []);
    }

    /// Of the middle of a chain nobody is a target: the end waits for its beginning.
    #[test]
    fn who_is_no_target_is_waited_for_by_nobody() {
        let groups: Vec<Vec<NodeId>> = (0..3).map(|n| vec![NodeId(n)]).collect();
        let order = Order::new(3, &groups, &[(GroupId(0), GroupId(1)), (GroupId(1), GroupId(2))]);
        let progress = Progress::new(&order, &[NodeId(0), NodeId(2)], Vec::new());
        assert_eq!(progress.waits(9), [hindered(&[2], &[0])]);
    }

    proptest! {
        /// Whoever waits is told of once, and waits for somebody before it who is not over.
        #[test]
        fn who_waits_is_told_with_somebody_before_it(
            size in 2usize..24,
            split in proptest::collection::vec(0usize..6, 24),
            edges in proptest::collection::vec((0u32..6, 0u32..6), 0..12),
            done in 0usize..24,
        ) {
            let group = |of: usize| (0..size).filter(|&at| split[at] == of).map(|at| NodeId(at as u32)).collect();
            let groups: Vec<Vec<NodeId>> = (0..6).map(group).collect();
            let edges: Vec<_> = edges.into_iter().filter(|(a, b)| a < b).map(|(a, b)| (GroupId(a), GroupId(b))).collect();
            let order = Order::new(size, &groups, &edges);
            let targets: Vec<NodeId> = (0..size).filter(|at| at % 5 != 4).map(|at| NodeId(at as u32)).collect();
            let mut progress = Progress::new(&order, &targets, Vec::new());
            for _ in 0..done {
                let Some(node) = progress.take() else { break };
                progress.complete(node);
            }
            let waits = progress.waits(usize::MAX);
            let mut told: Vec<NodeId> = waits.iter().flat_map(|one| one.nodes.iter().copied()).collect();
            told.sort_unstable();
            let waiting: Vec<NodeId> =
                targets.iter().copied().filter(|&node| progress.standing(node) == Standing::Waiting).collect();
            prop_assert_eq!(told, waiting);
            for one in waits {
                prop_assert!(!one.by.is_empty());
                for &node in &one.nodes {
                    prop_assert_eq!(&progress.waited_for_by(node), &one.by);
                    let leading = order.all_leading(&[node]);
                    prop_assert!(one.by.iter().all(|by| leading.contains(by)));
                    prop_assert!(one.by.iter().all(|&by| progress.standing(by) != Standing::Complete));
                }
            }
        }
    }
}
