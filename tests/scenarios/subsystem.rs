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
