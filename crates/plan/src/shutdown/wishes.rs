//! What is wished for of a shutdown, and how long each node is waited for.

use std::time::Duration;

/// What the nodes are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Down, and off where that is wished for (`-h`).
    Halt,
    /// In maintenance, with their power on unless it is to be switched off (`-m`).
    Maintenance,
    /// Down, to be started again by another program; restarted where power cannot be switched (`-r`).
    Restart,
}

/// What is wished for.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    pub goal: Goal,
    /// Power is switched off once a node is down (`-P`).
    pub power_off: bool,
    /// Power is switched off also where a node cannot be reached or does not halt (`--force-off`).
    pub force_off: bool,
    /// No further node is begun after one failed (`-s`).
    pub stop_at_failure: bool,
}

/// What a node is, and how long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLimits {
    /// A unit has power and no operating system: it is only switched off.
    pub unit: bool,
    /// How long a probe must be down before the node counts as halted.
    pub settle: Duration,
    /// How long a node may take to go down, and again to power off.
    pub timeout: Duration,
    pub retries: u32,
    /// How long those after it wait for it at most (`-W`).
    pub let_go: Option<Duration>,
    /// Its power-off begins before this time of the run, or not at all ([`crate::deadline`]).
    pub cut_before: Duration,
    /// There is no time to wait for a controller before a node that answers is told to go down.
    pub hurried: bool,
}
