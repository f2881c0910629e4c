//! The nodes of a cluster: their names, numbers, addresses, partitions and servers.

use crate::fleet::NodeId;
use std::collections::{BTreeMap, HashMap};

/// A node as the inventory states it.
#[derive(Debug, Clone, PartialEq)]
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
    pub groups: Vec<String>,
    /// Units powered on before this node and off after it; they run no operating system.
    pub power_with: Vec<String>,
    /// All further keys; each can be a relation.
    pub attributes: BTreeMap<String, serde_json::Value>,
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
    nodes: Vec<Node>,
    by_name: HashMap<String, NodeId>,
    by_number: HashMap<u32, NodeId>,
}

impl Inventory {
    /// Returns the inventory of these nodes, whose names and numbers the reader has found unique.
    pub fn new(nodes: Vec<Node>) -> Self {
        let id = |at: usize| NodeId(u32::try_from(at).unwrap_or(u32::MAX));
        let by_name = nodes.iter().enumerate().map(|(at, node)| (node.name.clone(), id(at))).collect();
        let by_number =
            nodes.iter().enumerate().filter_map(|(at, node)| Some((node.number?, id(at)))).collect();
        Self { nodes, by_name, by_number }
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
        self.by_name.get(name).copied()
    }

    pub fn by_number(&self, number: u32) -> Option<NodeId> {
        self.by_number.get(&number).copied()
    }

    /// Returns all nodes.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeId)
    }
}
