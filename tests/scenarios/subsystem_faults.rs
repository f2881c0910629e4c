//! Subsystems that hang, are missing, or are ended by an interrupt: no node is halted behind their back.
//! Scripts stand in for the nodes; what is run on one really runs, here.

use bed::{Bed, Program, wait_until};
use nix::sys::signal::Signal;

/// Two nodes that are up, and one subsystem that is this script.
fn cluster(bed: &Bed, subsystem: Option<&str>) {
    bed.tools(&["sh", "sleep", "rm"]);
    let inventory = r#"{"nodes": [{"name": "n1", "number": 1}, {"name": "n2", "number": 2}]}"#;
    for node in ["n1", "n2"] {
        bed.write(format!("up/{node}"), "");
    }
    let rsh = bed.script(
        "rsh",
        "case $2 in\n*'shutdown -h'*) echo \"$1\" >>\"$ORDERLY_BED/halted\"; rm \"$ORDERLY_BED/up/$1\" ;;\n\
         *) exec sh -c \"$2\" ;;\nesac",
    );
    let probe = bed.script("probe", "[ -e \"$ORDERLY_BED/up/$1\" ]");
    let path = match subsystem {
        Some(lines) => bed.script("subsystem", lines),
        None => bed.path("no/such/subsystem"),
    };
    bed.write("subsysSeq", format!("quota: {}\n", path.display()));
    bed.cluster(
        inventory,
        format!(
            "control_address = \"192.0.2.1\"\n\
             [power]\ndriver = \"none\"\n[shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
             [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"50ms\"\n\
             [shutdown]\nend_users = \"none\"\nsettle = \"100ms\"\n[subsystem]\ntimeout = \"1s\"\n"
        ),
    );
    bed.write("cshutSeq", "");
}

fn cshutdown<'a>(bed: &'a Bed, args: &[&str]) -> Program<'a> {
    bed.program("cshutdown").arg("-F").args(args).goes_well()
}

#[test]
fn a_subsystem_that_hangs_is_ended_at_its_limit_and_stops_the_run() {
    let bed = Bed::new();
    cluster(&bed, Some("exec sleep 600"));
    let ended = cshutdown(&bed, &["ALL"]).status(1).run();
    for part in ["failed on n", "timed out", "no node was stopped"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(!bed.path("halted").exists());
    assert!(bed.left_over().is_empty(), "{:?}", bed.left_over());

    let ended = cshutdown(&bed, &["-Y", "ALL"]).status(1).run();
    assert!(ended.stderr.contains("as -Y says") && ended.stderr.contains("down: n[1-2]"), "{}", ended.stderr);
}

#[test]
fn a_subsystem_that_is_not_there_stops_the_run() {
    let bed = Bed::new();
    cluster(&bed, None);
    let ended = cshutdown(&bed, &["ALL"]).status(1).run();
    for part in ["no/such/subsystem failed on n", "exit status 127", "not found", "no node was stopped"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(!bed.path("halted").exists());
}

/// How far it got is not known, and it was reported as a subsystem that had timed out.
#[test]
fn a_subsystem_ended_by_a_second_interrupt_leaves_it_to_a_person() {
    let bed = Bed::new();
    cluster(&bed, Some("echo >\"$ORDERLY_BED/began\"; exec sleep 600"));
    let text = bed.read("etc/cluster.toml").replace("timeout = \"1s\"", "timeout = \"10m\"");
    bed.config("cluster.toml", text);
    let running = cshutdown(&bed, &["ALL"]).status(5).spawn();
    wait_until("the subsystem runs", || bed.path("began").exists());
    running.signal(Signal::SIGINT).wait_for_stderr("the subsystems that run are waited for");
    running.signal(Signal::SIGINT);
    let ended = running.end();
    assert!(ended.stderr.contains(": interrupted"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("timed out"), "{}", ended.stderr);
    assert!(!bed.path("halted").exists());
}

#[test]
fn a_second_run_on_the_same_node_is_refused_and_told_who_is_at_it() {
    let bed = Bed::new();
    cluster(&bed, Some("while [ ! -e \"$ORDERLY_BED/enough\" ]; do sleep 0.05; done"));
    let text = bed.read("etc/cluster.toml").replace("timeout = \"1s\"", "timeout = \"10m\"");
    bed.config("cluster.toml", text);
    let first = cshutdown(&bed, &["n1"]).spawn();
    first.wait_for_stderr("subsystem ");
    for program in ["cstartup", "cshutdown"] {
        let second = bed.program(program).arg("n1").status(4).any_stderr().run();
        for part in
            ["process ", " (cshutdown -F n1, user ", ", since 2", ", targets n1), at work: both act on n1"]
        {
            assert!(second.stderr.contains(part), "{part} in {}", second.stderr);
        }
    }
    cshutdown(&bed, &["-k", "n2"]).any_stdout().run();
    bed.write("enough", "");
    first.end();
    assert_eq!(bed.read("halted"), "n1\n");
}

/// Whoever could write the list, or a directory above it, had his program run as root.
#[test]
fn a_list_of_subsystems_that_others_may_write_is_rejected() {
    use std::os::unix::fs::PermissionsExt;
    let bed = Bed::new();
    cluster(&bed, Some("exit 0"));
    let list = bed.path("subsysSeq");
    std::fs::set_permissions(&list, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ended = bed.program("cshutdown").args(["-F", "-k", "ALL"]).status(3).any_stderr().run();
    assert!(ended.stderr.contains("subsysSeq: others can write it"), "{}", ended.stderr);
}

/// On battery it had the ten minutes of its limit, and the nodes nothing.
#[test]
fn a_subsystem_that_hangs_is_ended_when_the_halts_have_to_begin() {
    let bed = Bed::new();
    cluster(&bed, Some("exec sleep 600"));
    let text = bed.read("etc/cluster.toml");
    let text = text.replace("timeout = \"1s\"", "timeout = \"10m\"\nusual = \"1s\"");
    bed.config("cluster.toml", text.replace("settle = ", "usual = \"30s\"\nsettle = "));
    let ended = cshutdown(&bed, &["--within", "38", "ALL"]).status(1).run();
    for part in [
        "the time of the subsystems is over: what still runs is ended, and the shutdown goes on",
        "as --within says",
        "down: n[1-2]",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(bed.left_over().is_empty(), "{:?}", bed.left_over());
}
