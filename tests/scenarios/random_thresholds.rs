//! Random orders in which so many of a group are enough, rehearsed by the real program. The oracle knows what was
//! written and how each node ended, and works out from that when each might begin.

use super::random_orders::{Bad, GLANCE, GROUPS, NODES, Stated, cases, records, settle};
use bed::{Bed, Chance};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// When something comes about, in seconds; infinity is never.
type Time = f64;

/// When each node began, came up, and was over in any way; those that never did are missing.
#[derive(Debug, Default)]
struct Seen {
    began: BTreeMap<usize, Time>,
    up: BTreeMap<usize, Time>,
    over: BTreeMap<usize, Time>,
}

impl Seen {
    fn new(records: &[Value]) -> Self {
        let mut seen = Self::default();
        for record in records.iter().filter(|record| record["record"] == "node") {
            let node = record["node"].as_str().unwrap()[1..].parse::<usize>().unwrap();
            let at = record["seconds"].as_f64().unwrap();
            match record["event"].as_str().unwrap() {
                "began" => {
                    seen.began.entry(node).or_insert(at);
                }
                "held" => {
                    seen.over.insert(node, at);
                }
                "over" => {
                    seen.over.entry(node).or_insert(at);
                    if record["outcome"] == "up" {
                        seen.up.insert(node, at);
                    }
                }
                _ => {}
            }
        }
        seen
    }
}

fn at(times: &BTreeMap<usize, Time>, node: usize) -> Time {
    times.get(&node).copied().unwrap_or(f64::INFINITY)
}

fn last(times: impl Iterator<Item = Time>) -> Time {
    times.fold(0.0, f64::max)
}

struct Oracle<'c> {
    stated: &'c Stated,
    seen: &'c Seen,
}

impl Oracle<'_> {
    fn begin(&self, group: usize) -> Time {
        let orders = self.stated.orders.iter().zip(&self.stated.enough);
        last(
            orders
                .filter(|((_, after), _)| *after == group)
                .map(|((before, _), enough)| self.let_go(*before, enough)),
        )
    }

    /// Returns when those go on that wait for so many of a group.
    fn let_go(&self, group: usize, enough: &str) -> Time {
        let members = &self.stated.members[group];
        let mut up: Vec<Time> = members.iter().map(|&node| at(&self.seen.up, node)).collect();
        up.sort_by(f64::total_cmp);
        let needed = match enough.trim_matches(['(', ')']) {
            "" => return last(up.into_iter().chain([self.begin(group)])),
            _ if members.is_empty() => return self.begin(group),
            "ended" => return last(members.iter().map(|&node| at(&self.seen.over, node))),
            number => match number.strip_suffix('%') {
                Some(percent) => (members.len() * percent.parse::<usize>().unwrap()).div_ceil(100),
                None => number.parse().unwrap(),
            },
        };
        up[needed - 1]
    }

    fn judge(&self) -> Vec<String> {
        let first = self.seen.began.values().copied().fold(f64::INFINITY, f64::min);
        let mut objections = Vec::new();
        for node in 0..NODES {
            let groups = (0..GROUPS).filter(|&group| self.stated.members[group].contains(&node));
            let due = last(groups.map(|group| self.begin(group))).max(first);
            let began = at(&self.seen.began, node);
            if began.is_infinite() != due.is_infinite() {
                objections.push(format!("n{node:02} began at {began} and might at {due}"));
            } else if began.is_finite() && (began + 0.001 < due || began > due + GLANCE) {
                objections.push(format!("n{node:02} began at {began} and not at {due}"));
            }
        }
        objections
    }
}

fn with_thresholds(chance: &mut Chance) -> Stated {
    let mut stated = Stated::any(chance);
    let enough = stated.orders.iter().map(|&(before, _)| {
        let size = stated.members[before].len();
        match chance.below(5) {
            0 => String::new(),
            1 => "(ended)".to_owned(),
            2 => format!("({}%)", 1 + chance.below(100)),
            _ if size == 0 => String::new(),
            _ => format!("({})", 1 + chance.below(size)),
        }
    });
    stated.enough = enough.collect();
    stated
}

fn some_are_bad(chance: &mut Chance) -> Bad {
    let refuse = (0..NODES).filter(|_| chance.below(4) == 0).collect();
    Bad { refuse, ..Bad::default() }
}

#[test]
fn started_with_random_thresholds_each_node_begins_when_enough_are_up_and_never_before() {
    let bed = Bed::new();
    let (mut held, mut went_on) = (0, 0);
    for case in 0..cases() {
        let mut chance = Chance(case + 7_000_000);
        let bad = some_are_bad(&mut chance);
        settle(&bed, case, &bad, "off");
        let stated = with_thresholds(&mut chance);
        let text = stated.text(&mut chance);
        bed.write("cstartSeq", &text);
        let seen = Seen::new(&records(&bed, "cstartup", &[]));
        let objections = Oracle { stated: &stated, seen: &seen }.judge();
        assert!(objections.is_empty(), "case {case}: {objections:#?}\n{bad:?}\n{text}{seen:?}");
        held += NODES - seen.began.len();
        went_on += usize::from(!bad.refuse.is_empty() && seen.began.len() == NODES);
    }
    assert!(held > 0 && went_on > 0, "a judge without anything to judge: {held}, {went_on}");
}

/// An oracle that never objects proves nothing: the number is another than it believes.
#[test]
fn the_oracle_of_thresholds_objects_to_other_numbers() {
    let bed = Bed::new();
    let mut stated = Stated {
        members: vec![BTreeSet::new(); GROUPS],
        orders: vec![(0, 1)],
        enough: vec!["(2)".to_owned()],
    };
    stated.members[0] = BTreeSet::from([0, 1, 2, 3]);
    stated.members[1] = BTreeSet::from([4]);
    let bad = Bad { refuse: BTreeSet::from([1]), ..Bad::default() };
    settle(&bed, 3, &bad, "off");
    for (enough, objects) in [
        ("(2)", false),
        ("(50%)", false),
        ("(1)", true),
        ("(3)", true),
        ("(4)", true),
        ("(ended)", true),
        ("", true),
    ] {
        let written = Stated { enough: vec![enough.to_owned()], ..stated.clone() };
        bed.write("cstartSeq", written.text(&mut Chance(1)));
        let seen = Seen::new(&records(&bed, "cstartup", &[]));
        let objections = Oracle { stated: &stated, seen: &seen }.judge();
        assert_eq!(!objections.is_empty(), objects, "{enough}: {objections:?}");
    }
}
