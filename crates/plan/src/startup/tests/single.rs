//! Single happenings, each in a small world of its own.

use super::*;

fn alone(nature: Nature, able: Abilities) -> (World, Vec<NodeEnding>) {
    let case = Case { reset_stuck: true, ..Case::plain(nature, able) };
    let order = order_of(&case);
    let (world, _, _, endings) = run(&case, &order);
    (world, endings)
}

pub(super) const ALL: Abilities = Abilities {
    switches_power: true,
    reads_power: true,
    confirms_power: false,
    resets: true,
    runs_commands: true,
    halts: true,
    probes: true,
    interval: Duration::from_secs(2),
};

#[test]
fn a_node_that_is_on_and_never_comes_up_is_reset_once_after_its_boot_limit() {
    let (world, endings) = alone(Nature::Stuck, ALL);
    assert_eq!(world.deeds.len(), COUNT as usize);
    assert!(world.deeds.iter().all(|(at, _, task)| *task == Task::Reset && *at >= 60 * SECOND));
    assert!(endings.iter().all(|ending| ending.outcome == Outcome::Up));
}

#[test]
fn without_a_reset_of_its_own_a_node_is_switched_off_and_on_again() {
    let (world, endings) = alone(Nature::Stuck, Abilities { resets: false, ..ALL });
    let first: Vec<Task> = world.deeds.iter().filter(|deed| deed.1 == NodeId(0)).map(|deed| deed.2).collect();
    assert_eq!(first, [Task::PowerOff, Task::PowerOn]);
    assert!(endings.iter().all(|ending| ending.outcome == Outcome::Up));
}

#[test]
fn a_node_still_booting_is_waited_for_and_not_reset() {
    let (world, endings) = alone(Nature::Coming, ALL);
    assert!(world.deeds.is_empty());
    assert!(endings.iter().all(|ending| ending.outcome == Outcome::Up));
}

#[test]
fn a_power_on_without_effect_is_found_and_named() {
    let (_, endings) = alone(Nature::Lying, ALL);
    let (Outcome::TimedOut(said) | Outcome::Failed(said)) = &endings[0].outcome else {
        panic!("{:?}", endings[0])
    };
    assert!(said.words().contains("power off") || said.words().contains("reads off"), "{said:?}");
}

#[test]
fn a_power_that_read_on_and_reads_off_fell_back() {
    let (_, endings) = alone(Nature::Falling, Abilities { confirms_power: true, ..ALL });
    let (Outcome::TimedOut(said) | Outcome::Failed(said)) = &endings[0].outcome else {
        panic!("{:?}", endings[0])
    };
    assert!(said.words().contains("the power fell back"), "{said:?}");
}

#[test]
fn silence_is_unreachable_and_nothing_is_done() {
    let (world, endings) = alone(Nature::Silent, ALL);
    assert!(world.deeds.is_empty());
    assert!(matches!(&endings[0].outcome, Outcome::Unreachable(said) if said.words().contains("unknown")));
}

#[test]
fn a_running_target_is_reset_and_waited_for_until_it_was_seen_down() {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(&[Nature::Running], &[10], ALL, usize::MAX);
    let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Up) }];
    let options = StartOptions { reset: vec![NodeId(0)], ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0)], &readings, options);
    drive(&mut startup, &mut world, None);
    assert_eq!(startup.endings()[0].outcome, Outcome::Up);
    assert!(world.now >= 11 * SECOND, "up before it went down: {:?}", world.now);
}

/// Returns how a node that runs and is reset ends, and when: it is up again before it is probed.
fn reset_in_no_time(nature: Nature, able: Abilities) -> (World, Outcome) {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(&[nature], &[0], able, usize::MAX);
    (world.on[0], world.up_at[0]) = (true, Some(Duration::ZERO));
    let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Up) }];
    let limits = StartLimits { timeout: 60 * SECOND, ..StartLimits::default() };
    let options = StartOptions { reset: vec![NodeId(0)], limits: vec![limits], ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0)], &readings, options);
    drive(&mut startup, &mut world, None);
    (world, startup.endings()[0].outcome.clone())
}

/// It was waited for until its time was up, and then called failed.
#[test]
fn a_reset_too_quick_to_be_seen_is_known_by_its_boot_id() {
    // Up again at once, so that no probe can fall between.
    let quick = Abilities { interval: 20 * SECOND, ..ALL };
    let (world, outcome) = reset_in_no_time(Nature::Running, quick);
    assert_eq!(outcome, Outcome::Up);
    assert!(world.now < 40 * SECOND, "at the next probe: {:?}", world.now);
}

#[test]
fn a_reset_without_effect_is_not_proven_by_the_same_boot_id() {
    let (world, outcome) = reset_in_no_time(Nature::Lying, ALL);
    assert!(
        matches!(&outcome, Outcome::Failed(said) if said.words().contains("had no effect")),
        "{outcome:?}"
    );
    assert!(world.now >= 60 * SECOND);
    let (_, outcome) =
        reset_in_no_time(Nature::Running, Abilities { runs_commands: false, interval: 20 * SECOND, ..ALL });
    assert!(matches!(&outcome, Outcome::Failed(_)), "nobody can tell: {outcome:?}");
}

#[test]
fn a_late_leader_lets_others_go_and_a_failed_one_does_not() {
    let order = Order::new(2, &[vec![NodeId(0)], vec![NodeId(1)]], &[(GroupId(0), GroupId(1))]);
    for (nature, expected) in
        [(Nature::Dead, Outcome::Up), (Nature::Broken, Outcome::Held([NodeId(0)].into()))]
    {
        let mut world = World::new(&[nature, Nature::Sound], &[10, 10], ALL, usize::MAX);
        let readings = [Reading { power: Some(Power::Off), probe: Some(Probe::Down) }; 2];
        let limits = StartLimits { late: Some(30 * SECOND), ..StartLimits::default() };
        let options = StartOptions { limits: vec![limits; 2], ..StartOptions::default() };
        let mut startup = Startup::new(&order, &[NodeId(0), NodeId(1)], &readings, options);
        drive(&mut startup, &mut world, None);
        let endings = startup.endings();
        assert_eq!(endings[1].outcome, expected);
        assert!(!endings[0].outcome.is_well());
    }
}

/// Nodes were taken for begun by their place in the queue, and drivers may pass over some.
#[test]
fn a_node_whose_controller_is_busy_is_not_taken_for_begun() {
    let order = Order::new(4, &[], &[]);
    // The first two share a controller, and the call for the first takes long.
    let natures = [Nature::Hanging, Nature::Sound, Nature::Sound, Nature::Sound];
    let mut world = World::new(&natures, &[5; 4], ALL, usize::MAX);
    world.controllers = 2;
    let readings = [Reading { power: Some(Power::Off), probe: Some(Probe::Down) }; 4];
    let limits = StartLimits { retries: 0, ..StartLimits::default() };
    let options = StartOptions { limits: vec![limits; 4], ..StartOptions::default() };
    let targets: Vec<NodeId> = (0..4).map(NodeId).collect();
    let mut startup = Startup::new(&order, &targets, &readings, options);
    startup.advance(&mut world);
    let begun = |notice: &Notice| (notice.what == Happening::Began(Task::PowerOn)).then_some(notice.node.0);
    let told: Vec<u32> = startup.take_notices().iter().filter_map(begun).collect();
    assert_eq!(told, world.deeds.iter().map(|deed| deed.1.0).collect::<Vec<_>>());
    drive(&mut startup, &mut world, None);
    let endings = startup.endings();
    assert!(endings[1..].iter().all(|ending| ending.outcome == Outcome::Up), "{endings:?}");
}

/// What it had answered before it was switched off was taken for its being up again, and those that
/// wait for it were begun.
#[test]
fn a_node_switched_off_and_on_again_is_not_up_before_it_answers_anew() {
    let order = Order::new(2, &[vec![NodeId(0)], vec![NodeId(1)]], &[(GroupId(0), GroupId(1))]);
    let able = Abilities { resets: false, ..ALL };
    let mut world = World::new(&[Nature::Running, Nature::Sound], &[50, 5], able, usize::MAX);
    let readings = [
        Reading { power: Some(Power::On), probe: Some(Probe::Up) },
        Reading { power: Some(Power::Off), probe: Some(Probe::Down) },
    ];
    let options = StartOptions { reset: vec![NodeId(0)], ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0), NodeId(1)], &readings, options);
    drive(&mut startup, &mut world, None);
    let (at, ..) = world.deeds.iter().find(|deed| deed.1 == NodeId(1)).unwrap();
    assert!(*at >= 50 * SECOND, "begun at {at:?}: {:?}", world.deeds);
    assert!(startup.endings().iter().all(|ending| ending.outcome == Outcome::Up));
}

/// Returns a start of these nodes, all off, by which limits; nodes with even numbers share a controller.
fn begun_at_once(natures: &[Nature], options: StartOptions) -> Vec<u32> {
    let order = Order::new(natures.len(), &[], &[]);
    let mut world = World::new(natures, &vec![5; natures.len()], ALL, usize::MAX);
    world.controllers = 2;
    let readings = vec![Reading { power: Some(Power::Off), probe: Some(Probe::Down) }; natures.len()];
    let targets: Vec<NodeId> = order.waves()[0].clone();
    let mut startup = Startup::new(&order, &targets, &readings, options);
    // Too short for the call that hangs.
    while world.now < 30 * SECOND {
        startup.advance(&mut world);
        let until = startup.wake().map(|wake| wake.min(world.now + SECOND));
        for event in world.next(until.or(Some(world.now + SECOND))) {
            startup.hear(&world, &event);
        }
    }
    world.deeds.iter().map(|deed| deed.1.0).collect()
}

fn at_most(limit: usize) -> Booting {
    Booting { limit: Some(limit), ..Booting::default() }
}

/// Only the first so many of the queue were offered, and their controller was busy.
#[test]
fn a_busy_controller_at_the_head_delays_nobody_under_a_limit() {
    let mut natures = [Nature::Sound; 6];
    natures[0] = Nature::Hanging;
    let staggered = begun_at_once(&natures, StartOptions { stagger: SECOND / 2, ..StartOptions::default() });
    assert_eq!(staggered, [0, 1, 3, 5], "2 and 4 wait for the controller of 0");
    let booting = begun_at_once(&natures, StartOptions { booting: at_most(2), ..StartOptions::default() });
    assert_eq!(booting, [0, 1, 3, 5]);
}

#[test]
fn nodes_that_boot_are_counted_by_their_class() {
    // 0, 2 and 4 are on one controller, and 0 hangs there; 0, 1 and 2 are on one PDU.
    let mut natures = [Nature::Dead; 6];
    natures[0] = Nature::Hanging;
    let booting = Booting { limit: Some(1), class_of: vec![7, 7, 7, 8, 8, 9] };
    let begun = begun_at_once(&natures, StartOptions { booting, ..StartOptions::default() });
    assert_eq!(begun, [0, 3, 5], "1, 2 and 4 wait for their classes");
    let booting = Booting { limit: Some(2), class_of: vec![7, 7, 7, 8, 8, 9] };
    let begun = begun_at_once(&natures, StartOptions { booting, ..StartOptions::default() });
    assert_eq!(begun, [0, 1, 3, 5], "2 waits for its class, 4 for the controller of 0");
}

#[test]
fn nodes_that_are_reset_count_among_those_that_boot() {
    let order = Order::new(5, &[], &[]);
    for resets in [true, false] {
        let able = Abilities { resets, ..ALL };
        let mut world = World::new(&[Nature::Running; 5], &[30; 5], able, usize::MAX);
        let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Up) }; 5];
        let targets: Vec<NodeId> = (0..5).map(NodeId).collect();
        let options = StartOptions { reset: targets.clone(), booting: at_most(2), ..StartOptions::default() };
        let mut startup = Startup::new(&order, &targets, &readings, options);
        let mut most = 0;
        while !startup.is_over() {
            startup.advance(&mut world);
            most = most.max(targets.iter().filter(|&&node| !world.is_up(node)).count());
            for event in world.next(startup.wake()) {
                startup.hear(&world, &event);
            }
        }
        assert!(startup.endings().iter().all(|ending| ending.outcome == Outcome::Up));
        assert_eq!(most, 2, "down at a time");
    }
}

/// A limit shorter than the boot limit ended the wait, and the node was never reset.
#[test]
fn a_node_found_on_has_its_whole_boot_limit_and_then_its_reset() {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(&[Nature::Stuck], &[5], ALL, usize::MAX);
    let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Down) }];
    let limits = StartLimits {
        timeout: 20 * SECOND,
        boot: 60 * SECOND,
        stuck: Stuck::Reset,
        ..StartLimits::default()
    };
    let options = StartOptions { limits: vec![limits], ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0)], &readings, options);
    drive(&mut startup, &mut world, None);
    assert_eq!(startup.endings()[0].outcome, Outcome::Up);
    assert!(world.deeds.iter().all(|(at, _, task)| *task == Task::Reset && *at >= 60 * SECOND));
}

/// A wrong port in a probe power-cycled running nodes after their boot limit.
#[test]
fn a_node_that_stays_on_but_not_up_is_not_reset_unasked() {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(&[Nature::Stuck], &[5], ALL, usize::MAX);
    let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Down) }];
    let limits = StartLimits { boot: 60 * SECOND, ..StartLimits::default() };
    let options = StartOptions { limits: vec![limits], ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0)], &readings, options);
    drive(&mut startup, &mut world, None);
    let outcome = startup.endings()[0].outcome.clone();
    assert!(
        matches!(&outcome, Outcome::Failed(said) if said.words().starts_with("on, not up") && said.words().contains("--reset-stuck")),
        "{outcome:?}"
    );
    assert!(world.deeds.is_empty(), "{:?}", world.deeds);
}

/// The flag that was given was proposed, and for this machine a reset that no flag allows.
#[test]
fn a_node_that_is_spared_is_not_reset_and_no_reset_of_it_is_proposed() {
    for (stuck, why) in
        [(Stuck::ThisMachine, "it is this very machine"), (Stuck::Needed, "others are reached or powered")]
    {
        let order = Order::new(1, &[], &[]);
        let mut world = World::new(&[Nature::Stuck], &[5], ALL, usize::MAX);
        let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Down) }];
        let limits = StartLimits { boot: 60 * SECOND, stuck, ..StartLimits::default() };
        let options = StartOptions { limits: vec![limits], ..StartOptions::default() };
        let mut startup = Startup::new(&order, &[NodeId(0)], &readings, options);
        drive(&mut startup, &mut world, None);
        let outcome = startup.endings()[0].outcome.clone();
        let Outcome::Failed(said) = &outcome else { panic!("{outcome:?}") };
        assert!(said.words().contains(why) && !said.words().contains("--reset-stuck"), "{outcome:?}");
        assert!(world.deeds.is_empty(), "{:?}", world.deeds);
    }
}

/// It says our own boot id: whatever it is called, it is this machine.
#[test]
fn a_node_in_the_boot_of_this_machine_is_not_reset() {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(&[Nature::Running], &[10], ALL, usize::MAX);
    let readings = [Reading { power: Some(Power::On), probe: Some(Probe::Up) }];
    let options =
        StartOptions { reset: vec![NodeId(0)], own_boot: Some(BootId(0)), ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0)], &readings, options);
    drive(&mut startup, &mut world, None);
    let outcome = startup.endings()[0].outcome.clone();
    assert!(
        matches!(&outcome, Outcome::Failed(said) if said.words().contains("very machine")),
        "{outcome:?}"
    );
    assert!(world.deeds.is_empty(), "{:?}", world.deeds);
}

#[test]
fn the_end_is_foretold_by_the_longest_chain_that_is_left() {
    let order = Order::new(2, &[vec![NodeId(0)], vec![NodeId(1)]], &[(GroupId(0), GroupId(1))]);
    let mut world = World::new(&[Nature::Sound; 2], &[40, 10], ALL, usize::MAX);
    let readings = [Reading { power: Some(Power::Off), probe: Some(Probe::Down) }; 2];
    let options = StartOptions { takes: vec![30_000, 10_000], is_foretold: true, ..StartOptions::default() };
    let mut startup = Startup::new(&order, &[NodeId(0), NodeId(1)], &readings, options);
    startup.advance(&mut world);
    for (now, left) in [(0, Some(40)), (12, Some(28)), (35, Some(10)), (46, None), (500, None)] {
        assert_eq!(startup.status(now * SECOND).left, left.map(|left| left * SECOND), "after {now} s");
    }
    drive(&mut startup, &mut world, None);
    assert_eq!(startup.status(world.now).left, None);
}

/// Another start was proposed for them, which would only have waited again.
#[test]
fn those_that_stay_on_and_not_up_are_known_apart_at_the_end() {
    let order = Order::new(3, &[], &[]);
    let natures = [Nature::Dead, Nature::Broken, Nature::Stuck];
    let off = Reading { power: Some(Power::Off), probe: Some(Probe::Down) };
    let on = Reading { power: Some(Power::On), probe: Some(Probe::Down) };
    for (rule, stuck) in [(Stuck::GivenUp, &[NodeId(0), NodeId(2)][..]), (Stuck::Reset, &[NodeId(0)])] {
        let mut world = World::new(&natures, &[10; 3], ALL, usize::MAX);
        let limits =
            StartLimits { timeout: 60 * SECOND, boot: 30 * SECOND, stuck: rule, ..StartLimits::default() };
        let options = StartOptions { limits: vec![limits; 3], ..StartOptions::default() };
        let targets: Vec<NodeId> = (0..3).map(NodeId).collect();
        let mut startup = Startup::new(&order, &targets, &[off, off, on], options);
        drive(&mut startup, &mut world, None);
        assert_eq!(startup.stuck(), stuck, "{:?}", startup.endings());
    }
}
