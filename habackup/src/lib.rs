//! habackup: read, check, plan, carry out, report.
//!
//! Start reading at [`take`] (one snapshot from beginning to end) and [`manifest`] (what it leaves
//! behind); [`restore`] is the way back.

pub mod apply;
mod args;
pub mod base;
pub mod choice;
pub mod commands;
pub mod comparison;
pub mod consent;
pub mod copy;
pub mod created;
pub mod edited;
pub mod fate;
pub mod find;
pub mod forget;
pub mod id;
pub mod identity;
mod kernel;
pub mod left;
pub mod list;
pub mod manifest;
pub mod metadata;
pub mod metrics;
pub mod origin;
pub mod owner;
pub mod path_bytes;
pub mod pin;
pub mod preconditions;
pub mod preview;
pub mod previous;
pub mod progress;
pub mod pruning;
pub mod ready;
pub mod report;
pub mod restore;
pub mod retention;
pub mod room;
pub mod root;
pub mod saved;
pub mod selection;
pub mod snapshot;
pub mod store;
pub mod survey;
pub mod take;
pub mod verify;
pub mod walk;
pub mod workshop;
pub mod xattr;

pub use args::Args;
use args::Mode;
use clap::CommandFactory;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, fail, program};
use orderly_host::config::Config;
use orderly_host::{config_report, handover};
use std::time::Instant;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: Args) -> anyhow::Result<Status> {
    // What is made is for its owner alone until it is given the permissions of its original.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let mut reporter = args.speech.reporter();
    let mut runner = Runner::new()?;
    let mode = args.mode(&program::program_name());
    insist_on_sense(&args, mode)?;
    kernel::allow_many_files();
    if let Some(file) = &args.metrics {
        metrics::insist_on_place(file)?;
    }
    let began = Instant::now();
    let mut done = match mode {
        Mode::Take => take::run(&args, &mut runner, &mut reporter),
        Mode::List => list::list(&args, &mut runner, &mut reporter),
        Mode::Verify => list::verify(&args, &mut runner, &mut reporter),
        Mode::Diff => list::diff(&args, &mut runner, &mut reporter),
        Mode::Check => list::check(&args, &mut runner, &mut reporter),
        Mode::Restore => restore::run(&args, &mut runner, &mut reporter),
        Mode::Undo => restore::undo(&args, &mut runner, &mut reporter),
        Mode::Find => find::run(&args, &mut runner, &mut reporter),
        Mode::Pin => pin::pin(&args, &mut runner, &mut reporter),
        Mode::Unpin => pin::unpin(&args, &mut runner, &mut reporter),
        Mode::Forget => forget::run(&args, &mut runner, &mut reporter),
        Mode::CheckConfig => check_config(&args, &mut reporter),
    };
    if let Some(file) = &args.metrics {
        if let Err(error) = metrics::write(file, &args, mode, began, &done, &mut runner) {
            reporter.warn(format!("{error:#}"));
            done = done.map(|_| Status::Failed);
        }
    }
    done.inspect_err(|error| reporter.record(&handover::failure(mode.format(), error)))
}

/// Reads the configuration and nothing else.
fn check_config(args: &Args, reporter: &mut Reporter) -> anyhow::Result<Status> {
    list::no_operands(args, "--check-config")?;
    let config = Config::load(args.config.as_deref())?;
    config_report::tell(&config, reporter);
    if config.backup.is_none() {
        reporter.say("it has no [backup] table, so nothing is backed up");
    }
    Ok(Status::Done)
}

/// Refuses what says something that the mode would ignore.
fn insist_on_sense(args: &Args, mode: Mode) -> anyhow::Result<()> {
    let for_restore = args.yes || args.any_version || args.into.is_some() || args.base.is_some();
    let wrong = if mode == Mode::Take && !args.operands.is_empty() {
        "a snapshot is taken of what ha.toml says, without operands; did you mean --restore?"
    } else if mode == Mode::Take && (for_restore || args.made_by.is_some()) {
        "--yes, --made-by, --into, --base and --any-version are for --restore"
    } else if !matches!(mode, Mode::Take | Mode::Check) && args.metrics.is_some() {
        "--metrics is for a snapshot and for --check"
    } else if mode == Mode::Take && args.store.is_some() {
        "--store is for --list, --verify, --diff, --find and --restore: it reads a copy"
    } else if matches!(mode, Mode::Restore | Mode::Undo) && args.if_held {
        "--if-held is not for --restore and --undo: they need the asset"
    } else if matches!(mode, Mode::Pin | Mode::Unpin | Mode::Forget)
        && (args.if_held || !args.operands.is_empty())
    {
        "--pin, --unpin and --forget take one snapshot, and no --if-held: they need the asset"
    } else {
        return Ok(());
    };
    Err(fail(Status::Usage, wrong))
}
