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
mod effect;
mod ipmi;
mod ipmipower;
mod ipmitool;
mod judged;
mod lines;
mod none;
mod of_node;
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
