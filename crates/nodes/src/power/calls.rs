//! The calls of power programs: for which nodes one is made, what its end means, and who is asked when.
//!
//! How a program is called and what it answers is its driver's ([`PowerDriver`]).

use super::bmc_ping::{Admission, BmcPings};
use super::confirm::{ConfirmTimer, Confirmation};
use super::controllers::Controllers;
use super::effect::{wanted, without_effect};
use super::judged::Heard;
use super::of_node::{driver_for, power_driver};
use super::uncallable::Uncallable;
use super::unknown::Unknowns;
use crate::agenda::Agenda;
use crate::config::Cluster;
use crate::driver::kind::DriverKind;
use crate::driver::{Begun, Driver};
use crate::roster::Member;
use crate::runtime::{NAMES, Runtime, interrupted, told_to_end};
use crate::shell;
use crate::template::Reach;
use crate::wiring::Wiring;
use orderly_exec::children::{ChildId, ChildOutput};
use orderly_exec::job::Ended;
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Power, Probe, Task, Teller};
use orderly_plan::inventory::Inventory;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::time::Instant;

/// What a call is for.
#[derive(Debug, Clone)]
pub(super) enum CallPurpose {
    Act(Task),
    ReadPower,
    /// A probe by what power reads.
    Probe,
    /// Asks what became of the nodes of another call while that still runs.
    LookAfter(ChildId),
    /// Asks what became of the nodes of a call that is over.
    Confirm(Confirmation),
}

impl CallPurpose {
    /// Answers for a call whose end nobody will hear of.
    pub(super) fn give_up(&self, runtime: &mut Runtime, nodes: Vec<NodeId>, failure: &Failure) {
        let task = match self {
            Self::Act(task) | Self::Confirm(Confirmation { task, .. }) => *task,
            Self::ReadPower => Task::ReadPower,
            Self::Probe => Task::Probe,
            Self::LookAfter(_) => return,
        };
        runtime.fail_all(task, nodes, failure);
    }
}

/// A call that runs.
#[derive(Debug, Clone)]
pub(super) struct PowerCall {
    pub(super) purpose: CallPurpose,
    /// Those not answered for yet.
    pub(super) nodes: Vec<NodeId>,
    /// Those whose controllers it keeps busy.
    pub(super) occupies: Vec<NodeId>,
    /// As it is shown.
    argv: Vec<OsString>,
    /// It was told to end because everything was.
    pub(super) told: bool,
    /// What was heard of it so far, where each node is judged as soon as it is heard of.
    pub(super) heard: Option<Heard>,
}

impl CallPurpose {
    /// Returns the task of the power driver that a call is.
    pub(super) fn task(&self) -> Task {
        if let Self::Act(task) = self { *task } else { Task::ReadPower }
    }
}

/// The calls of power programs.
#[derive(Debug)]
pub(crate) struct PowerCalls {
    pub(super) calls: HashMap<ChildId, PowerCall>,
    pub(super) timers: Agenda<ConfirmTimer>,
    pub(super) controllers: Controllers,
    pub(super) pings: BmcPings,
    pub(crate) unknowns: Unknowns,
    pub(super) uncallable: Uncallable,
}

impl PowerCalls {
    /// Lets any number of calls go to each controller.
    pub(crate) fn lift_limits(&mut self) {
        self.controllers.lift_limits();
    }

    pub(crate) fn new(cluster: &Cluster, inventory: &Inventory, wiring: &Wiring) -> Self {
        Self {
            calls: HashMap::new(),
            timers: Agenda::default(),
            controllers: Controllers::new(inventory, cluster.limits.per.as_deref(), cluster.limits.max),
            pings: BmcPings::new(wiring),
            unknowns: Unknowns::default(),
            uncallable: Uncallable::default(),
        }
    }

    /// Returns how many calls go to a controller.
    pub(crate) fn busy(&self, controller: usize) -> usize {
        self.controllers.busy(controller)
    }

    /// Takes from `nodes` those that can go into one call with `first`, which is one of them.
    fn take_set(
        &self,
        runtime: &Runtime,
        task: Task,
        first: NodeId,
        nodes: &mut VecDeque<NodeId>,
    ) -> Vec<NodeId> {
        let profile = runtime.wiring.profile_number(first);
        let suspect = self.controllers.is_suspect(first);
        let mut room = NAMES;
        let mut set = Vec::new();
        // Where each node of a call is a transfer of its own, a controller gets so many of them.
        let is_each = driver_for(runtime, task, first).judges_each();
        let mut taken: HashMap<usize, usize> = HashMap::new();
        let mut has_room = |node: NodeId| match self.controllers.room(node, is_each, &runtime.shared) {
            Some((controller, room)) if is_each => {
                let taken = taken.entry(controller).or_default();
                *taken += 1;
                *taken <= room
            }
            Some((_, room)) => room > 0,
            None => true,
        };
        nodes.retain(|&node| {
            let bytes = runtime.member(node).name.len() + 1;
            let fits = runtime.wiring.profile_number(node) == profile
                && (room >= bytes || node == first)
                && self.controllers.is_suspect(node) == suspect
                && self.goes_with(task, node, first)
                && (task != Task::Probe || runtime.abilities(node).probes)
                && has_room(node);
            if fits {
                room = room.saturating_sub(bytes);
                set.push(node);
            }
            !fits
        });
        set
    }

    /// Tells whether a node can be asked in one call with another.
    fn goes_with(&self, task: Task, node: NodeId, first: NodeId) -> bool {
        node == first || (!self.pings.is_silent(first) && self.pings.admission(task, node) == Admission::Ask)
    }

    /// Tells whether one more silent controller may be asked in earnest: an eighth of all processes.
    fn has_room_to_try(&self, runtime: &Runtime) -> bool {
        let nodes = self.calls.values().flat_map(|call| &call.nodes);
        let trying = nodes.filter(|node| self.pings.is_silent(**node)).count();
        runtime.has_room() && trying < (runtime.fanout / 8).max(1)
    }

    /// Makes the call of a task.
    fn call_for(&mut self, runtime: &mut Runtime, task: Task, nodes: Vec<NodeId>) {
        let purpose = match task {
            Task::Probe => CallPurpose::Probe,
            Task::ReadPower => CallPurpose::ReadPower,
            Task::PowerOn | Task::PowerOff | Task::Reset | Task::Run(_) => CallPurpose::Act(task),
        };
        if let Err(nodes) = self.call(runtime, purpose, nodes) {
            runtime.fail_all(task, nodes, &self.uncallable.failure());
        }
    }

    /// Takes note that a call is over.
    fn free(&mut self, call: &PowerCall) {
        if call.heard.is_some() {
            self.controllers.free_each(&call.occupies);
        } else {
            self.controllers.free(&call.occupies);
        }
    }

    /// Makes a call; returns the nodes again where none can be made.
    pub(super) fn call(
        &mut self,
        runtime: &mut Runtime,
        purpose: CallPurpose,
        nodes: Vec<NodeId>,
    ) -> Result<(), Vec<NodeId>> {
        let task = purpose.task();
        let Some(mut job) = self.uncallable.job(runtime, task, &nodes) else { return Err(nodes) };
        if task == Task::ReadPower {
            job.keep = 64 * 1024 + nodes.len() * 512;
        }
        let (id, argv) = runtime.start(DriverKind::Power, job);
        let judges = nodes.first().is_some_and(|&first| driver_for(runtime, task, first).judges_each());
        if judges {
            self.controllers.occupy_each(&nodes);
        } else {
            self.controllers.occupy(&nodes);
        }
        if judges {
            runtime.children.follow(id);
        } else if let [first, _, ..] = nodes[..] {
            let at = runtime.an_interval_from_now(first);
            match purpose {
                CallPurpose::Act(task) if wanted(task).is_some() && runtime.profile(first).reads_power() => {
                    self.timers.push(at, ConfirmTimer::LookAfter(id));
                }
                CallPurpose::Act(_) => {}
                CallPurpose::ReadPower
                | CallPurpose::Probe
                | CallPurpose::LookAfter(_)
                | CallPurpose::Confirm(_) => {
                    self.timers.push(at, ConfirmTimer::Split(id));
                }
            }
        }
        let heard = judges.then(Heard::default);
        self.calls
            .insert(id, PowerCall { purpose, occupies: nodes.clone(), nodes, argv, told: false, heard });
        Ok(())
    }

    fn act_ended(
        &mut self,
        runtime: &mut Runtime,
        task: Task,
        nodes: Vec<NodeId>,
        call: &PowerCall,
        ended: &Ended,
    ) {
        let Some(&first) = nodes.first() else { return };
        if ended.succeeded() {
            // A power program's "done" says that the command was passed on, and no more.
            if power_driver(runtime, first).is_known() && wanted(task).is_some() && !call.told {
                let until = Instant::now() + runtime.profile(first).power_timeout();
                let failure = Failure::own(FailureKind::NoEffect, without_effect(task));
                self.confirm(runtime, Confirmation { task, failure, until }, nodes);
                return;
            }
            nodes.into_iter().for_each(|node| runtime.answer(Event::answer(task, node, Ok(()))));
            return;
        }
        let mut failure = told(runtime, &nodes, &call.argv, ended);
        if call.told && failure.kind == FailureKind::TimedOut {
            failure = interrupted(failure, ended, one(runtime, &nodes));
        } else if let Some((kind, words)) = power_driver(runtime, first).classify(ended) {
            failure = failure.named(kind, words);
        }
        let nodes = self.without_named(runtime, task, nodes, ended);
        // Of many nodes, some are as they should be although the whole failed: their state decides.
        let can_ask = call.occupies.len() > 1
            && wanted(task).is_some()
            && failure.kind != FailureKind::Ended
            && runtime.profile(first).reads_power();
        if can_ask {
            self.confirm(runtime, Confirmation { task, failure, until: Instant::now() }, nodes);
        } else {
            runtime.fail_all(task, nodes, &failure);
        }
    }

    /// Answers for those of which a call says by itself what was wrong, and returns the others.
    fn without_named(
        &mut self,
        runtime: &mut Runtime,
        task: Task,
        mut nodes: Vec<NodeId>,
        ended: &Ended,
    ) -> Vec<NodeId> {
        let mut silent: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
        nodes.retain(|&node| {
            let said = power_driver(runtime, node).classify_one(runtime.member(node), ended);
            let Some((kind, detail)) = said else { return true };
            // ipmipower says the same of a controller that is away and of one that answered all the time
            // and whose power never changed: a status tells them apart.
            if kind.met_nobody() && wanted(task).is_some() {
                silent.entry(detail).or_default().push(node);
            } else {
                let failure = Failure::told(Teller::Power, kind, runtime.member(node).words(detail));
                runtime.answer(Event::answer(task, node, Err(failure)));
            }
            false
        });
        for (detail, nodes) in silent {
            let failure = Failure::told(Teller::Power, FailureKind::Unreachable, detail);
            self.confirm(runtime, Confirmation { task, failure, until: Instant::now() }, nodes);
        }
        nodes
    }

    /// Takes what a status call said.
    pub(super) fn status_ended(
        &mut self,
        runtime: &mut Runtime,
        nodes: &[NodeId],
        call: PowerCall,
        ended: &Ended,
    ) {
        let powers = powers(runtime, nodes, ended);
        if !call.told {
            let failed = told(runtime, nodes, &call.argv, ended);
            self.unknowns.take_status(runtime, &powers, &failed, ended);
        }
        self.heed_answers_of_silent(runtime, &powers);
        let known = powers.iter().filter(|(_, power)| *power != Power::Unknown);
        known.for_each(|(node, _)| self.controllers.trust(*node));
        match call.purpose {
            CallPurpose::ReadPower | CallPurpose::Act(_) => {
                powers.into_iter().for_each(|(node, power)| runtime.answer(Event::Power(node, power)));
            }
            CallPurpose::Probe => {
                for (node, power) in powers {
                    let reading = match power {
                        Power::On => Probe::Up,
                        Power::Off => Probe::Down,
                        Power::Unknown => Probe::Unknown,
                    };
                    runtime.read_probe(node, reading, None, call.told);
                }
            }
            CallPurpose::LookAfter(other) => self.looked_after(runtime, other, &powers),
            CallPurpose::Confirm(confirmation) => self.confirmed(runtime, confirmation, powers, call.told),
        }
    }

    /// Tells whether a controller wants to be left alone for now; the task then begins when that is over.
    fn is_left_alone(&mut self, runtime: &Runtime, task: Task, node: NodeId) -> bool {
        let until = driver_for(runtime, task, node).leave_alone_until(runtime.member(node));
        let Some(until) = until.filter(|until| *until > Instant::now()) else { return false };
        self.timers.push(until, ConfirmTimer::BeginAgain(task, node));
        true
    }

    /// Ends the look ahead when one that took no ping answers all the same.
    fn heed_answers_of_silent(&mut self, runtime: &mut Runtime, powers: &[(NodeId, Power)]) {
        let is_known =
            |(node, power): &&(NodeId, Power)| *power != Power::Unknown && self.pings.is_silent(*node);
        if let Some((node, _)) = powers.iter().find(is_known) {
            let name = &runtime.member(*node).name;
            runtime.complaints.warn(format!(
                "{name}: the controller takes no pings and answers all the same, so nobody's silence counts any \
                 more (power.look_ahead = false saves the wait)"
            ));
            self.pings.refute();
        }
    }
}

impl Driver for PowerCalls {
    fn begin(&mut self, runtime: &mut Runtime, task: Task, nodes: &mut VecDeque<NodeId>, at: usize) -> Begun {
        let node = nodes[at];
        if self.is_left_alone(runtime, task, node) {
            nodes.remove(at);
            return Begun::On(vec![node]);
        }
        let mut admission = self.pings.admission(task, node);
        if admission == Admission::Silent && self.has_room_to_try(runtime) && self.pings.is_tried_now(node) {
            admission = Admission::Ask;
        }
        match admission {
            Admission::Ask if !runtime.has_room() => return Begun::Full,
            Admission::Ask if !self.controllers.has_room(node, &runtime.shared) => return Begun::Later,
            Admission::Ask if driver_for(runtime, task, node).reach(power_task(task)) == Some(Reach::Set) => {
                let set = self.take_set(runtime, task, node, nodes);
                self.call_for(runtime, task, set.clone());
                return Begun::On(set);
            }
            Admission::Ask => self.call_for(runtime, task, vec![node]),
            Admission::PingFirst => self.pings.look(&mut runtime.children, task, node),
            Admission::Silent => {
                self.unknowns.take_silence(runtime, node);
                runtime.answer(Event::answer(task, node, Err(told_to_end())));
            }
        }
        nodes.remove(at);
        Begun::On(vec![node])
    }

    fn ended(&mut self, runtime: &mut Runtime, id: ChildId, ended: Ended) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        self.free(&call);
        let nodes = std::mem::take(&mut call.nodes);
        if call.heard.is_some() {
            self.judge_last(runtime, &call, &nodes, ended);
            return;
        }
        let Some(call) = self.without_unlisted(runtime, call, &nodes, &ended) else { return };
        match call.purpose {
            CallPurpose::Act(task) => self.act_ended(runtime, task, nodes, &call, &ended),
            CallPurpose::ReadPower
            | CallPurpose::Probe
            | CallPurpose::LookAfter(_)
            | CallPurpose::Confirm(_) => {
                self.status_ended(runtime, &nodes, call, &ended);
            }
        }
    }

    fn heard(&mut self, _runtime: &mut Runtime, id: ChildId, said: &ChildOutput) {
        self.hear(id, said);
    }

    fn ready(&mut self, runtime: &mut Runtime, watch: u64) -> bool {
        self.pings.ready(&mut runtime.children, watch)
    }

    fn do_due(&mut self, runtime: &mut Runtime) {
        let now = Instant::now();
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                ConfirmTimer::LookAfter(id) => self.look_after(runtime, id),
                ConfirmTimer::Split(id) => self.split(runtime, id),
                ConfirmTimer::ConfirmAgain(confirmation, nodes) => self.confirm(runtime, confirmation, nodes),
                ConfirmTimer::Judge(id) => self.judge(runtime, id),
                ConfirmTimer::BeginAgain(task, node) => runtime.begin_again(task, node),
            }
        }
        for (task, node) in self.pings.take_decided() {
            runtime.begin_again(task, node);
        }
    }

    fn wake(&self, _runtime: &Runtime) -> Option<Instant> {
        self.timers.next()
    }

    fn end_all(&mut self, runtime: &mut Runtime) {
        self.calls.values_mut().for_each(|call| call.told = true);
        self.give_up_confirming(runtime);
        for (task, node) in self.pings.end() {
            runtime.fail_all(task, [node], &told_to_end());
        }
    }

    fn lose_all(&mut self, runtime: &mut Runtime, failure: &Failure) {
        for (_, call) in std::mem::take(&mut self.calls) {
            self.free(&call);
            call.purpose.give_up(runtime, call.nodes, failure);
        }
        self.end_all(runtime);
    }
}

/// Returns the task of the power driver that a task is.
/// Returns why a call did not succeed; what was asked of one node is said of that one.
fn told(runtime: &Runtime, nodes: &[NodeId], argv: &[OsString], ended: &Ended) -> Failure {
    shell::plain_failure(Teller::Power, argv, ended, one(runtime, nodes))
}

/// Returns the one that these nodes are.
fn one<'r>(runtime: &'r Runtime, nodes: &[NodeId]) -> Option<&'r Member> {
    if let &[node] = nodes { Some(runtime.member(node)) } else { None }
}

fn power_task(task: Task) -> Task {
    if task == Task::Probe { Task::ReadPower } else { task }
}

/// Returns what a status command said of each node. One that failed is believed where it speaks
/// of several nodes, line by line: a dead controller must not hide those that answered.
pub(super) fn powers(runtime: &Runtime, nodes: &[NodeId], ended: &Ended) -> Vec<(NodeId, Power)> {
    let Some(&first) = nodes.first() else { return Vec::new() };
    let powers = power_driver(runtime, first).powers(&runtime.members(nodes), ended);
    nodes.iter().copied().zip(powers).collect()
}
