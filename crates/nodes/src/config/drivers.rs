//! The three kinds of drivers, as `[power]`, `[shell]` and `[probe]` state them.

use crate::power::PowerDriver;
use crate::probe::ProbeDriver;
use crate::shell::ShellDriver;
use std::sync::Arc;
use std::time::Duration;

/// How power is switched and read.
#[derive(Debug, Clone)]
pub struct Power {
    pub driver: Arc<dyn PowerDriver>,
    /// For one call.
    pub timeout: Duration,
}

/// How commands are run on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    pub driver: ShellDriver,
    /// For one command; `[limits] timeout` when it is not given.
    pub timeout: Option<Duration>,
    /// Where ssh goes is up to its own configuration, not to what a name resolves to.
    pub aliases: bool,
}

/// How a node is seen to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub driver: ProbeDriver,
    /// Between two probes of a node that is waited for.
    pub interval: Duration,
    /// For one probe.
    pub timeout: Duration,
    /// Equal readings in a row before a new state counts.
    pub stable: u32,
}
