//! Ending users' processes on a node: a script for the node's own shell.
//!
//! It goes in through standard input, so that no login shell has to take it apart, and it says
//! `orderly:` at its end: silence means that it never ran.

use crate::config::EndUsers;
use std::time::Duration;

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
