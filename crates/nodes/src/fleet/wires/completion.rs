//! What the end of a process means for the nodes it was for.

use super::Wires;
use super::call::{Call, Confirmation, Purpose, UNSAID};
use crate::boot;
use crate::power::{wanted, without_effect};
use crate::probe::ProbeDriver;
use crate::shell;
use crate::users;
use orderly_exec::children::ChildId;
use orderly_exec::job::{Ended, Ending};
use orderly_plan::fleet::{Event, Failure, FailureKind, NodeId, Power, Probe, RemoteCommand, Task, Teller};
use std::collections::BTreeMap;
use std::time::Instant;

impl Wires {
    pub(super) fn call_ended(&mut self, id: ChildId, ended: Ended) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        let ended = match &call.mark {
            Some(mark) => shell::begun(mark, ended),
            None => ended,
        };
        self.controllers.free(&call.occupies);
        let nodes = std::mem::take(&mut call.nodes);
        if self.without_unlisted(&mut call, &nodes, &ended) {
            return;
        }
        self.complain(&nodes, &call, &ended);
        if call.purpose.asks_power() {
            self.heed_answers_of_silent(&nodes, &ended);
            self.trust_again(&nodes, &ended);
        }
        match &call.purpose {
            Purpose::Act(task) => self.act_ended(*task, nodes, &call, &ended),
            Purpose::ReadPower => {
                for (node, power) in self.powers(nodes, &ended) {
                    self.answers.push(Event::Power(node, power));
                }
            }
            Purpose::ProbePower => {
                for (node, power) in self.powers(nodes, &ended) {
                    let reading = match power {
                        Power::On => Probe::Up,
                        Power::Off => Probe::Down,
                        Power::Unknown => Probe::Unknown,
                    };
                    self.probed_unless_told(node, reading, call.told);
                }
            }
            Purpose::Probe => {
                for node in nodes {
                    let reading = self.probe_reading(node, &ended);
                    let why = self.why_probe_is_unknown(node, &call.argv, &ended);
                    self.probe_met(node, reading, Some(why).filter(|_| !call.told));
                    self.probed_unless_told(node, reading, call.told);
                }
            }
            Purpose::LookAfter(other) => self.looked_after(*other, nodes, &ended),
            Purpose::Confirm(Confirmation { task, failure, until }) => {
                let confirmation = Confirmation { task: *task, failure: failure.clone(), until: *until };
                let powers = self.powers(nodes, &ended);
                self.confirmed(confirmation, powers, call.told);
            }
            Purpose::Command(id) => {
                let result = command_failure(&call, &ended, !nodes.is_empty());
                self.ended.push((*id, result.map_or(Ok(ended), Err)));
            }
            Purpose::Batch => self.batch_ended(id, &ended, call.told),
        }
    }

    fn act_ended(&mut self, task: Task, nodes: Vec<NodeId>, call: &Call, ended: &Ended) {
        let Some(&first) = nodes.first() else { return };
        if task == Task::Run(RemoteCommand::ReadBootId) {
            let id = if ended.succeeded() { boot::id(&ended.text()) } else { None };
            self.answers.extend(nodes.into_iter().map(|node| Event::BootId(node, id)));
            return;
        }
        let Some(mut failure) = act_failure(task, call, ended) else {
            // A power program's "done" says that the command was passed on, and no more.
            if self.power_driver(first).is_known() && wanted(task).is_some() && !call.told {
                let until = Instant::now() + self.wiring.profile(first).power_timeout();
                let failure = Failure::own(FailureKind::NoEffect, without_effect(task));
                self.confirm(Confirmation { task, failure, until }, nodes);
                return;
            }
            self.answers.extend(nodes.into_iter().map(|node| Event::answer(task, node, Ok(()))));
            return;
        };
        let is_power = failure.teller == Teller::Power;
        if is_power
            && failure.kind != FailureKind::Ended
            && let Some((kind, words)) = self.power_driver(first).classify(ended)
        {
            failure = failure.named(kind, words);
        }
        let nodes = if is_power { self.without_named(task, nodes, ended) } else { nodes };
        // Of many nodes, some are as they should be although the whole failed: their state decides.
        let can_ask = call.occupies.len() > 1
            && wanted(task).is_some()
            && failure.kind != FailureKind::Ended
            && self.wiring.profile(first).reads_power();
        if can_ask {
            self.confirm(Confirmation { task, failure, until: Instant::now() }, nodes);
        } else {
            self.fail_all(task, nodes, &failure);
        }
    }

    /// Answers for those of which a call says by itself what was wrong, and returns the others.
    fn without_named(&mut self, task: Task, mut nodes: Vec<NodeId>, ended: &Ended) -> Vec<NodeId> {
        let mut silent: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
        nodes.retain(|&node| {
            let said = self.power_driver(node).classify_one(self.wiring.roster.member(node), ended);
            let Some((kind, detail)) = said else { return true };
            // ipmipower says the same of a controller that is away and of one that answered all the time
            // and whose power never changed: a status tells them apart.
            if kind.met_nobody() && wanted(task).is_some() {
                silent.entry(detail).or_default().push(node);
            } else {
                let failure = Failure::of_call(Teller::Power, kind, String::new(), detail);
                self.answers.push(Event::answer(task, node, Err(failure)));
            }
            false
        });
        for (detail, nodes) in silent {
            let failure = Failure::of_call(Teller::Power, FailureKind::Unreachable, String::new(), detail);
            self.confirm(Confirmation { task, failure, until: Instant::now() }, nodes);
        }
        nodes
    }

    /// Returns what a status command said of each node. One that failed is believed where it speaks
    /// of several nodes, line by line: a dead controller must not hide those that answered.
    pub(super) fn powers(&self, nodes: Vec<NodeId>, ended: &Ended) -> Vec<(NodeId, Power)> {
        let Some(&first) = nodes.first() else { return Vec::new() };
        let powers = self.power_driver(first).powers(&self.members(&nodes), ended);
        nodes.into_iter().zip(powers).collect()
    }

    fn looked_after(&mut self, other: ChildId, nodes: Vec<NodeId>, ended: &Ended) {
        let powers = self.powers(nodes, ended);
        let Some(call) = self.calls.get_mut(&other) else { return };
        let Purpose::Act(task) = call.purpose else { return };
        let done: std::collections::HashSet<NodeId> = powers
            .into_iter()
            .filter(|(_, power)| wanted(task) == Some(*power))
            .map(|(node, _)| node)
            .collect();
        let answers = &mut self.answers;
        call.nodes.retain(|node| {
            if done.contains(node) {
                answers.push(Event::answer(task, *node, Ok(())));
            }
            !done.contains(node)
        });
        if let Some(&first) = call.nodes.first() {
            self.look_after_later(other, first);
        }
    }

    fn probe_reading(&self, node: NodeId, ended: &Ended) -> Probe {
        match (&self.wiring.profile(node).probe.driver, ended.ending) {
            (_, Ending::Exited(0)) => Probe::Up,
            (ProbeDriver::Command(_), Ending::Exited(1)) => Probe::Down,
            // A command that fails was run by somebody, and ssh may be turned away by somebody: such a
            // node is neither up nor down. Only where nobody took the connection it is down.
            (ProbeDriver::Shell { .. }, Ending::Exited(_)) if shell::met_nobody(ended) => Probe::Down,
            (_, _) => Probe::Unknown,
        }
    }

    pub(super) fn probed_unless_told(&mut self, node: NodeId, reading: Probe, told: bool) {
        if told {
            self.answers.push(Event::Probe(node, Probe::Unknown));
        } else {
            self.probed(node, reading);
        }
    }

    /// Answers for everything when the loop itself fails; nothing could be heard of any more.
    pub(super) fn lose_everything(&mut self, why: &str) {
        let calls: Vec<ChildId> = self.calls.keys().copied().collect();
        for id in calls {
            let Some(call) = self.calls.remove(&id) else { continue };
            let failure = Failure::own(FailureKind::Ended, why.to_owned());
            self.give_up(id, call, &failure);
        }
        self.give_up_batches(&Failure::own(FailureKind::Ended, why.to_owned()));
        self.prober.end_all();
        self.take_probes();
        self.end_looking();
    }

    /// Answers for a call whose end nobody will hear of.
    pub(super) fn give_up(&mut self, id: ChildId, call: Call, failure: &Failure) {
        self.controllers.free(&call.occupies);
        let task = match call.purpose {
            Purpose::Act(task) | Purpose::Confirm(Confirmation { task, .. }) => task,
            Purpose::ReadPower => Task::ReadPower,
            Purpose::Probe | Purpose::ProbePower => Task::Probe,
            Purpose::LookAfter(_) => return,
            Purpose::Batch => {
                self.lose_batch(id, failure);
                return;
            }
            Purpose::Command(id) => {
                self.ended.push((id, Err(failure.clone())));
                return;
            }
        };
        for node in call.nodes {
            self.answers.push(Event::answer(task, node, Err(failure.clone())));
        }
    }
}

fn act_failure(task: Task, call: &Call, ended: &Ended) -> Option<Failure> {
    let is_remote = matches!(task, Task::Run(_));
    let failure = if ended.succeeded() {
        let unsaid = task == Task::Run(RemoteCommand::EndUsers) && !users::ran(&ended.text());
        return unsaid.then(|| Failure::of_call(Teller::Shell, FailureKind::Failed, String::new(), UNSAID));
    } else if is_remote {
        shell::failure(&call.argv, ended)
    } else {
        shell::plain_failure(Teller::Power, &call.argv, ended)
    };
    Some(if call.told && failure.kind == FailureKind::TimedOut {
        interrupted(failure, ended)
    } else {
        failure
    })
}

/// Returns the failure of a call that was ended because everything was: its time was not up.
pub(super) fn interrupted(failure: Failure, ended: &Ended) -> Failure {
    Failure { kind: FailureKind::Ended, cause: ended.clause_of("interrupted"), ..failure }
}

/// Returns why the end of a command is not its own: it did not run, or was lost on the way.
fn command_failure(call: &Call, ended: &Ended, on_node: bool) -> Option<Failure> {
    let failure = if on_node {
        shell::failure(&call.argv, ended)
    } else {
        shell::plain_failure(Teller::Run, &call.argv, ended)
    };
    match ended.ending {
        Ending::Exited(_) if on_node && shell::is_lost(ended) => Some(failure),
        Ending::Exited(_) | Ending::Killed(_) => None,
        Ending::TimedOut if call.told => Some(interrupted(failure, ended)),
        Ending::TimedOut | Ending::Unkillable | Ending::NotStarted => Some(failure),
    }
}
