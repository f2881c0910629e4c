//! Who serves whom: how people name the server of a node, and who that is.

use super::nodes::Inventory;
use super::outside::{plain, short};
use crate::drivers::NodeId;
use crate::nodeset;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// The number of the control workstation, which is no node and is never started or stopped.
pub const CONTROL: u32 = 0;

/// Attributes that name the nodes through which a node is reached or powered.
pub const RELAYS: [&str; 3] = ["gateway", "power_server", "console_server"];

/// Reads a node number as it is written: `001` and `+1` are none, and may be the names of other nodes.
pub fn node_number(word: &str) -> Option<u32> {
    let is_plain = word == "0" || !word.starts_with(['0', '+']);
    word.parse().ok().filter(|_| is_plain)
}

/// A server as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WantedServer {
    Number(u32),
    /// A name, a node set or a number.
    Text(String),
}

impl WantedServer {
    /// Returns how many names are looked up for it.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Text(text) if nodeset::is_set(text) => nodeset::cost(text),
            Self::Number(_) | Self::Text(_) => 1,
        }
    }
}

/// A server that is not in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    Name(String),
    Number(u32),
    /// An address or a further name that several nodes have.
    Several(String),
    /// A value that names no node at all, or no node set.
    Senseless(String),
}

impl Unknown {
    /// Returns what was looked for.
    pub fn word(&self) -> &str {
        match self {
            Self::Name(word) | Self::Several(word) | Self::Senseless(word) => word,
            Self::Number(_) => "",
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "no node named \"{name}\""),
            Self::Number(number) => write!(f, "no node with the number {number}"),
            Self::Several(name) => write!(f, "several nodes are known as \"{name}\""),
            Self::Senseless(what) => write!(f, "{what} names no node"),
        }
    }
}

/// By what else nodes are known than by their names: addresses, names of interfaces, short forms. A word that
/// several nodes have stands for none of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Aliases(HashMap<String, Option<NodeId>>);

impl Aliases {
    pub(super) fn add(&mut self, word: &str, node: NodeId) {
        let known = self.0.entry(plain(word)).or_insert(Some(node));
        *known = known.filter(|known| *known == node);
    }

    /// Returns the node that is known by a word, whole or up to its first dot; nothing within where there are
    /// several.
    fn find(&self, word: &str) -> Option<Option<NodeId>> {
        let word = plain(word);
        self.0.get(&word).or_else(|| self.0.get(short(&word)?)).copied()
    }
}

/// Looks servers up in an inventory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver<'i>(pub(super) &'i Inventory);

impl Resolver<'_> {
    /// Returns the nodes meant; none for the control workstation.
    pub(super) fn resolve(self, wanted: &WantedServer) -> Result<Vec<NodeId>, Unknown> {
        match wanted {
            WantedServer::Number(number) => self.number(*number),
            WantedServer::Text(text) => self.text(text),
        }
    }

    fn number(self, number: u32) -> Result<Vec<NodeId>, Unknown> {
        if number == CONTROL {
            return Ok(Vec::new());
        }
        self.0.by_number(number).map(|id| vec![id]).ok_or(Unknown::Number(number))
    }

    fn text(self, text: &str) -> Result<Vec<NodeId>, Unknown> {
        if let Some(id) = self.0.by_name(text) {
            return Ok(vec![id]);
        }
        if nodeset::is_set(text) {
            let mut found = Ok(Vec::new());
            // The first that is unknown ends it: a set may have millions of names.
            nodeset::visit(text, &|_| None, &mut |name| match (self.one(name), &mut found) {
                (Ok(ids), Ok(found)) => {
                    found.extend(ids);
                    true
                }
                (Err(unknown), _) => {
                    found = Err(unknown);
                    false
                }
                (Ok(_), Err(_)) => false,
            })
            .map_err(|_| Unknown::Senseless(format!("\"{text}\"")))?;
            return found;
        }
        self.one(text)
    }

    fn one(self, name: &str) -> Result<Vec<NodeId>, Unknown> {
        if let Some(id) = self.0.by_name(name) {
            return Ok(vec![id]);
        }
        if let Some(number) = node_number(name) {
            return self.number(number);
        }
        match self.0.aliases.find(name) {
            Some(Some(id)) => Ok(vec![id]),
            // Like the control workstation: it is known, and nobody here starts or stops it.
            _ if self.0.outside.has(name) => Ok(Vec::new()),
            Some(None) => Err(Unknown::Several(name.to_owned())),
            None => Err(Unknown::Name(name.to_owned())),
        }
    }
}

impl Inventory {
    /// Returns the nodes that an attribute of `id` names; none when it has no such attribute.
    /// `boot_server` is an attribute like any other here.
    ///
    /// # Errors
    /// The first that is not in the inventory.
    pub fn related(&self, id: NodeId, attribute: &str) -> Result<Vec<NodeId>, Unknown> {
        if attribute == "boot_server" {
            return Ok(self.node(id).boot_servers.clone());
        }
        let mut related = match self.node(id).attributes.get(attribute) {
            None => Vec::new(),
            Some(value) => self.named_by(value)?,
        };
        related.sort_unstable();
        related.dedup();
        Ok(related)
    }

    fn named_by(&self, value: &Value) -> Result<Vec<NodeId>, Unknown> {
        match value {
            Value::Null => Ok(Vec::new()),
            // As with boot_server: nothing is stated.
            Value::String(text) if text.is_empty() => Ok(Vec::new()),
            Value::String(text) => Resolver(self).text(text),
            Value::Array(items) => {
                let found: Result<Vec<_>, _> = items.iter().map(|item| self.named_by(item)).collect();
                found.map(|ids| ids.concat())
            }
            Value::Number(number) => match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => Resolver(self).number(number),
                None => Err(Unknown::Senseless(number.to_string())),
            },
            Value::Bool(_) | Value::Object(_) => Err(Unknown::Senseless(value.to_string())),
        }
    }
}
