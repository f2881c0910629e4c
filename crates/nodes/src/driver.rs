//! What a driver is to the dispatcher: it begins tasks, hears of its processes, and wakes when something is due.

pub(crate) mod kind;
pub(crate) mod own_type;

use crate::runtime::Runtime;
use orderly_exec::children::{ChildId, ChildOutput};
use orderly_exec::job::Ended;
use orderly_plan::drivers::{Failure, NodeId, Task};
use std::collections::VecDeque;
use std::time::Instant;

/// What came of beginning a task.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Begun, or answered, on these nodes; they are taken out of those that were offered.
    On(Vec<NodeId>),
    /// Not on this node now, because its controller is busy; others may begin.
    Later,
    /// Not on any node now.
    Full,
}

/// Carries out tasks and owns what it needs for that: its calls, its timers, what it knows of nodes.
pub(crate) trait Driver {
    /// Begins a task on the node at the place `at`, and on others of `nodes` that go into the same call.
    fn begin(&mut self, runtime: &mut Runtime, task: Task, nodes: &mut VecDeque<NodeId>, at: usize) -> Begun;

    /// Takes the end of one of its processes.
    fn ended(&mut self, runtime: &mut Runtime, id: ChildId, ended: Ended);

    /// Takes what one of its processes says while it runs.
    fn heard(&mut self, _runtime: &mut Runtime, _id: ChildId, _said: &ChildOutput) {}

    /// Takes a descriptor that is ready; tells whether it was its own.
    fn ready(&mut self, _runtime: &mut Runtime, _watch: u64) -> bool {
        false
    }

    /// Does what is due.
    fn do_due(&mut self, runtime: &mut Runtime);

    /// Returns when something is due next.
    fn wake(&self, runtime: &Runtime) -> Option<Instant>;

    /// Answers for all that waits; its processes were told to end, and their ends are still heard of.
    fn end_all(&mut self, runtime: &mut Runtime);

    /// Answers for everything with a failure: nothing will be heard of any more.
    fn lose_all(&mut self, runtime: &mut Runtime, failure: &Failure);
}
