//! Random nodes in random orders, judged by an oracle that knows what truly became of each and shares no
//! code with the order or the count-down.

use super::super::*;
use super::world::{
    Imagined, Manner, World, able, imagined, limits, run, run_and_interrupt, seconds, wishes,
};
use crate::drivers::Task;
use crate::graph::GroupId;
use crate::outcome::{NodeEnding, Outcome};
use crate::run::Run;
use proptest::prelude::*;

/// Who must be down before whom, by brute force over groups and stated orders.
pub(super) fn before(groups: &[Vec<u32>], edges: &[(u32, u32)], count: usize) -> Vec<Vec<bool>> {
    let mut groups_before = vec![vec![false; groups.len()]; groups.len()];
    for &(a, b) in edges {
        groups_before[a as usize][b as usize] = true;
    }
    close(&mut groups_before);
    let mut nodes = vec![vec![false; count]; count];
    for (a, members) in groups.iter().enumerate() {
        for (b, others) in groups.iter().enumerate() {
            if groups_before[a][b] {
                for &x in members {
                    others.iter().for_each(|&y| nodes[x as usize][y as usize] = true);
                }
            }
        }
    }
    close(&mut nodes);
    nodes
}

fn close(relation: &mut [Vec<bool>]) {
    for via in 0..relation.len() {
        let onward = relation[via].clone();
        for from in relation.iter_mut().filter(|from| from[via]) {
            from.iter_mut().zip(&onward).for_each(|(reached, more)| *reached |= more);
        }
    }
}

fn any_manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        6 => (1u64..60, 0u64..29).prop_map(|(takes, early)| Manner::Halts { takes, early: early.min(takes) }),
        2 => (1u64..60).prop_map(|takes| Manner::LosesConnection { takes }),
        1 => Just(Manner::StaysUp),
        1 => Just(Manner::Refuses),
        1 => Just(Manner::Hangs),
        1 => Just(Manner::Unreachable),
        1 => Just(Manner::Off),
    ]
}

fn any_node() -> impl Strategy<Value = Imagined> {
    let rarely = || prop::bool::weighted(0.15);
    (any_manner(), any::<[bool; 3]>(), prop::bool::weighted(0.9), rarely(), rarely()).prop_map(
        |(manner, [switches, reads, powers_off], probes, power_unreadable, flaps)| Imagined {
            manner,
            able: able(switches, reads, probes),
            powers_off,
            flaps,
            power_unreadable,
        },
    )
}

/// What was asked of a run, and what must hold of it.
pub(super) struct Asked<'r> {
    /// Who must be down before whom.
    pub(super) leads: &'r [Vec<bool>],
    pub(super) targets: &'r [NodeId],
    pub(super) wishes: Wishes,
    pub(super) let_go: Option<u64>,
    pub(super) interrupted: bool,
}

/// Judges a run by what truly became of the nodes.
pub(super) fn judge(asked: &Asked<'_>, world: &World, endings: &[NodeEnding]) -> Result<(), TestCaseError> {
    let leads = asked.leads;
    for &(at, node, task) in &world.log {
        prop_assert!(asked.targets.contains(&node), "{task:?} on a node that is no target");
        match task {
            Task::PowerOff => prop_assert!(
                asked.wishes.force_off || world.is_halted(node, at),
                "{node:?} lost its power while running"
            ),
            Task::Run(_) => {
                for &leader in asked.targets.iter().filter(|leader| leads[leader.index()][node.index()]) {
                    prop_assert!(
                        was_over(asked, world, leader, at),
                        "{node:?} was told at {at:?} before {leader:?} was down"
                    );
                }
            }
            Task::ReadPower | Task::Probe => {}
            Task::PowerOn | Task::Reset => prop_assert!(false, "{task:?} at shutdown"),
        }
    }
    for ending in endings {
        let outcome = &ending.outcome;
        prop_assert!(
            asked.interrupted || *outcome != Outcome::Begun,
            "{:?} is reported as unfinished",
            ending.node
        );
        if let Outcome::Held(by) = outcome {
            let without_success = |other: &&NodeEnding| {
                let is_before = leads[other.node.index()][ending.node.index()];
                is_before && other.began.is_some() && other.let_go.is_none() && !other.outcome.is_well()
            };
            let all: Vec<NodeId> = endings.iter().filter(without_success).map(|other| other.node).collect();
            prop_assert!(
                !by.is_empty() && by.iter().all(|node| all.contains(node)),
                "held by a node that did not fail"
            );
            prop_assert!(asked.interrupted || **by == *all, "held by {by:?}, not by all of {all:?}");
        }
        let node = &world.nodes[ending.node.index()];
        let halts = matches!(node.manner, Manner::Halts { .. } | Manner::LosesConnection { .. });
        // Lost while it seemed to be down already, nothing shows that it was ever told.
        let gave_up = node.flaps && matches!(node.manner, Manner::LosesConnection { .. });
        if halts
            && node.able.probes
            && !matches!(outcome, Outcome::Held(_) | Outcome::Skipped | Outcome::Begun)
            && !gave_up
        {
            prop_assert!(outcome.is_well(), "{:?} halted and is {outcome:?}", ending.node);
        }
        if *outcome == Outcome::Skipped {
            prop_assert!(
                asked.wishes.stop_at_failure || asked.interrupted,
                "{:?} was never begun for no reason",
                ending.node
            );
        }
    }
    Ok(())
}

/// Tells whether what waits for `leader` might go on at a time.
fn was_over(asked: &Asked<'_>, world: &World, leader: NodeId, at: Duration) -> bool {
    let waited = asked.let_go.is_some_and(|limit| {
        world.log.iter().any(|&(told, who, what)| {
            who == leader && matches!(what, Task::Run(_)) && told + seconds(limit) <= at
        })
    });
    let node = &world.nodes[leader.index()];
    let blind = !node.able.reads_power && !node.able.probes && !node.able.switches_power;
    let cut = world.cut_at[leader.index()].is_some_and(|cut| cut <= at);
    // Where power cannot be read, a silent network looks like a node that is down.
    let silent = node.manner == Manner::Unreachable && !node.able.reads_power;
    world.is_halted(leader, at) || waited || cut || blind || silent
}

// Few cases; `make soak` runs 10,000.
proptest! {
    // Orders with a cycle are rejected, and 10,000 meet more than the usual 1,024.
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn no_node_goes_down_before_what_depends_on_it(
        nodes in prop::collection::vec(any_node(), 10),
        groups in prop::collection::vec(prop::collection::vec(0u32..10, 0..4), 1..6),
        stated in prop::collection::vec((0u32..6, 0u32..6), 0..8),
        targets in prop::collection::btree_set(0u32..10, 1..10),
        fanout in 1usize..6,
        force_off in any::<bool>(),
        stop_at_failure in any::<bool>(),
        let_go in prop::option::of(5u64..60),
        interrupt in prop::option::weighted(0.2, 0u32..300),
    ) {
        let count = groups.len() as u32;
        let edges: Vec<(u32, u32)> = stated.into_iter().filter(|(a, b)| a < b && *b < count).collect();
        let leads = before(&groups, &edges, 10);
        prop_assume!((0..10).all(|node| !leads[node][node]));
        let members: Vec<Vec<NodeId>> =
            groups.iter().map(|group| group.iter().copied().map(NodeId).collect()).collect();
        let stated: Vec<_> = edges.iter().map(|&(a, b)| (GroupId(a), GroupId(b))).collect();
        let order = Order::new(10, &members, &stated);
        let wishes = Wishes { force_off, stop_at_failure, ..wishes() };
        let limits = vec![StopLimits { let_go: let_go.map(seconds), ..limits() }; 10];
        let targets: Vec<NodeId> = targets.iter().copied().map(NodeId).collect();
        let mut world = World::new(nodes, fanout);
        let mut machine = Shutdown::new(&order, &targets, Vec::new(), wishes, &limits);
        run_and_interrupt(&mut machine, &mut world, interrupt);
        let asked = Asked { leads: &leads, targets: &targets, wishes, let_go, interrupted: interrupt.is_some() };
        judge(&asked, &world, &machine.endings())?;
    }
}

/// A judge that never objects proves nothing: each line of a chain is dropped in turn, behind his back.
#[test]
fn the_judge_objects_when_a_line_of_the_order_is_dropped() {
    let groups = [vec![0], vec![1], vec![2], vec![3]];
    let members: Vec<Vec<NodeId>> = (0..4).map(|node| vec![NodeId(node)]).collect();
    let lines = [(0, 1), (1, 2), (2, 3)];
    let leads = before(&groups, &lines, 4);
    let targets: Vec<NodeId> = (0..4).map(NodeId).collect();
    let verdict = |dropped: Option<usize>| {
        let kept = lines.iter().enumerate().filter(|(at, _)| Some(*at) != dropped);
        let stated: Vec<_> = kept.map(|(_, &(a, b))| (GroupId(a), GroupId(b))).collect();
        let order = Order::new(4, &members, &stated);
        let mut world = World::new(vec![imagined(Manner::Halts { takes: 20, early: 5 }); 4], 8);
        let mut machine = Shutdown::new(&order, &targets, Vec::new(), wishes(), &[limits(); 4]);
        run(&mut machine, &mut world);
        let asked =
            Asked { leads: &leads, targets: &targets, wishes: wishes(), let_go: None, interrupted: false };
        judge(&asked, &world, &machine.endings())
    };
    assert!(verdict(None).is_ok(), "{:?}", verdict(None));
    for dropped in 0..lines.len() {
        let objection = verdict(Some(dropped)).unwrap_err().to_string();
        assert!(objection.contains("was told at"), "{dropped}: {objection}");
    }
}
