//! Running processes: what each is for, whom it stands for, and what is to be done with it later.

use crate::fleet::command::CommandId;
use crate::power::without_effect;
use orderly_exec::children::ChildId;
use orderly_plan::fleet::{Failure, FailureKind, NodeId, Power, Task};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// What is said where the script that ends users' processes was never run.
pub(super) const UNSAID: &str = "the node did not run the script that ends users' processes to its end: does the shell \
                                 driver pass on what is printed?";

/// What is to be done at a later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    ProbeAgain(NodeId),
    LookAfter(ChildId),
    Split(ChildId),
    ConfirmAgain(u64),
    LookAtBatch(ChildId),
    ReleaseBatch(ChildId),
}

/// A running process and whom it is for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) purpose: Purpose,
    /// Those not answered for yet.
    pub(super) nodes: Vec<NodeId>,
    /// Those whose controllers it keeps busy.
    pub(super) occupies: Vec<NodeId>,
    /// As it is shown.
    pub(super) argv: Vec<OsString>,
    /// What the node says first when the command begins, where it is made to say so.
    pub(super) mark: Option<String>,
    /// It was told to end because everything was.
    pub(super) told: bool,
}

#[derive(Debug)]
pub(super) enum Purpose {
    Act(Task),
    ReadPower,
    /// A probe by exit status.
    Probe,
    /// A probe by what power reads.
    ProbePower,
    /// Asks what became of the nodes of another call while that still runs.
    LookAfter(ChildId),
    /// Asks what became of the nodes of a call that is over.
    Confirm(Confirmation),
    Command(CommandId),
    /// Commands on many nodes; what is known of them is kept by `batching`.
    Batch,
}

impl Purpose {
    /// Returns the same purpose for a part of the nodes.
    pub(super) fn part(&self) -> Self {
        match self {
            Self::Act(task) => Self::Act(*task),
            Self::ReadPower => Self::ReadPower,
            Self::Probe => Self::Probe,
            Self::ProbePower => Self::ProbePower,
            Self::LookAfter(id) => Self::LookAfter(*id),
            Self::Confirm(Confirmation { task, failure, until }) => {
                Self::Confirm(Confirmation { task: *task, failure: failure.clone(), until: *until })
            }
            Self::Command(id) => Self::Command(*id),
            Self::Batch => Self::Batch,
        }
    }

    /// Tells whether the process is the power program, and not a shell or a probe.
    pub(super) fn is_of_power(&self) -> bool {
        self.asks_power() || matches!(self, Self::Act(Task::PowerOn | Task::PowerOff | Task::Reset))
    }

    pub(super) fn asks_power(&self) -> bool {
        matches!(self, Self::ReadPower | Self::ProbePower | Self::LookAfter(_) | Self::Confirm(_))
    }
}

/// Nodes of a power call that is over, whose power does not read as wanted yet.
#[derive(Debug)]
pub(super) struct Confirmation {
    pub(super) task: Task,
    /// What is said of a node that does not get there.
    pub(super) failure: Failure,
    pub(super) until: Instant,
}

impl Confirmation {
    /// Returns what is said of a node whose power reads like this in the end. A controller that tells how
    /// its node stands is not one that does not answer.
    pub(super) fn failure_at(&self, power: Power) -> Failure {
        if power != Power::Unknown && self.failure.kind.met_nobody() {
            return Failure::own(FailureKind::NoEffect, without_effect(self.task));
        }
        self.failure.clone()
    }
}

/// A command line for a node.
pub(super) struct OnNode<'c> {
    pub(super) line: &'c str,
    pub(super) input: &'c [u8],
    pub(super) limit: Duration,
}
