//! Addresses that move with the asset: asked for, added, announced and removed through `ip`.

use crate::config::{Address, Argv};
use orderly_exec::job::{Ending, Job};
use orderly_exec::runner::Run;
use std::time::Duration;

const ASKING: Duration = Duration::from_secs(15);

/// Tells whether this host has the address.
///
/// # Errors
/// A clause, when `ip` does not say.
pub fn is_here(address: &Address, run: &mut dyn Run) -> Result<bool, String> {
    let ended = run.run(&Job::new(["ip", "-o", "address", "show"], ASKING));
    if !ended.succeeded() {
        return Err(format!("ip address show: {}", ended.clause()));
    }
    Ok(has(&ended.text(), address))
}

fn has(listing: &str, address: &Address) -> bool {
    listing.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.get(2..4), Some(["inet" | "inet6", cidr]) if cidr.split('/').next() == Some(address.ip()))
    })
}

/// What a knock at an address brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knock {
    Answered,
    Silent,
    Unknown(String),
}

/// Asks whether anybody answers at an address.
pub fn knock(ip: &str, run: &mut dyn Run) -> Knock {
    let ended = run.run(&Job::new(["ping", "-n", "-q", "-c", "3", "-i", "0.3", "-W", "1", ip], ASKING));
    match ended.ending {
        Ending::Exited(0) => Knock::Answered,
        // ping(8): 1 when no reply came at all, anything else is an error of its own.
        Ending::Exited(1) => Knock::Silent,
        Ending::Exited(_)
        | Ending::Killed(_)
        | Ending::TimedOut
        | Ending::Unkillable
        | Ending::NotStarted => Knock::Unknown(format!("ping {ip}: {}", ended.clause())),
    }
}

/// Returns the command that removes an address.
pub fn remove_command(address: &Address) -> Argv {
    command("del", address)
}

/// Returns the command that adds an address.
pub fn add_command(address: &Address) -> Argv {
    command("add", address)
}

/// Returns the command that tells the neighbours where the address is now.
pub fn announce_command(address: &Address) -> Argv {
    ["arping", "-U", "-c", "3", "-I", &address.device, address.ip()].map(str::to_owned).to_vec()
}

fn command(verb: &str, address: &Address) -> Argv {
    ["ip", "address", verb, &address.cidr, "dev", &address.device].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_whole_and_not_as_the_beginning_of_another() {
        let listing = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
                       2: eth0    inet 192.0.2.10/24 brd 192.0.2.255 scope global eth0\n";
        let address = |cidr: &str| Address { cidr: cidr.into(), device: "eth0".into(), timeout: ASKING };
        assert!(has(listing, &address("192.0.2.10/24")));
        assert!(!has(listing, &address("192.0.2.1/24")));
    }
}
