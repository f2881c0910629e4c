//! `[[loopback]]`: folders of the asset that are mounted elsewhere, too.

use super::limits::MINUTE;
use crate::asset::MountTable;
use orderly_exec::settings::Table;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One `[[loopback]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoopbackTable {
    pub source: PathBuf,
    pub at: PathBuf,
    pub timeout: Duration,
}

/// Reads every `[[loopback]]`.
pub(super) fn read_all(root: &Table<'_>, mounts: &[MountTable]) -> Vec<LoopbackTable> {
    let mut loopbacks: Vec<LoopbackTable> = Vec::new();
    for table in root.tables("loopback") {
        table.need("source");
        table.need("at");
        let (source, at) = (table.absolute_path("source"), table.absolute_path("at"));
        if let Some(source) = &source {
            insist_on_asset(&table, "source", source, mounts, &[]);
        }
        if let Some(at) = &at {
            if loopbacks.iter().any(|other| other.at == *at) || mounts.iter().any(|mount| mount.at == *at) {
                table.reject(
                    "at",
                    format!("{}: something else is mounted at {}", table.named("at"), at.display()),
                );
            }
        }
        let timeout = table.limit("timeout").unwrap_or(MINUTE);
        if let (Some(source), Some(at)) = (source, at) {
            loopbacks.push(LoopbackTable { source, at, timeout });
        }
        table.end();
    }
    loopbacks
}

/// What moves with the asset must lie on it, or it would stay behind with the wrong host.
pub(crate) fn insist_on_asset(
    table: &Table<'_>,
    key: &'static str,
    path: &Path,
    mounts: &[MountTable],
    loopbacks: &[LoopbackTable],
) {
    let mut places =
        mounts.iter().map(|mount| &mount.at).chain(loopbacks.iter().map(|loopback| &loopback.at));
    if !mounts.is_empty() && !places.any(|at| path.starts_with(at)) {
        let message = format!(
            "{}: {} is not on the asset; no [[asset.mount]] is at or above it",
            table.named(key),
            path.display()
        );
        table.reject(key, message);
    }
}
