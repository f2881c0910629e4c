//! What words name: every wrong one is reported, and all words together stand for a limited number of names, so that
//! no short file of targets takes memory or time without limit.

use super::asked::{ALL, Field, TargetKind, TargetWord};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::drivers::NodeId;
use crate::faults::Faults;
use crate::inventory::Node;
use crate::nodeset::{self, Budget, SetFault};
use std::collections::BTreeSet;

/// How many unknown names of one set are gathered for its message.
const GATHERED: usize = 1000;

/// Finds nodes by words, and remembers what it did not find.
#[derive(Debug)]
pub(super) struct TargetFinder<'f> {
    field: Field<'f>,
    budget: Budget,
    wrong: Faults<'f>,
    /// By number, sorted; filled when first needed.
    numbered: Option<Vec<(u32, NodeId)>>,
}

impl<'f> TargetFinder<'f> {
    pub(super) fn new(field: Field<'f>) -> Self {
        let wrong = Faults::new(Source { name: "the targets", text: "" });
        Self { field, budget: Budget::default(), wrong, numbered: None }
    }

    /// Returns `value` when nothing was wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Diagnostics> {
        self.wrong.or(value)
    }

    /// Returns the nodes that these words name. `ALL` is one of them for targets and exclusions alike.
    pub(super) fn of_kind(&mut self, kind: TargetKind, words: &[TargetWord]) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::new();
        let ahead = Budget::default();
        let costs = |word: &&TargetWord| kind != TargetKind::Names || ahead.spend(nodeset::cost(&word.text));
        if let Some(word) = words.iter().find(|word| !costs(word)) {
            self.budget.exhaust();
            self.too_many(word);
        }
        for word in words {
            if self.budget.is_spent() {
                break;
            }
            match kind {
                TargetKind::Groups if word.text == ALL && self.is_part(ALL) => {
                    self.wrong.add(|| both_all_and_group(word));
                }
                _ if word.text == ALL => self.all(&mut found),
                TargetKind::Names => self.names(word, &mut found),
                TargetKind::Numbers => self.numbers(word, &mut found),
                TargetKind::Groups => self.groups(word, &mut found),
            }
            if self.budget.is_spent() {
                self.too_many(word);
            }
        }
        found
    }

    fn too_many(&mut self, word: &TargetWord) {
        let message = format!("the words stand for more than {} names", Budget::NAMES);
        self.wrong.add(|| complain(word, message).hint("name each node once, or write ALL"));
    }

    /// Tells whether there is a node group of this name that is not the whole partition.
    fn is_part(&self, name: &str) -> bool {
        let group = self.field.inventory.group(name);
        group.is_some_and(|members| {
            let members: BTreeSet<NodeId> = members.iter().copied().collect();
            members != self.field.all().collect()
        })
    }

    fn all(&self, found: &mut BTreeSet<NodeId>) {
        if self.budget.spend(self.field.nodes as u64) {
            found.extend(self.field.all());
        }
    }

    fn names(&mut self, word: &TargetWord, found: &mut BTreeSet<NodeId>) {
        // An exact name wins: a node may be called like a range.
        if let Some(node) = self.field.by_name(&word.text) {
            found.insert(node);
            return;
        }
        if !self.budget.spend(nodeset::cost(&word.text)) {
            return;
        }
        let (field, budget) = (self.field, &self.budget);
        let members = |group: &str| {
            let members = field.group(group)?;
            Some(if budget.spend(members.len() as u64) { members } else { Vec::new() })
        };
        let mut unknown: Vec<String> = Vec::new();
        let visited = nodeset::visit(&word.text, &members, &mut |name| {
            match field.by_name(name) {
                Some(node) => drop(found.insert(node)),
                None => unknown.push(name.to_owned()),
            }
            unknown.len() < GATHERED
        });
        match visited {
            Err(fault) => self.wrong.add(|| bad_set(field, word, &fault)),
            Ok(()) if !unknown.is_empty() => self.wrong.add(|| no_such_node(field, word, &unknown)),
            Ok(()) => {}
        }
    }

    fn numbers(&mut self, word: &TargetWord, found: &mut BTreeSet<NodeId>) {
        for part in word.text.split(',').filter(|part| !part.is_empty()) {
            let Some((from, to)) = number_range(part) else {
                self.wrong.add(|| match part.split_once('-').map(|(from, to)| (to, from)) {
                    Some((from, to)) if number_range(&format!("{from}-{to}")).is_some() => {
                        complain(word, format!("\"{part}\" is upside down"))
                            .hint(format!("write {from}-{to}"))
                    }
                    Some(_) | None => {
                        complain(word, format!("\"{part}\" is no node number or range of numbers"))
                            .hint("with -N write 3, 3-7 or 1,3-7")
                    }
                });
                continue;
            };
            // A range means the nodes that have such numbers, as numbers leave gaps; a single number,
            // or a range that holds no node at all, is a slip.
            let field = self.field;
            let numbered = self.numbered.get_or_insert_with(|| numbered(field));
            let first = numbered.partition_point(|(number, _)| *number < from);
            let last = numbered.partition_point(|(number, _)| *number <= to);
            if !self.budget.spend((last - first) as u64) {
                return;
            }
            found.extend(numbered[first..last].iter().map(|(_, node)| *node));
            if first == last {
                self.wrong.add(|| complain(word, format!("the inventory has no node numbered {part}")));
            }
        }
    }

    fn groups(&mut self, word: &TargetWord, found: &mut BTreeSet<NodeId>) {
        for name in word.text.split(',').filter(|name| !name.is_empty()) {
            let field = self.field;
            let members = field.inventory.group(name).unwrap_or_default();
            if !self.budget.spend(members.len() as u64) {
                return;
            }
            let nodes: Vec<NodeId> =
                members.iter().copied().filter(|node| node.index() < field.nodes).collect();
            if nodes.is_empty() {
                self.wrong.add(|| no_group(field, word, name));
            }
            found.extend(nodes);
        }
    }
}

/// Returns the nodes that have a number, by number.
fn numbered(field: Field<'_>) -> Vec<(u32, NodeId)> {
    let nodes = field.inventory.ids().take(field.nodes);
    let mut numbered: Vec<(u32, NodeId)> =
        nodes.filter_map(|node| Some((field.inventory.node(node).number?, node))).collect();
    numbered.sort_unstable();
    numbered
}

fn complain(word: &TargetWord, message: String) -> Diagnostic {
    Diagnostic { place: word.place.clone(), message, excerpt: None, notes: Vec::new(), hint: None }
}

fn bad_set(field: Field<'_>, word: &TargetWord, fault: &SetFault) -> Diagnostic {
    let operand = &word.text[fault.range.clone()];
    if is_group(operand) {
        return no_group(field, word, &operand[1..]);
    }
    complain(word, format!("\"{}\" is no node set: {fault}", word.text))
}

/// Tells whether a part of a set is a group, of which nothing can be wrong but that there is none.
fn is_group(operand: &str) -> bool {
    operand.len() > 1 && operand.starts_with('@') && crate::name::fault(operand).is_none()
}

fn no_group(field: Field<'_>, word: &TargetWord, name: &str) -> Diagnostic {
    let message = format!("the inventory has no node group \"{name}\"");
    complain(word, message).suggest(name, field.inventory.group_names())
}

fn no_such_node(field: Field<'_>, word: &TargetWord, unknown: &[String]) -> Diagnostic {
    let Some(first) = unknown.first() else { return complain(word, String::new()) };
    let message = if unknown.len() == 1 {
        format!("the inventory has no node named \"{first}\"")
    } else {
        format!("the inventory has no nodes named {}", nodeset::fold(unknown.iter().map(String::as_str)))
    };
    let diagnostic = complain(word, message);
    let are_nodes = |ends: &[String]| ends.iter().all(|end| field.by_name(end).is_some());
    let is_unit = |node: &Node| node.power_with.iter().any(|unit| unit == first);
    if field.inventory.by_name(first).is_some() || field.inventory.nodes().iter().any(is_unit) {
        diagnostic.hint("it is a unit, powered with the nodes that need it, and no target by itself")
    } else if first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        diagnostic.hint("node numbers need -N")
    } else if first.eq_ignore_ascii_case(ALL) {
        diagnostic.hint("all nodes are ALL, alone and in capitals")
    } else if let Some((set, _)) = nodeset::dashed(first).filter(|(_, ends)| are_nodes(ends)) {
        diagnostic.hint(format!("a range of names is written {set}"))
    } else if field.inventory.group(first).is_some() {
        diagnostic.hint(format!("it is a node group; write @{first}, or use -g"))
    } else if first.contains(['*', '?']) {
        diagnostic.hint("wildcards are not expanded; write a node set (n[1-16]), a group (@GROUP) or ALL")
    } else {
        diagnostic.suggest(first, field.names())
    }
}

fn both_all_and_group(word: &TargetWord) -> Diagnostic {
    complain(word, "\"ALL\" is a node group of the inventory, and means every node".to_owned())
        .hint("write @ALL for the group, and ALL without -g for every node")
}

fn number_range(part: &str) -> Option<(u32, u32)> {
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(from) || !digits(to) {
        return None;
    }
    let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Format, Inventory, Outside, read};
    use crate::select::words;

    fn inventory(nodes: u32) -> Inventory {
        let node =
            |number: u32| format!("{{\"name\": \"n{number}\", \"number\": {number}, \"groups\": [\"all\"]}}");
        let nodes: Vec<String> = (1..=nodes).map(node).collect();
        let text = format!("{{\"format\": \"orderly-inventory/1\", \"nodes\": [{}]}}", nodes.join(","));
        read(&Source { name: "i", text: &text }, Format::Json, &Outside::default()).unwrap()
    }

    /// A file of ten thousand short words was read for as long as it took, each word up to four million names.
    #[test]
    fn many_short_words_that_stand_for_many_names_are_an_error_soon() {
        let inventory = inventory(1000);
        let field = Field { inventory: &inventory, nodes: 1000, partition: None };
        let cases = [
            (TargetKind::Names, "n[1-1000]"),
            (TargetKind::Names, "@all"),
            (TargetKind::Names, "@all,@all,@all"),
            (TargetKind::Names, "x[1-9000]"),
            (TargetKind::Names, "ALL"),
            (TargetKind::Numbers, "1-1000"),
            (TargetKind::Groups, "all"),
            (TargetKind::Groups, "all,all,all"),
        ];
        for (kind, word) in cases {
            let mut finder = TargetFinder::new(field);
            finder.of_kind(kind, &words("file", &format!("{word}\n").repeat(10_000)));
            let met = finder.budget.met();
            assert!((Budget::NAMES..2 * Budget::NAMES).contains(&met), "{word}: {met}");
            let said = finder.or(()).unwrap_err().to_string();
            assert_eq!(said.matches("the words stand for more than 20000 names").count(), 1, "{said}");
            assert!(said.contains("file:"), "{said}");
        }
    }

    #[test]
    fn of_many_wrong_words_the_first_hundred_are_shown() {
        let inventory = inventory(3);
        let field = Field { inventory: &inventory, nodes: 3, partition: None };
        let mut finder = TargetFinder::new(field);
        finder.of_kind(TargetKind::Names, &words("file", &"x*\n".repeat(150)));
        let said = finder.or(()).unwrap_err().to_string();
        assert_eq!(said.matches("no node named \"x*\"").count(), 100);
        assert!(said.contains("wildcards are not expanded"), "{said}");
        assert!(said.contains("the targets: 150 errors, of which the first 100 are shown"), "{said}");
    }

    #[test]
    fn a_range_that_is_written_otherwise_is_told_as_what_to_write() {
        let inventory = inventory(5);
        let field = Field { inventory: &inventory, nodes: 5, partition: None };
        let name = |at: usize| inventory.name(NodeId(u32::try_from(at).unwrap())).to_owned();
        for between in ["-", "..", ":"] {
            let mut finder = TargetFinder::new(field);
            finder.of_kind(TargetKind::Names, &words("file", &format!("{}{between}{}", name(0), name(2))));
            let said = finder.or(()).unwrap_err().to_string();
            assert!(said.contains("[") && said.contains("]"), "{between}: {said}");
        }
        let mut finder = TargetFinder::new(field);
        finder.of_kind(TargetKind::Numbers, &words("file", "3-1"));
        let said = finder.or(()).unwrap_err().to_string();
        assert!(said.contains("\"3-1\" is upside down") && said.contains("write 1-3"), "{said}");
    }
}
