//! Which snapshot and which paths are meant by the operands.

use crate::id::SnapshotName;
use crate::path_bytes::PathBytes;
use crate::store::{LATEST, Store};
use orderly_exec::{Status, fail};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The operands, told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Words that are no paths.
    pub names: Vec<String>,
    pub paths: Vec<PathBytes>,
}

/// Tells the operands apart: what begins with `/` is a path.
///
/// # Errors
/// Usage (2): a path with empty, `.` or `..` parts, a name that is not text.
pub fn read(operands: &[OsString]) -> anyhow::Result<Choice> {
    let mut choice = Choice::default();
    for operand in operands {
        let bytes = operand.as_bytes();
        if bytes.starts_with(b"/") {
            let path = PathBytes::new(trim_slashes(bytes));
            if !path.is_plain_path() {
                return Err(fail(Status::Usage, format!("\"{path}\" is not a plain absolute path")));
            }
            choice.paths.push(path);
        } else if let (Some(name), true) = (operand.to_str(), choice.paths.is_empty()) {
            choice.names.push(name.to_owned());
        } else {
            let shown = operand.to_string_lossy();
            return Err(fail(
                Status::Usage,
                format!("\"{shown}\": paths are absolute, and snapshots are named before them"),
            ));
        }
    }
    Ok(choice)
}

fn trim_slashes(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    &bytes[..end]
}

/// Returns the snapshot that a name means; without a name, the newest whole one, made by `made_by`
/// when that is given.
///
/// # Errors
/// Refused (4) when there is none, or a copy was not finished; usage (2) when the name is none.
pub fn snapshot(store: &Store, name: Option<&str>, made_by: Option<&str>) -> anyhow::Result<SnapshotName> {
    match name {
        None | Some(LATEST) => store.insist_on_end().and_then(|()| newest(store, made_by)),
        Some(name) => named(store, name),
    }
}

fn named(store: &Store, name: &str) -> anyhow::Result<SnapshotName> {
    let Some(wanted) = SnapshotName::parse(name) else {
        return Err(fail(
            Status::Usage,
            format!("\"{name}\" is no snapshot's ID (like 2026-01-02T03-04-05Z; see --list)"),
        ));
    };
    let snapshots = store.snapshots()?;
    if snapshots.contains(&wanted) {
        return Ok(wanted);
    }
    let shown: Vec<String> = snapshots.iter().map(ToString::to_string).collect();
    let hint = orderly_plan::suggest::nearest(name, shown.iter().map(String::as_str));
    let hint = hint.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    Err(fail(
        Status::Refused,
        format!("there is no snapshot {wanted} in {}{hint}; see --list", store.path().display()),
    ))
}

fn newest(store: &Store, made_by: Option<&str>) -> anyhow::Result<SnapshotName> {
    let mut by_others = Vec::new();
    for name in store.snapshots()?.into_iter().rev().filter(|name| name.whole) {
        let Some(wanted) = made_by else { return Ok(name) };
        // One that cannot be read is not passed over in silence: it may be the one that is meant.
        let host =
            store.manifest(name).map_err(|error| error.context(Status::Rejected))?.header().host.clone();
        if host == wanted {
            return Ok(name);
        }
        by_others.push(format!("{name} is {host}'s"));
    }
    let whose = made_by.map_or_else(String::new, |host| format!(" made by {host}"));
    by_others.truncate(3);
    let others =
        if by_others.is_empty() { String::new() } else { format!(" ({}, …)", by_others.join(", ")) };
    Err(fail(
        Status::Refused,
        format!("there is no whole snapshot{whose} in {}{others}", store.path().display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_names_then_paths() {
        let read = |words: &[&str]| read(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let choice = read(&["latest", "/etc/a/", "/b"]).unwrap();
        assert_eq!(choice.names, ["latest"]);
        assert_eq!(choice.paths, ["/etc/a", "/b"].map(PathBytes::from));
        for wrong in [&["/a", "latest"][..], &["/a/../b"], &["/"], &["/a//b"]] {
            assert_eq!(read(wrong).unwrap_err().downcast_ref(), Some(&Status::Usage), "{wrong:?}");
        }
    }
}
