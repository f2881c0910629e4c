//! What a task leaves behind in what power reads, where it had an effect.

use orderly_plan::drivers::{Power, Task};

/// Returns what a task that was accepted, and changed nothing, is called.
pub(super) fn without_effect(task: Task) -> String {
    let wanted = if task == Task::PowerOff { "off" } else { "on" };
    format!("power {wanted} was accepted and had no effect: the power does not read {wanted}")
}

/// Returns what power must read for a task to have done its work; a reset leaves no trace.
pub(super) fn wanted(task: Task) -> Option<Power> {
    match task {
        Task::PowerOn => Some(Power::On),
        Task::PowerOff => Some(Power::Off),
        Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => None,
    }
}
