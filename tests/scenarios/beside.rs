//! Runs beside each other: those that touch exclude each other or wait, all others go on, and what is killed leaves
//! nothing. On simulated nodes; the oracle knows the statements that were written and nothing else.

use super::order;
use super::random_orders::{NODES, Stated};
use bed::loopfs::Host;
use bed::{Bed, Chance, Need, Running, inventory_of, real, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;

/// Makes a simulated cluster of nodes that are all up, and take so long to boot or halt.
fn cluster(bed: &Bed, takes: &str) {
    let settings = format!(
        "sequence.literal = true\n\
         [power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n\
         [probe]\ndriver = \"simulator\"\ninterval = \"20ms\"\n[shutdown]\nsettle = \"{takes}\"\n\
         [simulator]\ninitial = \"up\"\nboot = \"{takes}\"\nhalt = \"{takes}\"\nlatency = \"1ms\"\n"
    );
    bed.cluster(&inventory_of((0..NODES).map(name)), settings);
    bed.write("cstartSeq", "");
    bed.write("cshutSeq", "");
}

fn name(node: usize) -> String {
    format!("n{node:02}")
}

fn spawn(bed: &Bed, program: &str, args: &[&str]) -> Running {
    bed.program(program).args(args).any_stdout().any_stderr().any_status().spawn()
}

/// Returns what lives or lived in the state directory as runs.
fn facts(bed: &Bed) -> Vec<Value> {
    let entries = std::fs::read_dir(bed.path("state/runs")).into_iter().flatten().flatten();
    let json = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".json"));
    json.filter_map(|entry| serde_json::from_str(&std::fs::read_to_string(entry.path()).ok()?).ok()).collect()
}

fn stage(bed: &Bed, running: &Running) -> Option<String> {
    let own = facts(bed).into_iter().find(|facts| facts["pid"] == running.pid())?;
    own["stage"].as_str().map(str::to_owned)
}

fn is_acting(bed: &Bed, running: &Running) -> bool {
    stage(bed, running).is_some_and(|stage| stage == "acting")
}

fn is_refused(running: &Running) -> bool {
    running.stderr_so_far().contains("hint: --wait waits")
}

/// Tells whether one of these leads another through an order.
fn is_bound(stated: &Stated, one: &BTreeSet<usize>, other: &BTreeSet<usize>) -> bool {
    let before = stated.before();
    one.iter().any(|&a| other.iter().any(|&b| before[a][b] || before[b][a]))
}

fn any_targets(chance: &mut Chance) -> BTreeSet<usize> {
    (0..=chance.below(3)).map(|_| chance.below(NODES)).collect()
}

/// Both begin at the same moment and are killed amid their work; the next pair finds what they left.
#[test]
fn of_random_pairs_never_two_act_that_touch_and_none_is_refused_that_does_not() {
    let cases = if std::env::var_os("ORDERLY_SOAK").is_some() { 1000 } else { 25 };
    let bed = Bed::new();
    cluster(&bed, "1h");
    let mut met = [0; 2];
    for case in 0..cases {
        let mut chance = Chance(case);
        let (start, shut) = (Stated::any(&mut chance), Stated::any(&mut chance));
        bed.write("cstartSeq", start.text(&mut chance));
        bed.write("cshutSeq", shut.text(&mut chance));
        std::fs::remove_file(bed.path("state/simulator.json")).ok();
        let runs: Vec<(BTreeSet<usize>, Running)> = (0..2)
            .map(|_| {
                let targets = any_targets(&mut chance);
                let names: Vec<String> = targets.iter().map(|&node| name(node)).collect();
                let (program, flags): (_, &[&str]) = match chance.below(2) {
                    0 => ("cstartup", &["-X", "-S", "-Z"]),
                    _ => ("cshutdown", &["-X", "-F"]),
                };
                let args: Vec<&str> = flags.iter().copied().chain(names.iter().map(String::as_str)).collect();
                (targets, spawn(&bed, program, &args))
            })
            .collect();
        let [(one, first), (other, second)] = &runs[..] else { unreachable!() };
        let touch = !one.is_disjoint(other) || is_bound(&start, one, other) || is_bound(&shut, one, other);
        let decided = |running: &Running| is_acting(&bed, running) || is_refused(running);
        wait_until("both have decided", || decided(first) && decided(second));
        let refused = [first, second].into_iter().filter(|running| is_refused(running)).count();
        let said = format!("{}{}", first.stderr_so_far(), second.stderr_so_far());
        assert_eq!(refused, usize::from(touch), "case {case}: {one:?} {other:?}\n{said}");
        met[refused] += 1;
        for (_, running) in runs {
            if !is_refused(&running) {
                running.signal(Signal::SIGKILL);
            }
            let refused = is_refused(&running);
            assert_eq!(running.end().status, if refused { 4 } else { 128 + 9 });
        }
    }
    assert!(met.iter().all(|&count| count > 0), "both were met: {met:?}");
}

/// Killed at any point, from before it claims anything until it is over.
#[test]
fn a_killed_run_leaves_nothing_that_hinders_the_next() {
    let bed = Bed::new();
    cluster(&bed, "20ms");
    let mut chance = Chance(1);
    for _ in 0..15 {
        let killed = spawn(&bed, "cshutdown", &["-F", "ALL"]);
        std::thread::sleep(std::time::Duration::from_millis(chance.below(120) as u64));
        killed.signal(Signal::SIGKILL);
        killed.end();
        bed.program("cstartup").args(["-q", "ALL"]).run();
    }
    assert!(facts(&bed).is_empty(), "{:?}", facts(&bed));
    let left: Vec<_> = std::fs::read_dir(bed.path("state/runs")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "the lock of the desk alone: {left:?}");
}

#[test]
fn who_waits_says_for_whom_and_is_passed_only_by_runs_that_it_does_not_touch() {
    let bed = Bed::new();
    cluster(&bed, "1h");
    let first = spawn(&bed, "cshutdown", &["-F", "n01"]);
    wait_until("the first acts", || is_acting(&bed, &first));
    let waiting = spawn(&bed, "cstartup", &["--wait", "-Z", "n[01-02]"]);
    waiting
        .wait_for_stderr(&format!("waiting for the end of process {} (cshutdown -F n01, user ", first.pid()));
    waiting.wait_for_stderr(", targets n01), at work: both act on n01");
    // It touches only the one that waits, and would pass it.
    let refused = bed.program("cshutdown").args(["-F", "n02"]).status(4).any_stderr().run();
    let said = format!("process {} (cstartup --wait -Z n[01-02], user ", waiting.pid());
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("targets n[01-02]), which waits itself: both act on n02"),
        "{}",
        refused.stderr
    );
    let beside = spawn(&bed, "cshutdown", &["-F", "n03"]);
    wait_until("another acts beside both", || is_acting(&bed, &beside));
    // Others look only: they take nothing.
    let foreseen = bed.program("cshutdown").args(["-k", "n01"]).status(4).any_stdout().any_stderr().run();
    assert!(foreseen.stderr.contains("now this would be refused (4): process "), "{}", foreseen.stderr);
    assert!(foreseen.stdout.contains("halt n01"), "{}", foreseen.stdout);
    let foreseen = bed.program("cstartup").args(["-k", "--wait", "n03"]).any_stdout().any_stderr().run();
    assert!(foreseen.stderr.contains("now this would wait for the end of process "), "{}", foreseen.stderr);
    bed.program("cshutdown").args(["-k", "n04"]).any_stdout().goes_well().run();
    assert_eq!(facts(&bed).len(), 3);
    // Not for longer than was said, and not against a signal.
    let limited = bed.program("cstartup").args(["--wait=300ms", "n01"]).status(4).any_stderr().run();
    assert_eq!(limited.stderr.matches("waiting for the end of").count(), 1, "{}", limited.stderr);
    let interrupted = bed.program("cstartup").args(["--wait", "n01"]).status(130).any_stderr().spawn();
    interrupted.wait_for_stderr("waiting for the end of").signal(Signal::SIGINT);
    let said = interrupted.end().stderr;
    assert!(said.contains("interrupted before its turn came: nothing was done"), "{said}");
    // Added to the time it is, so long a wait was none.
    let endless = ["--wait=18446744073709551615", "n01"];
    let endless = bed.program("cstartup").args(endless).status(130).any_stderr().spawn();
    endless.wait_for_stderr("waiting for the end of").signal(Signal::SIGINT);
    endless.end();
    assert_eq!(stage(&bed, &waiting).as_deref(), Some("waiting"));
    first.signal(Signal::SIGKILL);
    wait_until("its turn has come", || is_acting(&bed, &waiting));
    for running in [first, waiting, beside] {
        running.signal(Signal::SIGKILL);
        running.end();
    }
}

/// The start that follows a shutdown is the same run: nobody gets in between.
#[test]
fn a_restart_keeps_its_nodes_from_its_shutdown_to_the_end_of_its_start() {
    let bed = Bed::new();
    cluster(&bed, "700ms");
    let restart = spawn(&bed, "cshutdown", &["-F", "-r", "n01"]);
    wait_until("it acts", || is_acting(&bed, &restart));
    let waiting = spawn(&bed, "cshutdown", &["-F", "--wait", "n01"]);
    waiting.wait_for_stderr("waiting for the end of");
    let pid = restart.pid();
    let by =
        |program: &str| facts(&bed).iter().any(|facts| facts["pid"] == pid && facts["program"] == program);
    wait_until("it has become cstartup", || by("cstartup"));
    assert_eq!(stage(&bed, &waiting).as_deref(), Some("waiting"));
    let (restarted, waited) = (restart.end(), waiting.end());
    assert!(restarted.stderr.contains("cstartup: up: n01"), "{}", restarted.stderr);
    assert_eq!((restarted.status, waited.status), (0, 0), "{}", waited.stderr);
    assert!(waited.stderr.contains("down: n01"), "it was up again: {}", waited.stderr);
}

/// Each lost what another wrote in between.
#[test]
fn runs_at_one_time_lose_nothing_of_what_is_remembered() {
    let bed = Bed::new();
    cluster(&bed, "100ms");
    let all = |program: &str, flag: &str| {
        let runs: Vec<Running> = (0..NODES).map(|node| spawn(&bed, program, &[flag, &name(node)])).collect();
        for run in runs {
            let ended = run.end();
            assert_eq!(ended.status, 0, "{}", ended.stderr);
        }
    };
    let names: Vec<Value> = (0..NODES).map(|node| name(node).into()).collect();
    let read = |file: &str| serde_json::from_str::<Value>(&bed.read(format!("state/{file}"))).unwrap();
    all("cshutdown", "-F");
    assert_eq!(read("was-up.simulated.json")["nodes"], Value::from(names.clone()));
    assert_eq!(read("halt-history.simulated.json")["seconds"].as_object().unwrap().len(), NODES);
    all("cstartup", "-X");
    assert_eq!(read("was-up.simulated.json")["nodes"], Value::from(Vec::<Value>::new()));
    assert_eq!(read("start-history.simulated.json")["seconds"].as_object().unwrap().len(), NODES);
    // The imagined world as well.
    let ended = bed.program("cstartup").args(["-v", "ALL"]).any_stderr().run();
    assert!(ended.stderr.contains("already up: n[00-11] (12 nodes)"), "{}", ended.stderr);
}

#[test]
fn of_several_shutdowns_that_wait_one_is_cancelled_by_its_targets_or_its_process() {
    let bed = Bed::new();
    cluster(&bed, "20ms");
    let pending = |targets: &str| {
        let run = spawn(&bed, "cshutdown", &["-F", "-T", "60", targets]);
        wait_until("it waits for its time", || stage(&bed, &run).as_deref() == Some("pending"));
        run
    };
    let (one, two) = (pending("n[01-02]"), pending("n03"));
    let taken = bed.program("cshutdown").args(["-F", "-T", "5", "n02"]).status(4).any_stderr().run();
    assert!(
        taken.stderr.contains("another shutdown waits for its time with some of these"),
        "{}",
        taken.stderr
    );
    let which = bed.program("cshutdown").arg("--cancel").status(4).any_stderr().run().stderr;
    for run in [&one, &two] {
        assert!(which.contains(&format!("process {} (cshutdown -F -T 60 ", run.pid())), "{which}");
    }
    bed.program("cshutdown").args(["--cancel", "n09"]).status(4).any_stderr().run();
    bed.program("cshutdown").args(["--cancel", &two.pid().to_string()]).run();
    assert_eq!(two.end().status, 130);
    let three = pending("n04");
    bed.program("cshutdown").args(["--cancel", "n[02-03]"]).run();
    assert_eq!(one.end().status, 130);
    // Where one waits, none has to be named; what acts is not cancelled.
    bed.program("cshutdown").arg("--cancel").run();
    assert_eq!(three.end().status, 130);
    bed.program("cshutdown").arg("--cancel").status(4).any_stderr().run();
}

/// Each limit is one for all runs: while a run has all of it, others wait, and go on when it is killed.
#[test]
fn runs_share_fanout_controllers_booting_nodes_and_stagger() {
    for (limit, behaves) in [
        ("fanout = 1", "hang"),
        ("per = \"pdu\"\nmax = 1", "hang"),
        ("booting = 1", "dead"),
        ("booting = 1\nbooting_per = \"pdu\"", "dead"),
        ("stagger = \"1h\"", "dead"),
    ] {
        let bed = order::cluster(&format!("[limits]\n{limit}\n"));
        let inventory = bed.read("etc/inventory.json");
        let with = "\"partition\": \"prod\", \"pdu\": \"p1\"";
        bed.config("inventory.json", inventory.replace("\"partition\": \"prod\"", with));
        order::mark(&bed, behaves, "n04");
        let first = spawn(&bed, "cstartup", &["--timeout", "600s", "n04"]);
        wait_until("the first powers on", || order::power(&bed).contains(&"on n04".to_owned()));
        let second = spawn(&bed, "cstartup", &["n01"]);
        wait_until("the second acts", || is_acting(&bed, &second));
        std::thread::sleep(std::time::Duration::from_millis(400));
        assert!(!order::power(&bed).contains(&"on n01".to_owned()), "{limit}: {:?}", order::power(&bed));
        first.signal(Signal::SIGKILL);
        let ended = second.end();
        assert!(ended.stderr.contains("up: n01"), "{limit}: {}", ended.stderr);
        first.end();
    }
}

/// Whoever waited for what a stopped run has waited without a word.
#[test]
fn who_waits_for_what_another_run_has_says_for_whom() {
    let bed = order::cluster("[limits]\nfanout = 1\n");
    order::mark(&bed, "hang", "n04");
    let first = spawn(&bed, "cstartup", &["--timeout", "600s", "n04"]);
    wait_until("the first powers on", || order::power(&bed).contains(&"on n04".to_owned()));
    first.signal(Signal::SIGSTOP);
    let second = spawn(&bed, "cstartup", &["n01"]);
    let pid = first.pid();
    let by = format!("process {pid} (cstartup --timeout 600s n04, user ");
    let waits = format!("waiting for driver processes (limits.fanout): in use by {by}");
    second.wait_for_stderr(&waits);
    let tell =
        |words: &[&str]| bed.program("cstartup").args(words).any_status().any_stdout().any_stderr().run();
    assert!(tell(&["--why-not", "n01"]).stdout.contains(&format!("  that run is {waits}")));
    let records = tell(&["--status", "--json"]).records();
    let own = records.iter().find(|run| run["pid"] == second.pid()).unwrap();
    let held = &own["status"]["held_back"][0]["by"][0];
    assert_eq!((&held["pid"], &held["targets"]), (&pid.into(), &"n04".into()), "{own}");
    let shown = tell(&["--status"]).stdout;
    assert!(shown.contains(&format!("  {waits}")), "{shown}");
    first.signal(Signal::SIGKILL);
    let ended = second.end();
    assert!(ended.stderr.contains("up: n01"), "{}", ended.stderr);
    first.end();
}

/// On an overlay the kernel's table of locks names another device than the file has: nobody was seen, and a shutdown on
/// battery was refused instead of telling the run that it met.
#[test]
fn runs_see_each_other_where_the_state_directory_is_on_an_overlay() {
    if !real::require(&[Need::Root, Need::MountNamespace, Need::Overlay]) {
        return;
    }
    let bed = Bed::new();
    cluster(&bed, "1h");
    bed.tools(&["mount", "mkdir"]);
    let host = Host::new(&bed, "ec1");
    // Of two file systems: only then the device is another one.
    let overlay = "mount -t overlay overlay -o lowerdir=state,upperdir=tmp/upper,workdir=tmp/work state";
    host.shell(&format!("mount -t tmpfs tmpfs tmp && mkdir tmp/upper tmp/work && {overlay}")).run();
    let run = |program: &str, args: &[&str]| {
        host.program(program).args(args).any_stdout().any_stderr().any_status().spawn()
    };
    let first = run("cshutdown", &["-F", "n01"]);
    first.wait_for_stderr("n01: halting");
    let foreseen = run("cshutdown", &["-k", "n01"]).end();
    assert_eq!(foreseen.status, 4, "{}", foreseen.stderr);
    assert!(foreseen.stderr.contains("now this would be refused (4): process "), "{}", foreseen.stderr);
    assert!(foreseen.stderr.contains("(cshutdown -F n01, user "), "{}", foreseen.stderr);
    let held = run("cshutdown", &["--why-not", "n01"]).end();
    assert!(held.stdout.contains("(cshutdown -F n01, user "), "{} {}", held.stdout, held.stderr);
    let battery = run("cshutdown", &["--within", "10m", "-F", "n01"]);
    battery.wait_for_stderr("(cshutdown -F n01, user ");
    battery.wait_for_stderr("is told to begin nothing more, and waited for");
    assert_eq!(first.end().status, 128 + 15);
    battery.wait_for_stderr("n01: halting");
}

/// What others put there hung a run, or ended it with a panic.
#[test]
fn what_is_no_runs_among_the_claims_hinders_nobody() {
    let bed = Bed::new();
    cluster(&bed, "20ms");
    bed.program("cstartup").args(["-q", "ALL"]).run();
    let runs = bed.path("state/runs");
    let pipe = |name: &str| nix::unistd::mkfifo(&runs.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for directory in ["1.lock", "2.json", "5.lock/6.lock", ".7.json"] {
        std::fs::create_dir_all(runs.join(directory)).unwrap();
    }
    for file in
        ["18446744073709551615.lock", "4611686018427387904.lock", "+8.lock", "08.lock", "9.lock", "x.lock"]
    {
        std::fs::write(runs.join(file), "").unwrap();
    }
    pipe("3.lock");
    pipe("9.json");
    std::os::unix::fs::symlink("/etc/passwd", runs.join("10.lock")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", runs.join("11.json")).unwrap();
    for (program, args) in [
        ("cstartup", ["-k", "ALL"]),
        ("cshutdown", ["--why-not", "n01"]),
        ("cshutdown", ["-F", "ALL"]),
        ("cstartup", ["-q", "ALL"]),
    ] {
        let ended = spawn(&bed, program, &args).end();
        let status = i32::from(args[0] == "--why-not");
        assert!([0, status].contains(&ended.status), "{program} {args:?}: {} {}", ended.status, ended.stderr);
    }
    bed.program("cshutdown").args(["--within", "1m", "-F", "n03"]).any_stdout().goes_well().run();
}

/// It went by what was recorded before it waited: what was stopped meanwhile stayed off.
#[test]
fn a_restore_that_waited_brings_back_what_is_recorded_when_its_turn_has_come() {
    for stopped_meanwhile in [true, false] {
        let bed = Bed::new();
        cluster(&bed, "3s");
        let stop = |node: &str| bed.program("cshutdown").args(["-F", node]).any_stdout().any_stderr().run();
        stop("n01");
        let first = spawn(&bed, "cstartup", &["n01"]);
        // Not while it has the desk.
        first.wait_for_stderr("n01: powering on").signal(Signal::SIGSTOP);
        let restore = spawn(&bed, "cstartup", &["--restore", "--wait"]);
        restore.wait_for_stderr("waiting for the end of");
        // It heard that the run ended without a word, when it claimed what was recorded by then.
        let watch = spawn(&bed, "cstartup", &["--json", "--watch", &restore.pid().to_string()]);
        watch.wait_for_stdout("\"record\":\"status\"");
        if stopped_meanwhile {
            stop("n02");
        }
        first.signal(Signal::SIGCONT);
        first.end();
        let ended = restore.end();
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        let said = match stopped_meanwhile {
            true => "cstartup: up: n02",
            false => "others brought up meanwhile all that was to be brought back",
        };
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        let watch = watch.end();
        assert!(watch.status == 0 && watch.stderr.contains(said), "{}", watch.stderr);
        let otherwise = "what was up is recorded otherwise by now";
        assert_eq!(watch.stderr.contains(otherwise), stopped_meanwhile, "{}", watch.stderr);
    }
}

/// The nodes of another run alone were left to it, and not those that its sequence binds to them.
#[test]
fn what_is_quieted_stays_so_while_another_run_acts_on_what_leads_it() {
    let bed = Bed::new();
    cluster(&bed, "1h");
    bed.write("cstartSeq", "a: n01\nb: n02\na > b\n");
    let record = r#"{"format": "orderly-quieted/1", "subsystems":
        [{"down": "/bin/down", "up": "/bin/up", "nodes": ["n02", "n04"]}]}"#;
    bed.write("state/quieted.simulated.json", record);
    let first = spawn(&bed, "cshutdown", &["-X", "-F", "n01"]);
    wait_until("it acts", || is_acting(&bed, &first));
    bed.program("cstartup").arg("n05").goes_well().run();
    let left = bed.read("state/quieted.simulated.json");
    assert!(left.contains("n02") && !left.contains("n04"), "{left}");
    first.signal(Signal::SIGKILL);
    first.end();
}

/// Each wrote down how it calls the node, a name here and an address there, and both acted on it at once.
#[test]
fn a_node_under_a_name_in_one_configuration_and_an_address_in_the_other_is_one() {
    if !real::require(&[Need::Root, Need::MountNamespace]) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["mount", "sleep", "true", "sh"]);
    let power = bed.script("power", "case $1 in status) echo \"$2: off\" ;; *) sleep 1000 ;; esac");
    bed.write("hosts", "10.77.0.1 node-one.example node-one\n");
    for (name, node, address, port) in
        [("one", "n1", "10.77.0.1", ""), ("two", "m1", "Node-One", "port = 22\n")]
    {
        let inventory = format!(r#"{{"nodes": [{{"name": "{node}", "address": "{address}"}}]}}"#);
        let inventory = bed.write(format!("{name}.json"), inventory);
        let text = format!(
            "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?}, subsystems = {:?} }}\n\
             [power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
             status = [{power:?}, \"status\", \"{{node}}\"]\n[shell]\ndriver = \"ssh\"\n{port}\
             [probe]\ndriver = \"power\"\n",
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cshutSeq"),
            bed.path("subsysSeq"),
        );
        bed.config(&format!("{name}.toml"), text);
    }
    let host = Host::new(&bed, "mgmt");
    host.shell("mount --bind hosts /etc/hosts").run();
    let config = |name: &str| bed.path(format!("etc/{name}.toml")).display().to_string();
    let run = |name: &str, node: &str| {
        host.program("cstartup").args(["--config", &config(name), node]).any_stderr().any_status().spawn()
    };
    let first = run("one", "n1");
    wait_until("the first acts", || facts(&bed).iter().any(|facts| facts["stage"] == "acting"));
    let second = run("two", "m1").end();
    assert_eq!(second.status, 4, "{}", second.stderr);
    assert!(second.stderr.contains("both act on what is at the address 10.77.0.1"), "{}", second.stderr);
    first.signal(Signal::SIGKILL);
}

/// Whoever removed the file of a run that lives let others act on its nodes.
#[test]
fn a_run_that_says_nothing_of_itself_any_more_may_act_on_anything() {
    let bed = Bed::new();
    cluster(&bed, "1h");
    let running = spawn(&bed, "cshutdown", &["-F", "ALL"]);
    wait_until("it acts", || is_acting(&bed, &running));
    let facts = std::fs::read_dir(bed.path("state/runs")).unwrap().map(|entry| entry.unwrap().path());
    facts.filter(|path| path.extension().is_some_and(|ext| ext == "json")).for_each(|path| {
        std::fs::remove_file(path).unwrap();
    });
    bed.program("cstartup").arg("ALL").status(4).any_stdout().any_stderr().run();
    running.signal(Signal::SIGKILL);
    running.end();
}
