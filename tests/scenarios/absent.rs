//! Nodes that are listed as absent: asked once, waited for by nobody, and like any other as soon as they answer.

use super::order::{cluster, cstartup, mark, power};
use bed::Bed;

/// The cluster of `order`, with this at the top of cluster.toml, and a shell that is never used.
fn listing(keys: &str) -> Bed {
    let bed = cluster("[shell]\ndriver = \"command\"\nrun = [\"myprobe\", \"{node}\", \"{command}\"]\n");
    let text = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("{keys}\n{text}"));
    bed
}

#[test]
fn a_node_that_is_away_is_neither_started_nor_waited_for_and_is_told_of_once() {
    // Off, and without any answer.
    for state in ["on/.keep", "mute/n04"] {
        let bed = listing("absent = \"n04\"");
        bed.write(state, "");
        // Nobody knows how a silent one stands, and that is said.
        let ended = bed.program("cstartup").args(["--json", "ALL"]).any_stdout().any_stderr().run();
        assert_eq!(ended.stderr.matches("absent, and not waited for: n04").count(), 1, "{}", ended.stderr);
        assert!(!power(&bed).iter().any(|line| line.contains("n04")), "{:?}", power(&bed));
        let report = ended.records().pop().unwrap();
        assert_eq!((&report["absent"], &report["counts"]["up"]), (&"n04".into(), &3.into()), "{report}");
    }
}

#[test]
fn a_node_that_answers_counts_as_any_other_and_is_named() {
    let bed = listing("absent = \"n[01,04]\"");
    mark(&bed, "up", "n01");
    let said = cstartup(&bed, &["ALL"], 0).stderr;
    assert!(said.contains("n01 is listed as absent and answers: it counts as any other"), "{said}");
    assert!(said.contains("absent, and not waited for: n04"), "{said}");
    assert_eq!(power(&bed).len(), 4, "n02 and n03: {:?}", power(&bed));
}

#[test]
fn a_leader_that_is_away_is_down_and_no_remedy_proposes_to_start_it() {
    let bed = listing("absent = \"n01\"");
    let said = cstartup(&bed, &["ALL"], 4).stderr;
    assert!(said.contains("n01 is absent, and n[02-03] need it up"), "{said}");
    assert!(!said.contains("cstartup -E") && said.contains("cstartup -X"), "{said}");
    assert!(cstartup(&bed, &["-E", "ALL"], 4).stderr.contains("n01 is absent"));
    assert_eq!(power(&bed), Vec::<String>::new());
    cstartup(&bed, &["-X", "ALL"], 0);
    assert!(!power(&bed).iter().any(|line| line.contains("n01")), "{:?}", power(&bed));
}

#[test]
fn where_all_are_away_there_is_nothing_to_do() {
    let bed = listing("absent = \"@io\"");
    // Nothing of what was asked is true: a program that has it started goes by that.
    for mode in
        [&["n01"][..], &["-k", "n01"], &["-q", "n01"], &["--json", "-q", "n01"], &["-k", "--json", "n01"]]
    {
        let ended = cstartup(&bed, mode, 1);
        let line =
            "nothing is started: all targets are absent: n01; to start them all the same: --even-absent";
        assert!(ended.stderr.contains(line), "{mode:?}: {}", ended.stderr);
        if mode.contains(&"--json") {
            assert_eq!(ended.records().pop().unwrap()["absent"], "n01");
        }
    }
    assert_eq!(power(&bed), Vec::<String>::new());
    let plan = cstartup(&bed, &["-k", "--json", "-q", "-X", "ALL"], 0).records().pop().unwrap();
    assert_eq!(plan["absent"], "n01", "{plan}");
    let plan = cstartup(&bed, &["-k", "ALL", "-X"], 0);
    assert!(plan.stderr.contains("absent, and not waited for: n01"), "{}", plan.stderr);
    assert!(!plan.stdout.contains("n01"), "{}", plan.stdout);
}

#[test]
fn a_percentage_is_of_those_that_are_not_away() {
    let bed = listing("absent = \"n03\"");
    let inventory = bed.read("etc/inventory.json").replace(r#", "boot_server": 1"#, "");
    bed.config("inventory.json", inventory.replace(r#", "boot_server": "n01""#, ""));
    bed.write("etc/cstartSeq", "mds: n[01-03]\nclients: n04\nmds(67%) > clients\n");
    let said = cstartup(&bed, &["ALL"], 0).stderr;
    assert!(said.contains("up: n[01-02,04]"), "{said}");
}

#[test]
fn a_list_that_is_wrong_is_rejected_with_its_place() {
    let bed = listing("absent = \"n05\"");
    let said = cstartup(&bed, &["ALL"], 3).stderr;
    assert!(said.contains("cluster.toml: absent: the inventory has no node named \"n05\""), "{said}");

    let bed = Bed::new();
    let list = bed.path("etc/absent").display().to_string();
    drop(bed);
    let bed = listing(&format!("absent_file = \"{list}\""));
    let said = cstartup(&bed, &["ALL"], 3).stderr;
    assert!(said.contains(&list) && said.contains("No such file"), "{said}");

    let bed = cluster("");
    let list = bed.write("etc/absent", "# in repair\nn04 # fan\n n0x\n");
    let text = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("absent_file = {list:?}\n{text}"));
    let said = cstartup(&bed, &["ALL"], 3).stderr;
    assert!(said.contains("etc/absent:3:2: the inventory has no node named \"n0x\""), "{said}");
    bed.write("etc/absent", "# in repair\nn04 # fan\n");
    cstartup(&bed, &["ALL"], 0);
    assert!(!power(&bed).iter().any(|line| line.contains("n04")));
    // Who can write the list can have nodes left out, and their servers stopped.
    std::fs::set_permissions(&list, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert!(cstartup(&bed, &["ALL"], 3).stderr.contains("etc/absent"));
}

/// n01 serves n02 and n03, and n03 does not answer.
#[test]
fn a_client_that_is_away_keeps_no_server_from_being_stopped() {
    for (keys, status) in [("", 4), ("absent = \"n03\"", 0)] {
        let bed = listing(keys);
        bed.write("etc/cshutSeq", "servers: n01\nclients: n[02-03]\nclients > servers\n");
        ["n01", "n02"].iter().for_each(|node| mark(&bed, "up", node));
        mark(&bed, "mute", "n03");
        let check = |targets: &[&str]| {
            let program = bed.program("cshutdown").arg("-k").args(targets);
            program.status(status).any_stdout().any_stderr().run()
        };
        let ended = check(&["n01", "n02"]);
        assert_eq!(ended.stderr.contains("n03 is unknown and not a target"), status == 4, "{}", ended.stderr);
        if status == 0 {
            let ended = check(&["n01", "n02", "n03"]);
            assert!(ended.stdout.contains("absent, and not waited for: n03"), "{}", ended.stdout);
            assert!(!ended.stdout.contains("halt n[02-03]"), "{}", ended.stdout);
        }
    }
}

/// Its probe says nothing that can be understood, and its power is on: it was taken for down, and its server halted.
#[test]
fn a_node_that_is_on_is_not_away_whatever_its_probe_says() {
    for probe in ["[ \"$1\" != n03 ] || exit 2", "[ \"$1\" != n03 ] || exec sleep 8"] {
        let bed = listing("absent = \"n03\"");
        bed.script("tools/myprobe", &format!("{probe}\n[ -e \"$ORDERLY_BED/up/$1\" ]\n"));
        bed.write("etc/cshutSeq", "servers: n01\nclients: n[02-03]\nclients > servers\n");
        ["n01", "n02", "n03"].iter().for_each(|node| mark(&bed, "up", node));
        let check =
            bed.program("cshutdown").args(["-k", "n[01-03]"]).any_status().any_stdout().any_stderr().run();
        assert!(check.stdout.contains("1: halt n[02-03]"), "{}{}", check.stdout, check.stderr);
        assert!(check.stderr.contains("n03 is listed as absent and answers"), "{}", check.stderr);
    }
}

/// Where one of a group was enough and all of it were away, clients were started without any.
#[test]
fn a_number_of_a_group_is_not_reached_by_those_that_are_away() {
    for (away, threshold, status) in
        [("n[01-03]", "1", 4), ("n01", "3", 4), ("n01", "2", 0), ("n[01-03]", "50%", 4)]
    {
        let bed = listing(&format!("absent = \"{away}\""));
        let inventory = bed.read("etc/inventory.json").replace(r#", "boot_server": 1"#, "");
        bed.config("inventory.json", inventory.replace(r#", "boot_server": "n01""#, ""));
        bed.write("etc/cstartSeq", format!("mds: n[01-03]\nclients: n04\nmds({threshold}) > clients\n"));
        let said = cstartup(&bed, &["ALL"], status).stderr;
        assert_eq!(
            said.contains("n01 is absent, and n04 needs it up") || said.contains("are absent"),
            status == 4,
            "{said}"
        );
        assert_eq!(power(&bed).is_empty(), status == 4, "{away} ({threshold}): {said}");
    }
}

/// One that was away was counted as a member that might come, and the refusal named no way out but to go without any.
#[test]
fn of_a_group_with_absent_members_those_that_are_there_are_counted_and_proposed() {
    let bed = listing("absent = \"n01\"");
    let inventory = bed.read("etc/inventory.json").replace(r#", "boot_server": 1"#, "");
    bed.config("inventory.json", inventory.replace(r#", "boot_server": "n01""#, ""));
    // Those that are there are enough.
    bed.write("etc/cstartSeq", "mds: n[01-03]\nclients: n04\nmds(1) > clients\n");
    let said = cstartup(&bed, &["-k", "n04"], 4).stderr;
    for part in [
        "n01 is absent, and n04 needs it up (mds: 0 of 2 up, 1 absent, 1 needed)",
        "to start those of them that are not absent too: cstartup -E -k n04\n",
        "to start no more of mds than needed: name 1 of n[02-03] as well\n",
        "to start n01 too, absent or not: cstartup --even-absent -E -k n04\n",
        "to start without them: cstartup -X -k n04\n",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    for way in [&["-E"][..], &["--even-absent", "-E"], &["-X"], &["n02"]] {
        cstartup(&bed, &[way, &["-k", "n04"]].concat(), 0);
    }
    // They are not.
    bed.write("etc/cstartSeq", "mds: n[01-03]\nclients: n04\nmds(3) > clients\n");
    let said = cstartup(&bed, &["-k", "ALL"], 4).stderr;
    assert!(said.contains("(mds: 2 of 2 up or targets, 1 absent, 3 needed)"), "{said}");
    assert!(!said.contains("cstartup -E") && said.contains(": cstartup --even-absent -E -k ALL\n"), "{said}");
    let said = cstartup(&bed, &["-k", "-E", "n04"], 4).stderr;
    assert!(said.contains("to start n01 too, absent or not: cstartup --even-absent -k -E n04\n"), "{said}");
    cstartup(&bed, &["--even-absent", "-k", "-E", "n04"], 0);
}

#[test]
fn the_number_to_confirm_is_of_those_that_are_there_and_a_flag_overrules_the_list() {
    let bed = listing("absent = \"n04\"");
    assert!(cstartup(&bed, &["--confirm", "4", "ALL"], 4).stderr.contains("there are 3 targets"));
    cstartup(&bed, &["--confirm", "3", "ALL"], 0);
    cstartup(&bed, &["--even-absent", "ALL"], 0);
    assert!(power(&bed).contains(&"up n04".to_owned()), "{:?}", power(&bed));
}

/// The followers were halted, and then the start of those alone was refused: their leader is away.
#[test]
fn a_restart_that_could_not_follow_because_a_leader_is_away_stops_nothing() {
    let bed = listing("absent = \"n01\"");
    for node in ["n02", "n03"] {
        mark(&bed, "up", node);
        mark(&bed, "on", node);
    }
    bed.write("etc/cshutSeq", "clients: n[02-03]\nservers: n01\nclients > servers\n");
    for words in [&["-n", "-F", "-r"][..], &["-F", "-r"]] {
        let run = bed.program("cshutdown").args(words).args(["n[01-03]"]).status(4);
        let ended = run.any_stdout().stderr_contains("cstartup").any_stderr().run();
        assert!(ended.stderr.contains("n01 is down and not a target"), "{}", ended.stderr);
    }
    assert!(!power(&bed).iter().any(|line| line.starts_with("off")), "{:?}", power(&bed));
}

/// The list was waited for, for ever.
#[test]
fn a_list_that_is_no_file_is_rejected() {
    let bed = listing("");
    let pipe = bed.path("etc/away");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("absent_file = {pipe:?}\n{text}"));
    assert!(cstartup(&bed, &["-k", "ALL"], 3).stderr.contains("etc/away is no file"));
}
