//! The addresses that move: added, removed, looked at. The others of their devices stay as they are.

mod kept;
mod link;
pub mod listing;

use super::transfer::{PartPresence, PlanDraft, Situation, Transfer};
use crate::action::{Address, Part, Way};
use crate::answer::Answer;
use crate::config::AddressTable;
use crate::host::Host;
use crate::host::reachability::Reachability;
use crate::mountinfo::Mounts;
use crate::platform::{Argv, Platform};
use anyhow::{Context, bail};
use kept::Kept;
pub use link::is_own;
use link::unfit_device;
use listing::{Usability, add_command, announce_command, find, remove_command};
use std::path::{Path, PathBuf};

impl Address {
    /// Returns the address of a table.
    pub fn of(table: &AddressTable) -> Self {
        Self { cidr: table.cidr.clone() }
    }

    /// Returns what is configured for it, with the prefix length that this one has.
    fn table(&self, host: &Host<'_>) -> anyhow::Result<AddressTable> {
        let ip = self.cidr.split('/').next();
        let found = host.config.addresses.iter().find(|table| Some(table.ip()) == ip);
        let found =
            found.with_context(|| format!("the configuration has no address {} any more", self.cidr))?;
        Ok(AddressTable { cidr: self.cidr.clone(), ..found.clone() })
    }

    fn add(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        let (table, platform) = (self.table(host)?, host.config.platform);
        // Asked once more: minutes lie between the look beforehand and this.
        if host.reach(table.ip()) == Reachability::Answered {
            bail!("somebody answers at {}; take the address off that host first", table.ip());
        }
        // One that was refused earlier is detected anew.
        remove(&table, host)?;
        host.run(&[add_command(&table, platform)], table.timeout)?;
        if let Some(why) = unfit_device(&table.device, platform, &mut host.runner) {
            host.notes.push(format!("{} reaches nobody: {why}", self.cidr));
        }
        let announced: Vec<Argv> = announce_command(&table, platform).into_iter().collect();
        // Neighbours that keep the old host in mind find the new one when their cache expires.
        if let Err(error) = host.run(&announced, table.timeout) {
            host.notes.push(format!("{} is not announced to its neighbours: {error:#}", self.cidr));
        }
        Ok(())
    }
}

impl Transfer for Address {
    fn title(&self) -> (&'static str, String) {
        ("address", self.cidr.clone())
    }

    fn look(&self, host: &mut Host<'_>) -> anyhow::Result<PartPresence> {
        let found = find(&self.table(host)?, host.config.platform, &mut host.runner)?;
        let is_usable = found.is_some_and(|found| found.usability == Usability::Usable);
        Ok(if is_usable { PartPresence::Here("here") } else { PartPresence::Missing("not here") })
    }

    fn check(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<Answer> {
        let found = find(&self.table(host)?, host.config.platform, &mut host.runner)?;
        Ok(match (found.map(|found| found.usability), way) {
            (None, Way::LetGo) | (Some(Usability::Usable), Way::Take) => Answer::Yes,
            // Also one that cannot be used: it must not stay.
            (Some(_), Way::LetGo) => Answer::No("it is still here".to_owned()),
            (None, Way::Take) => Answer::No("it is not here".to_owned()),
            (Some(Usability::Tentative), Way::Take) => {
                Answer::No("its neighbours are still being asked".to_owned())
            }
            (Some(Usability::Refused), Way::Take) => {
                Answer::No("another host has it, as duplicate address detection found".to_owned())
            }
        })
    }

    fn act(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<()> {
        match way {
            Way::Take => self.add(host),
            Way::LetGo => remove(&self.table(host)?, host),
        }
    }

    fn commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        let (Ok(table), platform) = (self.table(host), host.config.platform) else { return Vec::new() };
        match way {
            Way::Take => [add_command(&table, platform)]
                .into_iter()
                .chain(announce_command(&table, platform))
                .collect(),
            Way::LetGo => vec![remove_command(&table, platform)],
        }
    }

    /// Telling the neighbours may fail.
    fn needed_commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        self.commands(way, host).into_iter().take(1).collect()
    }

    /// With --fence somebody may still answer, who must be silent once the peer is off; that nobody could be
    /// asked then is found out now.
    fn against_taking(&self, situation: Situation<'_>, host: &mut Host<'_>) -> Vec<String> {
        let (Ok(table), platform) = (self.table(host), host.config.platform) else { return Vec::new() };
        let (cidr, ip) = (&self.cidr, table.ip());
        let mut objections: Vec<String> = unfit_device(&table.device, platform, &mut host.runner)
            .map(|why| format!("address {cidr}: {why}; or use --skip addresses"))
            .into_iter()
            .collect();
        match self.presence(host) {
            PartPresence::Here(_) => return objections,
            PartPresence::Unknown(why) => objections.push(format!("address {cidr}: {why}")),
            PartPresence::Missing(_) | PartPresence::Other(_) => {}
        }
        match host.reach(ip) {
            Reachability::Silent => {}
            Reachability::Answered if situation.fences => host.notes.push(format!(
                "somebody answers at {ip}, and must be silent once {} is off",
                host.config.peer.name
            )),
            Reachability::Answered => {
                objections.push(format!("somebody answers at {ip}; take the address off that host first"));
            }
            Reachability::Unknown(why) => objections.push(format!(
                "nobody can say whether somebody answers at {ip}: {why}; or use --skip addresses"
            )),
        }
        objections
    }

    fn plan_release(&self, _mounts: &Mounts, draft: &mut PlanDraft, host: &mut Host<'_>) {
        let Ok(table) = self.table(host) else { return };
        match find(&table, host.config.platform, &mut host.runner) {
            Ok(None) => {}
            Ok(Some(found)) if found.device != table.device => draft.objections.push(format!(
                "address {} is on {}, and not on {} as configured; mend that, or use --skip addresses",
                found.cidr, found.device, table.device
            )),
            Ok(Some(found)) => draft.part(Way::LetGo, Part::Address(Self { cidr: found.cidr })),
            Err(why) => {
                draft.objections.push(format!("address {}: {why:#}; or use --skip addresses", self.cidr));
            }
        }
    }
}

/// Removes an address as it is here: its prefix length may be another one than was configured. Every other
/// address of its device stays.
fn remove(address: &AddressTable, host: &mut Host<'_>) -> anyhow::Result<()> {
    let platform = host.config.platform;
    let Some(found) = find(address, platform, &mut host.runner)? else { return Ok(()) };
    let there = AddressTable { cidr: found.cidr, device: found.device, timeout: address.timeout };
    let remove = remove_command(&there, platform);
    if platform == Platform::Solaris || there.is_ipv6() {
        return host.run(&[remove], address.timeout);
    }
    let others = others(&there, host)?;
    let promoting = Promoting::begin(&there.device, &others);
    let removed = host.run(&[remove], address.timeout);
    drop(promoting);
    removed.and(put_back(&there, &others, host))
}

/// Returns the other IPv4 addresses of a device.
fn others(address: &AddressTable, host: &mut Host<'_>) -> anyhow::Result<Vec<Kept>> {
    let mut kept = kept::of_device(&address.device, &mut host.runner)?;
    kept.retain(|kept| kept.cidr != address.cidr);
    Ok(kept)
}

/// Adds again what the kernel removed with an address: those of its network that came after it.
fn put_back(address: &AddressTable, before: &[Kept], host: &mut Host<'_>) -> anyhow::Result<()> {
    let there = others(address, host)?;
    let mut failed = Vec::new();
    for lost in before.iter().filter(|kept| !there.iter().any(|there| there.cidr == kept.cidr)) {
        if let Err(error) = host.run(&[lost.add_command(&address.device)], address.timeout) {
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
    host.notes.push(why.clone());
    bail!("{why}")
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
