//! Groups of which not all members are waited for.
//!
//! A threshold is a vertex of its own between the members of its group and the beginnings of the groups that wait
//! for so many of them. Who it may be waited for by goes through it as through the end of the group.

use super::{GroupId, Order, Vertex, VertexKind};
use crate::drivers::NodeId;
use crate::threshold::Threshold;
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use std::collections::{HashMap, HashSet, VecDeque};

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

    /// Returns how many of a threshold's members must be up, or, for [`Threshold::Ended`], over.
    pub fn needed_of(&self, gate: Vertex) -> usize {
        let members = self.members_of(gate).count();
        let Some(at) = self.gate_number(gate) else { return members };
        let excused = self.excused.get(&gate).copied().unwrap_or(0);
        self.gates[at].threshold.needed(members + excused)
    }

    /// Returns by threshold the members whose ends it waits for, if each node takes so long: the first that are over.
    pub(super) fn opening(
        &self,
        takes: &[u64],
        counts: impl Fn(NodeId) -> bool,
    ) -> HashMap<Vertex, HashSet<Vertex>> {
        let mut opening = HashMap::new();
        if self.gates().next().is_none() {
            return opening;
        }
        // When each vertex is over at the earliest.
        let mut over = vec![0u64; self.vertex_count()];
        for vertex in self.sorted().unwrap_or_default() {
            let begins = self.leading(vertex).map(|before| over[before.index()]).max().unwrap_or(0);
            over[vertex.index()] = match (self.gate(vertex), self.what(vertex)) {
                (Some(_), _) if self.members_of(vertex).next().is_none() => begins,
                (Some(gate), _) => {
                    let mut members: Vec<NodeId> = self.members_of(vertex).collect();
                    let counted = members.iter().filter(|node| counts(**node)).count();
                    if gate.threshold != Threshold::Ended && counted > 0 {
                        members.retain(|node| counts(*node));
                        members.sort_unstable_by_key(|node| (over[node.index()], *node));
                        members.truncate(self.needed_of(vertex));
                    }
                    let first = members.iter().map(|&node| self.vertex(VertexKind::Node(node)));
                    let first: HashSet<Vertex> = first.collect();
                    let last = first.iter().map(|member| over[member.index()]).max().unwrap_or(0);
                    opening.insert(vertex, first);
                    last
                }
                (None, VertexKind::Node(node)) => begins + takes[node.index()],
                (None, VertexKind::Begin(_) | VertexKind::End(_)) => begins,
            };
        }
        opening
    }

    /// Leaves nodes out of the groups of which enough others count; how many are enough stays what it is.
    pub fn excuse(&mut self, nodes: &[NodeId], counts: impl Fn(NodeId) -> bool) {
        let gates: Vec<(Vertex, Gate)> = self.gates().collect();
        for (vertex, gate) in gates {
            let is_other = |node: &NodeId| counts(*node) && !nodes.contains(node);
            let others = self.members_of(vertex).filter(is_other).count();
            if gate.threshold == Threshold::Ended || others < self.needed_of(vertex) {
                continue;
            }
            for node in nodes {
                let (from, to) = (NodeIndex::new(node.index()), NodeIndex::new(vertex.index()));
                if let Some(edge) = self.graph.find_edge(from, to) {
                    self.graph.remove_edge(edge);
                    *self.excused.entry(vertex).or_default() += 1;
                }
            }
        }
    }

    /// Returns the order as it binds while nodes stand like this: where enough of a group stand, nobody waits for its
    /// others, and where what some of them follow is lacking, these are not among them.
    pub fn counting(&self, footing: impl Fn(NodeId) -> Footing) -> Counted<'_> {
        let mut counted = Counted { order: self, counts: Vec::new(), binding: Vec::new() };
        if self.gates().next().is_none() {
            return counted;
        }
        let footing: Vec<Footing> = (0..self.nodes).map(|node| footing(NodeId(node))).collect();
        let sound = self.sound(&footing);
        let stands = |node: &NodeId| footing[node.index()] == Footing::Stands;
        let binding = |(gate, Gate { threshold, .. }): (Vertex, Gate)| {
            let needed = self.needed_of(gate);
            let standing = self.members_of(gate).filter(stands);
            let (all, sound) = standing
                .fold((0, 0), |(all, so_far), node| (all + 1, so_far + usize::from(sound[node.index()])));
            if threshold == Threshold::Ended || sound >= needed {
                Binding::Nobody
            } else if all >= needed {
                Binding::Standing
            } else {
                Binding::All
            }
        };
        counted.binding = self.gates().map(binding).collect();
        counted.counts = footing.iter().map(|footing| *footing == Footing::Stands).collect();
        counted
    }

    /// Tells whether `waits` can begin without `leads`, because others of a group are enough.
    pub fn stands_without(&self, waits: NodeId, leads: NodeId) -> bool {
        let footing = |node: u32| if node == leads.0 { Footing::Lacks } else { Footing::Stands };
        let footing: Vec<Footing> = (0..self.nodes).map(footing).collect();
        let before = self.vertex(VertexKind::Node(waits));
        let sound = self.sound(&footing);
        self.leading(before).all(|before| sound[before.index()])
    }

    /// Tells by vertex whether nothing before it is lacking; of a threshold's members, enough to reach it.
    fn sound(&self, footing: &[Footing]) -> Vec<bool> {
        let mut sound = vec![false; self.vertex_count()];
        for vertex in self.sorted().unwrap_or_default() {
            let all = self.leading(vertex).all(|before| sound[before.index()]);
            sound[vertex.index()] = match (self.gate(vertex), self.what(vertex)) {
                (Some(gate), _) => {
                    let standing =
                        |node: &NodeId| sound[node.index()] && footing[node.index()] == Footing::Stands;
                    let counted = self.members_of(vertex).filter(standing).count();
                    let is_enough = gate.threshold == Threshold::Ended || counted >= self.needed_of(vertex);
                    all || (is_enough && self.members_of(vertex).next().is_some())
                }
                (None, VertexKind::Node(node)) => all && footing[node.index()] != Footing::Lacks,
                (None, VertexKind::Begin(_) | VertexKind::End(_)) => all,
            };
        }
        sound
    }
}

/// How a node stands towards those that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// It is as they need it.
    Stands,
    /// It is not, and nothing that follows it stands by itself alone.
    Lacks,
    /// It is not, and that is nobody's concern.
    Ignored,
}

/// Who of a group is waited for by way of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    /// Enough stand, and nothing that these follow is lacking.
    Nobody,
    /// Enough stand, and what some of them follow is lacking.
    Standing,
    All,
}

/// A group of which too few stand for those that need so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    pub gate: Gate,
    /// Its members that stand, in any order.
    pub standing: Vec<NodeId>,
    /// How many there are.
    pub members: usize,
    /// How many would be enough.
    pub needed: usize,
}

/// A group of which only some are waited for, and too few of it stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub lack: Lack,
    /// The first group by which it is waited for.
    pub after: GroupId,
    /// Who counts, sorted.
    pub members: Vec<NodeId>,
}

/// An order, and of which groups enough are as they must be.
#[derive(Debug)]
pub struct Counted<'o> {
    order: &'o Order,
    /// By node; empty where no group has a threshold.
    counts: Vec<bool>,
    /// By threshold.
    binding: Vec<Binding>,
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

    /// Returns by node that is a member of it the groups of which too few stand for any of `from`.
    pub fn shortages(&self, from: &[NodeId]) -> HashMap<NodeId, Vec<Lack>> {
        let mut found: HashMap<NodeId, Vec<Lack>> = HashMap::new();
        if !self.binding.contains(&Binding::All) {
            return found;
        }
        let seen = self.seen(from, Direction::Incoming);
        let order = self.order;
        for ((vertex, gate), binding) in order.gates().zip(&self.binding) {
            if *binding != Binding::All || !seen[vertex.index()] {
                continue;
            }
            let members: Vec<NodeId> = order.members_of(vertex).collect();
            let standing: Vec<NodeId> =
                members.iter().copied().filter(|node| self.counts[node.index()]).collect();
            let lack = Lack { gate, standing, members: members.len(), needed: order.needed_of(vertex) };
            for node in members.into_iter().filter(|node| !self.counts[node.index()]) {
                found.entry(node).or_default().push(lack.clone());
            }
        }
        found
    }

    /// Returns the groups of which only some are waited for and too few stand, in the order in which thresholds are
    /// stated, and all nodes that any of `from` needs whichever of those come, sorted.
    pub fn choices(&self, from: &[NodeId]) -> (Vec<Choice>, Vec<NodeId>) {
        let order = self.order;
        // Counted once: it is asked of each member.
        let is_choice_by_gate: Vec<bool> = order
            .gates()
            .zip(&self.binding)
            .map(|((vertex, _), binding)| {
                *binding == Binding::All && order.needed_of(vertex) < order.members_of(vertex).count()
            })
            .collect();
        let is_choice = |vertex: Vertex| {
            order.gate_number(vertex).is_some_and(|at| is_choice_by_gate.get(at).copied().unwrap_or(false))
        };
        // What leads a whole group is needed whichever of its members come.
        let past = |vertex: Vertex, next: Vertex| match order.what(next) {
            VertexKind::Node(_) if is_choice(vertex) => {
                order.gate(vertex).map(|gate| order.vertex(VertexKind::Begin(gate.group)))
            }
            VertexKind::Node(_) | VertexKind::Begin(_) | VertexKind::End(_) => Some(next),
        };
        let seen = self.seen_past(from, Direction::Incoming, past);
        let choice = |(vertex, gate): (Vertex, Gate)| {
            if !seen[vertex.index()] || !is_choice(vertex) {
                return None;
            }
            let after = order.trailing(vertex).filter(|next| seen[next.index()]);
            let after = after.filter_map(|next| match order.what(next) {
                VertexKind::Begin(group) => Some(group),
                VertexKind::Node(_) | VertexKind::End(_) => None,
            });
            let mut members: Vec<NodeId> = order.members_of(vertex).collect();
            members.sort_unstable();
            let standing = members.iter().copied().filter(|node| self.counts[node.index()]).collect();
            let lack = Lack { gate, standing, members: members.len(), needed: order.needed_of(vertex) };
            Some(Choice { lack, after: after.min()?, members })
        };
        let choices = order.gates().filter_map(choice).collect();
        (choices, (0..order.nodes).filter(|&node| seen[node as usize]).map(NodeId).collect())
    }

    fn reach(&self, from: &[NodeId], direction: Direction) -> Vec<NodeId> {
        let seen = self.seen(from, direction);
        (0..self.order.nodes).filter(|&node| seen[node as usize]).map(NodeId).collect()
    }

    fn seen(&self, from: &[NodeId], direction: Direction) -> Vec<bool> {
        self.seen_past(from, direction, |_, next| Some(next))
    }

    /// Returns what is seen where `past` says what comes after a vertex instead of a neighbour of it.
    fn seen_past(
        &self,
        from: &[NodeId],
        direction: Direction,
        past: impl Fn(Vertex, Vertex) -> Option<Vertex>,
    ) -> Vec<bool> {
        let order = self.order;
        let mut seen = vec![false; order.vertex_count()];
        let mut queue: VecDeque<Vertex> = from.iter().map(|node| Vertex(node.0)).collect();
        while let Some(vertex) = queue.pop_front() {
            for next in order.neighbours(vertex, direction).filter_map(|next| past(vertex, next)) {
                if !seen[next.index()] && self.binds(vertex, next) && self.binds(next, vertex) {
                    seen[next.index()] = true;
                    queue.push_back(next);
                }
            }
        }
        seen
    }

    /// Tells whether a member of a group is waited for, where `gate` is a threshold of that group.
    fn binds(&self, member: Vertex, gate: Vertex) -> bool {
        let VertexKind::Node(node) = self.order.what(member) else { return true };
        match self.order.gate_number(gate).and_then(|at| self.binding.get(at)) {
            Some(Binding::Nobody) => false,
            Some(Binding::Standing) => self.counts[node.index()],
            Some(Binding::All) | None => true,
        }
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

    /// Those of `up` stand, and all others are lacking.
    fn only<'u>(up: &'u [u32]) -> impl Fn(NodeId) -> Footing + 'u {
        |node| if up.contains(&node.0) { Footing::Stands } else { Footing::Lacks }
    }

    #[test]
    fn where_enough_are_up_the_others_are_not_needed() {
        let order = order(Threshold::Count(2));
        let needed = |up: &[u32]| order.counting(only(up)).leading(&ids(&[3]));
        assert_eq!(needed(&[0, 2]), ids(&[]), "nothing is lacking");
        assert_eq!(needed(&[0]), ids(&[0, 1, 2]), "one more of them all must come up");
        assert_eq!(order.counting(only(&[0, 1])).trailing(&ids(&[2])), ids(&[]));
        assert_eq!(order.counting(only(&[0])).trailing(&ids(&[2])), ids(&[3]));
        assert_eq!(order.all_leading(&ids(&[3])), ids(&[0, 1, 2]), "they lead it all the same");
    }

    /// The members of a group were counted anew for each of them.
    #[test]
    fn who_may_be_chosen_of_a_hundred_thousand_is_told_at_once() {
        let count = 100_000;
        let groups = [(0..count).map(NodeId).collect(), ids(&[count])];
        let threshold = Threshold::Count(1);
        let order = Order::of(
            count as usize + 1,
            2,
            |group| groups[group.index()].iter().copied(),
            [(GroupId(0), GroupId(1), Some(threshold))].into_iter(),
        );
        let (choices, certain) = order.counting(|_| Footing::Lacks).choices(&[NodeId(count)]);
        assert_eq!((choices.len(), choices[0].members.len()), (1, count as usize));
        assert!(certain.is_empty(), "{certain:?}");
    }

    #[test]
    fn those_that_ended_need_not_be_up() {
        let order = order(Threshold::Ended);
        assert_eq!(order.counting(only(&[1])).leading(&ids(&[3])), ids(&[]));
    }

    /// n0 leads n1; n1 and n2 are `a`, of which one is enough for n3.
    fn one_of_them_follows_another() -> Order {
        let groups = [ids(&[0]), ids(&[1]), ids(&[1, 2]), ids(&[3])];
        let edges = [(GroupId(0), GroupId(1), None), (GroupId(2), GroupId(3), Some(Threshold::Count(1)))];
        Order::of(4, 4, |group| groups[group.index()].iter().copied(), edges.into_iter())
    }

    #[test]
    fn a_member_whose_own_leader_is_lacking_is_not_waited_for_where_others_are_enough() {
        let order = one_of_them_follows_another();
        assert_eq!(order.counting(only(&[1, 2, 3])).trailing(&ids(&[0])), ids(&[1]));
        assert_eq!(order.counting(only(&[1, 2, 3])).leading(&ids(&[3])), ids(&[]));
        assert_eq!(order.counting(only(&[1, 3])).trailing(&ids(&[0])), ids(&[1, 3]), "n2 is down");
        assert_eq!(order.counting(only(&[1, 3])).leading(&ids(&[3])), ids(&[0, 1]), "n0 alone is lacking");
        let ignoring = order.counting(|node| match node.0 {
            0 => Footing::Ignored,
            2 => Footing::Lacks,
            _ => Footing::Stands,
        });
        assert_eq!(ignoring.trailing(&ids(&[2])), ids(&[]), "n1 is enough, whatever n0 is");
    }

    #[test]
    fn one_that_is_excused_leaves_the_number_as_it_is() {
        let mut order = order(Threshold::Percent(50));
        order.excuse(&ids(&[0]), |node| node.0 != 2);
        assert_eq!(order.all_leading(&ids(&[3])), ids(&[0, 1, 2]), "one other is not enough");
        order.excuse(&ids(&[0]), |_| true);
        assert_eq!(order.all_leading(&ids(&[3])), ids(&[1, 2]));
        let (gate, _) = order.gates().next().unwrap();
        assert_eq!(order.needed_of(gate), 2, "half of three, not of two");
    }

    #[test]
    fn a_percentage_is_of_those_that_are_not_away() {
        let mut order = order(Threshold::Percent(67));
        let needed = |order: &Order, up: &[u32]| order.counting(only(up)).leading(&ids(&[3]));
        assert_eq!(needed(&order, &[0, 2]), ids(&[0, 1, 2]), "three of three");
        order.leave_out(&ids(&[1, 3]));
        assert_eq!(needed(&order, &[0, 2]), ids(&[]), "two of two");
        order.leave_out(&ids(&[0, 2]));
        assert_eq!(needed(&order, &[]), ids(&[0, 2]), "where all are away, nobody of them is up");
    }

    #[test]
    fn mirrored_all_are_waited_for() {
        let mirrored = order(Threshold::Count(1)).mirrored();
        assert_eq!(mirrored.counting(only(&[])).leading(&ids(&[1])), ids(&[3]));
        assert_eq!(mirrored.counting(only(&[0, 1, 2, 3])).leading(&ids(&[0, 1, 2])), ids(&[3]));
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

    #[test]
    fn the_longest_path_goes_by_those_that_are_over_first() {
        // n3 takes 10, and waits for so many of n0, n1 and n2, which take 5, 7 and 60.
        let takes = [5, 7, 60, 10];
        let rest = |threshold, counts: &[u32]| {
            order(threshold).critical_counting(&takes, |node| counts.contains(&node.0))
        };
        let all = [0, 1, 2, 3];
        assert_eq!(rest(Threshold::Count(2), &all), [15, 17, 60, 10]);
        assert_eq!(rest(Threshold::Count(1), &all), [15, 7, 60, 10]);
        assert_eq!(rest(Threshold::Percent(67), &all), [15, 17, 70, 10]);
        assert_eq!(rest(Threshold::Ended, &all), [15, 17, 70, 10]);
        assert_eq!(rest(Threshold::Count(1), &[2, 3]), [5, 7, 70, 10], "n0 and n1 are not started, nor up");
        assert_eq!(
            rest(Threshold::Count(1), &[3]),
            [15, 17, 70, 10],
            "passed through as any group of others"
        );
        assert_eq!(order(Threshold::Count(1)).critical(&takes), [15, 17, 70, 10], "whatever is enough");
        let mirrored = order(Threshold::Count(1)).mirrored();
        assert_eq!(mirrored.critical_counting(&takes, |_| true), mirrored.critical(&takes));
    }
}
