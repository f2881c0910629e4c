//! Names of nodes and groups: which characters they may hold, and many of them in little memory.
//!
//! A sequence of a million nodes is read without a `String` a name: [`Names`] keeps all of them in
//! one text, and [`Index`] finds them by hash in eight bytes a slot.

use crate::drivers::NodeId;
use std::hash::{BuildHasher, RandomState};

/// Returns what is wrong with a name of a node, group or partition, or nothing.
///
/// The forbidden characters are those of the sequence-file page of the PSSP Command Reference; the
/// backslash (which continues a line) and control characters are our addition.
pub fn fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name cannot be empty".to_owned());
    }
    let bad = name.chars().find(|&c| is_forbidden(c))?;
    Some(match bad {
        ' ' => "a name cannot contain a blank".to_owned(),
        '\t' => "a name cannot contain a tab".to_owned(),
        '\n' => "a name cannot contain a newline".to_owned(),
        c => format!("a name cannot contain \"{}\"", c.escape_debug()),
    })
}

/// Tells whether a character cannot stand in a name.
pub fn is_forbidden(c: char) -> bool {
    matches!(c, ',' | '>' | ':' | '(' | ')' | '#' | '\\')
        || c.is_whitespace()
        || c.is_control()
        || is_unseen(c)
}

/// Tells whether a character leaves nothing on the screen, or turns what stands around it: two names
/// that look alike must be alike. A byte order mark gets into a file where two are put together.
pub(crate) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Nodes by number, as a sequence speaks of them: an inventory, or the names a file itself uses.
pub trait Roster {
    /// Returns how many nodes there are.
    fn count(&self) -> usize;
    /// Returns the name of a node.
    fn name(&self, id: NodeId) -> &str;
    /// Returns the node with a name.
    fn find(&self, name: &str) -> Option<NodeId>;
    /// Returns what nodes are sorted by where they are listed: their number, then their name.
    fn rank(&self, id: NodeId) -> (u64, &str) {
        (u64::MAX, self.name(id))
    }
}

/// Different names in the order in which they were first met.
#[derive(Debug, Clone, Default)]
pub struct Names {
    text: String,
    ends: Vec<u32>,
    index: Index,
}

impl Names {
    /// Returns the number of `name`, which is given one if it is new; nothing when there is no more
    /// room (4 GiB of names).
    pub fn intern(&mut self, name: &str) -> Option<u32> {
        let id = u32::try_from(self.ends.len()).ok().filter(|id| *id < u32::MAX)?;
        let end = u32::try_from(self.text.len() + name.len()).ok()?;
        let (text, ends) = (&self.text, &self.ends);
        if let Some(met) = self.index.find_or_insert(name, id, |at| slice(text, ends, at)) {
            return Some(met);
        }
        self.text.push_str(name);
        self.ends.push(end);
        Some(id)
    }

    /// Returns the number of `name` if it was met before.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.index.find(name, |at| self.get(at))
    }

    /// Returns the name with this number.
    ///
    /// # Panics
    /// When no name has it.
    pub fn get(&self, id: u32) -> &str {
        slice(&self.text, &self.ends, id)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns all names by number.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).map(|id| self.get(id))
    }
}

impl Roster for Names {
    fn count(&self) -> usize {
        self.len()
    }

    fn name(&self, id: NodeId) -> &str {
        self.get(id.0)
    }

    fn find(&self, name: &str) -> Option<NodeId> {
        Self::find(self, name).map(NodeId)
    }
}

fn slice<'t>(text: &'t str, ends: &[u32], id: u32) -> &'t str {
    let at = id as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &text[start..ends[at] as usize]
}

/// Finds texts that are kept elsewhere under numbers counted from 0.
///
/// A slot holds a number and half of the hash of its text. So a text is only looked at where it is
/// very likely the one, which saves most cache misses, and never when the table grows.
#[derive(Debug, Clone, Default)]
pub struct Index {
    slots: Vec<Slot>,
    used: usize,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    hash: u32,
    id: u32,
}

const EMPTY: Slot = Slot { hash: 0, id: u32::MAX };

impl Index {
    /// Returns the number whose text, by `text_of`, is `wanted`.
    pub fn find<'t>(&self, wanted: &str, text_of: impl Fn(u32) -> &'t str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.probe(wanted, self.hash(wanted), text_of).ok()
    }

    /// Returns the number whose text is `wanted`, or adds `id` for it and returns nothing.
    pub fn find_or_insert<'t>(
        &mut self,
        wanted: &str,
        id: u32,
        text_of: impl Fn(u32) -> &'t str,
    ) -> Option<u32> {
        self.make_room();
        let hash = self.hash(wanted);
        match self.probe(wanted, hash, text_of) {
            Ok(met) => Some(met),
            Err(free) => {
                self.slots[free] = Slot { hash, id };
                self.used += 1;
                None
            }
        }
    }

    /// Returns the number with this text, or the free slot where it belongs.
    fn probe<'t>(&self, wanted: &str, hash: u32, text_of: impl Fn(u32) -> &'t str) -> Result<u32, usize> {
        let mut at = hash as usize & (self.slots.len() - 1);
        while self.slots[at] != EMPTY {
            let Slot { hash: found, id } = self.slots[at];
            if found == hash && text_of(id) == wanted {
                return Ok(id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        Err(at)
    }

    fn make_room(&mut self) {
        // At most three quarters full: beyond that, probing gets long.
        if (self.used + 1) * 4 <= self.slots.len() * 3 {
            return;
        }
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![EMPTY; (old.len() * 2).max(16)];
        for kept in old.into_iter().filter(|kept| *kept != EMPTY) {
            let mut at = kept.hash as usize & (self.slots.len() - 1);
            while self.slots[at] != EMPTY {
                at = (at + 1) & (self.slots.len() - 1);
            }
            self.slots[at] = kept;
        }
    }

    fn hash(&self, text: &str) -> u32 {
        u32::try_from(self.hasher.hash_one(text) & u64::from(u32::MAX)).unwrap_or(0)
    }
}

/// Returns what sorts names as people count: `n2` before `n10`.
pub fn in_natural_order(name: &str) -> Vec<(String, usize, String)> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|sign: char| sign.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|sign: char| !sign.is_ascii_digit()).unwrap_or(rest.len() - text);
        let number = rest[text..text + digits].trim_start_matches('0');
        pieces.push((rest[..text].to_owned(), number.len(), number.to_owned()));
        rest = &rest[text + digits..];
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documented_characters_are_forbidden() {
        for bad in [
            "",
            "a b",
            "a,b",
            "a\nb",
            "a\tb",
            "a>b",
            "a:b",
            "a(b",
            "a)b",
            "a#b",
            "a\\",
            "a\u{1b}b",
            "\u{feff}a",
            "a\u{202e}",
        ] {
            assert!(fault(bad).is_some(), "{bad:?}");
        }
        for good in ["n01", "Io-7.example", "größe", "n[1]", "a=b", "65-80"] {
            assert_eq!(fault(good), None, "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn names_are_found_under_their_first_number(words in prop::collection::vec("[a-c]{0,3}", 0..200)) {
            let mut names = Names::default();
            let mut expected: Vec<&str> = Vec::new();
            for word in &words {
                let id = names.intern(word).unwrap() as usize;
                if id == expected.len() {
                    expected.push(word);
                }
                prop_assert_eq!(expected[id], word);
            }
            prop_assert_eq!(names.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(names.find("absent"), None);
        }
    }
}
