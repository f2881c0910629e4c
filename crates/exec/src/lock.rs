//! One run at a time: a kernel lock that dies with its process. Lock files are never deleted.
//!
//! Whoever only looks must not take the lock, not for a moment: somebody who wants it then would be refused. So whoever has
//! it locks the bytes of the file as well, which can be asked about. `/proc/locks` is no answer: where the file lies on btrfs
//! or overlayfs it names another device than stat(2), and it has no process of another namespace.
//!
//! Invariant: a descriptor that was passed down counts only if it is of the very file and the lock on it
//! succeeds (`a_passed_descriptor_that_is_not_locked_lets_nobody_in`).

use crate::byte_locks::Bytes;
use crate::job::show;
use crate::printable::printable;
use crate::program::{arguments, program_name};
use crate::status::{OrStatus, Status, mark};
use crate::{clock, files};
use anyhow::Context;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{Uid, User};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names the descriptor of a lock that a program passes to the program it runs.
pub const PASSED_LOCK: &str = "ORDERLY_LOCK_FD";

/// How much of a command line whoever is refused is shown.
const SHOWN: usize = 200;

/// How often it is looked whether a lock is free by now.
const GLANCE: Duration = Duration::from_millis(2);

/// What is said of a holder of whom nothing is known.
const UNSEEN: &str = "a process that cannot be seen from here";

/// Nobody else may have it, and nobody is waited for.
const ALONE: FlockOperation = FlockOperation::NonBlockingLockExclusive;

/// Another run holds the lock: whoever may wait, or only looks, tells it from a lock that can never be taken.
#[derive(Debug)]
struct HeldElsewhere {
    path: PathBuf,
    by: String,
}

impl fmt::Display for HeldElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another run holds {}: {}; wait for it to end", self.path.display(), self.by)
    }
}

impl std::error::Error for HeldElsewhere {}

/// A held lock; let go when dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    is_passed: bool,
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
        let file =
            open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))?;
        let passed = passed_down(&file);
        match (flock(&file, ALONE), passed) {
            (Ok(()), _) => {
                let lock = Self { file, path: path.to_owned(), is_passed: false };
                lock.sign();
                Bytes::ALL.lock(&lock.file);
                Ok(lock)
            }
            // Locking again what the calling program has locked succeeds; on a descriptor that it has not
            // locked the lock of the other run is met once more.
            (Err(Errno::WOULDBLOCK), Some(passed)) if flock(&passed, ALONE).is_ok() => {
                Ok(Self { file: passed, path: path.to_owned(), is_passed: true })
            }
            (Err(Errno::WOULDBLOCK), _) => {
                let by = Self::holder(path).unwrap_or_else(|| UNSEEN.to_owned());
                Err(held_elsewhere(path, by))
            }
            (Err(error), _) => {
                Err(error).with_context(|| format!("lock {}", path.display())).or_status(Status::Refused)
            }
        }
    }

    /// Takes the lock at `path` as [`Lock::take`] does, and waits for it: for one that everybody holds only for moments.
    ///
    /// # Errors
    /// As [`Lock::take`], when another run still holds it after `limit`.
    pub fn wait(path: &Path, limit: Duration) -> anyhow::Result<Self> {
        let until = Instant::now() + limit;
        loop {
            match Self::take(path) {
                Err(error) if Self::is_held_elsewhere(&error) && Instant::now() < until => {
                    std::thread::sleep(GLANCE);
                }
                taken => return taken,
            }
        }
    }

    /// Makes sure that the lock at `path` could be taken now, for who only looks: makes no file and takes
    /// nothing. Tells whether the calling program passed it down.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn look(path: &Path) -> anyhow::Result<bool> {
        if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            files::check_writable(path.parent().unwrap_or(path)).or_status(Status::Refused)?;
            return Ok(false);
        }
        let file = open(path, OpenOptions::new().read(true).write(true))?;
        match (Self::holder(path), passed_down(&file)) {
            (None, _) => Ok(false),
            (Some(_), Some(_)) => Ok(true),
            (Some(by), None) => Err(held_elsewhere(path, by)),
        }
    }

    /// Returns who holds the lock at `path`, for who only looks: process, program, user and since when. It
    /// takes nothing itself.
    pub fn holder(path: &Path) -> Option<String> {
        let pid = process_of(path);
        if pid.is_none() && !is_seen_locked(path) {
            return None;
        }
        let begins = pid.map_or_else(|| "process ".to_owned(), |pid| format!("process {pid} ("));
        let signed = signature(path).filter(|text| text.starts_with(&begins));
        Some(signed.or_else(|| pid.map(describe)).unwrap_or_else(|| UNSEEN.to_owned()))
    }

    /// Tells whether this process has the file of the lock at `path` open. A number alone proves nothing: it may have been
    /// given anew, or be of another process namespace.
    pub fn is_open_in(path: &Path, process: u32) -> bool {
        let Ok(wanted) = std::fs::symlink_metadata(path) else { return false };
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        let found = open.filter_map(|entry| std::fs::metadata(entry.path()).ok());
        found.map(|found| (found.dev(), found.ino())).any(|found| found == (wanted.dev(), wanted.ino()))
    }

    /// Tells whether taking a lock failed because another run holds it.
    pub fn is_held_elsewhere(error: &anyhow::Error) -> bool {
        error.is::<HeldElsewhere>()
    }

    /// Writes into the lock file who holds it, for whoever is refused meanwhile. It keeps nobody from working:
    /// what cannot be written is read from the process itself.
    fn sign(&self) {
        let pid = std::process::id();
        let text = format!("process {pid} ({}, user {}, since {})\n", command(), who(), clock::now());
        if self.file.set_len(0).is_ok() {
            self.file.write_all_at(text.as_bytes(), 0).ok();
        }
    }

    /// Tells whether the calling program holds the lock and passed it down: this run is a part of its run.
    pub fn is_passed(&self) -> bool {
        self.is_passed
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

/// Returns how this program was called, as far as it is shown to whoever is refused.
pub fn command() -> String {
    let words = [&[program_name()], arguments().as_slice()].concat();
    printable(&show(&words)).chars().take(SHOWN).collect()
}

/// Opens a lock file, never through a link.
fn open(path: &Path, how: &mut OpenOptions) -> anyhow::Result<File> {
    how.custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
        .with_context(|| format!("open the lock {}", path.display()))
        .or_status(Status::Refused)
}

fn held_elsewhere(path: &Path, by: String) -> anyhow::Error {
    mark(HeldElsewhere { path: path.to_owned(), by }.into(), Status::Refused)
}

/// Tells whether a run holds the lock at `path`, by the bytes that it has locked.
fn is_seen_locked(path: &Path) -> bool {
    to_look(path).is_ok_and(|file| Bytes::ALL.are_locked(&file))
}

/// Opens what may be a lock file, and waits for nobody if it is a pipe.
fn to_look(path: &Path) -> std::io::Result<File> {
    let how = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(how).open(path)
}

/// Returns the process that holds the lock at `path`, where the kernel tells: also of flock(1), which locks no bytes.
fn process_of(path: &Path) -> Option<u32> {
    let found = std::fs::symlink_metadata(path).ok()?;
    held_by(&std::fs::read_to_string("/proc/locks").ok()?, found.ino(), found.dev())
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
fn signature(path: &Path) -> Option<String> {
    let file = to_look(path).ok()?;
    let mut bytes = [0u8; 600];
    let count = file.read_at(&mut bytes, 0).ok()?;
    let text = String::from_utf8_lossy(&bytes[..count]);
    let line: String = text.lines().next()?.chars().filter(|c| !c.is_control()).collect();
    (!line.is_empty()).then_some(line)
}

/// Describes a process that signed nothing, as flock(1) does not.
fn describe(pid: u32) -> String {
    let Ok(comm) = std::fs::read_to_string(format!("/proc/{pid}/comm")) else {
        return UNSEEN.to_owned();
    };
    let user = std::fs::metadata(format!("/proc/{pid}")).map(|found| name_of(Uid::from_raw(found.uid())));
    let user = user.map(|user| format!(", user {user}")).unwrap_or_default();
    let since = began(pid).map(|at| format!(", since {at}")).unwrap_or_default();
    format!("process {pid} ({}{user}{since})", printable(comm.trim()))
}

/// Returns when a process began: ticks since the machine did (proc_pid_stat(5)), of which Linux shows a hundred
/// a second everywhere.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks: i64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let kernel = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = kernel.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    clock::at(boot + ticks / 100)
}

fn name_of(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Returns who asked: the user behind `sudo`, where it is told, and the one in effect.
pub fn who() -> String {
    let own = name_of(Uid::effective());
    match std::env::var("SUDO_USER") {
        Ok(asked) if !asked.is_empty() && asked != own => format!("{} as {own}", printable(&asked)),
        _ => own,
    }
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
        assert!(Lock::is_held_elsewhere(&error.context("however it is wrapped")));
        let never = Lock::take(dir.path()).unwrap_err();
        assert!(!Lock::is_held_elsewhere(&never), "{never:#}");
        let begins = format!("process {} (", std::process::id());
        assert!(Lock::holder(&path).unwrap().starts_with(&begins));
        // What signed nothing is told by what the kernel knows of it.
        std::fs::write(&path, "").unwrap();
        let said = Lock::holder(&path).unwrap();
        assert!(said.starts_with(&begins) && said.contains(", since 2"), "{said}");
        first.sign();
        let said = format!("{:#}", Lock::take(&path).unwrap_err());
        let begins = format!("/state/lock: process {} (", std::process::id());
        assert!(said.contains(&begins) && said.contains(", user ") && said.contains(", since 2"), "{said}");
        drop(first);
        // A process that another test begins has a copy of the lock until it has become its program.
        let pause = Duration::from_millis(20);
        let is_free = || {
            std::thread::sleep(pause);
            Lock::take(&path).is_ok()
        };
        assert!((0..500).any(|_| is_free()), "it stays locked");
        assert!(path.exists(), "lock files are never deleted");
    }

    /// It was read from /proc/locks alone, in which the file has another device on some file systems.
    #[test]
    fn a_lock_is_seen_whatever_device_the_kernel_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_seen_locked(&path), "there is none");
        let lock = Lock::take(&path).unwrap();
        assert!(is_seen_locked(&path));
        assert!(is_seen_locked(&path), "looking takes nothing away");
        assert!(Lock::is_open_in(&path, std::process::id()) && !Lock::is_open_in(&path, u32::MAX));
        drop(lock);
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Lock::holder(&dir.path().join("pipe")), None, "nobody is waited for");
    }
}
