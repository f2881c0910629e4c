//! A run over nodes in their order: whose turn it is, what waits for a limit, what is due when, and who went how.
//!
//! What is done with one node is its course's ([`NodeCourse`]): a function of the node's own state and of what
//! happens. A course has no clock and no input or output, and knows of no other node. Here is what all have in
//! common, once: turns, queues, timers, notices, ends.
//!
//! Times are [`Duration`]s since the run began.

mod course;
mod holders;
mod steering;

use crate::doing::Doing;
use crate::drivers::{Drivers, Event, NodeId, Task};
use crate::graph::Order;
use crate::notice::{Busy, Happening, Hindered, NodeStanding, Notice, RunStatus};
use crate::outcome::{NodeEnding, Outcome};
use crate::progress::{Progress, Shortage, Standing};
use crate::throttle::Throttle;
use course::Desk;
pub use course::{Moment, NodeCourse};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A run, one step at a time: `advance`, wait for events until `wake`, `hear` each, `advance` again.
pub trait Run {
    /// Begins what may begin and passes the limits that have come.
    fn advance(&mut self, drivers: &mut dyn Drivers);

    /// Takes note of an event. Signals are not for the run; see [`Run::interrupt`].
    fn hear(&mut self, drivers: &dyn Drivers, event: &Event);

    /// Returns when `advance` is to be called at the latest, whatever is heard.
    fn wake(&self) -> Option<Duration>;

    /// Begins nothing more; the run is over when all tasks begun are answered for.
    fn interrupt(&mut self);

    /// Tells whether every node has its outcome, or, once interrupted, nothing is outstanding.
    fn is_over(&self) -> bool;

    /// Returns how many tasks were begun and not yet answered for.
    fn outstanding(&self) -> usize;

    /// Returns what happened since the last call, in order.
    fn take_notices(&mut self) -> Vec<Notice>;

    /// Returns where the run stands, for people who ask.
    fn status(&self, now: Duration) -> RunStatus;

    /// Returns the nodes that are held, those together that the same failed nodes hold, the most first.
    fn held(&self) -> Vec<Hindered> {
        Vec::new()
    }

    /// Returns the nodes whose turn has not come, those together that wait for the same, the most first: `most` such
    /// groups at most.
    fn waiting(&self, _most: usize) -> Vec<Hindered> {
        Vec::new()
    }

    /// Returns where each of these nodes stands that is in the run.
    fn standings(&self, nodes: &[NodeId], now: Duration) -> Vec<(NodeId, NodeStanding)> {
        let busy = self.status(now).busy.into_iter().filter(|one| nodes.contains(&one.node));
        busy.map(|one| (one.node, NodeStanding::AtWork(one, None))).collect()
    }

    /// Tells whether a node that is over in it is over for good, and no further run follows that acts on it.
    fn settles(&self) -> bool {
        false
    }

    /// Stops waiting for a node, because `by` said so; tells whether it was waited for. What needs it is held.
    fn give_up(&mut self, _node: NodeId, _by: &str, _now: Duration) -> bool {
        false
    }

    /// Gives a node so much longer than its limits say, or as long again; returns how much, where it is waited for and
    /// has any.
    fn prolong(
        &mut self,
        _node: NodeId,
        _longer: Option<Duration>,
        _drivers: &dyn Drivers,
    ) -> Option<Duration> {
        None
    }

    /// Returns how each node of the run ended, in order of nodes; those not over yet as they stand.
    fn endings(&self) -> Vec<NodeEnding>;
}

/// A node of the run.
#[derive(Debug)]
struct RunNode<C> {
    course: C,
    /// When its turn came.
    began: Option<Duration>,
    ended: Option<Duration>,
    outcome: Option<Outcome>,
    /// When what waits for it went on although it was not over (`-W`).
    let_go: Option<Duration>,
    /// What was told last of what it is at.
    told: Doing,
}

impl<C: NodeCourse> RunNode<C> {
    fn new(course: C) -> Self {
        let told = course.doing();
        Self { course, began: None, ended: None, outcome: None, let_go: None, told }
    }
    /// Tells whether its turn has come and it is not over.
    fn is_open(&self) -> bool {
        self.began.is_some() && self.outcome.is_none()
    }

    /// Returns what it is at.
    fn busy(&self, node: NodeId, now: Duration) -> Busy {
        Busy {
            node,
            doing: self.course.doing(),
            since: self.began.unwrap_or(now),
            last: self.course.last_heard(),
        }
    }
}

/// How many nodes are how.
#[derive(Debug, Default)]
struct Counts {
    open: usize,
    done: usize,
    failed: usize,
    held: usize,
    /// Tasks begun and not yet answered for.
    outstanding: usize,
}

/// How far a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Going,
    /// No further node is begun: one failed, and that ends it (`-s`).
    Stopped,
    Interrupted,
}

/// How much longer than foretold a node may take, at least, before nothing is foretold by it.
const OVERDUE: Duration = Duration::from_secs(10);

/// A run over nodes in their order.
#[derive(Debug)]
pub struct NodeRun<'o, C: NodeCourse> {
    order: &'o Order,
    targets: Vec<NodeId>,
    /// By node of the order; nothing for those that are no targets.
    members: Vec<Option<RunNode<C>>>,
    progress: Progress<'o>,
    /// Nodes that were let go to, and wait for the ends of those before them all the same.
    kept: Vec<NodeId>,
    desk: Desk<C::Timer>,
    counts: Counts,
    pace: Pace,
    /// No further node is begun after one failed (`-s`).
    stops_at_failure: bool,
    /// Nodes that are at something else now, which is told once all that can begin has begun.
    changed: Vec<NodeId>,
    /// By node: how long it is expected to take, in milliseconds, where the end can be foretold by that.
    forecast: Option<Vec<u64>>,
    /// When it was last looked after.
    seen: Duration,
}

impl<'o, C: NodeCourse> NodeRun<'o, C> {
    /// Returns a run of these nodes, each with its course, in `order`, which must be acyclic among them. `priority`
    /// is as for [`Progress::new`], `is_up` as for [`Progress::among`].
    pub(crate) fn of_courses(
        order: &'o Order,
        courses: impl IntoIterator<Item = (NodeId, C)>,
        is_up: impl Fn(NodeId) -> bool,
        priority: Vec<u64>,
    ) -> Self {
        let mut members: Vec<Option<RunNode<C>>> = (0..order.node_count()).map(|_| None).collect();
        let mut targets = Vec::new();
        for (node, course) in courses {
            targets.push(node);
            members[node.index()] = Some(RunNode::new(course));
        }
        Self {
            order,
            members,
            progress: Progress::among(order, &targets, is_up, priority.clone()),
            targets,
            kept: Vec::new(),
            desk: Desk::new(priority),
            counts: Counts::default(),
            pace: Pace::Going,
            stops_at_failure: false,
            changed: Vec::new(),
            forecast: None,
            seen: Duration::ZERO,
        }
    }

    /// Returns the groups of which too few came up for those that wait for so many.
    pub fn shortages(&self) -> Vec<Shortage> {
        // One that was found up and left alone is up, whatever held it.
        let is_up = |node: NodeId| {
            self.members[node.index()].as_ref().is_some_and(|member| {
                member.outcome.as_ref().is_some_and(Outcome::is_well) || member.course.as_found().is_some()
            })
        };
        self.progress.shortages(is_up)
    }

    pub(crate) fn courses(&self) -> impl Iterator<Item = (NodeId, &C)> {
        let member = |&node: &NodeId| Some((node, &self.members[node.index()].as_ref()?.course));
        self.targets.iter().filter_map(member)
    }

    /// Returns those whose end is still to come.
    pub(crate) fn unfinished_courses(&self) -> impl Iterator<Item = (NodeId, &C)> {
        self.targets.iter().filter_map(|&node| {
            let member = self.members[node.index()].as_ref().filter(|member| member.outcome.is_none())?;
            let is_held = matches!(self.progress.standing(node), Standing::Held(_) | Standing::Failed);
            (!is_held).then_some((node, &member.course))
        })
    }

    pub(crate) fn courses_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut C)> {
        let nodes = (0..).map(NodeId);
        nodes.zip(&mut self.members).filter_map(|(node, member)| Some((node, &mut member.as_mut()?.course)))
    }

    /// Limits how many nodes boot at a time, and how soon one is powered on after another.
    pub(crate) fn throttled(mut self, throttle: Throttle) -> Self {
        self.desk.throttle = throttle;
        self
    }

    /// Foretells the end, by how long each node is expected to take, in milliseconds.
    pub(crate) fn foretold(self, takes: Vec<u64>) -> Self {
        Self { forecast: Some(takes), ..self }
    }

    /// Begins no further node after one failed.
    pub(crate) fn stopping_at_failure(self, stops_at_failure: bool) -> Self {
        Self { stops_at_failure, ..self }
    }

    /// Has a node's course do something, and follows from it what concerns others.
    fn visit(
        &mut self,
        (drivers, now): (&dyn Drivers, Duration),
        node: NodeId,
        what: impl FnOnce(&mut C, &mut Moment<'_, C::Timer>),
    ) {
        let Some(member) = self.members[node.index()].as_mut().filter(|member| member.is_open()) else {
            return;
        };
        let is_interrupted = self.pace == Pace::Interrupted;
        let mut moment = Moment::new(drivers, now, is_interrupted, node, &mut self.desk);
        let noticed = moment.desk.notices.len();
        what(&mut member.course, &mut moment);
        let Moment { outcome, is_silent, lets_go, .. } = moment;
        let is_late = |notice: &Notice| matches!(notice.what, Happening::LetGo(..));
        if member.course.doing() != member.told {
            self.changed.push(node);
        }
        if self.desk.notices[noticed..].iter().any(is_late) {
            member.let_go.get_or_insert(now);
        }
        if lets_go {
            self.progress.let_go(node);
        }
        if let Some(outcome) = outcome {
            if !is_silent {
                self.notice(node, now, Happening::Over(outcome.clone()));
            }
            self.finish(node, outcome, now);
        }
    }

    /// Tells what nodes are at by now. What they were at for a moment only is not told, and what is done to them is told as
    /// a task that began.
    fn tell_changed(&mut self, now: Duration) {
        for node in std::mem::take(&mut self.changed) {
            let Some(member) = self.members[node.index()].as_mut().filter(|member| member.is_open()) else {
                continue;
            };
            let doing = member.course.doing();
            if std::mem::replace(&mut member.told, doing) != doing && !doing.is_act() {
                self.notice(node, now, Happening::Went(doing));
            }
        }
    }

    /// Gives a node its outcome, and tells those that wait for it.
    fn finish(&mut self, node: NodeId, outcome: Outcome, now: Duration) {
        let is_given_up = matches!(outcome, Outcome::GivenUp(_));
        for &timer in C::TIMERS {
            self.desk.timers.cancel(node, timer);
        }
        self.desk.throttle.over(node);
        self.counts.open -= 1;
        if let Some(member) = &mut self.members[node.index()] {
            (member.outcome, member.ended) = (Some(outcome.clone()), Some(now));
        }
        if outcome.is_well() {
            self.counts.done += 1;
            self.progress.complete(node);
            return;
        }
        self.counts.failed += 1;
        let members = &self.members;
        let is_up = |node: NodeId| {
            members[node.index()].as_ref().is_some_and(|member| member.course.as_found().is_some())
        };
        for held in self.progress.fail_among(node, is_up) {
            self.hold(held, node, now);
        }
        // Whoever gives one up means the others to go on.
        if self.stops_at_failure && !is_given_up {
            self.stop();
        }
    }

    /// Gives up a node whose turn will not come. One that is as was asked is none the worse for it.
    fn hold(&mut self, node: NodeId, by: NodeId, now: Duration) {
        let found = self.members[node.index()].as_mut().and_then(|member| {
            member.outcome = member.course.as_found();
            member.outcome.clone()
        });
        match found {
            Some(_) => self.counts.done += 1,
            None => self.counts.held += 1,
        }
        self.notice(node, now, Happening::Over(found.unwrap_or_else(|| Outcome::Held([by].into()))));
    }

    fn notice(&mut self, node: NodeId, at: Duration, what: Happening) {
        self.desk.notices.push(Notice { at, node, what });
    }

    /// Begins nodes whose turn has come; what is in their way is only limits from here on.
    fn give_turns(&mut self, drivers: &dyn Drivers, now: Duration) {
        for node in std::mem::take(&mut self.kept) {
            self.give_late_turn(drivers, now, node);
        }
        while self.pace == Pace::Going {
            let Some(node) = self.progress.take() else { break };
            let member = self.members[node.index()].as_ref();
            if member.is_some_and(|member| member.course.waits_for_ends()) {
                self.give_late_turn(drivers, now, node);
            } else {
                self.give_turn(drivers, now, node);
            }
        }
    }

    fn give_turn(&mut self, drivers: &dyn Drivers, now: Duration, node: NodeId) {
        if let Some(member) = &mut self.members[node.index()] {
            member.began = Some(now);
            self.counts.open += 1;
        }
        self.visit((drivers, now), node, C::turn);
    }

    /// Begins a node unless one before it is not over: `-W` lets followers go on, and never these.
    fn give_late_turn(&mut self, drivers: &dyn Drivers, now: Duration, node: NodeId) {
        let leading = self.order.all_leading(&[node]);
        let mut standing = leading.iter().map(|&node| (node, self.progress.standing(node)));
        let failed = standing.clone().find(|(_, standing)| *standing == Standing::Failed);
        if let Some((by, _)) = failed {
            self.progress.fail(node);
            self.hold(node, by, now);
        } else if standing.any(|(_, standing)| !matches!(standing, Standing::Outside | Standing::Complete)) {
            self.kept.push(node);
        } else {
            self.give_turn(drivers, now, node);
        }
    }

    /// Offers what is queued to the drivers, in the order in which it should be begun.
    fn offer(&mut self, drivers: &mut dyn Drivers, now: Duration) {
        let rest = self.desk.queues.keys().copied().filter(|task| !C::FIRST.contains(task));
        let tasks: Vec<Task> = C::FIRST.iter().copied().chain(rest).collect();
        for task in tasks {
            let Some(queue) = self.desk.queues.get_mut(&task) else { continue };
            if queue.is_empty() && !self.desk.throttle.has_waiting(task) {
                continue;
            }
            let queue = (queue, self.desk.priority.as_slice());
            for node in self.desk.throttle.begin(drivers, task, queue, now) {
                self.counts.outstanding += 1;
                self.visit((drivers, now), node, |course, moment| course.begun(task, moment));
            }
        }
    }

    /// Begins no further node. Nodes to which nothing was done are taken back; others are followed to their end.
    fn stop(&mut self) {
        if self.pace == Pace::Going {
            self.pace = Pace::Stopped;
        }
        for member in self.members.iter_mut().flatten() {
            if member.is_open() && member.course.can_be_taken_back() {
                member.began = None;
                self.counts.open -= 1;
            }
        }
        let is_open = |node: &NodeId| self.members[node.index()].as_ref().is_some_and(RunNode::is_open);
        self.desk.queues.values_mut().for_each(|queue| queue.retain(|node| is_open(node)));
        self.desk.throttle.retain(is_open);
    }

    /// Returns how long the longest chain still takes, if nothing but the order holds it up; nothing where one who leads it
    /// takes much longer than was foretold, because then nobody knows.
    fn left(&self, now: Duration) -> Option<Duration> {
        let takes = self.forecast.as_ref()?;
        let rest = |&node: &NodeId| {
            let member = self.members[node.index()].as_ref()?;
            if member.outcome.is_some() || matches!(self.progress.standing(node), Standing::Held(_)) {
                return None;
            }
            let own = Duration::from_millis(takes.get(node.index()).copied().unwrap_or(0));
            let spent = member.began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
            let rest = Duration::from_millis(self.desk.priority[node.index()]).saturating_sub(spent.min(own));
            Some((rest, spent > own + (own / 2).max(OVERDUE)))
        };
        // Of those that take as long still, one that is overdue is the larger.
        let (left, is_overdue) = self.targets.iter().filter_map(rest).max()?;
        Some(left).filter(|left| !left.is_zero() && !is_overdue)
    }
}

impl<C: NodeCourse> Run for NodeRun<'_, C> {
    fn advance(&mut self, drivers: &mut dyn Drivers) {
        let now = drivers.now();
        self.seen = now;
        if self.pace == Pace::Interrupted {
            return;
        }
        self.desk.throttle.advance(drivers, now);
        while let Some((node, timer)) = self.desk.timers.take_due(now) {
            self.visit((drivers, now), node, |course, moment| course.due(timer, moment));
        }
        self.give_turns(drivers, now);
        self.offer(drivers, now);
        self.tell_changed(now);
    }

    fn hear(&mut self, drivers: &dyn Drivers, event: &Event) {
        let Some(node) = event.node() else { return };
        self.counts.outstanding = self.counts.outstanding.saturating_sub(1);
        match &mut self.members[node.index()] {
            Some(member) if member.began.is_none() && member.outcome.is_none() => member.course.learn(event),
            Some(_) => {
                self.visit((drivers, drivers.now()), node, |course, moment| course.hear(event, moment));
            }
            None => {}
        }
    }

    fn wake(&self) -> Option<Duration> {
        if self.pace == Pace::Interrupted {
            return None;
        }
        let waits = self.desk.queues.get(&Task::PowerOn).is_some_and(|queue| !queue.is_empty())
            || self.desk.throttle.has_waiting(Task::PowerOn);
        let throttle = self.desk.throttle.wake().filter(|_| waits);
        self.desk.timers.next().into_iter().chain(throttle).min()
    }

    fn interrupt(&mut self) {
        self.stop();
        self.pace = Pace::Interrupted;
        self.desk.queues.clear();
        self.desk.throttle.retain(|_| false);
        self.desk.timers.clear();
    }

    fn is_over(&self) -> bool {
        let (no_turns, no_calls) = (self.counts.open == 0, self.counts.outstanding == 0);
        match self.pace {
            Pace::Going => no_turns && !self.progress.has_ready() && self.kept.is_empty(),
            Pace::Stopped => no_turns,
            Pace::Interrupted => no_turns || no_calls,
        }
    }

    fn outstanding(&self) -> usize {
        self.counts.outstanding
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = std::mem::take(&mut self.desk.notices);
        self.name_all_holders(&mut notices);
        notices
    }

    fn status(&self, now: Duration) -> RunStatus {
        let member = |&node: &NodeId| Some((node, self.members[node.index()].as_ref()?));
        let members = self.targets.iter().filter_map(member);
        let mut busy: Vec<Busy> = members
            .clone()
            .filter(|(_, member)| member.is_open())
            .map(|(node, member)| member.busy(node, now))
            .collect();
        busy.sort_by_key(|one| (one.since, one.node));
        RunStatus {
            phase: members.clone().next().map_or("", |(_, member)| member.course.phase()).into(),
            done: self.counts.done,
            failed: self.counts.failed,
            held: self.counts.held,
            total: self.targets.len(),
            busy,
            left: self.left(now),
            held_back: Vec::new(),
        }
    }

    fn held(&self) -> Vec<Hindered> {
        let obstacles = self.progress.obstacles();
        let mut held: HashMap<Arc<[NodeId]>, Vec<NodeId>> = HashMap::new();
        for &node in &self.targets {
            if let Some(by) = self.holders(node, &obstacles) {
                held.entry(by).or_default().push(node);
            }
        }
        let mut held: Vec<Hindered> =
            held.into_iter().map(|(by, nodes)| Hindered { nodes, by: by.to_vec() }).collect();
        held.sort_unstable_by_key(|one| (std::cmp::Reverse(one.nodes.len()), one.nodes[0]));
        held
    }

    fn waiting(&self, most: usize) -> Vec<Hindered> {
        self.progress.waits(most)
    }

    fn standings(&self, nodes: &[NodeId], now: Duration) -> Vec<(NodeId, NodeStanding)> {
        self.where_they_stand(nodes, now)
    }

    fn settles(&self) -> bool {
        C::SETTLES
    }

    fn give_up(&mut self, node: NodeId, by: &str, now: Duration) -> bool {
        self.stop_waiting_for(node, by, now)
    }

    fn prolong(&mut self, node: NodeId, longer: Option<Duration>, drivers: &dyn Drivers) -> Option<Duration> {
        self.wait_longer_for(node, longer, drivers)
    }

    fn endings(&self) -> Vec<NodeEnding> {
        let obstacles = self.progress.obstacles();
        self.targets.iter().map(|&node| self.ending(node, &obstacles)).collect()
    }
}
