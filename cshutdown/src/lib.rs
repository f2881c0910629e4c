//! cshutdown: read, check, plan, carry out, report.

mod args;
mod ask;
mod guard;
pub mod logger;
mod notice;
mod patience;
mod pending;
mod remote;
mod restart;
mod subsystem;
mod warning;

pub use args::Args;
use clap::CommandFactory;
use orderly_exec::Status;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(_args: Args) -> anyhow::Result<Status> {
    Ok(Status::Done)
}
