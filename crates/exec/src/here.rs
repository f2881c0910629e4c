//! What this machine is called, and at which addresses it is reached.
//!
//! Nobody is asked: the kernel and the hosts file know. Whether a node of an inventory is this machine is
//! for those to say who know nodes.

use nix::ifaddrs::getifaddrs;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;

/// The names and addresses of this machine.
#[derive(Debug, Clone, Default)]
pub struct ThisMachine {
    /// In lower case: the names of the kernel, those given and their aliases, whole and up to the first dot.
    names: HashSet<String>,
    /// What the hosts file says of all names, in lower case.
    hosts: HashMap<String, Vec<IpAddr>>,
    addresses: HashSet<IpAddr>,
    /// In lower case: hardware addresses of its network devices, and the number its maker gave it.
    hardware: HashSet<String>,
}

impl ThisMachine {
    /// Returns what the kernel and the hosts file call this machine; `also` is a further name of it.
    pub fn found(also: Option<&str>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        Self { hardware: hardware(), ..Self::new(host.trim(), also, &hosts, local_addresses()) }
    }

    /// Returns this machine by its host name, a further name, the text of a hosts file and its addresses.
    pub fn new(host: &str, also: Option<&str>, hosts: &str, addresses: HashSet<IpAddr>) -> Self {
        let mut here = Self { addresses, ..Self::default() };
        for name in [host, also.unwrap_or_default(), "localhost"] {
            here.call(name);
        }
        let lines: Vec<(IpAddr, Vec<String>)> = hosts.lines().filter_map(hosts_line).collect();
        for (address, names) in &lines {
            // Names that stand beside ours are aliases; those at an address alone are reached there.
            if !address.is_loopback() && names.iter().any(|name| here.is_called(name)) {
                names.iter().for_each(|name| here.call(name));
            }
        }
        for (address, names) in lines {
            for name in names {
                here.hosts.entry(name).or_default().push(address);
            }
        }
        here
    }

    fn call(&mut self, name: &str) {
        let name = plain(name);
        // A part of an address is no name.
        let short =
            if name.parse::<IpAddr>().is_ok() { "" } else { name.split('.').next().unwrap_or_default() };
        self.names.extend([name.clone(), short.to_owned()].into_iter().filter(|name| !name.is_empty()));
    }

    /// Tells whether this machine has such a name, in any case and up to the first dot. With a port it is a place
    /// where it is reached ([`ThisMachine::is_at`]): another machine may stand behind that.
    pub fn is_called(&self, name: &str) -> bool {
        let name = host_and_port(name).to_lowercase();
        let short = Some(&name).filter(|name| !name.contains(':') && name.parse::<IpAddr>().is_err());
        self.names.contains(&name)
            || short.and_then(|name| name.split('.').next()).is_some_and(|short| self.names.contains(short))
    }

    /// Tells whether what is sent to an address arrives here.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // What is sent to the unspecified address arrives here.
        address.is_loopback() || address.is_unspecified() || self.addresses.contains(&address)
    }

    /// Tells whether a word is an address of this machine, or a name that the hosts file gives to one.
    pub fn is_at(&self, word: &str) -> bool {
        let word = plain(word);
        match address_of(&word) {
            Some(address) => self.holds(address),
            None => {
                self.is_called(&word)
                    || self.hosts.get(&word).is_some_and(|found| found.iter().any(|&at| self.holds(at)))
            }
        }
    }

    /// Tells whether a word is the hardware address of one of its network devices, or its maker's number (UUID).
    pub fn is_made_of(&self, word: &str) -> bool {
        self.hardware.contains(&word.to_lowercase().replace('-', ":"))
    }

    /// Returns all names and addresses by which this machine is known without asking anybody.
    pub fn words(&self) -> BTreeSet<String> {
        let local = self.hosts.keys().filter(|name| self.is_at(name));
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.names.iter().chain(local).cloned().chain(addresses).collect()
    }
}

/// Returns a word as places are compared: that of an address is the shortest way to write it, in its zone.
pub fn canonical(word: &str) -> String {
    let word = plain(word);
    let zone = word.find('%').map_or("", |at| &word[at..]);
    match address_of(&word) {
        Some(address) => format!("{}{zone}", address.to_canonical()),
        None => word,
    }
}

/// Tells whether a word is an address, so that there is nobody to ask for it.
pub fn is_address(word: &str) -> bool {
    address_of(&plain(word)).is_some()
}

/// Returns the address that a word is, with or without a zone behind it (`fe80::1%eth0`).
fn address_of(word: &str) -> Option<IpAddr> {
    // Which device leads there does not matter: two devices may be on one link, so what has an address of ours is
    // this machine, or in doubt, and in doubt its boot id tells.
    let address = word.split_once('%').map_or(word, |(address, _)| address);
    let address: IpAddr = address.parse().ok()?;
    (address.is_ipv6() || !word.contains('%')).then_some(address)
}

/// Returns a word as names are compared: the host of it, without what ssh or a command of the site's may have around
/// it (`ssh://user@[::1]:22/`, `host:22`) and without a dot behind it, in lower case.
pub fn plain(word: &str) -> String {
    let word = host_and_port(word);
    let host = match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, _)) => inner,
        None => without_port(word),
    };
    host.trim_end_matches('.').to_lowercase()
}

fn host_and_port(word: &str) -> &str {
    let word = word.split_once("://").map_or(word, |(_, rest)| rest.split('/').next().unwrap_or_default());
    word.rsplit_once('@').map_or(word, |(_, host)| host).trim_end_matches('.')
}

fn without_port(word: &str) -> &str {
    match word.split_once(':') {
        // More than one colon is an address of version 6.
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => word,
    }
}

fn hosts_line(line: &str) -> Option<(IpAddr, Vec<String>)> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let address: IpAddr = words.next()?.parse().ok()?;
    Some((address.to_canonical(), words.map(plain).collect()))
}

/// Returns what the kernel says of the hardware; what only root may read is missing for others.
fn hardware() -> HashSet<String> {
    let devices = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let addresses = devices.map(|device| device.path().join("address"));
    let all = addresses.chain([PathBuf::from("/sys/class/dmi/id/product_uuid")]);
    let said = all.filter_map(|path| std::fs::read_to_string(path).ok());
    // Loopback has zeroes, and so has a board whose maker gave it no number.
    said.map(|text| text.trim().to_lowercase().replace('-', ":"))
        .filter(|text| {
            text.len() >= 17 && text.chars().any(|c| c.is_ascii_hexdigit() && c != '0' && c != 'f')
        })
        .collect()
}

/// Returns the addresses of this machine's interfaces; whether one can be bound to says less, because the
/// kernel may be told to allow any.
fn local_addresses() -> HashSet<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return HashSet::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces
        .filter_map(|interface| interface.address.and_then(address))
        .map(|found| found.to_canonical())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_this_machine_are_its_names_aliases_and_addresses() {
        let hosts = "127.0.0.1 localhost\n10.0.0.5 mgmt1.example.org Head\n10.0.0.9 other\n10.0.0.5 door\n";
        let here =
            ThisMachine::new("mgmt1.example.org", None, hosts, HashSet::from(["10.0.0.5".parse().unwrap()]));
        let words: Vec<String> = here.words().into_iter().collect();
        assert_eq!(words, ["10.0.0.5", "door", "head", "localhost", "mgmt1", "mgmt1.example.org"]);
    }

    #[test]
    fn two_spellings_of_an_address_are_one_and_two_zones_are_two() {
        for (word, wanted) in [
            ("FE80:0::1%eth0", "fe80::1%eth0"),
            ("root@[fe80::0001%eth1]:22", "fe80::1%eth1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:22", "10.0.0.1"),
            ("N1.", "n1"),
        ] {
            assert_eq!(canonical(word), wanted);
            assert_eq!(is_address(word), wanted != "n1", "{word}");
        }
    }

    /// With a port or in brackets it passed for another machine, and was halted.
    #[test]
    fn what_stands_around_a_host_is_none_of_its_name() {
        let here = ThisMachine::new("mgmt1", None, "", HashSet::from(["2001:db8::5".parse().unwrap()]));
        for word in ["root@MGMT1.", "ssh://root@mgmt1", "ssh://mgmt1/"] {
            assert!(here.is_called(word), "{word}");
        }
        for word in ["mgmt1:22", "root@MGMT1.:2222", "ssh://root@localhost:22", "[mgmt1]:22"] {
            assert!(here.is_at(word) && !here.is_called(word), "{word}: a port may be another machine's");
        }
        for word in [
            "[::1]",
            "::1%lo",
            "ssh://root@[2001:db8::5%eth0]:22",
            "2001:db8::5%eth9",
            "[2001:db8::5]:22",
            "ssh://root@[2001:db8:0::5]:22",
            "127.0.0.1:22",
            "root@::1",
        ] {
            assert!(here.is_at(word), "{word}");
        }
        for word in
            ["mgmt2:22", "[2001:db8::6]:22", "2001:db8::5:22", "x:mgmt1", "2001:db8::6%lo", "127.0.0.1%lo"]
        {
            assert!(!here.is_called(word) && !here.is_at(word), "{word}");
        }
    }
}
