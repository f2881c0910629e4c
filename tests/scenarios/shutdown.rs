//! Nodes going down: through real ssh to real sshd, whose commands are answered by stand-ins.

use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, Ended, Program, real, wait_until};
use nix::sys::signal::Signal;

/// Makes a cluster in which n1 serves n2 and n3, all up, with a fixed order.
fn cluster<'a>(bed: &'a Bed, names: &[&str]) -> Cluster<'a> {
    let cluster = Cluster::new(bed, names);
    cluster.configure();
    bed.write("cshutSeq", "clients: n2 n3\nservers: n1\nclients > servers\n");
    cluster.answer("'exec sh -s'*", "echo 'orderly: no users'");
    names.iter().for_each(|name| {
        cluster.power_on(name);
    });
    cluster
}

fn halts(cluster: &Cluster<'_>) -> Vec<String> {
    let mut asked = cluster.asked();
    asked.retain(|line| line.contains("shutdown") || line.ends_with("power off"));
    asked
}

fn cshutdown<'a>(bed: &'a Bed, args: &[&str]) -> Program<'a> {
    bed.program("cshutdown").args(args).goes_well()
}

fn log_of(bed: &Bed) -> String {
    let mut logs: Vec<_> =
        std::fs::read_dir(bed.path("log")).unwrap().flatten().map(|entry| entry.path()).collect();
    logs.sort();
    std::fs::read_to_string(logs.last().unwrap()).unwrap()
}

#[test]
fn clients_go_down_and_off_before_their_server_is_told() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    cluster.after_halt("n3", "off");
    let ended = cshutdown(&bed, &["--json", "ALL"]).any_stdout().run();
    let asked = halts(&cluster);
    let at = |line: &str| {
        asked.iter().position(|asked| asked == line).unwrap_or_else(|| panic!("{line} in {asked:?}"))
    };
    assert!(at("n1 shutdown -h now") > at("n2 power off"));
    assert!(at("n1 shutdown -h now") > at("n3 shutdown -h now"));
    assert!(!asked.contains(&"n3 power off".to_owned()), "n3 switched itself off: {asked:?}");
    assert!(!cluster.is_on("n1") && !cluster.is_on("n2"));
    let records = ended.records();
    let report = records.last().unwrap();
    assert_eq!(report["record"], "report");
    assert_eq!(report["format"], "orderly-run/1");
    assert_eq!((&report["status"], &report["counts"]["down"]), (&"done".into(), &3.into()));
    let log = log_of(&bed);
    assert!(log.lines().next().unwrap().contains("cshutdown --json ALL"), "{log}");
    assert!(cluster.heard("n2").contains("goes down now"), "users are told: {}", cluster.heard("n2"));

    let again = cshutdown(&bed, &["ALL"]).run();
    assert!(again.stderr.contains("already down: n[1-3]"), "{}", again.stderr);
    assert_eq!(halts(&cluster).len(), asked.len(), "what is down is left alone");
}

#[test]
fn a_lost_connection_is_followed_by_a_look_and_a_refusal_holds_the_server() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    cluster.on_halt("n2", "drop").on_halt("n3", "refuse");
    let ended = cshutdown(&bed, &["-F", "ALL"]).status(1).run();
    assert!(!cluster.is_on("n2"), "{}", ended.stderr);
    assert!(cluster.is_on("n3") && cluster.is_up("n3"), "what refuses to halt keeps its power");
    assert!(cluster.is_up("n1") && ended.stderr.contains("held by n3: n1"), "{}", ended.stderr);
    assert!(!halts(&cluster).contains(&"n1 shutdown -h now".to_owned()));

    cshutdown(&bed, &["-F", "--force-off", "ALL"]).run();
    assert!(!cluster.is_on("n3") && !cluster.is_on("n1"));
}

#[test]
fn s_begins_nothing_after_a_failure() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2"]);
    bed.write("cshutSeq", "# all at once\n");
    cluster.on_halt("n1", "refuse");
    let ended = cshutdown(&bed, &["-F", "-s", "-K", "1", "n1,n2"]).status(1).run();
    assert!(cluster.is_up("n2") || ended.stderr.contains("down: n2"), "{}", ended.stderr);
    assert!(ended.stderr.contains("failed: n1"), "{}", ended.stderr);
}

#[test]
fn a_violation_refuses_extends_or_is_ignored() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    let refused = cshutdown(&bed, &["n1"]).status(4).run();
    for part in ["n[2-3] are up", "cshutdown -E n1", "cshutdown -X n1", "cshutSeq:"] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.stderr);
    }
    cshutdown(&bed, &["-k", "n1"]).status(4).run();
    assert!(halts(&cluster).is_empty() && cluster.heard("n1").is_empty(), "nothing is touched");
    let plan = cshutdown(&bed, &["-k", "ALL"]).any_stdout().run();
    assert_eq!(plan.stdout, "1: halt n[2-3]\n2: halt n1\n");
    cshutdown(&bed, &["--confirm", "2", "-E", "n1"]).status(4).run();
    assert!(halts(&cluster).is_empty());
    cshutdown(&bed, &["-F", "-X", "n1"]).run();
    assert!(!cluster.is_on("n1") && cluster.is_up("n2"));
    cshutdown(&bed, &["-F", "-E", "--confirm", "3", "n1"]).run();
    assert!(!cluster.is_on("n2") && !cluster.is_on("n3"));
}

#[test]
fn a_waiting_shutdown_is_cancelled_from_elsewhere_and_by_an_interrupt() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    bed.program("cshutdown").arg("--cancel").status(4).any_stderr().run();
    let told = |text: &str| wait_until(text, || cluster.heard("n3").contains(text));
    let waiting = cshutdown(&bed, &["-T", "3", "-M", "new disks", "ALL"]).status(130).spawn();
    told("new disks");
    wait_until("logins are held off", || cluster.asked().iter().any(|line| line.contains("nologin")));
    bed.program("cshutdown").arg("--cancel").run();
    waiting.end();
    told("is cancelled");

    let waiting = cshutdown(&bed, &["-T", "23:59", "ALL"]).status(143).spawn();
    waiting.wait_for_stderr("the shutdown begins in").signal(Signal::SIGTERM);
    waiting.end();
    assert!(halts(&cluster).is_empty() && cluster.is_up("n1"));
}

#[test]
fn r_starts_again_what_went_down_and_minds_its_options_first() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2"]);
    bed.write("cshutSeq", "n2: n2\nn1: n1\nn2 > n1\n");
    bed.write("cstartSeq", "n2: n2\nn1: n1\nn1 > n2\n");
    let wrong = cshutdown(&bed, &["-r", "-C", "--no-such-option", "ALL"]).status(2).run();
    assert!(wrong.stderr.contains("no-such-option"), "{}", wrong.stderr);
    assert!(halts(&cluster).is_empty(), "nothing is touched");
    cshutdown(&bed, &["-F", "-r", "-C", "--timeout 30", "ALL"]).any_stdout().run();
    assert!(cluster.is_up("n1") && cluster.is_up("n2"));
    let asked = cluster.asked();
    let last = |line: &str| {
        asked.iter().rposition(|asked| asked == line).unwrap_or_else(|| panic!("{line}: {asked:?}"))
    };
    assert!(last("n2 power off") < last("n1 power off") && last("n1 power on") < last("n2 power on"));
}

#[test]
fn this_machine_is_not_stopped_by_accident() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2"]);
    let text = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("control_node = \"n2\"\n{text}"));
    bed.write("cshutSeq", "");
    let refused = cshutdown(&bed, &["n1,n2"]).status(4).run();
    assert!(refused.stderr.contains("n2 is this very machine"), "{}", refused.stderr);
    cshutdown(&bed, &["-r", "--even-self", "n1,n2"]).status(4).run();
    assert!(halts(&cluster).is_empty());
    cshutdown(&bed, &["-F", "--even-self", "n1,n2"]).run();
    let asked = halts(&cluster);
    let first = |line: &str| asked.iter().position(|asked| asked == line).unwrap();
    assert!(first("n1 power off") < first("n2 shutdown -h now"), "{asked:?}");
}

#[test]
fn maintenance_leaves_power_on() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    let ended = cshutdown(&bed, &["-F", "-m", "n2"]).run();
    assert!(ended.stderr.contains("in maintenance: n2"), "{}", ended.stderr);
    assert!(cluster.is_on("n2") && !cluster.is_up("n2"));
    assert!(cluster.asked().contains(&"n2 systemctl isolate rescue.target".to_owned()));
}

#[test]
fn a_node_that_hangs_is_named_and_keeps_its_power() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    cluster.on_halt("n2", "hang");
    let ended = cshutdown(&bed, &["-F", "--timeout", "15s", "ALL"]).status(1).run();
    assert!(cluster.is_on("n2") && cluster.is_up("n1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("n2: ") && ended.stderr.contains("held by n2: n1"), "{}", ended.stderr);
    assert!(!cluster.is_on("n3"), "what does not depend on it goes on");
}

#[test]
fn an_interrupt_leaves_a_state_from_which_a_second_run_goes_on() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed, &["n1", "n2", "n3"]);
    let text = bed.read("etc/cluster.toml").replace("settle = \"200ms\"", "settle = \"30s\"");
    bed.config("cluster.toml", text);
    let running = cshutdown(&bed, &["-F", "ALL"]).status(130).spawn();
    wait_until("n2 and n3 are gone", || !cluster.is_up("n2") && !cluster.is_up("n3"));
    running.signal(Signal::SIGINT);
    let ended: Ended = running.end();
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert!(cluster.is_up("n1") && !halts(&cluster).contains(&"n1 shutdown -h now".to_owned()));
    cluster.power_on("n2").power_on("n3");
    let text = bed.read("etc/cluster.toml").replace("settle = \"30s\"", "settle = \"200ms\"");
    bed.config("cluster.toml", text);
    cshutdown(&bed, &["-F", "ALL"]).run();
    assert!(!cluster.is_on("n1"));
}

#[test]
fn wrong_flags_are_usage_and_touch_nothing() {
    let bed = Bed::new();
    for args in ["-h -r ALL", "-N -g 1", "-X -E ALL", "-C -Z ALL", "-M x ALL", ""] {
        bed.program("cshutdown").args(args.split_whitespace()).status(2).any_stderr().run();
    }
    let help = bed.program("cshutdown").arg("--help").any_stdout().run();
    assert!(help.stdout.contains("-h") && help.stdout.contains("Halt"), "{}", help.stdout);
    cshutdown(&bed, &["ALL"]).status(3).run();
}
