//! The streams of a child: what it is fed, and what is heard of it.

use super::STREAMS;
use crate::job::Job;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::unistd::{read, write};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

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

/// The streams of a child that are still open, and what came out of them.
#[derive(Debug)]
pub(super) struct Streams {
    /// How much of each is kept.
    keep: usize,
    stdin: Option<(OwnedFd, Vec<u8>, usize)>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    pub(super) out: Vec<u8>,
    pub(super) truncated: bool,
    pub(super) err: VecDeque<u8>,
}

impl Streams {
    pub(super) fn of(started: &mut std::process::Child, job: &Job) -> Self {
        Self {
            keep: job.keep,
            stdin: started.stdin.take().map(|pipe| (OwnedFd::from(pipe), job.stdin.clone(), 0)),
            stdout: started.stdout.take().map(OwnedFd::from),
            stderr: started.stderr.take().map(OwnedFd::from),
            out: Vec::new(),
            truncated: false,
            err: VecDeque::new(),
        }
    }

    /// Makes no stream block, and begins to watch its input, where it gets any.
    pub(super) fn prepare(&self, epoll: &Epoll, id: u64) -> anyhow::Result<()> {
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
    pub(super) fn watch_output(&self, epoll: &Epoll, id: u64, followed: bool) -> Result<(), Errno> {
        // One that is followed is heard in parts, and its rest must be told of again.
        let once = if followed { EpollFlags::empty() } else { EpollFlags::EPOLLET };
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
