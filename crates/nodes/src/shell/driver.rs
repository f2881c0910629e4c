//! The ways to run commands on nodes, and the call of those that take one node at a time.

use super::parallel::Parallel;
use super::ssh::{Ssh, ssh_argv};
use crate::roster::Member;
use crate::template::Template;
use anyhow::anyhow;
use std::ffi::OsString;

/// How commands are run on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellDriver {
    /// There is no `[shell]`: no command can be run on the node.
    None,
    Simulator,
    Ssh(Ssh),
    /// One call for all nodes that are ready.
    Parallel(Box<Parallel>),
    Command(Template),
}

impl ShellDriver {
    /// Returns the settings of the program that takes many nodes, where it is one.
    pub(crate) fn parallel(&self) -> Option<&Parallel> {
        match self {
            Self::Parallel(parallel) => Some(parallel),
            Self::None | Self::Simulator | Self::Ssh(_) | Self::Command(_) => None,
        }
    }

    /// Tells whether what takes a command line on the node is known to be a shell.
    pub(super) fn knows_shell(&self) -> bool {
        matches!(self, Self::Ssh(_) | Self::Parallel(_))
    }
}

/// Returns the argument vector that runs a command line on one node.
///
/// # Errors
/// Without a shell driver, with one that takes many nodes, and where the node lacks what the command asks for.
pub(super) fn argv(driver: &ShellDriver, node: &Member, command: &str) -> anyhow::Result<Vec<OsString>> {
    match driver {
        ShellDriver::None | ShellDriver::Simulator | ShellDriver::Parallel(_) => {
            Err(anyhow!("the node has no shell driver (see [shell])"))
        }
        ShellDriver::Command(run) => run.fill(&[node], command),
        ShellDriver::Ssh(ssh) => Ok(ssh_argv(ssh, node, command)),
    }
}
