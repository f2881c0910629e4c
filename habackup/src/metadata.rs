//! From what the kernel says of a file to an entry, and from an entry back onto a file.

use crate::manifest::{Entry, Kind};
use crate::verbatim::Verbatim;
use crate::xattr;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmodat, major, minor, utimensat};
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
pub fn entry(path: Verbatim, stat: &FileStat, owners: &mut Owners) -> Entry {
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
        mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
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
    }
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
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    /// Returns the owner by number, as the entry has it.
    pub fn by_number(entry: &Entry) -> Self {
        Self { uid: entry.uid, gid: entry.gid }
    }
}

/// Gives an open file, folder, link or device the owner, permissions, attributes and times of an
/// entry; returns the names of the attributes that could not be set.
///
/// # Errors
/// What the kernel said. An owner that only root could set is left alone when we are not root.
pub fn apply(fd: impl AsFd, entry: &Entry, owner: Owner) -> Result<Vec<Verbatim>, Errno> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    match fchownat(&fd, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH) {
        Err(Errno::EPERM) if !Uid::effective().is_root() => {}
        result => result?,
    }
    let path = xattr::proc_path(&fd);
    // The mode follows the owner, because a change of owner clears the set-user-id bit; attributes
    // follow the mode, because an ACL has its own idea of the group's bits, and it clears capabilities.
    if entry.kind != Kind::Symlink {
        fchmodat(
            AT_FDCWD,
            path.as_c_str(),
            Mode::from_bits_truncate(entry.mode),
            FchmodatFlags::FollowSymlink,
        )?;
    }
    let lost = xattr::write_all(&fd, &entry.xattrs);
    let time = time_spec(entry.mtime_ns);
    utimensat(AT_FDCWD, path.as_c_str(), &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::FollowSymlink)?;
    Ok(lost)
}

fn time_spec(time_ns: i128) -> TimeSpec {
    let seconds = i64::try_from(time_ns.div_euclid(NANOSECONDS)).unwrap_or(0);
    let rest = i64::try_from(time_ns.rem_euclid(NANOSECONDS)).unwrap_or(0);
    TimeSpec::new(seconds, rest)
}
