//! Nodes that go together in one call of a program that runs commands on many.

use crate::fleet::command::CommandId;
use crate::shell::{OutputParser, Verdict};
use orderly_exec::children::ChildId;
use orderly_plan::fleet::{NodeId, Task};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a batch is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    Task(Task),
    Command { line: String, stdin: Vec<u8>, timeout: Duration },
}

/// One of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchMember {
    pub(super) node: NodeId,
    /// The command it runs, when that is no task.
    pub(super) command: Option<CommandId>,
}

/// Nodes that go into the next call.
#[derive(Debug)]
pub(super) struct PendingBatch {
    pub(super) work: Work,
    pub(super) profile: u32,
    pub(super) began: Instant,
    pub(super) due: Instant,
    pub(super) members: Vec<BatchMember>,
}

/// The nodes of a call that runs.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) work: Work,
    pub(super) members: Vec<BatchMember>,
    pub(super) parser: OutputParser,
    /// What was asked, as one would type it for a node: before its name, and after it.
    pub(super) shown: (String, String),
    pub(super) limit: Duration,
    pub(super) left: usize,
    pub(super) is_watched: bool,
    /// Readings of a probe that are handed over together, or nodes would become ready one by one.
    pub(super) held: Vec<(usize, Verdict)>,
    pub(super) is_to_release: bool,
}

/// All that runs, or waits to run, through clush and pdsh.
#[derive(Debug, Default)]
pub(super) struct Batches {
    pub(super) pending: Vec<PendingBatch>,
    pub(super) running: HashMap<ChildId, Batch>,
    /// When nodes of a profile may be probed again.
    pub(super) next_probe: HashMap<u32, Instant>,
}

impl Batches {
    /// Returns when the next call is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.due).min()
    }
}
