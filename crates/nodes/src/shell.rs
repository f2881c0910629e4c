//! Commands on nodes: the calls that run them, and what their end means.
//!
//! Each driver is a file below `shell/`, which reads its own table of `cluster.toml`; `DRIVERS` lists them.
//! ssh runs one on one node (`calls`). clush and pdsh take all that are ready (`batch`, `parallel`), with a line that
//! says of itself how it ended (`wrapper`), which is heard while they run (`output_parser`).

mod batch;
mod calls;
mod clush_pdsh;
mod command;
mod driver;
mod failure;
mod output_parser;
mod parallel;
mod quoting;
mod redfish;
mod remote;
mod simulator;
mod ssh;
mod wrapper;

pub(crate) use calls::ShellCalls;
pub use driver::ShellDriver;
use driver::{NO_SHELL, ShellEntry};
pub(crate) use failure::plain_failure;
use failure::{failure, failure_on_one, is_lost, met_nobody};
use output_parser::{NodeVerdict, OutputParser};
pub(crate) use parallel::unnamable;
use parallel::{BatchCall, job, target};
pub use parallel::{Parallel, ParallelTool};
use quoting::quote;
pub use ssh::Ssh;
use wrapper::{announced, begun, draw_mark, fed, unless_self, wrap};

/// All shell drivers, as they are offered when `driver` is misspelt.
pub(crate) const DRIVERS: &[ShellEntry] =
    &[ssh::ENTRY, clush_pdsh::CLUSH, clush_pdsh::PDSH, redfish::ENTRY, command::ENTRY, simulator::ENTRY];
