//! Why a task did not succeed: of what kind it is, whose words they are, what was run, and the cause.
//!
//! Invariant: a failure is of the program that told it. What ssh says is no word of a power controller, and nothing
//! is decided by what a person reads (`what_ssh_says_is_not_told_as_the_power_controllers`).

use crate::words::Words;
use std::fmt;
use std::time::Duration;

/// Why a task did not succeed; told apart because each is retried, and mended, in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The command ran and said no.
    Failed,
    /// No answer within the limit.
    TimedOut,
    /// Nothing can be reached there (ssh's 255, no route, no answer).
    Unreachable,
    /// Something is there and takes no connection: it may be starting.
    Refused,
    /// It has too much to do, for now.
    Busy,
    /// It said yes, and nothing changed.
    NoEffect,
    /// It was done, and undone by itself: the power was on and reads off again.
    FellBack,
    /// The password or key was not accepted.
    Authentication,
    /// The driver's program cannot be started.
    NotStarted,
    /// As it is configured it can never succeed: a node that the power program does not know, answers in a form
    /// that is not understood.
    Misconfigured,
    /// The run was told to stop while this was running.
    Ended,
    /// The node is the very machine this run is on, and refused.
    Itself,
}

impl FailureKind {
    /// Returns the word used for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::NoEffect => "no_effect",
            Self::FellBack => "fell_back",
            Self::Authentication => "authentication",
            Self::NotStarted => "not_started",
            Self::Misconfigured => "misconfigured",
            Self::Ended => "ended",
            Self::Itself => "this_machine",
        }
    }

    /// Tells whether every further try fails alike, as things are configured.
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::Authentication | Self::NotStarted | Self::Misconfigured)
    }

    /// Returns how long to wait before a task that failed is tried again, or nothing where trying again
    /// cannot help. `attempts` counts from 1.
    pub fn back_off(self, attempts: u32) -> Option<Duration> {
        let first = match self {
            Self::Failed | Self::TimedOut => Duration::from_secs(1),
            // It is there, and what takes the connection is being started, or what was accepted sinks in.
            Self::Refused | Self::NoEffect => Duration::from_secs(2),
            // A controller that is away may be rebooting itself, which takes longer than to say no.
            Self::Unreachable => Duration::from_secs(4),
            // More of the same would keep it busy.
            Self::Busy => Duration::from_secs(8),
            // Whatever took the power away (a supply, a limit, heat) is given time to pass.
            Self::FellBack => Duration::from_secs(15),
            Self::Authentication | Self::NotStarted | Self::Misconfigured | Self::Ended | Self::Itself => {
                return None;
            }
        };
        Some(first * 2u32.pow(attempts.saturating_sub(1).min(5)))
    }

    /// Tells whether nobody heard what was asked.
    pub fn met_nobody(self) -> bool {
        matches!(self, Self::Unreachable | Self::Refused)
    }
}

/// Whose words a failure is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Teller {
    /// The program that switches and reads power, or the controller behind it.
    Power,
    /// What runs commands on nodes, or the command there.
    Shell,
    /// What is asked whether a node is up.
    Probe,
    /// The run itself: nothing was called, or nothing came of what was.
    Run,
}

impl Teller {
    /// Returns the word used for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Shell => "shell",
            Self::Probe => "probe",
            Self::Run => "run",
        }
    }
}

/// Why a task did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub teller: Teller,
    /// What it is called, where its words are known: `the controller is busy`.
    pub name: Option<&'static str>,
    /// What was run, as one would type it; empty where nothing was.
    pub call: Words,
    /// One line, what came of it in the cause's own words.
    pub cause: Words,
}

impl Failure {
    /// Returns a failure that no program told.
    pub fn own(kind: FailureKind, cause: impl Into<Words>) -> Self {
        Self::told(Teller::Run, kind, cause)
    }

    /// Returns a failure in a program's words.
    pub fn told(teller: Teller, kind: FailureKind, cause: impl Into<Words>) -> Self {
        Self { kind, teller, name: None, call: Words::default(), cause: cause.into() }
    }

    /// Returns the same failure under what it is called.
    #[must_use]
    pub fn named(self, kind: FailureKind, name: &'static str) -> Self {
        Self { kind, name: Some(name).filter(|name| !name.is_empty()), ..self }
    }

    /// Returns it as a person reads it, in one line.
    pub fn words(&self) -> Words {
        let parts = [Words::from(self.name.unwrap_or_default()), self.call.clone(), self.cause.clone()];
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let first = parts.next().unwrap_or_default();
        parts.fold(first, |words, part| words.then(": ").then(part))
    }

    /// Returns the same as a text.
    pub fn detail(&self) -> String {
        self.words().to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}
