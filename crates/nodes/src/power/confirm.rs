//! Judging a power call by what power reads afterwards, and by parts when a status takes its time.

use super::calls::{CallPurpose, PowerCall, PowerCalls};
use super::effect::{wanted, without_effect};
use super::of_node::power_driver;
use crate::runtime::{Runtime, told_to_end};
use orderly_exec::children::ChildId;
use orderly_exec::job::Ended;
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Power, Probe, Task};
use std::collections::HashSet;
use std::time::Instant;

/// What is to be done later with a call.
#[derive(Debug)]
pub(super) enum ConfirmTimer {
    LookAfter(ChildId),
    Split(ChildId),
    ConfirmAgain(Confirmation, Vec<NodeId>),
    /// Looks at what has been heard of a call in which each node is judged by itself.
    Judge(ChildId),
    /// Begins a task on a node whose controller wanted to be left alone.
    BeginAgain(Task, NodeId),
}

/// What is confirmed of nodes of a power call that is over, whose power does not read as wanted yet.
#[derive(Debug, Clone)]
pub(super) struct Confirmation {
    pub(super) task: Task,
    /// What is said of a node that does not get there.
    pub(super) failure: Failure,
    pub(super) until: Instant,
}

impl Confirmation {
    /// Returns what is said of a node whose power reads like this in the end. A controller that tells how
    /// its node stands is not one that does not answer.
    fn failure_at(&self, power: Power) -> Failure {
        if power != Power::Unknown && self.failure.kind.met_nobody() {
            return Failure::own(FailureKind::NoEffect, without_effect(self.task));
        }
        self.failure.clone()
    }
}

impl PowerCalls {
    /// Asks how far the nodes of a call are that takes its time: one that hangs holds nobody else.
    pub(super) fn look_after(&mut self, runtime: &mut Runtime, id: ChildId) {
        let Some(call) = self.calls.get(&id) else { return };
        // Those that an earlier look still waits for are not asked again: they hang.
        let looks =
            self.calls.values().filter(|look| matches!(look.purpose, CallPurpose::LookAfter(of) if of == id));
        let asked: HashSet<NodeId> = looks.flat_map(|look| look.nodes.iter().copied()).collect();
        let can = |node: &NodeId| !asked.contains(node) && self.controllers.bears_a_look(*node);
        let nodes: Vec<NodeId> = call.nodes.iter().copied().filter(can).collect();
        let Some(&first) = call.nodes.first() else { return };
        if !runtime.has_room() || self.call(runtime, CallPurpose::LookAfter(id), nodes).is_err() {
            self.look_after_later(runtime, id, first);
        }
    }

    fn look_after_later(&mut self, runtime: &Runtime, id: ChildId, node: NodeId) {
        // The parts of a look end one by one, and one next look is enough.
        if !self.timers.iter().any(|timer| matches!(timer, ConfirmTimer::LookAfter(of) if *of == id)) {
            self.timers.push(runtime.an_interval_from_now(node), ConfirmTimer::LookAfter(id));
        }
    }

    /// Takes what power reads while a call runs; those that are as wanted are answered for.
    pub(super) fn looked_after(&mut self, runtime: &mut Runtime, other: ChildId, powers: &[(NodeId, Power)]) {
        let Some(call) = self.calls.get_mut(&other) else { return };
        let CallPurpose::Act(task) = call.purpose else { return };
        let is_done = |(_, power): &&(NodeId, Power)| wanted(task) == Some(*power);
        let done: HashSet<NodeId> = powers.iter().filter(is_done).map(|(node, _)| *node).collect();
        call.nodes.retain(|node| {
            if done.contains(node) {
                runtime.answer(Event::answer(task, *node, Ok(())));
            }
            !done.contains(node)
        });
        if let Some(&first) = call.nodes.first() {
            self.look_after_later(runtime, other, first);
        }
    }

    /// Asks what became of the nodes of a call that is over.
    pub(super) fn confirm(&mut self, runtime: &mut Runtime, confirmation: Confirmation, nodes: Vec<NodeId>) {
        let task = confirmation.task;
        let nodes = self.without_those_left_alone(runtime, &confirmation, nodes);
        if nodes.is_empty() {
            return;
        }
        if let Err(nodes) = self.call(runtime, CallPurpose::Confirm(confirmation), nodes) {
            runtime.fail_all(task, nodes, &self.uncallable.failure());
        }
    }

    /// Puts off those whose controllers want to be left alone.
    fn without_those_left_alone(
        &mut self,
        runtime: &Runtime,
        confirmation: &Confirmation,
        nodes: Vec<NodeId>,
    ) -> Vec<NodeId> {
        let now = Instant::now();
        let (mut rest, mut later) = (Vec::new(), std::collections::BTreeMap::<Instant, Vec<NodeId>>::new());
        for node in nodes {
            match power_driver(runtime, node).leave_alone_until(runtime.member(node)) {
                Some(until) if until > now => later.entry(until).or_default().push(node),
                Some(_) | None => rest.push(node),
            }
        }
        for (until, nodes) in later {
            self.timers.push(until, ConfirmTimer::ConfirmAgain(confirmation.clone(), nodes));
        }
        rest
    }

    /// Takes what power reads after a call. What is not as wanted is asked again while there is
    /// time: controllers say "done" first and act then.
    pub(super) fn confirmed(
        &mut self,
        runtime: &mut Runtime,
        confirmation: Confirmation,
        powers: Vec<(NodeId, Power)>,
        told: bool,
    ) {
        let task = confirmation.task;
        let (done, waiting): (Vec<_>, Vec<_>) =
            powers.into_iter().partition(|(_, power)| wanted(task) == Some(*power));
        done.into_iter().for_each(|(node, _)| runtime.answer(Event::answer(task, node, Ok(()))));
        if !told && Instant::now() >= confirmation.until {
            for (node, power) in waiting {
                runtime.fail_all(task, [node], &confirmation.failure_at(power));
            }
            return;
        }
        let waiting: Vec<NodeId> = waiting.into_iter().map(|(node, _)| node).collect();
        let Some(&first) = waiting.first() else { return };
        if told {
            // Whether it had an effect was not found out: it was not waited for.
            runtime.fail_all(task, waiting, &unjudged(task));
        } else {
            let again = ConfirmTimer::ConfirmAgain(confirmation, waiting);
            self.timers.push(runtime.an_interval_from_now(first), again);
        }
    }

    /// Answers for the nodes of calls that are over and not judged yet.
    pub(super) fn give_up_confirming(&mut self, runtime: &mut Runtime) {
        for timer in self.timers.take_all() {
            match timer {
                ConfirmTimer::ConfirmAgain(Confirmation { task, .. }, nodes) => {
                    runtime.fail_all(task, nodes, &unjudged(task));
                }
                ConfirmTimer::BeginAgain(task, node) => runtime.fail_all(task, [node], &told_to_end()),
                ConfirmTimer::LookAfter(_) | ConfirmTimer::Split(_) | ConfirmTimer::Judge(_) => {}
            }
        }
    }

    /// Asks in parts what one status call for many does not answer: a controller that hangs keeps
    /// the answers of all others back, because the program waits for it before it prints.
    pub(super) fn split(&mut self, runtime: &mut Runtime, id: ChildId) {
        let Some(call) = self.calls.get(&id).filter(|call| call.nodes.len() > 1 && !call.told) else {
            return;
        };
        if runtime.room() < 2 {
            self.timers.push(runtime.an_interval_from_now(call.nodes[0]), ConfirmTimer::Split(id));
            return;
        }
        let Some(call) = self.calls.remove(&id) else { return };
        self.controllers.free(&call.occupies);
        self.controllers.suspect(&call.nodes);
        runtime.forget(id);
        runtime.children.end(id);
        for nodes in self.controllers.split(&call.nodes, runtime.room()) {
            if let Err(nodes) = self.call(runtime, call.purpose.clone(), nodes) {
                call.purpose.give_up(runtime, nodes, &self.uncallable.failure());
            }
        }
    }

    /// Goes on without nodes the program does not know: it did nothing for the others either.
    /// Returns the call where that is not what happened.
    pub(super) fn without_unlisted(
        &mut self,
        runtime: &mut Runtime,
        call: PowerCall,
        nodes: &[NodeId],
        ended: &Ended,
    ) -> Option<PowerCall> {
        let Some(&first) = nodes.first() else { return Some(call) };
        let names = power_driver(runtime, first).refused_names(ended);
        let is_named = |node: &NodeId| names.contains(&runtime.member(*node).name);
        let (unlisted, rest): (Vec<NodeId>, Vec<NodeId>) = nodes.iter().copied().partition(is_named);
        if unlisted.is_empty() || rest.is_empty() || call.told {
            return Some(call);
        }
        match &call.purpose {
            CallPurpose::Act(task) => {
                let failures = self.unknowns.mark_unlisted(runtime, &unlisted);
                failures.into_iter().for_each(|(node, failure)| runtime.fail_all(*task, [node], &failure));
            }
            CallPurpose::Confirm(Confirmation { task, failure, .. }) => {
                runtime.fail_all(*task, unlisted, failure);
            }
            CallPurpose::ReadPower => {
                self.unknowns.mark_unlisted(runtime, &unlisted);
                unlisted.into_iter().for_each(|node| runtime.answer(Event::Power(node, Power::Unknown)));
            }
            CallPurpose::Probe => {
                self.unknowns.mark_unlisted(runtime, &unlisted);
                unlisted.into_iter().for_each(|node| runtime.read_probe(node, Probe::Unknown, None, false));
            }
            CallPurpose::LookAfter(_) => {}
        }
        let purpose = call.purpose.clone();
        self.call(runtime, purpose, rest).err().map(|_| call)
    }
}

/// Returns the failure of nodes whose power was not waited for, because everything was ended.
fn unjudged(task: Task) -> Failure {
    let wanted = if task == Task::PowerOff { "off" } else { "on" };
    let cause = format!("interrupted after power {wanted} was told, before the power read {wanted}");
    Failure::own(FailureKind::Ended, cause)
}
