//! Proof of a restart where power cannot be switched: the kernel's boot id, read before and after.
//!
//! A probe that was down and is up again may have been a service that was restarted; and a node that
//! is quick may never have been seen down. Where the id cannot be read, the probe decides alone.

use crate::each::Script;
use orderly_nodes::boot;
use orderly_nodes::fleet::Drivers;
use orderly_plan::fleet::{BootId, Fleet, NodeId};
use orderly_plan::machine::{Ending, Outcome};
use std::collections::BTreeMap;

/// What nodes said before they were told to restart.
#[derive(Debug)]
pub(crate) struct Before {
    ids: BTreeMap<NodeId, BootId>,
    fanout: usize,
}

impl Before {
    /// Reads the boot ids of those that restart by themselves; and the signal that came meanwhile.
    pub(crate) fn read(nodes: &[NodeId], fanout: usize, drivers: &mut Drivers) -> (Self, Option<i32>) {
        let by_itself: Vec<NodeId> =
            nodes.iter().copied().filter(|&node| !drivers.abilities(node).switches_power).collect();
        let (ids, signal) = read(&by_itself, fanout, drivers);
        (Self { ids, fanout }, signal)
    }

    /// Corrects what was found by probes alone; returns a line for each node that was corrected.
    pub(crate) fn judge(&self, endings: &mut [Ending], drivers: &mut Drivers) -> Vec<(NodeId, &'static str)> {
        let in_question = |ending: &&Ending| {
            self.ids.contains_key(&ending.node)
                && matches!(ending.outcome, Outcome::Restarted | Outcome::TimedOut(_))
        };
        let nodes: Vec<NodeId> = endings.iter().filter(in_question).map(|ending| ending.node).collect();
        let (after, _) = read(&nodes, self.fanout, drivers);
        let mut corrected = Vec::new();
        for ending in endings {
            let ids = (self.ids.get(&ending.node), after.get(&ending.node));
            let (Some(before), Some(after)) = ids else { continue };
            if before == after && ending.outcome == Outcome::Restarted {
                let detail = "up again with the same boot id: it was not restarted";
                ending.outcome = Outcome::Failed(detail.to_owned());
                corrected.push((ending.node, detail));
            } else if before != after && matches!(ending.outcome, Outcome::TimedOut(_)) {
                ending.outcome = Outcome::Restarted;
                corrected.push((ending.node, "never seen down, and restarted: its boot id changed"));
            }
        }
        corrected
    }
}

fn read(nodes: &[NodeId], fanout: usize, drivers: &mut Drivers) -> (BTreeMap<NodeId, BootId>, Option<i32>) {
    let script = Script { lines: boot::COMMAND, stdin: "", timeout: boot::TIMEOUT, fanout };
    let (answers, signal) = script.run(nodes, drivers);
    let ids = answers.into_iter().filter_map(|(node, result)| {
        let ended = result.ok().filter(|ended| ended.succeeded())?;
        Some((node, boot::id(&ended.text())?))
    });
    (ids.collect(), signal)
}
