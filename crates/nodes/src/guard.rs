//! Keeps a run from sawing off the branch it sits on: this very machine, and nodes through which the
//! run reaches others.

use crate::own::{Own, OwnBy, OwnTargets, UnreadBoot};
use crate::site::Site;
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::Order;
use orderly_plan::inventory::{Inventory, RELAYS};
use orderly_plan::nodeset;
use orderly_plan::select::Direction;
use std::collections::BTreeMap;

/// Units follow the nodes of an inventory.
fn is_node(inventory: &Inventory, node: NodeId) -> bool {
    node.index() < inventory.len()
}

/// A target through which other targets are reached that do not all go down before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    pub node: NodeId,
    pub attribute: &'static str,
    /// The targets that need it and may still be up when it goes.
    pub needed_by: Vec<NodeId>,
}

/// Returns the targets that a shutdown still needs when their turn comes.
pub fn relays(inventory: &Inventory, order: &Order, targets: &[NodeId]) -> Vec<Relay> {
    let mut found = all_relays(inventory, targets, targets);
    for relay in &mut found {
        let before = order.all_leading(&[relay.node]);
        relay.needed_by.retain(|node| before.binary_search(node).is_err());
    }
    found.retain(|relay| !relay.needed_by.is_empty());
    found
}

/// Returns the nodes of `reset` that a start still needs when they are reset, for those of `acted` that are
/// neither over by then nor begun when they are up again.
pub fn relays_reset(inventory: &Inventory, order: &Order, acted: &[NodeId], reset: &[NodeId]) -> Vec<Relay> {
    let mut found = all_relays(inventory, acted, reset);
    for relay in &mut found {
        let bound = order.all_bound(relay.node);
        relay.needed_by.retain(|node| bound.binary_search(node).is_err());
    }
    found.retain(|relay| !relay.needed_by.is_empty());
    found
}

/// Returns which of `relays` (sorted) lead to which of `targets`.
fn all_relays(inventory: &Inventory, targets: &[NodeId], relays: &[NodeId]) -> Vec<Relay> {
    let mut found: Vec<Relay> = Vec::new();
    for &target in targets.iter().filter(|&&target| is_node(inventory, target)) {
        for attribute in RELAYS {
            for relay in named(inventory, target, attribute) {
                if relay == target || relays.binary_search(&relay).is_err() {
                    continue;
                }
                match found.iter_mut().find(|known| known.node == relay && known.attribute == attribute) {
                    Some(known) => known.needed_by.push(target),
                    None => found.push(Relay { node: relay, attribute, needed_by: vec![target] }),
                }
            }
        }
    }
    found
}

/// A unit through which a node is reached or powered that is not powered with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    pub unit: NodeId,
    pub attribute: &'static str,
    pub node: NodeId,
}

/// Returns who is reached or powered through which of these units (sorted).
pub fn leads(site: &Site, units: &[NodeId]) -> Vec<Lead> {
    let mut found = Vec::new();
    for node in site.inventory.ids() {
        let stated = site.inventory.node(node);
        for attribute in RELAYS {
            let Some(value) = stated.attributes.get(attribute) else { continue };
            let words = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            let names = words.iter().filter_map(|word| word.as_str());
            let is_with = |name: &&str| stated.power_with.iter().any(|unit| unit == name);
            let named = names.filter(|name| !is_with(name)).filter_map(|name| site.roster.unit(name));
            let named = named.filter(|unit| units.binary_search(unit).is_ok());
            found.extend(named.map(|unit| Lead { unit, attribute, node }));
        }
    }
    found
}

/// Returns what speaks against switching these units off with `targets`: one that is called as this machine is,
/// whatever was allowed, and, unless `even_self`, one through which targets are reached that it is not powered with.
pub fn unit_objections(site: &Site, units: &[NodeId], targets: &[NodeId], even_self: bool) -> Vec<String> {
    let own = Own::here(site.cluster.control_node.as_deref());
    let fold = |nodes: &[NodeId]| nodeset::fold(nodes.iter().map(|&node| site.name(node)));
    let leads = if even_self { Vec::new() } else { leads(site, units) };
    let mut lines = Vec::new();
    for &unit in units {
        let (name, with) = (site.name(unit), site.nodes_with(unit));
        let powered = fold(&with);
        if own.is_called(name) {
            let stopped: Vec<NodeId> = with.iter().copied().filter(|node| targets.contains(node)).collect();
            let stopped = fold(&stopped);
            lines.push(format!(
                "{name}, which is switched off with {powered}, is this very machine; take it out of power_with of \
                 {powered} in the inventory, or exclude {stopped} (-x {stopped})"
            ));
        }
        for attribute in RELAYS {
            let of_unit = leads.iter().filter(|lead| lead.unit == unit && lead.attribute == attribute);
            let needing: Vec<NodeId> =
                of_unit.map(|lead| lead.node).filter(|node| targets.contains(node)).collect();
            if !needing.is_empty() {
                let needing = fold(&needing);
                lines.push(format!(
                    "{name}, which is switched off with {powered}, is the {} of {needing}, which may still be up \
                     then; name it in power_with of {needing} as well, or use --even-self",
                    attribute.replace('_', " "),
                ));
            }
        }
    }
    lines
}

/// Returns why units stay on that nobody else needs: nodes that go on are reached or powered through them.
pub fn kept(site: &Site, leads: &[Lead]) -> Vec<String> {
    let mut needing: BTreeMap<(NodeId, &str), Vec<NodeId>> = BTreeMap::new();
    for lead in leads {
        needing.entry((lead.unit, lead.attribute)).or_default().push(lead.node);
    }
    let line = |(unit, attribute): (NodeId, &str), nodes: &[NodeId]| {
        let nodes = nodeset::fold(nodes.iter().map(|&node| site.name(node)));
        let what = attribute.replace('_', " ");
        format!("{} stays on: it is the {what} of {nodes}, which is not known to be down", site.name(unit))
    };
    needing.into_iter().map(|(key, nodes)| line(key, &nodes)).collect()
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

/// Returns why a run is refused, all reasons at once; nothing when it may go on. A shutdown would stop them, a
/// start reset them.
pub fn objections(
    inventory: &Inventory,
    own: &OwnTargets,
    relays: &[Relay],
    direction: Direction,
) -> Vec<String> {
    let (act, acted, state) = match direction {
        Direction::Startup => ("reset", "is reset", "not be up yet"),
        Direction::Shutdown => ("stop", "goes down", "still be up"),
    };
    let mut lines = Vec::new();
    for &node in &own.nodes {
        let name = inventory.name(node);
        let is = match own.unread.get(&node) {
            None => "is this very machine".to_owned(),
            Some(UnreadBoot { by, why }) => {
                let found = match by {
                    OwnBy::Name => "it is called as this machine is".to_owned(),
                    OwnBy::Address => "it is reached at an address of it".to_owned(),
                    OwnBy::Machine => "its controller says the number (UUID) of this machine".to_owned(),
                    OwnBy::Attribute(field) => format!("its {field} in the inventory is one of this machine"),
                };
                format!(
                    "may be this very machine: {found}, and it did not say that it is in another boot ({why})"
                )
            }
        };
        lines.push(format!("{name} {is}; exclude it (-x {name}), or use --even-self to {act} it last"));
    }
    for relay in relays {
        let needing = nodeset::fold(relay.needed_by.iter().map(|&node| inventory.name(node)));
        lines.push(format!(
            "{} is the {} of {needing}, which may {state} when it {acted}; order them in the \
             sequence file ({needing} before it), exclude it, or use --even-self",
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
    use orderly_plan::inventory::Node;
    use serde_json::json;

    fn node(name: &str, address: Option<&str>, attributes: &[(&str, serde_json::Value)]) -> Node {
        Node {
            name: name.to_owned(),
            address: address.map(str::to_owned),
            attributes: attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            ..Node::default()
        }
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
        assert!(
            objections(&inventory, &OwnTargets::default(), &found, Direction::Shutdown)[0]
                .contains("gw is the gateway of b")
        );
        assert!(relays(&inventory, &order, &all[1..]).is_empty(), "not a target");
    }
}
