//! Commands through the shell driver: one node a process, or a part in a batch.

use super::batch::Batches;
use super::remote::{CommandLine, RemoteCommands, unsaid};
use super::{
    NO_SHELL, announced, begun, draw_mark, failure, fed, is_lost, met_nobody, plain_failure, quote,
    unless_self,
};
use crate::boot;
use crate::command::{CommandId, RunsOn, SideCommand};
use crate::driver::kind::DriverKind;
use crate::driver::{Begun, Driver};
use crate::probe::ProbeBy;
use crate::roster::Member;
use crate::runtime::{Runtime, interrupted};
use orderly_exec::children::{ChildId, ChildOutput};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId, Probe, RemoteCommand, Task, Teller};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// What a command is for.
#[derive(Debug, Clone, Copy)]
enum ShellPurpose {
    Run(NodeId, RemoteCommand),
    /// A probe by exit status.
    Probe(NodeId),
    /// On a node or on this machine.
    Command(CommandId, RunsOn),
}

/// A process that runs a command.
#[derive(Debug)]
struct ShellCall {
    purpose: ShellPurpose,
    /// As it is shown.
    argv: Vec<OsString>,
    /// What the node says first when the command begins, where it is made to say so.
    mark: Option<String>,
    /// It was told to end because everything was.
    told: bool,
}

/// Commands through the shell driver, and those on this machine.
#[derive(Debug, Default)]
pub(crate) struct ShellCalls {
    remote: RemoteCommands,
    calls: HashMap<ChildId, ShellCall>,
    batches: Batches,
}

impl ShellCalls {
    /// Lets these nodes be stopped although they are this very machine.
    pub(crate) fn allow_self(&mut self, nodes: &[NodeId]) {
        self.remote.may_be_self = nodes.to_vec();
    }

    /// Sets what users are told.
    pub(crate) fn set_message(&mut self, message: &str) {
        let end = if message.ends_with('\n') { "" } else { "\n" };
        self.remote.message = format!("{message}{end}").into_bytes();
    }

    /// Lets users' processes have no more than this from TERM to KILL.
    pub(crate) fn limit_grace(&mut self, most: Duration) {
        self.remote.most_grace = most;
    }

    /// Begins a command that is no part of a node's own course.
    pub(crate) fn start(&mut self, runtime: &mut Runtime, id: CommandId, command: &SideCommand) {
        let purpose = ShellPurpose::Command(id, command.on);
        let RunsOn::Node(node) = command.on else {
            let mut job = Job::new(command.argv.iter(), command.timeout);
            job.stdin.clone_from(&command.stdin);
            let (child, argv) = runtime.start(DriverKind::Shell, job);
            self.calls.insert(child, ShellCall { purpose, argv, mark: None, told: false });
            return;
        };
        let line =
            CommandLine { line: quote(&command.argv), input: command.stdin.clone(), limit: command.timeout };
        if runtime.profile(node).shell.parallel().is_some() {
            self.batches.gather_command(runtime, node, id, line);
        } else if let Err(failure) = self.call(runtime, node, purpose, &line) {
            runtime.answers.commands.push((id, Err(failure)));
        }
    }

    /// Ends the calls that go on although all their nodes are judged.
    pub(crate) fn close(&mut self, runtime: &mut Runtime) {
        self.batches.close(runtime);
    }

    /// Begins a command on one node.
    ///
    /// # Errors
    /// When its shell driver cannot.
    fn call(
        &mut self,
        runtime: &mut Runtime,
        node: NodeId,
        purpose: ShellPurpose,
        what: &CommandLine,
    ) -> Result<(), Failure> {
        let mut line = what.line.clone();
        // As a part of the line it arrives whole or not at all: a start file may read standard input.
        if !what.input.is_empty() {
            line = fed(&line, &what.input);
        }
        if let ShellPurpose::Run(_, remote) = purpose {
            if let Some(own) = self.remote.spares_self(runtime, node, remote) {
                line = unless_self(own, &line);
            }
        }
        let (Some(driver), member) = (&runtime.profile(node).shell.driver, runtime.member(node)) else {
            return Err(Failure::own(FailureKind::NotStarted, NO_SHELL));
        };
        // A boot id proves by itself that it was read, and a probe asks for no more than a login.
        let is_announced = driver.ssh().is_some()
            && !matches!(purpose, ShellPurpose::Run(_, RemoteCommand::ReadBootId) | ShellPurpose::Probe(_));
        let mark = if is_announced { draw_mark().ok() } else { None };
        if let Some(mark) = &mark {
            line = announced(mark, &line);
        }
        // Shown as it was written, without what is around it.
        let cannot =
            |error: anyhow::Error| Failure::own(FailureKind::NotStarted, member.words(error.to_string()));
        let words = driver.argv(member, &line).map_err(cannot)?;
        let shown = driver.argv(member, &what.line).map_err(cannot)?;
        let (id, _) = runtime.start(DriverKind::Shell, Job::new(words, what.limit));
        self.calls.insert(id, ShellCall { purpose, argv: shown, mark, told: false });
        Ok(())
    }

    /// Begins a task on one node.
    fn call_for(&mut self, runtime: &mut Runtime, task: Task, node: NodeId) {
        let (purpose, line) = match task {
            Task::Run(remote) => (ShellPurpose::Run(node, remote), self.remote.line(runtime, node, remote)),
            Task::PowerOn | Task::PowerOff | Task::Reset | Task::ReadPower | Task::Probe => {
                (ShellPurpose::Probe(node), probe_line(runtime, node))
            }
        };
        let none = || Failure::own(FailureKind::NotStarted, "no driver for that");
        let called = line.ok_or_else(none).and_then(|line| self.call(runtime, node, purpose, &line));
        if let Err(failure) = called {
            runtime.fail_all(task, [node], &failure);
        }
    }
}

/// Returns the command whose success says that a node is up.
pub(super) fn probe_line(runtime: &Runtime, node: NodeId) -> Option<CommandLine> {
    let probe = &runtime.profile(node).probe;
    let ProbeBy::CommandThere(command) = &probe.driver.by else { return None };
    Some(CommandLine { line: command.clone(), input: Vec::new(), limit: probe.timeout })
}

impl ShellCall {
    /// Answers for the command when it has ended.
    fn answer(self, runtime: &mut Runtime, ended: Ended) {
        match self.purpose {
            ShellPurpose::Run(node, RemoteCommand::ReadBootId) => {
                let id = if ended.succeeded() { boot::id(&ended.text()) } else { None };
                runtime.answer(Event::BootId(node, id));
            }
            ShellPurpose::Run(node, remote) => {
                let failure = if ended.succeeded() {
                    unsaid(remote, &ended)
                } else {
                    Some(self.failure(&ended, runtime.member(node)))
                };
                runtime.answer(Event::answer(Task::Run(remote), node, failure.map_or(Ok(()), Err)));
            }
            ShellPurpose::Probe(node) => {
                let reading = match ended.ending {
                    Ending::Exited(0) => Probe::Up,
                    // A command that fails was run by somebody, and ssh may be turned away by somebody: such a
                    // node is neither up nor down. Only where nobody took the connection it is down.
                    Ending::Exited(_) if met_nobody(&ended) => Probe::Down,
                    Ending::Exited(_)
                    | Ending::Killed(_)
                    | Ending::TimedOut
                    | Ending::Unkillable
                    | Ending::NotStarted => Probe::Unknown,
                };
                let why =
                    Failure { teller: Teller::Probe, ..failure(&self.argv, &ended, runtime.member(node)) };
                runtime.read_probe(node, reading, Some(why), self.told);
            }
            ShellPurpose::Command(id, on) => {
                let result = self.why_not_its_own(runtime, on, &ended).map_or(Ok(ended), Err);
                runtime.answers.commands.push((id, result));
            }
        }
    }

    /// Returns why a command on a node failed.
    fn failure(&self, ended: &Ended, node: &Member) -> Failure {
        let failure = failure(&self.argv, ended, node);
        if self.told && failure.kind == FailureKind::TimedOut {
            interrupted(failure, ended, Some(node))
        } else {
            failure
        }
    }

    /// Returns why the end of a command is not its own: it did not run, or was lost on the way.
    fn why_not_its_own(&self, runtime: &Runtime, on: RunsOn, ended: &Ended) -> Option<Failure> {
        let node = if let RunsOn::Node(node) = on { Some(runtime.member(node)) } else { None };
        let failure = match node {
            Some(node) => failure(&self.argv, ended, node),
            None => plain_failure(Teller::Run, &self.argv, ended, None),
        };
        match ended.ending {
            Ending::Exited(_) if node.is_some() && is_lost(ended) => Some(failure),
            Ending::Exited(_) | Ending::Killed(_) => None,
            Ending::TimedOut if self.told => Some(interrupted(failure, ended, node)),
            Ending::TimedOut | Ending::Unkillable | Ending::NotStarted => Some(failure),
        }
    }

    /// Answers for a command whose end nobody will hear of.
    fn give_up(self, runtime: &mut Runtime, failure: &Failure) {
        match self.purpose {
            ShellPurpose::Run(node, remote) => runtime.fail_all(Task::Run(remote), [node], failure),
            ShellPurpose::Probe(node) => runtime.answer(Event::Probe(node, Probe::Unknown)),
            ShellPurpose::Command(id, _) => runtime.answers.commands.push((id, Err(failure.clone()))),
        }
    }
}

impl Driver for ShellCalls {
    fn begin(&mut self, runtime: &mut Runtime, task: Task, nodes: &mut VecDeque<NodeId>, at: usize) -> Begun {
        let node = nodes[at];
        if !runtime.has_room() {
            return Begun::Full;
        }
        if runtime.profile(node).shell.parallel().is_some() {
            self.batches.gather_task(runtime, task, node);
        } else {
            self.call_for(runtime, task, node);
        }
        nodes.remove(at);
        Begun::On(vec![node])
    }

    fn ended(&mut self, runtime: &mut Runtime, id: ChildId, ended: Ended) {
        match self.calls.remove(&id) {
            Some(call) => {
                let ended = match &call.mark {
                    Some(mark) => begun(mark, ended),
                    None => ended,
                };
                call.answer(runtime, ended);
            }
            None => self.batches.ended(runtime, id, &ended),
        }
    }

    fn heard(&mut self, runtime: &mut Runtime, id: ChildId, said: &ChildOutput) {
        self.batches.heard(runtime, id, said);
    }

    fn do_due(&mut self, runtime: &mut Runtime) {
        self.batches.do_due(runtime, &self.remote, Instant::now());
    }

    fn wake(&self, runtime: &Runtime) -> Option<Instant> {
        self.batches.wake(runtime)
    }

    fn end_all(&mut self, runtime: &mut Runtime) {
        self.calls.values_mut().for_each(|call| call.told = true);
        self.batches.end_all(runtime);
    }

    fn lose_all(&mut self, runtime: &mut Runtime, failure: &Failure) {
        for (_, call) in std::mem::take(&mut self.calls) {
            call.give_up(runtime, failure);
        }
        self.batches.lose_all(runtime, failure);
    }
}
