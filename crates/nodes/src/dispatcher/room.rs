//! How many processes and probes there may be at once: both take descriptors, of which a process has only so many.

use crate::probe::MOST;
use orderly_exec::{descriptors, visitors};

/// Descriptors that a process takes: its pipes, and some more while it is started.
const A_CHILD: usize = 4;
/// Descriptors left to the rest of this process, with a few probes.
const SPARE: usize = 64 + FEW;
const FEW: usize = 16;

/// How many processes and probes there may be at once.
#[derive(Debug)]
pub(super) struct ProcessRoom {
    pub(super) processes: usize,
    pub(super) probes: usize,
    /// What people should know of it.
    pub(super) warning: Option<String>,
}

impl ProcessRoom {
    /// Returns the room for so many processes, or for as many as there can be.
    pub(super) fn for_fanout(fanout: usize) -> Self {
        let wanted = SPARE + fanout.saturating_mul(A_CHILD) + MOST;
        // Whoever looks from elsewhere has some beside that, where there can be so many.
        let limit = descriptors::at_least(wanted.saturating_add(visitors::MOST)).min(wanted);
        let most = (limit.saturating_sub(SPARE) / A_CHILD).max(1);
        if fanout <= most {
            let probes = limit.saturating_sub(SPARE + fanout * A_CHILD).clamp(FEW, MOST);
            return Self { processes: fanout, probes, warning: None };
        }
        let warning = format!(
            "only {most} driver processes run at a time, and not {fanout}: a process may have no more than {limit} open \
             files here (ulimit -Hn)"
        );
        Self { processes: most, probes: FEW, warning: Some(warning) }
    }
}
