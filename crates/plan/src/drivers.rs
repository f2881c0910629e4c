//! What a run asks of the nodes and what it hears back: the seam between deciding and doing.
//!
//! `startup` and `shutdown` are pure and speak only in these words. The drivers in
//! `crates/nodes` carry them out on real nodes, the simulator on imagined ones, with a real or a
//! virtual clock; a run cannot tell the difference. Times are [`Duration`]s since the run
//! began.

pub use crate::failure::{Failure, FailureKind, Teller};
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
    Run(RemoteCommand),
}

impl Task {
    /// Everything there is.
    pub const ALL: [Self; 11] = [
        Self::PowerOn,
        Self::PowerOff,
        Self::Reset,
        Self::ReadPower,
        Self::Probe,
        Self::Run(RemoteCommand::Notify),
        Self::Run(RemoteCommand::EndUsers),
        Self::Run(RemoteCommand::Halt),
        Self::Run(RemoteCommand::Restart),
        Self::Run(RemoteCommand::Maintenance),
        Self::Run(RemoteCommand::ReadBootId),
    ];

    /// Returns what people read of it; the words of a log, too.
    pub fn words(self) -> &'static str {
        match self {
            Self::PowerOn => "powering on",
            Self::PowerOff => "powering off",
            Self::Reset => "resetting",
            Self::ReadPower => "reading power",
            Self::Probe => "probing",
            Self::Run(RemoteCommand::Notify) => "telling users",
            Self::Run(RemoteCommand::EndUsers) => "ending users' processes",
            Self::Run(RemoteCommand::Halt) => "halting",
            Self::Run(RemoteCommand::Restart) => "restarting",
            Self::Run(RemoteCommand::Maintenance) => "going to maintenance",
            Self::Run(RemoteCommand::ReadBootId) => "reading its boot id",
        }
    }
}

/// What is run on a node through its shell driver: the commands of `[shutdown]` in `cluster.toml`, and
/// the question which boot it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemoteCommand {
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

/// What is known of a node's drivers before anything is asked; by default they can do nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// It can be told to halt, be it by a command or otherwise.
    pub halts: bool,
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
    /// SIGUSR1 or Enter: somebody wants to see where the run stands.
    Attention,
    /// Somebody elsewhere asks something of the run.
    Asked,
}

impl Event {
    /// Returns the node that an answer is of.
    pub fn node(&self) -> Option<NodeId> {
        match *self {
            Self::Power(node, _) | Self::Probe(node, _) | Self::BootId(node, _) | Self::Ended(node, ..) => {
                Some(node)
            }
            Self::Signal(_) | Self::Attention | Self::Asked => None,
        }
    }

    /// Returns how a task of a node is answered that told nothing but how it ended: a question stays unknown.
    pub fn answer(task: Task, node: NodeId, result: Result<(), Failure>) -> Self {
        match task {
            Task::Probe => Self::Probe(node, Probe::Unknown),
            Task::ReadPower => Self::Power(node, Power::Unknown),
            Task::Run(RemoteCommand::ReadBootId) => Self::BootId(node, None),
            Task::PowerOn | Task::PowerOff | Task::Reset | Task::Run(_) => Self::Ended(node, task, result),
        }
    }
}

/// What other runs of this machine have of something that there is only so much of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenSlots {
    /// In words for people: `all driver processes (limits.fanout)`.
    pub what: String,
    pub processes: Vec<u32>,
}

/// The nodes of a run, real or imagined.
pub trait Drivers {
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

    /// Tells whether nothing more can begin now, on whatever node.
    fn is_full(&self) -> bool {
        false
    }

    /// Begins `task` on at most so many nodes, as [`Drivers::begin`] does: one that cannot begin now is
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

    /// Lets as many tasks run at a time as there can be, on any controller.
    fn lift_limits(&mut self) {}

    /// Ends all running tasks (TERM, grace, KILL); each is still answered for.
    fn end_all(&mut self);

    /// Waits for something to happen, at the longest until `until` (for ever when `None`), and
    /// returns what did, in order. Empty means that `until` has come.
    fn next(&mut self, until: Option<Duration>) -> Vec<Event>;

    /// Has so many nodes of a class be between power-on and up, as far as other runs of this machine leave room; returns
    /// how many may be.
    fn booting(&mut self, _class: u32, wanted: usize) -> usize {
        wanted
    }

    /// Tells whether a node may be powered on now, as far as other runs of this machine are concerned.
    fn may_power_on(&mut self) -> bool {
        true
    }

    /// Takes note that one was: others wait for their time from now on.
    fn powered_on(&mut self) {}

    /// Tells whether other runs of this machine have what the last offer wanted, so that [`Drivers::next`] returns soon
    /// for it to be made again, although nothing was heard.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Returns what of that others have, and the numbers of the processes that have it.
    fn taken_slots(&self) -> Vec<TakenSlots> {
        Vec::new()
    }

    /// Begins to listen to whoever wants to see where the run stands ([`Event::Attention`]); SIGUSR1 is always heard.
    fn listen(&mut self) {}

    /// Ends it: what is typed from now on is for others.
    fn leave(&mut self) {}

    /// Returns why what was asked of a node last is unknown, where that is known.
    fn why_unknown(&self, _node: NodeId) -> Option<String> {
        None
    }

    /// Returns why nothing can ever be heard of a node's power, where that is known: asking again would change nothing.
    fn permanent_power_failure(&self, _node: NodeId) -> Option<Failure> {
        None
    }

    /// Returns what people should know and no event says: why an answer is unknown.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Returns what [`Drivers::take_warnings`] still holds back, to say it of many nodes in one line.
    fn take_last_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
