//! Until when each phase may take, and what ends one whose time is over.

use super::Battery;
use orderly_nodes::telling::Telling;
use orderly_plan::drivers::Drivers;
use orderly_plan::run::Run;
use std::time::Duration;

/// Until when the phases may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatestEnds {
    pub wait: Duration,
    pub notice: Duration,
    pub users: Duration,
    pub subsystems: Duration,
}

/// Ends a phase when its time is over.
pub(crate) struct UntilItsEnd<'u, 'b> {
    battery: Option<&'u mut Battery<'b>>,
    of: fn(&LatestEnds) -> Duration,
    pub is_over: bool,
}

impl<'u, 'b> UntilItsEnd<'u, 'b> {
    /// Returns what ends the phase at the time that `of` picks; without a battery it has no end.
    pub(crate) fn of(battery: Option<&'u mut Battery<'b>>, of: fn(&LatestEnds) -> Duration) -> Self {
        Self { battery, of, is_over: false }
    }

    /// Has a run begin nothing more, and ends what it runs, when its time is over; returns when to look again.
    pub(crate) fn steer(
        &mut self,
        run: &mut dyn Run,
        drivers: &mut dyn Drivers,
        telling: &mut Telling<'_>,
    ) -> Option<Duration> {
        if self.is_now_over(drivers.now(), telling) {
            telling.warn("its time is over: what still runs is ended, and the shutdown goes on");
            run.interrupt();
            drivers.end_all();
        }
        self.next_look()
    }

    /// Tells whether the time is over by now and was not when last looked at.
    pub(crate) fn is_now_over(&mut self, now: Duration, telling: &mut Telling<'_>) -> bool {
        let Some(battery) = self.battery.as_mut().filter(|_| !self.is_over) else { return false };
        self.is_over = now >= (self.of)(&battery.latest(now, telling));
        self.is_over
    }

    /// Returns when to look again; never once it is over.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let battery = self.battery.as_ref().filter(|_| !self.is_over)?;
        Some(battery.next_look().min((self.of)(&battery.ends())))
    }
}
