//! Questions to power controllers wait for the look ahead, and come out of it here.

use super::Wires;
use super::route::{Asks, Route};
use crate::fleet::ahead::Ahead;
use crate::power::{SILENT, wanted};
use crate::template::fold;
use orderly_exec::job::Ended;
use orderly_plan::fleet::{Event, NodeId, Power, Task};
use std::collections::{BTreeMap, VecDeque};

impl Wires {
    /// Returns what a task is for a node once its controller has been looked at.
    pub(super) fn after_a_look(&mut self, task: Task, node: NodeId) -> Route {
        let route = self.route(task, node);
        if !matches!(route, Route::Process(_, Asks::Controller)) || wanted(task).is_some() {
            return route;
        }
        match self.ahead.verdict(task, node) {
            Ahead::Go => route,
            Ahead::Look => {
                self.ahead.look(&mut self.children, task, node);
                Route::Looked
            }
            Ahead::Silent if self.has_room_to_try() && self.ahead.is_tried_now(node) => route,
            Ahead::Silent => {
                if self.remember_silence(node, SILENT) {
                    self.silent.push(node);
                }
                Route::Known(Event::answer(task, node, Err(super::told_to_end())))
            }
        }
    }

    /// Tells whether one more silent controller may be asked in earnest: an eighth of all processes.
    fn has_room_to_try(&self) -> bool {
        let nodes = self.calls.values().flat_map(|call| &call.nodes);
        let trying = nodes.filter(|node| self.ahead.is_silent(**node)).count();
        self.calls.len() < self.fanout && trying < (self.fanout / 8).max(1)
    }

    /// Tells whether a node can be asked in one process with another.
    pub(super) fn goes_with(&self, task: Task, node: NodeId, first: NodeId) -> bool {
        node == first || (!self.ahead.is_silent(first) && self.ahead.verdict(task, node) == Ahead::Go)
    }

    /// Goes on with the questions whose controllers have been looked at, as far as the limits allow.
    pub(super) fn go_on_after_looks(&mut self) {
        let mut by_task: BTreeMap<Task, VecDeque<NodeId>> = BTreeMap::new();
        for (task, node) in self.ahead.take_decided() {
            by_task.entry(task).or_default().push_back(node);
        }
        for (task, mut nodes) in by_task {
            self.begin(task, &mut nodes);
            self.ahead.keep(task, nodes);
        }
    }

    /// Answers for the questions that wait for a look.
    pub(super) fn end_looking(&mut self) {
        for (task, node) in self.ahead.end() {
            self.answers.push(Event::answer(task, node, Err(super::told_to_end())));
        }
    }

    /// Ends the look ahead when one that took no ping answers all the same.
    pub(super) fn heed_answers_of_silent(&mut self, nodes: &[NodeId], ended: &Ended) {
        if !nodes.iter().any(|node| self.ahead.is_silent(*node)) {
            return;
        }
        let powers = self.powers(nodes.to_vec(), ended);
        let is_known =
            |(node, power): &(NodeId, Power)| *power != Power::Unknown && self.ahead.is_silent(*node);
        if let Some((node, _)) = powers.into_iter().find(is_known) {
            self.warnings.push(format!(
                "{}: the controller takes no pings and answers all the same, so nobody's silence counts any \
                 more (power.look_ahead = false saves the wait)",
                self.wiring.roster.name(node)
            ));
            self.ahead.refute();
        }
    }

    /// Returns what people should know of those that are silent, in one line.
    pub(super) fn silence(&mut self) -> Option<String> {
        let silent = std::mem::take(&mut self.silent);
        (!silent.is_empty()).then(|| {
            let nodes = fold(&self.members(&silent));
            format!("{nodes}: power unknown: {SILENT} pings (RMCP); is it powered, and is its address right?")
        })
    }
}
