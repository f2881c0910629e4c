//! Random orders, failures, silences and interrupts in an imagined world, judged by an oracle that
//! works out who leads whom from the statements alone.

#![expect(clippy::wildcard_enum_match_arm, reason = "an imagined world names only what it does differently")]

mod enough;
mod judges;
mod single;
mod steered;

use super::*;
use crate::drivers::{
    Abilities, BootId, Drivers, Event, Failure, FailureKind, Power, Probe, RemoteCommand, Task,
};
use crate::graph::GroupId;
use crate::notice::{Happening, Notice};
use crate::outcome::{NodeEnding, Outcome};
use judges::{judge, keeps_the_limit, spares_itself};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::collections::{BTreeMap, BTreeSet};

const SECOND: Duration = Duration::from_secs(1);

/// What an imagined node is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Sound,
    /// Up from the beginning.
    Running,
    /// On from the beginning, and up only after a reset.
    Stuck,
    /// On from the beginning, and up by itself after its boot time.
    Coming,
    /// Its first power-on fails.
    Grudging,
    /// Its power-ons fail.
    Broken,
    /// Its power-ons time out.
    Hanging,
    /// Its power-ons are accepted and do nothing.
    Lying,
    /// It goes on, as its driver says, and at once off again.
    Falling,
    /// It goes on and never comes up.
    Dead,
    /// Neither power nor probe say anything.
    Silent,
}

#[derive(Debug)]
struct World {
    now: Duration,
    natures: Vec<Nature>,
    able: Abilities,
    fanout: usize,
    /// How many controllers there are, each of which bears one act at a time.
    controllers: u32,
    calls: usize,
    boots: Vec<Duration>,
    on: Vec<bool>,
    up_at: Vec<Option<Duration>>,
    tries: Vec<u32>,
    /// How often each was begun to boot.
    booted: Vec<u32>,
    /// The machine the run is on.
    own: Option<NodeId>,
    events: BTreeMap<(Duration, u64), (bool, Event)>,
    serial: u64,
    /// What was done to power, and when.
    deeds: Vec<(Duration, NodeId, Task)>,
    /// By deed: who was up then.
    were_up: Vec<Vec<bool>>,
}

impl World {
    fn new(natures: &[Nature], boots: &[u64], able: Abilities, fanout: usize) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            able,
            fanout,
            controllers: COUNT,
            calls: 0,
            boots: boots.iter().map(|&boot| Duration::from_secs(boot)).collect(),
            on: vec![false; natures.len()],
            up_at: vec![None; natures.len()],
            tries: vec![0; natures.len()],
            booted: vec![0; natures.len()],
            own: None,
            natures: natures.to_vec(),
            events: BTreeMap::new(),
            serial: 0,
            deeds: Vec::new(),
            were_up: Vec::new(),
        };
        for (at, nature) in natures.iter().enumerate() {
            world.on[at] = matches!(nature, Nature::Running | Nature::Stuck | Nature::Coming);
            world.up_at[at] = match nature {
                Nature::Running => Some(Duration::ZERO),
                Nature::Coming => Some(world.boots[at]),
                _ => None,
            };
        }
        world
    }

    /// Tells whether the controller of a node is at another one already.
    fn is_busy(&self, task: Task, node: NodeId) -> bool {
        let same = |other: NodeId| other.0 % self.controllers == node.0 % self.controllers;
        !matches!(task, Task::Probe | Task::ReadPower | Task::Run(_))
            && self.events.values().any(|(_, event)| matches!(event, Event::Ended(other, ..) if same(*other)))
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.on[node.index()] && self.up_at[node.index()].is_some_and(|at| at <= self.now)
    }

    fn act(&mut self, node: NodeId, task: Task) -> (Duration, Result<(), Failure>) {
        let at = node.index();
        self.deeds.push((self.now, node, task));
        self.were_up.push((0..self.on.len()).map(|at| self.is_up(NodeId(at as u32))).collect());
        self.tries[at] += 1;
        let fail = |kind| Err(Failure::own(kind, "said no".to_owned()));
        match self.natures[at] {
            Nature::Broken => return (SECOND, fail(FailureKind::Failed)),
            Nature::Grudging if self.tries[at] == 1 => return (SECOND, fail(FailureKind::Unreachable)),
            Nature::Hanging => return (50 * SECOND, fail(FailureKind::TimedOut)),
            Nature::Lying | Nature::Falling => return (SECOND, Ok(())),
            _ => {}
        }
        let lives = self.natures[at] != Nature::Dead;
        match task {
            Task::PowerOff => (self.on[at], self.up_at[at]) = (false, None),
            Task::Reset => {
                self.booted[at] += 1;
                self.up_at[at] = lives.then(|| self.now + SECOND + self.boots[at]);
            }
            _ if self.is_up(node) => {}
            _ => {
                self.booted[at] += 1;
                self.on[at] = true;
                self.up_at[at] = lives.then(|| self.now + SECOND + self.boots[at]);
            }
        }
        (SECOND, Ok(()))
    }
}

impl Drivers for World {
    fn now(&self) -> Duration {
        self.now
    }

    fn abilities(&self, _node: NodeId) -> Abilities {
        self.able
    }

    fn is_full(&self) -> bool {
        self.calls >= self.fanout
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let mut begun = Vec::new();
        while self.calls < self.fanout {
            let Some(at) = nodes.iter().position(|&node| !self.is_busy(task, node)) else { break };
            let Some(node) = nodes.remove(at) else { break };
            begun.push(node);
            self.calls += 1;
            let silent = self.natures[node.index()] == Nature::Silent;
            let (takes, event) = match task {
                Task::Probe => {
                    let up = if self.is_up(node) { Probe::Up } else { Probe::Down };
                    (SECOND / 10, Event::Probe(node, if silent { Probe::Unknown } else { up }))
                }
                Task::ReadPower => {
                    let on = if self.on[node.index()] { Power::On } else { Power::Off };
                    (SECOND / 5, Event::Power(node, if silent { Power::Unknown } else { on }))
                }
                Task::Run(RemoteCommand::ReadBootId) => {
                    let id = match self.own == Some(node) {
                        true => OWN,
                        false => BootId(self.booted[node.index()].into()),
                    };
                    (SECOND / 5, Event::BootId(node, self.is_up(node).then_some(id)))
                }
                _ => {
                    let (takes, result) = self.act(node, task);
                    (takes, Event::Ended(node, task, result))
                }
            };
            self.serial += 1;
            self.events.insert((self.now + takes, self.serial), (true, event));
        }
        begun
    }

    fn end_all(&mut self) {
        for (_, event) in self.events.values_mut() {
            if let Event::Ended(_, _, result) = event {
                *result = Err(Failure::own(FailureKind::Ended, "ended".to_owned()));
            }
        }
    }

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        let due = self.events.first_key_value().map(|(&(at, _), _)| at);
        match (due, until) {
            (Some(due), Some(until)) if until < due => self.now = self.now.max(until),
            (None, Some(until)) => self.now = self.now.max(until),
            (Some(due), _) => {
                self.now = self.now.max(due);
                let later = self.events.split_off(&(due + Duration::from_nanos(1), 0));
                let came = std::mem::replace(&mut self.events, later);
                self.calls -= came.len();
                return came.into_values().map(|(_, event)| event).collect();
            }
            (None, None) => panic!("the run waits for nothing"),
        }
        Vec::new()
    }
}

fn drive(machine: &mut dyn Run, world: &mut World, interrupt_at: Option<Duration>) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut interrupted = false;
    for _ in 0..200_000 {
        machine.advance(world);
        notices.extend(machine.take_notices());
        if machine.is_over() {
            return notices;
        }
        let until = [machine.wake(), interrupt_at.filter(|_| !interrupted)].into_iter().flatten().min();
        for event in world.next(until) {
            machine.hear(world, &event);
        }
        if !interrupted && interrupt_at.is_some_and(|at| at <= world.now) {
            interrupted = true;
            machine.interrupt();
        }
    }
    panic!("the run does not end: {:?}", machine.status(world.now));
}

/// The same question answered without [`Order`]: who comes before whom, by closure over groups.
fn leads(count: usize, groups: &[Vec<u32>], edges: &[(u32, u32)]) -> Vec<BTreeSet<u32>> {
    let mut before: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); count];
    // A group begins when all that come before it, members or not, are complete.
    let mut begins: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); groups.len()];
    loop {
        let was = (before.clone(), begins.clone());
        for (group, members) in groups.iter().enumerate() {
            for &member in members {
                let add = begins[group].clone();
                before[member as usize].extend(add);
            }
        }
        for &(a, b) in edges {
            let mut add: BTreeSet<u32> = begins[a as usize].clone();
            for &member in &groups[a as usize] {
                add.insert(member);
                add.extend(before[member as usize].iter().copied());
            }
            begins[b as usize].extend(add);
        }
        if was == (before.clone(), begins.clone()) {
            return before;
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    groups: Vec<Vec<u32>>,
    edges: Vec<(u32, u32)>,
    natures: Vec<Nature>,
    boots: Vec<u64>,
    able: Abilities,
    fanout: usize,
    controllers: u32,
    booting: Option<usize>,
    /// By node: the limit of those that boot is of each class.
    class_of: Vec<u32>,
    reset_stuck: bool,
    own: Option<u32>,
    stagger: u64,
    late: Option<u64>,
    interrupt: Option<u64>,
    /// By node: it is reset if it runs.
    reset: Vec<bool>,
}

impl Case {
    /// Returns a start of nodes of one nature, in no order and without limits.
    fn plain(nature: Nature, able: Abilities) -> Self {
        Self {
            groups: Vec::new(),
            edges: Vec::new(),
            natures: vec![nature; COUNT as usize],
            boots: vec![5; COUNT as usize],
            able,
            fanout: usize::MAX,
            controllers: COUNT,
            booting: None,
            class_of: Vec::new(),
            reset_stuck: false,
            own: None,
            stagger: 0,
            late: None,
            interrupt: None,
            reset: vec![false; COUNT as usize],
        }
    }

    /// Returns the same without limits, and without an end before its time.
    fn unlimited(self) -> Self {
        let Self { fanout, controllers, booting, stagger, late, interrupt, .. } =
            Self::plain(Nature::Sound, self.able);
        Self { fanout, controllers, booting, stagger, late, interrupt, ..self }
    }
}

const COUNT: u32 = 10;
/// What the machine of the run says of itself.
const OWN: BootId = BootId(u128::MAX);

fn case() -> impl Strategy<Value = Case> {
    let nature = prop_oneof![
        8 => Just(Nature::Sound), 2 => Just(Nature::Running), 1 => Just(Nature::Stuck),
        1 => Just(Nature::Coming), 1 => Just(Nature::Grudging), 1 => Just(Nature::Broken),
        1 => Just(Nature::Hanging), 1 => Just(Nature::Lying), 1 => Just(Nature::Dead),
        1 => Just(Nature::Silent),
    ];
    let able =
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(reads_power, resets, probes)| Abilities {
            switches_power: true,
            reads_power,
            confirms_power: false,
            resets,
            runs_commands: true,
            halts: true,
            probes,
            interval: 2 * SECOND,
        });
    (
        (
            prop::collection::vec(prop::collection::vec(0..COUNT, 0..4), 1..7),
            prop::collection::vec((0u32..7, 0u32..7), 0..9),
            prop::collection::vec(nature, COUNT as usize),
            prop::collection::vec(0u64..40, COUNT as usize),
        ),
        (
            able,
            prop_oneof![Just(usize::MAX), 1usize..4],
            prop_oneof![Just(COUNT), 2..4u32],
            prop_oneof![Just(None), (1usize..4).prop_map(Some)],
            prop_oneof![Just(0), 1u64..5],
            prop_oneof![3 => Just(None), 1 => (5u64..60).prop_map(Some)],
            prop_oneof![3 => Just(None), 1 => (0u64..100).prop_map(Some)],
            prop_oneof![
                2 => Just(vec![false; COUNT as usize]),
                1 => prop::collection::vec(any::<bool>(), COUNT as usize)
            ],
            any::<bool>(),
            prop::option::of(0..COUNT),
            prop_oneof![Just(Vec::new()), prop::collection::vec(0u32..3, COUNT as usize)],
        ),
    )
        .prop_map(
            |(
                (groups, edges, natures, boots),
                (
                    able,
                    fanout,
                    controllers,
                    booting,
                    stagger,
                    late,
                    interrupt,
                    reset,
                    reset_stuck,
                    own,
                    class_of,
                ),
            )| {
                let count = u32::try_from(groups.len()).unwrap();
                let edges = edges.into_iter().filter(|&(a, b)| a < b && b < count).collect();
                Case {
                    groups,
                    edges,
                    natures,
                    boots,
                    able,
                    fanout,
                    controllers,
                    booting,
                    class_of,
                    stagger,
                    late,
                    interrupt,
                    reset,
                    reset_stuck,
                    own,
                }
            },
        )
}

fn run(case: &Case, order: &Order) -> (World, Vec<Reading>, Vec<Notice>, Vec<NodeEnding>) {
    let mut world = World::new(&case.natures, &case.boots, case.able, case.fanout);
    world.controllers = case.controllers;
    world.own = case.own.map(NodeId);
    let targets: Vec<NodeId> = (0..COUNT).map(NodeId).collect();
    let mut survey = crate::survey::Survey::new(COUNT as usize, targets.clone(), Vec::new());
    drive(&mut survey, &mut world, None);
    let readings = survey.readings().to_vec();
    let limits = StartLimits {
        timeout: 120 * SECOND,
        boot: 60 * SECOND,
        late: case.late.map(Duration::from_secs),
        stuck: if case.reset_stuck { Stuck::Reset } else { Stuck::GivenUp },
        ..StartLimits::default()
    };
    let options = StartOptions {
        limits: vec![limits; COUNT as usize],
        stagger: Duration::from_secs(case.stagger),
        booting: Booting { limit: case.booting, class_of: case.class_of.clone() },
        reset: targets.iter().copied().filter(|node| is_reset(case, &readings, *node)).collect(),
        own_boot: case.own.map(|_| OWN),
        ..StartOptions::default()
    };
    let mut startup = Startup::new(order, &targets, &readings, options);
    let notices = drive(&mut startup, &mut world, case.interrupt.map(Duration::from_secs));
    let endings = startup.endings();
    (world, readings, notices, endings)
}

fn is_reset(case: &Case, readings: &[Reading], node: NodeId) -> bool {
    case.reset[node.index()] && readings[node.index()].condition() == Condition::Up
}

fn order_of(case: &Case) -> Order {
    let groups: Vec<Vec<NodeId>> =
        case.groups.iter().map(|members| members.iter().copied().map(NodeId).collect()).collect();
    let edges: Vec<_> = case.edges.iter().map(|&(a, b)| (GroupId(a), GroupId(b))).collect();
    Order::new(COUNT as usize, &groups, &edges)
}

proptest! {
    // Orders with a cycle are rejected, and the 10,000 of `make soak` meet more than the usual 1,024.
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn no_node_is_touched_before_its_leaders_and_every_node_is_reported(case in case()) {
        let order = order_of(&case);
        prop_assume!(order.sorted().is_some());
        let before = leads(COUNT as usize, &case.groups, &case.edges);
        let (world, readings, notices, endings) = run(&case, &order);
        let ended = |node: u32| endings[node as usize].clone();
        let blind = !case.able.probes && !case.able.reads_power;

        prop_assert_eq!(judge(&before, &world, &notices, &endings), Ok(()));
        prop_assert_eq!(spares_itself(&case, &world, &readings), Ok(()));
        prop_assert_eq!(keeps_the_limit(&case, &world, &endings), Ok(()));
        for &(_, node, task) in &world.deeds {
            prop_assert!(world.natures[node.index()] != Nature::Silent || blind, "unknown was acted on");
            if task == Task::Reset || task == Task::PowerOff {
                let is_on = case.reset_stuck && readings[node.index()].condition() == Condition::On;
                prop_assert!(is_on || is_reset(&case, &readings, node), "{node:?} was reset");
            }
        }
        prop_assert_eq!(endings.len(), COUNT as usize);
        for ending in &endings {
            let up = world.is_up(ending.node);
            match &ending.outcome {
                Outcome::Up if case.able.probes => prop_assert!(up, "{:?} is not up", ending),
                Outcome::AlreadyUp if case.able.probes => {
                    let nature = world.natures[ending.node.index()];
                    prop_assert!(matches!(nature, Nature::Running | Nature::Coming), "{:?}", ending);
                }
                Outcome::Held(by) => {
                    let held_by: Vec<u32> = by.iter().map(|node| node.0).collect();
                    let began_and_failed = |node: &u32| {
                        let other = ended(*node);
                        other.began.is_some() && other.let_go.is_none() && !other.outcome.is_well()
                    };
                    let all: Vec<u32> = (0..COUNT)
                        .filter(|node| before[ending.node.index()].contains(node) && began_and_failed(node))
                        .collect();
                    prop_assert!(!held_by.is_empty() && held_by.iter().all(|node| all.contains(node)));
                    prop_assert!(case.interrupt.is_some() || held_by == all, "{held_by:?} of {all:?}");
                    prop_assert!(!world.deeds.iter().any(|deed| deed.1 == ending.node));
                }
                Outcome::Skipped | Outcome::Begun | Outcome::Unknown(_) => {
                    prop_assert!(case.interrupt.is_some(), "{ending:?} without an interrupt");
                }
                _ => {}
            }
            let good = |node: u32| matches!(
                world.natures[node as usize],
                Nature::Sound | Nature::Running | Nature::Grudging
            );
            let number = ending.node.0;
            let is_spared = case.own.is_some();
            if case.interrupt.is_none() && !is_spared && good(number) && before[number as usize].iter().all(|&n| good(n)) {
                prop_assert!(ending.outcome.is_well(), "{ending:?} had no reason to fail");
            }
            let told = notices.iter().filter(|notice| {
                notice.node == ending.node && matches!(notice.what, Happening::Over(_))
            });
            prop_assert!(case.interrupt.is_some() || told.count() == 1, "{ending:?} is told of once");
        }
    }

    #[test]
    fn nothing_waits_for_what_it_does_not_depend_on(case in case()) {
        let case = case.unlimited();
        let order = order_of(&case);
        prop_assume!(order.sorted().is_some());
        let before = leads(COUNT as usize, &case.groups, &case.edges);
        let (_, _, _, endings) = run(&case, &order);
        let start = endings.iter().filter_map(|ending| ending.began).min().unwrap_or_default();
        for ending in &endings {
            let Some(began) = ending.began else { continue };
            let last = before[ending.node.index()].iter().filter_map(|&leader| endings[leader as usize].ended).max();
            prop_assert_eq!(began, last.unwrap_or(start), "{:?}", ending);
        }
    }
}

proptest! {
    // Most orders are cyclic, or lose nothing by one edge.
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// The oracle is worth what it objects to: a run by an order that lost one of its statements.
    #[test]
    fn the_oracle_objects_to_an_order_without_one_of_its_edges(case in case(), at in any::<prop::sample::Index>()) {
        prop_assume!(!case.edges.is_empty() && order_of(&case).sorted().is_some());
        let before = leads(COUNT as usize, &case.groups, &case.edges);
        let mut poorer = case.clone();
        poorer.edges.remove(at.index(case.edges.len()));
        let after = leads(COUNT as usize, &poorer.groups, &poorer.edges);
        // A leader that somebody lost by it, and that never comes up: nothing makes up for the edge.
        let lost = before.iter().zip(&after).find_map(|(before, after)| before.difference(after).next());
        prop_assume!(lost.is_some());
        let mut natures = vec![Nature::Sound; COUNT as usize];
        lost.into_iter().for_each(|&leader| natures[leader as usize] = Nature::Dead);
        let able = Abilities { probes: true, ..case.able };
        let case = Case { natures, able, late: None, interrupt: None, ..case };
        let (world, _, notices, endings) = run(&case, &order_of(&case));
        prop_assert_eq!(judge(&before, &world, &notices, &endings), Ok(()));
        let (world, _, notices, endings) = run(&case, &order_of(&poorer));
        prop_assert!(judge(&before, &world, &notices, &endings).is_err(), "the oracle says nothing");
    }
}

/// That oracle objects, too: a run that does not know which boot is its own resets itself.
#[test]
fn the_oracle_objects_to_a_run_that_resets_its_own_machine() {
    let able = Abilities { runs_commands: true, ..single::ALL };
    let case = Case { reset: vec![true; COUNT as usize], ..Case::plain(Nature::Running, able) };
    let (world, readings, ..) = run(&case, &order_of(&case));
    let known = Case { own: Some(3), ..case };
    assert!(spares_itself(&known, &world, &readings).is_err());
    let (world, readings, ..) = run(&known, &order_of(&known));
    assert_eq!(spares_itself(&known, &world, &readings), Ok(()));
}
