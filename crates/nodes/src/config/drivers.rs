//! The three kinds of drivers, as `[power]`, `[shell]` and `[probe]` state them.

use crate::power::PowerDriver;
use crate::probe::ProbeDriver;
use crate::shell::{Parallel, ShellDriver, Ssh};
use crate::template::Template;
use std::sync::Arc;
use std::time::Duration;

/// How power is switched and read.
#[derive(Debug, Clone)]
pub struct PowerSettings {
    pub driver: Arc<dyn PowerDriver>,
    /// For one call.
    pub timeout: Duration,
}

/// How commands are run on a node.
#[derive(Debug, Clone)]
pub struct ShellSettings {
    /// None without `[shell]`: no command can be run on the node.
    pub driver: Option<Arc<dyn ShellDriver>>,
    /// By which nodes are halted on which no command can be run; found when each node gets what is its own.
    pub halting: Option<Arc<dyn PowerDriver>>,
    /// For one command; `[limits] timeout` when it is not given.
    pub timeout: Option<Duration>,
    /// Where ssh goes is up to its own configuration, not to what a name resolves to.
    pub aliases: bool,
}

impl ShellSettings {
    /// Tells whether commands can be run on the node.
    pub(crate) fn runs_commands(&self) -> bool {
        self.driver.as_deref().is_some_and(ShellDriver::runs_commands)
    }

    /// Returns the settings of the program that takes many nodes, where it is one.
    pub(crate) fn parallel(&self) -> Option<&Parallel> {
        self.driver.as_deref()?.parallel()
    }

    /// Returns the settings of ssh, where that leads to the node.
    pub(crate) fn ssh(&self) -> Option<&Ssh> {
        self.driver.as_deref()?.ssh()
    }

    /// Returns the command of the site.
    pub(crate) fn template(&self) -> Option<&Template> {
        self.driver.as_deref()?.template()
    }
}

/// How a node is seen to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    pub driver: ProbeDriver,
    /// Between two probes of a node that is waited for.
    pub interval: Duration,
    /// For one probe.
    pub timeout: Duration,
    /// Equal readings in a row before a new state counts.
    pub stable: u32,
}
