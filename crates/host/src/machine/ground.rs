//! Whether this machine could take the asset at all: its disks, its network, its places. Looked at
//! before anything is touched, and before the peer is powered off.

use super::Machine;
use crate::addresses::{self, Knock};
use crate::asset;
use crate::config::{Loopback, Platform};
use std::path::Path;

impl Machine<'_> {
    /// Returns the disks of the asset that are write-protected, each with its remedy; none where every mount
    /// of it is to be read-only. Asked of the kernel: no disk is opened for it.
    pub fn against_devices(&mut self) -> Vec<String> {
        if self.config.platform == Platform::Solaris || self.config.asset.is_read_only() {
            return Vec::new();
        }
        let devices = self.asset.devices(&mut self.runner);
        devices.iter().filter_map(|device| asset::write_protection(device)).collect()
    }

    /// Returns what keeps the configured addresses from serving anybody here, each with its remedy.
    pub fn against_links(&mut self) -> Vec<String> {
        let config = self.config;
        let mut against: Vec<String> = Vec::new();
        for address in &config.addresses {
            let unfit = addresses::unfit_device(&address.device, config.platform, &mut self.runner);
            against
                .extend(unfit.map(|why| format!("address {}: {why}; or use --skip addresses", address.cidr)));
        }
        against
    }

    /// Tells whether a place lies in what is mounted of the asset, there or not.
    pub(super) fn is_on_asset(&mut self, path: &Path) -> bool {
        let Ok(mounts) = self.mounts() else { return false };
        mounts.covering(path).is_some_and(|mount| self.asset.is_on(mount))
    }

    /// Returns what keeps a loopback from being mounted where the asset is mounted already, with its remedy.
    pub fn against_loopback(&mut self, loopback: &Loopback) -> Option<String> {
        let (source, at) = (loopback.source.display(), loopback.at.display());
        if !self.is_on_asset(&loopback.source) {
            return None;
        }
        match std::fs::metadata(&loopback.source) {
            Err(error) => Some(format!(
                "{source} cannot be mounted at {at}: {error}; make it, or take the [[loopback]] out"
            )),
            Ok(found) if found.is_dir() != loopback.at.is_dir() => Some(format!(
                "{source} cannot be mounted at {at}: one of them is a directory, and the other is not"
            )),
            Ok(_) => None,
        }
    }

    /// Returns why no witness vouches for this host's network; `None` where one answers, or none is configured.
    pub fn unwitnessed(&mut self) -> Option<String> {
        let config = self.config;
        if config.witness.is_empty() {
            return None;
        }
        let mut silent = Vec::new();
        for witness in &config.witness {
            if addresses::is_own(witness, config.platform, &mut self.runner) {
                silent.push(format!("{witness} is this host itself"));
                continue;
            }
            match addresses::knock(witness, config.platform, &mut self.runner) {
                Knock::Answered => return None,
                Knock::Silent => silent.push(format!("{witness} does not answer")),
                Knock::Unknown(why) => silent.push(format!("{witness}: {why}")),
            }
        }
        Some(format!(
            "no witness answers ({}), so this host may be the one that is cut off; mend its network, or use --skip witness",
            silent.join("; ")
        ))
    }
}
