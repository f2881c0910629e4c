//! Commands on nodes: the calls that run them, and what their end means.
//!
//! ssh runs one on one node (`calls`). clush and pdsh take all that are ready (`batch`, `parallel`), with a line that
//! says of itself how it ended (`wrapper`), which is heard while they run (`output_parser`).

mod batch;
mod calls;
mod driver;
mod failure;
mod output_parser;
mod parallel;
mod quoting;
mod remote;
mod settings;
mod ssh;
mod wrapper;

pub(crate) use calls::ShellCalls;
pub use driver::ShellDriver;
use driver::argv;
pub(crate) use failure::plain_failure;
use failure::{failure, failure_on_one, is_lost, met_nobody};
use output_parser::{NodeVerdict, OutputParser};
pub(crate) use parallel::unnamable;
use parallel::{BatchCall, job, target};
pub use parallel::{Parallel, ParallelTool};
use quoting::quote;
pub(crate) use settings::read;
pub use ssh::Ssh;
use wrapper::{announced, begun, draw_mark, fed, unless_self, wrap};
