//! One node of a start: what it is at, what was read of it, what it still may do.

use crate::drivers::{Abilities, BootId, Failure, Power, Probe, Task};
use crate::machine::{Outcome, Reason};
use crate::survey::{Condition, Reading};
use std::time::Duration;

/// Something done to a node's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    On,
    /// The first half of a reset, where the driver has none of its own.
    Off,
    Reset,
}

impl Act {
    pub(super) fn task(self) -> Task {
        match self {
            Self::On => Task::PowerOn,
            Self::Off => Task::PowerOff,
            Self::Reset => Task::Reset,
        }
    }
}

/// What a node is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Its turn has not come.
    Waiting,
    /// Its turn has come and it is not known how it stands.
    Asking,
    /// It is to be reset, and is asked which boot it is in, to be able to tell it from the next.
    Identifying,
    /// To be acted on as soon as the limits allow.
    Queued(Act),
    /// The driver is at it.
    Acting(Act),
    /// A power-on was reported failed; its power is read, which decides.
    Judging(Failure),
    /// A failed act is tried again later.
    Pausing(Act),
    /// Told to power off for a reset; waits for its power to read off.
    GoingOff,
    /// Believed on; waits for it to be up.
    Booting,
    Over(Outcome),
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) state: State,
    pub(super) reading: Reading,
    /// When its turn came.
    pub(super) began: Option<Duration>,
    /// When it went into its state.
    pub(super) since: Duration,
    pub(super) ended: Option<Duration>,
    /// Acts that failed or had no effect.
    pub(super) attempts: u32,
    /// Something was done to its power.
    pub(super) acted: bool,
    pub(super) was_reset: bool,
    /// It was on but not up for as long as booting may take.
    pub(super) boot_over: bool,
    /// A reset was told to it while it was up: up counts only after it has been seen not up.
    pub(super) must_go_down: bool,
    /// Half of its time has passed: if its power still reads off, the power-on had no effect.
    pub(super) checked: bool,
    /// Its power read on since it was powered on.
    pub(super) was_on: bool,
    /// Counts among the nodes between power-on and up.
    pub(super) counted: bool,
    /// Its time is up, and an answer is waited for that may show it up.
    pub(super) expired: bool,
    /// Until when that answer is waited for.
    pub(super) last_word: Option<Duration>,
    /// Its limit (`-W`) has passed.
    pub(super) late: bool,
    pub(super) let_go: bool,
    /// A probe (a power reading) is queued or on its way.
    pub(super) asked_probe: bool,
    pub(super) asked_power: bool,
    /// Which boot it is in is asked, or was asked once before its reset.
    pub(super) asked_boot: bool,
    pub(super) is_identified: bool,
    /// The boot it was in before its reset.
    pub(super) boot_before: Option<BootId>,
    pub(super) last_failure: Option<Box<Failure>>,
}

impl Member {
    pub(super) fn new(reading: Reading) -> Self {
        Self {
            state: State::Waiting,
            reading,
            began: None,
            since: Duration::ZERO,
            ended: None,
            attempts: 0,
            acted: false,
            was_reset: false,
            boot_over: false,
            must_go_down: false,
            checked: false,
            was_on: false,
            counted: false,
            expired: false,
            last_word: None,
            late: false,
            let_go: false,
            asked_probe: false,
            asked_power: false,
            asked_boot: false,
            is_identified: false,
            boot_before: None,
            last_failure: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    pub(super) fn note_probe(&mut self, probe: Probe) {
        self.asked_probe = false;
        self.reading.probe = Some(probe);
        if probe == Probe::Down {
            self.must_go_down = false;
        }
    }

    pub(super) fn note_power(&mut self, power: Power) {
        self.asked_power = false;
        self.reading.power = Some(power);
        self.was_on |= power == Power::On;
        // What it answered before it was off says nothing about the boot to come.
        if power == Power::Off && std::mem::take(&mut self.must_go_down) {
            self.reading.probe = self.reading.probe.map(|_| Probe::Down);
        }
    }

    /// Tells whether its readings prove it up, and that is not the time before its reset.
    pub(super) fn is_up(&self) -> bool {
        !self.must_go_down && self.reading.condition() == Condition::Up
    }

    /// Returns what it is waited for, for people.
    pub(super) fn doing(&self) -> &'static str {
        match &self.state {
            State::Waiting => "waiting for others",
            State::Asking => "not known how it stands",
            State::Identifying => "asked which boot it is in, before its reset",
            State::Queued(_) => "waiting for a free driver",
            State::Acting(Act::On) => "powering on",
            State::Acting(Act::Off) | State::GoingOff => "powering off",
            State::Acting(Act::Reset) => "resetting",
            State::Judging(_) => "power-on failed, reading its power",
            State::Pausing(_) => "waiting before it is tried again",
            State::Booting => "booting",
            State::Over(_) => "over",
        }
    }

    /// Returns what was last heard of it, for people.
    pub(super) fn last(&self) -> String {
        match &self.last_failure {
            Some(failure) if !matches!(self.state, State::Booting) => failure.detail(),
            _ => self.reading.shown(),
        }
    }

    /// Returns its readings, in which what has not answered is unknown, like what answered nothing: which of the two it
    /// is at its limit is chance, and the report would keep nodes apart by it.
    fn asked_of(&self, able: Abilities) -> Reading {
        let power = self.reading.power.or(able.reads_power.then_some(Power::Unknown));
        let probe = self.reading.probe.or(able.probes.then_some(Probe::Unknown));
        Reading { power, probe }
    }

    /// Returns the outcome of a node whose time is up.
    pub(super) fn timed_out(&self, able: Abilities, limit: Duration, why: Option<&str>) -> Outcome {
        let limit = crate::duration::show(limit);
        let shown = self.asked_of(able).shown();
        let asks = able.probes || able.reads_power;
        if let Some(failure) = &self.last_failure
            && failure.kind.met_nobody()
            && self.state != State::Booting
        {
            return Outcome::Unreachable((**failure).clone().into());
        }
        if asks && self.reading.condition() == Condition::Unknown && !self.acted {
            let why = why.map_or_else(String::new, |why| format!("; {why}"));
            return Outcome::Unreachable(Reason::with_aside(&format!("{shown} for {limit}"), &why));
        }
        if self.must_go_down {
            let clause = format!("the reset was accepted and had no effect for {limit}; {shown}");
            return Outcome::Failed(clause.into());
        }
        let doing = self.doing();
        let before = self
            .last_failure
            .as_ref()
            .map_or_else(String::new, |failure| format!("; before that: {}", failure.detail()));
        // What it was at when its time was up says when that was, more than what is wrong.
        let class = format!("not up after {limit}; {shown}");
        let is_unknown =
            self.reading.probe == Some(Probe::Unknown) || self.reading.power == Some(Power::Unknown);
        let why = why.filter(|_| is_unknown).map_or_else(String::new, |why| format!("; {why}"));
        Outcome::TimedOut(Reason::with_aside(&class, &format!("{why}; {doing}{before}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of sixteen nodes behind one hung controller the report made two lines: the status of one had not come back
    /// by its limit.
    #[test]
    fn what_did_not_answer_by_the_limit_and_what_answered_nothing_fail_alike() {
        let able = Abilities {
            switches_power: true,
            reads_power: true,
            confirms_power: true,
            resets: false,
            runs_commands: false,
            probes: true,
            interval: Duration::from_secs(1),
        };
        let limit = Duration::from_secs(20);
        let words = |power, probe| {
            let outcome = Member::new(Reading { power, probe }).timed_out(able, limit, Some("no answer"));
            let Outcome::Unreachable(reason) = &outcome else { panic!("{outcome:?}") };
            reason.words().to_owned()
        };
        let both = words(Some(Power::Unknown), Some(Probe::Unknown));
        assert!(both.starts_with("power unknown, probe unknown for 20s"), "{both}");
        assert_eq!(words(None, Some(Probe::Unknown)), both);
        assert_eq!(words(Some(Power::Unknown), None), both);
        assert_eq!(words(None, None), both);
        // So do those that were powered on.
        let acted = |power| {
            let member = Member { acted: true, ..Member::new(Reading { power, probe: Some(Probe::Down) }) };
            let outcome = member.timed_out(able, limit, None);
            let Outcome::TimedOut(reason) = &outcome else { panic!("{outcome:?}") };
            reason.words().to_owned()
        };
        assert_eq!(acted(None), acted(Some(Power::Unknown)));
    }
}
