//! What many nodes have alike, kept once: what a line of genders states for its nodes, and a group of Ansible for all hosts
//! below it.
//!
//! It is a graph of parts. A node refers to one part, and has what that one states and all parts above it. To copy it for
//! each node cost the square of the text: a chain of groups with a host in each took a gigabyte.

use super::listing::Listing;
use crate::drivers::NodeId;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// What one place states for many nodes.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) groups: Vec<String>,
    /// Null hides what a part of a lower rank states.
    pub(super) attributes: BTreeMap<String, Value>,
    /// Of several parts that state an attribute, the one of the highest rank counts, of these the last.
    pub(super) rank: usize,
    /// The parts whose statements hold here as well. There is no circle.
    pub(super) above: Vec<u32>,
}

/// The parts of one inventory, by number.
#[derive(Default)]
pub(super) struct Parts {
    all: Vec<Part>,
    /// All attributes that any part states.
    keys: HashSet<String>,
}

/// How many parts are compared one by one; beyond that they are looked up.
const FEW: usize = 32;

impl Parts {
    /// Adds a part, and returns its number.
    pub(super) fn add(&mut self, part: Part) -> u32 {
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        for key in part.attributes.keys().filter(|key| !self.keys.contains(*key)).collect::<Vec<_>>() {
            self.keys.insert(key.clone());
        }
        self.all.push(part);
        id
    }

    fn part(&self, id: u32) -> &Part {
        &self.all[id as usize]
    }

    /// Returns a part and all above it, each once.
    fn reached(&self, from: u32) -> Vec<u32> {
        let (mut found, mut seen) = (vec![from], HashSet::new());
        let mut next = 0;
        while let Some(&part) = found.get(next) {
            next += 1;
            for &above in &self.part(part).above {
                if found.len() == FEW {
                    seen.extend(found.iter().copied());
                }
                let is_new = if found.len() < FEW { !found.contains(&above) } else { seen.insert(above) };
                if is_new {
                    found.push(above);
                }
            }
        }
        found
    }

    fn value(&self, from: u32, key: &str) -> Option<&Value> {
        if !self.keys.contains(key) {
            return None;
        }
        let stated = self.reached(from).into_iter().filter_map(|id| {
            let part = self.part(id);
            Some(((part.rank, id), part.attributes.get(key)?))
        });
        stated.max_by_key(|(rank, _)| *rank).map(|(_, value)| value)
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("parts", &self.all.len()).finish_non_exhaustive()
    }
}

/// The part that a node refers to, if any.
#[derive(Debug, Clone, Default)]
pub(super) struct PartRef(Option<(Arc<Parts>, u32)>);

impl PartRef {
    pub(super) fn new(parts: &Arc<Parts>, part: u32) -> Self {
        Self(Some((Arc::clone(parts), part)))
    }

    /// Returns the parts whose statements hold, in their order.
    pub(super) fn parts(&self) -> Vec<u32> {
        let mut reached = self.0.as_ref().map_or_else(Vec::new, |(parts, part)| parts.reached(*part));
        reached.sort_unstable();
        reached
    }

    /// Returns the groups that are stated, in the order of the parts.
    pub(super) fn groups(&self) -> Vec<&str> {
        let Some((parts, _)) = &self.0 else { return Vec::new() };
        self.parts().into_iter().flat_map(|id| parts.part(id).groups.iter().map(String::as_str)).collect()
    }

    /// Returns what is stated of an attribute; null where it is hidden.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        let (parts, part) = self.0.as_ref()?;
        parts.value(*part, key)
    }

    /// Returns all attributes that are stated, null where they are hidden.
    pub(super) fn values(&self) -> BTreeMap<&str, &Value> {
        let Some((parts, part)) = &self.0 else { return BTreeMap::new() };
        let mut reached = parts.reached(*part);
        reached.sort_unstable_by_key(|&id| (parts.part(id).rank, id));
        let stated = reached.into_iter().flat_map(|id| &parts.part(id).attributes);
        stated.map(|(key, value)| (key.as_str(), value)).collect()
    }
}

/// Which nodes have what a part states: its own, and those of all parts below it.
#[derive(Debug, Clone, Default)]
pub(super) struct PartMembers {
    parts: Option<Arc<Parts>>,
    below: Listing,
    nodes: Listing,
}

impl PartMembers {
    pub(super) fn of<'n>(nodes: impl Iterator<Item = &'n PartRef> + Clone) -> Self {
        let Some((parts, _)) = nodes.clone().find_map(|one| one.0.as_ref()) else { return Self::default() };
        let count = parts.all.len();
        let above =
            |(part, id): (&Part, u32)| part.above.iter().map(|above| (*above, id)).collect::<Vec<_>>();
        let below = Listing::of(count, &mut || Box::new(parts.all.iter().zip(0..).flat_map(above)));
        let refers = |(one, id): (&PartRef, u32)| one.0.as_ref().map(|(_, part)| (*part, id));
        let nodes = Listing::of(count, &mut || Box::new(nodes.clone().zip(0..).filter_map(refers)));
        Self { parts: Some(Arc::clone(parts)), below, nodes }
    }

    /// Returns the parts with their groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = (u32, &String)> {
        let parts = self.parts.iter().flat_map(|parts| parts.all.iter().zip(0..));
        parts.flat_map(|(part, id)| part.groups.iter().map(move |group| (id, group)))
    }

    /// Returns all attributes that are stated.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|parts| parts.keys.iter().map(String::as_str))
    }

    /// Adds the nodes that have what these parts state.
    pub(super) fn collect(&self, parts: &[u32], found: &mut Vec<NodeId>) {
        let (mut open, mut seen) = (parts.to_vec(), HashSet::new());
        while let Some(part) = open.pop() {
            if seen.insert(part) {
                found.extend(self.nodes.of_one(part).iter().copied().map(NodeId));
                open.extend(self.below.of_one(part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// With few parts and with many, which are looked up in another way.
        #[test]
        fn a_node_has_what_its_part_and_all_above_state(
            links in prop::collection::vec(prop::collection::vec(0..60_u32, 0..4), 1..60),
            ranks in prop::collection::vec(0..3_usize, 60),
        ) {
            let mut parts = Parts::default();
            let mut wanted: Vec<BTreeSet<u32>> = Vec::new();
            for (id, above) in (0u32..).zip(&links) {
                let above: Vec<u32> = above.iter().copied().filter(|above| *above < id).collect();
                let of_above = above.iter().flat_map(|above| wanted[*above as usize].clone());
                wanted.push(of_above.chain([id]).collect());
                parts.add(Part {
                    groups: vec![format!("g{id}")],
                    attributes: BTreeMap::from([("a".to_owned(), Value::from(id))]),
                    rank: ranks[id as usize],
                    above,
                });
            }
            let parts = Arc::new(parts);
            let nodes: Vec<PartRef> = (0u32..).zip(&links).map(|(id, _)| PartRef::new(&parts, id)).collect();
            let members = PartMembers::of(nodes.iter());
            for (id, node) in (0u32..).zip(&nodes) {
                let wanted_here = &wanted[id as usize];
                prop_assert_eq!(&node.parts(), &wanted_here.iter().copied().collect::<Vec<_>>());
                let nearest = wanted_here.iter().max_by_key(|part| (ranks[**part as usize], **part));
                let nearest = nearest.map(|part| Value::from(*part));
                prop_assert_eq!(node.value("a"), nearest.as_ref());
                prop_assert_eq!(node.values().get("a").copied(), node.value("a"));
                let mut found = Vec::new();
                members.collect(&[id], &mut found);
                let below = (0u32..).zip(&wanted).filter(|(_, parts)| parts.contains(&id)).map(|(at, _)| NodeId(at));
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), below.collect::<BTreeSet<_>>());
            }
        }
    }
}
