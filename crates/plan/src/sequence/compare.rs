//! Two sequences side by side: does one contradict the other, is one a copy of the other.

use super::{At, Edge, Sequence};
use crate::diagnostic::Diagnostic;
use crate::fleet::NodeId;
use crate::graph::{GroupId, Order, Vertex, What};
use crate::inventory::Inventory;
use crate::name::Roster;

/// How many contradictions are described; finding the other line costs a walk through the order.
const DESCRIBED: usize = 50;

/// Returns the orders stated in `second` that cannot hold together with `first`, each with the line
/// of `second` and, as a note, one of `first`. Both are start orders: mirror a shutdown sequence.
pub fn conflicts(first: &Sequence, second: &Sequence, roster: &dyn Roster) -> Vec<Diagnostic> {
    let both = Both::new(first, second, roster);
    both.contradicting().take(DESCRIBED).map(|edge| both.describe(edge, roster)).collect()
}

/// Tells whether a shutdown sequence states the very order of the start sequence, as a copy does that
/// should have been a link: nothing it states can be mirrored without contradicting the start order,
/// and unmirrored all of it agrees.
pub fn states_the_same(start: &Sequence, shutdown: &Sequence, roster: &dyn Roster) -> bool {
    let mirrored = shutdown.clone().mirrored();
    let opposed = Both::new(start, &mirrored, roster).contradicting().count();
    opposed > 0
        && opposed == shutdown.edges.len()
        && Both::new(start, shutdown, roster).order.sorted().is_some()
}

/// How a sequence file has fallen behind its inventory.
#[derive(Debug)]
pub struct Drift {
    /// Nodes in no group, by number, then by name.
    pub unlisted: Vec<NodeId>,
    /// Lines that contradict the inventory's relations.
    pub contradictions: Vec<Diagnostic>,
}

/// Returns how `sequence` has fallen behind; `default` is what the inventory states, in the same
/// direction.
pub fn drift(sequence: &Sequence, default: &Sequence, inventory: &Inventory) -> Drift {
    let mut listed = vec![false; inventory.len()];
    for member in sequence.groups.iter().flat_map(|group| &group.members) {
        listed[member.node.index()] = true;
    }
    let unlisted = inventory.sorted().into_iter().filter(|id| !listed[id.index()]).collect();
    Drift { unlisted, contradictions: conflicts(default, sequence, inventory) }
}

/// The orders of two sequences put together; the groups of the second are counted after those of the
/// first.
struct Both<'s> {
    first: &'s Sequence,
    second: &'s Sequence,
    order: Order,
    tangles: Vec<u32>,
}

impl<'s> Both<'s> {
    fn new(first: &'s Sequence, second: &'s Sequence, roster: &dyn Roster) -> Self {
        let shift = u32::try_from(first.groups.len()).unwrap_or(u32::MAX);
        let shifted = |edge: &Edge| (GroupId(edge.before.0 + shift), GroupId(edge.after.0 + shift));
        let edges: Vec<_> = first
            .edges
            .iter()
            .map(|edge| (edge.before, edge.after))
            .chain(second.edges.iter().map(shifted))
            .collect();
        let group = |id: GroupId| match first.groups.get(id.index()) {
            Some(group) => group,
            None => &second.groups[id.index() - first.groups.len()],
        };
        let order = Order::of(
            roster.count(),
            first.groups.len() + second.groups.len(),
            |id| group(id).members.iter().map(|member| member.node),
            edges.into_iter(),
        );
        let tangles = order.tangles();
        Self { first, second, order, tangles }
    }

    /// Returns the edges of the second sequence that are part of a loop.
    fn contradicting(&self) -> impl Iterator<Item = &'s Edge> {
        self.second.edges.iter().filter(|edge| {
            let (from, to) = self.ends(edge);
            self.tangles[from.index()] == self.tangles[to.index()]
        })
    }

    fn ends(&self, edge: &Edge) -> (Vertex, Vertex) {
        let shift = u32::try_from(self.first.groups.len()).unwrap_or(u32::MAX);
        let end = self.order.vertex(What::End(GroupId(edge.before.0 + shift)));
        (end, self.order.vertex(What::Begin(GroupId(edge.after.0 + shift))))
    }

    fn describe(&self, edge: &Edge, roster: &dyn Roster) -> Diagnostic {
        let second = self.second;
        let stated = format!("{} > {}", second.group_name(edge.before), second.group_name(edge.after));
        let (end, begin) = self.ends(edge);
        let way = self.order.path(begin, end).unwrap_or_default();
        let mut nodes = way.iter().filter_map(|vertex| match self.order.what(*vertex) {
            What::Node(node) => Some(roster.name(node)),
            What::Begin(_) | What::End(_) => None,
        });
        let (early, late) = (nodes.next(), nodes.next_back());
        let against = way.windows(2).find_map(|step| self.edge_of_first(step[0], step[1]));
        let clause = match (early, late) {
            (Some(early), Some(late)) => format!("; {early} is needed before {late}"),
            _ => String::new(),
        };
        let other = if self.first.file.is_empty() { "the inventory" } else { self.first.file.as_str() };
        let diagnostic = second.diagnose(edge.at, format!("\"{stated}\" contradicts {other}{clause}"));
        match against.and_then(|(at, clause)| Some((self.first.place(at)?, clause))) {
            Some((place, clause)) => diagnostic.note(place, clause),
            None => diagnostic,
        }
    }

    /// Returns the place and words of the order of the first sequence between two vertices.
    fn edge_of_first(&self, from: Vertex, to: Vertex) -> Option<(At, String)> {
        let (What::End(before), What::Begin(after)) = (self.order.what(from), self.order.what(to)) else {
            return None;
        };
        (before.index() < self.first.groups.len() && after.index() < self.first.groups.len()).then(|| {
            let words = format!("{} > {}", self.first.group_name(before), self.first.group_name(after));
            (self.first.edge_at(before, after), words)
        })
    }
}
