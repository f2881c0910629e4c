//! Power drivers: how the power of nodes is switched and read.
//!
//! Each is a file below `power/`, which reads its own table of `cluster.toml` and knows how its program is called and
//! what it answers; `DRIVERS` lists them. For which nodes a call is made, and when, is the same for all (`calls`). A
//! program whose answers are known is not believed when it says "done": its status tells, node by node (`confirm`).

mod bmc_ping;
mod calls;
mod command;
mod confirm;
mod controllers;
mod driver;
mod ipmi;
mod ipmipower;
mod ipmitool;
mod judged;
mod lines;
mod none;
mod password;
mod powerman;
pub(crate) mod redfish;
mod simulator;
mod uncallable;
mod unknown;

pub(crate) use calls::PowerCalls;
pub use driver::{Judged, NodeListing, PowerDriver, ProgramVersion};
pub use ipmi::Ipmi;
pub use none::NoPower;

use driver::PowerEntry;
use orderly_plan::drivers::{Power, Task};

/// All power drivers, as they are offered when `driver` is misspelt.
pub(crate) const DRIVERS: &[PowerEntry] = &[
    simulator::ENTRY,
    powerman::ENTRY,
    ipmitool::ENTRY,
    ipmipower::ENTRY,
    redfish::ENTRY,
    command::ENTRY,
    none::ENTRY,
];

/// Returns what a task that was accepted, and changed nothing, is called.
fn without_effect(task: Task) -> String {
    let wanted = if task == Task::PowerOff { "off" } else { "on" };
    format!("power {wanted} was accepted and had no effect: the power does not read {wanted}")
}

/// Returns what power must read for a task to have done its work; a reset leaves no trace.
fn wanted(task: Task) -> Option<Power> {
    match task {
        Task::PowerOn => Some(Power::On),
        Task::PowerOff => Some(Power::Off),
        Task::Reset | Task::ReadPower | Task::Probe | Task::Run(_) => None,
    }
}
