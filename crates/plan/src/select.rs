//! Which nodes a command acts on: targets, partitions, and what stands in the way of acting on them.
//!
//! Words are resolved all at once, with every wrong one reported. A violation is a node that is no
//! target and is not as the sequence needs it; what to do about it is the caller's (`-E`, `-X`).

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::fleet::NodeId;
use crate::graph::Order;
use crate::inventory::{Inventory, Node};
use crate::nodeset;
use crate::survey::Condition;
use std::collections::BTreeSet;

/// The word that means every node of the current partition.
pub const ALL: &str = "ALL";

/// How target words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Names and node sets.
    Names,
    /// Node numbers and ranges of them (`-N`).
    Numbers,
    /// Node groups of the inventory (`-g`).
    Groups,
}

/// A word that names nodes; `place` is where it stands when it was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub place: Option<Place>,
}

impl Word {
    /// Returns a word of the command line.
    pub fn typed(text: impl Into<String>) -> Self {
        Self { text: text.into(), place: None }
    }
}

/// Returns the words of a file of targets: separated by blanks or line ends, `#` begins a comment.
pub fn words(file: &str, text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (line, full) in text.lines().enumerate() {
        let kept = full.split('#').next().unwrap_or_default();
        let mut from = 0;
        for word in kept.split_whitespace() {
            let at = kept[from..].find(word).map_or(from, |at| from + at);
            from = at + word.len();
            let place =
                Place { file: file.to_owned(), line: line + 1, column: kept[..at].chars().count() + 1 };
            words.push(Word { text: word.to_owned(), place: Some(place) });
        }
    }
    words
}

/// Targets as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub kind: Kind,
    pub words: Vec<Word>,
    /// Node sets taken away (`-x`).
    pub exclude: Vec<Word>,
}

/// The nodes one may name, and how far `ALL` reaches.
#[derive(Debug, Clone, Copy)]
pub struct Field<'i> {
    pub inventory: &'i Inventory,
    /// How many of the inventory are nodes; what follows are units, which cannot be targets.
    pub nodes: usize,
    /// The current partition; `None` is all of them.
    pub partition: Option<&'i str>,
}

impl Field<'_> {
    fn all(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inventory.ids().take(self.nodes).filter(|&node| self.is_inside(node))
    }

    /// Tells whether a node is in the current partition. Units belong to whatever needs them.
    pub fn is_inside(&self, node: NodeId) -> bool {
        let Some(partition) = self.partition else { return true };
        node.index() >= self.nodes || self.inventory.node(node).partition.as_deref() == Some(partition)
    }

    fn by_name(&self, name: &str) -> Option<NodeId> {
        self.inventory.by_name(name).filter(|node| node.index() < self.nodes)
    }

    /// Returns the names of the members of a node group, if there is such a group.
    fn group(&self, name: &str) -> Option<Vec<String>> {
        self.inventory.group(name).map(|nodes| {
            let nodes = nodes.iter().filter(|node| node.index() < self.nodes);
            nodes.map(|node| self.inventory.name(*node).to_owned()).collect()
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.inventory.nodes().iter().take(self.nodes).map(|node| node.name.as_str())
    }
}

/// Returns the targets, sorted. May be empty, which the caller refuses: empty never means all.
///
/// # Errors
/// Every word that names nothing.
pub fn targets(field: Field<'_>, asked: &Asked) -> Result<Vec<NodeId>, Diagnostics> {
    let mut wrong = Diagnostics::default();
    let mut found = BTreeSet::new();
    for word in &asked.words {
        if word.text == ALL {
            found.extend(field.all());
            continue;
        }
        match asked.kind {
            Kind::Names => names(field, word, &mut found, &mut wrong),
            Kind::Numbers => numbers(field, word, &mut found, &mut wrong),
            Kind::Groups => groups(field, word, &mut found, &mut wrong),
        }
    }
    let mut excluded = BTreeSet::new();
    for word in &asked.exclude {
        names(field, word, &mut excluded, &mut wrong);
    }
    wrong.or(found.difference(&excluded).copied().collect())
}

fn complain(word: &Word, message: String) -> Diagnostic {
    Diagnostic { place: word.place.clone(), message, excerpt: None, notes: Vec::new(), hint: None }
}

fn names(field: Field<'_>, word: &Word, found: &mut BTreeSet<NodeId>, wrong: &mut Diagnostics) {
    // An exact name wins: a node may be called like a range.
    if let Some(node) = field.by_name(&word.text) {
        found.insert(node);
        return;
    }
    let members = |group: &str| field.group(group);
    let expanded = match nodeset::expand_with(&word.text, &members) {
        Ok(expanded) => expanded,
        Err(fault) if is_group(&word.text[fault.range.clone()]) => {
            wrong.push(no_group(field, word, &word.text[fault.range.start + 1..fault.range.end]));
            return;
        }
        Err(error) => {
            wrong.push(complain(word, format!("\"{}\" is no node set: {error}", word.text)));
            return;
        }
    };
    let mut strangers = Vec::new();
    for name in &expanded {
        match field.by_name(name) {
            Some(node) => {
                found.insert(node);
            }
            None => strangers.push(name.as_str()),
        }
    }
    if let Some(first) = strangers.first() {
        wrong.push(stranger(field, word, first, &strangers));
    }
}

/// Tells whether a part of a set is a group, of which nothing can be wrong but that there is none.
fn is_group(operand: &str) -> bool {
    operand.len() > 1 && operand.starts_with('@') && crate::name::fault(operand).is_none()
}

fn no_group(field: Field<'_>, word: &Word, name: &str) -> Diagnostic {
    let message = format!("the inventory has no node group \"{name}\"");
    complain(word, message).suggest(name, field.inventory.group_names())
}

fn stranger(field: Field<'_>, word: &Word, first: &str, all: &[&str]) -> Diagnostic {
    let message = if all.len() == 1 {
        format!("the inventory has no node named \"{first}\"")
    } else {
        format!("the inventory has no nodes named {}", nodeset::fold(all.iter().copied()))
    };
    let diagnostic = complain(word, message);
    let is_unit = |node: &Node| node.power_with.iter().any(|unit| unit == first);
    if field.inventory.by_name(first).is_some() || field.inventory.nodes().iter().any(is_unit) {
        diagnostic.hint("it is a unit, powered with the nodes that need it, and no target by itself")
    } else if first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        diagnostic.hint("node numbers need -N")
    } else if first.eq_ignore_ascii_case("ALL") {
        diagnostic.hint("all nodes are ALL, alone and in capitals")
    } else if let Some((set, ends)) = nodeset::dashed(first)
        && ends.iter().all(|end| field.by_name(end).is_some())
    {
        diagnostic.hint(format!("a range of names is written {set}"))
    } else if field.inventory.nodes().iter().any(|node| node.groups.iter().any(|group| group == first)) {
        diagnostic.hint(format!("it is a node group; write @{first}, or use -g"))
    } else {
        diagnostic.suggest(first, field.names())
    }
}

fn numbers(field: Field<'_>, word: &Word, found: &mut BTreeSet<NodeId>, wrong: &mut Diagnostics) {
    for part in word.text.split(',').filter(|part| !part.is_empty()) {
        let Some((from, to)) = number_range(part) else {
            let message = format!("\"{part}\" is no node number or range of numbers");
            wrong.push(complain(word, message).hint("with -N write 3, 3-7 or 1,3-7"));
            continue;
        };
        // A range means the nodes that have such numbers, as numbers leave gaps; a single number,
        // or a range that holds no node at all, is a slip.
        let before = found.len();
        let mut met = false;
        for node in field.inventory.ids().take(field.nodes) {
            if field.inventory.node(node).number.is_some_and(|number| (from..=to).contains(&number)) {
                met = true;
                found.insert(node);
            }
        }
        if !met && before == found.len() {
            wrong.push(complain(word, format!("the inventory has no node numbered {part}")));
        }
    }
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

fn groups(field: Field<'_>, word: &Word, found: &mut BTreeSet<NodeId>, wrong: &mut Diagnostics) {
    for name in word.text.split(',').filter(|name| !name.is_empty()) {
        let before = found.len();
        let mut met = false;
        for node in field.inventory.ids().take(field.nodes) {
            if field.inventory.node(node).groups.iter().any(|group| group == name) {
                met = true;
                found.insert(node);
            }
        }
        if !met && before == found.len() {
            wrong.push(no_group(field, word, name));
        }
    }
}

/// Returns the partitions of an inventory, sorted.
pub fn partitions(inventory: &Inventory) -> BTreeSet<&str> {
    inventory.nodes().iter().filter_map(|node| node.partition.as_deref()).collect()
}

/// Nodes outside the current partition that a command would touch or depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    pub targets: Vec<NodeId>,
    /// Nodes that targets wait for.
    pub leading: Vec<NodeId>,
}

impl Outside {
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.leading.is_empty()
    }
}

/// Returns what lies outside the current partition, in the order at hand.
pub fn outside(field: Field<'_>, order: &Order, targets: &[NodeId]) -> Outside {
    if field.partition.is_none() {
        return Outside::default();
    }
    let away = |node: &NodeId| !field.is_inside(*node);
    let outer: Vec<NodeId> = targets.iter().copied().filter(away).collect();
    let leading = order
        .all_leading(targets)
        .into_iter()
        .filter(away)
        .filter(|node| targets.binary_search(node).is_err())
        .collect();
    Outside { targets: outer, leading }
}

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Startup,
    Shutdown,
}

impl Direction {
    /// Tells whether a node that is not a target stands as what follows it needs it. Unknown never
    /// does: not up enough to lead a start, not down enough to lead a shutdown.
    fn is_served_by(self, condition: Condition) -> bool {
        match self {
            Self::Startup => condition == Condition::Up,
            Self::Shutdown => condition == Condition::Down,
        }
    }
}

/// What is wrong about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// It is no target, and not up (at shutdown: not down) although targets need that.
    Unserved,
    /// It is a target and not up, while targets that depend on it run already.
    Outrun,
}

/// A node that is not as the sequence needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub breach: Breach,
    pub node: NodeId,
    pub condition: Condition,
    /// The targets that wait for it, sorted; left empty after the first [`DETAILED`] violations.
    pub affects: Vec<NodeId>,
}

/// For how many violations the targets concerned are worked out: each costs a walk of the order.
pub const DETAILED: usize = 256;

/// Returns the non-target nodes that stand in the way of acting on `targets` (sorted), in the order
/// at hand (for a shutdown: the order of shutdown). `conditions` is by node of the inventory.
pub fn unserved(
    direction: Direction,
    order: &Order,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Vec<Violation> {
    let nodes: Vec<NodeId> = needed(direction, order, targets, conditions);
    detail(order, targets, conditions, Breach::Unserved, &nodes)
}

/// Returns the nodes by which `-E` extends the targets: all non-targets that lead them and are not
/// as they must be.
pub fn needed(
    direction: Direction,
    order: &Order,
    targets: &[NodeId],
    conditions: &[Condition],
) -> Vec<NodeId> {
    order
        .all_leading(targets)
        .into_iter()
        .filter(|node| targets.binary_search(node).is_err())
        .filter(|node| !direction.is_served_by(conditions[node.index()]))
        .collect()
}

/// Returns the targets that are not up while targets that wait for them are.
pub fn outrun(order: &Order, targets: &[NodeId], conditions: &[Condition]) -> Vec<Violation> {
    let up = running(targets, conditions);
    let nodes: Vec<NodeId> = order
        .all_leading(&up)
        .into_iter()
        .filter(|node| targets.binary_search(node).is_ok() && conditions[node.index()] != Condition::Up)
        .collect();
    detail(order, &up, conditions, Breach::Outrun, &nodes)
}

/// Returns the running targets that a reset would cure (`-z`): those that wait for a target not up.
pub fn curable(order: &Order, targets: &[NodeId], conditions: &[Condition]) -> Vec<NodeId> {
    let down: Vec<NodeId> =
        targets.iter().copied().filter(|node| conditions[node.index()] != Condition::Up).collect();
    let after = order.all_trailing(&down);
    running(targets, conditions).into_iter().filter(|node| after.binary_search(node).is_ok()).collect()
}

fn running(targets: &[NodeId], conditions: &[Condition]) -> Vec<NodeId> {
    targets.iter().copied().filter(|node| conditions[node.index()] == Condition::Up).collect()
}

fn detail(
    order: &Order,
    targets: &[NodeId],
    conditions: &[Condition],
    breach: Breach,
    nodes: &[NodeId],
) -> Vec<Violation> {
    let one = |(at, &node): (usize, &NodeId)| {
        let affects = if at < DETAILED {
            let after = order.all_trailing(&[node]);
            after.into_iter().filter(|node| targets.binary_search(node).is_ok()).collect()
        } else {
            Vec::new()
        };
        Violation { breach, node, condition: conditions[node.index()], affects }
    };
    nodes.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GroupId;
    use crate::inventory::Node;
    use std::collections::BTreeMap;

    fn node(name: &str, number: u32, partition: &str, groups: &[&str]) -> Node {
        Node {
            name: name.to_owned(),
            number: Some(number),
            address: None,
            partition: Some(partition.to_owned()),
            boot_servers: Vec::new(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            power_with: Vec::new(),
            attributes: BTreeMap::new(),
        }
    }

    fn inventory() -> Inventory {
        Inventory::new(vec![
            node("n01", 1, "prod", &["io"]),
            node("n02", 2, "prod", &[]),
            node("n03", 5, "test", &["io"]),
            node("shelf", 9, "prod", &[]),
        ])
    }

    fn resolve(kind: Kind, words: &[&str], exclude: &[&str]) -> Result<Vec<u32>, String> {
        let inventory = inventory();
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let typed = |words: &[&str]| words.iter().map(|&word| Word::typed(word)).collect();
        targets(field, &Asked { kind, words: typed(words), exclude: typed(exclude) })
            .map(|nodes| nodes.into_iter().map(|node| node.0).collect())
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn words_name_nodes_numbers_or_groups() {
        assert_eq!(resolve(Kind::Names, &["ALL"], &[]), Ok(vec![0, 1]), "ALL is the current partition");
        assert_eq!(resolve(Kind::Names, &["n[01-03]"], &["n02"]), Ok(vec![0, 2]));
        assert_eq!(resolve(Kind::Numbers, &["2-8"], &[]), Ok(vec![1, 2]));
        assert_eq!(resolve(Kind::Groups, &["io"], &[]), Ok(vec![0, 2]));
        assert_eq!(resolve(Kind::Names, &["n01"], &["n01"]), Ok(vec![]), "empty is never all");
    }

    #[test]
    fn all_wrong_words_are_named_at_once_with_their_remedy() {
        let said = resolve(Kind::Names, &["n04", "io", "7", "shelf"], &["n0l"]).unwrap_err();
        for part in ["no node named \"n04\"", "or use -g", "need -N", "it is a unit", "\"n0l\""] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
        assert!(resolve(Kind::Numbers, &["3"], &[]).is_err());
        assert!(resolve(Kind::Numbers, &["7-3"], &[]).is_err());
        assert!(resolve(Kind::Groups, &["oi"], &[]).unwrap_err().contains("no node group"));
    }

    #[test]
    fn words_of_a_file_carry_their_place() {
        let found = words("targets", "n01  n02 # not n03\n\tn04\n");
        let shown: Vec<String> = found
            .iter()
            .map(|word| {
                format!("{} {}", word.place.as_ref().map_or_else(String::new, ToString::to_string), word.text)
            })
            .collect();
        assert_eq!(shown, ["targets:1:1 n01", "targets:1:6 n02", "targets:2:2 n04"]);
    }

    /// n0 > n1 > n2, n3 alone.
    fn chain() -> Order {
        let groups: Vec<Vec<NodeId>> = (0..3).map(|n| vec![NodeId(n)]).collect();
        Order::new(4, &groups, &[(GroupId(0), GroupId(1)), (GroupId(1), GroupId(2))])
    }

    #[test]
    fn a_leading_node_is_followed_transitively() {
        use Condition::{Down, Unknown, Up};
        let found =
            unserved(Direction::Startup, &chain(), &[NodeId(2), NodeId(3)], &[Unknown, Up, Down, Down]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].node, found[0].condition), (NodeId(0), Unknown));
        assert_eq!(found[0].affects, [NodeId(2)]);
        let mirrored = chain().mirrored();
        let found = unserved(Direction::Shutdown, &mirrored, &[NodeId(0)], &[Up, Down, Unknown, Up]);
        assert_eq!(found.iter().map(|one| one.node).collect::<Vec<_>>(), [NodeId(2)], "unknown is not down");
    }

    #[test]
    fn a_running_target_before_its_leader_is_found_and_curable() {
        use Condition::{Down, On, Up};
        let all: Vec<NodeId> = (0..4).map(NodeId).collect();
        let found = outrun(&chain(), &all, &[On, Up, Down, Up]);
        assert_eq!(found.iter().map(|one| one.node).collect::<Vec<_>>(), [NodeId(0)]);
        assert_eq!(found[0].affects, [NodeId(1)]);
        assert_eq!(curable(&chain(), &all, &[On, Up, Down, Up]), [NodeId(1)]);
    }

    #[test]
    fn what_lies_outside_the_partition_is_told_apart() {
        let inventory = inventory();
        let order = Order::new(4, &[vec![NodeId(2)], vec![NodeId(0)]], &[(GroupId(0), GroupId(1))]);
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let found = outside(field, &order, &[NodeId(0)]);
        assert_eq!(found, Outside { targets: vec![], leading: vec![NodeId(2)] });
    }
}
