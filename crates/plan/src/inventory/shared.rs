//! Nodes that share what only one can have: an address, a power controller.

use super::nodes::Inventory;
use crate::diagnostic::Diagnostic;
use crate::drivers::NodeId;
use std::collections::HashMap;

/// Two nodes that share a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    pub first: NodeId,
    pub second: NodeId,
    /// As the second one has it.
    pub value: String,
}

/// Returns who shares a value with an earlier node of the inventory; `value` returns what a node has, and what
/// tells apart those that have the same.
pub fn shared<'i>(
    inventory: &'i Inventory,
    value: impl Fn(NodeId) -> Option<(&'i str, Option<u16>)>,
) -> Vec<Shared> {
    let mut known: HashMap<(String, Option<u16>), NodeId> = HashMap::new();
    let mut found = Vec::new();
    for second in inventory.ids() {
        let Some((value, apart)) = value(second) else { continue };
        let key = (alike(value), apart);
        match known.get(&key) {
            Some(&first) => found.push(Shared { first, second, value: value.to_owned() }),
            None => {
                known.insert(key, second);
            }
        }
    }
    found
}

/// Returns what two spellings of one place have in common.
fn alike(value: &str) -> String {
    value.rsplit_once('@').map_or(value, |(_, host)| host).trim_end_matches('.').to_lowercase()
}

impl Shared {
    /// Returns the message, with the places of both nodes; `what` is what they share.
    pub fn diagnose(&self, inventory: &Inventory, what: &str) -> Diagnostic {
        let (first, second) = (inventory.name(self.first), inventory.name(self.second));
        let message = format!("{first} and {second} have the same {what}, {}", self.value);
        let diagnostic = Diagnostic::at(inventory.place(self.second), inventory.file(), message);
        match inventory.place(self.first) {
            Some(place) => diagnostic.note(place, format!("{first} is defined here")),
            None => diagnostic,
        }
    }
}
