//! cstartup: a sequence that would be violated is refused as a whole, with the ways out.

use super::order::{cluster, cstartup, mark, power};
use bed::{Bed, Ended};

fn assert_refused(bed: &Bed, arguments: &[&str], parts: &[&str]) -> Ended {
    let ended = cstartup(bed, arguments, 4);
    for part in parts {
        assert!(ended.stderr.contains(part), "no \"{part}\" in\n{}", ended.stderr);
    }
    assert_eq!(power(bed), Vec::<String>::new(), "nothing is touched");
    ended
}

#[test]
fn a_client_is_not_started_while_its_server_is_down() {
    let bed = cluster("");
    for flags in [vec!["n02"], vec!["-k", "n02"]] {
        assert_refused(
            &bed,
            &flags,
            &[
                "n01 is down and not a target, and n02 needs it up",
                "cstartSeq:3:1: servers > clients",
                "cstartup -E",
                "cstartup -X",
            ],
        );
    }
}

#[test]
fn the_remedies_are_commands_that_work() {
    let bed = cluster("");
    cstartup(&bed, &["-E", "n02"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01", "on n02", "up n02"]);

    let bed = cluster("");
    cstartup(&bed, &["-X", "n02"], 0);
    assert_eq!(power(&bed), ["on n02", "up n02"]);

    let bed = cluster("");
    let ended = assert_refused(&bed, &["n02", "n04"], &["cstartup -x n02 n02 n04"]);
    assert!(ended.stdout.is_empty());
    cstartup(&bed, &["-x", "n02", "n02", "n04"], 0);
    assert_eq!(power(&bed), ["on n04", "up n04"]);
}

#[test]
fn a_server_whose_state_is_unknown_is_not_up() {
    let bed = cluster("");
    mark(&bed, "mute", "n01");
    assert_refused(&bed, &["n02"], &["n01 is unknown and not a target"]);
}

#[test]
fn a_client_that_outran_its_server_is_refused_ignored_or_reset() {
    let bed = cluster("");
    mark(&bed, "up", "n02");
    assert_refused(&bed, &["n[01-02]"], &["n01 is down, and n02, which must follow it, runs", "-z", "-S"]);
    cstartup(&bed, &["-S", "n[01-02]"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01"]);

    let bed = cluster("");
    mark(&bed, "up", "n02");
    mark(&bed, "up", "n04");
    cstartup(&bed, &["-z", "n[01-02,04]"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01", "reset n02"], "only what that cures");

    let bed = cluster("");
    mark(&bed, "up", "n01");
    mark(&bed, "up", "n02");
    cstartup(&bed, &["-Z", "n[01-02]"], 0);
    assert_eq!(power(&bed), ["reset n01", "reset n02"], "all, in order");
}

#[test]
fn partitions_are_not_crossed_without_being_asked() {
    let bed = cluster("");
    assert_refused(&bed, &["n04", "t01"], &["outside partition prod without -G", "outside it: t01"]);
    cstartup(&bed, &["-G", "-k", "ALL"], 0);
    let ended = bed.program("cstartup").env("SP_NAME", "test").args(["-k", "ALL"]).any_stdout().run();
    assert!(ended.stdout.contains(": t01 (1 node)"), "{}", ended.stdout);
    bed.write("etc/cstartSeq", "a: t01\nb: n04\na > b\n");
    assert_refused(&bed, &["n04"], &["targets wait for nodes outside it: t01"]);
}

#[test]
fn a_wrong_count_is_refused() {
    let bed = cluster("");
    assert_refused(&bed, &["--confirm", "3", "ALL"], &["--confirm 3: there are 4 targets"]);
    cstartup(&bed, &["--confirm", "4", "ALL"], 0);
}

#[test]
fn servers_that_are_down_alike_are_one_sentence_with_one_explanation() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "servers: n01 n04\nclients: n[02-03]\nservers > clients\n");
    let ended = assert_refused(
        &bed,
        &["n[02-03]"],
        &[
            "would be violated 2 times",
            "n[01,04] are down and not targets, and n[02-03] need them up",
            "n[01,04] are in servers",
        ],
    );
    assert_eq!(ended.stderr.matches("servers > clients").count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains(" -x "), "it would leave no target:\n{}", ended.stderr);
}

/// Without a file every server has a group of its own, and a thousand servers made a thousand sentences.
#[test]
fn violations_of_the_default_order_are_one_sentence_too() {
    let bed = cluster("");
    let node = |name: &str, server: &str| format!(r#"{{"name": "{name}", "boot_server": "{server}"}}"#);
    let servers = ["io1", "io2", "io3"].map(|name| format!(r#"{{"name": "{name}"}}"#));
    let clients = [node("n1", "io1"), node("n2", "io2"), node("n3", "io3"), node("n4", "io3")];
    let nodes = [servers.as_slice(), clients.as_slice()].concat().join(", ");
    bed.config("inventory.json", format!(r#"{{"format": "orderly-inventory/1", "nodes": [{nodes}]}}"#));
    std::fs::remove_file(bed.path("etc/cstartSeq")).unwrap();
    let ended = assert_refused(
        &bed,
        &["n[1-4]"],
        &[
            "would be violated 3 times",
            "io[1-3] are down and not targets, and n[1-4] need them up\n",
            "by the default order (seqfile prints it): servers before their clients",
        ],
    );
    assert_eq!(ended.stderr.matches("not target").count(), 1, "{}", ended.stderr);
    // One alone is explained as before.
    assert_refused(
        &bed,
        &["n1"],
        &["io1 is down and not a target, and n1 needs it up", "server_io1 > clients_io1"],
    );
}

#[test]
fn each_way_out_is_enough_by_itself() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02\nc: n03\na > b > c\n");
    mark(&bed, "up", "n03");
    assert_refused(&bed, &["n[02-03]"], &["cstartup -E -z n[02-03]", "cstartup -X -S n[02-03]"]);
    cstartup(&bed, &["-E", "-z", "n[02-03]"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01", "on n02", "up n02", "reset n03"]);

    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02\nc: n03\na > b > c\n");
    mark(&bed, "up", "n03");
    let ended = assert_refused(&bed, &["-E", "n[02-03]"], &["cstartup -z -E n[02-03]"]);
    assert!(!ended.stderr.contains("-E -E") && !ended.stderr.contains(" -X"), "{}", ended.stderr);
}

#[test]
fn the_count_to_confirm_is_that_of_the_nodes_acted_on() {
    let bed = cluster("");
    assert_refused(&bed, &["-E", "--confirm", "1", "n02"], &["--confirm 1: there are 2 targets"]);
    cstartup(&bed, &["-E", "--confirm", "2", "n02"], 0);
}

/// The last line was printed before what went wrong, so that both stood at the beginning.
#[test]
fn a_refused_rehearsal_says_simulated_first_and_last() {
    let bed = cluster("");
    let ended = assert_refused(&bed, &["--rehearse", "n02"], &["n01 is down"]);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let said = lines.iter().filter(|line| line.contains("simulated: ")).count();
    assert!(lines[0].contains("simulated: ") && lines[lines.len() - 1].contains("simulated: ") && said == 2);
}
