//! Commands through clush and pdsh: all nodes that are ready go together, one call for a batch.
//!
//! What is begun is gathered first and called out when the loop next waits, so that a call has as many
//! nodes as there are; and each node is answered for as soon as it is judged ([`OutputParser`]).

use super::calls::probe_line;
use super::remote::{CommandLine, RemoteCommands, unsaid};
use super::{BatchCall, NodeVerdict, OutputParser, Parallel};
use super::{draw_mark, failure_on_one, job, met_nobody, quote, target, unless_self, wrap};
use crate::agenda::Agenda;
use crate::boot;
use crate::command::CommandId;
use crate::driver::kind::DriverKind;
use crate::roster::Member;
use crate::runtime::{NAMES, Runtime, interrupted, told_to_end};
use orderly_exec::children::{ChildEvent, ChildId, ChildOutput};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Probe, RemoteCommand, Task, Teller};
use std::collections::{HashMap, HashSet};
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

/// What a batch is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Task(Task),
    Command(CommandLine),
}

/// One of a batch.
#[derive(Debug, Clone, Copy)]
struct BatchMember {
    node: NodeId,
    /// The command it runs, when that is no task.
    command: Option<CommandId>,
}

/// Nodes that go into the next call.
#[derive(Debug)]
struct PendingBatch {
    work: Work,
    profile: u32,
    began: Instant,
    due: Instant,
    members: Vec<BatchMember>,
}

/// The nodes of a call that runs.
#[derive(Debug)]
struct Batch {
    work: Work,
    members: Vec<BatchMember>,
    parser: OutputParser,
    /// What was asked, as one would type it for a node: before its name, and after it.
    shown: (String, String),
    limit: Duration,
    left: usize,
    is_watched: bool,
    /// Readings of a probe that are handed over together, or nodes would become ready one by one.
    held: Vec<(usize, NodeVerdict)>,
    is_to_release: bool,
    /// It was told to end because everything was.
    told: bool,
}

/// What is to be done later with a call.
#[derive(Debug, Clone, Copy)]
enum BatchTimer {
    /// Its time may be up, as a whole or for some of its nodes.
    Look(ChildId),
    /// What was read so far is handed over: one node that hangs holds the others for so long and no longer.
    Release(ChildId),
}

/// All that runs, or waits to run, through clush and pdsh.
#[derive(Debug, Default)]
pub(super) struct Batches {
    pending: Vec<PendingBatch>,
    running: HashMap<ChildId, Batch>,
    /// When nodes of a profile may be probed again.
    next_probe: HashMap<u32, Instant>,
    timers: Agenda<BatchTimer>,
}

impl Batches {
    /// Puts a node into the next call for a task.
    pub(super) fn gather_task(&mut self, runtime: &Runtime, task: Task, node: NodeId) {
        self.gather(runtime, Work::Task(task), BatchMember { node, command: None });
    }

    /// Puts a node into the next call for a command line.
    pub(super) fn gather_command(
        &mut self,
        runtime: &Runtime,
        node: NodeId,
        id: CommandId,
        line: CommandLine,
    ) {
        self.gather(runtime, Work::Command(line), BatchMember { node, command: Some(id) });
    }

    fn gather(&mut self, runtime: &Runtime, work: Work, member: BatchMember) {
        let profile = runtime.wiring.profile_number(member.node);
        let same = |pending: &&mut PendingBatch| pending.profile == profile && pending.work == work;
        let now = Instant::now();
        let is_probe = work == Work::Task(Task::Probe);
        if let Some(pending) = self.pending.iter_mut().find(same) {
            pending.members.push(member);
            if !is_probe {
                pending.due = (now + COMPANY).min(pending.began + COMPANY_IN_ALL);
            }
            return;
        }
        let due = match self.next_probe.get(&profile) {
            Some(next) if is_probe => now.max(*next),
            Some(_) | None if is_probe => now,
            Some(_) | None => now + COMPANY,
        };
        self.pending.push(PendingBatch { work, profile, began: now, due, members: vec![member] });
    }

    /// Does what is due, and calls out what was gathered, as far as the fan-out allows.
    pub(super) fn do_due(&mut self, runtime: &mut Runtime, remote: &RemoteCommands, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                BatchTimer::Look(id) => self.look(runtime, id),
                BatchTimer::Release(id) => self.release(runtime, id),
            }
        }
        while runtime.has_room() {
            let Some(at) = self.pending.iter().position(|pending| pending.due <= now) else { break };
            let pending = self.pending.swap_remove(at);
            if pending.work == Work::Task(Task::Probe) {
                if let Some(member) = pending.members.first() {
                    // Answers come one by one, and each node asks again an interval later: half of that is
                    // waited for company, or a set would fall apart into calls for single nodes.
                    let company = runtime.profile(member.node).probe.interval / 2;
                    self.next_probe.insert(pending.profile, now + company);
                }
            }
            self.call(runtime, remote, pending);
        }
    }

    /// Returns when something is due. With every place taken, the end of a call is waited for, and not the time of
    /// the next.
    pub(super) fn wake(&self, runtime: &Runtime) -> Option<Instant> {
        let pending = self.pending.iter().map(|pending| pending.due).filter(|_| runtime.has_room());
        pending.chain(self.timers.next()).min()
    }

    fn call(&mut self, runtime: &mut Runtime, remote: &RemoteCommands, pending: PendingBatch) {
        let PendingBatch { work, profile, began, due, members } = pending;
        let Some(&BatchMember { node: first, .. }) = members.first() else { return };
        let Some(parallel) = runtime.profile(first).shell.parallel().cloned() else { return };
        let (members, rest) = part(runtime, &parallel, members);
        if !rest.is_empty() {
            self.pending.push(PendingBatch { work: work.clone(), profile, began, due, members: rest });
        }
        let what = match &work {
            Work::Task(Task::Run(command)) => remote.line(runtime, first, *command),
            Work::Task(_) => probe_line(runtime, first),
            Work::Command(line) => Some(line.clone()),
        };
        let Some(what) = what else { return };
        let own = match work {
            Work::Task(Task::Run(command)) => remote.spares_self(runtime, first, command),
            Work::Task(_) | Work::Command(_) => None,
        };
        let keep = match work {
            Work::Task(_) => GLIMPSE,
            Work::Command(_) => (IN_ALL / members.len().max(1)).clamp(GLIMPSE, WHOLE),
        };
        let (job, parser) = match prepare(runtime, &parallel, &members, &what, own, keep) {
            Ok(prepared) => prepared,
            Err(detail) => {
                let failure = Failure::own(FailureKind::NotStarted, detail);
                for member in members {
                    answer(runtime, &work, member, Err(failure.clone()));
                }
                return;
            }
        };
        let batch = Batch {
            work,
            left: members.len(),
            members,
            parser,
            shown: (format!("{} -w", parallel.ssh.program), quote(&[what.line])),
            limit: what.limit,
            is_watched: false,
            held: Vec::new(),
            is_to_release: false,
            told: false,
        };
        let (id, _) = runtime.start(DriverKind::Shell, job);
        runtime.children.follow(id);
        self.running.insert(id, batch);
    }

    /// Takes what a call says while it runs.
    pub(super) fn heard(&mut self, runtime: &mut Runtime, id: ChildId, said: &ChildOutput) {
        let Some(batch) = self.running.get_mut(&id) else { return };
        let verdicts = batch.parser.hear(said);
        self.take_verdicts(runtime, id, verdicts);
    }

    fn look(&mut self, runtime: &mut Runtime, id: ChildId) {
        let Some(batch) = self.running.get_mut(&id) else { return };
        batch.is_watched = false;
        if batch.left == 0 {
            runtime.children.end(id);
            return;
        }
        let verdicts = batch.parser.late(batch.limit, Instant::now());
        self.take_verdicts(runtime, id, verdicts);
    }

    fn release(&mut self, runtime: &mut Runtime, id: ChildId) {
        let Some(batch) = self.running.get_mut(&id) else { return };
        batch.is_to_release = false;
        let held = std::mem::take(&mut batch.held);
        batch.answer(runtime, held);
    }

    pub(super) fn ended(&mut self, runtime: &mut Runtime, id: ChildId, ended: &Ended) {
        let Some(mut batch) = self.running.remove(&id) else { return };
        let mut verdicts = std::mem::take(&mut batch.held);
        verdicts.extend(batch.parser.end(ended.ending, &ended.stderr));
        batch.answer(runtime, verdicts);
    }

    fn take_verdicts(&mut self, runtime: &mut Runtime, id: ChildId, verdicts: Vec<(usize, NodeVerdict)>) {
        let Some(batch) = self.running.get_mut(&id) else { return };
        batch.left = batch.left.saturating_sub(verdicts.len());
        let was_last = batch.left == 0 && !verdicts.is_empty();
        batch.held.extend(verdicts);
        if batch.work != Work::Task(Task::Probe) || batch.left == 0 {
            let all = std::mem::take(&mut batch.held);
            batch.answer(runtime, all);
        } else if !batch.held.is_empty() && !std::mem::replace(&mut batch.is_to_release, true) {
            let hold = batch.members.first().map(|member| runtime.profile(member.node).probe.interval / 2);
            self.timers.push(Instant::now() + hold.unwrap_or_default(), BatchTimer::Release(id));
        }
        let due = if was_last {
            Instant::now().checked_add(LINGER)
        } else {
            batch.parser.due(batch.limit).filter(|_| !batch.is_watched && batch.left > 0)
        };
        if let Some(due) = due {
            batch.is_watched = true;
            self.timers.push(due, BatchTimer::Look(id));
        }
    }

    /// Answers for all that waits to be called out; the answers of those that run come with their ends.
    pub(super) fn end_all(&mut self, runtime: &mut Runtime) {
        self.running.values_mut().for_each(|batch| batch.told = true);
        let _ = self.timers.take_all();
        self.give_up_pending(runtime, &told_to_end());
    }

    /// Answers for everything with a failure.
    pub(super) fn lose_all(&mut self, runtime: &mut Runtime, failure: &Failure) {
        for (_, mut batch) in std::mem::take(&mut self.running) {
            let held = std::mem::take(&mut batch.held);
            for (at, _) in batch.parser.end(Ending::Unkillable, b"").into_iter().chain(held) {
                if let Some(&member) = batch.members.get(at) {
                    answer(runtime, &batch.work, member, Err(failure.clone()));
                }
            }
        }
        self.give_up_pending(runtime, failure);
    }

    fn give_up_pending(&mut self, runtime: &mut Runtime, failure: &Failure) {
        for pending in std::mem::take(&mut self.pending) {
            for member in pending.members {
                answer(runtime, &pending.work, member, Err(failure.clone()));
            }
        }
    }

    /// Ends the calls that go on although all their nodes are judged.
    pub(super) fn close(&mut self, runtime: &mut Runtime) {
        self.running.keys().for_each(|id| runtime.children.end(*id));
        while !self.running.is_empty() {
            match runtime.children.next(None) {
                Ok(Some(ChildEvent::Ended(id, _))) => {
                    self.running.remove(&id);
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

impl Batch {
    fn answer(&self, runtime: &mut Runtime, verdicts: Vec<(usize, NodeVerdict)>) {
        for (at, verdict) in verdicts {
            let Some(&member) = self.members.get(at) else { continue };
            let (before, after) = &self.shown;
            let node = runtime.member(member.node);
            let shown = format!("{before} {} {after}", node.name);
            if self.work == Work::Task(Task::Probe) {
                let why = Failure { teller: Teller::Probe, ..failure_on_one(&shown, &verdict, node) };
                runtime.read_probe(member.node, probe_reading(&verdict), Some(why), self.told);
                continue;
            }
            let failure = if verdict.lost || verdict.ended.ending == Ending::TimedOut {
                let failure = failure_on_one(&shown, &verdict, node);
                Some(if self.told { interrupted(failure, &verdict.ended, Some(node)) } else { failure })
            } else {
                self.work.failure(&shown, &verdict, node)
            };
            answer(runtime, &self.work, member, failure.map_or(Ok(verdict.ended), Err));
        }
    }
}

impl Work {
    /// Returns why a command that ran to its end did not do what it is for.
    fn failure(&self, shown: &str, verdict: &NodeVerdict, node: &Member) -> Option<Failure> {
        match self {
            // The caller looks at the status itself.
            Self::Command(_) => None,
            Self::Task(_) if !verdict.ended.succeeded() => Some(failure_on_one(shown, verdict, node)),
            Self::Task(Task::Run(remote)) => unsaid(*remote, &verdict.ended),
            Self::Task(_) => None,
        }
    }
}

/// Returns the call of a batch, and what hears its output.
fn prepare(
    runtime: &Runtime,
    parallel: &Parallel,
    members: &[BatchMember],
    what: &CommandLine,
    own: Option<&str>,
    keep: usize,
) -> Result<(Job, OutputParser), String> {
    let mark = draw_mark().map_err(|error| format!("{error:#}"))?;
    // As a part of the line it arrives whole or not at all: a start file may read standard input.
    let embedded = Some(what.input.as_slice()).filter(|input| !input.is_empty());
    let line = own.map_or_else(|| what.line.clone(), |own| unless_self(own, &what.line));
    let wrapped = wrap(&mark, &line, embedded);
    let call = BatchCall { line: &wrapped, limit: what.limit, fanout: runtime.fanout };
    let nodes: Vec<_> = members.iter().map(|member| runtime.member(member.node)).collect();
    let job = job(parallel, &nodes, &call)?;
    let targets = nodes.iter().map(|node| target(parallel, node));
    Ok((job, OutputParser::new(&parallel.ssh.program, mark, targets, keep)))
}

/// Parts those that fit into one call from the rest: what names them has an end, and of two with
/// the same address nobody could say which one answers.
fn part(
    runtime: &Runtime,
    parallel: &Parallel,
    members: Vec<BatchMember>,
) -> (Vec<BatchMember>, Vec<BatchMember>) {
    let mut room = NAMES;
    let mut taken = HashSet::new();
    members.into_iter().partition(|member| {
        let target = target(parallel, runtime.member(member.node));
        let bytes = target.len() + 1;
        let fits = (room >= bytes || taken.is_empty()) && taken.insert(target);
        if fits {
            room = room.saturating_sub(bytes);
        }
        fits
    })
}

fn answer(runtime: &mut Runtime, work: &Work, member: BatchMember, result: Result<Ended, Failure>) {
    match (work, member.command) {
        (Work::Task(Task::Run(RemoteCommand::ReadBootId)), _) => {
            let id = result.ok().and_then(|ended| boot::id(&ended.text()));
            runtime.answer(Event::BootId(member.node, id));
        }
        (Work::Task(task), _) => {
            runtime.answer(Event::answer(*task, member.node, result.map(|_| ())));
        }
        (Work::Command(_), Some(id)) => runtime.answers.commands.push((id, result)),
        (Work::Command(_), None) => {}
    }
}

/// A command that fails was run by somebody, and ssh may be turned away by somebody: such a node is
/// neither up nor down. Only where nobody took the connection it is down.
fn probe_reading(verdict: &NodeVerdict) -> Probe {
    if !verdict.lost && verdict.ended.succeeded() {
        Probe::Up
    } else if verdict.lost && met_nobody(&verdict.ended) {
        Probe::Down
    } else {
        Probe::Unknown
    }
}
