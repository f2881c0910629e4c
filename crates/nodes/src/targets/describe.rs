//! Why violations keep a command from acting, for people: alike ones folded, each kind with the lines
//! of the file that make it, and the ways out as exact commands.

use crate::site::{Site, fold};
use orderly_exec::job::show;
use orderly_plan::drivers::NodeId;
use orderly_plan::progress::Shortage;
use orderly_plan::select::{Breach, Direction, Violation};
use orderly_plan::sequence::{Link, LinkReason};
use std::collections::BTreeSet;

/// How many kinds of violations get the chain of sequence lines that makes them.
const EXPLAINED: usize = 10;

/// The command at hand.
#[derive(Debug, Clone, Copy)]
pub struct TargetCommand<'c> {
    pub direction: Direction,
    pub program: &'c str,
    /// Without the program.
    pub arguments: &'c [String],
    /// What it resolved to, sorted.
    pub targets: &'c [NodeId],
    /// Stopping the others too (resetting what runs too early) would hit this very machine, or a node the
    /// run needs: that is no way out.
    pub barred: bool,
    /// Nodes that are known to be away, sorted: starting these is no way out either.
    pub absent: &'c [NodeId],
    /// Starting the others that are in the way would be enough.
    pub present_are_enough: bool,
}

/// Violations that differ only in the node; by the default order, in which every server has a group of
/// its own, also in the targets concerned.
struct ViolationKind<'v> {
    first: &'v Violation,
    nodes: Vec<NodeId>,
    /// The targets concerned; empty where that was not worked out for all.
    affects: BTreeSet<NodeId>,
    chain: Vec<Link>,
    /// The chain is that of all its nodes.
    is_shared: bool,
}

/// Returns why violations keep a command from acting, with the lines that make them and the ways out.
pub fn describe(site: &Site, command: &TargetCommand<'_>, violations: &[Violation]) -> String {
    let mut lines = vec![match violations.len() {
        1 => "the sequence would be violated, so nothing is done:".to_owned(),
        count => format!("the sequence would be violated {count} times, so nothing is done:"),
    }];
    for (at, kind) in kinds(site, command.absent, violations).iter().enumerate() {
        lines.push(format!("  {}", sentence(site, command, kind)));
        if !kind.is_shared {
            lines.push(format!("    {}", default_order(command.direction)));
        } else if at < EXPLAINED && !kind.chain.is_empty() {
            let chain = site.sequence.explanation(&kind.chain, &site.roster);
            // The chain begins at the first node; those folded with it are members alike.
            let alone = format!("{} is in ", site.name(kind.first.node));
            let all = format!("{} are in ", fold(site, &kind.nodes));
            let chain = if kind.nodes.len() > 1 { chain.replacen(&alone, &all, 1) } else { chain };
            lines.extend(chain.lines().map(|line| format!("    {line}")));
        }
    }
    lines.extend(remedies(site, command, violations));
    lines.join("\n")
}

/// Returns the violations alone, for a command that goes on in spite of them.
pub fn sentences(
    site: &Site,
    absent: &[NodeId],
    direction: Direction,
    violations: &[Violation],
) -> Vec<String> {
    let command = TargetCommand {
        direction,
        program: "",
        arguments: &[],
        targets: &[],
        barred: false,
        absent,
        present_are_enough: false,
    };
    kinds(site, absent, violations).iter().map(|kind| sentence(site, &command, kind)).collect()
}

fn kinds<'v>(site: &Site, absent: &[NodeId], violations: &'v [Violation]) -> Vec<ViolationKind<'v>> {
    let is_absent = |violation: &Violation| absent.binary_search(&violation.node).is_ok();
    let mut kinds: Vec<ViolationKind<'v>> = Vec::new();
    let by_default = site.sequence.file().is_empty();
    for violation in violations {
        let first = violation.affects.first();
        let chain = first
            .and_then(|&waits| site.sequence.explain(&site.order, waits, violation.node))
            .unwrap_or_default();
        let is_same = |kind: &ViolationKind<'_>| {
            kind.first.affects == violation.affects
                && statements(&kind.chain, kind.first.node).eq(statements(&chain, violation.node))
        };
        let alike = kinds.iter_mut().find(|kind| {
            (kind.first.breach, kind.first.condition) == (violation.breach, violation.condition)
                && is_absent(kind.first) == is_absent(violation)
                && kind.first.lacks == violation.lacks
                && (by_default || is_same(kind))
        });
        match alike {
            Some(kind) => {
                kind.is_shared &= is_same(kind);
                kind.nodes.push(violation.node);
                if violation.affects.is_empty() {
                    kind.affects.clear();
                } else if !kind.affects.is_empty() {
                    kind.affects.extend(&violation.affects);
                }
            }
            None => kinds.push(ViolationKind {
                first: violation,
                nodes: vec![violation.node],
                affects: violation.affects.iter().copied().collect(),
                chain,
                is_shared: true,
            }),
        }
    }
    kinds
}

/// Returns what stands for the lines of a file where there is none.
pub(crate) fn default_order(direction: Direction) -> &'static str {
    match direction {
        Direction::Startup => "by the default order (seqfile prints it): servers before their clients",
        Direction::Shutdown => {
            "by the default order (seqfile --shutdown prints it): clients before their servers"
        }
    }
}

/// Returns what a chain states, whichever node it begins at.
fn statements(chain: &[Link], own: NodeId) -> impl Iterator<Item = LinkReason> {
    chain.iter().map(move |link| match link.reason {
        LinkReason::Member { node, group } if node == own => {
            LinkReason::Member { node: NodeId(u32::MAX), group }
        }
        reason @ (LinkReason::Member { .. } | LinkReason::Before { .. } | LinkReason::Inventory { .. }) => {
            reason
        }
    })
}

fn sentence(site: &Site, command: &TargetCommand<'_>, kind: &ViolationKind<'_>) -> String {
    let nodes = fold(site, &kind.nodes);
    let affected: Vec<NodeId> = kind.affects.iter().copied().collect();
    let affects = if affected.is_empty() { "targets".to_owned() } else { fold(site, &affected) };
    let condition = kind.first.condition.word();
    let (is, no_target, it, needs) = match kind.nodes.as_slice() {
        [_] => ("is", "not a target", "it", "needs"),
        _ => ("are", "not targets", "them", "need"),
    };
    let (they_need, they_run) = if affected.len() == 1 { ("needs", "runs") } else { ("need", "run") };
    let is_absent = command.absent.binary_search(&kind.first.node).is_ok();
    let sentence = match (kind.first.breach, command.direction) {
        (Breach::Unserved, Direction::Startup) if is_absent => {
            format!("{nodes} {is} absent, and {affects} {they_need} {it} up")
        }
        (Breach::Outrun, _) => {
            format!("{nodes} {is} {condition}, and {affects}, which must follow {it}, {they_run}")
        }
        (Breach::Unserved, Direction::Startup) => {
            format!("{nodes} {is} {condition} and {no_target}, and {affects} {they_need} {it} up")
        }
        (Breach::Unserved, Direction::Shutdown) => {
            format!("{nodes} {is} {condition} and {no_target}, and {needs} {affects}")
        }
    };
    let lacks: Vec<String> = kind.first.lacks.iter().map(|lack| short(site, command.absent, lack)).collect();
    if lacks.is_empty() { sentence } else { format!("{sentence} ({})", lacks.join("; ")) }
}

/// Returns how many of a group are there, and how many are needed: `mds: 1 of 2 up, 1 absent, 2 needed`.
fn short(site: &Site, absent: &[NodeId], lack: &Shortage) -> String {
    let Shortage { gate, up, counted, needed, members } = lack;
    let group = site.sequence.group_name(gate.group);
    let mut gates = site.order.gates().filter(|(_, other)| other == gate);
    let away = gates.next().map_or(0, |(vertex, _)| {
        site.order.members_of(vertex).filter(|node| absent.binary_search(node).is_ok()).count()
    });
    let there = members - away;
    let those = if counted > up {
        format!("{counted} of {there} up or targets")
    } else {
        format!("{up} of {there} up")
    };
    let away = if away > 0 { format!(", {away} absent") } else { String::new() };
    format!("{group}: {those}{away}, {needed} needed")
}

/// Returns the ways out that need only some of a group.
fn some_are_enough(site: &Site, absent: &[NodeId], violations: &[Violation]) -> Vec<String> {
    let mut by_group: Vec<(Shortage, Vec<NodeId>)> = Vec::new();
    let is_there = |violation: &&Violation| absent.binary_search(&violation.node).is_err();
    let unserved = violations.iter().filter(|violation| violation.breach == Breach::Unserved);
    for violation in unserved.filter(is_there) {
        for lack in &violation.lacks {
            match by_group.iter_mut().find(|(known, _)| known == lack) {
                Some((_, nodes)) => nodes.push(violation.node),
                None => by_group.push((*lack, vec![violation.node])),
            }
        }
    }
    let one = |(lack, nodes): &(Shortage, Vec<NodeId>)| {
        let missing = lack.needed.saturating_sub(lack.counted);
        let group = site.sequence.group_name(lack.gate.group);
        let nodes = (missing < nodes.len()).then(|| fold(site, nodes))?;
        Some(format!("to start no more of {group} than needed: name {missing} of {nodes} as well"))
    };
    by_group.iter().filter_map(one).collect()
}

/// Returns the ways out. Each is enough by itself, and none is offered that was taken already.
fn remedies(site: &Site, command: &TargetCommand<'_>, violations: &[Violation]) -> Vec<String> {
    let shown = |flags: &[&str]| {
        let mut argv: Vec<&str> = vec![command.program];
        argv.extend(flags);
        argv.extend(command.arguments.iter().map(String::as_str));
        show(&argv)
    };
    let given = given(command.arguments);
    let taken = |flags: &str| flags.chars().any(|flag| given.contains(&flag));
    let unserved = violations.iter().any(|violation| violation.breach == Breach::Unserved);
    let outrun = violations.iter().any(|violation| violation.breach == Breach::Outrun);
    let is_away = |violation: &&Violation| command.absent.binary_search(&violation.node).is_ok();
    let away: Vec<NodeId> = violations.iter().filter(is_away).map(|violation| violation.node).collect();
    let (mut cure, mut ignore) = (Vec::new(), Vec::new());
    let (mut cures, mut ignores) = (Vec::new(), Vec::new());
    if unserved && !taken("EX") {
        let (too, anyway) = match command.direction {
            Direction::Startup => ("start them too", "start without them"),
            Direction::Shutdown => ("stop them too", "stop in spite of them"),
        };
        let is_no_way = command.barred && command.direction == Direction::Shutdown;
        if !is_no_way && away.is_empty() {
            (cure, cures) = (vec!["-E"], vec![too]);
        } else if !is_no_way && command.present_are_enough {
            (cure, cures) = (vec!["-E"], vec!["start those of them that are not absent too"]);
        }
        (ignore, ignores) = (vec!["-X"], vec![anyway]);
    }
    let some = if cure.is_empty() { Vec::new() } else { some_are_enough(site, command.absent, violations) };
    if outrun && !taken("SzZ") {
        if command.barred {
            // Without it the rest is not enough.
            (cure, cures) = (Vec::new(), Vec::new());
        } else {
            cure.push("-z");
            cures.push("reset what runs too early");
        }
        ignore.push("-S");
        ignores.push("leave what runs as it is");
    }
    let mut lines = Vec::new();
    for (flags, clauses) in [(cure, cures), (ignore, ignores)] {
        if !flags.is_empty() {
            lines.push(format!("to {}: {}", clauses.join(" and "), shown(&flags)));
        }
    }
    if !outrun {
        lines.extend(some);
        if !away.is_empty() && !taken("X") {
            let flags: &[&str] = if taken("E") { &["--even-absent"] } else { &["--even-absent", "-E"] };
            lines.push(format!("to start {} too, absent or not: {}", fold(site, &away), shown(flags)));
        }
    }
    let affected: BTreeSet<NodeId> =
        violations.iter().flat_map(|violation| violation.affects.iter().copied()).collect();
    // Beyond a number of violations it is not worked out whom they concern.
    let is_whole = violations.iter().all(|violation| !violation.affects.is_empty());
    if is_whole && command.targets.iter().any(|target| !affected.contains(target)) {
        let set = fold(site, &affected.into_iter().collect::<Vec<_>>());
        lines.push(format!("to leave out what is concerned: {}", shown(&["-x", &set])));
    }
    lines
}

/// The flags that are ways out, by their long names.
const WAYS: [(&str, char); 5] = [
    ("--extend", 'E'),
    ("--ignore-others", 'X'),
    ("--ignore-running", 'S'),
    ("--reset", 'z'),
    ("--reset-all", 'Z'),
];

/// Short flags with a value, of either program: what follows one is no flag.
const VALUED: &str = "WKxiTMC";

/// Returns the short flags on a command line, and those of [`WAYS`] that are spelt out.
fn given(arguments: &[String]) -> BTreeSet<char> {
    let mut flags = BTreeSet::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next().filter(|word| *word != "--") {
        flags.extend(WAYS.iter().filter(|(long, _)| long == word).map(|(_, short)| *short));
        let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else { continue };
        for (at, flag) in cluster.char_indices() {
            flags.insert(flag);
            if VALUED.contains(flag) {
                if at + flag.len_utf8() == cluster.len() {
                    words.next();
                }
                break;
            }
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        given(&words).into_iter().collect()
    }

    #[test]
    fn flags_are_found_in_clusters_and_not_in_values() {
        assert_eq!(flags(&["-kE", "n01"]), "Ek");
        assert_eq!(flags(&["-x", "-E", "-W5", "--reset-all", "n01", "--", "-X"]), "WZx");
        assert_eq!(flags(&["-r", "-C", "-E -z", "--extend", "-"]), "CEr");
    }
}
