//! Files of a walk: shared with the snapshot before where nothing changed, else copied, and further
//! names of one file joined to its first.

use super::sharing::share;
use super::{At, First, SnapshotWalk, cannot_hold, open_place, unholdable};
use crate::copy::CopyFault;
use crate::kernel;
use crate::manifest::{Entry, Kind};
use crate::metadata::{self, same_moment};
use crate::path_bytes::PathBytes;
use crate::previous::proves_unchanged;
use crate::room;
use crate::xattr;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// How often a file that changes while it is read is read again.
const ATTEMPTS: u32 = 3;

/// What became of a further name of a file.
enum Joined {
    /// It is a name of the copy that is there.
    Yes,
    /// The copy takes no further name: this one needs a copy of its own, in the same group.
    Apart { group: u64, to_come: u64 },
    /// It is a file that the walk has not met.
    No,
}

impl SnapshotWalk<'_> {
    /// Shares or copies a file.
    pub(super) fn file(&mut self, at: &At<'_>, stat: &FileStat, before: Option<Entry>) -> anyhow::Result<()> {
        self.progress.file()?;
        let mut entry = metadata::entry(PathBytes::new(at.path.clone()), stat, &mut self.owners);
        let key = (stat.st_dev, stat.st_ino);
        let mut apart = None;
        if stat.st_nlink > 1 {
            match self.join_group(at, &mut entry, key)? {
                Joined::Yes => return self.add(&entry),
                Joined::Apart { group, to_come } => apart = Some((group, to_come)),
                Joined::No => {}
            }
        }
        let proven = self.previous.as_ref().zip(before.as_ref()).filter(|(previous, before)| {
            proves_unchanged(previous.settled_before(), &entry, before) && share(at.level, at.name)
        });
        if let Some((_, before)) = proven {
            entry.blake3 = before.blake3;
            entry.xattrs.clone_from(&before.xattrs);
            self.found.totals.linked += 1;
        } else if !self.copy(at, &mut entry, before.as_ref())? {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            let (group, to_come) = apart.unwrap_or((self.groups.last + 1, stat.st_nlink - 1));
            self.groups.last = self.groups.last.max(group);
            entry.link_group = Some(group);
            let first = First {
                path: entry.path.clone(),
                group,
                size: entry.size,
                mtime_ns: entry.mtime_ns,
                digest: entry.blake3,
                changed: entry.changed,
                to_come,
            };
            self.groups.firsts.insert(key, first);
        }
        self.found.totals.bytes += entry.size;
        self.add(&entry)
    }

    /// Makes a further name of a file that is already in the snapshot.
    fn join_group(&mut self, at: &At<'_>, entry: &mut Entry, key: (u64, u64)) -> anyhow::Result<Joined> {
        let Some(first) = self.groups.firsts.get(&key) else { return Ok(Joined::No) };
        // Written to between its two names: then they are copied as two files rather than wrongly as one.
        if (first.size, first.mtime_ns) != (entry.size, entry.mtime_ns) {
            self.groups.firsts.remove(&key);
            return Ok(Joined::No);
        }
        let to_come = first.to_come.saturating_sub(1);
        match linkat(self.tree, first.path.relative(), &at.level.target, at.name, AtFlags::empty()) {
            Ok(()) => {}
            // Full of names, or its first one too deep for a path: then the store has two copies of the one
            // file, and the manifest says that it is one.
            Err(Errno::EMLINK | Errno::ENAMETOOLONG) => {
                return Ok(Joined::Apart { group: first.group, to_come });
            }
            Err(error) => return Err(error).with_context(|| at.writing()),
        }
        entry.link_group = Some(first.group);
        entry.blake3 = first.digest;
        entry.changed = first.changed;
        if let Ok(opened) = open_place(at) {
            entry.xattrs = xattr::read_all(&opened).unwrap_or_default();
        }
        // Forgotten with its last name, so that a million of such files do not pile up.
        if let Some(first) = self.groups.firsts.get_mut(&key) {
            first.to_come = to_come;
            if first.to_come == 0 {
                self.groups.firsts.remove(&key);
            }
        }
        Ok(Joined::Yes)
    }

    /// Copies a file; tells whether it could be read.
    fn copy(&mut self, at: &At<'_>, entry: &mut Entry, before: Option<&Entry>) -> anyhow::Result<bool> {
        for attempt in 1..=ATTEMPTS {
            let source = match open_to_read(&at.level.source, at.name) {
                Ok(source) => source,
                Err(error) => return self.unreadable(at, error),
            };
            let found = fstat(&source).with_context(|| format!("look at {}", at.shown()))?;
            if Kind::of_mode(found.st_mode) != Kind::File {
                self.found.problem(&at.path, "became something else while the snapshot was taken".to_owned());
                return Ok(false);
            }
            *entry = metadata::entry(entry.path.clone(), &found, &mut self.owners);
            match xattr::read_all(&source) {
                Ok(xattrs) => entry.xattrs = xattrs,
                Err(error) => self.found.problem(&at.path, format!("read the attributes: {}", error.desc())),
            }
            room::insist(&at.level.target, &found).with_context(|| at.writing())?;
            if attempt > 1 {
                remove(at)?;
            }
            // Never opened when it is there: behind a name that two sources fold into one may stand
            // a file of the snapshot before, and writing to it would change that.
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let target = match openat(&at.level.target, at.name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(target) => target,
                Err(error) if cannot_hold(error) => return Ok(self.has_no_copy(at, error)),
                Err(error) => return Err(error).with_context(|| at.writing()),
            };
            match room::reserve(&target, &found) {
                Ok(()) => {}
                Err(error) if cannot_hold(error) => {
                    remove(at)?;
                    return Ok(self.has_no_copy(at, error));
                }
                Err(error) => return Err(error).with_context(|| at.writing()),
            }
            let progress = &mut self.progress;
            match self.copier.copy(&source, &target, entry.size, &mut |count| progress.bytes(count)) {
                Ok(digest) => entry.blake3 = Some(digest),
                Err(CopyFault::Stopped(error)) => return Err(error),
                Err(CopyFault::Target(error)) if cannot_hold(error) => {
                    remove(at)?;
                    return Ok(self.has_no_copy(at, error));
                }
                Err(CopyFault::Target(error)) => return Err(error).with_context(|| at.writing()),
                Err(CopyFault::Source(error)) => {
                    remove(at)?;
                    return self.unreadable(at, error);
                }
            }
            let after = fstat(&source).with_context(|| format!("look at {}", at.shown()))?;
            let settled = same_moment(&found, &after);
            if settled || attempt == ATTEMPTS {
                entry.changed = !settled;
                if entry.changed {
                    // What was copied is what is restored, whatever size the file has by now.
                    entry.size = fstat(&target).with_context(|| at.writing())?.st_size.unsigned_abs();
                    self.found.totals.changed += 1;
                    self.found.changed.push(entry.path.clone());
                }
                let same_data = before.is_some_and(|before| has_data_of(entry, before));
                let has_shared = same_data && entry.size > 0 && share_data(at, &target);
                self.finish(&target, entry)?;
                self.keep_or_share(at, entry, before, has_shared);
                break;
            }
        }
        Ok(true)
    }

    /// Shares a copy that turned out the same as the one before, so that it takes no room twice.
    fn keep_or_share(&mut self, at: &At<'_>, entry: &Entry, before: Option<&Entry>, has_shared: bool) {
        let same = before.is_some_and(|before| entry.same_metadata(before) && has_data_of(entry, before));
        if same && share_over(at) || has_shared {
            self.found.totals.linked += 1;
        } else {
            self.found.totals.copied += 1;
            self.found.totals.copied_bytes += entry.size;
        }
    }

    /// Names a file that the store cannot hold; like one that could not be read, it has no copy.
    fn has_no_copy(&mut self, at: &At<'_>, error: Errno) -> bool {
        self.found.problem(&at.path, unholdable(error));
        false
    }

    pub(super) fn unreadable(&mut self, at: &At<'_>, error: Errno) -> anyhow::Result<bool> {
        let reason =
            if error == Errno::ENOENT { "vanished while the snapshot was taken" } else { error.desc() };
        self.found.problem(&at.path, reason.to_owned());
        Ok(false)
    }
}

/// The same in place of a copy that was just made.
fn share_over(at: &At<'_>) -> bool {
    const BESIDE: &CStr = c".orderly-shared";
    let Some(previous) = &at.level.previous else { return false };
    let target = &at.level.target;
    if linkat(previous, at.name, target, BESIDE, AtFlags::empty()).is_err() {
        return false;
    }
    let has_moved = nix::fcntl::renameat(target, BESIDE, target, at.name).is_ok();
    if !has_moved {
        unlinkat(target, BESIDE, UnlinkatFlags::NoRemoveDir).ok();
    }
    has_moved
}

/// Gives a fresh copy the data of the copy before it, which is the same, where the file system can
/// let two files share it: a change of owner or mode alone then takes no room.
fn share_data(at: &At<'_>, target: &OwnedFd) -> bool {
    let Some(previous) = &at.level.previous else { return false };
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    openat(previous, at.name, flags, Mode::empty())
        .and_then(|before| kernel::share_data(before, target))
        .is_ok()
}

/// Tells whether a copy just made holds what the one before holds.
fn has_data_of(entry: &Entry, before: &Entry) -> bool {
    (entry.size, entry.blake3) == (before.size, before.blake3) && !before.changed && !entry.changed
}

fn remove(at: &At<'_>) -> anyhow::Result<()> {
    unlinkat(&at.level.target, at.name, UnlinkatFlags::NoRemoveDir).with_context(|| at.writing())
}

/// Opens a file of a source as a snapshot reads it.
pub(crate) fn open_to_read(folder: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let open = |flags| openat(&folder, name, flags, Mode::empty());
    // Reading must not change the time of access; only the owner may ask for that.
    open(flags | OFlag::O_NOATIME)
        .or_else(|error| if error == Errno::EPERM { open(flags) } else { Err(error) })
}
