//! A command on each of many nodes, no more at a time than the run may have processes.

use orderly_exec::job::Ended;
use orderly_nodes::backend::Backend;
use orderly_nodes::command::{CommandId, RunsOn, SideCommand};
use orderly_plan::drivers::{Event, Failure, NodeId};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What is run, and within which limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'s> {
    /// Lines for `sh -c`.
    pub lines: &'s str,
    /// How long a node may take.
    pub timeout: Duration,
    /// How many run at a time.
    pub fanout: usize,
}

/// How it ended on a node.
pub(crate) type NodeAnswer = (NodeId, Result<Ended, Failure>);

impl Script<'_> {
    /// Runs it on each node that can run one; returns how it ended on those it was begun on, and the
    /// signal that came meanwhile, after which it is begun on no more and what runs is ended.
    pub(crate) fn run(&self, nodes: &[NodeId], drivers: &mut dyn Backend) -> (Vec<NodeAnswer>, Option<i32>) {
        let able = |node: &NodeId| drivers.abilities(*node).runs_commands;
        let mut to_begin: VecDeque<NodeId> = nodes.iter().copied().filter(able).collect();
        let mut running: BTreeMap<CommandId, NodeId> = BTreeMap::new();
        let (mut answers, mut came) = (Vec::new(), None);
        loop {
            let together = |node: Option<&NodeId>| node.is_some_and(|&node| drivers.takes_many(node));
            let mut begin = Vec::new();
            while running.len() + begin.len() < self.fanout.max(1) || together(to_begin.front()) {
                let Some(node) = to_begin.pop_front() else { break };
                begin.push(node);
            }
            for node in begin {
                running.insert(drivers.start(&self.command(node)), node);
            }
            if running.is_empty() {
                return (answers, came);
            }
            for event in drivers.next(None) {
                if let Event::Signal(signal) = event {
                    came = came.or(Some(signal));
                    to_begin.clear();
                    drivers.end_all();
                }
            }
            for (id, result) in drivers.take_ended() {
                if let Some(node) = running.remove(&id) {
                    answers.push((node, result));
                }
            }
        }
    }

    fn command(&self, node: NodeId) -> SideCommand {
        SideCommand {
            on: RunsOn::Node(node),
            argv: ["sh", "-c", self.lines].map(str::to_owned).to_vec(),
            stdin: Vec::new(),
            timeout: self.timeout,
        }
    }
}
