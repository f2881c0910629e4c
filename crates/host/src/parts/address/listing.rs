//! The addresses that this host has, and the commands that add, announce and remove one: through `ip`, on Solaris
//! through `ifconfig`.

use crate::config::AddressTable;
use crate::platform::{Argv, Platform};
use orderly_exec::job::Job;
use orderly_exec::runner::Run;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(super) const ASKING: Duration = Duration::from_secs(15);

/// How long duplicate address detection may take; it takes one or two seconds.
const DETECTION: Duration = Duration::from_secs(5);
const LOOKING: Duration = Duration::from_millis(200);

/// An address as this host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAddress {
    /// With the prefix length that it really has.
    pub cidr: String,
    pub device: String,
    pub usability: Usability,
}

/// Whether an address can be used (ip-address(8)); IPv4 addresses always can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usability {
    Usable,
    /// Its neighbours are still being asked.
    Tentative,
    /// Another host has it.
    Refused,
}

/// Returns how this host has the address, whatever its prefix length; waits until it is known whether
/// its neighbours let it have it.
///
/// # Errors
/// A clause, when the system does not say.
pub fn find(
    address: &AddressTable,
    platform: Platform,
    run: &mut dyn Run,
) -> anyhow::Result<Option<FoundAddress>> {
    let until = Instant::now() + DETECTION;
    loop {
        let found = look(address, platform, run)?;
        let waits = found.as_ref().is_some_and(|found| found.usability == Usability::Tentative);
        if !waits || Instant::now() >= until {
            return Ok(found);
        }
        std::thread::sleep(LOOKING);
    }
}

fn look(
    address: &AddressTable,
    platform: Platform,
    run: &mut dyn Run,
) -> anyhow::Result<Option<FoundAddress>> {
    Ok(listed(&listing(platform, run)?, address, platform))
}

/// Returns what the platform prints of all addresses of this host.
fn listing(platform: Platform, run: &mut dyn Run) -> anyhow::Result<String> {
    let list = match platform {
        Platform::Linux => &["ip", "-o", "address", "show"][..],
        Platform::Solaris => &["ifconfig", "-a"][..],
    };
    run.text(&Job::new(list, ASKING))
}

/// Returns every address that this host has.
pub(super) fn listed_ips(platform: Platform, run: &mut dyn Run) -> anyhow::Result<Vec<IpAddr>> {
    let text = listing(platform, run)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = words.windows(2).filter(|pair| ["inet", "inet6"].contains(&pair[0])).map(|pair| pair[1]);
    Ok(named.filter_map(|shown| shown.split('/').next()?.parse().ok()).collect())
}

/// Both programs print `inet ADDRESS` or `inet6 ADDRESS`, with or without a prefix length; `ip` prints
/// the device before it, and after it what became of the detection of duplicates.
fn listed(listing: &str, address: &AddressTable, platform: Platform) -> Option<FoundAddress> {
    let wanted: IpAddr = address.ip().parse().ok()?;
    listing.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.windows(2).position(|pair| match pair {
            ["inet" | "inet6", found] => {
                found.split('/').next().and_then(|ip| ip.parse().ok()) == Some(wanted)
            }
            _ => false,
        })?;
        let usability = match words.contains(&"dadfailed") {
            true => Usability::Refused,
            // An optimistic one is usable while its neighbours are asked.
            false if words.contains(&"tentative") && !words.contains(&"optimistic") => Usability::Tentative,
            false => Usability::Usable,
        };
        Some(match platform {
            Platform::Linux => {
                let shown = words[at + 1];
                let whole = if wanted.is_ipv4() { 32 } else { 128 };
                let cidr = if shown.contains('/') { shown.to_owned() } else { format!("{shown}/{whole}") };
                FoundAddress { cidr, device: words.get(1)?.trim_end_matches(':').to_owned(), usability }
            }
            Platform::Solaris => FoundAddress {
                cidr: address.cidr.clone(),
                device: address.device.clone(),
                usability: Usability::Usable,
            },
        })
    })
}

/// Returns the command that removes an address.
pub fn remove_command(address: &AddressTable, platform: Platform) -> Argv {
    let AddressTable { cidr, device, .. } = address;
    match platform {
        Platform::Linux => ["ip", "address", "del", cidr, "dev", device].map(str::to_owned).to_vec(),
        Platform::Solaris => ifconfig(address, "removeif", address.ip(), &[]),
    }
}

/// Returns the command that adds an address.
pub fn add_command(address: &AddressTable, platform: Platform) -> Argv {
    let AddressTable { cidr, device, .. } = address;
    match platform {
        Platform::Linux => ["ip", "address", "add", cidr, "dev", device].map(str::to_owned).to_vec(),
        Platform::Solaris => ifconfig(address, "addif", cidr, &["up"]),
    }
}

fn ifconfig(address: &AddressTable, verb: &str, what: &str, rest: &[&str]) -> Argv {
    let family = address.is_ipv6().then_some("inet6");
    let words = ["ifconfig", &address.device].into_iter().chain(family).chain([verb, what]);
    words.chain(rest.iter().copied()).map(str::to_owned).collect()
}

/// Returns the command that tells the neighbours where the address is now. Solaris tells them by itself
/// when an address comes up; neighbours of IPv6 ask again by themselves when the old host is silent
/// (RFC 4861, 7.3).
pub fn announce_command(address: &AddressTable, platform: Platform) -> Option<Argv> {
    let command = ["arping", "-U", "-c", "3", "-I", &address.device, address.ip()];
    let is_told = platform == Platform::Linux && !address.is_ipv6();
    is_told.then(|| command.map(str::to_owned).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_whole_and_not_as_the_beginning_of_another() {
        let listing = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
                       2: eth0    inet 192.0.2.10/24 brd 192.0.2.255 scope global eth0\n";
        let address = |cidr: &str| AddressTable { cidr: cidr.into(), device: "eth0".into(), timeout: ASKING };
        let found = |cidr: &str| listed(listing, &address(cidr), Platform::Linux);
        assert_eq!(found("192.0.2.1/24"), None);
        // As it is there, with whatever prefix length.
        let there = found("192.0.2.10/32").unwrap();
        assert_eq!((there.cidr.as_str(), there.device.as_str()), ("192.0.2.10/24", "eth0"));
    }

    /// Written otherwise than `ip` prints it, an address passed for one that is not here; and one that
    /// another host has passed for one that is.
    #[test]
    fn an_ipv6_address_is_known_however_it_is_written_and_is_here_only_when_usable() {
        let listing = |flags: &str| {
            format!("2: eth0    inet6 2001:db8::10/64 scope global {flags} \\       valid_lft\n")
        };
        let address = |cidr: &str| AddressTable { cidr: cidr.into(), device: "eth0".into(), timeout: ASKING };
        let state = |flags: &str, cidr: &str| {
            listed(&listing(flags), &address(cidr), Platform::Linux).map(|found| found.usability)
        };
        assert_eq!(state("", "2001:0DB8::0010/64"), Some(Usability::Usable));
        assert_eq!(state("", "2001:db8::11/64"), None);
        assert_eq!(state("dadfailed tentative", "2001:db8::10/64"), Some(Usability::Refused));
        assert_eq!(state("tentative", "2001:db8::10/64"), Some(Usability::Tentative));
        assert_eq!(announce_command(&address("2001:db8::10/64"), Platform::Linux), None);
    }

    #[test]
    fn on_solaris_the_address_is_an_additional_one_of_its_device() {
        let listing = "e1000g0: flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2\n\
                       \tinet 192.0.2.1 netmask ffffff00 broadcast 192.0.2.255\n";
        let address =
            |cidr: &str| AddressTable { cidr: cidr.into(), device: "e1000g0".into(), timeout: ASKING };
        let moving = address("192.0.2.10/24");
        let is_listed = |address: &AddressTable| listed(listing, address, Platform::Solaris).is_some();
        assert!(is_listed(&address("192.0.2.1/24")) && !is_listed(&moving));
        assert_eq!(
            add_command(&moving, Platform::Solaris),
            ["ifconfig", "e1000g0", "addif", "192.0.2.10/24", "up"]
        );
        assert_eq!(
            remove_command(&moving, Platform::Solaris),
            ["ifconfig", "e1000g0", "removeif", "192.0.2.10"]
        );
        assert_eq!(
            add_command(&address("2001:db8::a/64"), Platform::Solaris),
            ["ifconfig", "e1000g0", "inet6", "addif", "2001:db8::a/64", "up"]
        );
    }
}
