//! Battery mode: `cshutdown --within`, on simulated nodes. Deadlines are minutes where they are to be met and nothing
//! where they are not: no test depends on how fast this machine is.

use super::shutdown_plan::cluster;
use bed::{Bed, Program, Running};

fn cshutdown<'a>(bed: &'a Bed, args: &str) -> Program<'a> {
    bed.program("cshutdown").args(args.split_whitespace()).any_stdout().any_stderr()
}

/// Says how long the nodes took before, and their power-offs.
fn history(bed: &Bed, halt: f64, off: f64) {
    for (file, seconds) in [("halt-history", halt), ("off-history", off)] {
        let times: Vec<String> = (1..=4).map(|node| format!("\"n{node}\": [{seconds}]")).collect();
        let text = format!("{{\"format\": \"orderly-history/1\", \"seconds\": {{{}}}}}", times.join(", "));
        bed.write(format!("state/{file}.simulated.json"), text);
    }
}

/// Returns the tasks that were begun, in their order, each with its node.
fn begun(records: &[serde_json::Value]) -> Vec<(String, String)> {
    let word = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let began = records.iter().filter(|record| record["event"] == "began");
    began.map(|record| (word(record, "task"), word(record, "node"))).collect()
}

/// Waits until the run has told people this, and is not over.
fn waits_for(running: &mut Running, text: &str) {
    running.wait_for_stderr(text);
    assert!(running.is_running(), "{}", running.stderr_so_far());
}

#[test]
fn what_fits_is_told_and_done() {
    let bed = Bed::new();
    cluster(&bed, "powers_off = false");
    history(&bed, 60.0, 20.0);
    let plan = cshutdown(&bed, "-k --within 10m -G ALL").run();
    for line in [
        "within 10m00s: everything fits",
        "halts 1m20s, power-off 40s, grace 30s, telling users up to 30s; the first halt is sent in ",
        "1: halt n[2,4]\n2: halt n[1,3]\n",
    ] {
        assert!(plan.stdout.contains(line), "{line} in {}", plan.stdout);
    }
    let ended = cshutdown(&bed, "--within 10m --json -G ALL").run();
    let records = ended.records();
    let deadline = records.iter().find(|record| record["record"] == "deadline").expect("the plan");
    assert_eq!((&deadline["fit"], &deadline["halt_seconds"]), (&"whole".into(), &80.0.into()));
    let tasks = begun(&records);
    assert_eq!(tasks.iter().filter(|(task, _)| task == "power_off").count(), 4, "{tasks:?}");
    let left = bed.path("state/cshutdown.within.json");
    assert!(!left.exists(), "it is over, and nothing is left");
    cshutdown(&bed, "--cancel").status(4).run();
}

/// Of the wait, telling and grace nothing is left before a power-off is; and settling stays.
#[test]
fn notice_and_grace_shrink_and_the_power_off_is_left_out_where_that_is_not_enough() {
    let bed = Bed::new();
    cluster(&bed, "powers_off = false");
    history(&bed, 60.0, 20.0);
    let fit = |args: &str, status| {
        let ended = cshutdown(&bed, &format!("-k --json {args} -G ALL")).status(status).run();
        let mut records = ended.records();
        assert_eq!(records.len(), 2);
        records.remove(0)
    };
    let shortened = fit("-T 5 --within 4m", 0);
    assert_eq!((&shortened["fit"], &shortened["grace_seconds"]), (&"shortened".into(), &30.0.into()));
    let wait = shortened["wait_seconds"].as_f64().unwrap();
    assert!(wait > 20.0 && wait < 60.0, "{wait}");
    let less = fit("-T 5 --within 130", 0);
    assert_eq!((&less["fit"], &less["wait_seconds"]), (&"shortened".into(), &0.0.into()));
    assert!(less["grace_seconds"].as_f64().unwrap() < 10.0);
    assert_eq!(less["halt_seconds"], 80.0);
    let kept = fit("--within 110", 1);
    assert_eq!((&kept["fit"], &kept["power_off_seconds"]), (&"no_power_off".into(), &0.0.into()));
    let late = fit("--within 70", 1);
    assert_eq!((&late["fit"], &late["late"]), (&"late".into(), &serde_json::json!(["n1", "n3"])));
}

#[test]
fn a_power_off_for_which_there_is_no_time_is_left_out_and_the_halted_nodes_are_named() {
    let bed = Bed::new();
    cluster(&bed, "powers_off = false");
    // Two waves of 5 minutes, and 5 more for each power-off.
    history(&bed, 600.0, 300.0);
    let ended = cshutdown(&bed, "--within 15m --json -G ALL").status(1).run();
    for part in [
        "the power-off, which would add 10m00s, does not fit and is left out: nodes are halted and stay on",
        "halted, and not powered off, as there was no time left for it: n[1-4]",
        "down: n[1-4]",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    let tasks = begun(&ended.records());
    assert!(tasks.iter().any(|(task, _)| task == "halt"));
    assert!(tasks.iter().all(|(task, _)| task != "power_off"), "{tasks:?}");
    let history: serde_json::Value =
        serde_json::from_str(&bed.read("state/halt-history.simulated.json")).unwrap();
    assert_eq!(history["seconds"]["n1"], serde_json::json!([600.0]), "it would be taken for the whole");
}

/// Nobody is told, no limit holds, and the order does.
#[test]
fn halts_that_do_not_fit_begin_at_once_in_order_and_who_will_be_late_is_named() {
    let bed = Bed::new();
    cluster(&bed, "");
    bed.write("subsysSeq", "quota: /opt/quota\n");
    let ended = cshutdown(&bed, "-K 1 --within 1 --json -G ALL").status(1).run();
    for part in [
        "the halts do not fit and begin at once, in order and without limits: users are not told, nor their processes \
         ended, and no subsystem is called",
        "not down in time, as is foreseen: n[1-4]",
        "how long n[1-4] take is not known: shutdown.usual and settle of cluster.toml are assumed",
        "down: n[1-4]",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    let tasks = begun(&ended.records());
    let halts: Vec<&str> = tasks.iter().map(|(_, node)| node.as_str()).collect();
    assert_eq!(tasks.iter().filter(|(task, _)| task == "halt").count(), 4, "{tasks:?}");
    assert!(["n2", "n4"].contains(&halts[0]) && ["n2", "n4"].contains(&halts[1]), "{halts:?}");
}

#[test]
fn it_is_turned_round_until_the_first_halt_and_runs_to_its_end_after_that() {
    let bed = Bed::new();
    cluster(&bed, "");
    let mut first = cshutdown(&bed, "-T 30 --within 3h -G ALL").status(143).spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    bed.program("cshutdown").arg("--cancel").run();
    let ended = first.end();
    assert!(ended.stderr.contains("cancelled: nothing was stopped"), "{}", ended.stderr);
    let status = cshutdown(&bed, "-k -G ALL").run();
    assert!(status.stdout.contains("2: halt n[1,3]"), "all are up: {}", status.stdout);

    let bed = Bed::new();
    cluster(&bed, "hang = \"n2\"\n[limits]\ntimeout = \"5s\"");
    let mut second = cshutdown(&bed, "--within 3h -G ALL").status(1).spawn();
    waits_for(&mut second, "halting");
    let refused = bed.program("cshutdown").arg("--cancel").any_stderr().status(4).run();
    assert!(
        refused
            .stderr
            .contains("has begun to halt nodes and runs to its end; cstartup --restore brings them back"),
        "{}",
        refused.stderr
    );
    let ended = second.end();
    assert!(ended.stderr.contains("down: n[3-4]"), "{}", ended.stderr);
    bed.program("cstartup").args(["-G", "--restore"]).any_stdout().any_stderr().run();
}

#[test]
fn a_second_one_only_tightens_the_deadline_of_the_first() {
    let bed = Bed::new();
    cluster(&bed, "");
    history(&bed, 60.0, 20.0);
    let mut first = cshutdown(&bed, "-T 30 --within 3h -G ALL").any_status().spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    let later = cshutdown(&bed, "--within 4h -G ALL").run();
    assert!(later.stderr.contains("has to be over sooner already: nothing is changed"), "{}", later.stderr);
    assert!(first.is_running());
    let sooner = cshutdown(&bed, "--within 130 -G n1 n2").run();
    assert!(sooner.stderr.contains("is tightened"), "{}", sooner.stderr);
    let ended = first.end();
    for part in ["the deadline is tightened: within 2m", "down: n[1-4]"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
}

/// One with other targets stops none of these, and says so.
#[test]
fn targets_that_the_first_does_not_have_are_named() {
    let bed = Bed::new();
    cluster(&bed, "");
    let mut first = cshutdown(&bed, "-T 30 --within 3h n1 n2").status(143).spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    let other = cshutdown(&bed, "--within 2h -G ALL").status(1).run();
    assert!(
        other.stderr.contains("no target of that shutdown, and so not stopped: n[3-4]"),
        "{}",
        other.stderr
    );
    bed.program("cshutdown").arg("--cancel").run();
    first.end();
}

#[test]
fn a_start_that_it_meets_is_told_to_begin_nothing_more_and_waited_for() {
    let bed = Bed::new();
    cluster(&bed, "");
    cshutdown(&bed, "-G ALL").run();
    cluster(&bed, "hang = \"n2\"\n[limits]\ntimeout = \"10m\"");
    let start = bed.program("cstartup").args(["-G", "ALL"]).any_stdout().any_stderr().status(143).spawn();
    start.wait_for_stderr("n4: up");
    let ended = cshutdown(&bed, "--within 3h -G n1 n3 n4").run();
    assert!(ended.stderr.contains("is told to begin nothing more, and waited for"), "{}", ended.stderr);
    assert!(ended.stderr.contains("down: n"), "{}", ended.stderr);
    start.end();
}

/// It waits for its time and holds no node; at its time it would begin amid the other.
#[test]
fn a_shutdown_that_waits_for_its_time_gives_way() {
    let bed = Bed::new();
    cluster(&bed, "");
    let mut first = cshutdown(&bed, "-T 30 -G ALL").status(143).spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    cshutdown(&bed, "--within 3h -G ALL").run();
    let ended = first.end();
    assert!(ended.stderr.contains("cancelled: nothing was stopped"), "{}", ended.stderr);
}

#[test]
fn violations_are_told_and_nothing_is_refused_for_them() {
    let bed = Bed::new();
    cluster(&bed, "");
    let ended = cshutdown(&bed, "--within 3h n1").run();
    let said = "a violation of the sequence, and --within goes on: n2 is up and not a target, and needs n1";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert!(ended.stderr.contains("down: n1"), "{}", ended.stderr);
}

/// The whole run on a virtual clock: what was foretold is so.
#[test]
fn a_rehearsal_ends_in_time() {
    let bed = Bed::new();
    cluster(&bed, "");
    // An imagined node does not answer from the moment on in which it is told.
    bed.config("cluster.toml", bed.read("etc/cluster.toml").replace("settle = \"100ms\"", "settle = \"3m\""));
    history(&bed, 60.0, 0.0);
    let rehearse = |args: &str, status| {
        let ended = cshutdown(&bed, &format!("--rehearse --json {args} -G ALL")).status(status).run();
        let records = ended.records();
        let seconds = records.last().unwrap()["seconds"].as_f64().unwrap();
        (seconds, begun(&records))
    };
    let (seconds, tasks) = rehearse("-T 5 --within 6m", 0);
    assert!(seconds <= 360.0 && seconds > 290.0, "{seconds}");
    assert_eq!(tasks.iter().filter(|(task, _)| task == "notify").count() % 4, 0);
    assert_eq!(tasks.iter().filter(|(task, _)| task == "halt").count(), 4);
    let (seconds, tasks) = rehearse("--within 100", 1);
    assert!(seconds > 120.0, "halts and settling are never shortened: {seconds}");
    assert!(tasks.iter().all(|(task, _)| task != "notify" && task != "end_users"), "{tasks:?}");
}
