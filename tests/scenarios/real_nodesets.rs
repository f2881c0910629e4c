//! Node sets against ClusterShell's own reading of them: every set in one process of each side.

use bed::{Bed, Chance, Need, real};
use std::collections::{BTreeMap, BTreeSet};

/// Reads JSON from standard input, groups and a list of sets, and prints what ClusterShell reads in each: a list of
/// names, or null.
const THEIRS: &str = r#"
import json, sys
from ClusterShell.NodeSet import NodeSet
from ClusterShell.NodeUtils import GroupResolver, GroupSource
asked = json.load(sys.stdin)
resolver = GroupResolver(GroupSource("test", asked["groups"]))
def read(text):
    try:
        return sorted(NodeSet(text, resolver=resolver))
    except Exception:
        return None
json.dump([read(text) for text in asked["sets"]], sys.stdout)
"#;

/// The groups of sets that name any.
const GROUPS: [(&str, &str); 2] = [("io", "n[1-3]"), ("gpu", "n[3-5]")];

/// The names of a set; nothing where it is rejected.
type Read = Option<BTreeSet<String>>;

fn by_clustershell(bed: &Bed, sets: &[String]) -> Vec<Read> {
    let cluset = std::fs::read_to_string(real::find("cluset").unwrap()).unwrap();
    let python = cluset.lines().next().unwrap().trim_start_matches("#!").trim();
    let groups: BTreeMap<&str, &str> = GROUPS.into_iter().collect();
    let document = serde_json::json!({"groups": groups, "sets": sets}).to_string();
    let asked = bed.external(python).args(["-c", THEIRS]).stdin(document);
    serde_json::from_str(&asked.any_stdout().run().stdout).unwrap()
}

/// A sequence file, with each set in a group and a line of its own.
fn file_of<'s>(sets: impl IntoIterator<Item = (usize, &'s String)>) -> String {
    sets.into_iter().map(|(at, set)| format!("g{at}: {set}\n")).collect()
}

/// Reads sets as members of a sequence file. Each has a stem of its own, `sNUMBERx`, by which its names are found again.
fn by_seqfile(bed: &Bed, sets: &[String]) -> Vec<Read> {
    let read = |file: String| {
        let asked = bed.program("seqfile").args(["--read", "-", "--json"]).stdin(file);
        asked.any_stdout().any_stderr().any_status().run()
    };
    let mut rejected = BTreeSet::new();
    let numbered: Vec<(usize, &String)> = sets.iter().enumerate().collect();
    // Of one file a hundred errors are shown.
    for part in numbered.chunks(100) {
        let first = part[0].0;
        let said = read(file_of(part.iter().copied())).stderr;
        let lines = said.split("standard input:").skip(1).filter_map(|rest| rest.split(':').next());
        rejected.extend(lines.map(|line| first + line.parse::<usize>().unwrap() - 1));
    }
    let whole = read(file_of(numbered.into_iter().filter(|(at, _)| !rejected.contains(at))));
    assert_eq!(whole.status, 0, "{}", whole.stderr);
    let document: serde_json::Value = serde_json::from_str(&whole.stdout).unwrap();
    let mut names: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for name in document["waves"].as_array().unwrap().iter().flat_map(|wave| wave.as_array().unwrap()) {
        let name = name.as_str().unwrap();
        let digits: String = name[1..].chars().take_while(char::is_ascii_digit).collect();
        names.entry(digits.parse().unwrap()).or_default().insert(name.to_owned());
    }
    let one = |at| (!rejected.contains(&at)).then(|| names.remove(&at).unwrap_or_default());
    (0..sets.len()).map(one).collect()
}

/// Compares what both read; `is_stricter` says which sets we reject although ClusterShell reads them.
fn compare(sets: &[String], is_stricter: impl Fn(&str) -> bool) {
    let bed = Bed::new();
    let (ours, theirs) = (by_seqfile(&bed, sets), by_clustershell(&bed, sets));
    let mut different = Vec::new();
    for (set, (ours, theirs)) in sets.iter().zip(ours.iter().zip(&theirs)) {
        if ours != theirs && !(ours.is_none() && is_stricter(set)) {
            different.push(format!("{set}\n  we: {ours:?}\n  ClusterShell: {theirs:?}"));
        }
    }
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), sets.len(), different.join("\n"));
}

/// `N` is the stem of the set.
const SETS: &[&str] = &[
    // Order of operators, and commas within one word.
    "N[1-3],N5!N1",
    "N[1-5]!N[2-3],N2",
    "N[1-5]&N[2-7]^N[4-9]",
    "N1!N1",
    "N[1-3]&N9",
    "N[1-3]^N[2-4]^N3",
    "N,Na,Nb!Na",
    "N[1-9]!N[2-8],N5&N[5-9]",
    "N[1-3]!N[1-3],N2",
    "N^N",
    "N1,N1",
    "N[1-5]!N[1-5/2]&N4",
    // Padding: 1, 01 and 001 are three names.
    "N[1,001]",
    "N[001,1]",
    "N[1-3,001-003]",
    "N[08-10]",
    "N[8-010]",
    "N[00-2]",
    "N[0-02]",
    "N[009-11]",
    "N[09-011]",
    "N[9-11]",
    "N[099-101]",
    "N[0099-101]",
    "N[00,0]",
    "N001!N1",
    "N[001-003]!N[1-3]",
    "N[1-3]^N[001-003]",
    "N[1-100]&N[001-100]",
    "N[098-102]!N[98-102]",
    "N[01-10/3]",
    "N[0-2]",
    // Steps.
    "N[3/2]",
    "N[1-3/2]",
    "N[1-10/3,20]",
    "N[1-4/0]",
    "N[1-4/-1]",
    "N[1-4/x]",
    "N[1-4/2/2]",
    "N[1-1/5]",
    "N[/2]",
    // Several numbers, and digits beside a bracket.
    "Na[1-2]b[1-2]c[1-2]",
    "N[1-3]b[1-3]!N2b[1-2]",
    "N[1-3]b[1-3]&N[2-9]b3",
    "N[1-2]b1^N[2-3]b1",
    "N[1-2]-[3-4]",
    "N[1-2].[3-4]x",
    "N[1-4]0[3-4]",
    "N[1-2][3-4]",
    "N[1-2]3-4[5-6]",
    "N[1-3]1",
    "N[9-10]3",
    "N[1-2]03",
    "N[01-02]3",
    "Na1[1-3]",
    "Na1[01-03]",
    "Na1[1-2]x3",
    "Na1[1-2]3",
    "N-1[1-2]",
    "Na0[7-10]",
    "Na0[1-2]",
    "N[1-2]/[1-2]",
    "N%[1-2]",
    // Signs, blanks within brackets, and what is no range.
    "N[-1]",
    "N[-1-2]",
    "N[1--3]",
    "N[ 1 - 3 ]",
    "N[1 -3, 5]",
    "N[]",
    "N[,]",
    "N[1,]",
    "N[,1]",
    "N[1-]",
    "N[a-b]",
    "N[1;3]",
    "N[1.5]",
    "N[3-1]",
    "N[1-3",
    "N1]",
    "N[1-3]]",
    "N[[1-3]]",
    "N[1,1,1]",
    "N[1-3,2-5]",
    "N[1-1]",
    "N{1..3}",
    "N!",
    "N&",
    "N1!!N2",
    "N1!,N2",
    "N1,!N2",
    "N1&&N2",
    "!N1",
    "&N1",
    "^N1",
    "N[1-3]!N[a]",
    "N1-",
    "N1-3",
    "N1-N3",
    // Its numbers are of different lengths behind digits, which no one reads as meant: we reject it.
    "Nprod-1[9-10]",
    "Na1[9,10]",
    "Na1[09-10]",
];

/// A comma, a step or a digit before a bracket was read otherwise than there, without a word.
#[test]
fn each_kind_of_set_is_read_as_clustershell_reads_it_or_rejected() {
    if !real::require(&[Need::Program("cluset")]) {
        return;
    }
    let sets: Vec<String> =
        SETS.iter().enumerate().map(|(at, set)| set.replace('N', &format!("s{at}x"))).collect();
    compare(&sets, |set| ["prod-1[9-10]", "a1[9,10]"].iter().any(|ending| set.ends_with(ending)));
}

fn range(chance: &mut Chance) -> String {
    let width = 1 + chance.below(3);
    let (first, span) = (chance.below(12), chance.below(9));
    match chance.below(6) {
        0 => format!("{first:0width$}"),
        1 => format!("{first:0width$}-{:0width$}/{}", first + span, chance.below(4)),
        _ => format!("{first:0width$}-{:0width$}", first + span),
    }
}

fn bracket(chance: &mut Chance) -> String {
    let ranges: Vec<String> = (0..=chance.below(3)).map(|_| range(chance)).collect();
    format!("[{}]", ranges.join(","))
}

fn operand(chance: &mut Chance, stem: &str) -> String {
    // Mostly nothing beside the stem, so that operands have names in common.
    let mut operand = format!("{stem}{}{}", chance.of(&["", "", "", "", "r1", "0"]), bracket(chance));
    for _ in 0..chance.below(8) / 6 {
        operand.push_str(chance.of(&["-r", "y", "0", "y2"]));
        operand.push_str(&bracket(chance));
    }
    operand + chance.of(&["", "", "", "", "z", "7"])
}

fn set(chance: &mut Chance, stem: &str) -> String {
    let mut set = operand(chance, stem);
    for _ in 0..chance.below(5) {
        set.push_str(chance.of(&[",", ",", "!", "&", "^"]));
        set.push_str(&operand(chance, stem));
    }
    set
}

#[test]
fn generated_sets_are_read_as_clustershell_reads_them() {
    if !real::require(&[Need::Program("cluset")]) {
        return;
    }
    let mut chance = Chance(7);
    let sets: Vec<String> = (0..500).map(|at| set(&mut chance, &format!("s{at}x"))).collect();
    // Digits before a bracket: only where its numbers are of one length do both mean the same.
    compare(&sets, |set| set.contains("r1[") || set.contains("x0[") || set.contains("y2["));
}

/// A group with its operators, each in a file of its own against one inventory.
#[test]
fn groups_in_a_set_mean_what_they_do_to_clustershell() {
    if !real::require(&[Need::Program("cluset")]) {
        return;
    }
    let bed = Bed::new();
    let groups =
        |node: u32| [(1..=3, "io"), (3..=5, "gpu")].map(|(of, name)| of.contains(&node).then_some(name));
    let nodes: Vec<serde_json::Value> = (1..=6)
        .map(|node| serde_json::json!({"name": format!("n{node}"), "groups": groups(node).into_iter().flatten().collect::<Vec<_>>()}))
        .collect();
    bed.write("inventory.json", serde_json::json!({"nodes": nodes}).to_string());
    let sets = [
        "@io",
        "@io!n2",
        "@io,@gpu",
        "@io&@gpu",
        "@io^@gpu",
        "n[1-6]!@io",
        "@io!@gpu,n6",
        "n6,@io&n[2-6]",
        "@io,n[4-6]!@gpu",
        "@io!@io",
        "@gpu^n[1-4]",
        "@gpu,",
        "@io!",
        "@io!!@gpu",
    ]
    .map(str::to_owned);
    let ours = sets.iter().map(|set| {
        let asked = bed.program("seqfile").args(["--read", "-", "-i", "inventory.json", "--json"]);
        let read = asked.stdin(format!("g: {set}\n")).any_stdout().any_stderr().any_status().run();
        let document: Option<serde_json::Value> = serde_json::from_str(&read.stdout).ok();
        document.map(|document| serde_json::from_value(document["groups"][0]["members"].clone()).unwrap())
    });
    let ours: Vec<Read> = ours.collect();
    for (set, (ours, theirs)) in sets.iter().zip(ours.into_iter().zip(by_clustershell(&bed, &sets))) {
        // A comma at the end of a member ends it.
        let theirs = if set == "@gpu," { Some(["n3", "n4", "n5"].map(str::to_owned).into()) } else { theirs };
        assert_eq!(ours, theirs, "{set}");
    }
}

/// Which of several foldings is printed is a matter of taste; who is meant is not.
#[test]
fn what_is_folded_is_read_back_by_clustershell() {
    if !real::require(&[Need::Program("cluset")]) {
        return;
    }
    let bed = Bed::new();
    let mut chance = Chance(8);
    let stems = ["n", "n1", "n001", "r2n", "x-"];
    let names: BTreeSet<String> =
        (0..600).map(|_| format!("{}{}", chance.of(&stems), range(&mut chance).replace('/', "y"))).collect();
    let file = format!("g: {}\n", names.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    let waves = bed.program("seqfile").args(["--read", "-", "--waves"]).stdin(file).any_stdout().run().stdout;
    let folded = waves.lines().last().and_then(|line| line.split_whitespace().last()).unwrap();
    assert!(folded.len() < names.iter().map(String::len).sum(), "{folded}");
    assert_eq!(by_clustershell(&bed, &[folded.to_owned()]), [Some(names)], "{folded}");
}
