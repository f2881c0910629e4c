//! seqfile: what it writes, what it refuses, and that both ends of a pipe are treated well.

use bed::binaries::workspace;
use bed::{Bed, pipeline};
use std::os::unix::fs::PermissionsExt;

/// Two levels of servers, and a node that nobody serves.
pub(super) const INVENTORY: &str = r#"{"format": "orderly-inventory/1", "nodes": [
    {"name": "n04", "number": 4, "boot_server": 2, "nfs": "n03"},
    {"name": "n03", "number": 3, "boot_server": "n01", "groups": ["io"]},
    {"name": "n02", "number": 2, "boot_server": 1, "groups": ["io"]},
    {"name": "n01", "number": 1, "boot_server": 0},
    {"name": "login"}]}"#;

pub(super) const DEFAULT: &str = "server_n01: n01\nclients_n01: n02 n03\nserver_n02: n02\nclients_n02: n04\nothers: login\n\
    server_n01 > clients_n01\nserver_n02 > clients_n02\n";

fn bed() -> Bed {
    let bed = Bed::new();
    bed.config("inventory.json", INVENTORY);
    bed
}

#[test]
fn the_default_sequence_is_written_and_checks_clean() {
    let bed = bed();
    bed.program("seqfile").stdout(DEFAULT).run();
    bed.program("seqfile").args(["-b", "-i", "-"]).stdin(INVENTORY).stdout(DEFAULT).run();
    bed.write("s", DEFAULT);
    bed.program("seqfile").args(["--check", "s", "-i", "etc/inventory.json"]).run();
    bed.program("seqfile").args(["--check", "s"]).run();
}

#[test]
fn every_shape_is_written() {
    let bed = bed();
    let shape = |flags: &[&str]| bed.program("seqfile").args(flags).any_stdout().run().stdout;
    assert_eq!(
        shape(&["--shutdown", "--compact", "--fold"]),
        "servers: n01\nclients: n[02-03]\nservers2: n02\nclients2: n04\nothers: login\nclients > servers\nclients2 > servers2\n"
    );
    assert_eq!(
        shape(&["--waves"]),
        "wave    count  nodes\n   1        2  login,n01\n   2        2  n[02-03]\n   3        1  n04\n"
    );
    assert!(shape(&["--relation", "nfs"]).contains("server_n03: n03\nclients_n03: n04\n"));
    let dot = shape(&["--dot"]);
    assert!(dot.contains("\"server_n01\" -> \"clients_n01\""), "{dot}");
    let text = shape(&["--json"]);
    assert!(text.starts_with("{\n  \"format\": \"orderly-sequence/1\""), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["waves"][2], serde_json::json!(["n04"]));
}

/// The waves of the JSON document came as the inventory listed the nodes.
#[test]
fn a_shuffled_inventory_gives_the_same_bytes_in_every_shape() {
    let bed = bed();
    let mut inventory: serde_json::Value = serde_json::from_str(INVENTORY).unwrap();
    let shapes: [&[&str]; 7] =
        [&[], &["--fold"], &["--compact"], &["--shutdown"], &["--json"], &["--json", "--fold"], &["--dot"]];
    for shape in shapes.into_iter().chain([&["--waves"][..]]) {
        let write =
            |name: &str| bed.program("seqfile").args(shape).args(["-i", name]).any_stdout().run().stdout;
        let first = write("etc/inventory.json");
        for turn in 1..5 {
            inventory["nodes"].as_array_mut().unwrap().rotate_left(turn);
            inventory["nodes"].as_array_mut().unwrap().swap(0, 2);
            bed.write("turned.json", inventory.to_string());
            assert_eq!(write("turned.json"), first, "{shape:?}");
        }
    }
}

#[test]
fn json_goes_round_through_a_pipe() {
    let bed = bed();
    let to_json = bed.program("seqfile").arg("--json").any_stdout();
    let back = bed.program("seqfile").args(["--from-json", "-"]).stdout(DEFAULT);
    pipeline([to_json, back]);
    let text = r#"{"format": "orderly-sequence/2", "grups": [], "groups": [{"name": "a b", "members": ["x > y", 7]}]}"#;
    bed.program("seqfile")
        .args(["--from-json", "-"])
        .stdin(text)
        .status(3)
        .stderr_contains("standard input:1:12: the format must be \"orderly-sequence/1\"")
        .stderr_contains("did you mean \"groups\"?")
        .stderr_contains("a name cannot contain a blank")
        .stderr_contains("a member must be a name")
        .run();
}

#[test]
fn a_reversed_file_keeps_its_comments_and_reversed_again_is_itself() {
    let bed = bed();
    let text = "# mine\na: n01 # first\nb: n[02-03]\na > \\\n b, c > d # why\nc:\nd:\n";
    bed.write("s", text);
    let turned = "# mine\na: n01 # first\nb: n[02-03]\nd > b, c > a # why\nc:\nd:\n";
    bed.program("seqfile").args(["--reverse", "s"]).stdout(turned).run();
    bed.write("t", turned);
    bed.program("seqfile").args(["--reverse", "t"]).stdout(text.replace("\\\n ", "")).run();
}

#[test]
fn all_errors_of_all_files_come_at_once_and_nothing_on_stdout() {
    let bed = bed();
    bed.write("one", "a: n01 n99\nb: n0l\na > c\n");
    bed.write("two", "x: n01\ny: n02\nx > y\ny > x\n");
    bed.program("seqfile")
        .args(["--check", "one", "two", "three", "-i", "etc/inventory.json"])
        .status(3)
        .stderr_contains("one:1:8: no node named \"n99\"")
        .stderr_contains("one:2:4: no node named \"n0l\"")
        .stderr_contains("hint: did you mean \"n01\"?")
        .stderr_contains("one:3:5: no group named \"c\"")
        .stderr_contains("two:3:1: cycle: x > y > x")
        .stderr_contains("two:4:1: y > x")
        .stderr_contains("read three: No such file or directory")
        .run();
}

#[test]
fn orders_against_the_boot_servers_are_warned_of_and_allowed() {
    let bed = bed();
    bed.write("cstartSeq", "a: n02\nb: n01\na > b\n");
    bed.program("seqfile")
        .args(["--check", "cstartSeq", "-i", "etc/inventory.json"])
        .stderr_contains(
            "warning: cstartSeq:3:1: \"a > b\" contradicts the inventory; n01 is needed before n02",
        )
        .run();
}

#[test]
fn drift_is_told_and_ends_with_1() {
    let bed = bed();
    bed.write("s", "a: n01 n05\nb: n[02-03]\nb > a\n");
    bed.program("seqfile")
        .args(["--drift", "s"])
        .status(1)
        .stdout_contains("s:1:8: no node named \"n05\"")
        .stdout_contains("s:3:1: \"b > a\" contradicts the inventory")
        .stdout_contains("s: in no group: login,n04\n")
        .run();
    bed.write("s", "a: n01 login\nb: n[02-04]\na > b\n");
    bed.program("seqfile").args(["--drift", "s"]).run();
}

#[test]
fn a_replaced_file_stays_the_link_it_was() {
    let bed = bed();
    bed.write("cstartSeq", "old: n01\n");
    std::os::unix::fs::symlink("cstartSeq", bed.path("cshutSeq")).unwrap();
    bed.program("seqfile").args(["-o", "cshutSeq"]).run();
    assert!(bed.path("cshutSeq").is_symlink());
    assert_eq!(bed.read("cstartSeq"), DEFAULT);
    std::fs::hard_link(bed.path("cstartSeq"), bed.path("hard")).unwrap();
    bed.program("seqfile").args(["-o", "hard"]).status(4).stderr_contains("2 names (hard links)").run();
    bed.program("seqfile").args(["-o", "new"]).run();
    assert_eq!(std::fs::metadata(bed.path("new")).unwrap().permissions().mode() & 0o777, 0o644);
    bed.program("seqfile").args(["-o", "no/such/folder"]).status(1).stderr_contains("no/such/folder").run();
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let bed = bed();
    let nodes: Vec<String> =
        (0..50_000).map(|n| format!("{{\"name\":\"n{n}\",\"boot_server\":\"s\"}}")).collect();
    bed.config("inventory.json", format!("{{\"nodes\":[{{\"name\":\"s\"}},{}]}}", nodes.join(",")));
    bed.tool("true");
    bed.shell("(seqfile; echo $? >status) | true").run();
    assert_eq!(bed.read("status"), "0\n");
    bed.shell("seqfile >/dev/full")
        .status(1)
        .stderr_contains("write to standard output: No space left")
        .run();
}

#[test]
fn flags_that_would_do_nothing_are_usage_errors() {
    let bed = bed();
    bed.write("s", DEFAULT);
    for flags in [
        &["--check", "s", "--compact"][..],
        &["--check", "s", "--json"],
        &["--check", "s", "--drift", "s"],
        &["--reverse", "s", "--fold"],
        &["--json", "--dot"],
        &["--from", "csv"],
        &["--relation", "nsf"],
        &["--check"],
        &["s"],
    ] {
        bed.program("seqfile").args(flags).status(2).any_stderr().run();
    }
    bed.program("seqfile")
        .args(["--relation", "nsf"])
        .status(2)
        .stderr_contains("did you mean \"nfs\"?")
        .run();
}

/// Read a second time standard input is empty, and an empty sequence checks clean.
#[test]
fn standard_input_is_never_read_twice() {
    let bed = bed();
    for flags in [&["--check", "-", "-i", "-"][..], &["--check", "-", "-"], &["--drift", "-", "-i", "-"]] {
        bed.program("seqfile").args(flags).stdin(INVENTORY).status(2).stderr_contains("only once").run();
    }
    let by_environment = bed.program("seqfile").args(["--check", "-"]).env("ORDERLY_INVENTORY", "-");
    by_environment.stdin(INVENTORY).status(2).stderr_contains("only once").run();
}

#[test]
fn a_dash_as_the_output_is_standard_output_and_no_file() {
    let bed = bed();
    bed.program("seqfile").args(["-o", "-"]).stdout(DEFAULT).run();
    assert!(!bed.path("-").exists());
}

/// `a!b` folded to itself was then expanded as a difference, and `a` was written instead of it.
#[test]
fn names_with_signs_of_node_sets_stay_themselves() {
    let bed = Bed::new();
    let names = ["n1", "n2", "a", "a@io", "-", "/x", "ünï", "節点1", "a=b;"];
    let nodes: Vec<String> =
        names.iter().map(|name| format!("{{\"name\": \"{name}\", \"boot_server\": \"s\"}}")).collect();
    bed.config("inventory.json", format!("{{\"nodes\": [{{\"name\": \"s\"}}, {}]}}", nodes.join(",")));
    let waves = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        json["waves"].clone()
    };
    let plain = bed.program("seqfile").arg("--json").any_stdout().run().stdout;
    let folded = bed.program("seqfile").args(["--json", "--fold"]).any_stdout().run().stdout;
    let back = ["--from-json", "-", "--json", "-i", "etc/inventory.json"];
    for text in [&plain, &folded] {
        let again = bed.program("seqfile").args(back).stdin(text).any_stdout().run().stdout;
        assert_eq!(waves(&again), waves(&plain), "{text}");
    }
    for flags in [&[][..], &["--fold"]] {
        let text = bed.program("seqfile").args(flags).any_stdout().run().stdout;
        bed.write("s", text);
        bed.program("seqfile").args(["--check", "s", "-i", "etc/inventory.json"]).run();
    }
}

#[test]
fn a_file_of_another_system_is_read_and_mirrored() {
    let bed = bed();
    let text = "\u{feff}# mine\r\na:\tn01\\\r\n\t,n[02,\t3]\r\nb: n04\r\na>b # why\r\n";
    bed.write("s", text.replace("3]", "03]"));
    bed.program("seqfile").args(["--check", "s", "-i", "etc/inventory.json"]).run();
    bed.program("seqfile").args(["--reverse", "s"]).any_stdout().stdout_contains("\r\nb > a # why\r\n").run();
    // Two files put together: the second mark stands within a name, where nobody sees it.
    bed.write("two", "a: n01\n\u{feff}b: n02\na > b\n");
    bed.program("seqfile")
        .args(["--check", "two"])
        .status(3)
        .stderr_contains("two:2:1: a name cannot contain \"\\u{feff}\"")
        .any_stderr()
        .run();
}

#[test]
fn a_cycle_underlines_the_group_and_not_the_comma_behind_it() {
    let bed = bed();
    for (order, under) in [("a, b > b", "   ^"), ("b > c, b", "^")] {
        bed.write("s", format!("a: n01\nb: n02\nc: n03\n{order}\n"));
        let said = bed.program("seqfile").args(["--check", "s"]).status(3).any_stderr().run().stderr;
        let line = format!("seqfile:   | {}\nseqfile:   | {under}\n", order.lines().next().unwrap());
        assert!(said.contains(&line), "{said}");
    }
}

#[test]
fn a_hundred_thousand_nodes_are_linted_drawn_folded_and_planned() {
    let bed = Bed::new();
    let node = |n: usize| match n {
        0..10 => format!("{{\"name\": \"io{n}\"}}"),
        10..1000 => format!("{{\"name\": \"b{n}\", \"boot_server\": \"io{}\"}}", n % 10),
        _ => format!("{{\"name\": \"n{n:06}\", \"boot_server\": \"b{}\"}}", 10 + n % 990),
    };
    let nodes: Vec<String> = (0..100_000).map(node).collect();
    bed.config("inventory.json", format!("{{\"nodes\": [{}]}}", nodes.join(",\n")));
    bed.program("seqfile").args(["--fold", "-o", "s"]).run();
    bed.program("seqfile").args(["--check", "s", "-i", "etc/inventory.json"]).run();
    bed.program("seqfile").args(["--drift", "s"]).run();
    let waves = bed.program("seqfile").arg("--waves").any_stdout().run().stdout;
    let counts: Vec<&str> = waves.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(counts, ["10", "990", "99000"]);
    assert!(waves.contains("n[001000-099999]\n"), "the last wave is one range");
    let dot = bed.program("seqfile").arg("--dot").any_stdout().run().stdout;
    assert_eq!(dot.lines().filter(|line| line.contains(" -> ") && !line.contains("dashed")).count(), 1000);
}

#[test]
fn an_inventory_that_is_missing_or_wrong_is_rejected() {
    let bed = bed();
    bed.program("seqfile").args(["-i", "none"]).status(3).stderr_contains("read none").run();
    bed.write("bad", "{\"nodes\": [{\"name\": \"a\", \"boot_server\": \"b\"},,]}");
    bed.program("seqfile").args(["-i", "bad"]).status(3).stderr_contains("bad:1:46: not JSON").run();
    bed.write("doubt", r#"{"nodes": [{"name": "a", "boot_sever": "b"}]}"#);
    bed.program("seqfile")
        .args(["-i", "doubt"])
        .stdout("others: a\n")
        .stderr_contains("did you mean \"boot_server\"?")
        .run();
}

#[test]
fn the_examples_are_right() {
    let bed = Bed::new();
    let example = |name: &str| workspace().join("examples").join(name);
    for name in ["cstartSeq", "cshutSeq", "subsysSeq"] {
        let inventory = example("inventory.json");
        bed.program("seqfile").arg("--check").arg(example(name)).arg("-i").arg(inventory).run();
    }
}

/// Of xCAT, and of Ansible's group variables, a server that was none of the nodes was left out in silence.
#[test]
fn a_server_that_is_no_node_is_rejected_unless_it_is_outside() {
    let bed = Bed::new();
    let formats = [
        ("json", r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1", "boot_server": "SERVER"}]}"#),
        ("genders", "n1 boot_server=SERVER\n"),
        (
            "ansible",
            r#"{"_meta": {"hostvars": {"n1": {"boot_server": "SERVER"}}}, "all": {"hosts": ["n1"]}}"#,
        ),
        (
            "ansible",
            r#"{"_meta": {"hostvars": {}}, "g": {"hosts": ["n1"], "vars": {"boot_server": "SERVER"}}}"#,
        ),
        ("warewulf", r#"{"n1": {"tags": {"boot_server": "SERVER"}}}"#),
        ("xcat", "n1:\n  objtype=node\n  xcatmaster=SERVER\n"),
        ("xcat", "n1:\n  objtype=node\n  servicenode=SERVER\n"),
    ];
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for (format, text) in formats {
        let seqfile = |server: &str| {
            bed.write("inventory", text.replace("SERVER", server));
            bed.program("seqfile").args(["-i", "inventory", "--from", format])
        };
        let said = seqfile("nas1").status(3).stderr_contains("no node named \"nas1\"").run().stderr;
        let line = if format == "xcat" { "inventory:3:" } else { "inventory:1:" };
        assert!(said.contains(line) && said.contains("outside of cluster.toml"), "{format}: {said}");
        seqfile("nas1").args(["--outside", "nas[1-2]"]).stdout("others: n1\n").run();
        seqfile("nas1.example.org").args(["--outside", "nas1"]).stdout("others: n1\n").run();
        seqfile("10.9.8.7").args(["--outside", "10.9.8.7"]).stdout("others: n1\n").run();
        seqfile("10.9.8.7").status(3).stderr_contains("10.9.8.7").run();
        for here in ["localhost", "127.0.0.1", host.trim()] {
            seqfile(here).stdout("others: n1\n").run();
        }
    }
    bed.write("inventory", "n1 nfs=nas1\nn2 boot_server\n");
    let seqfile =
        || bed.program("seqfile").args(["-i", "inventory", "--from", "genders", "--relation", "nfs"]);
    seqfile().status(3).stderr_contains("inventory:2:4: \"boot_server\" names no server").run();
    bed.write("inventory", "n1 nfs=nas1\n");
    seqfile().status(3).stderr_contains("n1: nfs: no node named \"nas1\"").run();
    seqfile().args(["--outside", "nas1"]).stdout("others: n1\n").run();
    seqfile()
        .args(["--outside", "nas[1"])
        .status(2)
        .stderr_contains("--outside \"nas[1\" is no node set")
        .run();
}

/// Without an inventory `001` became `1`, which is another node where one has that number, and `a!b` became `a`.
#[test]
fn words_stay_as_they_are_written_where_nobody_looks_them_up() {
    let bed = Bed::new();
    let words =
        "001 7 n[03-01]x 5-06 007-009 n[1-3],n5!n1 a!b a&b,c x@io @io n[1,2]".replace("03-01", "01-03");
    let text = format!("a: {words}\nb: y 0002\na > b\n");
    bed.write("s", &text);
    let seqfile = |flags: &[&str]| bed.program("seqfile").args(flags).any_stdout();
    let json = seqfile(&["--reverse", "s", "--json"]).run().stdout;
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let members: Vec<&str> = document["groups"][0]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(members.join(" "), words);
    let mirrored = text.replace("a > b", "b > a");
    assert_eq!(seqfile(&["--from-json", "-"]).stdin(&json).run().stdout, mirrored);
    let again = seqfile(&["--from-json", "-", "--json"]).stdin(&json).run().stdout;
    assert_eq!(again, json);
    let folded = seqfile(&["--from-json", "-", "--fold"]).stdin(&json).run().stdout;
    for word in ["n[1-3],n5!n1", "a!b", "a&b,c", "x@io", "@io", "001", "b: 0002 y\n"] {
        assert!(folded.contains(word), "{word} in {folded}");
    }
}

#[test]
fn a_number_in_a_document_is_a_whole_one() {
    let bed = Bed::new();
    for (enough, part) in [
        ("2.0", "must be a whole number of nodes (2, not 2.0)"),
        ("-1", "must be a whole number of nodes"),
        ("[]", "must be a whole number of nodes"),
        ("99999999999", "the number is too large"),
        ("0", "a threshold of 0 makes nothing wait"),
    ] {
        let edge = format!(r#"{{"before": "a", "after": "b", "enough": {enough}}}"#);
        let groups = r#"[{"name": "a", "members": ["n1", "n2"]}, {"name": "b", "members": ["n3"]}]"#;
        let document =
            format!(r#"{{"format": "orderly-sequence/1", "groups": {groups}, "edges": [{edge}]}}"#);
        bed.write("document", document);
        let said =
            bed.program("seqfile").args(["--from-json", "document"]).status(3).any_stderr().run().stderr;
        assert!(said.contains(part), "{enough}: {said}");
    }
}

/// Its name alone said what it is for, and a file on its way to /etc has another.
#[test]
fn a_file_of_any_name_is_checked_as_an_order_of_shutdown_where_that_is_said() {
    let bed = Bed::new();
    let text = "mds: n[01-03]\nclients: n04\nclients(1) > mds\n";
    let tonight = bed.write("tonight", text).display().to_string();
    bed.program("seqfile").args(["--check", &tonight]).run();
    let check = bed.program("seqfile").args(["--check", &tonight, "--shutdown"]).status(3).any_stderr().run();
    assert!(check.stderr.contains("tonight:3:8: how many are enough is said in a start"), "{}", check.stderr);
    let inventory = bed.path("etc/inventory.json").display().to_string();
    bed.write("tonight", "a: n01\nb: n02\na > b\n");
    bed.config("inventory.json", r#"{"nodes": [{"name": "n01"}, {"name": "n02", "boot_server": "n01"}]}"#);
    let check = |flags: &[&str]| {
        let program = bed.program("seqfile").args(["--check", &tonight, "-i", &inventory]).args(flags);
        program.any_stderr().run().stderr
    };
    assert!(check(&["--shutdown"]).contains("warning"), "clients stop before their servers");
    assert_eq!(check(&[]), "");
}
