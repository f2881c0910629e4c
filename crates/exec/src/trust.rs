//! Who can change what a run believes: a file, the directories above it, and a program it starts.

use crate::status::{OrStatus, Status, fail};
use anyhow::Context;
use nix::unistd::{Gid, Group, Uid, User};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const STICKY: u32 = 0o1000;

/// Checks that nobody but root, or the user who runs this, can change a file or put another in its
/// place: neither by the file, nor by a directory above it, nor by a link on the way. Directories with the
/// sticky bit pass, and the private group of the owner is not others. What is missing is no concern here.
///
/// # Errors
/// Rejected (3), with the remedy.
pub fn check_only_owner_changes(path: &Path) -> anyhow::Result<()> {
    let named = std::path::absolute(path)
        .with_context(|| format!("find {}", path.display()))
        .or_status(Status::Rejected)?;
    let Ok(real) = fs::canonicalize(&named) else { return Ok(()) };
    let mut wrong = fs::metadata(&real).ok().and_then(|found| {
        let clause = objection(&found, false)?;
        Some(if real == named { clause } else { format!("{} (a link): {clause}", real.display()) })
    });
    for way in [&named, &real] {
        if let Ok(link) = fs::symlink_metadata(way)
            && !is_trusted(link.uid())
        {
            wrong.get_or_insert_with(|| "the link belongs to another user; chown -h root it".to_owned());
        }
        for above in way.ancestors().skip(1) {
            let clause = fs::metadata(above).ok().and_then(|found| objection(&found, true));
            let clause = clause.map(|clause| format!("the directory {}: {clause}", above.display()));
            wrong = wrong.or(clause);
        }
    }
    match wrong {
        None => Ok(()),
        Some(clause) => Err(fail(Status::Rejected, format!("{}: {clause}", path.display()))),
    }
}

/// Returns why what is found there could be changed by others.
fn objection(found: &Metadata, is_directory: bool) -> Option<String> {
    if !is_trusted(found.uid()) {
        return Some("belongs to another user; chown root it".to_owned());
    }
    if is_directory && found.mode() & STICKY != 0 {
        return None;
    }
    let by_group = found.mode() & 0o020 != 0 && !is_private(found.gid(), found.uid());
    (by_group || found.mode() & 0o002 != 0)
        .then(|| "others can write it, and it says what is run as root; chmod go-w it".to_owned())
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

/// Tells whether a group is that of one user alone: of the same name, and with no other member.
fn is_private(gid: u32, uid: u32) -> bool {
    let (Ok(Some(group)), Ok(Some(user))) =
        (Group::from_gid(Gid::from_raw(gid)), User::from_uid(Uid::from_raw(uid)))
    else {
        return false;
    };
    group.name == user.name && user.gid == group.gid && group.mem.iter().all(|member| *member == user.name)
}

/// Returns where a program is: as it is named where that is a path, else the first in the search path.
pub fn find_program(name: &OsStr) -> Option<OsString> {
    let can_run = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.as_encoded_bytes().contains(&b'/') {
        return can_run(Path::new(name)).then(|| name.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| !name.is_empty() && can_run(program))
        .map(std::path::PathBuf::into_os_string)
}

/// Checks that a program is there and that nobody else can change it.
///
/// # Errors
/// Rejected (3), with the remedy.
pub fn check_program(name: &OsStr) -> anyhow::Result<()> {
    match find_program(name) {
        Some(program) => check_only_owner_changes(Path::new(&program)),
        None => {
            let place = if name.as_encoded_bytes().contains(&b'/') { "" } else { " in PATH" };
            let name = name.to_string_lossy();
            Err(fail(
                Status::Rejected,
                format!("{name}: there is no such program{place}; install it, or name another"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_can_change_is_rejected_with_its_place_wherever_on_the_way_they_can() {
        let dir = tempfile::tempdir().unwrap();
        let (above, file) = (dir.path().join("above"), dir.path().join("above/file"));
        fs::create_dir(&above).unwrap();
        fs::write(&file, "").unwrap();
        chmod(&file, 0o644);
        chmod(&above, 0o755);
        check_only_owner_changes(&file).unwrap();
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        for (path, mode, ok) in [(&file, 0o646, false), (&above, 0o757, false), (&above, 0o1777, true)] {
            chmod(path, mode);
            for named in [&file, &link] {
                let said = check_only_owner_changes(named).map_err(|error| format!("{error:#}"));
                assert_eq!(said.is_ok(), ok, "{mode:o}: {said:?}");
                assert!(said.err().is_none_or(|said| said.contains("chmod go-w it")));
            }
            chmod(path, if path == &file { 0o644 } else { 0o755 });
        }
        check_only_owner_changes(&dir.path().join("missing")).unwrap();
    }

    #[test]
    fn a_group_with_nobody_else_in_it_is_not_others() {
        let me = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let group = Group::from_gid(me.gid).unwrap().unwrap();
        let alone = group.name == me.name && group.mem.iter().all(|member| *member == me.name);
        assert_eq!(is_private(me.gid.as_raw(), me.uid.as_raw()), alone);
        assert!(!is_private(u32::MAX - 1, me.uid.as_raw()));
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be_missing() {
        check_program(OsStr::new("sh")).unwrap();
        for name in ["no-such-program-anywhere", "/no/such", ""] {
            let said = format!("{:#}", check_program(OsStr::new(name)).unwrap_err());
            assert!(said.contains("there is no such program"), "{said}");
        }
    }
}
