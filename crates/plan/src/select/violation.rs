//! Nodes that are not as the sequence needs them: they are no target, or a target that follows them runs already.

use crate::drivers::NodeId;
use crate::graph::{Choice, Counted, Footing, Lack, Order};
use crate::progress::Shortage;
use crate::survey::Condition;

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Startup,
    Shutdown,
}

impl Direction {
    /// Tells whether a node that is not a target stands as what follows it needs it. Unknown never
    /// does: not up enough to lead a start, not down enough to lead a shutdown.
    fn is_served_by(self, condition: Condition) -> bool {
        match self {
            Self::Startup => condition == Condition::Up,
            Self::Shutdown => condition == Condition::Down,
        }
    }
}

/// What is wrong about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// It is no target, and not up (at shutdown: not down) although targets need that.
    Unserved,
    /// It is a target and not up, while targets that depend on it run already.
    Outrun,
}

/// A node that is not as the sequence needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub breach: Breach,
    pub node: NodeId,
    pub condition: Condition,
    /// The targets that wait for it, sorted; left empty after the first [`DETAILED`] violations.
    pub affects: Vec<NodeId>,
    /// The groups of it of which too few are up, or targets that will be.
    pub lacks: Vec<Shortage>,
}

/// For how many violations the targets concerned are worked out: each costs a walk of the order.
pub const DETAILED: usize = 256;

/// Returns the non-target nodes that stand in the way of acting on `targets` (sorted), in the order
/// at hand (for a shutdown: the order of shutdown). `conditions` is by node of the inventory.
pub fn unserved(
    direction: Direction,
    order: &Order,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Vec<Violation> {
    let counted = serving(direction, order, targets, conditions);
    let nodes = wanting(direction, &counted, targets, conditions);
    detail(&counted, targets, conditions, Breach::Unserved, &nodes)
}

/// Returns the nodes by which `-E` extends the targets: all non-targets that lead them and are not
/// as they must be. Where enough of a group are, or will be, its others are left out.
pub fn needed(
    direction: Direction,
    order: &Order,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Vec<NodeId> {
    wanting(direction, &serving(direction, order, targets, conditions), targets, conditions)
}

/// Returns the groups of which some members have to be as they must be before `node` is acted on, and all nodes that have
/// to be whichever of those are (see [`needed`], which also names all members).
pub fn choices(
    direction: Direction,
    order: &Order,
    node: NodeId,
    conditions: &[Condition],
) -> (Vec<Choice>, Vec<NodeId>) {
    let (choices, mut certain) = serving(direction, order, &[node], conditions).choices(&[node]);
    certain.retain(|one| *one != node && !direction.is_served_by(condition_of(conditions, *one)));
    (choices, certain)
}

/// Returns those of these nodes, sorted, before which none of the others comes at any distance; linear.
pub fn first_of(order: &Order, nodes: &[NodeId]) -> Vec<NodeId> {
    let after = order.all_trailing(nodes);
    nodes.iter().copied().filter(|node| after.binary_search(node).is_err()).collect()
}

/// Returns the order as it binds when all targets will be as they must be.
fn serving<'o>(
    direction: Direction,
    order: &'o Order,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Counted<'o> {
    order.counting(|node| {
        let is_target = targets.binary_search(&node).is_ok();
        if is_target || direction.is_served_by(condition_of(conditions, node)) {
            Footing::Stands
        } else {
            Footing::Lacks
        }
    })
}

fn wanting(
    direction: Direction,
    counted: &Counted<'_>,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Vec<NodeId> {
    let leading = counted.leading(targets).into_iter();
    leading
        .filter(|node| targets.binary_search(node).is_err())
        .filter(|node| !direction.is_served_by(conditions[node.index()]))
        .collect()
}

fn condition_of(conditions: &[Condition], node: NodeId) -> Condition {
    conditions.get(node.index()).copied().unwrap_or(Condition::Unknown)
}

/// Returns the order as it binds while nodes stand as they do. What runs after a target that is not up has run ahead; other
/// nodes that are not up count for nobody, and are the concern of [`unserved`].
fn as_it_is<'o>(order: &'o Order, targets: &[NodeId], conditions: &[Condition]) -> Counted<'o> {
    order.counting(|node| match condition_of(conditions, node) {
        Condition::Up => Footing::Stands,
        _ if targets.binary_search(&node).is_ok() => Footing::Lacks,
        Condition::On | Condition::Down | Condition::Unknown => Footing::Ignored,
    })
}

/// Returns the targets that are not up while targets that wait for them are.
pub fn outrun(order: &Order, targets: &[NodeId], conditions: &[Condition]) -> Vec<Violation> {
    let up = running(targets, conditions);
    let counted = as_it_is(order, targets, conditions);
    let nodes: Vec<NodeId> = counted
        .leading(&up)
        .into_iter()
        .filter(|node| targets.binary_search(node).is_ok() && conditions[node.index()] != Condition::Up)
        .collect();
    detail(&counted, &up, conditions, Breach::Outrun, &nodes)
}

/// Returns the running targets that a reset would cure (`-z`): those that wait for a target not up.
pub fn curable(order: &Order, targets: &[NodeId], conditions: &[Condition]) -> Vec<NodeId> {
    let down: Vec<NodeId> =
        targets.iter().copied().filter(|node| conditions[node.index()] != Condition::Up).collect();
    let after = as_it_is(order, targets, conditions).trailing(&down);
    running(targets, conditions).into_iter().filter(|node| after.binary_search(node).is_ok()).collect()
}

fn running(targets: &[NodeId], conditions: &[Condition]) -> Vec<NodeId> {
    targets.iter().copied().filter(|node| conditions[node.index()] == Condition::Up).collect()
}

fn detail(
    counted: &Counted<'_>,
    targets: &[NodeId],
    conditions: &[Condition],
    breach: Breach,
    nodes: &[NodeId],
) -> Vec<Violation> {
    let shortages = counted.shortages(targets);
    let is_up = |node: &&NodeId| condition_of(conditions, **node) == Condition::Up;
    let shortage = |lack: &Lack| {
        let up = lack.standing.iter().filter(is_up).count();
        let counted = lack.standing.len();
        Shortage { gate: lack.gate, up, counted, needed: lack.needed, members: lack.members }
    };
    let one = |(at, &node): (usize, &NodeId)| {
        let affects = if at < DETAILED {
            let after = counted.trailing(&[node]);
            after.into_iter().filter(|node| targets.binary_search(node).is_ok()).collect()
        } else {
            Vec::new()
        };
        let lacks = shortages.get(&node).into_iter().flatten().map(shortage).collect();
        Violation { breach, node, condition: conditions[node.index()], affects, lacks }
    };
    nodes.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GroupId;
    use crate::threshold::Threshold;
    use std::collections::BTreeSet;

    /// n0 > n1 > n2, n3 alone.
    fn chain() -> Order {
        let groups: Vec<Vec<NodeId>> = (0..3).map(|n| vec![NodeId(n)]).collect();
        Order::new(4, &groups, &[(GroupId(0), GroupId(1)), (GroupId(1), GroupId(2))])
    }

    /// Each of them looked at all before it: `--why-not` took seconds where ten thousand nodes hold one, and minutes here.
    #[test]
    fn the_first_of_a_hundred_thousand_nodes_are_found_at_once() {
        let count = 100_000;
        let groups: Vec<Vec<NodeId>> = (0..count).map(|n| vec![NodeId(n)]).collect();
        let edges: Vec<_> = (2..count).map(|n| (GroupId(n - 1), GroupId(n))).collect();
        let order = Order::new(count as usize, &groups, &edges);
        let all: Vec<NodeId> = (0..count).map(NodeId).collect();
        let ids = |numbers: &[u32]| -> Vec<NodeId> { numbers.iter().copied().map(NodeId).collect() };
        assert_eq!(first_of(&order, &all), ids(&[0, 1]));
        assert_eq!(first_of(&order, &ids(&[7, 99_999])), ids(&[7]));
        assert_eq!(first_of(&order.mirrored(), &ids(&[0, 7, 99_999])), ids(&[0, 99_999]));
    }

    #[test]
    fn a_leading_node_is_followed_transitively() {
        use Condition::{Down, Unknown, Up};
        let found =
            unserved(Direction::Startup, &chain(), &[NodeId(2), NodeId(3)], &[Unknown, Up, Down, Down]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].node, found[0].condition), (NodeId(0), Unknown));
        assert_eq!(found[0].affects, [NodeId(2)]);
        let mirrored = chain().mirrored();
        let found = unserved(Direction::Shutdown, &mirrored, &[NodeId(0)], &[Up, Down, Unknown, Up]);
        assert_eq!(found.iter().map(|one| one.node).collect::<Vec<_>>(), [NodeId(2)], "unknown is not down");
    }

    /// n0, n1 and n2 are `mds`, n3 waits for two of them.
    fn two_of_three() -> Order {
        let groups = [vec![NodeId(0), NodeId(1), NodeId(2)], vec![NodeId(3)]];
        let edges = [(GroupId(0), GroupId(1), Some(Threshold::Count(2)))];
        Order::of(4, 2, |group| groups[group.index()].iter().copied(), edges.into_iter())
    }

    #[test]
    fn where_enough_of_a_group_are_up_or_targets_its_others_are_no_violation() {
        use Condition::{Down, Unknown, Up};
        let order = two_of_three();
        let found = |targets: &[u32], conditions: &[Condition]| -> Vec<u32> {
            let targets: Vec<NodeId> = targets.iter().copied().map(NodeId).collect();
            let found = unserved(Direction::Startup, &order, &targets, conditions);
            assert!(found.iter().all(|one| one.affects == [NodeId(3)]));
            found.iter().map(|one| one.node.0).collect()
        };
        assert!(found(&[3], &[Up, Down, Up, Down]).is_empty());
        assert!(found(&[0, 3], &[Down, Down, Up, Down]).is_empty(), "a target will be up");
        assert!(found(&[0, 1, 3], &[Down, Down, Unknown, Down]).is_empty());
        assert_eq!(found(&[3], &[Up, Down, Unknown, Down]), [1, 2], "-E adds all of a group that is short");
        let found = unserved(Direction::Startup, &order, &[NodeId(3)], &[Up, Down, Unknown, Down]);
        let [short] = found[0].lacks.as_slice() else { panic!("{found:?}") };
        assert_eq!((short.up, short.counted, short.needed, short.members), (1, 1, 2, 3));
        assert_eq!(found[0].lacks, found[1].lacks);
    }

    #[test]
    fn a_target_that_runs_with_enough_before_it_is_no_violation() {
        use Condition::{Down, Up};
        let all: Vec<NodeId> = (0..4).map(NodeId).collect();
        assert_eq!(outrun(&two_of_three(), &all, &[Up, Up, Down, Up]), []);
        assert_eq!(curable(&two_of_three(), &all, &[Up, Up, Down, Up]), []);
        let found = outrun(&two_of_three(), &all, &[Up, Down, Down, Up]);
        assert_eq!(found.iter().map(|one| one.node.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(curable(&two_of_three(), &all, &[Up, Down, Down, Up]), [NodeId(3)]);
    }

    #[test]
    fn a_running_target_before_its_leader_is_found_and_curable() {
        use Condition::{Down, On, Up};
        let all: Vec<NodeId> = (0..4).map(NodeId).collect();
        let found = outrun(&chain(), &all, &[On, Up, Down, Up]);
        assert_eq!(found.iter().map(|one| one.node).collect::<Vec<_>>(), [NodeId(0)]);
        assert_eq!(found[0].affects, [NodeId(1)]);
        assert_eq!(curable(&chain(), &all, &[On, Up, Down, Up]), [NodeId(1)]);
    }

    /// n0 > n1; n1 and n2 are `mds`, n3 waits for one of them.
    fn one_follows_another() -> Order {
        let groups = [vec![NodeId(0)], vec![NodeId(1)], vec![NodeId(1), NodeId(2)], vec![NodeId(3)]];
        let edges = [(GroupId(0), GroupId(1), None), (GroupId(2), GroupId(3), Some(Threshold::Count(1)))];
        Order::of(4, 4, |group| groups[group.index()].iter().copied(), edges.into_iter())
    }

    /// Running clients were reset because of a server that another stands in for.
    #[test]
    fn a_member_that_has_itself_outrun_its_leader_resets_nobody_who_has_enough_others() {
        use Condition::{Down, Up};
        let order = one_follows_another();
        let all: Vec<NodeId> = (0..4).map(NodeId).collect();
        assert_eq!(curable(&order, &all, &[Down, Up, Up, Up]), [NodeId(1)]);
        let found = outrun(&order, &all, &[Down, Up, Up, Up]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].node, found[0].affects.as_slice()), (NodeId(0), &[NodeId(1)][..]));
        assert_eq!(curable(&order, &all, &[Down, Up, Down, Up]), [NodeId(1), NodeId(3)]);
        let found = outrun(&order, &all, &[Down, Up, Down, Up]);
        assert_eq!(found.iter().map(|one| one.node.0).collect::<Vec<_>>(), [0], "n2 is not needed for that");
        let needed =
            |conditions: &[Condition]| unserved(Direction::Startup, &order, &[NodeId(3)], conditions);
        assert_eq!(needed(&[Down, Up, Up, Down]), [], "n2 alone is enough for n3");
        assert_eq!(needed(&[Down, Up, Down, Down]).iter().map(|one| one.node.0).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn what_follows_only_nodes_that_are_no_targets_is_not_reset() {
        use Condition::{Down, Up};
        let order = one_follows_another();
        // n0 is ignored (-X); n1 runs, and is enough for n3 whatever n2 is.
        let targets: Vec<NodeId> = (1..4).map(NodeId).collect();
        assert_eq!(curable(&order, &targets, &[Down, Up, Down, Up]), []);
        assert_eq!(outrun(&order, &targets, &[Down, Up, Down, Up]), []);
    }

    mod random {
        use super::*;
        use proptest::prelude::*;

        const COUNT: u32 = 8;

        #[derive(Debug)]
        struct Case {
            groups: Vec<BTreeSet<u32>>,
            edges: Vec<(u32, u32, Option<Threshold>)>,
            targets: Vec<NodeId>,
            conditions: Vec<Condition>,
        }

        /// Says in the words of the page who has what is needed before it.
        impl Case {
            fn order(&self) -> Order {
                let edges = self.edges.iter().map(|&(a, b, threshold)| (GroupId(a), GroupId(b), threshold));
                Order::of(
                    COUNT as usize,
                    self.groups.len(),
                    |group| self.groups[group.index()].iter().copied().map(NodeId),
                    edges.collect::<Vec<_>>().into_iter(),
                )
            }

            fn is_up(&self, node: u32) -> bool {
                self.conditions[node as usize] == Condition::Up
            }

            fn has_begun_rightly(&self, group: u32) -> bool {
                self.edges.iter().filter(|edge| edge.1 == group).all(|&(before, _, threshold)| {
                    let members = &self.groups[before as usize];
                    let all = members.iter().all(|&node| self.is_in_order(node));
                    match threshold {
                        Some(threshold) if !members.is_empty() => {
                            let sound =
                                members.iter().filter(|&&node| self.is_up(node) && self.is_in_order(node));
                            all || threshold == Threshold::Ended
                                || sound.count() >= threshold.needed(members.len())
                        }
                        Some(_) | None => all && self.has_begun_rightly(before),
                    }
                })
            }

            fn runs_rightly(&self, node: u32) -> bool {
                let groups = (0u32..).zip(&self.groups).filter(|(_, members)| members.contains(&node));
                groups.map(|(group, _)| group).all(|group| self.has_begun_rightly(group))
            }

            fn is_in_order(&self, node: u32) -> bool {
                let is_target = self.targets.contains(&NodeId(node));
                (self.is_up(node) || !is_target) && self.runs_rightly(node)
            }
        }

        fn case() -> impl Strategy<Value = Case> {
            let threshold = prop_oneof![
                2 => Just(None),
                3 => (1u32..3).prop_map(|count| Some(Threshold::Count(count))),
                1 => (1u8..=100).prop_map(|percent| Some(Threshold::Percent(percent))),
                1 => Just(Some(Threshold::Ended)),
            ];
            let condition = prop_oneof![
                3 => Just(Condition::Up),
                1 => Just(Condition::Down),
                1 => Just(Condition::Unknown),
            ];
            (
                prop::collection::vec(prop::collection::btree_set(0..COUNT, 0..4), 1..6),
                prop::collection::vec((0u32..6, 0u32..6, threshold), 0..8),
                prop::collection::btree_set(0..COUNT, 1..COUNT as usize),
                prop::collection::vec(condition, COUNT as usize),
            )
                .prop_map(|(groups, edges, targets, conditions)| {
                    let count = u32::try_from(groups.len()).unwrap();
                    let edges =
                        edges.into_iter().filter(|(a, b, _)| a < b && *b < count).map(|(a, b, threshold)| {
                            let size = groups[a as usize].len();
                            let fits =
                                |one: &Threshold| !matches!(one, Threshold::Count(n) if *n as usize > size);
                            (a, b, threshold.filter(fits))
                        });
                    let edges = edges.collect();
                    let targets = targets.into_iter().map(NodeId).collect();
                    Case { groups, edges, targets, conditions }
                })
        }

        proptest! {
            #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

            /// A reset of a running machine without need is the worst that `-z` can do.
            #[test]
            fn a_reset_cures_exactly_those_that_run_without_what_they_need(case in case()) {
                let order = case.order();
                prop_assume!(order.sorted().is_some());
                let targets = case.targets.iter().copied();
                let wanted: Vec<NodeId> =
                    targets.filter(|node| case.is_up(node.0) && !case.runs_rightly(node.0)).collect();
                prop_assert_eq!(curable(&order, &case.targets, &case.conditions), wanted.clone());
                let found = outrun(&order, &case.targets, &case.conditions);
                let affected: BTreeSet<NodeId> =
                    found.iter().flat_map(|violation| violation.affects.iter().copied()).collect();
                prop_assert_eq!(affected.into_iter().collect::<Vec<_>>(), wanted, "each is named with why");
            }
        }
    }
}
