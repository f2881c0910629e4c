//! The powerman driver against a real powermand and its virtual controllers.

use bed::powermand::{NEEDS, Powermand};
use bed::{Bed, real};

/// Writes the shipped example with this daemon, nodes that are up when powered, and the inventory.
fn configure(bed: &Bed, host: &str, count: usize, more: &str) {
    let example = bed::binaries::workspace().join("examples/cluster-powerman.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let start = example.find("[probe]").unwrap();
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
    let daemon = Powermand::new(&bed, 32, None);
    daemon.lend_client();
    configure(&bed, &daemon.host(), 512, "");
    bed.write("cstartSeq", "servers: n[0-15]\nclients: n[16-511]\nservers > clients\n");
    bed.program("cstartup").arg("ALL").any_stdout().any_stderr().run();
    assert_eq!(daemon.count_on("n[0-511]"), 512);
    let switched: Vec<String> = daemon.calls().into_iter().filter(|call| call.starts_with("-1")).collect();
    assert_eq!(switched, ["-1 n[0-15]", "-1 n[16-511]"]);
}

#[test]
fn a_node_powerman_does_not_know_fails_alone() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 1, None);
    daemon.lend_client();
    configure(&bed, &daemon.host(), 17, "[limits]\nretries = 0\ntimeout = \"5s\"\n");
    bed.write("cstartSeq", "all: n[0-16]\n");
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(daemon.count_on("n[0-15]"), 16, "{said}");
    assert!(said.contains("n16"), "{said}");
}

#[test]
fn one_hung_controller_among_sixty_four_delays_nobody_else() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::new(&bed, 64, Some(20));
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
    let host = Powermand::new(&bed, 1, None).host();
    bed.tool("powerman");
    configure(&bed, &host, 2, "[limits]\nretries = 0\ntimeout = \"3s\"\n");
    bed.write("cstartSeq", "all: n[0-1]\n");
    let ended = bed.program("cstartup").arg("ALL").any_status().any_stdout().any_stderr().run();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.status != 0 && said.contains("could not connect"), "{said}");
}
