//! The storage that changes hands: one file a kind, each of which is an [`Asset`] (`asset/kind.rs`).
//!
//! A kind says who holds the asset, what identifies it, and what changes whenever it was held. The
//! answers come from the kernel and from the asset itself, never from exit statuses or memory.
//! "Here" is this process's mount namespace; `holders` looks into all others of this host.

mod bind;
mod bytes;
mod command;
mod device;
mod filesystem;
pub mod kind;
mod lvm;
mod superblock;
mod xfslog;
mod zfs;
mod zpool;

pub use bind::Bind;
pub use command::Command;
pub use device::write_protection;
pub use filesystem::Filesystem;
pub use kind::{Asset, End, Guard, Place, State, Volume, place};
pub use lvm::Lvm;
pub use superblock::Superblock;
pub use zfs::{Pool, Zfs};
pub use zpool::Zpool;

use crate::config::{AssetTable, Config, Kind, Platform};

/// Returns the asset of a configuration.
pub fn of(config: &Config) -> Box<dyn Asset> {
    let AssetTable { kind, timeout, mounts, .. } = &config.asset;
    match kind {
        Kind::Bind { source } => Box::new(Bind::new(source, &config.own.name, &config.peer.name)),
        Kind::Filesystem { device } => Box::new(Filesystem::new(device, *timeout)),
        Kind::Lvm { group } => Box::new(Lvm::new(group, &config.own.name, &config.peer.name, *timeout)),
        Kind::Zfs { pool, guid, devices, degraded } if config.platform == Platform::Solaris => {
            Box::new(Zpool {
                pool: pool.clone(),
                guid: *guid,
                // Solaris knows the usual folder of devices by itself, and has none of udev.
                devices: devices.iter().filter(|folder| *folder != "/dev/disk/by-id").cloned().collect(),
                degraded: *degraded,
                timeout: *timeout,
            })
        }
        Kind::Zfs { pool, guid, devices, degraded } => {
            let pool =
                Pool { name: pool, guid: *guid, devices, degraded: *degraded, mounts, timeout: *timeout };
            Box::new(Zfs::new(&pool, &config.own.name, &config.peer.name))
        }
        Kind::Command { identity, state, mark, take, take_dead, release } => Box::new(Command {
            identity: identity.clone(),
            state: state.clone(),
            mark: mark.clone(),
            take: take.clone(),
            take_dead: take_dead.clone(),
            release: release.clone(),
            mounts: mounts.iter().map(|mount| mount.at.clone()).collect(),
            mounted_by_take: mounts
                .iter()
                .filter(|mount| mount.volume.is_none())
                .map(|mount| mount.at.clone())
                .collect(),
            timeout: *timeout,
        }),
    }
}
