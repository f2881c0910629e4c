//! What to type after a run in which not all went well. Each command repeats what the run was asked to do: without its
//! flags, another try of a run for maintenance would halt.

use crate::flags::RunFlags;
use crate::site::{Site, fold};
use orderly_exec::job::show;
use orderly_plan::drivers::NodeId;
use orderly_plan::outcome::{NodeEnding, Outcome};
use orderly_plan::report::{NextCommand, NextStep};
use orderly_plan::select::Direction;
use std::collections::BTreeSet;

/// What a run was asked to do.
#[derive(Debug, Clone)]
pub struct Asked<'r> {
    pub flags: &'r RunFlags,
    /// The flags that only its program has, as they are typed.
    pub own: Vec<String>,
    /// Nodes that are down are started once all are, so each further try has to name them, too.
    pub restarts: bool,
    /// Cutting the power of nodes that hang was not asked for, and may be proposed.
    pub may_force: bool,
    /// Nodes that are on and did not come up, and were not reset, sorted: another try would only wait for them again.
    pub stuck: Vec<NodeId>,
}

impl Asked<'_> {
    /// Returns a command that does this for these nodes; with `way` instead of `-E` or `-X` as they were given.
    fn command(&self, program: &str, way: Option<&str>, more: Option<&str>, targets: String) -> String {
        let given = || match (self.flags.extend, self.flags.ignore_others) {
            (true, _) => Some("-E"),
            (false, true) => Some("-X"),
            (false, false) => None,
        };
        let first = [Some(program), way.or_else(given), more].into_iter().flatten().map(str::to_owned);
        let argv = first.chain(self.own.iter().cloned()).chain(self.flags.asked()).chain([targets]);
        show(&argv.collect::<Vec<_>>())
    }
}

/// Returns the commands that lead on, each with what it is for; none where all is as was asked.
pub fn next(
    site: &Site,
    direction: Direction,
    asked: &Asked<'_>,
    endings: &[NodeEnding],
) -> Vec<NextCommand> {
    let is_node = |ending: &&NodeEnding| !site.is_unit(ending.node);
    let of = |is_it: &dyn Fn(&Outcome) -> bool| -> Vec<NodeId> {
        let them = endings.iter().filter(is_node).filter(|ending| is_it(&ending.outcome));
        them.map(|ending| ending.node).collect()
    };
    let left = of(&|outcome| !outcome.is_well());
    if left.is_empty() {
        return Vec::new();
    }
    let program = match direction {
        Direction::Startup => "cstartup",
        Direction::Shutdown => "cshutdown",
    };
    let down = of(&|outcome| asked.restarts && matches!(outcome, Outcome::Down | Outcome::AlreadyDown));
    let command = |reason, says: String, (way, more): (Option<&str>, Option<&str>), nodes: &[NodeId]| {
        let all: BTreeSet<NodeId> = nodes.iter().chain(&down).copied().collect();
        let command = asked.command(program, way, more, fold(site, &all.into_iter().collect::<Vec<_>>()));
        NextCommand { reason, nodes: fold(site, nodes), says, command }
    };
    let mut next = Vec::new();
    let reset = with_held(&asked.stuck, endings);
    let again: Vec<NodeId> = left.iter().copied().filter(|node| !reset.contains(node)).collect();
    if !again.is_empty() {
        next.push(command(NextStep::Retry, "to try again".to_owned(), (None, None), &again));
    }
    if !reset.is_empty() {
        let has_it = asked.own.iter().any(|flag| flag == "--reset-stuck");
        let (set, is) = (fold(site, &asked.stuck), one(&asked.stuck, "is", "are"));
        let nodes: Vec<NodeId> = reset.into_iter().collect();
        let says = format!("to reset {set}, which {is} on and not up");
        let more = (!has_it).then_some("--reset-stuck");
        next.push(command(NextStep::ResetStuck, says, (None, more), &nodes));
    }
    let held = of(&|outcome| matches!(outcome, Outcome::Held(_)));
    let holding = endings.iter().filter_map(|ending| ending.outcome.held_by()).flatten();
    let holding: Vec<NodeId> = holding.copied().collect::<BTreeSet<NodeId>>().into_iter().collect();
    if !held.is_empty() {
        let (nodes, others) = (fold(site, &held), fold(site, &holding));
        let says = match direction {
            Direction::Startup => format!("to start {nodes} without {others}"),
            Direction::Shutdown => {
                format!(
                    "to stop {nodes} in spite of {others}, which may still need {}",
                    one(&held, "it", "them")
                )
            }
        };
        next.push(command(NextStep::GoWithout, says, (Some("-X"), None), &held));
    }
    let hung = of(&|outcome| matches!(outcome, Outcome::TimedOut(_) | Outcome::Unreachable(_)));
    if direction == Direction::Shutdown && asked.may_force && !hung.is_empty() {
        let (nodes, they) = (fold(site, &hung), one(&hung, "it", "they"));
        let says = format!("to cut the power of {nodes} although {they} may still write");
        next.push(command(NextStep::ForceOff, says, (None, Some("--force-off")), &hung));
    }
    next
}

/// Returns the command that brings back what a shutdown stopped that halted these nodes and left them their power; none where
/// it left no power.
///
/// They read as on, not up, as one does that is booting: a start resets them only where that is asked for, because nobody
/// can tell by then whether they are halted still. Where nothing was recorded they are named.
pub fn restore(site: &Site, flags: &RunFlags, halted: &[NodeId], is_recorded: bool) -> Option<NextCommand> {
    if halted.is_empty() {
        return None;
    }
    let nodes = fold(site, halted);
    let says = format!(
        "to bring back what was up, with a reset of {nodes}, which {} halted and still {} power",
        one(halted, "is", "are"),
        one(halted, "has", "have")
    );
    let what = if is_recorded { "--restore".to_owned() } else { nodes.clone() };
    let first = ["cstartup".to_owned(), "--reset-stuck".to_owned()].into_iter();
    let argv: Vec<String> = first.chain(flags.repeated_by_start()).chain([what]).collect();
    Some(NextCommand { reason: NextStep::Restore, nodes, says, command: show(&argv) })
}

/// Returns these nodes, what they hold, and whoever else holds that.
fn with_held(nodes: &[NodeId], endings: &[NodeEnding]) -> BTreeSet<NodeId> {
    let mut all: BTreeSet<NodeId> = nodes.iter().copied().collect();
    loop {
        let before = all.len();
        for ending in endings {
            let by = ending.outcome.held_by().unwrap_or_default();
            if by.iter().any(|node| all.contains(node)) {
                all.extend(by);
                all.insert(ending.node);
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

fn one<'w>(nodes: &[NodeId], it: &'w str, them: &'w str) -> &'w str {
    if nodes.len() == 1 { it } else { them }
}
