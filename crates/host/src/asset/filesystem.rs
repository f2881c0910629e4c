//! A file system on a device that both hosts see: ext4, xfs or btrfs.
//!
//! Identity and change mark are in its superblock (and in the log of an xfs). It is held where it is
//! mounted; unmounted here and not clean, somebody else holds it or died holding it. How far a clean
//! one is proof that nobody has it differs by type: see [`Detection`].

use super::device::{self, BlockDevice, UnreadDevice};
use super::kind::{Asset, Detection, KindKeys, KindTable, State, Surroundings, Volume};
use super::{Superblock, superblock};
use crate::asset::mount::MountTable;
use crate::last_release::LastRelease;
use crate::mountinfo::{Mount, own};
use anyhow::bail;
use orderly_exec::runner::Run;
use orderly_plan::permit::Since;
use serde::Serialize;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `ha.toml` says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilesystemTable {
    device: String,
}

impl KindTable for FilesystemTable {
    const WORD: &'static str = "filesystem";
    const SAMPLE: &'static str = r#"# An ext4, an xfs or a btrfs on a disk that both hosts see. Neither host may mount it at boot: no line in fstab.
[asset]
kind = "filesystem"
device = "UUID=00000000-0000-0000-0000-000000000000"   # as blkid prints it
#timeout = "2m"
# What makes the disk appear before it is taken, and what follows the release.
#before_take = [["iscsiadm", "-m", "node", "--login"]]
#after_release = [["iscsiadm", "-m", "node", "--logout"]]

[[asset.mount]]
at = "/srv/shared"
#options = "noatime"
"#;

    fn read(keys: &KindKeys<'_>) -> Option<Self> {
        let device = keys.table.need_text("device")?;
        let is_uuid = |uuid: &str| uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let named = device.strip_prefix("UUID=").is_some_and(|uuid| !uuid.is_empty() && is_uuid(uuid));
        let plain = Path::new(&device).is_absolute() && !device.split('/').any(|part| part == "..");
        if !named && !plain {
            keys.reject("device", "must be UUID=… or the absolute path of a device");
        }
        if keys.mounts.is_empty() {
            keys.reject("device", "kind filesystem needs an [[asset.mount]]");
        }
        Some(Self { device })
    }

    fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset> {
        Box::new(Filesystem::new(&self.device, around.timeout))
    }
}

/// The asset kind `filesystem`.
#[derive(Debug)]
struct Filesystem {
    /// As configured: `UUID=…` or a path.
    device: String,
    /// For each read of the device.
    limit: Duration,
    /// Where it was found first; a device does not move while it is in use.
    found: RefCell<Option<BlockDevice>>,
    /// Why the device is not read again: it did not answer in time, and would not the next time.
    silent: RefCell<Option<String>>,
}

impl Filesystem {
    /// Returns the file system on this device and looks for the device without reading any.
    fn new(device: &str, limit: Duration) -> Self {
        let found = match device.strip_prefix("UUID=") {
            Some(uuid) => device::link(uuid),
            None => device::named(Path::new(device)).ok(),
        };
        Self { device: device.to_owned(), limit, found: RefCell::new(found), silent: RefCell::new(None) }
    }

    /// The device may appear only when `before_take` has run, so it is looked for again.
    fn look(&self, run: &mut dyn Run) -> anyhow::Result<BlockDevice> {
        if let Some(found) = &*self.found.borrow() {
            return Ok(found.clone());
        }
        let found = match self.device.strip_prefix("UUID=") {
            Some(uuid) => device::with_uuid(uuid, self.limit, run)?,
            None => device::named(Path::new(&self.device))?,
        };
        *self.found.borrow_mut() = Some(found.clone());
        Ok(found)
    }

    fn superblock(&self, run: &mut dyn Run) -> anyhow::Result<Superblock> {
        if let Some(why) = &*self.silent.borrow() {
            bail!("{why}");
        }
        let device = self.look(run)?.path;
        let read = Superblock::read(&device, self.limit, run).inspect_err(|error| {
            if error.downcast_ref().is_some_and(|unread: &UnreadDevice| unread.is_silent) {
                *self.silent.borrow_mut() = Some(format!("{error:#}; the device does not answer"));
            }
        })?;
        match self.device.strip_prefix("UUID=").filter(|uuid| !uuid.eq_ignore_ascii_case(&read.uuid)) {
            Some(_) => {
                bail!("{} was {}, and is UUID={} now", device.display(), self.device, read.uuid)
            }
            None => Ok(read),
        }
    }

    fn ask(&self, run: &mut dyn Run) -> anyhow::Result<State> {
        self.look(run)?;
        if own()?.0.iter().any(|mount| self.is_on(mount)) {
            return Ok(State::Held);
        }
        let found = self.superblock(run)?;
        // Not clean because of a mount that only another namespace of this host shows, or none does.
        if !crate::holders::mounts(&|mount| self.is_on(mount)).holders.is_empty() || self.is_in_kernel(&found)
        {
            return Ok(State::Held);
        }
        Ok(if found.is_clean {
            State::Free
        } else {
            State::Elsewhere(format!(
                "{} ({}) is mounted on the other host, or the host that had it mounted last ended without unmounting it",
                self.device, found.fstype
            ))
        })
    }
}

/// How many suspects are named before the rest is counted.
const SUSPECTS: usize = 5;

/// Where the kernel lists the file systems that it has mounted, by type.
const MOUNTED: &str = "/sys/fs";

impl Filesystem {
    /// Tells whether the kernel has it mounted, also where no table of mounts shows it any more: after
    /// `umount -l`, or in a mount namespace that only an open file keeps.
    fn is_in_kernel(&self, superblock: &Superblock) -> bool {
        let found = self.found.borrow();
        let Some(found) = &*found else { return false };
        let folder = Path::new(MOUNTED).join(superblock.fstype);
        if superblock.fstype == "btrfs" {
            return folder.join(&superblock.uuid).exists();
        }
        let device = Path::new("/sys/dev/block").join(found.number.to_string());
        // Its name, in which the kernel writes ! for / in both places.
        std::fs::canonicalize(device)
            .ok()
            .and_then(|device| Some(folder.join(device.file_name()?)))
            .is_some_and(|entry| entry.exists())
    }
}

impl Asset for Filesystem {
    fn title(&self) -> String {
        self.device.clone()
    }

    fn state(&self, run: &mut dyn Run) -> State {
        self.ask(run).unwrap_or_else(|error| State::Unknown(format!("{error:#}")))
    }

    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String> {
        let found = self.superblock(run)?;
        Ok(format!("{}:{}", found.fstype, found.uuid))
    }

    fn change_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        Ok(Some(self.superblock(run)?.mark))
    }

    fn take_mark(&self, run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        Ok(self.superblock(run)?.take_mark)
    }

    fn last_mount(&self, run: &mut dyn Run) -> Option<i64> {
        self.superblock(run).ok()?.last_mount()
    }

    fn since(&self, then: &str, now: &str) -> Since {
        superblock::since(then, now)
    }

    fn detection(&self, run: &mut dyn Run) -> Detection {
        match self.superblock(run) {
            Ok(found) if found.is_protected => Detection::Watched,
            Ok(found) if found.fstype == "ext4" => Detection::Unwatched(format!(
                "{} is an ext4 without multiple mount protection (tune2fs -O mmp)",
                self.device
            )),
            Ok(found) => Detection::Blind(format!(
                "{} is {}, which does not show that it is mounted until something is written to it",
                self.device, found.fstype
            )),
            Err(error) => Detection::Blind(format!("{error:#}")),
        }
    }

    fn devices(&self, run: &mut dyn Run) -> Vec<PathBuf> {
        self.look(run).map(|found| found.path).into_iter().collect()
    }

    fn take_moves_mark(&self) -> bool {
        true
    }

    fn is_on(&self, mount: &Mount) -> bool {
        let found = self.found.borrow();
        let Some(found) = &*found else { return false };
        // btrfs shows an anonymous device number, so there the source is compared.
        mount.device == found.number
            || (mount.fstype == "btrfs"
                && device::number_of(Path::new(&mount.source)).is_ok_and(|number| number == found.number))
    }

    /// A line of fstab may name the device otherwise than the configuration does.
    fn boot_mounts(&self, run: &mut dyn Run) -> Vec<String> {
        let Ok(found) = self.look(run) else { return Vec::new() };
        let on_it = self.superblock(run).ok();
        crate::boot::mounted(&|source| device::named_in_fstab(source, found.number, on_it.as_ref()))
    }

    fn volume(&self, _mount: &MountTable) -> Volume {
        let found = self.found.borrow();
        Volume::Device(
            found
                .as_ref()
                .map_or_else(|| self.device.clone(), |found| found.path.to_string_lossy().into_owned()),
        )
    }

    fn fstab_name(&self) -> Option<&str> {
        Some(&self.device)
    }

    fn is_taken_by_mounting(&self) -> bool {
        true
    }

    fn busy_elsewhere(&self, run: &mut dyn Run) -> Option<String> {
        self.superblock(run).ok().filter(|found| found.is_protected).map(|_| {
            format!(
                "multiple mount protection sees another host that has {} mounted, or is mounting it (dmesg names it)",
                self.device
            )
        })
    }

    fn hidden(&self, run: &mut dyn Run) -> Option<String> {
        let found = self.superblock(run).ok()?;
        if !crate::holders::mounts(&|mount| self.is_on(mount)).holders.is_empty()
            || !self.is_in_kernel(&found)
        {
            return None;
        }
        let mut suspects = crate::holders::detached_mounts();
        if let Some(more @ 1..) = suspects.len().checked_sub(SUSPECTS) {
            suspects.truncate(SUSPECTS);
            suspects.push(format!("and {more} more"));
        }
        let suspects = if suspects.is_empty() {
            "an overlay with a layer on it, a loop device, or an open file whose mount is gone".to_owned()
        } else {
            suspects.join("; ")
        };
        Some(format!(
            "the kernel still has {} mounted, and no table of mounts shows where; it goes when what keeps it ends: {suspects}",
            self.device
        ))
    }

    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        match (self.state(run), end) {
            (State::Held | State::Free, _) => Ok(()),
            // Replaying the log is part of mounting, and ext4's own protection then looks for
            // a host that is still alive.
            (State::Elsewhere(_), LastRelease::PoweredOff | LastRelease::OwnCrash) => Ok(()),
            (State::Elsewhere(why) | State::Unknown(why), _) => bail!("{why}"),
        }
    }

    fn let_go(&self, _run: &mut dyn Run) -> anyhow::Result<()> {
        Ok(())
    }
}
