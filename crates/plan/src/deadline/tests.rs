//! What a deadline leaves of the phases, by examples and for any times.

use super::*;
use crate::graph::GroupId;
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
        last: Duration::ZERO,
    }
}

fn plan(left: u64) -> DeadlinePlan {
    let (order, takes) = cluster();
    DeadlinePlan::new(seconds(left), &order, &takes, &asked())
}

#[test]
fn where_there_is_time_nothing_is_shortened_and_all_stands_before_the_end() {
    let plan = plan(1000);
    assert_eq!(plan.fit, Fit::Whole);
    assert_eq!((plan.wait, plan.tell, plan.grace), (seconds(300), Some(seconds(30)), Some(seconds(30))));
    assert_eq!((plan.halts, plan.offs), (seconds(120), seconds(40)));
    // The halts begin 160 s before the end, the subsystems 40 s before that, users' processes 32 s before those.
    assert_eq!((plan.halts_by, plan.users_by, plan.notice_by), (seconds(840), seconds(800), seconds(768)));
    // The clients' power-offs leave a minute for the server's halt.
    assert_eq!(plan.cut_before, [seconds(920), seconds(920), seconds(980)]);
}

#[test]
fn the_wait_shrinks_first_then_telling_then_the_grace_and_settling_never() {
    let plan_of = |left| (plan(left).fit, plan(left).wait, plan(left).tell, plan(left).grace);
    let s = seconds;
    assert_eq!(plan_of(400), (Fit::Shortened, s(138), Some(s(30)), Some(s(30))));
    assert_eq!(plan_of(250), (Fit::Shortened, s(0), Some(s(18)), Some(s(30))));
    assert_eq!(plan_of(220), (Fit::Shortened, s(0), Some(s(2)), Some(s(16))));
    assert_eq!(plan_of(202), (Fit::Shortened, s(0), Some(s(2)), None), "a call that cannot end is not begun");
    assert_eq!(plan_of(200), (Fit::Shortened, s(0), None, None));
    assert_eq!([400, 250, 220, 200].map(|left| plan(left).halts), [s(120); 4]);
}

#[test]
fn what_does_not_fit_with_power_offs_goes_without_and_users_get_the_time() {
    let plan = plan(199);
    assert_eq!((plan.fit, plan.grace, plan.tell), (Fit::NoPowerOff, Some(seconds(30)), Some(seconds(7))));
    assert_eq!(plan.cut_before, [Duration::ZERO; 3]);
    assert_eq!(plan.subsystems, Some(seconds(40)));
    assert!(!plan.fits());
}

#[test]
fn subsystems_are_ended_when_the_halts_have_to_begin() {
    let plan = plan(150);
    assert_eq!((plan.fit, plan.subsystems), (Fit::CutSubsystems, Some(seconds(30))));
    assert_eq!((plan.grace, plan.tell, plan.halts_by), (None, None, seconds(30)));
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
    let plan = DeadlinePlan::new(seconds(1000), &order, &takes, &asked);
    assert_eq!((plan.halts, plan.halts_by), (seconds(135), seconds(825)));
    assert_eq!(plan.cut_before[0], seconds(905));
}

proptest! {
    /// More time never takes anything away but what the power-offs need, and all of it together fits.
    #[test]
    fn all_that_is_given_fits_into_the_time(
        left in 0u64..2000,
        halts in prop::collection::vec((0u64..200, prop::option::of(0u64..60)), 6),
        (wait, tell, grace, subsystems) in (0u64..600, 0u64..60, 0u64..60, 0u64..600),
        last in 0u64..60,
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
            last: seconds(last),
        };
        let plan = DeadlinePlan::new(seconds(left), &order, &takes, &asked);
        let nodes = if plan.fits() { plan.halts + plan.offs } else { plan.halts };
        prop_assert!(plan.notice_by <= plan.users_by && plan.users_by <= plan.halts_by);
        if plan.fit != Fit::Late {
            prop_assert!(plan.halts_by + nodes <= seconds(left));
            prop_assert!(plan.wait + plan.tell.unwrap_or_default() <= plan.notice_by);
            prop_assert!(plan.late.is_empty());
        } else {
            prop_assert!(plan.halts > seconds(left));
        }
        prop_assert!(plan.wait.is_zero() || plan.grace == asked.grace, "the wait shrinks first");
        let more = DeadlinePlan::new(seconds(left + 1), &order, &takes, &asked);
        prop_assert!(!plan.fits() || more.fits());
        for (node, takes) in takes.iter().enumerate() {
            prop_assert!(plan.cut_before[node] + takes.off.unwrap_or_default() + asked.last <= seconds(left)
                || plan.cut_before[node].is_zero());
        }
    }
}
