//! What a deadline leaves of the phases, by examples and for any times.

use super::*;
use crate::drivers::Abilities;
use crate::graph::{GroupId, Order};
use crate::shutdown::StopLimits;
use proptest::prelude::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two clients before one server; each halts in a minute, and powers off in 20 seconds.
fn cluster() -> (Order, Vec<NodeTakes>) {
    let groups = [vec![NodeId(0), NodeId(1)], vec![NodeId(2)]];
    let order = Order::new(3, &groups, &[(GroupId(0), GroupId(1))]);
    (order, vec![NodeTakes { halt: seconds(60), off: Some(seconds(20)) }; 3])
}

fn asked() -> AskedTimes {
    AskedTimes {
        wait: seconds(300),
        tell: Some(seconds(30)),
        grace: Some(seconds(30)),
        subsystems: Some(seconds(40)),
        call: seconds(2),
        rounds: 1,
        last: Duration::ZERO,
    }
}

/// So many calls of 2 s at once, a node's own each, and one at once for each controller that is named.
fn limits(at_once: usize, controllers: Vec<Option<u32>>) -> CallLimits {
    let able = Abilities {
        switches_power: true,
        reads_power: true,
        runs_commands: true,
        halts: true,
        probes: true,
        interval: seconds(2),
        ..Abilities::default()
    };
    let calls = |controller| NodeCalls {
        able,
        look: seconds(1),
        tell: seconds(2),
        switch: seconds(2),
        shell: SlotUse::Own,
        power: SlotUse::Own,
        read: SlotUse::Own,
        probe: SlotUse::None,
        controller,
    };
    let stop = StopLimits {
        unit: false,
        settle: seconds(30),
        timeout: seconds(1),
        retries: 0,
        let_go: None,
        cut_before: Duration::ZERO,
        hurried: false,
    };
    CallLimits {
        at_once,
        per_controller: 1,
        stops: vec![stop; controllers.len()],
        calls: controllers.into_iter().map(calls).collect(),
    }
}

fn free(order: &Order, takes: Vec<NodeTakes>) -> Forecast<'_> {
    let limits = limits(usize::MAX, vec![None; takes.len()]);
    Forecast::new(order, takes, &limits, &[])
}

fn plan(left: u64) -> DeadlinePlan {
    let (order, takes) = cluster();
    DeadlinePlan::new(seconds(left), &free(&order, takes), &asked())
}

#[test]
fn where_there_is_time_nothing_is_shortened_and_all_stands_before_the_end() {
    let plan = plan(1000);
    assert_eq!(plan.fit, Fit::Whole);
    assert_eq!(
        (plan.users.wait, plan.users.tell, plan.users.grace),
        (seconds(300), Some(seconds(30)), Some(seconds(30)))
    );
    assert_eq!((plan.nodes.halts, plan.nodes.offs), (seconds(120), seconds(40)));
    // The halts begin 160 s before the end, the subsystems 40 s before that, users' processes 32 s before those.
    assert_eq!((plan.halts_by, plan.users_by, plan.notice_by), (seconds(840), seconds(800), seconds(768)));
    // The clients' power-offs leave a minute for the server's halt.
    assert_eq!(plan.cut_before, [seconds(920), seconds(920), seconds(980)]);
}

#[test]
fn the_wait_shrinks_first_then_telling_then_the_grace_and_settling_never() {
    let plan_of =
        |left| (plan(left).fit, plan(left).users.wait, plan(left).users.tell, plan(left).users.grace);
    let s = seconds;
    assert_eq!(plan_of(400), (Fit::Shortened, s(138), Some(s(30)), Some(s(30))));
    assert_eq!(plan_of(250), (Fit::Shortened, s(0), Some(s(18)), Some(s(30))));
    assert_eq!(plan_of(220), (Fit::Shortened, s(0), Some(s(2)), Some(s(16))));
    assert_eq!(plan_of(202), (Fit::Shortened, s(0), Some(s(2)), None), "a call that cannot end is not begun");
    assert_eq!(plan_of(200), (Fit::Shortened, s(0), None, None));
    assert_eq!([400, 250, 220, 200].map(|left| plan(left).nodes.halts), [s(120); 4]);
}

#[test]
fn what_does_not_fit_with_power_offs_goes_without_and_users_get_the_time() {
    let plan = plan(199);
    assert_eq!(
        (plan.fit, plan.users.grace, plan.users.tell),
        (Fit::NoPowerOff, Some(seconds(30)), Some(seconds(7)))
    );
    assert_eq!(plan.cut_before, [Duration::ZERO; 3]);
    assert_eq!(plan.subsystems, Some(seconds(40)));
    assert!(!plan.fits());
}

/// The phases before used their whole time and a moment more: all power-offs that had been said were left out.
#[test]
fn a_power_off_that_was_said_is_decided_node_by_node() {
    let (order, takes) = cluster();
    let forecast = free(&order, takes);
    let said = plan(1000);
    let halting = AskedTimes { rounds: 1, call: seconds(2), ..AskedTimes::default() };
    let begun = |said: &DeadlinePlan, passed: u64, left: u64| {
        said.at_first_halt((seconds(passed), seconds(left)), &forecast, &halting)
    };
    assert_eq!(DeadlinePlan::new(seconds(159), &forecast, &halting).fit, Fit::NoPowerOff);
    let late = begun(&said, 841, 159);
    assert!(late.fits(), "{late:?}");
    assert_eq!(late.cut_before, [seconds(79), seconds(79), seconds(139)]);
    let left_out = plan(199);
    let early = begun(&left_out, 0, 199);
    assert_eq!((early.fit, early.cut_before), (Fit::NoPowerOff, vec![Duration::ZERO; 3]), "as was said");
}

#[test]
fn subsystems_are_ended_when_the_halts_have_to_begin() {
    let plan = plan(150);
    assert_eq!((plan.fit, plan.subsystems), (Fit::CutSubsystems, Some(seconds(30))));
    assert_eq!((plan.users.grace, plan.users.tell, plan.halts_by), (None, None, seconds(30)));
}

#[test]
fn where_the_halts_do_not_fit_they_begin_at_once_and_who_is_late_is_named() {
    let plan = plan(100);
    assert_eq!((plan.fit, plan.subsystems, plan.halts_by), (Fit::Late, None, Duration::ZERO));
    assert_eq!(plan.late, [NodeId(2)]);
    assert_eq!(self::plan(30).late, [NodeId(0), NodeId(1), NodeId(2)]);
}

#[test]
fn this_machine_comes_after_all_others() {
    let (order, takes) = cluster();
    let asked = AskedTimes { last: seconds(15), ..asked() };
    let plan = DeadlinePlan::new(seconds(1000), &free(&order, takes), &asked);
    assert_eq!((plan.nodes.halts, plan.halts_by), (seconds(135), seconds(825)));
    assert_eq!(plan.cut_before[0], seconds(905));
}

/// Eight clients, of which only one is told at a time, were thought to go down together: the server that waits for them
/// was down too late, and everything had been said to fit.
#[test]
fn calls_that_wait_for_one_another_count_and_limits_are_lifted_where_the_halts_fit_only_without() {
    let clients: Vec<NodeId> = (0..8).map(NodeId).collect();
    let order = Order::new(9, &[clients, vec![NodeId(8)]], &[(GroupId(0), GroupId(1))]);
    let takes = vec![NodeTakes { halt: seconds(60), off: Some(seconds(20)) }; 9];
    let none = AskedTimes { rounds: 1, ..AskedTimes::default() };
    let held = Forecast::new(&order, takes.clone(), &limits(1, vec![None; 9]), &[]);
    assert_eq!((held.free.halts, held.free.offs), (seconds(120), seconds(40)));
    // Eight commands of 2 s, and all that is asked of the nodes meanwhile, one after the other.
    assert!(held.is_held() && held.held.halts >= seconds(120 + 7 * 2), "{:?}", held.held);
    let plan = |left: Duration| DeadlinePlan::new(left, &held, &none);
    let whole = held.held.halts + held.held.offs + held.slack;
    assert_eq!((plan(whole).fit, plan(whole).lifts_limits), (Fit::Whole, false));
    let less = plan(whole - seconds(1));
    assert_eq!((less.fit, less.lifts_limits), (Fit::NoPowerOff, false));
    let lifted = plan(held.held.halts - seconds(1));
    assert_eq!((lifted.fit, lifted.lifts_limits, lifted.nodes.halts), (Fit::NoPowerOff, true, seconds(120)));
    assert_eq!(plan(seconds(119)).late, [NodeId(8)]);
    // Slots enough for all: nobody waits.
    let wide = Forecast::new(&order, takes.clone(), &limits(30, vec![None; 9]), &[]);
    assert!(!wide.is_held(), "{:?}", wide.held);
    // One controller takes one call at a time: power-offs wait for one another, and so does what is asked of it.
    let one = Forecast::new(&order, takes, &limits(30, vec![Some(0); 9]), &[]);
    assert!(one.held.halts + one.held.offs >= seconds(160 + 7 * 2), "{:?}", one.held);
}

/// Calls that waited and made nothing later were forgotten, and what they may be seen late by was not.
#[test]
fn what_waits_and_is_not_late_for_it_has_its_slack_all_the_same() {
    let groups = [vec![NodeId(0), NodeId(1)], vec![NodeId(2)]];
    let order = Order::new(4, &groups, &[(GroupId(0), GroupId(1))]);
    let halts = [(46, Some(27)), (0, Some(0)), (115, None), (1, None)];
    let takes = halts.map(|(halt, off)| NodeTakes { halt: seconds(halt), off: off.map(seconds) });
    let forecast = Forecast::new(&order, takes.to_vec(), &limits(2, vec![None; 4]), &[]);
    assert_eq!((forecast.held.halts, forecast.slack), (forecast.free.halts, seconds(6)), "{forecast:?}");
    let none = AskedTimes { rounds: 1, ..AskedTimes::default() };
    for left in 140..220 {
        let plan = DeadlinePlan::new(seconds(left), &forecast, &none);
        let nodes = if plan.fits() { plan.nodes.halts + plan.nodes.offs } else { plan.nodes.halts };
        assert!(plan.fit == Fit::Late || plan.halts_by + nodes <= seconds(left), "{left}: {plan:?}");
    }
}

/// A program that is called once for all that are ready lets none wait.
#[test]
fn a_call_for_many_nodes_takes_one_slot() {
    let order = Order::new(8, &[], &[]);
    let takes = vec![NodeTakes { halt: seconds(60), off: Some(seconds(20)) }; 8];
    let mut shared = limits(2, vec![Some(0); 8]);
    for calls in &mut shared.calls {
        (calls.shell, calls.power, calls.read) = (SlotUse::Shared, SlotUse::Shared, SlotUse::Shared);
    }
    let forecast = Forecast::new(&order, takes, &shared, &[]);
    assert!(!forecast.is_held(), "{:?}", forecast.held);
}

proptest! {
    /// More time never takes anything away but what the power-offs need, and all of it together fits.
    #[test]
    fn all_that_is_given_fits_into_the_time(
        left in 0u64..2000,
        halts in prop::collection::vec((0u64..200, prop::option::of(0u64..60)), 6),
        (wait, tell, grace, subsystems) in (0u64..600, 0u64..60, 0u64..60, 0u64..600),
        last in 0u64..60,
        (at_once, controllers) in (1usize..20, prop::collection::vec(prop::option::of(0u32..3), 6)),
    ) {
        let groups: Vec<Vec<NodeId>> = (0..3).map(|at| vec![NodeId(at * 2), NodeId(at * 2 + 1)]).collect();
        let order = Order::new(6, &groups, &[(GroupId(0), GroupId(1))]);
        let takes: Vec<NodeTakes> =
            halts.into_iter().map(|(halt, off)| NodeTakes { halt: seconds(halt), off: off.map(seconds) }).collect();
        let asked = AskedTimes {
            wait: seconds(wait),
            tell: Some(seconds(tell)),
            grace: Some(seconds(grace)),
            subsystems: Some(seconds(subsystems)),
            call: seconds(2),
            rounds: 1,
            last: seconds(last),
        };
        let forecast = Forecast::new(&order, takes.clone(), &limits(at_once, controllers), &[]);
        let plan = DeadlinePlan::new(seconds(left), &forecast, &asked);
        let nodes = if plan.fits() { plan.nodes.halts + plan.nodes.offs } else { plan.nodes.halts };
        prop_assert!(plan.notice_by <= plan.users_by && plan.users_by <= plan.halts_by);
        if plan.fit != Fit::Late {
            prop_assert!(plan.halts_by + nodes <= seconds(left));
            prop_assert!(plan.users.wait + plan.users.tell.unwrap_or_default() <= plan.notice_by);
            prop_assert!(plan.late.is_empty());
        } else {
            prop_assert!(plan.nodes.halts > seconds(left));
        }
        prop_assert!(plan.users.wait.is_zero() || plan.users.grace == asked.grace, "the wait shrinks first");
        let more = DeadlinePlan::new(seconds(left + 1), &forecast, &asked);
        prop_assert!(!plan.fits() || more.fits());
        for (node, takes) in takes.iter().enumerate() {
            prop_assert!(plan.cut_before[node] + takes.off.unwrap_or_default() + asked.last <= seconds(left)
                || plan.cut_before[node].is_zero());
        }
    }
}
