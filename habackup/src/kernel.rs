//! Calls of the kernel that the standard library has no name for: how many files may be open, two files sharing
//! their data, moving to a free name, and whether a file can be changed at all.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::fs::{AtFlags, RenameFlags, Statx, StatxAttributes, StatxFlags};
use rustix::rand::GetRandomFlags;
use std::ffi::CStr;
use std::os::fd::AsFd;

/// The flags with which a directory is opened without ever following a link.
pub(crate) const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

/// Allows as many open files as this process may ask for: a walk keeps three a level open.
pub(crate) fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Refused, the walk meets the old limit and names the directory where.
        setrlimit(Resource::RLIMIT_NOFILE, most.min(1 << 16), most).ok();
    }
}

/// Returns how many files may be open.
pub(crate) fn files_allowed() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(now, _)| now)
}

/// Makes the data of `target` that of `source`, sharing its room, where the file system can.
///
/// # Errors
/// What the kernel said; then `target` is as it was.
pub(crate) fn share_data(source: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    rustix::fs::ioctl_ficlone(target, source).map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// Moves an entry of one open directory to a name of another that must be free.
///
/// # Errors
/// What the kernel said: `EEXIST` where the name is taken, `EINVAL` or `ENOSYS` where this cannot be asked for.
pub(crate) fn move_to_free_name(
    from: impl AsFd,
    name: &CStr,
    to: impl AsFd,
    new: &CStr,
) -> Result<(), Errno> {
    let moved = rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE);
    moved.map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// Tells whether a file or directory may not be replaced, whoever asks (`chattr +i`, `+a`).
pub(crate) fn is_fixed(file: impl AsFd) -> bool {
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    statx(file, StatxFlags::TYPE).is_some_and(|found| found.stx_attributes.intersects(fixed))
}

/// Returns the number of the mount that an open directory lies on; 0 before Linux 5.8, which does not tell.
pub(crate) fn mount_of(directory: impl AsFd) -> u64 {
    let found = statx(directory, StatxFlags::MNT_ID);
    let found =
        found.filter(|found| StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID));
    found.map_or(0, |found| found.stx_mnt_id)
}

/// Returns a number that nobody can guess.
///
/// # Errors
/// What the kernel said.
pub(crate) fn random() -> Result<[u8; 16], Errno> {
    let mut number = [0u8; 16];
    // So few bytes come at once or not at all.
    rustix::rand::getrandom(&mut number, GetRandomFlags::empty())
        .map(|_| number)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
}

fn statx(file: impl AsFd, wanted: StatxFlags) -> Option<Statx> {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted).ok()
}
