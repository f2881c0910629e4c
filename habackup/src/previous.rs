//! The snapshot before, read beside the walk: both go in the same order, so neither is ever
//! searched nor whole in memory.

use crate::id::{SnapshotName, moment_ns};
use crate::kernel::FOLDER;
use crate::manifest::{self, Entry, ManifestReader, Totals};
use crate::store::Store;
use nix::fcntl::openat;
use nix::sys::stat::Mode;
use std::os::fd::OwnedFd;

/// How long before a walk a file must have been left alone for its times to prove that it is the
/// same: file systems keep times in steps of up to two seconds, and two changes within one step
/// look like one.
const SETTLED_NS: i128 = 2_000_000_000;

/// What stood at a path in the snapshot before.
#[derive(Debug)]
pub struct Before {
    pub entry: Entry,
    /// The entry as it stands in the manifest.
    pub json: Box<[u8]>,
}

/// The snapshot before.
#[derive(Debug)]
pub struct Previous {
    reader: ManifestReader,
    tree: OwnedFd,
    next: Option<Before>,
    settled_before: i128,
    /// Why it could not be read to its end.
    pub broken: Option<anyhow::Error>,
}

impl Previous {
    /// Opens the newest whole snapshot that `host` made: on another host the same inode and times
    /// prove nothing. With it comes what it amounted to.
    pub fn open(
        store: &Store,
        snapshots: &[SnapshotName],
        host: &str,
        hostid: &str,
    ) -> Option<(Self, Totals)> {
        for &name in snapshots.iter().rev().filter(|name| name.whole) {
            let Ok(reader) = store.manifest(name) else { continue };
            let header = reader.header();
            if header.host != host || header.hostid != hostid {
                continue;
            }
            let Ok(started) = moment_ns(&header.started) else { continue };
            // Read once to its end, before anything is trusted: the checksum stands there.
            let Ok((_, trailer)) = reader.into_ends() else { continue };
            let folder = store.open_snapshot(name).ok()?;
            let tree = openat(&folder, manifest::TREE, FOLDER, Mode::empty()).ok()?;
            let reader = store.manifest(name).ok()?;
            let settled_before = started - SETTLED_NS;
            return Some((Self { reader, tree, next: None, settled_before, broken: None }, trailer.totals));
        }
        None
    }

    pub fn tree(&self) -> &OwnedFd {
        &self.tree
    }

    /// Returns what stood at a path; paths must be asked for in walk order.
    pub fn find(&mut self, path: &[u8]) -> Option<Before> {
        loop {
            if let Some(next) = self.next.take() {
                match crate::path_bytes::walk_order(next.entry.path.as_bytes(), path) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return Some(next),
                    std::cmp::Ordering::Greater => {
                        self.next = Some(next);
                        return None;
                    }
                }
            }
            if self.broken.is_some() {
                return None;
            }
            match self.reader.next_entry() {
                Ok(Some(entry)) => self.next = Some(Before { entry, json: self.reader.json().into() }),
                Ok(None) => return None,
                Err(error) => self.broken = Some(error),
            }
        }
    }

    /// Returns before which moment a file must have been changed last for its times to prove that it is
    /// the same, in nanoseconds since 1970.
    pub fn settled_before(&self) -> i128 {
        self.settled_before
    }
}

/// Tells whether the file found now is, by size, times and inode, the one whose copy stands in the
/// snapshot before. The kernel changes the ctime with everything that can be changed of a file, its
/// attributes among them, so what the manifest says of those still holds too.
pub fn proves_unchanged(settled_before: i128, now: &Entry, before: &Entry) -> bool {
    now.is_untouched_since(before) && !before.changed && now.ctime_ns < settled_before
}
