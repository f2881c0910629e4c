//! Two sequences side by side: does one contradict the other, is one a copy of the other.

use super::groups::{At, Edge, Sequence};
use crate::diagnostic::Diagnostic;
use crate::drivers::NodeId;
use crate::graph::{GroupId, Order, Vertex, VertexKind};
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
    components: Vec<u32>,
}

impl<'s> Both<'s> {
    fn new(first: &'s Sequence, second: &'s Sequence, roster: &dyn Roster) -> Self {
        let shift = u32::try_from(first.groups.len()).unwrap_or(u32::MAX);
        let shifted = |edge: &Edge| (GroupId(edge.before.0 + shift), GroupId(edge.after.0 + shift), None);
        let edges: Vec<_> = first
            .edges
            .iter()
            .map(|edge| (edge.before, edge.after, None))
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
        let components = order.components();
        Self { first, second, order, components }
    }

    /// Returns the edges of the second sequence that are part of a loop.
    fn contradicting(&self) -> impl Iterator<Item = &'s Edge> {
        self.second.edges.iter().filter(|edge| {
            let (from, to) = self.ends(edge);
            self.components[from.index()] == self.components[to.index()]
        })
    }

    fn ends(&self, edge: &Edge) -> (Vertex, Vertex) {
        let shift = u32::try_from(self.first.groups.len()).unwrap_or(u32::MAX);
        let end = self.order.vertex(VertexKind::End(GroupId(edge.before.0 + shift)));
        (end, self.order.vertex(VertexKind::Begin(GroupId(edge.after.0 + shift))))
    }

    fn describe(&self, edge: &Edge, roster: &dyn Roster) -> Diagnostic {
        let second = self.second;
        let stated = second.as_written(edge.before, edge.after, edge.threshold);
        let (end, begin) = self.ends(edge);
        let way = self.order.path(begin, end).unwrap_or_default();
        let mut nodes = way.iter().filter_map(|vertex| match self.order.what(*vertex) {
            VertexKind::Node(node) => Some(roster.name(node)),
            VertexKind::Begin(_) | VertexKind::End(_) => None,
        });
        let (early, late) = (nodes.next(), nodes.next_back());
        let against = way.windows(2).find_map(|step| self.edge_of_first(step[0], step[1]));
        let clause = match (early, late) {
            (Some(early), Some(late)) => format!("; {early} is needed before {late}"),
            _ => String::new(),
        };
        let other = if self.first.written.file.is_empty() {
            "the inventory"
        } else {
            self.first.written.file.as_str()
        };
        let diagnostic =
            second.written.diagnose(edge.at, format!("\"{stated}\" contradicts {other}{clause}"));
        match against.and_then(|(at, clause)| Some((self.first.written.place(at)?, clause))) {
            Some((place, clause)) => diagnostic.note(place, clause),
            None => diagnostic,
        }
    }

    /// Returns the place and words of the order of the first sequence between two vertices.
    fn edge_of_first(&self, from: Vertex, to: Vertex) -> Option<(At, String)> {
        let (VertexKind::End(before), VertexKind::Begin(after)) =
            (self.order.what(from), self.order.what(to))
        else {
            return None;
        };
        (before.index() < self.first.groups.len() && after.index() < self.first.groups.len()).then(|| {
            let edge = self.first.edge(before, after);
            let words = self.first.as_written(before, after, edge.and_then(|edge| edge.threshold));
            (edge.map_or(At::NOWHERE, |edge| edge.at), words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};
    use crate::sequence::{Form, Process, parse};

    fn inventory() -> Inventory {
        let text =
            r#"{"nodes":[{"name":"n1"},{"name":"n2","boot_server":"n1"},{"name":"n3","boot_server":"n2"}]}"#;
        read(&Source { name: "i", text }, Format::Json, &Outside::default()).unwrap()
    }

    fn sequence(name: &str, text: &str) -> Sequence {
        parse(&Source { name, text }, Some(&inventory())).map_err(|d| d.to_string()).unwrap()
    }

    const START: &str = "a: n1\nb: n2\nc: n3\na > b > c\n";

    #[test]
    fn a_copy_is_told_from_a_mirror_image_under_any_names() {
        let start = sequence("cstartSeq", START);
        let same = |text: &str| states_the_same(&start, &sequence("cshutSeq", text), &inventory());
        assert!(same(START));
        assert!(same("x: n1 n2\ny: n3\nx > y\n"));
        assert!(!same("a: n1\nb: n2\nc: n3\nc > b > a\n"));
        assert!(!same("a: n1\nb: n2\nc: n3\nc > b\na > c\n"), "only one pair is alike");
        assert!(!same(""));
        assert!(!states_the_same(&sequence("cstartSeq", ""), &sequence("cshutSeq", START), &inventory()));
    }

    #[test]
    fn a_single_pair_ordered_alike_is_found_with_both_lines() {
        let start = sequence("cstartSeq", START);
        let shutdown = sequence("cshutSeq", "late: n1\nb: n2\nc: n3\nc > b\nlate > b\n").mirrored();
        let found = conflicts(&start, &shutdown, &inventory());
        assert_eq!(found.len(), 1);
        let said = found[0].to_string();
        assert!(said.starts_with("cshutSeq:5:1: "), "{said}");
        assert!(said.contains("cstartSeq:4:1: a > b"), "{said}");
    }

    #[test]
    fn what_contradicts_the_inventory_and_what_it_lacks_is_drift() {
        let inventory = inventory();
        let default =
            Sequence::from_inventory(&inventory, &["boot_server"], Process::Startup, Form::Each).unwrap();
        let found = drift(&sequence("cstartSeq", "a: n2\nb: n1\na > b\n"), &default, &inventory);
        assert_eq!(found.unlisted.len(), 1);
        assert!(
            found.contradictions[0]
                .to_string()
                .starts_with("cstartSeq:3:1: \"a > b\" contradicts the inventory; n1")
        );
        assert!(drift(&sequence("cstartSeq", START), &default, &inventory).contradictions.is_empty());
    }

    #[test]
    fn why_names_every_statement_with_its_line() {
        let inventory = inventory();
        let start = sequence("cstartSeq", START);
        let order = start.order(&inventory).unwrap();
        let chain = start.explain(&order, NodeId(2), NodeId(0)).unwrap();
        assert_eq!(
            start.explanation(&chain, &inventory),
            "cstartSeq:1:4: n1 is in a\ncstartSeq:4:1: a > b\ncstartSeq:4:5: b > c\ncstartSeq:3:4: n3 is in c\n"
        );
        assert_eq!(start.explain(&order, NodeId(0), NodeId(2)), None);
    }
}
