//! Whether this machine could take the asset at all: its disks, its network, its places. Looked at
//! before anything is touched, and before the peer is powered off.

use crate::asset;
use crate::host::Host;
use crate::host::reachability::Reachability;
use crate::parts::address;
use crate::platform::Platform;

/// Returns the disks of the asset that are write-protected, each with its remedy; none where every mount
/// of it is to be read-only. Asked of the kernel: no disk is opened for it.
pub fn against_devices(host: &mut Host<'_>) -> Vec<String> {
    if host.config.platform == Platform::Solaris || host.config.asset.is_read_only() {
        return Vec::new();
    }
    let devices = host.asset.devices(&mut host.runner);
    devices.iter().filter_map(|device| asset::write_protection(device)).collect()
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
