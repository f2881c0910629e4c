//! What somebody elsewhere asks of a run under way: where nodes stand in it, to stop waiting for one, to wait longer.
//!
//! Invariant: nothing is begun on a node that was given up, and whatever needs it is held
//! (`a_node_given_up_is_left_alone_and_holds_what_needs_it`).

use super::{Moment, NodeCourse, NodeRun, Pace};
use crate::drivers::{Drivers, NodeId};
use crate::duration;
use crate::notice::{Busy, Happening, NodeStanding};
use crate::outcome::{Outcome, Reason};
use crate::progress::Standing;
use std::time::Duration;

impl<C: NodeCourse> NodeRun<'_, C> {
    /// Does [`super::Run::standings`].
    pub(super) fn where_they_stand(&self, nodes: &[NodeId], now: Duration) -> Vec<(NodeId, NodeStanding)> {
        let obstacles = self.progress.obstacles();
        let standing = |&node: &NodeId| {
            let member = self.members.get(node.index())?.as_ref()?;
            let standing = match self.progress.standing(node) {
                _ if member.is_open() => {
                    let at = |timer| self.desk.timers.at(node, timer);
                    NodeStanding::AtWork(member.busy(node, now), member.course.ends_at(&at))
                }
                Standing::Held(_) | Standing::Failed => {
                    NodeStanding::Over(self.ending(node, &obstacles).outcome)
                }
                _ if member.outcome.is_some() => NodeStanding::Over(self.ending(node, &obstacles).outcome),
                Standing::Outside
                | Standing::Waiting
                | Standing::Ready
                | Standing::Begun
                | Standing::Complete => NodeStanding::Waiting(self.progress.waited_for_by(node)),
            };
            Some((node, standing))
        };
        nodes.iter().filter_map(standing).collect()
    }

    /// Does [`super::Run::give_up`]. One that is as was asked although its turn has not come is no worse for that it waits.
    pub(super) fn stop_waiting_for(&mut self, node: NodeId, by: &str, now: Duration) -> bool {
        if !self.is_waited_for(node) {
            return false;
        }
        let Some(Some(member)) = self.members.get_mut(node.index()) else { return false };
        let was = if member.is_open() {
            let Busy { doing, since, last, .. } = member.busy(node, now);
            let last = if last.is_empty() { last } else { format!(" ({last})") };
            format!("{} for {}{last}", doing.words(), duration::show(now.saturating_sub(since)))
        } else if member.course.as_found().is_some() {
            return false;
        } else {
            // That it is open is undone by its end.
            self.counts.open += 1;
            "not begun".to_owned()
        };
        self.desk.withdraw_all(node);
        self.kept.retain(|kept| *kept != node);
        let reason = Reason::with_aside(format!("given up by {by}"), &format!("; {was}"));
        let outcome = Outcome::GivenUp(reason);
        self.notice(node, now, Happening::Over(outcome.clone()));
        self.finish(node, outcome, now);
        true
    }

    /// Does [`super::Run::prolong`].
    pub(super) fn wait_longer_for(
        &mut self,
        node: NodeId,
        longer: Option<Duration>,
        drivers: &dyn Drivers,
    ) -> Option<Duration> {
        if !self.is_waited_for(node) {
            return None;
        }
        let is_interrupted = self.pace == Pace::Interrupted;
        let member = self.members.get_mut(node.index())?.as_mut()?;
        let mut moment = Moment::new(drivers, drivers.now(), is_interrupted, node, &mut self.desk);
        member.course.prolong(longer, &mut moment)
    }

    /// Tells whether a node is in the run, and neither over nor held.
    fn is_waited_for(&self, node: NodeId) -> bool {
        let member = self.members.get(node.index()).and_then(Option::as_ref);
        member.is_some_and(|member| member.outcome.is_none())
            && !matches!(self.progress.standing(node), Standing::Held(_) | Standing::Failed)
    }
}
