//! What is known of answers that say nothing, and what people are still to be told of it.

use crate::power::UNLISTED;
use orderly_plan::fleet::{Failure, FailureKind, NodeId, Teller};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long a complaint waits for others like it, which come one by one from calls for a node each.
const TOGETHER: Duration = Duration::from_millis(300);

/// What is known of answers that say nothing.
#[derive(Debug, Default)]
pub(super) struct Unknowns {
    /// By node: why its power is unknown.
    pub(super) power: HashMap<NodeId, Failure>,
    /// What a probe met instead of an answer.
    pub(super) probe: HashMap<NodeId, Failure>,
    /// Profiles in which an answer of a status was understood: their form is right.
    pub(super) understood: HashSet<u32>,
    /// Nodes of which it was said why their power, and their probe, is unknown.
    pub(super) told: [HashSet<NodeId>; 2],
    /// By what is to be said: the words for the first, and the nodes.
    pub(super) complaints: BTreeMap<String, (String, Vec<NodeId>)>,
    pub(super) due: Option<Instant>,
}

impl Unknowns {
    /// Returns when people are to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Remembers why the power of a node is unknown; tells whether that is the first word of it. A wrong
    /// password stays the reason: controllers turn busy or silent after a few of them. So do words after
    /// which only a status without any came.
    pub(super) fn remember(&mut self, node: NodeId, why: Failure) -> bool {
        let stays = self.power.get(&node).is_some_and(|before| {
            before.kind == FailureKind::Authentication || (why.name.is_none() && before.name.is_some())
        });
        if !stays {
            self.power.insert(node, why);
        }
        self.told[0].insert(node)
    }

    pub(super) fn complain(&mut self, key: String, said: String, node: NodeId) {
        self.due.get_or_insert(Instant::now() + TOGETHER);
        self.complaints.entry(key).or_insert_with(|| (said, Vec::new())).1.push(node);
    }
}

/// Returns the failure of a node that powermand does not have.
pub(super) fn unlisted_failure() -> Failure {
    Failure::of_call(Teller::Power, FailureKind::Misconfigured, String::new(), UNLISTED)
}
