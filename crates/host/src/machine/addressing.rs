//! The addresses that move: added, removed, looked at. The others of their devices stay as they are.

use super::{Machine, gone};
use crate::addresses::{self, Kept, Knock};
use crate::answer::Answer;
use crate::config::{Address, Argv, Platform};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

impl Machine<'_> {
    pub(super) fn check_address(&mut self, cidr: &str, wanted: bool) -> Answer {
        let Some(address) = self.address(cidr) else { return gone("address", cidr) };
        match addresses::find(&address, self.config.platform, &mut self.runner) {
            Err(why) => Answer::Unknown(why),
            Ok(None) if wanted => Answer::No("it is not here".to_owned()),
            Ok(None) => Answer::Yes,
            // Also one that cannot be used: it must not stay.
            Ok(Some(_)) if !wanted => Answer::No("it is still here".to_owned()),
            Ok(Some(found)) => match found.state {
                addresses::State::Usable => Answer::Yes,
                addresses::State::Tentative => Answer::No("its neighbours are still being asked".to_owned()),
                addresses::State::Refused => {
                    Answer::No("another host has it, as duplicate address detection found".to_owned())
                }
            },
        }
    }

    pub(super) fn add_address(&mut self, cidr: &str) -> anyhow::Result<()> {
        let address =
            self.address(cidr).with_context(|| format!("no address {cidr} is configured any more"))?;
        // Asked once more: minutes lie between the look beforehand and this.
        let platform = self.config.platform;
        if addresses::knock(address.ip(), platform, &mut self.runner) == Knock::Answered {
            bail!("somebody answers at {}; take the address off that host first", address.ip());
        }
        // One that was refused earlier is detected anew.
        self.remove_address(&address)?;
        self.run(&[addresses::add_command(&address, platform)], address.timeout)?;
        if let Some(why) = addresses::unfit_device(&address.device, platform, &mut self.runner) {
            self.notes.push(format!("{cidr} reaches nobody: {why}"));
        }
        let announced: Vec<Argv> = addresses::announce_command(&address, platform).into_iter().collect();
        // Neighbours that keep the old host in mind find the new one when their cache expires.
        if let Err(error) = self.run(&announced, address.timeout) {
            self.notes.push(format!("{cidr} is not announced to its neighbours: {error:#}"));
        }
        Ok(())
    }

    /// Removes an address as it is here: its prefix length may be another one than was configured. Every other
    /// address of its device stays.
    pub(super) fn remove_address(&mut self, address: &Address) -> anyhow::Result<()> {
        let platform = self.config.platform;
        let found = addresses::find(address, platform, &mut self.runner);
        let Some(found) = found.map_err(anyhow::Error::msg)? else { return Ok(()) };
        let there = Address { cidr: found.cidr, device: found.device, timeout: address.timeout };
        let remove = addresses::remove_command(&there, platform);
        if platform == Platform::Solaris || there.is_ipv6() {
            return self.run(&[remove], address.timeout);
        }
        let others = self.others(&there)?;
        let promoting = Promoting::begin(&there.device, &others);
        let removed = self.run(&[remove], address.timeout);
        drop(promoting);
        removed.and(self.put_back(&there, &others))
    }

    /// Returns the other IPv4 addresses of a device.
    fn others(&mut self, address: &Address) -> anyhow::Result<Vec<Kept>> {
        let mut kept = addresses::of_device(&address.device, &mut self.runner).map_err(anyhow::Error::msg)?;
        kept.retain(|kept| kept.cidr != address.cidr);
        Ok(kept)
    }

    /// Adds again what the kernel removed with an address: those of its network that came after it.
    fn put_back(&mut self, address: &Address, before: &[Kept]) -> anyhow::Result<()> {
        let there = self.others(address)?;
        let mut failed = Vec::new();
        for lost in before.iter().filter(|kept| !there.iter().any(|there| there.cidr == kept.cidr)) {
            if let Err(error) = self.run(&[lost.add_command(&address.device)], address.timeout) {
                failed.push(format!("{}: {error:#}", lost.cidr));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        let why = format!(
            "the kernel removed other addresses of {} with {}, and they cannot be added again: {}",
            address.device,
            address.cidr,
            failed.join("; ")
        );
        self.notes.push(why.clone());
        bail!("{why}")
    }
}

/// Lets the kernel keep the other addresses of a network when the first one of it is removed
/// (`promote_secondaries`, ip-sysctl), until it is dropped. Where that cannot be written they are put back.
#[derive(Debug)]
struct Promoting(Option<PathBuf>);

impl Promoting {
    fn begin(device: &str, others: &[Kept]) -> Self {
        let switch =
            |name: &str| PathBuf::from("/proc/sys/net/ipv4/conf").join(name).join("promote_secondaries");
        let is_on = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
        let own = switch(device);
        let is_needed = others.iter().any(|kept| kept.is_secondary) && !is_on(&own) && !is_on(&switch("all"));
        Self(Some(own).filter(|own| is_needed && std::fs::write(own, "1").is_ok()))
    }
}

impl Drop for Promoting {
    fn drop(&mut self) {
        // It keeps addresses instead of losing them, so one that stays does no harm.
        if let Some(own) = &self.0 {
            std::fs::write(own, "0").ok();
        }
    }
}
