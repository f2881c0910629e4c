//! What a shell driver is: how a command line gets to a node.

use super::parallel::Parallel;
use super::ssh::Ssh;
use crate::driver::own_type::OwnType;
use crate::entry::DriverEntry;
use crate::power::{PowerDriver, ProgramVersion};
use crate::roster::Member;
use crate::template::Template;
use std::ffi::OsString;
use std::fmt::Debug;
use std::sync::Arc;

/// A shell driver, as `[shell]` names it.
pub(crate) type ShellEntry = DriverEntry<Arc<dyn ShellDriver>>;

/// What is said where no command can be run on a node.
pub(super) const NO_SHELL: &str = "the node has no shell driver (see [shell])";

/// A way to run commands on nodes, with its settings.
pub trait ShellDriver: OwnType + Debug {
    /// Returns the word of `driver`.
    fn word(&self) -> &'static str;

    /// Returns the argument vector that runs a command line on one node.
    ///
    /// # Errors
    /// Where it makes no call for one node, and where the node lacks what the command of the site asks for.
    fn argv(&self, _node: &Member, _command: &str) -> anyhow::Result<Vec<OsString>> {
        anyhow::bail!(NO_SHELL)
    }

    /// Returns the settings of the program that takes all nodes that are ready, where it is one.
    fn parallel(&self) -> Option<&Parallel> {
        None
    }

    /// Returns the settings of ssh, where that leads to the nodes: what takes a command line there is a shell.
    fn ssh(&self) -> Option<&Ssh> {
        None
    }

    /// Tells whether ssh goes where the name of a node leads, and not where settings lead that only ssh reads.
    fn goes_by_name(&self) -> bool {
        self.ssh().is_some_and(|ssh| ssh.options.is_empty())
    }

    /// Tells whether commands can be run on a node; else it can be halted, and no more.
    fn runs_commands(&self) -> bool {
        true
    }

    /// Returns the driver by which nodes are halted on which no command can be run, beside this power driver; or why
    /// there is none.
    fn halting(&self, _power: &dyn PowerDriver) -> Option<Result<Arc<dyn PowerDriver>, String>> {
        None
    }

    /// Returns the inventory attributes that it reads, each if it is there.
    fn attributes(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Returns what people are to be told at every run.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Returns which version of its program it needs.
    fn version(&self) -> Option<ProgramVersion> {
        None
    }

    /// Returns the command that the site states.
    fn template(&self) -> Option<&Template> {
        None
    }

    /// Tells whether the nodes are imagined.
    fn is_simulated(&self) -> bool {
        false
    }
}

/// Returns the settings that an override changes, where they are of the same driver.
pub(super) fn before<D: ShellDriver>(base: Option<&Arc<dyn ShellDriver>>) -> Option<&D> {
    base.and_then(|base| (**base).own_type().downcast_ref())
}
