//! cstartup and cshutdown --why: the lines because of which one node waits for another.

use super::order::{cluster, mark, power};
use bed::{Bed, Ended};
use serde_json::Value;

fn why(bed: &Bed, program: &str, arguments: &[&str], status: i32) -> Ended {
    let run = bed.program(program).arg("--config").arg(bed.path("etc/cluster.toml")).arg("--why");
    run.args(arguments.iter().copied()).status(status).any_stdout().any_stderr().run()
}

/// What stands before the file's name is the bed's.
fn lines(bed: &Bed, ended: &Ended) -> Vec<String> {
    let root = format!("{}/etc/", bed.root().display());
    ended.stdout.lines().map(|line| line.replace(&root, "")).collect()
}

#[test]
fn the_lines_that_make_a_node_wait_are_named_and_nobody_is_asked() {
    let bed = cluster("");
    let ended = why(&bed, "cstartup", &["n02", "n01"], 0);
    assert_eq!(
        lines(&bed, &ended),
        [
            "n02 waits for n01:",
            "  cstartSeq:1:10: n01 is in servers",
            "  cstartSeq:3:1: servers > clients",
            "  cstartSeq:2:10: n02 is in clients",
        ]
    );
    let ended = why(&bed, "cstartup", &["n01", "n02"], 1);
    assert_eq!(
        lines(&bed, &ended),
        ["nothing makes n01 wait for n02", "it is the other way round: n02 waits for n01 (--why n02 n01)"]
    );
    assert_eq!(lines(&bed, &why(&bed, "cstartup", &["n04", "n01"], 1)), ["nothing makes n04 wait for n01"]);
    assert_eq!(power(&bed), Vec::<String>::new());
}

#[test]
fn the_shortest_chain_is_shown_with_its_thresholds() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02 n03\nc: n04\na > b\nb(1) > c\nd: n04\na > x > d\nx: n03\n");
    let ended = why(&bed, "cstartup", &["n04", "n01"], 0);
    // Through b it would take a member of it as well, because one is enough.
    let through_x = ["1:4: n01 is in a", "7:1: a > x", "7:5: x > d", "6:4: n04 is in d"];
    assert_eq!(lines(&bed, &ended)[1..], through_x.map(|line| format!("  cstartSeq:{line}")));
    let ended = why(&bed, "cstartup", &["n04", "n02"], 0);
    let order = ["  cstartSeq:2:4: n02 is in b", "  cstartSeq:5:1: b(1) > c", "  cstartSeq:3:4: n04 is in c"];
    assert_eq!(lines(&bed, &ended)[1..], order);
}

/// `n04 waits for n02` was said although n03 alone is enough, and a line was there twice.
#[test]
fn across_a_threshold_it_is_said_how_many_are_waited_for() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02 n03\nc: n04\na > b\nb(1) > c\n");
    let head = |leads: &str| lines(&bed, &why(&bed, "cstartup", &["n04", leads], 0))[0].clone();
    assert_eq!(head("n03"), "n04 waits for 1 of n[02-03], n03 among them:");
    // Whichever of n02 and n03 comes, it comes after n01.
    let ended = why(&bed, "cstartup", &["n04", "n01"], 0);
    let chain = [
        "n04 waits for n01:",
        "  cstartSeq:1:4: n01 is in a",
        "  cstartSeq:4:1: a > b",
        "  cstartSeq:2:4: n02 is in b",
        "  cstartSeq:5:1: b(1) > c",
        "  cstartSeq:3:4: n04 is in c",
    ];
    assert_eq!(lines(&bed, &ended), chain);
    let record = why(&bed, "cstartup", &["n04", "n02", "--json"], 0).json();
    let order = &record["chain"][1];
    assert_eq!((order["needed"].as_u64(), order["of"].as_str()), (Some(1), Some("n[02-03]")), "{record}");
    bed.write("etc/cstartSeq", "a: n01\nb: n02 n03\nc: n04\nx: n02\na > x\nb(1) > c\n");
    assert_eq!(head("n01"), "n04 waits for 1 of n[02-03], n02 among them; n02 waits for n01:");
    bed.write("etc/cstartSeq", "b: n02 n03\nc: n04\nb(100%) > c\n");
    assert_eq!(head("n02"), "n04 waits for n02:");
}

/// `-N` was taken, and 2 was looked up as a name.
#[test]
fn nodes_may_be_numbers() {
    let bed = cluster("");
    assert_eq!(lines(&bed, &why(&bed, "cstartup", &["2", "1", "-N"], 0))[0], "n02 waits for n01:");
    let run = bed.program("cstartup").arg("--config").arg(bed.path("etc/cluster.toml"));
    run.args(["--why-not", "1", "-N"]).stdout("n01 is down, and nothing holds it: cstartup n01\n").run();
}

#[test]
fn a_shutdown_explains_its_own_order_and_says_when_that_is_nobodys_file() {
    let bed = cluster("");
    let ended = why(&bed, "cshutdown", &["n01", "n02"], 0);
    let said = lines(&bed, &ended);
    assert_eq!(said[0], "n01 waits for n02:");
    assert!(said[1].contains("default order"), "{said:?}");
    // One file under both names is processed mirrored.
    std::os::unix::fs::symlink("cstartSeq", bed.path("etc/cshutSeq")).unwrap();
    let ended = why(&bed, "cshutdown", &["n01", "n02"], 0);
    let said = lines(&bed, &ended);
    assert!(said[2].ends_with("cshutSeq:3:1: servers > clients (mirrored)"), "{said:?}");
    assert_eq!(why(&bed, "cshutdown", &["n02", "n01"], 1).stdout.lines().count(), 2);
}

#[test]
fn a_unit_is_waited_for_by_the_inventory() {
    let bed = cluster("");
    let text = bed.read("etc/inventory.json").replace("\"boot_server\": 1", "\"power_with\": [\"shelf\"]");
    bed.config("inventory.json", text);
    let ended = why(&bed, "cstartup", &["n02", "shelf"], 0);
    assert_eq!(lines(&bed, &ended), ["n02 waits for shelf:", "  shelf goes before n02 by the inventory"]);
}

#[test]
fn programs_get_the_chain_with_its_places() {
    let bed = cluster("");
    let ended = why(&bed, "cstartup", &["n03", "n01", "--json"], 0);
    let record: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((record["record"].as_str(), record["waits"].as_str()), (Some("why"), Some("n03")));
    let chain = record["chain"].as_array().unwrap();
    assert_eq!((chain[1]["kind"].as_str(), chain[1]["line"].as_u64()), (Some("order"), Some(3)));
    let ended = why(&bed, "cstartup", &["n04", "n01", "--json"], 1);
    let record: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(record["chain"].is_null());
}

#[test]
fn words_that_are_no_single_node_are_usage() {
    let bed = cluster("");
    for (words, part) in [
        (["n02", "n0l"], "--why: "),
        (["n[01-02]", "n03"], "names 2 nodes"),
        (["n02", "n02"], "no node waits for itself"),
    ] {
        let ended = why(&bed, "cstartup", &words, 2);
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    // Nothing else can be wanted with it.
    why(&bed, "cstartup", &["n02", "n01", "ALL"], 2);
}

fn why_not(bed: &Bed, program: &str, node: &str, status: i32) -> Vec<String> {
    let run =
        bed.program(program).arg("--config").arg(bed.path("etc/cluster.toml")).arg("--why-not").arg(node);
    let ended = run.status(status).any_stdout().any_stderr().run();
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn what_holds_a_node_now_is_told_down_to_its_roots() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02\nc: n03\na > b > c\n");
    let lines = why_not(&bed, "cstartup", "n03", 1);
    let all = [
        "n03 is down, and waits until they are up: n[01-02]",
        "  down: n[01-02]",
        "first of all: n01: cstartup n01",
        "all of it, in order: cstartup -E n03",
    ];
    assert_eq!(lines, all);
    mark(&bed, "up", "n01");
    mark(&bed, "on", "n01");
    mark(&bed, "mute", "n02");
    let lines = why_not(&bed, "cstartup", "n03", 1);
    assert_eq!(lines[0], "n03 is down, and waits until it is up: n02");
    assert!(lines[2].starts_with("first of all: n02, which does not answer: "), "{lines:?}");
    assert_eq!(why_not(&bed, "cstartup", "n01", 0), ["n01 is up: nothing holds it"]);
    assert_eq!(power(&bed), Vec::<String>::new());
}

/// Programs were told who holds a node, and not what to type.
#[test]
fn programs_are_told_the_commands_that_people_read_of_what_holds_a_node() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02\nc: n03\nn04: n04\na > b > c\n");
    mark(&bed, "mute", "n04");
    let next = |program: &str, node: &str, status: i32| {
        let text = why_not(&bed, program, node, status).join("\n");
        let run = bed.program(program).arg("--config").arg(bed.path("etc/cluster.toml"));
        let run = run.args(["--json", "--why-not", node]).status(status).any_stdout().any_stderr();
        let next = run.run().json()["next"].as_array().unwrap().clone();
        let key = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        next.iter().for_each(|one| {
            assert!(text.contains(&key(one, "says")) && text.contains(&key(one, "command")), "{one}\n{text}");
        });
        next.iter().map(|one| format!("{} {}", key(one, "reason"), key(one, "command"))).collect::<Vec<_>>()
    };
    assert_eq!(next("cstartup", "n03", 1), ["first_of_all cstartup n01", "in_order cstartup -E n03"]);
    assert_eq!(next("cstartup", "n01", 0), ["unheld cstartup n01"]);
    for kind in ["on", "up"] {
        mark(&bed, kind, "n01");
    }
    assert_eq!(next("cstartup", "n01", 0), Vec::<String>::new(), "it is up");
    bed.write("etc/cstartSeq", "a: n02 n04\nb: n03\na > b\n");
    mark(&bed, "on", "n02");
    let all = ["reset_stuck cstartup --reset-stuck n02", "check cstartup -k n04", "in_order cstartup -E n03"];
    assert_eq!(next("cstartup", "n03", 1), all);
}

/// Enough of a group hold nobody; what a shutdown waits for is what is up.
#[test]
fn a_threshold_that_is_reached_holds_nobody_and_a_stop_waits_for_what_is_up() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01 n04\nb: n02\na(1) > b\n");
    mark(&bed, "on", "n04");
    mark(&bed, "up", "n04");
    assert_eq!(why_not(&bed, "cstartup", "n02", 0), ["n02 is down, and nothing holds it: cstartup n02"]);
    bed.write("etc/cshutSeq", "b: n02\na: n04\nb > a\n");
    assert_eq!(why_not(&bed, "cshutdown", "n04", 0), ["n04 is up, and nothing holds it: cshutdown n04"]);
    mark(&bed, "on", "n02");
    mark(&bed, "up", "n02");
    let lines = why_not(&bed, "cshutdown", "n04", 1);
    assert_eq!(lines[2], "first of all: n02: cshutdown n02", "{lines:?}");
}

/// All of the group were said to be waited for.
#[test]
fn where_some_of_a_group_are_enough_it_is_said_how_many_are_lacking() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nboot: n02 n03\nrack1: n04\na > boot\nboot(50%) > rack1\n");
    let all = [
        "n04 is down, and waits until it is up: n01; for 1 of n[02-03] (boot(50%) > rack1; 0 up)",
        "  down: n[01-03]",
        "first of all: n01: cstartup n01",
        "all of it, in order: cstartup -E n04",
    ];
    assert_eq!(why_not(&bed, "cstartup", "n04", 1), all);
    for kind in ["on", "up"] {
        mark(&bed, kind, "n01");
    }
    let lines = why_not(&bed, "cstartup", "n04", 1);
    assert_eq!(lines[0], "n04 is down, and waits for 1 of n[02-03] (boot(50%) > rack1; 0 up)");
    let run = bed.program("cstartup").arg("--config").arg(bed.path("etc/cluster.toml"));
    let record = run.args(["--why-not", "n04", "--json"]).status(1).any_stdout().any_stderr().run().json();
    let short = &record["thresholds"][0];
    assert_eq!((short["needed"].as_u64(), short["of"].as_str()), (Some(1), Some("n[02-03]")), "{record}");
    assert_eq!((short["up"].as_u64(), short["says"].as_str()), (Some(0), Some("boot(50%) > rack1")));
}

/// What was proposed was refused as long as the run was at it, and would have reset what it waits for.
#[test]
fn amid_a_run_that_run_is_named_first_and_what_is_proposed_waits_for_it() {
    let bed = cluster("");
    mark(&bed, "dead", "n01");
    let running = bed.program("cstartup").args(["n01"]).status(143).any_stderr().spawn();
    running.wait_for_stderr("n01: powering on");
    bed::wait_until("n01 is on", || bed.path("on/n01").exists());
    let lines = why_not(&bed, "cstartup", "n02", 1);
    assert_eq!(lines[0], "n02 is down, and waits until it is up: n01");
    assert!(lines[2].starts_with("a run acts on them now: process "), "{lines:?}");
    assert_eq!(
        lines[3..],
        [
            "first of all: n01, on but not up: wait for that run",
            "all of it, in order: cstartup --wait -E n02"
        ]
    );
    let run = bed.program("cstartup").arg("--config").arg(bed.path("etc/cluster.toml"));
    let record = run.args(["--why-not", "n02", "--json"]).status(1).any_stdout().any_stderr().run().json();
    assert_eq!(record["runs"][0]["targets"].as_str(), Some("n01"), "{record}");
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.end();
}
