//! Battery mode (`--within`): a deadline that may be moved, and what is done in time because of it.
//!
//! What fits is decided in `orderly_plan::deadline`; by what is in `battery/known.rs`, in what words in
//! `battery/words.rs`.

mod known;
mod overtime;
mod phase_end;
mod words;

use crate::args::ShutdownArgs;
use crate::beacon::Beacon;
use crate::check::{self, Checked};
use crate::input::ShutdownInput;
use crate::limits;
use known::Known;
pub(crate) use known::Learned;
use orderly_nodes::backend::Backend;
use orderly_nodes::site::Site;
use orderly_nodes::telling::Telling;
use orderly_nodes::users::EndUsers;
use orderly_plan::deadline::{AskedTimes, DeadlinePlan, Fit, Forecast, SlotUse};
use orderly_plan::drivers::{Drivers, NodeId, RemoteCommand, Task};
use orderly_plan::shutdown::Shutdown;
use overtime::Overtime;
pub(crate) use phase_end::{LatestEnds, UntilItsEnd};
use std::time::Duration;
use words::show;

/// How often it is looked whether somebody tightened the deadline.
const LOOK: Duration = Duration::from_millis(500);

/// A shutdown with a deadline. Times are those of the drivers.
#[derive(Debug)]
pub(crate) struct Battery<'b> {
    site: &'b Site,
    forecast: Forecast<'b>,
    asked: AskedTimes,
    assumed: Assumed,
    own: Vec<NodeId>,
    pub plan: DeadlinePlan,
    clock: DeadlineClock,
    /// It was said before the first halt that power-offs are left out: they stay so.
    keeps_power: bool,
    watch: BeaconWatch,
    guard: LimitsGuard,
    overtime: Overtime,
}

/// Nodes and subsystems of which it is not known how long they take.
#[derive(Debug)]
struct Assumed {
    nodes: Vec<NodeId>,
    subsystems: Vec<String>,
}

#[derive(Debug)]
struct DeadlineClock {
    deadline: Duration,
    /// When the plan was made.
    planned: Duration,
    /// Since when nodes are halted.
    halting: Option<Duration>,
}

/// Looks whether somebody wants it sooner.
#[derive(Debug)]
struct BeaconWatch {
    beacon: Option<Beacon>,
    looked: Duration,
}

/// Looks whether the limits on calls make halts late. Not at each event: it goes through all nodes.
#[derive(Debug, Default)]
struct LimitsGuard {
    next: Duration,
    /// The drivers were told to keep to none.
    are_lifted: bool,
}

impl<'b> Battery<'b> {
    /// Plans what is to be over at `deadline`; asking how the nodes stand took so long.
    pub(crate) fn new(
        args: &ShutdownArgs,
        input: &'b ShutdownInput,
        checked: &Checked,
        learned: &Learned,
        (deadline, asking): (Duration, Duration),
        beacon: Option<Beacon>,
        drivers: &dyn Backend,
    ) -> Self {
        let site = &input.site;
        let known = Known { args, input, checked, learned, drivers, asking };
        let running = known.running();
        let mut takes = vec![Default::default(); site.roster.len()];
        for &node in &running {
            takes[node.index()] = known.takes(node);
        }
        let limits = known.limits();
        let all = [checked.nodes.as_slice(), &checked.units].concat();
        let priority = site.order.critical(&limits::takes(site, &all, &learned.halts));
        let forecast = Forecast::new(&site.order, takes, &limits, &priority);
        let (asked, assumed) = asked(&known);
        let is_assumed = |node: &NodeId| known.is_assumed(*node);
        let now = drivers.now();
        let plan = DeadlinePlan::new(deadline.saturating_sub(now), &forecast, &asked);
        Self {
            site,
            forecast,
            asked,
            assumed: Assumed {
                nodes: running.iter().chain(&checked.own).copied().filter(is_assumed).collect(),
                subsystems: assumed,
            },
            own: checked.own.clone(),
            plan,
            clock: DeadlineClock { deadline, planned: now, halting: None },
            keeps_power: false,
            watch: BeaconWatch { beacon, looked: now },
            guard: LimitsGuard::default(),
            overtime: Overtime::default(),
        }
    }

    /// Returns until when the phases may take, after a look at whether somebody wants it sooner.
    pub(crate) fn latest(&mut self, now: Duration, telling: &mut Telling<'_>) -> LatestEnds {
        if now >= self.watch.looked.saturating_add(LOOK) {
            self.watch.looked = now;
            self.look(now, telling);
        }
        self.ends()
    }

    fn ends(&self) -> LatestEnds {
        let (plan, planned) = (&self.plan, self.clock.planned);
        LatestEnds {
            wait: planned + plan.notice_by.saturating_sub(plan.users.tell.unwrap_or_default()),
            notice: planned + plan.notice_by,
            users: planned + plan.users_by,
            subsystems: planned + plan.halts_by,
        }
    }

    /// Returns when it is to be looked at again, at the latest.
    pub(crate) fn next_look(&self) -> Duration {
        self.watch.looked.saturating_add(LOOK)
    }

    fn look(&mut self, now: Duration, telling: &mut Telling<'_>) {
        let Some(left) = self.watch.beacon.as_mut().and_then(Beacon::tightened) else { return };
        let before = (self.plan.fit, self.plan.lifts_limits);
        self.clock.deadline = now + left;
        self.plan_again(self.clock.halting.unwrap_or(now));
        telling.warn(&format!("the deadline is tightened: within {} from now", show(left)));
        if (self.plan.fit, self.plan.lifts_limits) != before || self.clock.halting.is_none() {
            self.lines(now).into_iter().for_each(|line| telling.warn(&line));
        }
    }

    fn plan_again(&mut self, from: Duration) {
        self.clock.planned = from;
        let lifted = self.plan.lifts_limits;
        self.plan = DeadlinePlan::new(self.clock.deadline.saturating_sub(from), &self.forecast, &self.asked);
        // What was said to hold no more does not begin to hold again.
        self.plan.lifts_limits |= lifted;
        if self.keeps_power {
            self.plan.keep_power();
        }
    }

    /// Takes note that the first halt is sent; returns the signal of somebody who was turning it round just then.
    pub(crate) fn begin_halting(
        &mut self,
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        let told = self.watch.beacon.as_mut().map_or(Ok(None), |beacon| beacon.begin_halting(drivers));
        // A disk that is full keeps no node from being halted.
        let signal = told.unwrap_or_else(|error| {
            telling.warn(&format!("it is not known elsewhere that the halts begin: {error:#}"));
            None
        });
        let now = drivers.now();
        (self.clock.halting, self.keeps_power) = (Some(now), !self.plan.fits() && self.has_offs());
        // What is over already is not asked for again.
        let (call, last) = (self.asked.call, self.asked.last);
        self.asked = AskedTimes { call, last, ..AskedTimes::default() };
        let held = !self.plan.lifts_limits;
        let times = (now.saturating_sub(self.clock.planned), self.clock.deadline.saturating_sub(now));
        self.plan = self.plan.at_first_halt(times, &self.forecast, &self.asked);
        self.clock.planned = now;
        if held && self.plan.lifts_limits {
            self.tell_lifted(telling);
        }
        signal
    }

    fn tell_lifted(&self, telling: &mut Telling<'_>) {
        telling.warn(
            "the halts are in time only without -K and the limits of [limits]: no limit holds from now on",
        );
    }

    /// Returns by node before when its power-off begins, in the time of the drivers.
    pub(crate) fn cut_before(&self) -> Vec<Duration> {
        let at = |&before: &Duration| if before.is_zero() { before } else { self.clock.planned + before };
        self.plan.cut_before.iter().map(at).collect()
    }

    /// Looks after the halts: lets those through that would be too late for the limits on calls, and says at the
    /// deadline what still goes on. Returns when to look again.
    pub(crate) fn look_after(
        &mut self,
        run: &Shutdown<'_>,
        drivers: &mut dyn Drivers,
        telling: &mut Telling<'_>,
    ) -> Duration {
        let now = drivers.now();
        self.latest(now, telling);
        self.overtime.look(now, self.clock.deadline, (run, &self.own), self.site, telling);
        if self.forecast.is_held() && !self.plan.lifts_limits && now >= self.guard.next {
            let needs = self.forecast.needs(run, now) + self.asked.last + self.forecast.slack;
            let last_moment = self.clock.deadline.saturating_sub(needs);
            self.guard.next = last_moment.clamp(now, now + LOOK);
            if now >= last_moment {
                self.plan.lifts_limits = true;
                self.tell_lifted(telling);
            }
        }
        self.lift_limits(drivers);
        let moments = [self.guard.next, self.clock.deadline].into_iter().filter(|&moment| moment > now);
        moments.chain([self.next_look()]).min().unwrap_or(now)
    }

    fn is_late(&self) -> bool {
        self.plan.fit == Fit::Late
    }

    fn has_offs(&self) -> bool {
        self.forecast.has_offs()
    }

    /// Tells whether something ended after the deadline.
    pub(crate) fn is_past(&self, ended: Option<Duration>) -> bool {
        ended.is_some_and(|ended| ended > self.clock.deadline)
    }

    /// Tells whether no power is switched off at all.
    pub(crate) fn keeps_power(&self) -> bool {
        !self.plan.fits()
    }

    /// Lifts the limits where the halts do not fit with them.
    pub(crate) fn lift_limits<D: Drivers + ?Sized>(&mut self, drivers: &mut D) {
        if self.plan.lifts_limits && !std::mem::replace(&mut self.guard.are_lifted, true) {
            drivers.lift_limits();
        }
    }

    /// Returns what users' processes have from TERM to KILL by now; nothing where there is no time for ending them.
    pub(crate) fn grace(&mut self, now: Duration, telling: &mut Telling<'_>) -> Option<Duration> {
        self.plan.users.grace?;
        let left = self.latest(now, telling).users.saturating_sub(now) / self.asked.rounds.max(1);
        // Whole seconds are what the nodes count.
        let grace = left.checked_sub(self.asked.call)?;
        Some(if grace < Duration::from_secs(1) {
            Duration::ZERO
        } else {
            Duration::from_secs(grace.as_secs())
        })
    }
}

/// Returns what is asked for where there is time, and the subsystems of which it is not known how long they take.
fn asked(known: &Known<'_>) -> (AskedTimes, Vec<String>) {
    let Known { args, input, checked, drivers, .. } = *known;
    let site = &input.site;
    let (subsystems, assumed) = known.subsystems();
    let alive = checked.alive();
    let tell = alive.iter().filter(|&&node| !check::is_only_halted(node, drivers));
    let tell = tell.map(|&node| site.profile(node).shutdown.notify_timeout).max();
    let graces = alive.iter().map(|&node| site.profile(node).shutdown.clone());
    let grace = graces.filter(|shutdown| shutdown.end_users != EndUsers::None).map(|shutdown| shutdown.grace);
    let is_own = |node: &&NodeId| drivers.slot(**node, Task::Run(RemoteCommand::EndUsers)) == SlotUse::Own;
    let at_once = drivers.at_once(site.cluster.limits.fanout).max(1);
    let rounds = alive.iter().filter(is_own).count().div_ceil(at_once).max(1);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    let speed = known.speed();
    let call = known.call();
    let asked = AskedTimes {
        wait: input.wait / speed,
        tell: tell.filter(|_| !args.no_notice).map(|tell| tell / speed + call.saturating_mul(rounds - 1)),
        grace: grace.max().map(|grace| grace / speed),
        subsystems,
        call,
        rounds,
        last: checked.own.iter().map(|&node| known.takes(node).halt).max().unwrap_or_default(),
    };
    (asked, assumed)
}
