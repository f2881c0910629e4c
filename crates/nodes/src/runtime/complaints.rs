//! What people should know and no event says: why an answer is unknown, in one line for all of whom the same is to
//! be said.

use crate::roster::{Member, Roster};
use crate::template::fold;
use orderly_plan::drivers::NodeId;
use orderly_plan::report;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a complaint waits for others like it, which come one by one from calls for a node each.
const TOGETHER: Duration = Duration::from_millis(300);

/// What people are still to be told.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// By what is to be said: the words for the first, and the nodes.
    of_nodes: BTreeMap<String, (String, Vec<NodeId>)>,
    due: Option<Instant>,
    plain: Vec<String>,
}

impl Complaints {
    /// Has something told that is of no node.
    pub(crate) fn warn(&mut self, line: String) {
        self.plain.push(line);
    }

    /// Has something told of a node; those with the same key share a line.
    pub(crate) fn complain(&mut self, key: String, said: String, node: NodeId) {
        self.due.get_or_insert_with(|| Instant::now() + TOGETHER);
        self.of_nodes.entry(key).or_insert_with(|| (said, Vec::new())).1.push(node);
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
    pub(crate) fn take(&mut self, roster: &Roster) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.plain);
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            lines.extend(std::mem::take(&mut self.of_nodes).into_iter().map(|(key, (said, nodes))| {
                let members: Vec<&Member> = nodes.iter().map(|&node| roster.member(node)).collect();
                line(&key, &said, &members)
            }));
        }
        lines
    }
}

/// Returns what people read of nodes that told nothing, in the words that were said of the first.
fn line(key: &str, said: &str, nodes: &[&Member]) -> String {
    let said = report::of_all(key, nodes.iter().map(|_| said));
    format!("{}: {said}", fold(nodes))
}

/// Returns what was run for one node without its name, and without the address of its controller.
pub(crate) fn without_own(detail: &str, node: &Member) -> String {
    let detail = match &node.bmc {
        Some(bmc) => report::without_name(detail, bmc),
        None => detail.to_owned(),
    };
    report::without_name(&report::without_name(&detail, &node.address), &node.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;

    /// Each controller has its own address, and thirty with a wrong password were thirty lines.
    #[test]
    fn the_address_of_its_controller_keeps_no_complaint_apart() {
        let node = |name: &str, number, bmc: &str| Member { bmc: Some(bmc.into()), ..member(name, number) };
        let (one, two) = (node("n1", 1, "10.1.0.1"), node("n2", 2, "10.1.0.2"));
        let whole = "power unknown: ipmitool -H 10.1.0.1 status: no";
        let said = without_own(whole, &one);
        assert_eq!(said, without_own("power unknown: ipmitool -H 10.1.0.2 status: no", &two));
        assert_eq!(line(&said, whole, &[&one]), "n1: power unknown: ipmitool -H 10.1.0.1 status: no");
    }

    /// Sixteen nodes of one controller that hung were sixteen lines, alike but for a name.
    #[test]
    fn the_same_complaint_of_many_nodes_is_one_line() {
        let (one, two) = (member("n1", 1), member("n2", 2));
        let said = "power unknown: powerman -x -q n1: exit status 211";
        let key = without_own(said, &one);
        assert_eq!(line(&key, said, &[&one]), format!("n1: {said}"));
        assert_eq!(line(&key, said, &[&one, &two]), format!("n[1-2]: {said} (the others alike)"));
    }
}
