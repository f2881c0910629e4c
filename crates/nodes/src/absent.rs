//! Nodes that are known to be away (`absent`, `absent_file`): they are asked once. One that answers is like any other;
//! a silent one counts as down and is waited for by nobody.
//!
//! That it counts as down holds for the sequence alone. Whether a unit may be switched off is decided by what was read.

pub(crate) mod list;

use crate::site::{Site, fold};
use orderly_plan::drivers::{NodeId, Power};
use orderly_plan::survey::{Condition, Reading};

/// What was heard of the nodes that are listed as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Absence {
    /// Neither up nor on, as far as is known; sorted.
    pub silent: Vec<NodeId>,
    /// Up or on; sorted.
    pub answering: Vec<NodeId>,
}

impl Absence {
    /// Returns what was heard of those of a site; those that were not asked are neither.
    pub fn of(site: &Site, readings: &[Reading]) -> Self {
        let asked = |node: &&NodeId| readings[node.index()] != Reading::default();
        let answers = |node: &NodeId| {
            let reading = readings[node.index()];
            // One whose probe is not understood and whose power is on is there all the same.
            reading.condition() == Condition::Up || reading.power == Some(Power::On)
        };
        let (answering, silent) = site.absent.iter().filter(asked).copied().partition(answers);
        Self { silent, answering }
    }

    pub fn is_silent(&self, node: NodeId) -> bool {
        self.silent.binary_search(&node).is_ok()
    }

    /// Returns how nodes stand as far as the sequence is concerned.
    pub fn judged(&self, conditions: &[Condition]) -> Vec<Condition> {
        let mut judged = conditions.to_vec();
        self.silent.iter().for_each(|node| judged[node.index()] = Condition::Down);
        judged
    }

    /// Returns what people are told at first: who is there after all.
    pub fn remark(&self, site: &Site) -> Option<String> {
        let nodes = fold(site, &self.answering);
        match self.answering.len() {
            0 => None,
            1 => Some(format!("{nodes} is listed as absent and answers: it counts as any other")),
            _ => Some(format!("{nodes} are listed as absent and answer: they count as any other")),
        }
    }

    /// Parts what was asked for: the nodes that a run is about, and those that are away.
    pub fn part(&self, targets: Vec<NodeId>) -> (Vec<NodeId>, Vec<NodeId>) {
        targets.into_iter().partition(|node| !self.is_silent(*node))
    }
}

/// Returns the line about a start of which all targets are away.
pub fn nobody(site: &Site, away: &[NodeId]) -> String {
    let nodes = fold(site, away);
    format!("nothing is started: all targets are absent: {nodes}; to start them all the same: --even-absent")
}

/// Returns the line about targets that are away, for the end of a run.
pub fn line(site: &Site, away: &[NodeId]) -> Option<String> {
    (!away.is_empty()).then(|| format!("absent, and not waited for: {}", fold(site, away)))
}
