//! What is done to a node next, and what its answers mean.

use super::member::{Act, State};
use super::{Patience, Startup, Timer};
use crate::drivers::{Abilities, Drivers, Failure, FailureKind, NodeId, Power, Probe, Task};
use crate::duration;
use crate::machine::{Happening, Outcome, back_off};
use crate::survey::Condition;
use std::time::Duration;

/// How long the answer of a node whose time is up is waited for: it may show it up after all, and a
/// driver that hangs must not keep the node from being named.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Startup<'_> {
    /// Decides about a node after something was heard of it.
    pub(super) fn weigh(&mut self, drivers: &dyn Drivers, node: NodeId, now: Duration) {
        let able = self.able(drivers, node);
        let member = &self.members[node.index()];
        let power = member.reading.power;
        if member.expired && !member.is_over() {
            return self.time_is_up(drivers, node, now);
        }
        match member.state.clone() {
            // Half an answer would let what was read long ago decide the rest.
            State::Asking if member.asked_probe || member.asked_power => {}
            State::Asking => self.decide(drivers, node, now),
            State::Booting if member.is_up() => self.finish(node, Outcome::Up, now),
            // Controllers need their time to show a power-on, so only half of it all is proof.
            State::Booting if power == Some(Power::Off) && member.checked => self.reads_off(node, now),
            State::Booting => {
                self.ask_whether_it_booted(node);
                self.poll_later(able, node, now);
            }
            // The call hangs on, perhaps for another node's sake; the node itself is up.
            State::Acting(Act::On | Act::Reset) if member.is_up() => self.finish(node, Outcome::Up, now),
            State::Acting(_) => self.poll_later(able, node, now),
            State::Judging(_) if member.is_up() => self.finish(node, Outcome::Up, now),
            State::Judging(_) if member.asked_power => {}
            State::Judging(failure) => match power {
                Some(Power::On) => self.boot(able, node, now),
                _ => self.try_again(node, Act::On, failure, now),
            },
            State::GoingOff if power == Some(Power::Off) => self.queue(node, Act::On, now),
            State::GoingOff => self.poll_later(able, node, now),
            State::Waiting | State::Identifying | State::Queued(_) | State::Pausing(_) | State::Over(_) => {}
        }
    }

    /// Decides about a node whose turn has come, by what is known of it.
    fn decide(&mut self, drivers: &dyn Drivers, node: NodeId, now: Duration) {
        let able = self.able(drivers, node);
        let condition = self.members[node.index()].reading.condition();
        match condition {
            Condition::Up if self.is_to_be_reset(node) => self.reset(able, node, now),
            Condition::Up if self.members[node.index()].boot_over => self.finish(node, Outcome::Up, now),
            Condition::Up => self.finish(node, Outcome::AlreadyUp, now),
            Condition::On if self.members[node.index()].boot_over && self.patience(node).reset_stuck => {
                self.reset(able, node, now);
            }
            Condition::On if self.members[node.index()].boot_over => {
                let clause = stuck(self.patience(node), able.switches_power);
                self.finish(node, Outcome::Failed(clause.into()), now);
            }
            Condition::On => {
                if able.switches_power {
                    self.timers.set(node, Timer::Boot, now + self.patience(node).boot);
                }
                self.wait_for(able, node, now);
            }
            Condition::Down if able.switches_power => self.queue(node, Act::On, now),
            // Somebody else switches it on; all that can be done is to wait for it.
            Condition::Down => self.wait_for(able, node, now),
            // Nothing can be asked: the action is simply run.
            Condition::Unknown if !able.probes && !able.reads_power => {
                if able.switches_power {
                    self.queue(node, Act::On, now);
                } else {
                    let clause = "no driver can power it, read its power or probe it".to_owned();
                    self.finish(node, Outcome::Failed(clause.into()), now);
                }
            }
            Condition::Unknown => match drivers.permanent_power_failure(node) {
                Some(failure) => self.finish(node, failure.into(), now),
                None => {
                    self.start_clock(node, now);
                    self.poll_later(able, node, now);
                }
            },
        }
    }

    /// Waits for a node that was not powered on by this run.
    fn wait_for(&mut self, able: Abilities, node: NodeId, now: Duration) {
        let limit = if able.switches_power { self.patience(node).boot } else { self.patience(node).timeout };
        self.notice(now, node, Happening::WaitedFor(limit));
        self.boot(able, node, now);
    }

    /// Puts a node among those that are to be acted on as soon as the limits allow.
    pub(super) fn queue(&mut self, node: NodeId, act: Act, now: Duration) {
        self.enter(node, State::Queued(act), now);
        // A node that is tried again must not stand in its own way.
        self.uncount(node);
        // Waiting for a free driver is not the node's slowness.
        self.timers.cancel(node, Timer::Deadline);
        match act {
            Act::On => {
                let own = self.priority.get(node.index()).copied().unwrap_or(0);
                let key = |other: &NodeId| self.priority.get(other.index()).copied().unwrap_or(0) >= own;
                let at = match self.to_power.back() {
                    Some(last) if !key(last) => self.to_power.partition_point(key),
                    _ => self.to_power.len(),
                };
                self.to_power.insert(at, node);
            }
            Act::Reset => self.to_reset.push_back(node),
            Act::Off => self.to_switch_off.push_back(node),
        }
    }

    /// Resets a node that was just found on; once a run, as nothing follows a reset but waiting.
    pub(super) fn reset(&mut self, able: Abilities, node: NodeId, now: Duration) {
        if !able.switches_power {
            let clause = "to be reset, but its power cannot be switched".to_owned();
            return self.finish(node, Outcome::Failed(clause.into()), now);
        }
        if self.identify(able, node, now) {
            return;
        }
        let member = self.member(node);
        member.was_reset = true;
        // Without a probe it is up as soon as it is on, and a reset leaves it on.
        member.must_go_down = able.probes && member.reading.condition() == Condition::Up;
        let act = if able.resets { Act::Reset } else { Act::Off };
        self.timers.cancel(node, Timer::Poll);
        self.queue(node, act, now);
    }

    /// Looks again at a node that was on but not up for long enough; what is read then decides
    /// whether it is given up or reset. Unknown never resets it.
    pub(super) fn boot_is_over(&mut self, drivers: &dyn Drivers, node: NodeId, now: Duration) {
        if self.members[node.index()].state == State::Booting {
            self.member(node).boot_over = true;
            self.enter(node, State::Asking, now);
            self.ask(drivers, node);
            self.poll_later(self.able(drivers, node), node, now);
        }
    }

    /// Begins what is queued, as far as the limits allow. What is to be switched on goes first: it may
    /// have been switched off for its reset.
    pub(super) fn begin_acts(&mut self, drivers: &mut dyn Drivers, now: Duration) {
        for act in [Act::On, Act::Off, Act::Reset] {
            let room = self.room(act, now);
            let queue = match act {
                Act::On => &mut self.to_power,
                Act::Off => &mut self.to_switch_off,
                Act::Reset => &mut self.to_reset,
            };
            if room == 0 || queue.is_empty() {
                continue;
            }
            for node in drivers.begin_at_most(room, act.task(), queue) {
                self.begun(drivers, node, act, now);
                if act == Act::On {
                    self.next_power = now + self.options.stagger;
                }
            }
        }
    }

    /// Returns how many nodes may be acted on now. One that is reset boots as well; only one that is
    /// switched on draws its inrush of current.
    fn room(&self, act: Act, now: Duration) -> usize {
        let room = self.options.booting.map_or(usize::MAX, |limit| limit.saturating_sub(self.booting));
        match act {
            Act::On if self.options.stagger.is_zero() => room,
            Act::On if now < self.next_power => 0,
            Act::On => room.min(1),
            Act::Off | Act::Reset => room,
        }
    }

    fn begun(&mut self, drivers: &dyn Drivers, node: NodeId, act: Act, now: Duration) {
        let able = self.able(drivers, node);
        self.outstanding += 1;
        let member = &mut self.members[node.index()];
        member.state = State::Acting(act);
        member.since = now;
        member.acted = true;
        member.checked = false;
        member.was_on = false;
        // What was read before says nothing about what is there now.
        if act == Act::On {
            member.reading.power = member.reading.power.filter(|power| *power != Power::Off);
        }
        if !std::mem::replace(&mut member.counted, true) {
            self.booting += 1;
        }
        self.start_clock(node, now);
        if able.reads_power {
            self.timers.set(node, Timer::Check, now + self.patience(node).timeout / 2);
        }
        if able.probes || able.reads_power {
            self.timers.set(node, Timer::Poll, now + able.interval);
        }
        self.notice(now, node, Happening::Began(act.task()));
    }

    /// Starts the limits of a node, unless they run already. What it was at before this run is not
    /// held against it: a node that was on has its boot limit first, and then a reset.
    pub(super) fn start_clock(&mut self, node: NodeId, now: Duration) {
        if !self.timers.has(node, Timer::Deadline) && !self.timers.has(node, Timer::Boot) {
            self.timers.set(node, Timer::Deadline, now + self.patience(node).timeout);
        }
        let late = self.patience(node).late;
        if let Some(limit) = late
            && self.leads[node.index()]
            && !self.members[node.index()].late
            && !self.timers.has(node, Timer::Late)
        {
            self.timers.set(node, Timer::Late, now + limit);
        }
    }

    /// Takes note that the driver is done with a node.
    pub(super) fn acted(
        &mut self,
        drivers: &dyn Drivers,
        node: NodeId,
        task: Task,
        result: Result<(), Failure>,
        now: Duration,
    ) {
        let able = self.able(drivers, node);
        let State::Acting(act) = self.members[node.index()].state else { return };
        if act.task() != task {
            return;
        }
        match result {
            Ok(()) => match act {
                Act::On if !able.probes && !able.reads_power => self.finish(node, Outcome::Up, now),
                Act::On | Act::Reset => {
                    self.member(node).was_on |= act == Act::On && able.confirms_power;
                    self.boot(able, node, now);
                }
                Act::Off if able.reads_power => {
                    self.enter(node, State::GoingOff, now);
                    self.ask(drivers, node);
                }
                Act::Off => self.queue(node, Act::On, now),
            },
            Err(failure) => self.act_failed(able, drivers, node, act, failure, now),
        }
    }

    fn act_failed(
        &mut self,
        able: Abilities,
        drivers: &dyn Drivers,
        node: NodeId,
        act: Act,
        failure: Failure,
        now: Duration,
    ) {
        if failure.kind == FailureKind::Ended {
            return self.finish(node, Outcome::Unknown(failure.into()), now);
        }
        self.member(node).last_failure = Some(Box::new(failure.clone()));
        if act == Act::On && able.reads_power && !failure.kind.is_permanent() {
            // A call for many nodes fails as a whole when one of them does: the status decides.
            self.enter(node, State::Judging(failure), now);
            if self.interrupted {
                return;
            }
            self.ask_power(drivers, node);
        } else if act == Act::Reset && failure.kind == FailureKind::TimedOut {
            // It may have been reset; a second one would interrupt its boot.
            self.boot(able, node, now);
        } else {
            self.try_again(node, act, failure, now);
        }
    }

    fn try_again(&mut self, node: NodeId, act: Act, failure: Failure, now: Duration) {
        if self.members[node.index()].is_up() {
            return self.finish(node, Outcome::Up, now);
        }
        let retries = self.patience(node).retries;
        let member = self.member(node);
        member.attempts += 1;
        let attempts = member.attempts;
        match back_off(failure.kind, attempts).filter(|_| attempts <= retries) {
            Some(pause) => {
                self.enter(node, State::Pausing(act), now);
                self.timers.cancel(node, Timer::Poll);
                self.timers.set(node, Timer::Retry, now + pause);
                self.notice(now, node, Happening::Retried(failure, pause));
            }
            None => self.finish(node, failure.into(), now),
        }
    }

    /// Gives up a node whose time is up, unless an answer is on its way that may show it up.
    pub(super) fn time_is_up(&mut self, drivers: &dyn Drivers, node: NodeId, now: Duration) {
        let able = self.able(drivers, node);
        let limit = self.patience(node).timeout;
        let member = self.member(node);
        if member.is_up() {
            let outcome = if member.acted { Outcome::Up } else { Outcome::AlreadyUp };
            self.finish(node, outcome, now);
        } else if (member.asked_probe || member.asked_power) && member.last_word.is_none_or(|end| now < end) {
            member.expired = true;
            let end = *member.last_word.get_or_insert(now + LAST_WORD);
            self.timers.set(node, Timer::Deadline, end);
        } else {
            let outcome = member.timed_out(able, limit, drivers.why_unknown(node).as_deref());
            self.finish(node, outcome, now);
        }
    }

    /// A node whose power-on succeeded reads off: again, or still.
    fn reads_off(&mut self, node: NodeId, now: Duration) {
        let (kind, detail) = match self.members[node.index()].was_on {
            true => (FailureKind::FellBack, "the power fell back: it read on, and reads off"),
            false => (FailureKind::NoEffect, "the power-on was accepted, and the power reads off"),
        };
        let failure = Failure::own(kind, detail.to_owned());
        self.member(node).last_failure = Some(Box::new(failure.clone()));
        self.try_again(node, Act::On, failure, now);
    }

    /// Waits for a node that is believed on.
    fn boot(&mut self, able: Abilities, node: NodeId, now: Duration) {
        self.enter(node, State::Booting, now);
        self.start_clock(node, now);
        if self.members[node.index()].is_up() && self.members[node.index()].acted {
            return self.finish(node, Outcome::Up, now);
        }
        self.let_go_if_late(node, now);
        if able.probes {
            self.poll_later(able, node, now);
        } else if able.reads_power {
            self.timers.set(node, Timer::Poll, now);
        }
    }

    pub(super) fn enter(&mut self, node: NodeId, state: State, now: Duration) {
        let member = self.member(node);
        member.state = state;
        member.since = now;
    }

    /// Lets those that wait for a late node go on, once it is believed on: slowness is excused,
    /// failure and silence are not.
    pub(super) fn let_go_if_late(&mut self, node: NodeId, now: Duration) {
        let member = &self.members[node.index()];
        let reached = member.state == State::Booting && member.reading.power != Some(Power::Unknown);
        if !member.late || member.let_go || !reached {
            return;
        }
        self.member(node).let_go = true;
        let limit = self.patience(node).late.unwrap_or_default();
        self.notice(now, node, Happening::LetGo(Probe::Up, limit));
        self.progress.let_go(node);
    }

    /// Has a node asked again: soon at first, then at its interval. Times are rounded up, so that
    /// nodes that wait together are asked together.
    fn poll_later(&mut self, able: Abilities, node: NodeId, now: Duration) {
        let interval = able.interval.max(Duration::from_millis(1));
        let tick = (interval / 8).max(Duration::from_millis(1));
        let since = now.saturating_sub(self.members[node.index()].since);
        let at = now + (since / 4).clamp(tick, interval);
        let ticks = at.as_nanos().div_ceil(tick.as_nanos());
        let rounded = u64::try_from(ticks * tick.as_nanos()).map_or(at, Duration::from_nanos);
        self.timers.set(node, Timer::Poll, rounded);
    }

    /// Asks what tells whether the node got on.
    pub(super) fn ask(&mut self, drivers: &dyn Drivers, node: NodeId) {
        let able = self.able(drivers, node);
        let asks_both = matches!(self.members[node.index()].state, State::Asking);
        let wants_off = matches!(self.members[node.index()].state, State::GoingOff);
        let member = &mut self.members[node.index()];
        if able.probes && !wants_off && !std::mem::replace(&mut member.asked_probe, true) {
            self.to_probe.push_back(node);
        }
        if asks_both || wants_off || !able.probes {
            self.ask_power(drivers, node);
        }
    }

    pub(super) fn ask_power(&mut self, drivers: &dyn Drivers, node: NodeId) {
        let able = self.able(drivers, node);
        let member = &mut self.members[node.index()];
        if able.reads_power && !std::mem::replace(&mut member.asked_power, true) {
            self.to_read.push_back(node);
        }
    }

    /// Returns what can be asked of a node; units are never probed.
    pub(super) fn able(&self, drivers: &dyn Drivers, node: NodeId) -> Abilities {
        let able = drivers.abilities(node);
        Abilities { probes: able.probes && !self.patience(node).unit, ..able }
    }
}

/// Returns why a node that stays on but not up is given up, and the way out.
fn stuck(patience: Patience, can_reset: bool) -> String {
    let limit = duration::show(patience.boot);
    let reset = if can_reset { ", or --reset-stuck to reset it" } else { "" };
    format!("on, not up after {limit}: look at its console and at its probe{reset}")
}
