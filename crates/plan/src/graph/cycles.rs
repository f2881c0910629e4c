//! Where an order leads back to itself: the shortest loop of each component, by which people are told of a cycle.

use super::scc::Component;
use super::{Order, Vertex, VertexKind};
use petgraph::algo::kosaraju_scc;

impl Order {
    /// Returns a shortest loop of each component, the shortest first; each as the vertices along it,
    /// beginning at the smallest.
    pub fn cycles(&self) -> Vec<Vec<Vertex>> {
        if self.sorted().is_some() {
            return Vec::new();
        }
        let mut place_of: Vec<Option<u32>> = vec![None; self.vertex_count()];
        let mut loops: Vec<Vec<Vertex>> = kosaraju_scc(&self.graph)
            .iter()
            .filter_map(|component| {
                let mut members: Vec<Vertex> = component
                    .iter()
                    .map(|index| Vertex(u32::try_from(index.index()).unwrap_or(u32::MAX)))
                    .filter(|&vertex| !self.is_passed_by(vertex))
                    .collect();
                members.sort_unstable();
                let found = self.shortest_loop(&members, &mut place_of);
                members.iter().for_each(|member| place_of[member.index()] = None);
                found
            })
            .collect();
        loops.sort_by_key(|one| (one.len(), one.first().copied()));
        loops
    }

    /// Tells whether no shortest loop can pass through a vertex: a node in one group only, as the
    /// beginning of a group leads to its end also without a member between.
    fn is_passed_by(&self, vertex: Vertex) -> bool {
        let group = |mut beside: Box<dyn Iterator<Item = Vertex> + '_>| match (beside.next(), beside.next()) {
            (Some(one), None) => match self.what(one) {
                VertexKind::Begin(group) | VertexKind::End(group) => Some(group),
                VertexKind::Node(_) => None,
            },
            _ => None,
        };
        let before = group(Box::new(self.leading(vertex)));
        matches!(self.what(vertex), VertexKind::Node(_))
            && before.is_some()
            && before == group(Box::new(self.trailing(vertex)))
    }

    /// Returns the shortest loop among `members`. `place_of` is a work space, empty before.
    fn shortest_loop(&self, members: &[Vertex], place_of: &mut [Option<u32>]) -> Option<Vec<Vertex>> {
        for (place, member) in (0..).zip(members) {
            place_of[member.index()] = Some(place);
        }
        let place_of = &*place_of;
        let leads = |place: u32| {
            self.trailing(members[place as usize]).filter_map(move |next| place_of[next.index()])
        };
        let found = Component::new(members.len(), leads).shortest_loop()?;
        let mut found: Vec<Vertex> = found.iter().map(|&place| members[place as usize]).collect();
        let smallest = (0..found.len()).min_by_key(|&at| found[at]).unwrap_or(0);
        found.rotate_left(smallest);
        Some(found)
    }

    /// Returns for each vertex the number of its component: vertices that come before each other share
    /// one. Without a cycle all numbers differ.
    pub fn components(&self) -> Vec<u32> {
        let mut component_of = vec![0; self.vertex_count()];
        for (number, component) in (0..).zip(kosaraju_scc(&self.graph)) {
            for index in component {
                component_of[index.index()] = number;
            }
        }
        component_of
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{edge, ids};
    use super::*;
    use crate::drivers::NodeId;
    use crate::graph::GroupId;
    use proptest::prelude::*;

    #[test]
    fn the_shortest_loop_of_each_tangle_is_found() {
        let groups: Vec<Vec<NodeId>> = (0..7).map(|n| ids(&[n])).collect();
        let edges = [edge(0, 1), edge(1, 2), edge(2, 0), edge(1, 0), edge(4, 5), edge(5, 6), edge(6, 4)];
        let loops = Order::new(7, &groups, &edges).cycles();
        let named = |one: &Vec<Vertex>| -> Vec<u32> {
            let order = Order::new(7, &groups, &edges);
            one.iter()
                .filter_map(|v| if let VertexKind::Begin(g) = order.what(*v) { Some(g.0) } else { None })
                .collect()
        };
        assert_eq!(loops.iter().map(named).collect::<Vec<_>>(), [vec![0, 1], vec![4, 5, 6]]);
    }

    /// Returns the length of the loop found among groups of one node each; two vertices a group.
    fn loop_length(count: u32, edges: &[(GroupId, GroupId)]) -> usize {
        let groups: Vec<Vec<NodeId>> = (0..count).map(|n| ids(&[n])).collect();
        Order::new(count as usize, &groups, edges).cycles()[0].len() / 2
    }

    /// The loop found used to be only a short one where there was much to search.
    #[test]
    fn the_shortest_loop_of_a_tangle_of_a_hundred_thousand_groups_is_found() {
        let count = 100_000;
        let mut chance = 1u32;
        let mut random = |below: u32| {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (chance >> 8) % below
        };
        // Sheets of 1000, each leading to the next at random and the last to the first.
        let mut sheets = Vec::new();
        for from in 0..count {
            let next = (from / 1000 + 1) * 1000 % count;
            sheets.extend([edge(from, next + from % 1000), edge(from, next + random(1000))]);
        }
        assert_eq!(loop_length(count, &sheets), 100);
        // One line leaves out a sheet.
        sheets.push(edge(5, 2005));
        assert_eq!(loop_length(count, &sheets), 99);
    }

    #[test]
    fn the_shortest_loop_is_found_where_all_are_long() {
        let count = 10_000;
        let lattice: Vec<_> =
            (0..count).flat_map(|n| [edge(n, (n + 1) % count), edge(n, (n + 100) % count)]).collect();
        assert_eq!(loop_length(count, &lattice), 100);
    }

    proptest! {
        #[test]
        fn no_loop_is_shorter_than_the_first_one_described(
            memberships in prop::collection::vec(prop::collection::vec(0u32..6, 0..4), 1..8),
            stated in prop::collection::vec((0u32..8, 0u32..8), 1..14),
        ) {
            let groups: Vec<Vec<NodeId>> = memberships.iter().map(|m| ids(m)).collect();
            let count = groups.len() as u32;
            let edges: Vec<_> = stated.iter().map(|&(a, b)| edge(a % count, b % count)).collect();
            let order = Order::new(6, &groups, &edges);
            // Asked plainly: from each vertex, the shortest way that comes back to it.
            let back = |start: Vertex| {
                let mut reached = vec![start];
                (1..=order.vertex_count()).find(|_| {
                    let mut next: Vec<Vertex> = reached.iter().flat_map(|&at| order.trailing(at)).collect();
                    next.sort_unstable();
                    next.dedup();
                    reached = next;
                    reached.contains(&start)
                })
            };
            let loops = order.cycles();
            prop_assert_eq!(loops.first().map(Vec::len), order.vertices().filter_map(back).min());
            for found in &loops {
                let next = found.iter().cycle().skip(1);
                for (&from, &to) in found.iter().zip(next) {
                    prop_assert!(order.trailing(from).any(|next| next == to), "{found:?}");
                }
            }
        }
    }
}
