//! Ending users' processes on a node: a script for the node's own shell.
//!
//! It goes in as a part of the command line, whole or not at all, and is read by a shell of its own; it says
//! `orderly:` at its end: silence means that it never ran to that.

use std::time::Duration;

/// Whose processes are ended before the nodes go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndUsers {
    /// Those of login sessions, of people (uid UID_MIN and above).
    Sessions,
    /// All those of people, batch jobs included.
    Nonroot,
    None,
}

/// The script. POSIX sh; nothing is needed of the node but `/proc`, `kill` and `sleep`.
pub(crate) const SCRIPT: &str = include_str!("users.sh");

/// Returns the command line that runs the script, which is to be its standard input.
pub(crate) fn command(mode: EndUsers, grace: Duration) -> Option<String> {
    let mode = match mode {
        EndUsers::Sessions => "sessions",
        EndUsers::Nonroot => "nonroot",
        EndUsers::None => return None,
    };
    Some(format!("exec sh -s {mode} {}", grace.as_secs() + u64::from(grace.subsec_nanos() > 0)))
}

/// Tells whether the script ran to its end.
pub(crate) fn ran(output: &str) -> bool {
    output.lines().any(|line| line.starts_with("orderly: "))
}
