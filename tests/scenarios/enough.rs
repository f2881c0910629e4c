//! Where so many of a group are enough, those that wait for it go on, and never before.

use super::order::{cluster, cstartup, mark, power};
use bed::Bed;
use serde_json::Value;

/// n01 to n03 are metadata servers, of which n04 waits for so many.
fn metadata_servers(threshold: &str) -> Bed {
    let bed = cluster("[shell]\ndriver = \"command\"\nrun = [\"myprobe\", \"{node}\", \"{command}\"]\n");
    let inventory = bed.read("etc/inventory.json").replace(r#", "boot_server": 1"#, "");
    bed.config("inventory.json", inventory.replace(r#", "boot_server": "n01""#, ""));
    bed.write("etc/cstartSeq", format!("mds: n[01-03]\nclients: n04\nmds{threshold} > clients\n"));
    bed
}

fn begun(bed: &Bed, node: &str) -> bool {
    power(bed).contains(&format!("on {node}"))
}

#[test]
fn a_dead_metadata_server_holds_no_client_where_two_are_enough() {
    for (threshold, is_enough) in
        [("", false), ("(3)", false), ("(67%)", false), ("(2)", true), ("(66%)", true)]
    {
        let bed = metadata_servers(threshold);
        mark(&bed, "broken", "n02");
        let ended = cstartup(&bed, &["--timeout", "30s", "ALL"], 1);
        assert_eq!(begun(&bed, "n04"), is_enough, "{threshold}: {}", ended.stderr);
        let short = "mds: 2 of 3 up, and clients waits for 3";
        assert_eq!(ended.stderr.contains(short), !is_enough && !threshold.is_empty(), "{}", ended.stderr);
        assert_eq!(ended.stderr.contains("held by n02: n04"), !is_enough, "{}", ended.stderr);
        let log = power(&bed);
        let at = |line: &str| log.iter().position(|one| one == line);
        assert!(!is_enough || at("on n04") > at("up n01").max(at("up n03")), "{log:?}");
    }
}

#[test]
fn a_client_that_waits_for_the_end_of_others_follows_their_failures_too() {
    let bed = metadata_servers("(ended)");
    for node in ["n01", "n02", "n03"] {
        mark(&bed, "broken", node);
    }
    cstartup(&bed, &["--timeout", "30s", "ALL"], 1);
    assert_eq!(power(&bed).last().map(String::as_str), Some("up n04"));
}

#[test]
fn programs_are_told_of_which_group_too_few_came_up() {
    let bed = metadata_servers("(2)");
    mark(&bed, "broken", "n01");
    mark(&bed, "broken", "n02");
    let ended = cstartup(&bed, &["--json", "--timeout", "30s", "ALL"], 1);
    let report = ended.records().pop().unwrap();
    let wanted = serde_json::json!([
        {"group": "mds", "up": 1, "needed": 2, "members": 3, "waiting": ["clients"]}
    ]);
    assert_eq!(report["shortages"], wanted);
}

#[test]
fn servers_that_are_up_already_are_counted_and_the_others_are_not_asked_for() {
    let bed = metadata_servers("(2)");
    mark(&bed, "up", "n01");
    let said = cstartup(&bed, &["n04"], 4).stderr;
    assert!(said.contains("n[02-03] are down and not targets, and n04 needs them up"), "{said}");
    assert!(said.contains("mds(2) > clients"), "the line is shown as it stands: {said}");
    assert!(said.contains("n04 needs them up (mds: 1 of 3 up, 2 needed)"), "{said}");
    assert!(said.contains("to start no more of mds than needed: name 1 of n[02-03] as well"), "{said}");
    mark(&bed, "up", "n03");
    cstartup(&bed, &["n04"], 0);
    assert_eq!(power(&bed), ["on n04", "up n04"]);

    let bed = metadata_servers("(2)");
    mark(&bed, "up", "n01");
    cstartup(&bed, &["-E", "n04"], 0);
    assert_eq!(power(&bed).len(), 6, "-E adds all that are not up: {:?}", power(&bed));
}

#[test]
fn a_rehearsal_and_a_plan_know_of_thresholds() {
    let bed = metadata_servers("(2)");
    let said = cstartup(&bed, &["--rehearse", "--fail", "n02", "ALL"], 1).stderr;
    assert!(!said.contains("held by"), "{said}");
    let said = cstartup(&bed, &["--rehearse", "--fail", "n[02-03]", "ALL"], 1).stderr;
    assert!(said.contains("mds: 1 of 3 up, and clients waits for 2"), "{said}");
    assert!(cstartup(&bed, &["-k", "ALL"], 0).stdout.contains("n04"));
    assert_eq!(power(&bed), Vec::<String>::new());
}

#[test]
fn thresholds_stand_in_every_form_of_a_sequence_and_are_dropped_backwards() {
    let bed = metadata_servers("(66%)");
    let file = bed.path("etc/cstartSeq").display().to_string();
    let seqfile = |arguments: &[&str]| bed.program("seqfile").args(arguments).any_stdout().goes_well().run();
    assert!(seqfile(&["--read", &file]).stdout.contains("mds(66%) > clients"));
    assert!(seqfile(&["--read", &file, "--dot"]).stdout.contains(r#""mds" -> "clients" [label = "(66%)"]"#));
    let json = seqfile(&["--read", &file, "--json"]).stdout;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["edges"][0]["enough"], "66%");
    bed.write("sequence.json", &json);
    let back = seqfile(&["--from-json", &bed.path("sequence.json").display().to_string()]).stdout;
    assert!(back.contains("mds(66%) > clients"), "{back}");
    let turned = seqfile(&["--reverse", &file]);
    assert!(turned.stdout.contains("clients > mds\n"), "{}", turned.stdout);
    assert!(turned.stderr.contains("all of it are waited for"), "{}", turned.stderr);
}

#[test]
fn in_an_order_of_shutdown_a_threshold_is_rejected() {
    let bed = metadata_servers("(2)");
    ["n01", "n02", "n03", "n04"].iter().for_each(|node| mark(&bed, "up", node));
    let text = bed.read("etc/cstartSeq").replace("mds(2) > clients", "clients(1) > mds");
    let shut = bed.write("etc/cshutSeq", &text).display().to_string();
    let part = "cshutSeq:3:8: how many are enough is said in a start order only";
    let cshutdown =
        |status| bed.program("cshutdown").args(["-k", "ALL"]).status(status).any_stdout().goes_well().run();
    let said = cshutdown(3).stderr;
    assert!(said.contains(part), "{said}");
    let check = bed.program("seqfile").args(["--check", &shut]).status(3).any_stderr().run();
    assert!(check.stderr.contains(part), "{}", check.stderr);

    // As a link it is the order of the start: mirrored, all are waited for.
    std::fs::remove_file(&shut).unwrap();
    std::os::unix::fs::symlink(bed.path("etc/cstartSeq"), &shut).unwrap();
    bed.program("seqfile").args(["--check", &shut]).run();
    let said = cshutdown(0).stdout;
    let at = |node: &str| said.find(node).unwrap_or_else(|| panic!("{node} in {said}"));
    assert!(at("n04") < at("n[01-03]"), "{said}");
}

/// n01 leads n02; n02 and n03 are metadata servers, of which one is enough for n04.
fn one_server_follows_another() -> Bed {
    let bed = metadata_servers("");
    bed.write(
        "etc/cstartSeq",
        "disks: n01\nfirst: n02\nmds: n[02-03]\nclients: n04\ndisks > first\nmds(1) > clients\n",
    );
    bed
}

/// Running clients were reset for a server that had itself outrun its leader, though another stood in for it.
#[test]
fn a_reset_leaves_alone_who_has_enough_servers_that_need_none() {
    let bed = one_server_follows_another();
    ["n02", "n03", "n04"].iter().for_each(|node| mark(&bed, "up", node));
    let said = cstartup(&bed, &["ALL"], 4).stderr;
    assert!(said.contains("n01 is down, and n02, which must follow it, runs"), "{said}");
    cstartup(&bed, &["-z", "ALL"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01", "reset n02"]);
}

#[test]
fn a_server_that_runs_already_is_counted_although_what_leads_it_failed() {
    for (is_target, others) in [(true, &["ALL"][..]), (false, &["-X", "n[01,04]"])] {
        let bed = one_server_follows_another();
        mark(&bed, "up", "n02");
        mark(&bed, "broken", "n01");
        mark(&bed, "broken", "n03");
        let ended = cstartup(&bed, &[&["-S", "--timeout", "30s"], others].concat(), 1);
        assert!(begun(&bed, "n04"), "{is_target}: {}", ended.stderr);
        assert!(!ended.stderr.contains("held by") && !ended.stderr.contains("waits for"), "{}", ended.stderr);
    }
}

#[test]
fn servers_outside_the_partition_are_not_needed_where_enough_are_inside() {
    let serving = |threshold: &str| {
        let bed = metadata_servers("");
        bed.write("etc/cstartSeq", format!("mds: n01 t01\nclients: n04\nmds{threshold} > clients\n"));
        bed
    };
    for threshold in ["", "(2)"] {
        let said = cstartup(&serving(threshold), &["n01", "n04"], 4).stderr;
        assert!(said.contains("targets wait for nodes outside it: t01"), "{threshold}: {said}");
    }
    let bed = serving("(1)");
    cstartup(&bed, &["n01", "n04"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01", "on n04", "up n04"]);
    let bed = serving("(1)");
    cstartup(&bed, &["-E", "n04"], 0);
    assert_eq!(power(&bed), ["on n01", "up n01", "on n04", "up n04"], "t01 is not needed either");
}

/// A line of 270 characters named thirty racks, one after the other.
#[test]
fn many_groups_that_wait_for_too_few_are_folded() {
    let bed = metadata_servers("(2)");
    let sequence = "mds: n[01-03]\nrack1: n04\nrack2: n04\nrack3: n04\nmds(2) > rack1, rack2, rack3\n";
    bed.write("etc/cstartSeq", sequence);
    mark(&bed, "broken", "n01");
    mark(&bed, "broken", "n02");
    let ended = cstartup(&bed, &["--timeout", "30s", "ALL"], 1);
    assert!(ended.stderr.contains("mds: 1 of 3 up, and rack[1-3] wait for 2"), "{}", ended.stderr);
}
