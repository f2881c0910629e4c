//! What a file system says of itself in its superblock, read without mounting it.
//!
//! This is how the asset is compared with a release record before anything on it is opened: a few
//! fixed bytes are read from the device, past the page cache, which on a shared device may be old.
//! Layouts: ext4(5) and the kernel's "ext4 Data Structures", "XFS Algorithms & Data Structures",
//! and the btrfs on-disk format documentation.

use anyhow::{Context, bail};
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// As much of the device as holds the superblocks of all known types.
const HEAD: usize = 68 * 1024;
const ALIGNMENT: usize = 4096;

/// What matters of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    pub fstype: &'static str,
    pub uuid: String,
    /// Differs after every time it was mounted for writing.
    pub mark: String,
    /// Whether the last mount ended cleanly, where the type says so.
    pub clean: Option<bool>,
}

impl Superblock {
    /// Reads the superblock of a device.
    ///
    /// # Errors
    /// When it cannot be read or is of no known type.
    pub fn read(device: &Path) -> anyhow::Result<Self> {
        let head =
            read_head(device).with_context(|| format!("read the superblock of {}", device.display()))?;
        match Self::parse(&head) {
            Some(found) => Ok(found),
            None => bail!("{}: no ext4, xfs or btrfs file system is on it", device.display()),
        }
    }

    /// Reads the first bytes of a device.
    pub fn parse(head: &[u8]) -> Option<Self> {
        parse_ext4(head).or_else(|| parse_xfs(head)).or_else(|| parse_btrfs(head))
    }
}

fn read_head(device: &Path) -> anyhow::Result<Vec<u8>> {
    let open = |flags| OpenOptions::new().read(true).custom_flags(flags).open(device);
    let direct = nix::libc::O_DIRECT | nix::libc::O_CLOEXEC;
    // A file system in memory knows no direct reads, and has no stale cache either.
    let file = open(direct).or_else(|_| open(nix::libc::O_CLOEXEC))?;
    let mut room = vec![0u8; HEAD + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut room[start..start + HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(buffer[..filled].to_vec())
}

fn parse_ext4(head: &[u8]) -> Option<Superblock> {
    let block = head.get(1024..2048)?;
    if le(block, 0x38, 2)? != 0xef53 {
        return None;
    }
    let (state, incompatible) = (le(block, 0x3a, 2)?, le(block, 0x60, 4)?);
    let needs_recovery = incompatible & 0x4 != 0;
    let mounts = le(block, 0x34, 2)?;
    let (mounted, written, kbytes) = (le(block, 0x2c, 4)?, le(block, 0x30, 4)?, le(block, 0x178, 8)?);
    Some(Superblock {
        fstype: "ext4",
        uuid: uuid(block.get(0x68..0x78)?),
        mark: format!("mounts={mounts} mounted={mounted} written={written} kbytes={kbytes}"),
        // While it is mounted for writing, the journal wants recovery or (without one) the state is
        // not "valid"; a clean unmount puts both right.
        clean: Some(!needs_recovery && state & 0x1 != 0),
    })
}

fn parse_xfs(head: &[u8]) -> Option<Superblock> {
    if head.get(..4)? != b"XFSB" {
        return None;
    }
    let lsn = be(head, 0xf0, 8)?;
    let (inodes, free_inodes, free_blocks) = (be(head, 128, 8)?, be(head, 136, 8)?, be(head, 144, 8)?);
    Some(Superblock {
        fstype: "xfs",
        uuid: uuid(head.get(32..48)?),
        mark: format!("lsn={lsn} icount={inodes} ifree={free_inodes} fdblocks={free_blocks}"),
        clean: None,
    })
}

fn parse_btrfs(head: &[u8]) -> Option<Superblock> {
    let block = head.get(64 * 1024..64 * 1024 + 4096)?;
    if block.get(0x40..0x48)? != b"_BHRfS_M" {
        return None;
    }
    Some(Superblock {
        fstype: "btrfs",
        uuid: uuid(block.get(0x20..0x30)?),
        mark: format!("generation={}", le(block, 0x48, 8)?),
        clean: None,
    })
}

fn le(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(bytes.get(at..at + width)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn be(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(bytes.get(at..at + width)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn uuid(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ext4() -> Vec<u8> {
        let mut head = vec![0u8; HEAD];
        head[1024 + 0x38..][..2].copy_from_slice(&0xef53u16.to_le_bytes());
        head[1024 + 0x3a] = 1;
        head[1024 + 0x34] = 7;
        head[1024 + 0x68..][..16].copy_from_slice(&[0xab; 16]);
        head
    }

    #[test]
    fn an_ext4_superblock_says_who_it_is_and_whether_it_was_let_go() {
        let mut head = ext4();
        let clean = Superblock::parse(&head).unwrap();
        assert_eq!(clean.uuid, "abababab-abab-abab-abab-abababababab");
        assert_eq!(clean.clean, Some(true));
        head[1024 + 0x60] = 4;
        head[1024 + 0x34] = 8;
        let mounted = Superblock::parse(&head).unwrap();
        assert_eq!(mounted.clean, Some(false));
        assert_ne!(mounted.mark, clean.mark);
    }

    proptest! {
        #[test]
        fn a_head_cut_anywhere_is_no_panic(length in 0usize..HEAD) {
            let _found_or_not = Superblock::parse(&ext4()[..length]);
        }
    }
}
