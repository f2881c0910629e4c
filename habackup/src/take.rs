//! One snapshot from beginning to end: preconditions, walk, manifest, publication, retention.

use crate::args::Args;
use crate::commands;
use crate::fate;
use crate::id::SnapshotName;
use crate::manifest::{self, ManifestHeader, Sources, Totals, Trailer, Writer};
use crate::path_bytes::PathBytes;
use crate::preconditions::{Held, Preconditions};
use crate::preview;
use crate::previous::Previous;
use crate::progress::{ShownProgress, show_bytes};
use crate::pruning::prune;
use crate::ready;
use crate::room::{self, Need};
use crate::snapshot::{self, SnapshotPlan, WalkResult};
use crate::store::{self, Staging, Store};
use crate::survey::SizeSurvey;
use crate::walk::Scope;
use orderly_exec::lock::Lock;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, clock, fail};
use orderly_host::config::Config;
use orderly_host::exclude::Excludes;
use orderly_host::handover::{self, Program};
use orderly_host::ledger::{self, Ledger};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct TakeReport<'a> {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    snapshot: String,
    complete: bool,
    totals: Totals,
    changed: &'a [PathBytes],
    skipped: &'a [manifest::Remark],
    problems: &'a [manifest::Remark],
    pruned: Vec<String>,
    /// The commands of `after` that failed.
    after_failed: Vec<String>,
}

/// What a run made.
#[derive(Debug)]
struct Made {
    name: SnapshotName,
    found: WalkResult,
    pruned: Vec<SnapshotName>,
}

/// Takes a snapshot.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let preconditions = Preconditions::open(args)?;
    let done = attempt(args, &preconditions, runner, reporter);
    if !args.dry_run {
        fate::note(&preconditions, &done, runner, reporter);
    }
    done.map(|status| status.unwrap_or(Status::Done))
}

/// Takes it, and lets go of the lock; `None` where there is nothing to do.
fn attempt(
    args: &Args,
    preconditions: &Preconditions,
    runner: &mut Runner,
    reporter: &mut Reporter,
) -> anyhow::Result<Option<Status>> {
    let mut lock = None;
    // Asked before the lock is: on the other host a takeover may be under way, which is none of ours.
    if let Held::No(why) = preconditions.held(runner)? {
        return not_held(args, &why, reporter);
    }
    let is_passed = match args.dry_run {
        true => Lock::look(&Config::lock_path())?,
        false => lock.insert(Lock::take(&Config::lock_path())?).is_passed(),
    };
    // Asked again: it may have been released while we waited to be alone.
    if let Held::No(why) = preconditions.held(runner)? {
        return not_held(args, &why, reporter);
    }
    if !is_passed && handover::is_unfinished(Program::Takeover)? {
        return amid_takeover(args, reporter);
    }
    let ready = ready::insist(preconditions, runner)?;
    if args.dry_run {
        return preview::show(preconditions, &ready, runner, reporter).map(Some);
    }
    let asset = ready.asset;
    let store = Store::open_to_write(&preconditions.backup.directory)?;
    let holding = preconditions.number(runner)?;
    // Once more, now that the directory is there for certain and open.
    preconditions.insist_on_place(runner)?;
    for name in store.clean()? {
        reporter.say(format!("removed {name}, left behind by a run that was killed"));
    }
    // Whatever `before` began is ended, also where it failed or somebody asked us to stop.
    let made = commands::before(&preconditions.backup, runner)
        .and_then(|()| make(preconditions, &store, (asset, holding), runner, reporter));
    let taken = made.as_ref().ok().map(|made| made.name);
    let after_failed = commands::after(&preconditions.backup, taken, runner);
    for why in &after_failed {
        reporter.warn(why);
    }
    Ok(Some(report(&made?, &after_failed, reporter)))
}

/// Takes the snapshot, publishes it, prunes old ones.
fn make(
    preconditions: &Preconditions,
    store: &Store,
    asset: (manifest::AssetTitle, Option<u64>),
    runner: &mut Runner,
    reporter: &mut Reporter,
) -> anyhow::Result<Made> {
    let staging = store.stage()?;
    let taken = take(preconditions, store, &staging, asset, runner, reporter).and_then(|taken| {
        if let Some(signal) = runner.interrupted() {
            return Err(fail(Status::Signal(signal as i32), "interrupted before the snapshot was published"));
        }
        Ok(taken)
    });
    reporter.end_progress();
    let (name, found) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            store.abandon(staging);
            return Err(error);
        }
    };
    if let Err(error) = store.publish(&staging, name) {
        store.abandon(staging);
        return Err(error);
    }
    let pruned = prune(preconditions, store, name)?;
    Ok(Made { name, found, pruned })
}

fn not_held(args: &Args, why: &str, reporter: &Reporter) -> anyhow::Result<Option<Status>> {
    if args.if_held {
        reporter.detail(format!("nothing to do: {why}"));
        return Ok(None);
    }
    Err(fail(Status::Refused, format!("a snapshot is taken on the host that holds the asset: {why}")))
}

/// Before a takeover is finished what this host has may be older than what the peer left, and a snapshot of it
/// would pass for newer.
fn amid_takeover(args: &Args, reporter: &Reporter) -> anyhow::Result<Option<Status>> {
    let why = "a takeover was begun on this host and is not finished";
    if args.if_held {
        reporter.detail(format!("nothing to do: {why}"));
        return Ok(None);
    }
    Err(fail(Status::Refused, format!("no snapshot is taken: {why}; run ha-takeover to finish it first")))
}

fn take(
    preconditions: &Preconditions,
    store: &Store,
    staging: &Staging,
    (asset, holding): (manifest::AssetTitle, Option<u64>),
    runner: &mut Runner,
    reporter: &mut Reporter,
) -> anyhow::Result<(SnapshotName, WalkResult)> {
    let backup = &preconditions.backup;
    let snapshots = store.snapshots()?;
    let id = store::next_id(snapshots.last().copied(), &mut |time| runner.pause(time))?;
    let hostid = orderly_host::hostid::ask(preconditions.config.platform, runner);
    let (previous, before) =
        Previous::open(store, &snapshots, &preconditions.config.own.name, &hostid).unzip();
    let header = ManifestHeader {
        format: manifest::FORMAT.to_owned(),
        id: id.to_string(),
        started: clock::now(),
        host: preconditions.config.own.name.clone(),
        hostid,
        machine: machine(),
        asset,
        holding,
        owes: ledger::owed(&preconditions.config)?.map(|source| source.id),
        continues: Ledger::read()?.restores.last,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: Sources {
            include: backup.include.iter().map(|path| path.as_path().into()).collect(),
            optional: backup.optional.iter().map(|path| path.as_path().into()).collect(),
            exclude: backup.exclude.clone(),
        },
    };
    reporter.show_progress();
    let expected = before.map_or(0, |totals| totals.files);
    let scope = Scope::new(&backup.include, &backup.optional);
    let excludes = Excludes::new(&backup.exclude);
    let sources: Vec<&Path> = backup.include.iter().chain(&backup.optional).map(PathBuf::as_path).collect();
    room::insist_on_all(&staging.tree, Need::default(), &sources, || {
        let before = Previous::open(store, &snapshots, &preconditions.config.own.name, &header.hostid);
        let progress = ShownProgress::new(reporter, runner, "survey", expected);
        let survey = SizeSurvey::new(&excludes, store.identity()?, before.unzip().0, progress);
        Ok(survey.of(crate::root::open_folder("/".as_ref())?, &scope)?.need)
    })?;
    let writer = Writer::begin(staging.create_manifest()?, &header)?;
    let progress = ShownProgress::new(reporter, runner, "snapshot", expected);
    let plan = SnapshotPlan {
        source: crate::root::open_folder("/".as_ref())?,
        scope: &scope,
        excludes,
        store: store.identity()?,
        previous,
        expected: before.map_or(0, |totals| totals.entries),
    };
    let (writer, found) = snapshot::walk(plan, &staging.tree, writer, progress)?;
    if found.sources == 0 {
        let paths = found.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason));
        return Err(ready::nothing_there(paths));
    }
    let complete = found.problems.is_empty();
    let trailer = Trailer {
        finished: clock::now(),
        totals: found.totals,
        skipped: found.skipped.clone(),
        problems: found.problems.clone(),
        complete,
    };
    writer.finish(&trailer)?;
    Ok((SnapshotName { id, whole: complete }, found))
}

/// Returns the processor architecture, as `uname -m` says.
pub fn machine() -> String {
    std::env::consts::ARCH.to_owned()
}

fn report(made: &Made, after_failed: &[String], reporter: &mut Reporter) -> Status {
    let Made { name, found, pruned } = made;
    for problem in &found.problems {
        reporter.warn(format!("{}: {}", problem.path, problem.reason));
    }
    for path in &found.changed {
        reporter.say(format!("{path}: changed each time it was read; the copy is marked"));
    }
    for skipped in &found.skipped {
        reporter.detail(format!("{}: left out: {}", skipped.path, skipped.reason));
    }
    let Totals { files, bytes, copied, copied_bytes, linked, .. } = found.totals;
    let amount = format!(
        "{files} files, {}: {copied} copied ({}), {linked} shared with the snapshot before",
        show_bytes(bytes),
        show_bytes(copied_bytes)
    );
    reporter.detail(amount);
    for name in pruned {
        reporter.detail(format!("pruned {name}"));
    }
    let status = if name.whole && after_failed.is_empty() { Status::Done } else { Status::Failed };
    if name.whole {
        reporter.message("Backup complete.");
    } else {
        reporter.warn(format!(
            "{} problems: kept apart as {name}; no backup was completed",
            found.problems.len()
        ));
    }
    reporter.record(&TakeReport {
        format: "orderly-backup/1",
        record: "report",
        status: status.word(),
        time: clock::now(),
        snapshot: name.to_string(),
        complete: name.whole,
        totals: found.totals,
        changed: &found.changed,
        skipped: &found.skipped,
        problems: &found.problems,
        pruned: pruned.iter().map(ToString::to_string).collect(),
        after_failed: after_failed.to_vec(),
    });
    status
}
