//! From what the kernel says of a file to an entry, and from an entry back onto a file.

use crate::manifest::{Entry, Kind};
use crate::path_bytes::PathBytes;
use crate::xattr;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, futimens, major, minor, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Group, Uid, User, fchownat};
use std::collections::HashMap;
use std::os::fd::AsFd;

const NANOSECONDS: i128 = 1_000_000_000;

/// The names of users and groups, each looked up once.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<u32, Option<Box<str>>>,
    groups: HashMap<u32, Option<Box<str>>>,
}

impl Owners {
    fn user(&mut self, uid: u32) -> Option<Box<str>> {
        let look_up = || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name.into());
        self.users.entry(uid).or_insert_with(look_up).clone()
    }

    fn group(&mut self, gid: u32) -> Option<Box<str>> {
        let look_up = || Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name.into());
        self.groups.entry(gid).or_insert_with(look_up).clone()
    }
}

/// Returns the entry of what was found at a path; contents, link target and attributes are not in
/// it yet.
pub fn entry(path: PathBytes, stat: &FileStat, owners: &mut Owners) -> Entry {
    let kind = Kind::of_mode(stat.st_mode);
    let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
    Entry {
        path,
        kind,
        size: if matches!(kind, Kind::File | Kind::Symlink) { stat.st_size.unsigned_abs() } else { 0 },
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        user: owners.user(stat.st_uid),
        group: owners.group(stat.st_gid),
        mtime_ns: mtime_ns(stat),
        ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        device: stat.st_dev,
        inode: stat.st_ino,
        blake3: None,
        target: None,
        device_number: is_device.then(|| (major(stat.st_rdev), minor(stat.st_rdev))),
        xattrs: Vec::new(),
        link_group: None,
        changed: false,
        parent: false,
        manifest_only: false,
    }
}

/// Returns when the contents were changed last, in nanoseconds since 1970.
pub fn mtime_ns(stat: &FileStat) -> i128 {
    nanoseconds(stat.st_mtime, stat.st_mtime_nsec)
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * NANOSECONDS + i128::from(nanoseconds)
}

/// Tells whether nobody changed a file between the two looks at it.
pub fn same_moment(before: &FileStat, after: &FileStat) -> bool {
    let key = |stat: &FileStat| {
        let times = (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        (stat.st_dev, stat.st_ino, stat.st_size, times)
    };
    key(before) == key(after)
}

/// Who a restored file shall belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOwner {
    pub uid: u32,
    pub gid: u32,
}

impl FileOwner {
    /// Returns the owner by number, as the entry has it.
    pub fn by_number(entry: &Entry) -> Self {
        Self { uid: entry.uid, gid: entry.gid }
    }

    /// Returns who this process makes files as.
    pub fn of_this_process() -> Self {
        Self { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() }
    }
}

/// Tells whether an entry belongs to somebody who has no number in this user namespace.
pub fn is_unmapped(entry: &Entry) -> bool {
    let lacks = |map: &str, number| std::fs::read_to_string(map).is_ok_and(|text| !is_in_map(&text, number));
    lacks("/proc/self/uid_map", entry.uid) || lacks("/proc/self/gid_map", entry.gid)
}

/// Returns why an owner cannot be given: the kernel says only "Invalid argument".
pub fn unmapped(entry: &Entry) -> String {
    format!("the owner {}:{} has no number in this user namespace (user_namespaces(7))", entry.uid, entry.gid)
}

/// Tells whether a map of user_namespaces(7) has a number: lines of first number, outside, length.
fn is_in_map(text: &str, number: u32) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
        let (Some(first), Some(_), Some(length)) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        (first..first.saturating_add(length)).contains(&u64::from(number))
    })
}

/// Gives an open file, folder, link or device the owner, permissions, attributes and times of an
/// entry; returns the names of the attributes that could not be set.
///
/// # Errors
/// What the kernel said. An owner that only root could set is left alone when we are not root.
pub fn apply(fd: impl AsFd, entry: &Entry, owner: FileOwner) -> Result<Vec<PathBytes>, Errno> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    match fchownat(&fd, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH) {
        Err(Errno::EPERM) if !Uid::effective().is_root() => {}
        result => result?,
    }
    // What is open for reading or writing is told of directly; a mere place, as links and devices are
    // opened, only by path.
    let is_open = matches!(entry.kind, Kind::File | Kind::Directory) && !xattr::is_place(&fd);
    let path = xattr::proc_path(&fd);
    let mode = Mode::from_bits_truncate(entry.mode);
    // The mode follows the owner, because a change of owner clears the set-user-id bit; attributes
    // follow the mode, because an ACL has its own idea of the group's bits, and it clears capabilities.
    if is_open {
        fchmod(&fd, mode)?;
    } else if entry.kind != Kind::Symlink {
        fchmodat(AT_FDCWD, path.as_c_str(), mode, FchmodatFlags::FollowSymlink)?;
    }
    let lost = xattr::write_all(&fd, &entry.xattrs);
    let time = time_spec(entry.mtime_ns);
    if is_open {
        futimens(&fd, &TimeSpec::UTIME_OMIT, &time)?;
        return Ok(lost);
    }
    utimensat(AT_FDCWD, path.as_c_str(), &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::FollowSymlink)?;
    Ok(lost)
}

fn time_spec(time_ns: i128) -> TimeSpec {
    let seconds = i64::try_from(time_ns.div_euclid(NANOSECONDS)).unwrap_or(0);
    let rest = i64::try_from(time_ns.rem_euclid(NANOSECONDS)).unwrap_or(0);
    TimeSpec::new(seconds, rest)
}

#[cfg(test)]
mod tests {
    use super::is_in_map;

    #[test]
    fn a_user_namespace_knows_the_numbers_of_its_map() {
        let map = "         0       1000          1\n     1      100000      65536\n";
        for (number, known) in [(0, true), (1, true), (65_536, true), (65_537, false)] {
            assert_eq!(is_in_map(map, number), known, "{number}");
        }
        assert!(is_in_map("0 0 4294967295\n", 65_534) && !is_in_map("", 0));
    }
}
