//! What `ha.toml` says of a pool.

use super::Zfs;
use super::zpool::Zpool;
use crate::asset::kind::{Asset, KindKeys, KindTable, Surroundings};
use crate::platform::Platform;
use serde::Serialize;
use std::path::Path;

/// Where udev links every disk under a name that is alike on both hosts.
const DEVICES: &str = "/dev/disk/by-id";

/// A ZFS pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZfsTable {
    pub(super) pool: String,
    /// The pool of that name that is meant, where there may be several.
    pub(super) guid: Option<u64>,
    /// Folders of devices, or devices, in which the pool is looked for.
    pub(super) devices: Vec<String>,
    /// Whether it may be taken while devices of it are missing. What one host must make do with
    /// does not make its configuration another one.
    #[serde(skip)]
    pub(super) degraded: bool,
}

impl KindTable for ZfsTable {
    const WORD: &'static str = "zfs";
    const ON_SOLARIS: bool = true;
    const SAMPLE: &'static str = r#"# A ZFS pool on disks that both hosts see. On each host, once: zgenhostid; systemctl disable zfs-import-scan
# For the pool, once: zpool set multihost=on cachefile=none shared
[asset]
kind = "zfs"
pool = "shared"
#devices = ["/dev/disk/by-id"]
#timeout = "5m"

# A dataset with mountpoint=legacy is mounted here. Others mount themselves where their mountpoint says.
#[[asset.mount]]
#volume = "shared/data"
#at = "/srv/shared"
"#;

    fn read(keys: &KindKeys<'_>) -> Option<Self> {
        let table = keys.table;
        if keys.platform == Platform::Solaris {
            check_solaris_mounts(keys);
        }
        let pool = table.need_text("pool")?;
        let is_name = pool.starts_with(|c: char| c.is_ascii_alphabetic())
            && pool.chars().all(|c| c.is_ascii_alphanumeric() || "-_.: ".contains(c));
        if !is_name {
            keys.reject("pool", format!("\"{pool}\" is not the name of a pool"));
        }
        let guid = table.text("guid").and_then(|text| {
            let guid = text.parse().ok();
            if guid.is_none() {
                keys.reject("guid", "must be the number that zpool get guid prints, in quotes");
            }
            guid
        });
        let devices = table.texts("devices").unwrap_or_else(|| vec![DEVICES.to_owned()]);
        for device in &devices {
            if !Path::new(device).is_absolute() || device.split('/').any(|part| part == "..") {
                keys.reject("devices", format!("\"{device}\" must be an absolute path without \"..\""));
            }
        }
        for mount in keys.mounts {
            let ours = |volume: &String| {
                *volume == pool || volume.strip_prefix(&pool).is_some_and(|rest| rest.starts_with('/'))
            };
            if mount.volume.as_ref().is_some_and(|volume| !ours(volume)) {
                keys.reject("pool", format!("the volume mounted at {} is not in it", mount.at.display()));
            }
        }
        Some(Self { pool, guid, devices, degraded: table.flag("degraded").unwrap_or(false) })
    }

    fn open(&self, around: &Surroundings<'_>) -> Box<dyn Asset> {
        let (mut table, timeout) = (self.clone(), around.timeout);
        match around.platform {
            Platform::Linux => Box::new(Zfs::new(table, around)),
            Platform::Solaris => {
                // It knows the usual folder of devices by itself, and has none of udev.
                table.devices.retain(|folder| folder != DEVICES);
                Box::new(Zpool { table, timeout })
            }
        }
    }
}

/// Checks what zfs needs on Solaris beside what it needs everywhere.
fn check_solaris_mounts(keys: &KindKeys<'_>) {
    for mount in keys.mounts.iter().filter(|mount| mount.volume.is_none() || mount.fstype.is_none()) {
        let at = mount.at.display();
        keys.reject(
            "mount",
            format!("the mount at {at} needs volume (a dataset with mountpoint=legacy) and fstype = \"zfs\""),
        );
    }
}
