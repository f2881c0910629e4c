//! Where the log of an XFS ends, and whether it ends with an unmount.
//!
//! The log is a ring of 512-byte blocks. Each begins with the number of the round (cycle) in which it
//! was written, so the end is where the number falls; a clean unmount leaves a record of its own
//! there. Source: "XFS Algorithms & Data Structures", chapter "Journaling Log".

use super::bytes::{be, uuid};

/// The unit in which the log counts.
const BLOCK: u64 = 512;

/// What begins a record.
const MAGIC: u64 = 0xfeed_babe;

/// A record header covers this much of the record with its table of cycles (version 2).
const HEADER_COVERS: u64 = 32 * 1024;

/// The longest an unmount record can be: it is filled up to the log's stripe unit, 256 KiB at most.
const LONGEST: u64 = 256 * 1024 / BLOCK + 8;

/// Where the log lies, as the superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct XfsLog {
    /// In bytes, from the beginning of the device.
    pub(super) offset: u64,
    /// In blocks of the log.
    pub(super) blocks: u64,
    /// Of the file system; records of an earlier one may still lie in the log.
    pub(super) uuid: String,
}

/// How the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) cycle: u64,
    /// The block after the last one written.
    pub(super) block: u64,
    /// The last record is that of an unmount: nothing was logged since.
    pub(super) is_unmount: bool,
}

impl XfsLog {
    /// Finds the end. `read` returns bytes of the device: offset and length in bytes.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub(super) fn end(
        &self,
        read: &mut dyn FnMut(u64, u64) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Option<End>> {
        if self.blocks == 0 {
            return Ok(None);
        }
        let mut cycle_at = |block: u64| -> anyhow::Result<Option<u64>> {
            Ok(cycle(&read(self.offset + block * BLOCK, BLOCK)?))
        };
        let (Some(first), Some(last)) = (cycle_at(0)?, cycle_at(self.blocks - 1)?) else { return Ok(None) };
        if first == 0 {
            return Ok(None);
        }
        // All of one round: the next block to be written is the first again.
        let (mut block, mut round) = (0, first + 1);
        if first != last {
            let (mut low, mut high) = (0, self.blocks - 1);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                match cycle_at(middle)? {
                    Some(found) if found == first => low = middle,
                    Some(_) => high = middle,
                    None => return Ok(None),
                }
            }
            (block, round) = (high, first);
        }
        let is_unmount = self.ends_with_unmount(block, read)?;
        Ok(Some(End { cycle: round, block, is_unmount }))
    }

    /// Looks for the last record before the end: it must reach exactly up to it.
    fn ends_with_unmount(
        &self,
        end: u64,
        read: &mut dyn FnMut(u64, u64) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<bool> {
        let far = LONGEST.min(self.blocks);
        let mut tail = Vec::new();
        // The ring goes on at its other side.
        if end < far {
            let rest = far - end;
            tail = read(self.offset + (self.blocks - rest) * BLOCK, rest * BLOCK)?;
        }
        let near = far.min(end);
        if near > 0 {
            tail.extend(read(self.offset + (end - near) * BLOCK, near * BLOCK)?);
        }
        Ok(is_unmount(&tail, &self.uuid))
    }
}

/// Returns the round in which a block was written.
fn cycle(block: &[u8]) -> Option<u64> {
    match be(block, 0, 4)? {
        MAGIC => be(block, 4, 4),
        cycle => Some(cycle),
    }
}

/// Tells whether the bytes before the end of the log end with an unmount record and nothing after it.
fn is_unmount(tail: &[u8], whose: &str) -> bool {
    let length = BLOCK as usize;
    let blocks: Vec<&[u8]> = tail.chunks_exact(length).collect();
    let Some(start) = blocks.iter().rposition(|block| be(block, 0, 4) == Some(MAGIC)) else { return false };
    let header = blocks[start];
    let field = |at| be(header, at, 4).unwrap_or_default();
    let (version, data, operations, size) = (field(8), field(12), field(40), field(320));
    let headers = if version & 2 != 0 { size.div_ceil(HEADER_COVERS).max(1) } else { 1 };
    let reaches = start as u64 + headers + data.div_ceil(BLOCK);
    let is_ours = header.get(304..320).is_some_and(|bytes| uuid(bytes) == whose);
    // The flags of the first operation; 0x20 is XLOG_UNMOUNT_TRANS.
    let flags = blocks.get(start + headers as usize).and_then(|block| block.get(9)).copied();
    is_ours
        && operations == 1
        && reaches == blocks.len() as u64
        && flags.is_some_and(|flags| flags & 0x20 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: [u8; 16] = [0xab; 16];

    fn log(blocks: u64) -> XfsLog {
        XfsLog { offset: 0, blocks, uuid: uuid(&OURS) }
    }

    fn block(cycle: u32) -> Vec<u8> {
        let mut block = vec![0u8; 512];
        block[..4].copy_from_slice(&cycle.to_be_bytes());
        block
    }

    /// A header with one block of data: an unmount, or something else.
    fn record(cycle: u32, flags: u8) -> Vec<u8> {
        let mut header = vec![0u8; 512];
        for (at, value) in [(0, MAGIC as u32), (4, cycle), (8, 2), (12, 512), (40, 1), (320, 32 * 1024)] {
            header[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        header[304..320].copy_from_slice(&OURS);
        let mut data = block(cycle);
        data[9] = flags;
        [header, data].concat()
    }

    /// A ring of 64 blocks in round `cycle` up to `at`, in the round before from there, with a record
    /// that ends there.
    fn ring(cycle: u32, at: usize, flags: u8) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..64).flat_map(|index| block(if index < at { cycle } else { cycle - 1 })).collect();
        let written = if at == 0 { cycle - 1 } else { cycle };
        let record = record(written, flags);
        let end = if at == 0 { 64 } else { at } * 512;
        bytes[end - record.len()..end].copy_from_slice(&record);
        bytes
    }

    fn end(bytes: &[u8]) -> Option<End> {
        let mut read = |offset: u64, length: u64| {
            let (offset, length) = (offset as usize, length as usize);
            Ok(bytes.get(offset..).unwrap_or_default().iter().copied().take(length).collect())
        };
        log(64).end(&mut read).unwrap()
    }

    #[test]
    fn the_end_is_found_wherever_the_log_was_left() {
        for at in 2..63 {
            let found = end(&ring(7, at, 0x20)).unwrap();
            assert_eq!((found.cycle, found.block, found.is_unmount), (7, at as u64, true), "{at}");
        }
        // A whole round: the record ends at the end of the ring.
        let found = end(&ring(7, 0, 0x20)).unwrap();
        assert_eq!((found.cycle, found.block, found.is_unmount), (7, 0, true));
        // Never gone round: zeros lie behind the end.
        assert_eq!(end(&ring(1, 9, 0x20)).unwrap().block, 9);
    }

    #[test]
    fn anything_but_an_unmount_of_this_file_system_at_the_end_is_not_clean() {
        let unclean = |bytes: &[u8]| !end(bytes).unwrap().is_unmount;
        assert!(unclean(&ring(7, 20, 0x01)), "another record");
        let mut more = ring(7, 20, 0x20);
        more[20 * 512..21 * 512].copy_from_slice(&block(7));
        assert!(unclean(&more), "a block behind it");
        let mut foreign = ring(7, 20, 0x20);
        foreign[18 * 512 + 304] = 1;
        assert!(unclean(&foreign), "a record of another file system");
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64 * 512)) {
            let _found_or_not = end(&bytes);
        }
    }
}
