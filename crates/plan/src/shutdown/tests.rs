//! Stopping imagined nodes, one behaviour a test; random ones are in `tests/random.rs`.

mod deadline;
mod random;
mod steered;
mod world;

use super::*;
use crate::doing::Doing;
use crate::drivers::{Drivers, RemoteCommand, Task};
use crate::graph::GroupId;
use crate::notice::{Happening, Notice};
use crate::outcome::Outcome;
use crate::run::Run;
use world::{Imagined, Manner, World, able, imagined, limits, run, seconds, wishes};

fn alone(node: Imagined, wishes: Wishes) -> (Outcome, World) {
    alone_with(node, wishes, limits())
}

fn alone_with(node: Imagined, wishes: Wishes, limits: StopLimits) -> (Outcome, World) {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(vec![node], 8);
    let mut machine = Shutdown::new(&order, &[NodeId(0)], Vec::new(), wishes, &[limits]);
    (run(&mut machine, &mut world).remove(0), world)
}

fn was_cut(world: &World) -> bool {
    world.cut_at[0].is_some()
}

#[test]
fn a_node_is_powered_off_only_after_its_probe_was_down_all_through_settle() {
    let (outcome, world) = alone(imagined(Manner::Halts { takes: 40, early: 25 }), wishes());
    assert_eq!(outcome, Outcome::Down);
    let told = world.told_at[0].unwrap();
    assert!(world.cut_at[0].unwrap() >= told + seconds(15 + 30), "{:?}", world.cut_at);
}

#[test]
fn a_node_that_switches_itself_off_is_not_switched_off_again() {
    let node = Imagined { powers_off: true, ..imagined(Manner::Halts { takes: 10, early: 5 }) };
    let (outcome, world) = alone(node, wishes());
    assert_eq!((outcome, was_cut(&world)), (Outcome::Down, false));
    assert!(world.now < seconds(20), "waited out the settling time for nothing");
}

#[test]
fn a_lost_connection_is_unknown_and_the_state_decides() {
    let (outcome, world) = alone(imagined(Manner::LosesConnection { takes: 5 }), wishes());
    assert_eq!((outcome, was_cut(&world)), (Outcome::Down, true));
    // Longer than all tellings take: it is not given up while it may be on its way down.
    let (outcome, world) = alone(imagined(Manner::LosesConnection { takes: 200 }), wishes());
    assert_eq!((outcome, was_cut(&world)), (Outcome::Down, true));
    let (outcome, world) = alone(imagined(Manner::StaysUp), wishes());
    assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome:?}");
    assert!(!was_cut(&world));
    let told = world.log.iter().filter(|(.., task)| *task == Task::Run(RemoteCommand::Halt)).count();
    assert_eq!(told, 3, "told once and twice again");
}

/// A halt that exits with 1 or 143 while the node goes down failed it, and held its servers; a node that
/// was down when it was told again was said to have been down before.
#[test]
fn a_halt_that_fails_is_unknown_and_the_state_decides() {
    for takes in [2, 8, 29] {
        for powers_off in [false, true] {
            let node = Imagined { powers_off, ..imagined(Manner::FailsAndHalts { takes }) };
            let (outcome, world) = alone(node, wishes());
            assert_eq!((outcome, was_cut(&world)), (Outcome::Down, !powers_off), "{takes} s, {powers_off}");
        }
        let blind = Imagined {
            able: able(true, true, false),
            powers_off: true,
            ..imagined(Manner::FailsAndHalts { takes })
        };
        let hasty = StopLimits { retries: 0, ..limits() };
        assert_eq!(alone_with(blind, wishes(), hasty).0, Outcome::Down, "{takes} s, power alone");
    }
    let (outcome, world) = alone(imagined(Manner::Refuses), wishes());
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(world.now < seconds(60), "a plain no is known after the settling time: {:?}", world.now);
}

#[test]
fn a_node_is_not_told_again_after_its_time() {
    // Told at 0.6 s, again after waits of 4 and 8 s.
    let hasty = StopLimits { timeout: seconds(6), ..limits() };
    let (outcome, world) = alone_with(imagined(Manner::StaysUp), wishes(), hasty);
    assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome:?}");
    let told = world.log.iter().filter(|(.., task)| *task == Task::Run(RemoteCommand::Halt)).count();
    assert_eq!(told, 2, "not after its time was over: {:?}", world.log);
}

#[test]
fn a_node_that_refuses_hangs_or_cannot_be_reached_keeps_its_power() {
    for manner in [Manner::Refuses, Manner::Hangs, Manner::Unreachable] {
        let (outcome, world) = alone(imagined(manner), wishes());
        assert!(!outcome.is_well() && !was_cut(&world), "{manner:?}: {outcome:?}");
        let (outcome, world) = alone(imagined(manner), Wishes { force_off: true, ..wishes() });
        assert_eq!((outcome, was_cut(&world)), (Outcome::Down, true), "{manner:?} with --force-off");
    }
}

/// In pictures, and for whoever asked, it was asked how it stands all the while.
#[test]
fn between_two_tries_a_node_waits_and_is_not_asked_how_it_stands() {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(vec![imagined(Manner::Unreachable)], 8);
    let mut machine = Shutdown::new(&order, &[NodeId(0)], Vec::new(), wishes(), &[limits()]);
    run(&mut machine, &mut world);
    let notices = machine.take_notices();
    let retried = |notice: &Notice| matches!(notice.what, Happening::Retried(..));
    let waits = |notice: &Notice| notice.what == Happening::Went(Doing::WaitingToTryAgain);
    let times = |is_it: &dyn Fn(&Notice) -> bool| -> Vec<Duration> {
        notices.iter().filter(|notice| is_it(notice)).map(|notice| notice.at).collect()
    };
    assert_eq!(times(&retried).len(), 2, "{notices:?}");
    assert_eq!(times(&retried), times(&waits), "{notices:?}");
}

#[test]
fn a_node_already_off_is_left_alone() {
    let (outcome, world) = alone(imagined(Manner::Off), wishes());
    assert_eq!(outcome, Outcome::AlreadyDown);
    assert!(world.log.iter().all(|(.., task)| matches!(task, Task::ReadPower | Task::Probe)));
}

#[test]
fn without_a_power_switch_down_through_settle_is_down() {
    let node = Imagined { able: able(false, false, true), ..imagined(Manner::Halts { takes: 5, early: 0 }) };
    let (outcome, world) = alone(node, wishes());
    assert_eq!((outcome, was_cut(&world)), (Outcome::Down, false));
    assert!(world.now >= seconds(35));
    let (outcome, world) = alone(Imagined { manner: Manner::Off, ..node }, wishes());
    assert_eq!(outcome, Outcome::AlreadyDown);
    assert!(world.now >= seconds(30));
}

#[test]
fn unreadable_power_is_judged_by_the_probe() {
    let node = Imagined {
        power_unreadable: true,
        powers_off: true,
        ..imagined(Manner::Halts { takes: 5, early: 0 })
    };
    let (outcome, world) = alone(node, wishes());
    assert_eq!((outcome, was_cut(&world)), (Outcome::Down, true));
}

#[test]
fn what_nothing_can_show_to_be_down_is_not_powered_off() {
    let node = Imagined { able: able(true, false, false), ..imagined(Manner::Halts { takes: 5, early: 0 }) };
    let (outcome, world) = alone(node, wishes());
    assert!(matches!(outcome, Outcome::Failed(_)) && !was_cut(&world), "{outcome:?}");
}

#[test]
fn maintenance_is_done_when_the_probe_says_down_and_power_stays_on() {
    let maintenance = Wishes { goal: Goal::Maintenance, power_off: false, ..wishes() };
    let (outcome, world) = alone(imagined(Manner::Halts { takes: 5, early: 0 }), maintenance);
    assert_eq!((outcome, was_cut(&world)), (Outcome::Maintenance, false));
    assert!(world.log.contains(&(
        world.told_at[0].unwrap(),
        NodeId(0),
        Task::Run(RemoteCommand::Maintenance)
    )));
    assert!(world.now < seconds(10));
}

#[test]
fn a_node_without_a_switch_is_told_to_restart() {
    let node = Imagined { able: able(false, false, true), ..imagined(Manner::Halts { takes: 5, early: 0 }) };
    let (outcome, world) = alone(node, Wishes { goal: Goal::Restart, ..wishes() });
    assert!(matches!(outcome, Outcome::TimedOut(_)), "it never comes up in this world: {outcome:?}");
    assert!(world.log.iter().any(|(.., task)| *task == Task::Run(RemoteCommand::Restart)));
}

#[test]
fn a_unit_is_switched_off_without_being_halted() {
    let (outcome, world) =
        alone_with(imagined(Manner::Hangs), wishes(), StopLimits { unit: true, ..limits() });
    assert_eq!((outcome, was_cut(&world)), (Outcome::Down, true));
    assert!(world.log.iter().all(|(.., task)| !matches!(task, Task::Run(_) | Task::Probe)));
}

fn pair() -> Order {
    Order::new(3, &[vec![NodeId(0)], vec![NodeId(1)]], &[(GroupId(0), GroupId(1))])
}

#[test]
fn w_lets_followers_go_on_and_never_permits_a_power_off() {
    let order = pair();
    let halts = imagined(Manner::Halts { takes: 1, early: 0 });
    let mut world = World::new(vec![imagined(Manner::Hangs), halts, halts], 8);
    let mut machine = Shutdown::new(
        &order,
        &[NodeId(0), NodeId(1)],
        Vec::new(),
        wishes(),
        &[StopLimits { let_go: Some(seconds(20)), ..limits() }; 3],
    );
    let outcomes = run(&mut machine, &mut world);
    assert!(matches!(outcomes[0], Outcome::TimedOut(_)));
    assert_eq!(outcomes[1], Outcome::Down);
    assert!(world.cut_at[0].is_none());
    assert!(machine.endings()[0].let_go.is_some());
}

#[test]
fn w_does_not_cut_the_disks_under_a_running_node() {
    let mut order = Order::new(2, &[], &[]);
    order.put_before(NodeId(0), NodeId(1));
    let patient = StopLimits { let_go: Some(seconds(20)), ..limits() };
    let unit = StopLimits { unit: true, ..limits() };
    for (manner, wanted) in [
        (Manner::Hangs, Outcome::Held([NodeId(0)].into())),
        (Manner::Halts { takes: 60, early: 5 }, Outcome::Down),
    ] {
        let mut world = World::new(vec![imagined(manner), imagined(Manner::Hangs)], 8);
        let both = [NodeId(0), NodeId(1)];
        let mut machine = Shutdown::new(&order, &both, Vec::new(), wishes(), &[patient, unit]);
        assert_eq!(run(&mut machine, &mut world)[1], wanted, "{manner:?}");
        assert!(machine.endings()[0].let_go.is_some());
        assert!(world.cut_at[1].is_none_or(|cut| world.is_halted(NodeId(0), cut)));
    }
}

#[test]
fn what_must_follow_a_failure_is_held_and_s_stops_the_rest() {
    let order = pair();
    let nodes = vec![
        imagined(Manner::Refuses),
        imagined(Manner::Halts { takes: 1, early: 0 }),
        imagined(Manner::Halts { takes: 1, early: 0 }),
    ];
    let all = [NodeId(0), NodeId(1), NodeId(2)];
    let mut machine = Shutdown::new(&order, &all, Vec::new(), wishes(), &[limits(); 3]);
    let outcomes = run(&mut machine, &mut World::new(nodes.clone(), 8));
    assert_eq!(outcomes[1..], [Outcome::Held([NodeId(0)].into()), Outcome::Down]);

    let stop = Wishes { stop_at_failure: true, ..wishes() };
    let hasty = StopLimits { retries: 0, ..limits() };
    let mut machine = Shutdown::new(&order, &all, Vec::new(), stop, &[hasty; 3]);
    // One that says no is watched for a while; one that nobody hears from has failed at once.
    let nodes = [vec![imagined(Manner::Unreachable)], nodes[1..].to_vec()].concat();
    let outcomes = run(&mut machine, &mut World::new(nodes, 1));
    assert_eq!(outcomes[2], Outcome::Skipped, "not yet told when node 0 failed: {outcomes:?}");
}

#[test]
fn an_interrupt_begins_nothing_more_and_waits_for_calls_only() {
    let order = pair();
    let mut world = World::new(vec![imagined(Manner::Hangs); 3], 1);
    let mut machine = Shutdown::new(&order, &[NodeId(0), NodeId(2)], Vec::new(), wishes(), &[limits(); 3]);
    while world.told_at[0].is_none() {
        machine.advance(&mut world);
        for event in world.next(machine.wake()) {
            machine.hear(&world, &event);
        }
    }
    machine.interrupt();
    let outcomes = run(&mut machine, &mut world);
    assert_eq!(outcomes[0], Outcome::Begun);
    assert_eq!(outcomes[1], Outcome::Skipped);
    assert!(world.now < seconds(10));
}

#[test]
fn a_round_runs_once_on_each_node_within_the_limit_and_reports_failures() {
    let mut world = World::new(vec![imagined(Manner::Hangs), imagined(Manner::Refuses)], 1);
    let order = Order::new(2, &[], &[]);
    let mut round = Round::new(&order, RemoteCommand::Notify, &[NodeId(0), NodeId(1)]);
    while !round.is_over() {
        round.advance(&mut world);
        for event in world.next(round.wake()) {
            round.hear(&world, &event);
        }
    }
    assert_eq!(world.log.len(), 2);
    let endings = round.endings();
    assert_eq!(endings[0].outcome, Outcome::Up);
    assert_eq!(endings[1].outcome.detail(), Some("imagined"));
}
