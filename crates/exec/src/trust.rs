//! Who can change what a run believes: a file, the directories above it, and a program it starts.

use crate::status::{OrStatus, Status, fail};
use anyhow::Context;
use nix::unistd::{Gid, Group, Uid, User};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

const STICKY: u32 = 0o1000;

/// The extended attribute in which Linux keeps who else may do what with a file.
#[cfg(target_os = "linux")]
const ACCESS_LIST: &str = "system.posix_acl_access";

/// More links than the kernel follows.
const LINKS: usize = 40;

/// Checks that nobody but root, or the user who runs this, can change a file or put another in its
/// place: neither by the file, nor by any directory or link that is passed on the way to it. Directories with the
/// sticky bit pass, and the private group of the owner is not others, unless an access list names more. What is
/// missing is no concern here.
///
/// # Errors
/// Rejected (3), with the remedy, for what is nearest to the file.
pub fn check_only_owner_changes(path: &Path) -> anyhow::Result<()> {
    let named = std::path::absolute(path)
        .with_context(|| format!("find {}", path.display()))
        .or_status(Status::Rejected)?;
    match objection_on_the_way(&named) {
        None => Ok(()),
        Some(clause) => Err(fail(Status::Rejected, format!("{}: {clause}", path.display()))),
    }
}

/// Goes from the root to the file, link by link, as the kernel does; returns what is wrong nearest to the file.
fn objection_on_the_way(named: &Path) -> Option<String> {
    let mut ahead: Vec<OsString> = parts(named);
    let (mut at, mut links, mut wrong) = (PathBuf::from("/"), 0, None);
    loop {
        let Some(part) = ahead.pop() else {
            let found = fs::symlink_metadata(&at).ok()?;
            let shown = if at == named { String::new() } else { format!("{} (a link): ", at.display()) };
            let own = objection(&at, &found, false).map(|clause| format!("{shown}{clause}"));
            return own.or(wrong);
        };
        if let Some(clause) = fs::symlink_metadata(&at).ok().and_then(|found| objection(&at, &found, true)) {
            wrong = Some(format!("the directory {}: {clause}", at.display()));
        }
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let found = fs::symlink_metadata(&next).ok()?;
        if !found.is_symlink() {
            at = next;
            continue;
        }
        if !is_trusted(found.uid()) {
            let next = next.display();
            wrong = Some(format!("the link {next} belongs to another user; chown -h root {next}"));
        }
        links += 1;
        let target = fs::read_link(&next).ok().filter(|_| links <= LINKS)?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        ahead.extend(parts(&target));
    }
}

/// Returns the parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// Returns why what is found there could be changed by others.
fn objection(path: &Path, found: &Metadata, is_directory: bool) -> Option<String> {
    if !is_trusted(found.uid()) {
        return Some("belongs to another user; chown root it".to_owned());
    }
    if is_directory && found.mode() & STICKY != 0 {
        return None;
    }
    let by_group = found.mode() & 0o020 != 0;
    if found.mode() & 0o002 != 0 || by_group && !is_private(found.gid(), found.uid()) {
        return Some("others can write it, and it says what is run as root; chmod go-w it".to_owned());
    }
    // With an access list the bits of the group are the most that any of those named in it may do.
    (by_group && has_access_list(path)).then(|| {
        "its access list lets others write it (getfacl shows them); setfacl -b and chmod go-w it".to_owned()
    })
}

/// Tells whether a file has more of an access list than its mode shows.
#[cfg(target_os = "linux")]
fn has_access_list(path: &Path) -> bool {
    rustix::fs::getxattr_query(path, ACCESS_LIST).is_ok_and(|length| length > 0)
}

#[cfg(not(target_os = "linux"))]
fn has_access_list(_path: &Path) -> bool {
    false
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
        .map(PathBuf::into_os_string)
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
            let package = package(&name).map(|package| format!(" (package {package})")).unwrap_or_default();
            Err(fail(
                Status::Rejected,
                format!("{name}: there is no such program{place}; install it{package}, or name another"),
            ))
        }
    }
}

/// In which package of Debian's a program is; others call it the same, or nearly so.
const PACKAGES: [(&str, &str); 14] = [
    ("clush", "clustershell"),
    ("curl", "curl"),
    ("ipmipower", "freeipmi-tools"),
    ("ipmitool", "ipmitool"),
    ("jq", "jq"),
    ("pdsh", "pdsh"),
    ("powerman", "powerman"),
    ("scontrol", "slurm-client"),
    ("sinfo", "slurm-client"),
    ("snmpget", "snmp"),
    ("snmpset", "snmp"),
    ("ssh", "openssh-client"),
    ("virsh", "libvirt-clients"),
    ("wakeonlan", "wakeonlan"),
];

fn package(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next()?;
    PACKAGES.iter().find(|(known, _)| *known == name).map(|(_, package)| *package)
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

    /// Only the directories of the first name and of the file were looked at, not those of links between them.
    #[test]
    fn a_link_on_the_way_that_others_can_exchange_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["ours", "theirs", "etc"] {
            fs::create_dir(at(name)).unwrap();
            chmod(&at(name), 0o755);
        }
        fs::write(at("ours/file"), "").unwrap();
        chmod(&at("ours/file"), 0o644);
        symlink(at("ours/file"), at("theirs/file")).unwrap();
        symlink("../theirs/file", at("etc/file")).unwrap();
        symlink(at("ours"), at("theirs/ours")).unwrap();
        symlink("../theirs/ours", at("etc/ours")).unwrap();
        for named in ["etc/file", "etc/ours/file", "etc/../etc/file"] {
            check_only_owner_changes(&at(named)).unwrap();
            chmod(&at("theirs"), 0o777);
            let said = format!("{:#}", check_only_owner_changes(&at(named)).unwrap_err());
            assert!(said.contains("theirs: others can write it"), "{named}: {said}");
            chmod(&at("theirs"), 0o1777);
            check_only_owner_changes(&at(named)).unwrap();
            chmod(&at("theirs"), 0o755);
        }
        symlink("loop", at("etc/loop")).unwrap();
        check_only_owner_changes(&at("etc/loop")).unwrap();
    }

    /// Where the owner's private group may write, an access list may name anybody: its mask is shown as the group's bits.
    #[cfg(target_os = "linux")]
    #[test]
    fn an_access_list_that_lets_others_write_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        chmod(&file, 0o664);
        if check_only_owner_changes(&file).is_err() {
            return; // Whoever runs this has no private group; then any group is others.
        }
        let all = u32::MAX;
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, may, who) in [(1u16, 6u16, all), (2, 6, 12345), (4, 6, all), (0x10, 6, all), (0x20, 4, all)]
        {
            list.extend([tag.to_le_bytes(), may.to_le_bytes()].concat());
            list.extend(who.to_le_bytes());
        }
        if rustix::fs::setxattr(&file, ACCESS_LIST, &list, rustix::fs::XattrFlags::empty()).is_ok() {
            let said = format!("{:#}", check_only_owner_changes(&file).unwrap_err());
            assert!(said.contains("its access list lets others write it"), "{said}");
        }
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
        let said = format!("{:#}", check_program(OsStr::new("/no/such/virsh")).unwrap_err());
        assert!(said.contains("install it (package libvirt-clients), or name another"), "{said}");
    }
}
