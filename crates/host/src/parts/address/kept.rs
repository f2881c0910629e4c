//! The other IPv4 addresses of a device, with all that makes them again.

use super::listing::ASKING;
use crate::platform::Argv;
use orderly_exec::job::Job;
use orderly_exec::runner::Run;

/// An address as `ip` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) cidr: String,
    /// Whether it is one of its network that came after the first: it goes when that one goes.
    pub(super) is_secondary: bool,
    /// Broadcast, scope, who set it, label, lifetimes: as `ip address add` takes them.
    rest: Vec<String>,
}

impl Kept {
    /// Returns the command that adds it again.
    pub(super) fn add_command(&self, device: &str) -> Argv {
        let words = ["ip", "address", "add", &self.cidr].into_iter().map(str::to_owned);
        words.chain(self.rest.clone()).chain(["dev".to_owned(), device.to_owned()]).collect()
    }
}

/// Returns the IPv4 addresses of a device.
///
/// # Errors
/// When the system does not say.
pub(super) fn of_device(device: &str, run: &mut dyn Run) -> anyhow::Result<Vec<Kept>> {
    let ask = ["ip", "-o", "-4", "address", "show", "dev", device];
    Ok(run.text(&Job::new(ask, ASKING))?.lines().filter_map(|line| read(line, device)).collect())
}

/// Reads `3: eth0    inet 192.0.2.20/24 brd 192.0.2.255 scope global secondary eth0:1\       valid_lft 3600sec
/// preferred_lft forever`.
fn read(line: &str, device: &str) -> Option<Kept> {
    let line = line.replace('\\', " ");
    let words: Vec<&str> = line.split_whitespace().skip_while(|word| *word != "inet").skip(1).collect();
    let (shown, words) = words.split_first()?;
    let mut rest = Vec::new();
    let mut cidr = (*shown).to_owned();
    for pair in words.windows(2) {
        match pair {
            // A point-to-point address is shown with the prefix length of the other end.
            ["peer", peer] => {
                rest.extend(["peer".to_owned(), (*peer).to_owned()]);
                cidr = cidr.split('/').next().unwrap_or(&cidr).to_owned();
            }
            [word @ ("brd" | "scope" | "metric" | "proto"), value] => {
                rest.extend([word, value].map(|word| (*word).to_owned()));
            }
            [word @ ("valid_lft" | "preferred_lft"), value] => {
                rest.extend([(*word).to_owned(), value.trim_end_matches("sec").to_owned()]);
            }
            _ => {}
        }
    }
    let flags = |flag: &str| words.contains(&flag);
    if flags("noprefixroute") {
        rest.push("noprefixroute".to_owned());
    }
    // The label of an address is the name of its device, or begins with it and a colon.
    let label = words.iter().find(|word| word.split_once(':').is_some_and(|(name, _)| name == device));
    if let Some(label) = label {
        rest.extend(["label".to_owned(), (*label).to_owned()]);
    }
    Some(Kept { cidr, is_secondary: flags("secondary"), rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_added_again_with_all_that_it_had() {
        let line = "3: wire    inet 192.0.2.20/24 brd 192.0.2.255 scope global secondary dynamic noprefixroute wire:1\\       \
                    valid_lft 3590sec preferred_lft 1790sec";
        let kept = read(line, "wire").unwrap();
        assert!(kept.is_secondary);
        assert_eq!(
            kept.add_command("wire").join(" "),
            "ip address add 192.0.2.20/24 brd 192.0.2.255 scope global valid_lft 3590 preferred_lft 1790 noprefixroute \
             label wire:1 dev wire"
        );
        let plain = read("3: wire    inet 10.0.0.1 peer 10.0.0.2/32 scope global wire\\       valid_lft forever preferred_lft forever", "wire").unwrap();
        assert_eq!(
            plain.add_command("wire").join(" "),
            "ip address add 10.0.0.1 peer 10.0.0.2/32 scope global valid_lft forever preferred_lft forever dev wire"
        );
        assert_eq!(read("3: wire    inet6 fe80::1/64 scope link", "wire"), None);
        // iproute2 says so since 6.3.
        let line = "3: wire    inet 192.0.2.20/24 scope global proto 16 wire\\       valid_lft forever preferred_lft forever";
        assert_eq!(
            read(line, "wire").unwrap().add_command("wire").join(" "),
            "ip address add 192.0.2.20/24 scope global proto 16 valid_lft forever preferred_lft forever dev wire"
        );
    }
}
