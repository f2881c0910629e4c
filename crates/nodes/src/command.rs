//! Commands that are no part of a node's own course: subsystems, log lines, questions beforehand.

use orderly_plan::drivers::NodeId;
use std::time::Duration;

/// A command that is no part of a node's own course: a subsystem, a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideCommand {
    pub on: RunsOn,
    /// The program and its arguments; on a node they arrive as the same words.
    pub argv: Vec<String>,
    pub stdin: Vec<u8>,
    pub timeout: Duration,
}

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsOn {
    /// On this machine.
    Control,
    /// On this node, through its shell driver.
    Node(NodeId),
}

/// A command that was begun with [`crate::backend::Backend::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub(crate) u64);
