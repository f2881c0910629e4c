//! Which nodes are this very machine: by name, by alias, by address, by what else the inventory says of them, and
//! what overrules all but a name.
//!
//! A name proves it. An address alone does not, because several nodes may be reached through one
//! address of this machine (a port forwarded, a network of its own); a boot id that the node says and that
//! is another than ours overrules it, and so does a power that reads off. A question that was lost on its way
//! is asked again, as any other is: a login under load proves nothing.
//!
//! Invariant: what cannot be found out overrules nothing (`an_address_is_overruled_by_another_boot_alone`).

use crate::asked;
use crate::backend::Backend;
use crate::boot;
use crate::command::{RunsOn, SideCommand};
use crate::names;
use crate::site::Site;
use orderly_exec::here::{ThisMachine, plain};
use orderly_exec::job::Ended;
use orderly_exec::{Status, fail};
use orderly_plan::drivers::{BootId, Event, Failure, NodeId, Power};
use orderly_plan::inventory::{Inventory, Node};
use orderly_plan::survey::Reading;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long a node may take to say its boot id, each time.
const ANSWERING: Duration = Duration::from_secs(60);
/// How long it is waited before a question that was lost is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What was heard of each node.
type Of<T> = Vec<(NodeId, T)>;

/// By what a node was found to be this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnBy {
    /// It is called as this machine is.
    Name,
    /// It is reached at an address of this machine.
    Address,
    /// The inventory gives it, in this attribute, a name, an address or a number of this machine.
    Attribute(&'static str),
    /// Its controller says the number that the maker of this machine gave it.
    Machine,
}

/// What this machine is called, and where it is reached.
#[derive(Debug, Clone, Default)]
pub struct Own(ThisMachine);

impl Own {
    /// Returns what the kernel, the hosts file and the configuration call this machine.
    pub fn here(control_node: Option<&str>) -> Self {
        Self(ThisMachine::found(control_node))
    }

    /// Returns what a node is reached by, and whether that can be said without asking anybody.
    fn matched_locally(&self, node: &Node) -> Option<OwnBy> {
        let words = [node.name.as_str(), node.address()];
        if words.iter().any(|word| self.0.is_called(word)) {
            return Some(OwnBy::Name);
        }
        if words.iter().any(|word| self.0.is_at(word)) {
            return Some(OwnBy::Address);
        }
        let is_hit = |word: &str| self.0.is_called(word) || self.0.is_at(word) || self.0.is_made_of(word);
        also_said(node).find(|(_, word)| is_hit(word)).map(|(field, _)| OwnBy::Attribute(field))
    }

    /// Tells whether this name is one of this machine.
    pub fn is_called(&self, name: &str) -> bool {
        self.0.is_called(name)
    }

    /// Returns the targets that are this machine by what is known without asking anybody.
    pub fn among(&self, inventory: &Inventory, targets: &[NodeId]) -> BTreeMap<NodeId, OwnBy> {
        let is_node = |node: &NodeId| node.index() < inventory.len();
        let hit = |node: NodeId| Some((node, self.matched_locally(inventory.node(node))?));
        targets.iter().copied().filter(is_node).filter_map(hit).collect()
    }

    /// The same, and with what the resolver says of their names and addresses, all asked together.
    pub fn among_resolved(&self, inventory: &Inventory, targets: &[NodeId]) -> BTreeMap<NodeId, OwnBy> {
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
        let found = names::resolve(asked, names::TOGETHER);
        let is_here = |word: &String| {
            found.get(word).is_some_and(|found| found.iter().any(|&address| self.0.holds(address)))
        };
        hits.extend(
            open.into_iter()
                .filter(|&node| words(node).any(|word| is_here(&word)))
                .map(|node| (node, OwnBy::Address)),
        );
        hits
    }
}

/// Attributes by which sites and other inventories say once more what a node is.
const FIELDS: [&str; 16] = [
    "hostname",
    "hostnames",
    "fqdn",
    "alias",
    "aliases",
    "ip",
    "ips",
    "ipv4",
    "ipv6",
    "ip_address",
    "nicips",
    "mac",
    "macs",
    "mac_address",
    "uuid",
    "system_uuid",
];

/// Returns the words of these attributes, each with the attribute; xCAT puts several into one
/// (`eth0!10.0.0.1,ib0!10.1.0.1`).
fn also_said(node: &Node) -> impl Iterator<Item = (&'static str, &str)> {
    let values = FIELDS.iter().filter_map(|&field| Some((field, node.attributes.get(field)?)));
    let texts = values.flat_map(|(field, value)| {
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        all.iter().filter_map(move |one| Some((field, one.as_str()?)))
    });
    texts
        .flat_map(|(field, text)| text.split([' ', ',', '|', '!', ';']).map(move |word| (field, word)))
        .filter(|(_, word)| !word.is_empty())
}

/// The targets that are this machine.
#[derive(Debug, Clone, Default)]
pub struct OwnTargets {
    /// Sorted.
    pub nodes: Vec<NodeId>,
    /// Those of them that are not called as it is, and did not say which boot they are in.
    pub unread: BTreeMap<NodeId, UnreadBoot>,
}

/// A node that may be this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadBoot {
    pub by: OwnBy,
    /// Why it did not say which boot it is in.
    pub why: String,
}

/// Returns the targets that are this machine; in a simulation nobody is asked.
///
/// # Errors
/// Ended by a signal.
pub fn find(
    site: &Site,
    targets: &[NodeId],
    readings: &[Reading],
    drivers: &mut dyn Backend,
) -> anyhow::Result<OwnTargets> {
    let own = Own::here(site.cluster.control_node.as_deref());
    let mut hits = if drivers.is_simulated() {
        own.among(&site.inventory, targets)
    } else {
        own.among_resolved(&site.inventory, targets)
    };
    for &node in targets {
        // Whatever it is called and wherever it is reached, its controller knows which machine it is.
        if drivers.machine(node).is_some_and(|machine| own.0.is_made_of(&machine)) {
            hits.entry(node).or_insert(OwnBy::Machine);
        }
    }
    // This machine runs: a node whose power reads off is another one.
    let is_off =
        |node: NodeId| readings.get(node.index()).is_some_and(|reading| reading.power == Some(Power::Off));
    let mut found = OwnTargets::default();
    let mut asked = Vec::new();
    for (&node, &by) in &hits {
        match by {
            OwnBy::Address | OwnBy::Attribute(_) | OwnBy::Machine if is_off(node) => continue,
            OwnBy::Address | OwnBy::Attribute(_) | OwnBy::Machine if drivers.is_simulated() => {}
            OwnBy::Address | OwnBy::Attribute(_) | OwnBy::Machine
                if drivers.abilities(node).runs_commands =>
            {
                asked.push(node);
            }
            OwnBy::Address | OwnBy::Attribute(_) | OwnBy::Machine => {
                found
                    .unread
                    .insert(node, UnreadBoot { by, why: "no command can be run on it, see [shell]".into() });
            }
            OwnBy::Name => {}
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
                let by = hits.get(&node).copied().unwrap_or(OwnBy::Address);
                found.unread.insert(node, UnreadBoot { by, why });
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
    drivers: &mut dyn Backend,
) -> Result<Of<Result<BootId, String>>, i32> {
    let mut ids = Vec::new();
    let mut attempts = 0;
    while !nodes.is_empty() {
        attempts += 1;
        let lost = |node: NodeId, failure: &Failure| {
            attempts <= site.profile(node).limits.retries && failure.kind.back_off(attempts).is_some()
        };
        let mut again = Vec::new();
        for (node, result) in ask(&nodes, drivers)? {
            match result {
                Ok(ended) => ids.push((node, said(&ended))),
                Err(failure) if lost(node, &failure) => again.push(node),
                Err(failure) => ids.push((node, Err(failure.detail()))),
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
fn ask(nodes: &[NodeId], drivers: &mut dyn Backend) -> Result<Of<Result<Ended, Failure>>, i32> {
    let argv: Vec<String> = boot::COMMAND.split(' ').map(str::to_owned).collect();
    let command = |&node: &NodeId| SideCommand {
        on: RunsOn::Node(node),
        argv: argv.clone(),
        stdin: Vec::new(),
        timeout: ANSWERING,
    };
    let commands: Vec<SideCommand> = nodes.iter().map(command).collect();
    Ok(nodes.iter().copied().zip(asked::all(&commands, drivers)?).collect())
}

fn pause(drivers: &mut dyn Backend) -> Result<(), i32> {
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
    use std::collections::HashSet;

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
        Own(ThisMachine::new(host, control, hosts, HashSet::from(["10.0.0.5".parse().unwrap()])))
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
                assert_eq!(found.get(&NodeId(0)), Some(&OwnBy::Name), "{node:?}");
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
            "::1%lo",
            "[::1%1]:22",
            "::ffff:127.0.0.1%lo",
            "ip6-loopback",
            "loghost",
            "door",
        ] {
            let inventory = inventory(&[("n1", Some(address))]);
            let found = own("mgmt1.example.org", None).among(&inventory, &[NodeId(0)]);
            assert_eq!(found.get(&NodeId(0)), Some(&OwnBy::Address), "{address}");
        }
    }

    /// It was said to be reached at an address of it, which nobody found in the inventory.
    #[test]
    fn what_else_the_inventory_says_of_this_machine_is_told_as_that() {
        for (field, value) in [
            ("hostname", "Mgmt1"),
            ("aliases", "x,head.example.org"),
            ("nicips", "ib0!10.0.0.5"),
            ("ip", "10.0.0.5"),
        ] {
            let node = |attribute: bool| Node {
                name: "n1".into(),
                attributes: attribute.then(|| (field.to_owned(), value.into())).into_iter().collect(),
                ..Node::default()
            };
            let inventory = Inventory::new(vec![node(true)]);
            let found = own("mgmt1.example.org", None).among(&inventory, &[NodeId(0)]);
            assert_eq!(found.get(&NodeId(0)), Some(&OwnBy::Attribute(field)), "{field}");
            assert!(own("mgmt1", None).among(&Inventory::new(vec![node(false)]), &[NodeId(0)]).is_empty());
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
}
