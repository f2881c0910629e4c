//! What must hold before anything is touched: how the nodes stand, the sequence, and that the run does
//! not saw off the branch it sits on.

use crate::args::ShutdownArgs;
use crate::deadline;
use crate::input::ShutdownInput;
use orderly_exec::{Status, fail};
use orderly_nodes::absent::Absence;
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::HeldClaim;
use orderly_nodes::config::SubsystemHost;
use orderly_nodes::guard;
use orderly_nodes::identity;
use orderly_nodes::listed;
use orderly_nodes::own;
use orderly_nodes::reach;
use orderly_nodes::run::drive_steered;
use orderly_nodes::site::{Site, fold};
use orderly_nodes::targets;
use orderly_nodes::telling::Telling;
use orderly_plan::drivers::NodeId;
use orderly_plan::run::Run;
use orderly_plan::select::{self, Direction};
use orderly_plan::shutdown::Goal;
use orderly_plan::survey::{Condition, Reading, Survey};
use std::collections::BTreeSet;

/// What is to be stopped, all checks passed.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Sorted; without this machine.
    pub nodes: Vec<NodeId>,
    /// This machine, when it is to go down after all others.
    pub own: Vec<NodeId>,
    /// Units switched off after the nodes they are powered with.
    pub units: Vec<NodeId>,
    /// How everything stands, by node.
    pub conditions: Vec<Condition>,
    /// Targets that are away, and are not waited for.
    pub away: Vec<NodeId>,
}

impl Checked {
    /// Asks how the nodes stand and checks whether they may be stopped.
    ///
    /// # Errors
    /// Refused (4) with every reason; ended by a signal.
    pub(crate) fn new(
        args: &ShutdownArgs,
        input: &ShutdownInput,
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> anyhow::Result<Self> {
        let site = &input.site;
        identity::check(site, &input.targets.nodes, &site.addresses)?;
        let readings = survey(args, input, drivers, telling)?;
        let conditions: Vec<Condition> = readings.iter().map(|reading| reading.condition()).collect();
        let mut all = input.targets.clone();
        let absence = Absence::of(site, &readings);
        if let Some(remark) = absence.remark(site) {
            telling.say(&remark);
        }
        let away;
        (all.nodes, away) = absence.part(all.nodes);
        let judged = absence.judged(&conditions);
        let violations = select::unserved(Direction::Shutdown, &site.order, &all.nodes, &judged);
        // A unit is no target by itself and waits for its nodes: it cannot be in the way.
        let violations: Vec<_> =
            violations.into_iter().filter(|violation| !site.is_unit(violation.node)).collect();
        if args.flags.extend {
            all.nodes.extend(violations.iter().map(|violation| violation.node));
            all.nodes.sort_unstable();
            all.check_partition(site)?;
            identity::check(site, &all.nodes, &site.addresses)?;
        } else if args.within.is_some() && !args.flags.ignore_others && !violations.is_empty() {
            for line in targets::sentences(site, &absence.silent, Direction::Shutdown, &violations) {
                telling.warn(&format!("a violation of the sequence, and --within goes on: {line}"));
            }
        } else if !args.flags.ignore_others && !violations.is_empty() {
            // Nobody is told to stop this very machine.
            let others: Vec<NodeId> = violations.iter().map(|violation| violation.node).collect();
            let barred =
                !args.flags.even_self && !own::find(site, &others, &readings, drivers)?.nodes.is_empty();
            let arguments: Vec<String> = std::env::args().skip(1).collect();
            let command = targets::TargetCommand {
                direction: Direction::Shutdown,
                program: "cshutdown",
                arguments: &arguments,
                targets: &all.nodes,
                barred,
                absent: &absence.silent,
                // Who is absent is down, and in nobody's way.
                present_are_enough: false,
            };
            return Err(fail(Status::Refused, targets::describe(site, &command, &violations)));
        }
        confirm(args, all.nodes.len() + input.left_out.len())?;
        check_shells(args, site, &all.nodes, &conditions, drivers)?;
        let only_halted =
            |node: &NodeId| conditions[node.index()] != Condition::Down && is_only_halted(*node, drivers);
        let only_halted: Vec<NodeId> = all.nodes.iter().copied().filter(only_halted).collect();
        if !only_halted.is_empty() {
            let names = fold(site, &only_halted);
            telling.say(&format!(
                "{names}: halted by the controller alone: users are not told, and their processes are not ended"
            ));
        }
        let own = guard(args, input, &all.nodes, &readings, drivers)?;
        drivers.allow_self(&own);
        let nodes: Vec<NodeId> = all.nodes.iter().copied().filter(|node| !own.contains(node)).collect();
        let (units, kept) = if args.wishes().power_off {
            units(args, input, &nodes, &conditions, drivers)
        } else {
            (Vec::new(), Vec::new())
        };
        let objections = guard::unit_objections(site, &units, &nodes, args.flags.even_self);
        if !objections.is_empty() {
            return Err(fail(Status::Refused, objections.join("\n")));
        }
        kept.iter().for_each(|line| telling.say(line));
        if args.wishes().power_off {
            let switched = [nodes.as_slice(), &own, &units].concat();
            for doubt in listed::check(site, &switched, drivers)? {
                telling.warn(&doubt);
            }
            for warning in drivers.take_last_warnings() {
                telling.warn(&warning);
            }
        }
        Ok(Self { nodes, own, units, conditions, away })
    }

    /// Claims no more than what is stopped, now that it is known what `-E` adds.
    pub(crate) fn narrow(
        &self,
        claim: Option<&mut HeldClaim>,
        args: &ShutdownArgs,
        input: &ShutdownInput,
        telling: &mut Telling<'_>,
    ) {
        let Some(claim) = claim.filter(|_| args.flags.extend) else { return };
        let failed = reach::narrow(claim, &input.site, Direction::Shutdown, &self.targets());
        failed.into_iter().for_each(|line| telling.warn(&line));
    }

    /// Returns all targets, this machine included.
    pub(crate) fn targets(&self) -> Vec<NodeId> {
        let mut all = [self.nodes.as_slice(), &self.own].concat();
        all.sort_unstable();
        all
    }

    /// Returns the targets that are not known to be down, without this machine: what there is to stop.
    pub(crate) fn running(&self) -> Vec<NodeId> {
        self.alive().into_iter().filter(|node| !self.own.contains(node)).collect()
    }

    /// Returns the targets on which somebody may be logged in: those not known to be down.
    pub(crate) fn alive(&self) -> Vec<NodeId> {
        let alive =
            |node: &NodeId| matches!(self.conditions[node.index()], Condition::Up | Condition::Unknown);
        self.targets().into_iter().filter(alive).collect()
    }
}

/// Asks how the targets stand, and all nodes that must go down before them; where subsystems are called
/// on any node of the partition, those too.
fn survey(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<Vec<Reading>> {
    let (site, targets) = (&input.site, input.targets.nodes.as_slice());
    let mut asked: BTreeSet<NodeId> = targets.iter().copied().collect();
    asked.extend(site.order.all_leading(targets));
    // A unit is switched off once nobody needs it, so all that share one matter.
    let units = site.units_of(targets);
    asked.extend(units.iter().flat_map(|&unit| site.nodes_with(unit)));
    asked.extend(guard::leads(site, &units).into_iter().map(|lead| lead.node));
    asked.extend(units);
    if input.subsystems.is_some() && site.cluster.subsystem.host == SubsystemHost::Random {
        let partitions: BTreeSet<_> =
            targets.iter().map(|&node| site.inventory.node(node).partition.as_deref()).collect();
        asked.extend(
            site.inventory
                .ids()
                .filter(|&node| partitions.contains(&site.inventory.node(node).partition.as_deref())),
        );
    }
    let count = site.roster.len();
    let units = (0..count).map(|at| at >= site.inventory.len()).collect();
    let mut survey = Survey::new(count, asked.into_iter().collect(), units).not_waiting_for(&site.absent);
    // A controller that hangs must not take the time of a battery: what it does not say in a quarter of it is unknown.
    let now = drivers.now();
    let until = deadline::of(args, input, drivers).map(|end| now + end.saturating_sub(now) / 4);
    let mut gives_up = until;
    let signal = drive_steered(&mut survey, drivers.drivers(), telling, &mut |survey, drivers, telling| {
        if gives_up.is_some_and(|until| drivers.now() >= until) {
            gives_up = None;
            telling.warn(
                "some nodes have not said how they stand in a quarter of the time: they are not waited for",
            );
            survey.interrupt();
            drivers.end_all();
        }
        gives_up
    });
    match signal {
        Some(signal) => Err(fail(Status::Signal(signal), "interrupted before anything was stopped")),
        None => Ok(survey.readings().to_vec()),
    }
}

/// Tells whether a node can be told to go down and nothing else.
pub(crate) fn is_only_halted(node: NodeId, drivers: &dyn Backend) -> bool {
    let able = drivers.abilities(node);
    able.halts && !able.runs_commands
}

/// Rejects nodes that would have to be told to go down, and on which no command can be run.
fn check_shells(
    args: &ShutdownArgs,
    site: &Site,
    targets: &[NodeId],
    conditions: &[Condition],
    drivers: &dyn Backend,
) -> anyhow::Result<()> {
    // What only its BMC can tell to go down can be told nothing else.
    let only_halts =
        |node: NodeId| args.maintenance || args.restart && !drivers.abilities(node).switches_power;
    let is_mute = |node: &NodeId| {
        let able = drivers.abilities(*node);
        conditions[node.index()] != Condition::Down
            && !able.runs_commands
            && (!able.halts || only_halts(*node))
    };
    let mute: Vec<NodeId> = targets.iter().copied().filter(is_mute).collect();
    if mute.is_empty() || args.force_off {
        return Ok(());
    }
    let (file, names) = (&site.cluster.file, fold(site, &mute));
    let text = format!(
        "{file}: {names}: no command can be run there, so nobody can tell them to go down: write [shell], with a \
         driver such as \"ssh\", or leave them out (-x {names})"
    );
    Err(fail(Status::Rejected, text))
}

/// Refuses another number of targets than was said.
///
/// # Errors
/// Refused (4).
pub(crate) fn confirm(args: &ShutdownArgs, count: usize) -> anyhow::Result<()> {
    match args.flags.confirm {
        Some(wanted) if wanted != count => Err(fail(
            Status::Refused,
            format!("there are {count} targets, and --confirm says {wanted}; nothing is done"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Returns this machine, where it is among the targets and may be.
fn guard(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    targets: &[NodeId],
    readings: &[Reading],
    drivers: &mut dyn Backend,
) -> anyhow::Result<Vec<NodeId>> {
    let site = &input.site;
    let own = own::find(site, targets, readings, drivers)?;
    let relays = guard::relays(&site.inventory, &site.order, targets);
    if args.flags.even_self {
        let own = own.nodes;
        if !own.is_empty() && args.wishes().goal == Goal::Restart {
            let name = fold(site, &own);
            let text =
                format!("{name} is this very machine: once it is down, nobody is left to start the others");
            return Err(fail(Status::Refused, text));
        }
        return Ok(own);
    }
    let objections = guard::objections(&site.inventory, &own, &relays, Direction::Shutdown);
    if objections.is_empty() { Ok(Vec::new()) } else { Err(fail(Status::Refused, objections.join("\n"))) }
}

/// Returns the units that nobody needs once the targets are down, and why others stay on that are needed only by
/// nodes that are reached or powered through them.
fn units(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    targets: &[NodeId],
    conditions: &[Condition],
    drivers: &dyn Backend,
) -> (Vec<NodeId>, Vec<String>) {
    let site = &input.site;
    let restarts = args.wishes().goal == Goal::Restart;
    let is_done_with = |&node: &NodeId| {
        let goes = targets.binary_search(&node).is_ok();
        let stays_down = conditions[node.index()] == Condition::Down;
        // A node that restarts by itself needs its units all along.
        let by_itself = restarts && !drivers.abilities(node).switches_power;
        (goes || stays_down) && !by_itself
    };
    let free = |&unit: &NodeId| {
        drivers.abilities(unit).switches_power && site.nodes_with(unit).iter().all(is_done_with)
    };
    let free: Vec<NodeId> = site.units_of(targets).into_iter().filter(free).collect();
    // Those that go down themselves are for the guard.
    let goes_on =
        |node: NodeId| targets.binary_search(&node).is_err() && conditions[node.index()] != Condition::Down;
    let mut leads = guard::leads(site, &free);
    leads.retain(|lead| goes_on(lead.node));
    let needed: BTreeSet<NodeId> = leads.iter().map(|lead| lead.unit).collect();
    (free.into_iter().filter(|unit| !needed.contains(unit)).collect(), guard::kept(site, &leads))
}
