//! What a run asks of the nodes and what it hears back: the seam between deciding and doing.
//!
//! `startup` and `shutdown` are pure state machines that speak only in these words. The drivers in
//! `crates/nodes` carry them out on real nodes, the simulator on imagined ones, with a real or a
//! virtual clock; the machines cannot tell the difference. Times are [`Duration`]s since the run
//! began.

use std::collections::VecDeque;
use std::time::Duration;

/// A node of the inventory at hand, by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a power driver says of a node. Unknown is an answer and never means off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    On,
    Off,
    Unknown,
}

/// What a probe says of a node. Unknown is an answer and never means down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Up,
    Down,
    Unknown,
}

/// Something a run can have done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    PowerOn,
    PowerOff,
    Reset,
    /// Answered by [`Event::Power`].
    ReadPower,
    /// Answered by [`Event::Probe`].
    Probe,
    /// A command on the node, through the shell driver.
    Run(Errand),
}

/// What is run on a node through its shell driver: the commands of `[shutdown]` in `cluster.toml`, and
/// the question which boot it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Errand {
    Notify,
    EndUsers,
    Halt,
    Restart,
    Maintenance,
    /// Answered by [`Event::BootId`].
    ReadBootId,
}

/// What tells one boot of a node from the next: the kernel's boot id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId(pub u128);

/// Why a task did not succeed; told apart because each is retried, and mended, in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The command ran and said no.
    Failed,
    /// No answer within the limit.
    TimedOut,
    /// Nothing can be reached there (ssh's 255, no route, no answer).
    Unreachable,
    /// Something is there and takes no connection: it may be starting.
    Refused,
    /// It has too much to do, for now.
    Busy,
    /// It said yes, and nothing changed.
    NoEffect,
    /// It was done, and undone by itself: the power was on and reads off again.
    FellBack,
    /// The password or key was not accepted.
    Authentication,
    /// The driver's program cannot be started.
    NotStarted,
    /// As it is configured it can never succeed: a node that the power program does not know, answers in a form
    /// that is not understood.
    Misconfigured,
    /// The run was told to stop while this was running.
    Ended,
    /// The node is the very machine this run is on, and refused.
    Itself,
}

impl FailureKind {
    /// Returns the word used for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::NoEffect => "no_effect",
            Self::FellBack => "fell_back",
            Self::Authentication => "authentication",
            Self::NotStarted => "not_started",
            Self::Misconfigured => "misconfigured",
            Self::Ended => "ended",
            Self::Itself => "this_machine",
        }
    }

    /// Tells whether nobody heard what was asked.
    pub fn met_nobody(self) -> bool {
        matches!(self, Self::Unreachable | Self::Refused)
    }
}

/// Why a task did not succeed, with the driver's last words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// One line, what was run and what it said last.
    pub detail: String,
}

/// What is known of a node's drivers before anything is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Power can be switched (the power driver is not `none`).
    pub switches_power: bool,
    /// Power can be read (the power driver has a status).
    pub reads_power: bool,
    /// A power driver's "on" means that the power read on, not only that it was asked to go on.
    pub confirms_power: bool,
    /// The power driver has a reset of its own; without one a reset is off, wait for off, on.
    pub resets: bool,
    /// Commands can be run on it (it has a shell driver; units such as shelves have none).
    pub runs_commands: bool,
    /// A probe can tell up from down (the probe driver is not `none`).
    pub probes: bool,
    /// Time between two probes of a node that is waited for.
    pub interval: Duration,
}

/// What a run hears. Each of the first four is the answer to one task that was begun, and no other
/// comes: runs count what is outstanding by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Power(NodeId, Power),
    Probe(NodeId, Probe),
    /// `None` where the node cannot tell.
    BootId(NodeId, Option<BootId>),
    /// A task other than these questions ended.
    Ended(NodeId, Task, Result<(), Failure>),
    /// INT, TERM or HUP was received (the signal's number).
    Signal(i32),
    /// SIGUSR1: somebody wants to see where the run stands.
    Attention,
}

/// The nodes of a run, real or imagined.
pub trait Fleet {
    /// Returns the time since the run began.
    fn now(&self) -> Duration;

    /// Returns what the drivers of `node` can do.
    fn abilities(&self, node: NodeId) -> Abilities;

    /// Begins `task` on as many of `nodes` as the limits allow now, those in front first, removes
    /// them and returns them in the order in which they were begun. A node whose controller is busy
    /// is passed over. What is left is to be offered again after the next event.
    ///
    /// A task that cannot even start is begun too, and heard of as an [`Event::Ended`] with a
    /// failure (or as `Unknown`), so that every node begun is answered for exactly once.
    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId>;

    /// Begins `task` on at most so many nodes, as [`Fleet::begin`] does: one that cannot begin now is
    /// passed over and takes no other's place.
    fn begin_at_most(&mut self, most: usize, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        if most >= nodes.len() {
            return self.begin(task, nodes);
        }
        let (mut begun, mut passed_over) = (Vec::new(), VecDeque::new());
        while begun.len() < most && !nodes.is_empty() {
            let rest = nodes.split_off((most - begun.len()).min(nodes.len()));
            begun.extend(self.begin(task, nodes));
            passed_over.append(nodes);
            *nodes = rest;
        }
        passed_over.append(nodes);
        *nodes = passed_over;
        begun
    }

    /// Ends all running tasks (TERM, grace, KILL); each is still answered for.
    fn end_all(&mut self);

    /// Waits for something to happen, at the longest until `until` (for ever when `None`), and
    /// returns what did, in order. Empty means that `until` has come.
    fn next(&mut self, until: Option<Duration>) -> Vec<Event>;

    /// Returns why what was asked of a node last is unknown, where that is known.
    fn why_unknown(&self, _node: NodeId) -> Option<&str> {
        None
    }

    /// Returns why nothing can ever be heard of a node's power, where that is known: asking again is in vain.
    fn hopeless(&self, _node: NodeId) -> Option<Failure> {
        None
    }

    /// Returns what people should know and no event says: why an answer is unknown.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Returns what [`Fleet::take_warnings`] still holds back, to say it of many nodes in one line.
    fn take_last_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
