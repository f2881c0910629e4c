//! Room on the asset: asked for before a snapshot is begun and before each file is, and never taken to
//! the last byte, because the services write to the same asset.

use crate::progress::show_bytes;
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::FileStat;
use nix::sys::statfs::{EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC, fstatfs};
use nix::sys::statvfs::{Statvfs, fstatvfs, statvfs};
use std::os::fd::AsFd;
use std::path::Path;

/// What is left to the services: a hundredth of the asset, at most this.
const LEFT_TO_SERVICES: u64 = 1 << 30;
/// Smaller files are not worth a call of their own.
const WORTH_RESERVING: u64 = 1 << 20;

/// What something takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    pub bytes: u64,
    pub inodes: u64,
}

/// What is to be had below a folder.
#[derive(Debug, Clone, Copy)]
struct RoomLeft {
    free: u64,
    usable: u64,
    /// Unlimited where the file system makes them as it goes.
    inodes: u64,
}

impl RoomLeft {
    fn of(found: &Statvfs) -> Self {
        let unit = found.fragment_size();
        let total = found.blocks().saturating_mul(unit);
        let free = found.blocks_available().saturating_mul(unit);
        let kept = (total / 100).min(LEFT_TO_SERVICES);
        // Some file systems do not say how large they are.
        let usable = if total == 0 { u64::MAX } else { free.saturating_sub(kept) };
        let inodes = if found.files() == 0 { u64::MAX } else { found.files_available() };
        Self { free, usable, inodes }
    }

    fn insist(self, need: Need) -> anyhow::Result<()> {
        let Self { free, usable, inodes } = self;
        if need.bytes > usable {
            bail!(
                "{}: it needs {}, and of {} that are free {} may be used",
                Errno::ENOSPC.desc(),
                show_bytes(need.bytes),
                show_bytes(free),
                show_bytes(usable)
            );
        }
        if need.inodes > inodes {
            bail!("{}: it needs {} inodes, and {inodes} are free", Errno::ENOSPC.desc(), need.inodes);
        }
        Ok(())
    }
}

fn room(folder: impl AsFd) -> anyhow::Result<RoomLeft> {
    Ok(RoomLeft::of(&fstatvfs(folder).context("ask for the room on the asset")?))
}

/// Insists that the copy of a file fits below `folder` and leaves the services their part.
///
/// # Errors
/// Says how much is needed and how much there is.
pub fn insist(folder: impl AsFd, source: &FileStat) -> anyhow::Result<()> {
    room(folder)?.insist(Need { bytes: taken_by(source), inodes: 0 })
}

/// Returns how many bytes the copy of a file takes at least: a hole takes none, nor does what its file
/// system has put aside for a file that grows.
pub fn taken_by(source: &FileStat) -> u64 {
    source.st_blocks.unsigned_abs().saturating_mul(512).min(source.st_size.unsigned_abs())
}

/// Insists that all of a snapshot fits below `folder`, where so much will be `freed` first; `survey` counts what
/// it takes, and is asked only when all that is stored where the sources are would not fit in any case.
///
/// # Errors
/// Says how much is needed and how much there is.
pub fn insist_on_all(
    folder: impl AsFd,
    freed: Need,
    sources: &[&Path],
    survey: impl FnOnce() -> anyhow::Result<Need>,
) -> anyhow::Result<()> {
    let mut room = room(&folder)?;
    room.free = room.free.saturating_add(freed.bytes);
    room.usable = room.usable.saturating_add(freed.bytes);
    room.inodes = room.inodes.saturating_add(freed.inodes);
    if fits_in_any_case(room, sources) || may_compress(&folder) {
        return Ok(());
    }
    room.insist(survey()?).context("the snapshot is not begun")
}

/// Tells whether everything on the file systems of the sources would fit. What is mounted below one is
/// not copied with it.
fn fits_in_any_case(room: RoomLeft, sources: &[&Path]) -> bool {
    let mut stored = std::collections::BTreeMap::new();
    for source in sources {
        let Ok(found) = statvfs(*source) else { continue };
        let used = found.blocks().saturating_sub(found.blocks_free()).saturating_mul(found.fragment_size());
        // A file system that does not count its inodes tells nothing.
        let inodes = if found.files() == 0 { u64::MAX } else { found.files() - found.files_free() };
        stored.insert(found.filesystem_id(), (used, inodes));
    }
    let sum = |part: fn(&(u64, u64)) -> u64| stored.values().map(part).fold(0, u64::saturating_add);
    sum(|stored| stored.0) <= room.usable
        && (room.inodes == u64::MAX || sum(|stored| stored.1) <= room.inodes)
}

/// Tells whether a copy may take less room than its original, so that nothing can be said before.
fn may_compress(folder: impl AsFd) -> bool {
    // statfs(2); nix names it for the GNU C library alone.
    const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);
    let plain = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC];
    fstatfs(folder).map_or(true, |found| !plain.contains(&found.filesystem_type()))
}

/// Reserves the room of a large file without holes, so that a full disk is found out before it is
/// written.
///
/// # Errors
/// What the kernel said; where a file system cannot reserve, nothing.
pub fn reserve(target: impl AsFd, source: &FileStat) -> Result<(), Errno> {
    let size = source.st_size.unsigned_abs();
    let has_holes = source.st_blocks.unsigned_abs().saturating_mul(512) < size;
    if size < WORTH_RESERVING || has_holes {
        return Ok(());
    }
    match fallocate(target, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, source.st_size) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::EINTR) => Ok(()),
        result => result,
    }
}
