//! Targets as they are asked for: words, how they are read, and the nodes that may be named.

use crate::diagnostic::Place;
use crate::drivers::NodeId;
use crate::inventory::Inventory;

/// The word that means every node of the current partition.
pub const ALL: &str = "ALL";

/// How target words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Names and node sets.
    Names,
    /// Node numbers and ranges of them (`-N`).
    Numbers,
    /// Node groups of the inventory (`-g`).
    Groups,
}

/// A word that names nodes; `place` is where it stands when it was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetWord {
    pub text: String,
    pub place: Option<Place>,
}

impl TargetWord {
    /// Returns a word of the command line.
    pub fn typed(text: impl Into<String>) -> Self {
        Self { text: text.into(), place: None }
    }
}

/// Returns the words of a file of targets: separated by blanks or line ends, `#` begins a comment.
pub fn words(file: &str, text: &str) -> Vec<TargetWord> {
    let mut words = Vec::new();
    for (line, full) in text.lines().enumerate() {
        let kept = full.split('#').next().unwrap_or_default();
        let mut from = 0;
        for word in kept.split_whitespace() {
            let at = kept[from..].find(word).map_or(from, |at| from + at);
            from = at + word.len();
            let place =
                Place { file: file.to_owned(), line: line + 1, column: kept[..at].chars().count() + 1 };
            words.push(TargetWord { text: word.to_owned(), place: Some(place) });
        }
    }
    words
}

/// Targets as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedTargets {
    pub kind: TargetKind,
    pub words: Vec<TargetWord>,
    /// Node sets taken away (`-x`).
    pub exclude: Vec<TargetWord>,
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
    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inventory.ids().take(self.nodes).filter(|&node| self.is_inside(node))
    }

    /// Tells whether a node is in the current partition. Units belong to whatever needs them.
    pub fn is_inside(&self, node: NodeId) -> bool {
        let Some(partition) = self.partition else { return true };
        node.index() >= self.nodes || self.inventory.node(node).partition.as_deref() == Some(partition)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<NodeId> {
        self.inventory.by_name(name).filter(|node| node.index() < self.nodes)
    }

    /// Returns the names of the members of a node group, if there is such a group.
    pub(super) fn group(&self, name: &str) -> Option<Vec<String>> {
        self.inventory.group(name).map(|nodes| {
            let nodes = nodes.iter().filter(|node| node.index() < self.nodes);
            nodes.map(|node| self.inventory.name(*node).to_owned()).collect()
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.inventory.nodes().iter().take(self.nodes).map(|node| node.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
