//! Locks on bytes of a file. They belong to whoever opened the file, the kernel lets go of them when that ends, and others
//! can see them without taking any.

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;

/// The bytes of a file from one on; no length is up to its end, wherever that will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) start: i64,
    pub(crate) length: i64,
}

impl Bytes {
    /// All bytes that a file has or may get.
    pub(crate) const ALL: Self = Self { start: 0, length: 0 };

    pub(crate) fn one(at: i64) -> Self {
        Self { start: at, length: 1 }
    }

    /// Locks them; tells whether that could be done, which needs a file that is open for writing.
    pub(crate) fn lock(self, file: &File) -> bool {
        fcntl(file, FcntlArg::F_OFD_SETLK(&self.flock(libc::F_WRLCK))).is_ok()
    }

    pub(crate) fn unlock(self, file: &File) {
        fcntl(file, FcntlArg::F_OFD_SETLK(&self.flock(libc::F_UNLCK))).ok();
    }

    /// Tells whether somebody else has locked some of them.
    pub(crate) fn are_locked(self, file: &File) -> bool {
        self.locked(file).is_some()
    }

    /// Returns what somebody else has locked, some of these among it; any of several.
    pub(crate) fn locked(self, file: &File) -> Option<Self> {
        let mut met = self.flock(libc::F_WRLCK);
        let is_asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut met)).is_ok();
        (is_asked && i32::from(met.l_type) != libc::F_UNLCK)
            .then_some(Self { start: met.l_start, length: met.l_len })
    }

    fn flock(self, kind: libc::c_int) -> libc::flock {
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: self.start,
            l_len: self.length,
            l_pid: 0,
        }
    }
}
