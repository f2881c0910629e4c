//! What is said at the deadline where not all nodes are down: what still goes on, and what that means.

use orderly_nodes::site::{Site, fold};
use orderly_nodes::telling::Telling;

use orderly_plan::drivers::NodeId;
use orderly_plan::run::Run;
use orderly_plan::shutdown::Shutdown;
use std::time::Duration;

/// Says it once for each deadline that passes.
#[derive(Debug, Default)]
pub(super) struct Overtime {
    said: Option<Duration>,
}

impl Overtime {
    /// Looks whether the deadline has passed; `last` is what goes down after all nodes of the run.
    pub(super) fn look(
        &mut self,
        now: Duration,
        deadline: Duration,
        (run, last): (&Shutdown<'_>, &[NodeId]),
        site: &Site,
        telling: &mut Telling<'_>,
    ) {
        if now < deadline || self.said == Some(deadline) || run.is_over() {
            return;
        }
        self.said = Some(deadline);
        telling.warn("the time is over; the shutdown goes on until all nodes are down");
        telling.warn("a node that still runs loses what it has not written if its power is cut");
        let (told, mut waits): (Vec<_>, Vec<_>) = run.unfinished().partition(|(_, told, _)| told.is_some());
        let nodes = |some: &[(NodeId, Option<Duration>, Option<Duration>)]| -> Vec<NodeId> {
            some.iter().map(|(node, ..)| *node).collect()
        };
        if !told.is_empty() {
            telling.warn(&format!("not down yet: {}", fold(site, &nodes(&told))));
        }
        waits.retain(|(node, ..)| !site.is_unit(*node));
        let waits = [nodes(&waits), last.to_vec()].concat();
        if !waits.is_empty() {
            telling.warn(&format!("not told to halt yet, as they wait for others: {}", fold(site, &waits)));
        }
    }
}
