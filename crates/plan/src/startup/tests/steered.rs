//! A start that somebody steers: nodes are given up, or given longer, at any time.

use super::*;
use crate::notice::NodeStanding;

const ALL: Abilities = Abilities {
    switches_power: true,
    reads_power: true,
    confirms_power: false,
    resets: true,
    runs_commands: true,
    halts: true,
    probes: true,
    interval: Duration::from_secs(2),
};

fn off(count: usize) -> Vec<Reading> {
    vec![Reading { power: Some(Power::Off), probe: Some(Probe::Down) }; count]
}

/// A node after each other node; the first never comes up.
fn chain(count: u32) -> Order {
    let groups: Vec<Vec<NodeId>> = (0..count).map(|node| vec![NodeId(node)]).collect();
    let edges: Vec<_> = (1..count).map(|node| (GroupId(node - 1), GroupId(node))).collect();
    Order::new(count as usize, &groups, &edges)
}

fn limits(timeout: u64) -> StartOptions {
    let limits = StartLimits { timeout: Duration::from_secs(timeout), ..StartLimits::default() };
    StartOptions { limits: vec![limits; 3], ..StartOptions::default() }
}

/// Goes on until this time at the latest.
fn go_on(startup: &mut Startup<'_>, world: &mut World, until: Duration) {
    while world.now < until && !startup.is_over() {
        startup.advance(world);
        let wake = startup.wake().map_or(until, |wake| wake.min(until));
        for event in world.next(Some(wake)) {
            startup.hear(world, &event);
        }
    }
}

#[test]
fn a_hung_node_that_is_given_up_ends_skipped_and_what_needs_it_is_held() {
    let order = chain(2);
    let mut world = World::new(&[Nature::Dead, Nature::Sound], &[5; 2], ALL, usize::MAX);
    let targets = [NodeId(0), NodeId(1)];
    let mut startup = Startup::new(&order, &targets, &off(2), limits(900));
    go_on(&mut startup, &mut world, 20 * SECOND);
    let standings = startup.standings(&targets, world.now);
    assert!(matches!(&standings[0].1, NodeStanding::AtWork(_, Some(end)) if *end > 800 * SECOND));
    assert_eq!(standings[1], (NodeId(1), NodeStanding::Waiting(vec![NodeId(0)])));
    assert!(startup.give_up(NodeId(0), "alice", world.now));
    assert!(!startup.give_up(NodeId(0), "bob", world.now), "once");
    assert!(!startup.give_up(NodeId(1), "bob", world.now), "it is held already");
    assert_eq!(startup.prolong(NodeId(0), Some(SECOND), &world), None);
    assert!(!startup.give_up(NodeId(7), "bob", world.now));
    drive(&mut startup, &mut world, None);
    assert!(world.now < 30 * SECOND);
    let endings = startup.endings();
    let Outcome::GivenUp(reason) = &endings[0].outcome else { panic!("{endings:?}") };
    let words = reason.words().to_owned();
    assert!(words.starts_with("given up by alice; booting for 20s (probe down)"), "{words}");
    assert_eq!(endings[1].outcome, Outcome::Held([NodeId(0)].into()));
    let standings = startup.standings(&targets, world.now);
    assert!(matches!(standings[0].1, NodeStanding::Over(Outcome::GivenUp(_))), "{standings:?}");
    assert_eq!(standings[1].1, NodeStanding::Over(Outcome::Held([NodeId(0)].into())));
}

#[test]
fn a_node_that_is_given_longer_is_given_up_that_much_later() {
    for (longer, said) in [(0, Some(0)), (100, Some(100)), (60, None)] {
        let order = Order::new(1, &[], &[]);
        let mut world = World::new(&[Nature::Dead], &[5], ALL, usize::MAX);
        let mut startup = Startup::new(&order, &[NodeId(0)], &off(1), limits(60));
        go_on(&mut startup, &mut world, 20 * SECOND);
        let said = said.map(Duration::from_secs);
        assert_eq!(startup.prolong(NodeId(0), said, &world), Some(Duration::from_secs(longer)));
        drive(&mut startup, &mut world, None);
        let Outcome::TimedOut(reason) = &startup.endings()[0].outcome else { panic!() };
        assert_eq!(world.now.as_secs(), 60 + longer, "{reason:?}");
        let limit = crate::duration::show(Duration::from_secs(60 + longer));
        assert!(reason.words().starts_with(&format!("not up after {limit};")), "{}", &**reason.words());
    }
}

/// One that has not begun has more time from its first act on.
#[test]
fn a_node_whose_turn_comes_later_is_given_longer_too() {
    let order = chain(2);
    let mut world = World::new(&[Nature::Sound, Nature::Dead], &[5; 2], ALL, usize::MAX);
    let mut startup = Startup::new(&order, &[NodeId(0), NodeId(1)], &off(2), limits(60));
    assert!(startup.prolong(NodeId(1), Some(30 * SECOND), &world).is_some());
    drive(&mut startup, &mut world, None);
    let ending = startup.endings()[1].clone();
    assert_eq!((ending.ended.unwrap() - ending.began.unwrap()).as_secs(), 90, "{ending:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_node_given_up_is_left_alone_and_holds_what_needs_it(
        case in case(),
        steps in prop::collection::vec((0u64..120, 0..COUNT, any::<bool>()), 1..6),
    ) {
        let order = order_of(&case);
        prop_assume!(order.sorted().is_some());
        let case = Case { interrupt: None, reset: vec![false; COUNT as usize], own: None, ..case };
        let before = leads(COUNT as usize, &case.groups, &case.edges);
        let mut world = World::new(&case.natures, &case.boots, case.able, case.fanout);
        world.controllers = case.controllers;
        let targets: Vec<NodeId> = (0..COUNT).map(NodeId).collect();
        let mut survey = crate::survey::Survey::new(COUNT as usize, targets.clone(), Vec::new());
        drive(&mut survey, &mut world, None);
        let limits = StartLimits { timeout: 120 * SECOND, boot: 60 * SECOND, ..StartLimits::default() };
        let options = StartOptions {
            limits: vec![limits; COUNT as usize],
            booting: Booting { limit: case.booting, class_of: case.class_of.clone() },
            ..StartOptions::default()
        };
        let readings = survey.readings().to_vec();
        let mut startup = Startup::new(&order, &targets, &readings, options);
        let mut steps = steps;
        steps.sort_unstable();
        let mut given_up = Vec::new();
        for (at, node, gives_up) in steps {
            go_on(&mut startup, &mut world, Duration::from_secs(at));
            if !gives_up {
                startup.prolong(NodeId(node), Some(10 * SECOND), &world);
            } else if startup.give_up(NodeId(node), "root", world.now) {
                given_up.push((NodeId(node), world.now));
            }
        }
        let mut notices = startup.take_notices();
        notices.extend(drive(&mut startup, &mut world, None));
        let endings = startup.endings();
        prop_assert_eq!(judge(&before, &world, &notices, &endings), Ok(()));
        for &(node, at) in &given_up {
            prop_assert!(matches!(endings[node.index()].outcome, Outcome::GivenUp(_)));
            prop_assert!(!world.deeds.iter().any(|deed| deed.1 == node && deed.0 > at), "{:?}", world.deeds);
        }
        for ending in &endings {
            prop_assert!(
                !matches!(ending.outcome, Outcome::Skipped | Outcome::Begun),
                "{ending:?} of a run that was not interrupted"
            );
            let Some(by) = ending.outcome.held_by() else { continue };
            let is_unwell = |by: &NodeId| !endings[by.index()].outcome.is_well();
            prop_assert!(by.iter().all(|by| before[ending.node.index()].contains(&by.0) && is_unwell(by)));
        }
    }
}
