//! One child: how it is started, and told to end.

use super::streams::Streams;
use crate::job::{Ended, Ending, Job};
use anyhow::Context;
use nix::sys::epoll::Epoll;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A running child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Pid,
    began: Instant,
    pub(super) tell: Signal,
    pub(super) grace: Duration,
    pub(super) phase: Phase,
    /// Its output is passed on as it comes, and not kept.
    pub(super) followed: bool,
    pub(super) due: Option<Instant>,
    pub(super) streams: Streams,
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
            pid: Pid::from_raw(i32::try_from(started.id())?),
            began,
            tell: job.tell,
            grace: job.grace,
            phase: Phase::Running,
            followed: false,
            due: None,
            streams: Streams::of(&mut started, job),
        };
        if let Err(error) = child.streams.prepare(epoll, id) {
            // Reported as not started, so it must not go on running unwatched.
            killpg(child.pid, Signal::SIGKILL).ok();
            waitpid(child.pid, None).ok();
            return Err(error);
        }
        Ok(child)
    }

    pub(super) fn finish(self, ending: Ending) -> Ended {
        Ended {
            ending,
            stdout: self.streams.out,
            stderr: self.streams.err.into(),
            truncated: self.streams.truncated,
            took: self.began.elapsed(),
        }
    }
}
