//! Which nodes are counted together among those that boot.

use crate::config::Cluster;
use orderly_plan::inventory::Inventory;
use std::collections::HashMap;

/// Nodes by equal values of the attribute that `booting_per` names; those without it are one class, the first.
#[derive(Debug, Clone)]
pub struct BootingClasses {
    /// By node; empty where all are one class.
    pub of: Vec<u32>,
    /// By class, the value.
    pub names: Vec<String>,
}

impl BootingClasses {
    /// Returns the classes of an inventory.
    pub fn of(cluster: &Cluster, inventory: &Inventory) -> Self {
        let mut names = vec![String::new()];
        let Some(attribute) = &cluster.limits.booting_per else { return Self { of: Vec::new(), names } };
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut class = |value: Option<String>| {
            let Some(value) = value else { return 0 };
            let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
            *known.entry(value).or_insert_with_key(|value| {
                names.push(value.clone());
                next
            })
        };
        let values =
            inventory.nodes().iter().map(|node| node.attributes.get(attribute).map(ToString::to_string));
        let of = values.map(&mut class).collect();
        Self { of, names }
    }
}
