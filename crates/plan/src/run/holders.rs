//! Whose failures hold a node, and how it ended.

use super::{NodeCourse, NodeRun};
use crate::drivers::NodeId;
use crate::notice::{Happening, Notice};
use crate::outcome::{NodeEnding, Outcome};
use crate::progress::Standing;
use std::sync::Arc;

impl<C: NodeCourse> NodeRun<'_, C> {
    /// Returns who holds a node whose turn will not come; nobody where it is not held, or as was asked all the same.
    pub(super) fn holders(&self, node: NodeId, obstacles: &[Arc<[NodeId]>]) -> Option<Arc<[NodeId]>> {
        let member = self.members[node.index()].as_ref()?;
        if member.outcome.is_some() {
            return None;
        }
        match self.progress.standing(node) {
            Standing::Held(_) if member.course.as_found().is_some() => None,
            Standing::Held(_) if !obstacles[node.index()].is_empty() => Some(obstacles[node.index()].clone()),
            Standing::Held(by) => Some([by].into()),
            // It was let go to, and a node before it was not down in the end.
            Standing::Failed => {
                let failed = |node: &NodeId| self.progress.standing(*node) == Standing::Failed;
                Some(self.order.all_leading(&[node]).into_iter().filter(failed).collect())
            }
            Standing::Outside
            | Standing::Waiting
            | Standing::Ready
            | Standing::Begun
            | Standing::Complete => None,
        }
    }

    /// Names in what is told of held nodes all that hold them by now: several may have failed at once, or one after the
    /// other until too few of a group were left.
    pub(super) fn name_all_holders(&self, notices: &mut [Notice]) {
        let is_held = |notice: &&mut Notice| matches!(notice.what, Happening::Over(Outcome::Held(_)));
        let mut held = notices.iter_mut().filter(is_held).peekable();
        if held.peek().is_none() {
            return;
        }
        let obstacles = self.progress.obstacles();
        for notice in held {
            if let Some(by) = self.holders(notice.node, &obstacles) {
                notice.what = Happening::Over(Outcome::Held(by));
            }
        }
    }

    /// Returns how a node ended, as far as it did.
    pub(super) fn ending(&self, node: NodeId, obstacles: &[Arc<[NodeId]>]) -> NodeEnding {
        let skipped = NodeEnding::skipped(node);
        let Some(member) = &self.members[node.index()] else { return skipped };
        let outcome = match &member.outcome {
            Some(outcome) => outcome.clone(),
            None => match self.holders(node, obstacles) {
                Some(by) => Outcome::Held(by),
                None if matches!(self.progress.standing(node), Standing::Held(_)) => {
                    member.course.as_found().unwrap_or(Outcome::Skipped)
                }
                None => member.course.unfinished().unwrap_or(Outcome::Skipped),
            },
        };
        let (began, ended, let_go) = (member.began, member.ended, member.let_go);
        let left = member.is_open().then_some(self.seen);
        NodeEnding { outcome, began, ended, let_go, left, ..skipped }
    }
}
