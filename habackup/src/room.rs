//! Room on the asset: asked for before a file is copied, and never taken to the last byte, because
//! the services write to the same asset.

use crate::progress::show_bytes;
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::FileStat;
use nix::sys::statvfs::fstatvfs;
use std::os::fd::AsFd;

/// What is left to the services: a hundredth of the asset, at most this.
const LEFT_TO_SERVICES: u64 = 1 << 30;
/// Smaller files are not worth a call of their own.
const WORTH_RESERVING: u64 = 1 << 20;

/// Insists that the copy of a file fits below `folder` and leaves the services their part.
///
/// # Errors
/// Says how much is needed and how much there is.
pub fn insist(folder: impl AsFd, source: &FileStat) -> anyhow::Result<()> {
    let found = fstatvfs(folder).context("ask for the room on the asset")?;
    let unit = found.fragment_size();
    let total = found.blocks().saturating_mul(unit);
    let free = found.blocks_available().saturating_mul(unit);
    // A hole takes no room, and a file in the making none that was not asked for.
    let needed = source.st_blocks.unsigned_abs().saturating_mul(512);
    let usable = free.saturating_sub((total / 100).min(LEFT_TO_SERVICES));
    // Some file systems do not say how large they are.
    if total > 0 && needed > usable {
        bail!(
            "{}: it needs {}, and of {} that are free {} may be used",
            Errno::ENOSPC.desc(),
            show_bytes(needed),
            show_bytes(free),
            show_bytes(usable)
        );
    }
    Ok(())
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
