//! How long the nodes take: by their order alone, and with the limits on calls that hold.
//!
//! Where calls have to wait for one another, the shutdown is gone through once, by the same scheduler, on imagined nodes
//! and their virtual clock (`imagined.rs`).

use super::NodeTakes;
use super::imagined::ImaginedNodes;
use crate::drivers::{Abilities, NodeId, Task};
use crate::graph::Order;
use crate::shutdown::{Goal, Shutdown, StopLimits, Wishes};
use std::time::Duration;

/// What a call takes of the slots for calls that run at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SlotUse {
    /// None: it is made in the loop itself.
    #[default]
    None,
    /// One with all others that begin at the same time.
    Shared,
    /// One for each node.
    Own,
}

/// The calls of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeCalls {
    pub able: Abilities,
    /// How long a question how it stands takes, a command on it, and a command to its power.
    pub look: Duration,
    pub tell: Duration,
    pub switch: Duration,
    /// What they take of the slots: commands, calls that switch power and that read it, probes.
    pub shell: SlotUse,
    pub power: SlotUse,
    pub read: SlotUse,
    pub probe: SlotUse,
    /// The number of its power controller, where calls of that are counted.
    pub controller: Option<u32>,
}

impl NodeCalls {
    pub(super) fn slot(&self, task: Task) -> SlotUse {
        match task {
            Task::PowerOn | Task::PowerOff | Task::Reset => self.power,
            Task::ReadPower => self.read,
            Task::Probe => self.probe,
            Task::Run(_) => self.shell,
        }
    }

    pub(super) fn time(&self, task: Task) -> Duration {
        match task {
            Task::ReadPower | Task::Probe => self.look,
            Task::PowerOn | Task::PowerOff | Task::Reset => self.switch,
            Task::Run(_) => self.tell,
        }
    }
}

/// How many calls run at once.
#[derive(Debug)]
pub struct CallLimits {
    pub at_once: usize,
    /// Power calls at once for the nodes of one controller.
    pub per_controller: usize,
    /// By node of the order.
    pub calls: Vec<NodeCalls>,
    pub stops: Vec<StopLimits>,
}

/// How long all nodes take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodesTime {
    /// Until all are down.
    pub halts: Duration,
    /// What their power-offs add.
    pub offs: Duration,
}

/// How long the nodes take, together and each.
#[derive(Debug)]
pub struct Forecast<'o> {
    pub(super) order: &'o Order,
    pub(super) takes: Vec<NodeTakes>,
    /// By node: how long it and the longest chain behind it take, and itself, in milliseconds.
    tails: Vec<u64>,
    pub(super) halt: Vec<u64>,
    /// With as many calls at once as there are.
    pub free: NodesTime,
    /// With the limits on calls.
    pub held: NodesTime,
    /// How much later than foretold a node may be seen to be down while calls wait for one another.
    pub slack: Duration,
}

impl<'o> Forecast<'o> {
    /// Foretells it by how long each node takes, which has an entry for each node of the order; `priority` is as for
    /// [`Shutdown::new`].
    pub fn new(order: &'o Order, takes: Vec<NodeTakes>, limits: &CallLimits, priority: &[u64]) -> Self {
        let halt: Vec<u64> = takes.iter().map(|takes| millis(takes.halt)).collect();
        let whole: Vec<u64> = takes
            .iter()
            .map(|takes| millis(takes.halt.saturating_add(takes.off.unwrap_or_default())))
            .collect();
        let tails = order.critical(&halt);
        let halts = longest(&tails);
        let free = NodesTime { halts, offs: longest(&order.critical(&whole)).saturating_sub(halts) };
        let mut forecast = Self { order, takes, tails, halt, free, held: free, slack: Duration::ZERO };
        if limits.can_bind(&forecast.targets()) {
            forecast.hold(limits, priority);
        }
        forecast
    }

    /// Tells whether calls have to wait for one another.
    pub fn is_held(&self) -> bool {
        self.held != self.free || !self.slack.is_zero()
    }

    /// Tells whether any power is to be switched off.
    pub fn has_offs(&self) -> bool {
        self.takes.iter().any(|takes| takes.off.is_some())
    }

    /// Returns how long the chain behind a node takes, without it.
    pub(super) fn behind(&self, node: usize) -> Duration {
        Duration::from_millis(self.tails.get(node).copied().unwrap_or(0).saturating_sub(self.halt[node]))
    }

    /// Returns how much time a shutdown under way still needs for its halts where nothing but their order holds them
    /// up, from `now` on.
    pub fn needs(&self, run: &Shutdown<'_>, now: Duration) -> Duration {
        let rest = |(node, told, cut): (NodeId, Option<Duration>, Option<Duration>)| {
            let node = node.index();
            let takes = self.takes[node];
            let spent = |since: Duration| now.saturating_sub(since);
            let own = match (told, cut) {
                (_, Some(cut)) => takes.off.unwrap_or_default().saturating_sub(spent(cut)),
                (Some(told), None) => takes.halt.saturating_sub(spent(told)),
                (None, None) => takes.halt,
            };
            own.saturating_add(self.behind(node))
        };
        run.unfinished().map(rest).max().unwrap_or_default()
    }

    fn targets(&self) -> Vec<NodeId> {
        let nodes = (0..).map(NodeId).zip(&self.takes);
        nodes.filter(|(_, takes)| **takes != NodeTakes::default()).map(|(node, _)| node).collect()
    }

    /// Goes through the shutdown with its limits.
    fn hold(&mut self, limits: &CallLimits, priority: &[u64]) {
        let targets = self.targets();
        // So often is enough to see who waits for whom; an imagined probe may be as quick as it likes.
        let step = self.free.halts / 100;
        let stop = |power_off: bool| {
            let wishes = Wishes { goal: Goal::Halt, power_off, force_off: false, stop_at_failure: false };
            let mut nodes = ImaginedNodes::new(&self.takes, limits, step, power_off);
            let stops = nodes.patient(&limits.stops);
            let mut run = Shutdown::new(self.order, &targets, priority.to_vec(), wishes, &stops);
            nodes.stop(&mut run)
        };
        let (halted, off) = (stop(false), stop(true));
        if halted.is_none() && off.is_none() {
            return;
        }
        let halts = halted.map_or(self.free.halts, |end| end.max(self.free.halts));
        let whole =
            off.map_or(self.free.halts + self.free.offs, |end| end.max(self.free.halts + self.free.offs));
        self.held = NodesTime { halts, offs: whole.saturating_sub(halts) };
        let slack = |node: &NodeId| {
            let calls = &limits.calls[node.index()];
            2 * (calls.able.interval + calls.look)
        };
        self.slack = targets.iter().map(slack).max().unwrap_or_default();
    }
}

impl CallLimits {
    /// Tells whether calls for these nodes can be so many that some have to wait: two of a node at most run at once.
    fn can_bind(&self, nodes: &[NodeId]) -> bool {
        let calls = || nodes.iter().map(|node| &self.calls[node.index()]);
        let is_own = |slot: SlotUse| usize::from(slot == SlotUse::Own);
        let own = |calls: &NodeCalls| {
            is_own(calls.shell).max(is_own(calls.power)).max(is_own(calls.read) + is_own(calls.probe))
        };
        // Each kind of call may run once for all that share it.
        let most = calls().map(own).sum::<usize>() + 3;
        let counted = calls().any(|calls| calls.controller.is_some());
        most > self.at_once || counted
    }
}

fn longest(chains: &[u64]) -> Duration {
    Duration::from_millis(chains.iter().copied().max().unwrap_or(0))
}

/// Rounded up: nothing is planned to be shorter than it is.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX / 4)
}
