//! What the drivers of a run share: the profiles of nodes, the processes within the fan-out, and where answers go.

mod complaints;
mod programs;

use crate::command::CommandId;
use crate::config::Profile;
use crate::driver::kind::DriverKind;
use crate::roster::Member;
use crate::shared::SharedLimits;
use crate::wiring::Wiring;
use complaints::Complaints;
use orderly_exec::children::{ChildId, Children};
use orderly_exec::job::{Ended, Job};
use orderly_plan::drivers::{Abilities, Event, Failure, FailureKind, NodeId, Probe, Task};
use orderly_plan::words::Words;
use programs::Programs;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::time::Instant;

/// Bytes of node names one process gets: a single argument may have 128 KiB.
pub(crate) const NAMES: usize = 96 * 1024;

/// How a command ended: one that ran is `Ok`, whatever its exit status.
pub(crate) type CommandEnd = (CommandId, Result<Ended, Failure>);

/// A reading of a node's probe, by whichever driver it was made; it may have to be repeated before it counts.
#[derive(Debug)]
pub(crate) struct ProbeReading {
    pub(crate) node: NodeId,
    pub(crate) reading: Probe,
    /// What was met that tells neither up nor down.
    pub(crate) why: Option<Failure>,
}

/// What drivers found out, and what they want done next.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) events: Vec<Event>,
    pub(crate) commands: Vec<CommandEnd>,
    pub(crate) readings: Vec<ProbeReading>,
    /// To be begun again as soon as the limits allow.
    pub(crate) again: BTreeMap<Task, VecDeque<NodeId>>,
}

/// What the drivers of a run share.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) wiring: Wiring,
    abilities: Vec<Abilities>,
    pub(crate) children: Children,
    programs: Programs,
    /// Processes that run, with whose they are.
    running: HashMap<ChildId, DriverKind>,
    /// How many processes run at a time.
    pub(crate) fanout: usize,
    pub(crate) shared: SharedLimits,
    pub(crate) answers: Answers,
    pub(crate) complaints: Complaints,
}

impl Runtime {
    pub(crate) fn new(wiring: Wiring, children: Children, fanout: usize, shared: SharedLimits) -> Self {
        let count = u32::try_from(wiring.roster.len()).unwrap_or(u32::MAX);
        Self {
            abilities: (0..count).map(|at| wiring.abilities(NodeId(at))).collect(),
            wiring,
            children,
            programs: Programs::default(),
            running: HashMap::new(),
            fanout,
            shared,
            answers: Answers::default(),
            complaints: Complaints::default(),
        }
    }

    pub(crate) fn abilities(&self, node: NodeId) -> Abilities {
        self.abilities[node.index()]
    }

    pub(crate) fn profile(&self, node: NodeId) -> &Profile {
        self.wiring.profile(node)
    }

    pub(crate) fn member(&self, node: NodeId) -> &Member {
        self.wiring.roster.member(node)
    }

    pub(crate) fn members(&self, nodes: &[NodeId]) -> Vec<&Member> {
        nodes.iter().map(|&node| self.member(node)).collect()
    }

    /// Returns the time of the next look at a node, an interval of its probe from now.
    pub(crate) fn an_interval_from_now(&self, node: NodeId) -> Instant {
        Instant::now() + self.profile(node).probe.interval
    }

    /// Tells whether another process may start.
    pub(crate) fn has_room(&self) -> bool {
        let running = self.running.len();
        running < self.fanout && self.shared.processes(running + 1) > running
    }

    /// Returns how many more processes may start.
    pub(crate) fn room(&self) -> usize {
        self.shared.processes(self.fanout).saturating_sub(self.running.len())
    }

    /// Returns how many processes run.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Starts a process for a driver; returns its number, and its words as the administrator wrote them.
    pub(crate) fn start(&mut self, driver: DriverKind, mut job: Job) -> (ChildId, Vec<OsString>) {
        // Started by its path.
        let written = job.argv.first_mut().and_then(|program| {
            let path = self.programs.find(program)?.clone();
            Some(std::mem::replace(program, path))
        });
        let id = self.children.start(&job);
        if let (Some(written), Some(program)) = (written, job.argv.first_mut()) {
            *program = written;
        }
        self.running.insert(id, driver);
        (id, job.argv)
    }

    /// Returns whose a process is that has not ended.
    pub(crate) fn owner(&self, id: ChildId) -> Option<DriverKind> {
        self.running.get(&id).copied()
    }

    /// Counts a process as over; returns whose it was. Nothing is heard of it from then on.
    pub(crate) fn forget(&mut self, id: ChildId) -> Option<DriverKind> {
        self.running.remove(&id)
    }

    /// Counts all processes as over.
    pub(crate) fn forget_all(&mut self) {
        self.running.clear();
    }

    pub(crate) fn answer(&mut self, event: Event) {
        self.answers.events.push(event);
    }

    /// Answers for nodes with one failure.
    pub(crate) fn fail_all(
        &mut self,
        task: Task,
        nodes: impl IntoIterator<Item = NodeId>,
        failure: &Failure,
    ) {
        let answer = |node| Event::answer(task, node, Err(failure.clone()));
        self.answers.events.extend(nodes.into_iter().map(answer));
    }

    /// Passes a reading of a node's probe on; one by a process that was told to end says nothing.
    pub(crate) fn read_probe(&mut self, node: NodeId, reading: Probe, why: Option<Failure>, told: bool) {
        if told {
            self.answer(Event::Probe(node, Probe::Unknown));
        } else {
            self.answers.readings.push(ProbeReading { node, reading, why });
        }
    }

    /// Has a task begun again on a node as soon as the limits allow.
    pub(crate) fn begin_again(&mut self, task: Task, node: NodeId) {
        self.answers.again.entry(task).or_default().push_back(node);
    }

    /// Takes what people should know by now.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        self.complaints.take(&self.wiring.roster)
    }
}

/// Returns what is said of this one node, or of several or none.
pub(crate) fn words(said: String, node: Option<&Member>) -> Words {
    match node {
        Some(node) => node.words(said),
        None => said.into(),
    }
}

/// Returns the failure of what had not begun when everything was told to end.
pub(crate) fn told_to_end() -> Failure {
    Failure::own(FailureKind::Ended, "interrupted before it began")
}

/// Returns the failure of a call that was ended because everything was: its time was not up.
pub(crate) fn interrupted(failure: Failure, ended: &Ended, node: Option<&Member>) -> Failure {
    Failure { kind: FailureKind::Ended, cause: words(ended.clause_of("interrupted"), node), ..failure }
}
