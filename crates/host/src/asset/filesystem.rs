//! A file system on a device that both hosts see.
//!
//! Identity and change mark are in its superblock. It is held where it is mounted; unmounted here
//! and not marked clean, somebody else holds it or died holding it. Two hosts mounting it at once
//! is what ext4's multiple mount protection guards against in the kernel; this guards before that.

use super::{Asset, End, State, Superblock, Volume};
use crate::config::MountTable;
use crate::mountinfo::{Device, Mount, own};
use anyhow::{Context, bail};
use orderly_exec::runner::Run;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The asset kind `filesystem`.
#[derive(Debug)]
pub struct Filesystem {
    /// As configured: `UUID=…` or a path.
    device: String,
    /// Where it was found when the program began; a device does not move while it is in use.
    found: Option<Found>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    path: PathBuf,
    number: Device,
}

impl Filesystem {
    /// Returns the file system on this device and looks for the device.
    pub fn new(device: &str) -> Self {
        Self { device: device.to_owned(), found: find(device).ok() }
    }

    /// The device may appear only when `before_take` has run, so it is looked for again.
    fn look(&self) -> anyhow::Result<Found> {
        match &self.found {
            Some(found) => Ok(found.clone()),
            None => find(&self.device),
        }
    }

    fn superblock(&self) -> anyhow::Result<Superblock> {
        let found = Superblock::read(&self.look()?.path)?;
        // Without that word "not mounted here" would pass for "free" while the peer writes to it.
        if found.clean.is_none() {
            bail!(
                "{} is {}, which does not say whether it was let go; only ext4 is supported by this version",
                self.device,
                found.fstype
            );
        }
        Ok(found)
    }

    fn ask(&self) -> anyhow::Result<State> {
        if own()?.0.iter().any(|mount| self.is_on(mount)) {
            return Ok(State::Held);
        }
        Ok(match self.superblock()?.clean {
            // Not clean because of a mount that only another namespace of this host shows.
            Some(false) if !crate::holders::mounts(self).holders.is_empty() => State::Held,
            Some(false) => {
                State::Elsewhere(format!("{} is mounted elsewhere, or was not let go cleanly", self.device))
            }
            Some(true) => State::Free,
            None => State::Unknown(format!("{} does not say whether it was let go", self.device)),
        })
    }
}

impl Asset for Filesystem {
    fn title(&self) -> String {
        self.device.clone()
    }

    fn state(&self, _run: &mut dyn Run) -> State {
        self.ask().unwrap_or_else(|error| State::Unknown(format!("{error:#}")))
    }

    fn identity(&self, _run: &mut dyn Run) -> anyhow::Result<String> {
        let found = self.superblock()?;
        Ok(format!("{}:{}", found.fstype, found.uuid))
    }

    fn mark(&self, _run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        Ok(Some(self.superblock()?.mark))
    }

    fn is_on(&self, mount: &Mount) -> bool {
        let Ok(found) = self.look() else { return false };
        // btrfs shows an anonymous device number, so there the source is compared.
        mount.device == found.number
            || (mount.fstype == "btrfs"
                && number_of(Path::new(&mount.source)).is_ok_and(|number| number == found.number))
    }

    fn volume(&self, _mount: &MountTable) -> Volume {
        Volume::Device(
            self.look()
                .map_or_else(|_| self.device.clone(), |found| found.path.to_string_lossy().into_owned()),
        )
    }

    fn take(&self, end: End, run: &mut dyn Run) -> anyhow::Result<()> {
        match (self.state(run), end) {
            (State::Held | State::Free, _) => Ok(()),
            // Replaying the journal is part of mounting, and ext4's own protection then looks for
            // a host that is still alive.
            (State::Elsewhere(_), End::PoweredOff) => Ok(()),
            (State::Elsewhere(why) | State::Unknown(why), _) => bail!("{why}"),
        }
    }

    fn let_go(&self, _run: &mut dyn Run) -> anyhow::Result<()> {
        Ok(())
    }
}

fn find(device: &str) -> anyhow::Result<Found> {
    let path = match device.strip_prefix("UUID=") {
        Some(uuid) => {
            find_uuid(uuid)?.with_context(|| format!("no device here has a file system with {device}"))?
        }
        None => PathBuf::from(device),
    };
    let path = fs::canonicalize(&path).with_context(|| format!("find the device {}", path.display()))?;
    let number = number_of(&path)?;
    Ok(Found { path, number })
}

fn number_of(path: &Path) -> anyhow::Result<Device> {
    let found = fs::metadata(path).with_context(|| format!("find the device {}", path.display()))?;
    if !found.file_type().is_block_device() {
        bail!("{} is not a block device", path.display());
    }
    Ok(Device::from_stat(found.rdev()))
}

/// Returns the device with this UUID: by udev's link, else by looking at every block device, as
/// findfs(8) does.
///
/// # Errors
/// When several have it: a copy is another asset, and nobody could say which one was meant.
fn find_uuid(uuid: &str) -> anyhow::Result<Option<PathBuf>> {
    let uuid = uuid.to_ascii_lowercase();
    let link = Path::new("/dev/disk/by-uuid").join(&uuid);
    let is_it = |path: &Path| Superblock::read(path).is_ok_and(|found| found.uuid == uuid);
    if is_it(&link) {
        return Ok(Some(link));
    }
    let mut names: Vec<_> =
        fs::read_dir("/sys/class/block")?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    // A path below device-mapper shows the same file system as the device above it.
    let is_below = |name: &std::ffi::OsStr| {
        fs::read_dir(Path::new("/sys/class/block").join(name).join("holders"))
            .is_ok_and(|mut holders| holders.next().is_some())
    };
    names.retain(|name| !is_below(name));
    let found: Vec<PathBuf> =
        names.into_iter().map(|name| Path::new("/dev").join(name)).filter(|path| is_it(path)).collect();
    if let [one, another, ..] = found.as_slice() {
        bail!(
            "{} and {} both have the UUID {uuid}; name the device instead",
            one.display(),
            another.display()
        );
    }
    Ok(found.into_iter().next())
}
