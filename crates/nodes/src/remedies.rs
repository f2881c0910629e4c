//! What to type after a run in which not all went well.

use crate::flags::RunFlags;
use crate::site::Site;
use crate::targets::fold;
use orderly_exec::job::show;
use orderly_plan::drivers::NodeId;
use orderly_plan::outcome::{NodeEnding, Outcome};
use orderly_plan::select::Direction;
use std::collections::BTreeSet;

/// Returns the commands that lead on, each with what it is for; nothing where all is as was asked.
pub fn lines(site: &Site, direction: Direction, flags: &RunFlags, endings: &[NodeEnding]) -> Vec<String> {
    let is_node = |ending: &&NodeEnding| !site.is_unit(ending.node);
    let of = |is_it: &dyn Fn(&Outcome) -> bool| -> Vec<NodeId> {
        let them = endings.iter().filter(is_node).filter(|ending| is_it(&ending.outcome));
        them.map(|ending| ending.node).collect()
    };
    let left = of(&|outcome| !outcome.is_well());
    if left.is_empty() {
        return Vec::new();
    }
    let (program, doing) = match direction {
        Direction::Startup => ("cstartup", "start"),
        Direction::Shutdown => ("cshutdown", "stop"),
    };
    let command = |more: &[&str], nodes: &[NodeId]| {
        let mut argv = vec![program.to_owned()];
        argv.extend(more.iter().map(|&word| word.to_owned()));
        argv.extend(flags.repeated());
        argv.push(fold(site, nodes));
        show(&argv)
    };
    let mut lines = vec![format!("to try again: {}", command(&[], &left))];
    let held = of(&|outcome| matches!(outcome, Outcome::Held(_)));
    let holding = endings.iter().filter_map(|ending| ending.outcome.held_by()).flatten();
    let holding: Vec<NodeId> = holding.copied().collect::<BTreeSet<NodeId>>().into_iter().collect();
    if !held.is_empty() {
        lines.push(format!(
            "to {doing} {} without {}: {}",
            fold(site, &held),
            fold(site, &holding),
            command(&["-X"], &held)
        ));
    }
    let hung = of(&|outcome| matches!(outcome, Outcome::TimedOut(_) | Outcome::Unreachable(_)));
    if direction == Direction::Shutdown && !hung.is_empty() {
        lines.push(format!(
            "to cut the power of {} although it may still write: {}",
            fold(site, &hung),
            command(&["--force-off"], &hung)
        ));
    }
    lines
}
