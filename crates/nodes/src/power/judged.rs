//! Calls in which each node is judged by itself, as soon as it is heard of: one that hangs keeps no answer back, and
//! how the program ends says nothing of anybody of whom it has spoken.

use super::calls::{CallPurpose, PowerCall, PowerCalls};
use super::confirm::{ConfirmTimer, Confirmation};
use super::driver::Judged;
use super::effect::{wanted, without_effect};
use super::of_node::driver_for;
use crate::runtime::{Runtime, told_to_end};
use orderly_exec::children::{ChildId, ChildOutput};
use orderly_exec::job::{Ended, Ending};
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Task, Teller};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// How long what is heard is gathered: whoever is heard of together goes on in one call.
const TOGETHER: Duration = Duration::from_millis(50);

/// The most that is kept of what is said within that time.
const WORDS: usize = 1 << 20;

/// What has been heard of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// It is to be looked at.
    is_due: bool,
}

impl PowerCalls {
    /// Takes what the program says while it runs.
    pub(super) fn hear(&mut self, id: ChildId, said: &ChildOutput) {
        let Some(heard) = self.calls.get_mut(&id).and_then(|call| call.heard.as_mut()) else { return };
        for (heard, said) in [(&mut heard.stdout, &said.stdout), (&mut heard.stderr, &said.stderr)] {
            let room = WORDS.saturating_sub(heard.len()).min(said.len());
            heard.extend(&said[..room]);
        }
        if !std::mem::replace(&mut heard.is_due, true) {
            self.timers.push(Instant::now() + TOGETHER, ConfirmTimer::Judge(id));
        }
    }

    /// Judges those of a call of whom something was heard.
    pub(super) fn judge(&mut self, runtime: &mut Runtime, id: ChildId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(heard) = &mut call.heard else { return };
        heard.is_due = false;
        let so_far = Ended {
            ending: Ending::Exited(0),
            // What was judged is not looked at again.
            stdout: take_lines(&mut heard.stdout),
            stderr: take_lines(&mut heard.stderr),
            truncated: false,
            took: Duration::ZERO,
        };
        let nodes = std::mem::take(&mut call.nodes);
        let asked = std::mem::take(&mut call.occupies);
        let call = call.clone();
        let verdicts = Verdicts::of(runtime, &call, &nodes, &so_far, false);
        let waiting: HashSet<NodeId> = verdicts.waiting.iter().copied().collect();
        self.controllers.free_each(asked.iter().filter(|node| !waiting.contains(node)));
        if let Some(running) = self.calls.get_mut(&id) {
            running.nodes.clone_from(&verdicts.waiting);
            running.occupies.clone_from(&verdicts.waiting);
        }
        self.take_verdicts(runtime, &call, verdicts, &so_far);
    }

    /// Judges all that are left of a call that is over.
    pub(super) fn judge_last(
        &mut self,
        runtime: &mut Runtime,
        call: &PowerCall,
        nodes: &[NodeId],
        ended: Ended,
    ) {
        let heard = call.heard.clone().unwrap_or_default();
        let ended = match ended.ending {
            // What never ran says why by itself.
            Ending::NotStarted => ended,
            Ending::Exited(_) | Ending::Killed(_) | Ending::TimedOut | Ending::Unkillable => {
                Ended { stdout: heard.stdout, stderr: heard.stderr, ..ended }
            }
        };
        let verdicts = Verdicts::of(runtime, call, nodes, &ended, true);
        self.take_verdicts(runtime, call, verdicts, &ended);
    }

    fn take_verdicts(&mut self, runtime: &mut Runtime, call: &PowerCall, verdicts: Verdicts, ended: &Ended) {
        if call.told {
            call.purpose.give_up(runtime, verdicts.going_on, &told_to_end());
        } else if !verdicts.going_on.is_empty() {
            if let Err(nodes) = self.call(runtime, call.purpose.clone(), verdicts.going_on) {
                call.purpose.give_up(runtime, nodes, &self.uncallable.failure());
            }
        }
        match call.purpose {
            _ if verdicts.done.is_empty() => {}
            CallPurpose::Act(task) => self.act_judged(runtime, task, verdicts.done, call.told, ended),
            CallPurpose::ReadPower
            | CallPurpose::Probe
            | CallPurpose::LookAfter(_)
            | CallPurpose::Confirm(_) => {
                self.status_ended(runtime, &verdicts.done, call.clone(), ended);
            }
        }
    }

    /// Takes how switching the power of nodes went. "Done" says that it was passed on; what may or may not have
    /// arrived is decided by how the power reads.
    fn act_judged(
        &mut self,
        runtime: &mut Runtime,
        task: Task,
        nodes: Vec<NodeId>,
        told: bool,
        ended: &Ended,
    ) {
        let teller = if matches!(task, Task::Run(_)) { Teller::Shell } else { Teller::Power };
        let is_confirmed = wanted(task).is_some() && !told;
        let mut passed_on: Vec<NodeId> = Vec::new();
        let mut in_doubt: BTreeMap<(FailureKind, String), Vec<NodeId>> = BTreeMap::new();
        for node in nodes {
            let member = runtime.member(node);
            let words = |said: String| member.words(said);
            match driver_for(runtime, task, node).classify_one(member, ended) {
                None if is_confirmed => passed_on.push(node),
                None => runtime.answer(Event::answer(task, node, Ok(()))),
                Some((kind, detail)) if is_confirmed && is_in_doubt(kind) => {
                    in_doubt.entry((kind, detail)).or_default().push(node);
                }
                Some((_, detail)) if told => {
                    let kind = FailureKind::Ended;
                    let failure = Failure::told(teller, kind, words(format!("interrupted: {detail}")));
                    runtime.fail_all(task, [node], &failure);
                }
                Some((kind, detail)) => {
                    let failure = Failure::told(teller, kind, words(detail));
                    runtime.fail_all(task, [node], &failure);
                }
            }
        }
        if let Some(&first) = passed_on.first() {
            let until = Instant::now() + runtime.profile(first).power_timeout();
            let failure = Failure::own(FailureKind::NoEffect, without_effect(task));
            self.confirm(runtime, Confirmation { task, failure, until }, passed_on);
        }
        for ((kind, detail), nodes) in in_doubt {
            let failure = Failure::told(Teller::Power, kind, detail);
            self.confirm(runtime, Confirmation { task, failure, until: Instant::now() }, nodes);
        }
    }
}

/// What is known of the nodes of a call.
struct Verdicts {
    /// Nothing was heard of them yet.
    waiting: Vec<NodeId>,
    /// Another question follows.
    going_on: Vec<NodeId>,
    done: Vec<NodeId>,
}

impl Verdicts {
    fn of(runtime: &Runtime, call: &PowerCall, nodes: &[NodeId], ended: &Ended, is_over: bool) -> Self {
        let mut all = Self { waiting: Vec::new(), going_on: Vec::new(), done: Vec::new() };
        let Some(&first) = nodes.first() else { return all };
        let task = call.purpose.task();
        let judged = driver_for(runtime, task, first).judge(task, &runtime.members(nodes), ended, is_over);
        for (&node, judged) in nodes.iter().zip(judged) {
            match judged {
                Judged::Waiting => all.waiting.push(node),
                Judged::GoesOn => all.going_on.push(node),
                Judged::Done => all.done.push(node),
            }
        }
        all
    }
}

/// Tells whether a task may have been done although it failed like this.
fn is_in_doubt(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Failed | FailureKind::TimedOut | FailureKind::Unreachable | FailureKind::Refused => true,
        FailureKind::Busy
        | FailureKind::NoEffect
        | FailureKind::FellBack
        | FailureKind::Authentication
        | FailureKind::NotStarted
        | FailureKind::Misconfigured
        | FailureKind::Ended
        | FailureKind::Itself => false,
    }
}

/// Takes the whole lines out of what was heard.
fn take_lines(heard: &mut Vec<u8>) -> Vec<u8> {
    let end = heard.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let rest = heard.split_off(end);
    std::mem::replace(heard, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let mut heard = b"one\ntwo\nthr".to_vec();
        assert_eq!(take_lines(&mut heard), b"one\ntwo\n");
        heard.extend(b"ee\n");
        assert_eq!(take_lines(&mut heard), b"three\n");
        assert_eq!(take_lines(&mut heard), b"");
    }
}
