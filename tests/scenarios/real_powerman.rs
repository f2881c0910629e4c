//! The powerman driver against a real powermand and its virtual controllers.

use bed::powermand::{self, Manner, NEEDS, Powermand};
use bed::{Bed, real};
use std::collections::BTreeSet;

/// Writes the shipped example with this daemon, nodes that are up when powered, and the inventory.
fn configure(bed: &Bed, host: &str, count: usize, more: &str) {
    let example = bed::binaries::workspace().join("examples/cluster-powerman.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let start = example.find("[shell]").unwrap();
    let (power, _) = example.split_at(start);
    assert!(power.contains("#host = \"mgmt1:10101\""));
    let power = power.replace("#host = \"mgmt1:10101\"", &format!("host = {host:?}"));
    let head = format!(
        "inventory = {:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n",
        bed.path("etc/inventory.json"),
        bed.path("log"),
        bed.path("cstartSeq"),
        bed.path("cstartSeq")
    );
    let probe = "[probe]\ndriver = \"power\"\ninterval = \"200ms\"\n";
    bed.config("cluster.toml", format!("{head}{power}{probe}{more}"));
    let nodes: Vec<_> = (0..count)
        .map(|at| serde_json::json!({"name": format!("n{at}"), "pdu": format!("v{}", at / 16)}))
        .collect();
    bed.write(
        "etc/inventory.json",
        serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes}).to_string(),
    );
}

#[test]
fn five_hundred_and_twelve_nodes_go_on_with_one_client_for_each_ready_set() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 32);
    daemon.lend_client();
    configure(&bed, &daemon.host(), 512, "");
    bed.write("cstartSeq", "servers: n[0-15]\nclients: n[16-511]\nservers > clients\n");
    bed.program("cstartup").arg("ALL").goes_well().run();
    assert_eq!(daemon.count_on("n[0-511]"), 512);
    let switched: Vec<String> = daemon.calls().into_iter().filter(|call| call.starts_with("-1")).collect();
    assert_eq!(switched, ["-1 n[0-15]", "-1 n[16-511]"]);
}

/// powerman 2.4 took `-Q` away, and no node of such a site could be asked how it stands.
#[test]
fn a_powerman_without_the_old_query_flag_is_asked_all_the_same() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 1);
    daemon.lend_newer_client();
    configure(&bed, &daemon.host(), 16, "[limits]\nretries = 0\ntimeout = \"20s\"\n");
    bed.write("cstartSeq", "all: n[0-15]\n");
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    assert_eq!((ended.status, daemon.count_on("n[0-15]")), (0, 16), "{}", ended.stderr);
}

#[test]
fn a_node_powerman_does_not_know_fails_alone() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 1);
    daemon.lend_client();
    configure(&bed, &daemon.host(), 17, "[limits]\nretries = 0\ntimeout = \"5s\"\n");
    bed.write("cstartSeq", "all: n[0-16]\n");
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(daemon.count_on("n[0-15]"), 16, "{said}");
    assert!(said.contains("n16"), "{said}");
}

/// A node that powermand does not know was asked for fifteen minutes; a check said that all was well; and a shutdown,
/// which asks no power of what is up, halted it and could not switch it off.
#[test]
fn a_node_powerman_does_not_know_is_named_at_once_and_by_a_check() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 1);
    daemon.lend_client();
    bed.tools(&["true"]);
    configure(&bed, &daemon.host(), 17, "");
    bed.write("cstartSeq", "all: n[0-16]\n");
    let check = bed.program("cstartup").args(["-k", "ALL"]).status(1).any_stdout().any_stderr().run();
    assert!(
        check.stderr.contains("n16: cannot succeed as configured: not in powerman.conf"),
        "{}",
        check.stderr
    );
    let check =
        bed.program("cstartup").args(["-k", "--json", "ALL"]).status(1).any_stdout().any_stderr().run();
    let plan: serde_json::Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(plan["permanent_failures"][0]["node"], "n16", "{plan}");
    assert_eq!(plan["permanent_failures"][0]["failure"], "misconfigured", "{plan}");
    let ended = bed.program("cstartup").arg("ALL").status(1).any_stdout().any_stderr().run();
    assert_eq!(daemon.count_on("n[0-15]"), 16, "{}", ended.stderr);
    assert!(ended.stderr.contains("failed: n16: not in powerman.conf"), "{}", ended.stderr);
    // All are up by another probe, and no power is read.
    let probe = "[shell]\ndriver = \"command\"\nrun = [\"true\", \"{node}\", \"{command}\"]\n\
                 [probe]\ndriver = \"command\"\nup = [\"true\", \"{node}\"]\n";
    let config = bed.read("etc/cluster.toml");
    let (power, _) = config.split_at(config.find("[probe]").unwrap());
    bed.config("cluster.toml", format!("{power}{probe}"));
    let check = bed.program("cshutdown").args(["-k", "ALL"]).status(1).any_stdout().any_stderr().run();
    assert!(
        check.stderr.contains("n16: cannot succeed as configured: not in powerman.conf"),
        "{}",
        check.stderr
    );
    let check = bed.program("cshutdown").args(["-k", "-x", "n16", "ALL"]).any_stdout().goes_well().run();
    assert!(!check.stderr.contains("powerman.conf"), "{}", check.stderr);
}

#[test]
fn one_hung_controller_among_sixty_four_delays_nobody_else() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::but_for(&bed, 64, &[(20, Manner::Hangs)]);
    daemon.lend_client();
    // Were the others held up, they would run into their own limit and not come up either.
    let limits = "[limits]\nretries = 0\ntimeout = \"20s\"\nfanout = 128\n";
    configure(&bed, &daemon.host(), 1024, limits);
    bed.write("cstartSeq", "all: n[0-1023]\n");
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    assert!(ended.status != 0);
    assert!(ended.stderr.contains("n[320-335] (16 nodes"), "{}", ended.stderr);
    assert_eq!(daemon.count_on("n[0-319,336-1023]"), 1008, "{}", ended.stderr);
}

#[test]
fn a_daemon_that_is_not_there_is_unreachable_and_nothing_reads_off() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let host = powermand::nowhere();
    bed.tool("powerman");
    configure(&bed, &host, 2, "[limits]\nretries = 0\ntimeout = \"3s\"\n");
    bed.write("cstartSeq", "all: n[0-1]\n");
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.status != 0 && said.contains("could not connect"), "{said}");
}

/// Starts 64 nodes of four controllers, of which the second one misbehaves; returns what was said.
fn beside(manner: Manner, limit: &str) -> String {
    let bed = Bed::new();
    let daemon = Powermand::but_for(&bed, 4, &[(1, manner)]);
    daemon.lend_client();
    configure(&bed, &daemon.host(), 64, &format!("[limits]\nretries = 1\ntimeout = {limit:?}\n"));
    let config = bed.read("etc/cluster.toml");
    assert!(config.contains("timeout = \"60s\""), "{config}");
    bed.config("cluster.toml", config.replace("timeout = \"60s\"", "timeout = \"2s\""));
    bed.write("cstartSeq", "all: n[0-63]\n");
    let ended = bed.program("cstartup").args(["-v", "ALL"]).status(1).any_stdout().any_stderr().run();
    assert_eq!(daemon.count_on("n[0-15,32-63]"), 48, "{}", ended.stderr);
    assert!(ended.stderr.contains("cstartup: up: n[0-15,32-63] (48 nodes"), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_controller_that_is_gone_or_talks_nonsense_is_unreachable_and_neither_on_nor_off() {
    if !real::require(&NEEDS) {
        return;
    }
    for manner in [Manner::Refuses, Manner::Garbage] {
        let said = beside(manner, "10s");
        assert!(said.contains("cstartup: unreachable: n[16-31] (16 nodes"), "{manner:?}: {said}");
        assert!(!said.contains("n[16-31]: powering on"), "{manner:?}: {said}");
    }
}

#[test]
fn a_power_on_that_is_accepted_and_changes_nothing_is_said_to_be_without_effect() {
    if !real::require(&NEEDS) {
        return;
    }
    let said = beside(Manner::DoesNothing, "1m");
    assert!(said.contains("cstartup: failed: n[16-31] (16 nodes"), "{said}");
    assert!(said.contains("power on was accepted and had no effect"), "{said}");
}

#[test]
fn nodes_are_reset_by_off_and_on_and_go_off() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 2);
    daemon.lend_client();
    let shell = "[shell]\ndriver = \"command\"\nrun = [\"false\", \"{node}\", \"{command}\"]\n\
                 [shutdown]\nsettle = \"1s\"\n";
    configure(&bed, &daemon.host(), 32, shell);
    bed.tool("false").write("cstartSeq", "servers: n[0-15]\nclients: n[16-31]\nservers > clients\n");
    bed.program("cstartup").arg("ALL").goes_well().run();
    let switched = |from: usize| {
        let calls = daemon.calls().split_off(from);
        let flags = calls.iter().filter_map(|call| call.split(' ').next());
        flags.filter(|flag| ["-1", "-0"].contains(flag)).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = daemon.calls().len();
    bed.program("cstartup").args(["-Z", "ALL"]).goes_well().run();
    assert_eq!(daemon.count_on("n[0-31]"), 32);
    let reset = switched(before);
    assert!(reset.first().is_some_and(|first| first == "-0"), "{reset:?}");
    assert!(reset.last().is_some_and(|last| last == "-1"), "{reset:?}");
    let before = daemon.calls().len();
    bed.write("cshutSeq", "");
    let off = bed.program("cshutdown").args(["-F", "--force-off", "ALL"]);
    let said = off.any_status().any_stdout().any_stderr().run().stderr;
    assert_eq!(daemon.count_on("n[0-31]"), 0, "{said}");
    assert!(switched(before).iter().all(|flag| flag == "-0"), "{said}");
}

/// Each of the nodes had a line of its own, with the whole call in it.
#[test]
fn a_daemon_that_hangs_is_told_of_once_and_its_nodes_are_unreachable() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 1);
    daemon.lend_client();
    configure(&bed, &daemon.host(), 16, "[limits]\nretries = 0\ntimeout = \"3s\"\n");
    let config = bed.read("etc/cluster.toml").replace("timeout = \"60s\"", "timeout = \"1s\"");
    bed.config("cluster.toml", config);
    bed.write("cstartSeq", "all: n[0-15]\n");
    daemon.pause();
    let ended = bed.program("cstartup").arg("ALL").status(1).any_stdout().any_stderr().run();
    let said = ended.stderr;
    let told = "power unknown: powermand, or the controller behind it, does not answer";
    let lines = said.lines().filter(|line| line.contains(told)).count();
    assert!((1..16).contains(&lines), "{said}");
    assert!(said.contains("unreachable: n[0-15] (16 nodes"), "{said}");
    assert!(said.contains("; powermand, or the controller behind it, does not answer"), "{said}");
}

/// Returns the names in the calls with this flag, each with the number of its call.
fn switched(calls: &[String], flag: &str) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    for (at, call) in calls.iter().filter_map(|call| call.strip_prefix(flag)).enumerate() {
        let numbers = call.trim_start_matches('n').trim_start_matches('[').trim_end_matches(']');
        names.extend(numbers.split(',').map(|number| (format!("n{number}"), at)));
    }
    names.sort();
    names
}

/// A controller rejects a call that is to turn on an enclosure and the blade in it, and units may have units.
#[test]
fn units_of_units_are_switched_one_after_the_other_and_back() {
    if !real::require(&NEEDS) {
        return;
    }
    let listed = r#"{"name": "n0", "power_with": ["n1", "n2"]}, {"name": "n3", "power_with": ["n1", "n4"]}"#;
    // A unit may be an entry of its own.
    let chained = r#"{"name": "n0", "power_with": ["n1"]}, {"name": "n1", "power_with": ["n2"]}"#;
    for (nodes, chains) in [
        (listed, [["n1", "n2", "n0"], ["n1", "n4", "n3"]]),
        (chained, [["n2", "n1", "n0"], ["n2", "n1", "n0"]]),
    ] {
        let bed = Bed::new();
        let daemon = Powermand::new(&bed, 1);
        daemon.lend_client();
        configure(&bed, &daemon.host(), 1, "[shutdown]\nend_users = \"none\"\nsettle = \"20ms\"\n");
        bed.write("etc/inventory.json", format!("{{\"nodes\": [{nodes}]}}"));
        bed.write("cstartSeq", "");
        bed.program("cstartup").arg("ALL").goes_well().run();
        // A node is down when it was told to halt.
        let rsh = bed.script("rsh", &format!(": >{:?}/$1.down", bed.path("tmp")));
        let probe = bed.script("probe", &format!("[ ! -e {:?}/$1.down ]", bed.path("tmp")));
        let (config, new) = (
            bed.read("etc/cluster.toml"),
            format!(
                "[shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
                 [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\n"
            ),
        );
        bed.config("cluster.toml", config.replace("[probe]\ndriver = \"power\"\n", &new));
        let ended = bed.program("cshutdown").args(["-F", "ALL"]).any_status().any_stdout().any_stderr().run();
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        let all: BTreeSet<&str> = chains.iter().flatten().copied().collect();
        for flag in ["-1 ", "-0 "] {
            let calls = switched(&daemon.calls(), flag);
            // Each once; and each in a call of its own along its chain, whatever the other chain does.
            assert!(calls.iter().map(|(name, _)| name.as_str()).eq(all.iter().copied()), "{calls:?}");
            let call_of = |name: &str| calls.iter().find(|(one, _)| one == name).map(|(_, at)| *at);
            for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
                let (unit, other) = (call_of(pair[0]), call_of(pair[1]));
                assert!(if flag == "-1 " { unit < other } else { unit > other }, "{flag}{pair:?}: {calls:?}");
            }
        }
        assert_eq!(daemon.count_on("n[0-4]"), 0);
    }
}
