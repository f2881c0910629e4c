//! Slips that many make, each answered with what to write instead; and output that got lost.

use super::order::{cluster, cstartup};
use bed::Bed;

/// "not JSON: expected value" was all that was said of each.
#[test]
fn an_inventory_of_another_kind_is_told_as_that() {
    let bed = Bed::new();
    for (text, remedy) in [
        ("n[1-3]  compute,rack=7\n", "use --from genders"),
        (
            "---\nall:\n  hosts:\n    n1:\n",
            "convert it; of an Ansible inventory, ansible-inventory -i FILE --list",
        ),
        ("[compute]\nn1\nn2\n", "ansible-inventory -i FILE --list prints what --from ansible reads"),
        (r#"{"_meta": {"hostvars": {}}, "g": {"hosts": ["n1"]}}"#, "use --from ansible"),
    ] {
        bed.write("i", text);
        let ended = bed.program("seqfile").args(["-i", "i"]).status(3).stderr_contains(remedy).run();
        assert!(
            ended
                .stderr
                .starts_with("seqfile: rejected: i: this is read as orderly-inventory/1 and looks like")
        );
    }
    bed.write("i", b"\xff\xfe{\0}\0");
    bed.program("seqfile").args(["-i", "i"]).status(3).stderr_contains("iconv -f utf-16 -t utf-8").run();
    bed.write("i", "\u{feff}n[1-2] a\n");
    bed.program("seqfile").args(["-i", "i", "--from", "genders"]).stdout("others: n1 n2\n").run();
}

/// A did-you-mean of another node, or nothing.
#[test]
fn a_range_with_a_dash_between_names_is_answered_with_brackets() {
    let bed = cluster("");
    for word in ["n01-n03", "n01-03"] {
        let ended = cstartup(&bed, &[word], 2);
        assert!(ended.stderr.contains("a range of names is written n[01-03]"), "{}", ended.stderr);
        bed.write("s", format!("a: {word}\n"));
        bed.program("seqfile")
            .args(["--check", "s", "-i", "etc/inventory.json"])
            .status(3)
            .stderr_contains("a range of names is written n[01-03]")
            .run();
    }
}

/// SP_NAME was blamed, which was not set.
#[test]
fn a_partition_that_is_not_there_is_blamed_on_who_named_it() {
    let bed = cluster("");
    let said = cstartup(&bed, &["--partition", "tset", "ALL"], 3).stderr;
    assert!(said.contains("--partition: the inventory has no partition \"tset\""), "{said}");
    let by_environment = bed.program("cstartup").env("SP_NAME", "tset").arg("ALL").status(3);
    by_environment.stderr_contains("SP_NAME: the inventory has no partition \"tset\"").run();
}

/// Twenty warnings, all alike, hid what else was said.
#[test]
fn warnings_of_one_kind_about_many_nodes_are_one() {
    let bed = Bed::new();
    let nodes: Vec<String> = (0..30).map(|n| format!(r#"{{"name": "n{n}", "boot_sever": "n0"}}"#)).collect();
    bed.write("i", format!(r#"{{"format": "orderly-inventory/1", "nodes": [{}]}}"#, nodes.join(",\n")));
    let said = bed.program("seqfile").args(["-i", "i"]).any_stdout().any_stderr().run().stderr;
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    assert!(
        said.contains("\"boot_sever\" is kept as an attribute of the node (29 more like this)"),
        "{said}"
    );
    let lines: String = (1..20).map(|n| format!("n{n} number=A{n}\n")).collect();
    bed.write("i", lines);
    let ended = bed.program("seqfile").args(["-i", "i", "--from", "genders"]).any_stdout();
    let said = ended.stderr_contains("(18 more like this)").run().stderr;
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
}

/// All but seqfile ended with 0: whoever reads the file believes to have it all.
#[test]
fn what_could_not_be_written_is_a_failure_of_every_program() {
    let bed = cluster("");
    let lost = "standard output is incomplete: No space left on device";
    for line in ["cstartup --json -k n04", "cstartup --json --rehearse n04", "cstartup -n n04"] {
        bed.shell(&format!("{line} > /dev/full")).status(1).stderr_contains(lost).run();
    }
    let bed = Bed::new();
    super::shutdown_plan::cluster(&bed, "");
    bed.shell("cshutdown --json --rehearse n2 > /dev/full").status(1).stderr_contains(lost).run();
    let bed = Bed::new();
    bed.config("inventory.json", super::seqfile::INVENTORY);
    bed.shell("seqfile --json > /dev/full").status(1).stderr_contains("No space left on device").run();
    for program in ["seqfile", "cstartup", "cshutdown", "csLogger", "habackup", "ha-release", "ha-takeover"] {
        bed.shell(&format!("{program} --help > /dev/full")).status(1).stderr_contains(lost).run();
        bed.shell(&format!("{program} --version >&-")).any_stdout().run();
    }
}

/// Every line of it was told as a contradiction.
#[test]
fn the_order_of_shutdown_given_to_drift_is_told_as_that() {
    let bed = Bed::new();
    bed.write("i", super::seqfile::INVENTORY);
    for (made, asked, said) in [
        ("--shutdown", "", "shut: this is the order of shutdown\n  hint: use --drift with --shutdown\n"),
        ("", "--shutdown", "shut: this is the order of start-up\n  hint: leave out --shutdown\n"),
    ] {
        bed.shell(&format!("seqfile -i i {made} -o shut")).run();
        bed.shell(&format!("seqfile -i i {made} --drift shut")).stdout("").run();
        bed.shell(&format!("seqfile -i i {asked} --drift shut")).status(1).stdout(said).run();
    }
}

/// "invalid digit found in string", and two nodes with one address without a word of what to do.
#[test]
fn a_count_that_is_none_and_an_address_twice_are_answered_with_what_to_write() {
    let bed = cluster("");
    for program in ["cstartup", "cshutdown"] {
        let said = bed.program(program).args(["--confirm", "x", "ALL"]).status(2).any_stderr().run().stderr;
        assert!(said.contains("write how many targets there are, as in --confirm 16"), "{said}");
    }
    let nodes =
        r#"{"nodes": [{"name": "n1", "address": "10.0.0.1"}, {"name": "n2", "address": "10.0.0.1"}]}"#;
    bed.write("etc/inventory.json", nodes);
    bed.write("etc/cstartSeq", "");
    let said = cstartup(&bed, &["n1"], 3).stderr;
    assert!(said.contains("leave one of them out"), "{said}");
    let said =
        bed.program("seqfile").args(["-i", "etc/inventory.json"]).any_stdout().any_stderr().run().stderr;
    assert!(
        said.contains("n1 and n2 have the same address") && said.contains("leave one of them out"),
        "{said}"
    );
}
