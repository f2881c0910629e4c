//! `-n`: what a snapshot would hold, whether it would be whole and have room, and what would be pruned. Makes
//! nothing.

use crate::commands;
use crate::id::{Id, SnapshotName};
use crate::manifest::Remark;
use crate::preconditions::Preconditions;
use crate::previous::Previous;
use crate::progress::ShownProgress;
use crate::pruning;
use crate::ready::{Ready, SourcesNow};
use crate::room::{self, Need};
use crate::store::{self, Store};
use crate::survey::SizeSurvey;
use crate::walk::Scope;
use orderly_exec::Status;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_host::exclude::Excludes;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `--dry-run --json` prints.
#[derive(Debug, Serialize)]
struct Preview {
    format: &'static str,
    record: &'static str,
    /// How the run would end.
    status: &'static str,
    directory: PathBuf,
    include: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    /// Sources that are links to what no source has.
    linked: Vec<PathBuf>,
    /// What cannot be read.
    problems: Vec<Remark>,
    would_prune: Vec<String>,
    /// The commands that would be run, without their secrets.
    before: Vec<String>,
    after: Vec<String>,
}

/// Shows what a run would do, and ends as it would as far as that can be known.
///
/// # Errors
/// As the run: failed (1) when there is no room, or a snapshot that is due to go could not be pruned.
pub fn show(
    preconditions: &Preconditions,
    ready: &Ready,
    runner: &mut Runner,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let backup = &preconditions.backup;
    let SourcesNow { there, missing, linked } = &ready.sources;
    let problems = survey(preconditions, ready.store.as_ref(), runner, reporter)?;
    let whole = missing.is_empty() && linked.is_empty() && problems.is_empty();
    let newest = ready.store.as_ref().map(Store::snapshots).transpose()?.and_then(|all| all.last().copied());
    let id = newest.map_or_else(|| Ok(Id::now()), |last| store::following(last.id))?;
    let going = pruning::preview(preconditions, ready.store.as_ref(), SnapshotName { id, whole })?;
    let [before, after] = [&backup.before, &backup.after]
        .map(|commands| commands.iter().map(commands::shown).collect::<Vec<String>>());
    for command in &before {
        reporter.message(&format!("would run before: {command}"));
    }
    for path in there {
        reporter.message(&format!("would copy {}", path.display()));
    }
    for path in missing {
        reporter.warn(format!("{} is not there: the snapshot would be incomplete", path.display()));
    }
    for (path, why) in linked {
        reporter.warn(format!("{}: {why}: the snapshot would be incomplete", path.display()));
    }
    for Remark { path, reason } in &problems {
        reporter.warn(format!("{path}: {reason}: the snapshot would be incomplete"));
    }
    for name in &going {
        reporter.message(&format!("would prune {name}"));
    }
    for command in &after {
        reporter.message(&format!("would run after: {command}"));
    }
    let status = if whole { Status::Done } else { Status::Failed };
    reporter.record(&Preview {
        format: "orderly-backup/1",
        record: "preview",
        status: status.word(),
        directory: backup.directory.clone(),
        include: there.clone(),
        missing: missing.clone(),
        linked: linked.iter().map(|(path, _)| path.clone()).collect(),
        problems,
        would_prune: going.iter().map(ToString::to_string).collect(),
        before,
        after,
    });
    Ok(status)
}

/// Looks at everything that would be copied: returns what cannot be read, and insists that the rest has room.
fn survey(
    preconditions: &Preconditions,
    store: Option<&Store>,
    runner: &mut Runner,
    reporter: &mut Reporter,
) -> anyhow::Result<Vec<Remark>> {
    let backup = &preconditions.backup;
    let (scope, excludes) = (Scope::new(&backup.include, &backup.optional), Excludes::new(&backup.exclude));
    let hostid = orderly_host::hostid::ask(preconditions.config.platform, runner);
    let snapshots = store.map_or(Ok(Vec::new()), Store::snapshots)?;
    let before =
        store.and_then(|store| Previous::open(store, &snapshots, &preconditions.config.own.name, &hostid));
    let (previous, before) = before.unzip();
    reporter.show_progress();
    let progress = ShownProgress::new(reporter, runner, "survey", before.map_or(0, |totals| totals.files));
    let identity = store.map_or(Ok((0, 0)), Store::identity)?;
    let survey = SizeSurvey::new(&excludes, identity, previous, progress).naming_problems();
    let surveyed = survey.of(crate::root::open_folder("/".as_ref())?, &scope);
    reporter.end_progress();
    let surveyed = surveyed?;
    let sources: Vec<&Path> = backup.include.iter().chain(&backup.optional).map(PathBuf::as_path).collect();
    let freed = store.map_or(Ok(Need::default()), Store::left_over)?;
    room::insist_on_all(nearest(&backup.directory)?, freed, &sources, || Ok(surveyed.need))?;
    Ok(surveyed.problems)
}

/// Opens the directory of snapshots, or what it would be made in.
fn nearest(directory: &Path) -> anyhow::Result<std::os::fd::OwnedFd> {
    let there = directory.ancestors().find(|above| above.symlink_metadata().is_ok()).unwrap_or(directory);
    crate::root::open_folder(there)
}
