//! The folder that snapshots live in: what is in it, how a snapshot becomes visible, how it goes.
//!
//! Invariant: a name that reads as a snapshot is a finished one. What is being made or taken away
//! has a name that begins with a dot, and the next run removes it.
//! Invariant: `latest` only ever leads to a whole snapshot.

mod elsewhere;
mod latest;
mod look;
mod pins;

pub use latest::LATEST;

use crate::id::{Id, SnapshotName};
use crate::kernel::FOLDER;
use crate::manifest::{self, ManifestHeader, ManifestReader, Trailer};
use anyhow::{Context, bail, ensure};
use latest::{NEW_LATEST, NewLatest};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, syncfs, unlinkat};
use orderly_exec::{Status, fail};
use rustix::fs::{FlockOperation, flock};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const STAGING: &str = ".staging";
const PRUNING: &str = ".pruning";

/// The folder of snapshots.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    folder: File,
    /// It lies elsewhere than on the asset (`--store`).
    is_copy: bool,
}

/// A snapshot being made.
#[derive(Debug)]
pub struct Staging {
    pub folder: OwnedFd,
    pub tree: OwnedFd,
    name: String,
}

impl Store {
    /// Opens the folder.
    ///
    /// # Errors
    /// Refused (4) when it is not there, is a link, or cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = std::fs::OpenOptions::new().read(true).custom_flags(FOLDER.bits()).open(path).map_err(
            |error| fail(Status::Refused, format!("open the backup directory {}: {error}", path.display())),
        )?;
        Ok(Self { path: path.to_owned(), folder, is_copy: false })
    }

    /// Opens the folder for writing: makes it when it is missing, closes it to others (0700), and
    /// locks it against a run with another configuration.
    ///
    /// # Errors
    /// Refused (4).
    pub fn open_to_write(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
                fail(Status::Refused, format!("make the backup directory {}: {error}", path.display()))
            })?;
        }
        let store = Self::open(path)?;
        let found = store.insist_on_owner()?;
        if found.mode() & 0o7777 != 0o700 {
            store.folder.set_permissions(PermissionsExt::from_mode(0o700)).map_err(|error| {
                fail(Status::Refused, format!("close {} to others: {error}", path.display()))
            })?;
        }
        match flock(&store.folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(store),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(at_work(path)),
            Err(error) => Err(fail(Status::Refused, format!("lock {}: {error}", path.display()))),
        }
    }

    fn insist_on_owner(&self) -> anyhow::Result<std::fs::Metadata> {
        let path = self.path.display();
        let found = self.folder.metadata().with_context(|| format!("look at {path}"))?;
        let me = nix::unistd::geteuid().as_raw();
        if found.uid() != me && found.uid() != 0 {
            return Err(fail(
                Status::Refused,
                format!("{path}: belongs to user {}; chown root it", found.uid()),
            ));
        }
        Ok(found)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the device and inode of the folder, by which a walk recognises it.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn identity(&self) -> anyhow::Result<(u64, u64)> {
        let stat = fstat(&self.folder).with_context(|| format!("look at {}", self.path.display()))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Returns all published snapshots, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn snapshots(&self) -> anyhow::Result<Vec<SnapshotName>> {
        let mut found: Vec<SnapshotName> =
            self.names()?.iter().filter_map(|name| SnapshotName::parse(name.to_str()?)).collect();
        found.sort();
        Ok(found)
    }

    /// Returns the newest whole snapshot.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn newest_whole(&self) -> anyhow::Result<Option<SnapshotName>> {
        Ok(self.snapshots()?.into_iter().rfind(|name| name.whole))
    }

    /// Opens the folder of a snapshot.
    ///
    /// # Errors
    /// Names the snapshot.
    pub fn open_snapshot(&self, name: SnapshotName) -> anyhow::Result<OwnedFd> {
        let what = || format!("open the snapshot {name}");
        let folder =
            openat(&self.folder, name.to_string().as_str(), FOLDER, Mode::empty()).with_context(what)?;
        if self.is_copy {
            insist_on_ours(&fstat(&folder)?, "the directory").with_context(what)?;
            if let Ok(found) = fstatat(&folder, manifest::FILE, AtFlags::AT_SYMLINK_NOFOLLOW) {
                insist_on_ours(&found, manifest::FILE).with_context(what)?;
            }
        }
        Ok(folder)
    }

    /// Begins to read the manifest of a snapshot.
    ///
    /// # Errors
    /// Names the snapshot.
    pub fn manifest(&self, name: SnapshotName) -> anyhow::Result<ManifestReader> {
        let reader = open_manifest(&self.open_snapshot(name)?).with_context(|| format!("snapshot {name}"))?;
        ensure!(
            reader.header().id == name.id.to_string(),
            "snapshot {name}: its manifest is that of {}",
            reader.header().id
        );
        Ok(reader)
    }

    /// Reads the manifest of a snapshot to its end, where its checksum stands.
    ///
    /// # Errors
    /// Names the snapshot and the line.
    pub fn ends(&self, name: SnapshotName) -> anyhow::Result<(ManifestHeader, Trailer)> {
        let what = || format!("snapshot {name}: {}", manifest::FILE);
        self.manifest(name)?.into_ends().with_context(what)
    }

    /// Removes what a killed run left behind and mends `latest`; returns what was removed.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clean(&self) -> anyhow::Result<Vec<String>> {
        let mut removed = Vec::new();
        for name in self.debris()? {
            remove_tree(&self.folder, name.as_bytes())
                .with_context(|| format!("remove the left-over {}", self.at(&name)))?;
            removed.push(name.to_string_lossy().into_owned());
        }
        if let Some(newest) = self.newest_whole()? {
            if !readlinkat(&self.folder, LATEST).is_ok_and(|target| target == newest.to_string().as_str()) {
                NewLatest::make(self, newest)?.put()?;
            }
        }
        Ok(removed)
    }

    /// Returns what a killed run left behind, which the next one removes.
    fn debris(&self) -> anyhow::Result<Vec<OsString>> {
        let starts = [STAGING, PRUNING, NEW_LATEST];
        let is_debris =
            |name: &OsString| starts.iter().any(|start| name.as_bytes().starts_with(start.as_bytes()));
        Ok(self.names()?.into_iter().filter(is_debris).collect())
    }

    /// Begins a snapshot beside the others, with an empty `tree`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self) -> anyhow::Result<Staging> {
        let name = format!("{STAGING}-{}", std::process::id());
        let made = self.make_staging(&name).with_context(|| format!("make {}", self.at(OsStr::new(&name))));
        made.inspect_err(|_| {
            remove_tree(&self.folder, name.as_bytes()).ok();
        })
    }

    fn make_staging(&self, name: &str) -> Result<Staging, Errno> {
        mkdirat(&self.folder, name, Mode::S_IRWXU)?;
        let folder = openat(&self.folder, name, FOLDER, Mode::empty())?;
        mkdirat(&folder, manifest::TREE, Mode::S_IRWXU)?;
        let tree = openat(&folder, manifest::TREE, FOLDER, Mode::empty())?;
        Ok(Staging { folder, tree, name: name.to_owned() })
    }

    /// Insists that the folder still is what its path leads to: unmounted or replaced while the snapshot
    /// was taken, it is not where anybody will look for it.
    fn insist_on_same_place(&self) -> anyhow::Result<()> {
        let path = self.path.display();
        let found = self.path.symlink_metadata().with_context(|| format!("look at {path} again"))?;
        ensure!(
            (found.dev(), found.ino()) == self.identity()?,
            "{path} was unmounted or replaced while the snapshot was taken; nothing was published"
        );
        Ok(())
    }

    /// Makes a finished snapshot visible under its name, and `latest` lead to it when it is whole.
    ///
    /// # Errors
    /// When it cannot be written to the disk: nothing is visible then, or the error says what is.
    pub fn publish(&self, staging: &Staging, name: SnapshotName) -> anyhow::Result<()> {
        self.insist_on_same_place()?;
        // One call for all files and folders instead of one each. It waits for everything written to
        // this file system and, since Linux 5.8, reports what could not be.
        syncfs(&staging.folder)
            .with_context(|| format!("write {} to the disk", self.at(OsStr::new(&staging.name))))?;
        // Also where syncfs keeps errors to itself, the manifest is known to be written.
        let manifest = openat(
            &staging.folder,
            manifest::FILE,
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        fsync(&manifest).context("write the manifest to the disk")?;
        fsync(&staging.folder).context("write the snapshot to the disk")?;
        // Made before anything is visible, so that what takes room is done and only renames are left.
        let latest = name.whole.then(|| NewLatest::make(self, name)).transpose()?;
        renameat(&self.folder, staging.name.as_str(), &self.folder, name.to_string().as_str())
            .with_context(|| format!("publish the snapshot {name}"))?;
        let lasts = fsync(&self.folder).map_err(anyhow::Error::from);
        lasts.and_then(|()| latest.map_or(Ok(()), NewLatest::put)).with_context(|| {
            format!("the snapshot {name} is there, but may not outlast a power cut; take another one")
        })
    }

    /// Removes what was staged; what cannot be removed is left to the next run.
    pub fn abandon(&self, staging: Staging) {
        let Staging { folder, tree, name } = staging;
        drop((folder, tree));
        remove_tree(&self.folder, name.as_bytes()).ok();
    }

    /// Removes a published snapshot: first its name, then its contents.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn prune(&self, name: SnapshotName) -> anyhow::Result<()> {
        let going = format!("{PRUNING}-{name}");
        renameat(&self.folder, name.to_string().as_str(), &self.folder, going.as_str())
            .and_then(|()| remove_tree(&self.folder, going.as_bytes()))
            .with_context(|| format!("prune the snapshot {name}"))
    }

    /// Removes a snapshot that a person named. `latest` leads elsewhere before it goes, so that it leads to a whole one
    /// at any moment.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(&self, name: SnapshotName) -> anyhow::Result<()> {
        let left = self.snapshots()?.into_iter().rfind(|other| other.whole && *other != name);
        if readlinkat(&self.folder, LATEST).is_ok_and(|target| target == name.to_string().as_str()) {
            match left {
                Some(newest) => NewLatest::make(self, newest)?.put()?,
                None => unlinkat(&self.folder, LATEST, UnlinkatFlags::NoRemoveDir)
                    .with_context(|| format!("remove {}", self.at(OsStr::new(LATEST))))?,
            }
        }
        self.prune(name)?;
        fsync(&self.folder).with_context(|| format!("forget the snapshot {name} for good"))
    }

    /// Lists the open folder, whatever stands at its path by now.
    fn names(&self) -> anyhow::Result<Vec<OsString>> {
        let names =
            crate::walk::names(&self.folder).with_context(|| format!("read {}", self.path.display()))?;
        Ok(names.into_iter().map(|name| OsString::from_vec(name.into_bytes())).collect())
    }

    fn at(&self, name: &OsStr) -> String {
        self.path.join(name).display().to_string()
    }
}

impl Staging {
    /// Makes the empty manifest.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_manifest(&self) -> anyhow::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, manifest::FILE, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .context("make the manifest")?;
        Ok(file.into())
    }
}

fn at_work(path: &Path) -> anyhow::Error {
    fail(Status::Refused, format!("another run works in {}; wait for it to end", path.display()))
}

/// Insists that nobody but root or this user could have written what a restore goes by.
fn insist_on_ours(found: &nix::sys::stat::FileStat, what: &str) -> anyhow::Result<()> {
    let is_ours = found.st_uid == 0 || found.st_uid == nix::unistd::geteuid().as_raw();
    ensure!(
        is_ours && found.st_mode & 0o022 == 0,
        "{what} is not root's alone: others could have changed it"
    );
    Ok(())
}

/// Begins to read the manifest in the folder of a snapshot.
///
/// # Errors
/// When it is missing or no manifest.
pub fn open_manifest(snapshot: impl AsFd) -> anyhow::Result<ManifestReader> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(snapshot, manifest::FILE, flags, Mode::empty()).context(manifest::FILE)?;
    ManifestReader::open(file.into()).context(manifest::FILE)
}

/// Waits until no snapshot could have this second's name and returns it: later than `newest`, also
/// when the clock of the host that made that one was ahead, by however much. When a snapshot was really
/// taken stands in its manifest.
///
/// # Errors
/// When there is no later name.
pub fn next_id(
    newest: Option<SnapshotName>,
    pause: &mut dyn FnMut(std::time::Duration),
) -> anyhow::Result<Id> {
    let now = Id::now();
    let Some(newest) = newest.map(|name| name.id).filter(|newest| *newest >= now) else { return Ok(now) };
    let ahead = newest.second() - now.second();
    if ahead <= 2 {
        while Id::now() <= newest {
            pause(std::time::Duration::from_millis(20));
        }
        return Ok(Id::now());
    }
    following(newest)
}

/// Returns the name that a snapshot after this one has at the earliest.
///
/// # Errors
/// When there is none.
pub fn following(newest: Id) -> anyhow::Result<Id> {
    let next = newest.next();
    if next <= newest {
        bail!("no name follows that of the snapshot {newest}; remove that snapshot");
    }
    Ok(next.max(Id::now()))
}

/// Removes a file, or a folder with all that is in it, without following links.
pub(crate) fn remove_tree(folder: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    let Ok(name) = CString::new(name) else { return Err(Errno::EINVAL) };
    match unlinkat(&folder, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    if fstatat(&folder, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode & nix::libc::S_IFMT
        != nix::libc::S_IFDIR
    {
        return Err(Errno::EPERM);
    }
    let inner = match openat(&folder, name.as_c_str(), FOLDER, Mode::empty()) {
        Err(Errno::EACCES) => {
            // A copy of a folder that its owner could not read.
            fchmodat(&folder, name.as_c_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            openat(&folder, name.as_c_str(), FOLDER, Mode::empty())?
        }
        opened => opened?,
    };
    let emptied = empty(&inner);
    if emptied == Err(Errno::EACCES) {
        nix::sys::stat::fchmod(&inner, Mode::S_IRWXU)?;
        empty(&inner)?;
    } else {
        emptied?;
    }
    unlinkat(&folder, name.as_c_str(), UnlinkatFlags::RemoveDir)
}

fn empty(folder: &OwnedFd) -> Result<(), Errno> {
    for name in crate::walk::names(folder)? {
        remove_tree(folder, name.to_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn debris_goes_snapshots_stay_and_latest_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_to_write(&dir.path().join("a/b")).unwrap();
        for name in [
            "2026-01-02T03-04-05Z",
            "2026-01-02T03-04-06Z.incomplete",
            ".staging-1/tree/deep/er",
            ".pruning-x",
            "notes",
        ] {
            fs::create_dir_all(store.path().join(name)).unwrap();
        }
        let outside = dir.path().join("outside");
        fs::write(&outside, "x").unwrap();
        std::os::unix::fs::symlink(&outside, store.path().join(".staging-1/tree/link")).unwrap();
        let mut removed = store.clean().unwrap();
        removed.sort();
        assert_eq!(removed, [".pruning-x", ".staging-1"]);
        assert_eq!(fs::read_link(store.path().join(LATEST)).unwrap(), Path::new("2026-01-02T03-04-05Z"));
        assert!(outside.exists() && store.path().join("notes").exists());
        assert_eq!(store.snapshots().unwrap().len(), 2);
        assert_eq!(fs::metadata(store.path()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn two_runs_never_work_in_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open_to_write(dir.path()).unwrap();
        let error = Store::open_to_write(dir.path()).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Status::Refused));
        drop(first);
        Store::open_to_write(dir.path()).unwrap();
    }

    #[test]
    fn a_second_snapshot_in_one_second_waits_and_a_clock_far_off_is_followed() {
        let name = |ahead| Some(SnapshotName { id: Id::at_second(Id::now().second() + ahead), whole: true });
        let mut pause = std::thread::sleep;
        // A clock that was five hours ahead once had every backup refused for five hours.
        for ahead in [-5, 0, 1, 30, 5 * 3600, 100 * 365 * 86_400] {
            let newest = name(ahead);
            assert!(Some(next_id(newest, &mut pause).unwrap()) > newest.map(|name| name.id));
        }
        let last = SnapshotName { id: Id::at_second(jiff::Timestamp::MAX.as_second()), whole: true };
        assert!(next_id(Some(last), &mut pause).is_err());
    }
}
