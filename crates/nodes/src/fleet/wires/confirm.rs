//! Judging a power call by what power reads afterwards, and by parts when a status takes its time.

use super::Wires;
use super::call::{Call, Confirmation, Purpose, Timer};
use super::unknowns::unlisted_failure;
use crate::power::wanted;
use orderly_exec::children::ChildId;
use orderly_exec::job::{Ended, Job};
use orderly_plan::fleet::{Event, Failure, FailureKind, NodeId, Power, Task};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Instant;

impl Wires {
    /// Asks how far the nodes of a call are that takes its time: one that hangs holds nobody else.
    pub(super) fn look_after(&mut self, id: ChildId) {
        let Some(call) = self.calls.get(&id) else { return };
        // Those that an earlier look still waits for are not asked again: they hang.
        let looks =
            self.calls.values().filter(|look| matches!(look.purpose, Purpose::LookAfter(of) if of == id));
        let asked: HashSet<NodeId> = looks.flat_map(|look| look.nodes.iter().copied()).collect();
        let can = |node: &NodeId| !asked.contains(node) && self.controllers.bears_a_look(*node);
        let nodes: Vec<NodeId> = call.nodes.iter().copied().filter(can).collect();
        let Some(&first) = call.nodes.first() else { return };
        match self.status_job(&nodes) {
            Some(job) if self.calls.len() < self.fanout => {
                self.begin_call(job, Purpose::LookAfter(id), nodes);
            }
            Some(_) | None => self.look_after_later(id, first),
        }
    }

    pub(super) fn look_after_later(&mut self, id: ChildId, node: NodeId) {
        // The parts of a look end one by one, and one next look is enough.
        if self.timers.iter().any(|Reverse((_, later))| *later == Timer::LookAfter(id)) {
            return;
        }
        let interval = self.wiring.profile(node).probe.interval;
        self.timers.push(Reverse((Instant::now() + interval, Timer::LookAfter(id))));
    }

    /// Asks what became of the nodes of a call that is over.
    pub(super) fn confirm(&mut self, confirmation: Confirmation, nodes: Vec<NodeId>) {
        match self.status_job(&nodes) {
            Some(job) => self.begin_call(job, Purpose::Confirm(confirmation), nodes),
            None => {
                let failure = self.no_call();
                self.fail_all(confirmation.task, nodes, &failure);
            }
        }
    }

    /// Returns a call, or takes note of why it cannot be made; people are told once.
    pub(super) fn callable(&mut self, job: anyhow::Result<Option<Job>>) -> Option<Job> {
        let why = match job {
            Ok(job) => return job,
            Err(error) => format!("{error:#}"),
        };
        if self.uncallable.as_ref() != Some(&why) {
            self.warnings.push(format!("the power program cannot be called: {why}"));
            self.uncallable = Some(why);
        }
        None
    }

    /// Returns the failure of nodes for which nothing could be called.
    pub(super) fn no_call(&self) -> Failure {
        let detail = self.uncallable.clone().unwrap_or_else(|| "no driver for that".into());
        Failure::own(FailureKind::NotStarted, detail)
    }

    /// Takes what power reads after a call. What is not as wanted is asked again while there is
    /// time: controllers say "done" first and act then.
    pub(super) fn confirmed(&mut self, confirmation: Confirmation, powers: Vec<(NodeId, Power)>, told: bool) {
        let task = confirmation.task;
        let (done, waiting): (Vec<_>, Vec<_>) =
            powers.into_iter().partition(|(_, power)| wanted(task) == Some(*power));
        self.answers.extend(done.into_iter().map(|(node, _)| Event::answer(task, node, Ok(()))));
        if told {
            // Whether it had an effect was not found out: it was not waited for.
            let waiting = waiting.into_iter().map(|(node, _)| node).collect();
            self.fail_all(task, waiting, &unjudged(task));
            return;
        }
        if Instant::now() >= confirmation.until {
            for (node, power) in waiting {
                let failure = Err(confirmation.failure_at(power));
                self.answers.push(Event::answer(task, node, failure));
            }
            return;
        }
        let waiting: Vec<NodeId> = waiting.into_iter().map(|(node, _)| node).collect();
        let Some(&first) = waiting.first() else { return };
        let at = Instant::now() + self.wiring.profile(first).probe.interval;
        self.confirmations += 1;
        self.waiting.insert(self.confirmations, (confirmation, waiting));
        self.timers.push(Reverse((at, Timer::ConfirmAgain(self.confirmations))));
    }

    pub(super) fn confirm_again(&mut self, id: u64) {
        if let Some((confirmation, nodes)) = self.waiting.remove(&id) {
            self.confirm(confirmation, nodes);
        }
    }

    /// Answers for the nodes of calls that are over and not judged yet.
    pub(super) fn end_confirming(&mut self) {
        for (_, (confirmation, nodes)) in std::mem::take(&mut self.waiting) {
            self.fail_all(confirmation.task, nodes, &unjudged(confirmation.task));
        }
    }

    pub(super) fn fail_all(&mut self, task: Task, nodes: Vec<NodeId>, failure: &Failure) {
        self.answers.extend(nodes.into_iter().map(|node| Event::answer(task, node, Err(failure.clone()))));
    }

    /// Asks in parts what one status call for many does not answer: a controller that hangs keeps
    /// the answers of all others back, because the program waits for it before it prints.
    pub(super) fn split(&mut self, id: ChildId) {
        let Some(call) = self.calls.get(&id).filter(|call| call.nodes.len() > 1 && !call.told) else {
            return;
        };
        let Some(&first) = call.nodes.first() else { return };
        if self.calls.len() + 1 >= self.fanout {
            let at = Instant::now() + self.wiring.profile(first).probe.interval;
            self.timers.push(Reverse((at, Timer::Split(id))));
            return;
        }
        let Some(call) = self.calls.remove(&id) else { return };
        self.controllers.free(&call.occupies);
        self.controllers.suspect(&call.nodes);
        self.children.end(id);
        let parts = self.parts(&call.nodes);
        for nodes in parts {
            match self.status_job(&nodes) {
                Some(job) => self.begin_call(job, call.purpose.part(), nodes),
                None => {
                    let (purpose, argv) = (call.purpose.part(), Vec::new());
                    let failure = self.no_call();
                    self.give_up(
                        id,
                        Call { purpose, nodes, occupies: Vec::new(), argv, mark: None, told: false },
                        &failure,
                    );
                }
            }
        }
    }

    /// Parts a set: by power controller where the inventory names them, else neighbours together,
    /// in so many parts that a thousand nodes take two rounds, as far as the fan-out bears it.
    fn parts(&self, nodes: &[NodeId]) -> Vec<Vec<NodeId>> {
        let room = self.fanout.saturating_sub(self.calls.len()).max(2);
        let mut units = self.controllers.parts(nodes);
        if units.len() > 1 && units.len() <= room {
            return units;
        }
        if units.len() < 2 {
            units = nodes.iter().map(|&node| vec![node]).collect();
        }
        let count = units.len().isqrt().clamp(2, (room / 2).max(2));
        units.chunks(units.len().div_ceil(count)).map(<[_]>::concat).collect()
    }

    /// Takes nodes back among the others once their controllers say how they stand.
    pub(super) fn trust_again(&mut self, nodes: &[NodeId], ended: &Ended) {
        if self.controllers.has_suspects() {
            let powers = self.powers(nodes.to_vec(), ended);
            let known = powers.into_iter().filter(|(_, power)| *power != Power::Unknown);
            known.for_each(|(node, _)| self.controllers.trust(node));
        }
    }

    /// Goes on without nodes the program does not know: it did nothing for the others either.
    /// Returns whether that is what happened.
    pub(super) fn without_unlisted(&mut self, call: &mut Call, nodes: &[NodeId], ended: &Ended) -> bool {
        let Some(&first) = nodes.first() else { return false };
        if !call.purpose.is_of_power() {
            return false;
        }
        let names = self.power_driver(first).refused_names(ended);
        let (unlisted, rest): (Vec<NodeId>, Vec<NodeId>) = nodes
            .iter()
            .copied()
            .partition(|&node| names.iter().any(|name| name == self.wiring.roster.name(node)));
        if unlisted.is_empty() || rest.is_empty() || call.told {
            return false;
        }
        let purpose = std::mem::replace(&mut call.purpose, Purpose::ReadPower);
        let job = match &purpose {
            Purpose::Act(task) => {
                self.mark_unlisted(&unlisted);
                let failure = unlisted_failure();
                self.fail_all(*task, unlisted, &failure);
                self.power_job(*task, &rest)
            }
            Purpose::Confirm(confirmation) => {
                self.fail_all(confirmation.task, unlisted, &confirmation.failure);
                self.status_job(&rest)
            }
            Purpose::ReadPower => {
                self.mark_unlisted(&unlisted);
                self.answers.extend(unlisted.into_iter().map(|node| Event::Power(node, Power::Unknown)));
                self.status_job(&rest)
            }
            Purpose::ProbePower => {
                self.mark_unlisted(&unlisted);
                for node in unlisted {
                    self.probed(node, orderly_plan::fleet::Probe::Unknown);
                }
                self.status_job(&rest)
            }
            Purpose::LookAfter(_) => self.status_job(&rest),
            Purpose::Probe | Purpose::Command(_) | Purpose::Batch => None,
        };
        match job {
            Some(job) => self.begin_call(job, purpose, rest),
            None => return false,
        }
        true
    }
}

/// Returns the failure of nodes whose power was not waited for, because everything was ended.
fn unjudged(task: Task) -> Failure {
    let wanted = if task == Task::PowerOff { "off" } else { "on" };
    let cause = format!("interrupted after power {wanted} was told, before the power read {wanted}");
    Failure::own(FailureKind::Ended, cause)
}
