//! One hanging controller among 64 delays nobody else, and is named at its own limit: powerman and
//! the IPMI programs and Redfish against real daemons, `command` against a script.
//!
//! The others are tried again, as packets are lost under load; the hanging one is never acted on.
//!
//! Whoever waits for the hanging one here waits for ten minutes: no run that does ends in time. The IPMI programs
//! give a session up after a minute, also one of which a packet was lost, as happens under load: several such
//! minutes, one after the other, are no sign of waiting for the hanging one.

use bed::bmc::{self, Bmcs, Manner, StandIn};
use bed::powermand::{self, PLUGS, Powermand};
use bed::redfish::{self, Redfish};
use bed::{Bed, real, wait_longer};
use nix::sys::signal::Signal;
use std::time::Duration;

const NODES: usize = 64;
const HUNG: usize = 21;
/// For a run in which up to five sessions are lost one after the other.
const PATIENCE: Duration = Duration::from_secs(360);

/// Writes the configuration: this `[power]`, up by power, and this limit for the group `hung`.
fn configure(bed: &Bed, power: &str, limit: &str) {
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n\
             [power]\n{power}timeout = \"10m\"\n[probe]\ndriver = \"power\"\ninterval = \"200ms\"\n\
             [limits]\nretries = 6\ntimeout = \"10m\"\nper = \"bmc\"\nmax = 2\n\
             [override.group.hung]\nlimits = {{ timeout = \"{limit}\" }}\n",
            bed.path("etc/inventory.json"),
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cstartSeq"),
        ),
    );
}

/// Starts all nodes and returns once these others are up; the hanging one is not waited for.
fn others_come_up(bed: &Bed, power: &str, others: usize, are_on: impl Fn() -> bool) {
    configure(bed, power, "10m");
    let mut run =
        bed.program("cstartup").args(["ALL", "--json"]).any_status().any_stdout().any_stderr().spawn();
    let up = r#""outcome":"up""#;
    wait_longer(PATIENCE, "all others are up", || {
        assert!(run.is_running(), "{}", run.stderr_so_far());
        run.stdout_so_far().lines().filter(|line| line.contains(up)).count() == others
    });
    assert!(are_on(), "{}", run.stderr_so_far());
    run.signal(Signal::SIGINT).wait_for_stderr("interrupted");
    run.signal(Signal::SIGINT);
    run.end();
}

/// Starts all nodes again, and expects the hanging ones to be what it fails for.
fn the_hung_is_named(bed: &Bed, power: &str, named: &str) {
    configure(bed, power, "3s");
    let run = bed.program("cstartup").arg("ALL").status(1).patience(PATIENCE);
    let ended = run.any_stderr().run();
    let report = |word: &str| {
        let begins = format!("cstartup: {word}: ");
        ended.stderr.lines().find_map(|line| line.strip_prefix(&begins)).unwrap_or_default()
    };
    assert!(report("unreachable").starts_with(named), "{}", ended.stderr);
    assert!(report("failed").is_empty() && report("timed out").is_empty(), "{}", ended.stderr);
}

/// Expects that all come up but the hanging one, which has a controller of its own, and that it is named.
fn one_hangs(bed: &Bed, inventory: &str, power: &str, is_on: impl Fn(usize) -> bool) {
    let (name, hung) = (format!("\"n{HUNG}\""), format!("\"n{HUNG}\",\"groups\":[\"hung\"]"));
    assert!(inventory.contains(&name));
    bed.write("etc/inventory.json", inventory.replace(&name, &hung));
    bed.write("cstartSeq", format!("all: n[1-{NODES}]\n"));
    others_come_up(bed, power, NODES - 1, || (1..=NODES).all(|number| number == HUNG || is_on(number)));
    the_hung_is_named(bed, power, &format!("n{HUNG} "));
}

#[test]
fn through_powerman() {
    if !real::require(&powermand::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let daemon = Powermand::but_for(&bed, NODES, &[(HUNG, powermand::Manner::Hangs)]);
    daemon.lend_client();
    let count = NODES * PLUGS;
    let nodes: Vec<_> = (0..count)
        .map(|at| {
            let groups = if at / PLUGS == HUNG { vec!["hung"] } else { Vec::new() };
            serde_json::json!({"name": format!("n{at}"), "bmc": format!("v{}", at / PLUGS), "groups": groups})
        })
        .collect();
    let inventory = serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes});
    bed.write("etc/inventory.json", inventory.to_string());
    bed.write("cstartSeq", format!("all: n[0-{}]\n", count - 1));
    let power = format!("driver = \"powerman\"\nhost = {:?}\n", daemon.host());
    let hung = format!("n[{}-{}]", HUNG * PLUGS, HUNG * PLUGS + PLUGS - 1);
    let others = count - PLUGS;
    others_come_up(&bed, &power, others, || daemon.count_on(&format!("n[0-{}]", count - 1)) == others);
    the_hung_is_named(&bed, &power, &hung);
}

/// Starts real controllers but for one that hangs after its first words.
fn through_ipmi(driver: &str, options: &str) {
    if !real::require(&bmc::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Bmcs::but_for(&bed, NODES, &[HUNG]);
    let _hung = StandIn::new(&bmcs, HUNG, Manner::Hangs);
    bed.tools(&["ipmitool", "ipmipower"]);
    bed.config("bmc-password", format!("{}\n", bmc::PASSWORD));
    let power = format!(
        "driver = {driver:?}\nuser = {:?}\npassword_file = {:?}\nport = {}\noptions = {options}\n",
        bmc::USER,
        bed.path("etc/bmc-password"),
        bmcs.port()
    );
    one_hangs(&bed, &bmcs.inventory(NODES), &power, |number| bmcs.is_on(number));
}

#[test]
fn through_ipmitool() {
    through_ipmi("ipmitool", r#"["-N", "60", "-R", "1"]"#);
}

#[test]
fn through_ipmipower() {
    // The simulated controllers know one privilege handshake of ipmipower's only.
    through_ipmi("ipmipower", r#"["-W", "opensesspriv", "--session-timeout=60000"]"#);
}

#[test]
fn through_redfish() {
    if !real::require(&redfish::NEEDS) {
        return;
    }
    let bed = Bed::new();
    let bmcs = Redfish::new(&bed, NODES);
    bmcs.tell(HUNG, "hang");
    bed.tool("curl");
    bed.config("bmc-password", format!("{}\n", redfish::PASSWORD));
    let power = format!(
        "driver = \"redfish\"\nuser = {:?}\npassword_file = {:?}\nca_file = {:?}\n",
        redfish::USER,
        bed.path("etc/bmc-password"),
        bmcs.ca()
    );
    one_hangs(&bed, &bmcs.inventory(NODES), &power, |number| bmcs.is_on(number));
}

/// A power command whose controller of one node hangs in everything that names that node.
fn through_a_command(place: &str) {
    let bed = Bed::new();
    let root = bed.root().display().to_string();
    let power = bed.script(
        "power",
        &format!(
            "act=$1; shift\nfor n; do [ $n != n{HUNG} ] || exec sleep 600; done\nfor n; do case $act in\n\
             on) >{root}/on.$n ;;\nstatus) [ -e {root}/on.$n ] && echo \"$n: on\" || echo \"$n: off\" ;;\nesac; done"
        ),
    );
    bed.tool("sleep");
    let nodes: Vec<_> = (1..=NODES)
        .map(|at| {
            let groups = if at == HUNG { vec!["hung"] } else { Vec::new() };
            serde_json::json!({"name": format!("n{at}"), "bmc": format!("b{at}"), "groups": groups})
        })
        .collect();
    let inventory = serde_json::json!({"format": "orderly-inventory/1", "nodes": nodes});
    bed.write("etc/inventory.json", inventory.to_string());
    bed.write("cstartSeq", format!("all: n[1-{NODES}]\n"));
    let power = format!(
        "driver = \"command\"\non = [{power:?}, \"on\", \"{place}\"]\noff = [{power:?}, \"off\", \"{place}\"]\n\
         status = [{power:?}, \"status\", \"{place}\"]\n"
    );
    others_come_up(&bed, &power, NODES - 1, || {
        (1..=NODES).all(|number| number == HUNG || bed.path(format!("on.n{number}")).exists())
    });
    the_hung_is_named(&bed, &power, &format!("n{HUNG} "));
}

#[test]
fn through_a_command_for_all_nodes() {
    through_a_command("{nodes}");
}

#[test]
fn through_a_command_for_each_node() {
    through_a_command("{node}");
}
