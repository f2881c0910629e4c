//! Battery mode (`--within`): until when each phase may take, and what people are told of it.
//!
//! What fits is decided in `orderly_plan::deadline`; here is what it is decided by, and a deadline that is moved.

use crate::args::ShutdownArgs;
use crate::beacon::Beacon;
use crate::check::{self, Checked};
use crate::input::ShutdownInput;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use orderly_nodes::backend::Backend;
use orderly_nodes::history::{History, RunKind};
use orderly_nodes::run::Telling;
use orderly_nodes::site::{Site, fold};
use orderly_nodes::users::EndUsers;
use orderly_plan::deadline::{AskedTimes, DeadlinePlan, Fit, NodeTakes};
use orderly_plan::drivers::{Drivers, NodeId};
use orderly_plan::duration;
use orderly_plan::run::Run;
use orderly_plan::survey::Condition;
use serde::Serialize;
use std::time::Duration;

/// What a call takes beside what it waits for.
const CALL: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody tightened the deadline.
const LOOK: Duration = Duration::from_millis(500);

/// Earlier times by which is planned.
#[derive(Debug)]
pub(crate) struct Learned {
    pub offs: History,
    pub subsystems: History,
}

impl Learned {
    pub(crate) fn read(simulated: bool, mut warn: impl FnMut(String)) -> Self {
        Self {
            offs: History::read(RunKind::PowerOff, simulated, &mut warn),
            subsystems: History::read(RunKind::Subsystem, simulated, &mut warn),
        }
    }
}

/// A shutdown with a deadline. Times are those of the drivers.
#[derive(Debug)]
pub(crate) struct Battery<'b> {
    site: &'b Site,
    deadline: Duration,
    takes: Vec<NodeTakes>,
    asked: AskedTimes,
    /// Nodes and subsystems of which it is not known how long they take.
    assumed: Vec<NodeId>,
    assumed_subsystems: Vec<String>,
    own: Vec<NodeId>,
    pub plan: DeadlinePlan,
    /// When the plan was made.
    planned: Duration,
    /// Since when nodes are halted.
    halting: Option<Duration>,
    /// It was said before that time that power-offs are left out: they stay so.
    keeps_power: bool,
    beacon: Option<Beacon>,
    looked: Duration,
}

/// Until when the phases may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatestEnds {
    pub wait: Duration,
    pub notice: Duration,
    pub users: Duration,
    pub subsystems: Duration,
}

/// The plan, for programs.
#[derive(Debug, Serialize)]
struct DeadlineRecord<'r> {
    format: &'static str,
    record: &'static str,
    time: String,
    within_seconds: f64,
    fit: &'static str,
    wait_seconds: f64,
    tell_seconds: Option<f64>,
    grace_seconds: Option<f64>,
    subsystem_seconds: Option<f64>,
    halts_by_seconds: f64,
    halt_seconds: f64,
    power_off_seconds: f64,
    late: Vec<&'r str>,
    assumed: Vec<&'r str>,
}

impl<'b> Battery<'b> {
    /// Plans what is to be over at `deadline`.
    pub(crate) fn new(
        args: &ShutdownArgs,
        input: &'b ShutdownInput,
        checked: &Checked,
        (history, learned): (&History, &Learned),
        deadline: Duration,
        beacon: Option<Beacon>,
        drivers: &dyn Backend,
    ) -> Self {
        let site = &input.site;
        let known = Known { args, site, history, learned, drivers };
        let mut takes = vec![NodeTakes::default(); site.roster.len()];
        let all = [checked.nodes.as_slice(), &checked.units].concat();
        let runs = |node: &NodeId| checked.conditions[node.index()] != Condition::Down;
        let running: Vec<NodeId> = all.into_iter().filter(runs).collect();
        for &node in &running {
            takes[node.index()] = known.takes(node);
        }
        let is_assumed = |node: &NodeId| !site.is_unit(*node) && history.slow(site.name(*node)).is_none();
        let (subsystems, assumed_subsystems) = known.subsystems(input, checked);
        let alive = checked.alive();
        let tell = alive.iter().filter(|&&node| !check::is_only_halted(node, drivers));
        let tell = tell.map(|&node| site.profile(node).shutdown.notify_timeout).max();
        let graces = alive.iter().map(|&node| site.profile(node).shutdown.clone());
        let grace =
            graces.filter(|shutdown| shutdown.end_users != EndUsers::None).map(|shutdown| shutdown.grace);
        let speed = if args.flags.rehearse { 1 } else { site.cluster.speed() };
        let asked = AskedTimes {
            wait: input.wait / speed,
            tell: tell.filter(|_| !args.no_notice).map(|tell| tell / speed),
            grace: grace.max().map(|grace| grace / speed),
            subsystems,
            call: CALL / speed,
            last: checked.own.iter().map(|&node| known.takes(node).halt).max().unwrap_or_default(),
        };
        let now = drivers.now();
        let plan = DeadlinePlan::new(deadline.saturating_sub(now), &site.order, &takes, &asked);
        Self {
            site,
            deadline,
            assumed: running.iter().chain(&checked.own).copied().filter(is_assumed).collect(),
            assumed_subsystems,
            own: checked.own.clone(),
            takes,
            asked,
            plan,
            planned: now,
            halting: None,
            keeps_power: false,
            beacon,
            looked: now,
        }
    }

    /// Returns until when the phases may take, after a look at whether somebody wants it sooner.
    pub(crate) fn latest(&mut self, now: Duration, telling: &mut Telling<'_>) -> LatestEnds {
        if now >= self.looked.saturating_add(LOOK) {
            self.looked = now;
            self.look(now, telling);
        }
        self.ends()
    }

    fn ends(&self) -> LatestEnds {
        let plan = &self.plan;
        LatestEnds {
            wait: self.planned + plan.notice_by.saturating_sub(plan.tell.unwrap_or_default()),
            notice: self.planned + plan.notice_by,
            users: self.planned + plan.users_by,
            subsystems: self.planned + plan.halts_by,
        }
    }

    /// Returns when it is to be looked at again, at the latest.
    pub(crate) fn next_look(&self) -> Duration {
        self.looked.saturating_add(LOOK)
    }

    fn look(&mut self, now: Duration, telling: &mut Telling<'_>) {
        let Some(left) = self.beacon.as_mut().and_then(Beacon::tightened) else { return };
        let before = self.plan.fit;
        self.deadline = now + left;
        self.plan_again(self.halting.unwrap_or(now));
        telling.warn(&format!("the deadline is tightened: within {} from now", show(left)));
        if self.plan.fit != before || self.halting.is_none() {
            self.lines().into_iter().for_each(|line| telling.warn(&line));
        }
    }

    fn plan_again(&mut self, from: Duration) {
        // What is over already is not asked for again.
        if self.halting.is_some() {
            let (call, last) = (self.asked.call, self.asked.last);
            self.asked = AskedTimes { call, last, ..AskedTimes::default() };
        }
        self.planned = from;
        let left = self.deadline.saturating_sub(from);
        self.plan = DeadlinePlan::new(left, &self.site.order, &self.takes, &self.asked);
        if self.keeps_power {
            self.plan.cut_before.fill(Duration::ZERO);
            self.plan.fit = if self.plan.fits() { Fit::NoPowerOff } else { self.plan.fit };
        }
    }

    /// Takes note that the first halt is sent; returns the signal of somebody who was turning it round just then.
    pub(crate) fn begin_halting(
        &mut self,
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> Option<i32> {
        let told = self.beacon.as_mut().map_or(Ok(None), |beacon| beacon.begin_halting(drivers));
        // A disk that is full keeps no node from being halted.
        let signal = told.unwrap_or_else(|error| {
            telling.warn(&format!("it is not known elsewhere that the halts begin: {error:#}"));
            None
        });
        let now = drivers.now();
        (self.halting, self.keeps_power) = (Some(now), !self.plan.fits());
        let promised = self.plan.fits().then(|| self.cut_before());
        // The phases before may have taken less than was thought, or more.
        self.plan_again(now);
        if let Some(promised) = promised.filter(|_| self.plan.fit == Fit::NoPowerOff) {
            // Each power-off that was said is decided by itself, when its time has come.
            self.plan.cut_before = promised.into_iter().map(|before| before.saturating_sub(now)).collect();
            self.plan.fit = Fit::Shortened;
        }
        signal
    }

    /// Returns by node before when its power-off begins, in the time of the drivers.
    pub(crate) fn cut_before(&self) -> Vec<Duration> {
        let at = |&before: &Duration| if before.is_zero() { before } else { self.planned + before };
        self.plan.cut_before.iter().map(at).collect()
    }

    fn is_late(&self) -> bool {
        self.plan.fit == Fit::Late
    }

    /// Tells whether something ended after the deadline.
    pub(crate) fn is_past(&self, ended: Option<Duration>) -> bool {
        ended.is_some_and(|ended| ended > self.deadline)
    }

    /// Tells whether no power is switched off at all.
    pub(crate) fn keeps_power(&self) -> bool {
        !self.plan.fits()
    }

    /// Lifts the limits where not even the halts fit.
    pub(crate) fn lift_limits<D: Drivers + ?Sized>(&self, drivers: &mut D) {
        if self.is_late() {
            drivers.lift_limits();
        }
    }

    /// Returns what users' processes have from TERM to KILL by now; nothing where there is no time for ending them.
    pub(crate) fn grace(&mut self, now: Duration, telling: &mut Telling<'_>) -> Option<Duration> {
        self.plan.grace?;
        let left = self.latest(now, telling).users.saturating_sub(now);
        // Whole seconds are what the nodes count.
        let grace = left.checked_sub(self.asked.call)?;
        Some(if grace < Duration::from_secs(1) {
            Duration::ZERO
        } else {
            Duration::from_secs(grace.as_secs())
        })
    }

    /// Returns what people are told of the plan.
    pub(crate) fn lines(&self) -> Vec<String> {
        let plan = &self.plan;
        let within = format!("within {}", show(self.deadline.saturating_sub(self.planned)));
        let mut lines = vec![match plan.fit {
            Fit::Whole => format!("{within}: everything fits"),
            Fit::Shortened => format!("{within}: it fits with less for users: {}", self.shortened()),
            Fit::NoPowerOff => format!(
                "{within}: the power-off, which would add {}, does not fit and is left out: nodes are halted and stay on",
                show(plan.offs)
            ),
            Fit::CutSubsystems => format!(
                "{within}: the power-off is left out, and subsystems that are not over in {} are ended then, because the \
                 halts have to begin",
                show(plan.subsystems.unwrap_or_default())
            ),
            Fit::Late => {
                let before = match self.halting {
                    None => ": users are not told, nor their processes ended, and no subsystem is called",
                    Some(_) => "",
                };
                format!(
                    "{within}: the halts do not fit and begin at once, in order and without limits{before}"
                )
            }
        }];
        let mut late = plan.late.clone();
        late.extend(self.own.iter().filter(|_| plan.fit == Fit::Late));
        if !late.is_empty() {
            lines.push(format!("not down in time, as is foreseen: {}", fold(self.site, &late)));
        }
        let mut parts = vec![format!("halts {}", show(plan.halts))];
        if plan.fits() && !plan.offs.is_zero() {
            parts.push(format!("power-off {}", show(plan.offs)));
        }
        parts.extend(plan.subsystems.map(|time| format!("subsystems {}", show(time))));
        parts.extend(plan.grace.map(|time| format!("grace {}", show(time))));
        parts.extend(plan.tell.map(|time| format!("telling users up to {}", show(time))));
        if !plan.wait.is_zero() {
            parts.push(format!("their wait {}", show(plan.wait)));
        }
        let begins = format!("the first halt is sent in {} at the latest", show(plan.halts_by));
        lines.push(format!("{}; {begins}", parts.join(", ")));
        if !self.assumed.is_empty() {
            lines.push(format!(
                "how long {} take is not known: shutdown.usual and settle of cluster.toml are assumed, and the longest \
                 power call",
                fold(self.site, &self.assumed)
            ));
        }
        if !self.assumed_subsystems.is_empty() && plan.subsystems.is_some() {
            let names = self.assumed_subsystems.join(", ");
            lines.push(format!(
                "how long {names} take is not known: subsystem.usual of cluster.toml is assumed"
            ));
        }
        lines
    }

    fn shortened(&self) -> String {
        let (plan, asked) = (&self.plan, &self.asked);
        let mut parts = Vec::new();
        if plan.wait != asked.wait {
            parts.push(format!("they wait {} instead of {}", show(plan.wait), show(asked.wait)));
        }
        match (plan.tell, asked.tell) {
            (None, Some(_)) => parts.push("they are not told".to_owned()),
            (Some(given), Some(most)) if given != most => {
                parts.push(format!("telling them is given up after {}", show(given)));
            }
            _ => {}
        }
        match (plan.grace, asked.grace) {
            (None, Some(_)) => parts.push("their processes are not ended before the halts".to_owned()),
            (Some(given), Some(whole)) if given != whole => parts.push(format!(
                "their processes have {} instead of {} from TERM to KILL",
                show(given),
                show(whole)
            )),
            _ => {}
        }
        parts.join(", ")
    }

    /// Prints the plan for programs.
    pub(crate) fn record(&self, reporter: &mut Reporter) {
        let plan = &self.plan;
        let names = |nodes: &[NodeId]| nodes.iter().map(|&node| self.site.name(node)).collect();
        let late = [plan.late.as_slice(), if self.is_late() { &self.own } else { &[] }].concat();
        reporter.record(&DeadlineRecord {
            format: "orderly-run/1",
            record: "deadline",
            time: clock::now(),
            within_seconds: seconds(self.deadline.saturating_sub(self.planned)),
            fit: match plan.fit {
                Fit::Whole => "whole",
                Fit::Shortened => "shortened",
                Fit::NoPowerOff => "no_power_off",
                Fit::CutSubsystems => "cut_subsystems",
                Fit::Late => "late",
            },
            wait_seconds: seconds(plan.wait),
            tell_seconds: plan.tell.map(seconds),
            grace_seconds: plan.grace.map(seconds),
            subsystem_seconds: plan.subsystems.map(seconds),
            halts_by_seconds: seconds(plan.halts_by),
            halt_seconds: seconds(plan.halts),
            power_off_seconds: if plan.fits() { seconds(plan.offs) } else { 0.0 },
            late: names(&late),
            assumed: names(&self.assumed),
        });
    }
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

/// By what it is known how long something takes.
struct Known<'k> {
    args: &'k ShutdownArgs,
    site: &'k Site,
    history: &'k History,
    learned: &'k Learned,
    drivers: &'k dyn Backend,
}

impl Known<'_> {
    /// Returns how long a node or unit takes: as long as all but the slowest of its earlier times, else what
    /// `cluster.toml` says.
    fn takes(&self, node: NodeId) -> NodeTakes {
        let (site, name) = (self.site, self.site.name(node));
        let speed = if self.args.flags.rehearse { 1 } else { site.cluster.speed() };
        let unit = site.is_unit(node);
        let profile = if unit { site.cluster.profile.clone() } else { site.profile(node).into_owned() };
        let switches = self.args.wishes().power_off && self.drivers.abilities(node).switches_power;
        let off = switches.then(|| self.learned.offs.slow(name).unwrap_or(profile.power_timeout() / speed));
        if unit {
            return NodeTakes { halt: Duration::ZERO, off };
        }
        // Earlier times are those until the power was off.
        let part = off.and_then(|_| self.learned.offs.quick(name)).unwrap_or_default();
        let earlier = self.history.slow(name).map(|all| all.saturating_sub(part));
        let assumed = || (profile.shutdown.usual + profile.shutdown.settle) / speed;
        NodeTakes { halt: earlier.unwrap_or_else(assumed), off }
    }

    /// Returns how long the subsystems take that would be called, and those of which that is not known.
    fn subsystems(&self, input: &ShutdownInput, checked: &Checked) -> (Option<Duration>, Vec<String>) {
        let Some((sequence, order)) = input.subsystems.as_ref().filter(|_| !checked.alive().is_empty())
        else {
            return (None, Vec::new());
        };
        let settings = &self.site.cluster.subsystem;
        let mut assumed = Vec::new();
        let takes = sequence.own_names().iter().map(|name| {
            let usual = settings.usual.min(settings.timeout)
                / if self.args.flags.rehearse { 1 } else { self.site.cluster.speed() };
            let took = self.learned.subsystems.slow(name).unwrap_or_else(|| {
                assumed.push(name.to_owned());
                usual
            });
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX / 4)
        });
        let takes: Vec<u64> = takes.collect();
        let longest = order.critical(&takes).into_iter().max().unwrap_or(0);
        (Some(Duration::from_millis(longest)), assumed)
    }
}

/// Returns a duration as people read it. Asking how the nodes stand takes a moment, of which nobody need read.
fn show(time: Duration) -> String {
    let whole = Duration::from_secs((time + Duration::from_millis(500)).as_secs());
    duration::show(if time < Duration::from_secs(10) { time } else { whole })
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Returns when a run is over that has so much time, given how much has passed.
pub(crate) fn deadline(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    drivers: &dyn Backend,
) -> Option<Duration> {
    let within = args.within?;
    let left = if args.flags.rehearse { within } else { left(input, within) };
    Some(drivers.now() + left)
}

/// Returns how much of the time is left. Imagined time may run faster.
pub(crate) fn left(input: &ShutdownInput, within: Duration) -> Duration {
    (within / input.site.cluster.speed()).saturating_sub(input.passed())
}
