//! What a member of a group stands for: a node, a node set, numbers, an inventory group, a command.
//!
//! An exact name of the inventory wins, then a node set, then numbers.

use super::groups::{At, GroupMember};
use crate::diagnostic::Source;
use crate::drivers::NodeId;
use crate::faults::Faults;
use crate::inventory::Inventory;
use crate::inventory::node_number;
use crate::name::Names;
use crate::nodeset::{self, Budget};
use std::ops::Range;

/// What the members of groups are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Members<'i> {
    /// Nodes, looked up if there is an inventory.
    Nodes(Option<&'i Inventory>),
    /// Full paths of commands.
    Commands,
}

/// How many unknown names of one set are gathered for its message.
const GATHERED: usize = 1000;

/// Finds what words stand for and remembers what it did not find.
#[derive(Debug)]
pub(super) struct Finder<'s> {
    source: Source<'s>,
    members: Members<'s>,
    /// The names met, when there is no inventory to look them up in.
    pub(super) own: Names,
    /// Nodes that are not in the inventory: the only errors that may be forgiven.
    pub(super) strange: Faults<'s>,
    budget: Budget,
    /// What all words stand for, but for the members of groups.
    foreseen: Budget,
}

impl<'s> Finder<'s> {
    pub(super) fn new(source: Source<'s>, members: Members<'s>) -> Self {
        Self {
            source,
            members,
            own: Names::default(),
            strange: Faults::new(source),
            budget: Budget::default(),
            foreseen: Budget::default(),
        }
    }

    /// Tells whether a name is a node of the inventory.
    pub(super) fn is_node(&self, name: &str) -> bool {
        matches!(self.members, Members::Nodes(Some(inventory)) if inventory.by_name(name).is_some())
    }

    /// Counts what the word at `range` stands for, before any word is found.
    pub(super) fn foresee(&mut self, range: Range<usize>, wrong: &mut Faults<'_>) {
        if !self.foreseen.is_spent() && !self.foreseen.spend(cost(&self.source.text[range.clone()])) {
            self.budget.exhaust();
            too_many(range, wrong);
        }
    }

    /// Adds what the word at `range` stands for to `found`.
    pub(super) fn find(&mut self, range: Range<usize>, found: &mut Vec<GroupMember>, wrong: &mut Faults<'_>) {
        let word = &self.source.text[range.clone()];
        if self.budget.is_spent() {
            return;
        }
        let before = found.len();
        if self.budget.spend(cost(word)) {
            match self.members {
                Members::Commands => self.command(word, range.clone(), found, wrong),
                Members::Nodes(None) => self.unchecked(word, range.clone(), found, wrong),
                Members::Nodes(Some(inventory)) => self.node(inventory, word, range.clone(), found, wrong),
            }
        }
        if self.budget.is_spent() {
            found.truncate(before);
            too_many(range, wrong);
        }
    }

    fn command(
        &mut self,
        word: &str,
        range: Range<usize>,
        found: &mut Vec<GroupMember>,
        wrong: &mut Faults<'_>,
    ) {
        if !word.starts_with('/') {
            wrong.with_hint(
                range,
                format!("\"{word}\" is not the full path of a command"),
                "members of a subsystem sequence are commands and begin with \"/\"",
            );
            return;
        }
        self.take_own(word, range, found, wrong);
    }

    fn take_own(
        &mut self,
        word: &str,
        range: Range<usize>,
        found: &mut Vec<GroupMember>,
        wrong: &mut Faults<'_>,
    ) {
        if let Some(fault) = odd_character(word) {
            wrong.at(range, fault);
        } else if let Some(id) = self.own.intern(word) {
            found.push(GroupMember { node: NodeId(id), at: At::offset(range.start) });
        } else {
            wrong.at(range, "more names than fit into 4 GiB");
        }
    }

    /// Takes a word that cannot be looked up: sets and numbers are expanded, so that a node in two
    /// groups is seen to be one; what needs an inventory stays as it is written.
    fn unchecked(
        &mut self,
        word: &str,
        range: Range<usize>,
        found: &mut Vec<GroupMember>,
        wrong: &mut Faults<'_>,
    ) {
        let at = At::offset(range.start);
        if let Some(fault) = odd_character(word) {
            wrong.at(range, fault);
        } else if word.contains('@') {
            if let Err(fault) = nodeset::expand_with(word, &|_| Some(Vec::new())) {
                self.bad_set(&range, fault, wrong);
                return;
            }
            match self.own.intern(word) {
                Some(id) => found.push(GroupMember { node: NodeId(id), at }),
                None => wrong.at(range, "more names than fit into 4 GiB"),
            }
        } else if let Some(numbers) = numbers(word) {
            match numbers {
                // `001` may well be a name, and so may what is larger than any number.
                _ if !word.contains('-') => self.take_own(word, range, found, wrong),
                Err(clause) => wrong.at(range, clause),
                Ok(numbers) => {
                    for number in numbers {
                        let id = self.own.intern(&number.to_string());
                        found.extend(id.map(|id| GroupMember { node: NodeId(id), at }));
                    }
                }
            }
        } else if nodeset::is_set(word) {
            let own = &mut self.own;
            let mut full = false;
            let visited = nodeset::visit(word, &|_| None, &mut |name| {
                let id = own.intern(name);
                full = id.is_none();
                found.extend(id.map(|id| GroupMember { node: NodeId(id), at }));
                !full
            });
            match visited {
                Err(fault) => self.bad_set(&range, fault, wrong),
                Ok(()) if full => wrong.at(range, "more names than fit into 4 GiB"),
                Ok(()) => {}
            }
        } else {
            self.take_own(word, range, found, wrong);
        }
    }

    fn node(
        &mut self,
        inventory: &Inventory,
        word: &str,
        range: Range<usize>,
        found: &mut Vec<GroupMember>,
        wrong: &mut Faults<'_>,
    ) {
        let at = At::offset(range.start);
        let mut take = |node| found.push(GroupMember { node, at });
        if let Some(node) = inventory.by_name(word) {
            take(node);
        } else if let Some(fault) = odd_character(word) {
            wrong.at(range, fault);
        } else if nodeset::is_set(word) {
            let mut missing: Vec<String> = Vec::new();
            let members = |group: &str| {
                let nodes = inventory.group(group)?;
                if !self.budget.spend(nodes.len() as u64) {
                    return Some(Vec::new());
                }
                Some(nodes.iter().map(|node| inventory.name(*node).to_owned()).collect())
            };
            let visited = nodeset::visit(word, &members, &mut |name| {
                match inventory.by_name(name).or_else(|| inventory.by_number(node_number(name)?)) {
                    Some(node) => take(node),
                    None => missing.push(name.to_owned()),
                }
                missing.len() < GATHERED
            });
            match visited {
                Err(fault) => self.bad_set_of(inventory, &range, fault, wrong),
                Ok(()) if !missing.is_empty() => self.report_missing(inventory, word, range, &missing),
                Ok(()) => {}
            }
        } else if is_padded(word) {
            let hint = "it is no node number either: those have no zeros in front";
            self.strange.with_hint(range, format!("no node named \"{word}\""), hint);
        } else if let Some(numbers) = numbers(word) {
            match numbers {
                Err(clause) => wrong.at(range, clause),
                Ok(numbers) if word.split('-').any(is_padded) => {
                    let (from, to) = numbers.into_inner();
                    let message = format!("node numbers have no zeros in front; write {from}-{to}");
                    let names = word.replacen('-', " to ", 1);
                    self.strange.with_hint(
                        range,
                        message,
                        format!("nodes named {names} are written in brackets"),
                    );
                }
                Ok(_) if !inventory.is_numbered() => self.strange.with_hint(
                    range,
                    format!("no node named \"{word}\", and the inventory gives no numbers"),
                    "write names, or give the nodes a \"number\" in the inventory",
                ),
                Ok(numbers) => {
                    let mut missing: Vec<String> = Vec::new();
                    for number in numbers {
                        match inventory.by_number(number) {
                            Some(node) => take(node),
                            None if missing.len() < GATHERED => missing.push(number.to_string()),
                            None => break,
                        }
                    }
                    if !missing.is_empty() {
                        let folded = nodeset::fold(missing.iter().map(String::as_str));
                        let these = folded.trim_matches(['[', ']']);
                        let (are, s) =
                            if missing.len() == 1 { ("no node has", "") } else { ("no nodes have", "s") };
                        self.strange.at(range, format!("{are} the number{s} {these}"));
                    }
                }
            }
        } else {
            self.report_missing(inventory, word, range, &[word.to_owned()]);
        }
    }

    fn report_missing(&mut self, inventory: &Inventory, word: &str, range: Range<usize>, missing: &[String]) {
        let names = inventory.nodes().iter().map(|node| node.name.as_str());
        match missing {
            [one] if one == word && is_dashed(inventory, word) => {
                let set = nodeset::dashed(word).map(|(set, _)| set).unwrap_or_default();
                let hint = format!("a range of names is written {set}");
                self.strange.with_hint(range, format!("no node named \"{one}\""), hint);
            }
            [one] if one == word => {
                self.strange.unknown(range, format!("no node named \"{one}\""), one, names, String::new);
            }
            _ => {
                let folded = nodeset::fold(missing.iter().map(String::as_str));
                let s = if missing.len() == 1 { "" } else { "s" };
                self.strange.at(range, format!("no node{s} named {folded}"));
            }
        }
    }

    fn bad_set_of(
        &mut self,
        inventory: &Inventory,
        range: &Range<usize>,
        fault: nodeset::SetFault,
        wrong: &mut Faults<'_>,
    ) {
        let named = &self.source.text[range.clone()][fault.range.clone()];
        match named.strip_prefix('@').filter(|name| !name.is_empty()) {
            Some(group) => {
                let place = range.start + fault.range.start..range.start + fault.range.end;
                wrong.unknown(place, fault.message, group, inventory.group_names(), String::new);
            }
            None => self.bad_set(range, fault, wrong),
        }
    }

    fn bad_set(&self, range: &Range<usize>, fault: nodeset::SetFault, wrong: &mut Faults<'_>) {
        wrong.at(range.start + fault.range.start..range.start + fault.range.end, fault.message);
    }
}

/// Tells whether a word is a range of names as other programs write it, from one node to another.
fn is_dashed(inventory: &Inventory, word: &str) -> bool {
    nodeset::dashed(word).is_some_and(|(_, ends)| ends.iter().all(|end| inventory.by_name(end).is_some()))
}

/// Tells whether a word is digits that are no node number: it is the name of a node that is not there.
fn is_padded(word: &str) -> bool {
    word.len() > 1 && word.starts_with('0') && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn too_many(range: Range<usize>, wrong: &mut Faults<'_>) {
    let most = Budget::NAMES;
    let message = format!("the members of one file stand for more than {most} names");
    wrong.with_hint(
        range,
        message,
        "name each node once in a group, and no more nodes than the inventory has",
    );
}

/// Returns how many names a word stands for; the members of groups are counted where they are looked up.
fn cost(word: &str) -> u64 {
    match numbers(word) {
        Some(Ok(numbers)) => u64::from(numbers.end() - numbers.start()) + 1,
        Some(Err(_)) => 1,
        None if nodeset::is_set(word) => nodeset::cost(word),
        None => 1,
    }
}

/// Returns what is wrong with a word, of which the documented characters are cut off already.
fn odd_character(word: &str) -> Option<String> {
    if word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // Blanks and tabs are left between brackets only, where they separate.
    let is_odd = |c: &char| {
        !matches!(c, ' ' | '\t') && (c.is_control() || c.is_whitespace() || crate::name::is_unseen(*c))
    };
    let bad = word.chars().find(is_odd)?;
    Some(format!("a name cannot contain \"{}\"", bad.escape_debug()))
}

/// Tells whether a word is read as a range of numbers where no node has it as its name.
pub(super) fn is_range(word: &str) -> bool {
    word.contains('-') && numbers(word).is_some()
}

/// Reads `65` or `65-80`; nothing when the word is neither.
fn numbers(word: &str) -> Option<Result<std::ops::RangeInclusive<u32>, String>> {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let (Ok(from), Ok(to)) = (first.parse::<u32>(), last.parse::<u32>()) else {
        return Some(Err(format!("\"{word}\" is larger than any node number")));
    };
    if from > to {
        return Some(Err(format!("the range {word} is upside down")));
    }
    if u64::from(to - from) >= nodeset::LIMIT {
        return Some(Err(format!("stands for more than {} numbers: is a digit too many?", nodeset::LIMIT)));
    }
    Some(Ok(from..=to))
}
