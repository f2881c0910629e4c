//! How the power of a node is cut, as the end of its way down or because the operator said so, and how that is seen.

use super::{Move, Stage, Stopping};
use crate::drivers::{Failure, Power, Probe, Task};
use crate::machine::{Outcome, back_off};
use std::time::Duration;

impl Stopping {
    pub(super) fn begin_cut(&mut self) -> Move {
        self.stage = Stage::Cutting;
        Move::Do(Task::PowerOff)
    }

    /// A power-off that limits hold back must not fall on a node that came up meanwhile.
    pub(super) fn reconsider(&mut self) -> Move {
        if self.probe == Probe::Down || self.forced || self.patience.unit {
            return Move::Poll;
        }
        self.stage = Stage::Sinking;
        Move::Withdraw
    }

    pub(super) fn cut(&mut self, now: Duration) -> Move {
        if !self.able.reads_power {
            return Move::Over(self.off_outcome());
        }
        self.stage = Stage::Verifying;
        self.cut_at = now;
        self.deadline = Some(now.saturating_add(self.patience.timeout));
        Move::Look
    }

    pub(super) fn not_cut(&mut self, failure: Failure) -> Move {
        self.cuts += 1;
        match back_off(failure.kind, self.cuts).filter(|_| self.cuts <= self.patience.retries) {
            Some(wait) => {
                // Down is to be proven anew: somebody may have switched it on between two attempts.
                self.stage = Stage::Sinking;
                Move::Retry(failure, wait)
            }
            None => Move::Fail(failure.into()),
        }
    }

    pub(super) fn verify(&mut self, now: Duration) -> Move {
        if self.is_off() {
            return Move::Over(self.off_outcome());
        }
        let settled = now.saturating_sub(self.cut_at) >= self.patience.settle && self.is_settled(now);
        if self.power == Power::Unknown && self.probe == Probe::Down && settled {
            return Move::Over(Outcome::Down);
        }
        Move::Poll
    }

    /// Gives the node up; its power is cut all the same only where the operator said so.
    pub(super) fn refuse(&mut self, failure: Failure) -> Move {
        if self.is_to_be_forced() { self.force(failure) } else { Move::Fail(failure.into()) }
    }

    pub(super) fn is_to_be_forced(&self) -> bool {
        self.wishes.force_off && self.able.switches_power && !self.forced
    }

    pub(super) fn force(&mut self, failure: Failure) -> Move {
        self.forced = true;
        self.last = Some(failure);
        self.begin_cut()
    }
}
