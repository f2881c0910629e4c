//! One node's way down: what is done next, given what was asked, answered and read so far.
//!
//! Invariant: power is switched off only when the node was told to halt while it could be reached and
//! its probe was down all through the settling time since, or when the operator said `--force-off`
//! (judged in `no_node_goes_down_before_what_depends_on_it`).
//! Invariant: no power-off begins at or after `cut_before` (`no_power_off_begins_that_would_be_cut_into`).
//! Invariant: a reading of unknown proves nothing; a node that answers its probe is not off whatever
//! its power reads.

mod course;
mod cutting;

use super::{Goal, StopLimits, Wishes};
use crate::drivers::{Abilities, BootId, Failure, FailureKind, Power, Probe, RemoteCommand, Task};
use crate::duration;
use crate::outcome::{Outcome, Reason};
use crate::survey::Reading;
use std::time::Duration;

/// Where a node is on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopStage {
    /// Its state is read to see whether anything is to be done.
    Looking,
    /// It restarts by itself, and is asked which boot it is in, to be able to tell it from the next.
    Identifying,
    /// Its command is queued or runs.
    Asking,
    /// Told, or found down where power cannot be read: watched until it is really down.
    Sinking,
    /// The power-off is queued or runs.
    Cutting,
    /// Powered off as told; watched until power reads off.
    Verifying,
    /// Restarts by itself and was seen down; watched until it is up.
    Rising,
}

/// What is to be done with a node next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    /// Something is under way; its end will be heard of.
    Wait,
    /// Read power and probe now, as far as the drivers can.
    Look,
    /// Read again after the probe's interval.
    Poll,
    /// Try again, from reading on, after this long, because of this.
    Retry(Failure, Duration),
    /// Begin this as soon as limits allow. A queued power-off is watched by polls meanwhile.
    Do(Task),
    /// Take the queued power-off back, because the node came up again, and go on polling.
    Withdraw,
    /// Those that wait for this node may go on; it is watched further.
    LetGo,
    Over(Outcome),
}

/// What its drivers said last.
#[derive(Debug)]
struct LastSeen {
    /// Answers still to come to the last look.
    awaited: u8,
    /// The answer about its power is still to come, and was not waited for: it is not asked for again before.
    is_power_late: bool,
    power: Power,
    probe: Probe,
    /// The node answered, its probe or its shell, when last looked at.
    met: bool,
    down_since: Option<Duration>,
    /// It is looked at again only after a pause: what was tried failed.
    pauses: bool,
}

/// The command by which it is told to go down, and what came of it.
#[derive(Debug, Default)]
struct OrderToGo {
    /// It was accepted, or cut off while it ran: only the state can tell.
    told: bool,
    /// It was told once, whatever came of it: a node that is down from then on was not before.
    begun: bool,
    /// Its connection was lost or it failed, so a node still up is to be told again.
    doubt: bool,
    /// When it failed on the node itself the last time: a halt that was accepted may end like that.
    failed_at: Option<Duration>,
    /// It is to be told again when it is still up at the next look.
    again: bool,
    attempts: u32,
    /// What waits for the node went on (`-W`).
    let_go: bool,
    times: TellingTimes,
}

/// When it was told.
#[derive(Debug, Default)]
struct TellingTimes {
    /// Its command, or its power-off, was queued then.
    queued: Option<Duration>,
    /// How long both waited until they could be sent.
    waited: Duration,
    /// When the command began, and how long it took.
    began: Option<Duration>,
    took: Duration,
}

impl TellingTimes {
    fn left_queue(&mut self, now: Duration) {
        if let Some(queued) = self.queued.take() {
            self.waited += now.saturating_sub(queued);
        }
    }

    fn ended(&mut self, now: Duration) {
        self.took = self.began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
    }
}

/// How its power is cut.
#[derive(Debug, Default)]
struct Cut {
    forced: bool,
    /// Power-offs that failed.
    failed: u32,
    /// When the last one began.
    began: Option<Duration>,
    /// It was left out, as it was too late for it.
    is_kept: bool,
    at: Duration,
}

/// By what a restart is proven.
#[derive(Debug, Default)]
struct BootProof {
    is_identified: bool,
    /// The boot it was in before it was told to restart.
    before: Option<BootId>,
}

/// One node on its way down.
#[derive(Debug)]
pub struct Stopping {
    /// What its drivers can do; nothing before its turn.
    able: Abilities,
    wishes: Wishes,
    limits: StopLimits,
    stage: StopStage,
    seen: LastSeen,
    order: OrderToGo,
    cut: Cut,
    boot: BootProof,
    /// The task at hand has really begun (and is not only queued).
    running: bool,
    deadline: Option<Duration>,
    last: Option<Failure>,
    /// Why nothing can ever be heard of its power.
    permanent: Option<Failure>,
}

impl Stopping {
    pub(super) fn new(wishes: Wishes, limits: StopLimits) -> Self {
        Self {
            able: Abilities::default(),
            wishes,
            limits,
            stage: StopStage::Looking,
            seen: LastSeen {
                awaited: 0,
                is_power_late: false,
                power: Power::Unknown,
                probe: Probe::Unknown,
                met: false,
                down_since: None,
                pauses: false,
            },
            order: OrderToGo::default(),
            cut: Cut::default(),
            boot: BootProof::default(),
            running: false,
            deadline: None,
            last: None,
            permanent: None,
        }
    }

    /// Returns when its command began, the last where there were several.
    pub(super) fn told_at(&self) -> Option<Duration> {
        self.order.times.began
    }

    /// Returns how long it waited until its command and its power-off could be sent, and how long the command then took.
    pub(super) fn telling(&self) -> Option<(Duration, Duration)> {
        self.order.told.then_some((self.order.times.waited, self.order.times.took))
    }

    /// Tells whether the node was told to go down, or its power cut: such a node is followed to its end.
    fn is_told(&self) -> bool {
        self.order.told || self.cut.forced || self.running
    }

    /// Returns what its drivers said last.
    fn reading(&self) -> Reading {
        Reading {
            power: self.able.reads_power.then_some(self.seen.power),
            probe: (self.able.probes && !self.limits.unit).then_some(self.seen.probe),
        }
    }

    /// Returns what a look consists of, and counts on the answers.
    fn look(&mut self) -> Vec<Task> {
        self.seen.pauses = false;
        let mut tasks = Vec::new();
        if self.able.reads_power && !self.seen.is_power_late {
            tasks.push(Task::ReadPower);
        }
        if self.able.probes && !self.limits.unit {
            tasks.push(Task::Probe);
        }
        self.seen.awaited = tasks.len() as u8;
        tasks
    }

    /// Tells whether a look makes sense now: answers are not still to come, and no action runs.
    fn may_look(&self) -> bool {
        self.seen.awaited == 0
            && !self.running
            && !matches!(self.stage, StopStage::Asking | StopStage::Identifying)
    }

    /// Takes note that a queued act has begun: the node's time runs from its first command on.
    fn act_begun(&mut self, task: Task, now: Duration) {
        self.running = true;
        if task == Task::PowerOff {
            self.cut.began = Some(now);
        }
        self.order.times.left_queue(now);
        if matches!(task, Task::Run(_)) {
            self.order.begun = true;
            self.order.times.began = Some(now);
        }
        self.deadline.get_or_insert(now.saturating_add(self.limits.timeout));
    }

    fn power(&mut self, power: Power, now: Duration) -> Move {
        self.seen.power = power;
        if std::mem::replace(&mut self.seen.is_power_late, false) {
            return Move::Wait;
        }
        self.answered(now)
    }

    fn probe(&mut self, probe: Probe, now: Duration) -> Move {
        self.seen.probe = probe;
        match probe {
            Probe::Up => (self.seen.met, self.seen.down_since) = (true, None),
            Probe::Down => {
                self.seen.met = false;
                self.seen.down_since.get_or_insert(now);
            }
            Probe::Unknown => self.seen.down_since = None,
        }
        // Whoever answers is up, whatever a controller that hangs would say of it in the end.
        if self.limits.hurried && self.stage == StopStage::Looking && self.seen.met && self.seen.awaited > 1 {
            (self.seen.awaited, self.seen.is_power_late) = (0, true);
            return self.look_over(now);
        }
        self.answered(now)
    }

    fn answered(&mut self, now: Duration) -> Move {
        self.seen.awaited = self.seen.awaited.saturating_sub(1);
        if self.seen.awaited > 0 || self.running {
            return Move::Wait;
        }
        let next = match self.stage {
            StopStage::Looking => self.look_over(now),
            StopStage::Sinking => self.sink(now),
            StopStage::Cutting => self.reconsider(),
            StopStage::Verifying => self.verify(now),
            StopStage::Rising if self.seen.probe != Probe::Up => Move::Poll,
            StopStage::Rising if self.boot.before.is_some() => Move::Do(Task::Run(RemoteCommand::ReadBootId)),
            StopStage::Rising => Move::Over(Outcome::Restarted),
            StopStage::Asking | StopStage::Identifying => Move::Wait,
        };
        // Nor is it told once more, which might take as long again.
        let waits = matches!(next, Move::Poll | Move::Retry(..) | Move::Do(Task::Run(_)));
        if waits && self.deadline.is_some_and(|deadline| now >= deadline) {
            return self.out_of_time();
        }
        next
    }

    /// Hears which boot it is in: another one proves a restart, however quick. Where it cannot tell, its
    /// probe decides alone.
    fn booted(&mut self, id: Option<BootId>) -> Move {
        let is_same = id.is_some() && id == self.boot.before;
        match self.stage {
            StopStage::Identifying => {
                self.boot.before = id;
                self.ask()
            }
            StopStage::Sinking if id.is_some() && !is_same => Move::Over(Outcome::Restarted),
            StopStage::Sinking if self.order.doubt => self.tell_again(),
            StopStage::Sinking => Move::Poll,
            // A probe that was down and is up again may be that of a service that was restarted.
            StopStage::Rising if is_same => {
                let clause = "up again with the same boot id: it was not restarted";
                Move::Over(Outcome::Failed(clause.to_owned().into()))
            }
            StopStage::Rising => Move::Over(Outcome::Restarted),
            StopStage::Looking | StopStage::Asking | StopStage::Cutting | StopStage::Verifying => Move::Wait,
        }
    }

    /// Hears how a command or a power-off ended.
    fn ended(&mut self, result: Result<(), Failure>, now: Duration) -> Move {
        self.running = false;
        if self.stage == StopStage::Asking {
            self.order.times.ended(now);
        }
        match (self.stage, result) {
            (StopStage::Asking, Ok(())) => self.accepted(),
            (StopStage::Asking, Err(failure)) => self.not_accepted(failure, now),
            (StopStage::Cutting, Ok(())) => self.cut(now),
            (StopStage::Cutting, Err(failure)) => self.not_cut(failure),
            (
                StopStage::Looking
                | StopStage::Identifying
                | StopStage::Sinking
                | StopStage::Verifying
                | StopStage::Rising,
                _,
            ) => Move::Wait,
        }
    }

    fn look_over(&mut self, now: Duration) -> Move {
        if self.is_off() {
            return Move::Over(self.off_outcome());
        }
        if self.limits.unit {
            return if self.able.switches_power {
                self.begin_cut()
            } else {
                Move::Over(Outcome::AlreadyDown)
            };
        }
        if self.seen.probe == Probe::Down {
            if self.wishes.goal == Goal::Maintenance && !self.wishes.power_off && !self.order.told {
                return Move::Over(Outcome::AlreadyDown);
            }
            // Where power cannot be read, down through the settling time is all that off can mean.
            if self.order.told || !self.able.reads_power {
                self.stage = StopStage::Sinking;
                self.deadline.get_or_insert(now.saturating_add(self.limits.timeout));
                return self.sink(now);
            }
        }
        if self.seen.probe == Probe::Unknown && self.seen.power == Power::Unknown {
            if let Some(failure) = self.permanent.clone() {
                // It would be told, and nothing would ever show that it is down.
                return self.refuse(failure);
            }
        }
        self.ask()
    }

    fn ask(&mut self) -> Move {
        let can_tell = self.restarts_by_itself() && self.able.runs_commands && self.able.probes;
        if can_tell && !std::mem::replace(&mut self.boot.is_identified, true) {
            self.stage = StopStage::Identifying;
            return Move::Do(Task::Run(RemoteCommand::ReadBootId));
        }
        self.stage = StopStage::Asking;
        Move::Do(Task::Run(self.command()))
    }

    fn command(&self) -> RemoteCommand {
        match self.wishes.goal {
            Goal::Maintenance => RemoteCommand::Maintenance,
            Goal::Restart if self.restarts_by_itself() => RemoteCommand::Restart,
            Goal::Halt | Goal::Restart => RemoteCommand::Halt,
        }
    }

    /// Without a power switch nobody could start it again, so it is told to restart instead.
    fn restarts_by_itself(&self) -> bool {
        self.wishes.goal == Goal::Restart && !self.able.switches_power
    }

    fn accepted(&mut self) -> Move {
        (self.order.told, self.seen.met, self.order.doubt, self.order.failed_at) = (true, true, false, None);
        self.seen.down_since = None;
        self.stage = StopStage::Sinking;
        let by_probe_alone =
            self.restarts_by_itself() || (self.wishes.goal == Goal::Maintenance && !self.wishes.power_off);
        if by_probe_alone && !self.able.probes {
            return Move::Over(if self.wishes.goal == Goal::Maintenance {
                Outcome::Maintenance
            } else {
                Outcome::Restarted
            });
        }
        if !self.is_blind() {
            return Move::Look;
        }
        if !self.able.switches_power {
            // Nothing can ever be asked of it: the command's success is all there is (see cluster.toml).
            return Move::Over(Outcome::Down);
        }
        let cause = "told to halt, but neither its power nor a probe can show that it is down";
        self.refuse(Failure::own(FailureKind::Failed, cause))
    }

    fn not_accepted(&mut self, failure: Failure, now: Duration) -> Move {
        // Nor is the power of this very machine cut: `--force-off` was said of others.
        if matches!(failure.kind, FailureKind::Ended | FailureKind::Itself) {
            return Move::Over(failure.into());
        }
        // The connection may have been lost because the node went down: the state decides. So it does
        // when a node that is going down already answers a second telling with anything at all.
        let lost = failure.kind.met_nobody() || failure.kind == FailureKind::TimedOut;
        // One that ran there and failed may have been ended by the very shutdown that it began.
        let ran = failure.kind == FailureKind::Failed;
        self.order.failed_at = ran.then_some(now);
        if self.order.told || ((ran || lost && self.seen.met) && !self.is_blind()) {
            (self.order.told, self.order.doubt) = (true, true);
            self.seen.down_since = None;
            self.last = Some(failure);
            self.stage = StopStage::Sinking;
            return Move::Look;
        }
        self.try_again(failure)
    }

    fn sink(&mut self, now: Duration) -> Move {
        if self.is_off() {
            return Move::Over(self.off_outcome());
        }
        if self.cut.forced || self.limits.unit {
            return self.begin_cut();
        }
        if !self.order.doubt && self.seen.probe != Probe::Down && self.is_plainly_failed(now) {
            let detail = "not told to go down".to_owned();
            let failure = self.last.clone().unwrap_or(Failure::own(FailureKind::Failed, detail));
            return self.refuse(failure);
        }
        match self.seen.probe {
            Probe::Unknown => Move::Poll,
            Probe::Up if !self.order.told => self.ask(),
            Probe::Up if self.boot.before.is_some() => Move::Do(Task::Run(RemoteCommand::ReadBootId)),
            Probe::Up if self.order.doubt => self.tell_again(),
            Probe::Up => Move::Poll,
            Probe::Down if self.order.told && self.restarts_by_itself() => {
                self.stage = StopStage::Rising;
                self.deadline = Some(now.saturating_add(self.limits.timeout));
                Move::LetGo
            }
            Probe::Down
                if self.order.told && self.wishes.goal == Goal::Maintenance && !self.wishes.power_off =>
            {
                Move::Over(Outcome::Maintenance)
            }
            Probe::Down if !self.is_settled(now) => Move::Poll,
            Probe::Down if !self.order.told => Move::Over(self.off_outcome()),
            Probe::Down if self.wishes.power_off && self.able.switches_power => self.begin_cut(),
            Probe::Down => Move::Over(Outcome::Down),
        }
    }

    /// A node that was lost while it was told, and is still up: it may be on its way down, so it is told
    /// again only after a while, and given its whole time whatever comes of that.
    fn tell_again(&mut self) -> Move {
        if std::mem::replace(&mut self.order.again, false) {
            return self.ask();
        }
        self.order.attempts += 1;
        let failure = self.last.clone().filter(|_| self.order.attempts <= self.limits.retries);
        let Some((failure, wait)) = failure
            .and_then(|failure| failure.kind.back_off(self.order.attempts).map(|wait| (failure, wait)))
        else {
            self.order.doubt = false;
            return Move::Poll;
        };
        self.order.again = true;
        Move::Retry(failure, wait)
    }

    fn try_again(&mut self, failure: Failure) -> Move {
        self.order.attempts += 1;
        match failure
            .kind
            .back_off(self.order.attempts)
            .filter(|_| self.order.attempts <= self.limits.retries)
        {
            Some(wait) => {
                self.stage = StopStage::Looking;
                self.seen.pauses = true;
                Move::Retry(failure, wait)
            }
            None => self.refuse(failure),
        }
    }

    fn out_of_time(&mut self) -> Move {
        let limit = duration::show(self.limits.timeout);
        let (state, forcible) = match self.stage {
            StopStage::Rising => ("not up again", false),
            StopStage::Verifying => ("told to power off, and power does not read off", false),
            StopStage::Cutting => ("its power-off could not begin", false),
            _ if self.seen.probe == Probe::Up => ("still up", true),
            StopStage::Looking | StopStage::Identifying | StopStage::Asking | StopStage::Sinking => {
                ("not known to be down", true)
            }
        };
        let blind = self.seen.power == Power::Unknown && self.seen.probe == Probe::Unknown;
        let kind = if blind { FailureKind::Unreachable } else { FailureKind::TimedOut };
        let seen = self.reading().shown();
        let last = self.last.as_ref().map_or_else(String::new, |last| format!("; {}", last.detail()));
        let reason = Reason::with_aside(format!("{state} after {limit} ({seen})"), &last);
        if forcible && self.is_to_be_forced() {
            return self.force(Failure::own(kind, reason.words().to_owned()));
        }
        Move::Over(Outcome::failed(kind, reason))
    }

    fn off_outcome(&self) -> Outcome {
        if self.cut.forced || self.order.told || self.order.begun || self.cut.at > Duration::ZERO {
            Outcome::Down
        } else {
            Outcome::AlreadyDown
        }
    }

    /// Tells whether the command failed on the node, and the node showed for a settling time that it meant it.
    fn is_plainly_failed(&self, now: Duration) -> bool {
        self.order.failed_at.is_some_and(|at| now.saturating_sub(at) >= self.limits.settle)
    }

    fn is_off(&self) -> bool {
        self.seen.power == Power::Off && self.seen.probe != Probe::Up
    }

    fn is_blind(&self) -> bool {
        !self.able.reads_power && !self.able.probes
    }

    fn is_settled(&self, now: Duration) -> bool {
        self.seen.down_since.is_some_and(|since| now.saturating_sub(since) >= self.limits.settle)
    }
}
