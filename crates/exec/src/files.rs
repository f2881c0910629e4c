//! Reading what people wrote and replacing what we remember: whole files, never half of one.

use crate::room;
use crate::status::{OrStatus, Status, fail};
use anyhow::Context;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The largest input read into memory: a limit against `/dev/zero`, not against clusters.
const INPUT_LIMIT: u64 = 1 << 30;

/// The byte order mark of UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// What stands at a path. Unreadable is an error and never one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Missing,
    Text(String),
}

/// Reads a whole text, keeping missing apart from everything else.
///
/// # Errors
/// Rejected (3) when it exists and cannot be read: a dangling link, a folder, no permission, not
/// UTF-8, larger than 1 GiB.
pub fn read_if_there(path: &Path) -> anyhow::Result<Found> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("read {}", path.display()))
                .or_status(Status::Rejected);
        }
        Ok(_) => {}
    }
    read(path).map(Found::Text)
}

/// Reads a whole text; `-` is standard input.
///
/// # Errors
/// Rejected (3) when it is missing or cannot be read.
pub fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        read_bounded(std::io::stdin().lock(), &mut text).context("read standard input")
    } else {
        File::open(path)
            .and_then(|file| read_bounded(file, &mut text))
            .with_context(|| format!("read {}{}", path.display(), dangling(path)))
    }
    .or_status(Status::Rejected)?;
    Ok(text)
}

fn read_bounded(reader: impl Read, text: &mut String) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    if reader.take(INPUT_LIMIT).read_to_end(&mut bytes)? as u64 == INPUT_LIMIT {
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, "larger than 1 GiB"));
    }
    // Editors on other systems begin files with a mark nobody sees.
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    *text = String::from_utf8(bytes)
        .map_err(|error| std::io::Error::new(ErrorKind::InvalidData, not_utf8(&error)))?;
    Ok(())
}

/// Says where a text ceases to be UTF-8, which people see as a letter like any other.
fn not_utf8(error: &std::string::FromUtf8Error) -> String {
    let at = error.utf8_error().valid_up_to();
    let (good, bad) = error.as_bytes().split_at(at);
    let good = String::from_utf8_lossy(good);
    let line = good.matches('\n').count() + 1;
    let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let byte = bad.first().copied().unwrap_or_default();
    if at == 0 && (error.as_bytes().starts_with(b"\xff\xfe") || error.as_bytes().starts_with(b"\xfe\xff")) {
        return "the file is in UTF-16; iconv -f utf-16 -t utf-8 converts it".to_owned();
    }
    format!(
        "line {line}, column {column}: the byte 0x{byte:02x} is not UTF-8; if the file is in Latin-1, \
         iconv -f latin1 -t utf-8 converts it"
    )
}

fn dangling(path: &Path) -> String {
    match fs::read_link(path) {
        Ok(target) if !path.exists() => format!(" (a link to {}, which is not there)", target.display()),
        _ => String::new(),
    }
}

/// Tells whether two names lead to one file, by a symbolic or a hard link.
pub fn is_same_file(first: &Path, second: &Path) -> bool {
    match (fs::metadata(first), fs::metadata(second)) {
        (Ok(first), Ok(second)) => (first.dev(), first.ino()) == (second.dev(), second.ino()),
        _ => false,
    }
}

/// Checks that a file with a secret is there, and that nobody but its owner can read it or put another in its place.
///
/// # Errors
/// Rejected (3), with the remedy.
pub fn check_only_owner_reads(path: &Path) -> anyhow::Result<()> {
    let found =
        fs::metadata(path).with_context(|| format!("read {}", path.display())).or_status(Status::Rejected)?;
    crate::trust::check_only_owner_changes(path)?;
    if found.mode() & 0o077 != 0 {
        return Err(fail(
            Status::Rejected,
            format!("{}: others can read it, and it holds a password; chmod 600 it", path.display()),
        ));
    }
    Ok(())
}

/// Replaces a file as a whole: beside, write, sync, rename, sync the folder. Mode 0600 unless it
/// replaces a file, whose mode is kept.
///
/// # Errors
/// Names the path and what failed; the old file is then untouched.
pub fn replace(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let mode = fs::metadata(path).map_or(0o600, |found| found.mode() & 0o7777);
    replace_with_mode(path, contents, mode)
}

/// Replaces a file as a whole, with this mode.
///
/// # Errors
/// Names the path and what failed; the old file is then untouched.
pub fn replace_with_mode(path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
    let (folder, beside) = beside(path)?;
    let written = room::with_room(|| {
        // A leftover of a killed run with our process number is ours to remove; create_new then
        // refuses to follow a link somebody put there.
        fs::remove_file(&beside)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(contents)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(&folder)?.sync_all()
    });
    if written.is_err() {
        fs::remove_file(&beside).ok();
    }
    written.with_context(|| format!("replace {}", path.display()))
}

/// Makes sure that a file can be replaced later on: its folder takes another file, and what has its
/// name is a file or nothing. Leaves everything as it was.
///
/// # Errors
/// Names the path and what stands in the way.
pub fn check_replaceable(path: &Path) -> anyhow::Result<()> {
    let attempt = || format!("replace {}", path.display());
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(attempt),
        Ok(found) if found.is_file() => {}
        Ok(found) if found.is_dir() => anyhow::bail!("{}: it is a directory", attempt()),
        Ok(found) if found.is_symlink() => {
            anyhow::bail!("{}: it is a link; name the file itself", attempt());
        }
        // A device, which a file in its place would break for everybody.
        Ok(_) => anyhow::bail!("{}: it is no regular file", attempt()),
    }
    let (_, beside) = beside(path)?;
    let tried = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
    tried.and_then(|_| fs::remove_file(&beside)).with_context(attempt)
}

/// Makes sure that a file can be made in a folder, or in the nearest one above it that is there and in which it
/// would be made; asks the kernel and makes nothing.
///
/// # Errors
/// Names the folder and what stands in the way.
pub fn check_writable(folder: &Path) -> anyhow::Result<()> {
    let there = folder.ancestors().find(|above| fs::symlink_metadata(above).is_ok()).unwrap_or(folder);
    let attempt = || format!("make a file in {}", there.display());
    let found = fs::metadata(there).with_context(attempt)?;
    if !found.is_dir() {
        anyhow::bail!("{}: it is not a directory", attempt());
    }
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    let asked = faccessat(AT_FDCWD, there, wanted, AtFlags::AT_EACCESS);
    asked.map_err(std::io::Error::from).with_context(attempt)
}

/// Returns a file's folder, and the name beside it under which it is written before it is renamed.
fn beside(path: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().with_context(|| format!("replace {}: not a file name", path.display()))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    Ok((folder.to_owned(), folder.join(beside)))
}

/// Appends a line to a file that exists: a regular file with one name, reached through no link.
///
/// # Errors
/// Refused (4) when it is anything else; the file is then untouched.
pub fn append_line(path: &Path, line: &str) -> anyhow::Result<()> {
    let refuse = |why: &str| Err(fail(Status::Refused, format!("append to {}: {why}", path.display())));
    let real = fs::canonicalize(path)
        .with_context(|| format!("append to {}", path.display()))
        .or_status(Status::Refused)?;
    if real != path {
        return refuse("it is reached through a link, or not by its whole path");
    }
    let mut file = OpenOptions::new()
        .append(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)
        .with_context(|| format!("append to {}", path.display()))
        .or_status(Status::Refused)?;
    let found = file.metadata().with_context(|| format!("append to {}", path.display()))?;
    if !found.is_file() {
        return refuse("it is not a regular file");
    }
    if found.nlink() != 1 {
        return refuse("it has another name (a hard link)");
    }
    // One write, so that lines of several programs do not mix.
    file.write_all(format!("{line}\n").as_bytes()).with_context(|| format!("append to {}", path.display()))
}

/// Makes a folder that only its owner can enter (0700), with its parents.
///
/// # Errors
/// Names the folder.
pub fn private_directory(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("make the directory {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first name of a file of targets had it, and so had the password of the controllers.
    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names");
        fs::write(&path, "\u{feff}n1\n\u{feff}n2\n").unwrap();
        assert_eq!(read(&path).unwrap(), "n1\n\u{feff}n2\n");
    }

    #[test]
    fn a_dangling_link_is_unreadable_and_not_missing() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("cstartSeq");
        assert_eq!(read_if_there(&link).unwrap(), Found::Missing);
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let error = read_if_there(&link).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
        assert!(format!("{error:#}").contains("nowhere"), "{error:#}");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("no/such/folder"), b"x").is_err());
    }
}
