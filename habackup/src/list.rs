//! What snapshots there are, whether they are sound, whether the newest is fresh, what differs.
//! Changes nothing and takes no lock: a snapshot is complete as soon as it has its name.

use crate::args::Args;
use crate::choice;
use crate::comparison::{self, Aspect, EntryDifference};
use crate::id::{SnapshotName, moment_ns};
use crate::manifest::{Remark, Totals};
use crate::path_bytes::PathBytes;
use crate::preconditions::{Held, Preconditions};
use crate::progress::{ShownProgress, show_bytes};
use crate::report::{self, RestoreReport, shown, words};
use crate::restore::open_tree;
use crate::root::Root;
use crate::selection::{ChosenEntries, Selection};
use crate::store::Store;
use crate::verify;
use jiff::Timestamp;
use orderly_exec::reporter::{Output, Reporter};
use orderly_exec::runner::Runner;
use orderly_exec::{OrStatus, Status, clock, fail};
use orderly_host::exclude::Excludes;
use orderly_host::ledger;
use orderly_plan::duration;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Serialize)]
struct SnapshotListing {
    format: &'static str,
    directory: PathBuf,
    latest: Option<String>,
    /// Why a copy of a store is not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
    snapshots: Vec<SnapshotRow>,
}

#[derive(Debug, Serialize)]
struct SnapshotRow {
    id: String,
    complete: bool,
    time: String,
    host: Option<String>,
    hostid: Option<String>,
    version: Option<String>,
    totals: Option<Totals>,
    problems: usize,
    /// It stays whatever the retention says.
    pinned: bool,
    /// Why nothing more can be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// Lists the snapshots; 1 when one of them cannot be read.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn list(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    no_operands(args, "--list")?;
    let opened = open(args, runner, reporter)?;
    let mut cut = None;
    let (directory, names, rows) = match opened {
        Opened::NotHeld => return Ok(Status::Done),
        Opened::NoneYet(directory) => {
            reporter.say(none_yet(&directory));
            (directory, Vec::new(), Vec::new())
        }
        Opened::Store(store) => {
            let names = store.snapshots()?;
            let pinned = store.pinned().or_status(Status::Failed)?;
            let row = |&name| SnapshotRow { pinned: pinned.contains(&name), ..row(&store, name) };
            let rows: Vec<SnapshotRow> = names.iter().map(row).collect();
            cut = store.cut()?;
            (store.path().to_owned(), names, rows)
        }
    };
    let is_bad = cut.is_some() || rows.iter().any(|row| row.unreadable.is_some());
    let status = if is_bad { Status::Failed } else { Status::Done };
    if let Some(why) = &cut {
        reporter.warn(why);
    }
    if args.speech.json {
        let latest = names.iter().rfind(|name| name.whole).map(ToString::to_string);
        reporter.record(&SnapshotListing {
            format: "orderly-snapshots/1",
            directory,
            latest,
            cut,
            snapshots: rows,
        });
        return Ok(status);
    }
    for row in rows {
        match (&row.unreadable, &row.totals) {
            (Some(why), _) => reporter.warn(format!("{}: {why}", row.id)),
            (None, Some(totals)) => {
                let (host, bytes) = (row.host.unwrap_or_default(), show_bytes(totals.bytes));
                let problems =
                    if row.problems > 0 { format!("  {} problems", row.problems) } else { String::new() };
                let pinned = if row.pinned { "  pinned" } else { "" };
                reporter.data(&format!(
                    "{}  {host}  {} files  {bytes}{problems}{pinned}\n",
                    row.id, totals.files
                ));
            }
            (None, None) => {}
        }
    }
    Ok(status)
}

fn row(store: &Store, name: SnapshotName) -> SnapshotRow {
    let mut row = SnapshotRow {
        id: name.to_string(),
        complete: name.whole,
        time: name.id.time(),
        host: None,
        hostid: None,
        version: None,
        totals: None,
        problems: 0,
        pinned: false,
        unreadable: None,
    };
    match store.ends(name) {
        Ok((header, trailer)) => {
            row.host = Some(header.host);
            row.hostid = Some(header.hostid);
            row.version = Some(header.version);
            row.totals = Some(trailer.totals);
            row.problems = trailer.problems.len();
        }
        Err(error) => row.unreadable = Some(format!("{error:#}")),
    }
    row
}

#[derive(Debug, Serialize)]
struct Freshness {
    format: &'static str,
    snapshot: Option<String>,
    age_seconds: Option<u64>,
    max_age_seconds: u64,
    fresh: bool,
    /// Why the snapshot cannot be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    time: String,
}

/// Tells whether the newest whole snapshot is fresh.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn check(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    no_operands(args, "--check")?;
    let preconditions = Preconditions::open(args)?;
    let limit = args.max_age.unwrap_or(preconditions.backup.max_age);
    let (newest, unreadable) = match open(args, runner, reporter)? {
        Opened::NotHeld => return Ok(Status::Done),
        Opened::NoneYet(_) => (None, None),
        Opened::Store(store) => {
            let newest = if args.this_holding {
                newest_of_holding(&store, &preconditions.config.own.name, ledger::open_holding()?)?
            } else {
                store.newest_whole()?
            };
            match newest {
                None => (None, None),
                Some(name) => match store.ends(name) {
                    Ok((header, _)) => (Some((name, header.started)), None),
                    // Of what cannot be restored it is no comfort that it is young.
                    Err(error) => (Some((name, name.id.time())), Some(format!("{error:#}"))),
                },
            }
        }
    };
    let (newest, started) = newest.unzip();
    let age = started.as_deref().and_then(age);
    let fresh = age.is_some_and(|age| age <= limit) && unreadable.is_none();
    let said = match (newest, age, &unreadable) {
        (None, ..) if args.this_holding => "there is no whole snapshot of this holding".to_owned(),
        (None, ..) => "there is no whole snapshot".to_owned(),
        (Some(_), _, Some(why)) => format!("the newest whole one cannot be restored: {why}"),
        (Some(name), None, None) => {
            let made = started.unwrap_or_default();
            format!(
                "the newest whole snapshot {name} was made at {made}, which is in the future: a clock was set back \
                 since; run habackup to take one by the clock of now"
            )
        }
        (Some(name), Some(age), None) => {
            format!("the newest whole snapshot {name} is {} old", duration::show(age))
        }
    };
    if fresh {
        reporter.message(&format!("fresh: {said}"));
    } else {
        reporter.warn(format!("stale: {said}, and {} is allowed", duration::show(limit)));
    }
    reporter.record(&Freshness {
        format: "orderly-freshness/1",
        snapshot: newest.map(|name| name.to_string()),
        age_seconds: age.map(|age| age.as_secs()),
        max_age_seconds: limit.as_secs(),
        fresh,
        unreadable,
        time: clock::now(),
    });
    Ok(if fresh { Status::Done } else { Status::Failed })
}

/// Returns the newest whole snapshot that a host made in one holding. One that cannot be read counts for
/// nothing: it could not be restored.
fn newest_of_holding(store: &Store, own: &str, holding: Option<u64>) -> anyhow::Result<Option<SnapshotName>> {
    let Some(holding) = holding else { return Ok(None) };
    let names = store.snapshots()?.into_iter().rev().filter(|name| name.whole);
    let is_of_it = |name: &SnapshotName| {
        store
            .manifest(*name)
            .is_ok_and(|manifest| manifest.header().host == own && manifest.header().holding == Some(holding))
    };
    Ok(names.into_iter().find(is_of_it))
}

/// Returns how long ago a snapshot was begun. A few minutes in the future are two clocks, and more is a clock
/// that proves nothing.
pub(crate) fn age(started: &str) -> Option<Duration> {
    let ahead = moment_ns(started).ok()? - Timestamp::now().as_nanosecond();
    if ahead >= 300_000_000_000 {
        return None;
    }
    u64::try_from(ahead.min(0).abs()).ok().map(Duration::from_nanos)
}

#[derive(Debug, Serialize)]
struct Verification {
    format: &'static str,
    snapshot: String,
    sound: bool,
    totals: Totals,
    problems: Vec<Remark>,
    time: String,
}

/// Hashes a snapshot again.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn verify(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let choice = choice::read(&args.operands)?;
    if choice.names.len() > 1 || !choice.paths.is_empty() {
        return Err(fail(Status::Usage, "--verify takes one snapshot"));
    }
    let Some(store) = open_to_read(args, runner, reporter)? else { return Ok(Status::Done) };
    let name = choice::snapshot(&store, choice.names.first().map(String::as_str), args.made_by.as_deref())?;
    // Read twice: the checksum stands at the end, and a million entries are not kept in memory.
    let read = store.ends(name).and_then(|ends| Ok((ends, store.manifest(name)?)));
    let ((_, trailer), mut manifest) = match read {
        Ok(read) => read,
        Err(error) => {
            reporter.warn(format!("{error:#}"));
            return Ok(Status::Failed);
        }
    };
    let mut tree = open_tree(&store, name).or_status(Status::Failed)?;
    reporter.show_progress();
    let mut progress = ShownProgress::new(reporter, runner, "verify", trailer.totals.files);
    let wrong = verify::differences(|| manifest.next_entry(), &mut tree, &mut progress)?;
    reporter.end_progress();
    for remark in &wrong {
        reporter.warn(format!("{}: {}", remark.path, remark.reason));
    }
    let totals = trailer.totals;
    if wrong.is_empty() {
        let changed = if totals.changed > 0 {
            format!(", {} of them changed while they were copied", totals.changed)
        } else {
            String::new()
        };
        reporter.message(&format!(
            "{name} is sound: {} files, {}{changed}",
            totals.files,
            show_bytes(totals.bytes)
        ));
    } else {
        reporter.warn(format!("{name} is damaged: {} differences", wrong.len()));
    }
    let status = if wrong.is_empty() { Status::Done } else { Status::Failed };
    reporter.record(&Verification {
        format: "orderly-verification/1",
        snapshot: name.to_string(),
        sound: wrong.is_empty(),
        totals,
        problems: wrong,
        time: clock::now(),
    });
    Ok(status)
}

#[derive(Debug, Serialize)]
struct Difference<'a> {
    format: &'static str,
    old: String,
    new: String,
    changes: Vec<DifferenceLine<'a>>,
}

#[derive(Debug, Serialize)]
struct DifferenceLine<'a> {
    path: &'a PathBytes,
    change: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    differs: &'a [Aspect],
}

/// Shows what differs between two snapshots, or a snapshot and the live system.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn diff(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let choice = choice::read(&args.operands)?;
    if choice.names.len() > 2 || !choice.paths.is_empty() {
        return Err(fail(Status::Usage, "--diff takes a snapshot, then another one or \"live\""));
    }
    let Some(store) = open_to_read(args, runner, reporter)? else { return Ok(Status::Done) };
    let mut names = choice.names.iter().map(String::as_str);
    let (first, second) = match (names.next(), names.next()) {
        (Some("live"), None) => (None, Some("live")),
        pair => pair,
    };
    if second == Some("live") {
        let output = args.speech.output();
        return diff_live(&store, choice::snapshot(&store, first, None)?, runner, reporter, output);
    }
    let (old, new) = match second {
        Some(second) => {
            (choice::snapshot(&store, first, None)?, choice::snapshot(&store, Some(second), None)?)
        }
        None => {
            let new = choice::snapshot(&store, first, None)?;
            let before = store.snapshots()?.into_iter().rfind(|name| name.whole && *name < new);
            (
                before.ok_or_else(|| {
                    fail(Status::Refused, format!("there is no whole snapshot before {new}"))
                })?,
                new,
            )
        }
    };
    let steps = store
        .manifest(old)
        .and_then(|old| comparison::between(old, store.manifest(new)?))
        .or_status(Status::Rejected)?;
    for (path, step) in &steps {
        match step {
            EntryDifference::Added => reporter.message(&format!("new {}", shown(path))),
            EntryDifference::Removed => reporter.message(&format!("gone {}", shown(path))),
            EntryDifference::Changed(aspects) => {
                reporter.message(&format!("updated {} ({})", shown(path), words(aspects)));
            }
        }
    }
    let line = |(path, step): &'_ (PathBytes, EntryDifference)| -> (&'static str, Vec<Aspect>, PathBytes) {
        match step {
            EntryDifference::Added => ("new", Vec::new(), path.clone()),
            EntryDifference::Removed => ("gone", Vec::new(), path.clone()),
            EntryDifference::Changed(aspects) => ("updated", aspects.clone(), path.clone()),
        }
    };
    let lines: Vec<_> = steps.iter().map(line).collect();
    let changes =
        lines.iter().map(|(change, differs, path)| DifferenceLine { path, change, differs }).collect();
    reporter.record(&Difference {
        format: "orderly-difference/1",
        old: old.to_string(),
        new: new.to_string(),
        changes,
    });
    Ok(Status::Done)
}

fn diff_live(
    store: &Store,
    name: SnapshotName,
    runner: &mut Runner,
    reporter: &mut Reporter,
    output: Output,
) -> anyhow::Result<Status> {
    let (header, trailer) = store.ends(name).or_status(Status::Rejected)?;
    let mut chosen = ChosenEntries::new(|| store.manifest(name), Selection::All);
    let mut live = Root::open("/".as_ref())?;
    let excludes = Excludes::new(&header.sources.exclude);
    reporter.show_progress();
    let mut progress = ShownProgress::new(reporter, runner, "compare", trailer.totals.entries);
    let comparison = comparison::with_live(&mut chosen, &mut live, &excludes, None, &mut progress)?;
    reporter.end_progress();
    let lines = report::show(&mut chosen, &comparison, reporter, output)?;
    reporter.record(&RestoreReport::of_restore(Status::Done, name, &header, &comparison, lines, None));
    Ok(Status::Done)
}

/// Insists that nothing stands beside an option.
///
/// # Errors
/// Usage (2).
pub(crate) fn no_operands(args: &Args, option: &str) -> anyhow::Result<()> {
    if args.operands.is_empty() {
        Ok(())
    } else {
        Err(fail(Status::Usage, format!("{option} takes no operands")))
    }
}

/// What there is to look at.
#[derive(Debug)]
enum Opened {
    Store(Store),
    /// The asset is here, and this directory was never made on it: there are no snapshots.
    NoneYet(PathBuf),
    /// `--if-held` says that there is nothing to do.
    NotHeld,
}

impl Opened {
    /// Returns the snapshots where there must be one.
    fn insist(self) -> anyhow::Result<Option<Store>> {
        match self {
            Self::Store(store) => Ok(Some(store)),
            Self::NotHeld => Ok(None),
            Self::NoneYet(directory) => Err(fail(Status::Refused, none_yet(&directory))),
        }
    }
}

/// Opens the snapshots for reading; `None` where `--if-held` says that there is nothing to do.
///
/// # Errors
/// Refused (4), also where no snapshot was ever taken.
pub(crate) fn open_to_read(
    args: &Args,
    runner: &mut Runner,
    reporter: &Reporter,
) -> anyhow::Result<Option<Store>> {
    open(args, runner, reporter)?.insist()
}

fn none_yet(directory: &Path) -> String {
    format!("no snapshot was taken yet: {} is not there", directory.display())
}

fn open(args: &Args, runner: &mut Runner, reporter: &Reporter) -> anyhow::Result<Opened> {
    if let Some(copy) = &args.store {
        return Store::open_elsewhere(copy).map(Opened::Store);
    }
    let preconditions = Preconditions::open(args)?;
    if args.if_held {
        if let Held::No(why) = preconditions.held(runner)? {
            reporter.detail(format!("nothing to do: {why}"));
            return Ok(Opened::NotHeld);
        }
    }
    preconditions.insist_on_held(runner)?;
    let is_missing = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    if preconditions.backup.directory.symlink_metadata().is_err_and(is_missing) {
        return Ok(Opened::NoneYet(preconditions.backup.directory));
    }
    Store::open(&preconditions.backup.directory).map(Opened::Store)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the time that it is only whole seconds counted, so a snapshot was up to one younger than it is.
    #[test]
    fn a_snapshot_is_no_younger_than_it_is() {
        let then = Timestamp::now() - Duration::from_millis(1_999);
        assert!(age(&then.to_string()).unwrap() >= Duration::from_millis(1_999));
        let ahead = |seconds| (Timestamp::now() + Duration::from_secs(seconds)).to_string();
        assert_eq!((age(&ahead(200)), age(&ahead(600))), (Some(Duration::ZERO), None));
    }
}
