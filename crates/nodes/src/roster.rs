//! Whom the drivers know: the nodes of the inventory and the units that are powered with them.
//!
//! A unit (an expansion shelf, a switch) has power and no operating system. Units follow the nodes:
//! the first one's [`NodeId`] is the number of nodes in the inventory.

use orderly_plan::diagnostic::Place;
use orderly_plan::drivers::NodeId;
use orderly_plan::inventory::{Groups, Inventory, Node};
use orderly_plan::words::Words;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    Node,
    /// It has power, but nothing runs on it.
    Unit,
}

/// A node or a unit, as the drivers need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub number: Option<u32>,
    /// Where it is reached.
    pub address: String,
    pub groups: Groups,
    pub kind: MemberKind,
    /// Where its power controller is reached, when its power driver needs to know.
    pub bmc: Option<String>,
    /// What the inventory says of it beside all this, of that what commands ask for; texts and numbers only.
    pub attributes: BTreeMap<String, String>,
}

impl Member {
    /// Returns what is said of this one, in which its name and addresses are told apart from what is said of all.
    pub(crate) fn words(&self, said: impl Into<String>) -> Words {
        let bmc = self.bmc.as_deref().unwrap_or_default();
        // A URL, or a host with a port, is seldom shown as it is written.
        let host = bmc.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default();
        Words::of_node(said, &[&self.name, &self.address, bmc, host])
    }
}

/// All members, by [`NodeId`].
#[derive(Debug, Clone, Default)]
pub struct MemberRoster {
    members: Vec<Member>,
    units: HashMap<String, NodeId>,
}

impl MemberRoster {
    /// Returns the nodes of an inventory, then the units named in `power_with` that are not nodes,
    /// sorted by name. Of the attributes of nodes, those `asked` for are kept.
    pub fn of(inventory: &Inventory, asked: &BTreeSet<String>) -> Self {
        let mut members: Vec<Member> = inventory
            .nodes()
            .iter()
            .map(|node| Member {
                name: node.name.clone(),
                number: node.number,
                address: node.address().to_owned(),
                groups: node.groups.clone(),
                kind: MemberKind::Node,
                bmc: None,
                attributes: attributes(node, asked),
            })
            .collect();
        let names: BTreeSet<&String> = inventory
            .nodes()
            .iter()
            .flat_map(|node| &node.power_with)
            .filter(|name| inventory.by_name(name).is_none())
            .collect();
        let mut units = HashMap::new();
        for name in names {
            units.insert(name.clone(), NodeId(u32::try_from(members.len()).unwrap_or(u32::MAX)));
            members.push(Member {
                name: name.clone(),
                number: None,
                address: name.clone(),
                groups: Groups::default(),
                kind: MemberKind::Unit,
                bmc: None,
                attributes: BTreeMap::new(),
            });
        }
        Self { members, units }
    }

    pub fn member(&self, id: NodeId) -> &Member {
        &self.members[id.index()]
    }

    pub(crate) fn set_bmc(&mut self, id: NodeId, address: String) {
        self.members[id.index()].bmc = Some(address);
    }

    pub fn name(&self, id: NodeId) -> &str {
        &self.members[id.index()].name
    }

    /// Returns where a member is defined; of a unit, where the first node is that is powered with it.
    pub(crate) fn place(&self, inventory: &Inventory, id: NodeId) -> Option<Place> {
        let is_powered_with =
            |node: &NodeId| inventory.node(*node).power_with.iter().any(|unit| unit == self.name(id));
        match self.member(id).kind {
            MemberKind::Node => inventory.place(id),
            MemberKind::Unit => inventory.place(inventory.ids().find(is_powered_with)?),
        }
    }

    /// Returns the unit of this name, which is not a node.
    pub fn unit(&self, name: &str) -> Option<NodeId> {
        self.units.get(name).copied()
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

fn attributes(node: &Node, asked: &BTreeSet<String>) -> BTreeMap<String, String> {
    let text = |name: &String| match node.attributes.get(name)? {
        serde_json::Value::String(text) => Some((name.clone(), text.clone())),
        serde_json::Value::Number(number) => Some((name.clone(), number.to_string())),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    };
    asked.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_nodes_and_a_node_is_no_unit() {
        let node = |name: &str, with: &[&str]| Node {
            name: name.into(),
            power_with: with.iter().map(|&unit| unit.to_owned()).collect(),
            ..Node::default()
        };
        let roster = MemberRoster::of(
            &Inventory::new(vec![node("n1", &["sw", "io7", "n2"]), node("n2", &["io7"])]),
            &BTreeSet::new(),
        );
        assert_eq!(roster.len(), 4);
        assert_eq!((roster.unit("io7"), roster.unit("sw")), (Some(NodeId(2)), Some(NodeId(3))));
        assert_eq!(roster.unit("n2"), None);
        assert_eq!(roster.member(NodeId(2)).kind, MemberKind::Unit);
    }
}
