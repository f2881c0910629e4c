//! How commands are run on a node, as `[shell]` states it. Without the table there is no driver, and which keys it has
//! depends on the driver.

use crate::power::PowerDriver;
use crate::shell::{Parallel, ShellDriver, Ssh};
use crate::template::Template;
use std::sync::Arc;
use std::time::Duration;

/// How commands are run on a node.
#[derive(Debug, Clone, Default)]
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

/// What an override says of the same; what it leaves out stays.
#[derive(Debug, Clone, Default)]
pub struct ShellPatch {
    pub driver: Option<Arc<dyn ShellDriver>>,
    pub timeout: Option<Duration>,
    pub aliases: Option<bool>,
}

impl ShellSettings {
    /// Changes what `patch` says.
    pub(super) fn apply(&mut self, patch: &ShellPatch) {
        self.driver = patch.driver.clone().or(self.driver.take());
        self.timeout = patch.timeout.or(self.timeout);
        self.aliases = patch.aliases.unwrap_or(self.aliases);
    }

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
