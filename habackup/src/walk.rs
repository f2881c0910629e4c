//! What is walked over: the names in a folder, and which folders are wanted whole or in part.

use crate::path_bytes::PathBytes;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstat};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Returns the names in an open folder, sorted by their bytes, each once.
///
/// # Errors
/// What the kernel said.
pub fn names(folder: impl AsFd) -> Result<Vec<CString>, Errno> {
    Ok(listing(folder)?.into_iter().map(|(name, _)| name).collect())
}

/// Returns the names in an open folder, sorted by their bytes, each once, with what the folder says
/// of them.
///
/// # Errors
/// What the kernel said.
pub fn listing(folder: impl AsFd) -> Result<Vec<ListedName>, Errno> {
    // Opened anew, because a listing moves the position that copies of a descriptor share.
    let own = openat(folder, c".", crate::kernel::FOLDER, Mode::empty())?;
    let mut names: Vec<ListedName> = Vec::new();
    for entry in Dir::from_fd(own)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            let listed = match entry.file_type() {
                Some(Type::Directory) => Listed::Folder,
                Some(_) => Listed::Other,
                None => Listed::Unknown,
            };
            names.push((name.to_owned(), listed));
        }
    }
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    // A name that is given to another file amid the listing may be listed twice. A second copy
    // would be written over the first one, and with it over the snapshot that shares it.
    names.dedup_by(|a, b| a.0 == b.0);
    Ok(names)
}

/// A name with what a listing says of it.
pub type ListedName = (CString, Listed);

/// What a listing says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Folder,
    /// Anything but a folder.
    Other,
    /// Nothing: some file systems do not tell.
    Unknown,
}

/// What is wanted of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that is in it.
    Whole,
    /// Only these names.
    Only(BTreeMap<Box<[u8]>, WantedPath>),
}

/// What is wanted of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPath {
    pub scope: Scope,
    /// It may be absent.
    pub optional: bool,
    /// A folder is wanted itself, beside what is wanted in it.
    pub itself: bool,
}

impl Scope {
    /// Returns what is wanted of `/`; a path below another one adds nothing.
    pub fn new(include: &[PathBuf], optional: &[PathBuf]) -> Self {
        let mut root = Self::nothing();
        for path in include {
            root.add(path, false);
        }
        for path in optional {
            root.add(path, true);
        }
        root
    }

    /// Returns what is wanted when nothing is.
    pub fn nothing() -> Self {
        Self::Only(BTreeMap::new())
    }

    fn add(&mut self, path: &Path, optional: bool) {
        if let Some(wanted) = self.reach(path, optional) {
            wanted.scope = Self::Whole;
        }
    }

    /// Adds what stands at a path, but of a folder nothing that is in it.
    pub fn add_itself(&mut self, path: &Path) {
        if let Some(wanted) = self.reach(path, false) {
            wanted.itself = true;
        }
    }

    /// Returns what is wanted at a path, unless all above it is wanted anyhow.
    fn reach(&mut self, path: &Path, optional: bool) -> Option<&mut WantedPath> {
        let mut parts = path.strip_prefix("/").unwrap_or(path).iter();
        let mut wanted = self.child(parts.next()?.as_bytes(), optional)?;
        for part in parts {
            wanted = wanted.scope.child(part.as_bytes(), optional)?;
        }
        Some(wanted)
    }

    fn child(&mut self, name: &[u8], optional: bool) -> Option<&mut WantedPath> {
        let Self::Only(names) = self else { return None };
        let new = || WantedPath { scope: Self::nothing(), optional, itself: false };
        let wanted = names.entry(name.into()).or_insert_with(new);
        wanted.optional &= optional;
        Some(wanted)
    }

    /// Tells whether a path, or a folder that it lies in, is wanted whole.
    pub fn covers(&self, path: &[u8]) -> bool {
        let mut scope = self;
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let Self::Only(names) = scope else { return true };
            let Some(wanted) = names.get(part) else { return false };
            scope = &wanted.scope;
        }
        *scope == Self::Whole
    }

    /// Returns the paths at which whole things are wanted, below `path`, with whether they may be absent.
    pub fn leaves(&self, path: &[u8], optional: bool) -> Vec<(PathBytes, bool)> {
        match self {
            Self::Whole => vec![(PathBytes::new(path), optional)],
            Self::Only(names) => {
                let mut leaves = Vec::new();
                for (name, wanted) in names {
                    let path = join(path, name);
                    if wanted.itself {
                        leaves.push((PathBytes::new(path.as_slice()), wanted.optional));
                    }
                    leaves.extend(wanted.scope.leaves(&path, wanted.optional));
                }
                leaves
            }
        }
    }
}

/// Returns `path/name`; the root is the empty path.
pub fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    [path, b"/", name].concat()
}

/// Opens a folder within another one, never through a link, and only if nothing is mounted on it.
///
/// # Errors
/// `EXDEV` when another file system, or another part of this one, is mounted there.
pub fn open_on_same_mount(folder: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY)
        .resolve(
            ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH,
        );
    match openat2(&folder, name, how) {
        // An old kernel, or a sandbox that does not know the call: mounts of the same device are then
        // not told apart.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let opened = openat(&folder, name, crate::kernel::FOLDER, Mode::empty())?;
            if fstat(&opened)?.st_dev == fstat(&folder)?.st_dev { Ok(opened) } else { Err(Errno::EXDEV) }
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_another_one_adds_nothing_in_either_order() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let once = Scope::new(&paths(&["/etc/opt", "/srv/a"]), &[]);
        assert_eq!(Scope::new(&paths(&["/etc/opt", "/etc/opt/sun", "/srv/a"]), &[]), once);
        assert_eq!(Scope::new(&paths(&["/srv/a", "/etc/opt/sun", "/etc/opt"]), &[]), once);
        let leaves: Vec<String> = once.leaves(b"", false).iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(leaves, ["/etc/opt", "/srv/a"]);
    }

    #[test]
    fn only_what_every_use_calls_optional_is_optional() {
        let scope = Scope::new(&["/a/x".into()], &["/a/y".into(), "/b/z".into()]);
        let Scope::Only(names) = scope else { panic!("the root is walked in part") };
        assert!(!names[b"a".as_slice()].optional && names[b"b".as_slice()].optional);
    }

    #[test]
    fn a_folder_that_is_a_link_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let folder = std::fs::File::open(dir.path()).unwrap();
        assert!(open_on_same_mount(&folder, c"real").is_ok());
        assert!(open_on_same_mount(&folder, c"link").is_err());
        assert_eq!(open_on_same_mount(std::fs::File::open("/").unwrap(), c"proc").unwrap_err(), Errno::EXDEV);
    }
}
