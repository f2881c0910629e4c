//! Brings a snapshot, or paths of it, back onto the live system: verify, compare, show, ask, save,
//! apply; what fails half-way is undone.

use crate::apply::Application;
use crate::args::Args;
use crate::choice;
use crate::comparison::{self, Comparison};
use crate::consent::{self, Consent};
use crate::id::SnapshotName;
use crate::kernel::FOLDER;
use crate::left::Left;
use crate::manifest::{self, ManifestHeader, Remark};
use crate::origin::Origin;
use crate::path_bytes::PathBytes;
use crate::preconditions::Preconditions;
use crate::progress::ShownProgress;
use crate::report::{self, ChangeLine, RestoreReport};
use crate::root::Root;
use crate::saved::{self, Saved};
use crate::selection::{ChosenEntries, Selection};
use crate::store::Store;
use crate::take::machine;
use crate::verify;
use anyhow::Context;
use nix::fcntl::openat;
use nix::sys::stat::Mode;
use orderly_exec::reporter::{Output, Reporter};
use orderly_exec::runner::Runner;
use orderly_exec::{OrStatus, Status, fail};
use orderly_host::exclude::Excludes;
use orderly_host::ledger;
use std::path::{Path, PathBuf};

/// Restores.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let choice = choice::read(&args.operands)?;
    if choice.names.len() > 1 {
        return Err(fail(
            Status::Usage,
            format!("one snapshot is restored at a time, not {}", choice.names.join(" and ")),
        ));
    }
    let root = args.into.clone().unwrap_or_else(|| PathBuf::from("/"));
    let origin = Origin::open(args)?;
    let _lock = origin.lock_unless(args.dry_run)?;
    let store = origin.open_store(runner)?;
    let name = choice::snapshot(&store, choice.names.first().map(String::as_str), args.made_by.as_deref())?;
    // Read once to its end before anything is believed: the checksum stands there.
    let (header, trailer) = store.ends(name).or_status(Status::Rejected)?;
    origin.insist_on_asset(name, &header, runner, reporter)?;
    insist_on_fit(args, name, &header)?;
    if !name.whole {
        let problems = trailer.problems.len();
        reporter.warn(format!("{name} is incomplete: {problems} problems were met when it was made"));
    }
    let mut base = base(args, &store)?;
    let mut chosen = ChosenEntries::new(|| store.manifest(name), Selection::named(choice.paths.clone()));
    insist_on_presence(&mut chosen, &choice.paths, name)?;
    let mut tree = open_tree(&store, name)?;
    reporter.show_progress();
    let entries = trailer.totals.entries;
    insist_on_sound(&mut chosen, &mut tree, name, ShownProgress::new(reporter, runner, "verify", entries))?;
    let mut live = Root::open(&root).or_status(Status::Refused)?;
    let excludes = Excludes::new(&header.sources.exclude);
    let mut progress = ShownProgress::new(reporter, runner, "compare", entries);
    let mut comparison =
        comparison::with_live(&mut chosen, &mut live, &excludes, base.as_mut(), &mut progress)
            .or_status(Status::Refused)?;
    reporter.end_progress();
    for path in &comparison.left_alone {
        reporter.say(format!("{path}: left alone, it is this machine's identity; name it to restore it"));
    }
    chosen.remarks().for_each(|remark| reporter.say(remark));
    insist_on_no_conflict(&comparison)?;
    // A caller that wants the counts alone need not take in a line for each path.
    let output = if args.speech.json && !args.speech.quiet { Output::Json } else { Output::Text };
    let lines = report::show(&mut chosen, &comparison, reporter, output)?;
    let report = |status: Status, comparison: &Comparison, lines: Vec<ChangeLine>, saved: Option<&Path>| {
        RestoreReport::of_restore(status, name, &header, comparison, lines, saved)
    };
    let is_whole = choice.paths.is_empty() && root == Path::new("/");
    if !args.dry_run {
        saved::clear_workshops()?;
    }
    if comparison.items.is_empty() || args.dry_run {
        if is_whole && !args.dry_run {
            origin.note_restore(name, &header)?;
        }
        let status = tell_left(&comparison.left, reporter);
        reporter.record(&report(status, &comparison, lines, None));
        return Ok(status);
    }
    let question = format!("restore {name} made by {} onto {}?", header.host, root.display());
    match consent::ask(&question, args.yes, runner, reporter)? {
        Consent::Yes => {}
        Consent::No => return Err(fail(Status::Refused, "not restored: the answer was no")),
    }
    reporter.show_progress();
    let progress = ShownProgress::new(reporter, runner, "save", 0);
    let saved = Saved::save(&mut chosen, &mut comparison, &origin.noted(&header), (&root, &live), progress)?;
    let path = saved.path.clone();
    let mut progress = ShownProgress::new(reporter, runner, "restore", comparison.items.len() as u64);
    let mut application = Application::new(&mut live, &mut tree, saved.notes(&root));
    let applied = application.apply_all(&mut chosen, &comparison, &mut progress);
    let (lost, mut left) = (std::mem::take(&mut application.lost), std::mem::take(&mut application.left));
    // With it go the directories that it worked in.
    drop(application);
    reporter.end_progress();
    if let Err(error) = applied {
        return Err(take_back(error, saved, &mut live, runner, reporter));
    }
    lost.iter().for_each(|line| reporter.warn(line));
    if is_whole {
        origin.note_restore(name, &header)?;
    }
    saved::prune()?;
    comparison.left.append(&mut left);
    let status = tell_left(&comparison.left, reporter);
    let complete = match Left::count(&comparison.left) {
        0 => "Restore complete".to_owned(),
        1 => "Restore complete but for 1 entry".to_owned(),
        count => format!("Restore complete but for {count} entries"),
    };
    reporter.message(&format!("{complete}; what was overwritten is in {}.", path.display()));
    reporter.record(&report(status, &comparison, lines, Some(&path)));
    Ok(status)
}

/// Opens the snapshot that `--base` names, once it is known to be whole to its last line.
fn base<'a>(args: &Args, store: &'a Store) -> anyhow::Result<Option<ChosenEntries<'a>>> {
    let Some(id) = &args.base else { return Ok(None) };
    let base = choice::snapshot(store, Some(id), None)?;
    store.ends(base).or_status(Status::Rejected)?;
    Ok(Some(ChosenEntries::new(move || store.manifest(base), Selection::All)))
}

/// Names what was left as it is; returns what that makes of the run.
fn tell_left(left: &[Left], reporter: &mut Reporter) -> Status {
    for left in left {
        reporter.warn(format!("left {}: {}", report::shown(&left.path), left.clause()));
    }
    if left.is_empty() { Status::Done } else { Status::Failed }
}

/// Undoes a restore that failed half-way, and returns the error to end with.
fn take_back(
    error: anyhow::Error,
    saved: Saved,
    live: &mut Root,
    runner: &mut Runner,
    reporter: &Reporter,
) -> anyhow::Error {
    let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
    let path = saved.path.clone();
    // Not to be interrupted a second time: the counter that looks for signals is left out.
    let undone = saved.read().and_then(|mut undo| {
        let mut progress = ShownProgress::deaf(reporter, runner);
        undo.carry_out(live, &mut progress)
    });
    match undone.and_then(|_| saved.close()) {
        Ok(_) => error.context("nothing was restored: everything is as it was").context(status),
        Err(stuck) => {
            let message = format!(
                "{error:#}; and it cannot be taken back: {stuck:#}; what was overwritten is in {}",
                path.display()
            );
            fail(Status::Stuck, message)
        }
    }
}

/// Opens the copies of a snapshot.
///
/// # Errors
/// Names the snapshot.
pub fn open_tree(store: &Store, name: SnapshotName) -> anyhow::Result<Root> {
    let folder = store.open_snapshot(name)?;
    let tree = openat(&folder, manifest::TREE, FOLDER, Mode::empty())
        .with_context(|| format!("open the copies of {name}"))?;
    Root::new(tree)
}

fn insist_on_fit(args: &Args, name: SnapshotName, header: &ManifestHeader) -> anyhow::Result<()> {
    let refuse = |message: String| Err(fail(Status::Refused, message));
    if !args.any_version && series(&header.version) != series(env!("CARGO_PKG_VERSION")) {
        return refuse(format!(
            "the snapshot {name} was made by version {}, and this is {}; install that one, or say --any-version",
            header.version,
            env!("CARGO_PKG_VERSION")
        ));
    }
    if header.machine != machine() {
        return refuse(format!(
            "the snapshot {name} was made on {}, and this is {}",
            header.machine,
            machine()
        ));
    }
    Ok(())
}

/// Returns the part of a version within which nothing breaks: `1`, or `0.3`.
fn series(version: &str) -> Vec<&str> {
    let parts: Vec<&str> = version.split('.').collect();
    let length = if parts.first() == Some(&"0") { 2 } else { 1 };
    parts.into_iter().take(length).collect()
}

/// Insists that every path that is named is in the snapshot.
fn insist_on_presence(
    chosen: &mut ChosenEntries<'_>,
    paths: &[PathBytes],
    name: SnapshotName,
) -> anyhow::Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut missing: Vec<&PathBytes> = paths.iter().collect();
    let mut pass = chosen.pass()?;
    while let Some((_, entry)) = pass.next_entry()? {
        missing.retain(|path| **path != entry.path);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        missing.iter().map(|path| format!("\"{path}\" is not in the snapshot {name}")).collect();
    Err(fail(Status::Usage, lines.join("\n")))
}

fn insist_on_sound(
    chosen: &mut ChosenEntries<'_>,
    tree: &mut Root,
    name: SnapshotName,
    mut progress: ShownProgress<'_>,
) -> anyhow::Result<()> {
    let mut pass = chosen.pass()?;
    let next = || Ok(pass.next_entry()?.map(|(_, entry)| entry));
    let wrong = verify::differences(next, tree, &mut progress)?;
    insist_on_none(&wrong, || format!("the snapshot {name} is damaged and nothing was restored:"))
}

fn insist_on_none(wrong: &[Remark], title: impl Fn() -> String) -> anyhow::Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    let lines = wrong.iter().map(|remark| format!("{}: {}", remark.path, remark.reason));
    let lines: Vec<String> = std::iter::once(title()).chain(lines).collect();
    Err(fail(Status::Rejected, lines.join("\n")))
}

fn insist_on_no_conflict(comparison: &Comparison) -> anyhow::Result<()> {
    let conflicts = comparison.conflicts.iter();
    let conflicts: Vec<String> =
        conflicts.map(|remark| format!("{}: {}", remark.path, remark.reason)).collect();
    if conflicts.is_empty() { Ok(()) } else { Err(fail(Status::Refused, conflicts.join("\n"))) }
}

/// Undoes the last restore.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn undo(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    if !args.operands.is_empty() {
        return Err(fail(Status::Usage, "--undo takes no operands: it undoes the last restore as a whole"));
    }
    let preconditions = Preconditions::open(args)?;
    let _lock = preconditions.lock_unless(args.dry_run)?;
    let Some(saved) = Saved::newest().or_status(Status::Rejected)? else {
        return Err(fail(Status::Refused, "there is no restore to undo"));
    };
    let mut undo = saved.read().or_status(Status::Rejected)?;
    let damage = undo.damage(&mut ShownProgress::new(reporter, runner, "verify", 0))?;
    reporter.end_progress();
    insist_on_none(&damage, || {
        format!("what was saved in {} is damaged and nothing was undone:", saved.path.display())
    })?;
    let mut live = Root::open(&undo.root).or_status(Status::Refused)?;
    undo.each_put_back(|path| reporter.message(&format!("put back {}", report::shown(path))))
        .or_status(Status::Rejected)?;
    for created in &undo.created {
        reporter.message(&format!("remove {}", report::shown(created.path())));
    }
    let edited = undo.edited(&mut live).or_status(Status::Rejected)?;
    for path in &edited {
        reporter
            .warn(format!("{}: was edited since the restore; what it is now is kept", report::shown(path)));
    }
    if args.dry_run {
        return Ok(Status::Done);
    }
    let question = format!("undo the restore of {} onto {}?", undo.snapshot, undo.root.display());
    match consent::ask(&question, args.yes, runner, reporter)? {
        Consent::Yes => {}
        Consent::No => return Err(fail(Status::Refused, "not undone: the answer was no")),
    }
    let snapshot = undo.snapshot.clone();
    let kept = undo.keep(&edited, &live, ShownProgress::deaf(reporter, runner)).or_status(Status::Failed)?;
    let undone = undo
        .carry_out(&mut live, &mut ShownProgress::deaf(reporter, runner))
        .with_context(|| {
            format!("the undo can be tried again; what was overwritten is in {}", saved.path.display())
        })
        .or_status(Status::Stuck)?;
    for path in &undone.stayed {
        reporter.say(format!("{path} stays: something was put in it, or in its place, since"));
    }
    let closed = saved.close().or_status(Status::Stuck)?;
    if undo.root == Path::new("/") {
        ledger::note_undo(&snapshot).or_status(Status::Stuck)?;
    }
    let status = tell_left(&undone.left, reporter);
    reporter.message(&match Left::count(&undone.left) {
        0 => "Undo complete.".to_owned(),
        1 => "Undo complete but for 1 entry.".to_owned(),
        count => format!("Undo complete but for {count} entries."),
    });
    let kept = kept.map(|kept| closed.join(kept));
    if let Some(kept) = &kept {
        reporter.message(&format!("What was edited since is in {}.", kept.display()));
    }
    reporter.record(&RestoreReport::of_undo(status, &snapshot, Left::count(&undone.left), (&edited, kept)));
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::series;

    #[test]
    fn versions_of_one_series_fit_each_other() {
        assert_eq!(series("0.1.0"), series("0.1.7"));
        assert_ne!(series("0.1.0"), series("0.2.0"));
        assert_eq!(series("1.2.0"), series("1.9.3"));
        assert_ne!(series("1.2.0"), series("2.0.0"));
    }
}
