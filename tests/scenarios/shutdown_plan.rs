//! What `cshutdown` foresees and remembers, on simulated nodes: rehearsals, histories, the record of
//! what was up, and whether a restart could end well.

use bed::{Bed, Program, wait_until};
use nix::sys::signal::Signal;

/// n1 serves n2 and n3 and is in partition `a`, as n2 is; n3 and n4 are in `b`.
const INVENTORY: &str = r#"{"format": "orderly-inventory/1", "nodes": [
    {"name": "n1", "number": 1, "partition": "a"},
    {"name": "n2", "number": 2, "partition": "a", "boot_server": 1, "groups": ["io"]},
    {"name": "n3", "number": 3, "partition": "b"},
    {"name": "n4", "number": 4, "partition": "b", "boot_server": 3}]}"#;

/// Simulated nodes, all up.
pub(super) fn cluster(bed: &Bed, simulator: &str) {
    let settings = format!(
        "partition = \"a\"\n\
         [power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n\
         [probe]\ndriver = \"simulator\"\ninterval = \"20ms\"\n[shutdown]\nsettle = \"100ms\"\n\
         [simulator]\ninitial = \"up\"\nboot = \"50ms\"\nhalt = \"50ms\"\nlatency = \"1ms\"\n{simulator}\n"
    );
    bed.cluster(INVENTORY, settings);
    bed.write("cstartSeq", "n1: n1\nn2: n2\nn3: n3\nn4: n4\nn1 > n2\nn3 > n4\n");
    bed.write("cshutSeq", "n1: n1\nn2: n2\nn3: n3\nn4: n4\nn2 > n1\nn4 > n3\n");
}

fn cshutdown<'a>(bed: &'a Bed, args: &str) -> Program<'a> {
    bed.program("cshutdown").args(args.split_whitespace()).any_stdout().goes_well()
}

fn cstartup<'a>(bed: &'a Bed, args: &str) -> Program<'a> {
    bed.program("cstartup").args(args.split_whitespace()).goes_well()
}

/// Returns the file of the state directory whose name begins like that.
fn state(bed: &Bed, name: &str) -> Option<String> {
    let mut folders = vec![bed.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_str().is_some_and(|found| found.starts_with(name)) {
                return Some(std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    None
}

fn was_up(bed: &Bed) -> serde_json::Value {
    serde_json::from_str(&state(bed, "was-up").expect("a record of what was up")).unwrap()
}

/// At the end it was said that nothing is touched, and of a rehearsed start not that nothing is asked.
#[test]
fn what_a_simulated_run_does_not_do_is_told_first_and_what_it_did_not_do_last() {
    let bed = Bed::new();
    cluster(&bed, "");
    let named = ["cluster.toml names the simulator, nothing real ", " touched"];
    let rehearsed = ["a rehearsal, nothing real ", " asked or touched"];
    for (program, flags, [why, done]) in [
        ("cshutdown", "-k -G ALL", named),
        ("cshutdown", "--rehearse -G ALL", rehearsed),
        ("cshutdown", "--confirm 9 -G ALL", named),
        ("cshutdown", "-F -G ALL", named),
        ("cstartup", "--rehearse -G ALL", rehearsed),
        ("cstartup", "-G ALL", named),
    ] {
        let run = bed.program(program).args(flags.split_whitespace()).any_status();
        let said = run.any_stdout().any_stderr().run().stderr;
        let line = |is: &str| format!("{program}: simulated: {why}{is}{done}");
        let first_and_last = (said.lines().next().unwrap(), said.lines().last().unwrap());
        assert_eq!(first_and_last, (line("is").as_str(), line("was").as_str()), "{program} {flags}: {said}");
    }
}

#[test]
fn a_rehearsal_shows_what_a_failure_holds_and_touches_nothing() {
    let bed = Bed::new();
    cluster(&bed, "");
    let ended = cshutdown(&bed, "--rehearse --fail n2 -T 45 --json -G ALL").status(1).run();
    for part in ["a rehearsal", "failed: n2", "held by n2: n1", "notice 45m00s"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    let records = ended.records();
    let report = records.last().unwrap();
    assert_eq!((&report["counts"]["down"], &report["simulated"]), (&2.into(), &true.into()));
    assert!(!bed.path("log").exists(), "no log is written");
    assert!(state(&bed, "simulator.json").is_none() && state(&bed, "halt-history").is_none());
    assert!(state(&bed, "was-up").is_none());
    let plan = cshutdown(&bed, "-k -G ALL").run();
    assert_eq!(plan.stdout, "1: halt n[2,4]\n2: halt n[1,3]\n");
    let unknown = cshutdown(&bed, "--rehearse --fail n9 ALL").status(2).run();
    assert!(unknown.stderr.contains("no node named \"n9\""), "{}", unknown.stderr);
    let restart = cshutdown(&bed, "--rehearse -r ALL").run();
    assert!(restart.stderr.contains("cstartup: up: n[1-2]"), "{}", restart.stderr);
}

/// The start was rehearsed with everything off, and refused for want of servers that had stayed up.
#[test]
fn a_rehearsed_restart_starts_among_nodes_that_stayed_up() {
    let bed = Bed::new();
    cluster(&bed, "");
    let restart = cshutdown(&bed, "--rehearse -r n2").run();
    assert!(restart.stderr.contains("cshutdown: down: n2"), "{}", restart.stderr);
    assert!(restart.stderr.contains("cstartup: up: n2"), "{}", restart.stderr);
    cstartup(&bed, "--rehearse n2").status(4).run();
    cstartup(&bed, "--rehearse --others-up n2").run();
    assert!(state(&bed, "simulator.json").is_none());
}

/// They stood in the waves as if they were to be halted.
#[test]
fn what_is_down_already_stands_in_no_wave_of_the_plan() {
    let bed = Bed::new();
    cluster(&bed, "");
    bed.write("subsysSeq", "quota: /opt/quota\n");
    cshutdown(&bed, "-G n2 n4").run();
    let plan = cshutdown(&bed, "-k -G ALL").run();
    assert!(
        plan.stdout.contains("call subsystems /opt/quota\n1: halt n[1,3]\nalready down: n[2,4] (2 nodes)\n"),
        "{}",
        plan.stdout
    );
    let record = cshutdown(&bed, "-k --json -G ALL").run().records().remove(0);
    assert_eq!(record["waves"], serde_json::json!([["n1", "n3"]]));
    assert_eq!(record["already_down"], serde_json::json!(["n2", "n4"]));
    cshutdown(&bed, "-G ALL").run();
    let plan = cshutdown(&bed, "-k -G ALL").run();
    assert_eq!(plan.stdout, "nothing is to be stopped\nalready down: n[1-4] (4 nodes)\n");
}

/// It went down together with the node that was still to be told through it.
#[test]
fn a_gateway_that_may_be_stopped_goes_down_after_whom_it_leads_to() {
    let bed = Bed::new();
    cluster(&bed, "");
    bed.write(
        "inventory.json",
        r#"{"nodes": [{"name": "n1", "gateway": "n2"}, {"name": "n2"}, {"name": "n3", "gateway": "n1"}]}"#,
    );
    bed.write("cstartSeq", "");
    bed.write("cshutSeq", "");
    let refused = cshutdown(&bed, "-k ALL").status(4).run();
    assert!(refused.stderr.contains("n2 is the gateway of n1, which may still be up"), "{}", refused.stderr);
    let plan = cshutdown(&bed, "-k --even-self ALL").run();
    assert_eq!(plan.stdout, "1: halt n3\n2: halt n1\n3: halt n2\n");
    bed.write("cshutSeq", "a: n2\nb: n1\na > b\n");
    let plan = cshutdown(&bed, "-k --even-self n1 n2").run();
    assert_eq!(plan.stdout, "1: halt n2\n2: halt n1\n", "the sequence says otherwise");
}

/// Its lines were quoted the other way round, as nobody could find them.
#[test]
fn a_mirrored_file_is_quoted_as_it_is_written() {
    let bed = Bed::new();
    cluster(&bed, "");
    std::fs::remove_file(bed.path("cshutSeq")).unwrap();
    std::os::unix::fs::symlink("cstartSeq", bed.path("cshutSeq")).unwrap();
    let refused = cshutdown(&bed, "n1").status(4).run();
    for part in ["n2 is up and not a target, and needs n1", "cshutSeq:5:1: n1 > n2 (mirrored)\n"] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.stderr);
    }
    std::fs::remove_file(bed.path("cshutSeq")).unwrap();
    bed.write("cshutSeq", "n1: n1\nn2: n2\nn3: n3\nn4: n4\nn1 > n2\nn4 > n3\n");
    cshutdown(&bed, "-k n1").stderr_contains("cshutSeq:5:1: \"n1 > n2\" contradicts").run();
}

#[test]
fn a_rehearsal_asks_no_real_node() {
    let bed = Bed::new();
    let touched = bed.script("touched", "echo touched >>\"$0.called\"");
    cluster(&bed, "");
    let driver = |table: &str, rest: &str| format!("[{table}]\ndriver = \"command\"\n{rest}\n");
    let command = |key: &str, word: &str| format!("{key} = [{touched:?}, \"{{{word}}}\"]\n");
    let text = bed.read("etc/cluster.toml");
    let drivers = [
        driver("power", &(command("on", "node") + &command("off", "node") + &command("status", "nodes"))),
        driver("shell", &format!("run = [{touched:?}, \"{{node}}\", \"{{command}}\"]")),
        driver("probe", &command("up", "node")),
    ];
    let head = text.split("[power]").next().unwrap();
    bed.config("cluster.toml", format!("{head}{}", drivers.concat()));
    cshutdown(&bed, "--rehearse -T 10 ALL").run();
    assert!(!bed.path("touched.called").exists());
}

#[test]
fn auto_lets_a_node_go_by_its_own_history() {
    let bed = Bed::new();
    cluster(&bed, "");
    cshutdown(&bed, "ALL").run();
    assert!(state(&bed, "halt-history").is_some_and(|text| text.contains("n2")), "what it took is kept");
    cstartup(&bed, "ALL").run();
    let plan = cshutdown(&bed, "-k ALL").run();
    assert!(plan.stdout.contains("expected to take "), "{}", plan.stdout);
    let text = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("{text}fail = \"n2\"\n"));
    let ended = cshutdown(&bed, "-W AUTO ALL").status(1).run();
    assert!(ended.stderr.contains("n2: not down after"), "{}", ended.stderr);
    assert!(ended.stderr.contains("down: n1") && ended.stderr.contains("failed: n2"), "{}", ended.stderr);
}

#[test]
fn what_was_up_is_recorded_until_it_is_up_again() {
    let bed = Bed::new();
    cluster(&bed, "");
    cshutdown(&bed, "-G n4").run();
    cshutdown(&bed, "-G ALL").run();
    let record = was_up(&bed);
    assert_eq!(record["format"], "orderly-up/1");
    assert_eq!(
        record["nodes"],
        serde_json::json!(["n1", "n2", "n3", "n4"]),
        "n4 went down in the stage before"
    );
    assert_eq!(record["complete"], true);
    cshutdown(&bed, "-G ALL").run();
    assert_eq!(was_up(&bed), record, "a run that finds all down leaves it");
    cstartup(&bed, "n1").run();
    let record = was_up(&bed);
    assert_eq!(record["nodes"], serde_json::json!(["n2", "n3", "n4"]), "n1 is up again");
    cshutdown(&bed, "-m n1").run();
    assert_eq!(was_up(&bed), record, "nor does one that leaves nodes in maintenance add to it");
}

#[test]
fn a_shutdown_that_failed_is_continued_in_the_record() {
    let bed = Bed::new();
    cluster(&bed, "fail = \"n2\"");
    cshutdown(&bed, "-G ALL").status(1).run();
    assert_eq!(was_up(&bed)["complete"], false);
    let text = bed.read("etc/cluster.toml").replace("fail = \"n2\"", "");
    bed.config("cluster.toml", text);
    cshutdown(&bed, "-G ALL").run();
    let record = was_up(&bed);
    assert_eq!(record["nodes"], serde_json::json!(["n1", "n2", "n3", "n4"]), "n3 and n4 went down before");
    assert_eq!(record["complete"], true);
}

#[test]
fn a_restart_that_could_not_end_well_is_refused_before_anything_goes_down() {
    let bed = Bed::new();
    cluster(&bed, "");
    cshutdown(&bed, "-X n1").run();
    let refused = cshutdown(&bed, "-r n2").status(4).run();
    assert!(refused.stderr.contains("n1 is down and not a target"), "{}", refused.stderr);
    let plan = cshutdown(&bed, "-k n2").run();
    assert_eq!(plan.stdout.lines().next(), Some("1: halt n2"), "n2 is still up");
    cshutdown(&bed, "-r -C -E n2").run();
    let stdin = cshutdown(&bed, "-r -i - ALL").stdin(INVENTORY).status(2).run();
    assert!(stdin.stderr.contains("cannot read standard input again"), "{}", stdin.stderr);
}

#[test]
fn while_a_shutdown_waits_the_nodes_are_anybodys() {
    let bed = Bed::new();
    cluster(&bed, "");
    cshutdown(&bed, "n2").run();
    let waiting = cshutdown(&bed, "-T 600 ALL").status(130).spawn();
    waiting.wait_for_stderr("the shutdown begins in 10h00m");
    let second = cshutdown(&bed, "-T 5 ALL").status(4).run();
    assert!(second.stderr.contains("another shutdown waits for its time"), "{}", second.stderr);
    cstartup(&bed, "n2").run();
    bed.program("cshutdown").arg("--cancel").run();
    let ended = waiting.end();
    assert!(ended.stderr.contains("cancelled: nothing was stopped"), "{}", ended.stderr);
    bed.program("cshutdown").arg("--cancel").status(4).any_stderr().run();
}

#[test]
fn a_partition_with_nothing_up_has_no_subsystem_called() {
    let bed = Bed::new();
    cluster(&bed, "");
    bed.write("subsysSeq", "quota: /opt/quota\n");
    let both = cshutdown(&bed, "--rehearse -G ALL").run();
    assert_eq!(both.stderr.matches("subsystem /opt/quota on n").count(), 2, "{}", both.stderr);
    cshutdown(&bed, "-G n3 n4").run();
    let ended = cshutdown(&bed, "-G ALL").run();
    assert_eq!(ended.stderr.matches("subsystem /opt/quota on n").count(), 1, "{}", ended.stderr);
}

#[test]
fn an_interrupt_while_users_are_told_stops_nothing() {
    let bed = Bed::new();
    cluster(&bed, "");
    let waiting = cshutdown(&bed, "-T 600 ALL").status(143).spawn();
    waiting.wait_for_stderr("the shutdown begins in").signal(Signal::SIGTERM);
    waiting.end();
    wait_until("n1 is still up", || {
        cshutdown(&bed, "-k ALL").run().stdout.starts_with("1: halt n2\n2: halt n1\n")
    });
}

#[test]
fn a_unit_goes_off_with_the_last_node_that_needs_it() {
    let bed = Bed::new();
    cluster(&bed, "");
    bed.write(
        "inventory.json",
        r#"{"format": "orderly-inventory/1", "nodes": [
            {"name": "n1", "power_with": ["shelf"]}, {"name": "n2", "power_with": ["shelf"]}, {"name": "n3"}]}"#,
    );
    bed.write("cstartSeq", "");
    bed.write("cshutSeq", "");
    let first = cshutdown(&bed, "--json n1 n3").run();
    assert!(!first.stdout.contains("shelf"), "n2 still needs it: {}", first.stdout);
    cstartup(&bed, "n1").run();
    cshutdown(&bed, "n2").run();
    // n2 is no target and nothing waits for it, and it is down all the same.
    let last = cshutdown(&bed, "--json n1").run();
    let report = last.records().pop().unwrap();
    assert_eq!(report["counts"]["down"], 2, "{report}");
    let order: Vec<serde_json::Value> =
        last.records().into_iter().filter(|record| record["event"] == "over").collect();
    assert_eq!((&order[0]["node"], &order[1]["node"]), (&"n1".into(), &"shelf".into()));
}

#[test]
fn what_was_up_is_brought_back_and_nothing_else() {
    let bed = Bed::new();
    cluster(&bed, "");
    // The stages of a shutdown add up: n2 was forgotten.
    cshutdown(&bed, "-F -G n2").run();
    cshutdown(&bed, "-F -G ALL").run();
    let back = cstartup(&bed, "-G --restore").any_stderr().stderr_contains("up: n[1-4] (4 nodes").run();
    assert!(back.stderr.contains(" ago): n[1-4]"), "{}", back.stderr);
    cstartup(&bed, "-k -G ALL").any_stdout().run();
    cstartup(&bed, "-G --restore").status(4).stderr_contains("brought up since").run();
    cshutdown(&bed, "-F -G -X --no-record n1").run();
    cstartup(&bed, "-G --restore").status(4).stderr_contains("brought up since").run();
    // Whoever was brought up meanwhile is no part of it any more, even when it is down again.
    cshutdown(&bed, "-F -G -X n2 n3").run();
    cstartup(&bed, "-G -X n2").goes_well().run();
    cshutdown(&bed, "-F -G -X --no-record n2").run();
    cshutdown(&bed, "-F -G -X n4").run();
    cstartup(&bed, "-G --restore").any_stderr().stderr_contains("up: n[3-4] (2 nodes").run();
    cshutdown(&bed, "-F -G -X n4").run();
    // A node that left the inventory is not passed over in silence.
    let inventory = bed.read("inventory.json").replace("\"n4\"", "\"n5\"");
    bed.write("inventory.json", inventory);
    bed.write("cstartSeq", "");
    cstartup(&bed, "-G --restore").status(3).stderr_contains("cstartup --restore -x n4").run();
}

/// There was no way on: every restore was rejected for as long as the record named the node that was gone.
#[test]
fn a_recorded_node_that_is_gone_is_left_out_where_that_is_asked_for() {
    let bed = Bed::new();
    cluster(&bed, "");
    cshutdown(&bed, "-F -G n3 n4").run();
    let inventory = bed.read("inventory.json").replace("\"n4\"", "\"n5\"");
    bed.write("inventory.json", inventory);
    bed.write("cstartSeq", "");
    cstartup(&bed, "-G --restore -x n3").status(3).stderr_contains("n4: up before").run();
    // A check forgets nothing.
    let said = "n4: no longer in the inventory, so left out";
    cstartup(&bed, "-G -k --restore -x n4").any_stdout().stderr_contains(said).run();
    cstartup(&bed, "-G --restore").status(3).stderr_contains("cstartup --restore -x n4").run();
    let back = cstartup(&bed, "-G --restore -x n4").any_stderr().stderr_contains("up: n3").run();
    assert!(back.stderr.contains(said), "{}", back.stderr);
    cstartup(&bed, "-G --restore").status(4).stderr_contains("brought up since").run();
}
