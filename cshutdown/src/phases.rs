//! The phases of a shutdown, in their order: notice, users' processes, subsystems, nodes.

use crate::args::ShutdownArgs;
use crate::battery::{Battery, Learned, UntilItsEnd};
use crate::check;
use crate::check::Checked;
use crate::input::ShutdownInput;
use crate::limits;
use crate::notice::{Logins, ShutdownNotice, Waited};
use crate::outcome::PhaseResults;
use crate::stops_seen::StopsSeen;
use crate::subsystem::{Quiet, SubsystemPlace, Subsystems};
use orderly_exec::{Status, fail};
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::{HeldClaim, Patience};
use orderly_nodes::run::drive_steered;
use orderly_nodes::site::fold;
use orderly_nodes::subsystem;
use orderly_nodes::telling::Telling;
use orderly_nodes::up::WasUp;
use orderly_nodes::users::EndUsers;
use orderly_plan::drivers::{NodeId, RemoteCommand};
use orderly_plan::graph::Order;
use orderly_plan::outcome::{NodeEnding, Outcome};
use orderly_plan::report::{Phase, PhaseTime};
use orderly_plan::run::Run;
use orderly_plan::shutdown::{Goal, Round, Shutdown};
use orderly_plan::survey::Condition;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A shutdown under way.
pub(crate) struct Phases<'p, 't> {
    pub args: &'p ShutdownArgs,
    pub input: &'p ShutdownInput,
    pub drivers: &'p mut dyn Backend,
    pub telling: &'p mut Telling<'t>,
    pub log: &'p Path,
    pub checked: Checked,
    /// Keeps other runs from acting on the nodes, but while this one waits for its time.
    pub claim: Option<HeldClaim>,
    pub logins: Logins,
    pub battery: Option<Battery<'p>>,
    pub learned: Learned,
    pub results: PhaseResults,
}

impl Phases<'_, '_> {
    /// Goes through all of them and returns how each node ended; asking how they stand, which came before,
    /// was begun then.
    ///
    /// # Errors
    /// Refused (4) when the sequence no longer allows it after the wait; ended by a signal.
    pub(crate) fn run(&mut self, begun: Duration) -> anyhow::Result<Vec<NodeEnding>> {
        let now = self.phase(Phase::Asking, begun);
        let nodes = self.prepare(now);
        if let Some(timeline) = &mut self.telling.timeline {
            timeline.close(self.drivers.now());
        }
        // Whatever was not stopped is to be of use again.
        let left: Vec<NodeId> = match &nodes {
            Ok(endings) => {
                endings.iter().filter(|ending| stays_up(ending)).map(|ending| ending.node).collect()
            }
            Err(_) => self.checked.targets(),
        };
        self.logins.open(&left, self.drivers, self.telling);
        nodes
    }

    fn prepare(&mut self, begun: Duration) -> anyhow::Result<Vec<NodeEnding>> {
        self.notify()?;
        let now = self.phase(Phase::Notice, begun);
        if self.end_users() {
            return Ok(self.nothing_stopped());
        }
        let now = self.phase(Phase::Users, now);
        if !self.quiet_subsystems()? {
            return Ok(self.nothing_stopped());
        }
        let now = self.phase(Phase::Subsystems, now);
        if let Some(battery) = &mut self.battery {
            if let Some(signal) = battery.begin_halting(self.drivers, self.telling) {
                self.results.signal = Some(signal);
                return Ok(self.nothing_stopped());
            }
        }
        let endings = self.stop_nodes();
        self.phase(Phase::Nodes, now);
        Ok(endings)
    }

    /// Notes how long a phase took that was begun then; returns the time.
    fn phase(&mut self, phase: Phase, begun: Duration) -> Duration {
        let now = self.drivers.now();
        let took = now.saturating_sub(begun);
        self.telling.phase_over(phase, now, took);
        // What takes no time is not worth a word.
        if took >= Duration::from_millis(100) {
            self.results.took.push(PhaseTime { phase, took });
        }
        now
    }

    fn notify(&mut self) -> anyhow::Result<()> {
        // On battery the nodes are not let go of, and it is turned round in another way.
        let waits = self.args.acts() && !self.input.wait.is_zero() && self.battery.is_none();
        if let Some(claim) = self.claim.as_mut().filter(|_| waits) {
            // Until then the nodes are anybody's. One after the other; checked first, so that a second one tells nobody.
            claim.defer()?;
        }
        let nodes = self.checked.alive();
        let asked_by = orderly_nodes::log::who();
        // A virtual clock needs no haste.
        let speed = if self.args.flags.rehearse { 1 } else { self.input.site.cluster.speed() };
        let wait = match &self.battery {
            // That of the plan is as fast as imagined time is.
            Some(battery) => battery.plan.users.wait * speed,
            None if self.args.flags.rehearse => self.input.wait,
            None => self.input.wait_from_now(self.args.at, speed),
        };
        let notice = ShutdownNotice {
            nodes: &nodes,
            verb: self.args.verb(),
            asked_by: &asked_by,
            message: self.args.message.as_deref(),
            wait,
            silent: self.args.no_notice
                || self.battery.as_ref().is_some_and(|battery| battery.plan.users.tell.is_none()),
            imagined: self.args.flags.rehearse,
            speed,
        };
        let mut waited = notice.give(self.drivers, &mut self.logins, &mut self.battery, self.telling);
        if waits && waited == Waited::ToItsEnd {
            if let Some(claim) = self.claim.take() {
                // Who has told users for so long waits, unless it was said for how long.
                let patience = match self.args.flags.patience() {
                    Patience::None => Patience::Endless,
                    said @ (Patience::UpTo(_) | Patience::Endless) => said,
                };
                match claim.take_up(patience, self.drivers, self.telling) {
                    Ok(claim) => {
                        self.claim = Some(claim);
                        // Other runs may have acted meanwhile, on imagined nodes too.
                        self.drivers.reload()?;
                    }
                    Err(error) => match error.downcast_ref() {
                        Some(&Status::Signal(signal)) => waited = Waited::Cancelled(signal),
                        _ => {
                            notice.take_back(self.drivers, &mut self.logins, self.telling);
                            return Err(error);
                        }
                    },
                }
            }
        }
        if let Waited::Cancelled(signal) = waited {
            notice.take_back(self.drivers, &mut self.logins, self.telling);
            return Err(fail(Status::Signal(signal), "cancelled before anything was stopped"));
        }
        if self.input.wait.is_zero() || self.battery.is_some() {
            return Ok(());
        }
        // Much may have happened meanwhile.
        match Checked::new(self.args, self.input, self.drivers, self.telling) {
            Ok(checked) => {
                self.checked = checked;
                self.checked.narrow(self.claim.as_mut(), self.args, self.input, self.telling);
                Ok(())
            }
            Err(error) => {
                notice.take_back(self.drivers, &mut self.logins, self.telling);
                Err(error)
            }
        }
    }

    /// Ends users' processes; tells whether a signal came.
    fn end_users(&mut self) -> bool {
        let wants = |node: &NodeId| self.input.site.profile(*node).shutdown.end_users != EndUsers::None;
        // Not on this machine: the run itself may be somebody's process there.
        let nodes: Vec<NodeId> = self
            .checked
            .alive()
            .into_iter()
            .filter(|node| !self.checked.own.contains(node))
            .filter(|&node| !check::is_only_halted(node, self.drivers))
            .filter(wants)
            .collect();
        if nodes.is_empty() {
            return false;
        }
        if let Some(battery) = &mut self.battery {
            let now = self.drivers.now();
            let Some(grace) = battery.grace(now, self.telling) else { return false };
            self.drivers.limit_grace(grace);
        }
        let order = Order::unordered(&nodes);
        let mut round = Round::new(&order, RemoteCommand::EndUsers, &nodes);
        let mut until = UntilItsEnd::of(self.battery.as_mut(), |latest| latest.users);
        self.results.signal = drive_steered(
            &mut round,
            self.drivers.drivers(),
            self.telling,
            &mut |round, drivers, telling| until.steer(round, drivers, telling),
        );
        self.results.signal.is_some()
    }

    /// Calls the subsystems; tells whether nodes may be stopped.
    fn quiet_subsystems(&mut self) -> anyhow::Result<bool> {
        let Some((sequence, order)) = &self.input.subsystems else { return Ok(true) };
        let targets = self.checked.targets();
        if self.checked.alive().is_empty() {
            self.telling.say("no target is up: no subsystem is called");
            return Ok(true);
        }
        if self.battery.as_ref().is_some_and(|battery| battery.plan.subsystems.is_none()) {
            // It was said.
            self.results.partly = true;
            return Ok(true);
        }
        let places = match self.places(&targets) {
            Ok(places) => places,
            Err(clause) if self.args.goes_on() => {
                let flag = self.args.go_on_flag();
                self.telling.warn(&format!("subsystems are not called, and {flag} goes on: {clause}"));
                self.results.partly = true;
                return Ok(true);
            }
            Err(clause) => {
                return Err(fail(
                    Status::Failed,
                    format!("call the subsystems: {clause}; -Y goes on without"),
                ));
            }
        };
        let site = &self.input.site;
        let addresses: Vec<&str> = targets.iter().map(|&node| site.inventory.node(node).address()).collect();
        let subsystems = Subsystems {
            names: sequence.own_names(),
            order,
            places,
            flag: self.args.subsystem_flag(),
            control: site.cluster.control_address(&addresses)?,
            log: self.log,
            timeout: site.cluster.subsystem.timeout,
            go_on: self.args.goes_on(),
            go_on_flag: self.args.go_on_flag(),
            pairs: self.args.acts().then_some(&site.cluster.subsystem.up),
            simulated: self.drivers.is_simulated(),
        };
        let until = UntilItsEnd::of(self.battery.as_mut(), |latest| latest.subsystems);
        let mut took = Vec::new();
        let quiet = subsystems.call(self.drivers, until, &mut took, self.telling);
        if self.args.acts() {
            for (subsystem, took) in took {
                self.learned.subsystems.add(sequence.own_names().get(subsystem.0), took);
            }
            // It only ever guides.
            self.learned.subsystems.save(|_| true).ok();
        }
        match quiet {
            Quiet::All => Ok(true),
            Quiet::Partly => {
                self.results.partly = true;
                Ok(true)
            }
            Quiet::Stopped => {
                self.telling.warn(
                    "a subsystem failed: no node was stopped; users' processes were ended already (-Y goes on)",
                );
                self.results.partly = true;
                Ok(false)
            }
            Quiet::Interrupted(signal) | Quiet::Torn(signal) => {
                self.results.signal = Some(signal);
                self.results.torn = quiet == Quiet::Torn(signal);
                Ok(false)
            }
        }
    }

    /// Returns where subsystems are called: once a partition.
    fn places(&self, targets: &[NodeId]) -> Result<Vec<SubsystemPlace>, String> {
        let site = &self.input.site;
        let mut partitions: BTreeMap<Option<&str>, Vec<NodeId>> = BTreeMap::new();
        for &node in targets {
            partitions.entry(site.inventory.node(node).partition.as_deref()).or_default().push(node);
        }
        // Where nothing is up there is nothing to quiet, and nowhere to do it.
        let alive = self.checked.alive();
        partitions.retain(|_, nodes| nodes.iter().any(|node| alive.contains(node)));
        let place = |(partition, nodes): (Option<&str>, Vec<NodeId>)| {
            let (host, name) = subsystem::host(site, self.drivers, &self.checked.conditions, partition)?;
            let quieted = nodes.iter().map(|&node| site.name(node).to_owned()).collect();
            let operands = nodes.iter().map(|&node| subsystem::operand(site, node)).collect();
            Ok(SubsystemPlace { host, name, operands, quieted })
        };
        partitions.into_iter().map(place).collect()
    }

    fn stop_nodes(&mut self) -> Vec<NodeEnding> {
        let keeps_units = self.battery.as_ref().is_some_and(Battery::keeps_power);
        let units = if keeps_units { &[][..] } else { &self.checked.units };
        let is_on = |unit: &NodeId| self.checked.conditions[unit.index()] != Condition::Down;
        if keeps_units && self.checked.units.iter().any(is_on) {
            self.results.partly = true;
        }
        let mut all = [self.checked.nodes.as_slice(), units].concat();
        all.sort_unstable();
        self.results.is_recorded = self.begin_record();
        let mut endings = self.stop(&all);
        if self.results.is_recorded {
            self.end_record(&endings);
        }
        if self.checked.own.is_empty() {
            return endings;
        }
        let own = self.checked.own.clone();
        let name = fold(&self.input.site, &own);
        if self.results.signal.is_none() && endings.iter().all(|ending| ending.outcome.is_well()) {
            self.telling.say(&format!("all others are down: stopping this machine ({name})"));
            endings.extend(self.stop(&own));
        } else {
            self.telling.warn(&format!("this machine ({name}) is not stopped, because others are not down"));
            endings.extend(own.into_iter().map(NodeEnding::skipped));
        }
        endings.sort_by_key(|ending| ending.node);
        endings
    }

    fn stop(&mut self, nodes: &[NodeId]) -> Vec<NodeEnding> {
        let site = &self.input.site;
        let mut limits = limits::all(site, &self.args.flags, &self.learned.halts);
        let mut times = Vec::new();
        if let Some(battery) = &mut self.battery {
            battery.lift_limits(self.drivers);
            times = battery.cut_before();
            limits.iter_mut().zip(&times).for_each(|(limits, before)| limits.cut_before = *before);
            limits.iter_mut().for_each(|limits| limits.hurried = true);
        }
        let battery = &mut self.battery;
        let priority = site.order.critical(&limits::takes(site, nodes, &self.learned.halts));
        let mut run = Shutdown::new(&site.order, nodes, priority, self.args.wishes(), &limits);
        let signal =
            drive_steered(&mut run, self.drivers.drivers(), self.telling, &mut |run, drivers, telling| {
                let battery = battery.as_mut()?;
                let next = battery.look_after(run, drivers, telling);
                let wanted = battery.cut_before();
                if wanted != times {
                    run.cut_before(&wanted);
                    times = wanted;
                }
                Some(next)
            });
        self.results.signal = self.results.signal.or(signal);
        let endings = run.endings();
        let kept: Vec<NodeId> = run.kept_power().collect();
        let is_well =
            |node: &NodeId| endings.iter().any(|ending| ending.node == *node && ending.outcome.is_well());
        // A unit is never halted.
        let is_down = |node: &NodeId| site.is_unit(*node) || is_well(node);
        let (halted, forced): (Vec<NodeId>, Vec<NodeId>) = kept.into_iter().partition(is_down);
        self.results.halted.extend(halted.iter().filter(|node| !site.is_unit(**node)));
        for (what, nodes) in
            [("halted, and not powered off", halted), ("not down, and not forced off", forced)]
        {
            if !nodes.is_empty() {
                self.results.partly = true;
                let names = fold(site, &nodes);
                self.telling.warn(&format!("{what}, as there was no time left for it: {names}"));
            }
        }
        self.remember(&run);
        if let Some(battery) = &self.battery {
            let is_late =
                |ending: &&NodeEnding| ending.outcome == Outcome::Down && battery.is_past(ending.ended);
            let late: Vec<NodeId> = endings.iter().filter(is_late).map(|ending| ending.node).collect();
            if !late.is_empty() {
                self.results.partly = true;
                self.telling.warn(&format!("down only after the time was over: {}", fold(site, &late)));
            }
        }
        endings
    }

    /// Remembers how long what was done took; forced nodes only took their limit.
    fn remember(&mut self, run: &Shutdown<'_>) {
        if !self.args.acts() || self.args.force_off {
            return;
        }
        let site = &self.input.site;
        let seen = StopsSeen { site, run, switches: self.args.wishes().power_off, drivers: &*self.drivers };
        if let Err(error) = seen.remember(&mut self.learned) {
            self.telling.warn(&format!("the history is not kept: {error:#}"));
        }
    }

    /// Writes down what is up and about to be stopped, so that exactly that can be started again. Not
    /// what is restarted or left in maintenance, and not that nothing is up. Tells whether it did.
    fn begin_record(&mut self) -> bool {
        let site = &self.input.site;
        let up = self.checked.running();
        let is_recorded = self.args.acts() && !self.args.no_record;
        if !is_recorded || self.args.wishes().goal != Goal::Halt || up.is_empty() {
            return false;
        }
        let names = up.iter().map(|&node| site.name(node).to_owned());
        let added =
            WasUp::add(self.drivers.is_simulated(), names, |unreadable| self.telling.warn(&unreadable));
        self.is_recorded(added)
    }

    fn end_record(&mut self, endings: &[NodeEnding]) {
        // Those whose state was not known, and that turned out to be down.
        let was_down = |ending: &&NodeEnding| {
            ending.outcome == Outcome::AlreadyDown
                && self.checked.conditions[ending.node.index()] == Condition::Unknown
        };
        let down = endings.iter().filter(was_down).map(|ending| self.input.site.name(ending.node));
        let complete = self.results.signal.is_none() && endings.iter().all(|ending| ending.outcome.is_well());
        let ended = WasUp::end(self.drivers.is_simulated(), down, complete);
        self.is_recorded(ended);
    }

    /// Tells whether it was written, and people where not.
    fn is_recorded(&mut self, recorded: anyhow::Result<()>) -> bool {
        let written = recorded.map_err(|error| format!("what was up is not recorded: {error:#}"));
        written.map_err(|line| self.telling.warn(&line)).is_ok()
    }

    /// Returns the endings of a run that stopped no node.
    pub(crate) fn nothing_stopped(&self) -> Vec<NodeEnding> {
        self.checked.targets().into_iter().map(NodeEnding::skipped).collect()
    }
}

/// Tells whether a node was not stopped, and is not about to.
fn stays_up(ending: &NodeEnding) -> bool {
    !ending.outcome.is_well() && !matches!(ending.outcome, Outcome::Begun | Outcome::Unknown(_))
}
