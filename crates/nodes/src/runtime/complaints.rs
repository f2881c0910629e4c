//! What people should know and no event says: why an answer is unknown, in one line for all of whom the same is to
//! be said.

use crate::roster::{Member, MemberRoster};
use crate::template::fold;
use orderly_plan::drivers::NodeId;
use orderly_plan::words::Words;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a complaint waits for others like it, which come one by one from calls for a node each.
const TOGETHER: Duration = Duration::from_millis(300);

/// What people are still to be told.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// By what is to be said, in the words for the first, the nodes.
    of_nodes: BTreeMap<Words, Vec<NodeId>>,
    due: Option<Instant>,
    plain: Vec<String>,
}

impl Complaints {
    /// Has something told that is of no node.
    pub(crate) fn warn(&mut self, line: String) {
        self.plain.push(line);
    }

    /// Has something told of a node; those of whom the same is said share a line.
    pub(crate) fn complain(&mut self, said: Words, node: NodeId) {
        self.due.get_or_insert_with(|| Instant::now() + TOGETHER);
        self.of_nodes.entry(said).or_default().push(node);
    }

    /// Returns when people are to be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Has everything told at the next occasion.
    pub(crate) fn hurry(&mut self) {
        self.due = self.due.map(|_| Instant::now());
    }

    /// Takes the lines that are due.
    pub(crate) fn take(&mut self, roster: &MemberRoster) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.plain);
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            lines.extend(std::mem::take(&mut self.of_nodes).into_iter().map(|(said, nodes)| {
                let members: Vec<&Member> = nodes.iter().map(|&node| roster.member(node)).collect();
                format!("{}: {}", fold(&members), said.of_count(members.len()))
            }));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_plan::inventory::{Inventory, Node};
    use std::collections::BTreeSet;

    fn told(names: &[&str], said: impl Fn(&Member) -> Words) -> Vec<String> {
        let node = |&name: &&str| Node { name: name.to_owned(), ..Node::default() };
        let mut roster =
            MemberRoster::of(&Inventory::new(names.iter().map(node).collect()), &BTreeSet::new());
        let mut complaints = Complaints::default();
        for at in 0..names.len() {
            let id = NodeId(u32::try_from(at).unwrap());
            roster.set_bmc(id, format!("10.1.0.{at}"));
            complaints.complain(said(roster.member(id)), id);
        }
        complaints.hurry();
        complaints.take(&roster)
    }

    /// Each controller has its own address, and thirty with a wrong password were thirty lines; so were sixteen nodes
    /// of one controller that hung, alike but for a name.
    #[test]
    fn the_same_complaint_of_many_nodes_is_one_line() {
        let by_address =
            |node: &Member| node.words(format!("ipmitool -H {} status: no", node.bmc.as_deref().unwrap()));
        let by_name = |node: &Member| node.words(format!("powerman -x -q {}: exit status 211", node.name));
        assert_eq!(told(&["n1"], by_address), ["n1: ipmitool -H 10.1.0.0 status: no"]);
        assert_eq!(
            told(&["n1", "n2"], by_address),
            ["n[1-2]: ipmitool -H 10.1.0.0 status: no (the others alike)"]
        );
        assert_eq!(
            told(&["n1", "n2"], by_name),
            ["n[1-2]: powerman -x -q n1: exit status 211 (the others alike)"]
        );
        let by_both = |_: &Member| Words::from("powerman -x -q n[1-2]: exit status 211");
        assert_eq!(told(&["n1", "n2"], by_both), ["n[1-2]: powerman -x -q n[1-2]: exit status 211"]);
    }
}
