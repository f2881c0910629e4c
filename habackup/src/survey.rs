//! What a snapshot would take, looked at before it is begun, where that is in question.
//!
//! Most often it is not: where the asset has more room than all that is stored beside it, nothing is
//! looked at. What is counted is a lower bound: a run is given up here only when it cannot succeed.

use crate::manifest::{Entry, Kind, Remark};
use crate::metadata;
use crate::path_bytes::PathBytes;
use crate::previous::Previous;
use crate::progress::ShownProgress;
use crate::room::{self, Need};
use crate::snapshot;
use crate::walk::{self, Listed, Scope};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, openat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use orderly_host::exclude::Excludes;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Beyond this depth nothing is looked at; the snapshot itself names what lies deeper.
const DEEPEST: usize = 512;

/// What is surveyed.
#[derive(Debug)]
pub struct SizeSurvey<'a, 'p> {
    pub excludes: &'a Excludes,
    /// The folder of snapshots, by device and inode.
    pub store: (u64, u64),
    pub previous: Option<Previous>,
    pub progress: ShownProgress<'p>,
    /// Files with several names that were come past.
    seen: HashSet<(u64, u64)>,
    /// Whether what cannot be read is named.
    names_problems: bool,
    found: Surveyed,
}

/// What a survey amounts to.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// What the snapshot takes at least.
    pub need: Need,
    /// What cannot be read, where that was asked for.
    pub problems: Vec<Remark>,
}

/// A folder on the way.
struct SurveyLevel {
    path: Vec<u8>,
    folder: OwnedFd,
    depth: usize,
}

impl<'a, 'p> SizeSurvey<'a, 'p> {
    pub fn new(
        excludes: &'a Excludes,
        store: (u64, u64),
        previous: Option<Previous>,
        progress: ShownProgress<'p>,
    ) -> Self {
        let (seen, found) = (HashSet::new(), Surveyed::default());
        Self { excludes, store, previous, progress, seen, names_problems: false, found }
    }

    /// Names what the snapshot would name because it cannot be read; for that, files are opened.
    pub fn naming_problems(self) -> Self {
        Self { names_problems: true, ..self }
    }

    /// Returns what a snapshot of `scope` takes at least. What cannot be read takes nothing: the
    /// snapshot will name it.
    ///
    /// # Errors
    /// When somebody asked us to stop.
    pub fn of(mut self, source: OwnedFd, scope: &Scope) -> anyhow::Result<Surveyed> {
        self.contents(&SurveyLevel { path: Vec::new(), folder: source, depth: 0 }, scope)?;
        Ok(self.found)
    }

    fn problem(&mut self, path: Vec<u8>, reason: String) {
        if self.names_problems {
            self.found.problems.push(Remark { path: PathBytes::new(path), reason });
        }
    }

    fn contents(&mut self, level: &SurveyLevel, scope: &Scope) -> anyhow::Result<()> {
        match scope {
            Scope::Only(names) => {
                for (name, wanted) in names {
                    let Ok(name) = CString::new(&**name) else { continue };
                    let stat = fstatat(&level.folder, &*name, AtFlags::AT_SYMLINK_NOFOLLOW);
                    if stat.is_ok_and(|stat| Kind::of_mode(stat.st_mode) == Kind::Directory) {
                        let opened = openat(&level.folder, &*name, crate::kernel::FOLDER, Mode::empty());
                        self.folder(level, &name, opened, &wanted.scope)?;
                    } else {
                        self.other(level, &name)?;
                    }
                }
            }
            Scope::Whole => {
                let names = walk::listing(&level.folder).unwrap_or_else(|error| {
                    self.problem(level.path.clone(), format!("read the directory: {}", error.desc()));
                    Vec::new()
                });
                for (name, listed) in names {
                    let path = walk::join(&level.path, name.as_bytes());
                    if self.excludes.leave_out(&path, || listed == Listed::Folder) {
                        continue;
                    }
                    match listed {
                        // Opened before it is looked at, as the snapshot does.
                        Listed::Folder => {
                            let opened = walk::open_on_same_mount(&level.folder, &name);
                            self.folder(level, &name, opened, &Scope::Whole)?;
                        }
                        Listed::Other | Listed::Unknown => self.other(level, &name)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn folder(
        &mut self,
        level: &SurveyLevel,
        name: &CStr,
        opened: Result<OwnedFd, Errno>,
        scope: &Scope,
    ) -> anyhow::Result<()> {
        let path = walk::join(&level.path, name.to_bytes());
        let folder = match opened {
            Ok(folder) => folder,
            // Gone by now, or left out because something else is mounted there.
            Err(Errno::ENOENT | Errno::EXDEV) => return Ok(()),
            Err(error) => {
                self.problem(path, format!("open the directory: {}", error.desc()));
                return Ok(());
            }
        };
        let Ok(stat) = fstat(&folder) else { return Ok(()) };
        if (stat.st_dev, stat.st_ino) == self.store || level.depth >= DEEPEST {
            return Ok(());
        }
        self.found.need.inodes += 1;
        self.contents(&SurveyLevel { path, folder, depth: level.depth + 1 }, scope)
    }

    fn other(&mut self, level: &SurveyLevel, name: &CStr) -> anyhow::Result<()> {
        self.progress.file()?;
        let path = walk::join(&level.path, name.to_bytes());
        let before = self.previous.as_mut().and_then(|previous| previous.find(&path));
        let Ok(stat) = fstatat(&level.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { return Ok(()) };
        match Kind::of_mode(stat.st_mode) {
            Kind::File if self.takes_room(&stat, before.as_ref().map(|before| &before.entry)) => {
                self.found.need.inodes += 1;
                self.found.need.bytes += room::taken_by(&stat);
                if self.names_problems {
                    if let Err(error) = snapshot::open_to_read(&level.folder, name) {
                        if error != Errno::ENOENT {
                            self.problem(path, error.desc().to_owned());
                        }
                    }
                }
            }
            // On a file system that does not tell; the snapshot will find out.
            Kind::File | Kind::Directory | Kind::Socket => {}
            Kind::Symlink | Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => {
                self.found.need.inodes += 1;
            }
        }
        Ok(())
    }

    /// Tells whether a file needs a copy of its own. Of one whose contents look the same, the data of the copy
    /// before may be shared.
    fn takes_room(&mut self, stat: &FileStat, before: Option<&Entry>) -> bool {
        if stat.st_nlink > 1 && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return false;
        }
        let mtime_ns = metadata::mtime_ns(stat);
        before.is_none_or(|before| (before.size, before.mtime_ns) != (stat.st_size.unsigned_abs(), mtime_ns))
    }
}
