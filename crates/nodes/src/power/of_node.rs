//! Which driver switches and reads the power of a node.

use super::PowerDriver;
use crate::runtime::Runtime;
use orderly_plan::drivers::{NodeId, Task};

/// Returns the power driver of a node.
pub(super) fn power_driver(runtime: &Runtime, node: NodeId) -> &dyn PowerDriver {
    &*runtime.profile(node).power.driver
}

/// Returns the driver that carries a task out: power's own, but for halts of nodes that their controllers halt.
pub(super) fn driver_for(runtime: &Runtime, task: Task, node: NodeId) -> &dyn PowerDriver {
    match (task, &runtime.profile(node).shell.halting) {
        (Task::Run(_), Some(halting)) => &**halting,
        _ => power_driver(runtime, node),
    }
}
