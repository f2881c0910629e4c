//! What restoring did or would do, for people and for programs.

use crate::comparison::{Aspect, Change, Comparison, Item};
use crate::id::SnapshotName;
use crate::manifest::Header;
use crate::verbatim::Verbatim;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, clock};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `--restore --json`, `--undo --json` and `--diff ID live --json` print.
#[derive(Debug, Serialize)]
pub struct Report {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    unchanged: usize,
    updated: usize,
    new: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<PathBuf>,
    changes: Vec<Line>,
}

/// One path that differs.
#[derive(Debug, Serialize)]
struct Line {
    path: Verbatim,
    change: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<Aspect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Report {
    /// Returns the report of a restore, done or only compared.
    pub fn of_restore(
        status: Status,
        name: SnapshotName,
        header: &Header,
        comparison: &Comparison,
        saved: Option<&Path>,
    ) -> Self {
        let (unchanged, updated, new) = comparison.counts();
        let mut changes: Vec<Line> = comparison.items.iter().filter_map(line).collect();
        changes.extend(comparison.extra.iter().map(|path| Line {
            path: path.clone(),
            change: "extra",
            differs: Vec::new(),
            reason: None,
        }));
        Self {
            format: "orderly-restore/1",
            record: "report",
            status: status.word(),
            time: clock::now(),
            snapshot: name.to_string(),
            made_by: Some(header.host.clone()),
            unchanged,
            updated,
            new,
            saved: saved.map(Path::to_owned),
            changes,
        }
    }

    /// Returns the report of an undo.
    pub fn of_undo(status: Status, snapshot: &str) -> Self {
        Self {
            format: "orderly-restore/1",
            record: "undo",
            status: status.word(),
            time: clock::now(),
            snapshot: snapshot.to_owned(),
            made_by: None,
            unchanged: 0,
            updated: 0,
            new: 0,
            saved: None,
            changes: Vec::new(),
        }
    }
}

fn line(item: &Item) -> Option<Line> {
    let (change, differs, reason) = match &item.change {
        Change::Unchanged => return None,
        Change::Updated(aspects) => ("updated", aspects.clone(), None),
        Change::New => ("new", Vec::new(), None),
        Change::Conflict(why) => ("conflict", Vec::new(), Some(why.clone())),
        Change::Skipped(why) => ("skipped", Vec::new(), Some(why.clone())),
    };
    Some(Line { path: item.entry.path.clone(), change, differs, reason })
}

/// Shows a comparison to people, what changes line by line.
pub fn show(comparison: &Comparison, reporter: &mut Reporter) {
    for item in &comparison.items {
        let path = &item.entry.path;
        match &item.change {
            Change::Unchanged => reporter.detail(format!("unchanged {path}")),
            Change::Updated(aspects) => {
                reporter.message(&format!("updated {} ({})", shown(path), words(aspects)));
            }
            Change::New => reporter.message(&format!("new {}", shown(path))),
            Change::Conflict(why) => reporter.message(&format!("conflict {}: {why}", shown(path))),
            Change::Skipped(why) => reporter.message(&format!("skipped {}: {why}", shown(path))),
        }
    }
    for path in &comparison.extra {
        reporter.message(&format!("extra {}", shown(path)));
    }
    let (unchanged, updated, new) = comparison.counts();
    let extra = comparison.extra.len();
    reporter.message(&format!("{unchanged} unchanged, {updated} updated, {new} new, {extra} extra"));
}

/// Returns the words for aspects, as a list.
pub fn words(aspects: &[Aspect]) -> String {
    aspects.iter().map(|aspect| aspect.word()).collect::<Vec<_>>().join(", ")
}

/// Returns a path with nothing in it that moves a cursor.
pub fn shown(path: &Verbatim) -> String {
    orderly_exec::reporter::printable(&path.to_string())
}
