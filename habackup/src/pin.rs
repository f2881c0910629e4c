//! `--pin` and `--unpin`: a snapshot that stays whatever the policy says, until it is unpinned.

use crate::args::Args;
use crate::choice;
use crate::id::SnapshotName;
use crate::preconditions::Preconditions;
use crate::store::Store;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, clock};
use serde::Serialize;

/// What `--pin --json` and `--unpin --json` print.
#[derive(Debug, Serialize)]
struct PinReport {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    snapshot: String,
    pinned: bool,
    /// It was so before, or `-n` changed nothing.
    changed: bool,
}

/// Pins a snapshot.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn pin(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let preconditions = Preconditions::open(args)?;
    let _lock = preconditions.lock_unless(args.dry_run)?;
    let store = preconditions.open_store_to_change(args.dry_run, runner)?;
    let name = choice::snapshot(&store, args.pin.as_deref(), None)?;
    let is_pinned = store.pinned()?.contains(&name);
    match (is_pinned, args.dry_run) {
        (true, _) => reporter.message(&format!("{name} is pinned already")),
        (false, true) => reporter.message(&format!("would pin {name}")),
        (false, false) => {
            store.pin(name)?;
            reporter.message(&format!("pinned {name}; it stays until you unpin it"));
        }
    }
    Ok(report(name, true, !is_pinned && !args.dry_run, reporter))
}

/// Takes a pin away.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn unpin(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let preconditions = Preconditions::open(args)?;
    let _lock = preconditions.lock_unless(args.dry_run)?;
    let store = preconditions.open_store_to_change(args.dry_run, runner)?;
    let pinned = store.pinned()?;
    let name = named(&store, args.unpin.as_deref(), |name| pinned.contains(&name))?;
    let is_pinned = pinned.contains(&name);
    match (is_pinned, args.dry_run) {
        (false, _) => reporter.message(&format!("{name} is not pinned")),
        (true, true) => reporter.message(&format!("would unpin {name}")),
        (true, false) => {
            store.unpin(name)?;
            reporter.message(&format!("unpinned {name}; it goes when the retention in ha.toml says so"));
        }
    }
    Ok(report(name, false, is_pinned && !args.dry_run, reporter))
}

/// Returns the snapshot that is meant; the pin of one that was removed by hand is taken away all the same.
fn named(
    store: &Store,
    id: Option<&str>,
    is_pinned: impl Fn(SnapshotName) -> bool,
) -> anyhow::Result<SnapshotName> {
    match id.and_then(SnapshotName::parse).filter(|name| is_pinned(*name)) {
        Some(name) => Ok(name),
        None => choice::snapshot(store, id, None),
    }
}

fn report(name: SnapshotName, pinned: bool, changed: bool, reporter: &mut Reporter) -> Status {
    reporter.record(&PinReport {
        format: "orderly-pin/1",
        record: "report",
        status: Status::Done.word(),
        time: clock::now(),
        snapshot: name.to_string(),
        pinned,
        changed,
    });
    Status::Done
}
