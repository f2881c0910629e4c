//! Whether this machine could take the asset at all: its disks, its network, its places. Looked at
//! before anything is touched, and before the peer is powered off.

use super::Host;
use crate::asset;
use crate::parts::address;
use crate::parts::address::reachability::Reachability;
use crate::platform::Platform;
use std::path::Path;

/// Returns the disks of the asset that are write-protected, each with its remedy; none where every mount
/// of it is to be read-only. Asked of the kernel: no disk is opened for it.
pub fn against_devices(host: &mut Host<'_>) -> Vec<String> {
    if host.config.platform == Platform::Solaris || host.config.asset.is_read_only() {
        return Vec::new();
    }
    let devices = host.asset.devices(&mut host.runner);
    devices.iter().filter_map(|device| asset::write_protection(device)).collect()
}

/// Tells whether a place lies in what is mounted of the asset, there or not.
pub(crate) fn is_on_asset(host: &mut Host<'_>, path: &Path) -> bool {
    let Ok(mounts) = host.mounts() else { return false };
    mounts.covering(path).is_some_and(|mount| host.asset.is_on(mount))
}

/// Returns why no witness vouches for this host's network; `None` where one answers, or none is configured.
pub fn unwitnessed(host: &mut Host<'_>) -> Option<String> {
    let config = host.config;
    if config.witness.is_empty() {
        return None;
    }
    let mut silent = Vec::new();
    for witness in &config.witness {
        if address::is_own(witness, config.platform, &mut host.runner) {
            silent.push(format!("{witness} is this host itself"));
            continue;
        }
        match host.reach(witness) {
            Reachability::Answered => return None,
            Reachability::Silent => silent.push(format!("{witness} does not answer")),
            Reachability::Unknown(why) => silent.push(format!("{witness}: {why}")),
        }
    }
    Some(format!(
        "no witness answers ({}), so this host may be the one that is cut off; mend its network, or use --skip witness",
        silent.join("; ")
    ))
}
