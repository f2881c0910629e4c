//! Stopping imagined nodes, judged by an oracle that knows what truly became of each and shares no code
//! with the order or the count-down.

use super::*;
use crate::fleet::{Abilities, Errand, Power, Probe};
use crate::graph::GroupId;
use proptest::prelude::*;

/// How a node behaves when it is told to go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Halts after this many seconds; the probe is down this many seconds earlier.
    Halts { takes: u64, early: u64 },
    /// Halts, but the connection is lost while it is told.
    LosesConnection { takes: u64 },
    /// Loses the connection and stays up.
    StaysUp,
    /// Says no.
    Refuses,
    /// Accepts and never goes down.
    Hangs,
    /// Cannot be reached, though it runs; its probe is down.
    Unreachable,
    /// Was off before.
    Off,
}

#[derive(Debug, Clone, Copy)]
struct Imagined {
    manner: Manner,
    able: Abilities,
    /// Switches itself off once halted.
    powers_off: bool,
    power_unreadable: bool,
}

#[derive(Debug, Clone)]
struct World {
    nodes: Vec<Imagined>,
    told_at: Vec<Option<Duration>>,
    cut_at: Vec<Option<Duration>>,
    now: Duration,
    fanout: usize,
    coming: BTreeMap<(Duration, u64), Event>,
    serial: u64,
    running: usize,
    log: Vec<(Duration, NodeId, Task)>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    fn new(nodes: Vec<Imagined>, fanout: usize) -> Self {
        Self {
            told_at: vec![None; nodes.len()],
            cut_at: vec![None; nodes.len()],
            nodes,
            now: Duration::ZERO,
            fanout,
            coming: BTreeMap::new(),
            serial: 0,
            running: 0,
            log: Vec::new(),
        }
    }

    /// The truth: whether the node's operating system is gone and its file systems are written.
    fn is_halted(&self, node: NodeId, at: Duration) -> bool {
        let told = self.told_at[node.index()];
        match self.nodes[node.index()].manner {
            Manner::Off => true,
            Manner::Halts { takes, .. } | Manner::LosesConnection { takes } => {
                told.is_some_and(|told| at >= told + seconds(takes))
            }
            Manner::StaysUp | Manner::Refuses | Manner::Hangs | Manner::Unreachable => false,
        }
    }

    fn probe(&self, node: NodeId) -> Probe {
        let early = match self.nodes[node.index()].manner {
            Manner::Halts { early, .. } => seconds(early),
            Manner::Unreachable => return Probe::Down,
            Manner::LosesConnection { .. }
            | Manner::StaysUp
            | Manner::Refuses
            | Manner::Hangs
            | Manner::Off => Duration::ZERO,
        };
        let down = self.is_halted(node, self.now + early) || self.cut_at[node.index()].is_some();
        if down { Probe::Down } else { Probe::Up }
    }

    fn power(&self, node: NodeId) -> Power {
        let imagined = &self.nodes[node.index()];
        let off = imagined.manner == Manner::Off
            || self.cut_at[node.index()].is_some()
            || (imagined.powers_off && self.is_halted(node, self.now));
        if imagined.power_unreadable {
            Power::Unknown
        } else if off {
            Power::Off
        } else {
            Power::On
        }
    }

    fn act(&mut self, node: NodeId, task: Task) -> Event {
        let failure = |kind| Err(Failure { kind, detail: "imagined".to_owned() });
        match task {
            Task::ReadPower => Event::Power(node, self.power(node)),
            Task::Probe => Event::Probe(node, self.probe(node)),
            Task::PowerOff => {
                self.cut_at[node.index()].get_or_insert(self.now);
                Event::Ended(node, task, Ok(()))
            }
            Task::Run(_) => {
                let halted = self.is_halted(node, self.now);
                let result = match self.nodes[node.index()].manner {
                    _ if halted => failure(FailureKind::Unreachable),
                    Manner::Halts { .. } | Manner::Hangs => Ok(()),
                    Manner::LosesConnection { .. } | Manner::StaysUp | Manner::Unreachable | Manner::Off => {
                        failure(FailureKind::Unreachable)
                    }
                    Manner::Refuses => failure(FailureKind::Failed),
                };
                self.told_at[node.index()].get_or_insert(self.now);
                Event::Ended(node, task, result)
            }
            Task::PowerOn | Task::Reset => panic!("{task:?} at shutdown"),
        }
    }
}

impl Fleet for World {
    fn now(&self) -> Duration {
        self.now
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        self.nodes[node.index()].able
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let mut begun = Vec::new();
        while self.running < self.fanout
            && let Some(node) = nodes.pop_front()
        {
            begun.push(node);
            self.running += 1;
            self.log.push((self.now, node, task));
            let event = self.act(node, task);
            self.serial += 1;
            self.coming.insert((self.now + Duration::from_millis(300), self.serial), event);
        }
        begun
    }

    fn end_all(&mut self) {}

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        match (self.coming.first_key_value().map(|((at, _), _)| *at), until) {
            (Some(at), until) if until.is_none_or(|until| at <= until) => {
                self.now = at;
                self.running -= 1;
                self.coming.pop_first().map(|(_, event)| event).into_iter().collect()
            }
            (_, Some(until)) => {
                self.now = self.now.max(until);
                Vec::new()
            }
            (_, None) => panic!("waits for ever"),
        }
    }
}

fn wishes() -> Wishes {
    Wishes { goal: Goal::Halt, power_off: true, force_off: false, stop_at_failure: false }
}

fn patience() -> Patience {
    Patience { unit: false, settle: seconds(30), timeout: seconds(300), retries: 2, let_go: None }
}

fn able(switches_power: bool, reads_power: bool, probes: bool) -> Abilities {
    Abilities {
        switches_power,
        reads_power,
        probes,
        interval: seconds(2),
        resets: false,
        runs_commands: true,
    }
}

fn imagined(manner: Manner) -> Imagined {
    Imagined { manner, able: able(true, true, true), powers_off: false, power_unreadable: false }
}

/// Runs to the end and returns the endings and how often the machine was asked for more.
fn run(machine: &mut Shutdown<'_>, world: &mut World) -> Vec<Outcome> {
    for _ in 0..100_000 {
        machine.advance(world);
        if machine.is_over() {
            return machine.endings().into_iter().map(|ending| ending.outcome).collect();
        }
        for event in world.next(machine.wake()) {
            machine.hear(&event, world.now);
        }
    }
    panic!("never over: {:?}", machine.stand(world.now));
}

fn alone(node: Imagined, wishes: Wishes) -> (Outcome, World) {
    alone_with(node, wishes, patience())
}

fn alone_with(node: Imagined, wishes: Wishes, patience: Patience) -> (Outcome, World) {
    let order = Order::new(1, &[], &[]);
    let mut world = World::new(vec![node], 8);
    let mut machine = Shutdown::new(&order, &[NodeId(0)], Vec::new(), wishes, vec![patience]);
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
    let told = world.log.iter().filter(|(.., task)| *task == Task::Run(Errand::Halt)).count();
    assert_eq!(told, 3, "told once and twice again");
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
    assert!(world.log.contains(&(world.told_at[0].unwrap(), NodeId(0), Task::Run(Errand::Maintenance))));
    assert!(world.now < seconds(10));
}

#[test]
fn a_node_without_a_switch_is_told_to_restart() {
    let node = Imagined { able: able(false, false, true), ..imagined(Manner::Halts { takes: 5, early: 0 }) };
    let (outcome, world) = alone(node, Wishes { goal: Goal::Restart, ..wishes() });
    assert!(matches!(outcome, Outcome::TimedOut(_)), "it never comes up in this world: {outcome:?}");
    assert!(world.log.iter().any(|(.., task)| *task == Task::Run(Errand::Restart)));
}

#[test]
fn a_unit_is_switched_off_without_being_halted() {
    let (outcome, world) =
        alone_with(imagined(Manner::Hangs), wishes(), Patience { unit: true, ..patience() });
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
        vec![Patience { let_go: Some(seconds(20)), ..patience() }; 3],
    );
    let outcomes = run(&mut machine, &mut world);
    assert!(matches!(outcomes[0], Outcome::TimedOut(_)));
    assert_eq!(outcomes[1], Outcome::Down);
    assert!(world.cut_at[0].is_none());
    assert!(machine.endings()[0].let_go);
}

#[test]
fn w_does_not_cut_the_disks_under_a_running_node() {
    let mut order = Order::new(2, &[], &[]);
    order.put_before(NodeId(0), NodeId(1));
    let patient = Patience { let_go: Some(seconds(20)), ..patience() };
    let unit = Patience { unit: true, ..patience() };
    for (manner, wanted) in
        [(Manner::Hangs, Outcome::Held(NodeId(0))), (Manner::Halts { takes: 60, early: 5 }, Outcome::Down)]
    {
        let mut world = World::new(vec![imagined(manner), imagined(Manner::Hangs)], 8);
        let both = [NodeId(0), NodeId(1)];
        let mut machine = Shutdown::new(&order, &both, Vec::new(), wishes(), vec![patient, unit]);
        assert_eq!(run(&mut machine, &mut world)[1], wanted, "{manner:?}");
        assert!(machine.endings()[0].let_go);
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
    let mut machine = Shutdown::new(&order, &all, Vec::new(), wishes(), vec![patience(); 3]);
    let outcomes = run(&mut machine, &mut World::new(nodes.clone(), 8));
    assert_eq!(outcomes[1..], [Outcome::Held(NodeId(0)), Outcome::Down]);

    let stop = Wishes { stop_at_failure: true, ..wishes() };
    let hasty = Patience { retries: 0, ..patience() };
    let mut machine = Shutdown::new(&order, &all, Vec::new(), stop, vec![hasty; 3]);
    let outcomes = run(&mut machine, &mut World::new(nodes, 1));
    assert_eq!(outcomes[2], Outcome::Skipped, "not yet told when node 0 failed: {outcomes:?}");
}

#[test]
fn an_interrupt_begins_nothing_more_and_waits_for_calls_only() {
    let order = pair();
    let mut world = World::new(vec![imagined(Manner::Hangs); 3], 1);
    let mut machine =
        Shutdown::new(&order, &[NodeId(0), NodeId(2)], Vec::new(), wishes(), vec![patience(); 3]);
    while world.told_at[0].is_none() {
        machine.advance(&mut world);
        for event in world.next(machine.wake()) {
            machine.hear(&event, world.now);
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
    let mut round = Round::new(Errand::Notify, &[NodeId(0), NodeId(1)]);
    while !round.is_over() {
        round.advance(&mut world);
        for event in world.next(round.wake()) {
            round.hear(&event, world.now);
        }
    }
    assert_eq!(world.log.len(), 2);
    assert_eq!(round.failures().collect::<Vec<_>>(), [(NodeId(1), "imagined")]);
}

/// Who must be down before whom, by brute force over groups and stated orders.
fn before(groups: &[Vec<u32>], edges: &[(u32, u32)], count: usize) -> Vec<Vec<bool>> {
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
    (any_manner(), any::<[bool; 3]>(), prop::bool::weighted(0.9), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(manner, [switches, reads, _], probes, powers_off, power_unreadable)| Imagined {
            manner,
            able: able(switches, reads, probes),
            powers_off,
            power_unreadable,
        })
}

proptest! {
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
        let patience = vec![Patience { let_go: let_go.map(seconds), ..patience() }; 10];
        let ids: Vec<NodeId> = targets.iter().copied().map(NodeId).collect();
        let mut world = World::new(nodes, fanout);
        let mut machine = Shutdown::new(&order, &ids, Vec::new(), wishes, patience);
        let outcomes = run(&mut machine, &mut world);

        for &(at, node, task) in &world.log {
            prop_assert!(targets.contains(&node.0), "{task:?} on a node that is no target");
            match task {
                Task::PowerOff => prop_assert!(
                    force_off || world.is_halted(node, at), "{node:?} lost its power while running"
                ),
                Task::Run(_) => for &leader in ids.iter().filter(|leader| leads[leader.index()][node.index()]) {
                    let waited = let_go.is_some_and(|limit| {
                        world.log.iter().any(|&(told, who, what)| {
                            who == leader && matches!(what, Task::Run(_)) && told + seconds(limit) <= at
                        })
                    });
                    let able = world.nodes[leader.index()].able;
                    let blind = !able.reads_power && !able.probes && !able.switches_power;
                    let cut = world.cut_at[leader.index()].is_some_and(|cut| cut <= at);
                    // Where power cannot be read, a silent network looks like a node that is down.
                    let silent = world.nodes[leader.index()].manner == Manner::Unreachable && !able.reads_power;
                    prop_assert!(
                        world.is_halted(leader, at) || waited || cut || blind || silent,
                        "{node:?} was told at {at:?} before {leader:?} was down"
                    );
                },
                Task::ReadPower | Task::Probe => {}
                Task::PowerOn | Task::Reset => prop_assert!(false, "{task:?} at shutdown"),
            }
        }
        for (ending, outcome) in machine.endings().iter().zip(&outcomes) {
            prop_assert_eq!(&ending.outcome, outcome);
            prop_assert!(*outcome != Outcome::Begun, "{:?} is reported as unfinished", ending.node);
            if let Outcome::Held(by) = outcome {
                prop_assert!(leads[by.index()][ending.node.index()], "held by a stranger");
            }
            let node = &world.nodes[ending.node.index()];
            let halts = matches!(node.manner, Manner::Halts { .. } | Manner::LosesConnection { .. });
            if halts && node.able.probes && !matches!(outcome, Outcome::Held(_) | Outcome::Skipped) {
                prop_assert!(outcome.is_well(), "{:?} halted and is {outcome:?}", ending.node);
            }
            if *outcome == Outcome::Skipped {
                prop_assert!(stop_at_failure, "{:?} was never begun for no reason", ending.node);
            }
        }
    }
}
