//! What is mounted, and what is to be; the commands for that are in `mounts/spec.rs`.
//!
//! Linux's table is read in [`crate::mountinfo`], that of Solaris in [`crate::mnttab`].

pub mod spec;

pub use spec::{MountSpec, shows, unmount_command};

use crate::asset::kind::{Asset, Volume};
use crate::config::MountTable;
use crate::mountinfo::{Mount, Mounts};
use crate::parts::loopback::LoopbackTable;
use crate::platform::Platform;
use crate::{mnttab, mountinfo};
use anyhow::Context;
use orderly_exec::job::Job;
use orderly_exec::runner::Run;
use std::time::Duration;

/// How long the table of mounts may take; it asks no file system.
const ASKING: Duration = Duration::from_secs(60);

/// Returns what is mounted on this host: from the kernel, on Solaris from `mount -v`.
///
/// # Errors
/// When it cannot be found out, or holds something that cannot be read.
pub fn table(platform: Platform, run: &mut dyn Run) -> anyhow::Result<Mounts> {
    match platform {
        Platform::Linux => mountinfo::own(),
        Platform::Solaris => {
            let text = run.text(&Job::new(["mount", "-v"], ASKING))?;
            mnttab::parse(&text).context("read what mount -v prints")
        }
    }
}

/// Returns a mount of the asset as configured.
pub fn configured(asset: &dyn Asset, table: &MountTable) -> MountSpec {
    let mut fstype = table.fstype.clone();
    let (what, bind) = match asset.volume(table) {
        Volume::Device(device) => (Some(device), false),
        Volume::Folder(folder) => (Some(folder), true),
        Volume::Dataset(dataset) => {
            fstype.get_or_insert("zfs".to_owned());
            (Some(dataset), false)
        }
        Volume::Itself => (None, false),
    };
    MountSpec { what, at: table.at.clone(), fstype, options: table.options.clone(), bind }
}

/// Returns the mount at a loopback's place if it is one to be unmounted: of the asset, whatever folder of it
/// it shows, or of the loopback's source.
pub fn loopback_mount<'m>(
    asset: &dyn Asset,
    loopback: &LoopbackTable,
    mounts: &'m Mounts,
) -> Option<&'m Mount> {
    let mount = mounts.at(&loopback.at)?;
    let source = mounts.locate(&loopback.source);
    (asset.is_on(mount) || source == Some((mount.device, mount.root.clone()))).then_some(mount)
}
