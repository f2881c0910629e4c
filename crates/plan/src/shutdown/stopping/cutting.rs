//! How the power of a node is cut, as the end of its way down or because the operator said so, and how that is seen.

use super::{Move, StopStage, Stopping};
use crate::drivers::{Failure, Power, Probe, Task};
use crate::outcome::Outcome;
use std::time::Duration;

impl Stopping {
    pub(super) fn begin_cut(&mut self) -> Move {
        self.stage = StopStage::Cutting;
        Move::Do(Task::PowerOff)
    }

    /// Has its power-off begin before another time than was said first.
    pub(in crate::shutdown) fn cut_before(&mut self, before: Duration) {
        self.limits.cut_before = before;
    }

    /// Returns when its power-off began, the last where there were several.
    pub(in crate::shutdown) fn cut_began(&self) -> Option<Duration> {
        self.cut.began
    }

    /// Tells whether it kept its power because it was too late to switch it off.
    pub(in crate::shutdown) fn has_kept_power(&self) -> bool {
        self.cut.is_kept
    }

    /// Tells whether a power-off that waits for its turn has missed its time.
    pub(super) fn is_cut_missed(&self, now: Duration) -> bool {
        self.stage == StopStage::Cutting && !self.running && now >= self.limits.cut_before
    }

    /// Ends without the power-off, for which it is too late: the node is down, or failed, as it is.
    pub(super) fn keep_power(&mut self) -> Move {
        self.cut.is_kept = true;
        if self.limits.unit {
            return Move::Over(Outcome::Skipped);
        }
        match self.last.take() {
            Some(failure) if self.cut.forced => Move::Over(failure.into()),
            Some(_) | None => Move::Over(self.off_outcome()),
        }
    }

    /// A power-off that limits hold back must not fall on a node that came up meanwhile.
    pub(super) fn reconsider(&mut self) -> Move {
        if self.seen.probe == Probe::Down || self.cut.forced || self.limits.unit {
            return Move::Poll;
        }
        self.stage = StopStage::Sinking;
        Move::Withdraw
    }

    pub(super) fn cut(&mut self, now: Duration) -> Move {
        if !self.able.reads_power {
            return Move::Over(self.off_outcome());
        }
        self.stage = StopStage::Verifying;
        self.cut.at = now;
        self.deadline = Some(now.saturating_add(self.limits.timeout));
        Move::Look
    }

    pub(super) fn not_cut(&mut self, failure: Failure) -> Move {
        self.cut.failed += 1;
        match failure.kind.back_off(self.cut.failed).filter(|_| self.cut.failed <= self.limits.retries) {
            Some(wait) => {
                // Down is to be proven anew: somebody may have switched it on between two attempts.
                self.stage = StopStage::Sinking;
                self.seen.pauses = true;
                Move::Retry(failure, wait)
            }
            None => Move::Over(failure.into()),
        }
    }

    pub(super) fn verify(&mut self, now: Duration) -> Move {
        if self.is_off() {
            return Move::Over(self.off_outcome());
        }
        let settled = now.saturating_sub(self.cut.at) >= self.limits.settle && self.is_settled(now);
        if self.seen.power == Power::Unknown && self.seen.probe == Probe::Down && settled {
            return Move::Over(Outcome::Down);
        }
        Move::Poll
    }

    /// Gives the node up; its power is cut all the same only where the operator said so.
    pub(super) fn refuse(&mut self, failure: Failure) -> Move {
        if self.is_to_be_forced() { self.force(failure) } else { Move::Over(failure.into()) }
    }

    pub(super) fn is_to_be_forced(&self) -> bool {
        self.wishes.force_off && self.able.switches_power && !self.cut.forced
    }

    pub(super) fn force(&mut self, failure: Failure) -> Move {
        self.cut.forced = true;
        self.last = Some(failure);
        self.begin_cut()
    }
}
