//! One node's way through a run, and what it sees and has done when something happens to the node.

use crate::doing::Doing;
use crate::drivers::{Abilities, Drivers, Event, NodeId, Task};
use crate::failure::Failure;
use crate::notice::{Happening, Notice};
use crate::outcome::Outcome;
use crate::throttle::Throttle;
use crate::timers::Timers;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

/// One node's way through a run.
pub trait NodeCourse {
    /// The appointments a node can have.
    type Timer: Copy + Ord + Hash + 'static;
    /// All of them.
    const TIMERS: &'static [Self::Timer];
    /// What goes first where there is not room for everything.
    const FIRST: &'static [Task];

    /// How nodes end is how they end for whoever asked for the run, and not only a part of it.
    const SETTLES: bool = true;

    /// Returns what the run is at, in a word: `starting`.
    fn phase(&self) -> &'static str;

    /// Its turn has come.
    fn turn(&mut self, moment: &mut Moment<'_, Self::Timer>);

    /// A task that was queued has begun.
    fn begun(&mut self, task: Task, moment: &mut Moment<'_, Self::Timer>);

    /// An answer has come.
    fn hear(&mut self, event: &Event, moment: &mut Moment<'_, Self::Timer>);

    /// An appointment has come.
    fn due(&mut self, timer: Self::Timer, moment: &mut Moment<'_, Self::Timer>);

    /// An answer has come before its turn, to what was asked before the run.
    fn learn(&mut self, _event: &Event) {}

    /// Tells whether its turn comes only when all before it are over, and not as soon as they are let go (`-W`).
    fn waits_for_ends(&self) -> bool {
        false
    }

    /// Tells whether it can be taken back, because nothing was done to it yet.
    fn can_be_taken_back(&self) -> bool {
        false
    }

    /// Returns how the node ended whose turn will not come, where it is as was asked all the same.
    fn as_found(&self) -> Option<Outcome> {
        None
    }

    /// Returns how a node stands that is not over, for somebody who stops waiting now; nothing where nothing was
    /// done to it.
    fn unfinished(&self) -> Option<Outcome>;

    /// Has its limits be so much longer, or as long again; returns how much, where it has any.
    fn prolong(
        &mut self,
        _longer: Option<Duration>,
        _moment: &mut Moment<'_, Self::Timer>,
    ) -> Option<Duration> {
        None
    }

    /// Returns when its time is up, where that is known; `at` tells when an appointment is.
    fn ends_at(&self, _at: &dyn Fn(Self::Timer) -> Option<Duration>) -> Option<Duration> {
        None
    }

    /// Returns what it is waited for, for people.
    fn doing(&self) -> Doing;

    /// Returns what was last heard of it, for people.
    fn last_heard(&self) -> String;
}

/// What a course sees, and has done, when something happens to its node.
pub struct Moment<'r, T> {
    pub at: Duration,
    pub drivers: &'r dyn Drivers,
    pub is_interrupted: bool,
    node: NodeId,
    pub(super) desk: &'r mut Desk<T>,
    pub(super) outcome: Option<Outcome>,
    pub(super) is_silent: bool,
    pub(super) lets_go: bool,
}

/// What waits for limits and times, and what happened.
#[derive(Debug)]
pub(super) struct Desk<T> {
    pub(super) queues: BTreeMap<Task, VecDeque<NodeId>>,
    pub(super) timers: Timers<T>,
    pub(super) notices: Vec<Notice>,
    /// By node: of those to be powered on, larger ones go first.
    pub(super) priority: Vec<u64>,
    pub(super) throttle: Throttle,
}

impl<T: Copy + Ord + Hash> Desk<T> {
    /// Takes back whatever is queued for a node.
    pub(super) fn withdraw_all(&mut self, node: NodeId) {
        for (task, queue) in &mut self.queues {
            queue.retain(|queued| *queued != node);
            self.throttle.withdraw(*task, node);
        }
    }

    pub(super) fn new(priority: Vec<u64>) -> Self {
        Self {
            queues: BTreeMap::new(),
            timers: Timers::default(),
            notices: Vec::new(),
            priority,
            throttle: Throttle::default(),
        }
    }
}

impl<T> fmt::Debug for Moment<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").field("at", &self.at).field("node", &self.node).finish_non_exhaustive()
    }
}

impl<'r, T: Copy + Ord + Hash> Moment<'r, T> {
    pub(super) fn new(
        drivers: &'r dyn Drivers,
        at: Duration,
        is_interrupted: bool,
        node: NodeId,
        desk: &'r mut Desk<T>,
    ) -> Self {
        Self { at, drivers, is_interrupted, node, desk, outcome: None, is_silent: false, lets_go: false }
    }

    pub fn abilities(&self) -> Abilities {
        self.drivers.abilities(self.node)
    }

    /// Has a task begun as soon as limits allow.
    pub fn queue(&mut self, task: Task) {
        let priority = &self.desk.priority;
        let of = |node: &NodeId| priority.get(node.index()).copied().unwrap_or(0);
        let own = of(&self.node);
        let queue = self.desk.queues.entry(task).or_default();
        let at = match queue.back() {
            Some(last) if task == Task::PowerOn && of(last) < own => {
                queue.partition_point(|other| of(other) >= own)
            }
            Some(_) | None => queue.len(),
        };
        queue.insert(at, self.node);
        self.desk.throttle.queued(task, self.node);
    }

    /// Takes a queued task back.
    pub fn withdraw(&mut self, task: Task) {
        if let Some(queue) = self.desk.queues.get_mut(&task) {
            queue.retain(|queued| *queued != self.node);
        }
        self.desk.throttle.withdraw(task, self.node);
    }

    /// Makes an appointment; one of the same kind that was made before is cancelled.
    pub fn set(&mut self, timer: T, at: Duration) {
        self.desk.timers.set(self.node, timer, at);
    }

    pub fn cancel(&mut self, timer: T) {
        self.desk.timers.cancel(self.node, timer);
    }

    pub fn has(&self, timer: T) -> bool {
        self.desk.timers.has(self.node, timer)
    }

    /// Puts an appointment off, if there is one.
    pub fn put_off(&mut self, timer: T, longer: Duration) {
        if let Some(at) = self.desk.timers.at(self.node, timer) {
            self.set(timer, at.saturating_add(longer));
        }
    }

    /// Says what happened to the node.
    pub fn notice(&mut self, what: Happening) {
        self.desk.notices.push(Notice { at: self.at, node: self.node, what });
    }

    /// Gives the node its outcome.
    pub fn finish(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    /// Gives the node its outcome, of which nobody is told.
    pub fn finish_silently(&mut self, outcome: Outcome) {
        (self.outcome, self.is_silent) = (Some(outcome), true);
    }

    /// Lets those that wait for the node go on.
    pub fn let_go(&mut self) {
        self.lets_go = true;
    }

    /// Returns why nothing can ever be heard of the node's power, where that is known.
    pub fn permanent_power_failure(&self) -> Option<Failure> {
        self.drivers.permanent_power_failure(self.node)
    }

    /// Returns why what was asked of the node last is unknown, where that is known.
    pub fn why_unknown(&self) -> Option<String> {
        self.drivers.why_unknown(self.node)
    }
}
