//! A folder taken as `/`: the live system, or the `tree` of a snapshot. Paths are followed below it
//! one part at a time and never through a link, so nothing leads out of it.

use crate::copy::{Copier, Fault};
use crate::manifest::{Entry, Kind};
use crate::metadata::{self, Owners};
use crate::store::FOLDER;
use crate::verbatim::Verbatim;
use crate::xattr;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstatat};
use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::rc::Rc;

/// A folder taken as `/`.
#[derive(Debug)]
pub struct Root {
    folder: Rc<OwnedFd>,
    /// The folder used last: entries come in walk order, mostly many of one folder.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    owners: Owners,
    copier: Copier,
}

/// A name in an open folder.
#[derive(Debug, Clone)]
pub struct Place {
    pub folder: Rc<OwnedFd>,
    pub name: CString,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    Missing,
    /// This part of the path is a link, or no folder.
    Through(Verbatim),
    Other(Errno),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file or directory"),
            Self::Through(part) => write!(f, "{part} is a symbolic link, or no directory"),
            Self::Other(error) => f.write_str(error.desc()),
        }
    }
}

impl From<Errno> for Trouble {
    fn from(error: Errno) -> Self {
        if error == Errno::ENOENT { Self::Missing } else { Self::Other(error) }
    }
}

impl Root {
    pub fn new(folder: OwnedFd) -> Self {
        Self { folder: Rc::new(folder), last: None, owners: Owners::default(), copier: Copier::default() }
    }

    /// Takes the folder at a path as `/`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        open_folder(path).map(Self::new)
    }

    /// Returns the folder itself.
    pub fn folder(&self) -> &Rc<OwnedFd> {
        &self.folder
    }

    /// Returns the open folder a path is in, with the path's last part.
    ///
    /// # Errors
    /// Why the folder cannot be reached.
    pub fn place(&mut self, path: &Verbatim) -> Result<Place, Trouble> {
        let bytes = path.as_bytes();
        let cut = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let name = CString::new(bytes.get(cut + 1..).unwrap_or_default())
            .map_err(|_| Trouble::Other(Errno::EINVAL))?;
        let folder = self.enter(&bytes[..cut])?;
        Ok(Place { folder, name })
    }

    fn enter(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, Trouble> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.folder));
        }
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(folder));
        }
        let mut folder = Rc::clone(&self.folder);
        let mut length = 0;
        for part in path[1..].split(|&byte| byte == b'/') {
            length += 1 + part.len();
            let name = CString::new(part).map_err(|_| Trouble::Other(Errno::EINVAL))?;
            folder = match openat(&*folder, name.as_c_str(), FOLDER, Mode::empty()) {
                Ok(opened) => Rc::new(opened),
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    return Err(Trouble::Through(Verbatim::new(&path[..length])));
                }
                Err(error) => return Err(error.into()),
            };
        }
        self.last = Some((path.to_vec(), Rc::clone(&folder)));
        Ok(folder)
    }

    /// Forgets the folder used last, after one was replaced.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Returns what stands at a path, all but a file's hash.
    ///
    /// # Errors
    /// Why nothing can be said.
    pub fn look(&mut self, path: &Verbatim) -> Result<Entry, Trouble> {
        let place = self.place(path)?;
        let stat = fstatat(&*place.folder, place.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let mut entry = metadata::entry(path.clone(), &stat, &mut self.owners);
        entry.xattrs = xattr::read_all(place.open_as_place()?)?;
        if entry.kind == Kind::Symlink {
            let target = readlinkat(&*place.folder, place.name.as_c_str())?;
            entry.target = Some(Verbatim::new(target.into_vec()));
        }
        Ok(entry)
    }

    /// Tells whether what stands at a path may not be changed by anybody.
    pub fn is_fixed(&mut self, path: &Verbatim) -> bool {
        self.place(path).is_ok_and(|place| place.open_as_place().is_ok_and(crate::kernel::is_fixed))
    }

    /// Adds the hash to what was found of a file.
    ///
    /// # Errors
    /// When it cannot be read; marked with the signal when one came.
    pub fn hash(&mut self, entry: &mut Entry, on_bytes: crate::copy::OnBytes<'_>) -> anyhow::Result<()> {
        let place =
            self.place(&entry.path).map_err(|trouble| anyhow::anyhow!("{}: {trouble}", entry.path))?;
        let file = place.open_to_read().with_context(|| format!("read {}", entry.path))?;
        match self.copier.hash(&file, entry.size, on_bytes) {
            Ok(digest) => entry.blake3 = Some(digest),
            Err(Fault::Stopped(error)) => return Err(error),
            Err(Fault::Source(error) | Fault::Target(error)) => {
                return Err(error).with_context(|| format!("read {}", entry.path));
            }
        }
        Ok(())
    }
}

/// Opens a folder that is named by a person, so links on the way to it are followed.
///
/// # Errors
/// When it cannot be opened.
pub fn open_folder(path: &Path) -> anyhow::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    openat(AT_FDCWD, path, flags, Mode::empty()).with_context(|| format!("open {}", path.display()))
}

impl Place {
    /// Opens the name as a place only, whatever stands there.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn open_as_place(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&*self.folder, self.name.as_c_str(), flags, Mode::empty())
    }

    /// Opens a file for reading; a fifo in its place does not make it wait.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn open_to_read(&self) -> Result<OwnedFd, Errno> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        openat(&*self.folder, self.name.as_c_str(), flags, Mode::empty())
    }
}
