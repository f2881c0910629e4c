//! The link to the newest whole snapshot, which is replaced and never changed.

use super::Store;
use crate::id::SnapshotName;
use anyhow::Context;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, fsync, symlinkat, unlinkat};
use std::ffi::OsStr;

/// What it is called.
pub const LATEST: &str = "latest";

/// How the name begins that it has before it is in its place.
pub(super) const NEW_LATEST: &str = ".latest";

/// A link made beside the one there is. It goes again unless it is put in its place.
#[derive(Debug)]
pub(super) struct NewLatest<'s> {
    store: &'s Store,
    beside: String,
    leads_to: SnapshotName,
}

impl<'s> NewLatest<'s> {
    /// Makes it; from here on nothing of it takes room.
    pub(super) fn make(store: &'s Store, leads_to: SnapshotName) -> anyhow::Result<Self> {
        let beside = format!("{NEW_LATEST}-{}", std::process::id());
        let made = symlinkat(leads_to.to_string().as_str(), &store.folder, beside.as_str());
        made.with_context(|| pointing(store, leads_to))?;
        Ok(Self { store, beside, leads_to })
    }

    /// Puts it in its place, to stay.
    pub(super) fn put(self) -> anyhow::Result<()> {
        let folder = &self.store.folder;
        renameat(folder, self.beside.as_str(), folder, LATEST)
            .and_then(|()| fsync(folder))
            .with_context(|| pointing(self.store, self.leads_to))
    }
}

impl Drop for NewLatest<'_> {
    fn drop(&mut self) {
        // It is not there any more where it was put; what stays is for the next run to remove.
        unlinkat(&self.store.folder, self.beside.as_str(), UnlinkatFlags::NoRemoveDir).ok();
    }
}

fn pointing(store: &Store, leads_to: SnapshotName) -> String {
    format!("point {} to {leads_to}", store.at(OsStr::new(LATEST)))
}
