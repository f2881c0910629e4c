//! `--timeline`: the picture of a run, of a rehearsal, and of a run that a log tells of.

use super::order::{cluster, cstartup, mark};
use bed::{Bed, Ended, inventory_of, real};

fn run(bed: &Bed, program: &str, arguments: &[&str], status: i32) -> Ended {
    let run = bed.program(program).arg("--config").arg(bed.path("etc/cluster.toml"));
    run.args(arguments.iter().copied()).status(status).any_stdout().any_stderr().run()
}

/// The picture is XML, has no script, and takes nothing from elsewhere.
fn assert_is_alone(bed: &Bed, name: &str) -> String {
    let svg = bed.read(name);
    assert!(!svg.contains("<script") && !svg.contains("href") && !svg.contains("url("), "{svg}");
    assert_eq!(svg.matches("http").count(), 1, "the name of the format alone: {svg}");
    if real::require(&[bed::Need::Program("xmllint")]) {
        bed.tool("xmllint");
        bed.shell(&format!("xmllint --noout {name}")).run();
    }
    svg
}

#[test]
fn a_run_is_drawn_with_what_each_node_was_at_and_why_it_failed() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n02");
    let ended = run(&bed, "cstartup", &["--timeline", "t.svg", "ALL"], 1);
    assert!(ended.stderr.contains("the timeline is in t.svg"), "{}", ended.stderr);
    let svg = assert_is_alone(&bed, "t.svg");
    for part in [
        "n01 power: ",
        "n03</text>",
        "n02: failed: mypower on n02: exit status 1",
        "cstartup --config",
        "failed after",
    ] {
        assert!(svg.contains(part), "{part}\nin\n{svg}");
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(bed.path("t.svg")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// A picture that could not be written in the end would have cost the run; so it is found out first.
#[test]
fn where_the_picture_cannot_be_written_nothing_is_begun() {
    let bed = cluster("");
    for program in ["cstartup", "cshutdown"] {
        let ended = run(&bed, program, &["--timeline", "no/t.svg", "ALL"], 3);
        assert!(ended.stderr.contains("--timeline: replace no/t.svg"), "{}", ended.stderr);
    }
    // It wrote a file of that name.
    let ended = run(&bed, "cstartup", &["--timeline", "-", "ALL"], 3);
    assert!(ended.stderr.contains("name a file, as in run.svg"), "{}", ended.stderr);
    assert!(!bed.path("power.log").exists() && !bed.path("log").exists() && !bed.path("-").exists());
}

#[test]
fn a_finished_run_is_drawn_from_its_log_without_any_configuration() {
    let bed = cluster("[limits]\nretries = 0\n");
    mark(&bed, "broken", "n01");
    cstartup(&bed, &["ALL"], 1);
    let log = std::fs::read_dir(bed.path("log")).unwrap().next().unwrap().unwrap().path();
    let log = log.to_str().unwrap().to_owned();
    let arguments = ["--timeline", "t.svg", "--from-log", &log];
    bed.program("cshutdown").args(arguments).stderr_contains("the timeline is in t.svg").run();
    let svg = assert_is_alone(&bed, "t.svg");
    for part in [
        "n01: failed: mypower on n01: exit status 1",
        "n02: not begun, held by n01",
        "n04</text>",
        ", from its log",
        "<title>cstartup ALL</title>",
    ] {
        assert!(svg.contains(part), "{part}\nin\n{svg}");
    }
}

/// A stop has its own stages, subsystems among them; a rehearsal is drawn as well.
#[test]
fn a_stop_is_drawn_with_its_phases() {
    let bed = Bed::new();
    let simulator =
        "[power]\ndriver = \"simulator\"\n[shell]\ndriver = \"simulator\"\n[probe]\ndriver = \"simulator\"\n";
    bed.cluster(
        &inventory_of((1..=70).map(|node| format!("n{node}"))),
        format!("control_address = \"192.0.2.1\"\n{simulator}"),
    );
    bed.write("cshutSeq", "clients: n[4-70]\nservers: n[1-3]\nclients > servers\n");
    bed.write("cstartSeq", "clients: n[4-70]\nservers: n[1-3]\nservers > clients\n");
    bed.write("subsysSeq", "a: /site/drain\n");
    run(
        &bed,
        "cshutdown",
        &["--rehearse", "--timeline", "few.svg", "-E", "n[1-3]", "-x", "n[5-70]", "-X"],
        2,
    );
    run(&bed, "cshutdown", &["--rehearse", "--timeline", "few.svg", "n[4-30]"], 0);
    let svg = assert_is_alone(&bed, "few.svg");
    // Of a notice without a wait, and of users' processes, nothing was drawn.
    for part in ["n4 notice: ", "n4 users: ", "n4 halting: ", "n30 halting: ", "/site/drain: done"] {
        assert!(svg.contains(part), "{part}\nin\n{svg}");
    }
    run(&bed, "cshutdown", &["--rehearse", "-T", "5", "--timeline", "waits.svg", "n[4-30]"], 0);
    let svg = assert_is_alone(&bed, "waits.svg");
    let notice = svg.split("n4 notice: ").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    assert!(notice.ends_with("(5m00s)"), "{notice}");
    run(&bed, "cshutdown", &["--rehearse", "--timeline", "many.svg", "ALL"], 0);
    let svg = assert_is_alone(&bed, "many.svg");
    for part in
        ["clients (67)", "servers (3)", "at once: halting", "67 of 67 as was asked", "/site/drain: done"]
    {
        assert!(svg.contains(part), "{part}\nin\n{svg}");
    }
    assert!(!svg.contains("in no group"), "a subsystem is no node: {svg}");
}
