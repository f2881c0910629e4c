//! What is done to a node next, and what its answers mean.

use super::starting::{Act, Now, StartState, StartTimer, Starting};
use super::{StartLimits, Stuck};
use crate::drivers::{Abilities, Failure, FailureKind, Power, Task};
use crate::duration;
use crate::notice::Happening;
use crate::outcome::Outcome;
use crate::survey::Condition;
use std::time::Duration;

/// How long the answer of a node whose time is up is waited for: it may show it up after all, and a
/// driver that hangs must not keep the node from being named.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Starting {
    /// Decides about a node after something was heard of it.
    pub(super) fn weigh(&mut self, now: &mut Now<'_>) {
        let power = self.reading.power;
        if self.last_word.is_some() {
            return self.time_is_up(now);
        }
        match self.state.clone() {
            // Half an answer would let what was read long ago decide the rest.
            StartState::Asking if self.asked.probe || self.asked.power => {}
            StartState::Asking => self.decide(now),
            StartState::Booting if self.is_up() => now.finish(Outcome::Up),
            // Controllers need their time to show a power-on, so only half of it all is proof.
            StartState::Booting if power == Some(Power::Off) && self.acts.checked => self.reads_off(now),
            StartState::Booting => {
                self.ask_whether_it_booted(now);
                self.poll_later(now);
            }
            // The call hangs on, perhaps for another node's sake; the node itself is up.
            StartState::Acting(Act::On | Act::Reset) if self.is_up() => now.finish(Outcome::Up),
            StartState::Acting(_) => self.poll_later(now),
            StartState::Judging(_) if self.is_up() => now.finish(Outcome::Up),
            StartState::Judging(_) if self.asked.power => {}
            StartState::Judging(failure) => match power {
                Some(Power::On) => self.boot(now),
                _ => self.try_again(Act::On, failure, now),
            },
            StartState::GoingOff if power == Some(Power::Off) => self.queue(Act::On, now),
            StartState::GoingOff => self.poll_later(now),
            StartState::Waiting
            | StartState::Identifying
            | StartState::Queued(_)
            | StartState::Pausing(_) => {}
        }
    }

    /// Decides about a node whose turn has come, by what is known of it.
    fn decide(&mut self, now: &mut Now<'_>) {
        let able = self.able(now);
        match self.reading.condition() {
            Condition::Up if self.reset.is_wanted => self.tell_to_reset(now),
            Condition::Up if self.boot_over => now.finish(Outcome::Up),
            Condition::Up => now.finish(Outcome::AlreadyUp),
            Condition::On if self.boot_over && self.limits.stuck == Stuck::Reset => self.tell_to_reset(now),
            Condition::On if self.boot_over => {
                now.finish(Outcome::Failed(stuck(self.limits, able.switches_power).into()));
            }
            Condition::On => {
                if able.switches_power {
                    now.set(StartTimer::Boot, now.at + self.limits.boot);
                }
                self.wait_for(able, now);
            }
            Condition::Down if able.switches_power => self.queue(Act::On, now),
            // Somebody else switches it on; all that can be done is to wait for it.
            Condition::Down => self.wait_for(able, now),
            // Nothing can be asked: the action is simply run.
            Condition::Unknown if !able.probes && !able.reads_power => {
                if able.switches_power {
                    self.queue(Act::On, now);
                } else {
                    let clause = "no driver can power it, read its power or probe it".to_owned();
                    now.finish(Outcome::Failed(clause.into()));
                }
            }
            Condition::Unknown => match now.permanent_power_failure() {
                Some(failure) => now.finish(failure.into()),
                None => {
                    self.start_clock(now);
                    self.poll_later(now);
                }
            },
        }
    }

    /// Waits for a node that was not powered on by this run.
    fn wait_for(&mut self, able: Abilities, now: &mut Now<'_>) {
        let limit = if able.switches_power { self.limits.boot } else { self.limits.timeout };
        now.notice(Happening::WaitedFor(limit));
        self.boot(now);
    }

    /// Has a node acted on as soon as the limits allow.
    pub(super) fn queue(&mut self, act: Act, now: &mut Now<'_>) {
        self.enter(StartState::Queued(act), now);
        // Waiting for a free driver is not the node's slowness.
        now.cancel(StartTimer::Deadline);
        now.queue(act.task());
    }

    /// Resets a node that was just found on; once a run, as nothing follows a reset but waiting.
    pub(super) fn tell_to_reset(&mut self, now: &mut Now<'_>) {
        let able = self.able(now);
        if !able.switches_power {
            let clause = "to be reset, but its power cannot be switched".to_owned();
            return now.finish(Outcome::Failed(clause.into()));
        }
        if self.identify(able, now) {
            return;
        }
        self.reset.was_told = true;
        // Without a probe it is up as soon as it is on, and a reset leaves it on.
        self.reset.must_go_down = able.probes && self.reading.condition() == Condition::Up;
        now.cancel(StartTimer::Poll);
        self.queue(if able.resets { Act::Reset } else { Act::Off }, now);
    }

    /// Looks again at a node that was on but not up for long enough; what is read then decides
    /// whether it is given up or reset. Unknown never resets it.
    pub(super) fn boot_is_over(&mut self, now: &mut Now<'_>) {
        if self.state == StartState::Booting {
            self.boot_over = true;
            self.enter(StartState::Asking, now);
            self.ask(now);
            self.poll_later(now);
        }
    }

    pub(super) fn act_begun(&mut self, act: Act, now: &mut Now<'_>) {
        let able = self.able(now);
        self.enter(StartState::Acting(act), now);
        (self.acts.any, self.acts.checked, self.acts.was_on) = (true, false, false);
        // What was read before says nothing about what is there now.
        if act == Act::On {
            self.reading.power = self.reading.power.filter(|power| *power != Power::Off);
        }
        self.start_clock(now);
        if able.reads_power {
            now.set(StartTimer::Check, now.at + self.limits.timeout / 2);
        }
        if able.probes || able.reads_power {
            now.set(StartTimer::Poll, now.at + able.interval);
        }
        now.notice(Happening::Began(act.task()));
    }

    /// Starts the limits of a node, unless they run already. What it was at before this run is not
    /// held against it: a node that was on has its boot limit first, and then a reset.
    pub(super) fn start_clock(&mut self, now: &mut Now<'_>) {
        if !now.has(StartTimer::Deadline) && !now.has(StartTimer::Boot) {
            now.set(StartTimer::Deadline, now.at + self.limits.timeout);
        }
        if let Some(limit) = self.limits.late {
            if self.leads && !self.late && !now.has(StartTimer::Late) {
                now.set(StartTimer::Late, now.at + limit);
            }
        }
    }

    /// Takes note that the driver is done with a node.
    pub(super) fn acted(&mut self, task: Task, result: Result<(), Failure>, now: &mut Now<'_>) {
        let able = self.able(now);
        let StartState::Acting(act) = self.state else { return };
        if act.task() != task {
            return;
        }
        match (result, act) {
            (Err(failure), _) => self.act_failed(able, act, failure, now),
            (Ok(()), Act::On) if !able.probes && !able.reads_power => now.finish(Outcome::Up),
            (Ok(()), Act::On | Act::Reset) => {
                self.acts.was_on |= act == Act::On && able.confirms_power;
                self.boot(now);
            }
            (Ok(()), Act::Off) if able.reads_power => {
                self.enter(StartState::GoingOff, now);
                self.ask(now);
            }
            (Ok(()), Act::Off) => self.queue(Act::On, now),
        }
    }

    fn act_failed(&mut self, able: Abilities, act: Act, failure: Failure, now: &mut Now<'_>) {
        if failure.kind == FailureKind::Ended {
            return now.finish(Outcome::Unknown(failure.into()));
        }
        self.acts.last_failure = Some(Box::new(failure.clone()));
        if act == Act::On && able.reads_power && !failure.kind.is_permanent() {
            // A call for many nodes fails as a whole when one of them does: the status decides.
            self.enter(StartState::Judging(failure), now);
            if !now.is_interrupted {
                self.ask_power(now);
            }
        } else if act == Act::Reset && failure.kind == FailureKind::TimedOut {
            // It may have been reset; a second one would interrupt its boot.
            self.boot(now);
        } else {
            self.try_again(act, failure, now);
        }
    }

    fn try_again(&mut self, act: Act, failure: Failure, now: &mut Now<'_>) {
        if self.is_up() {
            return now.finish(Outcome::Up);
        }
        self.acts.failed += 1;
        let pause = failure.kind.back_off(self.acts.failed);
        match pause.filter(|_| self.acts.failed <= self.limits.retries) {
            Some(pause) => {
                self.enter(StartState::Pausing(act), now);
                now.cancel(StartTimer::Poll);
                now.set(StartTimer::Retry, now.at + pause);
                now.notice(Happening::Retried(failure, pause));
            }
            None => now.finish(failure.into()),
        }
    }

    /// Gives up a node whose time is up, unless an answer is on its way that may show it up.
    pub(super) fn time_is_up(&mut self, now: &mut Now<'_>) {
        if self.is_up() {
            now.finish(if self.acts.any { Outcome::Up } else { Outcome::AlreadyUp });
        } else if (self.asked.probe || self.asked.power) && self.last_word.is_none_or(|end| now.at < end) {
            let end = *self.last_word.get_or_insert(now.at + LAST_WORD);
            now.set(StartTimer::Deadline, end);
        } else {
            now.finish(self.timed_out(self.able(now), now.why_unknown().as_deref()));
        }
    }

    /// A node whose power-on succeeded reads off: again, or still.
    fn reads_off(&mut self, now: &mut Now<'_>) {
        let (kind, detail) = match self.acts.was_on {
            true => (FailureKind::FellBack, "the power fell back: it read on, and reads off"),
            false => (FailureKind::NoEffect, "the power-on was accepted, and the power reads off"),
        };
        let failure = Failure::own(kind, detail.to_owned());
        self.acts.last_failure = Some(Box::new(failure.clone()));
        self.try_again(Act::On, failure, now);
    }

    /// Waits for a node that is believed on.
    fn boot(&mut self, now: &mut Now<'_>) {
        let able = self.able(now);
        self.enter(StartState::Booting, now);
        self.start_clock(now);
        if self.is_up() && self.acts.any {
            return now.finish(Outcome::Up);
        }
        self.let_go_if_late(now);
        if able.probes {
            self.poll_later(now);
        } else if able.reads_power {
            now.set(StartTimer::Poll, now.at);
        }
    }

    /// Has a node asked again: soon at first, then at its interval. Times are rounded up, so that
    /// nodes that wait together are asked together.
    fn poll_later(&mut self, now: &mut Now<'_>) {
        let interval = self.able(now).interval.max(Duration::from_millis(1));
        let tick = (interval / 8).max(Duration::from_millis(1));
        let since = now.at.saturating_sub(self.since);
        let at = now.at + (since / 4).clamp(tick, interval);
        let ticks = at.as_nanos().div_ceil(tick.as_nanos());
        let rounded = u64::try_from(ticks * tick.as_nanos()).map_or(at, Duration::from_nanos);
        now.set(StartTimer::Poll, rounded);
    }

    /// Asks what tells whether the node got on.
    pub(super) fn ask(&mut self, now: &mut Now<'_>) {
        let able = self.able(now);
        let wants_off = self.state == StartState::GoingOff;
        if able.probes && !wants_off && !std::mem::replace(&mut self.asked.probe, true) {
            now.queue(Task::Probe);
        }
        if self.state == StartState::Asking || wants_off || !able.probes {
            self.ask_power(now);
        }
    }

    pub(super) fn ask_power(&mut self, now: &mut Now<'_>) {
        if self.able(now).reads_power && !std::mem::replace(&mut self.asked.power, true) {
            now.queue(Task::ReadPower);
        }
    }
}

/// Returns why a node that stays on but not up is given up, and the way out.
fn stuck(limits: StartLimits, can_reset: bool) -> String {
    let limit = duration::show(limits.boot);
    let reset = match limits.stuck {
        Stuck::GivenUp if can_reset => ", or --reset-stuck to reset it",
        Stuck::GivenUp | Stuck::Reset => "",
        Stuck::ThisMachine => "; it is this very machine, which is not reset",
        Stuck::Needed => {
            "; others are reached or powered through it, so it is reset only by a start of this node alone"
        }
    };
    format!("on, not up after {limit}: look at its console and at its probe{reset}")
}
