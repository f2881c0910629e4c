//! Passwords of controllers: in a file that only its owner can read, never in `cluster.toml` or on a command line.

use anyhow::Context;
use orderly_exec::files;
use orderly_exec::settings::Table;
use std::path::Path;

/// Rejects a password that is written into `cluster.toml`, without showing it.
pub(super) fn reject_written(table: &Table<'_>) {
    if table.has("password") {
        let clause = "is not written here; put it into a file of mode 0600, and name that in password_file";
        table.reject_unshown("password", format!("{}: {clause}", table.named("password")));
    }
}

/// Returns the password, the first line of its file.
///
/// # Errors
/// When it cannot be read any more.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    let text = files::read(file)
        .context("the password of the controllers is gone (put the file of power.password_file back)")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
