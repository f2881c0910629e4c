//! Which snapshots are pinned: an empty file `pins/ID` for each.
//!
//! They lie beside the snapshots, so that both hosts and every copy of the store know them; a pin is made and taken
//! away by one call each, so that a kill in between leaves no half of one.

use super::Store;
use crate::id::SnapshotName;
use crate::kernel::FOLDER;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;

/// The directory of pins.
const PINS: &str = "pins";

impl Store {
    /// Returns what is pinned, also where the snapshot is gone.
    ///
    /// # Errors
    /// When it cannot be read: nobody knows then what may go.
    pub fn pinned(&self) -> anyhow::Result<BTreeSet<SnapshotName>> {
        let Some(folder) = self.pins()? else { return Ok(BTreeSet::new()) };
        let names = crate::walk::names(&folder).with_context(|| self.reading())?;
        Ok(names.iter().filter_map(|name| SnapshotName::parse(name.to_str().ok()?)).collect())
    }

    /// Pins a snapshot, lastingly.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn pin(&self, name: SnapshotName) -> anyhow::Result<()> {
        let what = || format!("pin the snapshot {name}");
        let folder = match self.pins()? {
            Some(folder) => folder,
            None => {
                mkdirat(&self.folder, PINS, Mode::S_IRWXU)
                    .and_then(|()| fsync(&self.folder))
                    .with_context(what)?;
                self.pins()?.with_context(what)?
            }
        };
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&folder, name.to_string().as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .and_then(fsync)
            .and_then(|()| fsync(&folder))
            .with_context(what)
    }

    /// Takes a pin away, lastingly.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn unpin(&self, name: SnapshotName) -> anyhow::Result<()> {
        let Some(folder) = self.pins()? else { return Ok(()) };
        unlinkat(&folder, name.to_string().as_str(), UnlinkatFlags::NoRemoveDir)
            .or_else(|error| if error == Errno::ENOENT { Ok(()) } else { Err(error) })
            .and_then(|()| fsync(&folder))
            .with_context(|| format!("unpin the snapshot {name}"))
    }

    fn pins(&self) -> anyhow::Result<Option<OwnedFd>> {
        match openat(&self.folder, PINS, FOLDER, Mode::empty()) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error).with_context(|| self.reading()),
        }
    }

    fn reading(&self) -> String {
        format!("read which snapshots are pinned in {}", self.at(OsStr::new(PINS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn pins_come_and_go_and_what_cannot_be_read_is_no_empty_list() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_to_write(dir.path()).unwrap();
        let names = ["2026-01-02T03-04-05Z", "2026-01-02T03-04-06Z.incomplete"]
            .map(|name| SnapshotName::parse(name).unwrap());
        assert!(store.pinned().unwrap().is_empty());
        store.unpin(names[0]).unwrap();
        for name in names {
            store.pin(name).unwrap();
            store.pin(name).unwrap();
        }
        fs::write(dir.path().join("pins/notes"), "").unwrap();
        assert_eq!(store.pinned().unwrap(), BTreeSet::from(names));
        store.unpin(names[0]).unwrap();
        store.unpin(names[0]).unwrap();
        assert_eq!(store.pinned().unwrap(), BTreeSet::from([names[1]]));
        fs::remove_dir_all(dir.path().join("pins")).unwrap();
        fs::write(dir.path().join("pins"), "").unwrap();
        assert!(store.pinned().is_err());
    }
}
