//! The nodes of an inventory, looked up by name, number and group.

use super::facts::{Attributes, Groups};
use super::outside::Outside;
use super::parts::PartMembers;
use super::relation::Aliases;
use crate::diagnostic::{Diagnostic, Place};
use crate::drivers::NodeId;
use crate::name::{Index, Roster};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

/// A node as the inventory states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    pub name: String,
    /// Positive and unique.
    pub number: Option<u32>,
    /// Where it is reached; its name when it has none.
    pub address: Option<String>,
    pub partition: Option<String>,
    /// The nodes it boots from; empty is the control workstation.
    pub boot_servers: Vec<NodeId>,
    /// Node groups, as for `-g`.
    pub groups: Groups,
    /// Units powered on before this node and off after it; they run no operating system.
    pub power_with: Vec<String>,
    /// By what else servers may name it.
    pub known_as: Vec<String>,
    /// All further keys; each can be a relation.
    pub attributes: Attributes,
}

impl Node {
    /// Returns where the node is reached.
    pub fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }
}

/// All nodes, in the order of the file, with their names and numbers looked up in constant time.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    pub(super) nodes: Vec<Node>,
    pub(super) by_name: Index,
    pub(super) by_number: HashMap<u32, NodeId>,
    pub(super) groups: BTreeMap<String, GroupMembers>,
    pub(super) parts: PartMembers,
    pub(super) aliases: Aliases,
    pub(super) outside: Outside,
    pub(super) file: String,
    pub(super) places: Vec<(u32, u32)>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl Inventory {
    /// Returns the inventory of these nodes, whose names and numbers the reader has found unique.
    pub fn new(nodes: Vec<Node>) -> Self {
        let mut inventory = Self { nodes, ..Self::default() };
        for id in inventory.ids() {
            let node = &inventory.nodes[id.index()];
            inventory.by_name.find_or_insert(&node.name, id.0, |at| &inventory.nodes[at as usize].name);
            inventory.by_number.extend(node.number.map(|number| (number, id)));
            for group in node.groups.own() {
                let place = entry(&mut inventory.groups, group);
                if place.nodes.last() != Some(&id) {
                    place.nodes.push(id);
                }
            }
        }
        inventory.parts = PartMembers::of(inventory.nodes.iter().map(|node| node.groups.part_ref()));
        for (part, group) in inventory.parts.groups() {
            entry(&mut inventory.groups, group).parts.push(part);
        }
        inventory
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub fn name(&self, id: NodeId) -> &str {
        &self.nodes[id.index()].name
    }

    pub fn by_name(&self, name: &str) -> Option<NodeId> {
        self.by_name.find(name, |at| self.nodes[at as usize].name.as_str()).map(NodeId)
    }

    pub fn by_number(&self, number: u32) -> Option<NodeId> {
        self.by_number.get(&number).copied()
    }

    /// Tells whether any node has a number.
    pub fn is_numbered(&self) -> bool {
        !self.by_number.is_empty()
    }

    /// Returns the members of a node group, in the order of the file.
    pub fn group(&self, name: &str) -> Option<&[NodeId]> {
        Some(self.groups.get(name)?.all(&self.parts))
    }

    /// The names of all attributes that nodes have.
    pub fn attribute_names(&self) -> BTreeSet<&str> {
        let own = self.nodes.iter().flat_map(|node| node.attributes.own().keys().map(String::as_str));
        own.chain(self.parts.keys()).collect()
    }

    /// Returns the names that a node set stands for, in which `@name` is a node group.
    ///
    /// # Errors
    /// When the text is no set, is too large, or uses an unknown group.
    pub fn expand(&self, set: &str) -> Result<Vec<String>, crate::nodeset::SetFault> {
        crate::nodeset::expand_with(set, &|group| {
            self.group(group).map(|nodes| nodes.iter().map(|node| self.name(*node).to_owned()).collect())
        })
    }

    /// Returns the names of all node groups, sorted.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Returns all nodes.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    /// Returns all nodes by number, then by name: the order of everything we print. Nodes without a
    /// number come last.
    pub fn sorted(&self) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = self.ids().collect();
        ids.sort_unstable_by_key(|&id| self.rank(id));
        ids
    }

    /// Returns what nodes are sorted by.
    pub fn rank(&self, id: NodeId) -> (u64, &str) {
        let node = self.node(id);
        (node.number.map_or(u64::MAX, u64::from), node.name.as_str())
    }

    /// Returns where a node is defined, when the inventory was read from a text.
    pub fn place(&self, id: NodeId) -> Option<Place> {
        let &(line, column) = self.places.get(id.index())?;
        Some(Place { file: self.file.clone(), line: line as usize, column: column as usize })
    }

    /// Returns the name of the file, when the inventory was read from a text.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns what is allowed and yet likely a slip of the hand (`boot_sever`).
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// Who is in a node group.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupMembers {
    /// Those that state it themselves.
    nodes: Vec<NodeId>,
    /// What states it for several.
    parts: Vec<u32>,
    /// All of them, once somebody asked.
    all: OnceLock<Vec<NodeId>>,
}

impl GroupMembers {
    fn all(&self, parts: &PartMembers) -> &[NodeId] {
        if self.parts.is_empty() {
            return &self.nodes;
        }
        self.all.get_or_init(|| {
            let mut all = self.nodes.clone();
            parts.collect(&self.parts, &mut all);
            all.sort_unstable();
            all.dedup();
            all
        })
    }
}

/// The group of this name, which may be new.
fn entry<'g>(groups: &'g mut BTreeMap<String, GroupMembers>, name: &str) -> &'g mut GroupMembers {
    // Most are there already; to look for them with a name of one's own would make one for each.
    if !groups.contains_key(name) {
        groups.insert(name.to_owned(), GroupMembers::default());
    }
    groups.get_mut(name).expect("it was put there")
}

impl Roster for Inventory {
    fn count(&self) -> usize {
        self.len()
    }

    fn name(&self, id: NodeId) -> &str {
        Self::name(self, id)
    }

    fn find(&self, name: &str) -> Option<NodeId> {
        self.by_name(name)
    }

    fn rank(&self, id: NodeId) -> (u64, &str) {
        Self::rank(self, id)
    }
}
