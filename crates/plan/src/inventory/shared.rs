//! Nodes that share what only one can have: an address, a power controller.

use super::nodes::Inventory;
use super::outside::plain;
use crate::diagnostic::Diagnostic;
use crate::drivers::NodeId;
use std::collections::{BTreeMap, HashMap};

/// Who has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SharedHolder<'i> {
    Node(NodeId),
    /// A unit, and the first node that is powered with it.
    Unit(&'i str, NodeId),
}

/// Two nodes, or a node and a unit, that share a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedValue<'i> {
    first: SharedHolder<'i>,
    second: SharedHolder<'i>,
    /// As the second one has it.
    value: &'i str,
}

/// Attributes that tell several systems behind one controller apart.
const APART: [&str; 4] = ["system", "outlet", "plug", "slot"];

/// Returns who is reached at the address of an earlier node of the inventory.
pub fn addresses(inventory: &Inventory) -> Vec<SharedValue<'_>> {
    shared(inventory.ids().map(|node| (SharedHolder::Node(node), inventory.node(node).address())))
}

/// Returns who has the power controller of an earlier node (`bmc`) and nothing that tells the two apart. A unit is
/// its own controller; that of the nodes powered with it may well be the same.
pub fn controllers(inventory: &Inventory) -> Vec<SharedValue<'_>> {
    let own = inventory.ids().filter_map(|node| {
        let attributes = &inventory.node(node).attributes;
        let controller = attributes.get("bmc")?.as_str()?;
        let is_told_apart = APART.iter().any(|key| attributes.contains_key(key));
        if is_told_apart {
            return None;
        }
        Some((SharedHolder::Node(node), controller))
    });
    let units = units(inventory);
    let of_units = units.iter().map(|(&unit, &node)| (SharedHolder::Unit(unit, node), unit));
    let mut found = shared(own.chain(of_units));
    found.retain(|shared| !shared.is_on_purpose(inventory));
    found
}

/// Returns the units, each with the first node that is powered with it.
fn units(inventory: &Inventory) -> BTreeMap<&str, NodeId> {
    let mut units = BTreeMap::new();
    for node in inventory.ids() {
        for unit in inventory.node(node).power_with.iter().filter(|unit| inventory.by_name(unit).is_none()) {
            units.entry(unit.as_str()).or_insert(node);
        }
    }
    units
}

fn shared<'i>(values: impl Iterator<Item = (SharedHolder<'i>, &'i str)>) -> Vec<SharedValue<'i>> {
    let mut known: HashMap<String, SharedHolder<'i>> = HashMap::new();
    let mut found = Vec::new();
    for (second, value) in values {
        let key = alike(value);
        match known.get(&key) {
            Some(&first) => found.push(SharedValue { first, second, value }),
            None => {
                known.insert(key, second);
            }
        }
    }
    found
}

/// Returns what two spellings of one place have in common.
fn alike(value: &str) -> String {
    plain(value.rsplit_once('@').map_or(value, |(_, host)| host))
}

impl SharedHolder<'_> {
    fn name<'n>(&'n self, inventory: &'n Inventory) -> &'n str {
        match self {
            Self::Node(node) => inventory.name(*node),
            Self::Unit(unit, _) => unit,
        }
    }

    /// Returns the node where it is defined.
    fn node(self) -> NodeId {
        match self {
            Self::Node(node) | Self::Unit(_, node) => node,
        }
    }

    fn defined(&self, inventory: &Inventory) -> String {
        match self {
            Self::Node(node) => format!("{} is defined here", inventory.name(*node)),
            Self::Unit(unit, node) => {
                format!("{unit} is a unit of {}, which is defined here", inventory.name(*node))
            }
        }
    }
}

impl SharedValue<'_> {
    fn is_on_purpose(&self, inventory: &Inventory) -> bool {
        match (self.first, self.second) {
            (SharedHolder::Node(node), SharedHolder::Unit(unit, _))
            | (SharedHolder::Unit(unit, _), SharedHolder::Node(node)) => {
                inventory.node(node).power_with.iter().any(|other| other == unit)
            }
            _ => false,
        }
    }

    /// Returns the message, with the places of both; `what` is what they share.
    pub fn diagnose(&self, inventory: &Inventory, what: &str) -> Diagnostic {
        let (first, second) = (self.first.name(inventory), self.second.name(inventory));
        let message = format!("{first} and {second} have the same {what}, {}", self.value);
        let diagnostic = Diagnostic::at(inventory.place(self.second.node()), inventory.file(), message);
        // The place of a unit is another node's, which has to be said.
        let unit = Some(self.second).filter(|second| matches!(second, SharedHolder::Unit(..)));
        let noted = [Some(self.first), unit].into_iter().flatten();
        noted.fold(diagnostic, |diagnostic, holder| match inventory.place(holder.node()) {
            Some(place) => diagnostic.note(place, holder.defined(inventory)),
            None => diagnostic,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};

    fn said(nodes: &str) -> String {
        let text = format!("{{\"nodes\": [\n{nodes}\n]}}");
        let source = Source { name: "i", text: &text };
        let inventory =
            read(&source, Format::Json, &Outside::default()).map_err(|wrong| wrong.to_string()).unwrap();
        let told = |found: Vec<SharedValue<'_>>, what| {
            found.iter().map(|shared| shared.diagnose(&inventory, what).to_string()).collect::<Vec<_>>()
        };
        [told(addresses(&inventory), "address"), told(controllers(&inventory), "power controller")]
            .concat()
            .join("\n")
    }

    /// Only cshutdown and cstartup said so, and without a place.
    #[test]
    fn a_unit_with_the_controller_of_a_node_is_told_with_both_places() {
        let told =
            said("{\"name\": \"n1\", \"power_with\": [\"B2.\"]},\n{\"name\": \"n2\", \"bmc\": \"b2\"}");
        for part in [
            "i:2:10: n2 and B2. have the same power controller, B2.",
            "i:3:10: n2 is defined here",
            "i:2:10: B2. is a unit of n1, which is defined here",
        ] {
            assert!(told.contains(part), "{part}\nin\n{told}");
        }
        let told = said(
            "{\"name\": \"n1\", \"power_with\": [\"io\"]},\n{\"name\": \"n2\", \"power_with\": [\"IO\"]}",
        );
        assert!(told.starts_with("i:2:10: IO and io have the same power controller, io"), "{told}");
    }

    #[test]
    fn what_is_told_apart_or_one_on_purpose_is_not_told() {
        for nodes in [
            "{\"name\": \"n1\", \"bmc\": \"b1\", \"power_with\": [\"b1\"]}",
            "{\"name\": \"n1\", \"bmc\": \"b1\", \"system\": \"1\"}, {\"name\": \"n2\", \"bmc\": \"b1\", \"system\": \"2\"}",
            "{\"name\": \"n1\", \"power_with\": [\"io\", \"n2\"]}, {\"name\": \"n2\", \"power_with\": [\"io\"]}",
        ] {
            assert_eq!(said(nodes), "", "{nodes}");
        }
        let told = said(
            "{\"name\": \"n1\", \"address\": \"::FFFF:10.0.0.1\"}, {\"name\": \"n2\", \"address\": \"root@10.0.0.1\"}",
        );
        assert!(told.contains("n1 and n2 have the same address, root@10.0.0.1"), "{told}");
    }
}
