//! How many nodes boot at a time, and how soon one is powered on after another.
//!
//! Invariant: a node that waits for its class is looked at when it is queued and when it is begun, and not at each
//! event between (`twice_the_nodes_take_twice_the_looks`).

use crate::drivers::{Drivers, NodeId, Task};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

/// How many nodes a round passes over, because their controllers are busy, before it ends.
const LOOK_AHEAD: usize = 16 * 1024;

/// How many nodes may be between an act on their power and its end.
#[derive(Debug, Clone, Default)]
pub struct Booting {
    /// `None` is no limit.
    pub limit: Option<usize>,
    /// By node: those with equal numbers are counted together. Empty where all are.
    pub class_of: Vec<u32>,
}

impl Booting {
    fn class(&self, node: NodeId) -> u32 {
        self.class_of.get(node.index()).copied().unwrap_or(0)
    }
}

/// The place of a node among those that wait: by the rest of its critical path, and then by when it was queued.
type Place = (Reverse<u64>, u64, NodeId);

/// Nodes that wait to be acted on alike.
#[derive(Debug, Default)]
struct Waiting {
    places: HashMap<NodeId, Place>,
    /// Those that wait for their class.
    by_class: HashMap<u32, BTreeSet<Place>>,
    /// The first of each class that has room. Others may be left over here: who is not the first of its class, or has
    /// no room, is passed over.
    heads: BTreeSet<(Place, u32)>,
    /// Those that wait for a driver alone, in their order; each takes a place of its class.
    offered: VecDeque<NodeId>,
    /// By class: how many these are.
    taken: HashMap<u32, usize>,
}

impl Waiting {
    fn add(&mut self, place: Place, class: u32) {
        self.places.insert(place.2, place);
        self.by_class.entry(class).or_default().insert(place);
        self.open(class);
    }

    /// Takes note that a class has room.
    fn open(&mut self, class: u32) {
        if let Some(first) = self.by_class.get(&class).and_then(BTreeSet::first) {
            self.heads.insert((*first, class));
        }
    }

    /// Offers at most so many of those in front whose class has room beside so many that are offered; returns how many.
    fn offer(&mut self, most: usize, mut has_room: impl FnMut(u32, usize) -> bool) -> usize {
        let mut count = 0;
        while count < most {
            let Some((place, class)) = self.heads.pop_first() else { break };
            let is_first = |nodes: &&mut BTreeSet<Place>| nodes.first() == Some(&place);
            let Some(nodes) = self.by_class.get_mut(&class).filter(is_first) else { continue };
            let taken = self.taken.entry(class).or_default();
            if !has_room(class, *taken) {
                continue;
            }
            *taken += 1;
            nodes.remove(&place);
            let at = self.offered.partition_point(|node| self.places[node] < place);
            self.offered.insert(at, place.2);
            self.open(class);
            count += 1;
        }
        count
    }

    /// Takes note that one that was offered is so no more.
    fn free(&mut self, class: u32) {
        if let Some(taken) = self.taken.get_mut(&class) {
            *taken = taken.saturating_sub(1);
        }
        self.open(class);
    }

    fn remove(&mut self, node: NodeId, class: u32) {
        let Some(place) = self.places.remove(&node) else { return };
        if self.by_class.get_mut(&class).is_some_and(|nodes| nodes.remove(&place)) {
            self.heads.remove(&(place, class));
            self.open(class);
        } else {
            self.offered.retain(|offered| *offered != node);
            self.free(class);
        }
    }
}

/// Holds acts on power back. Without limits it holds back nothing.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Least time between two power-ons.
    stagger: Duration,
    booting: Booting,
    /// The nodes between an act on their power and its end.
    under_way: HashSet<NodeId>,
    /// By class: how many these are.
    count: HashMap<u32, usize>,
    /// Those that wait for their class, by what is to be done with them.
    waiting: BTreeMap<Task, Waiting>,
    /// How many were queued.
    queued: u64,
    /// Classes of which a node is over, which drivers were not told yet.
    freed: BTreeSet<u32>,
    /// Classes whose room other runs have.
    shut_out: BTreeSet<u32>,
    /// No node is powered on before this.
    next_power: Duration,
    now: Duration,
    /// How often a node that waits was looked at.
    #[cfg(test)]
    looks: usize,
}

impl Throttle {
    pub(crate) fn new(stagger: Duration, booting: Booting) -> Self {
        Self { stagger, booting, ..Self::default() }
    }

    /// Begins a task on as many of `queue` as limits allow now and returns them; larger ones of `priority` (by node) go
    /// first where that counts. Where nodes that boot are limited, the others wait here from then on.
    pub(crate) fn begin(
        &mut self,
        drivers: &mut dyn Drivers,
        task: Task,
        (queue, priority): (&mut VecDeque<NodeId>, &[u64]),
        now: Duration,
    ) -> Vec<NodeId> {
        let (Some(limit), true) = (self.booting.limit, is_act(task)) else {
            if queue.is_empty() {
                return Vec::new();
            }
            let pace = self.pace(drivers, task, now);
            let begun = drivers.begin_at_most(pace, task, queue);
            self.note_all(drivers, task, &begun, now);
            return begun;
        };
        let mut waiting = self.waiting.remove(&task).unwrap_or_default();
        std::mem::take(&mut self.shut_out).into_iter().for_each(|class| waiting.open(class));
        for node in queue.drain(..) {
            self.look(1);
            let first = if task == Task::PowerOn { priority.get(node.index()).copied() } else { None };
            waiting.add((Reverse(first.unwrap_or(0)), self.queued, node), self.booting.class(node));
            self.queued += 1;
        }
        // One whose controller is busy is passed over and takes no other's place: more of its class are offered, each
        // node once. Where no more calls may run, those that are offered stay so: nobody is looked at again.
        let (mut begun, mut passed_over) = (Vec::new(), Vec::new());
        while passed_over.len() < LOOK_AHEAD && !drivers.is_full() {
            let pace = if waiting.places.is_empty() { 0 } else { self.pace(drivers, task, now) };
            let (counts, shut_out) = (&self.count, &mut self.shut_out);
            let has_room = |class: u32, taken: usize| {
                let held = counts.get(&class).copied().unwrap_or(0) + taken;
                let is_left = held < limit && drivers.booting(class, held + 1) > held;
                // Whoever has it may give it back at any time.
                if held < limit && !is_left {
                    shut_out.insert(class);
                }
                is_left
            };
            let count = waiting.offer(pace.saturating_sub(waiting.offered.len()), has_room);
            self.look(count);
            if pace == 0 || waiting.offered.is_empty() {
                break;
            }
            let some = drivers.begin_at_most(pace, task, &mut waiting.offered);
            self.note_all(drivers, task, &some, now);
            for node in &some {
                waiting.places.remove(node);
                waiting.free(self.booting.class(*node));
            }
            let is_at_an_end = drivers.is_full() || (pace != usize::MAX && !some.is_empty());
            begun.extend(some);
            if is_at_an_end {
                continue;
            }
            self.look(waiting.offered.len());
            for node in std::mem::take(&mut waiting.offered) {
                let class = self.booting.class(node);
                passed_over.extend(waiting.places.remove(&node).map(|place| (place, class)));
                waiting.free(class);
            }
        }
        for (place, class) in passed_over {
            waiting.add(place, class);
            self.freed.insert(class);
        }
        self.waiting.insert(task, waiting);
        self.give_back(drivers);
        begun
    }

    /// Tells whether nodes wait here for this to be done with them.
    pub(crate) fn has_waiting(&self, task: Task) -> bool {
        self.waiting.get(&task).is_some_and(|waiting| !waiting.places.is_empty())
    }

    /// Takes back that a node waits for something.
    pub(crate) fn withdraw(&mut self, task: Task, node: NodeId) {
        if let Some(waiting) = self.waiting.get_mut(&task) {
            waiting.remove(node, self.booting.class(node));
        }
    }

    /// Takes back all but these.
    pub(crate) fn retain(&mut self, stays: impl Fn(&NodeId) -> bool) {
        for waiting in self.waiting.values_mut() {
            let gone: Vec<NodeId> = waiting.places.keys().copied().filter(|node| !stays(node)).collect();
            gone.into_iter().for_each(|node| waiting.remove(node, self.booting.class(node)));
        }
    }

    /// Returns how many nodes may begin a task now, as far as the time between two is concerned. Only one that is
    /// switched on draws its inrush of current.
    fn pace(&self, drivers: &mut dyn Drivers, task: Task, now: Duration) -> usize {
        if task != Task::PowerOn || self.stagger.is_zero() {
            return usize::MAX;
        }
        usize::from(now >= self.next_power && drivers.may_power_on())
    }

    /// Gives other runs the room that is no longer needed.
    fn give_back(&mut self, drivers: &mut dyn Drivers) {
        for class in std::mem::take(&mut self.freed) {
            let taken = self.waiting.values().filter_map(|waiting| waiting.taken.get(&class)).sum::<usize>();
            drivers.booting(class, self.count.get(&class).copied().unwrap_or(0) + taken);
        }
    }

    /// Takes note that a task was begun. One that is reset boots as well.
    fn note_all(&mut self, drivers: &mut dyn Drivers, task: Task, nodes: &[NodeId], now: Duration) {
        if task == Task::PowerOn && !self.stagger.is_zero() && !nodes.is_empty() {
            drivers.powered_on();
        }
        for &node in nodes {
            if is_act(task) && self.under_way.insert(node) {
                *self.count.entry(self.booting.class(node)).or_default() += 1;
            }
            if task == Task::PowerOn {
                self.next_power = now + self.stagger;
            }
        }
    }

    /// Takes note that a task waits to be begun: a node that is acted on anew must not stand in its own way.
    pub(crate) fn queued(&mut self, task: Task, node: NodeId) {
        if is_act(task) {
            self.over(node);
        }
    }

    /// Takes note that a node is over.
    pub(crate) fn over(&mut self, node: NodeId) {
        let class = self.booting.class(node);
        if self.under_way.remove(&node) {
            if let Some(count) = self.count.get_mut(&class) {
                *count -= 1;
                self.waiting.values_mut().for_each(|waiting| waiting.open(class));
                self.freed.insert(class);
            }
        }
    }

    /// Takes note of the time at which nodes were last offered.
    pub(crate) fn advance(&mut self, drivers: &mut dyn Drivers, now: Duration) {
        self.now = now;
        self.give_back(drivers);
    }

    /// Returns when the next node may be powered on. Not when that time has come already: then a node or a
    /// driver is waited for, not the clock.
    pub(crate) fn wake(&self) -> Option<Duration> {
        (self.next_power > self.now).then_some(self.next_power)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "counted by the tests alone")]
    fn look(&mut self, _: usize) {}

    #[cfg(test)]
    fn look(&mut self, count: usize) {
        self.looks += count;
    }
}

fn is_act(task: Task) -> bool {
    matches!(task, Task::PowerOn | Task::PowerOff | Task::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::{Abilities, Event};

    /// Begins what it is offered, as long as fewer calls than `fanout` run.
    struct World {
        fanout: usize,
        running: VecDeque<NodeId>,
        /// Nodes whose controllers are busy.
        busy: HashSet<NodeId>,
    }

    impl Drivers for World {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn abilities(&self, _: NodeId) -> Abilities {
            unreachable!("nobody asks")
        }

        fn is_full(&self) -> bool {
            self.running.len() >= self.fanout
        }

        fn begin(&mut self, _: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
            let room = self.fanout - self.running.len();
            let (stay, mut begun): (Vec<NodeId>, Vec<NodeId>) =
                nodes.drain(..).partition(|node| self.busy.contains(node));
            nodes.extend(stay);
            nodes.extend(begun.split_off(room.min(begun.len())));
            self.running.extend(&begun);
            begun
        }

        fn end_all(&mut self) {}

        fn next(&mut self, _: Option<Duration>) -> Vec<Event> {
            Vec::new()
        }
    }

    fn world(fanout: usize) -> World {
        World { fanout, running: VecDeque::new(), busy: HashSet::new() }
    }

    fn numbers(nodes: &[NodeId]) -> Vec<u32> {
        nodes.iter().map(|node| node.0).collect()
    }

    /// Starts so many nodes in classes of ten, one after the other, and returns how often a node that waits was
    /// looked at.
    fn looks(nodes: u32, limit: usize, fanout: usize) -> usize {
        let class_of = (0..nodes).map(|node| node / 10).collect();
        let mut throttle = Throttle::new(Duration::ZERO, Booting { limit: Some(limit), class_of });
        let mut drivers = world(fanout);
        let mut queue: VecDeque<NodeId> = (0..nodes).map(NodeId).collect();
        let mut begun = 0;
        loop {
            begun += throttle.begin(&mut drivers, Task::PowerOn, (&mut queue, &[]), Duration::ZERO).len();
            let Some(node) = drivers.running.pop_front() else { break };
            throttle.over(node);
        }
        assert_eq!(begun, nodes as usize, "all had their turn");
        throttle.looks
    }

    /// Each event cost a look at all that waited.
    #[test]
    fn twice_the_nodes_take_twice_the_looks() {
        for (limit, fanout) in [(1, usize::MAX), (1, 64), (3, 64), (20, 64)] {
            let (one, two) = (looks(2000, limit, fanout), looks(4000, limit, fanout));
            assert!(two <= 2 * one + 200, "{limit} of a class, {fanout} at once: {one}, then {two}");
        }
    }

    #[test]
    fn the_longest_path_goes_first_within_and_between_classes() {
        let booting = Booting { limit: Some(1), class_of: vec![0, 0, 1, 1] };
        let mut throttle = Throttle::new(Duration::ZERO, booting);
        let (mut drivers, priority) = (world(usize::MAX), [1, 5, 9, 2]);
        let mut begin = |throttle: &mut Throttle, nodes: &[u32]| {
            let mut queue = nodes.iter().copied().map(NodeId).collect();
            numbers(&throttle.begin(&mut drivers, Task::PowerOn, (&mut queue, &priority), Duration::ZERO))
        };
        assert_eq!(begin(&mut throttle, &[0, 3]), [3, 0]);
        assert_eq!(begin(&mut throttle, &[1, 2]), [0u32; 0], "both classes are full");
        throttle.over(NodeId(0));
        assert_eq!(begin(&mut throttle, &[]), [1]);
        throttle.over(NodeId(3));
        assert_eq!(begin(&mut throttle, &[]), [2]);
    }

    #[test]
    fn one_whose_controller_is_busy_takes_no_others_place_and_keeps_its_own() {
        let booting = Booting { limit: Some(1), class_of: vec![0; 3] };
        let mut throttle = Throttle::new(Duration::ZERO, booting);
        let mut drivers = world(usize::MAX);
        drivers.busy.insert(NodeId(0));
        let mut queue: VecDeque<NodeId> = (0..3).map(NodeId).collect();
        let mut begin = |throttle: &mut Throttle, drivers: &mut World| {
            numbers(&throttle.begin(drivers, Task::PowerOff, (&mut queue, &[]), Duration::ZERO))
        };
        assert_eq!(begin(&mut throttle, &mut drivers), [1]);
        drivers.busy.clear();
        throttle.over(NodeId(1));
        assert_eq!(begin(&mut throttle, &mut drivers), [0]);
        throttle.over(NodeId(0));
        throttle.withdraw(Task::PowerOff, NodeId(2));
        assert!(!throttle.has_waiting(Task::PowerOff));
        assert_eq!(begin(&mut throttle, &mut drivers), [0u32; 0]);
    }
}
