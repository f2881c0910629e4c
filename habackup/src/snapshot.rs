//! One walk over the sources: every entry copied, or shared with the snapshot before, and written
//! down in the manifest.
//!
//! Everything is opened relative to its folder and never through a link. What cannot be read is a
//! problem of the snapshot; what cannot be written ends the run.

use crate::copy::{Copier, Fault};
use crate::exclude::Excludes;
use crate::manifest::entry::Digest;
use crate::manifest::{Entry, Kind, Remark, Totals, Writer};
use crate::metadata::{self, Owner, Owners, same_moment};
use crate::previous::Previous;
use crate::progress::Progress;
use crate::store::FOLDER;
use crate::verbatim::Verbatim;
use crate::walk::{self, Scope};
use crate::xattr;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, makedev, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, mkfifoat, symlinkat, unlinkat};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// How often a file that changes while it is read is read again.
const ATTEMPTS: u32 = 3;

/// A walk under way.
#[derive(Debug)]
pub struct Snapshot<'a> {
    writer: Writer,
    /// The `tree` of the snapshot being made.
    tree: BorrowedFd<'a>,
    previous: Option<Previous>,
    excludes: Excludes,
    /// The folder of snapshots itself, by device and inode.
    store: (u64, u64),
    progress: Progress<'a>,
    copier: Copier,
    owners: Owners,
    groups: HashMap<(u64, u64), First>,
    found: Found,
}

/// What a walk amounts to.
#[derive(Debug, Default)]
pub struct Found {
    pub totals: Totals,
    pub skipped: Vec<Remark>,
    pub problems: Vec<Remark>,
    /// Files that changed each time they were read.
    pub changed: Vec<Verbatim>,
    /// How many of the things asked for are there.
    pub sources: u64,
}

/// The first name of a file that has several.
#[derive(Debug)]
struct First {
    path: Verbatim,
    group: u64,
    size: u64,
    mtime_ns: i128,
    digest: Option<Digest>,
    changed: bool,
}

/// One folder of the walk, on both sides.
#[derive(Debug)]
struct Level {
    path: Vec<u8>,
    source: OwnedFd,
    target: OwnedFd,
    previous: Option<OwnedFd>,
}

/// What a walk is given.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What is taken as `/`.
    pub source: OwnedFd,
    pub scope: &'a Scope,
    pub excludes: Excludes,
    pub store: (u64, u64),
    pub previous: Option<Previous>,
}

/// Walks over everything wanted and returns what it amounts to, with the manifest still open.
///
/// # Errors
/// When the copy cannot be written, or somebody asked us to stop.
pub fn walk<'a>(
    plan: Plan<'_>,
    tree: &'a OwnedFd,
    writer: Writer,
    progress: Progress<'a>,
) -> anyhow::Result<(Writer, Found)> {
    let previous = plan.previous.as_ref().map(|previous| previous.tree().try_clone()).transpose()?;
    let root = Level { path: Vec::new(), source: plan.source, target: tree.try_clone()?, previous };
    let mut snapshot = Snapshot {
        writer,
        tree: tree.as_fd(),
        previous: plan.previous,
        excludes: plan.excludes,
        store: plan.store,
        progress,
        copier: Copier::default(),
        owners: Owners::default(),
        groups: HashMap::new(),
        found: Found::default(),
    };
    snapshot.contents(&root, plan.scope)?;
    if let Some(error) = snapshot.previous.and_then(|previous| previous.broken) {
        snapshot.progress.detail(format!("the snapshot before cannot be read to its end: {error:#}"));
    }
    Ok((snapshot.writer, snapshot.found))
}

/// How a name came to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By the configuration.
    Asked,
    /// By the configuration, which says that it may be absent.
    Optional,
    /// By the folder it is in.
    Listed,
}

/// What is wanted of a name.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    scope: &'a Scope,
    named: Named,
    /// Of a folder: itself, not only what is in it.
    itself: bool,
}

impl Snapshot<'_> {
    fn contents(&mut self, level: &Level, scope: &Scope) -> anyhow::Result<()> {
        match scope {
            Scope::Only(names) => {
                for (name, wanted) in names {
                    let named = if wanted.optional { Named::Optional } else { Named::Asked };
                    self.visit(level, name, Request { scope: &wanted.scope, named, itself: wanted.itself })?;
                }
            }
            Scope::Whole => {
                let names = match walk::names(&level.source) {
                    Ok(names) => names,
                    Err(error) => {
                        self.problem(&level.path, format!("read the directory: {}", error.desc()));
                        return Ok(());
                    }
                };
                for name in names {
                    self.visit(
                        level,
                        &name,
                        Request { scope: &Scope::Whole, named: Named::Listed, itself: true },
                    )?;
                }
            }
        }
        Ok(())
    }

    fn visit(&mut self, level: &Level, name: &[u8], request: Request<'_>) -> anyhow::Result<()> {
        let Request { scope, named, itself } = request;
        let path = walk::join(&level.path, name);
        if named == Named::Listed && self.excludes.matches(&path) {
            return Ok(());
        }
        let Ok(c_name) = CString::new(name) else {
            self.problem(&path, "the name has a NUL in it".to_owned());
            return Ok(());
        };
        let stat = match fstatat(&level.source, c_name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => {
                self.absent(&path, scope, named, error);
                return Ok(());
            }
        };
        let kind = Kind::of_mode(stat.st_mode);
        if kind != Kind::Directory && *scope != Scope::Whole && !itself {
            let what = kind.word();
            for (leaf, _) in scope.leaves(&path, false) {
                let from = Verbatim::new(path.clone());
                self.problem(leaf.as_bytes(), format!("{from} is a {what}; name the place itself"));
            }
            return Ok(());
        }
        if named != Named::Listed && *scope == Scope::Whole {
            self.found.sources += 1;
        }
        let at = At { level, name: &c_name, path };
        match kind {
            Kind::Directory => self.directory(&at, request),
            Kind::File => self.file(&at, &stat),
            Kind::Symlink | Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {
                self.special(&at, &stat)
            }
        }
    }

    fn absent(&mut self, path: &[u8], scope: &Scope, named: Named, error: Errno) {
        for (leaf, optional) in scope.leaves(path, named == Named::Optional) {
            match (named, error) {
                (Named::Listed, Errno::ENOENT) => {
                    self.problem(leaf.as_bytes(), "vanished while the snapshot was taken".to_owned());
                }
                (Named::Asked | Named::Optional, Errno::ENOENT | Errno::ENOTDIR) if optional => {}
                (_, error) => self.problem(leaf.as_bytes(), error.desc().to_owned()),
            }
        }
    }

    fn directory(&mut self, at: &At<'_>, request: Request<'_>) -> anyhow::Result<()> {
        let Request { scope, named, itself } = request;
        let opened = match named {
            // What is asked for by name may well be another file system.
            Named::Asked | Named::Optional => openat(&at.level.source, at.name, FOLDER, Mode::empty()),
            Named::Listed => walk::open_on_same_mount(&at.level.source, at.name),
        };
        let source = match opened {
            Ok(source) => source,
            Err(Errno::EXDEV) => {
                self.skip(&at.path, "something else is mounted there; include it by name to have it");
                return Ok(());
            }
            Err(Errno::ENOENT) if named == Named::Listed => {
                self.absent(&at.path, scope, named, Errno::ENOENT);
                return Ok(());
            }
            Err(error) => {
                self.problem(&at.path, format!("open the directory: {}", error.desc()));
                return Ok(());
            }
        };
        let stat = fstat(&source).with_context(|| format!("look at {}", at.shown()))?;
        if (stat.st_dev, stat.st_ino) == self.store {
            self.skip(&at.path, "the snapshots themselves");
            return Ok(());
        }
        let mut entry = metadata::entry(Verbatim::new(at.path.clone()), &stat, &mut self.owners);
        entry.parent = *scope != Scope::Whole && !itself;
        match xattr::read_all(&source) {
            Ok(xattrs) => entry.xattrs = xattrs,
            Err(error) => self.problem(&at.path, format!("read the attributes: {}", error.desc())),
        }
        self.add(&entry)?;
        mkdirat(&at.level.target, at.name, Mode::S_IRWXU).with_context(|| at.writing())?;
        let target =
            openat(&at.level.target, at.name, FOLDER, Mode::empty()).with_context(|| at.writing())?;
        let previous = at
            .level
            .previous
            .as_ref()
            .and_then(|previous| openat(previous, at.name, FOLDER, Mode::empty()).ok());
        let level = Level { path: at.path.clone(), source, target, previous };
        self.contents(&level, scope)?;
        // Last, because making what is in it changes its time, and its mode may forbid making any.
        self.finish(&level.target, &entry, at)
    }

    fn file(&mut self, at: &At<'_>, stat: &FileStat) -> anyhow::Result<()> {
        self.progress.file()?;
        let mut entry = metadata::entry(Verbatim::new(at.path.clone()), stat, &mut self.owners);
        let before = self.previous.as_mut().and_then(|previous| previous.find(&at.path));
        let key = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 && self.join_group(at, &mut entry, key)? {
            return self.add(&entry);
        }
        if let (Some(previous), Some(before)) = (&self.previous, &before)
            && previous.proves_unchanged(&entry, before)
            && share(at)
        {
            entry.blake3 = before.blake3;
            entry.xattrs.clone_from(&before.xattrs);
            self.found.totals.linked += 1;
        } else if !self.copy(at, &mut entry, before.as_ref())? {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            let group = self.groups.len() as u64 + 1;
            entry.link_group = Some(group);
            let first = First {
                path: entry.path.clone(),
                group,
                size: entry.size,
                mtime_ns: entry.mtime_ns,
                digest: entry.blake3,
                changed: entry.changed,
            };
            self.groups.insert(key, first);
        }
        self.found.totals.bytes += entry.size;
        self.add(&entry)
    }

    /// Makes a further name of a file that is already in the snapshot.
    fn join_group(&mut self, at: &At<'_>, entry: &mut Entry, key: (u64, u64)) -> anyhow::Result<bool> {
        let Some(first) = self.groups.get(&key) else { return Ok(false) };
        // Written to between its two names: then they are copied as two files rather than wrongly as one.
        if (first.size, first.mtime_ns) != (entry.size, entry.mtime_ns) {
            self.groups.remove(&key);
            return Ok(false);
        }
        match linkat(self.tree, first.path.relative(), &at.level.target, at.name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::EMLINK) => return Ok(false),
            Err(error) => return Err(error).with_context(|| at.writing()),
        }
        entry.link_group = Some(first.group);
        entry.blake3 = first.digest;
        entry.changed = first.changed;
        if let Ok(opened) = open_place(at) {
            entry.xattrs = xattr::read_all(&opened).unwrap_or_default();
        }
        Ok(true)
    }

    /// Copies a file; tells whether it could be read.
    fn copy(&mut self, at: &At<'_>, entry: &mut Entry, before: Option<&Entry>) -> anyhow::Result<bool> {
        for attempt in 1..=ATTEMPTS {
            let source = match open_to_read(at) {
                Ok(source) => source,
                Err(error) => return self.unreadable(at, error),
            };
            let found = fstat(&source).with_context(|| format!("look at {}", at.shown()))?;
            if Kind::of_mode(found.st_mode) != Kind::File {
                self.problem(&at.path, "became something else while the snapshot was taken".to_owned());
                return Ok(false);
            }
            *entry = metadata::entry(entry.path.clone(), &found, &mut self.owners);
            match xattr::read_all(&source) {
                Ok(xattrs) => entry.xattrs = xattrs,
                Err(error) => self.problem(&at.path, format!("read the attributes: {}", error.desc())),
            }
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let target = openat(&at.level.target, at.name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .with_context(|| at.writing())?;
            let progress = &mut self.progress;
            match self.copier.copy(&source, &target, entry.size, &mut |count| progress.bytes(count)) {
                Ok(digest) => entry.blake3 = Some(digest),
                Err(Fault::Stopped(error)) => return Err(error),
                Err(Fault::Target(error)) => return Err(error).with_context(|| at.writing()),
                Err(Fault::Source(error)) => {
                    unlinkat(&at.level.target, at.name, UnlinkatFlags::NoRemoveDir)
                        .with_context(|| at.writing())?;
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
                self.finish(&target, entry, at)?;
                break;
            }
        }
        self.keep_or_share(at, entry, before)?;
        Ok(true)
    }

    /// Shares a copy that turned out the same as the one before, so that it takes no room twice.
    fn keep_or_share(&mut self, at: &At<'_>, entry: &Entry, before: Option<&Entry>) -> anyhow::Result<()> {
        let same = before.is_some_and(|before| {
            entry.same_metadata(before) && entry.blake3 == before.blake3 && !before.changed && !entry.changed
        });
        if same && share_over(at) {
            self.found.totals.linked += 1;
        } else {
            self.found.totals.copied += 1;
            self.found.totals.copied_bytes += entry.size;
        }
        Ok(())
    }

    fn unreadable(&mut self, at: &At<'_>, error: Errno) -> anyhow::Result<bool> {
        let reason =
            if error == Errno::ENOENT { "vanished while the snapshot was taken" } else { error.desc() };
        self.problem(&at.path, reason.to_owned());
        Ok(false)
    }

    /// Copies what has no contents: links, fifos, devices; sockets are only written down.
    fn special(&mut self, at: &At<'_>, stat: &FileStat) -> anyhow::Result<()> {
        self.progress.file()?;
        let mut entry = metadata::entry(Verbatim::new(at.path.clone()), stat, &mut self.owners);
        let opened = open_place(at);
        let xattrs = opened.as_ref().map_err(|error| *error).and_then(xattr::read_all);
        match xattrs {
            Ok(xattrs) => entry.xattrs = xattrs,
            Err(Errno::ENOENT) => return self.unreadable(at, Errno::ENOENT).map(drop),
            Err(_) => {}
        }
        let target = &at.level.target;
        let made = match entry.kind {
            Kind::Symlink => match readlinkat(&at.level.source, at.name) {
                Ok(leads_to) => {
                    let leads_to = Verbatim::new(leads_to.into_vec());
                    let made = symlinkat(leads_to.as_os_str(), target, at.name);
                    entry.target = Some(leads_to);
                    made
                }
                Err(error) => return self.unreadable(at, error).map(drop),
            },
            Kind::Fifo => mkfifoat(target, at.name, Mode::S_IRUSR | Mode::S_IWUSR),
            Kind::CharDevice | Kind::BlockDevice => make_device(target, at, &entry),
            Kind::File | Kind::Directory | Kind::Socket => Err(Errno::EPERM),
        };
        match made {
            Ok(()) => {
                let copy = open_at(target, at).with_context(|| at.writing())?;
                self.finish(&copy, &entry, at)?;
            }
            // Without the right to make it, a device is kept in the manifest alone, as sockets always are.
            Err(Errno::EPERM) => {
                if entry.kind == Kind::Socket {
                    self.skip(&at.path, "a socket lives only as long as who listens on it");
                }
            }
            Err(error) => return Err(error).with_context(|| at.writing()),
        }
        self.add(&entry)
    }

    fn finish(&mut self, target: impl AsFd, entry: &Entry, at: &At<'_>) -> anyhow::Result<()> {
        let lost = metadata::apply(target, entry, Owner::by_number(entry)).with_context(|| at.writing())?;
        for name in lost {
            // The manifest has them all the same, and restoring goes by the manifest.
            self.progress.detail(format!("{}: {name} is kept in the manifest only", at.shown()));
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.found.totals.entries += 1;
        if entry.kind == Kind::File {
            self.found.totals.files += 1;
        }
        self.writer.add(entry)
    }

    fn problem(&mut self, path: &[u8], reason: String) {
        self.found.problems.push(Remark { path: Verbatim::new(path), reason });
    }

    fn skip(&mut self, path: &[u8], reason: &str) {
        self.found.skipped.push(Remark { path: Verbatim::new(path), reason: reason.to_owned() });
    }
}

/// One name of the walk.
#[derive(Debug)]
struct At<'a> {
    level: &'a Level,
    name: &'a CStr,
    path: Vec<u8>,
}

impl At<'_> {
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    fn writing(&self) -> String {
        format!("write the copy of {}", self.shown())
    }
}

/// Makes the copy of the snapshot before a name in this one; tells whether that was possible.
fn share(at: &At<'_>) -> bool {
    let Some(previous) = &at.level.previous else { return false };
    linkat(previous, at.name, &at.level.target, at.name, AtFlags::empty()).is_ok()
}

/// The same in place of a copy that was just made.
fn share_over(at: &At<'_>) -> bool {
    const BESIDE: &CStr = c".orderly-shared";
    let Some(previous) = &at.level.previous else { return false };
    let target = &at.level.target;
    linkat(previous, at.name, target, BESIDE, AtFlags::empty()).is_ok()
        && nix::fcntl::renameat(target, BESIDE, target, at.name).is_ok()
}

fn open_to_read(at: &At<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let open = |flags| openat(&at.level.source, at.name, flags, Mode::empty());
    // Reading must not change the time of access; only the owner may ask for that.
    open(flags | OFlag::O_NOATIME)
        .or_else(|error| if error == Errno::EPERM { open(flags) } else { Err(error) })
}

fn open_place(at: &At<'_>) -> Result<OwnedFd, Errno> {
    open_at(&at.level.source, at)
}

fn open_at(folder: impl AsFd, at: &At<'_>) -> Result<OwnedFd, Errno> {
    openat(folder, at.name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

fn make_device(target: &OwnedFd, at: &At<'_>, entry: &Entry) -> Result<(), Errno> {
    let Some((major, minor)) = entry.device_number else { return Err(Errno::EPERM) };
    let kind = if entry.kind == Kind::BlockDevice { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    mknodat(target, at.name, kind, Mode::S_IRUSR | Mode::S_IWUSR, makedev(major, minor))
}
