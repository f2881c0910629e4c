//! Shutdowns with a deadline: each cluster is stopped once with all the time there is, which shows how long its nodes
//! take, and then again within less; what was foretold by that has to come true.

use super::super::*;
use super::random::{Asked, before, judge};
use super::world::{Imagined, Manner, World, able, imagined, limits, run, seconds, wishes};
use crate::deadline::{AskedTimes, CallLimits, DeadlinePlan, Fit, Forecast, NodeCalls, NodeTakes, SlotUse};
use crate::drivers::{Drivers, Task};
use crate::graph::GroupId;
use crate::outcome::Outcome;
use crate::run::Run;
use proptest::prelude::*;

/// A node that goes down when it is told.
fn any_node() -> impl Strategy<Value = Imagined> {
    let halts =
        (1u64..90, 0u64..29).prop_map(|(takes, early)| Manner::Halts { takes, early: early.min(takes) });
    (halts, any::<[bool; 2]>(), any::<bool>()).prop_map(|(manner, [reads, powers_off], probes)| Imagined {
        manner,
        able: able(true, reads || !probes, probes),
        powers_off: powers_off || !probes,
        flaps: false,
        power_unreadable: false,
    })
}

/// The limits of a world in which so many calls run at once.
fn call_limits(nodes: &[Imagined], at_once: usize) -> CallLimits {
    let call = Duration::from_millis(300);
    let calls = |node: &Imagined| NodeCalls {
        able: node.able,
        look: call,
        tell: call,
        switch: call,
        shell: SlotUse::Own,
        power: SlotUse::Own,
        read: SlotUse::Own,
        probe: SlotUse::Own,
        controller: None,
    };
    CallLimits {
        at_once,
        per_controller: 1,
        calls: nodes.iter().map(calls).collect(),
        stops: vec![limits(); nodes.len()],
    }
}

/// Returns how long each node took in a run that had all the time there is.
fn learned(order: &Order, nodes: &[Imagined]) -> Vec<NodeTakes> {
    let mut world = World::new(nodes.to_vec(), usize::MAX);
    let targets: Vec<NodeId> = (0..nodes.len() as u32).map(NodeId).collect();
    let mut machine = Shutdown::new(order, &targets, Vec::new(), wishes(), &vec![limits(); nodes.len()]);
    run(&mut machine, &mut world);
    let cuts: Vec<(NodeId, Duration)> = machine.power_offs().collect();
    let takes = |ending: crate::outcome::NodeEnding| {
        let (began, ended) = (ending.began.unwrap(), ending.ended.unwrap());
        let cut = cuts.iter().find(|(node, _)| *node == ending.node).map_or(ended, |(_, cut)| *cut);
        NodeTakes { halt: cut - began, off: Some(ended - cut) }
    };
    machine.endings().into_iter().map(takes).collect()
}

proptest! {
    #[test]
    fn a_run_that_goes_as_was_foretold_is_over_in_time(
        nodes in prop::collection::vec(any_node(), 8),
        groups in prop::collection::vec(prop::collection::vec(0u32..8, 0..4), 1..5),
        stated in prop::collection::vec((0u32..5, 0u32..5), 0..6),
        share in prop_oneof![1 => 0u64..150, 2 => 95u64..115],
        tightened in prop::option::weighted(0.3, (0u64..100, 1usize..200)),
        at_once in prop_oneof![3 => 1usize..5, 1 => Just(usize::MAX)],
    ) {
        let count = groups.len() as u32;
        let edges: Vec<(u32, u32)> = stated.into_iter().filter(|(a, b)| a < b && *b < count).collect();
        let leads = before(&groups, &edges, 8);
        prop_assume!((0..8).all(|node| !leads[node][node]));
        let members: Vec<Vec<NodeId>> =
            groups.iter().map(|group| group.iter().copied().map(NodeId).collect()).collect();
        let stated: Vec<_> = edges.iter().map(|&(a, b)| (GroupId(a), GroupId(b))).collect();
        let order = Order::new(8, &members, &stated);
        let targets: Vec<NodeId> = (0..8).map(NodeId).collect();
        let takes = learned(&order, &nodes);
        let asked = AskedTimes { call: seconds(2), ..AskedTimes::default() };
        let forecast = Forecast::new(&order, takes.clone(), &call_limits(&nodes, at_once), &[]);
        let whole = forecast.held.halts + forecast.held.offs;
        prop_assert!(whole >= forecast.free.halts + forecast.free.offs);
        let mut left = whole * share as u32 / 100;
        let mut plan = DeadlinePlan::new(left, &forecast, &asked);
        let bounds: Vec<StopLimits> =
            plan.cut_before.iter().map(|&cut_before| StopLimits { cut_before, hurried: true, ..limits() }).collect();
        let mut world = World::new(nodes.clone(), at_once);
        if plan.lifts_limits { world.fanout = usize::MAX }
        let mut machine = Shutdown::new(&order, &targets, Vec::new(), wishes(), &bounds);
        let mut tightened_at = None;
        for round in 0.. {
            if let Some((share, _)) = tightened.filter(|(_, at)| *at == round) {
                left = left * share as u32 / 100;
                plan = DeadlinePlan::new(left, &forecast, &asked);
                machine.cut_before(&plan.cut_before);
                tightened_at = Some(world.now);
            }
            // Whatever holds a halt up, it is let through when it would come too late otherwise.
            if world.now + forecast.needs(&machine, world.now) + forecast.slack > left { world.fanout = usize::MAX }
            machine.advance(&mut world);
            if machine.is_over() { break }
            let last = left.saturating_sub(forecast.needs(&machine, world.now) + forecast.slack);
            let wake = machine.wake().map(|wake| if last > world.now { wake.min(last) } else { wake });
            for event in world.next(wake) { machine.hear(&world, &event) }
        }
        let asked = Asked { leads: &leads, targets: &targets, wishes: wishes(), let_go: None, interrupted: false };
        judge(&asked, &world, &machine.endings())?;
        for ending in machine.endings() {
            prop_assert_eq!(&ending.outcome, &Outcome::Down);
            let ended = ending.ended.unwrap();
            if tightened_at.is_none() {
                prop_assert!(plan.late.contains(&ending.node) || ended <= left, "{ending:?} of {left:?}: {plan:?}");
            }
        }
        for &(at, node, task) in &world.log {
            if task == Task::PowerOff {
                let in_time = at < plan.cut_before[node.index()] || tightened_at.is_some_and(|time| at <= time);
                prop_assert!(in_time, "{node:?} was cut into at {at:?}: {plan:?}");
                if tightened_at.is_none() {
                    prop_assert!(at + takes[node.index()].off.unwrap() <= left);
                }
                let told = world.told_at[node.index()].unwrap();
                let Manner::Halts { takes, early } = nodes[node.index()].manner else { unreachable!() };
                // Settling is counted from when the probe went down.
                prop_assert!(at >= told + seconds(takes - early) + limits().settle, "{node:?} had not settled");
            }
        }
        if plan.fit == Fit::Late && tightened_at.is_none() {
            let missed = machine.endings().into_iter().filter(|ending| ending.ended.unwrap() > left);
            prop_assert_eq!(missed.map(|ending| ending.node).collect::<Vec<_>>(), plan.late);
        }
    }
}

/// A power-off that waits for a call of others is taken back when its time is over, to the moment.
#[test]
fn no_power_off_begins_that_would_be_cut_into() {
    let node = imagined(Manner::Halts { takes: 10, early: 0 });
    let order = Order::unordered(&[NodeId(0), NodeId(1)]);
    let stop = |cut_before: Duration, wishes: Wishes, unit: bool| {
        let limits = StopLimits { cut_before, ..limits() };
        let bounds = [limits, StopLimits { unit, ..limits }];
        let mut world = World::new(vec![node; 2], 1);
        let mut machine = Shutdown::new(&order, &[NodeId(0), NodeId(1)], Vec::new(), wishes, &bounds);
        let outcomes = run(&mut machine, &mut world);
        let cuts = world.log.iter().filter(|(_, _, task)| *task == Task::PowerOff).count();
        (outcomes, cuts, machine.endings()[0].ended.unwrap())
    };
    let (all, cuts, ended) = stop(Duration::MAX, wishes(), false);
    assert_eq!((all, cuts), (vec![Outcome::Down; 2], 2));
    assert!(ended > seconds(40), "it settled: {ended:?}");
    let (none, cuts, ended) = stop(seconds(30), wishes(), false);
    assert_eq!((none, cuts), (vec![Outcome::Down; 2], 0));
    assert!(ended > seconds(40), "it settled even so: {ended:?}");
    let (unit, cuts, _) = stop(Duration::ZERO, wishes(), true);
    assert_eq!((unit, cuts), (vec![Outcome::Down, Outcome::Skipped], 0));
    let hung = imagined(Manner::Hangs);
    let mut world = World::new(vec![hung], 1);
    let bounds = [StopLimits { cut_before: seconds(60), ..limits() }];
    let forcing = Wishes { force_off: true, ..wishes() };
    let order = Order::unordered(&[NodeId(0)]);
    let mut machine = Shutdown::new(&order, &[NodeId(0)], Vec::new(), forcing, &bounds);
    let outcomes = run(&mut machine, &mut world);
    assert!(matches!(&outcomes[..], [Outcome::TimedOut(_)]), "{outcomes:?}");
    assert_eq!(world.cut_at, [None], "not even a forced one");
}
