//! Addresses that move with the asset: asked for, added, announced and removed through `ip`, on
//! Solaris through `ifconfig`.

use crate::config::{Address, Argv, Platform};
use orderly_exec::job::{Ending, Job};
use orderly_exec::runner::Run;
use std::time::Duration;

const ASKING: Duration = Duration::from_secs(15);

/// Tells whether this host has the address.
///
/// # Errors
/// A clause, when the system does not say.
pub fn is_here(address: &Address, platform: Platform, run: &mut dyn Run) -> Result<bool, String> {
    let list = match platform {
        Platform::Linux => &["ip", "-o", "address", "show"][..],
        Platform::Solaris => &["ifconfig", "-a"][..],
    };
    let ended = run.run(&Job::new(list, ASKING));
    if !ended.succeeded() {
        return Err(format!("{}: {}", list.join(" "), ended.clause()));
    }
    Ok(has(&ended.text(), address))
}

/// Both programs print `inet ADDRESS` or `inet6 ADDRESS`, with or without a prefix length.
fn has(listing: &str, address: &Address) -> bool {
    listing.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(2).any(|pair| match pair {
            ["inet" | "inet6", found] => found.split('/').next() == Some(address.ip()),
            _ => false,
        })
    })
}

/// What a knock at an address brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knock {
    Answered,
    Silent,
    Unknown(String),
}

/// Asks whether anybody answers at an address. What cannot be asked is unknown, never silent.
pub fn knock(ip: &str, platform: Platform, run: &mut dyn Run) -> Knock {
    let ask = match platform {
        Platform::Linux => &["ping", "-n", "-q", "-c", "3", "-i", "0.3", "-W", "1", ip][..],
        Platform::Solaris => &["ping", ip, "3"][..],
    };
    let ended = run.run(&Job::new(ask, ASKING));
    let unknown = |remedy: &str| Knock::Unknown(format!("ping {ip}: {}{remedy}", ended.clause()));
    match ended.ending {
        Ending::Exited(0) => Knock::Answered,
        // ping(8): 1 when no reply came at all, anything else is an error of its own.
        Ending::Exited(1) if platform == Platform::Linux => Knock::Silent,
        // ping(1M) exits 1 also for a host it does not know.
        Ending::Exited(1) if ended.text().contains("no answer from") => Knock::Silent,
        Ending::NotStarted if platform == Platform::Linux => {
            unknown("; install ping (on Debian and its like: apt-get install iputils-ping)")
        }
        Ending::Exited(_)
        | Ending::Killed(_)
        | Ending::TimedOut
        | Ending::Unkillable
        | Ending::NotStarted => unknown(""),
    }
}

/// Returns the command that removes an address.
pub fn remove_command(address: &Address, platform: Platform) -> Argv {
    let Address { cidr, device, .. } = address;
    match platform {
        Platform::Linux => ["ip", "address", "del", cidr, "dev", device].map(str::to_owned).to_vec(),
        Platform::Solaris => ifconfig(address, "removeif", address.ip(), &[]),
    }
}

/// Returns the command that adds an address.
pub fn add_command(address: &Address, platform: Platform) -> Argv {
    let Address { cidr, device, .. } = address;
    match platform {
        Platform::Linux => ["ip", "address", "add", cidr, "dev", device].map(str::to_owned).to_vec(),
        Platform::Solaris => ifconfig(address, "addif", cidr, &["up"]),
    }
}

fn ifconfig(address: &Address, verb: &str, what: &str, rest: &[&str]) -> Argv {
    let family = address.ip().contains(':').then_some("inet6");
    let words = ["ifconfig", &address.device].into_iter().chain(family).chain([verb, what]);
    words.chain(rest.iter().copied()).map(str::to_owned).collect()
}

/// Returns the command that tells the neighbours where the address is now; Solaris tells them by
/// itself when an address comes up.
pub fn announce_command(address: &Address, platform: Platform) -> Option<Argv> {
    let command = ["arping", "-U", "-c", "3", "-I", &address.device, address.ip()];
    (platform == Platform::Linux).then(|| command.map(str::to_owned).to_vec())
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

    #[test]
    fn on_solaris_the_address_is_an_additional_one_of_its_device() {
        let listing = "e1000g0: flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2\n\
                       \tinet 192.0.2.1 netmask ffffff00 broadcast 192.0.2.255\n";
        let address = |cidr: &str| Address { cidr: cidr.into(), device: "e1000g0".into(), timeout: ASKING };
        let moving = address("192.0.2.10/24");
        assert!(has(listing, &address("192.0.2.1/24")) && !has(listing, &moving));
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

    /// Answers with an ending and a text.
    struct Says(Ending, &'static str);

    impl Run for Says {
        fn run(&mut self, _: &Job) -> orderly_exec::job::Ended {
            let (stdout, stderr) = (self.1.into(), Vec::new());
            orderly_exec::job::Ended {
                ending: self.0,
                stdout,
                stderr,
                truncated: false,
                took: Duration::ZERO,
            }
        }
    }

    #[test]
    fn only_what_says_that_nobody_answered_is_silence() {
        let knock = |platform, ending, text| knock("192.0.2.1", platform, &mut Says(ending, text));
        assert_eq!(knock(Platform::Linux, Ending::Exited(1), ""), Knock::Silent);
        assert_eq!(knock(Platform::Solaris, Ending::Exited(1), "no answer from 192.0.2.1\n"), Knock::Silent);
        assert_eq!(knock(Platform::Solaris, Ending::Exited(0), "192.0.2.1 is alive\n"), Knock::Answered);
        for (platform, ending) in [
            (Platform::Linux, Ending::Exited(2)),
            (Platform::Linux, Ending::TimedOut),
            (Platform::Solaris, Ending::Exited(1)),
            (Platform::Solaris, Ending::NotStarted),
        ] {
            assert!(matches!(knock(platform, ending, ""), Knock::Unknown(_)), "{ending:?}");
        }
        let Knock::Unknown(why) = knock(Platform::Linux, Ending::NotStarted, "") else { panic!() };
        assert!(why.contains("apt-get install iputils-ping"), "{why}");
    }
}
