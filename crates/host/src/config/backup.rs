//! `[backup]`: what `habackup` saves, where, and how long.

use crate::asset::MountTable;
use crate::config::ShareTable;
use crate::config::limits::MINUTE;
use crate::config::loopback::insist_on_asset;
use crate::exclude;
use crate::platform::Argv;
use orderly_exec::settings::Table;
use serde::Serialize;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What `habackup` keeps, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupTable {
    pub directory: PathBuf,
    pub include: Vec<PathBuf>,
    pub optional: Vec<PathBuf>,
    pub exclude: Vec<String>,
    pub keep: Keep,
    pub max_age: Duration,
    pub require_services: bool,
    pub timeout: Duration,
    /// Run before a snapshot; where one fails there is none.
    pub before: Vec<Argv>,
    /// Run after it, whatever became of it.
    pub after: Vec<Argv>,
    /// How long each of those may take.
    pub command_timeout: Duration,
}

/// How many snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    Last(u64),
    Spread { hourly: u64, daily: u64, weekly: u64 },
}

/// Reads `[backup]`.
pub(crate) fn read(table: Table<'_>, mounts: &[MountTable], shares: &[ShareTable]) -> Option<BackupTable> {
    table.need("directory");
    let directory = table.absolute_path("directory");
    if let Some(directory) = &directory {
        insist_on_asset(&table, "directory", directory, mounts, &[]);
        if let Some(share) = shares.iter().find(|share| directory.starts_with(&share.path)) {
            let message = format!(
                "{}: lies under the exported {}, and snapshots hold what only root may read",
                table.named("directory"),
                share.path.display()
            );
            table.reject("directory", message);
        }
    }
    table.need("include");
    let include = absolute_paths(&table, "include");
    let optional = absolute_paths(&table, "optional");
    let exclude = read_exclude(&table, &include, &optional);
    let keep = read_keep(&table);
    let [before, after] = ["before", "after"].map(|key| table.argvs(key).unwrap_or_default());
    for key in
        ["command_timeout"].into_iter().filter(|key| table.has(key) && before.is_empty() && after.is_empty())
    {
        table.reject(key, format!("{}: there is neither before nor after", table.named(key)));
    }
    let backup = directory.map(|directory| BackupTable {
        directory,
        include,
        optional,
        exclude,
        keep,
        max_age: table.duration("max_age").unwrap_or(120 * MINUTE),
        require_services: table.flag("require_services").unwrap_or(true),
        timeout: table.limit("timeout").unwrap_or(60 * MINUTE),
        before,
        after,
        command_timeout: table.limit("command_timeout").unwrap_or(10 * MINUTE),
    });
    table.end();
    backup
}

/// Reads the patterns of what is left out; one that can match nothing is a slip of the pen, and what it was to leave out
/// would be in every snapshot.
fn read_exclude(table: &Table<'_>, include: &[PathBuf], optional: &[PathBuf]) -> Vec<String> {
    let patterns = table.texts("exclude").unwrap_or_default();
    let sources: Vec<&Path> = include.iter().chain(optional).map(PathBuf::as_path).collect();
    for (number, why) in exclude::faults(&patterns, &sources) {
        let message = format!("{}: \"{}\" {why}", table.named("exclude"), patterns[number]);
        table.reject_item("exclude", number, message);
    }
    patterns
}

fn read_keep(table: &Table<'_>) -> Keep {
    let spread = ["hourly", "daily", "weekly"].map(|key| (table.has(key), table.number(key).unwrap_or(0)));
    let keep = table.number("keep");
    if spread.iter().any(|(there, _)| *there) {
        if table.has("keep") {
            table.reject(
                "keep",
                format!("{}: stands instead of hourly, daily and weekly", table.named("keep")),
            );
        }
        let [(_, hourly), (_, daily), (_, weekly)] = spread;
        return Keep::Spread { hourly, daily, weekly };
    }
    if keep == Some(0) {
        table.reject("keep", format!("{}: at least 1, or no snapshot would stay", table.named("keep")));
    }
    Keep::Last(keep.unwrap_or(48))
}

fn absolute_paths(table: &Table<'_>, key: &'static str) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = table.texts(key).unwrap_or_default().into_iter().map(PathBuf::from).collect();
    for path in &paths {
        if !is_plain(path) {
            table.reject(
                key,
                format!("{}: {} must be an absolute path without \"..\"", table.named(key), path.display()),
            );
        }
    }
    paths
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}
