//! Random orders, failures and hangs: the sequence files are written, the programs rehearse them on the
//! virtual clock, and an oracle judges their records on standard output.
//!
//! The oracle knows the statements that were written and nothing else; it shares no code with the
//! programs. In some clusters two of the nodes are one machine under two names, and nothing may be done at all. `make
//! soak` tries 10,000 orders each way, a plain run some of them.

use bed::{Bed, Chance};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const NODES: usize = 12;
pub(super) const GROUPS: usize = 7;
/// Between two records a reading or two may lie, each of 20 ms; no node of these boots that fast.
pub(super) const GLANCE: f64 = 0.2;

pub(super) fn cases() -> u64 {
    if std::env::var_os("ORDERLY_SOAK").is_some() { 10_000 } else { 60 }
}

/// What a sequence file states.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    pub(super) members: Vec<BTreeSet<usize>>,
    /// Group before group.
    pub(super) orders: Vec<(usize, usize)>,
    /// By order, as it is written: how many of the group before are enough; all where nothing is written.
    pub(super) enough: Vec<String>,
}

impl Stated {
    /// Makes one up. Statements by which a node would come before itself are left out.
    pub(super) fn any(chance: &mut Chance) -> Self {
        let members =
            (0..GROUPS).map(|_| (0..chance.below(5)).map(|_| chance.below(NODES)).collect()).collect();
        let mut stated = Self { members, orders: Vec::new(), enough: Vec::new() };
        for _ in 0..chance.below(10) {
            let (a, b) = (chance.below(GROUPS), chance.below(GROUPS));
            stated.orders.push((a, b));
            let before = stated.before();
            if a == b || (0..NODES).any(|node| before[node][node]) || stated.groups_before()[a][a] {
                stated.orders.pop();
            }
        }
        stated
    }

    fn groups_before(&self) -> Vec<Vec<bool>> {
        let mut groups = vec![vec![false; GROUPS]; GROUPS];
        self.orders.iter().for_each(|&(a, b)| groups[a][b] = true);
        closed(groups)
    }

    /// Returns by node and node whether the first comes before the second.
    pub(super) fn before(&self) -> Vec<Vec<bool>> {
        let groups = self.groups_before();
        let mut nodes = vec![vec![false; NODES]; NODES];
        for (a, b) in (0..GROUPS).flat_map(|a| (0..GROUPS).map(move |b| (a, b))) {
            if groups[a][b] {
                for &x in &self.members[a] {
                    self.members[b].iter().for_each(|&y| nodes[x][y] = true);
                }
            }
        }
        closed(nodes)
    }

    /// Writes it down, lines in any order, some groups on several lines.
    pub(super) fn text(&self, chance: &mut Chance) -> String {
        let mut lines = Vec::new();
        for (group, members) in self.members.iter().enumerate() {
            let names: Vec<String> = members.iter().map(|&node| name(node)).collect();
            let at = chance.below(names.len() + 1);
            lines.push(format!("g{group}: {}", names[..at].join(", ")));
            lines.push(format!("g{group} :\t{} # more", names[at..].join(" ")));
        }
        let enough = |at: usize| self.enough.get(at).map_or("", String::as_str);
        lines.extend(self.orders.iter().enumerate().map(|(at, (a, b))| format!("g{a}{}>g{b}", enough(at))));
        for last in (1..lines.len()).rev() {
            lines.swap(last, chance.below(last + 1));
        }
        lines.join("\n") + "\n"
    }
}

fn closed(mut relation: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    for via in 0..relation.len() {
        let onward = relation[via].clone();
        for from in relation.iter_mut().filter(|from| from[via]) {
            from.iter_mut().zip(&onward).for_each(|(reached, more)| *reached |= more);
        }
    }
    relation
}

fn turned(relation: &[Vec<bool>]) -> Vec<Vec<bool>> {
    (0..relation.len()).map(|a| relation.iter().map(|row| row[a]).collect()).collect()
}

fn name(node: usize) -> String {
    format!("n{node:02}")
}

fn names(nodes: &BTreeSet<usize>) -> String {
    nodes.iter().map(|&node| name(node)).collect::<Vec<_>>().join(",")
}

/// Returns the nodes that `n07` or `n[01-03,07]` means.
fn expanded(set: &str) -> BTreeSet<usize> {
    let inside = set.trim_start_matches('n').trim_start_matches('[').trim_end_matches(']');
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("{set}"));
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        number(first)..=number(last)
    };
    inside.split(',').flat_map(range).collect()
}

/// The nodes that do not do what they are told, and those that are one machine.
#[derive(Debug, Default)]
pub(super) struct Bad {
    pub(super) refuse: BTreeSet<usize>,
    pub(super) hang: BTreeSet<usize>,
    /// The second is written with an address that is the first.
    pub(super) twins: Option<(usize, usize)>,
}

impl Bad {
    fn any(chance: &mut Chance) -> Self {
        let mut bad = Self::default();
        for node in 0..NODES {
            match chance.below(9) {
                0 => bad.refuse.insert(node),
                1 => bad.hang.insert(node),
                _ => false,
            };
        }
        if chance.below(8) == 0 {
            let first = chance.below(NODES);
            bad.twins = Some((first, (first + 1 + chance.below(NODES - 1)) % NODES));
        }
        bad
    }

    /// Returns the entry of a node in the inventory.
    fn entry(&self, node: usize, seed: u64) -> String {
        let name = name(node);
        match self.twins {
            Some((first, second)) if second == node => {
                let first = self::name(first);
                let ways =
                    [first.clone(), first.to_uppercase(), format!("{first}."), format!("root@{first}")];
                format!("{{\"name\": \"{name}\", \"address\": \"{}\"}}", ways[(seed % 4) as usize])
            }
            _ => format!("{{\"name\": \"{name}\"}}"),
        }
    }

    fn has(&self, node: usize) -> bool {
        self.refuse.contains(&node) || self.hang.contains(&node)
    }
}

/// Writes the cluster of a case.
pub(super) fn settle(bed: &Bed, seed: u64, bad: &Bad, initial: &str) {
    let nodes: Vec<String> = (0..NODES).map(|node| bad.entry(node, seed)).collect();
    let inventory = format!("{{\"format\": \"orderly-inventory/1\", \"nodes\": [{}]}}", nodes.join(", "));
    let text = format!(
        "[power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n[probe]\ndriver = \"simulator\"\n\
         [shutdown]\nsettle = \"3s\"\n[limits]\ntimeout = \"90s\"\nboot = \"40s\"\n\
         [simulator]\nseed = {seed}\ninitial = \"{initial}\"\nboot = \"5s\"\nhalt = \"2s\"\njitter = \"20s\"\n\
         fail = \"{}\"\nhang = \"{}\"\n",
        names(&bad.refuse),
        names(&bad.hang),
    );
    // An empty set of names is none that could be written.
    bed.cluster(&inventory, text.replace("fail = \"\"\n", "").replace("hang = \"\"\n", ""));
}

/// Returns the records of a run; the first one, of the oracle's own, is its status.
pub(super) fn records(bed: &Bed, program: &str, more: &[&str]) -> Vec<Value> {
    let run = bed.program(program).args(["--rehearse", "--json", "-q"]).args(more).arg("ALL");
    let ended = run.any_status().any_stdout().any_stderr().run();
    assert!(matches!(ended.status, 0 | 1 | 3), "{program}: {}\n{}", ended.status, ended.stderr);
    let status = serde_json::json!({"record": "ended", "status": ended.status});
    std::iter::once(status)
        .chain(ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()))
        .collect()
}

/// Says what a run did although two of its nodes are one machine.
fn judge_twins(records: &[Value]) -> Vec<String> {
    match records {
        [only, end] if only["status"] == 3 && end["record"] == "end" => Vec::new(),
        [ended, rest @ ..] => {
            vec![format!(
                "two nodes are one, and it ended with {} after {} records",
                ended["status"],
                rest.len()
            )]
        }
        [] => vec!["it did not end".to_owned()],
    }
}

/// Says what the records of a run show that must not be; `well` is the outcome that was asked for.
/// With `at_once` nothing but the order may hold anybody up.
fn judge(records: &[Value], before: &[Vec<bool>], bad: &Bad, well: &str, at_once: bool) -> Vec<String> {
    if bad.twins.is_some() {
        return judge_twins(records);
    }
    let mut objections = Vec::new();
    if records[0]["status"] == 3 {
        objections.push("it was rejected, and nothing is wrong with it".to_owned());
    }
    let mut began: BTreeMap<usize, f64> = BTreeMap::new();
    let mut over: BTreeMap<usize, (f64, &str)> = BTreeMap::new();
    let mut ends: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let node_of = |name: &Value| name.as_str().unwrap()[1..].parse::<usize>().unwrap();
    for record in records.iter().filter(|record| record["record"] == "node") {
        let (node, at) = (node_of(&record["node"]), record["seconds"].as_f64().unwrap());
        match record["event"].as_str().unwrap() {
            "began" => {
                began.entry(node).or_insert(at);
                for leader in (0..NODES).filter(|&leader| before[leader][node]) {
                    if over.get(&leader).is_none_or(|(_, outcome)| *outcome != well) {
                        objections.push(format!("n{node:02} was acted on before n{leader:02} was {well}"));
                    }
                }
            }
            "over" if over.contains_key(&node) => objections.push(format!("n{node:02} ended twice")),
            "over" => {
                let outcome = record["outcome"].as_str().unwrap();
                over.insert(node, (at, outcome));
                let by = record["held_by"].as_str().map(expanded).unwrap_or_default();
                if !by.iter().all(|&other| before[other][node]) {
                    objections.push(format!("n{node:02} is held by a node that does not lead it"));
                }
                ends.insert(node, by);
            }
            _ => {}
        }
    }
    let first = began.values().copied().fold(f64::INFINITY, f64::min);
    for node in 0..NODES {
        let leaders: Vec<usize> =
            before.iter().enumerate().filter(|(_, led)| led[node]).map(|(leader, _)| leader).collect();
        let wanted = match (leaders.iter().any(|&leader| bad.has(leader)), bad.has(node)) {
            (true, _) => &["held"][..],
            (false, true) => &["failed", "timed_out", "unreachable"],
            (false, false) => &[well],
        };
        let Some((_, outcome)) = over.get(&node) else {
            objections.push(format!("n{node:02} ends in no state"));
            continue;
        };
        if !wanted.contains(outcome) {
            objections.push(format!("n{node:02} is {outcome}, not {wanted:?}"));
        }
        let due =
            leaders.iter().filter_map(|leader| over.get(leader)).map(|(at, _)| *at).fold(first, f64::max);
        match began.get(&node) {
            Some(at) if at_once && at - due > GLANCE => {
                objections.push(format!("n{node:02} waited until {at} and could begin at {due}"));
            }
            Some(_) if *outcome == "held" => objections.push(format!("n{node:02} was held and acted on")),
            _ => {}
        }
    }
    let report = records.last().filter(|record| record["record"] == "report");
    let root = |node: usize| bad.has(node) && over.get(&node).is_some_and(|(_, outcome)| *outcome != "held");
    for record in report.and_then(|report| report["nodes"].as_array()).into_iter().flatten() {
        let node = node_of(&record["node"]);
        let by = record["held_by"].as_str().map(expanded).unwrap_or_default();
        let all: BTreeSet<usize> = match record["outcome"].as_str() {
            Some("held") => (0..NODES).filter(|&leader| before[leader][node] && root(leader)).collect(),
            _ => BTreeSet::new(),
        };
        if by != ends.get(&node).cloned().unwrap_or_default() {
            objections.push(format!("n{node:02} is held by {by:?}, and its own record says otherwise"));
        }
        if by != all {
            objections.push(format!("n{node:02} is held by {all:?}, and the report names {by:?}"));
        }
    }
    let told: Vec<(usize, &str)> = report
        .and_then(|report| report["nodes"].as_array())
        .map(|nodes| nodes.iter().map(|node| (node_of(&node["node"]), node["outcome"].as_str().unwrap())))
        .map(Iterator::collect)
        .unwrap_or_default();
    let seen: Vec<(usize, &str)> = over.iter().map(|(&node, &(_, outcome))| (node, outcome)).collect();
    if told.iter().copied().collect::<BTreeMap<_, _>>() != seen.iter().copied().collect()
        || told.len() != NODES
    {
        objections.push(format!("the report tells {told:?}, and seen was {seen:?}"));
    }
    objections
}

/// Tries one way through all cases; `run` returns the records, and who had to be before whom.
fn all_cases(
    run: impl Fn(&Bed, u64, &mut Chance, &Bad, bool) -> (Vec<Value>, Vec<Vec<bool>>, String),
    well: &str,
) {
    let bed = Bed::new();
    let (mut waited, mut acted) = (0, 0);
    for case in 0..cases() {
        let mut chance = Chance(case);
        let bad = Bad::any(&mut chance);
        // In every third case a limit binds, and when a node begins is not the order's alone.
        let at_once = case % 3 != 0;
        let (records, before, text) = run(&bed, case, &mut chance, &bad, at_once);
        let objections = judge(&records, &before, &bad, well, at_once);
        assert!(objections.is_empty(), "case {case}: {objections:#?}\n{bad:?}\n{text}");
        waited += before.iter().flatten().filter(|is_before| **is_before).count();
        acted += records.iter().filter(|record| record["event"] == "began").count();
    }
    assert!(waited > 0 && acted > 0, "a judge without anything to judge");
}

#[test]
fn started_in_random_orders_no_node_comes_before_its_leaders() {
    let run = |bed: &Bed, case: u64, chance: &mut Chance, bad: &Bad, at_once: bool| {
        settle(bed, case, bad, "off");
        let stated = Stated::any(chance);
        let text = stated.text(chance);
        bed.write("cstartSeq", &text);
        let limit: &[&str] = if at_once { &[] } else { &["-K", "2", "--stagger", "700ms"] };
        (records(bed, "cstartup", limit), stated.before(), text)
    };
    all_cases(run, "up");
}

/// One file under both names states the order of starting; one of its own that of stopping.
#[test]
fn stopped_in_random_orders_no_node_comes_before_those_that_need_it() {
    let run = |bed: &Bed, case: u64, chance: &mut Chance, bad: &Bad, at_once: bool| {
        settle(bed, case, bad, "up");
        let stated = Stated::any(chance);
        let text = stated.text(chance);
        std::fs::remove_file(bed.path("cshutSeq")).ok();
        std::fs::remove_file(bed.path("cstartSeq")).ok();
        bed.write("cshutSeq", &text);
        let mirrored = chance.below(2) == 0;
        if mirrored {
            std::fs::hard_link(bed.path("cshutSeq"), bed.path("cstartSeq")).unwrap();
        }
        let before = if mirrored { turned(&stated.before()) } else { stated.before() };
        let limit: &[&str] = if at_once { &[] } else { &["-K", "2"] };
        (records(bed, "cshutdown", limit), before, text)
    };
    all_cases(run, "down");
}

/// An oracle that never objects proves nothing: one line of the file is dropped behind its back.
#[test]
fn the_oracle_objects_when_a_line_is_dropped_from_the_file() {
    let bed = Bed::new();
    let mut tried = 0;
    for case in 0..400 {
        let mut chance = Chance(case);
        let stated = Stated::any(&mut chance);
        if stated.orders.is_empty() {
            continue;
        }
        let mut poorer = stated.clone();
        let dropped = poorer.orders.remove(chance.below(stated.orders.len()));
        let (before, after) = (stated.before(), poorer.before());
        let pairs = (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b)));
        // What the line alone said: it is to be seen whoever is slow.
        let Some((leader, _)) = pairs.clone().find(|&(a, b)| before[a][b] && !after[a][b]) else { continue };
        let bad = Bad { refuse: BTreeSet::from([leader]), ..Bad::default() };
        settle(&bed, case, &bad, "off");
        for (order, objects) in [(&stated, false), (&poorer, true)] {
            let text = order.text(&mut chance);
            bed.write("cstartSeq", &text);
            let objections = judge(&records(&bed, "cstartup", &[]), &before, &bad, "up", true);
            assert_eq!(!objections.is_empty(), objects, "case {case}, {dropped:?}: {objections:?}\n{text}");
            // Behind its back two of the nodes become one.
            let twins = Bad { twins: Some((0, 1)), ..Bad::default() };
            assert!(!judge(&records(&bed, "cstartup", &[]), &before, &twins, "up", true).is_empty());
        }
        tried += 1;
        if tried == 25 {
            return;
        }
    }
    panic!("only {tried} orders lost anything by a line");
}
