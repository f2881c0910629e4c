//! One snapshot from beginning to end: preconditions, walk, manifest, publication, retention.

use crate::args::Args;
use crate::exclude::Excludes;
use crate::ground::{Ground, Held};
use crate::id::{Id, SnapshotName};
use crate::manifest::{self, Header, Sources, Totals, Trailer, Writer};
use crate::previous::Previous;
use crate::progress::{Progress, show_bytes};
use crate::pruning::{self, prune};
use crate::room;
use crate::snapshot::{self, Found, Plan};
use crate::store::{self, Staging, Store};
use crate::survey::Survey;
use crate::verbatim::Verbatim;
use crate::walk::Scope;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, clock, fail};
use orderly_host::handover::{self, Program};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    snapshot: String,
    complete: bool,
    totals: Totals,
    changed: &'a [Verbatim],
    skipped: &'a [manifest::Remark],
    problems: &'a [manifest::Remark],
    pruned: Vec<String>,
}

/// Takes a snapshot.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let ground = Ground::open(args)?;
    // Asked before the lock is: on the other host a takeover may be under way, which is none of ours.
    if let Held::No(why) = ground.held(runner)? {
        return not_held(args, &why, reporter);
    }
    let lock = ground.lock()?;
    // Asked again: it may have been released while we waited to be alone.
    if let Held::No(why) = ground.held(runner)? {
        return not_held(args, &why, reporter);
    }
    if !lock.is_passed() && handover::is_unfinished(Program::Takeover)? {
        return amid_takeover(args, reporter);
    }
    ground.insist_on_none_due()?;
    ground.insist_on_services(runner)?;
    ground.insist_on_place(runner)?;
    let asset = ground.asset(runner)?;
    if args.dry_run {
        return preview(&ground, reporter);
    }
    let store = Store::open_to_write(&ground.backup.directory)?;
    let holding = ground.number(runner)?;
    // Once more, now that the directory is there for certain and open.
    ground.insist_on_place(runner)?;
    for name in store.clean()? {
        reporter.say(format!("removed {name}, left behind by a run that was killed"));
    }
    let staging = store.stage()?;
    let taken = take(&ground, &store, &staging, (asset, holding), runner, reporter).and_then(|taken| {
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
    let pruned = prune(&ground, &store, name)?;
    Ok(report(name, &found, pruned, reporter))
}

fn not_held(args: &Args, why: &str, reporter: &Reporter) -> anyhow::Result<Status> {
    if args.if_held {
        reporter.detail(format!("nothing to do: {why}"));
        return Ok(Status::Done);
    }
    Err(fail(Status::Refused, format!("a snapshot is taken on the host that holds the asset: {why}")))
}

/// Before a takeover is finished what this host has may be older than what the peer left, and a snapshot of it
/// would pass for newer.
fn amid_takeover(args: &Args, reporter: &Reporter) -> anyhow::Result<Status> {
    let why = "a takeover was begun on this host and is not finished";
    if args.if_held {
        reporter.detail(format!("nothing to do: {why}"));
        return Ok(Status::Done);
    }
    Err(fail(Status::Refused, format!("no snapshot is taken: {why}; run ha-takeover to finish it first")))
}

fn take(
    ground: &Ground,
    store: &Store,
    staging: &Staging,
    (asset, holding): (manifest::Asset, Option<u64>),
    runner: &mut Runner,
    reporter: &mut Reporter,
) -> anyhow::Result<(SnapshotName, Found)> {
    let backup = &ground.backup;
    let snapshots = store.snapshots()?;
    let id = store::next_id(snapshots.last().copied(), &mut |time| runner.pause(time))?;
    let hostid = orderly_host::hostid::ask(ground.config.platform, runner);
    let (previous, before) = Previous::open(store, &snapshots, &ground.config.own.name, &hostid).unzip();
    let header = Header {
        format: manifest::FORMAT.to_owned(),
        id: id.to_string(),
        started: clock::now(),
        host: ground.config.own.name.clone(),
        hostid,
        machine: machine(),
        asset,
        holding,
        owes: ground.owed()?,
        continues: ground.continues()?,
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
    room::insist_on_all(&staging.tree, &sources, || {
        let before = Previous::open(store, &snapshots, &ground.config.own.name, &header.hostid);
        let progress = Progress::new(reporter, runner, "survey", expected);
        let survey = Survey::new(&excludes, store.identity()?, before.unzip().0, progress);
        survey.of(crate::root::open_folder("/".as_ref())?, &scope)
    })?;
    let writer = Writer::begin(staging.create_manifest()?, &header)?;
    let progress = Progress::new(reporter, runner, "snapshot", expected);
    let plan = Plan {
        source: crate::root::open_folder("/".as_ref())?,
        scope: &scope,
        excludes,
        store: store.identity()?,
        previous,
        expected: before.map_or(0, |totals| totals.entries),
    };
    let (writer, found) = snapshot::walk(plan, &staging.tree, writer, progress)?;
    if found.sources == 0 {
        let paths: Vec<String> =
            found.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect();
        let message = format!("nothing that backup.include names is there: {}", paths.join("; "));
        return Err(fail(Status::Rejected, message));
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

fn report(name: SnapshotName, found: &Found, pruned: Vec<SnapshotName>, reporter: &mut Reporter) -> Status {
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
    for name in &pruned {
        reporter.detail(format!("pruned {name}"));
    }
    let status = if name.whole { Status::Done } else { Status::Failed };
    if name.whole {
        reporter.message("Backup complete.");
    } else {
        reporter.warn(format!(
            "{} problems: kept apart as {name}; no backup was completed",
            found.problems.len()
        ));
    }
    reporter.record(&Report {
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
    });
    status
}

/// What `--dry-run --json` prints.
#[derive(Debug, Serialize)]
struct Preview {
    format: &'static str,
    record: &'static str,
    directory: PathBuf,
    include: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    /// Sources that are links to what no source has.
    linked: Vec<PathBuf>,
    would_prune: Vec<String>,
}

/// Returns the sources that are links to what no source has, each with the reason.
fn linked_sources(backup: &orderly_host::config::Backup) -> Vec<(PathBuf, String)> {
    let scope = Scope::new(&backup.include, &backup.optional);
    let excludes = Excludes::new(&backup.exclude);
    let sources = backup.include.iter().map(|path| (path, false));
    let sources = sources.chain(backup.optional.iter().map(|path| (path, true)));
    sources
        .filter_map(|(path, may_be_absent)| {
            let why = snapshot::objection(path, may_be_absent, &scope, &excludes)?;
            Some((path.clone(), why))
        })
        .collect()
}

fn preview(ground: &Ground, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let backup = &ground.backup;
    let (there, missing): (Vec<_>, Vec<_>) =
        backup.include.iter().cloned().partition(|path| path.symlink_metadata().is_ok());
    let linked = linked_sources(backup);
    let there: Vec<PathBuf> =
        there.into_iter().filter(|path| linked.iter().all(|(link, _)| link != path)).collect();
    let is_whole = missing.is_empty() && linked.is_empty();
    let store = Store::open(&backup.directory).ok();
    let newest = store.as_ref().map(Store::snapshots).transpose()?.and_then(|all| all.last().copied());
    let id = newest.map_or_else(Id::now, |last| last.id.next().max(Id::now()));
    let next = SnapshotName { id, whole: is_whole };
    let going = pruning::preview(ground, store.as_ref(), next)?.into_iter();
    let going: Vec<String> = going.map(|name| name.to_string()).collect();
    for path in &there {
        reporter.message(&format!("would copy {}", path.display()));
    }
    for path in &missing {
        reporter.warn(format!("{} is not there: the snapshot would be incomplete", path.display()));
    }
    for (path, why) in &linked {
        reporter.warn(format!("{}: {why}: the snapshot would be incomplete", path.display()));
    }
    for name in &going {
        reporter.message(&format!("would prune {name}"));
    }
    let none = there.is_empty();
    reporter.record(&Preview {
        format: "orderly-backup/1",
        record: "preview",
        directory: backup.directory.clone(),
        include: there,
        missing,
        linked: linked.into_iter().map(|(path, _)| path).collect(),
        would_prune: going,
    });
    Ok(if none { Status::Rejected } else { Status::Done })
}
