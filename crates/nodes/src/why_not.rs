//! What keeps a node from starting, or from going down, just now (`--why-not A`): the nodes are asked, nothing is touched.

use crate::backend::Backend;
use crate::claims;
use crate::elsewhere::{Door, in_its_run};
use crate::run::{Telling, drive};
use crate::site::{Site, fold};
use crate::targets;
use orderly_exec::Status;
use orderly_exec::reporter::Reporter;
use orderly_plan::drivers::NodeId;
use orderly_plan::select::{self, Direction};
use orderly_plan::survey::{Condition, Survey};
use serde::Serialize;
use std::collections::BTreeMap;

/// What holds a node.
struct Hold<'s> {
    site: &'s Site,
    direction: Direction,
    node: NodeId,
    conditions: Vec<Condition>,
    /// All nodes that must be up (down) before it and are not, sorted.
    by: Vec<NodeId>,
    /// Those of them that nobody holds, sorted.
    roots: Vec<NodeId>,
    /// What runs that act on the node itself do with it.
    own_runs: Vec<String>,
    /// Others that act on who is before it.
    runs: Vec<String>,
}

/// Answers `--why-not A`.
///
/// Returns done (0) where nothing holds the node, failed (1) where something does, and what interrupted the question.
///
/// # Errors
/// Usage (2) when the word is not the name of one node.
pub fn answer(
    site: &Site,
    direction: Direction,
    word: &str,
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let node = targets::one_named(site, "--why-not", word)?;
    let conditions = match ask(site, node, drivers, reporter) {
        Ok(conditions) => conditions,
        Err(signal) => return Ok(Status::Signal(signal)),
    };
    let by: Vec<NodeId> = if is_there(direction, conditions[node.index()]) {
        Vec::new()
    } else {
        let needed = select::needed(direction, &site.order, &[node], &conditions).into_iter();
        needed.filter(|node| !site.is_unit(*node)).collect()
    };
    let leads =
        |one: &NodeId| site.order.all_leading(&[*one]).iter().any(|node| by.binary_search(node).is_ok());
    let roots = by.iter().copied().filter(|one| !leads(one)).collect();
    let acts_on = |run: &claims::RunFacts, node: &NodeId| run.claim.targets.contains(site.name(*node));
    let (own, others): (Vec<_>, Vec<_>) = claims::seen().into_iter().partition(|run| acts_on(run, &node));
    let own_runs = own.iter().flat_map(|run| in_its_run(run, site.name(node))).collect();
    let others = others.iter().filter(|run| by.iter().any(|node| acts_on(run, node)));
    let runs = others.map(|run| run.describe()).collect();
    let hold = Hold { site, direction, node, conditions, by, roots, own_runs, runs };
    reporter.record(&hold.record());
    for line in hold.lines() {
        reporter.answer(&line);
    }
    Ok(if hold.by.is_empty() { Status::Done } else { Status::Failed })
}

/// Tells whether a node is where the order at hand would have it.
fn is_there(direction: Direction, condition: Condition) -> bool {
    match direction {
        Direction::Startup => condition == Condition::Up,
        Direction::Shutdown => condition == Condition::Down,
    }
}

/// Asks the node and all before it; returns the conditions by node, or the signal when that was interrupted.
fn ask(
    site: &Site,
    node: NodeId,
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> Result<Vec<Condition>, i32> {
    let mut asked = site.order.all_leading(&[node]);
    asked.push(node);
    asked.retain(|node| !site.is_unit(*node));
    let units = (0..site.roster.len()).map(|at| at >= site.inventory.len()).collect();
    let mut survey = Survey::new(site.roster.len(), asked, units);
    let mut telling =
        Telling { reporter, log: None, name: &|node| site.name(node), timeline: None, door: Door::default() };
    let signal = drive(&mut survey, drivers, &mut telling);
    signal.map_or_else(|| Ok(survey.conditions()), Err)
}

impl Hold<'_> {
    fn condition(&self, node: NodeId) -> Condition {
        self.conditions[node.index()]
    }

    fn fold(&self, nodes: &[NodeId]) -> String {
        fold(self.site, nodes)
    }

    fn lines(&self) -> Vec<String> {
        let name = self.site.name(self.node);
        let is = self.condition(self.node).word();
        let (program, be) = match self.direction {
            Direction::Startup => ("cstartup", "up"),
            Direction::Shutdown => ("cshutdown", "down"),
        };
        let mut lines = Vec::new();
        if is_there(self.direction, self.condition(self.node)) {
            lines.push(format!("{name} is {is}: nothing holds it"));
        } else if self.by.is_empty() {
            lines.push(format!("{name} is {is}, and nothing holds it: {program} {name}"));
        } else {
            let count = if self.by.len() == 1 { "it is" } else { "they are" };
            lines.push(format!("{name} is {is}, and waits until {count} {be}: {}", self.fold(&self.by)));
            for (condition, nodes) in self.by_condition(&self.by) {
                lines.push(format!("  {}: {}", condition.word(), self.fold(&nodes)));
            }
            // A run that has it in hand needs no other beside it.
            if self.own_runs.is_empty() {
                for (condition, nodes) in self.by_condition(&self.roots) {
                    lines.push(format!("first of all: {}", self.remedy(condition, &nodes)));
                }
                lines.push(format!("all of it, in order: {program} -E {name}"));
            }
        }
        lines.extend(self.own_runs.iter().cloned());
        lines.extend(self.runs.iter().map(|run| format!("a run acts on them now: {run}")));
        lines
    }

    fn by_condition(&self, nodes: &[NodeId]) -> BTreeMap<Condition, Vec<NodeId>> {
        let mut by: BTreeMap<Condition, Vec<NodeId>> = BTreeMap::new();
        nodes.iter().for_each(|&node| by.entry(self.condition(node)).or_default().push(node));
        by
    }

    /// Returns nodes that nobody holds, how they are, and what would help.
    fn remedy(&self, condition: Condition, nodes: &[NodeId]) -> String {
        let set = self.fold(nodes);
        match (self.direction, condition) {
            (Direction::Startup, Condition::On) => format!(
                "{set}, on but not up: booting, or look at the console and the probe; then cstartup --reset-stuck {set}"
            ),
            (_, Condition::Unknown) => {
                format!(
                    "{set}, which does not answer: look at its network and controllers; cstartup -k {set} says more"
                )
            }
            (Direction::Startup, Condition::Down | Condition::Up) => format!("{set}: cstartup {set}"),
            (Direction::Shutdown, _) => format!("{set}: cshutdown {set}"),
        }
    }

    fn record(&self) -> WhyNotRecord<'_> {
        let holder = |&node: &NodeId| HolderRecord {
            node: self.site.name(node),
            condition: self.condition(node).word(),
            first: self.roots.binary_search(&node).is_ok(),
        };
        WhyNotRecord {
            format: "orderly-run/1",
            record: "why_not",
            node: self.site.name(self.node),
            condition: self.condition(self.node).word(),
            held_by: self.by.iter().map(holder).collect(),
            in_runs: &self.own_runs,
            runs: &self.runs,
        }
    }
}

/// The answer for programs.
#[derive(Debug, Serialize)]
struct WhyNotRecord<'r> {
    format: &'static str,
    record: &'static str,
    node: &'r str,
    condition: &'static str,
    held_by: Vec<HolderRecord<'r>>,
    /// What runs that act on it do with it now, in words.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    in_runs: &'r [String],
    /// Other runs that act on any of those before it.
    runs: &'r [String],
}

/// A node that holds another.
#[derive(Debug, Serialize)]
struct HolderRecord<'r> {
    node: &'r str,
    condition: &'static str,
    /// Nobody holds it: it comes first of all.
    first: bool,
}
