//! Calls of the kernel that nix has no safe name for: how many files may be open, two files sharing
//! their data, and whether a file can be changed at all.

#![expect(unsafe_code, reason = "nix offers none of these calls safely")]

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use std::os::fd::{AsFd, AsRawFd};

/// The flags with which a directory is opened without ever following a link.
pub(crate) const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

/// Allows as many open files as this process may ask for: a walk keeps three a level open.
pub(crate) fn allow_many_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(1 << 16);
            // Refused, the walk meets the old limit and names the folder where.
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Returns how many files may be open.
pub(crate) fn files_allowed() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}

/// Makes the data of `target` that of `source`, sharing its room, where the file system can.
///
/// # Errors
/// What the kernel said; then `target` is as it was.
pub(crate) fn share_data(source: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let (source, target) = (source.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
    // SAFETY: both descriptors are open, and the call takes the second one by value.
    let result = unsafe { libc::ioctl(target, libc::FICLONE, source) };
    Errno::result(result).map(drop)
}

/// Tells whether a file or folder may not be replaced, whoever asks (`chattr +i`, `+a`).
pub(crate) fn is_fixed(file: impl AsFd) -> bool {
    const FIXED: u64 = (libc::STATX_ATTR_IMMUTABLE | libc::STATX_ATTR_APPEND) as u64;
    statx(file, libc::STATX_TYPE).is_some_and(|found| found.stx_attributes & FIXED != 0)
}

/// Returns the number of the mount that an open folder lies on; 0 before Linux 5.8, which does not tell.
pub(crate) fn mount_of(folder: impl AsFd) -> u64 {
    let found = statx(folder, libc::STATX_MNT_ID);
    found.filter(|found| found.stx_mask & libc::STATX_MNT_ID != 0).map_or(0, |found| found.stx_mnt_id)
}

/// Returns a number that nobody can guess.
///
/// # Errors
/// What the kernel said.
pub(crate) fn random() -> Result<[u8; 16], Errno> {
    let mut number = [0u8; 16];
    // SAFETY: the buffer lives through the call, which fills so few bytes at once or fails.
    let result = unsafe { libc::getrandom(number.as_mut_ptr().cast(), number.len(), 0) };
    Errno::result(result).map(|_| number)
}

fn statx(file: impl AsFd, wanted: u32) -> Option<libc::statx> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends in NUL, the structure lives through the call.
    let result = unsafe {
        libc::statx(file.as_fd().as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, wanted, &raw mut found)
    };
    (result == 0).then_some(found)
}
