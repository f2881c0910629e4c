//! Which nodes have their power from the same controller, as `limits.per` says.

use orderly_plan::drivers::NodeId;
use orderly_plan::inventory::Inventory;
use std::collections::HashMap;

/// The controllers of an inventory, numbered; none where calls are not counted by controller.
#[derive(Debug, Clone, Default)]
pub struct ControllerNumbers {
    /// By node.
    of: Vec<Option<u32>>,
    /// By controller, what the attribute says.
    pub(crate) values: Vec<String>,
}

impl ControllerNumbers {
    /// Numbers them by the values of the attribute `per`.
    pub fn new(inventory: &Inventory, per: Option<&str>) -> Self {
        let Some(per) = per else { return Self::default() };
        let (mut known, mut values) = (HashMap::new(), Vec::new());
        let mut number = |value: String| {
            let next = u32::try_from(values.len()).unwrap_or(u32::MAX);
            *known.entry(value).or_insert_with_key(|value| {
                values.push(value.clone());
                next
            })
        };
        let of = inventory
            .nodes()
            .iter()
            .map(|node| node.attributes.get(per).map(|value| number(value.to_string())))
            .collect();
        Self { of, values }
    }

    /// Returns the number of a node's controller; units have none.
    pub fn of(&self, node: NodeId) -> Option<u32> {
        self.of.get(node.index()).copied().flatten()
    }

    /// Returns by node the number of its controller.
    pub(crate) fn all(&self) -> &[Option<u32>] {
        &self.of
    }
}
