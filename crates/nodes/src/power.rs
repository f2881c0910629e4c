//! Power drivers: how the power of nodes is switched and read.
//!
//! Each is a file below `power/`, which reads its own table of `cluster.toml` and knows its own calls and their
//! answers; `DRIVERS` lists them. A program whose answers are known is not believed when it says "done": its
//! status tells, node by node.

mod command;
mod driver;
mod ipmi;
mod ipmipower;
mod ipmitool;
mod lines;
mod none;
mod powerman;
pub(crate) mod presence;
mod simulator;

pub use driver::PowerDriver;
pub(crate) use ipmi::SILENT;
pub use none::NoPower;
pub(crate) use powerman::UNLISTED;

use driver::Entry;
use orderly_plan::fleet::{Power, Task};

/// All power drivers, as they are offered when `driver` is misspelt.
pub(crate) const DRIVERS: [Entry; 6] =
    [simulator::ENTRY, powerman::ENTRY, ipmitool::ENTRY, ipmipower::ENTRY, command::ENTRY, none::ENTRY];

/// Returns what a task that was accepted, and changed nothing, is called.
pub(crate) fn without_effect(task: Task) -> String {
    let wanted = if task == Task::PowerOff { "off" } else { "on" };
    format!("power {wanted} was accepted and had no effect: the power does not read {wanted}")
}

/// Returns what power must read for a task to have done its work; a reset leaves no trace.
pub(crate) fn wanted(task: Task) -> Option<Power> {
    match task {
        Task::PowerOn => Some(Power::On),
        Task::PowerOff => Some(Power::Off),
        Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => None,
    }
}
