//! Real nodes: which driver a task goes to, within the fan-out, and what is heard of all of them in one loop.
//!
//! What is known of a node, of a call, or is to be done later, is the drivers' own (`power`, `shell`, `probe`).

mod backend;
mod room;
mod route;

use crate::config::Cluster;
use crate::driver::kind::DriverKind;
use crate::driver::{Begun, Driver};
use crate::elsewhere::Door;
use crate::power::PowerCalls;
use crate::probe::ProbeCalls;
use crate::runtime::{Runtime, told_to_end};
use crate::shared::SharedLimits;
use crate::shell::ShellCalls;
use crate::wiring::Wiring;
use orderly_exec::children::{ChildEvent, Children};
use orderly_plan::drivers::{Abilities, Drivers, Event, Failure, FailureKind, NodeId, TakenSlots, Task};
use orderly_plan::inventory::Inventory;
use room::ProcessRoom;
use route::route;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far past nodes whose controller is busy a free one is looked for: further than any one
/// controller has nodes, because one that hangs would hold back all behind it.
const LOOK_AHEAD: usize = 16 * 1024;

/// Events handed over at once, so that a flood of them does not keep new work waiting.
const AT_ONCE: usize = 256;

/// Real nodes and their drivers.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    runtime: Runtime,
    power: PowerCalls,
    shell: ShellCalls,
    probe: ProbeCalls,
    began: Instant,
    commands: u64,
    door: Door,
}

impl Dispatcher {
    pub(crate) fn new(cluster: &Cluster, inventory: &Inventory, wiring: Wiring, children: Children) -> Self {
        let room = ProcessRoom::for_fanout(cluster.limits.fanout.max(1));
        let shared = SharedLimits::own(cluster, inventory);
        let mut runtime = Runtime::new(wiring, children, room.processes, shared);
        room.warning.into_iter().for_each(|warning| runtime.complaints.warn(warning));
        Self {
            power: PowerCalls::new(cluster, inventory, &runtime.wiring),
            shell: ShellCalls::default(),
            probe: ProbeCalls::new(room.probes, runtime.wiring.roster.len()),
            runtime,
            began: Instant::now(),
            commands: 0,
            door: Door::default(),
        }
    }

    fn with<T>(&mut self, kind: DriverKind, act: impl FnOnce(&mut dyn Driver, &mut Runtime) -> T) -> T {
        match kind {
            DriverKind::Power => act(&mut self.power, &mut self.runtime),
            DriverKind::Shell => act(&mut self.shell, &mut self.runtime),
            DriverKind::Probe => act(&mut self.probe, &mut self.runtime),
        }
    }

    /// Takes what was seen, and what else there is to see by now.
    fn see_all(&mut self, seen: ChildEvent) {
        let mut next = Some(seen);
        let now = Instant::now();
        while let Some(seen) = next {
            match seen {
                ChildEvent::Ended(id, ended) => {
                    if let Some(owner) = self.runtime.forget(id) {
                        self.with(owner, |driver, runtime| driver.ended(runtime, id, ended));
                    }
                }
                ChildEvent::Said(id, said) => {
                    if let Some(owner) = self.runtime.owner(id) {
                        self.with(owner, |driver, runtime| driver.heard(runtime, id, &said));
                    }
                }
                ChildEvent::Ready(watch) => {
                    let mut kinds = DriverKind::ALL.into_iter();
                    kinds.any(|kind| self.with(kind, |driver, runtime| driver.ready(runtime, watch)));
                }
                ChildEvent::Signal(signal) => self.runtime.answer(crate::signal::event(signal)),
                ChildEvent::Enter => self.runtime.answer(Event::Attention),
                ChildEvent::Asked if self.door.is_attended() => self.runtime.answer(Event::Asked),
                ChildEvent::Asked => self.door.answer(),
            }
            self.probe.take_readings(&mut self.runtime);
            next = if self.runtime.answers.events.len() < AT_ONCE {
                self.runtime.children.next(Some(now)).ok().flatten()
            } else {
                None
            };
        }
    }

    fn do_due(&mut self) {
        for kind in DriverKind::ALL {
            self.with(kind, |driver, runtime| driver.do_due(runtime));
        }
        for (task, mut nodes) in std::mem::take(&mut self.runtime.answers.again) {
            self.begin(task, &mut nodes);
            nodes.into_iter().for_each(|node| self.runtime.begin_again(task, node));
        }
        self.probe.take_readings(&mut self.runtime);
    }

    /// Answers for what was to be begun again.
    fn give_up_again(&mut self) {
        for (task, nodes) in std::mem::take(&mut self.runtime.answers.again) {
            self.runtime.fail_all(task, nodes, &told_to_end());
        }
    }

    /// Answers for everything when the loop itself fails; nothing could be heard of any more.
    fn lose_everything(&mut self, why: &str) {
        let failure = Failure::own(FailureKind::Ended, why);
        for kind in DriverKind::ALL {
            self.with(kind, |driver, runtime| driver.lose_all(runtime, &failure));
        }
        self.runtime.forget_all();
        self.give_up_again();
    }

    fn wake(&self) -> Option<Instant> {
        let drivers: [&dyn Driver; 3] = [&self.power, &self.shell, &self.probe];
        drivers.iter().filter_map(|driver| driver.wake(&self.runtime)).min()
    }

    /// Waits for something to happen, as [`Drivers::next`] does.
    fn wait(&mut self, until: Option<Instant>) -> Vec<Event> {
        loop {
            self.do_due();
            if !self.runtime.answers.events.is_empty() || !self.runtime.answers.commands.is_empty() {
                return std::mem::take(&mut self.runtime.answers.events);
            }
            let wake = self.wake();
            let power = &self.power;
            self.runtime.shared.settle(self.runtime.running(), |controller| power.busy(controller));
            let due = [until, self.runtime.complaints.due(), self.runtime.shared.again()];
            let due = due.into_iter().flatten().min();
            let wake = [due, wake, self.runtime.shared.until()].into_iter().flatten().min();
            match self.runtime.children.next(wake) {
                Ok(Some(seen)) => self.see_all(seen),
                Ok(None) => {
                    if due.is_some_and(|due| Instant::now() >= due) {
                        self.do_due();
                        return std::mem::take(&mut self.runtime.answers.events);
                    }
                }
                Err(error) => self.lose_everything(&format!("{error:#}")),
            }
        }
    }
}

impl Drivers for Dispatcher {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        self.runtime.abilities(node)
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let mut begun = Vec::new();
        let mut at = 0;
        while at < nodes.len().min(LOOK_AHEAD) {
            match route(&self.runtime, task, nodes[at]) {
                Err(event) => {
                    self.runtime.answer(event);
                    begun.extend(nodes.remove(at));
                }
                Ok(kind) => match self.with(kind, |driver, runtime| driver.begin(runtime, task, nodes, at)) {
                    Begun::On(taken) => begun.extend(taken),
                    Begun::Later => at += 1,
                    Begun::Full => break,
                },
            }
        }
        begun
    }

    fn is_full(&self) -> bool {
        !self.runtime.has_room()
    }

    fn lift_limits(&mut self) {
        let room = ProcessRoom::for_fanout(usize::MAX / 8);
        self.runtime.fanout = self.runtime.fanout.max(room.processes);
        self.runtime.shared.lift();
        self.power.lift_limits();
    }

    fn end_all(&mut self) {
        self.runtime.children.end_all();
        for kind in DriverKind::ALL {
            self.with(kind, |driver, runtime| driver.end_all(runtime));
        }
        self.give_up_again();
        self.probe.take_readings(&mut self.runtime);
    }

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        let events = self.wait(until.and_then(|until| self.began.checked_add(until)));
        // What is still wanted is offered again now.
        self.runtime.shared.forget();
        events
    }

    fn booting(&mut self, class: u32, wanted: usize) -> usize {
        self.runtime.shared.booting(class, wanted)
    }

    fn may_power_on(&mut self) -> bool {
        self.runtime.shared.may_power_on()
    }

    fn powered_on(&mut self) {
        self.runtime.shared.powered_on();
    }

    fn is_held_back(&self) -> bool {
        self.runtime.shared.is_held_back()
    }

    fn taken_slots(&self) -> Vec<TakenSlots> {
        self.runtime.shared.taken()
    }

    fn listen(&mut self) {
        self.runtime.children.listen_for_enter();
    }

    fn leave(&mut self) {
        self.runtime.children.leave_enter();
    }

    fn why_unknown(&self, node: NodeId) -> Option<String> {
        self.power.unknowns.why_unknown(node).or_else(|| self.probe.why_unknown(node))
    }

    fn permanent_power_failure(&self, node: NodeId) -> Option<Failure> {
        self.power.unknowns.permanent_failure(&self.runtime, node)
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.runtime.take_warnings()
    }

    fn take_last_warnings(&mut self) -> Vec<String> {
        self.probe.complain(&mut self.runtime);
        self.runtime.complaints.hurry();
        self.runtime.take_warnings()
    }
}

#[cfg(test)]
mod tests;
