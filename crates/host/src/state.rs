//! Whose state folder it is: the journals and records in it are of one configuration, never of two.
//!
//! A second asset that used the same folder would finish the first one's runs and replace its record,
//! by which alone the first may be taken back.

use crate::config::Config;
use anyhow::Context;
use orderly_exec::files::{self, Found};
use orderly_exec::paths;
use orderly_exec::{OrStatus, Status, fail};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const FORMAT: &str = "orderly-owner/1";

/// What the folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FolderOwner {
    format: String,
    configuration: PathBuf,
    /// The asset as people know it, or what identifies it.
    asset: String,
}

impl FolderOwner {
    fn new(config: &Config) -> Self {
        let path = std::fs::canonicalize(&config.path).unwrap_or_else(|_| config.path.clone());
        Self { format: FORMAT.to_owned(), configuration: path, asset: config.open_asset().known_as() }
    }

    /// A configuration that was moved is told by its asset, and one whose asset has another name now by its
    /// path.
    fn is_of(&self, other: &Self) -> bool {
        self.configuration == other.configuration || self.asset == other.asset
    }
}

/// Insists that the state folder is a folder, and that it belongs to no other configuration.
///
/// # Errors
/// Refused (4), with the remedy.
pub fn insist_on_own(config: &Config) -> anyhow::Result<()> {
    let folder = paths::state_directory();
    if folder.symlink_metadata().is_ok() && !folder.is_dir() {
        let why = format!(
            "the state directory {} is no directory, or a link to none; remove it, or name another one in ORDERLY_STATE_DIR",
            folder.display()
        );
        return Err(fail(Status::Refused, why));
    }
    let own = FolderOwner::new(config);
    match read()? {
        Some(owner) if !owner.is_of(&own) => Err(fail(
            Status::Refused,
            format!(
                "the state directory {} belongs to {} (asset {}); give {} one of its own (ORDERLY_STATE_DIR), or, where \
                 the other is used no more, remove {}",
                folder.display(),
                owner.configuration.display(),
                owner.asset,
                own.configuration.display(),
                path().display()
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// What a hand-over writes to the state folder beside its lock.
const WRITTEN: [&str; 10] = [
    "owner.json",
    "ledger.json",
    "release.json",
    "proved.json",
    "used-records",
    "mark-before-take",
    ".orderly-intent",
    ".orderly-holder",
    "ha-release.journal.last",
    "ha-takeover.journal.last",
];

/// Insists that every file that a hand-over writes to the state folder can be one: a record that cannot be kept would
/// be found out once the asset is gone.
///
/// # Errors
/// Refused (4), naming each that is a directory.
pub fn insist_on_files() -> anyhow::Result<()> {
    let paths = WRITTEN.iter().map(|name| paths::state_directory().join(name));
    let is_folder = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let said: Vec<String> = paths
        .filter(is_folder)
        .map(|path| {
            format!("{} is a directory, and a hand-over writes a file there; remove it", path.display())
        })
        .collect();
    if said.is_empty() { Ok(()) } else { Err(fail(Status::Refused, said.join("\n"))) }
}

/// Notes whose the state folder is; for a run that holds the lock.
///
/// # Errors
/// Refused (4) when it belongs to another configuration by now, or takes no file.
pub fn claim(config: &Config) -> anyhow::Result<()> {
    insist_on_own(config)?;
    let own = FolderOwner::new(config);
    if read()?.as_ref() == Some(&own) {
        return Ok(());
    }
    files::replace(&path(), format!("{}\n", serde_json::to_string(&own)?).as_bytes())
        .or_status(Status::Refused)
}

fn read() -> anyhow::Result<Option<FolderOwner>> {
    let Found::Text(text) = files::read_if_there(&path())? else { return Ok(None) };
    let owner = serde_json::from_str(&text)
        .with_context(|| format!("read {}; look at it, and remove it", path().display()))
        .or_status(Status::Rejected)?;
    Ok(Some(owner))
}

fn path() -> PathBuf {
    paths::state_directory().join("owner.json")
}
