//! Room on the local disk, held while a run may need it: a state directory that is full when the journal and the
//! record are to be written would be found out when it is too late.

use crate::paths;
use anyhow::Context;
use nix::fcntl::posix_fallocate;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many bytes are held: journals and records are a few kilobytes, the list of used records grows.
const BYTES: i64 = 1 << 20;

/// Whether this very process holds the room: what another one holds is not given back here.
static HOLDS: AtomicBool = AtomicBool::new(false);

/// Room that is held; given back when dropped.
#[derive(Debug)]
pub struct HeldRoom(PathBuf);

impl HeldRoom {
    /// Holds room in the state directory for the run that has its lock.
    ///
    /// # Errors
    /// Names the directory and the remedy, where there is not enough.
    pub fn hold() -> anyhow::Result<Self> {
        let room = Self::at(held())?;
        HOLDS.store(true, Ordering::Relaxed);
        Ok(room)
    }

    /// Makes sure that there is room, for who only looks.
    ///
    /// # Errors
    /// As [`HeldRoom::hold`].
    pub fn look() -> anyhow::Result<()> {
        if !paths::state_directory().exists() {
            return Ok(());
        }
        let name = format!(".room.{}", std::process::id());
        Self::at(paths::state_directory().join(name)).map(drop)
    }

    fn at(path: PathBuf) -> anyhow::Result<Self> {
        let folder = paths::state_directory();
        // Whatever happens from here on, it goes.
        let room = Self(path);
        let make = || -> anyhow::Result<()> {
            let open = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(nix::libc::O_NOFOLLOW)
                .open(&room.0)?;
            posix_fallocate(&open, 0, BYTES)?;
            Ok(open.sync_all()?)
        };
        make().with_context(|| {
            format!(
                "the state directory {0} has no room for the journal and the record of a run (1 MiB); make room \
                 (df -h {0}; df -i {0}), or name another one in ORDERLY_STATE_DIR",
                folder.display()
            )
        })?;
        Ok(room)
    }
}

impl Drop for HeldRoom {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn held() -> PathBuf {
    paths::state_directory().join(".room")
}

/// Writes; where the disk is full, gives back the room that is held and writes once more.
///
/// # Errors
/// As the attempt.
pub(crate) fn with_room<T>(write: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    let own = HOLDS.load(Ordering::Relaxed).then(held);
    giving_back(own.as_deref(), write)
}

fn giving_back<T>(own: Option<&Path>, mut write: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    match (write(), own) {
        (Err(error), Some(room)) if is_full(&error) && fs::remove_file(room).is_ok() => write(),
        (other, _) => other,
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::ENOSPC | nix::libc::EDQUOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    /// A disk that is full until the room on it is given back.
    fn write_to_full(room: &Path, own: Option<&Path>, errno: i32) -> std::io::Result<()> {
        giving_back(own, || if room.exists() { Err(Error::from_raw_os_error(errno)) } else { Ok(()) })
    }

    #[test]
    fn only_who_holds_the_room_gives_it_back_and_only_to_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let room = dir.path().join(".room");
        fs::write(&room, "").unwrap();
        // Another program of the family, with the same state directory.
        assert!(write_to_full(&room, None, nix::libc::ENOSPC).is_err() && room.exists());
        assert!(write_to_full(&room, Some(&room), nix::libc::EIO).is_err() && room.exists());
        assert!(write_to_full(&room, Some(&room), nix::libc::ENOSPC).is_ok() && !room.exists());
        fs::write(&room, "").unwrap();
        assert!(write_to_full(&room, Some(&room), nix::libc::EDQUOT).is_ok() && !room.exists());
    }
}
