//! What keeps a node from starting, or from going down, just now (`--why-not A`): the nodes are asked, nothing is touched.

use crate::backend::Backend;
use crate::claims::{self, RunFacts, RunFactsRecord};
use crate::elsewhere::{Door, in_its_run};
use crate::own::Own;
use crate::run::drive;
use crate::site::{Site, fold};
use crate::targets;
use crate::telling::Telling;
use orderly_exec::Status;
use orderly_exec::reporter::Reporter;
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::{Choice, Gate};
use orderly_plan::report::{NextCommand, NextStep};
use orderly_plan::select::{self, Direction, TargetKind};
use orderly_plan::sequence::LinkReason;
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
    /// Those of them that are needed whichever of the others come, sorted.
    certain: Vec<NodeId>,
    /// The groups of which some are needed.
    choices: Vec<Choice>,
    /// Those of `by` that nobody holds, sorted.
    roots: Vec<NodeId>,
    /// What runs that act on the node itself do with it.
    own_runs: Vec<String>,
    /// Others that act on who is before it.
    runs: Vec<RunFacts>,
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
    word: (&str, TargetKind),
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
    let (choices, mut certain) = match by.is_empty() {
        true => (Vec::new(), Vec::new()),
        false => select::choices(direction, &site.order, node, &conditions),
    };
    certain.retain(|one| by.binary_search(one).is_ok());
    let roots = select::first_of(&site.order, &by);
    let (own, others): (Vec<_>, Vec<_>) =
        claims::seen().into_iter().partition(|run| acts_on(run, site, node));
    let own_runs = own.iter().flat_map(|run| in_its_run(run, site.name(node))).collect();
    let acts = |run: &RunFacts| by.iter().any(|&node| acts_on(run, site, node));
    let runs = others.into_iter().filter(acts).collect();
    let hold = Hold { site, direction, node, conditions, by, certain, choices, roots, own_runs, runs };
    reporter.record(&hold.record());
    for line in hold.lines() {
        reporter.answer(&line);
    }
    Ok(if hold.by.is_empty() { Status::Done } else { Status::Failed })
}

/// Tells whether a node is a target of a run.
fn acts_on(run: &RunFacts, site: &Site, node: NodeId) -> bool {
    run.claim.targets.contains(site.name(node))
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
    let signal = drive(&mut survey, drivers.drivers(), &mut telling);
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
        let mut lines = Vec::new();
        if is_there(self.direction, self.condition(self.node)) {
            lines.push(format!("{name} is {is}: nothing holds it"));
        } else if self.by.is_empty() {
            lines.push(format!("{name} is {is}, and nothing holds it: {}", self.command(name)));
        } else {
            lines.push(format!("{name} is {is}, and waits {}", self.waits_for()));
            for (condition, nodes) in self.by_condition(&self.by) {
                lines.push(format!("  {}: {}", condition.word(), self.fold(&nodes)));
            }
        }
        lines.extend(self.own_runs.iter().cloned());
        // What they are at comes before what would be refused as long as they are.
        lines.extend(self.runs.iter().map(|run| format!("a run acts on them now: {}", run.describe())));
        if self.is_left_alone() {
            let (acted_on, _) = self.first();
            for (condition, nodes) in self.by_condition(&acted_on) {
                let is = if condition == Condition::On { "on but not up" } else { condition.word() };
                lines.push(format!("first of all: {}, {is}: wait for that run", self.fold(&nodes)));
            }
            lines.extend(self.next().iter().map(|next| self.line(next)));
        }
        lines
    }

    /// Tells whether nodes hold it and no run has it in hand: that needs no other beside it.
    fn is_left_alone(&self) -> bool {
        !self.by.is_empty() && self.own_runs.is_empty()
    }

    /// Returns the nodes that nobody holds: those that a run acts on, and the others.
    fn first(&self) -> (Vec<NodeId>, Vec<NodeId>) {
        let is_acted_on = |node: &NodeId| self.runs.iter().any(|run| acts_on(run, self.site, *node));
        self.roots.iter().copied().partition(is_acted_on)
    }

    /// Returns the commands that help, as far as there are any.
    fn next(&self) -> Vec<NextCommand> {
        let name = self.site.name(self.node);
        let own = |reason, says: &str, command| NextCommand {
            reason,
            nodes: name.to_owned(),
            says: says.to_owned(),
            command,
        };
        if self.is_left_alone() {
            let (_, others) = self.first();
            let by_condition = self.by_condition(&others).into_iter();
            let mut next: Vec<NextCommand> =
                by_condition.map(|(condition, nodes)| self.remedy(condition, &nodes)).collect();
            let command = self.command(&format!("-E {name}"));
            next.push(own(NextStep::InOrder, "all of it, in order", command));
            return next;
        }
        let is_to_go = self.by.is_empty() && !is_there(self.direction, self.condition(self.node));
        let go = || own(NextStep::Unheld, "nothing holds it", self.command(name));
        if is_to_go && self.own_runs.is_empty() { vec![go()] } else { Vec::new() }
    }

    /// Returns a command that acts on nodes, and waits for the runs that are at some of them now.
    fn command(&self, targets: &str) -> String {
        let program = match self.direction {
            Direction::Startup => "cstartup",
            Direction::Shutdown => "cshutdown",
        };
        let wait = if self.runs.is_empty() { "" } else { " --wait" };
        format!("{program}{wait} {targets}")
    }

    /// Returns whom the node waits for: `until it is up: n01`, `for 1 of boot[01-02] (boot(50%) > rack1; 0 up)`.
    fn waits_for(&self) -> String {
        let be = match self.direction {
            Direction::Startup => "up",
            Direction::Shutdown => "down",
        };
        let choice = |choice: &Choice| {
            let (set, states) = (self.fold(&choice.members), self.states(choice));
            format!("for {} of {set} ({states}; {} up)", choice.lack.needed, choice.lack.standing.len())
        };
        let mut parts = Vec::new();
        let all = if self.choices.is_empty() { &self.by } else { &self.certain };
        if !all.is_empty() {
            let count = if all.len() == 1 { "it is" } else { "they are" };
            parts.push(format!("until {count} {be}: {}", self.fold(all)));
        }
        parts.extend(self.choices.iter().map(choice));
        parts.join("; ")
    }

    /// Returns what says how many of a group are needed, as it is written.
    fn states(&self, choice: &Choice) -> String {
        let Gate { group, threshold } = choice.lack.gate;
        let (before, after, threshold) = (group, choice.after, Some(threshold));
        self.site.sequence.statement(LinkReason::Before { before, after, threshold }, &self.site.roster)
    }

    fn by_condition(&self, nodes: &[NodeId]) -> BTreeMap<Condition, Vec<NodeId>> {
        let mut by: BTreeMap<Condition, Vec<NodeId>> = BTreeMap::new();
        nodes.iter().for_each(|&node| by.entry(self.condition(node)).or_default().push(node));
        by
    }

    /// Returns what would help nodes that nobody holds.
    fn remedy(&self, condition: Condition, nodes: &[NodeId]) -> NextCommand {
        let set = self.fold(nodes);
        let first = |reason, how: &str, command| NextCommand {
            reason,
            says: format!("first of all: {set}{how}"),
            nodes: set.clone(),
            command,
        };
        match (self.direction, condition) {
            (Direction::Startup, Condition::On) => {
                let how = ", on but not up: booting, or look at the console and the probe";
                let own = Own::here(self.site.cluster.control_node.as_deref());
                let is_own = !own.among_resolved(&self.site.inventory, nodes).is_empty();
                match is_own {
                    true => first(NextStep::Check, how, format!("cstartup -k {set}")),
                    false => first(NextStep::ResetStuck, how, self.command(&format!("--reset-stuck {set}"))),
                }
            }
            (_, Condition::Unknown) => {
                let how = ", which does not answer: look at its network and controllers";
                first(NextStep::Check, how, format!("cstartup -k {set}"))
            }
            (Direction::Startup, Condition::Down | Condition::Up) | (Direction::Shutdown, _) => {
                first(NextStep::FirstOfAll, "", self.command(&set))
            }
        }
    }

    /// Says a command that helps to people.
    fn line(&self, next: &NextCommand) -> String {
        let NextCommand { reason, says, command, .. } = next;
        match reason {
            NextStep::ResetStuck => format!("{says}; then {command}"),
            NextStep::Check => format!("{says}; {command} says more"),
            NextStep::FirstOfAll
            | NextStep::InOrder
            | NextStep::Unheld
            | NextStep::Retry
            | NextStep::GoWithout
            | NextStep::ForceOff
            | NextStep::Restore => format!("{says}: {command}"),
        }
    }

    fn threshold(&self, choice: &Choice) -> ThresholdRecord {
        ThresholdRecord {
            needed: choice.lack.needed,
            of: self.fold(&choice.members),
            up: choice.lack.standing.len(),
            says: self.states(choice),
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
            thresholds: self.choices.iter().map(|choice| self.threshold(choice)).collect(),
            in_runs: &self.own_runs,
            runs: self.runs.iter().map(RunFacts::record).collect(),
            next: self.next(),
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
    /// The groups of which some are needed, and too few of them are up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thresholds: Vec<ThresholdRecord>,
    /// What runs that act on it do with it now, in words.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    in_runs: &'r [String],
    /// Other runs that act on any of those before it.
    runs: Vec<RunFactsRecord<'r>>,
    /// The commands that help.
    next: Vec<NextCommand>,
}

/// So many of a group, for programs.
#[derive(Debug, Serialize)]
struct ThresholdRecord {
    needed: usize,
    /// As a node set.
    of: String,
    /// How many of them are.
    up: usize,
    /// As it is written.
    says: String,
}

/// A node that holds another.
#[derive(Debug, Serialize)]
struct HolderRecord<'r> {
    node: &'r str,
    condition: &'static str,
    /// Nobody holds it: it comes first of all.
    first: bool,
}
