//! Starts nodes: off is powered on, up is left alone, on but not up is waited for and then given up (or,
//! where that was asked for, reset once), unknown is asked again and never acted on. What follows a failure is held, all else goes on.
//!
//! Events are put into an inbox and worked off by `advance`, because deciding needs the drivers's
//! abilities. Per event the work is constant but for the queue of nodes waiting for a driver.
//!
//! Invariant: no node's power is touched before every target that leads it is up, or was let go
//! (`-W`) after its power-on succeeded (`no_node_is_touched_before_its_leaders_and_every_node_is_reported`).

mod act;
mod identity;
mod member;
#[cfg(test)]
mod tests;

use crate::drivers::{BootId, Drivers, Event, NodeId, RemoteCommand, Task};
use crate::graph::Order;
use crate::machine::{Busy, Ending, Happening, Machine, Notice, Outcome, Stand};
use crate::progress::{Progress, Standing};
use crate::survey::{Condition, Reading};
use crate::timers::Timers;
use member::{Act, Member, State};
use std::collections::VecDeque;
use std::time::Duration;

/// What a node is, and how long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A unit has power and nothing to probe.
    pub unit: bool,
    /// When a node that is acted on and not up has failed.
    pub timeout: Duration,
    /// How long a node that is on but not up may be booting before it is given up, or reset once.
    pub boot: Duration,
    /// How often a failed act is tried again.
    pub retries: u32,
    /// When what waits for it goes on although it is not up (`-W`).
    pub late: Option<Duration>,
    /// When it is on but not up for longer than that it is reset, and not given up (`--reset-stuck`).
    pub reset_stuck: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            unit: false,
            timeout: Duration::from_secs(900),
            boot: Duration::from_secs(600),
            retries: 2,
            late: None,
            reset_stuck: false,
        }
    }
}

/// How a start is done.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By node of the order.
    pub patience: Vec<Patience>,
    /// Least time between two power-ons.
    pub stagger: Duration,
    /// Most nodes between power-on and up; `None` is no limit.
    pub booting: Option<usize>,
    /// Running targets that are reset (`-z`, `-Z`), sorted.
    pub reset: Vec<NodeId>,
    /// By node: how long it is expected to take, in milliseconds, for the longest path. May be empty.
    pub takes: Vec<u64>,
    /// That is known of every node to be started, so that the end can be foretold.
    pub is_foretold: bool,
    /// The boot of this very machine: a node that says it is in it is not reset.
    pub own_boot: Option<BootId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    /// Its probe or power is asked again.
    Poll,
    /// A failed act is tried again.
    Retry,
    /// Half of its time has passed: its power is read, to find a power-on without effect.
    Check,
    /// What waits for it goes on.
    Late,
    /// It was on but not up for as long as a boot may take.
    Boot,
    /// Its time is up.
    Deadline,
}

/// A start of nodes.
#[derive(Debug)]
pub struct Startup<'o> {
    options: Options,
    targets: Vec<NodeId>,
    progress: Progress<'o>,
    /// By node of the inventory.
    members: Vec<Member>,
    priority: Vec<u64>,
    /// By node: some other target waits for it, at any distance.
    leads: Vec<bool>,
    timers: Timers<Timer>,
    inbox: Vec<(Duration, Event)>,
    /// To be powered on, highest priority first.
    to_power: VecDeque<NodeId>,
    to_reset: VecDeque<NodeId>,
    to_switch_off: VecDeque<NodeId>,
    to_probe: VecDeque<NodeId>,
    to_read: VecDeque<NodeId>,
    to_identify: VecDeque<NodeId>,
    outstanding: usize,
    booting: usize,
    advanced_at: Duration,
    /// No node is powered on before this (`stagger`).
    next_power: Duration,
    left: usize,
    failed: usize,
    held: usize,
    interrupted: bool,
    notices: Vec<Notice>,
}

impl<'o> Startup<'o> {
    /// Returns a start of `targets` (with their units), which must be acyclic in `order`. `readings`
    /// is by node of the inventory, see [`crate::survey::Survey`].
    pub fn new(order: &'o Order, targets: &[NodeId], readings: &[Reading], options: Options) -> Self {
        let count = order.node_count();
        let mut takes = vec![0u64; count];
        for target in targets {
            let up = readings[target.index()].condition() == Condition::Up
                && options.reset.binary_search(target).is_err();
            let expected = options.takes.get(target.index()).copied().unwrap_or(1).max(1);
            takes[target.index()] = if up { 0 } else { expected };
        }
        let priority = order.critical(&takes);
        let marks: Vec<u64> = {
            let mut marks = vec![0u64; count];
            targets.iter().for_each(|target| marks[target.index()] = 1);
            marks
        };
        let ahead = order.critical(&marks);
        Self {
            progress: Progress::new(order, targets, priority.clone()),
            members: readings.iter().map(|&reading| Member::new(reading)).collect(),
            leads: ahead.iter().zip(&marks).map(|(ahead, own)| ahead > own).collect(),
            priority,
            timers: Timers::default(),
            inbox: Vec::new(),
            to_power: VecDeque::new(),
            to_reset: VecDeque::new(),
            to_switch_off: VecDeque::new(),
            to_probe: VecDeque::new(),
            to_read: VecDeque::new(),
            to_identify: VecDeque::new(),
            outstanding: 0,
            booting: 0,
            advanced_at: Duration::ZERO,
            next_power: Duration::ZERO,
            left: targets.len(),
            failed: 0,
            held: 0,
            interrupted: false,
            notices: Vec::new(),
            targets: targets.to_vec(),
            options,
        }
    }

    fn member(&mut self, node: NodeId) -> &mut Member {
        &mut self.members[node.index()]
    }

    fn notice(&mut self, at: Duration, node: NodeId, what: Happening) {
        self.notices.push(Notice { at, node, what });
    }

    fn patience(&self, node: NodeId) -> Patience {
        self.options.patience.get(node.index()).copied().unwrap_or_default()
    }

    /// Returns how long the longest chain still takes, if nothing but the order holds it up.
    fn expected(&self, now: Duration) -> Option<Duration> {
        if !self.options.is_foretold {
            return None;
        }
        let rest = |&node: &NodeId| {
            let member = &self.members[node.index()];
            if member.is_over() || matches!(self.progress.standing(node), Standing::Held(_)) {
                return None;
            }
            let own = Duration::from_millis(self.options.takes.get(node.index()).copied().unwrap_or(0));
            let spent = member.began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
            Some(Duration::from_millis(self.priority[node.index()]).saturating_sub(spent.min(own)))
        };
        self.targets.iter().filter_map(rest).max().filter(|left| !left.is_zero())
    }

    fn is_to_be_reset(&self, node: NodeId) -> bool {
        self.options.reset.binary_search(&node).is_ok()
    }

    /// Gives a node its outcome, once, and tells those that wait for it.
    fn finish(&mut self, node: NodeId, outcome: Outcome, now: Duration) {
        if self.members[node.index()].is_over() {
            return;
        }
        for timer in [Timer::Poll, Timer::Retry, Timer::Check, Timer::Late, Timer::Boot, Timer::Deadline] {
            self.timers.cancel(node, timer);
        }
        self.uncount(node);
        let member = &mut self.members[node.index()];
        member.state = State::Over(outcome.clone());
        member.ended = Some(now);
        self.left -= 1;
        let well = outcome.is_well();
        self.notice(now, node, Happening::Over(outcome));
        if well {
            self.progress.complete(node);
        } else {
            self.failed += 1;
            let held = self.progress.fail(node);
            for node in held {
                self.hold(node, now);
            }
        }
    }

    /// Takes a node out of those between power-on and up.
    fn uncount(&mut self, node: NodeId) {
        if std::mem::take(&mut self.members[node.index()].counted) {
            self.booting -= 1;
        }
    }

    /// A held node that is up is none the worse for it.
    fn hold(&mut self, node: NodeId, now: Duration) {
        let outcome = self.outcome_of(node);
        if outcome == Outcome::AlreadyUp {
            self.member(node).state = State::Over(outcome.clone());
        } else {
            self.held += 1;
        }
        self.left -= 1;
        self.notice(now, node, Happening::Over(outcome));
    }

    /// Returns how a node ended, or how it stands for somebody who stops waiting now.
    fn outcome_of(&self, node: NodeId) -> Outcome {
        let member = &self.members[node.index()];
        match &member.state {
            State::Over(outcome) => outcome.clone(),
            State::Waiting | State::Asking | State::Identifying | State::Queued(_) if !member.acted => {
                if member.reading.condition() == Condition::Up && !self.is_to_be_reset(node) {
                    Outcome::AlreadyUp
                } else if let Standing::Held(by) = self.progress.standing(node) {
                    Outcome::Held([by].into())
                } else {
                    Outcome::Skipped
                }
            }
            State::Acting(Act::Off) | State::GoingOff | State::Queued(Act::On) | State::Pausing(Act::On)
                if member.was_reset =>
            {
                let clause = "switched off to be reset, and not switched on again".to_owned();
                Outcome::Failed(clause.into())
            }
            State::Waiting
            | State::Asking
            | State::Identifying
            | State::Queued(_)
            | State::Acting(_)
            | State::Judging(_)
            | State::Pausing(_)
            | State::GoingOff
            | State::Booting => Outcome::Begun,
        }
    }

    fn work_off_inbox(&mut self, drivers: &dyn Drivers) {
        for (at, event) in std::mem::take(&mut self.inbox) {
            match event {
                Event::Probe(node, probe) => {
                    self.member(node).note_probe(probe);
                    self.weigh(drivers, node, at);
                }
                Event::Power(node, power) => {
                    self.member(node).note_power(power);
                    self.weigh(drivers, node, at);
                }
                Event::BootId(node, id) => self.identified(drivers, node, id, at),
                Event::Ended(node, task, result) => self.acted(drivers, node, task, result, at),
                Event::Signal(_) | Event::Attention => {}
            }
        }
    }

    fn pass_timers(&mut self, drivers: &dyn Drivers, now: Duration) {
        while let Some((node, timer)) = self.timers.take_due(now) {
            match timer {
                Timer::Poll => self.ask(drivers, node),
                Timer::Retry => {
                    if let State::Pausing(act) = self.members[node.index()].state {
                        self.queue(node, act, now);
                    }
                }
                Timer::Check => {
                    self.member(node).checked = true;
                    self.ask_power(drivers, node);
                }
                Timer::Late => {
                    self.member(node).late = true;
                    self.let_go_if_late(node, now);
                }
                Timer::Boot => self.boot_is_over(drivers, node, now),
                Timer::Deadline => self.time_is_up(drivers, node, now),
            }
        }
    }

    fn give_turns(&mut self, drivers: &dyn Drivers, now: Duration) {
        while let Some(node) = self.progress.take() {
            let reset = self.is_to_be_reset(node);
            let member = self.member(node);
            member.began = Some(now);
            member.since = now;
            member.state = State::Asking;
            if reset {
                // What was read at the beginning is no ground to reset it now.
                self.start_clock(node, now);
                self.ask(drivers, node);
            } else {
                self.weigh(drivers, node, now);
            }
        }
    }
}

impl Machine for Startup<'_> {
    fn advance(&mut self, drivers: &mut dyn Drivers) {
        let now = drivers.now();
        self.advanced_at = now;
        self.work_off_inbox(drivers);
        if self.interrupted {
            return;
        }
        self.pass_timers(drivers, now);
        self.give_turns(drivers, now);
        // Asking goes first: with few driver processes and many acts that hang, a node that is up
        // would otherwise never be seen to be.
        self.outstanding += begin_asking(drivers, Task::Probe, &mut self.to_probe);
        self.outstanding += begin_asking(drivers, Task::ReadPower, &mut self.to_read);
        self.outstanding +=
            begin_asking(drivers, Task::Run(RemoteCommand::ReadBootId), &mut self.to_identify);
        self.begin_acts(drivers, now);
    }

    fn hear(&mut self, event: &Event, now: Duration) {
        if !matches!(event, Event::Signal(_) | Event::Attention) {
            self.outstanding = self.outstanding.saturating_sub(1);
            self.inbox.push((now, event.clone()));
        }
    }

    fn wake(&self) -> Option<Duration> {
        if self.interrupted {
            return None;
        }
        // Not when its time has come already: then a node or a driver is waited for, not the clock.
        let stagger =
            (!self.to_power.is_empty() && self.next_power > self.advanced_at).then_some(self.next_power);
        [self.timers.next(), stagger].into_iter().flatten().min()
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        self.timers.clear();
        for queue in [
            &mut self.to_power,
            &mut self.to_reset,
            &mut self.to_switch_off,
            &mut self.to_probe,
            &mut self.to_read,
            &mut self.to_identify,
        ] {
            queue.clear();
        }
    }

    fn is_over(&self) -> bool {
        self.inbox.is_empty() && (self.left == 0 || (self.interrupted && self.outstanding == 0))
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
            .map(|&node| (node, &self.members[node.index()]))
            .filter(|(_, member)| member.began.is_some() && !member.is_over())
            .map(|(node, member)| Busy {
                node,
                doing: member.doing(),
                since: member.began.unwrap_or(now),
                last: member.last(),
            })
            .collect();
        busy.sort_by_key(|one| (one.since, one.node));
        Stand {
            phase: "starting",
            done: self.targets.len() - self.left - self.failed - self.held,
            failed: self.failed,
            held: self.held,
            total: self.targets.len(),
            busy,
            left: self.expected(now),
        }
    }

    fn endings(&self) -> Vec<Ending> {
        let obstacles = if self.held > 0 { self.progress.obstacles() } else { Vec::new() };
        let ending = |&node: &NodeId| {
            let member = &self.members[node.index()];
            let outcome = match (self.outcome_of(node), obstacles.get(node.index())) {
                (Outcome::Held(_), Some(all)) if !all.is_empty() => Outcome::Held(all.clone()),
                (outcome, _) => outcome,
            };
            Ending { node, outcome, began: member.began, ended: member.ended, let_go: member.let_go }
        };
        self.targets.iter().map(ending).collect()
    }
}

fn begin_asking(drivers: &mut dyn Drivers, task: Task, queue: &mut VecDeque<NodeId>) -> usize {
    if queue.is_empty() { 0 } else { drivers.begin(task, queue).len() }
}
