//! One command on many nodes at once, in no order: users are told, users' processes are ended.

use crate::drivers::{Drivers, Event, Failure, FailureKind, NodeId, RemoteCommand, Task};
use crate::machine::{Busy, Ending, Happening, Machine, Notice, Outcome, Stand};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Runs a remote command once on each node.
#[derive(Debug)]
pub struct Round {
    remote: RemoteCommand,
    to_begin: VecDeque<NodeId>,
    endings: BTreeMap<NodeId, Ending>,
    notices: Vec<Notice>,
    outstanding: usize,
    left: usize,
    interrupted: bool,
}

impl Round {
    pub fn new(remote: RemoteCommand, nodes: &[NodeId]) -> Self {
        let skipped = |&node| {
            (node, Ending { node, outcome: Outcome::Skipped, began: None, ended: None, let_go: false })
        };
        Self {
            remote,
            to_begin: nodes.iter().copied().collect(),
            endings: nodes.iter().map(skipped).collect(),
            notices: Vec::new(),
            outstanding: 0,
            left: nodes.len(),
            interrupted: false,
        }
    }

    /// Returns the nodes on which it did not succeed, with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.endings.values().filter_map(|ending| Some((ending.node, ending.outcome.detail()?)))
    }

    fn doing(&self) -> &'static str {
        match self.remote {
            RemoteCommand::Notify => "telling its users",
            RemoteCommand::EndUsers => "ending its users' processes",
            RemoteCommand::Halt
            | RemoteCommand::Restart
            | RemoteCommand::Maintenance
            | RemoteCommand::ReadBootId => "being told",
        }
    }

    fn end(&mut self, node: NodeId, now: Duration, result: Result<(), Failure>) {
        let Some(ending) = self.endings.get_mut(&node) else { return };
        if ending.ended.is_none() {
            self.left -= 1;
        }
        ending.ended = Some(now);
        ending.outcome = match result {
            // The node stands as it stood; only a failure is worth telling.
            Ok(()) => Outcome::Up,
            Err(failure) => {
                let what = Happening::Missed(Task::Run(self.remote), failure.clone());
                self.notices.push(Notice { at: now, node, what });
                failure.into()
            }
        };
    }
}

impl Machine for Round {
    fn advance(&mut self, drivers: &mut dyn Drivers) {
        if self.interrupted || self.to_begin.is_empty() {
            return;
        }
        let now = drivers.now();
        let (mute, able): (VecDeque<NodeId>, VecDeque<NodeId>) =
            self.to_begin.drain(..).partition(|&node| !drivers.abilities(node).runs_commands);
        self.to_begin = able;
        for node in mute {
            let detail = "no command can be run on it: it has no shell driver".to_owned();
            self.end(node, now, Err(Failure::own(FailureKind::NotStarted, detail)));
        }
        if !self.to_begin.is_empty() {
            self.outstanding += drivers.begin(Task::Run(self.remote), &mut self.to_begin).len();
        }
    }

    fn hear(&mut self, event: &Event, now: Duration) {
        let Event::Ended(node, task, result) = event else { return };
        if *task == Task::Run(self.remote) {
            self.outstanding = self.outstanding.saturating_sub(1);
            self.end(*node, now, result.clone());
        }
    }

    fn wake(&self) -> Option<Duration> {
        None
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        self.to_begin.clear();
    }

    fn is_over(&self) -> bool {
        if self.interrupted { self.outstanding == 0 } else { self.left == 0 }
    }

    fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn stand(&self, _now: Duration) -> Stand {
        let waiting = self.endings.values().filter(|ending| ending.ended.is_none());
        let busy = |ending: &Ending| Busy {
            node: ending.node,
            doing: self.doing(),
            since: Duration::ZERO,
            last: String::new(),
        };
        Stand {
            phase: self.doing(),
            done: self.endings.len() - self.left,
            failed: self.failures().count(),
            held: 0,
            total: self.endings.len(),
            busy: waiting.map(busy).collect(),
            ..Stand::default()
        }
    }

    fn endings(&self) -> Vec<Ending> {
        self.endings.values().cloned().collect()
    }
}
