//! The groups of a sequence and their order, each with its place in the text.
//!
//! Invariant: a sequence is lean. A member costs eight bytes and no `String`, so that a million
//! nodes in a hundred thousand groups stay far below 300 bytes a node.

use super::lexer::word_end;
use crate::diagnostic::{Diagnostic, Place, Source};
use crate::drivers::NodeId;
use crate::graph::GroupId;
use crate::name::Names;
use crate::threshold::Threshold;

/// Groups and their order, with the places in the file that state them.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    pub(super) written: WrittenText,
    pub(super) names: Names,
    pub(super) groups: Vec<Group>,
    pub(super) edges: Vec<Edge>,
    pub(super) own: Names,
    /// The order is the other way round than it is written.
    pub(super) is_mirrored: bool,
}

/// The text that a sequence was read from, with the file's name; empty when it was read from none.
#[derive(Debug, Clone, Default)]
pub(super) struct WrittenText {
    pub(super) file: String,
    pub(super) text: String,
}

/// A group: its members, and where it is first defined.
#[derive(Debug, Clone, Default)]
pub struct Group {
    pub members: Vec<GroupMember>,
    pub at: At,
}

/// A node in a group, and where that is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupMember {
    pub node: NodeId,
    pub at: At,
}

/// All of one group, or as many as are enough, before all of another, and where that is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub before: GroupId,
    pub after: GroupId,
    pub threshold: Option<Threshold>,
    pub at: At,
}

/// A place in the text of a sequence, or nowhere when it was not read from a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub(super) u32);

impl At {
    pub(crate) const NOWHERE: Self = Self(u32::MAX);

    pub(super) fn offset(offset: usize) -> Self {
        u32::try_from(offset).map_or(Self::NOWHERE, Self)
    }
}

impl Default for At {
    fn default() -> Self {
        Self::NOWHERE
    }
}

impl Sequence {
    /// Returns the name of the file it was read from; empty when it was read from none.
    pub fn file(&self) -> &str {
        &self.written.file
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Returns all groups.
    pub fn group_ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..u32::try_from(self.groups.len()).unwrap_or(u32::MAX)).map(GroupId)
    }

    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.index()]
    }

    pub fn group_name(&self, id: GroupId) -> &str {
        self.names.get(id.0)
    }

    /// Returns the group with this name.
    pub fn group_by_name(&self, name: &str) -> Option<GroupId> {
        self.names.find(name).map(GroupId)
    }

    /// Returns the names the file uses, when it was read without an inventory (and the commands of a
    /// subsystem sequence): its node numbers count these.
    pub fn own_names(&self) -> &Names {
        &self.own
    }

    /// Tells whether no order and no group is stated, as in an empty file.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.edges.is_empty()
    }

    /// Returns the order backwards: what came first comes last. How many are enough holds forwards only.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        for edge in &mut self.edges {
            std::mem::swap(&mut edge.before, &mut edge.after);
            edge.threshold = None;
        }
        self.is_mirrored = !self.is_mirrored && !self.written.file.is_empty();
        self
    }

    /// Tells whether some group has a number that is enough.
    pub fn has_thresholds(&self) -> bool {
        self.edges.iter().any(|edge| edge.threshold.is_some())
    }

    /// Returns an order of groups as it is written, so that people find it in the file.
    pub(super) fn as_written(&self, before: GroupId, after: GroupId, threshold: Option<Threshold>) -> String {
        let (left, right) = if self.is_mirrored { (after, before) } else { (before, after) };
        let threshold = threshold.map(|threshold| format!("({threshold})")).unwrap_or_default();
        format!("{}{threshold} > {}", self.group_name(left), self.group_name(right))
    }
}

impl WrittenText {
    /// Returns where something is stated, for people.
    pub(super) fn place(&self, at: At) -> Option<Place> {
        self.is_at(at).then(|| self.source().place(at.0 as usize))
    }

    /// Returns the same of many places at once, with one walk through the text.
    pub(super) fn places(&self, of: impl Iterator<Item = At>) -> Vec<Option<Place>> {
        let of: Vec<At> = of.collect();
        let offsets: Vec<usize> = of.iter().map(|at| at.0 as usize).collect();
        let found = self.source().places(&offsets);
        found.into_iter().zip(of).map(|(place, at)| self.is_at(at).then_some(place)).collect()
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source { name: &self.file, text: &self.text }
    }

    fn is_at(&self, at: At) -> bool {
        at != At::NOWHERE && (at.0 as usize) < self.text.len()
    }

    /// Returns a diagnostic that underlines the word at a place.
    pub(super) fn diagnose(&self, at: At, message: impl Into<String>) -> Diagnostic {
        if !self.is_at(at) {
            let file = if self.file.is_empty() { "the default sequence" } else { &self.file };
            return Diagnostic::about(file, message.into());
        }
        let start = at.0 as usize;
        self.source().diagnose(start..word_end(&self.text, start), message)
    }
}
