//! The one loop: children, their output, TCP connects, timers and signals in one `epoll`.
//!
//! No thread a child. A child is ended by process group, first TERM, then KILL; its number is not
//! reused meanwhile because only this loop reaps. What it leaves running in the background (a
//! service it started) is not waited for: its output is read until the child itself is gone.

use crate::job::{Ended, Ending, Job};
use crate::signals::Signals;
use anyhow::Context;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read, write};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most that is taken at once of what a followed child says: more than any pipe holds, so that
/// a flood on one of its streams holds up neither the other one nor the loop.
const EARFUL: usize = 1024 * 1024;

/// How long a child may survive KILL before it is left behind as unkillable.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// The loop's own name of a running child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(u64);

/// What the loop saw.
#[derive(Debug)]
pub enum Seen {
    Ended(ChildId, Ended),
    /// A child that is followed said something; see [`Children::follow`].
    Said(ChildId, Said),
    /// A descriptor given to [`Children::watch`] is ready; it is no longer watched.
    Ready(u64),
    Signal(Signal),
}

/// What a followed child said since it was last heard. What it wrote to stdout before these bytes of
/// stderr is in this `stdout`, or was in an earlier one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Running children, and whatever else the loop waits for.
#[derive(Debug)]
pub struct Children {
    epoll: Epoll,
    signals: Signals,
    running: HashMap<u64, Child>,
    by_pid: HashMap<Pid, u64>,
    /// Next deadlines, soonest first; entries of ended children are skipped.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    seen: VecDeque<Seen>,
    next_id: u64,
}

#[derive(Debug)]
struct Child {
    pid: Pid,
    began: Instant,
    tell: Signal,
    grace: Duration,
    keep: usize,
    phase: Phase,
    /// Its output is passed on as it comes, and not kept.
    followed: bool,
    due: Option<Instant>,
    stdin: Option<(OwnedFd, Vec<u8>, usize)>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    out: Vec<u8>,
    truncated: bool,
    err: VecDeque<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Told,
    Killed,
}

const SIGNALS: u64 = 0;
const STREAMS: u64 = 4;
const STDIN: u64 = 0;
const STDOUT: u64 = 1;
const STDERR: u64 = 2;
const WATCHED: u64 = 3;

impl Children {
    /// Makes the loop; it takes the process's signals with it.
    ///
    /// # Errors
    /// When the kernel gives no `epoll`.
    pub fn new(signals: Signals) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("make the event loop")?;
        epoll
            .add(signals.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))
            .context("watch the signal pipe")?;
        Ok(Self {
            epoll,
            signals,
            running: HashMap::new(),
            by_pid: HashMap::new(),
            deadlines: BinaryHeap::new(),
            seen: VecDeque::new(),
            next_id: 1,
        })
    }

    /// Returns how many children run.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Starts a command. One that cannot be started is heard of like any other, as
    /// [`Ending::NotStarted`] with the reason in `stderr`.
    pub fn start(&mut self, job: &Job) -> ChildId {
        let id = self.new_id();
        let began = Instant::now();
        if let Err(error) = self.try_start(id, job, began) {
            let ended = Ended {
                ending: Ending::NotStarted,
                stdout: Vec::new(),
                stderr: format!("{error:#}").into_bytes(),
                truncated: false,
                took: Duration::ZERO,
            };
            self.seen.push_back(Seen::Ended(ChildId(id), ended));
        }
        ChildId(id)
    }

    /// Passes on what a child says while it runs, as [`Seen::Said`]; its [`Ended`] then has no output.
    /// To be asked for before the next [`Children::next`].
    pub fn follow(&mut self, id: ChildId) {
        if let Some(child) = self.running.get_mut(&id.0) {
            child.followed = true;
        }
    }

    /// Watches a descriptor once, for reading or writing; [`Seen::Ready`] carries the number returned.
    ///
    /// # Errors
    /// When the kernel cannot watch it.
    pub fn watch(&mut self, descriptor: impl AsFd, writable: Writable) -> anyhow::Result<u64> {
        let id = self.new_id();
        let flags = match writable {
            Writable::Yes => EpollFlags::EPOLLOUT,
            Writable::No => EpollFlags::EPOLLIN,
        };
        let event = EpollEvent::new(flags | EpollFlags::EPOLLONESHOT, id * STREAMS + WATCHED);
        match self.epoll.add(&descriptor, event) {
            // Watched before: a connection made, whose first words are now waited for.
            Err(Errno::EEXIST) => self.epoll.modify(&descriptor, &mut event.clone()),
            added => added,
        }
        .context("watch a descriptor")?;
        Ok(id)
    }

    /// Tells every running child to end: TERM now, KILL after its grace.
    pub fn end_all(&mut self) {
        let ids: Vec<u64> = self.running.keys().copied().collect();
        for id in ids {
            self.tell(id);
        }
    }

    /// Tells one running child to end: TERM now, KILL after its grace.
    pub fn end(&mut self, id: ChildId) {
        self.tell(id.0);
    }

    /// Waits until something is seen, at the longest until `until` (for ever when `None`).
    ///
    /// # Errors
    /// When the event loop itself fails; children still run then.
    pub fn next(&mut self, until: Option<Instant>) -> anyhow::Result<Option<Seen>> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(Some(seen));
            }
            self.pass_deadlines();
            if !self.seen.is_empty() {
                continue;
            }
            let soonest = self.deadlines.peek().map(|Reverse((at, _))| *at);
            let wake = match (soonest, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let now = Instant::now();
            self.wait(wake.map(|wake| wake.saturating_duration_since(now)))?;
            if self.seen.is_empty() && until.is_some_and(|until| Instant::now() >= until) {
                return Ok(None);
            }
        }
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn try_start(&mut self, id: u64, job: &Job, began: Instant) -> anyhow::Result<()> {
        let (program, arguments) = job.argv.split_first().context("no program to run")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(job.env.iter().map(|(key, value)| (key, value)))
            .stdin(if job.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut started = command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))?;
        let pid = Pid::from_raw(started.id().cast_signed());
        let mut child = Child {
            pid,
            began,
            tell: job.tell,
            grace: job.grace,
            keep: job.keep,
            phase: Phase::Running,
            followed: false,
            due: None,
            stdin: started.stdin.take().map(|pipe| (OwnedFd::from(pipe), job.stdin.clone(), 0)),
            stdout: started.stdout.take().map(OwnedFd::from),
            stderr: started.stderr.take().map(OwnedFd::from),
            out: Vec::new(),
            truncated: false,
            err: VecDeque::new(),
        };
        if let Err(error) = child.watch_streams(&self.epoll, id) {
            // Reported as not started, so it must not go on running unwatched.
            killpg(pid, Signal::SIGKILL).ok();
            waitpid(pid, None).ok();
            return Err(error);
        }
        self.running.insert(id, child);
        self.by_pid.insert(pid, id);
        if let Some(due) = began.checked_add(job.timeout) {
            self.set_deadline(id, due);
        }
        Ok(())
    }

    fn wait(&mut self, at_most: Option<Duration>) -> anyhow::Result<()> {
        let timeout = match at_most {
            None => EpollTimeout::NONE,
            // Rounded up: waking a part of a millisecond early would spin until the deadline.
            Some(wait) => EpollTimeout::try_from(
                wait.saturating_add(Duration::from_micros(999)).as_millis().min(86_400_000) as i32,
            )
            .unwrap_or(EpollTimeout::MAX),
        };
        let mut events = [EpollEvent::empty(); 128];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error).context("wait for events"),
        };
        let mut signalled = false;
        for event in &events[..count] {
            match event.data() {
                SIGNALS => signalled = true,
                data if data % STREAMS == WATCHED => self.seen.push_back(Seen::Ready(data / STREAMS)),
                data => {
                    if let Some(child) = self.running.get_mut(&(data / STREAMS)) {
                        if child.followed && data % STREAMS != STDIN {
                            let said = child.listen();
                            let id = ChildId(data / STREAMS);
                            self.seen.extend(said.map(|said| Seen::Said(id, said)));
                        } else {
                            child.serve(data % STREAMS);
                        }
                    }
                }
            }
        }
        if signalled {
            self.take_signals();
        }
        Ok(())
    }

    fn take_signals(&mut self) {
        for signal in self.signals.take() {
            if signal != Signal::SIGCHLD {
                self.seen.push_back(Seen::Signal(signal));
            }
        }
        // Several children may stand behind one CHLD, so all that ended are reaped.
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.reaped(pid, Ending::Exited(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.reaped(pid, Ending::Killed(signal as i32)),
                Ok(_) | Err(_) => break,
            }
        }
    }

    fn reaped(&mut self, pid: Pid, ending: Ending) {
        let Some(id) = self.by_pid.remove(&pid) else { return };
        let Some(mut child) = self.running.remove(&id) else { return };
        if child.followed {
            self.seen.extend(child.listen().map(|said| Seen::Said(ChildId(id), said)));
        } else {
            child.serve(STDOUT);
            child.serve(STDERR);
        }
        // A child that was told to end and exits by itself still ran out of its time.
        let ending = if child.phase == Phase::Running { ending } else { Ending::TimedOut };
        if child.phase != Phase::Running {
            // Its descendants may have outlived it.
            killpg(pid, Signal::SIGKILL).ok();
        }
        self.seen.push_back(Seen::Ended(ChildId(id), child.finish(ending)));
    }

    fn pass_deadlines(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((at, id))) = self.deadlines.peek() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            // A child told to end before its time has a newer deadline than this one.
            let Some(child) = self.running.get_mut(&id).filter(|child| child.due == Some(at)) else {
                continue;
            };
            match child.phase {
                Phase::Running => self.tell(id),
                Phase::Told => {
                    child.phase = Phase::Killed;
                    killpg(child.pid, Signal::SIGKILL).ok();
                    self.set_deadline(id, now + KILL_GRACE);
                }
                Phase::Killed => {
                    if let Some(child) = self.running.remove(&id) {
                        self.by_pid.remove(&child.pid);
                        self.seen.push_back(Seen::Ended(ChildId(id), child.finish(Ending::Unkillable)));
                    }
                }
            }
        }
    }

    fn tell(&mut self, id: u64) {
        let Some(child) = self.running.get_mut(&id) else { return };
        if child.phase != Phase::Running {
            return;
        }
        child.phase = Phase::Told;
        killpg(child.pid, child.tell).ok();
        let due = Instant::now() + child.grace;
        self.set_deadline(id, due);
    }

    fn set_deadline(&mut self, id: u64, due: Instant) {
        if let Some(child) = self.running.get_mut(&id) {
            child.due = Some(due);
            self.deadlines.push(Reverse((due, id)));
        }
    }
}

/// Whether a descriptor is watched for writing or for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writable {
    Yes,
    No,
}

impl Child {
    fn watch_streams(&mut self, epoll: &Epoll, id: u64) -> anyhow::Result<()> {
        let streams = [
            (self.stdin.as_ref().map(|(pipe, ..)| pipe), EpollFlags::EPOLLOUT, STDIN),
            (self.stdout.as_ref(), EpollFlags::EPOLLIN, STDOUT),
            (self.stderr.as_ref(), EpollFlags::EPOLLIN, STDERR),
        ];
        for (stream, flags, which) in streams {
            let Some(pipe) = stream else { continue };
            crate::files::unblock(pipe)?;
            epoll.add(pipe, EpollEvent::new(flags, id * STREAMS + which)).context("watch a pipe")?;
        }
        Ok(())
    }

    /// Reads or writes one stream as far as it goes without waiting; closes it at its end, which
    /// also takes it out of the `epoll`.
    fn serve(&mut self, which: u64) {
        match which {
            STDIN => {
                if self.feed() {
                    self.stdin = None;
                }
            }
            STDOUT => {
                let (out, keep, truncated) = (&mut self.out, self.keep, &mut self.truncated);
                drain(&mut self.stdout, |bytes| {
                    let room = keep.saturating_sub(out.len()).min(bytes.len());
                    out.extend_from_slice(&bytes[..room]);
                    *truncated |= room < bytes.len();
                });
            }
            _ => {
                let (err, keep) = (&mut self.err, self.keep);
                drain(&mut self.stderr, |bytes| {
                    err.extend(bytes);
                    err.drain(..err.len().saturating_sub(keep));
                });
            }
        }
    }

    /// Takes what there is to hear; stderr first, so that stdout is read at least as far.
    fn listen(&mut self) -> Option<Said> {
        let mut said = Said::default();
        hear(&mut self.stderr, &mut said.stderr);
        hear(&mut self.stdout, &mut said.stdout);
        (said != Said::default()).then_some(said)
    }

    /// Writes what fits; tells whether all is written or nobody reads any more.
    fn feed(&mut self) -> bool {
        let Some((pipe, bytes, written)) = &mut self.stdin else { return true };
        while *written < bytes.len() {
            match write(&*pipe, &bytes[*written..]) {
                Ok(count) => *written += count,
                Err(Errno::EAGAIN) => return false,
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
        true
    }

    fn finish(self, ending: Ending) -> Ended {
        Ended {
            ending,
            stdout: self.out,
            stderr: self.err.into(),
            truncated: self.truncated,
            took: self.began.elapsed(),
        }
    }
}

fn drain(stream: &mut Option<OwnedFd>, mut take: impl FnMut(&[u8])) {
    let Some(pipe) = stream else { return };
    let mut bytes = [0u8; 16 * 1024];
    loop {
        match read(&*pipe, &mut bytes) {
            Ok(0) => break,
            Ok(count) => take(&bytes[..count]),
            Err(Errno::EAGAIN) => return,
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    *stream = None;
}

/// Reads a part of a stream; what is left is heard of again.
fn hear(stream: &mut Option<OwnedFd>, said: &mut Vec<u8>) {
    let Some(pipe) = stream else { return };
    let mut bytes = [0u8; 16 * 1024];
    while said.len() < EARFUL {
        match read(&*pipe, &mut bytes) {
            Ok(0) => {
                *stream = None;
                return;
            }
            Ok(count) => said.extend_from_slice(&bytes[..count]),
            Err(Errno::EAGAIN) => return,
            Err(Errno::EINTR) => {}
            Err(_) => {
                *stream = None;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
