//! One run at a time: a kernel lock that dies with its process. Lock files are never deleted.
//!
//! Invariant: a descriptor that was passed down counts only if it is of the very file and the lock on it
//! succeeds (`a_passed_descriptor_that_is_not_locked_lets_nobody_in`).

use crate::files;
use crate::status::{OrStatus, Status, fail};
use anyhow::Context;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names the descriptor of a lock that a program passes to the program it runs.
pub const PASSED_LOCK: &str = "ORDERLY_LOCK_FD";

/// How the failure begins when another run holds the lock.
const HELD: &str = "another run holds";

/// A held lock; let go when dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock at `path`, or joins it when the calling program passed it down.
    ///
    /// # Errors
    /// Refused (4) when another run holds it.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        if let Some(parent) = path.parent() {
            files::private_directory(parent).or_status(Status::Refused)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)
            .with_context(|| format!("open the lock {}", path.display()))
            .or_status(Status::Refused)?;
        let passed = passed_down(&file);
        match (file.try_lock(), passed) {
            (Ok(()), _) => Ok(Self { file, path: path.to_owned() }),
            // Locking again what the calling program has locked succeeds; on a descriptor that it has not
            // locked the lock of the other run is met once more.
            (Err(TryLockError::WouldBlock), Some(passed)) if passed.try_lock().is_ok() => {
                Ok(Self { file: passed, path: path.to_owned() })
            }
            (Err(TryLockError::WouldBlock), _) => {
                let by = signature(&file).map(|by| format!(" ({by})")).unwrap_or_default();
                Err(fail(Status::Refused, format!("{HELD} {}{by}; wait for it to end", path.display())))
            }
            (Err(TryLockError::Error(error)), _) => {
                Err(error).with_context(|| format!("lock {}", path.display())).or_status(Status::Refused)
            }
        }
    }

    /// Returns the process that holds the lock at `path`, for who only looks: it takes nothing itself.
    pub fn holder(path: &Path) -> Option<u32> {
        let found = std::fs::symlink_metadata(path).ok()?;
        held_by(&std::fs::read_to_string("/proc/locks").ok()?, found.ino(), found.dev())
    }

    /// Tells whether taking a lock failed because another run holds it.
    pub fn is_held_elsewhere(error: &anyhow::Error) -> bool {
        error.root_cause().to_string().starts_with(HELD)
    }

    /// Writes into the lock file who holds it, for whoever is refused meanwhile.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sign(&self, who: &str) -> anyhow::Result<()> {
        self.file.set_len(0).with_context(|| format!("write {}", self.path.display()))?;
        self.file.write_all_at(who.as_bytes(), 0).with_context(|| format!("write {}", self.path.display()))
    }

    /// Returns where the lock lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a second descriptor of this lock that a started program inherits; name its number
    /// in [`PASSED_LOCK`] and drop it after the start.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn pass_on(&self) -> anyhow::Result<OwnedFd> {
        let copy = self.file.as_fd().try_clone_to_owned().context("copy the lock's descriptor")?;
        fcntl(&copy, FcntlArg::F_SETFD(FdFlag::empty())).context("let the lock be inherited")?;
        Ok(copy)
    }
}

/// Reads `/proc/locks` (proc_locks(5)) for the holder of a lock on this file.
fn held_by(table: &str, inode: u64, device: u64) -> Option<u32> {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let wanted = format!("{major:02x}:{minor:02x}:{inode}");
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // A line with an arrow waits for the lock.
        (fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&wanted.as_str()))
            .then(|| fields[4].parse().ok())?
    })
}

/// Returns who signed a lock file: its first line, as far as it can be shown.
fn signature(file: &File) -> Option<String> {
    let mut bytes = [0u8; 400];
    let count = file.read_at(&mut bytes, 0).ok()?;
    let text = String::from_utf8_lossy(&bytes[..count]);
    let line: String = text.lines().next()?.chars().filter(|c| !c.is_control()).collect();
    (!line.is_empty()).then_some(line)
}

/// Returns the descriptor the caller passed, if it is of this very file: a number alone proves nothing.
fn passed_down(file: &File) -> Option<File> {
    let number: RawFd = std::env::var(PASSED_LOCK).ok()?.parse().ok()?;
    if number < 3 || number == file.as_raw_fd() {
        return None;
    }
    let link = std::fs::metadata(format!("/proc/self/fd/{number}")).ok()?;
    let wanted = file.metadata().ok()?;
    if (link.dev(), link.ino()) != (wanted.dev(), wanted.ino()) {
        return None;
    }
    adopt(number)
}

#[expect(unsafe_code, reason = "a descriptor passed by number can only be adopted by number")]
fn adopt(number: RawFd) -> Option<File> {
    // SAFETY: /proc/self/fd/<number> was just seen to be open, and nothing else in this process
    // knows the number: it came through the environment.
    let passed = unsafe { BorrowedFd::borrow_raw(number) };
    // Not inherited further by accident: a daemon that a command of ours leaves behind would hold the
    // lock for ever.
    fcntl(passed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    passed.try_clone_to_owned().ok().map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_a_dropped_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/lock");
        let first = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Status::Refused));
        assert_eq!(Lock::holder(&path), Some(std::process::id()));
        first.sign("cstartup n1, process 7\n").unwrap();
        let said = format!("{:#}", Lock::take(&path).unwrap_err());
        assert!(said.contains("(cstartup n1, process 7); wait"), "{said}");
        drop(first);
        // A process that another test begins has a copy of the lock until it has become its program.
        let pause = std::time::Duration::from_millis(20);
        let is_free = || {
            std::thread::sleep(pause);
            Lock::take(&path).is_ok()
        };
        assert!((0..500).any(|_| is_free()), "it stays locked");
        assert!(path.exists(), "lock files are never deleted");
    }
}
