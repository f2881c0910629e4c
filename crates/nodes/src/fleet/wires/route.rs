//! Which way a task takes: what is known already, a connection of our own, or a process, for one node or for
//! many.

use crate::template::Reach;
use orderly_plan::fleet::Event;

/// Bytes of node names one process gets: a single argument may have 128 KiB.
pub(super) const NAMES: usize = 96 * 1024;

/// What a task is for a node.
pub(super) enum Route {
    /// Answered without asking anybody.
    Known(Event),
    Tcp,
    /// Its controller is looked at first.
    Looked,
    /// A process; one for many when its template says so.
    Process(Reach, Asks),
    /// A part in the next call of a program that runs commands on many nodes.
    Batch,
}

/// Whom a process asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// The power controller, of which only so much may be asked at once.
    Controller,
    Node,
}
