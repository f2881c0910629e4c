//! Probes of nodes: connections of our own, commands of the site, and which reading counts, by whichever driver it
//! was made.

use super::debounce::{Debounced, Debouncer};
use super::driver::ProbeBy;
use super::tcp::{Met, Prober, Question};
use crate::agenda::Agenda;
use crate::driver::kind::DriverKind;
use crate::driver::{Begun, Driver};
use crate::runtime::{ProbeReading, Runtime};
use crate::shell;
use orderly_exec::children::ChildId;
use orderly_exec::job::{Ended, Ending, Job};
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Probe, Task, Teller};
use orderly_plan::words::Words;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::time::Instant;

/// A command that tells whether a node is up.
#[derive(Debug)]
struct ProbeCall {
    node: NodeId,
    argv: Vec<OsString>,
    /// It was told to end because everything was.
    told: bool,
}

/// Probes under way, and what is known of them.
#[derive(Debug)]
pub(crate) struct ProbeCalls {
    prober: Prober,
    calls: HashMap<ChildId, ProbeCall>,
    /// By node.
    debouncers: Vec<Debouncer>,
    /// Probes to be repeated before their readings count.
    again: Agenda<NodeId>,
    /// What a probe met that tells neither up nor down.
    unknown: BTreeMap<NodeId, Failure>,
    /// Nodes of which that was said.
    told: HashSet<NodeId>,
}

impl ProbeCalls {
    /// Returns the probes of so many nodes, at most `room` connections at once.
    pub(crate) fn new(room: usize, nodes: usize) -> Self {
        Self {
            prober: Prober::new(room),
            calls: HashMap::new(),
            debouncers: vec![Debouncer::default(); nodes],
            again: Agenda::default(),
            unknown: BTreeMap::new(),
            told: HashSet::new(),
        }
    }

    /// Takes readings, by whichever driver they were made; those that count are answers.
    pub(crate) fn take_readings(&mut self, runtime: &mut Runtime) {
        for ProbeReading { node, reading, why } in std::mem::take(&mut runtime.answers.readings) {
            match (reading, why) {
                (Probe::Unknown, Some(why)) => {
                    self.unknown.insert(node, why);
                }
                (Probe::Unknown, None) => {}
                (Probe::Up | Probe::Down, _) => {
                    self.unknown.remove(&node);
                }
            }
            match self.debouncers[node.index()].take(reading, runtime.profile(node).probe.stable) {
                Debounced::Answer(probe) => runtime.answer(Event::Probe(node, probe)),
                Debounced::AskAgain => self.again.push(runtime.an_interval_from_now(node), node),
            }
        }
    }

    pub(crate) fn why_unknown(&self, node: NodeId) -> Option<String> {
        self.unknown.get(&node).map(Failure::detail)
    }

    /// Returns why a node's probe is turned away for good.
    pub(crate) fn permanent_failure(&self, node: NodeId) -> Option<Failure> {
        self.unknown.get(&node).filter(|why| why.kind.is_permanent()).cloned()
    }

    /// Says what probes met that are unknown in the end: on its way up a node may say anything for a while.
    pub(crate) fn complain(&mut self, runtime: &mut Runtime) {
        for (&node, why) in &self.unknown {
            if self.told.insert(node) {
                runtime.complaints.complain(Words::from("probe unknown: ").then(why.words()), node);
            }
        }
    }

    /// Takes what connections met.
    fn take_met(&mut self, runtime: &mut Runtime) {
        for Met { node, reading, said } in self.prober.take() {
            let said = said.map(|said| runtime.member(node).words(said));
            let why = said.map(|said| Failure::told(Teller::Probe, FailureKind::Failed, said));
            runtime.read_probe(node, reading, why, false);
        }
    }
}

impl Driver for ProbeCalls {
    fn begin(
        &mut self,
        runtime: &mut Runtime,
        _task: Task,
        nodes: &mut VecDeque<NodeId>,
        at: usize,
    ) -> Begun {
        let node = nodes[at];
        let (profile, member) = (runtime.wiring.profile(node), runtime.wiring.roster.member(node));
        let timeout = profile.probe.timeout;
        match &profile.probe.driver.by {
            ProbeBy::Connection { port, banner } if self.prober.has_room() => {
                let (address, banner) = (member.address.clone(), banner.clone());
                let question =
                    Question { node, address, port: *port, banner, deadline: Instant::now() + timeout };
                self.prober.begin(&mut runtime.children, question);
                self.take_met(runtime);
            }
            ProbeBy::CommandHere(up) if runtime.has_room() => match up.fill(&[member], "") {
                Ok(argv) => {
                    let (id, argv) = runtime.start(DriverKind::Probe, Job::new(argv, timeout));
                    self.calls.insert(id, ProbeCall { node, argv, told: false });
                }
                Err(error) => {
                    let why = Failure::own(FailureKind::NotStarted, member.words(error.to_string()));
                    runtime.read_probe(node, Probe::Unknown, Some(why), false);
                }
            },
            ProbeBy::Connection { .. } | ProbeBy::CommandHere(_) => return Begun::Full,
            ProbeBy::CommandThere(_) | ProbeBy::Power | ProbeBy::Nothing | ProbeBy::Simulator => {
                runtime.answer(Event::Probe(node, Probe::Unknown));
            }
        }
        nodes.remove(at);
        Begun::On(vec![node])
    }

    fn ended(&mut self, runtime: &mut Runtime, id: ChildId, ended: Ended) {
        let Some(call) = self.calls.remove(&id) else { return };
        let reading = match ended.ending {
            Ending::Exited(0) => Probe::Up,
            Ending::Exited(1) => Probe::Down,
            Ending::Exited(_)
            | Ending::Killed(_)
            | Ending::TimedOut
            | Ending::Unkillable
            | Ending::NotStarted => Probe::Unknown,
        };
        let node = Some(runtime.member(call.node));
        let why = shell::plain_failure(Teller::Probe, &call.argv, &ended, node);
        runtime.read_probe(call.node, reading, Some(why), call.told);
    }

    fn ready(&mut self, runtime: &mut Runtime, watch: u64) -> bool {
        let is_own = self.prober.ready(&mut runtime.children, watch);
        self.take_met(runtime);
        is_own
    }

    fn do_due(&mut self, runtime: &mut Runtime) {
        let now = Instant::now();
        self.prober.expire(&mut runtime.children, now);
        self.take_met(runtime);
        while let Some(node) = self.again.take_due(now) {
            runtime.begin_again(Task::Probe, node);
        }
    }

    fn wake(&self, _runtime: &Runtime) -> Option<Instant> {
        self.prober.deadline().into_iter().chain(self.again.next()).min()
    }

    fn end_all(&mut self, runtime: &mut Runtime) {
        self.calls.values_mut().for_each(|call| call.told = true);
        self.prober.end_all();
        self.take_met(runtime);
        self.again.take_all().for_each(|node| runtime.answer(Event::Probe(node, Probe::Unknown)));
    }

    fn lose_all(&mut self, runtime: &mut Runtime, failure: &Failure) {
        for (_, call) in std::mem::take(&mut self.calls) {
            runtime.fail_all(Task::Probe, [call.node], failure);
        }
        self.end_all(runtime);
    }
}
