//! What is written: to standard output, or a file replaced as a whole.

use anyhow::Context;
use orderly_exec::{OrStatus, Status, fail, files};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Writes data to standard output. A reader that has gone away wants no more of it, which is no
/// failure; a full disk is one.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to standard output").or_status(Status::Failed),
    }
}

/// Replaces a sequence file as a whole; a new one can be read by everybody, like the rest of `/etc`.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let target = resolve(path)?;
    match fs::metadata(&target) {
        Err(error) if error.kind() == ErrorKind::NotFound => files::replace_with_mode(&target, text.as_bytes(), 0o644),
        Err(error) => Err(error).with_context(|| format!("replace {}", path.display())),
        Ok(found) if !found.is_file() => {
            Err(fail(Status::Refused, format!("replace {}: it is no regular file", path.display())))
        }
        // One file under two names is one order, mirrored at shutdown; replacing one of the names
        // would make them two orders without a word.
        Ok(found) if found.nlink() > 1 => Err(fail(
            Status::Refused,
            format!(
                "replace {}: the file has {} names (hard links), which would be separated; remove the others first",
                path.display(),
                found.nlink()
            ),
        )),
        Ok(_) => files::replace(&target, text.as_bytes()),
    }
    .or_else(|error| match error.downcast_ref::<Status>() {
        Some(_) => Err(error),
        None => Err(error).or_status(Status::Failed),
    })
}

/// Returns the file behind a symbolic link, so that the link stays one.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if !is_link {
        return Ok(path.to_owned());
    }
    fs::canonicalize(path)
        .with_context(|| format!("replace {}: follow the link", path.display()))
        .or_status(Status::Refused)
}
