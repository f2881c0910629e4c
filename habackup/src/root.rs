//! A folder taken as `/`: the live system, or the `tree` of a snapshot. Paths are followed below it
//! one part at a time and never through a link, so nothing leads out of it.

use crate::copy::{Copier, CopyFault};
use crate::kernel;
use crate::kernel::FOLDER;
use crate::manifest::{Entry, Kind};
use crate::metadata::{self, Owners};
use crate::path_bytes::PathBytes;
use crate::xattr;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::geteuid;
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::rc::Rc;

/// A folder taken as `/`.
#[derive(Debug)]
pub struct Root {
    folder: Folder,
    /// The folder used last: entries come in walk order, mostly many of one folder.
    last: Option<(Vec<u8>, Folder)>,
    owners: Owners,
    copier: Copier,
}

/// An open folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Empty for the root.
    pub path: PathBytes,
    pub fd: Rc<OwnedFd>,
    /// Device and inode.
    pub identity: (u64, u64),
    /// Nobody else can put another thing in the place of what root has in it, nor in the place of it.
    pub is_safe: bool,
    pub mount: Mount,
    /// Where things are made that are then put into it.
    pub spot: Rc<Spot>,
}

/// Where a directory of root's own can be made: the nearest folder on the same mount in which only root can
/// make names, else the first one of the mount.
#[derive(Debug)]
pub struct Spot {
    pub path: PathBytes,
    pub fd: Rc<OwnedFd>,
}

/// A file system where it is mounted: what lies on one is moved by a rename. Device and number of the mount.
pub type Mount = (u64, u64);

impl Folder {
    /// Looks at the open folder at a path, which lies in `within`, if in any.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn of(fd: Rc<OwnedFd>, path: &[u8], within: Option<&Self>) -> Result<Self, Errno> {
        let found = fstat(&*fd)?;
        let own = found.st_uid == 0 || found.st_uid == geteuid().as_raw();
        let others_write = found.st_mode & 0o022 != 0;
        let is_sticky = found.st_mode & 0o1000 != 0;
        let mount = (found.st_dev, kernel::mount_of(&*fd));
        let identity = (found.st_dev, found.st_ino);
        let is_safe = within.is_none_or(|within| within.is_safe) && own && (!others_write || is_sticky);
        let spot = match within {
            Some(within) if within.mount == mount && (!is_safe || others_write) => Rc::clone(&within.spot),
            Some(_) | None => Rc::new(Spot { path: PathBytes::new(path), fd: Rc::clone(&fd) }),
        };
        Ok(Self { path: PathBytes::new(path), fd, identity, is_safe, mount, spot })
    }
}

/// A name in an open folder.
#[derive(Debug, Clone)]
pub struct RootPlace {
    pub folder: Rc<OwnedFd>,
    pub name: CString,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    Missing,
    /// This part of the path is a link, or no folder.
    Through(PathBytes),
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
    /// Takes an open folder as `/`.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn new(folder: OwnedFd) -> anyhow::Result<Self> {
        let folder = Folder::of(Rc::new(folder), b"", None).context("look at an open directory")?;
        Ok(Self { folder, last: None, owners: Owners::default(), copier: Copier::default() })
    }

    /// Takes the folder at a path as `/`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::new(open_folder(path)?)
    }

    /// Returns the folder itself.
    pub fn folder(&self) -> &Rc<OwnedFd> {
        &self.folder.fd
    }

    /// Returns the open folder a path is in, with the path's last part.
    ///
    /// # Errors
    /// Why the folder cannot be reached.
    pub fn place(&mut self, path: &PathBytes) -> Result<RootPlace, Trouble> {
        let bytes = path.as_bytes();
        let cut = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let name = CString::new(bytes.get(cut + 1..).unwrap_or_default())
            .map_err(|_| Trouble::Other(Errno::EINVAL))?;
        let folder = self.enter(&bytes[..cut])?.fd;
        Ok(RootPlace { folder, name })
    }

    /// Returns the open folder at a path; an empty path is the root.
    ///
    /// # Errors
    /// Why the folder cannot be reached.
    pub fn folder_at(&mut self, path: &PathBytes) -> Result<Folder, Trouble> {
        self.enter(path.as_bytes())
    }

    /// Returns the open folder that a path is in, with what matters of it.
    ///
    /// # Errors
    /// Why the folder cannot be reached.
    pub fn folder_of(&mut self, path: &PathBytes) -> Result<Folder, Trouble> {
        let bytes = path.as_bytes();
        let cut = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        self.enter(&bytes[..cut])
    }

    fn enter(&mut self, path: &[u8]) -> Result<Folder, Trouble> {
        if path.is_empty() {
            return Ok(self.folder.clone());
        }
        if let Some((last, folder)) = &self.last {
            if last == path {
                return Ok(folder.clone());
            }
        }
        let mut folder = self.folder.clone();
        let mut length = 0;
        for part in path[1..].split(|&byte| byte == b'/') {
            length += 1 + part.len();
            let name = CString::new(part).map_err(|_| Trouble::Other(Errno::EINVAL))?;
            let inner = match openat(&*folder.fd, name.as_c_str(), FOLDER, Mode::empty()) {
                Ok(opened) => Folder::of(Rc::new(opened), &path[..length], Some(&folder))?,
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    return Err(Trouble::Through(PathBytes::new(&path[..length])));
                }
                Err(error) => return Err(error.into()),
            };
            folder = inner;
        }
        self.last = Some((path.to_vec(), folder.clone()));
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
    pub fn look(&mut self, path: &PathBytes) -> Result<Entry, Trouble> {
        let place = self.place(path)?;
        let stat = fstatat(&*place.folder, place.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let mut entry = metadata::entry(path.clone(), &stat, &mut self.owners);
        entry.xattrs = xattr::read_all(place.open_as_place()?)?;
        if entry.kind == Kind::Symlink {
            let target = readlinkat(&*place.folder, place.name.as_c_str())?;
            entry.target = Some(PathBytes::new(target.into_vec()));
        }
        Ok(entry)
    }

    /// Tells whether what stands at a path may not be changed by anybody.
    pub fn is_fixed(&mut self, path: &PathBytes) -> bool {
        self.place(path).is_ok_and(|place| place.open_as_place().is_ok_and(kernel::is_fixed))
    }

    /// Returns why nothing can be made or replaced in the folder that a path is in, whoever asks.
    pub fn closed(&mut self, path: &PathBytes) -> Option<&'static str> {
        closed(&*self.folder_of(path).ok()?.fd)
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
            Err(CopyFault::Stopped(error)) => return Err(error),
            Err(CopyFault::Source(error) | CopyFault::Target(error)) => {
                return Err(error).with_context(|| format!("read {}", entry.path));
            }
        }
        Ok(())
    }
}

/// Returns why nothing can be made or replaced in an open folder, whoever asks.
pub fn closed(folder: impl AsFd) -> Option<&'static str> {
    if kernel::is_fixed(&folder) {
        return Some("is immutable or append-only here; chattr -ia it");
    }
    let is_read_only = fstatvfs(&folder).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY));
    is_read_only
        .then_some("lies on a file system that is mounted read-only; remount it (mount -o remount,rw)")
}

/// Opens a folder that is named by a person, so links on the way to it are followed.
///
/// # Errors
/// When it cannot be opened.
pub fn open_folder(path: &Path) -> anyhow::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    openat(AT_FDCWD, path, flags, Mode::empty()).with_context(|| format!("open {}", path.display()))
}

impl RootPlace {
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
