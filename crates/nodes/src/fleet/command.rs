//! Commands that are no part of a node's own course: subsystems, log lines, questions beforehand.

use orderly_plan::fleet::NodeId;
use std::time::Duration;

/// A command that is no part of a node's own course: a subsystem, a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub on: Host,
    /// The program and its arguments; on a node they arrive as the same words.
    pub argv: Vec<String>,
    pub stdin: Vec<u8>,
    pub timeout: Duration,
}

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// On this machine.
    Control,
    /// On this node, through its shell driver.
    Node(NodeId),
}

/// A command that was begun with [`super::Drivers::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub(crate) u64);
