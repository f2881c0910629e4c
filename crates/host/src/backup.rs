//! `habackup`, as the hand-over needs it: run it, ask how old its newest snapshot is, restore.
//!
//! Another program of the family: it is run, not linked, and joins the caller's lock.

use crate::config::{BackupTable, Config};
use crate::platform::Argv;
use anyhow::{Context, bail};
use orderly_exec::job::{Ended, Ending, Job};
use orderly_exec::lock::{Lock, PASSED_LOCK};
use orderly_exec::runner::Run;
use orderly_exec::{clock, paths};
use orderly_plan::snapshot::Continued;
use orderly_plan::snapshot::Snapshot;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs `habackup` with these arguments under the caller's lock.
///
/// # Errors
/// When the lock cannot be passed on.
pub fn run(
    config: &Config,
    arguments: &[&str],
    limit: Duration,
    lock: Option<&Lock>,
    run: &mut dyn Run,
) -> anyhow::Result<Ended> {
    let passed = lock.map(Lock::pass_on).transpose()?;
    let mut job = Job::new(command(config, arguments), limit);
    job.env.push(("ORDERLY_STATE_DIR".into(), paths::state_directory().into()));
    if let Some(passed) = &passed {
        job.env.push((PASSED_LOCK.into(), passed.as_raw_fd().to_string().into()));
        job.inherits = Some(passed.as_raw_fd());
    }
    Ok(run.run(&job))
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Restored {
    record: String,
    /// How many paths were there and are changed, how many were not there.
    pub updated: u64,
    pub new: u64,
    /// How many paths are left as they were, because something else has their place.
    pub left: u64,
    /// Paths that were changed here alone since the base of the restore, and stay.
    #[serde(default)]
    pub kept: Vec<String>,
    /// Paths that were changed on both hosts since.
    #[serde(default)]
    pub both: Vec<String>,
    /// Paths that were edited since a restore that is undone.
    #[serde(default)]
    pub edited: Vec<String>,
    /// Where what was overwritten is; of an undo, what was edited.
    #[serde(default)]
    pub saved: Option<PathBuf>,
}

/// Restores a snapshot, or undoes the last restore, with these arguments.
///
/// # Errors
/// When nothing was restored; the state is as it was unless the clause says otherwise.
pub fn restore(
    config: &Config,
    arguments: &[&str],
    limit: Duration,
    lock: Option<&Lock>,
    runner: &mut dyn Run,
) -> anyhow::Result<Restored> {
    let ended = run(config, &told(arguments), limit, lock, runner)?;
    let text = ended.text();
    let report = text.lines().last().and_then(|line| serde_json::from_str::<Restored>(line).ok());
    match report.filter(|report| report.record != "failure") {
        Some(report) if ended.succeeded() || (ended.ending == Ending::Exited(1) && report.left > 0) => {
            Ok(report)
        }
        Some(_) | None => bail!("habackup {}: {}", arguments.join(" "), ended.clause()),
    }
}

/// Returns the command that [`restore`] runs.
pub fn restore_command(config: &Config, arguments: &[&str]) -> Argv {
    command(config, &told(arguments))
}

/// The counts alone are of interest, as JSON.
fn told<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--yes", "--json", "-q"]].concat()
}

/// Returns the command: the `habackup` beside this program, else the one of the PATH.
pub fn command(config: &Config, arguments: &[&str]) -> Argv {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join("habackup")))
        .filter(|path| path.is_file());
    let program = beside.map_or_else(|| "habackup".to_owned(), |path| path.to_string_lossy().into_owned());
    let mut argv = vec![program, "--config".to_owned(), config.path.to_string_lossy().into_owned()];
    argv.extend(arguments.iter().map(|&word| word.to_owned()));
    argv
}

/// The newest whole snapshot that this host made in the holding under way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InHolding {
    pub snapshot: Option<String>,
    /// It is younger than `max_age`.
    pub fresh: bool,
}

/// Asks `habackup` for the newest whole snapshot of this holding, and whether it is young enough.
///
/// # Errors
/// When it does not say.
pub fn in_holding(config: &Config, lock: Option<&Lock>, runner: &mut dyn Run) -> anyhow::Result<InHolding> {
    let ended = run(config, &["--check", "--this-holding", "--json"], LOOKING * 6, lock, runner)?;
    let text = ended.text();
    let said: Option<InHolding> = text.lines().next_back().and_then(|line| serde_json::from_str(line).ok());
    said.with_context(|| format!("habackup --check --this-holding: {}", ended.clause()))
}

/// How long a look at the asset may take that is worth no more.
const LOOKING: Duration = Duration::from_secs(10);

/// Returns the id of the newest whole snapshot, whoever made it. The link is read in a child, by ls(1),
/// which every platform has: a disk that died hangs whoever looks at it.
pub fn latest(backup: &BackupTable, run: &mut dyn Run) -> Option<String> {
    let link = backup.directory.join("latest");
    let ended = run.run(&Job::new(["ls", "-ld", &link.to_string_lossy()], LOOKING));
    let text = ended.succeeded().then(|| ended.text())?;
    let (_, target) = text.trim_end().rsplit_once(" -> ")?;
    Some(target.rsplit('/').next()?.to_owned()).filter(|id| is_id(id))
}

/// Returns how long ago a snapshot was taken, by its id.
pub fn age(id: &str) -> Option<Duration> {
    let (day, time) = id.split_once('T')?;
    clock::age(&format!("{day}T{}", time.replace('-', ":")))
}

/// Returns the newest restore on this host that was not undone, by the name of the folder in which
/// `habackup` keeps what it overwrote.
///
/// # Errors
/// When the folder cannot be read.
pub fn newest_restore() -> anyhow::Result<Option<String>> {
    let folder = paths::state_directory().join("restores");
    let attempt = || format!("read {}", folder.display());
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(attempt),
    };
    let mut newest = None;
    for entry in entries {
        let entry = entry.with_context(attempt)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".undone") && entry.path().join("created.json").exists() {
            newest = newest.max(Some(name));
        }
    }
    Ok(newest)
}

/// Returns the whole snapshots, newest first, with the host that made each.
///
/// # Errors
/// When the folder or a manifest cannot be read: a snapshot that is passed over in silence is
/// missed when it matters. A missing folder has no snapshots.
pub fn whole_snapshots(backup: &BackupTable) -> anyhow::Result<Vec<Snapshot>> {
    snapshots(backup, is_id)
}

/// Returns the incomplete snapshots, newest first, with the host that made each; each is called by its whole name.
///
/// # Errors
/// As [`whole_snapshots`].
pub fn incomplete_snapshots(backup: &BackupTable) -> anyhow::Result<Vec<Snapshot>> {
    snapshots(backup, |name| name.strip_suffix(".incomplete").is_some_and(is_id))
}

fn snapshots(backup: &BackupTable, is_wanted: fn(&str) -> bool) -> anyhow::Result<Vec<Snapshot>> {
    let attempt = || format!("read {}", backup.directory.display());
    let entries = match std::fs::read_dir(&backup.directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(attempt),
    };
    let mut ids: Vec<(String, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry.with_context(attempt)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_wanted(&name) {
            ids.push((name, entry.path()));
        }
    }
    ids.sort_by(|a, b| b.0.cmp(&a.0));
    ids.into_iter()
        .map(|(id, path)| {
            let ManifestMaker { host, holding, owes, continues } = maker_of(&path.join("manifest.json"))?;
            Ok(Snapshot { id, host, holding, owes: owes.is_some(), continues })
        })
        .collect()
}

/// Tells whether a name is `YYYY-MM-DDTHH-MM-SSZ`; incomplete and unfinished ones are named otherwise.
fn is_id(name: &str) -> bool {
    let shape = "dddd-dd-ddTdd-dd-ddZ";
    name.len() == shape.len()
        && name
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, wanted)| if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted })
}

/// What the first line of a manifest says that matters to a hand-over.
#[derive(Deserialize)]
struct ManifestMaker {
    host: String,
    holding: Option<u64>,
    owes: Option<String>,
    continues: Option<Continued>,
}

/// Reads who made a snapshot, in which holding, and what it continues. The manifest says so in its first line, before
/// a million entries.
fn maker_of(manifest: &Path) -> anyhow::Result<ManifestMaker> {
    let attempt = || format!("read who made {}", manifest.display());
    let mut first = String::new();
    BufReader::new(std::fs::File::open(manifest).with_context(attempt)?)
        .read_line(&mut first)
        .with_context(attempt)?;
    match serde_json::from_str(&format!("{}]}}", first.trim_end())) {
        Ok(maker) => Ok(maker),
        Err(_) => {
            serde_json::from_slice(&std::fs::read(manifest).with_context(attempt)?).with_context(attempt)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Keep;

    #[test]
    fn snapshots_are_told_by_name_and_maker() {
        let dir = tempfile::tempdir().unwrap();
        let backup = BackupTable {
            directory: dir.path().join("habackup"),
            include: Vec::new(),
            optional: Vec::new(),
            exclude: Vec::new(),
            keep: Keep::Last(1),
            max_age: Duration::from_secs(60),
            require_services: true,
            timeout: Duration::from_secs(1),
            before: Vec::new(),
            after: Vec::new(),
            command_timeout: Duration::from_secs(1),
        };
        assert_eq!(whole_snapshots(&backup).unwrap(), []);
        for (name, manifest) in [
            ("2026-01-01T00-00-00Z", "{\"format\":\"orderly-snapshot/1\",\"host\":\"ec1\"}"),
            ("2026-01-02T00-00-00Z", "{\"format\":\"orderly-snapshot/1\",\"host\":\"ec2\",\"entries\":[\n]}"),
            ("2026-01-03T00-00-00Z.incomplete", "{}"),
        ] {
            std::fs::create_dir_all(backup.directory.join(name)).unwrap();
            std::fs::write(backup.directory.join(name).join("manifest.json"), manifest).unwrap();
        }
        let found = whole_snapshots(&backup).unwrap();
        assert_eq!(found.iter().map(|s| s.host.as_str()).collect::<Vec<_>>(), ["ec2", "ec1"]);
        std::fs::write(backup.directory.join("2026-01-01T00-00-00Z/manifest.json"), "{").unwrap();
        assert!(whole_snapshots(&backup).is_err());
    }
}
