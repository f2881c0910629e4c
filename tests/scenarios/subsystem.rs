//! Special subsystems: called in order, word for word as documented, before any node is halted.

use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, Program, real};

fn cluster(bed: &Bed) -> Cluster<'_> {
    let cluster = Cluster::new(bed, &["n1", "n2", "n3"]);
    cluster.configure();
    bed.write("cshutSeq", "");
    let text = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", format!("control_address = \"129.40.64.70\"\n{text}"));
    bed.write("subsysSeq", "first: /full/path/subsystemA\nthen: /full/path/subsystemB\nfirst > then\n");
    cluster.answer("'exec sh -s'*", "echo 'orderly: no users'");
    for name in ["n1", "n2", "n3"] {
        cluster.power_on(name);
    }
    cluster
}

fn asked(cluster: &Cluster<'_>, what: &str) -> Vec<String> {
    cluster.asked().into_iter().filter(|line| line.contains(what)).collect()
}

fn cshutdown<'a>(bed: &'a Bed, args: &[&str]) -> Program<'a> {
    bed.program("cshutdown").args(args).goes_well()
}

#[test]
fn subsystems_are_called_in_order_before_the_nodes() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed);
    cshutdown(&bed, &["-h", "-F", "-N", "1", "2-3"]).run();
    let all = cluster.asked();
    let calls = asked(&cluster, "subsystem");
    assert_eq!(calls.len(), 2, "each once: {all:?}");
    let (node, call) = calls[0].split_once(' ').unwrap();
    assert!(["n1", "n2", "n3"].contains(&node));
    let words: Vec<&str> = call.split(' ').collect();
    assert_eq!(words[..4], ["/full/path/subsystemA", "-h", "-b", "129.40.64.70"]);
    assert_eq!(words[4], "-f");
    let log = std::path::Path::new(words[5]);
    assert!(log.is_absolute() && log.exists(), "{words:?}");
    assert!(log.file_name().unwrap().to_str().unwrap().starts_with("cshut."));
    assert_eq!(words[6..], ["1", "2", "3"]);
    assert!(calls[1].contains("subsystemB"));
    let first = |what: &str| all.iter().position(|line| line.contains(what)).unwrap();
    assert!(first("subsystemB") < first("shutdown -h now"));

    let line = ["-b", "127.0.0.1", "-f", words[5], "quota", "is\nquiet"];
    bed.program("csLogger").args(line).run();
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.ends_with("quota is\\nquiet\n"), "{text}");
}

#[test]
fn a_failing_subsystem_stops_the_run_unless_told_otherwise() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed);
    cluster.answer("*subsystemA*", "echo 'quota: busy' >&2; exit 7");
    let ended = cshutdown(&bed, &["-F", "ALL"]).status(1).run();
    for part in ["subsystemA failed on n", "quota: busy", "no node was stopped"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(asked(&cluster, "subsystemB").is_empty() && asked(&cluster, "shutdown").is_empty());
    assert!(cluster.is_up("n1"));

    cshutdown(&bed, &["-F", "-Y", "ALL"]).status(1).run();
    assert_eq!(asked(&cluster, "subsystemB").len(), 1);
    assert!(!cluster.is_on("n1"));
}

#[test]
fn a_person_at_the_terminal_is_asked() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed);
    cluster.answer("*subsystemA*", "exit 7");
    let mut running = cshutdown(&bed, &["-F", "ALL"]).on_terminal().status(1).spawn();
    running.wait_for_stderr("continue, quit or open a shell?");
    running.type_in("q\n");
    running.end();
    assert!(asked(&cluster, "shutdown").is_empty());

    let mut running = cshutdown(&bed, &["-F", "ALL"]).on_terminal().status(1).spawn();
    running.wait_for_stderr("continue, quit or open a shell?");
    running.type_in("c\n");
    running.end();
    assert!(!cluster.is_on("n1"));
}

#[test]
fn an_unreadable_list_is_rejected_and_a_missing_one_calls_nobody() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed);
    bed.write("subsysSeq", "a: /x\na > b\n");
    let rejected = cshutdown(&bed, &["ALL"]).status(3).run();
    assert!(rejected.stderr.contains("subsysSeq:2:5"), "{}", rejected.stderr);
    std::fs::remove_file(bed.path("subsysSeq")).unwrap();
    cshutdown(&bed, &["-F", "ALL"]).run();
    assert!(!cluster.is_on("n1"));
}

#[test]
fn a_log_line_for_another_machine_goes_through_the_shell_driver() {
    let bed = Bed::new();
    let rsh = bed.script("rsh", "printf '%s\\n' \"$@\" >\"$0.said\"");
    let inventory = bed.write("inventory.json", "{\"format\": \"orderly-inventory/1\", \"nodes\": []}");
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {inventory:?}\n[power]\ndriver = \"none\"\n[probe]\ndriver = \"none\"\n[shell]\n\
             driver = \"command\"\nrun = [{rsh:?}, \"{{address}}\", \"{{command}}\"]\n"
        ),
    );
    let log = "/var/adm/SPlogs/cs/cshut.1121214907.4711";
    bed.program("csLogger").args(["-b", "192.0.2.7", "-f", log, "it", "is done"]).run();
    assert_eq!(
        bed.read("rsh.said"),
        format!("192.0.2.7\ncsLogger --here -b 192.0.2.7 -f {log} -- 'it is done'\n")
    );
}

#[test]
fn an_interrupt_at_the_question_ends_the_run() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed);
    cluster.answer("*subsystemA*", "exit 7");
    let running = cshutdown(&bed, &["-F", "ALL"]).on_terminal().status(130).spawn();
    running.wait_for_stderr("continue, quit or open a shell?");
    running.signal(nix::sys::signal::Signal::SIGINT);
    let ended = running.end();
    assert!(ended.stderr.contains("interrupted at the question: no node is stopped"), "{}", ended.stderr);
    assert!(asked(&cluster, "shutdown").is_empty() && cluster.is_up("n1"));
}

#[test]
fn after_a_shell_the_question_is_asked_again() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = cluster(&bed);
    cluster.answer("*subsystemA*", "exit 7");
    let shell = bed.script("shell", "echo >\"$0.was_open\"");
    let mut running = cshutdown(&bed, &["-F", "ALL"]).env("SHELL", shell).on_terminal().status(1).spawn();
    running.wait_for_stderr("continue, quit or open a shell?");
    running.type_in("what\ns\nq\n");
    let ended = running.end();
    assert_eq!(ended.stderr.matches("continue, quit or open a shell?").count(), 3, "{}", ended.stderr);
    assert!(bed.path("shell.was_open").exists() && asked(&cluster, "shutdown").is_empty());
}

/// A cluster whose first subsystem drains and whose second holds, each with a program that undoes it.
fn paired(bed: &Bed) -> Cluster<'_> {
    let cluster = cluster(bed);
    let text = bed.read("etc/cluster.toml");
    let up = "[subsystem]\nup = { \"/full/path/subsystemA\" = \"/up/A\", \"/full/path/subsystemB\" = \"/up/B\" }\n";
    bed.config("cluster.toml", format!("{text}{up}"));
    bed.write("cstartSeq", "");
    cluster
}

fn quieted(bed: &Bed) -> Vec<(String, Vec<String>)> {
    let record: serde_json::Value = serde_json::from_str(&bed.read("state/quieted.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let by = |by: &serde_json::Value| {
        (text(&by["down"]), by["nodes"].as_array().unwrap().iter().map(text).collect())
    };
    record["subsystems"].as_array().unwrap().iter().map(by).collect()
}

#[test]
fn what_a_shutdown_quieted_is_undone_by_the_start_that_brings_it_up_in_reverse() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = paired(&bed);
    cshutdown(&bed, &["-F", "ALL"]).run();
    assert_eq!(quieted(&bed).len(), 2, "{:?}", quieted(&bed));
    let start = |arguments: &[&str], status| {
        bed.program("cstartup").args(arguments).status(status).any_stdout().any_stderr().run().stderr
    };
    let said = start(&["-k", "n[1-2]"], 0);
    assert!(said.contains("n[1-3] by /full/path/subsystemB (/up/B undoes it)"), "{said}");
    let records = |arguments: &[&str]| {
        bed.program("cstartup").args(arguments).any_stdout().any_stderr().run().records()
    };
    let by = |nodes: &str, subsystem: &str, undone_by: &str| serde_json::json!({"nodes": nodes, "subsystem": subsystem, "undone_by": undone_by});
    let both = |nodes: &str| {
        serde_json::json!([
            by(nodes, "/full/path/subsystemB", "/up/B"),
            by(nodes, "/full/path/subsystemA", "/up/A")
        ])
    };
    let plan = records(&["-k", "-q", "--json", "n[1-2]"]).pop().unwrap();
    assert_eq!(plan["quieted"], both("n[1-3]"), "what is undone first comes first: {plan}");
    let report = records(&["-q", "--json", "n[1-2]"]).pop().unwrap();
    assert_eq!(report["quieted"], both("n3"), "{report}");
    let calls = asked(&cluster, "/up/");
    let words: Vec<Vec<&str>> = calls.iter().map(|call| call.split(' ').collect()).collect();
    assert_eq!(words.len(), 2, "{calls:?}");
    for (words, program) in words.iter().zip(["/up/B", "/up/A"]) {
        assert_eq!(words[1..5], [program, "-u", "-b", "129.40.64.70"], "{calls:?}");
        let log = std::path::Path::new(words[6]);
        assert!(log.exists() && log.file_name().unwrap().to_str().unwrap().starts_with("cstart."));
        assert_eq!(words[7..], ["1", "2"], "those that are up");
    }
    assert!(quieted(&bed).iter().all(|(_, nodes)| *nodes == ["n3"]), "{:?}", quieted(&bed));
    let report = records(&["--json", "n3"]).pop().unwrap();
    assert!(quieted(&bed).is_empty() && report.get("quieted").is_none(), "{report}");
    let before = asked(&cluster, "/up/").len();
    start(&["ALL"], 0);
    assert_eq!(asked(&cluster, "/up/").len(), before, "nothing is left to undo");
}

#[test]
fn what_could_not_be_undone_is_tried_again_by_every_later_start_and_holds_what_came_before() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = paired(&bed);
    cshutdown(&bed, &["-F", "n1"]).run();
    cluster.answer("*/up/B*", "echo 'no quorum' >&2; exit 3");
    let start =
        |target: &str, status| bed.program("cstartup").arg(target).status(status).any_stderr().run().stderr;
    let said = start("n1", 1);
    assert!(said.contains("quieted still, and undone by the start that finds them up: n1 by"), "{said}");
    for part in ["/up/B failed", "n1: exit status 3", "no quorum", "the next start tries again"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(asked(&cluster, "/up/A").is_empty(), "A was quieted before B");
    assert_eq!(quieted(&bed).len(), 2);
    // Another inventory, in which the node is not: it stays remembered.
    let other = bed
        .write("other.json", "{\"nodes\": [{\"name\": \"n2\", \"address\": \"127.0.0.1\"}]}")
        .display()
        .to_string();
    bed.program("cstartup").args(["-i", &other, "-k", "n2"]).any_status().any_stdout().any_stderr().run();
    assert_eq!(quieted(&bed).len(), 2);
    // What cluster.toml says now is called: a path that was mistyped can be put right.
    bed.config("cluster.toml", bed.read("etc/cluster.toml").replace("/up/B", "/up/mended"));
    start("n2", 0);
    assert_eq!((asked(&cluster, "/up/mended").len(), asked(&cluster, "/up/A").len()), (1, 1));
    assert!(quieted(&bed).is_empty());
}

/// The subsystem was called, and the run was killed before anything was written down.
#[test]
fn a_shutdown_that_is_killed_leaves_nothing_quieted_that_nobody_knows_of() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = paired(&bed);
    cluster.answer("*subsystemA*", "exec sleep 600");
    let running = cshutdown(&bed, &["-F", "ALL"]).any_status().any_stdout().spawn();
    running.wait_for_stderr("subsystem /full/path/subsystemA on");
    bed::wait_until("it is remembered", || bed.path("state/quieted.json").exists());
    running.signal(nix::sys::signal::Signal::SIGKILL);
    running.end();
    assert_eq!(
        quieted(&bed),
        [("/full/path/subsystemA".to_owned(), vec!["n1".into(), "n2".into(), "n3".into()])]
    );
    bed.program("cstartup").arg("ALL").goes_well().run();
    assert_eq!(asked(&cluster, "/up/A").len(), 1);
}

#[test]
fn a_pair_of_what_is_no_subsystem_is_rejected() {
    let bed = Bed::new();
    let cluster = cluster(&bed);
    let text = bed.read("etc/cluster.toml");
    for (up, part) in [
        ("\"/full/path/subsystemX\" = \"/up/X\"", "subsystem.up: /full/path/subsystemX is no subsystem of"),
        ("subsystemA = \"/up/X\"", "write the full path of a subsystem"),
        ("\"/full/path/subsystemA\" = \"up\"", "write the full path of a subsystem"),
        ("\"/full/path/subsystemA\" = 7", "a text in quotes"),
    ] {
        bed.config("cluster.toml", format!("{text}[subsystem]\nup = {{ {up} }}\n"));
        let said = cshutdown(&bed, &["-k", "ALL"]).status(3).run().stderr;
        assert!(said.contains(part), "{part} in {said}");
    }
    drop(cluster);
}
