//! One walk over the sources: every entry copied, or shared with the snapshot before, and written
//! down in the manifest.
//!
//! Everything is opened relative to its folder and never through a link. What cannot be read is a
//! problem of the snapshot; what cannot be written ends the run.
//!
//! The walk itself only makes folders and asks what stood there before; the names in a folder go
//! through `ahead`, where helpers share what is unchanged while the walk is already elsewhere, and
//! come back in the order of the walk.

mod ahead;
mod file;
mod level;
mod links;
mod sharing;

pub(crate) use file::open_to_read;
use level::Level;
pub(crate) use links::objection;
use orderly_host::exclude::Excludes;

use crate::copy::Copier;
use crate::kernel::FOLDER;
use crate::manifest::entry::Digest;
use crate::manifest::{Entry, Kind, Remark, Totals, Writer};
use crate::metadata::{self, FileOwner, Owners};
use crate::path_bytes::PathBytes;
use crate::previous::Previous;
use crate::progress::ShownProgress;
use crate::walk::{self, Listed, Scope};
use crate::xattr;
use ahead::Ahead;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, makedev, mkdirat, mknodat};
use nix::unistd::{mkfifoat, symlinkat};
use sharing::{Helpers, Name};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

/// How deep folders are followed. Each level holds three open files and a part of the stack, and who
/// may write to a source could otherwise end every backup.
const DEEPEST: usize = 1024;

/// A walk under way.
#[derive(Debug)]
pub struct SnapshotWalk<'a> {
    writer: Writer,
    /// The `tree` of the snapshot being made.
    tree: BorrowedFd<'a>,
    previous: Option<Previous>,
    left_out: LeftOut,
    progress: ShownProgress<'a>,
    copier: Copier,
    owners: Owners,
    groups: NamedTwice,
    ahead: Ahead,
    helpers: Helpers,
    /// Sources that are links, with whether they may be absent.
    linked_sources: Vec<(Vec<u8>, LinkedSource)>,
    found: WalkResult,
}

/// What is not copied.
#[derive(Debug)]
struct LeftOut {
    excludes: Excludes,
    /// The folder of snapshots itself, by device and inode.
    store: (u64, u64),
}

/// Files with several names, by device and inode of the first one, and the last number that such a file was given.
#[derive(Debug, Default)]
struct NamedTwice {
    firsts: HashMap<(u64, u64), First>,
    last: u64,
}

/// What a walk amounts to.
#[derive(Debug, Default)]
pub struct WalkResult {
    pub totals: Totals,
    pub skipped: Vec<Remark>,
    pub problems: Vec<Remark>,
    /// Files that changed each time they were read.
    pub changed: Vec<PathBytes>,
    /// How many of the things asked for are there.
    pub sources: u64,
}

impl WalkResult {
    fn problem(&mut self, path: &[u8], reason: String) {
        self.problems.push(Remark { path: PathBytes::new(path), reason });
    }

    fn skip(&mut self, path: &[u8], reason: &str) {
        self.skipped.push(Remark { path: PathBytes::new(path), reason: reason.to_owned() });
    }

    /// Names what was asked for in vain, but for what may be absent.
    fn absent(&mut self, path: &[u8], scope: &Scope, named: LinkedSource, error: Errno) {
        for (leaf, optional) in scope.leaves(path, named == LinkedSource::Optional) {
            match (named, error) {
                (LinkedSource::Listed, Errno::ENOENT) => {
                    self.problem(leaf.as_bytes(), "vanished while the snapshot was taken".to_owned());
                }
                (LinkedSource::Asked | LinkedSource::Optional, Errno::ENOENT | Errno::ENOTDIR)
                    if optional => {}
                (_, error) => self.problem(leaf.as_bytes(), error.desc().to_owned()),
            }
        }
    }
}

/// The first name of a file that has several.
#[derive(Debug)]
struct First {
    path: PathBytes,
    group: u64,
    size: u64,
    mtime_ns: i128,
    digest: Option<Digest>,
    changed: bool,
    /// How many of its names the walk has not come to.
    to_come: u64,
}

/// What a walk is given.
#[derive(Debug)]
pub struct SnapshotPlan<'a> {
    /// What is taken as `/`.
    pub source: OwnedFd,
    pub scope: &'a Scope,
    pub excludes: Excludes,
    pub store: (u64, u64),
    pub previous: Option<Previous>,
    /// About how many entries there will be: for a few, no helpers are called.
    pub expected: u64,
}

/// Walks over everything wanted and returns what it amounts to, with the manifest still open.
///
/// # Errors
/// When the copy cannot be written, or somebody asked us to stop.
pub fn walk<'a>(
    plan: SnapshotPlan<'_>,
    tree: &'a OwnedFd,
    writer: Writer,
    progress: ShownProgress<'a>,
) -> anyhow::Result<(Writer, WalkResult)> {
    let previous = plan.previous.as_ref().map(|previous| previous.tree().try_clone()).transpose()?;
    let root = Level { path: Vec::new(), depth: 0, source: plan.source, target: tree.try_clone()?, previous };
    let helpers = Helpers::call(plan.previous.as_ref().map(Previous::settled_before), plan.expected);
    let mut snapshot = SnapshotWalk {
        writer,
        tree: tree.as_fd(),
        previous: plan.previous,
        left_out: LeftOut { excludes: plan.excludes, store: plan.store },
        progress,
        copier: Copier::default(),
        owners: Owners::default(),
        groups: NamedTwice::default(),
        ahead: Ahead::default(),
        helpers,
        linked_sources: Vec::new(),
        found: WalkResult::default(),
    };
    snapshot.contents(&Arc::new(root), plan.scope)?;
    snapshot.settle_all()?;
    snapshot.judge_linked_sources(plan.scope);
    // The walk meets folders before the files beside them.
    snapshot.found.problems.sort_by(|a, b| a.path.cmp(&b.path));
    snapshot.found.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(error) = snapshot.previous.and_then(|previous| previous.broken) {
        snapshot.progress.detail(format!("the snapshot before cannot be read to its end: {error:#}"));
    }
    Ok((snapshot.writer, snapshot.found))
}

/// How a name came to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkedSource {
    /// By the configuration.
    Asked,
    /// By the configuration, which says that it may be absent.
    Optional,
    /// By the folder it is in.
    Listed,
}

/// What is wanted of a name.
#[derive(Debug, Clone, Copy)]
struct CopyRequest<'a> {
    scope: &'a Scope,
    named: LinkedSource,
    /// Of a folder: itself, not only what is in it.
    itself: bool,
}

/// What is wanted of a name that stands in a folder which is wanted whole.
const LISTED: CopyRequest<'_> =
    CopyRequest { scope: &Scope::Whole, named: LinkedSource::Listed, itself: true };

impl SnapshotWalk<'_> {
    fn contents(&mut self, level: &Arc<Level>, scope: &Scope) -> anyhow::Result<()> {
        let Scope::Only(names) = scope else { return self.everything(level) };
        for (name, wanted) in names {
            let named = if wanted.optional { LinkedSource::Optional } else { LinkedSource::Asked };
            self.visit(level, name, CopyRequest { scope: &wanted.scope, named, itself: wanted.itself })?;
        }
        Ok(())
    }

    /// Walks over all that is in a folder.
    fn everything(&mut self, level: &Arc<Level>) -> anyhow::Result<()> {
        let names = match walk::listing(&level.source) {
            Ok(names) => names,
            Err(error) => {
                self.found.problem(&level.path, format!("read the directory: {}", error.desc()));
                return Ok(());
            }
        };
        let mut path = level.path.clone();
        path.push(b'/');
        let length = path.len();
        let mut names_ahead = Vec::new();
        for (name, listed) in names {
            path.truncate(length);
            path.extend_from_slice(name.as_bytes());
            let is_folder =
                || listed == Listed::Folder || listed == Listed::Unknown && is_folder(level, &name);
            if self.left_out.excludes.leave_out(&path, is_folder) {
                continue;
            }
            if is_folder() {
                self.send_ahead(level, std::mem::take(&mut names_ahead))?;
                // Opened before it is looked at: a dead server mounted there would never answer the look.
                self.directory(&At { level, name: &name, path: path.clone() }, LISTED)?;
                continue;
            }
            let before = self.previous.as_mut().and_then(|previous| previous.find(&path));
            names_ahead.push(Name { name, before });
            if names_ahead.len() >= ahead::NAMES_AT_ONCE {
                self.send_ahead(level, std::mem::take(&mut names_ahead))?;
            }
        }
        self.send_ahead(level, names_ahead)
    }

    /// Walks over what the configuration names.
    fn visit(&mut self, level: &Arc<Level>, name: &[u8], request: CopyRequest<'_>) -> anyhow::Result<()> {
        let CopyRequest { scope, named, itself } = request;
        let path = walk::join(&level.path, name);
        let Ok(c_name) = CString::new(name) else {
            self.found.problem(&path, "the name has a NUL in it".to_owned());
            return Ok(());
        };
        let stat = match fstatat(&level.source, c_name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => {
                if itself {
                    self.found.problem(&path, error.desc().to_owned());
                }
                self.found.absent(&path, scope, named, error);
                return Ok(());
            }
        };
        let kind = Kind::of_mode(stat.st_mode);
        if kind != Kind::Directory && *scope != Scope::Whole && !itself {
            let what = kind.word();
            for (leaf, _) in scope.leaves(&path, false) {
                let from = PathBytes::new(path.clone());
                self.found.problem(leaf.as_bytes(), format!("{from} is a {what}; name the place itself"));
            }
            return Ok(());
        }
        if *scope == Scope::Whole {
            self.found.sources += 1;
            if kind == Kind::Symlink {
                self.linked_sources.push((path.clone(), named));
            }
        }
        if kind == Kind::Directory {
            return self.directory(&At { level, name: &c_name, path }, request);
        }
        let before = self.previous.as_mut().and_then(|previous| previous.find(&path));
        self.settle_all()?;
        let before = before.map(|before| before.entry);
        self.other(&At { level, name: &c_name, path }, &stat, before)
    }

    /// Copies or shares anything but a folder.
    fn other(&mut self, at: &At<'_>, stat: &FileStat, before: Option<Entry>) -> anyhow::Result<()> {
        if Kind::of_mode(stat.st_mode) == Kind::File {
            self.file(at, stat, before)
        } else {
            self.special(at, stat)
        }
    }

    fn directory(&mut self, at: &At<'_>, request: CopyRequest<'_>) -> anyhow::Result<()> {
        let CopyRequest { scope, named, itself } = request;
        if at.level.depth >= DEEPEST {
            self.found.problem(&at.path, format!("lies more than {DEEPEST} directories deep"));
            return Ok(());
        }
        let opened = match named {
            // What is asked for by name may well be another file system.
            LinkedSource::Asked | LinkedSource::Optional => {
                openat(&at.level.source, at.name, FOLDER, Mode::empty())
            }
            LinkedSource::Listed => walk::open_on_same_mount(&at.level.source, at.name),
        };
        let source = match opened {
            Ok(source) => source,
            Err(Errno::EXDEV) => {
                self.found.skip(&at.path, "something else is mounted there; include it by name to have it");
                return Ok(());
            }
            Err(Errno::ENOENT) if named == LinkedSource::Listed => {
                self.found.absent(&at.path, scope, named, Errno::ENOENT);
                return Ok(());
            }
            Err(error) => {
                self.found.problem(&at.path, format!("open the directory: {}", error.desc()));
                return Ok(());
            }
        };
        let stat = fstat(&source).with_context(|| format!("look at {}", at.shown()))?;
        if (stat.st_dev, stat.st_ino) == self.left_out.store {
            self.found.skip(&at.path, "the snapshots themselves");
            return Ok(());
        }
        let mut entry = metadata::entry(PathBytes::new(at.path.clone()), &stat, &mut self.owners);
        entry.parent = *scope != Scope::Whole && !itself;
        match xattr::read_all(&source) {
            Ok(xattrs) => entry.xattrs = xattrs,
            Err(error) => self.found.problem(&at.path, format!("read the attributes: {}", error.desc())),
        }
        match mkdirat(&at.level.target, at.name, Mode::S_IRWXU) {
            Ok(()) => {}
            Err(error) if cannot_hold(error) => {
                self.found.problem(&at.path, format!("{}; nothing below it is kept", unholdable(error)));
                return Ok(());
            }
            Err(error) => return Err(error).with_context(|| at.writing()),
        }
        let target =
            openat(&at.level.target, at.name, FOLDER, Mode::empty()).with_context(|| at.writing())?;
        let previous = at
            .level
            .previous
            .as_ref()
            .and_then(|previous| openat(previous, at.name, FOLDER, Mode::empty()).ok());
        let depth = at.level.depth + 1;
        let level = Arc::new(Level { path: at.path.clone(), depth, source, target, previous });
        let entry = Arc::new(entry);
        self.enter_ahead(&entry)?;
        self.contents(&level, scope)?;
        self.leave_ahead(level, entry)
    }

    /// Copies what has no contents: links, fifos, devices; sockets are only written down.
    fn special(&mut self, at: &At<'_>, stat: &FileStat) -> anyhow::Result<()> {
        self.progress.file()?;
        let mut entry = metadata::entry(PathBytes::new(at.path.clone()), stat, &mut self.owners);
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
                    let leads_to = PathBytes::new(leads_to.into_vec());
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
                self.finish(&copy, &entry)?;
            }
            Err(Errno::EPERM) if entry.kind == Kind::Socket => {
                self.found.skip(&at.path, "a socket lives only as long as who listens on it");
            }
            // Without the right to make it, or where the store has no such thing, what has no contents is
            // kept in the manifest alone: restoring goes by the manifest.
            Err(error) if error == Errno::EPERM || error == Errno::EOPNOTSUPP || cannot_hold(error) => {
                entry.manifest_only = true;
                let why = error.desc();
                self.progress.detail(format!("{}: kept in the manifest only: {why}", at.shown()));
            }
            Err(error) => return Err(error).with_context(|| at.writing()),
        }
        self.add(&entry)
    }

    /// Gives a copy the owner, permissions, attributes and times of its original.
    fn finish(&mut self, target: impl AsFd, entry: &Entry) -> anyhow::Result<()> {
        let lost = match metadata::apply(&target, entry, FileOwner::by_number(entry)) {
            Err(Errno::EINVAL) if metadata::is_unmapped(entry) => {
                let why = metadata::unmapped(entry);
                self.progress.say(format!("{}: {why}; it is kept in the manifest only", entry.path));
                // Without its owner, what runs as its owner would run as us.
                let plain = Entry { mode: entry.mode & 0o1777, ..entry.clone() };
                metadata::apply(&target, &plain, FileOwner::of_this_process())
            }
            result => result,
        };
        let lost = lost.with_context(|| writing(&entry.path))?;
        for name in lost {
            // The manifest has them all the same, and restoring goes by the manifest.
            self.progress.detail(format!("{}: {name} is kept in the manifest only", entry.path));
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
}

/// Tells whether it is this one entry that the store cannot hold: its name is too long or has characters
/// that the store does not take, another name passes for it there, or it is too large. Anything else would
/// meet the next entry too.
fn cannot_hold(error: Errno) -> bool {
    matches!(
        error,
        Errno::ENAMETOOLONG
            | Errno::EILSEQ
            | Errno::EINVAL
            | Errno::EEXIST
            | Errno::EFBIG
            | Errno::EOVERFLOW
            | Errno::EMLINK
    )
}

/// Returns why an entry has no copy.
fn unholdable(error: Errno) -> String {
    let why = if error == Errno::EEXIST {
        "it takes the name for another one that is there"
    } else if matches!(error, Errno::EINVAL | Errno::EILSEQ) {
        "it does not take such a name or size"
    } else {
        error.desc()
    };
    format!("the backup directory cannot hold it: {why}")
}

/// One name of the walk.
#[derive(Debug)]
struct At<'a> {
    level: &'a Arc<Level>,
    name: &'a CStr,
    path: Vec<u8>,
}

impl At<'_> {
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    fn writing(&self) -> String {
        writing(self.shown())
    }
}

fn writing(path: impl std::fmt::Display) -> String {
    format!("write the copy of {path}")
}

/// Tells whether a name is a folder, on a file system whose listings do not tell.
fn is_folder(level: &Level, name: &CStr) -> bool {
    fstatat(&level.source, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| Kind::of_mode(stat.st_mode) == Kind::Directory)
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
