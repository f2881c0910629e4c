//! Which nodes a command acts on: targets, partitions, and what stands in the way of acting on them.
//!
//! Words are resolved all at once, with every wrong one reported. A violation is a node that is no
//! target and is not as the sequence needs it; what to do about it is the caller's (`-E`, `-X`).

mod finder;
mod violation;

pub use violation::{Breach, DETAILED, Direction, Violation, curable, needed, outrun, unserved};

use crate::diagnostic::{Diagnostics, Place};
use crate::fleet::NodeId;
use crate::graph::Order;
use crate::inventory::Inventory;
use finder::Finder;
use std::collections::BTreeSet;

/// The word that means every node of the current partition.
pub const ALL: &str = "ALL";

/// How target words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Names and node sets.
    Names,
    /// Node numbers and ranges of them (`-N`).
    Numbers,
    /// Node groups of the inventory (`-g`).
    Groups,
}

/// A word that names nodes; `place` is where it stands when it was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub place: Option<Place>,
}

impl Word {
    /// Returns a word of the command line.
    pub fn typed(text: impl Into<String>) -> Self {
        Self { text: text.into(), place: None }
    }
}

/// Returns the words of a file of targets: separated by blanks or line ends, `#` begins a comment.
pub fn words(file: &str, text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (line, full) in text.lines().enumerate() {
        let kept = full.split('#').next().unwrap_or_default();
        let mut from = 0;
        for word in kept.split_whitespace() {
            let at = kept[from..].find(word).map_or(from, |at| from + at);
            from = at + word.len();
            let place =
                Place { file: file.to_owned(), line: line + 1, column: kept[..at].chars().count() + 1 };
            words.push(Word { text: word.to_owned(), place: Some(place) });
        }
    }
    words
}

/// Targets as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub kind: Kind,
    pub words: Vec<Word>,
    /// Node sets taken away (`-x`).
    pub exclude: Vec<Word>,
}

/// The nodes one may name, and how far `ALL` reaches.
#[derive(Debug, Clone, Copy)]
pub struct Field<'i> {
    pub inventory: &'i Inventory,
    /// How many of the inventory are nodes; what follows are units, which cannot be targets.
    pub nodes: usize,
    /// The current partition; `None` is all of them.
    pub partition: Option<&'i str>,
}

impl Field<'_> {
    fn all(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inventory.ids().take(self.nodes).filter(|&node| self.is_inside(node))
    }

    /// Tells whether a node is in the current partition. Units belong to whatever needs them.
    pub fn is_inside(&self, node: NodeId) -> bool {
        let Some(partition) = self.partition else { return true };
        node.index() >= self.nodes || self.inventory.node(node).partition.as_deref() == Some(partition)
    }

    fn by_name(&self, name: &str) -> Option<NodeId> {
        self.inventory.by_name(name).filter(|node| node.index() < self.nodes)
    }

    /// Returns the names of the members of a node group, if there is such a group.
    fn group(&self, name: &str) -> Option<Vec<String>> {
        self.inventory.group(name).map(|nodes| {
            let nodes = nodes.iter().filter(|node| node.index() < self.nodes);
            nodes.map(|node| self.inventory.name(*node).to_owned()).collect()
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.inventory.nodes().iter().take(self.nodes).map(|node| node.name.as_str())
    }
}

/// Returns the targets, sorted. May be empty, which the caller refuses: empty never means all.
///
/// # Errors
/// Every word that names nothing, and words that stand for too many names together.
pub fn targets(field: Field<'_>, asked: &Asked) -> Result<Vec<NodeId>, Diagnostics> {
    let mut finder = Finder::new(field);
    let found = finder.of_kind(asked.kind, &asked.words);
    let excluded = finder.of_kind(Kind::Names, &asked.exclude);
    finder.or(found.difference(&excluded).copied().collect())
}

/// Returns the partitions of an inventory, sorted.
pub fn partitions(inventory: &Inventory) -> BTreeSet<&str> {
    inventory.nodes().iter().filter_map(|node| node.partition.as_deref()).collect()
}

/// Nodes outside the current partition that a command would touch or depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    pub targets: Vec<NodeId>,
    /// Nodes that targets wait for.
    pub leading: Vec<NodeId>,
}

impl Outside {
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.leading.is_empty()
    }
}

/// Returns what lies outside the current partition, in the order at hand.
pub fn outside(field: Field<'_>, order: &Order, targets: &[NodeId]) -> Outside {
    if field.partition.is_none() {
        return Outside::default();
    }
    let away = |node: &NodeId| !field.is_inside(*node);
    let outer: Vec<NodeId> = targets.iter().copied().filter(away).collect();
    let leading = order
        .all_leading(targets)
        .into_iter()
        .filter(away)
        .filter(|node| targets.binary_search(node).is_err())
        .collect();
    Outside { targets: outer, leading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GroupId;
    use crate::inventory::Node;
    use std::collections::BTreeMap;

    fn node(name: &str, number: u32, partition: &str, groups: &[&str]) -> Node {
        Node {
            name: name.to_owned(),
            number: Some(number),
            address: None,
            partition: Some(partition.to_owned()),
            boot_servers: Vec::new(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            power_with: Vec::new(),
            attributes: BTreeMap::new(),
        }
    }

    fn inventory() -> Inventory {
        Inventory::new(vec![
            node("n01", 1, "prod", &["io"]),
            node("n02", 2, "prod", &[]),
            node("n03", 5, "test", &["io"]),
            node("shelf", 9, "prod", &[]),
        ])
    }

    fn resolve(kind: Kind, words: &[&str], exclude: &[&str]) -> Result<Vec<u32>, String> {
        let inventory = inventory();
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let typed = |words: &[&str]| words.iter().map(|&word| Word::typed(word)).collect();
        targets(field, &Asked { kind, words: typed(words), exclude: typed(exclude) })
            .map(|nodes| nodes.into_iter().map(|node| node.0).collect())
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn words_name_nodes_numbers_or_groups() {
        assert_eq!(resolve(Kind::Names, &["ALL"], &[]), Ok(vec![0, 1]), "ALL is the current partition");
        assert_eq!(resolve(Kind::Names, &["n[01-03]"], &["n02"]), Ok(vec![0, 2]));
        assert_eq!(resolve(Kind::Numbers, &["2-8"], &[]), Ok(vec![1, 2]));
        assert_eq!(resolve(Kind::Groups, &["io"], &[]), Ok(vec![0, 2]));
        assert_eq!(resolve(Kind::Names, &["n01"], &["n01"]), Ok(vec![]), "empty is never all");
    }

    #[test]
    fn all_wrong_words_are_named_at_once_with_their_remedy() {
        let said = resolve(Kind::Names, &["n04", "io", "7", "shelf"], &["n0l"]).unwrap_err();
        for part in ["no node named \"n04\"", "or use -g", "need -N", "it is a unit", "\"n0l\""] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
        assert!(resolve(Kind::Numbers, &["3"], &[]).is_err());
        assert!(resolve(Kind::Numbers, &["7-3"], &[]).is_err());
        assert!(resolve(Kind::Groups, &["oi"], &[]).unwrap_err().contains("no node group"));
    }

    #[test]
    fn words_of_a_file_carry_their_place() {
        let found = words("targets", "n01  n02 # not n03\n\tn04\n");
        let shown: Vec<String> = found
            .iter()
            .map(|word| {
                format!("{} {}", word.place.as_ref().map_or_else(String::new, ToString::to_string), word.text)
            })
            .collect();
        assert_eq!(shown, ["targets:1:1 n01", "targets:1:6 n02", "targets:2:2 n04"]);
    }

    #[test]
    fn what_lies_outside_the_partition_is_told_apart() {
        let inventory = inventory();
        let order = Order::new(4, &[vec![NodeId(2)], vec![NodeId(0)]], &[(GroupId(0), GroupId(1))]);
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let found = outside(field, &order, &[NodeId(0)]);
        assert_eq!(found, Outside { targets: vec![], leading: vec![NodeId(2)] });
    }
}
