//! The one loop: children, their output, TCP connects, timers and signals in one `epoll`.
//!
//! No thread a child. Most children end within moments and say nothing, and starting one must cost
//! little beside the process itself: the output of a child is watched only once it has lived for a
//! moment, and read when it ends. A child is ended by process group, first TERM, then KILL; its number is not
//! reused meanwhile because only this loop reaps. What it leaves running in the background (a
//! service it started) is not waited for: its output is read until the child itself is gone.

mod child;
mod streams;

use crate::job::{Ended, Ending, Job};
use crate::keyboard::{Keyboard, Typed};
use crate::signals::Signals;
use crate::visitors::Visitors;
use anyhow::Context;
use child::{Child, Phase};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

pub use streams::ChildOutput;
use streams::{STDERR, STDIN, STDOUT};

/// How long a child may survive KILL before it is left behind as unkillable.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// How long a child may live before its output is watched: watching two pipes costs more than most
/// of what ends sooner ever says. Nobody waits longer for a word than this.
const MOMENT: Duration = Duration::from_millis(10);

/// The loop's own name of a running child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(u64);

/// What the loop saw.
#[derive(Debug)]
pub enum ChildEvent {
    Ended(ChildId, Ended),
    /// A child that is followed said something; see [`Children::follow`].
    Said(ChildId, ChildOutput),
    /// A descriptor given to [`Children::watch`] is ready; it is no longer watched.
    Ready(u64),
    Signal(Signal),
    /// Enter was pressed at the terminal; see [`Children::listen_for_enter`].
    Enter,
    /// A visitor asked something; see [`Children::let_in`].
    Asked,
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
    seen: VecDeque<ChildEvent>,
    next_id: u64,
    /// Children whose output is not watched yet, and from when on it is; oldest first.
    young: VecDeque<(Instant, u64)>,
    /// What children without input read: opened once.
    nothing: File,
    enter: Option<EnterWatch>,
    visitors: Option<Visitors>,
}

/// The terminal at which Enter may be pressed.
#[derive(Debug)]
struct EnterWatch {
    keyboard: Keyboard,
    watch: u64,
    /// When it is looked at again: what was typed was not for us.
    again: Option<Instant>,
}

/// How long after it was typed what is there is looked at again: by then whoever has the terminal has read it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the number of an event means: the signals, visitors, or of a child or descriptor one of so many streams.
const SIGNALS: u64 = 0;
const VISITORS: u64 = 1;
const STREAMS: u64 = 4;
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
            young: VecDeque::new(),
            nothing: File::open("/dev/null").context("open /dev/null")?,
            enter: None,
            visitors: None,
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
            self.seen.push_back(ChildEvent::Ended(ChildId(id), ended));
        }
        ChildId(id)
    }

    /// Passes on what a child says while it runs, as [`ChildEvent::Said`]; its [`Ended`] then has no output.
    /// To be asked for before the next [`Children::next`].
    pub fn follow(&mut self, id: ChildId) {
        if let Some(child) = self.running.get_mut(&id.0) {
            child.followed = true;
        }
    }

    /// Watches a descriptor once, for reading or writing; [`ChildEvent::Ready`] carries the number returned.
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

    /// Listens for Enter, where standard input is the terminal of this session, and tells of it as
    /// [`ChildEvent::Enter`]. What is typed before Enter is dropped.
    pub fn listen_for_enter(&mut self) {
        let Some(keyboard) = Keyboard::open() else { return };
        // Without it SIGUSR1 asks the same.
        if let Ok(watch) = self.watch(&keyboard, Writable::No) {
            self.enter = Some(EnterWatch { keyboard, watch, again: None });
        }
    }

    /// Serves visitors, and tells of what they ask as [`ChildEvent::Asked`].
    ///
    /// # Errors
    /// When the kernel cannot watch them.
    pub fn let_in(&mut self, visitors: &Visitors) -> anyhow::Result<()> {
        self.epoll
            .add(visitors, EpollEvent::new(EpollFlags::EPOLLIN, VISITORS))
            .context("watch the visitors of this run")?;
        self.visitors = Some(visitors.clone());
        Ok(())
    }

    /// Leaves what is typed from now on to others.
    pub fn leave_enter(&mut self) {
        self.enter = None;
    }

    /// Reads what was typed, if this watch is that of the terminal; tells whether it is.
    fn hear_enter(&mut self, watch: u64) -> bool {
        let Some(enter) = self.enter.as_mut().filter(|enter| enter.watch == watch) else { return false };
        match enter.keyboard.read() {
            Typed::Line => {
                enter.again = Some(Instant::now());
                self.seen.push_back(ChildEvent::Enter);
            }
            Typed::Nothing => enter.again = Some(Instant::now() + LOOK_AGAIN),
        }
        true
    }

    /// Watches the terminal again once it is time.
    fn watch_enter(&mut self, now: Instant) {
        let Some(mut enter) = self.enter.take() else { return };
        if enter.again.is_some_and(|again| again <= now) {
            match self.watch(&enter.keyboard, Writable::No) {
                Ok(watch) => (enter.watch, enter.again) = (watch, None),
                Err(_) => enter.again = Some(now + LOOK_AGAIN),
            }
        }
        self.enter = Some(enter);
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
    pub fn next(&mut self, until: Option<Instant>) -> anyhow::Result<Option<ChildEvent>> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(Some(seen));
            }
            self.pass_deadlines();
            if !self.seen.is_empty() {
                continue;
            }
            let now = Instant::now();
            self.watch_grown(now);
            self.watch_enter(now);
            let enter = self.enter.as_ref().and_then(|enter| enter.again);
            let soonest = self.deadlines.peek().map(|Reverse((at, _))| *at);
            let grown = self.young.front().map(|(at, _)| *at);
            let wake = [soonest, grown, enter, until].into_iter().flatten().min();
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
        let child = Child::start(id, job, began, &self.nothing, &self.epoll)?;
        self.by_pid.insert(child.pid, id);
        self.running.insert(id, child);
        self.young.push_back((began + MOMENT, id));
        if let Some(due) = began.checked_add(job.timeout) {
            self.set_deadline(id, due);
        }
        Ok(())
    }

    /// Watches the output of children that have lived for a moment.
    fn watch_grown(&mut self, now: Instant) {
        while let Some((at, id)) = self.young.pop_front() {
            let Some(child) = self.running.get(&id) else { continue };
            if at > now {
                self.young.push_front((at, id));
                return;
            }
            if child.streams.watch_output(&self.epoll, id, child.followed).is_err() {
                // The kernel is short of memory now; a child that says much waits meanwhile.
                self.young.push_back((now + MOMENT, id));
                return;
            }
        }
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
                VISITORS => {
                    if self.visitors.as_ref().is_some_and(Visitors::serve) {
                        self.seen.push_back(ChildEvent::Asked);
                    }
                }
                data if data % STREAMS == WATCHED => {
                    if !self.hear_enter(data / STREAMS) {
                        self.seen.push_back(ChildEvent::Ready(data / STREAMS));
                    }
                }
                data => {
                    if let Some(child) = self.running.get_mut(&(data / STREAMS)) {
                        if child.followed && data % STREAMS != STDIN {
                            let said = child.streams.listen();
                            let id = ChildId(data / STREAMS);
                            self.seen.extend(said.map(|said| ChildEvent::Said(id, said)));
                        } else {
                            child.streams.serve(data % STREAMS);
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
                self.seen.push_back(ChildEvent::Signal(signal));
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
            self.seen.extend(child.streams.listen().map(|said| ChildEvent::Said(ChildId(id), said)));
        } else {
            child.streams.serve(STDOUT);
            child.streams.serve(STDERR);
        }
        // A child that was told to end and exits by itself still ran out of its time.
        let ending = if child.phase == Phase::Running { ending } else { Ending::TimedOut };
        if child.phase != Phase::Running {
            // Its descendants may have outlived it.
            killpg(pid, Signal::SIGKILL).ok();
        }
        self.seen.push_back(ChildEvent::Ended(ChildId(id), child.finish(ending)));
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
                        self.seen.push_back(ChildEvent::Ended(ChildId(id), child.finish(Ending::Unkillable)));
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

#[cfg(test)]
mod tests;
