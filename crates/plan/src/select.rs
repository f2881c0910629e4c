//! Which nodes a command acts on: targets, partitions, and what stands in the way of acting on them.
//!
//! Words are resolved all at once, with every wrong one reported. A violation is a node that is no
//! target and is not as the sequence needs it; what to do about it is the caller's (`-E`, `-X`).

mod asked;
mod finder;
mod violation;

pub use asked::{ALL, AskedTargets, Field, TargetKind, TargetWord, words};
pub use violation::{
    Breach, DETAILED, Direction, Violation, choices, curable, first_of, needed, outrun, unserved,
};

use crate::diagnostic::Diagnostics;
use crate::drivers::NodeId;
use crate::graph::{Footing, Order};
use crate::inventory::Inventory;
use finder::TargetFinder;
use std::collections::BTreeSet;

/// Returns the targets, sorted. May be empty, which the caller refuses: empty never means all.
///
/// # Errors
/// Every word that names nothing, and words that stand for too many names together.
pub fn targets(field: Field<'_>, asked: &AskedTargets) -> Result<Vec<NodeId>, Diagnostics> {
    let mut finder = TargetFinder::new(field);
    let found = finder.of_kind(asked.kind, &asked.words);
    let excluded = finder.of_kind(TargetKind::Names, &asked.exclude);
    finder.or(found.difference(&excluded).copied().collect())
}

/// Returns the partitions of an inventory, sorted.
pub fn partitions(inventory: &Inventory) -> BTreeSet<&str> {
    inventory.nodes().iter().filter_map(|node| node.partition.as_deref()).collect()
}

/// Nodes outside the current partition that a command would touch or depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsidePartition {
    pub targets: Vec<NodeId>,
    /// Nodes that targets wait for.
    pub leading: Vec<NodeId>,
}

impl OutsidePartition {
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.leading.is_empty()
    }
}

/// Returns what lies outside the current partition, in the order at hand.
pub fn outside(field: Field<'_>, order: &Order, targets: &[NodeId]) -> OutsidePartition {
    if field.partition.is_none() {
        return OutsidePartition::default();
    }
    let away = |node: &NodeId| !field.is_inside(*node);
    let outer: Vec<NodeId> = targets.iter().copied().filter(away).collect();
    // Where enough of a group are inside, what is outside is not depended on.
    let footing = |node| if field.is_inside(node) { Footing::Stands } else { Footing::Lacks };
    let leading = order
        .counting(footing)
        .leading(targets)
        .into_iter()
        .filter(away)
        .filter(|node| targets.binary_search(node).is_err())
        .collect();
    OutsidePartition { targets: outer, leading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GroupId;
    use crate::inventory::Node;
    use crate::threshold::Threshold;

    fn node(name: &str, number: u32, partition: &str, groups: &[&str]) -> Node {
        Node {
            name: name.to_owned(),
            number: Some(number),
            partition: Some(partition.to_owned()),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Node::default()
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

    fn resolve(kind: TargetKind, words: &[&str], exclude: &[&str]) -> Result<Vec<u32>, String> {
        let inventory = inventory();
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let typed = |words: &[&str]| words.iter().map(|&word| TargetWord::typed(word)).collect();
        targets(field, &AskedTargets { kind, words: typed(words), exclude: typed(exclude) })
            .map(|nodes| nodes.into_iter().map(|node| node.0).collect())
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn words_name_nodes_numbers_or_groups() {
        assert_eq!(resolve(TargetKind::Names, &["ALL"], &[]), Ok(vec![0, 1]), "ALL is the current partition");
        assert_eq!(resolve(TargetKind::Names, &["n[01-03]"], &["n02"]), Ok(vec![0, 2]));
        assert_eq!(resolve(TargetKind::Numbers, &["2-8"], &[]), Ok(vec![1, 2]));
        assert_eq!(resolve(TargetKind::Groups, &["io"], &[]), Ok(vec![0, 2]));
        assert_eq!(resolve(TargetKind::Names, &["n01"], &["n01"]), Ok(vec![]), "empty is never all");
    }

    #[test]
    fn all_wrong_words_are_named_at_once_with_their_remedy() {
        let said = resolve(TargetKind::Names, &["n04", "io", "7", "shelf"], &["n0l"]).unwrap_err();
        for part in ["no node named \"n04\"", "or use -g", "need -N", "it is a unit", "\"n0l\""] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
        assert!(resolve(TargetKind::Numbers, &["3"], &[]).is_err());
        assert!(resolve(TargetKind::Numbers, &["7-3"], &[]).is_err());
        assert!(resolve(TargetKind::Groups, &["oi"], &[]).unwrap_err().contains("no node group"));
    }

    /// Every node was stopped where a group of this name was meant.
    #[test]
    fn a_group_called_all_is_not_every_node() {
        let node = |name: &str, groups: &[&str]| Node {
            name: name.into(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Node::default()
        };
        let inventory = Inventory::new(vec![node("n1", &["ALL"]), node("n2", &[])]);
        let field = Field { inventory: &inventory, nodes: 2, partition: None };
        let asked = |kind, word: &str| {
            targets(field, &AskedTargets { kind, words: vec![TargetWord::typed(word)], exclude: vec![] })
        };
        let said = asked(TargetKind::Groups, "ALL").unwrap_err().to_string();
        assert!(said.contains("is a node group") && said.contains("write @ALL"), "{said}");
        assert_eq!(asked(TargetKind::Names, "@ALL").unwrap(), [NodeId(0)]);
        assert_eq!(asked(TargetKind::Names, "ALL").unwrap(), [NodeId(0), NodeId(1)]);
        let inventory = Inventory::new(vec![node("n1", &["ALL"]), node("n2", &["ALL"])]);
        let field = Field { inventory: &inventory, nodes: 2, partition: None };
        let asked =
            AskedTargets { kind: TargetKind::Groups, words: vec![TargetWord::typed("ALL")], exclude: vec![] };
        assert_eq!(targets(field, &asked).unwrap().len(), 2);
    }

    #[test]
    fn what_lies_outside_the_partition_is_told_apart() {
        let inventory = inventory();
        let order = Order::new(4, &[vec![NodeId(2)], vec![NodeId(0)]], &[(GroupId(0), GroupId(1))]);
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let found = outside(field, &order, &[NodeId(0)]);
        assert_eq!(found, OutsidePartition { targets: vec![], leading: vec![NodeId(2)] });
    }

    #[test]
    fn where_enough_of_a_group_are_inside_the_partition_nothing_outside_it_is_depended_on() {
        let inventory = inventory();
        let field = Field { inventory: &inventory, nodes: 3, partition: Some("prod") };
        let found = |threshold| {
            let groups = [vec![NodeId(1), NodeId(2)], vec![NodeId(0)]];
            let edges = [(GroupId(0), GroupId(1), threshold)];
            let order = Order::of(4, 2, |group| groups[group.index()].iter().copied(), edges.into_iter());
            outside(field, &order, &[NodeId(0)]).leading
        };
        assert_eq!(found(None), [NodeId(2)]);
        assert_eq!(found(Some(Threshold::Count(2))), [NodeId(2)]);
        assert_eq!(found(Some(Threshold::Count(1))), []);
        assert_eq!(found(Some(Threshold::Percent(50))), []);
    }
}
