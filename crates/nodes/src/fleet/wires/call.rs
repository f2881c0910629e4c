//! Running processes: what each is for, whom it stands for, and what is to be done with it later.

use super::judging::Judgement;
use crate::fleet::CommandId;
use orderly_exec::children::ChildId;
use orderly_plan::fleet::{NodeId, Task};
use std::ffi::OsString;

/// What is to be done at a later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Later {
    ProbeAgain(NodeId),
    LookAfter(ChildId),
    Split(ChildId),
    SettleAgain(u64),
    LookAtCrew(ChildId),
    ReleaseCrew(ChildId),
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
    Settle(Judgement),
    Command(CommandId),
    /// Commands on many nodes; what is known of them is kept by `crew`.
    Crew,
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
            Self::Settle(Judgement { task, failure, until }) => {
                Self::Settle(Judgement { task: *task, failure: failure.clone(), until: *until })
            }
            Self::Command(id) => Self::Command(*id),
            Self::Crew => Self::Crew,
        }
    }

    /// Tells whether the process is the power program, and not a shell or a probe.
    pub(super) fn is_of_power(&self) -> bool {
        self.asks_power() || matches!(self, Self::Act(Task::PowerOn | Task::PowerOff | Task::Reset))
    }

    pub(super) fn asks_power(&self) -> bool {
        matches!(self, Self::ReadPower | Self::ProbePower | Self::LookAfter(_) | Self::Settle(_))
    }
}
