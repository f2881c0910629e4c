//! The `[asset]` table: what changes hands, by kind, and where it is mounted.

use super::limits::MINUTE;
use crate::asset::{AssetKind, KindKeys, MountTable, read_mounts};
use crate::platform::{Argv, Platform};
use orderly_exec::settings::Table;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What is said about the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetTable {
    pub kind: AssetKind,
    pub timeout: Duration,
    /// Run in order before the asset is taken.
    pub before_take: Vec<Argv>,
    /// Run in order after the asset was let go.
    pub after_release: Vec<Argv>,
    /// What physically detaches it.
    pub detach: Option<Argv>,
    /// In mount order.
    pub mounts: Vec<MountTable>,
}

impl AssetTable {
    /// Tells whether the asset has mounts, and nothing is to be written to any of them.
    pub fn is_read_only(&self) -> bool {
        !self.mounts.is_empty() && self.mounts.iter().all(MountTable::is_read_only)
    }

    /// Tells whether a place lies within a mount of the asset, and so is there only while it is mounted.
    pub fn has_within(&self, at: &Path) -> bool {
        self.mounts.iter().any(|mount| mount.at != at && at.starts_with(&mount.at))
    }
}

/// Reads `[asset]` and remembers what is wrong with it.
pub(super) fn read(root: &Table<'_>, platform: Platform) -> Option<AssetTable> {
    root.need("asset");
    let table = root.table("asset")?;
    table.need("kind");
    let word = table.word("kind", AssetKind::WORDS);
    let mounts = read_mounts(&table);
    // `word` has rejected any other.
    let kind =
        word.and_then(|word| AssetKind::read(word, &KindKeys { table: &table, mounts: &mounts, platform }));
    let asset = kind.map(|kind| AssetTable {
        kind,
        timeout: table.limit("timeout").unwrap_or(2 * MINUTE),
        before_take: table.argvs("before_take").unwrap_or_default(),
        after_release: table.argvs("after_release").unwrap_or_default(),
        detach: table.argv("detach"),
        mounts,
    });
    // A kind that is wrong leaves the keys of its own unasked; calling those unknown would mislead.
    if asset.is_some() {
        table.end();
    }
    asset
}
