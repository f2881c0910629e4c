//! A node's way down as the course of a run: what each move has done, and asked.

use super::{Move, StopStage, Stopping};
use crate::doing::Doing;
use crate::drivers::{Event, Probe, RemoteCommand, Task};
use crate::notice::Happening;
use crate::outcome::Outcome;
use crate::run::{Moment, NodeCourse};
use std::time::Duration;

/// An appointment of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopTimer {
    Look,
    LetGo,
}

/// What happens to a node of a shutdown.
type Now<'r> = Moment<'r, StopTimer>;

impl Stopping {
    fn carry_out(&mut self, next: Move, now: &mut Now<'_>) {
        match next {
            Move::Wait => {}
            Move::Look => {
                let tasks = self.look();
                if tasks.is_empty() {
                    // It goes on where nothing can be asked.
                    let next = self.answered(now.at);
                    self.carry_out(next, now);
                }
                tasks.into_iter().for_each(|task| now.queue(task));
            }
            Move::Poll if self.stage == StopStage::Cutting => {
                let left = self.limits.cut_before.saturating_sub(now.at);
                self.look_after(self.able.interval.min(left), now);
            }
            Move::Poll => self.look_after(self.able.interval, now),
            Move::Retry(failure, wait) => {
                now.notice(Happening::Retried(failure, wait));
                self.look_after(wait, now);
            }
            Move::Do(Task::PowerOff) if now.at >= self.limits.cut_before => {
                let next = self.keep_power();
                self.carry_out(next, now);
            }
            Move::Do(task) => {
                now.queue(task);
                self.order.times.queued = Some(now.at);
                if task == Task::PowerOff {
                    let left = self.limits.cut_before.saturating_sub(now.at);
                    self.look_after(self.able.interval.min(left), now);
                }
            }
            Move::Withdraw => {
                now.withdraw(Task::PowerOff);
                self.look_after(self.able.interval, now);
            }
            Move::LetGo => {
                now.let_go();
                self.look_after(self.able.interval, now);
            }
            Move::Over(outcome) => now.finish(outcome),
        }
    }

    fn look_after(&self, wait: Duration, now: &mut Now<'_>) {
        // An interval of nothing would ask for ever without time passing.
        now.set(StopTimer::Look, now.at.saturating_add(wait.max(Duration::from_millis(1))));
    }
}

impl NodeCourse for Stopping {
    type Timer = StopTimer;
    const TIMERS: &'static [StopTimer] = &[StopTimer::Look, StopTimer::LetGo];
    const FIRST: &'static [Task] = &[];

    fn phase(&self) -> &'static str {
        "stopping"
    }

    fn turn(&mut self, now: &mut Now<'_>) {
        self.able = now.abilities();
        self.permanent = now.permanent_power_failure();
        self.carry_out(Move::Look, now);
    }

    fn begun(&mut self, task: Task, now: &mut Now<'_>) {
        if matches!(task, Task::ReadPower | Task::Probe | Task::Run(RemoteCommand::ReadBootId)) {
            return;
        }
        self.act_begun(task, now.at);
        now.notice(Happening::Began(task));
        // Told again, it is not given more time.
        let fresh = !now.has(StopTimer::LetGo) && !self.order.let_go;
        if let (Task::Run(_), Some(limit), true) = (task, self.limits.let_go, fresh) {
            now.set(StopTimer::LetGo, now.at.saturating_add(limit));
        }
    }

    fn hear(&mut self, event: &Event, now: &mut Now<'_>) {
        let next = match event {
            Event::Power(_, power) => self.power(*power, now.at),
            Event::Probe(_, probe) => self.probe(*probe, now.at),
            Event::Ended(_, _, result) => self.ended(result.clone(), now.at),
            Event::BootId(_, id) => self.booted(*id),
            Event::Signal(_) | Event::Attention | Event::Asked => Move::Wait,
        };
        self.carry_out(next, now);
    }

    fn due(&mut self, timer: StopTimer, now: &mut Now<'_>) {
        match (timer, self.limits.let_go) {
            (StopTimer::Look, _) if self.is_cut_missed(now.at) => {
                now.withdraw(Task::PowerOff);
                let next = self.keep_power();
                self.carry_out(next, now);
            }
            (StopTimer::Look, _) if self.may_look() => self.carry_out(Move::Look, now),
            (StopTimer::LetGo, Some(limit)) => {
                self.order.let_go = true;
                now.notice(Happening::LetGo(Probe::Down, limit));
                now.let_go();
            }
            (StopTimer::Look | StopTimer::LetGo, _) => {}
        }
    }

    /// `-W` lets followers go on, and never permits a power-off, least of all that of the disks under a running node.
    fn waits_for_ends(&self) -> bool {
        self.limits.unit
    }

    fn can_be_taken_back(&self) -> bool {
        !self.is_told()
    }

    fn unfinished(&self) -> Option<Outcome> {
        self.is_told().then_some(Outcome::Begun)
    }

    fn prolong(&mut self, longer: Option<Duration>, _now: &mut Now<'_>) -> Option<Duration> {
        let longer = longer.unwrap_or(self.limits.timeout);
        self.limits.timeout = self.limits.timeout.saturating_add(longer);
        self.deadline = self.deadline.map(|deadline| deadline.saturating_add(longer));
        Some(longer)
    }

    fn ends_at(&self, _at: &dyn Fn(StopTimer) -> Option<Duration>) -> Option<Duration> {
        self.deadline
    }

    fn doing(&self) -> Doing {
        match self.stage {
            StopStage::Looking | StopStage::Sinking if self.seen.pauses => Doing::WaitingToTryAgain,
            StopStage::Looking => Doing::Asked,
            StopStage::Identifying => Doing::AskedBoot,
            StopStage::Asking if self.running => Doing::BeingTold,
            StopStage::Asking => Doing::WaitingForTurn,
            StopStage::Sinking => Doing::GoingDown,
            StopStage::Cutting => Doing::PoweringOff,
            StopStage::Verifying => Doing::WaitingForOff,
            StopStage::Rising => Doing::ComingUp,
        }
    }

    fn last_heard(&self) -> String {
        self.reading().shown()
    }
}
