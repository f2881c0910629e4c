//! Probes: how a node is seen to be up.
//!
//! Each driver is an entry of `DRIVERS` and reads its own table of `cluster.toml`. The connections of our own are in
//! `tcp`; a probe by power or by a command on the node goes through the other two drivers. Which reading counts is
//! decided here for all (`calls`).

mod calls;
mod command;
mod debounce;
mod driver;
mod shell;
mod tcp;

pub(crate) use calls::ProbeCalls;
use driver::ProbeEntry;
pub use driver::{ProbeBy, ProbeDriver};
pub(crate) use tcp::MOST;

/// All probe drivers, as they are offered when `driver` is misspelt.
pub(crate) const DRIVERS: &[ProbeEntry] = &[
    tcp::ENTRY,
    shell::ENTRY,
    ProbeEntry {
        word: "power",
        keys: &[],
        read: |_, _| Some(ProbeDriver { word: "power", by: ProbeBy::Power }),
    },
    command::ENTRY,
    ProbeEntry {
        word: "simulator",
        keys: &[],
        read: |_, _| Some(ProbeDriver { word: "simulator", by: ProbeBy::Simulator }),
    },
    ProbeEntry { word: "none", keys: &[], read: |_, _| Some(ProbeDriver::NONE) },
];
