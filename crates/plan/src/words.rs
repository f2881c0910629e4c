//! What is said of a node, in which its own names are known apart: of two nodes the same is said where all else is
//! equal.
//!
//! Invariant: whoever says it marks the names; nothing is searched for them later, nor taken out of what people read
//! (`the_word_node_in_what_a_driver_said_stays`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};

/// What nodes are said to share when the words shown are those of the first one.
pub const ALIKE: &str = " (the others alike)";

/// What is said of a node. Words are equal when they say the same, each of its own node.
#[derive(Debug, Clone, Default)]
pub struct Words {
    said: String,
    /// Where the node's own names stand, from left to right.
    own: Box<[Range<usize>]>,
}

impl Words {
    /// Returns what is said of one node that has these names. What is said of several at once names them all, and is
    /// the same for all: it is made without (`Words::from`).
    pub fn of_node(said: impl Into<String>, names: &[&str]) -> Self {
        let said = said.into();
        let mut own: Vec<Range<usize>> = names.iter().flat_map(|name| places(&said, name)).collect();
        own.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        own.retain(|range| {
            let is_next = range.start >= end;
            if is_next {
                end = range.end;
            }
            is_next
        });
        Self { said, own: own.into() }
    }

    /// Returns these words and more behind them.
    #[must_use]
    pub fn then(mut self, more: impl Into<Self>) -> Self {
        let (more, at) = (more.into(), self.said.len());
        self.said.push_str(&more.said);
        let moved = more.own.iter().map(|range| range.start + at..range.end + at);
        self.own = self.own.iter().cloned().chain(moved).collect();
        self
    }

    /// Returns what people read of so many nodes of which the same is said, these being the words for one of them.
    pub fn of_count(&self, nodes: usize) -> String {
        let alike = if nodes > 1 && !self.own.is_empty() { ALIKE } else { "" };
        format!("{self}{alike}")
    }

    /// Returns the parts between the own names.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.own.iter().map(|range| range.end));
        let ends = self.own.iter().map(|range| range.start).chain([self.said.len()]);
        starts.zip(ends).map(|(start, end)| &self.said[start..end])
    }
}

/// Tells whether a text has a name in it.
pub fn mentions(text: &str, name: &str) -> bool {
    places(text, name).next().is_some()
}

/// Returns where a name stands in a text. One that only happens to be in another word (`n1` in `n17`) does not.
fn places<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = Range<usize>> {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    let found = text.match_indices(name).filter(|_| !name.is_empty());
    found.map(|(at, name)| at..at + name.len()).filter(move |range| {
        !is_part(text[..range.start].chars().last()) && !is_part(text[range.end..].chars().next())
    })
}

impl<T: Into<String>> From<T> for Words {
    fn from(said: T) -> Self {
        Self { said: said.into(), own: Box::default() }
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        &self.said
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Words {}

impl PartialOrd for Words {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Words {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(other.parts())
    }
}

impl Hash for Words {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().for_each(|part| part.hash(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_equal_when_they_say_the_same_each_of_its_own_node() {
        let said = |name: &str, address: &str| {
            Words::of_node(format!("ipmitool -H {address} status: {name} is no n17"), &[name, address])
        };
        assert_eq!(said("n1", "10.1.0.1"), said("n2", "10.1.0.2"));
        assert_ne!(said("n1", "10.1.0.1"), said("is", "10.1.0.2"), "another place");
        assert_ne!(said("n1", "10.1.0.1"), Words::from(said("n1", "10.1.0.1").said), "of no one node");
        assert_eq!(Words::of_node("n1.cluster: n1", &["n1", "n1.cluster"]).own[..], [0..10, 12..14]);
        assert_eq!(Words::of_node("n1: held by n17, not n1", &["n1"]).own[..], [0..2, 21..23]);
        let longer = Words::from("n1: ").then(said("n1", "a")).then("; n1");
        assert_eq!(longer.parts().collect::<Vec<_>>(), ["n1: ipmitool -H ", " status: ", " is no n17; n1"]);
    }

    #[test]
    fn of_many_the_words_of_one_are_read() {
        let said = Words::of_node("power on n1: no", &["n1"]);
        assert_eq!(
            (said.of_count(1), said.of_count(2)),
            (said.to_string(), format!("{said} (the others alike)"))
        );
        assert_eq!(Words::from("power on n1 n2: no").of_count(2), "power on n1 n2: no");
    }
}
