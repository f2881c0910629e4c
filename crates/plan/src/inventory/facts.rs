//! The groups and the attributes of a node: its own, and those that it has in parts with others (`parts.rs`).

use super::parts::PartRef;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;

/// The node groups that a node is in, in the order stated.
#[derive(Clone, Default)]
pub struct Groups {
    parts: PartRef,
    own: Vec<String>,
}

impl Groups {
    /// The names; those that are the node's own come last.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.parts.groups().into_iter().chain(self.own.iter().map(String::as_str))
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Adds one that only this node states.
    pub fn push(&mut self, name: String) {
        self.own.push(name);
    }

    /// Those that only this node states.
    pub(super) fn own(&self) -> &[String] {
        &self.own
    }

    pub(super) fn part_ref(&self) -> &PartRef {
        &self.parts
    }

    pub(super) fn share(&mut self, parts: PartRef) {
        self.parts = parts;
    }
}

impl FromIterator<String> for Groups {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self { parts: PartRef::default(), own: names.into_iter().collect() }
    }
}

impl PartialEq for Groups {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Groups {}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// All further keys of a node; each can be a relation.
#[derive(Clone, Default)]
pub struct Attributes {
    parts: PartRef,
    /// Null hides what others state.
    own: BTreeMap<String, Value>,
}

impl Attributes {
    /// The value, never null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.own.get(key).or_else(|| self.parts.value(key)).filter(|value| !value.is_null())
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All of them, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let mut all = self.parts.values();
        all.extend(self.own.iter().map(|(key, value)| (key.as_str(), value)));
        all.into_iter().filter(|(_, value)| !value.is_null())
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// Sets a value of this node alone, and returns the one it had.
    pub fn insert(&mut self, key: String, value: Value) -> Option<Value> {
        self.own.insert(key, value)
    }

    /// Those that only this node states.
    pub(super) fn own(&self) -> &BTreeMap<String, Value> {
        &self.own
    }

    pub(super) fn own_mut(&mut self) -> &mut BTreeMap<String, Value> {
        &mut self.own
    }

    pub(super) fn share(&mut self, parts: PartRef) {
        self.parts = parts;
    }
}

impl Index<&str> for Attributes {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        self.get(key).expect("whoever indexes knows that it is there")
    }
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(attributes: I) -> Self {
        Self { parts: PartRef::default(), own: attributes.into_iter().collect() }
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
