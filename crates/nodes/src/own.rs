//! Which nodes are this very machine: by name, by alias, by address, and what overrules an address.
//!
//! A name proves it. An address alone does not, because several nodes may be reached through one
//! address of this machine (a port forwarded, a network of its own); a boot id that the node says and that
//! is another than ours overrules it, and so does a power that reads off. A question that was lost on its way
//! is asked again, as any other is: a login under load proves nothing.
//!
//! Invariant: what cannot be found out overrules nothing (`an_address_is_overruled_by_another_boot_alone`).

use crate::boot;
use crate::fleet::{Command, Drivers, Host};
use crate::site::Site;
use nix::ifaddrs::getifaddrs;
use orderly_exec::job::Ended;
use orderly_exec::{Status, fail};
use orderly_plan::fleet::{BootId, Event, Failure, Fleet, NodeId, Power};
use orderly_plan::inventory::{Inventory, Node};
use orderly_plan::machine::back_off;
use orderly_plan::survey::Reading;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long all names together are asked for.
const RESOLVING: Duration = Duration::from_secs(2);
/// Names asked for at once.
const THREADS: usize = 16;
/// How long a node may take to say its boot id, each time.
const ANSWERING: Duration = Duration::from_secs(60);
/// How long it is waited before a question that was lost is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What was heard of each node.
type Of<T> = Vec<(NodeId, T)>;

/// By what a node was found to be this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It is called as this machine is.
    Name,
    /// It is reached at an address of this machine.
    Address,
}

/// What this machine is called, and where it is reached.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// In lower case: the names of the kernel and of `control_node` and their aliases, whole and up to the
    /// first dot.
    names: HashSet<String>,
    /// What the hosts file says of other names, in lower case.
    hosts: HashMap<String, Vec<IpAddr>>,
    addresses: HashSet<IpAddr>,
}

impl Own {
    /// Returns what the kernel, the hosts file and the configuration call this machine.
    pub fn here(control_node: Option<&str>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        Self::new(host.trim(), control_node, &hosts, local_addresses())
    }

    fn new(host: &str, control_node: Option<&str>, hosts: &str, addresses: HashSet<IpAddr>) -> Self {
        let mut own = Self { addresses, ..Self::default() };
        for name in [host, control_node.unwrap_or_default(), "localhost"] {
            own.call(name);
        }
        let lines: Vec<(IpAddr, Vec<String>)> = hosts.lines().filter_map(hosts_line).collect();
        for (address, names) in &lines {
            // Names that stand beside ours are aliases; those at an address alone are reached there.
            if !address.is_loopback() && names.iter().any(|name| own.is_called(name)) {
                names.iter().for_each(|name| own.call(name));
            }
        }
        for (address, names) in lines {
            for name in names {
                own.hosts.entry(name).or_default().push(address);
            }
        }
        own
    }

    fn call(&mut self, name: &str) {
        let name = plain(name);
        // A part of an address is no name.
        let short =
            if name.parse::<IpAddr>().is_ok() { "" } else { name.split('.').next().unwrap_or_default() };
        self.names.extend([name.clone(), short.to_owned()].into_iter().filter(|name| !name.is_empty()));
    }

    fn is_called(&self, name: &str) -> bool {
        let name = plain(name);
        let short = Some(&name).filter(|name| name.parse::<IpAddr>().is_err());
        self.names.contains(&name)
            || short.and_then(|name| name.split('.').next()).is_some_and(|short| self.names.contains(short))
    }

    fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // What is sent to the unspecified address arrives here.
        address.is_loopback() || address.is_unspecified() || self.addresses.contains(&address)
    }

    /// Returns what a node is reached by, and whether that can be said without asking anybody.
    fn at_hand(&self, node: &Node) -> Option<By> {
        let words = [node.name.as_str(), node.address()];
        if words.iter().any(|word| self.is_called(word)) {
            return Some(By::Name);
        }
        let here = |word: &&str| {
            let word = plain(word);
            match word.parse() {
                Ok(address) => self.holds(address),
                Err(_) => self
                    .hosts
                    .get(&word)
                    .is_some_and(|found| found.iter().any(|&address| self.holds(address))),
            }
        };
        words.iter().any(here).then_some(By::Address)
    }

    /// Returns the targets that are this machine by what is known without asking anybody.
    pub fn among(&self, inventory: &Inventory, targets: &[NodeId]) -> BTreeMap<NodeId, By> {
        let is_node = |node: &NodeId| node.index() < inventory.len();
        let hit = |node: NodeId| Some((node, self.at_hand(inventory.node(node))?));
        targets.iter().copied().filter(is_node).filter_map(hit).collect()
    }

    /// The same, and with what the resolver says of their names and addresses, all asked together.
    pub fn among_resolved(&self, inventory: &Inventory, targets: &[NodeId]) -> BTreeMap<NodeId, By> {
        let mut hits = self.among(inventory, targets);
        let open: Vec<NodeId> = targets
            .iter()
            .copied()
            .filter(|node| node.index() < inventory.len() && !hits.contains_key(node))
            .collect();
        let words = |node: NodeId| {
            let node = inventory.node(node);
            [plain(&node.name), plain(node.address())]
                .into_iter()
                .filter(|word| word.parse::<IpAddr>().is_err())
        };
        let asked: BTreeSet<String> = open.iter().flat_map(|&node| words(node)).collect();
        let found = resolve(asked, RESOLVING);
        let is_here = |word: &String| {
            found.get(word).is_some_and(|found| found.iter().any(|&address| self.holds(address)))
        };
        hits.extend(
            open.into_iter()
                .filter(|&node| words(node).any(|word| is_here(&word)))
                .map(|node| (node, By::Address)),
        );
        hits
    }
}

/// Returns a word as names are compared: without a user before it and a dot behind it, in lower case.
fn plain(word: &str) -> String {
    let word = word.rsplit_once('@').map_or(word, |(_, host)| host);
    word.trim_end_matches('.').to_lowercase()
}

fn hosts_line(line: &str) -> Option<(IpAddr, Vec<String>)> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let address: IpAddr = words.next()?.parse().ok()?;
    Some((address.to_canonical(), words.map(plain).collect()))
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

/// Asks the system's resolver for names, all together; those it has no answer for in time are missing.
fn resolve(names: BTreeSet<String>, limit: Duration) -> HashMap<String, Vec<IpAddr>> {
    let until = Instant::now() + limit;
    let count = names.len();
    let names = Arc::new(Mutex::new(names));
    let (answers, heard) = channel();
    for _ in 0..THREADS.min(count) {
        let (names, answers) = (Arc::clone(&names), answers.clone());
        // One that cannot be started is one less; the names are left to the others.
        let started = std::thread::Builder::new().name("names".into()).spawn(move || {
            loop {
                let Some(name) = names.lock().unwrap_or_else(PoisonError::into_inner).pop_first() else {
                    return;
                };
                let found =
                    (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|at| at.ip()).collect());
                if answers.send((name, found.unwrap_or_default())).is_err() {
                    return;
                }
            }
        });
        if started.is_err() {
            break;
        }
    }
    drop(answers);
    let mut found = HashMap::new();
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match heard.recv_timeout(left) {
            Ok((name, addresses)) => found.insert(name, addresses),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
    }
    names.lock().unwrap_or_else(PoisonError::into_inner).clear();
    found
}

/// The targets that are this machine.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Sorted.
    pub nodes: Vec<NodeId>,
    /// Those of them that are only reached at an address of it, and why they did not say which boot they are in.
    pub unread: BTreeMap<NodeId, String>,
}

/// Returns the targets that are this machine; in a simulation nobody is asked.
///
/// # Errors
/// Ended by a signal.
pub fn find(
    site: &Site,
    targets: &[NodeId],
    readings: &[Reading],
    drivers: &mut Drivers,
) -> anyhow::Result<Found> {
    let own = Own::here(site.cluster.control_node.as_deref());
    let hits = if drivers.is_simulated() {
        own.among(&site.inventory, targets)
    } else {
        own.among_resolved(&site.inventory, targets)
    };
    // This machine runs: a node whose power reads off is another one.
    let is_off =
        |node: NodeId| readings.get(node.index()).is_some_and(|reading| reading.power == Some(Power::Off));
    let mut found = Found::default();
    let mut asked = Vec::new();
    for (node, by) in hits {
        match by {
            By::Address if is_off(node) => continue,
            By::Address if drivers.is_simulated() => {}
            By::Address if drivers.abilities(node).runs_commands => asked.push(node),
            By::Address => {
                found.unread.insert(node, "no command can be run on it, see [shell]".to_owned());
            }
            By::Name => {}
        }
        found.nodes.push(node);
    }
    let Some(here) = boot::own() else { return Ok(found) };
    let ids = boot_ids(site, asked, drivers)
        .map_err(|signal| fail(Status::Signal(signal), "interrupted before anything was done"))?;
    for (node, id) in ids {
        match id {
            Ok(id) if id != here => found.nodes.retain(|other| *other != node),
            Ok(_) => {}
            Err(why) => {
                found.unread.insert(node, why);
            }
        }
    }
    Ok(found)
}

/// Asks nodes which boot they are in, those to whom the question was lost again, as often as `retries` says;
/// returns what each said, or why it did not.
///
/// # Errors
/// The number of the signal that came meanwhile.
fn boot_ids(
    site: &Site,
    mut nodes: Vec<NodeId>,
    drivers: &mut Drivers,
) -> Result<Of<Result<BootId, String>>, i32> {
    let mut ids = Vec::new();
    let mut attempts = 0;
    while !nodes.is_empty() {
        attempts += 1;
        let lost = |node: NodeId, failure: &Failure| {
            attempts <= site.profile(node).limits.retries && back_off(failure.kind, attempts).is_some()
        };
        let mut again = Vec::new();
        for (node, result) in ask(&nodes, drivers)? {
            match result {
                Ok(ended) => ids.push((node, said(&ended))),
                Err(failure) if lost(node, &failure) => again.push(node),
                Err(failure) => ids.push((node, Err(failure.detail))),
            }
        }
        nodes = again;
        if !nodes.is_empty() {
            pause(drivers)?;
        }
    }
    Ok(ids)
}

fn said(ended: &Ended) -> Result<BootId, String> {
    let id = if ended.succeeded() { boot::id(&ended.text()) } else { None };
    id.ok_or_else(|| format!("{}: {}", boot::COMMAND, ended.clause()))
}

/// Asks each once.
fn ask(nodes: &[NodeId], drivers: &mut Drivers) -> Result<Of<Result<Ended, Failure>>, i32> {
    let argv: Vec<String> = boot::COMMAND.split(' ').map(str::to_owned).collect();
    let mut waiting = HashMap::new();
    for &node in nodes {
        let command =
            Command { on: Host::Node(node), argv: argv.clone(), stdin: Vec::new(), timeout: ANSWERING };
        waiting.insert(drivers.start(&command), node);
    }
    let (mut answers, mut signal) = (Vec::new(), None);
    while !waiting.is_empty() {
        for event in drivers.next(None) {
            if let Event::Signal(number) = event {
                signal = Some(number);
                drivers.end_all();
            }
        }
        for (command, result) in drivers.take_ended() {
            answers.extend(waiting.remove(&command).map(|node| (node, result)));
        }
    }
    signal.map_or(Ok(answers), Err)
}

fn pause(drivers: &mut Drivers) -> Result<(), i32> {
    let until = drivers.now() + PAUSE;
    while drivers.now() < until {
        for event in drivers.next(Some(until)) {
            if let Event::Signal(number) = event {
                return Err(number);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(nodes: &[(&str, Option<&str>)]) -> Inventory {
        let node = |&(name, address): &(&str, Option<&str>)| Node {
            name: name.to_owned(),
            address: address.map(str::to_owned),
            ..Node::default()
        };
        Inventory::new(nodes.iter().map(node).collect())
    }

    fn own(host: &str, control: Option<&str>) -> Own {
        let hosts = "127.0.0.1 localhost loghost # us\n127.0.1.1 mgmt1.example.org mgmt1\n\
                     10.0.0.5 mgmt1.example.org Head\n::1 ip6-loopback\n10.0.0.9 other\n10.0.0.5 door\n";
        Own::new(host, control, hosts, HashSet::from(["10.0.0.5".parse().unwrap()]))
    }

    #[test]
    fn this_machine_is_known_by_any_of_its_names_in_any_case() {
        for name in [
            "mgmt1",
            "MGMT1",
            "mgmt1.example.org",
            "Mgmt1.Example.ORG.",
            "localhost",
            "head",
            "HEAD.example.org",
            "n3",
        ] {
            for node in [(name, Some("10.0.0.77")), ("x", Some(name))] {
                let inventory = inventory(&[node]);
                let all: Vec<NodeId> = inventory.ids().collect();
                let found = own("mgmt1.example.org", Some("n3")).among(&inventory, &all);
                assert_eq!(found.get(&NodeId(0)), Some(&By::Name), "{node:?}");
            }
        }
    }

    #[test]
    fn this_machine_is_known_by_any_address_of_its_own() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "::ffff:127.0.0.1",
            "10.0.0.5",
            "root@10.0.0.5",
            "ip6-loopback",
            "loghost",
            "door",
        ] {
            let inventory = inventory(&[("n1", Some(address))]);
            let found = own("mgmt1.example.org", None).among(&inventory, &[NodeId(0)]);
            assert_eq!(found.get(&NodeId(0)), Some(&By::Address), "{address}");
        }
    }

    #[test]
    fn others_are_not_this_machine() {
        for node in [("mgmt10", None), ("n1", Some("10.0.0.9")), ("other", None), ("n2", Some("10.0.0.50"))] {
            let inventory = inventory(&[node]);
            assert!(own("mgmt1.example.org", None).among(&inventory, &[NodeId(0)]).is_empty(), "{node:?}");
        }
        let inventory = inventory(&[("n1", Some("10.example.org"))]);
        assert!(own("10.0.0.5", None).among(&inventory, &[NodeId(0)]).is_empty());
    }

    #[test]
    fn names_are_resolved_together_and_not_waited_for_for_ever() {
        let names: BTreeSet<String> = ["localhost".to_owned()].into();
        let found = resolve(names, Duration::from_secs(60));
        assert!(found["localhost"].iter().any(IpAddr::is_loopback));
        assert!(resolve(BTreeSet::from(["localhost".to_owned()]), Duration::ZERO).len() <= 1);
    }
}
