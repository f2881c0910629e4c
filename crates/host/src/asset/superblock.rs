//! What a file system says of itself in its superblock, read without mounting it.
//!
//! This is how the asset is compared with a release record before anything on it is opened: a few
//! fixed bytes are read from the device. Layouts: ext4(5) and the kernel's "ext4 Data Structures",
//! "XFS Algorithms & Data Structures", and the btrfs on-disk format documentation.
//!
//! An ext4 says on the disk that it is mounted as soon as it is; an xfs only with the first change
//! that is logged; a btrfs never. Seen on Linux 6.18: mounted and left alone, neither of the two
//! differs by a byte of its superblock or log from one that nobody has mounted.

use super::bytes::{be, label, le, uuid};
use super::device;
use super::xfslog::XfsLog;
use anyhow::bail;
use orderly_exec::runner::Run;
use orderly_plan::permit::Since;
use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;

/// As much of the device as holds the superblocks of all known types.
const HEAD: u64 = 68 * 1024;

/// What matters of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    pub fstype: &'static str,
    pub uuid: String,
    /// Empty where it has none.
    pub label: String,
    /// Differs after every time something was written to it.
    pub mark: String,
    /// The part of it that mounting moves, and nothing that is written later; only ext4 has it.
    pub take_mark: Option<String>,
    /// Whether the last mount ended cleanly. A clean xfs or btrfs may be mounted all the same.
    pub is_clean: bool,
    /// Whether the kernel looks for another host when it mounts it (ext4's multiple mount protection).
    pub is_protected: bool,
}

impl Superblock {
    /// Reads the superblock of a device, and of an xfs the end of its log; each read has this limit.
    ///
    /// # Errors
    /// When it cannot be read, is of no known type, or is spread over several devices.
    pub fn read(device: &Path, limit: Duration, run: &mut dyn Run) -> anyhow::Result<Self> {
        let head = device::read(device, 0, HEAD, limit, run)?;
        let shown = device.display();
        let Some(mut found) = Self::parse(&head) else {
            bail!("{shown}: no ext4, xfs or btrfs file system is on it")
        };
        if found.fstype == "btrfs" && devices_of_btrfs(&head) != Some(1) {
            bail!("{shown}: a btrfs on several devices cannot be handed over as one; use kind = \"command\"");
        }
        if found.fstype == "xfs" {
            let Some(log) = log_of_xfs(&head) else {
                bail!("{shown}: its log is on another device, so it cannot be told whether it was let go")
            };
            let end = log.end(&mut |offset, length| device::read(device, offset, length, limit, run))?;
            let Some(end) = end else { bail!("{shown}: the end of its log cannot be found") };
            found.is_clean &= end.is_unmount;
            found.mark = format!("log={}:{} {}", end.cycle, end.block, found.mark);
        }
        Ok(found)
    }

    /// Returns when an ext4 was mounted last, in seconds since 1970.
    pub fn last_mount(&self) -> Option<i64> {
        i64::try_from(MountTimes::of(self.take_mark.as_deref()?)?.last).ok()
    }

    /// Reads the first bytes of a device.
    pub fn parse(head: &[u8]) -> Option<Self> {
        parse_ext4(head).or_else(|| parse_xfs(head)).or_else(|| parse_btrfs(head))
    }
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
        label: label(block.get(0x78..0x88)?),
        mark: format!("mounts={mounts} mounted={mounted} written={written} kbytes={kbytes}"),
        take_mark: Some(format!("mounts={mounts} mounted={mounted}")),
        // While it is mounted for writing, the journal wants recovery or (without one) the state is
        // not "valid"; a clean unmount puts both right.
        is_clean: !needs_recovery && state & 0x1 != 0,
        is_protected: incompatible & 0x100 != 0,
    })
}

/// Whether it is clean stands in its log alone; only a copy under way shows here.
fn parse_xfs(head: &[u8]) -> Option<Superblock> {
    if head.get(..4)? != b"XFSB" {
        return None;
    }
    Some(Superblock {
        fstype: "xfs",
        uuid: uuid(head.get(32..48)?),
        label: label(head.get(108..120)?),
        mark: format!("lsn={}", be(head, 240, 8)?),
        take_mark: None,
        is_clean: head.get(126) == Some(&0),
        is_protected: false,
    })
}

/// Returns where the log lies; `None` when it has a device of its own.
fn log_of_xfs(head: &[u8]) -> Option<XfsLog> {
    let (block_size, start, blocks) = (be(head, 4, 4)?, be(head, 48, 8)?, be(head, 96, 4)?);
    let (group_blocks, shift) = (be(head, 84, 4)?, *head.get(124)?);
    if start == 0 {
        return None;
    }
    // A block number is the number of its group and the number within it.
    let (group, within) =
        (start.checked_shr(u32::from(shift))?, start & 1u64.checked_shl(u32::from(shift))?.wrapping_sub(1));
    let offset = group.checked_mul(group_blocks)?.checked_add(within)?.checked_mul(block_size)?;
    Some(XfsLog { offset, blocks: blocks * block_size / 512, uuid: uuid(head.get(32..48)?) })
}

fn parse_btrfs(head: &[u8]) -> Option<Superblock> {
    let block = head.get(64 * 1024..64 * 1024 + 4096)?;
    if block.get(0x40..0x48)? != b"_BHRfS_M" {
        return None;
    }
    let (generation, log) = (le(block, 0x48, 8)?, le(block, 0x60, 8)?);
    Some(Superblock {
        fstype: "btrfs",
        uuid: uuid(block.get(0x20..0x30)?),
        label: label(block.get(0x12b..0x22b)?),
        mark: format!("generation={generation} log={log}"),
        take_mark: None,
        // A log that waits to be replayed was left by a host that ended without unmounting, or is
        // being written by one that has it mounted.
        is_clean: log == 0,
        is_protected: false,
    })
}

/// Tells what became of a file system since its mark was `then`.
///
/// Seen with e2fsprogs 1.47 and Linux 6.18: a mount counts the mounts up and sets their last time. A full check
/// (e2fsck -f) sets the count to 0 and leaves the time; tune2fs -C sets the count alone; e2fsck -b puts back a
/// copy of the superblock, which has neither. tune2fs -L and -U, e2label and resize2fs move neither.
pub(super) fn since(then: &str, now: &str) -> Since {
    if then == now {
        return Since::Nothing;
    }
    let (Some(before), Some(after)) = (MountTimes::of(then), MountTimes::of(now)) else {
        return Since::Unknown(
            "its kind does not tell a mount from a repair, a new label and the like (xfs_repair, xfs_admin, \
             btrfs check --repair)"
                .to_owned(),
        );
    };
    match after.last.cmp(&before.last) {
        Ordering::Greater => Since::Taken,
        // A mount would have counted it up from there.
        Ordering::Equal if after.count == before.count || after.count == 0 => Since::Nothing,
        Ordering::Equal => Since::Unknown(format!(
            "its mount count went from {} to {} while its last mount time stayed, as after tune2fs -C, or after a mount \
             in the same second",
            before.count, after.count
        )),
        Ordering::Less => Since::Unknown(format!(
            "its last mount time went back from {} to {}, as after e2fsck -b, or after a mount on a host whose clock \
             is behind",
            before.last, after.last
        )),
    }
}

/// What an ext4 says of its mounts.
struct MountTimes {
    count: u64,
    /// When the last one began, by the clock of its host.
    last: u64,
}

impl MountTimes {
    /// Reads it from a mark.
    fn of(mark: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut words = mark.split(' ');
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        Some(Self { count: field("mounts")?, last: field("mounted")? })
    }
}

fn devices_of_btrfs(head: &[u8]) -> Option<u64> {
    le(head, 64 * 1024 + 0x88, 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ext4() -> Vec<u8> {
        let mut head = vec![0u8; HEAD as usize];
        head[1024 + 0x38..][..2].copy_from_slice(&0xef53u16.to_le_bytes());
        head[1024 + 0x3a] = 1;
        head[1024 + 0x34] = 7;
        head[1024 + 0x68..][..16].copy_from_slice(&[0xab; 16]);
        head
    }

    #[test]
    fn an_ext4_superblock_says_who_it_is_and_whether_it_was_let_go() {
        let mut head = ext4();
        head[1024 + 0x78..][..5].copy_from_slice(b"a b\0c");
        let clean = Superblock::parse(&head).unwrap();
        assert_eq!(clean.label, "a b");
        assert_eq!(clean.uuid, "abababab-abab-abab-abab-abababababab");
        assert!(clean.is_clean && !clean.is_protected);
        head[1024 + 0x60] = 4;
        head[1024 + 0x61] = 1;
        head[1024 + 0x34] = 8;
        let mounted = Superblock::parse(&head).unwrap();
        assert!(!mounted.is_clean && mounted.is_protected);
        assert_ne!(mounted.mark, clean.mark);
        head[1024 + 0x2c] = 9;
        assert_eq!(Superblock::parse(&head).unwrap().last_mount(), Some(9));
    }

    /// "Taken again" was concluded from every one of these.
    #[test]
    fn what_a_check_of_an_ext4_moves_is_no_take() {
        let then = "mounts=3 mounted=1700000000";
        assert_eq!(since(then, then), Since::Nothing);
        assert_eq!(since(then, "mounts=4 mounted=1700000009"), Since::Taken);
        assert_eq!(since(then, "mounts=1 mounted=1700000009"), Since::Taken, "checked, then mounted");
        assert_eq!(since(then, "mounts=0 mounted=1700000000"), Since::Nothing, "checked");
        let unknown = |now: &str, words: &str| match since(then, now) {
            Since::Unknown(why) => assert!(why.contains(words), "{why}"),
            told @ (Since::Nothing | Since::Taken) => panic!("{now}: {told:?}"),
        };
        unknown("mounts=9 mounted=1700000000", "from 3 to 9");
        unknown("mounts=1 mounted=1700000000", "tune2fs -C");
        unknown("mounts=0 mounted=0", "went back from 1700000000 to 0");
        unknown("mounts=4 mounted=1699999999", "clock is behind");
        let whole = |rest: &str| format!("{then} written={rest}");
        assert_eq!(since(&whole("1 kbytes=2"), &whole("5 kbytes=9")), Since::Nothing, "a new label");
        assert!(matches!(since("log=1:2 lsn=7", "log=4:2 lsn=7"), Since::Unknown(_)), "an xfs");
    }

    proptest! {
        #[test]
        fn a_head_cut_anywhere_is_no_panic(length in 0usize..HEAD as usize) {
            let _found_or_not = Superblock::parse(&ext4()[..length]);
        }
    }
}
