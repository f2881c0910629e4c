//! Nodes that do not answer a survey, and when they are left behind.

use crate::drivers::NodeId;
use crate::graph::Order;
use std::time::Duration;

/// The least time that silent nodes are waited for after the last answer. Sound controllers take a
/// second or two under load; a call cut off sooner would often have been answered.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who may be left behind, who was, and what was heard of all.
#[derive(Debug, Default)]
pub(super) struct Silence<'o> {
    order: Option<&'o Order>,
    /// Those that may be left behind when they do not answer their probes, or say what their power is; sorted.
    excused: [Vec<NodeId>; 2],
    /// Known to be away, sorted: nothing depends on what these say.
    pub(super) absent: Vec<NodeId>,
    /// Sorted.
    pub(super) behind: Vec<NodeId>,
    /// Questions to nodes left behind, whose answers count no more.
    pub(super) void: usize,
    /// When the questions under way were begun, when the last answer came, and how many there were.
    began: Duration,
    heard: Duration,
    answers: usize,
    /// After so many answers it was found that silent nodes must be waited for.
    insisted: usize,
}

impl<'o> Silence<'o> {
    /// Lets these be left behind when they do not answer their probes, or say what their power is.
    pub(super) fn excuse(&mut self, order: &'o Order, probes: Vec<NodeId>, powers: Vec<NodeId>) {
        self.order = Some(order);
        self.excused = [probes, powers];
        self.excused.iter_mut().for_each(|nodes| nodes.sort_unstable());
    }

    /// Takes note that the first questions are under way.
    pub(super) fn begin(&mut self, now: Duration) {
        (self.began, self.heard) = (now, now);
    }

    /// Takes note of an answer; one that nobody waits for is that of a node left behind.
    pub(super) fn heard(&mut self, awaited: bool, now: Duration) {
        if awaited {
            self.answers += 1;
            self.heard = now;
        } else {
            self.void = self.void.saturating_sub(1);
        }
    }

    /// Returns when nodes that are silent now are left behind, unless an answer comes before.
    pub(super) fn ends(&self) -> Option<Duration> {
        let may_leave = self.order.is_some() || !self.absent.is_empty();
        (may_leave && self.answers > self.insisted)
            .then(|| self.heard + PATIENCE.max(self.heard.saturating_sub(self.began)))
    }

    /// Leaves silent nodes behind, whose questions are void from then on; tells whether that may be: not where
    /// something depends on what one of them says.
    pub(super) fn leave(
        &mut self,
        silent: &[NodeId],
        is_probing: bool,
        void: usize,
        is_up: impl Fn(&NodeId) -> bool,
    ) -> bool {
        let excused = &self.excused[usize::from(!is_probing)];
        let missed: Vec<NodeId> =
            silent.iter().copied().filter(|node| self.absent.binary_search(node).is_err()).collect();
        if missed.iter().any(|node| excused.binary_search(node).is_err())
            || self.order.is_some_and(|order| order.all_trailing(&missed).iter().any(is_up))
        {
            self.insisted = self.answers;
            return false;
        }
        self.behind.extend(silent);
        self.behind.sort_unstable();
        self.void += void;
        true
    }
}
