//! One child: how it is started, fed and heard.

use super::STREAMS;
use crate::job::{Ended, Ending, Job};
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, read, write};
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most that is taken at once of what a followed child says: more than any pipe holds, so that
/// a flood on one of its streams holds up neither the other one nor the loop.
pub(super) const EARFUL: usize = 1024 * 1024;

pub(super) const STDIN: u64 = 0;
pub(super) const STDOUT: u64 = 1;
pub(super) const STDERR: u64 = 2;

/// What a followed child said since it was last heard. What it wrote to stdout before these bytes of
/// stderr is in this `stdout`, or was in an earlier one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChildOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// A running child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Pid,
    began: Instant,
    pub(super) tell: Signal,
    pub(super) grace: Duration,
    keep: usize,
    pub(super) phase: Phase,
    /// Its output is passed on as it comes, and not kept.
    pub(super) followed: bool,
    pub(super) due: Option<Instant>,
    stdin: Option<(OwnedFd, Vec<u8>, usize)>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    out: Vec<u8>,
    truncated: bool,
    err: VecDeque<u8>,
}

/// How far a child has been told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    Told,
    Killed,
}

impl Child {
    /// Starts a command in a process group of its own; without input it reads `nothing`.
    ///
    /// # Errors
    /// When it cannot be started, or its streams cannot be watched; then nothing runs.
    pub(super) fn start(
        id: u64,
        job: &Job,
        began: Instant,
        nothing: &File,
        epoll: &Epoll,
    ) -> anyhow::Result<Self> {
        let (program, arguments) = job.argv.split_first().context("no program to run")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(job.env.iter().map(|(key, value)| (key, value)))
            .stdin(if job.stdin.is_empty() { nothing.try_clone()?.into() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut started = command.spawn().with_context(|| format!("start {}", program.to_string_lossy()))?;
        let child = Self {
            pid: Pid::from_raw(started.id().cast_signed()),
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
        if let Err(error) = child.prepare_streams(epoll, id) {
            // Reported as not started, so it must not go on running unwatched.
            killpg(child.pid, Signal::SIGKILL).ok();
            waitpid(child.pid, None).ok();
            return Err(error);
        }
        Ok(child)
    }

    /// Makes no stream block, and begins to watch its input, where it gets any.
    fn prepare_streams(&self, epoll: &Epoll, id: u64) -> anyhow::Result<()> {
        let stdin = self.stdin.as_ref().map(|(pipe, ..)| pipe);
        for pipe in [stdin, self.stdout.as_ref(), self.stderr.as_ref()].into_iter().flatten() {
            // A new pipe of ours has no other flag that would have to be kept.
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("make a pipe non-blocking")?;
        }
        if let Some(pipe) = stdin {
            let event = EpollEvent::new(EpollFlags::EPOLLOUT | EpollFlags::EPOLLET, id * STREAMS + STDIN);
            epoll.add(pipe, event).context("watch a pipe")?;
        }
        Ok(())
    }

    /// A stream is read as far as it goes whenever it is ready, so that it need be told of only once.
    /// Told again and again, a pipe that is closed here would keep the loop spinning for as long as a
    /// process that is just being started holds a copy of it, and take the processor away from it.
    pub(super) fn watch_output(&self, epoll: &Epoll, id: u64) -> Result<(), Errno> {
        // One that is followed is heard in parts, and its rest must be told of again.
        let once = if self.followed { EpollFlags::empty() } else { EpollFlags::EPOLLET };
        let flags = EpollFlags::EPOLLIN | once;
        for (stream, which) in [(&self.stdout, STDOUT), (&self.stderr, STDERR)] {
            let Some(pipe) = stream else { continue };
            match epoll.add(pipe, EpollEvent::new(flags, id * STREAMS + which)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads or writes one stream as far as it goes without waiting; closes it at its end, which
    /// also takes it out of the `epoll`.
    pub(super) fn serve(&mut self, which: u64) {
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
    pub(super) fn listen(&mut self) -> Option<ChildOutput> {
        let mut said = ChildOutput::default();
        hear(&mut self.stderr, &mut said.stderr);
        hear(&mut self.stdout, &mut said.stdout);
        (said != ChildOutput::default()).then_some(said)
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

    pub(super) fn finish(self, ending: Ending) -> Ended {
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
