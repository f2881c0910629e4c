//! Tests of the simulation: the virtual clock, the world in its file, and what goes wrong there.

use super::*;
use orderly_exec::signals::Signals;
use orderly_plan::drivers::{Power, Probe, RemoteCommand};
use proptest::prelude::*;
use std::path::Path;

const SECOND: Duration = Duration::from_secs(1);

fn sound() -> Nature {
    Nature { latency: Duration::from_millis(100), ..Nature::sound(3 * SECOND, 2 * SECOND) }
}

fn begin(drivers: &mut Simulation, task: Task, nodes: &[u32]) {
    let mut queue = nodes.iter().copied().map(NodeId).collect();
    drivers.begin(task, &mut queue);
    assert!(queue.is_empty());
}

#[test]
fn a_node_boots_and_halts_on_the_virtual_clock_in_an_instant() {
    let mut drivers = Simulation::imagine(vec![(sound(), NodeState::Off)]);
    let node = NodeId(0);
    begin(&mut drivers, Task::PowerOn, &[0]);
    assert_eq!(drivers.next(None), [Event::Ended(node, Task::PowerOn, Ok(()))]);
    assert_eq!(drivers.now(), Duration::from_millis(100));
    begin(&mut drivers, Task::Probe, &[0]);
    assert_eq!(drivers.next(None), [Event::Probe(node, Probe::Down)]);
    assert_eq!(drivers.next(Some(3200 * SECOND / 1000)), []);
    begin(&mut drivers, Task::Probe, &[0]);
    begin(&mut drivers, Task::ReadPower, &[0]);
    assert_eq!(drivers.next(None), [Event::Probe(node, Probe::Up), Event::Power(node, Power::On)]);
    let halt = Task::Run(RemoteCommand::Halt);
    begin(&mut drivers, halt, &[0]);
    assert_eq!(drivers.next(None), [Event::Ended(node, halt, Ok(()))]);
    drivers.next(Some(20 * SECOND));
    let deeds: Vec<(u128, DeedKind)> =
        drivers.deeds().into_iter().map(|deed| (deed.at.as_millis(), deed.what)).collect();
    assert!(deeds.contains(&(3100, DeedKind::Became(NodeState::Up))), "{deeds:?}");
    assert!(deeds.contains(&(5400, DeedKind::Became(NodeState::Off))), "{deeds:?}");
    assert!(!deeds.iter().any(|(_, what)| *what == DeedKind::Crashed));
}

#[test]
fn power_taken_from_a_running_node_is_noted_as_a_crash() {
    let mut drivers = Simulation::imagine(vec![(sound(), NodeState::Up), (sound(), NodeState::Halted)]);
    begin(&mut drivers, Task::PowerOff, &[0, 1]);
    drivers.next(None);
    let crashed: Vec<NodeId> =
        drivers.deeds().iter().filter(|deed| deed.what == DeedKind::Crashed).map(|deed| deed.node).collect();
    assert_eq!(crashed, [NodeId(0)]);
}

#[test]
fn failures_end_after_their_times_and_hangs_at_the_limit() {
    let mut hung = sound();
    hung.power = SimulatedAnswer::Hangs;
    let mut failing = sound();
    failing.power = SimulatedAnswer::Fails(FailureKind::Unreachable, 1);
    let mut deaf = sound();
    deaf.power = SimulatedAnswer::Ignores;
    let natures = [hung, failing, deaf].map(|nature| (nature, NodeState::Off)).to_vec();
    let mut drivers = Simulation::imagine(natures);
    begin(&mut drivers, Task::PowerOn, &[0, 1, 2]);
    let kind = |event: &Event| {
        let Event::Ended(node, _, result) = event else { panic!("{event:?}") };
        (node.0, result.as_ref().err().map(|failure| failure.kind))
    };
    let soon: Vec<_> = drivers.next(None).iter().map(kind).collect();
    assert_eq!(soon, [(1, Some(FailureKind::Unreachable)), (2, None)]);
    begin(&mut drivers, Task::PowerOn, &[1]);
    assert_eq!(drivers.next(None).iter().map(kind).collect::<Vec<_>>(), [(1, None)]);
    assert_eq!(drivers.next(None).iter().map(kind).collect::<Vec<_>>(), [(0, Some(FailureKind::TimedOut))]);
    assert_eq!(drivers.now(), 60 * SECOND);
    assert_eq!(drivers.world().condition(NodeId(2)), NodeState::Off);
    assert_eq!(drivers.next(None), [], "nothing will ever happen, and that is said without waiting");
}

#[test]
fn what_was_begun_is_answered_for_when_everything_ends() {
    let mut drivers = Simulation::imagine(vec![(sound(), NodeState::Off), (sound(), NodeState::Up)]);
    drivers.interrupt_at(Duration::from_millis(50), 2);
    begin(&mut drivers, Task::PowerOn, &[0]);
    begin(&mut drivers, Task::Probe, &[1]);
    assert_eq!(drivers.next(None), [Event::Signal(2)]);
    drivers.end_all();
    let heard = drivers.next(None);
    assert!(heard.contains(&Event::Probe(NodeId(1), Probe::Unknown)), "{heard:?}");
    assert!(heard.iter().any(
        |event| matches!(event, Event::Ended(_, _, Err(failure)) if failure.kind == FailureKind::Ended)
    ));
    assert_eq!(drivers.world().condition(NodeId(0)), NodeState::Off);
}

fn real(path: &Path, condition: NodeState) -> anyhow::Result<Simulation> {
    let children = Children::new(Signals::listen()?)?;
    let nature = Nature { latency: Duration::from_millis(1), ..Nature::sound(SECOND / 10, SECOND / 10) };
    let natures = vec![(nature.clone(), condition), (nature, condition)];
    let names = vec!["n1".to_owned(), "n2".to_owned()];
    Simulation::imagine(natures).on_real_clock(children, WorldStore::at(path.to_owned()), names)
}

#[test]
fn the_world_goes_on_from_one_run_to_the_next() {
    let _alone = crate::ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/world.json");
    let mut first = real(&path, NodeState::Off).unwrap();
    begin(&mut first, Task::PowerOn, &[0]);
    assert_eq!(first.next(None).len(), 1);
    // A second run at the same time changes another node; neither forgets the other.
    let mut second = real(&path, NodeState::Off).unwrap();
    begin(&mut second, Task::PowerOn, &[1]);
    assert_eq!(second.next(None).len(), 1);
    second.save().unwrap();
    first.save().unwrap();
    drop((first, second));
    let mut third = real(&path, NodeState::Off).unwrap();
    let until = third.now() + SECOND / 5;
    assert_eq!(third.next(Some(until)), []);
    begin(&mut third, Task::Probe, &[0, 1]);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(third.next(None));
    }
    assert_eq!(heard, [0, 1].map(|node| Event::Probe(NodeId(node), Probe::Up)));
    drop(third);
    std::fs::write(&path, "{\"format\":\"orderly-simulator/2\",\"nodes\":{}}").unwrap();
    assert!(real(&path, NodeState::Off).is_err());
    std::fs::write(&path, "half a file").unwrap();
    assert!(format!("{:#}", real(&path, NodeState::Off).unwrap_err()).contains("remove it"));
}

proptest! {
    /// Whatever is begun is answered for exactly once, and time never goes back.
    #[test]
    fn every_task_is_answered_for_once(
        tasks in prop::collection::vec((0u32..4, 0u8..8, 0u64..5000), 1..60),
        end_at in prop::option::of(0usize..60),
        fanout in 1usize..5,
    ) {
        let mut natures: Vec<(Nature, NodeState)> = vec![(sound(), NodeState::Off); 4];
        natures[1].0.power = SimulatedAnswer::Hangs;
        natures[2].0.hang();
        natures[3].0.probe_reads = Reads::OftenUnknown;
        let mut drivers = Simulation::imagine(natures);
        drivers.set_fanout(fanout);
        let (mut begun, mut answered) = (0, 0);
        let mut before = Duration::ZERO;
        for (turn, (node, task, pause)) in tasks.into_iter().enumerate() {
            let task = match task {
                0 => Task::PowerOn,
                1 => Task::PowerOff,
                2 => Task::Reset,
                3 => Task::ReadPower,
                4 => Task::Probe,
                5 => Task::Run(RemoteCommand::Halt),
                6 => Task::Run(RemoteCommand::Restart),
                _ => Task::Run(RemoteCommand::Maintenance),
            };
            let mut queue = VecDeque::from([NodeId(node)]);
            drivers.begin(task, &mut queue);
            begun += 1 - queue.len();
            if end_at == Some(turn) {
                drivers.end_all();
            }
            answered += drivers.next(Some(before + Duration::from_millis(pause))).len();
            prop_assert!(drivers.now() >= before);
            before = drivers.now();
        }
        loop {
            let heard = drivers.next(None).len();
            if heard == 0 {
                break;
            }
            answered += heard;
        }
        prop_assert_eq!(begun, answered);
        let deeds = drivers.deeds();
        prop_assert!(deeds.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }
}
