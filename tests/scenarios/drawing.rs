//! seqfile: what it wrote itself has not drifted, graphs hang together, and files of one's own in every shape.

use super::order::{cluster, cstartup, power};
use super::seqfile::INVENTORY;
use bed::{Bed, Need, real};
use std::collections::{BTreeMap, BTreeSet};

fn bed() -> Bed {
    let bed = Bed::new();
    bed.config("inventory.json", INVENTORY);
    bed
}

/// A node without servers and clients was in no group of what seqfile wrote, and --drift said so (status 1).
#[test]
fn what_seqfile_just_wrote_has_not_drifted() {
    let bed = bed();
    for flags in [
        &[][..],
        &["--fold"],
        &["--shutdown"],
        &["--compact"],
        &["--shutdown", "--compact", "--fold"],
        &["--relation", "nfs"],
    ] {
        bed.program("seqfile").args(flags).args(["-o", "fresh"]).run();
        let same: Vec<&&str> =
            flags.iter().filter(|flag| !matches!(**flag, "--fold" | "--compact")).collect();
        bed.program("seqfile").args(["--drift", "fresh"]).args(same).run();
    }
    bed.program("seqfile").args(["-o", "fresh"]).run();
    bed.config(
        "inventory.json",
        INVENTORY.replace("{\"name\": \"login\"}", "{\"name\": \"login\"}, {\"name\": \"new\"}"),
    );
    bed.program("seqfile").args(["--drift", "fresh"]).status(1).stdout("fresh: in no group: new\n").run();
}

/// The arrows and lines of a graph, with what they are labelled with.
fn arrows(dot: &str) -> Vec<(String, String, String)> {
    let arrow = |line: &str| {
        let (from, rest) = line.trim().split_once(" -> ")?;
        let (to, rest) = rest.split_once(" [").unwrap_or((rest, ""));
        Some((from.to_owned(), to.to_owned(), rest.to_owned()))
    };
    dot.lines().filter_map(arrow).collect()
}

/// Returns how many islands the groups of a graph fall into.
fn islands(dot: &str) -> usize {
    let arrows = arrows(dot);
    let mut island: BTreeMap<&str, usize> = BTreeMap::new();
    for (from, to, _) in &arrows {
        let next = island.len();
        let one = *island.entry(from).or_insert(next);
        let next = island.len();
        let other = *island.entry(to).or_insert(next);
        island.values_mut().filter(|at| **at == other).for_each(|at| *at = one);
    }
    island.values().collect::<BTreeSet<_>>().len()
}

/// The groups of two levels of servers were two islands, and an order that was stated twice was two arrows.
#[test]
fn a_graph_has_no_islands_and_no_arrow_twice() {
    let bed = bed();
    let dot = |args: &[&str]| bed.program("seqfile").args(args).any_stdout().run().stdout;
    for (flags, link) in [
        (&["--dot"][..], "\"clients_n01\" -> \"server_n02\" [label = \"n02\", style = dashed, dir = none]"),
        (
            &["--dot", "--shutdown"],
            "\"server_n02\" -> \"clients_n01\" [label = \"n02\", style = dashed, dir = none]",
        ),
        (
            &["--dot", "--compact"],
            "\"clients\" -> \"servers2\" [label = \"n02\", style = dashed, dir = none]",
        ),
    ] {
        let text = dot(flags);
        assert!(text.contains(link), "{text}");
        assert_eq!(islands(&text), 1, "{text}");
    }
    bed.write("twice", "a: n01\nb: n02\nc: n02 n03\na > b\na > b, c\na > b\n");
    let text = dot(&["--read", "twice", "--dot"]);
    let found = arrows(&text);
    let pairs: BTreeSet<(&str, &str)> =
        found.iter().map(|(from, to, _)| (from.as_str(), to.as_str())).collect();
    assert_eq!((pairs.len(), found.len()), (3, 3), "{text}");
}

/// Real Graphviz; without it what to install is named.
#[test]
fn a_graph_is_drawn_where_graphviz_is_installed() {
    let bed = bed();
    bed.write("own", "mds: n01 n02\nclients: n03\nmds(1) > clients\n");
    let without = bed.program("seqfile").args(["--read", "own", "--svg"]).status(1).any_stderr().run();
    assert!(without.stderr.contains("--svg needs the program dot (Debian: graphviz)"), "{}", without.stderr);
    if !real::require(&[Need::Program("dot"), Need::Program("xmllint")]) {
        return;
    }
    bed.tools(&["dot", "xmllint"]);
    bed.program("seqfile").args(["--read", "own", "--svg", "-o", "own.svg"]).run();
    bed.shell("xmllint --noout --nonet own.svg").run();
    let svg = bed.read("own.svg");
    for part in [">mds<", ">clients<", ">(1)<", "prefers-color-scheme:dark"] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    // It stood on white in every browser, and named another document.
    assert!(!svg.contains("DOCTYPE") && !svg.contains("fill=\"white\""), "{svg}");
    bed.write("round", "a: n01 n02\nb: n03\nc: n02\nd: n04\na > b > c\nd > a\n");
    bed.program("seqfile").args(["--read", "round", "--svg", "-o", "round.svg"]).status(3).any_stderr().run();
    assert_eq!(bed.read("round.svg").matches("edge cycle").count(), 3, "{}", bed.read("round.svg"));
}

/// A file with a cycle could not be drawn at all.
#[test]
fn a_cycle_is_drawn_red() {
    let bed = bed();
    bed.write("round", "a: n01\nb: n02\nc: n03\na > b\nb > a\na > c\n");
    let ended =
        bed.program("seqfile").args(["--read", "round", "--dot"]).status(3).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("cycle: a > b > a"), "{}", ended.stderr);
    let red: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("color = red")).collect();
    assert_eq!(red.len(), 2, "{}", ended.stdout);
    assert!(ended.stdout.contains("\"a\" -> \"c\"\n"), "{}", ended.stdout);
    // Where more is wrong there is nothing to draw.
    bed.write("worse", "a: n01\na > b\nb > a\n");
    bed.program("seqfile").args(["--read", "worse", "--dot"]).status(3).any_stderr().run();
}

/// A file of one's own could only be drawn turned round.
#[test]
fn a_file_of_ones_own_is_written_in_every_shape_as_it_stands() {
    let bed = bed();
    let own = "# by hand\nio: @io n01 # all\nrest: 4\nio > rest\n";
    bed.write("own", own);
    let read =
        |args: &[&str]| bed.program("seqfile").args(["--read", "own"]).args(args).any_stdout().run().stdout;
    let known = ["-i", "etc/inventory.json"];
    assert_eq!(read(&known), "io: n03 n02 n01\nrest: n04\nio > rest\n");
    assert_eq!(read(&[]), "io: @io n01\nrest: 4\nio > rest\n", "nothing is looked up without an inventory");
    assert!(read(&["--dot", known[0], known[1]]).contains("\"io\" [label = \"io\\nn[01-03]\"]"));
    let json: serde_json::Value = serde_json::from_str(&read(&["--json", known[0], known[1]])).unwrap();
    assert_eq!(json["edges"], serde_json::json!([{"before": "io", "after": "rest"}]));
    assert_eq!(json["waves"][1], serde_json::json!(["n04"]));
    assert!(read(&["--waves", known[0], known[1]]).ends_with("   2        1  n04\n"));
    bed.program("seqfile")
        .args(["--read", "-", "--fold", "-o", "-"])
        .stdin("g: n1 n2\n")
        .stdout("g: n[1-2]\n")
        .run();
    bed.write("subsystems", "first: /a/b\nthen: /c\nfirst > then\n");
    bed.program("seqfile")
        .args(["--read", "subsystems"])
        .stdout("first: /a/b\nthen: /c\nfirst > then\n")
        .run();
    bed.write("wrong", "io: n09\n");
    bed.program("seqfile")
        .args(["--read", "wrong", "-i", "etc/inventory.json", "-o", "new"])
        .status(3)
        .stderr_contains("wrong:1:5: no node named \"n09\"")
        .run();
    assert!(!bed.path("new").exists());
}

/// `@io` was no target, was not excluded and did not fail: "no node group named".
#[test]
fn a_group_of_the_inventory_stands_wherever_a_node_set_may() {
    let bed = cluster("");
    cstartup(&bed, &["@io"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01"]);

    let bed = cluster("");
    cstartup(&bed, &["-x", "@io", "n01,n04"], 0);
    assert_eq!(power(&bed), ["on n04", "up n04"]);

    let bed = cluster("");
    bed.write("names", "n04,n01!@io\n");
    cstartup(&bed, &["-R", "names"], 0);
    assert_eq!(power(&bed), ["on n04", "up n04"]);

    let bed = cluster("");
    let ended = cstartup(&bed, &["--rehearse", "--fail", "@io", "ALL"], 1);
    assert!(ended.stderr.contains("held by n01"), "{}", ended.stderr);

    for (words, status) in [(&["@oi"][..], 2), (&["-x", "n04!@oi", "n01"], 2), (&["-R", "wrong"], 3)] {
        let bed = cluster("");
        bed.write("wrong", "n01\nn04,@oi\n");
        let ended = cstartup(&bed, words, status);
        assert!(ended.stderr.contains("the inventory has no node group \"oi\""), "{}", ended.stderr);
        assert!(ended.stderr.contains("did you mean \"io\"?"), "{}", ended.stderr);
    }
    let ended = cstartup(&cluster(""), &["io"], 2);
    assert!(ended.stderr.contains("it is a node group; write @io, or use -g"), "{}", ended.stderr);
}
