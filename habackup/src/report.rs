//! What restoring did or would do, for people and for programs.

use crate::comparison::{Aspect, Change, Comparison, RestoreCounts};
use crate::id::SnapshotName;
use crate::left::Left;
use crate::manifest::{ManifestHeader, Remark};
use crate::path_bytes::PathBytes;
use crate::selection::ChosenEntries;
use orderly_exec::reporter::{Output, Reporter};
use orderly_exec::{Status, clock};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `--restore --json`, `--undo --json` and `--diff ID live --json` print.
#[derive(Debug, Serialize)]
pub struct RestoreReport {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    #[serde(flatten)]
    counts: RestoreCounts,
    /// How many entries are left as they are, because something else has their place.
    left: usize,
    #[serde(flatten)]
    local: LocalChanges,
    changes: Vec<ChangeLine>,
}

/// What was changed on this host alone, and what became of it.
#[derive(Debug, Default, Serialize)]
struct LocalChanges {
    /// What was changed here since the base, and not in the snapshot: it stays.
    kept: Vec<String>,
    /// What was changed both here and in the snapshot since the base; what was here is in `saved`.
    both: Vec<String>,
    /// What was edited since a restore that is undone; it is in `saved`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edited: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<PathBuf>,
}

/// One path that differs.
#[derive(Debug, Serialize)]
pub struct ChangeLine {
    path: PathBytes,
    change: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<Aspect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl RestoreReport {
    /// Returns the report of a restore, done or only compared.
    pub fn of_restore(
        status: Status,
        name: SnapshotName,
        header: &ManifestHeader,
        comparison: &Comparison,
        changes: Vec<ChangeLine>,
        saved: Option<&Path>,
    ) -> Self {
        Self {
            format: "orderly-restore/1",
            record: "report",
            status: status.word(),
            time: clock::now(),
            snapshot: name.to_string(),
            made_by: Some(header.host.clone()),
            counts: comparison.counts,
            left: Left::count(&comparison.left),
            local: LocalChanges {
                kept: comparison.kept.iter().map(shown).collect(),
                both: comparison.both.iter().map(shown).collect(),
                edited: Vec::new(),
                saved: saved.map(Path::to_owned),
            },
            changes,
        }
    }

    /// Returns the report of an undo.
    pub fn of_undo(
        status: Status,
        snapshot: &str,
        left: usize,
        (edited, saved): (&[PathBytes], Option<PathBuf>),
    ) -> Self {
        Self {
            format: "orderly-restore/1",
            record: "undo",
            status: status.word(),
            time: clock::now(),
            snapshot: snapshot.to_owned(),
            made_by: None,
            counts: RestoreCounts::default(),
            left,
            local: LocalChanges {
                edited: edited.iter().map(shown).collect(),
                saved,
                ..LocalChanges::default()
            },
            changes: Vec::new(),
        }
    }
}

impl ChangeLine {
    fn new(path: &PathBytes, change: &'static str, differs: &[Aspect], reason: Option<&str>) -> Self {
        let (path, differs, reason) = (path.clone(), differs.to_owned(), reason.map(str::to_owned));
        Self { path, change, differs, reason }
    }
}

/// Shows a comparison to people, what changes line by line, and returns the same lines for `output`
/// where that is a program's.
///
/// # Errors
/// When the manifest cannot be read to its end.
pub fn show(
    chosen: &mut ChosenEntries<'_>,
    comparison: &Comparison,
    reporter: &mut Reporter,
    output: Output,
) -> anyhow::Result<Vec<ChangeLine>> {
    let mut lines = Vec::new();
    let mut keep = |path: &PathBytes, change, differs: &[Aspect], reason: Option<&str>| {
        if output == Output::Json {
            lines.push(ChangeLine::new(path, change, differs, reason));
        }
    };
    let mut items = comparison.items.iter().peekable();
    let mut pass = chosen.pass()?;
    while let Some((number, entry)) = pass.next_entry()? {
        let path = &entry.path;
        match items.next_if(|item| item.number == number).map(|item| &item.change) {
            None if entry.parent => {}
            None => reporter.detail(format!("unchanged {}", shown(path))),
            Some(Change::Updated(aspects)) => {
                reporter.message(&format!("updated {} ({})", shown(path), words(aspects)));
                keep(path, "updated", aspects, None);
            }
            Some(Change::New) => {
                reporter.message(&format!("new {}", shown(path)));
                keep(path, "new", &[], None);
            }
        }
    }
    for (word, remarks) in [("conflict", &comparison.conflicts), ("skipped", &comparison.skipped)] {
        for Remark { path, reason } in remarks {
            reporter.message(&format!("{word} {}: {reason}", shown(path)));
            keep(path, word, &[], Some(reason.as_str()));
        }
    }
    for left in &comparison.left {
        reporter.message(&format!("left {}: {}", shown(&left.path), left.clause()));
        keep(&left.path, "left", &[], Some(&left.clause()));
    }
    for path in &comparison.kept {
        reporter.message(&format!("kept {}: changed here since, and not in the snapshot", shown(path)));
        keep(path, "kept", &[], None);
    }
    for path in &comparison.both {
        reporter.message(&format!("both {}: changed here and in the snapshot since", shown(path)));
        keep(path, "both", &[], None);
    }
    for path in &comparison.extra {
        reporter.message(&format!("extra {}", shown(path)));
        keep(path, "extra", &[], None);
    }
    let Comparison { counts: RestoreCounts { unchanged, updated, new }, extra, .. } = comparison;
    let extra = extra.len();
    let kept = match comparison.kept.len() {
        0 => String::new(),
        kept => format!(", {kept} kept"),
    };
    reporter.message(&format!("{unchanged} unchanged, {updated} updated, {new} new, {extra} extra{kept}"));
    Ok(lines)
}

/// Returns the words for aspects, as a list.
pub fn words(aspects: &[Aspect]) -> String {
    aspects.iter().map(|aspect| aspect.word()).collect::<Vec<_>>().join(", ")
}

/// Returns a path with nothing in it that moves a cursor.
pub fn shown(path: &PathBytes) -> String {
    orderly_exec::printable(&path.to_string())
}
