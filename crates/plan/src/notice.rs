//! What is told of a run while it goes on: what happened to a node, and where all stand.

use crate::doing::Doing;
use crate::drivers::{NodeId, Probe, Task};
use crate::failure::Failure;
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

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
    /// It is at something else now that is no task of ours: it boots, it goes down, it waits.
    Went(Doing),
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

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunStatus {
    /// What the run is at, in a word: `starting`.
    pub phase: Cow<'static, str>,
    pub done: usize,
    pub failed: usize,
    pub held: usize,
    pub total: usize,
    /// Nodes whose turn has come and that are not over, the longest first.
    pub busy: Vec<Busy>,
    /// How long it takes still by what nodes took before; nothing where that is not known.
    pub left: Option<Duration>,
    /// What it waits for and other runs have.
    pub held_back: Vec<HeldBack>,
}

/// Something of which there is only so much for all runs of this machine, and those that have it while another waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// In words for people: `all driver processes (limits.fanout)`.
    pub what: String,
    pub by: Vec<SlotHolder>,
}

/// A run that has what another waits for, as it is told of; without a program where nobody knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotHolder {
    pub pid: u32,
    pub program: String,
    pub command: String,
    pub user: String,
    pub since: String,
    /// As a node set.
    pub targets: String,
}

impl HeldBack {
    /// Returns what is waited for, and who has it: process, command, user and since when.
    pub fn words(&self) -> String {
        let by = |holder: &SlotHolder| {
            let SlotHolder { pid, command, user, since, .. } = holder;
            if command.is_empty() {
                return format!("process {pid}");
            }
            format!("process {pid} ({command}, user {user}, since {since})")
        };
        let by: Vec<String> = self.by.iter().map(by).collect();
        format!("waiting for {}: in use by {}", self.what, by.join("; "))
    }

    /// Returns who has it, in fewer words.
    pub fn short(&self) -> String {
        let by = |holder: &SlotHolder| match holder.program.as_str() {
            "" => format!("process {}", holder.pid),
            program => format!("process {} ({program})", holder.pid),
        };
        let by: Vec<String> = self.by.iter().map(by).collect();
        format!("held back by {}", by.join(", "))
    }
}

/// A node that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    pub node: NodeId,
    pub doing: Doing,
    /// Since when.
    pub since: Duration,
    /// What its power and probe said last: `power on, probe down`.
    pub last: String,
}

/// Where one node stands in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeStanding {
    /// Its turn has not come; it waits for these, which are directly before it.
    Waiting(Vec<NodeId>),
    /// It is being worked on, and given up at that time, where that is known.
    AtWork(Busy, Option<Duration>),
    Over(Outcome),
}

/// Nodes that are not begun, and who is in their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindered {
    pub nodes: Vec<NodeId>,
    pub by: Vec<NodeId>,
}
