//! Keeps a run from sawing off the branch it sits on: this very machine, and nodes through which the
//! run reaches others.

use orderly_plan::fleet::NodeId;
use orderly_plan::graph::Order;
use orderly_plan::inventory::{Inventory, Node};
use orderly_plan::nodeset;
use std::net::{IpAddr, UdpSocket};

/// Attributes of the inventory that name the nodes through which a node is reached or powered.
const RELAYS: [&str; 3] = ["gateway", "power_server", "console_server"];

/// What this machine is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    /// The names of the kernel and of `control_node`, whole and up to the first dot.
    names: Vec<String>,
}

impl Own {
    /// Returns what the kernel and the configuration call this machine.
    pub(crate) fn here(control_node: Option<&str>) -> Self {
        // A file of the kernel's: nothing here may wait for a name server.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self::new(host.trim(), control_node)
    }

    fn new(host: &str, control_node: Option<&str>) -> Self {
        let mut names = Vec::new();
        for name in [Some(host), control_node].into_iter().flatten().filter(|name| !name.is_empty()) {
            names.push(name.to_owned());
            names.extend(name.split_once('.').map(|(short, _)| short.to_owned()));
        }
        Self { names }
    }

    fn is(&self, node: &Node) -> bool {
        let called =
            |name: &str| self.names.iter().any(|own| own == name || name.split('.').next() == Some(own));
        called(&node.name)
            || node.address().parse::<IpAddr>().map_or_else(|_| called(node.address()), holds_address)
    }

    /// Returns the targets that are this machine.
    pub(crate) fn among(&self, inventory: &Inventory, targets: &[NodeId]) -> Vec<NodeId> {
        targets
            .iter()
            .copied()
            .filter(|&node| is_node(inventory, node) && self.is(inventory.node(node)))
            .collect()
    }
}

/// Units follow the nodes of an inventory; they are never this machine.
fn is_node(inventory: &Inventory, node: NodeId) -> bool {
    node.index() < inventory.len()
}

/// Tells whether an address is this machine's: only then can a socket be bound to it. Nodes of a
/// rehearsal may all stand on loopback addresses, which say nothing about who is who.
fn holds_address(address: IpAddr) -> bool {
    !address.is_loopback()
        && !address.is_unspecified()
        && !address.is_multicast()
        && UdpSocket::bind((address, 0)).is_ok()
}

/// A target through which other targets are reached that do not all go down before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    pub node: NodeId,
    pub attribute: &'static str,
    /// The targets that need it and may still be up when it goes.
    pub needed_by: Vec<NodeId>,
}

/// Returns the targets that the run still needs when their turn comes.
pub(crate) fn relays(inventory: &Inventory, order: &Order, targets: &[NodeId]) -> Vec<Relay> {
    let mut found: Vec<Relay> = Vec::new();
    for &target in targets.iter().filter(|&&target| is_node(inventory, target)) {
        for attribute in RELAYS {
            for relay in named(inventory, target, attribute) {
                if relay == target || targets.binary_search(&relay).is_err() {
                    continue;
                }
                match found.iter_mut().find(|known| known.node == relay && known.attribute == attribute) {
                    Some(known) => known.needed_by.push(target),
                    None => found.push(Relay { node: relay, attribute, needed_by: vec![target] }),
                }
            }
        }
    }
    for relay in &mut found {
        let before = order.all_leading(&[relay.node]);
        relay.needed_by.retain(|node| before.binary_search(node).is_err());
    }
    found.retain(|relay| !relay.needed_by.is_empty());
    found
}

fn named(inventory: &Inventory, node: NodeId, attribute: &str) -> Vec<NodeId> {
    let Some(value) = inventory.node(node).attributes.get(attribute) else { return Vec::new() };
    let one = |value: &serde_json::Value| {
        let number = || value.as_u64().and_then(|number| inventory.by_number(u32::try_from(number).ok()?));
        value.as_str().map_or_else(number, |name| inventory.by_name(name))
    };
    match value.as_array() {
        Some(values) => values.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}

/// Returns why a run is refused, all reasons at once; nothing when it may go on.
pub(crate) fn objections(inventory: &Inventory, own: &[NodeId], relays: &[Relay]) -> Vec<String> {
    let mut lines = Vec::new();
    for &node in own {
        lines.push(format!(
            "{} is this very machine; exclude it (-x {0}), or say --even-self to stop it last",
            inventory.name(node)
        ));
    }
    for relay in relays {
        let needing = nodeset::fold(relay.needed_by.iter().map(|&node| inventory.name(node)));
        lines.push(format!(
            "{} is the {} of {needing}, which may still be up when it goes down; order them in the \
             sequence file ({needing} before it), exclude it, or say --even-self",
            inventory.name(relay.node),
            relay.attribute.replace('_', " "),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_plan::graph::GroupId;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn node(name: &str, address: Option<&str>, attributes: &[(&str, serde_json::Value)]) -> Node {
        Node {
            name: name.to_owned(),
            number: None,
            address: address.map(str::to_owned),
            partition: None,
            boot_servers: Vec::new(),
            groups: Vec::new(),
            power_with: Vec::new(),
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn this_machine_is_known_by_any_of_its_names() {
        let inventory = Inventory::new(vec![
            node("mgmt1", None, &[]),
            node("mgmt1.example.org", None, &[]),
            node("n1", Some("mgmt1"), &[]),
            node("n2", Some("127.0.0.1"), &[]),
            node("n3", None, &[]),
            node("mgmt10", None, &[]),
        ]);
        let all: Vec<NodeId> = inventory.ids().collect();
        let own = Own::new("mgmt1.example.org", Some("n3"));
        assert_eq!(own.among(&inventory, &all), [0, 1, 2, 4].map(NodeId));
        assert!(Own::new("", None).among(&inventory, &all).is_empty());
    }

    #[test]
    fn a_gateway_goes_down_after_whom_it_leads_to() {
        let inventory = Inventory::new(vec![
            node("gw", None, &[]),
            node("a", None, &[("gateway", json!("gw"))]),
            node("b", None, &[("gateway", json!(["gw", "elsewhere"]))]),
        ]);
        let all: Vec<NodeId> = inventory.ids().collect();
        let order = Order::new(3, &[vec![NodeId(1)], vec![NodeId(0)]], &[(GroupId(0), GroupId(1))]);
        let found = relays(&inventory, &order, &all);
        assert_eq!(found, [Relay { node: NodeId(0), attribute: "gateway", needed_by: vec![NodeId(2)] }]);
        assert!(objections(&inventory, &[], &found)[0].contains("gw is the gateway of b"));
        assert!(relays(&inventory, &order, &all[1..]).is_empty(), "not a target");
    }
}
