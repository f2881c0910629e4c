//! Commands one after the other, for the programs that work on this machine.

use crate::children::{ChildEvent, Children};
use crate::job::{Ended, Ending, Job};
use crate::signals::Signals;
use anyhow::bail;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Runs commands; the seam at which a dry run or a test puts something else.
pub trait Run {
    /// Runs a command to its end.
    fn run(&mut self, job: &Job) -> Ended;

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// The command, and how it ended.
    fn expect(&mut self, job: &Job) -> anyhow::Result<Ended> {
        let ended = self.run(job);
        if !ended.succeeded() {
            bail!("{}: {}", job.shown(), ended.clause());
        }
        Ok(ended)
    }

    /// Runs a command that must succeed, and returns all that it printed.
    ///
    /// # Errors
    /// As [`Run::expect`]; also when it printed more than is kept.
    fn text(&mut self, job: &Job) -> anyhow::Result<String> {
        let ended = self.expect(job)?;
        if ended.truncated {
            bail!("{}: {}", job.shown(), ended.clause());
        }
        Ok(ended.text())
    }
}

/// Runs real commands and remembers the signals that came meanwhile.
#[derive(Debug)]
pub struct Runner {
    children: Children,
    interrupted: Option<Signal>,
    left_behind: Option<String>,
}

impl Runner {
    /// Makes the runner; it takes the process's signals with it.
    ///
    /// # Errors
    /// When the event loop cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { children: Children::new(Signals::listen()?)?, interrupted: None, left_behind: None })
    }

    /// Returns the first INT, TERM or HUP that came, looking without waiting.
    pub fn interrupted(&mut self) -> Option<Signal> {
        self.pause(Duration::ZERO);
        self.interrupted
    }

    /// Returns the first command that not even KILL ended, as one would type it: it may still do its work.
    pub fn left_behind(&self) -> Option<&str> {
        self.left_behind.as_deref()
    }

    /// Waits this long, or shorter when a signal comes.
    pub fn pause(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(Some(seen)) = self.children.next(Some(until)) {
            if let ChildEvent::Signal(signal) = seen {
                self.note(signal);
                if self.interrupted.is_some() {
                    return;
                }
            }
        }
    }

    /// A second signal ends what runs; the first one only stops what would come next.
    fn note(&mut self, signal: Signal) {
        if !matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP) {
            return;
        }
        if self.interrupted.is_some() {
            self.children.end_all();
        } else {
            self.interrupted = Some(signal);
        }
    }
}

impl Run for Runner {
    fn run(&mut self, job: &Job) -> Ended {
        let wanted = self.children.start(job);
        loop {
            match self.children.next(None) {
                Ok(Some(ChildEvent::Ended(id, ended))) if id == wanted => {
                    if ended.ending == Ending::Unkillable {
                        self.left_behind.get_or_insert_with(|| job.shown());
                    }
                    return ended;
                }
                Ok(Some(ChildEvent::Signal(signal))) => self.note(signal),
                Ok(_) => {}
                Err(error) => {
                    self.left_behind.get_or_insert_with(|| job.shown());
                    return Ended {
                        ending: Ending::Unkillable,
                        stdout: Vec::new(),
                        stderr: format!("{error:#}").into_bytes(),
                        truncated: false,
                        took: Duration::ZERO,
                    };
                }
            }
        }
    }
}
