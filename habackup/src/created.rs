//! What a restore makes where nothing was, and how an undo takes it away: only what the restore itself made,
//! for others may have put another thing in its place since.

use crate::manifest::{Entry, Kind};
use crate::path_bytes::PathBytes;
use crate::root::{Root, RootPlace, Trouble};
use anyhow::{Context, anyhow};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use serde::{Deserialize, Serialize};

/// A path at which nothing was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Created {
    /// With what was made there.
    Made {
        path: PathBytes,
        #[serde(rename = "type")]
        kind: Kind,
        uid: u32,
    },
    /// As an earlier version wrote it.
    Path(PathBytes),
}

impl Created {
    /// Returns what restoring an entry makes.
    pub fn of(entry: &Entry) -> Self {
        Self::Made { path: entry.path.clone(), kind: entry.kind, uid: entry.uid }
    }

    pub fn path(&self) -> &PathBytes {
        match self {
            Self::Made { path, .. } | Self::Path(path) => path,
        }
    }

    /// Tells whether what stands there is of the kind and the owner that were restored.
    fn is_at(&self, place: &RootPlace) -> Result<bool, Errno> {
        let Self::Made { kind, uid, .. } = self else { return Ok(true) };
        match fstatat(&*place.folder, place.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok((Kind::of_mode(found.st_mode), found.st_uid) == (*kind, *uid)),
            Err(Errno::ENOENT) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Removes what a restore created, innermost first; folders that are not empty stay, and so does what somebody
/// else put in the place of it. Returns what stayed.
///
/// # Errors
/// Names the path.
pub fn remove(live: &mut Root, created: &[Created]) -> anyhow::Result<Vec<PathBytes>> {
    let mut stayed = Vec::new();
    for created in created.iter().rev() {
        let path = created.path();
        let what = || format!("remove {path}");
        let place = match live.place(path) {
            Ok(place) => place,
            Err(Trouble::Missing) => continue,
            // Something else has the place of the folder that it was made in.
            Err(Trouble::Through(_)) => {
                stayed.push(path.clone());
                continue;
            }
            Err(trouble @ Trouble::Other(_)) => return Err(anyhow!("{trouble}")).with_context(what),
        };
        if !created.is_at(&place).with_context(what)? {
            stayed.push(path.clone());
            continue;
        }
        let removed = match unlinkat(&*place.folder, place.name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => unlinkat(&*place.folder, place.name.as_c_str(), UnlinkatFlags::RemoveDir),
            result => result,
        };
        match removed {
            Ok(()) => fsync(&*place.folder).with_context(what)?,
            Err(Errno::ENOENT) => {}
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => stayed.push(path.clone()),
            Err(error) => return Err(error).with_context(what),
        }
        live.forget();
    }
    Ok(stayed)
}
