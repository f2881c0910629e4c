//! What a run is to the loop that drives it: a machine that begins tasks, hears events and says what
//! happened. It has no clock and no input or output of its own; [`Drivers`] is all it sees of the world.
//!
//! [`crate::survey`] asks how nodes stand, [`crate::startup`] starts them, [`crate::shutdown`] stops
//! them. Times are [`Duration`]s since the run began.

use crate::drivers::{Drivers, Event, Failure, FailureKind, NodeId, Probe, Task, Teller};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A run, one step at a time: `advance`, wait for events until `wake`, `hear` each, `advance` again.
pub trait Machine {
    /// Begins what may begin and passes the limits that have come.
    fn advance(&mut self, drivers: &mut dyn Drivers);

    /// Takes note of an event. Signals are not for the machine; see [`Machine::interrupt`].
    fn hear(&mut self, event: &Event, now: Duration);

    /// Returns when `advance` is to be called at the latest, whatever is heard.
    fn wake(&self) -> Option<Duration>;

    /// Begins nothing more; the run is over when all tasks begun are answered for.
    fn interrupt(&mut self);

    /// Tells whether every node has its outcome, or, once interrupted, nothing is outstanding.
    fn is_over(&self) -> bool;

    /// Returns how many tasks were begun and not yet answered for.
    fn outstanding(&self) -> usize;

    /// Returns what happened since the last call, in order.
    fn take_notices(&mut self) -> Vec<Notice>;

    /// Returns where the run stands, for people who ask.
    fn stand(&self, now: Duration) -> Stand;

    /// Returns how each node of the run ended, in order of nodes; those not over yet as they stand.
    fn endings(&self) -> Vec<Ending>;
}

/// Something that happened to a node in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub at: Duration,
    pub node: NodeId,
    pub what: Happening,
}

/// What can happen to a node in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A task that changes the node was begun.
    Began(Task),
    /// It is on but not up: it may be booting and is waited for, this long before it is reset.
    WaitedFor(Duration),
    /// A task failed and is tried again after this long.
    Retried(Failure, Duration),
    /// A task failed on which nothing else depends: its users could not be told.
    Missed(Task, Failure),
    /// It does not yet answer like this, and what waits for it goes on (`-W`, with the limit).
    LetGo(Probe, Duration),
    /// Nothing more will be done to it.
    Over(Outcome),
}

/// How a node ended in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Up,
    AlreadyUp,
    /// Down, and off where that was asked.
    Down,
    AlreadyDown,
    /// Down and up again.
    Restarted,
    /// In maintenance: down for its users, its power on.
    Maintenance,
    /// The reason, as a clause.
    Failed(Reason),
    /// What it was last seen doing.
    TimedOut(Reason),
    /// Neither its power nor its probe tells anything; the last words of its driver.
    Unreachable(Reason),
    /// Not begun, because these nodes failed, sorted: all of them once the run is over, the first until then.
    Held(Arc<[NodeId]>),
    /// Begun and not waited for, because the run was interrupted.
    Begun,
    /// Begun, and the call that acted on it was ended half-way: a person must look.
    Unknown(Reason),
    /// Never begun.
    Skipped,
}

/// A reason in words. Those that say the same of several nodes are told in one line: the same means by what
/// holds for them all, and not by which call ran just then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    words: String,
    /// How much of the words has to be the same.
    class: usize,
    /// Whose words they are, where it is one program's failure.
    teller: Option<Teller>,
}

impl Reason {
    /// Returns a reason with what is also known of this one node.
    pub fn with_aside(class: &str, aside: &str) -> Self {
        Self { words: format!("{class}{aside}"), class: class.len(), teller: None }
    }

    /// Returns whose words they are, where it is one program's failure.
    pub fn teller(&self) -> Option<Teller> {
        self.teller
    }

    pub fn words(&self) -> &str {
        &self.words
    }

    /// Returns what nodes that failed alike have in common.
    pub fn class(&self) -> &str {
        self.words.get(..self.class).unwrap_or(&self.words)
    }
}

impl From<String> for Reason {
    fn from(words: String) -> Self {
        Self { class: words.len(), words, teller: None }
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        Self { teller: Some(failure.teller), ..Self::from(failure.detail()) }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::failed(failure.kind, failure.into())
    }
}

impl Outcome {
    /// Returns how a node ended that failed like this.
    pub fn failed(kind: FailureKind, reason: Reason) -> Self {
        match kind {
            FailureKind::TimedOut => Self::TimedOut(reason),
            FailureKind::Unreachable | FailureKind::Refused => Self::Unreachable(reason),
            FailureKind::Ended => Self::Unknown(reason),
            FailureKind::Failed
            | FailureKind::Busy
            | FailureKind::NoEffect
            | FailureKind::FellBack
            | FailureKind::Authentication
            | FailureKind::NotStarted
            | FailureKind::Misconfigured
            | FailureKind::Itself => Self::Failed(reason),
        }
    }

    /// Tells whether the node is as was asked.
    pub fn is_well(&self) -> bool {
        matches!(
            self,
            Self::Up | Self::AlreadyUp | Self::Down | Self::AlreadyDown | Self::Restarted | Self::Maintenance
        )
    }

    /// Returns the word used for it in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::AlreadyUp => "already_up",
            Self::Down => "down",
            Self::AlreadyDown => "already_down",
            Self::Restarted => "restarted",
            Self::Maintenance => "maintenance",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Unreachable(_) => "unreachable",
            Self::Held(_) => "held",
            Self::Begun => "begun",
            Self::Unknown(_) => "unknown",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the nodes whose failures hold it.
    pub fn held_by(&self) -> Option<&[NodeId]> {
        if let Self::Held(by) = self { Some(by) } else { None }
    }

    /// Returns the reason in words, where there is one.
    pub fn detail(&self) -> Option<&str> {
        self.reason().map(Reason::words)
    }

    /// Returns the reason, where there is one.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Failed(reason)
            | Self::TimedOut(reason)
            | Self::Unreachable(reason)
            | Self::Unknown(reason) => Some(reason),
            Self::Up
            | Self::AlreadyUp
            | Self::Down
            | Self::AlreadyDown
            | Self::Restarted
            | Self::Maintenance
            | Self::Held(_)
            | Self::Begun
            | Self::Skipped => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyUp => "already up",
            Self::AlreadyDown => "already down",
            Self::TimedOut(_) => "timed out",
            Self::Begun => "begun, not waited for",
            Self::Maintenance => "in maintenance",
            Self::Up
            | Self::Down
            | Self::Restarted
            | Self::Failed(_)
            | Self::Unreachable(_)
            | Self::Held(_)
            | Self::Unknown(_)
            | Self::Skipped => self.word(),
        })
    }
}

/// How one node of a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub node: NodeId,
    pub outcome: Outcome,
    /// When its turn came; `None` where it never did.
    pub began: Option<Duration>,
    pub ended: Option<Duration>,
    /// What waited for it went on before it was over (`-W`).
    pub let_go: bool,
}

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stand {
    /// What the run is at, in a word: `starting`.
    pub phase: &'static str,
    pub done: usize,
    pub failed: usize,
    pub held: usize,
    pub total: usize,
    /// Nodes whose turn has come and that are not over, the longest first.
    pub busy: Vec<Busy>,
    /// How long it takes still by what nodes took before; nothing where that is not known.
    pub left: Option<Duration>,
}

/// A node that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    pub node: NodeId,
    /// What it is waited for: `powering on`, `booting`.
    pub doing: &'static str,
    /// Since when.
    pub since: Duration,
    /// What its power and probe said last: `power on, probe down`.
    pub last: String,
}

/// Returns how long to wait before a task that failed is tried again, or nothing where trying again
/// cannot help. `attempts` counts from 1.
pub fn back_off(kind: FailureKind, attempts: u32) -> Option<Duration> {
    let first = match kind {
        FailureKind::Failed | FailureKind::TimedOut => Duration::from_secs(1),
        // It is there, and what takes the connection is being started, or what was accepted sinks in.
        FailureKind::Refused | FailureKind::NoEffect => Duration::from_secs(2),
        // A controller that is away may be rebooting itself, which takes longer than to say no.
        FailureKind::Unreachable => Duration::from_secs(4),
        // More of the same would keep it busy.
        FailureKind::Busy => Duration::from_secs(8),
        // Whatever took the power away (a supply, a limit, heat) is given time to pass.
        FailureKind::FellBack => Duration::from_secs(15),
        FailureKind::Authentication
        | FailureKind::NotStarted
        | FailureKind::Misconfigured
        | FailureKind::Ended
        | FailureKind::Itself => return None,
    };
    Some(first * 2u32.pow(attempts.saturating_sub(1).min(5)))
}
