//! Proof of a reset: a node that is back before anybody saw it down is known by its boot id, where its
//! shell can tell it. Where it cannot, only having been seen down is proof.

use super::starting::{Now, StartState, StartTimer, Starting};
use crate::drivers::{Abilities, BootId, Probe, RemoteCommand, Task};
use crate::outcome::Outcome;
use crate::survey::Condition;

impl Starting {
    /// Asks a node that is up which boot it is in, once, before it is reset; tells whether that is to
    /// be waited for.
    pub(super) fn identify(&mut self, able: Abilities, now: &mut Now<'_>) -> bool {
        let is_needed = able.runs_commands
            && able.probes
            && self.reading.condition() == Condition::Up
            && !std::mem::replace(&mut self.reset.is_identified, true);
        if is_needed {
            now.cancel(StartTimer::Poll);
            self.enter(StartState::Identifying, now);
            self.ask_boot_id(now);
        }
        is_needed
    }

    /// Asks a node that answers after its reset, and was not seen down, whether this is another boot.
    pub(super) fn ask_whether_it_booted(&mut self, now: &mut Now<'_>) {
        let reset = &self.reset;
        if reset.must_go_down && reset.boot_before.is_some() && self.reading.probe == Some(Probe::Up) {
            self.ask_boot_id(now);
        }
    }

    fn ask_boot_id(&mut self, now: &mut Now<'_>) {
        if !std::mem::replace(&mut self.asked.boot, true) {
            now.queue(Task::Run(RemoteCommand::ReadBootId));
        }
    }

    /// Hears which boot a node is in; `None` where it cannot tell, which proves nothing.
    pub(super) fn identified(&mut self, id: Option<BootId>, now: &mut Now<'_>) {
        self.asked.boot = false;
        match self.state {
            StartState::Identifying => {
                self.reset.boot_before = id;
                if id.is_some() && id == self.reset.own_boot {
                    let clause = "it is the very machine this run is on (same boot id), and is not reset";
                    now.finish(Outcome::Failed(clause.to_owned().into()));
                } else if !now.is_interrupted {
                    self.tell_to_reset(now);
                }
            }
            StartState::Booting if id.is_some() && id != self.reset.boot_before => {
                self.reset.must_go_down = false;
                if self.is_up() {
                    now.finish(Outcome::Up);
                }
            }
            StartState::Waiting
            | StartState::Asking
            | StartState::Queued(_)
            | StartState::Acting(_)
            | StartState::Judging(_)
            | StartState::Pausing(_)
            | StartState::GoingOff
            | StartState::Booting => {}
        }
    }
}
