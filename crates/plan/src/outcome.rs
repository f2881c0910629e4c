//! How nodes ended in a run, and why.

use crate::drivers::NodeId;
use crate::failure::{Failure, FailureKind, Teller};
use crate::words::Words;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
    /// Not begun, because these nodes failed, sorted: all of them once the run is over, those that had failed until then.
    Held(Arc<[NodeId]>),
    /// Begun and not waited for, because the run was interrupted.
    Begun,
    /// Begun, and the call that acted on it was ended half-way: a person must look.
    Unknown(Reason),
    /// Never begun.
    Skipped,
    /// No longer waited for, because somebody said so; who, and what it was at then.
    GivenUp(Reason),
}

/// A reason in words. Nodes whose reasons have the same class are told in one line: what holds for them all counts,
/// and not which call ran just then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    class: Words,
    /// The class, and what is also known of this one node.
    words: Words,
    /// Whose words they are, where it is one program's failure.
    teller: Option<Teller>,
}

impl Reason {
    /// Returns a reason with what is also known of this one node.
    pub fn with_aside(class: impl Into<Words>, aside: &str) -> Self {
        let class = class.into();
        Self { words: class.clone().then(aside), class, teller: None }
    }

    /// Returns whose words they are, where it is one program's failure.
    pub fn teller(&self) -> Option<Teller> {
        self.teller
    }

    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Returns what nodes that failed alike have in common.
    pub fn class(&self) -> &Words {
        &self.class
    }
}

impl<T: Into<Words>> From<T> for Reason {
    fn from(words: T) -> Self {
        Self::with_aside(words, "")
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        Self { teller: Some(failure.teller), ..Self::from(failure.words()) }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::failed(failure.kind, failure.into())
    }
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As was asked.
    Well,
    /// It was not begun, because others failed.
    Held,
    Bad,
}

impl Fate {
    /// Returns the fate of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        match (outcome.held_by(), outcome.is_well()) {
            (Some(_), _) => Self::Held,
            (None, true) => Self::Well,
            (None, false) => Self::Bad,
        }
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
            Self::Skipped | Self::GivenUp(_) => "skipped",
        }
    }

    /// How the clause about a node begins that is held; behind it stand those that hold it.
    pub const HELD: &str = "not begun, held by ";

    /// Returns what became of a node by what a log says of it; nothing for other words.
    pub fn read(clause: &str) -> Option<Fate> {
        let head = clause.split(": ").next().unwrap_or_default();
        let known = [
            Self::Up,
            Self::AlreadyUp,
            Self::Down,
            Self::AlreadyDown,
            Self::Restarted,
            Self::Maintenance,
            Self::Failed("".into()),
            Self::TimedOut("".into()),
            Self::Unreachable("".into()),
            Self::Unknown("".into()),
            Self::Begun,
            Self::Skipped,
        ];
        let ended = known.iter().find(|outcome| outcome.to_string() == head).map(Fate::of);
        ended.or_else(|| clause.starts_with(Self::HELD).then_some(Fate::Held))
    }

    /// Returns the nodes whose failures hold it.
    pub fn held_by(&self) -> Option<&[NodeId]> {
        if let Self::Held(by) = self { Some(by) } else { None }
    }

    /// Returns the reason in words, where there is one.
    pub fn detail(&self) -> Option<&str> {
        self.reason().map(|reason| &**reason.words())
    }

    /// Returns the reason, where there is one.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Failed(reason)
            | Self::TimedOut(reason)
            | Self::Unreachable(reason)
            | Self::Unknown(reason)
            | Self::GivenUp(reason) => Some(reason),
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
            | Self::Skipped
            | Self::GivenUp(_) => self.word(),
        })
    }
}

/// How one node of a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEnding {
    pub node: NodeId,
    pub outcome: Outcome,
    /// When its turn came; `None` where it never did.
    pub began: Option<Duration>,
    pub ended: Option<Duration>,
    /// When what waited for it went on although it was not over (`-W`).
    pub let_go: Option<Duration>,
    /// When the run let it be, where it was begun and is not over.
    pub left: Option<Duration>,
}

impl NodeEnding {
    /// Returns the ending of a node whose turn never came.
    pub fn skipped(node: NodeId) -> Self {
        Self { node, outcome: Outcome::Skipped, began: None, ended: None, let_go: None, left: None }
    }
}
