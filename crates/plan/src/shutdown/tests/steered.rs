//! A shutdown that somebody steers: a node is given up, or given longer.

use super::*;
use std::time::Duration;

/// Goes on until this time at the latest.
fn go_on(machine: &mut Shutdown<'_>, world: &mut World, until: Duration) {
    while world.now < until && !machine.is_over() {
        machine.advance(world);
        let wake = machine.wake().map_or(until, |wake| wake.min(until));
        for event in world.next(Some(wake)) {
            machine.hear(world, &event);
        }
    }
}

#[test]
fn a_node_that_does_not_go_down_is_given_up_keeps_its_power_and_its_servers_stay() {
    for stop_at_failure in [false, true] {
        let nodes = vec![
            imagined(Manner::Hangs),
            imagined(Manner::Halts { takes: 1, early: 0 }),
            imagined(Manner::Halts { takes: 90, early: 0 }),
        ];
        let order = pair();
        let all = [NodeId(0), NodeId(1), NodeId(2)];
        let mut world = World::new(nodes, 8);
        let wishes = Wishes { stop_at_failure, ..wishes() };
        let mut machine = Shutdown::new(&order, &all, Vec::new(), wishes, &[limits(); 3]);
        go_on(&mut machine, &mut world, seconds(20));
        assert!(machine.give_up(NodeId(0), "root", world.now));
        let outcomes = run(&mut machine, &mut world);
        assert!(matches!(outcomes[0], Outcome::GivenUp(_)), "{outcomes:?}");
        assert_eq!(outcomes[1], Outcome::Held([NodeId(0)].into()));
        assert_eq!(outcomes[2], Outcome::Down, "the others go on, also with -s");
        assert_eq!((world.cut_at[0], world.told_at[1]), (None, None));
    }
}

#[test]
fn a_node_that_is_given_longer_is_waited_for_that_much_longer() {
    for longer in [0, 500] {
        let order = Order::new(1, &[], &[]);
        let mut world = World::new(vec![imagined(Manner::Halts { takes: 1200, early: 0 })], 8);
        let short = StopLimits { timeout: seconds(900), ..limits() };
        let mut machine = Shutdown::new(&order, &[NodeId(0)], Vec::new(), wishes(), &[short]);
        go_on(&mut machine, &mut world, seconds(20));
        assert!(machine.prolong(NodeId(0), Some(seconds(longer)), &world).is_some());
        let outcome = run(&mut machine, &mut world).remove(0);
        assert_eq!(outcome == Outcome::Down, longer > 0, "{outcome:?}");
    }
}
