//! `[[asset.mount]]`: where the asset is mounted.

use orderly_exec::settings::Table;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One mount of the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountTable {
    /// What is mounted, where the kind does not say it.
    pub volume: Option<String>,
    pub at: PathBuf,
    pub fstype: Option<String>,
    pub options: Option<String>,
}

impl MountTable {
    /// Tells whether its options ask for a mount that nothing is written to.
    pub fn is_read_only(&self) -> bool {
        self.options.as_deref().is_some_and(asks_read_only)
    }
}

/// Tells whether options of mount(8) ask for a read-only mount; the last word counts.
pub(crate) fn asks_read_only(options: &str) -> bool {
    options.split(',').map(str::trim).rfind(|option| ["ro", "rw"].contains(option)) == Some("ro")
}

/// Reads every `[[asset.mount]]`.
pub(crate) fn read_mounts(table: &Table<'_>) -> Vec<MountTable> {
    let mut mounts: Vec<MountTable> = Vec::new();
    for entry in table.tables("mount") {
        entry.need("at");
        let (volume, fstype, options) = (entry.text("volume"), entry.text("fstype"), entry.text("options"));
        if let Some(at) = entry.absolute_path("at") {
            if at == Path::new("/") || mounts.iter().any(|mount| mount.at == at) {
                entry.reject("at", format!("{}: {} is taken", entry.named("at"), at.display()));
            }
            mounts.push(MountTable { volume, at, fstype, options });
        }
        entry.end();
    }
    mounts
}
