//! Stopping nodes: each is halted after all that must go down before it, watched until it is really
//! down, and then powered off.
//!
//! Nothing here has a clock or a process: the machine begins tasks on a [`Drivers`] and hears events.
//! What is done with one node is decided in `shutdown/stopping.rs`; here is who may begin, what waits
//! for a limit, and what came of it.
//!
//! Invariant: no node is told to go down before everything that must go down before it is down, off or
//! let go by `-W` (`no_node_goes_down_before_what_depends_on_it`).

mod round;
mod stopping;
#[cfg(test)]
mod tests;

use crate::drivers::{Drivers, Event, NodeId, Probe, RemoteCommand, Task};
use crate::graph::Order;
use crate::machine::{Busy, Ending, Happening, Machine, Notice, Outcome, Stand};
use crate::progress::{Progress, Standing};
use crate::timers::Timers;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use stopping::{Move, Stopping};

pub use round::Round;

/// What the nodes are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Down, and off where that is wished for (`-h`).
    Halt,
    /// In maintenance, with their power on unless it is to be switched off (`-m`).
    Maintenance,
    /// Down, to be started again by another program; restarted where power cannot be switched (`-r`).
    Restart,
}

/// What is wished for.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    pub goal: Goal,
    /// Power is switched off once a node is down (`-P`).
    pub power_off: bool,
    /// Power is switched off also where a node cannot be reached or does not halt (`--force-off`).
    pub force_off: bool,
    /// No further node is begun after one failed (`-s`).
    pub stop_at_failure: bool,
}

/// What a node is, and how long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A unit has power and no operating system: it is only switched off.
    pub unit: bool,
    /// How long a probe must be down before the node counts as halted.
    pub settle: Duration,
    /// How long a node may take to go down, and again to power off.
    pub timeout: Duration,
    pub retries: u32,
    /// How long those after it wait for it at most (`-W`).
    pub let_go: Option<Duration>,
}

/// Stops nodes in order.
#[derive(Debug)]
pub struct Shutdown<'o> {
    wishes: Wishes,
    /// By node of the inventory.
    patience: Vec<Patience>,
    targets: Vec<NodeId>,
    order: &'o Order,
    progress: Progress<'o>,
    /// Units whose turn came because of `-W`: they keep their power until their nodes are down.
    kept: Vec<NodeId>,
    /// By node of the inventory; `None` before its turn.
    nodes: Vec<Option<Stopping>>,
    endings: Vec<Option<Ending>>,
    queues: BTreeMap<Task, VecDeque<NodeId>>,
    timers: Timers<Timer>,
    notices: Vec<Notice>,
    outstanding: usize,
    /// Nodes whose turn has come and that are not over.
    open: usize,
    done: usize,
    failed: usize,
    /// Nothing is begun on further nodes: `-s` after a failure, or an interrupt.
    stopped: bool,
    interrupted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    Look,
    LetGo,
}

impl<'o> Shutdown<'o> {
    /// Returns the stopping of `targets` in `order`, in which what comes first goes down first.
    /// `priority` is as for [`Progress::new`]; `patience` has an entry for each node of the order.
    pub fn new(
        order: &'o Order,
        targets: &[NodeId],
        priority: Vec<u64>,
        wishes: Wishes,
        patience: Vec<Patience>,
    ) -> Self {
        let mut targets = targets.to_vec();
        targets.sort_unstable();
        targets.dedup();
        Self {
            wishes,
            patience,
            order,
            kept: Vec::new(),
            progress: Progress::new(order, &targets, priority),
            targets,
            nodes: vec![None; order.node_count()],
            endings: vec![None; order.node_count()],
            queues: BTreeMap::new(),
            timers: Timers::default(),
            notices: Vec::new(),
            outstanding: 0,
            open: 0,
            done: 0,
            failed: 0,
            stopped: false,
            interrupted: false,
        }
    }

    /// Begins nodes whose turn has come; what is in their way is only limits from here on.
    fn begin_nodes(&mut self, drivers: &dyn Drivers) {
        for unit in std::mem::take(&mut self.kept) {
            self.begin_unit(unit, drivers);
        }
        while !self.stopped
            && let Some(node) = self.progress.take()
        {
            if self.patience[node.index()].unit {
                self.begin_unit(node, drivers);
            } else {
                self.begin_node(node, drivers);
            }
        }
    }

    fn begin_node(&mut self, node: NodeId, drivers: &dyn Drivers) {
        let stopping = Stopping::new(drivers.abilities(node), self.wishes, self.patience[node.index()])
            .unreadable(drivers.permanent_power_failure(node));
        self.open += 1;
        self.nodes[node.index()] = Some(stopping);
        self.endings[node.index()] = Some(Ending {
            node,
            outcome: Outcome::Begun,
            began: Some(drivers.now()),
            ended: None,
            let_go: false,
        });
        self.carry_out(node, Move::Look, drivers.now());
    }

    /// Begins a unit unless a node before it is not down: `-W` lets followers go on, and never permits
    /// a power-off, least of all that of the disks under a running node.
    fn begin_unit(&mut self, unit: NodeId, drivers: &dyn Drivers) {
        let leading = self.order.all_leading(&[unit]);
        let mut standing = leading.iter().map(|&node| (node, self.progress.standing(node)));
        let failed = standing.clone().find(|(_, standing)| *standing == Standing::Failed);
        if let Some((by, _)) = failed {
            self.progress.fail(unit);
            self.endings[unit.index()] = Some(Ending {
                node: unit,
                outcome: Outcome::Held([by].into()),
                began: None,
                ended: None,
                let_go: false,
            });
            self.notice(unit, drivers.now(), Happening::Over(Outcome::Held([by].into())));
        } else if standing.any(|(_, standing)| !matches!(standing, Standing::Outside | Standing::Complete)) {
            self.kept.push(unit);
        } else {
            self.begin_node(unit, drivers);
        }
    }

    fn pass_timers(&mut self, now: Duration) {
        while let Some((node, timer)) = self.timers.take_due(now) {
            match timer {
                Timer::LetGo => self.let_go(node, now),
                Timer::Look => {
                    if self.nodes[node.index()].as_ref().is_some_and(Stopping::may_look) {
                        self.carry_out(node, Move::Look, now);
                    }
                }
            }
        }
    }

    fn let_go(&mut self, node: NodeId, now: Duration) {
        let Some(limit) = self.patience[node.index()].let_go else { return };
        if self.nodes[node.index()].is_none() {
            return;
        }
        if let Some(ending) = &mut self.endings[node.index()] {
            ending.let_go = true;
        }
        self.notice(node, now, Happening::LetGo(Probe::Down, limit));
        self.progress.let_go(node);
    }

    /// Offers what is queued to the drivers, in the order in which it should be begun.
    fn offer(&mut self, drivers: &mut dyn Drivers) {
        let tasks: Vec<Task> = self.queues.keys().copied().collect();
        for task in tasks {
            let Some(queue) = self.queues.get_mut(&task).filter(|queue| !queue.is_empty()) else { continue };
            for node in drivers.begin(task, queue) {
                self.begun(node, task, drivers.now());
            }
        }
    }

    fn begun(&mut self, node: NodeId, task: Task, now: Duration) {
        self.outstanding += 1;
        let Some(stopping) = &mut self.nodes[node.index()] else { return };
        stopping.begun(task, now);
        if matches!(task, Task::ReadPower | Task::Probe | Task::Run(RemoteCommand::ReadBootId)) {
            return;
        }
        self.notice(node, now, Happening::Began(task));
        // Told again, it is not given more time.
        let fresh = !self.timers.has(node, Timer::LetGo)
            && self.endings[node.index()].as_ref().is_some_and(|ending| !ending.let_go);
        if let (Task::Run(_), Some(limit), true) = (task, self.patience[node.index()].let_go, fresh) {
            self.timers.set(node, Timer::LetGo, now.saturating_add(limit));
        }
    }

    fn carry_out(&mut self, node: NodeId, next: Move, now: Duration) {
        match next {
            Move::Wait => {}
            Move::Look => self.look(node, now),
            Move::Poll => self.look_after(node, now, None),
            Move::Retry(failure, wait) => {
                self.notice(node, now, Happening::Retried(failure, wait));
                self.look_after(node, now, Some(wait));
            }
            Move::Do(task) => {
                self.queues.entry(task).or_default().push_back(node);
                if task == Task::PowerOff {
                    self.look_after(node, now, None);
                }
            }
            Move::Withdraw => {
                if let Some(queue) = self.queues.get_mut(&Task::PowerOff) {
                    queue.retain(|queued| *queued != node);
                }
                self.look_after(node, now, None);
            }
            Move::LetGo => {
                self.progress.let_go(node);
                self.look_after(node, now, None);
            }
            Move::Over(outcome) => {
                self.done += 1;
                self.end(node, outcome, now);
                self.progress.complete(node);
            }
            Move::Fail(outcome) => {
                self.failed += 1;
                self.end(node, outcome, now);
                for held in self.progress.fail(node) {
                    self.notice(held, now, Happening::Over(Outcome::Held([node].into())));
                }
                if self.wishes.stop_at_failure {
                    self.stop();
                }
            }
        }
    }

    fn look(&mut self, node: NodeId, now: Duration) {
        let Some(stopping) = &mut self.nodes[node.index()] else { return };
        let tasks = stopping.look();
        if tasks.is_empty() {
            let next = stopping.unseen(now);
            self.carry_out(node, next, now);
        }
        for task in tasks {
            self.queues.entry(task).or_default().push_back(node);
        }
    }

    fn look_after(&mut self, node: NodeId, now: Duration, wait: Option<Duration>) {
        let Some(stopping) = &self.nodes[node.index()] else { return };
        // An interval of nothing would ask for ever without time passing.
        let wait = wait.unwrap_or_else(|| stopping.interval()).max(Duration::from_millis(1));
        self.timers.set(node, Timer::Look, now.saturating_add(wait));
    }

    fn end(&mut self, node: NodeId, outcome: Outcome, now: Duration) {
        self.open -= 1;
        self.nodes[node.index()] = None;
        if let Some(ending) = &mut self.endings[node.index()] {
            ending.outcome = outcome.clone();
            ending.ended = Some(now);
        }
        self.notice(node, now, Happening::Over(outcome));
    }

    /// Begins no further node. Nodes not yet told are taken back; those told are followed to their end.
    fn stop(&mut self) {
        self.stopped = true;
        for index in 0..self.nodes.len() {
            if self.nodes[index].as_ref().is_some_and(|stopping| !stopping.is_told()) {
                self.nodes[index] = None;
                self.endings[index] = None;
                self.open -= 1;
            }
        }
        let nodes = &self.nodes;
        for queue in self.queues.values_mut() {
            queue.retain(|node| nodes[node.index()].is_some());
        }
    }

    fn notice(&mut self, node: NodeId, at: Duration, what: Happening) {
        self.notices.push(Notice { at, node, what });
    }

    fn outcome(&self, node: NodeId, obstacles: &[Arc<[NodeId]>]) -> Ending {
        if let Some(ending) = &self.endings[node.index()] {
            let mut ending = ending.clone();
            // A unit that `-W` let go on, and nodes before it that were not down in the end.
            if let Outcome::Held(_) = &ending.outcome {
                let failed = |node: &NodeId| self.progress.standing(*node) == Standing::Failed;
                ending.outcome =
                    Outcome::Held(self.order.all_leading(&[node]).into_iter().filter(failed).collect());
            }
            return ending;
        }
        let outcome = match self.progress.standing(node) {
            Standing::Held(_) if !obstacles[node.index()].is_empty() => {
                Outcome::Held(obstacles[node.index()].clone())
            }
            Standing::Held(by) => Outcome::Held([by].into()),
            Standing::Outside
            | Standing::Waiting
            | Standing::Ready
            | Standing::Begun
            | Standing::Complete
            | Standing::Failed => Outcome::Skipped,
        };
        Ending { node, outcome, began: None, ended: None, let_go: false }
    }
}

impl Machine for Shutdown<'_> {
    fn advance(&mut self, drivers: &mut dyn Drivers) {
        if self.interrupted {
            return;
        }
        self.pass_timers(drivers.now());
        self.begin_nodes(drivers);
        self.offer(drivers);
    }

    fn hear(&mut self, event: &Event, now: Duration) {
        let node = match *event {
            Event::Power(node, _)
            | Event::Probe(node, _)
            | Event::BootId(node, _)
            | Event::Ended(node, ..) => node,
            Event::Signal(_) | Event::Attention => return,
        };
        self.outstanding = self.outstanding.saturating_sub(1);
        let Some(stopping) = self.nodes.get_mut(node.index()).and_then(Option::as_mut) else { return };
        let next = match event {
            Event::Power(_, power) => stopping.power(*power, now),
            Event::Probe(_, probe) => stopping.probe(*probe, now),
            Event::Ended(_, _, result) => stopping.ended(result.clone(), now),
            Event::BootId(_, id) => stopping.booted(*id),
            Event::Signal(_) | Event::Attention => return,
        };
        self.carry_out(node, next, now);
    }

    fn wake(&self) -> Option<Duration> {
        self.timers.next().filter(|_| !self.interrupted)
    }

    fn interrupt(&mut self) {
        self.stop();
        self.interrupted = true;
        self.queues.clear();
    }

    fn is_over(&self) -> bool {
        if self.interrupted {
            return self.outstanding == 0;
        }
        self.open == 0 && (self.stopped || (!self.progress.has_ready() && self.kept.is_empty()))
    }

    fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn stand(&self, now: Duration) -> Stand {
        let mut busy: Vec<Busy> = self
            .targets
            .iter()
            .filter_map(|&node| {
                let stopping = self.nodes[node.index()].as_ref()?;
                let since = self.endings[node.index()].as_ref()?.began.unwrap_or(now);
                Some(Busy { node, doing: stopping.doing(), since, last: stopping.reading().shown() })
            })
            .collect();
        busy.sort_by_key(|busy| (busy.since, busy.node));
        let held = |node: &&NodeId| matches!(self.progress.standing(**node), Standing::Held(_));
        Stand {
            phase: "stopping",
            done: self.done,
            failed: self.failed,
            held: self.targets.iter().filter(held).count(),
            total: self.targets.len(),
            busy,
            ..Stand::default()
        }
    }

    fn endings(&self) -> Vec<Ending> {
        let obstacles = self.progress.obstacles();
        self.targets.iter().map(|&node| self.outcome(node, &obstacles)).collect()
    }
}
