//! `--metrics FILE`: how backups stand, for Prometheus' textfile collector.
//!
//! Written at the end of a run, however it ends, by what is in the directory of snapshots then: a backup that fails
//! leaves an age that grows and a problem, never the figures of the last success.

use crate::args::{Args, Mode};
use crate::id::moment_ns;
use crate::list::age;
use crate::manifest::{ManifestHeader, Trailer};
use crate::preconditions::{Held, Preconditions};
use crate::store::Store;
use anyhow::Context;
use orderly_exec::runner::Runner;
use orderly_exec::{OrStatus, Status, files};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the file says.
#[derive(Debug, Default, PartialEq)]
struct BackupMetrics {
    /// Its name; empty where the configuration cannot be read.
    asset: String,
    /// Of the newest whole snapshot; none where there is none, or a clock puts it into the future.
    age: Option<Duration>,
    bytes: u64,
    files: u64,
    problems: u64,
    duration: Duration,
}

/// Insists that the file can be replaced when the run is over.
///
/// # Errors
/// Refused (4).
pub fn insist_on_place(file: &Path) -> anyhow::Result<()> {
    files::check_replaceable(file).context("write the metrics").or_status(Status::Refused)
}

/// Writes the file by how a run ended that began at `began`.
///
/// # Errors
/// When it cannot be replaced.
pub fn write(
    file: &Path,
    args: &Args,
    mode: Mode,
    began: Instant,
    done: &anyhow::Result<Status>,
    runner: &mut Runner,
) -> anyhow::Result<()> {
    let text = match look(args, mode, done, runner) {
        Some(metrics) if mode == Mode::Take => BackupMetrics { duration: began.elapsed(), ..metrics }.text(),
        Some(metrics) => metrics.text(),
        // What was true while it was held here is not what the other host's file says by now.
        None => "# The asset is not held by this host.\n".to_owned(),
    };
    files::replace_with_mode(file, text.as_bytes(), 0o644).context("write the metrics")
}

/// Looks at what there is; `None` on the host that provably does not hold the asset, where that is no failure.
fn look(
    args: &Args,
    mode: Mode,
    done: &anyhow::Result<Status>,
    runner: &mut Runner,
) -> Option<BackupMetrics> {
    let mut metrics = BackupMetrics { problems: u64::from(done.is_err()), ..BackupMetrics::default() };
    let Ok(preconditions) = Preconditions::open(args) else { return Some(metrics) };
    metrics.asset = preconditions.title();
    let held = preconditions.held(runner);
    if args.if_held && done.is_ok() && matches!(held, Ok(Held::No(_))) {
        return None;
    }
    let store =
        preconditions.insist_on_held(runner).and_then(|()| Store::open(&preconditions.backup.directory));
    if let Ok(store) = store {
        metrics.note(&store);
    }
    if mode == Mode::Take && !matches!(done, Ok(Status::Done)) {
        metrics.problems = metrics.problems.max(1);
    }
    Some(metrics)
}

impl BackupMetrics {
    fn note(&mut self, store: &Store) {
        let Ok(names) = store.snapshots() else { return };
        let newest = names.last().filter(|name| !name.whole);
        if let Some((_, trailer)) = newest.and_then(|name| store.ends(*name).ok()) {
            self.problems = self.problems.max(trailer.problems.len() as u64);
        }
        match names.iter().rfind(|name| name.whole).map(|name| store.ends(*name)) {
            None => {}
            Some(Ok((header, trailer))) => self.note_ends(&header, &trailer),
            Some(Err(_)) => self.problems = self.problems.max(1),
        }
    }

    fn note_ends(&mut self, header: &ManifestHeader, trailer: &Trailer) {
        self.age = age(&header.started);
        (self.bytes, self.files) = (trailer.totals.bytes, trailer.totals.files);
        let took = moment_ns(&trailer.finished).and_then(|end| Ok(end - moment_ns(&header.started)?));
        self.duration =
            took.ok().and_then(|took| u64::try_from(took).ok()).map_or(Duration::ZERO, Duration::from_nanos);
    }

    /// Returns the text format of Prometheus.
    fn text(&self) -> String {
        let asset = self.asset.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = if asset.is_empty() { String::new() } else { format!("{{asset=\"{asset}\"}}") };
        let age = self.age.map_or_else(|| "+Inf".to_owned(), |age| age.as_secs().to_string());
        let duration = format!("{:.3}", self.duration.as_secs_f64());
        let mut text = String::new();
        for (name, help, value) in [
            ("age_seconds", "Age of the newest whole snapshot; +Inf where there is none.", age),
            ("size_bytes", "Size of all files in the newest whole snapshot.", self.bytes.to_string()),
            ("files", "Files in the newest whole snapshot.", self.files.to_string()),
            ("problems", "Problems of the last run and of the newest snapshot.", self.problems.to_string()),
            ("duration_seconds", "How long the last run took, or the newest whole snapshot.", duration),
        ] {
            let name = format!("orderly_backup_{name}");
            // Writing to a text never fails.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_known_is_never_a_fresh_backup() {
        let text = BackupMetrics::default().text();
        assert!(text.contains("\norderly_backup_age_seconds +Inf\n"), "{text}");
        let metrics = BackupMetrics {
            asset: "a\"b\\c\nd".into(),
            age: Some(Duration::from_millis(7_900)),
            duration: Duration::from_millis(1_500),
            ..BackupMetrics::default()
        };
        let text = metrics.text();
        assert!(text.contains("orderly_backup_age_seconds{asset=\"a\\\"b\\\\c\\nd\"} 7\n"), "{text}");
        assert!(
            text.ends_with("orderly_backup_duration_seconds{asset=\"a\\\"b\\\\c\\nd\"} 1.500\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 15);
    }
}
