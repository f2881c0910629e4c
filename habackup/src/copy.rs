//! Copies the contents of one file and hashes them in the same pass; holes stay holes.

use crate::manifest::entry::Digest;
use nix::errno::Errno;
use nix::libc::off_t;
use nix::unistd::{Whence, ftruncate, lseek, read, write};
use std::os::fd::{AsFd, BorrowedFd};

const CHUNK: usize = 1 << 18;

/// Why a copy was given up.
#[derive(Debug)]
pub enum Fault {
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
        Self { buffer: vec![0; CHUNK].into_boxed_slice() }
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
    ) -> Result<Digest, Fault> {
        self.pass(source.as_fd(), Some(target.as_fd()), size, on_bytes)
    }

    /// Returns the hash of up to `size` bytes from the beginning of `source`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hash(&mut self, source: impl AsFd, size: u64, on_bytes: OnBytes<'_>) -> Result<Digest, Fault> {
        self.pass(source.as_fd(), None, size, on_bytes)
    }

    fn pass(
        &mut self,
        source: BorrowedFd<'_>,
        target: Option<BorrowedFd<'_>>,
        size: u64,
        on_bytes: OnBytes<'_>,
    ) -> Result<Digest, Fault> {
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        // A small file is read at once; looking for holes in it costs more than it saves.
        let may_have_holes = size > CHUNK as u64;
        while at < size {
            let (data, end) =
                if may_have_holes { next_data(source, at, size).map_err(Fault::Source)? } else { (at, size) };
            self.skip(&mut hasher, data - at, on_bytes)?;
            if let Some(target) = target
                && data > at
            {
                lseek(target, offset(data), Whence::SeekSet).map_err(Fault::Target)?;
            }
            let came = self.run(&mut hasher, source, target, end - data, on_bytes)?;
            at = data + came;
            // It ended early, or nothing but a hole was left.
            if came < end - data || data == end {
                break;
            }
        }
        if let Some(target) = target
            && may_have_holes
        {
            ftruncate(target, offset(at)).map_err(Fault::Target)?;
        }
        Ok(hasher.finalize().into())
    }

    /// Passes on `length` bytes, fewer when the file ends; returns how many.
    fn run(
        &mut self,
        hasher: &mut blake3::Hasher,
        source: BorrowedFd<'_>,
        target: Option<BorrowedFd<'_>>,
        length: u64,
        on_bytes: OnBytes<'_>,
    ) -> Result<u64, Fault> {
        let mut left = length;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let count = match read(source, &mut self.buffer[..room]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(Fault::Source(error)),
            };
            let piece = &self.buffer[..count];
            hasher.update(piece);
            if let Some(target) = target {
                write_whole(target, piece).map_err(Fault::Target)?;
            }
            left -= count as u64;
            on_bytes(count as u64).map_err(Fault::Stopped)?;
        }
        Ok(length - left)
    }

    /// Hashes the zeros of a hole.
    fn skip(&mut self, hasher: &mut blake3::Hasher, length: u64, on_bytes: OnBytes<'_>) -> Result<(), Fault> {
        let mut left = length;
        if left > 0 {
            self.buffer.fill(0);
        }
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            hasher.update(&self.buffer[..room]);
            left -= room as u64;
            on_bytes(room as u64).map_err(Fault::Stopped)?;
        }
        Ok(())
    }
}

/// Returns where data next begins and ends, from `at` on; both are the file's end when only a hole is left.
/// The file is left positioned at the beginning.
fn next_data(source: BorrowedFd<'_>, at: u64, size: u64) -> Result<(u64, u64), Errno> {
    let seek = |to: u64, whence| lseek(source, offset(to), whence).map(i64::unsigned_abs);
    let data = match seek(at, Whence::SeekData) {
        Ok(data) => data.min(size),
        // Only a hole is left, as far as the file still goes.
        Err(Errno::ENXIO) => {
            let rest = seek(0, Whence::SeekEnd)?.clamp(at, size);
            return Ok((rest, rest));
        }
        // A file system that knows nothing of holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok((at, size)),
        Err(error) => return Err(error),
    };
    let end = seek(data, Whence::SeekHole).unwrap_or(size).clamp(data, size);
    seek(data, Whence::SeekSet)?;
    Ok((data, end))
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

    #[test]
    fn holes_stay_holes_and_hash_as_zeros() {
        let mut source = tempfile::tempfile().unwrap();
        for at in [3 << 20, 40 << 20] {
            source.seek(SeekFrom::Start(at)).unwrap();
            source.write_all(&vec![b'x'; 300_000]).unwrap();
        }
        source.set_len(64 << 20).unwrap();
        let (digest, mut target) = copied(&source, 64 << 20);
        let mut whole = Vec::new();
        target.seek(SeekFrom::Start(0)).unwrap();
        target.read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), 64 << 20);
        assert_eq!(digest, blake3::hash(&whole).into());
        assert_eq!(whole.iter().filter(|&&byte| byte == b'x').count(), 600_000);
        assert!(
            target.metadata().unwrap().blocks() * 512 < 8 << 20,
            "the copy takes no more room than the original"
        );
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
    }
}
