//! Who has what a run waits for: said by the run after a while, and told to whoever looks at it.
//!
//! Processes are known by the slots that they have, and named by what they say of themselves as runs.

use crate::claims::{self, RunFacts};
use crate::telling::Telling;
use orderly_plan::drivers::Drivers;
use orderly_plan::notice::{HeldBack, RunStatus, SlotHolder};
use orderly_plan::run::Run;
use std::time::Duration;

/// How long a run waits before it says for whom: most waits are for a call or two.
const SOON: Duration = Duration::from_secs(2);

/// Returns where a run stands, and who has what it waits for.
pub(crate) fn status<R: Run + ?Sized>(run: &R, drivers: &dyn Drivers, now: Duration) -> RunStatus {
    RunStatus { held_back: held_back(drivers), ..run.status(now) }
}

fn held_back(drivers: &dyn Drivers) -> Vec<HeldBack> {
    let taken = drivers.taken_slots();
    // Most of the time nobody needs to be looked up.
    let runs = if taken.is_empty() { Vec::new() } else { claims::seen() };
    let holder = |pid: u32| {
        let run = runs.iter().find(|run| run.pid == pid);
        let of = |field: fn(&RunFacts) -> String| run.map(field).unwrap_or_default();
        SlotHolder {
            pid,
            program: of(|run| run.program.clone()),
            command: of(|run| run.command.clone()),
            user: of(|run| run.user.clone()),
            since: of(|run| run.since.clone()),
            targets: of(RunFacts::targets),
        }
    };
    let one = |taken: orderly_plan::drivers::TakenSlots| HeldBack {
        what: taken.what,
        by: taken.processes.into_iter().map(holder).collect(),
    };
    taken.into_iter().map(one).collect()
}

/// Says once for whom a run waits.
#[derive(Debug, Default)]
pub(crate) struct HeldBackTeller {
    /// When it is looked next.
    next: Option<Duration>,
    said: Vec<HeldBack>,
}

impl HeldBackTeller {
    /// Looks whether the run waits for others, which it has just asked for what they have.
    pub(crate) fn look(&mut self, drivers: &dyn Drivers, telling: &mut Telling<'_>) {
        if !drivers.is_held_back() {
            self.next = None;
            return;
        }
        let now = drivers.now();
        if now < *self.next.get_or_insert(now + SOON) {
            return;
        }
        self.next = Some(now + SOON);
        let held = held_back(drivers);
        if !held.is_empty() && held != self.said {
            held.iter().for_each(|one| telling.say(&one.words()));
            self.said = held;
        }
    }
}
