//! Copies the contents of one file and hashes them in the same pass; holes stay holes.
//!
//! The hash is BLAKE3 of the contents. Of a file with whole zero blocks it is that of where they are and
//! of the rest (see `Contents`), so that a hole of any size costs nothing. It depends on the contents
//! alone: whether zeros are stored or a hole is nothing a copy need keep, and the hash is the same.

use crate::manifest::entry::Digest;
use nix::errno::Errno;
use nix::libc::off_t;
use nix::unistd::{Whence, ftruncate, lseek, read, write};
use std::os::fd::{AsFd, BorrowedFd};

/// How much is read at once, and the size of the blocks that are left out of a hash where they are all
/// zeros. Invariant: manifests depend on it (see orderly-snapshot(5)).
const BLOCK: usize = 1 << 18;

/// What begins the hash of a file with zero blocks, so that it is the hash of no other contents.
const SPARSE: &[u8] = b"orderly-sparse/1\n";

/// Why a copy was given up.
#[derive(Debug)]
pub enum CopyFault {
    /// The file could not be read: this file's own misfortune.
    Source(Errno),
    /// The copy could not be written: nothing else can be either.
    Target(Errno),
    /// Somebody asked us to stop.
    Stopped(anyhow::Error),
}

/// Copies and hashes with one buffer.
#[derive(Debug)]
pub struct Copier {
    buffer: Box<[u8]>,
}

impl Default for Copier {
    fn default() -> Self {
        Self { buffer: vec![0; BLOCK].into_boxed_slice() }
    }
}

/// Told of every piece that went by, with its length; an error ends the copy.
pub type OnBytes<'a> = &'a mut dyn FnMut(u64) -> anyhow::Result<()>;

impl Copier {
    /// Copies up to `size` bytes from the beginning of `source` into the empty file `target` and
    /// returns their hash. A file that grows meanwhile is not followed for ever.
    ///
    /// # Errors
    /// Says on which side it failed.
    pub fn copy(
        &mut self,
        source: impl AsFd,
        target: impl AsFd,
        size: u64,
        on_bytes: OnBytes<'_>,
    ) -> Result<Digest, CopyFault> {
        self.pass(source.as_fd(), Some(target.as_fd()), size, on_bytes)
    }

    /// Returns the hash of up to `size` bytes from the beginning of `source`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hash(&mut self, source: impl AsFd, size: u64, on_bytes: OnBytes<'_>) -> Result<Digest, CopyFault> {
        self.pass(source.as_fd(), None, size, on_bytes)
    }

    fn pass(
        &mut self,
        source: BorrowedFd<'_>,
        target: Option<BorrowedFd<'_>>,
        size: u64,
        on_bytes: OnBytes<'_>,
    ) -> Result<Digest, CopyFault> {
        let mut contents = Contents::default();
        // A small file is read at once; looking for holes in it costs more than it saves.
        let may_have_holes = size > BLOCK as u64;
        let mut pass = CopyPass { source, target, size, extent: Extent { data: 0, end: size }, written: 0 };
        if may_have_holes {
            pass.extent = next_extent(source, 0, size).map_err(CopyFault::Source)?;
        }
        let mut at = 0;
        while at < size {
            let hole = pass.extent.data.saturating_sub(at) / BLOCK as u64;
            if hole > 0 {
                contents.zeros(hole);
                at += hole * BLOCK as u64;
                on_bytes(hole * BLOCK as u64).map_err(CopyFault::Stopped)?;
                continue;
            }
            let end = size.min(at + BLOCK as u64);
            let came = pass.block(&mut self.buffer, at, end)?;
            contents.block(&self.buffer[..length(at, came)]);
            on_bytes(came - at).map_err(CopyFault::Stopped)?;
            at = came;
            if at < end {
                break;
            }
        }
        if let Some(target) = target {
            if may_have_holes {
                ftruncate(target, offset(at)).map_err(CopyFault::Target)?;
            }
        }
        Ok(contents.finish())
    }
}

/// A stretch of a file in which there is data; empty, at the file's end, when only a hole is left.
#[derive(Debug, Clone, Copy)]
struct Extent {
    data: u64,
    end: u64,
}

/// One way through a file, block by block.
#[derive(Debug)]
struct CopyPass<'a> {
    source: BorrowedFd<'a>,
    target: Option<BorrowedFd<'a>>,
    size: u64,
    /// The first one that ends behind what was passed; `source` stands at the first byte not read of it.
    extent: Extent,
    /// Where `target` stands.
    written: u64,
}

impl CopyPass<'_> {
    /// Reads what lies between `at` and `end` into the buffer, holes as zeros, and writes the data of it;
    /// returns where the file ended, if that is before `end`.
    fn block(&mut self, buffer: &mut [u8], at: u64, end: u64) -> Result<u64, CopyFault> {
        if self.extent.data > at || self.extent.end < end {
            buffer.fill(0);
        }
        let mut passed = at;
        while passed < end {
            if self.extent.data >= end {
                passed = end;
                break;
            }
            let (from, to) = (passed.max(self.extent.data), end.min(self.extent.end));
            let count = read_whole(self.source, &mut buffer[length(at, from)..length(at, to)])
                .map_err(CopyFault::Source)?;
            self.write(&buffer[length(at, from)..][..count], from)?;
            passed = from + count as u64;
            if passed < to {
                break;
            }
            if passed == self.extent.end && passed < self.size {
                let next = next_extent(self.source, passed, self.size).map_err(CopyFault::Source)?;
                // Its end: nothing more comes.
                if next.end == passed {
                    break;
                }
                self.extent = next;
            }
        }
        Ok(passed)
    }

    fn write(&mut self, data: &[u8], at: u64) -> Result<(), CopyFault> {
        let Some(target) = self.target.filter(|_| !data.is_empty()) else { return Ok(()) };
        if at != self.written {
            lseek(target, offset(at), Whence::SeekSet).map_err(CopyFault::Target)?;
        }
        write_whole(target, data).map_err(CopyFault::Target)?;
        self.written = at + data.len() as u64;
        Ok(())
    }
}

/// Hashes contents block by block.
#[derive(Debug, Default)]
struct Contents {
    /// Of all blocks but those of zeros.
    data: blake3::Hasher,
    /// Of where the blocks of zeros are; nothing as long as there is none.
    zeros: Option<blake3::Hasher>,
    blocks: u64,
    /// How many blocks of zeros were passed last.
    run: u64,
}

impl Contents {
    fn block(&mut self, block: &[u8]) {
        if block.len() == BLOCK && is_zero(block) {
            return self.zeros(1);
        }
        self.end_run();
        self.data.update(block);
        self.blocks += 1;
    }

    fn zeros(&mut self, blocks: u64) {
        self.run += blocks;
        self.blocks += blocks;
    }

    fn end_run(&mut self) {
        if self.run > 0 {
            let start = (self.blocks - self.run) * BLOCK as u64;
            let zeros = self.zeros.get_or_insert_with(|| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(SPARSE);
                hasher
            });
            zeros.update(&start.to_le_bytes()).update(&(self.run * BLOCK as u64).to_le_bytes());
            self.run = 0;
        }
    }

    fn finish(mut self) -> Digest {
        self.end_run();
        let data = self.data.finalize();
        match self.zeros {
            None => data.into(),
            Some(mut zeros) => zeros.update(data.as_bytes()).finalize().into(),
        }
    }
}

fn is_zero(block: &[u8]) -> bool {
    // Compared with itself one byte on, which is as fast as comparing gets.
    block.split_first().is_none_or(|(&first, rest)| first == 0 && *rest == block[..rest.len()])
}

/// Returns where data next begins and ends, from `at` on; `source` then stands at its beginning.
fn next_extent(source: BorrowedFd<'_>, at: u64, size: u64) -> Result<Extent, Errno> {
    let seek = |to: u64, whence| lseek(source, offset(to), whence).map(i64::unsigned_abs);
    let data = match seek(at, Whence::SeekData) {
        Ok(data) => data.min(size),
        // Only a hole is left, as far as the file still goes.
        Err(Errno::ENXIO) => {
            let rest = seek(0, Whence::SeekEnd)?.clamp(at, size);
            return Ok(Extent { data: rest, end: rest });
        }
        // A file system that knows nothing of holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => {
            seek(at, Whence::SeekSet)?;
            return Ok(Extent { data: at, end: size });
        }
        Err(error) => return Err(error),
    };
    let end = seek(data, Whence::SeekHole).unwrap_or(size).clamp(data, size);
    seek(data, Whence::SeekSet)?;
    Ok(Extent { data, end })
}

/// Reads until the buffer is full or the file ends; returns how much came.
fn read_whole(source: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut came = 0;
    while came < buffer.len() {
        match read(source, &mut buffer[came..]) {
            Ok(0) => break,
            Ok(count) => came += count,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(came)
}

fn write_whole(target: BorrowedFd<'_>, mut piece: &[u8]) -> Result<(), Errno> {
    while !piece.is_empty() {
        match write(target, piece) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => piece = &piece[count..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn length(from: u64, to: u64) -> usize {
    // Never more than a block.
    usize::try_from(to - from).unwrap_or(BLOCK)
}

fn offset(bytes: u64) -> off_t {
    off_t::try_from(bytes).unwrap_or(off_t::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::fs::MetadataExt;

    fn copied(source: &File, size: u64) -> (Digest, File) {
        let mut source = source;
        source.seek(SeekFrom::Start(0)).unwrap();
        let target = tempfile::tempfile().unwrap();
        let digest = Copier::default().copy(source, &target, size, &mut |_| Ok(())).unwrap();
        (digest, target)
    }

    /// The hash as orderly-snapshot(5) defines it, from contents in memory.
    fn defined(contents: &[u8]) -> Digest {
        let (mut runs, mut data) = (Vec::<(u64, u64)>::new(), Vec::new());
        for (number, block) in contents.chunks(BLOCK).enumerate() {
            let (at, length) = ((number * BLOCK) as u64, BLOCK as u64);
            if block.len() < BLOCK || block.iter().any(|&byte| byte != 0) {
                data.extend_from_slice(block);
            } else if let Some(last) = runs.last_mut().filter(|last| last.0 + last.1 == at) {
                last.1 += length;
            } else {
                runs.push((at, length));
            }
        }
        if runs.is_empty() {
            return blake3::hash(contents).into();
        }
        let runs = runs.iter().flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()]).flatten();
        let mut whole = b"orderly-sparse/1\n".to_vec();
        whole.extend(runs);
        whole.extend_from_slice(blake3::hash(&data).as_bytes());
        blake3::hash(&whole).into()
    }

    fn contents(file: &mut File) -> Vec<u8> {
        let mut whole = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut whole).unwrap();
        whole
    }

    #[test]
    fn holes_stay_holes_and_hash_as_the_zeros_they_are() {
        let mut source = tempfile::tempfile().unwrap();
        for at in [3 << 20, (5 << 20) + 4096, (40 << 20) + 12_288] {
            source.seek(SeekFrom::Start(at)).unwrap();
            source.write_all(&vec![b'x'; 300_000]).unwrap();
        }
        for size in [64 << 20, (64 << 20) + 17] {
            source.set_len(size).unwrap();
            let (digest, mut target) = copied(&source, size);
            let whole = contents(&mut target);
            assert_eq!(whole, contents(&mut source));
            assert_eq!(digest, defined(&whole));
            let mut dense = tempfile::tempfile().unwrap();
            dense.write_all(&whole).unwrap();
            assert_eq!(copied(&dense, size).0, digest, "stored zeros are zeros too");
            let room = target.metadata().unwrap().blocks() * 512;
            assert!(room < 8 << 20, "the copy takes {room} bytes, no more than the original");
        }
    }

    /// A hole was hashed zero by zero, for hours.
    #[test]
    fn a_hole_of_any_size_costs_nothing() {
        let mut source = tempfile::tempfile().unwrap();
        let size = 1 << 42;
        source.set_len(size).unwrap();
        source.seek(SeekFrom::Start(1 << 41)).unwrap();
        source.write_all(b"in the middle").unwrap();
        let mut pieces = 0;
        let mut whole = 0;
        let digest = Copier::default()
            .hash(&source, size, &mut |count| {
                pieces += 1;
                whole += count;
                Ok(())
            })
            .unwrap();
        assert_eq!(whole, size);
        assert!(pieces < 10, "{pieces} pieces");
        source.seek(SeekFrom::Start(1 << 41)).unwrap();
        source.write_all(b"In").unwrap();
        assert_ne!(Copier::default().hash(&source, size, &mut |_| Ok(())).unwrap(), digest);
    }

    #[test]
    fn zeros_elsewhere_or_spelt_out_are_other_contents() {
        let (zeros, data) = (vec![0; BLOCK], vec![1; BLOCK]);
        let hash = |parts: &[&[u8]]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&parts.concat()).unwrap();
            let (digest, _) = copied(&file, parts.concat().len() as u64);
            assert_eq!(digest, defined(&parts.concat()));
            digest
        };
        let first = hash(&[&zeros, &data]);
        assert_ne!(first, hash(&[&data, &zeros]));
        assert_ne!(first, hash(&[&data]));
        assert_ne!(first, hash(&[&zeros, &zeros, &data]));
        assert_ne!(hash(&[&zeros]), hash(&[&zeros, &zeros]));
        assert_eq!(hash(&[&data, b"abc"]), blake3::hash(&[&data[..], b"abc"].concat()).into());
    }

    #[test]
    fn a_file_that_shrank_or_grew_ends_where_it_ends() {
        let mut source = tempfile::tempfile().unwrap();
        source.write_all(&vec![7; 600_000]).unwrap();
        for (size, length) in [(1_000_000, 600_000), (300_000, 300_000), (0, 0), (10, 10)] {
            let (digest, target) = copied(&source, size);
            assert_eq!(target.metadata().unwrap().len(), length);
            assert_eq!(digest, blake3::hash(&vec![7; usize::try_from(length).unwrap()]).into());
        }
        // Also where it ends in a hole.
        source.set_len(3 << 20).unwrap();
        let (digest, mut target) = copied(&source, 9 << 20);
        assert_eq!(contents(&mut target), contents(&mut source));
        assert_eq!(digest, defined(&contents(&mut source)));
    }
}
