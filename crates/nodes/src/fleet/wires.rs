//! Real nodes: which process or probe a task is, within the limits of the run.

use super::ahead::LookAhead;
use super::command::{Command, CommandId, Host};
use super::controllers::Controllers;
use super::programs::Programs;
use super::wiring::Wiring;
use crate::boot;
use crate::config::{Cluster, Profile};
use crate::debounce::{Debouncer, Verdict};
use crate::power::wanted;
use crate::probe::ProbeDriver;
use crate::roster::Member;
use crate::shell;
use crate::tcp::{self, Met, Prober, Question};
use crate::template::Reach;
use orderly_exec::children::{ChildEvent, ChildId, Children};
use orderly_exec::descriptors;
use orderly_exec::job::{Ended, Job};
use orderly_plan::fleet::{Abilities, Event, Failure, FailureKind, NodeId, Probe, Task, Teller};
use orderly_plan::inventory::Inventory;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod batches;
mod batching;
mod call;
mod completion;
mod confirm;
mod looking;
mod remote;
mod report_unknown;
mod route;
mod routing;
mod unknowns;

use batches::Batches;
use call::{Call, Confirmation, OnNode, Purpose, Timer};
use route::{Asks, Route};
use unknowns::Unknowns;

/// How far past nodes whose controller is busy a free one is looked for: further than any one
/// controller has nodes, because one that hangs would hold back all behind it.
const LOOK_AHEAD: usize = 16 * 1024;

/// Descriptors that a process takes: its pipes, and some more while it is started.
const A_CHILD: usize = 4;
/// Descriptors left to the rest of this process, with a few probes.
const SPARE: usize = 64 + FEW;
const FEW: usize = 16;

/// Events handed over at once, so that a flood of them does not keep new work waiting.
const AT_ONCE: usize = 256;

#[derive(Debug)]
pub(super) struct Wires {
    wiring: Wiring,
    abilities: Vec<Abilities>,
    children: Children,
    began: Instant,
    calls: HashMap<ChildId, Call>,
    fanout: usize,
    controllers: Controllers,
    programs: Programs,
    batches: Batches,
    prober: Prober,
    debouncers: Vec<Debouncer>,
    /// What is to be done later: probes to be repeated, calls to be looked after.
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    again: VecDeque<NodeId>,
    answers: Vec<Event>,
    ended: Vec<(CommandId, Result<Ended, Failure>)>,
    message: Vec<u8>,
    /// The boot id of this machine, and the nodes that may be stopped although it is theirs.
    own_boot: Option<String>,
    may_be_self: Vec<NodeId>,
    ending: bool,
    /// Calls that are over, whose nodes are asked again later.
    waiting: HashMap<u64, (Confirmation, Vec<NodeId>)>,
    confirmations: u64,
    unknowns: Unknowns,
    /// Nodes whose controllers take no pings, to be told of together.
    silent: Vec<NodeId>,
    ahead: LookAhead,
    /// Why the last power program could not be called.
    uncallable: Option<String>,
    warnings: Vec<String>,
}

impl Wires {
    /// Returns the profiles that some member has.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &Profile> {
        let used: BTreeSet<u32> = self.wiring.profile_of.iter().copied().collect();
        used.into_iter().map(|at| &self.wiring.profiles[at as usize])
    }

    pub(super) fn new(cluster: &Cluster, inventory: &Inventory, wiring: Wiring, children: Children) -> Self {
        let (fanout, probes, warnings) = rooms(cluster.limits.fanout.max(1));
        let count = wiring.roster.len();
        let abilities =
            (0..count).map(|at| wiring.abilities(NodeId(u32::try_from(at).unwrap_or(u32::MAX)))).collect();
        Self {
            abilities,
            children,
            began: Instant::now(),
            calls: HashMap::new(),
            fanout,
            controllers: Controllers::new(inventory, cluster.limits.per.as_deref(), cluster.limits.max),
            programs: Programs::default(),
            batches: Batches::default(),
            prober: Prober::new(probes),
            debouncers: vec![Debouncer::default(); count],
            timers: BinaryHeap::new(),
            again: VecDeque::new(),
            answers: Vec::new(),
            ended: Vec::new(),
            message: Vec::new(),
            own_boot: boot::own_text(),
            may_be_self: Vec::new(),
            ending: false,
            waiting: HashMap::new(),
            confirmations: 0,
            unknowns: Unknowns::default(),
            silent: Vec::new(),
            ahead: LookAhead::new(&wiring),
            uncallable: None,
            warnings,
            wiring,
        }
    }

    pub(super) fn at_once(&self) -> usize {
        self.fanout
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn abilities(&self, node: NodeId) -> Abilities {
        self.abilities[node.index()]
    }

    pub(super) fn allow_self(&mut self, nodes: &[NodeId]) {
        self.may_be_self = nodes.to_vec();
    }

    pub(super) fn set_message(&mut self, message: &str) {
        self.message = message.as_bytes().to_vec();
        if !self.message.ends_with(b"\n") {
            self.message.push(b'\n');
        }
    }

    pub(super) fn take_ended(&mut self) -> Vec<(CommandId, Result<Ended, Failure>)> {
        std::mem::take(&mut self.ended)
    }

    pub(super) fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let mut begun = Vec::new();
        let mut at = 0;
        while at < nodes.len().min(LOOK_AHEAD) {
            let node = nodes[at];
            match self.after_a_look(task, node) {
                Route::Known(event) => self.answers.push(event),
                Route::Looked => {}
                Route::Tcp if self.prober.has_room() => self.begin_tcp(node),
                Route::Process(..) | Route::Batch if self.calls.len() >= self.fanout => break,
                Route::Batch => self.gather_task(task, node),
                Route::Process(_, Asks::Controller) if !self.controllers.has_room(node) => {
                    at += 1;
                    continue;
                }
                Route::Process(Reach::Each, _) => self.begin_process(task, vec![node]),
                Route::Process(Reach::Set, _) => {
                    let set = self.take_set(task, node, nodes);
                    begun.extend(&set);
                    self.begin_process(task, set);
                    continue;
                }
                Route::Tcp => break,
            }
            begun.extend(nodes.remove(at));
        }
        begun
    }

    fn begin_tcp(&mut self, node: NodeId) {
        let profile = self.wiring.profile(node);
        let ProbeDriver::Tcp { port, banner } = &profile.probe.driver else { return };
        let question = Question {
            node,
            address: &self.wiring.roster.member(node).address,
            port: *port,
            banner,
            deadline: Instant::now() + profile.probe.timeout,
        };
        self.prober.begin(&mut self.children, question);
        self.take_probes();
    }

    fn begin_process(&mut self, task: Task, nodes: Vec<NodeId>) {
        let Some(&first) = nodes.first() else { return };
        if let Task::Run(remote) = task {
            self.begin_remote(first, remote);
            return;
        }
        let profile = self.wiring.profile(first);
        let (job, purpose) = match task {
            Task::Probe if profile.probe.driver == ProbeDriver::Power => {
                (self.status_job(&nodes), Purpose::ProbePower)
            }
            Task::Probe => (self.probe_job(first), Purpose::Probe),
            Task::ReadPower => (self.status_job(&nodes), Purpose::ReadPower),
            Task::PowerOn | Task::PowerOff | Task::Reset | Task::Run(_) => {
                (self.power_job(task, &nodes), Purpose::Act(task))
            }
        };
        match job {
            Some(job) => self.begin_call(job, purpose, nodes),
            None => {
                let missing = self.no_call();
                self.fail_all(task, nodes, &missing);
            }
        }
    }

    fn begin_call(&mut self, job: Job, purpose: Purpose, nodes: Vec<NodeId>) {
        self.call(job, purpose, nodes);
    }

    fn call(&mut self, mut job: Job, purpose: Purpose, nodes: Vec<NodeId>) -> ChildId {
        // Started by its path, and shown as the administrator wrote it.
        let written = job.argv.first_mut().and_then(|program| {
            let path = self.programs.find(program)?.clone();
            Some(std::mem::replace(program, path))
        });
        let id = self.children.start(&job);
        if let (Some(written), Some(program)) = (written, job.argv.first_mut()) {
            *program = written;
        }
        let occupies = match purpose {
            Purpose::Act(Task::Run(_)) | Purpose::Probe | Purpose::Command(_) | Purpose::Batch => Vec::new(),
            Purpose::Act(_)
            | Purpose::ReadPower
            | Purpose::ProbePower
            | Purpose::LookAfter(_)
            | Purpose::Confirm(_) => nodes.clone(),
        };
        self.controllers.occupy(&occupies);
        if let (Purpose::Act(task), Some(&first)) = (&purpose, nodes.first())
            && nodes.len() > 1
            && wanted(*task).is_some()
            && self.wiring.profile(first).reads_power()
        {
            let interval = self.wiring.profile(first).probe.interval;
            self.timers.push(Reverse((Instant::now() + interval, Timer::LookAfter(id))));
        }
        if purpose.asks_power()
            && nodes.len() > 1
            && let Some(&first) = nodes.first()
        {
            let interval = self.wiring.profile(first).probe.interval;
            self.timers.push(Reverse((Instant::now() + interval, Timer::Split(id))));
        }
        self.calls.insert(id, Call { purpose, nodes, occupies, argv: job.argv, mark: None, told: false });
        id
    }

    fn members(&self, nodes: &[NodeId]) -> Vec<&Member> {
        nodes.iter().map(|&node| self.wiring.roster.member(node)).collect()
    }

    fn power_job(&mut self, task: Task, nodes: &[NodeId]) -> Option<Job> {
        let profile = self.wiring.profile(*nodes.first()?);
        let driver = Arc::clone(&profile.power.driver);
        let job = driver.job(task, &self.members(nodes), profile.power_timeout());
        self.callable(job)
    }

    fn status_job(&mut self, nodes: &[NodeId]) -> Option<Job> {
        let mut job = self.power_job(Task::ReadPower, nodes)?;
        job.keep = 64 * 1024 + nodes.len() * 512;
        Some(job)
    }

    pub(super) fn start(&mut self, id: CommandId, command: &Command) {
        if let Host::Node(node) = command.on
            && self.parallel(node).is_some()
        {
            let line = shell::quote(&command.argv);
            self.gather_command(node, id, line, &command.stdin, command.timeout);
            return;
        }
        if let Host::Node(node) = command.on {
            let line = shell::quote(&command.argv);
            let on_node = OnNode { line: &line, input: &command.stdin, limit: command.timeout };
            if self.call_on(node, Purpose::Command(id), &on_node) {
                return;
            }
            let detail = "the node has no shell driver (see [shell])";
            self.ended.push((id, Err(Failure::own(FailureKind::NotStarted, detail))));
            return;
        };
        let mut job = Job::new(command.argv.iter(), command.timeout);
        job.stdin.clone_from(&command.stdin);
        self.begin_call(job, Purpose::Command(id), Vec::new());
    }

    pub(super) fn end_all(&mut self) {
        self.ending = true;
        for call in self.calls.values_mut() {
            call.told = true;
        }
        self.children.end_all();
        self.give_up_batches(&told_to_end());
        self.prober.end_all();
        self.take_probes();
        self.end_confirming();
        self.end_looking();
        for Reverse((_, later)) in std::mem::take(&mut self.timers) {
            if let Timer::ProbeAgain(node) = later {
                self.again.push_back(node);
            }
        }
        self.probe_again();
        // What is begun from now on, by somebody who did not hear of this, is begun for real again.
        self.ending = false;
    }

    pub(super) fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        let until = until.and_then(|until| self.began.checked_add(until));
        loop {
            self.do_what_is_due();
            if !self.answers.is_empty() || !self.ended.is_empty() {
                return std::mem::take(&mut self.answers);
            }
            // With every place taken, the end of a call is waited for, and not the time of the next.
            let batches = self.batches.due().filter(|_| self.calls.len() < self.fanout);
            let later = self.timers.peek().map(|Reverse((at, _))| *at);
            let wake = [until, self.prober.deadline(), later, batches, self.unknowns.due()];
            match self.children.next(wake.into_iter().flatten().min()) {
                Ok(Some(seen)) => self.see_all(seen),
                Ok(None) => {
                    let due = [until, self.unknowns.due()].into_iter().flatten().min();
                    if due.is_some_and(|due| Instant::now() >= due) {
                        self.do_what_is_due();
                        return std::mem::take(&mut self.answers);
                    }
                }
                Err(error) => self.lose_everything(&format!("{error:#}")),
            }
        }
    }

    /// Takes what was seen, and what else there is to see by now.
    fn see_all(&mut self, seen: ChildEvent) {
        let mut next = Some(seen);
        let now = Instant::now();
        while let Some(seen) = next {
            match seen {
                ChildEvent::Ended(id, ended) => self.call_ended(id, ended),
                ChildEvent::Said(id, said) => self.batch_said(id, &said),
                ChildEvent::Ready(watch) if self.ahead.ready(&mut self.children, watch) => {}
                ChildEvent::Ready(watch) => {
                    self.prober.ready(&mut self.children, watch);
                    self.take_probes();
                }
                ChildEvent::Signal(signal) => self.answers.push(crate::signal::event(signal)),
            }
            next = if self.answers.len() < AT_ONCE {
                self.children.next(Some(now)).ok().flatten()
            } else {
                None
            };
        }
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        self.prober.expire(now);
        self.take_probes();
        while let Some(&Reverse((at, later))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            match later {
                Timer::ProbeAgain(node) => self.again.push_back(node),
                Timer::LookAfter(id) => self.look_after(id),
                Timer::Split(id) => self.split(id),
                Timer::ConfirmAgain(id) => self.confirm_again(id),
                Timer::LookAtBatch(id) => self.look_at_batch(id),
                Timer::ReleaseBatch(id) => self.release_batch(id),
            }
        }
        self.probe_again();
        self.go_on_after_looks();
        self.call_batches();
    }

    fn probe_again(&mut self) {
        if !self.again.is_empty() {
            let mut again = std::mem::take(&mut self.again);
            self.begin(Task::Probe, &mut again);
            self.again = again;
        }
    }

    fn take_probes(&mut self) {
        for Met { node, reading, said } in self.prober.take() {
            self.probe_met(node, reading, said.map(probe_said));
            self.probed(node, reading);
        }
    }

    /// Takes a reading of a probe; it is passed on when it counts.
    fn probed(&mut self, node: NodeId, reading: Probe) {
        let probe = &self.wiring.profile(node).probe;
        match self.debouncers[node.index()].take(reading, probe.stable) {
            Verdict::Answer(probe) => self.answers.push(Event::Probe(node, probe)),
            Verdict::AskAgain => {
                self.timers.push(Reverse((Instant::now() + probe.interval, Timer::ProbeAgain(node))));
            }
        }
    }
}

/// Returns how many processes, and how many probes, there may be at once, and what is to be said of it.
fn rooms(fanout: usize) -> (usize, usize, Vec<String>) {
    let limit = descriptors::at_least(SPARE + fanout.saturating_mul(A_CHILD) + tcp::MOST);
    let most = (limit.saturating_sub(SPARE) / A_CHILD).max(1);
    let probes = limit.saturating_sub(SPARE + fanout.min(most) * A_CHILD).clamp(FEW, tcp::MOST);
    if fanout <= most {
        return (fanout, probes, Vec::new());
    }
    let why = format!(
        "only {most} driver processes run at a time, and not {fanout}: a process may have no more than {limit} open files \
         here (ulimit -Hn)"
    );
    (most, FEW, vec![why])
}

fn probe_said(said: String) -> Failure {
    Failure::of_call(Teller::Probe, FailureKind::Failed, String::new(), said)
}

fn told_to_end() -> Failure {
    Failure::own(FailureKind::Ended, "interrupted before it began")
}
