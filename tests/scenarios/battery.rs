//! Battery mode: `cshutdown --within`, on simulated nodes. Deadlines are minutes where they are to be met and nothing
//! where they are not: no test depends on how fast this machine is.

use super::shutdown_plan::cluster;
use bed::{Bed, Need, Program, Running, real};

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
        "halts 1m20s, power-off 40s, grace 30s, telling users up to 30s\nthe first halt is sent in ",
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
        "the power-off, which would add 10m00s, does not fit\n",
        "the power-off is left out: nodes are halted and stay on\n",
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

/// They read as on, not up, so that a start waited for them as long as a boot may take, and failed; nobody said what to type.
#[test]
fn how_nodes_are_brought_back_that_were_halted_and_kept_their_power_is_said_and_does_it() {
    for (recorded, command) in
        [("", "cstartup --reset-stuck -G --restore"), ("--no-record ", "cstartup --reset-stuck -G n[1-4]")]
    {
        let bed = Bed::new();
        cluster(&bed, "powers_off = false");
        let settings = bed.read("etc/cluster.toml");
        bed.config("cluster.toml", format!("{settings}\n[limits]\nboot = \"1s\"\n"));
        history(&bed, 600.0, 300.0);
        let ended = cshutdown(&bed, &format!("--within 15m {recorded}--json -G ALL")).status(1).run();
        let says = "to bring back what was up, with a reset of n[1-4], which are halted and still have power";
        assert!(ended.stderr.contains(&format!("{says}: {command}\n")), "{}", ended.stderr);
        let report = ended.records().pop().unwrap();
        let next = &report["next"][0];
        assert_eq!((&next["reason"], &next["command"]), (&"restore".into(), &command.into()), "{report}");
        assert_eq!(report["next"].as_array().unwrap().len(), 1, "{report}");
        // As it is typed.
        let ended = bed.shell(command).any_stdout().any_stderr().run();
        assert!(ended.stderr.contains("up: n[1-4]"), "{}", ended.stderr);
    }
}

/// Nobody is told, no limit holds, and the order does.
#[test]
fn halts_that_do_not_fit_begin_at_once_in_order_and_who_will_be_late_is_named() {
    let bed = Bed::new();
    cluster(&bed, "");
    bed.write("subsysSeq", "quota: /opt/quota\n");
    let ended = cshutdown(&bed, "-K 1 --within 1 --json -G ALL").status(1).run();
    for part in [
        "the halts do not fit and begin at once, in order, without limits\n",
        "users are not told\n",
        "users' processes are not ended before the halts\n",
        "no subsystem is called\n",
        "not down in time, as is foreseen: n[1-4]",
        "not known how long it takes, so shutdown.usual is assumed: n[1-4]",
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
    bed.program("cstartup").args(["-G", "--restore"]).any_stdout().goes_well().run();
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

/// A UPS hook that met the run of an operator left the rest of the site running.
#[test]
fn one_with_more_targets_takes_the_place_of_the_first_and_stops_them_all() {
    let bed = Bed::new();
    cluster(&bed, "");
    let mut first = cshutdown(&bed, "-T 30 --within 3h n1 n2").status(143).spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    // Refused for a reason of its own: the first goes on, in less time.
    cshutdown(&bed, "--within 2h --confirm 9 -G ALL").status(4).run();
    waits_for(&mut first, "the deadline is tightened");
    let other = cshutdown(&bed, "--within 1h -G n3 n4").run();
    for part in [
        "not its targets, and to be stopped too: n[3-4]",
        "is told to begin nothing more, and waited for",
        "stopping n[1-4]",
        "down: n[1-4]",
    ] {
        assert!(other.stderr.contains(part), "{part} in {}", other.stderr);
    }
    let ended = first.end();
    assert!(ended.stderr.contains("cancelled: nothing was stopped"), "{}", ended.stderr);
    assert!(!bed.path("state/cshutdown.within.json").exists());
}

/// One that halts already has its nodes followed by the second, in their order.
#[test]
fn one_with_more_targets_takes_the_place_of_one_that_halts_already() {
    let bed = Bed::new();
    cluster(&bed, "hang = \"n2\"\n[limits]\ntimeout = \"5s\"");
    let mut first = cshutdown(&bed, "--within 3h n2").status(143).spawn();
    waits_for(&mut first, "n2: halting");
    let other = cshutdown(&bed, "--within 1h -G ALL").status(1).run();
    assert!(other.stderr.contains("down: n[3-4]"), "{}", other.stderr);
    assert!(other.stderr.contains("held by n2: n1"), "in their order: {}", other.stderr);
    first.end();
}

/// It has less time than the second would have: it is waited for, and where it was turned round its targets stay up.
#[test]
fn one_with_less_time_is_waited_for_by_one_with_more_targets() {
    let bed = Bed::new();
    cluster(&bed, "");
    let mut first = cshutdown(&bed, "-T 30 --within 3h n1 n2").status(143).spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    let other = cshutdown(&bed, "--within 9h -G n3 n4").spawn();
    other.wait_for_stderr("not its targets, and to be stopped too: n[3-4]");
    assert!(first.is_running(), "{}", first.stderr_so_far());
    bed.program("cshutdown").arg("--cancel").run();
    first.end();
    let ended = other.end();
    assert!(ended.stderr.contains("down: n[3-4]"), "{}", ended.stderr);
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

/// Eight clients that wait for one slot, or one power controller, and the server that they have to be down before. Each is
/// as long on its way as the settings say.
fn served(bed: &Bed, simulator: &str) {
    cluster(bed, simulator);
    let inventory: String = bed.read("etc/cluster.toml").replace("partition = \"a\"\n", "");
    let text = inventory.replace("latency = \"1ms\"", "latency = \"1s\"").replace("20ms", "2s");
    bed.config("cluster.toml", text.replace("halt = \"50ms\"", "halt = \"8s\""));
    bed.write("inventory.json", nodes_of_served());
    bed.write("cstartSeq", "server: n1\nclients: n[2-9]\nserver > clients\n");
    bed.write("cshutSeq", "server: n1\nclients: n[2-9]\nclients > server\n");
    let times: Vec<String> = (1..=9).map(|node| format!("\"n{node}\": [10.2]")).collect();
    let text = format!("{{\"format\": \"orderly-history/1\", \"seconds\": {{{}}}}}", times.join(", "));
    bed.write("state/halt-history.simulated.json", text);
}

fn nodes_of_served() -> String {
    let clients: Vec<String> = (2..=9).map(|n| format!("{{\"name\": \"n{n}\", \"pdu\": \"p1\"}}")).collect();
    format!(
        "{{\"format\": \"orderly-inventory/1\", \"nodes\": [{{\"name\": \"n1\"}}, {}]}}",
        clients.join(", ")
    )
}

/// With `-K 1` everything was said to fit, and the server was down two seconds too late.
#[test]
fn limits_on_calls_are_a_part_of_the_plan_and_lifted_where_the_halts_fit_only_without() {
    let bed = Bed::new();
    served(&bed, "");
    let rehearse = |args: &str| {
        let ended = cshutdown(&bed, &format!("--rehearse --json {args} -F ALL")).any_status().run();
        let records = ended.records();
        let deadline =
            records.iter().find(|record| record["record"] == "deadline").expect("the plan").clone();
        let seconds = records.last().unwrap()["seconds"].as_f64().unwrap();
        (deadline, seconds, ended)
    };
    let lifted = "the halts fit only without -K and the limits of [limits]: no limit holds";
    let (wide, seconds, _) = rehearse("-K 64 --within 20m");
    assert_eq!((&wide["fit"], &wide["limits_lifted"]), (&"whole".into(), &false.into()));
    let free = wide["halt_seconds"].as_f64().unwrap();
    assert!(seconds <= 1200.0, "{seconds}");
    let (held, _, ended) = rehearse("-K 1 --within 30m");
    assert_eq!((&held["fit"], &held["limits_lifted"]), (&"whole".into(), &false.into()));
    assert!(held["halt_seconds"].as_f64().unwrap() > free + 8.0, "{held}");
    assert!(!ended.stderr.contains("no limit holds"), "{}", ended.stderr);
    // In so much time the halts fit, and not one after the other.
    let within = free + 4.0;
    let (tight, seconds, ended) = rehearse(&format!("-K 1 --within {within}s"));
    assert_eq!((&tight["limits_lifted"], &tight["late"]), (&true.into(), &serde_json::json!([])), "{tight}");
    assert!(ended.stderr.contains(lifted), "{}", ended.stderr);
    assert!(seconds <= within, "{seconds} of {within}: {}", ended.stderr);
    assert!(!ended.stderr.contains("only after the time"), "{}", ended.stderr);
}

/// The power controller takes one call at a time, whatever the fan-out: what is asked of it and power-offs wait.
#[test]
fn limits_of_power_controllers_are_a_part_of_the_plan() {
    let bed = Bed::new();
    served(&bed, "powers_off = false\n[limits]\nper = \"pdu\"\nmax = 1");
    let plan = |args: &str| {
        let ended = cshutdown(&bed, &format!("-k --json {args} -F ALL")).any_status().run();
        ended.records()[0].clone()
    };
    let one = plan("--within 20m");
    bed.config("cluster.toml", bed.read("etc/cluster.toml").replace("max = 1", "max = 99"));
    let many = plan("--within 20m");
    for key in ["halt_seconds", "power_off_seconds"] {
        assert!(one[key].as_f64().unwrap() > many[key].as_f64().unwrap() + 1.0, "{key}: {one}\n{many}");
    }
}

/// What a node is watched for was raised since: its halt was planned to take less than that alone.
#[test]
fn settle_is_never_taken_from_what_nodes_took_before() {
    let bed = Bed::new();
    cluster(&bed, "powers_off = false");
    history(&bed, 60.0, 20.0);
    let halts = |settle: &str| {
        let text = bed.read("etc/cluster.toml");
        let (before, after) = text.split_once("settle = \"").unwrap();
        let (_, after) = after.split_once('"').unwrap();
        bed.config("cluster.toml", format!("{before}settle = \"{settle}\"{after}"));
        let ended = cshutdown(&bed, "-k --json --within 9h -G ALL").run();
        ended.records()[0]["halt_seconds"].as_f64().unwrap()
    };
    assert!((halts("30s") - 80.0).abs() < 0.1, "two waves of 40 s, that of 30 s included");
    assert!((halts("5m") - 600.0).abs() < 0.1, "each is watched for five minutes");
    // It is known what they were watched for then.
    let times: Vec<String> = (1..=4).map(|node| format!("\"n{node}\": [30.0]")).collect();
    let text = format!("{{\"format\": \"orderly-history/1\", \"seconds\": {{{}}}}}", times.join(", "));
    bed.write("state/settle-history.simulated.json", text);
    assert!((halts("5m") - 620.0).abs() < 0.1, "10 s until a node is down, and then five minutes");
    assert!((halts("10s") - 40.0).abs() < 0.1, "or less than it was");
}

/// A node that hung kept its server up past the deadline, and nothing was said until its time was over.
#[test]
fn at_the_deadline_it_is_said_what_still_goes_on() {
    let bed = Bed::new();
    cluster(&bed, "hang = \"n2\"\n[limits]\ntimeout = \"20m\"");
    let ended = cshutdown(&bed, "--rehearse --within 10m -F -G ALL").status(1).run();
    let (before, after) = ended
        .stderr
        .split_once("the time is over; the shutdown goes on until all nodes are down")
        .unwrap_or_else(|| panic!("{}", ended.stderr));
    for part in ["not down yet: n2\n", "not told to halt yet, as they wait for others: n1\n"] {
        assert!(after.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(before.contains("n3: down"), "{}", ended.stderr);
    assert!(after.contains("n2: "), "it is followed to its end: {}", ended.stderr);
}

/// `-k` said that not all fits, and the rehearsal of the same ended with 0.
#[test]
fn a_rehearsal_of_what_does_not_fit_ends_as_the_check_of_it_does() {
    let bed = Bed::new();
    cluster(&bed, "");
    history(&bed, 60.0, 20.0);
    cshutdown(&bed, "-k --within 110 -G ALL").status(1).run();
    cshutdown(&bed, "--rehearse --within 110 -G ALL").status(1).run();
    cshutdown(&bed, "-k --within 10m -G ALL").run();
    cshutdown(&bed, "--rehearse --within 10m -G ALL").run();
}

/// What users lose was said only where nothing else was lost.
#[test]
fn what_users_lose_is_said_also_where_the_power_off_is_left_out() {
    let bed = Bed::new();
    cluster(&bed, "powers_off = false");
    history(&bed, 60.0, 20.0);
    let plan = cshutdown(&bed, "-k -T 5 --within 95 -G ALL").status(1).run();
    for part in [
        "the power-off is left out: nodes are halted and stay on\nusers do not wait, instead of 5m00s\n",
        "telling users is given up after ",
        "their processes have 1",
    ] {
        assert!(plan.stdout.contains(part), "{part} in {}", plan.stdout);
    }
    assert!(plan.stdout.lines().all(|line| line.chars().count() <= 80), "{}", plan.stdout);
    assert!(!plan.stdout.contains("0ms"), "{}", plan.stdout);
}

/// One that hung was said to be halted, and it ran.
#[test]
fn a_node_that_is_up_is_never_said_to_be_halted() {
    let bed = Bed::new();
    cluster(&bed, "hang = \"n2\"\n[limits]\ntimeout = \"20m\"");
    let ended = cshutdown(&bed, "--rehearse --force-off --within 15m -F n2").status(1).run();
    let said = "not down, and not forced off, as there was no time left for it: n2\n";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert!(!ended.stderr.contains("halted, and not powered off"), "{}", ended.stderr);
}

/// A unit is switched off after the nodes that are powered with it, and stays on where there is no time for that.
#[test]
fn units_are_a_part_of_the_plan() {
    let bed = Bed::new();
    cluster(&bed, "");
    let text =
        bed.read("inventory.json").replace("\"number\": 3,", "\"number\": 3, \"power_with\": [\"io\"],");
    bed.write("inventory.json", text);
    history(&bed, 60.0, 0.0);
    let off =
        "{\"format\": \"orderly-history/1\", \"seconds\": {\"io\": [300.0], \"n3\": [0.0], \"n4\": [0.0]}}";
    bed.write("state/off-history.simulated.json", off);
    let within = |time: &str, status| {
        let ended =
            cshutdown(&bed, &format!("--rehearse --json -F --within {time} -G n3 n4")).status(status).run();
        let records = ended.records();
        let offs = begun(&records).into_iter().filter(|(task, _)| task == "power_off");
        let fit = records.iter().find(|record| record["record"] == "deadline").unwrap()["fit"].clone();
        (fit, offs.map(|(_, node)| node).collect::<Vec<_>>())
    };
    let (fit, offs) = within("15m", 0);
    assert_eq!(
        (&fit, offs.last().map(String::as_str)),
        (&"whole".into(), Some("io")),
        "after its nodes: {offs:?}"
    );
    assert_eq!(within("6m", 1), ("no_power_off".into(), Vec::new()), "two waves of a minute, and five more");
    let plan = cshutdown(&bed, "-k --within 6m -G n3 n4").status(1).run();
    assert!(plan.stdout.contains("left on: io\n"), "{}", plan.stdout);
}

/// What root had written for a run of another user could not be read there, and was said to have been heard.
#[test]
fn a_sooner_deadline_of_root_is_heard_by_the_run_of_another_user() {
    if !real::require(&[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed, "");
    bed.tools(&["setpriv"]);
    history(&bed, 60.0, 20.0);
    std::fs::create_dir_all(bed.path("log")).unwrap();
    for (name, mode) in [("", 0o755), ("etc", 0o755), ("etc/cluster.toml", 0o644)] {
        std::fs::set_permissions(bed.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    for name in ["log", "state", "state/halt-history.simulated.json", "state/off-history.simulated.json"] {
        std::os::unix::fs::chown(bed.path(name), Some(65534), Some(65534)).unwrap();
    }
    let line = format!(
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups -- {}/bin/cshutdown -T 30 --within 3h -G ALL",
        bed.root().display()
    );
    let mut first = bed.shell(&line).any_stdout().any_stderr().any_status().spawn();
    waits_for(&mut first, "the shutdown begins in 30m00s");
    let sooner = cshutdown(&bed, "--within 130 -G n1 n2").run();
    assert!(sooner.stderr.contains("is tightened"), "{}", sooner.stderr);
    let ended = first.end();
    for part in ["the deadline is tightened: within 2m", "down: n[1-4]"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("it is not known elsewhere"), "{}", ended.stderr);
}
