//! Commands on nodes: the calls that run them, and what their end means.
//!
//! ssh runs one on one node. clush and pdsh take all that are ready (`parallel`), with a line that
//! says of itself how it ended (`wrapper`), which is heard while they run (`output_parser`).

mod driver;
mod failure;
mod output_parser;
mod parallel;
mod quoting;
mod settings;
mod ssh;
mod wrapper;

pub use driver::ShellDriver;
pub(crate) use driver::argv;
pub(crate) use failure::{failure, failure_on_one, is_lost, met_nobody, plain_failure};
pub(crate) use output_parser::{OutputParser, Verdict};
pub(crate) use parallel::{BatchCall, job, target, unnamable};
pub use parallel::{Parallel, ParallelTool};
pub(crate) use quoting::quote;
pub(crate) use settings::read;
pub use ssh::Ssh;
pub(crate) use wrapper::{announced, begun, draw_mark, fed, unless_self, wrap};
