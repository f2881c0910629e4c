//! What is to be started: targets checked against the sequence and extended, and the limits of each.

use crate::args::StartupArgs;
use crate::own;
use anyhow::Result;
use orderly_exec::program::{arguments, program_name};
use orderly_exec::{Status, fail};
use orderly_nodes::absent::Absence;
use orderly_nodes::boot;
use orderly_nodes::booting::BootingClasses;
use orderly_nodes::history::History;
use orderly_nodes::identity;
use orderly_nodes::own::OwnTargets;
use orderly_nodes::permanent::PermanentFailure;
use orderly_nodes::site::{Site, counted, fold};
use orderly_nodes::targets::{TargetCommand, Targets, describe};
use orderly_plan::drivers::{NodeId, Task};
use orderly_plan::duration;
use orderly_plan::graph::Order;
use orderly_plan::report::QuietedReport;
use orderly_plan::select::{self, Direction};
use orderly_plan::startup::{StartLimits, StartOptions, Stuck};
use orderly_plan::survey::Condition;
use orderly_plan::throttle::Booting;
use serde::Serialize;
use std::time::Duration;

/// A start that may be carried out.
#[derive(Debug)]
pub(crate) struct StartPlan {
    /// Sorted, with their units.
    pub(crate) targets: Vec<NodeId>,
    /// The targets that are not up, or to be reset.
    to_start: Vec<NodeId>,
    pub(crate) options: StartOptions,
    /// The order of the site, with this machine after all others where it is to be reset.
    pub(crate) order: Order,
    /// How long it would take, where every node to be started has a history.
    expected: Option<Duration>,
    waves: Vec<Wave>,
    /// Targets that are up and left alone, folded, and how many.
    already_up: Option<String>,
    up: Vec<String>,
}

/// What would be begun at one time if all nodes took equally long.
#[derive(Debug, Serialize)]
struct Wave {
    nodes: String,
    count: usize,
    does: &'static str,
    wave: usize,
}

/// Returns all nodes whose condition matters: targets with their units, and all that lead them.
pub(crate) fn concerned(site: &Site, targets: &Targets) -> Vec<NodeId> {
    let mut nodes = targets.nodes.clone();
    nodes.extend(site.units_of(&targets.nodes));
    nodes.extend(site.order.all_leading(&nodes));
    let units = site.units_of(&nodes);
    nodes.extend(units);
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

impl StartPlan {
    /// Returns the plan, given how all [`concerned`] nodes stand.
    ///
    /// # Errors
    /// Refused (4) with every violation and the ways out.
    pub(crate) fn new(
        args: &StartupArgs,
        site: &Site,
        mut targets: Targets,
        (conditions, absence): (&[Condition], &Absence),
        own: &OwnTargets,
        history: &History,
    ) -> Result<Self> {
        let judged = absence.judged(&without_units(site, conditions));
        if args.flags.extend {
            let needed = select::needed(Direction::Startup, &site.order, &targets.nodes, &judged);
            // Nobody can start what is away.
            let needed = needed.into_iter().filter(|node| !absence.is_silent(*node)).collect();
            targets.extend_within(site, needed, |targets| {
                select::needed(Direction::Startup, &site.order, targets, &judged).is_empty()
            });
            targets.check_partition(site)?;
        }
        identity::check(site, &targets.nodes, &site.addresses)?;
        confirm(args, targets.nodes.len())?;
        check(args, site, &targets.nodes, (&judged, absence), own)?;
        let reset = to_be_reset(args, &site.order, &targets.nodes, &judged);
        own::guard(args, site, &targets.nodes, &judged, &reset, own)?;
        let starts =
            |node: &NodeId| conditions[node.index()] != Condition::Up || reset.binary_search(node).is_ok();
        let mut nodes: Vec<NodeId> = targets.nodes.iter().copied().filter(starts).collect();
        // Units of nodes that are left alone are left alone too.
        nodes = site.units_of(&nodes);
        nodes.extend(&targets.nodes);
        nodes.sort_unstable();
        let order = own::last(site, &nodes, conditions, &reset, &own.nodes)?;
        let (nodes_to_start, up): (Vec<NodeId>, Vec<NodeId>) =
            nodes.iter().copied().partition(|node| starts(node));
        let expected = expected((site, &order), (&nodes, &nodes_to_start), conditions, history);
        let needed = own::needed(site, &targets.nodes, conditions, &reset);
        let spared: (&[NodeId], &[NodeId]) =
            if args.flags.even_self { (&[], &[]) } else { (&own.nodes, &needed) };
        let mut options = options(args, site, history, reset.clone(), spared);
        options.is_foretold = expected.is_some();
        Ok(Self {
            expected,
            waves: waves((site, &order), &nodes_to_start, conditions, &reset, &options),
            already_up: (!up.is_empty()).then(|| counted(site, &up)),
            up: up.iter().map(|&node| site.name(node).to_owned()).collect(),
            to_start: nodes_to_start,
            targets: nodes,
            options,
            order,
        })
    }

    /// Returns the targets that are not up, or to be reset.
    pub(crate) fn to_be_started(&self) -> &[NodeId] {
        &self.to_start
    }

    /// Returns what would be done to the power of a node.
    pub(crate) fn task(&self, node: NodeId, condition: Condition) -> Option<Task> {
        match condition {
            _ if self.options.reset.binary_search(&node).is_ok() => Some(Task::Reset),
            Condition::Down => Some(Task::PowerOn),
            Condition::On | Condition::Up | Condition::Unknown => None,
        }
    }

    /// Returns the plan for people, one line for each wave and what is done in it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for wave in &self.waves {
            let nodes = if wave.count == 1 { "node" } else { "nodes" };
            text.push_str(&format!(
                "wave {}: {}: {} ({} {nodes})\n",
                wave.wave, wave.does, wave.nodes, wave.count
            ));
        }
        if let Some(up) = &self.already_up {
            text.push_str(&format!("already up: {up}\n"));
        }
        text.push_str(&match (self.to_start.len(), self.expected) {
            (0, _) => "nothing is to be started\n".to_owned(),
            (_, Some(expected)) => format!("expected to take {}\n", duration::show(expected)),
            (_, None) => "how long it takes is not known: some nodes have no history\n".to_owned(),
        });
        text
    }

    /// Returns the plan for programs.
    pub(crate) fn record<'p>(
        &'p self,
        (absent, quieted): (Option<String>, &'p [QuietedReport]),
        permanent_failures: &'p [PermanentFailure<'p>],
    ) -> impl Serialize + 'p {
        #[derive(Serialize)]
        struct PlanRecord<'p> {
            format: &'static str,
            record: &'static str,
            time: String,
            program: &'static str,
            waves: &'p [Wave],
            already_up: &'p [String],
            /// Targets that are away, and are not waited for, as a node set.
            #[serde(skip_serializing_if = "Option::is_none")]
            absent: Option<String>,
            /// What subsystems quieted and nothing has undone yet.
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            quieted: &'p [QuietedReport],
            /// Those that can never succeed as they are configured.
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            permanent_failures: &'p [PermanentFailure<'p>],
            #[serde(skip_serializing_if = "Option::is_none")]
            expected_seconds: Option<f64>,
        }
        PlanRecord {
            format: "orderly-run/1",
            record: "plan",
            time: orderly_exec::clock::now(),
            program: "cstartup",
            waves: &self.waves,
            already_up: &self.up,
            absent,
            quieted,
            permanent_failures,
            expected_seconds: self
                .expected
                .map(|expected| (expected.as_secs_f64() * 1000.0).round() / 1000.0),
        }
    }
}

/// Refuses another number of targets than was expected.
///
/// # Errors
/// Refused (4).
pub(crate) fn confirm(args: &StartupArgs, found: usize) -> Result<()> {
    match args.flags.confirm {
        Some(count) if count != found => {
            let are = if found == 1 { "is 1 target".to_owned() } else { format!("are {found} targets") };
            Err(fail(Status::Refused, format!("--confirm {count}: there {are}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the conditions by which the sequence is judged. A unit never stands in the way: a node that
/// is up has what it needs, and the units of those that are started are started too.
fn without_units(site: &Site, conditions: &[Condition]) -> Vec<Condition> {
    let mut judged = conditions.to_vec();
    judged.iter_mut().skip(site.inventory.len()).for_each(|condition| *condition = Condition::Up);
    judged
}

/// Refuses what would violate the sequence.
fn check(
    args: &StartupArgs,
    site: &Site,
    targets: &[NodeId],
    (conditions, absence): (&[Condition], &Absence),
    own: &OwnTargets,
) -> Result<()> {
    let mut violations = Vec::new();
    if !args.flags.ignore_others {
        violations.extend(select::unserved(Direction::Startup, &site.order, targets, conditions));
    }
    if !args.ignore_running && !args.reset && !args.reset_all {
        violations.extend(select::outrun(&site.order, targets, conditions));
    }
    if violations.is_empty() {
        return Ok(());
    }
    let (program, arguments) = (&program_name(), &arguments());
    let cure = select::curable(&site.order, targets, conditions);
    let barred = !own::objections(args, site, targets, conditions, &cure, own).is_empty();
    let absent = &absence.silent;
    let is_there = |node: &NodeId| !absence.is_silent(*node);
    let others = violations.iter().map(|violation| violation.node).filter(is_there);
    let mut extended: Vec<NodeId> = targets.iter().copied().chain(others).collect();
    extended.sort_unstable();
    extended.dedup();
    let lacking = select::needed(Direction::Startup, &site.order, &extended, conditions);
    let command = TargetCommand {
        direction: Direction::Startup,
        program,
        arguments,
        targets,
        barred,
        absent,
        present_are_enough: lacking.is_empty(),
    };
    Err(fail(Status::Refused, describe(site, &command, &violations)))
}

/// Returns the running targets that are reset.
fn to_be_reset(
    args: &StartupArgs,
    order: &Order,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Vec<NodeId> {
    if args.reset_all {
        targets.iter().copied().filter(|node| conditions[node.index()] == Condition::Up).collect()
    } else if args.reset {
        select::curable(order, targets, conditions)
    } else {
        Vec::new()
    }
}

fn options(
    args: &StartupArgs,
    site: &Site,
    history: &History,
    reset: Vec<NodeId>,
    (own, needed): (&[NodeId], &[NodeId]),
) -> StartOptions {
    let for_all = args.flags.late_after();
    let members = (0..site.roster.len()).map(|at| NodeId(u32::try_from(at).unwrap_or(u32::MAX)));
    let mut limits = Vec::with_capacity(site.roster.len());
    let mut takes = Vec::with_capacity(site.roster.len());
    for node in members {
        let own_limits = site.profile(node).limits.clone();
        let name = site.name(node);
        let by_history = if args.flags.is_late_by_history() { history.late(name) } else { None };
        limits.push(StartLimits {
            unit: site.is_unit(node),
            timeout: own_limits.timeout,
            boot: own_limits.boot,
            retries: own_limits.retries,
            late: by_history.or(for_all),
            stuck: match own_limits.reset_stuck {
                _ if own.contains(&node) => Stuck::ThisMachine,
                _ if needed.contains(&node) => Stuck::Needed,
                true => Stuck::Reset,
                false => Stuck::GivenUp,
            },
        });
        let usual = history.usual(name).unwrap_or(Duration::from_secs(60));
        takes.push(u64::try_from(usual.as_millis()).unwrap_or(u64::MAX >> 32));
    }
    let of_all = &site.cluster.limits;
    StartOptions {
        limits,
        stagger: of_all.stagger,
        booting: Booting {
            limit: of_all.booting,
            class_of: BootingClasses::of(&site.cluster, &site.inventory).of,
        },
        reset,
        takes,
        is_foretold: false,
        own_boot: if args.flags.even_self { None } else { boot::own() },
    }
}

/// Returns the length of the critical path, by the history.
fn expected(
    (site, order): (&Site, &Order),
    (targets, to_start): (&[NodeId], &[NodeId]),
    conditions: &[Condition],
    history: &History,
) -> Option<Duration> {
    let mut takes = vec![0u64; site.roster.len()];
    for node in to_start.iter().filter(|node| !site.is_unit(**node)) {
        let usual = history.usual(site.name(*node))?;
        takes[node.index()] = u64::try_from(usual.as_millis()).ok()?;
    }
    let counts =
        |node: NodeId| targets.binary_search(&node).is_ok() || conditions[node.index()] == Condition::Up;
    order.critical_counting(&takes, counts).into_iter().max().map(Duration::from_millis)
}

fn waves(
    (site, order): (&Site, &Order),
    nodes: &[NodeId],
    conditions: &[Condition],
    reset: &[NodeId],
    options: &StartOptions,
) -> Vec<Wave> {
    let mut waves = Vec::new();
    let by_wave = order.waves_of(|node| nodes.binary_search(&node).is_ok());
    for (number, nodes) in (1..).zip(by_wave) {
        let does = |node: &NodeId| match conditions[node.index()] {
            _ if reset.binary_search(node).is_ok() => "reset",
            Condition::On if options.limits[node.index()].stuck == Stuck::Reset => {
                "on, waited for, then reset"
            }
            Condition::On => "on, waited for",
            Condition::Down => "power on",
            Condition::Up | Condition::Unknown => "not known, asked again",
        };
        let kinds =
            ["power on", "reset", "on, waited for", "on, waited for, then reset", "not known, asked again"];
        for kind in kinds {
            let alike: Vec<NodeId> = nodes.iter().copied().filter(|node| does(node) == kind).collect();
            if !alike.is_empty() {
                let nodes = fold(site, &alike);
                waves.push(Wave { nodes, count: alike.len(), does: kind, wave: number });
            }
        }
    }
    waves
}
