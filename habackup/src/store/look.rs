//! Whether a run could work in the folder of snapshots, looked at without changing anything.

use super::{FOLDER, LATEST, Store, at_work};
use crate::id::SnapshotName;
use crate::manifest::Kind;
use crate::room::Need;
use crate::root;
use anyhow::{Context, bail};
use nix::fcntl::{AtFlags, openat};
use nix::sys::stat::{Mode, fstatat};
use orderly_exec::lock::Lock;
use orderly_exec::{OrStatus, Status, fail, files};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Store {
    /// Makes sure that [`Store::open_to_write`] and what a run then does in the folder could succeed; changes
    /// nothing. `None` where the folder is not there yet and could be made.
    ///
    /// # Errors
    /// Refused (4).
    pub fn look(path: &Path) -> anyhow::Result<Option<Self>> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            files::check_writable(path)
                .with_context(|| format!("make the backup directory {}", path.display()))
                .or_status(Status::Refused)?;
            return Ok(None);
        }
        let store = Self::open(path)?;
        store.insist_on_owner()?;
        if let Some(why) = root::closed(&store.folder) {
            return Err(fail(Status::Refused, format!("the backup directory {} {why}", path.display())));
        }
        files::check_writable(path).or_status(Status::Refused)?;
        if Lock::holder(path).is_some() {
            return Err(at_work(path));
        }
        let latest = fstatat(&store.folder, LATEST, AtFlags::AT_SYMLINK_NOFOLLOW);
        if latest.is_ok_and(|found| Kind::of_mode(found.st_mode) == Kind::Directory) {
            let why = "is a directory, and the link to the newest snapshot needs its name; move it away";
            return Err(fail(Status::Refused, format!("{} {why}", store.at(OsStr::new(LATEST)))));
        }
        for name in store.debris()? {
            store.insist_on_changeable(&name).or_status(Status::Refused)?;
        }
        Ok(Some(store))
    }

    /// Insists that a snapshot could be pruned.
    ///
    /// # Errors
    /// Names it, with the remedy.
    pub fn insist_on_removable(&self, name: SnapshotName) -> anyhow::Result<()> {
        self.insist_on_changeable(OsStr::new(&name.to_string()))
            .with_context(|| format!("prune the snapshot {name}"))
    }

    fn insist_on_changeable(&self, name: &OsStr) -> anyhow::Result<()> {
        match openat(&self.folder, name, FOLDER, Mode::empty()).ok().and_then(root::closed) {
            Some(why) => bail!("{} {why}", self.at(name)),
            None => Ok(()),
        }
    }

    /// Returns the room that removing it gives back: what other snapshots share stays.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn left_over(&self) -> anyhow::Result<Need> {
        let mut freed = Need::default();
        let mut paths: Vec<PathBuf> = self.debris()?.iter().map(|name| self.path.join(name)).collect();
        while let Some(path) = paths.pop() {
            let Ok(found) = path.symlink_metadata() else { continue };
            if found.is_dir() {
                let inner = std::fs::read_dir(&path).into_iter().flatten().flatten();
                paths.extend(inner.map(|entry| entry.path()));
            } else if found.nlink() > 1 {
                continue;
            }
            freed.bytes += found.blocks() * 512;
            freed.inodes += 1;
        }
        Ok(freed)
    }
}
