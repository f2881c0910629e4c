//! Proof of a reset: a node that is back before anybody saw it down is known by its boot id, where its
//! shell can tell it. Where it cannot, only having been seen down is proof.

use super::member::State;
use super::{Startup, Timer};
use crate::drivers::{Abilities, BootId, Drivers, NodeId, Probe};
use crate::machine::Outcome;
use crate::survey::Condition;
use std::time::Duration;

impl Startup<'_> {
    /// Asks a node that is up which boot it is in, once, before it is reset; tells whether that is to
    /// be waited for.
    pub(super) fn identify(&mut self, able: Abilities, node: NodeId, now: Duration) -> bool {
        let member = self.member(node);
        let is_needed = able.runs_commands
            && able.probes
            && member.reading.condition() == Condition::Up
            && !std::mem::replace(&mut member.is_identified, true);
        if is_needed {
            self.timers.cancel(node, Timer::Poll);
            self.enter(node, State::Identifying, now);
            self.ask_boot_id(node);
        }
        is_needed
    }

    /// Asks a node that answers after its reset, and was not seen down, whether this is another boot.
    pub(super) fn ask_whether_it_booted(&mut self, node: NodeId) {
        let member = self.member(node);
        if member.must_go_down && member.boot_before.is_some() && member.reading.probe == Some(Probe::Up) {
            self.ask_boot_id(node);
        }
    }

    fn ask_boot_id(&mut self, node: NodeId) {
        if !std::mem::replace(&mut self.member(node).asked_boot, true) {
            self.to_identify.push_back(node);
        }
    }

    /// Hears which boot a node is in; `None` where it cannot tell, which proves nothing.
    pub(super) fn identified(
        &mut self,
        drivers: &dyn Drivers,
        node: NodeId,
        id: Option<BootId>,
        now: Duration,
    ) {
        let member = self.member(node);
        member.asked_boot = false;
        match member.state {
            State::Identifying => {
                member.boot_before = id;
                if id.is_some() && id == self.options.own_boot {
                    let clause = "it is the very machine this run is on (same boot id), and is not reset";
                    self.finish(node, Outcome::Failed(clause.to_owned().into()), now);
                } else if !self.interrupted {
                    self.reset(self.able(drivers, node), node, now);
                }
            }
            State::Booting if id.is_some() && id != member.boot_before => {
                member.must_go_down = false;
                if member.is_up() {
                    self.finish(node, Outcome::Up, now);
                }
            }
            State::Waiting
            | State::Asking
            | State::Queued(_)
            | State::Acting(_)
            | State::Judging(_)
            | State::Pausing(_)
            | State::GoingOff
            | State::Booting
            | State::Over(_) => {}
        }
    }
}
