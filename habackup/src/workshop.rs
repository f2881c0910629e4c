//! Where things are made before they are put in place: a directory of root's own on the same file system,
//! from which one rename puts them where they belong.
//!
//! Whoever may write to a directory that is restored could otherwise exchange what was just made there for
//! another file before it gets its owner, or take the name that it is made under.
//!
//! Where one is made is written down before, so that the run after a killed one finds and removes it.

use crate::kernel::FOLDER;
use crate::path_bytes::{PathBytes, encode_hex};
use crate::root::{Folder, Mount, Root, Spot};
use crate::walk;
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::openat;
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use orderly_exec::files::{self, Found};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the name of a workshop begins with; a number follows that nobody can guess.
const NAME: &str = ".orderly-restore-";
/// The one thing in a workshop.
pub(crate) const MADE: &CStr = c"made";
/// How often a workshop is tried; each attempt that fails was disturbed by somebody.
const ATTEMPTS: u32 = 100;

/// The workshops of one restore: one a mount, and one for the directory at hand where a rename from there
/// does not do.
#[derive(Debug)]
pub struct Workshops {
    notes: Notes,
    of_mounts: BTreeMap<Mount, Workshop>,
    of_folder: Option<((u64, u64), Workshop)>,
}

/// Where the workshops of a restore are written down, and below what their paths lie.
#[derive(Debug, Clone)]
pub struct Notes {
    pub path: PathBuf,
    pub root: PathBuf,
}

/// One line of the notes.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    root: PathBuf,
    /// The folder that the workshop is in; empty for the root.
    within: PathBytes,
    name: String,
}

/// A directory of root's own; removed when dropped.
#[derive(Debug)]
struct Workshop {
    within: Rc<OwnedFd>,
    name: CString,
    folder: Rc<OwnedFd>,
}

impl Workshops {
    pub fn new(notes: Notes) -> Self {
        Self { notes, of_mounts: BTreeMap::new(), of_folder: None }
    }

    /// Returns the open workshop for what is put into `folder`.
    ///
    /// # Errors
    /// When none can be made.
    pub fn enter(&mut self, folder: &Folder) -> anyhow::Result<Rc<OwnedFd>> {
        if let Some((identity, workshop)) = &self.of_folder {
            if *identity == folder.identity {
                return Ok(Rc::clone(&workshop.folder));
            }
        }
        self.of_folder = None;
        if let Some(workshop) = self.of_mounts.get(&folder.mount) {
            return Ok(Rc::clone(&workshop.folder));
        }
        let workshop = self.make(&folder.spot)?;
        let opened = Rc::clone(&workshop.folder);
        self.of_mounts.insert(folder.mount, workshop);
        Ok(opened)
    }

    /// Returns a workshop in `folder` itself, for what cannot be moved there from where
    /// the mount's one is: some directories have an encryption key or a quota of their own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn enter_beside(&mut self, folder: &Folder) -> anyhow::Result<Rc<OwnedFd>> {
        let spot = Spot { path: folder.path.clone(), fd: Rc::clone(&folder.fd) };
        let workshop = self.make(&spot)?;
        let opened = Rc::clone(&workshop.folder);
        self.of_folder = Some((folder.identity, workshop));
        Ok(opened)
    }

    fn make(&self, spot: &Spot) -> anyhow::Result<Workshop> {
        let what = || {
            let within = if spot.path.as_bytes().is_empty() { "/".into() } else { spot.path.to_string() };
            format!("make a directory to restore from in {within}")
        };
        let mut last = Errno::EEXIST;
        for _ in 0..ATTEMPTS {
            let name = format!("{NAME}{}", encode_hex(&crate::kernel::random()?));
            self.notes.add(spot, &name)?;
            match Workshop::make(&spot.fd, CString::new(name)?) {
                Ok(made) => return Ok(made),
                Err(error @ (Errno::EEXIST | Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)) => last = error,
                Err(error) => return Err(error).with_context(what),
            }
        }
        bail!("{}: somebody disturbs it ({})", what(), last.desc())
    }
}

impl Drop for Workshops {
    fn drop(&mut self) {
        self.of_folder = None;
        self.of_mounts.clear();
        // One that could not be removed is left to the next run.
        clear(&self.notes.path).ok();
    }
}

impl Notes {
    /// Writes down where a workshop is about to be.
    fn add(&self, spot: &Spot, name: &str) -> anyhow::Result<()> {
        let note = Note { root: self.root.clone(), within: spot.path.clone(), name: name.to_owned() };
        let line = format!("{}\n", serde_json::to_string(&note)?);
        let open = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
        open.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
            .with_context(|| format!("write {}", self.path.display()))
    }
}

impl Workshop {
    fn make(within: &Rc<OwnedFd>, name: CString) -> Result<Self, Errno> {
        mkdirat(&**within, name.as_c_str(), Mode::S_IRWXU)?;
        let folder = openat(&**within, name.as_c_str(), FOLDER, Mode::empty())?;
        // Another directory may stand there by now: one that is empty and root's alone does as well.
        if !is_own(&folder)? || !walk::names(&folder)?.is_empty() {
            return Err(Errno::EEXIST);
        }
        Ok(Self { within: Rc::clone(within), name, folder: Rc::new(folder) })
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        remove(&self.within, &self.name, &self.folder);
    }
}

/// Removes what the notes of a run that was killed name, and the notes.
///
/// # Errors
/// When the notes cannot be read or removed.
pub fn clear(notes: &Path) -> anyhow::Result<()> {
    let Found::Text(text) = files::read_if_there(notes)? else { return Ok(()) };
    // The last line may be cut; then nothing was made.
    for note in text.lines().filter_map(|line| serde_json::from_str::<Note>(line).ok()) {
        let Ok(mut root) = Root::open(&note.root) else { continue };
        let (Ok(within), Ok(name)) = (root.folder_at(&note.within), CString::new(note.name)) else {
            continue;
        };
        let Ok(folder) = openat(&*within.fd, name.as_c_str(), FOLDER, Mode::empty()) else { continue };
        if is_own(&folder).unwrap_or(false) {
            remove(&within.fd, &name, &folder);
        }
    }
    std::fs::remove_file(notes).with_context(|| format!("remove {}", notes.display()))
}

/// Removes a workshop with the one thing in it.
fn remove(within: &OwnedFd, name: &CStr, folder: &OwnedFd) {
    empty(folder);
    // Somebody may have moved it: empty, and root's alone, it harms nobody there.
    unlinkat(within, name, UnlinkatFlags::RemoveDir).ok();
}

/// Removes what was made in a workshop and not put in place.
pub(crate) fn empty(workshop: &OwnedFd) {
    if unlinkat(workshop, MADE, UnlinkatFlags::NoRemoveDir) == Err(Errno::EISDIR) {
        unlinkat(workshop, MADE, UnlinkatFlags::RemoveDir).ok();
    }
}

fn is_own(folder: impl AsFd) -> Result<bool, Errno> {
    let found = fstat(folder)?;
    Ok(found.st_uid == geteuid().as_raw() && found.st_mode & 0o7777 == 0o700)
}
