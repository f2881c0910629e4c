//! The release records that this host made and used.

use crate::action::Action;
use crate::config::Config;
use crate::ledger::Ledger;
use orderly_exec::{files, paths};
use orderly_plan::release::Release;
use orderly_plan::step::Plan;
use std::path::PathBuf;

/// Returns where this host keeps the last release record it made.
pub fn record_path() -> PathBuf {
    paths::state_directory().join("release.json")
}

/// Returns the last record that this host made, if it can be read.
pub fn own_record(config: &Config) -> Option<Release> {
    let files::Found::Text(text) = files::read_if_there(&record_path()).ok()? else { return None };
    Release::read(&text).ok().filter(|record| record.maker.host == config.own.name)
}

/// Returns the snapshots that this host's last release record names, and its ledger: a takeover may need them, to
/// restore one or to compare with it.
pub fn recorded_snapshots() -> std::collections::BTreeSet<String> {
    let text = match files::read_if_there(&record_path()) {
        Ok(files::Found::Text(text)) => Some(text),
        Ok(files::Found::Missing) | Err(_) => None,
    };
    let recorded = text.and_then(|text| Release::read(&text).ok()).and_then(|record| record.naming.snapshot);
    let ledger = Ledger::read().unwrap_or_default();
    let source = ledger.source.map(|source| source.id);
    let restored = ledger.restores.last.map(|restored| restored.snapshot);
    recorded.into_iter().chain(source).chain(restored).collect()
}

/// Writes a record to the state folder.
///
/// # Errors
/// When the local disk does not take it.
pub fn keep_record(release: &Release) -> anyhow::Result<()> {
    let path = record_path();
    if let Some(folder) = path.parent() {
        files::private_directory(folder)?;
    }
    files::replace(&path, format!("{}\n", release.line()).as_bytes())
}

/// How many release records are remembered as used; a host has hardly more than that in its life.
const REMEMBERED: usize = 10_000;

/// Tells whether this host took the asset by this release record before.
///
/// # Errors
/// Rejected (3) when what was kept of it is damaged.
pub fn is_used_up(checksum: &str) -> anyhow::Result<bool> {
    Ok(used_records()?.lines().any(|line| line == checksum))
}

/// Remembers the release record by which a completed takeover took the asset. Before its journal is
/// closed: who is killed in between remembers it when the run is finished.
///
/// # Errors
/// When the local disk does not take it.
pub fn use_up(plan: &Plan<Action>) -> anyhow::Result<()> {
    let of_record = plan
        .steps
        .iter()
        .find_map(|step| if let Action::Compare { record, .. } = &step.action { Some(record) } else { None });
    let Some(record) = of_record else { return Ok(()) };
    let before = used_records()?;
    let mut lines: Vec<&str> = before.lines().filter(|line| line != record).collect();
    lines.push(record);
    let first = lines.len().saturating_sub(REMEMBERED);
    files::replace(&used_path(), format!("{}\n", lines[first..].join("\n")).as_bytes())
}

fn used_records() -> anyhow::Result<String> {
    match files::read_if_there(&used_path())? {
        files::Found::Missing => Ok(String::new()),
        files::Found::Text(text) => Ok(text),
    }
}

fn used_path() -> PathBuf {
    paths::state_directory().join("used-records")
}
