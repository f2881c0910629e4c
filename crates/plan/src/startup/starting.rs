//! One node of a start: what it is at, what was read of it, what it still may do.

use super::{StartLimits, Stuck};
use crate::doing::Doing;
use crate::drivers::{Abilities, BootId, Event, Failure, Power, Probe, RemoteCommand, Task};
use crate::notice::Happening;
use crate::outcome::{Outcome, Reason};
use crate::run::{Moment, NodeCourse};
use crate::survey::{Condition, Reading};
use std::time::Duration;

/// An appointment of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StartTimer {
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

/// What happens to a node of a start.
pub(super) type Now<'r> = Moment<'r, StartTimer>;

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
pub(super) enum StartState {
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
}

/// Questions that are queued or on their way.
#[derive(Debug, Default)]
pub(super) struct Questions {
    pub(super) probe: bool,
    pub(super) power: bool,
    pub(super) boot: bool,
}

/// What was done to a node's power, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Acts {
    pub(super) any: bool,
    /// Those that failed or had no effect.
    pub(super) failed: u32,
    /// Half of its time has passed: if its power still reads off, the power-on had no effect.
    pub(super) checked: bool,
    /// Its power read on since it was powered on.
    pub(super) was_on: bool,
    pub(super) last_failure: Option<Box<Failure>>,
}

/// The reset of a node, and what proves it.
#[derive(Debug, Default)]
pub(super) struct Reset {
    /// It is reset if it runs (`-z`, `-Z`).
    pub(super) is_wanted: bool,
    pub(super) was_told: bool,
    /// It was told while it was up: up counts only after it has been seen not up.
    pub(super) must_go_down: bool,
    /// Which boot it is in was asked once before.
    pub(super) is_identified: bool,
    /// The boot it was in before.
    pub(super) boot_before: Option<BootId>,
    /// The boot of this very machine.
    pub(super) own_boot: Option<BootId>,
}

/// One node of a start.
#[derive(Debug)]
pub struct Starting {
    pub(super) limits: StartLimits,
    /// Some other target waits for it, at any distance.
    pub(super) leads: bool,
    pub(super) state: StartState,
    /// When it went into its state.
    pub(super) since: Duration,
    pub(super) reading: Reading,
    pub(super) asked: Questions,
    pub(super) acts: Acts,
    pub(super) reset: Reset,
    /// It was on but not up for as long as booting may take.
    pub(super) boot_over: bool,
    /// Its time is up, and until then an answer is waited for that may show it up.
    pub(super) last_word: Option<Duration>,
    /// Its limit (`-W`) has passed.
    pub(super) late: bool,
    pub(super) let_go: bool,
}

impl Starting {
    pub(super) fn new(limits: StartLimits, leads: bool, reading: Reading) -> Self {
        Self {
            limits,
            leads,
            state: StartState::Waiting,
            since: Duration::ZERO,
            reading,
            asked: Questions::default(),
            acts: Acts::default(),
            reset: Reset::default(),
            boot_over: false,
            last_word: None,
            late: false,
            let_go: false,
        }
    }

    /// Has the node reset if it runs and is not in this boot, which is that of this very machine.
    pub(super) fn resettable(mut self, is_wanted: bool, own_boot: Option<BootId>) -> Self {
        (self.reset.is_wanted, self.reset.own_boot) = (is_wanted, own_boot);
        self
    }

    /// Returns what can be asked of it; units are never probed.
    pub(super) fn able(&self, now: &Now<'_>) -> Abilities {
        let able = now.abilities();
        Abilities { probes: able.probes && !self.limits.unit, ..able }
    }

    pub(super) fn enter(&mut self, state: StartState, now: &Now<'_>) {
        self.state = state;
        self.since = now.at;
    }

    fn note_probe(&mut self, probe: Probe) {
        self.asked.probe = false;
        self.reading.probe = Some(probe);
        if probe == Probe::Down {
            self.reset.must_go_down = false;
        }
    }

    fn note_power(&mut self, power: Power) {
        self.asked.power = false;
        self.reading.power = Some(power);
        self.acts.was_on |= power == Power::On;
        // What it answered before it was off says nothing about the boot to come.
        if power == Power::Off && std::mem::take(&mut self.reset.must_go_down) {
            self.reading.probe = self.reading.probe.map(|_| Probe::Down);
        }
    }

    /// Tells whether its readings prove it up, and that is not the time before its reset.
    pub(super) fn is_up(&self) -> bool {
        !self.reset.must_go_down && self.reading.condition() == Condition::Up
    }

    /// Tells whether it is on, not up, and was not reset, although it may be.
    pub(super) fn is_stuck(&self) -> bool {
        let may_be_reset = matches!(self.limits.stuck, Stuck::GivenUp | Stuck::Reset);
        may_be_reset && !self.limits.unit && !self.reset.was_told && self.reading.condition() == Condition::On
    }

    /// Returns its readings, in which what has not answered is unknown, like what answered nothing: which of the two it
    /// is at its limit is chance, and the report would keep nodes apart by it.
    fn asked_of(&self, able: Abilities) -> Reading {
        let power = self.reading.power.or(able.reads_power.then_some(Power::Unknown));
        let probe = self.reading.probe.or(able.probes.then_some(Probe::Unknown));
        Reading { power, probe }
    }

    /// Returns the outcome of a node whose time is up.
    pub(super) fn timed_out(&self, able: Abilities, why: Option<&str>) -> Outcome {
        let limit = crate::duration::show(self.limits.timeout);
        let shown = self.asked_of(able).shown();
        let asks = able.probes || able.reads_power;
        if let Some(failure) = &self.acts.last_failure {
            if failure.kind.met_nobody() && self.state != StartState::Booting {
                return Outcome::Unreachable((**failure).clone().into());
            }
        }
        if asks && self.reading.condition() == Condition::Unknown && !self.acts.any {
            let why = why.map_or_else(String::new, |why| format!("; {why}"));
            return Outcome::Unreachable(Reason::with_aside(format!("{shown} for {limit}"), &why));
        }
        if self.reset.must_go_down {
            let clause = format!("the reset was accepted and had no effect for {limit}; {shown}");
            return Outcome::Failed(clause.into());
        }
        let doing = self.doing().words();
        let before = self
            .acts
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

impl NodeCourse for Starting {
    type Timer = StartTimer;
    const TIMERS: &'static [StartTimer] = &[
        StartTimer::Poll,
        StartTimer::Retry,
        StartTimer::Check,
        StartTimer::Late,
        StartTimer::Boot,
        StartTimer::Deadline,
    ];
    // With few driver processes and many acts that hang, a node that is up would otherwise never be seen to be.
    const FIRST: &'static [Task] = &[Task::Probe, Task::ReadPower, Task::Run(RemoteCommand::ReadBootId)];

    fn phase(&self) -> &'static str {
        "starting"
    }

    fn turn(&mut self, now: &mut Now<'_>) {
        self.enter(StartState::Asking, now);
        if self.reset.is_wanted {
            // What was read at the beginning is no ground to reset it now.
            self.start_clock(now);
            self.ask(now);
        } else {
            self.weigh(now);
        }
    }

    fn begun(&mut self, task: Task, now: &mut Now<'_>) {
        if let StartState::Queued(act) = self.state {
            if act.task() == task {
                self.act_begun(act, now);
            }
        }
    }

    fn hear(&mut self, event: &Event, now: &mut Now<'_>) {
        match event {
            Event::Probe(..) | Event::Power(..) => {
                self.learn(event);
                self.weigh(now);
            }
            Event::BootId(_, id) => self.identified(*id, now),
            Event::Ended(_, task, result) => self.acted(*task, result.clone(), now),
            Event::Signal(_) | Event::Attention | Event::Asked => {}
        }
    }

    fn due(&mut self, timer: StartTimer, now: &mut Now<'_>) {
        match timer {
            StartTimer::Poll => self.ask(now),
            StartTimer::Retry => {
                if let StartState::Pausing(act) = self.state {
                    self.queue(act, now);
                }
            }
            StartTimer::Check => {
                self.acts.checked = true;
                self.ask_power(now);
            }
            StartTimer::Late => {
                self.late = true;
                self.let_go_if_late(now);
            }
            StartTimer::Boot => self.boot_is_over(now),
            StartTimer::Deadline => self.time_is_up(now),
        }
    }

    fn learn(&mut self, event: &Event) {
        match event {
            Event::Probe(_, probe) => self.note_probe(*probe),
            Event::Power(_, power) => self.note_power(*power),
            Event::BootId(..) | Event::Ended(..) | Event::Signal(_) | Event::Attention | Event::Asked => {}
        }
    }

    fn as_found(&self) -> Option<Outcome> {
        let is_up = self.reading.condition() == Condition::Up && !self.reset.is_wanted;
        is_up.then_some(Outcome::AlreadyUp)
    }

    fn unfinished(&self) -> Option<Outcome> {
        match &self.state {
            StartState::Waiting | StartState::Asking | StartState::Identifying | StartState::Queued(_)
                if !self.acts.any =>
            {
                self.as_found()
            }
            StartState::Acting(Act::Off)
            | StartState::GoingOff
            | StartState::Queued(Act::On)
            | StartState::Pausing(Act::On)
                if self.reset.was_told =>
            {
                let clause = "switched off to be reset, and not switched on again".to_owned();
                Some(Outcome::Failed(clause.into()))
            }
            StartState::Waiting
            | StartState::Asking
            | StartState::Identifying
            | StartState::Queued(_)
            | StartState::Acting(_)
            | StartState::Judging(_)
            | StartState::Pausing(_)
            | StartState::GoingOff
            | StartState::Booting => Some(Outcome::Begun),
        }
    }

    fn prolong(&mut self, longer: Option<Duration>, now: &mut Now<'_>) -> Option<Duration> {
        let longer = longer.unwrap_or(self.limits.timeout);
        self.limits.timeout = self.limits.timeout.saturating_add(longer);
        self.limits.boot = self.limits.boot.saturating_add(longer);
        if self.last_word.take().is_some() {
            // Its time is up this very moment, and its last answer is awaited.
            now.set(StartTimer::Deadline, now.at);
        }
        [StartTimer::Deadline, StartTimer::Boot].into_iter().for_each(|timer| now.put_off(timer, longer));
        Some(longer)
    }

    fn ends_at(&self, at: &dyn Fn(StartTimer) -> Option<Duration>) -> Option<Duration> {
        [StartTimer::Deadline, StartTimer::Boot].into_iter().filter_map(at).min()
    }

    fn doing(&self) -> Doing {
        match &self.state {
            StartState::Waiting => Doing::WaitingForOthers,
            StartState::Asking => Doing::NotKnown,
            StartState::Identifying => Doing::AskedBoot,
            StartState::Queued(_) => Doing::WaitingForDriver,
            StartState::Acting(Act::On) => Doing::PoweringOn,
            StartState::Acting(Act::Off) | StartState::GoingOff => Doing::PoweringOff,
            StartState::Acting(Act::Reset) => Doing::Resetting,
            StartState::Judging(_) => Doing::JudgingPower,
            StartState::Pausing(_) => Doing::WaitingToTryAgain,
            StartState::Booting => Doing::Booting,
        }
    }

    fn last_heard(&self) -> String {
        match &self.acts.last_failure {
            Some(failure) if !matches!(self.state, StartState::Booting) => failure.detail(),
            _ => self.reading.shown(),
        }
    }
}

impl Starting {
    /// Lets those that wait for a late node go on, once it is believed on: slowness is excused,
    /// failure and silence are not.
    pub(super) fn let_go_if_late(&mut self, now: &mut Now<'_>) {
        let reached = self.state == StartState::Booting && self.reading.power != Some(Power::Unknown);
        if self.late && reached && !std::mem::replace(&mut self.let_go, true) {
            now.notice(Happening::LetGo(Probe::Up, self.limits.late.unwrap_or_default()));
            now.let_go();
        }
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
            halts: false,
            probes: true,
            interval: Duration::from_secs(1),
        };
        let words = |power, probe| {
            let limits = StartLimits { timeout: Duration::from_secs(20), ..StartLimits::default() };
            let node = Starting::new(limits, false, Reading { power, probe });
            let outcome = node.timed_out(able, Some("no answer"));
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
            let reading = Reading { power, probe: Some(Probe::Down) };
            let mut node = Starting::new(StartLimits::default(), false, reading);
            node.acts.any = true;
            let outcome = node.timed_out(able, None);
            let Outcome::TimedOut(reason) = &outcome else { panic!("{outcome:?}") };
            reason.words().to_owned()
        };
        assert_eq!(acted(None), acted(Some(Power::Unknown)));
    }
}
