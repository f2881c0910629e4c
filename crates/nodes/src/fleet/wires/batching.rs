//! Commands through clush and pdsh: all nodes that are ready go together, one call for a batch.
//!
//! What is begun is gathered first and called out when the loop next waits, so that a call has as many
//! nodes as there are; and each node is answered for as soon as it is judged (`shell::OutputParser`).

use super::Wires;
use super::batches::{Batch, BatchMember, PendingBatch, Work};
use super::call::{Purpose, Timer, UNSAID};
use super::route::NAMES;
use crate::boot;
use crate::fleet::command::CommandId;
use crate::shell::{self, OutputParser, Parallel, ShellDriver, Verdict};
use crate::users;
use orderly_exec::children::{ChildEvent, ChildId, ChildOutput};
use orderly_exec::job::{Ended, Ending};
use orderly_plan::fleet::{Event, Failure, FailureKind, NodeId, Probe, RemoteCommand, Task, Teller};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long a call may go on when all its nodes are judged: sessions on nodes that went down hang.
const LINGER: Duration = Duration::from_secs(5);

/// How long a node that is ready waits for others, and the longest that one waits in all: what nodes
/// are waited for becomes true one by one, and starting the program costs more than this.
const COMPANY: Duration = Duration::from_millis(50);
const COMPANY_IN_ALL: Duration = Duration::from_millis(500);

/// Bytes of output that are kept of each node: what a remote command prints is only looked at, what a command
/// prints is handed over, within so much for a call.
const GLIMPSE: usize = 4 * 1024;
const WHOLE: usize = 64 * 1024;
const IN_ALL: usize = 64 * 1024 * 1024;

impl Wires {
    /// Returns the settings of the driver that takes many nodes, where the node has one.
    pub(super) fn parallel(&self, node: NodeId) -> Option<&Parallel> {
        match &self.wiring.profile(node).shell.driver {
            ShellDriver::Parallel(parallel) => Some(parallel),
            ShellDriver::None | ShellDriver::Simulator | ShellDriver::Ssh(_) | ShellDriver::Command(_) => {
                None
            }
        }
    }

    pub(in crate::fleet) fn takes_many(&self, node: NodeId) -> bool {
        self.parallel(node).is_some()
    }

    /// Puts a node into the next call for a task.
    pub(super) fn gather_task(&mut self, task: Task, node: NodeId) {
        self.gather(Work::Task(task), BatchMember { node, command: None });
    }

    /// Puts a node into the next call for a command line.
    pub(super) fn gather_command(
        &mut self,
        node: NodeId,
        id: CommandId,
        line: String,
        stdin: &[u8],
        timeout: Duration,
    ) {
        let work = Work::Command { line, stdin: stdin.to_vec(), timeout };
        self.gather(work, BatchMember { node, command: Some(id) });
    }

    fn gather(&mut self, work: Work, member: BatchMember) {
        let profile = self.wiring.profile_of[member.node.index()];
        let same = |pending: &&mut PendingBatch| pending.profile == profile && pending.work == work;
        let now = Instant::now();
        let is_probe = work == Work::Task(Task::Probe);
        if let Some(pending) = self.batches.pending.iter_mut().find(same) {
            pending.members.push(member);
            if !is_probe {
                pending.due = (now + COMPANY).min(pending.began + COMPANY_IN_ALL);
            }
            return;
        }
        let due = match self.batches.next_probe.get(&profile) {
            Some(next) if is_probe => now.max(*next),
            Some(_) | None if is_probe => now,
            Some(_) | None => now + COMPANY,
        };
        self.batches.pending.push(PendingBatch { work, profile, began: now, due, members: vec![member] });
    }

    /// Calls out what is due, as far as the fan-out allows.
    pub(super) fn call_batches(&mut self) {
        let now = Instant::now();
        while self.calls.len() < self.fanout
            && let Some(at) = self.batches.pending.iter().position(|pending| pending.due <= now)
        {
            let pending = self.batches.pending.swap_remove(at);
            if pending.work == Work::Task(Task::Probe)
                && let Some(member) = pending.members.first()
            {
                // Answers come one by one, and each node asks again an interval later: half of that is
                // waited for company, or a set would fall apart into calls for single nodes.
                let company = self.wiring.profile(member.node).probe.interval / 2;
                self.batches.next_probe.insert(pending.profile, now + company);
            }
            self.call_batch(pending);
        }
    }

    fn call_batch(&mut self, pending: PendingBatch) {
        let PendingBatch { work, profile, began, due, members } = pending;
        let Some(parallel) = members.first().and_then(|member| self.parallel(member.node)).cloned() else {
            return;
        };
        let (members, rest) = self.part_batch(&parallel, members);
        if !rest.is_empty() {
            self.batches.pending.push(PendingBatch {
                work: work.clone(),
                profile,
                began,
                due,
                members: rest,
            });
        }
        let nodes: Vec<NodeId> = members.iter().map(|member| member.node).collect();
        let Some((line, stdin, limit)) = nodes.first().and_then(|&node| self.assignment(&work, node)) else {
            return;
        };
        let keep = match work {
            Work::Task(_) => GLIMPSE,
            Work::Command { .. } => (IN_ALL / nodes.len().max(1)).clamp(GLIMPSE, WHOLE),
        };
        let prepared = shell::draw_mark().map_err(|error| format!("{error:#}")).and_then(|mark| {
            // As a part of the line it arrives whole or not at all: a start file may read standard input.
            let embedded = Some(stdin.as_slice()).filter(|stdin| !stdin.is_empty());
            let own = match (&work, nodes.first()) {
                (Work::Task(Task::Run(remote)), Some(&node)) => self.spares_self(node, *remote),
                _ => None,
            };
            let line = own.map_or_else(|| line.clone(), |own| shell::unless_self(own, &line));
            let wrapped = shell::wrap(&mark, &line, embedded);
            let remote = shell::BatchCall { line: &wrapped, limit, fanout: self.fanout };
            let members = self.members(&nodes);
            let job = shell::job(&parallel, &members, &remote)?;
            let targets = members.iter().map(|member| shell::target(&parallel, member));
            Ok((job, OutputParser::new(&parallel.program, mark, targets, keep)))
        });
        let (job, parser) = match prepared {
            Ok(prepared) => prepared,
            Err(detail) => {
                let failure = Failure::own(FailureKind::NotStarted, detail);
                for member in members {
                    self.answer_member(&work, member, Err(failure.clone()));
                }
                return;
            }
        };
        let shown = (format!("{} -w", parallel.program), shell::quote(&[line]));
        let left = members.len();
        let batch = Batch {
            work,
            members,
            parser,
            shown,
            limit,
            left,
            is_watched: false,
            held: Vec::new(),
            is_to_release: false,
        };
        let id = self.call(job, Purpose::Batch, Vec::new());
        self.children.follow(id);
        self.batches.running.insert(id, batch);
    }

    /// Parts those that fit into one call from the rest: what names them has an end, and of two with
    /// the same address nobody could say which one answers.
    fn part_batch(
        &self,
        parallel: &Parallel,
        members: Vec<BatchMember>,
    ) -> (Vec<BatchMember>, Vec<BatchMember>) {
        let mut room = NAMES;
        let mut taken = HashSet::new();
        members.into_iter().partition(|member| {
            let target = shell::target(parallel, self.wiring.roster.member(member.node));
            let bytes = target.len() + 1;
            let fits = (room >= bytes || taken.is_empty()) && taken.insert(target);
            if fits {
                room = room.saturating_sub(bytes);
            }
            fits
        })
    }

    /// Returns the command line, what it reads, and how long it may take on a node.
    fn assignment(&self, work: &Work, node: NodeId) -> Option<(String, Vec<u8>, Duration)> {
        match work {
            Work::Task(Task::Run(remote)) => self.remote_line(node, *remote),
            Work::Task(_) => {
                let probe = &self.wiring.profile(node).probe;
                let crate::probe::ProbeDriver::Shell { command } = &probe.driver else { return None };
                Some((command.clone(), Vec::new(), probe.timeout))
            }
            Work::Command { line, stdin, timeout } => Some((line.clone(), stdin.clone(), *timeout)),
        }
    }

    /// Takes what a call says while it runs.
    pub(super) fn batch_said(&mut self, id: ChildId, said: &ChildOutput) {
        let Some(batch) = self.batches.running.get_mut(&id) else { return };
        let verdicts = batch.parser.hear(said);
        self.take_verdicts(id, verdicts);
    }

    /// Looks at a call whose time may be up, as a whole or for some of its nodes.
    pub(super) fn look_at_batch(&mut self, id: ChildId) {
        let Some(batch) = self.batches.running.get_mut(&id) else { return };
        batch.is_watched = false;
        if batch.left == 0 {
            self.children.end(id);
            return;
        }
        let verdicts = batch.parser.late(batch.limit, Instant::now());
        self.take_verdicts(id, verdicts);
    }

    /// Answers for those of a call whose end nobody will hear of.
    pub(super) fn lose_batch(&mut self, id: ChildId, failure: &Failure) {
        let Some(mut batch) = self.batches.running.remove(&id) else { return };
        let held = std::mem::take(&mut batch.held);
        for (at, _) in batch.parser.end(Ending::Unkillable, b"").into_iter().chain(held) {
            if let Some(&member) = batch.members.get(at) {
                self.answer_member(&batch.work, member, Err(failure.clone()));
            }
        }
    }

    /// Hands over what was read so far: one node that hangs holds the others for so long and no longer.
    pub(super) fn release_batch(&mut self, id: ChildId) {
        let Some(mut batch) = self.batches.running.remove(&id) else { return };
        batch.is_to_release = false;
        let held = std::mem::take(&mut batch.held);
        self.answer_batch(&batch, held, false);
        self.batches.running.insert(id, batch);
    }

    pub(super) fn batch_ended(&mut self, id: ChildId, ended: &Ended, told: bool) {
        let Some(mut batch) = self.batches.running.remove(&id) else { return };
        let mut verdicts = std::mem::take(&mut batch.held);
        verdicts.extend(batch.parser.end(ended.ending, &ended.stderr));
        self.answer_batch(&batch, verdicts, told);
    }

    fn take_verdicts(&mut self, id: ChildId, verdicts: Vec<(usize, Verdict)>) {
        let Some(mut batch) = self.batches.running.remove(&id) else { return };
        let told = self.calls.get(&id).is_some_and(|call| call.told);
        batch.left = batch.left.saturating_sub(verdicts.len());
        let was_last = batch.left == 0 && !verdicts.is_empty();
        if batch.work == Work::Task(Task::Probe) && batch.left > 0 {
            batch.held.extend(verdicts);
            if !batch.held.is_empty() && !std::mem::replace(&mut batch.is_to_release, true) {
                let hold =
                    batch.members.first().map(|member| self.wiring.profile(member.node).probe.interval / 2);
                self.timers
                    .push(Reverse((Instant::now() + hold.unwrap_or_default(), Timer::ReleaseBatch(id))));
            }
        } else {
            let mut all = std::mem::take(&mut batch.held);
            all.extend(verdicts);
            self.answer_batch(&batch, all, told);
        }
        let due = if was_last {
            Instant::now().checked_add(LINGER)
        } else {
            batch.parser.due(batch.limit).filter(|_| !batch.is_watched && batch.left > 0)
        };
        if let Some(due) = due {
            batch.is_watched = true;
            self.timers.push(Reverse((due, Timer::LookAtBatch(id))));
        }
        self.batches.running.insert(id, batch);
    }

    fn answer_batch(&mut self, batch: &Batch, verdicts: Vec<(usize, Verdict)>, told: bool) {
        for (at, verdict) in verdicts {
            let Some(&member) = batch.members.get(at) else { continue };
            let (before, after) = &batch.shown;
            let shown = format!("{before} {} {after}", self.wiring.roster.name(member.node));
            if batch.work == Work::Task(Task::Probe) {
                let reading = probe_reading(&verdict);
                let why = Failure { teller: Teller::Probe, ..shell::failure_on_one(&shown, &verdict) };
                self.probe_met(member.node, reading, Some(why).filter(|_| !told));
                self.probed_unless_told(member.node, reading, told);
                continue;
            }
            let result = if verdict.lost || matches!(verdict.ended.ending, Ending::TimedOut) {
                let failure = shell::failure_on_one(&shown, &verdict);
                Err(if told { super::completion::interrupted(failure, &verdict.ended) } else { failure })
            } else {
                self.heard_out(&batch.work, &shown, &verdict)
            };
            self.answer_member(&batch.work, member, result.map(|()| verdict.ended));
        }
    }

    /// Tells whether a command that ran to its end did what it is for.
    fn heard_out(&self, work: &Work, shown: &str, verdict: &Verdict) -> Result<(), Failure> {
        match work {
            // The caller looks at the status itself.
            Work::Command { .. } => Ok(()),
            Work::Task(_) if !verdict.ended.succeeded() => Err(shell::failure_on_one(shown, verdict)),
            Work::Task(Task::Run(RemoteCommand::EndUsers)) if !users::ran(&verdict.ended.text()) => {
                Err(Failure::of_call(Teller::Shell, FailureKind::Failed, String::new(), UNSAID))
            }
            Work::Task(_) => Ok(()),
        }
    }

    fn answer_member(&mut self, work: &Work, member: BatchMember, result: Result<Ended, Failure>) {
        match (work, member.command) {
            (Work::Task(Task::Run(RemoteCommand::ReadBootId)), _) => {
                let id = result.ok().and_then(|ended| boot::id(&ended.text()));
                self.answers.push(Event::BootId(member.node, id));
            }
            (Work::Task(task), _) => {
                self.answers.push(Event::answer(*task, member.node, result.map(|_| ())));
            }
            (Work::Command { .. }, Some(id)) => self.ended.push((id, result)),
            (Work::Command { .. }, None) => {}
        }
    }

    /// Answers for all that waits to be called out, and for all that runs when nobody will hear of it.
    pub(super) fn give_up_batches(&mut self, failure: &Failure) {
        let pending = std::mem::take(&mut self.batches.pending);
        for pending in pending {
            for member in pending.members {
                self.answer_member(&pending.work, member, Err(failure.clone()));
            }
        }
    }

    /// Ends the calls that go on although all their nodes are judged.
    pub(in crate::fleet) fn close(&mut self) {
        let running: Vec<ChildId> = self.batches.running.keys().copied().collect();
        for id in running {
            self.children.end(id);
        }
        while !self.batches.running.is_empty() {
            match self.children.next(None) {
                Ok(Some(ChildEvent::Ended(id, _))) => {
                    self.batches.running.remove(&id);
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// A command that fails was run by somebody, and ssh may be turned away by somebody: such a node is
/// neither up nor down. Only where nobody took the connection it is down.
fn probe_reading(verdict: &Verdict) -> Probe {
    if !verdict.lost && verdict.ended.succeeded() {
        Probe::Up
    } else if verdict.lost && shell::met_nobody(&verdict.ended) {
        Probe::Down
    } else {
        Probe::Unknown
    }
}
