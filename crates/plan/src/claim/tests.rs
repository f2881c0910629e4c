//! Claims against an oracle that knows no graph, and a queue of runs against its promises.

use super::*;
use crate::graph::GroupId;
use proptest::prelude::*;

const NODES: usize = 9;
/// From here on they are units.
const UNITS: usize = 7;

/// Groups and which comes before which.
#[derive(Debug, Clone)]
struct Groups {
    members: Vec<Vec<usize>>,
    edges: Vec<(usize, usize)>,
}

fn groups() -> impl Strategy<Value = Groups> {
    let members = prop::collection::vec(prop::collection::vec(0..UNITS, 0..3), 1..6);
    members.prop_flat_map(|members| {
        let count = members.len();
        let edges = prop::collection::vec((0..count, 0..count), 0..5);
        edges.prop_map(move |edges| Groups { members: members.clone(), edges })
    })
}

/// By unit, the nodes that are powered with it.
fn powered() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0..UNITS, 0..3), NODES - UNITS)
}

fn targets() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..UNITS, 1..3)
}

fn id(node: usize) -> NodeId {
    NodeId(u32::try_from(node).unwrap())
}

const NAMES: [&str; NODES] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "u0", "u1"];

fn order(groups: &Groups, powered: &[Vec<usize>], mirrored: bool) -> Order {
    let members: Vec<Vec<NodeId>> =
        groups.members.iter().map(|members| members.iter().map(|&node| id(node)).collect()).collect();
    let group = |at: usize| GroupId(u32::try_from(at).unwrap());
    let edges: Vec<_> = groups.edges.iter().map(|&(a, b)| (group(a), group(b))).collect();
    let mut order = Order::new(NODES, &members, &edges);
    for (unit, nodes) in powered.iter().enumerate() {
        nodes.iter().for_each(|&node| order.put_before(id(UNITS + unit), id(node)));
    }
    if mirrored { order.mirrored() } else { order }
}

fn units(powered: &[Vec<usize>], targets: &BTreeSet<usize>) -> Vec<usize> {
    let is_with = |nodes: &Vec<usize>| nodes.iter().any(|node| targets.contains(node));
    (0..powered.len()).filter(|&unit| is_with(&powered[unit])).map(|unit| UNITS + unit).collect()
}

/// Closes a relation by brute force.
fn close(mut before: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    let count = before.len();
    for through in 0..count {
        for a in 0..count {
            for b in 0..count {
                before[a][b] |= before[a][through] && before[through][b];
            }
        }
    }
    before
}

/// Returns who comes before whom: pair by pair, first of groups, then of nodes.
fn oracle(groups: &Groups, powered: &[Vec<usize>]) -> Vec<Vec<bool>> {
    let count = groups.members.len();
    let mut of_groups = vec![vec![false; count]; count];
    groups.edges.iter().for_each(|&(a, b)| of_groups[a][b] = true);
    let of_groups = close(of_groups);
    let mut before = vec![vec![false; NODES]; NODES];
    for (firsts, row) in groups.members.iter().zip(&of_groups) {
        for (thens, _) in groups.members.iter().zip(row).filter(|(_, is_before)| **is_before) {
            for &first in firsts {
                thens.iter().for_each(|&then| before[first][then] = true);
            }
        }
    }
    for (unit, nodes) in powered.iter().enumerate() {
        nodes.iter().for_each(|&node| before[UNITS + unit][node] = true);
    }
    close(before)
}

proptest! {
    #[test]
    fn runs_touch_where_what_they_act_on_meets_leads_or_trails(
        start in groups(),
        shut in groups(),
        powered in powered(),
        (one, other) in (targets(), targets()),
    ) {
        let orders = [order(&start, &powered, false), order(&shut, &powered, true)];
        let claim = |targets: &BTreeSet<usize>| {
            let all: Vec<NodeId> = targets.iter().map(|&node| id(node)).collect();
            let units: Vec<NodeId> = units(&powered, targets).into_iter().map(id).collect();
            Claim::of(&[&orders[0], &orders[1]], &all, &units, |node| NAMES[node.index()])
        };
        let acted = |targets: &BTreeSet<usize>| -> BTreeSet<usize> {
            targets.iter().copied().chain(units(&powered, targets)).collect()
        };
        let before = [oracle(&start, &powered), oracle(&shut, &powered)];
        let pairs: Vec<(usize, usize)> =
            acted(&one).into_iter().flat_map(|a| acted(&other).into_iter().map(move |b| (a, b))).collect();
        let is_bound = |&(a, b): &(usize, usize)| {
            a == b || before.iter().any(|before| before[a][b] || before[b][a])
        };
        let wanted = pairs.iter().any(is_bound);
        let (one, other) = (claim(&one), claim(&other));
        prop_assert_eq!(one.touch(&other).is_some(), wanted, "{:?} {:?}", one, other);
        prop_assert_eq!(other.touch(&one).is_some(), wanted, "it is the same from the other side");
    }

    /// Arrivals that wait or do not, and ends, in any order.
    #[test]
    fn a_queue_lets_no_two_that_touch_act_and_holds_up_nobody_else(
        steps in prop::collection::vec((any::<bool>(), 0..4u8, prop::collection::btree_set(0..6u8, 1..4)), 1..40),
    ) {
        let mut runs: Vec<(u64, Stage, Claim, Vec<u64>)> = Vec::new();
        let mut number = 0;
        for (waits, end, nodes) in steps {
            if end == 0 && !runs.is_empty() {
                let acting = runs.iter().position(|run| run.1 == Stage::Acting);
                runs.remove(acting.expect("somebody always acts: the first that waits touches only who acts"));
            } else {
                number += 1;
                let targets = nodes.iter().map(|node| format!("n{node}")).collect();
                let claim = Claim { targets, ..Claim::default() };
                let touched: Vec<u64> =
                    runs.iter().filter(|run| claim.touch(&run.2).is_some()).map(|run| run.0).collect();
                let own = Queued { number, stage: Stage::Waiting, claim: &claim };
                let held = runs.iter().any(|run| {
                    own.is_held_by(&Queued { number: run.0, stage: run.1, claim: &run.2 }).is_some()
                });
                prop_assert_eq!(held, !touched.is_empty(), "refused is who touches one that acts or waits, and nobody else");
                match (held, waits) {
                    (true, false) => continue,
                    (true, true) => runs.push((number, Stage::Waiting, claim, touched)),
                    (false, _) => runs.push((number, Stage::Acting, claim, touched)),
                }
            }
            // Whoever waits looks again, in any order; here the latest first.
            for at in (0..runs.len()).rev().filter(|&at| runs[at].1 == Stage::Waiting).collect::<Vec<_>>() {
                let own = Queued { number: runs[at].0, stage: Stage::Waiting, claim: &runs[at].2 };
                let held = runs.iter().enumerate().any(|(other, run)| {
                    other != at && own.is_held_by(&Queued { number: run.0, stage: run.1, claim: &run.2 }).is_some()
                });
                // It waits for those that it met when it came, and for nobody who came later.
                let waited: BTreeSet<u64> = runs[at].3.iter().copied().collect();
                let there = runs.iter().any(|run| waited.contains(&run.0));
                prop_assert_eq!(held, there);
                if !held {
                    runs[at].1 = Stage::Acting;
                }
            }
            let acting: Vec<&Claim> =
                runs.iter().filter(|run| run.1 == Stage::Acting).map(|run| &run.2).collect();
            for (at, one) in acting.iter().enumerate() {
                prop_assert!(acting[..at].iter().all(|other| one.touch(other).is_none()));
            }
        }
    }
}

fn claim(targets: &[&str], marks: &[&str]) -> Claim {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Claim { targets: names(targets), marks: names(marks), ..Claim::default() }
}

#[test]
fn one_machine_under_two_names_is_met_and_what_is_not_known_is_never_free() {
    let (one, other) = (claim(&["n1"], &["address 10.0.0.1"]), claim(&["node1"], &["address 10.0.0.1"]));
    assert_eq!(one.touch(&other), Some(Touch::Marks(vec!["address 10.0.0.1".to_owned()])));
    let unknown = Claim { unbounded: true, ..claim(&["n9"], &[]) };
    assert_eq!(one.touch(&unknown), Some(Touch::Unknown));
    assert_eq!(unknown.touch(&one), Some(Touch::Unknown));
    assert_eq!(one.touch(&claim(&["n2"], &[])), None);
}

#[test]
fn what_two_claim_together_touches_what_either_does() {
    let bound = Claim { bound: ["n4".to_owned()].into(), ..claim(&["n2"], &["address 10.0.0.2"]) };
    let unknown = Claim { unbounded: true, ..claim(&["n5"], &[]) };
    let all =
        [claim(&["n1"], &[]), bound, unknown, claim(&["n4"], &[]), claim(&["x"], &["address 10.0.0.2"])];
    for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
        let mut both = one.clone();
        both.add(other.clone());
        for third in &all {
            let either = one.touch(third).or(other.touch(third));
            assert_eq!(both.touch(third).is_some(), either.is_some(), "{both:?} {third:?}");
        }
    }
}

#[test]
fn shutdowns_that_wait_for_their_time_are_in_nobodys_way_but_each_others() {
    let all = claim(&["n1"], &[]);
    let at = |number, stage| Queued { number, stage, claim: &all };
    assert!(at(2, Stage::Waiting).is_held_by(&at(1, Stage::Pending)).is_none());
    assert!(at(1, Stage::Pending).is_held_by(&at(2, Stage::Acting)).is_none());
    assert!(at(1, Stage::Pending).is_held_by(&at(2, Stage::Pending)).is_some());
    assert!(at(1, Stage::Waiting).is_held_by(&at(2, Stage::Waiting)).is_none(), "it came first");
    assert!(at(2, Stage::Waiting).is_held_by(&at(1, Stage::Waiting)).is_some());
}
