//! Who is waited for: nodes that never answer, behind drivers with a clock of its own.

use super::*;
use crate::drivers::Abilities;
use crate::graph::GroupId;
use std::collections::BTreeSet;

/// Nodes that answer after a second, but for the silent ones. Those in `up` probe up, others down.
#[derive(Default)]
struct World {
    now: Duration,
    up: BTreeSet<u32>,
    silent_probe: BTreeSet<u32>,
    silent_power: BTreeSet<u32>,
    under_way: Vec<(NodeId, Task)>,
    ended: bool,
}

impl Drivers for World {
    fn now(&self) -> Duration {
        self.now
    }

    fn abilities(&self, _: NodeId) -> Abilities {
        Abilities {
            switches_power: true,
            reads_power: true,
            confirms_power: false,
            resets: true,
            runs_commands: false,
            halts: false,
            probes: true,
            interval: Duration::from_secs(2),
        }
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let begun: Vec<NodeId> = nodes.drain(..).collect();
        self.under_way.extend(begun.iter().map(|&node| (node, task)));
        begun
    }

    fn end_all(&mut self) {
        self.ended = true;
    }

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        let mut events = Vec::new();
        self.under_way.retain(|&(node, task)| {
            let silent = if task == Task::Probe { &self.silent_probe } else { &self.silent_power };
            if silent.contains(&node.0) && !self.ended {
                return true;
            }
            events.push(match task {
                _ if self.ended && task == Task::Probe => Event::Probe(node, Probe::Up),
                Task::Probe if self.up.contains(&node.0) => Event::Probe(node, Probe::Up),
                Task::Probe => Event::Probe(node, Probe::Down),
                Task::PowerOn | Task::PowerOff | Task::Reset | Task::ReadPower | Task::Run(_) => {
                    Event::Power(node, Power::Off)
                }
            });
            false
        });
        // Silence lasts as long as a driver lets it.
        self.now = match (events.is_empty(), until) {
            (false, _) => self.now + Duration::from_secs(1),
            (true, Some(until)) => until,
            (true, None) => {
                self.silent_probe.clear();
                self.silent_power.clear();
                self.now + Duration::from_secs(900)
            }
        };
        events
    }
}

/// Four nodes, of which the first leads the second; every one may be left behind.
fn ask(world: &mut World) -> (Vec<Condition>, Vec<NodeId>) {
    ask_with(world, &[])
}

fn ask_with(world: &mut World, absent: &[NodeId]) -> (Vec<Condition>, Vec<NodeId>) {
    let all: Vec<NodeId> = (0..4).map(NodeId).collect();
    let groups: Vec<Vec<NodeId>> = all.iter().map(|&node| vec![node]).collect();
    let order = Order::new(4, &groups, &[(GroupId(0), GroupId(1))]);
    let survey = Survey::new(4, all.clone(), Vec::new());
    let mut survey = match absent {
        [] => survey.asked_again_later(&order, all.clone(), all),
        _ => survey.not_waiting_for(absent),
    };
    loop {
        survey.advance(world);
        if survey.is_over() {
            if survey.outstanding() == 0 {
                break;
            }
            world.end_all();
        }
        for event in world.next(survey.wake()) {
            survey.hear(world, &event);
        }
    }
    (survey.conditions(), survey.left_behind().to_vec())
}

#[test]
fn a_controller_that_hangs_keeps_no_run_from_beginning_and_is_unknown() {
    for (silent_probe, silent_power) in [([3].into(), [].into()), ([].into(), [3].into())] {
        let mut world = World { silent_probe, silent_power, ..World::default() };
        let (conditions, behind) = ask(&mut world);
        assert_eq!(conditions, [Condition::Down, Condition::Down, Condition::Down, Condition::Unknown]);
        assert_eq!(behind, [NodeId(3)]);
        assert!(world.now < Duration::from_secs(60), "{:?}", world.now);
    }
}

#[test]
fn a_silent_node_that_leads_one_found_up_is_waited_for() {
    let mut world = World { up: [1].into(), silent_power: [0].into(), ..World::default() };
    let (conditions, behind) = ask(&mut world);
    assert_eq!(conditions[..2], [Condition::Down, Condition::Up]);
    assert!(behind.is_empty() && world.now > Duration::from_secs(900), "{:?}", world.now);
}

/// A client that is out for repair kept its server from being stopped for as long as its controller took to time out.
#[test]
fn one_that_is_known_to_be_away_is_waited_for_by_nobody_whatever_it_leads() {
    let mut world = World { up: [1].into(), silent_power: [0].into(), ..World::default() };
    let (conditions, behind) = ask_with(&mut world, &[NodeId(0)]);
    assert_eq!(conditions[..2], [Condition::Unknown, Condition::Up]);
    assert!(behind == [NodeId(0)] && world.now < Duration::from_secs(60), "{:?}", world.now);
    let mut world = World { up: [1].into(), silent_power: [0, 2].into(), ..World::default() };
    let (_, behind) = ask_with(&mut world, &[NodeId(0)]);
    assert!(
        behind.is_empty() && world.now > Duration::from_secs(900),
        "another is waited for: {:?}",
        world.now
    );
}

#[test]
fn where_nobody_answers_nobody_is_held_up() {
    let mut world = World { silent_probe: (0..4).collect(), ..World::default() };
    let (conditions, behind) = ask(&mut world);
    assert!(behind.is_empty() && conditions.iter().all(|condition| *condition == Condition::Down));
}
