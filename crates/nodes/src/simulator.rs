//! Imagined nodes that boot, halt, fail and hang, on the real clock or on a virtual one.
//!
//! On the real clock the world is kept in a file, so that `cstartup` and then `cshutdown` act on the
//! same one. On the virtual clock `next` jumps to the next thing that happens: rehearsals and
//! property tests run in an instant.

mod controllers;
mod of_cluster;
mod settings;
mod store;
mod world;

pub use settings::{Initial, SimulatorSettings};
pub(crate) use store::WorldStore;
pub use world::{Deed, DeedKind, Nature, NodeState, Reads, SimulatedAnswer, SimulatedWorld};

use crate::backend::Backend;
use crate::command::{CommandId, SideCommand};
use crate::elsewhere::Door;
use crate::runtime::CommandEnd;
use crate::shared::SharedLimits;
use controllers::ImaginedControllers;
use orderly_exec::children::{ChildEvent, Children};
use orderly_exec::job::{Ended, Ending};
use orderly_exec::visitors::Visitors;
use orderly_plan::drivers::{
    Abilities, Drivers, Event, Failure, FailureKind, NodeId, RemoteCommand, TakenSlots, Task,
};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// What will happen, soonest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SimulatedItem {
    /// A call ends.
    SimulatedAnswer(Task, NodeId),
    /// A call is given up, at its limit or because all were told to end.
    GiveUp(Task, NodeId, FailureKind),
    Signal(i32),
}

#[derive(Debug)]
enum Clock {
    Virtual(Duration),
    Real(Box<Real>),
}

#[derive(Debug)]
struct Real {
    children: Children,
    began: Instant,
    /// World time is counted from 1970, so that it goes on from one process to the next.
    epoch: Duration,
    store: WorldStore,
    names: Vec<String>,
    door: Door,
}

/// A drivers of imagined nodes.
#[derive(Debug)]
pub struct Simulation {
    clock: Clock,
    world: SimulatedWorld,
    abilities: Vec<Abilities>,
    agenda: BinaryHeap<Reverse<(Duration, u64, SimulatedItem)>>,
    /// Numbers what is put on the agenda, so that things at the same time keep their order.
    count: u64,
    fanout: usize,
    controllers: ImaginedControllers,
    /// What other runs have a part in; none on a virtual clock.
    shared: Option<SharedLimits>,
    running: usize,
    limit: Duration,
    /// Commands beside the run: how many were begun, and those whose ends were not asked for yet.
    commands: u64,
    ended: Vec<CommandEnd>,
}

impl Simulation {
    /// Returns imagined nodes on a virtual clock, which stands at 0. All can do everything until
    /// [`Simulation::set_abilities`] says otherwise.
    pub fn imagine(natures: Vec<(Nature, NodeState)>) -> Self {
        let abilities = Abilities {
            switches_power: true,
            reads_power: true,
            confirms_power: true,
            resets: true,
            runs_commands: true,
            halts: true,
            probes: true,
            interval: Duration::from_secs(2),
        };
        Self {
            clock: Clock::Virtual(Duration::ZERO),
            abilities: vec![abilities; natures.len()],
            world: SimulatedWorld::new(natures),
            agenda: BinaryHeap::new(),
            count: 0,
            fanout: usize::MAX,
            controllers: ImaginedControllers::default(),
            shared: None,
            running: 0,
            limit: Duration::from_secs(60),
            commands: 0,
            ended: Vec::new(),
        }
    }

    /// Keeps to limits that other runs may have a part in.
    pub(crate) fn limited(mut self, shared: SharedLimits) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Puts the world on the real clock and keeps it in a file; `names` are the nodes' names there.
    pub(crate) fn on_real_clock(
        mut self,
        children: Children,
        mut store: WorldStore,
        names: Vec<String>,
    ) -> anyhow::Result<Self> {
        let epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        store.load(&mut self.world, &names)?;
        // Written at once: a world that cannot be kept is told before anything happens in it.
        store.save(&self.world, &names)?;
        let door = Door::default();
        let real = Real { children, began: Instant::now(), epoch, store, names, door };
        self.clock = Clock::Real(Box::new(real));
        Ok(self)
    }

    pub fn set_abilities(&mut self, node: NodeId, abilities: Abilities) {
        self.abilities[node.index()] = abilities;
    }

    /// Limits how many calls (probes apart) run at once.
    pub fn set_fanout(&mut self, fanout: usize) {
        self.fanout = fanout.max(1);
    }

    /// Limits how long one call may take.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Has a signal come at a time (of a virtual clock).
    pub fn interrupt_at(&mut self, at: Duration, signal: i32) {
        self.schedule(at, SimulatedItem::Signal(signal));
    }

    /// Makes a node refuse whatever it is told.
    pub fn fail(&mut self, node: NodeId) {
        self.world.nature_mut(node).fail();
    }

    /// Has a node be off from the beginning.
    pub fn switch_off(&mut self, node: NodeId) {
        self.world.set_condition(node, NodeState::Off);
    }

    pub fn world(&self) -> &SimulatedWorld {
        &self.world
    }

    pub fn world_mut(&mut self) -> &mut SimulatedWorld {
        &mut self.world
    }

    /// Returns all that was done and what came of it, in order of time. On the virtual clock times
    /// are those of the run.
    pub fn deeds(&mut self) -> Vec<Deed> {
        let now = self.world_time();
        self.world.deeds(now)
    }

    /// Writes the world to its file, where it has one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&mut self) -> anyhow::Result<()> {
        match &mut self.clock {
            Clock::Virtual(_) => Ok(()),
            Clock::Real(real) => real.store.save(&self.world, &real.names),
        }
    }

    fn world_time(&self) -> Duration {
        match &self.clock {
            Clock::Virtual(now) => *now,
            Clock::Real(real) => real.epoch + real.began.elapsed(),
        }
    }

    fn schedule(&mut self, at: Duration, item: SimulatedItem) {
        self.count += 1;
        self.agenda.push(Reverse((at, self.count, item)));
    }

    /// Tells whether another call may begin, as far as this run and all others are concerned.
    fn has_room(&self) -> bool {
        let others = |shared: &SharedLimits| shared.processes(self.running + 1) > self.running;
        self.running < self.fanout && self.shared.as_ref().is_none_or(others)
    }

    fn begin_one(&mut self, task: Task, node: NodeId) {
        let now = self.world_time();
        self.world.note(now, node, DeedKind::Begun(task));
        let latency = self.world.latency(task, node);
        let item = match latency {
            Some(latency) if latency < self.limit => {
                (now + latency, SimulatedItem::SimulatedAnswer(task, node))
            }
            Some(_) | None => (now + self.limit, SimulatedItem::GiveUp(task, node, FailureKind::TimedOut)),
        };
        self.schedule(item.0, item.1);
        self.running += usize::from(task != Task::Probe);
        self.controllers.occupy(task, node);
    }

    /// Takes note that a call has ended.
    fn free(&mut self, task: Task, node: NodeId) {
        self.running -= usize::from(task != Task::Probe);
        self.controllers.free(task, node);
    }

    fn happen(&mut self, at: Duration, item: SimulatedItem) -> Event {
        let (task, node, result) = match item {
            SimulatedItem::Signal(number) => return Event::Signal(number),
            SimulatedItem::SimulatedAnswer(Task::Probe, node) => {
                return Event::Probe(node, self.world.probe(at, node));
            }
            SimulatedItem::SimulatedAnswer(Task::ReadPower, node) => {
                self.free(Task::ReadPower, node);
                return Event::Power(node, self.world.power(at, node));
            }
            SimulatedItem::SimulatedAnswer(task @ Task::Run(RemoteCommand::ReadBootId), node) => {
                self.free(task, node);
                return Event::BootId(node, self.world.boot_id(at, node));
            }
            SimulatedItem::SimulatedAnswer(task, node) => (task, node, self.world.act(at, node, task)),
            SimulatedItem::GiveUp(task, node, kind) => {
                let detail = if kind == FailureKind::TimedOut { "simulated hang" } else { "interrupted" };
                (task, node, Err(Failure::own(kind, detail)))
            }
        };
        self.free(task, node);
        if let Ok(()) = result {
            if let Clock::Real(real) = &mut self.clock {
                real.store.changed(node);
            }
        }
        Event::answer(task, node, result)
    }

    /// Takes what is due at `now` off the agenda.
    fn due(&mut self, now: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(&Reverse((at, _, item))) = self.agenda.peek() {
            if at > now {
                break;
            }
            self.agenda.pop();
            events.push(self.happen(at, item));
        }
        events
    }

    fn next_virtual(&mut self, now: Duration, until: Option<Duration>) -> Vec<Event> {
        let next = self.agenda.peek().map(|Reverse((at, ..))| *at);
        let to = match (next, until) {
            (Some(next), Some(until)) => next.min(until),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => now,
        };
        let to = to.max(now);
        self.clock = Clock::Virtual(to);
        self.due(to)
    }

    fn next_real(&mut self, until: Option<Duration>) -> Vec<Event> {
        let again = self.shared.as_ref().and_then(SharedLimits::again);
        loop {
            let now = self.world_time();
            let events = self.due(now);
            if let Some(shared) = &mut self.shared {
                shared.settle(self.running, |_| 0);
            }
            let limits_wake =
                self.shared.as_ref().and_then(SharedLimits::until).into_iter().chain(again).min();
            let agenda = self.agenda.peek().map(|Reverse((at, ..))| *at);
            let Clock::Real(real) = &mut self.clock else { return events };
            real.store.save_now_and_then(&self.world, &real.names);
            if !events.is_empty() {
                return events;
            }
            let until = until.map(|until| real.epoch + until);
            if until.is_some_and(|until| now >= until) {
                return events;
            }
            let wake = match (agenda, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let wake = wake.and_then(|wake| real.began.checked_add(wake.saturating_sub(real.epoch)));
            if again.is_some_and(|again| Instant::now() >= again) {
                return events;
            }
            match real.children.next(wake.into_iter().chain(limits_wake).min()) {
                Ok(Some(ChildEvent::Signal(signal))) => return vec![crate::signal::event(signal)],
                Ok(Some(ChildEvent::Enter)) => return vec![Event::Attention],
                Ok(Some(ChildEvent::Asked)) if real.door.is_attended() => return vec![Event::Asked],
                Ok(Some(ChildEvent::Asked)) => real.door.answer(),
                Ok(_) => {}
                // Without a loop there is no waiting; what is on the agenda is answered at once.
                Err(_) => return self.due(Duration::MAX),
            }
        }
    }
}

impl Drivers for Simulation {
    fn now(&self) -> Duration {
        match &self.clock {
            Clock::Virtual(now) => *now,
            Clock::Real(real) => real.began.elapsed(),
        }
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        self.abilities[node.index()]
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        let (mut begun, mut busy) = (Vec::new(), VecDeque::new());
        while task == Task::Probe || (!nodes.is_empty() && self.has_room()) {
            let Some(node) = nodes.pop_front() else { break };
            if !self.controllers.has_room(task, node) {
                busy.push_back(node);
                continue;
            }
            self.begin_one(task, node);
            begun.push(node);
        }
        // One whose controller is busy is passed over, and keeps its place.
        busy.append(nodes);
        *nodes = busy;
        begun
    }

    fn is_full(&self) -> bool {
        self.running >= self.fanout
    }

    fn lift_limits(&mut self) {
        self.fanout = usize::MAX;
        self.controllers.lift_limits();
        self.shared.iter_mut().for_each(SharedLimits::lift);
    }

    fn end_all(&mut self) {
        let now = self.world_time();
        for Reverse((_, _, item)) in std::mem::take(&mut self.agenda) {
            match item {
                SimulatedItem::SimulatedAnswer(task, node) | SimulatedItem::GiveUp(task, node, _) => {
                    self.schedule(now, SimulatedItem::GiveUp(task, node, FailureKind::Ended));
                }
                SimulatedItem::Signal(_) => {}
            }
        }
    }

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        // The end of a command is heard of without waiting.
        let until = if self.ended.is_empty() { until } else { Some(Duration::ZERO) };
        let events = match self.clock {
            Clock::Virtual(now) => self.next_virtual(now, until),
            Clock::Real(_) => self.next_real(until),
        };
        // What is still wanted is offered again now.
        self.shared.iter().for_each(SharedLimits::forget);
        events
    }

    fn booting(&mut self, class: u32, wanted: usize) -> usize {
        self.shared.as_mut().map_or(wanted, |shared| shared.booting(class, wanted))
    }

    fn may_power_on(&mut self) -> bool {
        self.shared.as_mut().is_none_or(SharedLimits::may_power_on)
    }

    fn powered_on(&mut self) {
        self.shared.iter_mut().for_each(SharedLimits::powered_on);
    }

    fn is_held_back(&self) -> bool {
        self.shared.as_ref().is_some_and(SharedLimits::is_held_back)
    }

    fn taken_slots(&self) -> Vec<TakenSlots> {
        self.shared.as_ref().map(SharedLimits::taken).unwrap_or_default()
    }

    fn listen(&mut self) {
        if let Clock::Real(real) = &mut self.clock {
            real.children.listen_for_enter();
        }
    }

    fn leave(&mut self) {
        if let Clock::Real(real) = &mut self.clock {
            real.children.leave_enter();
        }
    }
}

impl Backend for Simulation {
    fn drivers(&mut self) -> &mut dyn Drivers {
        self
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        match &mut self.clock {
            Clock::Virtual(_) => Ok(()),
            Clock::Real(real) => real.store.load(&mut self.world, &real.names),
        }
    }

    fn let_in(&mut self, visitors: &Visitors, door: &Door) -> anyhow::Result<()> {
        match &mut self.clock {
            Clock::Virtual(_) => Ok(()),
            Clock::Real(real) => {
                real.door = door.clone();
                real.children.let_in(visitors)
            }
        }
    }

    fn share_limits(&mut self) -> anyhow::Result<()> {
        self.shared.as_mut().map_or(Ok(()), SharedLimits::share)
    }

    fn start(&mut self, _command: &SideCommand) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.ended.push((id, Ok(nothing_ran())));
        id
    }

    fn take_ended(&mut self) -> Vec<CommandEnd> {
        std::mem::take(&mut self.ended)
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.save()
    }
}

fn nothing_ran() -> Ended {
    Ended {
        ending: Ending::Exited(0),
        stdout: Vec::new(),
        stderr: Vec::new(),
        truncated: false,
        took: Duration::ZERO,
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // A run that ends early leaves the world as it made it; there is nobody left to tell.
        self.save().ok();
    }
}

#[cfg(test)]
mod tests;
