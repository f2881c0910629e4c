//! A sequence as a graph for Graphviz: groups, their order, and the nodes by which groups hang together.

use orderly_plan::drivers::NodeId;
use orderly_plan::graph::GroupId;
use orderly_plan::name::Roster;
use orderly_plan::nodeset;
use orderly_plan::sequence::{Sequence, Spelling};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The class is for pictures, whose colours follow the background.
const RED: &str = "color = red, class = cycle";

/// Returns the graph. An order that is stated twice is one arrow; how many
/// of a group are enough stands at it. Groups that share nodes are joined by a dashed line
/// without an arrow, which names the nodes: that is how one level of servers leads to the next.
///
/// What makes a cycle is red.
pub(crate) fn graph(sequence: &Sequence, roster: &dyn Roster) -> String {
    let cycles = sequence.cycling(roster);
    let mut text = String::from("digraph sequence {\n    rankdir = LR\n    node [shape = box]\n");
    // Writing to a String cannot fail.
    for id in sequence.group_ids() {
        let name = quoted(sequence.group_name(id));
        let members = quoted(&sequence.words(id, roster, Spelling::Folded).join(" "));
        writeln!(text, "    \"{name}\" [label = \"{name}\\n{members}\"]").ok();
    }
    let mut drawn = BTreeSet::new();
    for edge in sequence.edges() {
        if drawn.insert((edge.before, edge.after, edge.threshold)) {
            let (before, after) = (sequence.group_name(edge.before), sequence.group_name(edge.after));
            let label = edge.threshold.map(|enough| format!("label = \"({enough})\""));
            let red = cycles.orders.contains(&(edge.before, edge.after)).then(|| RED.to_owned());
            let stated: Vec<String> = label.into_iter().chain(red).collect();
            let stated = if stated.is_empty() { String::new() } else { format!(" [{}]", stated.join(", ")) };
            writeln!(text, "    \"{}\" -> \"{}\"{stated}", quoted(before), quoted(after)).ok();
        }
    }
    for ((one, other), shared) in shared(sequence, roster.count()) {
        let names = [one, other].map(|group| quoted(sequence.group_name(group)));
        let nodes = quoted(&nodeset::fold(shared.iter().map(|node| roster.name(*node))));
        let is_red = [(one, other), (other, one)].iter().any(|pair| cycles.joints.contains(pair));
        let red = if is_red { format!(", {RED}") } else { String::new() };
        writeln!(
            text,
            "    \"{}\" -> \"{}\" [label = \"{nodes}\", style = dashed, dir = none{red}]",
            names[0], names[1]
        )
        .ok();
    }
    text.push_str("}\n");
    text
}

/// Returns the nodes that are in several groups, by the groups that they join. The groups of a node are joined one to
/// the next and not each to each, which would be their square.
fn shared(sequence: &Sequence, nodes: usize) -> BTreeMap<(GroupId, GroupId), Vec<NodeId>> {
    let ends: BTreeSet<GroupId> = sequence.edges().iter().map(|edge| edge.after).collect();
    let mut groups_of: Vec<Vec<GroupId>> = vec![Vec::new(); nodes];
    for id in sequence.group_ids() {
        for member in &sequence.group(id).members {
            groups_of[member.node.index()].push(id);
        }
    }
    let mut shared: BTreeMap<(GroupId, GroupId), Vec<NodeId>> = BTreeMap::new();
    for (groups, node) in groups_of.iter_mut().zip(0..) {
        // The group in which a node comes after others stands left of the one in which it comes before others.
        groups.sort_by_key(|id| (!ends.contains(id), *id));
        for pair in groups.windows(2) {
            shared.entry((pair[0], pair[1])).or_default().push(NodeId(node));
        }
    }
    shared
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
