//! cstartup: nodes come up in order, what follows a failure is held, and nothing acts on a guess.
//!
//! The cluster is a power program and a probe of the scenario's own, with markers in the bed's root.

use bed::{Bed, Ended, wait_until};

/// Marks what nodes are: `on/NODE`, `up/NODE`; and how they behave: `broken/`, `hang/`, `dead/`,
/// `mute/`, `slow/`. Every call that changes something is a line of `power.log`.
const POWER: &str = r#"
root=$ORDERLY_BED
does=$1
shift
[ "$does" = status ] || echo "$does $*" >> "$root/power.log"
status=0
for node; do
    case $does in
    on)
        if [ -e "$root/broken/$node" ]; then echo "$node: controller says no" >&2; status=1; continue; fi
        if [ -e "$root/hang/$node" ]; then exec sleep 600; fi
        if [ -e "$root/slow/$node" ]; then sleep 1; fi
        : > "$root/on/$node"
        [ -e "$root/dead/$node" ] || : > "$root/up/$node"
        echo "up $node" >> "$root/power.log" ;;
    off) rm -f "$root/on/$node" "$root/up/$node" ;;
    reset) : > "$root/was_reset/$node"; rm -f "$root/up/$node"
        (sleep 0.3; : > "$root/up/$node") > /dev/null 2>&1 & ;;
    status)
        if [ -e "$root/mute/$node" ]; then continue; fi
        if [ -e "$root/on/$node" ]; then echo "$node: on"; else echo "$node: off"; fi ;;
    esac
done
exit $status
"#;

const PROBE: &str = r#"
if [ -e "$ORDERLY_BED/mute/$1" ]; then exit 2; fi
[ -e "$ORDERLY_BED/up/$1" ]
"#;

/// Makes a cluster: n01 serves n02 and n03, n04 is alone; `extra` is added to cluster.toml.
pub(crate) fn cluster(extra: &str) -> Bed {
    let bed = Bed::new();
    bed.tools(&["sleep", "rm"]);
    for folder in ["on", "up", "broken", "hang", "dead", "mute", "slow", "was_reset", "units"] {
        bed.write(format!("{folder}/.keep"), "");
    }
    bed.script("tools/mypower", POWER);
    bed.script("tools/myprobe", PROBE);
    let root = bed.root().display().to_string();
    let node = |number: u32, rest: &str| {
        format!(r#"{{"name": "n{number:02}", "number": {number}, "partition": "prod"{rest}}}"#)
    };
    let nodes = [
        node(1, r#", "groups": ["io"]"#),
        node(2, r#", "boot_server": 1"#),
        node(3, r#", "boot_server": "n01""#),
        node(4, ""),
        r#"{"name": "t01", "number": 9, "partition": "test"}"#.to_owned(),
    ];
    bed.config(
        "inventory.json",
        format!(r#"{{"format": "orderly-inventory/1", "nodes": [{}]}}"#, nodes.join(",\n")),
    );
    bed.config(
        "cluster.toml",
        format!(
            r#"
partition = "prod"
inventory = "{root}/etc/inventory.json"
log_dir = "{root}/log"
sequence = {{ start = "{root}/etc/cstartSeq", shut = "{root}/etc/cshutSeq", subsystems = "{root}/etc/subsysSeq" }}
[power]
driver = "command"
on = ["mypower", "on", "{{node}}"]
off = ["mypower", "off", "{{node}}"]
reset = ["mypower", "reset", "{{node}}"]
status = ["mypower", "status", "{{nodes}}"]
[probe]
driver = "command"
up = ["myprobe", "{{node}}"]
interval = "100ms"
{extra}
"#
        ),
    );
    bed.write("etc/cstartSeq", "servers: n01\nclients: n[02-03]\nservers > clients\n");
    bed
}

/// Marks a node: `mark(&bed, "up", "n01")`.
pub(crate) fn mark(bed: &Bed, what: &str, node: &str) {
    if what == "up" {
        bed.write(format!("on/{node}"), "");
    }
    bed.write(format!("{what}/{node}"), "");
}

/// Returns what the power program was told, line by line.
pub(crate) fn power(bed: &Bed) -> Vec<String> {
    if !bed.path("power.log").exists() {
        return Vec::new();
    }
    bed.read("power.log").lines().map(str::to_owned).collect()
}

pub(crate) fn cstartup(bed: &Bed, arguments: &[&str], status: i32) -> Ended {
    bed.program("cstartup").args(arguments).status(status).any_stdout().goes_well().run()
}

fn at(log: &[String], line: &str) -> usize {
    log.iter().position(|one| one == line).unwrap_or_else(|| panic!("no \"{line}\" in {log:#?}"))
}

fn assert_said(ended: &Ended, parts: &[&str]) {
    for part in parts {
        assert!(ended.stderr.contains(part), "no \"{part}\" in\n{}", ended.stderr);
    }
}

#[test]
fn a_client_is_powered_on_after_its_server_is_up() {
    let bed = cluster("");
    let ended = cstartup(&bed, &["ALL"], 0);
    let log = power(&bed);
    assert!(at(&log, "up n01") < at(&log, "on n02") && at(&log, "up n01") < at(&log, "on n03"));
    assert!(at(&log, "on n04") < at(&log, "on n02"), "what waits for nothing goes at once: {log:#?}");
    assert!(!log.iter().any(|line| line.contains("t01")), "ALL is the current partition");
    assert_said(&ended, &["up: n[01-04] (4 nodes", "done after", "critical path: n01"]);
}

#[test]
fn many_nodes_are_powered_on_by_one_process() {
    let bed = cluster("");
    let text = bed.read("etc/cluster.toml").replace(r#""on", "{node}""#, r#""on", "{nodes}""#);
    bed.config("cluster.toml", text);
    cstartup(&bed, &["ALL"], 0);
    let told: Vec<String> = power(&bed).into_iter().filter(|line| line.starts_with("on ")).collect();
    assert_eq!(told, ["on n01 n04", "on n02 n03"]);
}

#[test]
fn what_follows_a_failure_is_held_and_the_rest_comes_up() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n01");
    let ended = cstartup(&bed, &["ALL"], 1);
    assert_said(
        &ended,
        &["n01: failed: ", "controller says no", "held by n01: n[02-03] (2 nodes)", "up: n04"],
    );
    assert!(!power(&bed).iter().any(|line| line == "on n02"));
    // Mended, the same command goes on where it stopped.
    std::fs::remove_file(bed.path("broken/n01")).unwrap();
    let ended = cstartup(&bed, &["ALL"], 0);
    assert_said(&ended, &["up: n[01-03]", "already up: n04"]);
    assert_eq!(power(&bed).iter().filter(|line| *line == "on n04").count(), 1, "up is left alone");
}

#[test]
fn a_failed_power_on_is_tried_again() {
    let bed = cluster("[limits]\nretries = 1\n");
    mark(&bed, "broken", "n04");
    let ended = cstartup(&bed, &["n04"], 1);
    assert_said(&ended, &["tried again in 1.0s"]);
    assert_eq!(power(&bed), ["on n04", "on n04"]);
}

#[test]
fn one_hung_controller_holds_nobody_else() {
    let bed = cluster("");
    mark(&bed, "hang", "n01");
    let ended = cstartup(&bed, &["--timeout", "2s", "ALL"], 1);
    assert_said(&ended, &["n01: timed out", "held by n01: n[02-03]", "up: n04"]);
    wait_until("the hung call is ended", || bed.left_over().is_empty());
}

#[test]
fn unknown_is_never_acted_on() {
    let bed = cluster("");
    mark(&bed, "mute", "n04");
    let ended = cstartup(&bed, &["--timeout", "1s", "n04"], 1);
    assert_eq!(power(&bed), Vec::<String>::new());
    assert_said(&ended, &["n04: unreachable", "power unknown, probe unknown"]);
}

#[test]
fn a_node_that_is_on_is_waited_for_and_reset_once_where_that_is_asked_for() {
    let bed = cluster("[limits]\nboot = \"500ms\"\n");
    bed.write("on/n04", "");
    let ended = cstartup(&bed, &["n04"], 1);
    assert!(power(&bed).is_empty(), "not unasked: {:?}", power(&bed));
    assert_said(&ended, &["n04: failed: on, not up after 500ms", "--reset-stuck"]);
    let ended = cstartup(&bed, &["--reset-stuck", "n04"], 0);
    assert_eq!(power(&bed), ["reset n04"]);
    assert_said(&ended, &["n04: not up; it may be booting", "n04: resetting", "n04: up"]);
}

#[test]
fn a_late_leader_lets_others_go_on_and_the_run_fails_if_it_never_comes() {
    let bed = cluster("");
    mark(&bed, "dead", "n01");
    let ended = cstartup(&bed, &["-W", "1", "--timeout", "3s", "ALL"], 1);
    assert_said(&ended, &["n01: not up after 1.0s, and what waits for it goes on (-W)", "n01: timed out"]);
    assert_said(&ended, &["up: n[02-04]"]);
}

#[test]
fn missing_empty_and_unreadable_sequence_files_are_three_things() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "# nothing yet\n");
    let ended = cstartup(&bed, &["-k", "ALL"], 0);
    assert_said(&ended, &["etc/cstartSeq states no order: all nodes go at once"]);
    assert!(ended.stdout.starts_with("wave 1: power on: n[01-04] (4 nodes)\n"), "{}", ended.stdout);

    std::fs::remove_file(bed.path("etc/cstartSeq")).unwrap();
    let ended = cstartup(&bed, &["-k", "ALL"], 0);
    assert_said(&ended, &["etc/cstartSeq is missing: the default order is used, as seqfile prints it"]);
    assert!(ended.stdout.contains("wave 2: power on: n[02-03] (2 nodes)\n"), "{}", ended.stdout);

    std::os::unix::fs::symlink("nowhere", bed.path("etc/cstartSeq")).unwrap();
    let ended = cstartup(&bed, &["ALL"], 3);
    assert_said(&ended, &["cstartSeq", "a link to nowhere, which is not there"]);
    assert_eq!(power(&bed), Vec::<String>::new());
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_nothing_is_touched() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n99\na > b\n");
    let ended = cstartup(&bed, &["ALL"], 3);
    assert_said(&ended, &["cstartSeq:1:4", "n99", "cstartSeq:2:5"]);
    bed.config("inventory.json", r#"{"format": "orderly-inventory/1", "nodes": [{"nmae": "n01"}]}"#);
    let ended = cstartup(&bed, &["ALL"], 3);
    assert_said(&ended, &["inventory.json:1:", "cstartSeq:2:5"]);
    std::fs::remove_file(bed.path("etc/cluster.toml")).unwrap();
    assert_said(&cstartup(&bed, &["ALL"], 3), &["cluster.toml", "nothing is done"]);
    assert!(!bed.path("log").exists());
}

#[test]
fn a_dry_run_asks_and_starts_nothing() {
    let bed = cluster("");
    mark(&bed, "up", "n01");
    for flag in ["-k", "-n", "--dry-run"] {
        let ended = cstartup(&bed, &[flag, "ALL"], 0);
        let plan = "wave 1: power on: n[02-04] (3 nodes)\nalready up: n01 (1 node)\n";
        assert!(ended.stdout.starts_with(plan), "{}", ended.stdout);
    }
    let plan = cstartup(&bed, &["-k", "--json", "ALL"], 0).records().remove(0);
    assert_eq!(plan["already_up"], serde_json::json!(["n01"]));
    let ended = cstartup(&bed, &["-k", "n01"], 0);
    assert_eq!(ended.stdout, "already up: n01 (1 node)\nnothing is to be started\n");
    assert_eq!(power(&bed), Vec::<String>::new());
    assert!(!bed.path("log").exists());
}

#[test]
fn targets_are_names_numbers_groups_or_a_file() {
    let bed = cluster("");
    for (arguments, nodes) in [
        (vec!["-N", "1-3"], "wave 1: power on: n01 (1 node)\nwave 2: power on: n[02-03] (2 nodes)\n"),
        (vec!["-g", "io"], "wave 1: power on: n01 (1 node)\n"),
        (vec!["-x", "n[01-03]", "ALL"], "wave 1: power on: n04 (1 node)\n"),
        (vec!["n[01,04]"], "wave 1: power on: n[01,04] (2 nodes)\n"),
        (vec!["-R", "targets"], "wave 1: power on: n[01,04] (2 nodes)\n"),
    ] {
        bed.write("targets", "n01 # the server\nn04\n");
        let ended = cstartup(&bed, &[&["-k"], arguments.as_slice()].concat(), 0);
        assert!(ended.stdout.starts_with(nodes), "{arguments:?}: {}", ended.stdout);
    }
    assert_said(&cstartup(&bed, &["n05"], 2), &["no node named \"n05\"", "did you mean"]);
    bed.write("targets", "n01\nn05\n");
    assert_said(&cstartup(&bed, &["-R", "targets"], 3), &["targets:2:1: "]);
    // An editor of another system begins files with a mark that nobody sees; it was part of the first name.
    bed.write("targets", "\u{feff}n01\r\nn04\r\n");
    let ended = cstartup(&bed, &["-k", "-R", "targets"], 0);
    assert!(ended.stdout.starts_with("wave 1: power on: n[01,04] (2 nodes)\n"), "{}", ended.stdout);
    assert_said(&cstartup(&bed, &["-x", "n04", "n04"], 2), &["-x leaves nothing of \"n04\""]);
    cstartup(&bed, &["-E", "-X", "ALL"], 2);
    cstartup(&bed, &["-z", "-Z", "ALL"], 2);
    cstartup(&bed, &[], 2);
}

#[test]
fn programs_read_a_record_a_line_and_a_report_at_the_end() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n01");
    let ended = cstartup(&bed, &["--json", "-q", "ALL"], 1);
    let records = ended.records();
    assert!(records.iter().all(|record| record["format"] == "orderly-run/1"));
    assert!(ended.stdout.lines().all(|line| line.starts_with(r#"{"format":"orderly-run/1""#)));
    let report = records.last().unwrap();
    assert_eq!(
        (&report["record"], &report["status"], &report["exit"]),
        (&"report".into(), &"failed".into(), &1.into())
    );
    assert_eq!(report["counts"]["held"], 2);
    let held = report["nodes"].as_array().unwrap().iter().find(|node| node["node"] == "n02").unwrap();
    assert_eq!(held["held_by"], "n01");
    assert!(bed.read(report["log"].as_str().unwrap()).contains("n04: up"));
}

#[test]
fn a_rehearsal_shows_what_a_failure_holds_back_and_touches_nothing() {
    let bed = cluster("");
    let ended = cstartup(&bed, &["--rehearse", "--fail", "n01", "ALL"], 1);
    assert_said(&ended, &["simulated: a rehearsal", "held by n01: n[02-03]"]);
    let (first, last) = (ended.stderr.lines().next().unwrap(), ended.stderr.lines().last().unwrap());
    assert!(first.contains("simulated") && last.contains("simulated"), "{}", ended.stderr);
    assert_eq!(power(&bed), Vec::<String>::new());
    assert!(!bed.path("log").exists());
}

#[test]
fn units_are_powered_before_their_nodes() {
    let bed = cluster("");
    let text =
        bed.read("etc/inventory.json").replace(r#""number": 4"#, r#""number": 4, "power_with": ["shelf"]"#);
    bed.config("inventory.json", text);
    assert_said(&cstartup(&bed, &["shelf"], 2), &["hint: it is a unit, powered with the nodes that need it"]);
    cstartup(&bed, &["n04"], 0);
    let log = power(&bed);
    assert!(at(&log, "up shelf") < at(&log, "on n04"), "{log:#?}");
}

#[test]
fn a_unit_nobody_can_read_neither_refuses_nor_resets_running_nodes() {
    let bed = cluster("");
    let text =
        bed.read("etc/inventory.json").replace(r#""number": 1,"#, r#""number": 1, "power_with": ["shelf"],"#);
    bed.config("inventory.json", text);
    mark(&bed, "up", "n01");
    mark(&bed, "mute", "shelf");
    let start =
        |arguments: &[&str]| bed.program("cstartup").args(arguments).stderr_contains("shelf: power unknown");
    start(&["n02"]).run();
    assert_eq!(power(&bed), ["on n02", "up n02"]);
    start(&["-z", "n[01-02]"]).stderr_contains("already up: n[01-02]").run();
    assert_eq!(power(&bed).len(), 2, "nothing was reset");
}

#[test]
fn the_history_gives_limits_and_forecasts() {
    let bed = cluster("");
    cstartup(&bed, &["n04"], 0);
    std::fs::remove_file(bed.path("on/n04")).unwrap();
    std::fs::remove_file(bed.path("up/n04")).unwrap();
    let ended = cstartup(&bed, &["-k", "-W", "AUTO", "n04"], 0);
    assert!(ended.stdout.contains("expected to take"), "{}", ended.stdout);
}

/// It was remembered as a quick start, and `-W AUTO` then let others go too soon.
#[test]
fn a_node_that_was_booting_already_makes_no_history() {
    let bed = cluster("");
    bed.write("on/n04", "");
    let running = bed.program("cstartup").arg("n04").any_stderr().spawn();
    running.wait_for_stderr("n04: not up; it may be booting");
    bed.write("up/n04", "");
    running.end();
    std::fs::remove_file(bed.path("on/n04")).unwrap();
    std::fs::remove_file(bed.path("up/n04")).unwrap();
    let ended = cstartup(&bed, &["-k", "n04"], 0);
    assert!(ended.stdout.contains("is not known"), "{}", ended.stdout);
}

/// Two servers failed and one of them was blamed; mended, the other one still held its clients.
#[test]
fn all_that_hold_a_node_are_named() {
    let bed = cluster("[limits]\nretries = 0\n");
    bed.write(
        "etc/cstartSeq",
        "servers: n01 n04\nmore: n03\nclients: n02\nservers > clients\nmore > clients\n",
    );
    for node in ["n01", "n04", "n03"] {
        mark(&bed, "broken", node);
    }
    let ended = cstartup(&bed, &["--json", "ALL"], 1);
    assert_said(&ended, &["held by n[01,03-04]: n02"]);
    let mut records = ended.records();
    let report = records.pop().unwrap();
    let held = report["nodes"].as_array().unwrap().iter().find(|node| node["node"] == "n02").unwrap();
    assert_eq!(held["held_by"], "n[01,03-04]");
    // Its own record named the first that had failed.
    let own = |event: &str| records.iter().find(|record| record["node"] == "n02" && record["event"] == event);
    assert_eq!(
        (&own("over").unwrap()["outcome"], &own("over").unwrap()["held_by"]),
        (&"held".into(), &held["held_by"])
    );
    assert!(own("held").unwrap()["outcome"].is_null(), "of the first alone it is told at once");
}

/// `done after 0ms`, when asking how the nodes stand had taken a second and more.
#[test]
fn the_time_a_run_took_is_counted_from_the_first_question() {
    let bed = cluster("");
    let power = bed.read("tools/mypower");
    bed.write("tools/mypower", power.replacen('\n', "\n[ $1 != status ] || sleep 1.2\n", 1));
    let ended = cstartup(&bed, &["--json", "n01"], 0);
    assert_said(&ended, &["; asking how the nodes stand took "]);
    assert!(ended.records().last().unwrap()["seconds"].as_f64().unwrap() >= 1.2);
}

/// Gives n01 and n04 a power strip each, and returns the cluster and whether n04 began before n01, which never comes
/// up, was over.
fn begins_beside(strips: [&str; 2], extra: &str) -> bool {
    let bed = cluster(&format!("[limits]\n{extra}\n"));
    let mut inventory = bed.read("etc/inventory.json");
    for (node, strip) in ["n01", "n04"].iter().zip(strips) {
        let name = format!(r#""name": "{node}""#);
        inventory = inventory.replace(&name, &format!(r#"{name}, "strip": "{strip}""#));
    }
    bed.config("inventory.json", inventory);
    mark(&bed, "dead", "n01");
    let records = cstartup(&bed, &["--json", "--timeout", "3s", "n01", "n04"], 1).records();
    let at = |node: &str, event: &str| {
        let is = |record: &&serde_json::Value| record["node"] == node && record["event"] == event;
        records.iter().position(|record| is(&record)).unwrap_or_else(|| panic!("{node} {event}"))
    };
    at("n04", "began") < at("n01", "over")
}

#[test]
fn nodes_of_one_power_strip_boot_one_after_the_other_and_others_beside_them() {
    let limit = "booting = 1\nbooting_per = \"strip\"";
    assert!(!begins_beside(["a", "a"], limit));
    assert!(begins_beside(["a", "b"], limit));
    assert!(!begins_beside(["a", "b"], "booting = 1"));
    assert!(begins_beside(["a", "a"], ""));
}

/// A limit for an attribute that no node has held for nothing, in silence.
#[test]
fn a_limit_for_the_values_of_an_attribute_that_no_node_has_is_rejected() {
    for (limit, key) in [
        ("booting = 1\nbooting_per = \"numbers\"", "limits.booting_per"),
        ("per = \"numbers\"\nmax = 1", "limits.per"),
    ] {
        let bed = cluster(&format!("[limits]\n{limit}\n"));
        let inventory =
            bed.read("etc/inventory.json").replace(r#""name": "n04""#, r#""name": "n04", "numbr": 4"#);
        bed.config("inventory.json", inventory);
        let said = cstartup(&bed, &["-k", "n04"], 3).stderr;
        assert!(said.contains(&format!("{key}: no node of")), "{said}");
        assert!(said.contains("did you mean \"numbr\"?"), "{said}");
    }
    let bed = cluster("[limits]\nbooting_per = \"strip\"\n");
    let said = cstartup(&bed, &["-k", "n04"], 3).stderr;
    assert!(said.contains("limits.booting_per needs limits.booting"), "{said}");
}
