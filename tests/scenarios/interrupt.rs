//! cstartup: an interrupt waits for driver calls and not for nodes, and the next run goes on.

use super::order::{cluster, cstartup, mark, power};
use bed::wait_until;
use nix::sys::signal::Signal;

#[test]
fn an_interrupt_waits_for_the_call_that_runs_and_starts_nothing_more() {
    let bed = cluster("");
    mark(&bed, "slow", "n01");
    let running = bed.program("cstartup").args(["n[01-03]"]).status(130).any_stderr().spawn();
    running.wait_for_stderr("n01: powering on").signal(Signal::SIGINT);
    let ended = running.end();
    assert!(ended.stderr.contains("interrupted: nothing more is begun"), "{}", ended.stderr);
    assert!(ended.stderr.contains("skipped: n[02-03]"), "{}", ended.stderr);
    assert_eq!(power(&bed), ["on n01", "up n01"], "the call was waited for, and nothing was begun");

    let ended = cstartup(&bed, &["n[01-03]"], 0);
    assert!(ended.stderr.contains("already up: n01"), "{}", ended.stderr);
    assert!(ended.stderr.contains("up: n[02-03]"), "{}", ended.stderr);
}

/// The call was said to have timed out.
#[test]
fn a_second_interrupt_ends_the_call_and_a_person_must_look() {
    let bed = cluster("");
    mark(&bed, "hang", "n04");
    let running = bed.program("cstartup").args(["n04"]).status(5).any_stderr().spawn();
    running.wait_for_stderr("n04: powering on").signal(Signal::SIGTERM);
    running.wait_for_stderr("interrupted: nothing more is begun").signal(Signal::SIGTERM);
    let ended = running.end();
    assert!(ended.stderr.contains("unknown: n04"), "{}", ended.stderr);
    assert!(ended.stderr.contains("on n04: interrupted"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("timed out"), "{}", ended.stderr);
    wait_until("the call is ended", || bed.left_over().is_empty());
}

#[test]
fn a_node_that_boots_is_not_waited_for() {
    let bed = cluster("");
    mark(&bed, "dead", "n04");
    let running = bed.program("cstartup").args(["n04"]).status(130).any_stderr().spawn();
    wait_until("the power-on is done", || power(&bed).len() == 2);
    running.signal(Signal::SIGINT);
    let ended = running.end();
    assert!(ended.stderr.contains("begun, not waited for: n04"), "{}", ended.stderr);
}

#[test]
fn somebody_who_asks_is_told_where_it_stands() {
    let bed = cluster("");
    mark(&bed, "dead", "n01");
    let running = bed.program("cstartup").args(["ALL"]).status(143).any_stderr().spawn();
    running.wait_for_stderr("n04: up");
    running.signal(Signal::SIGUSR1).wait_for_stderr("up 1/4");
    running.wait_for_stderr("n01: booting for up to").wait_for_stderr("n[02-03]: waiting for n01");
    running.signal(Signal::SIGTERM);
    running.end();
}

/// It was only said how many they are.
#[test]
fn somebody_who_asks_is_told_who_is_held_by_whom() {
    let bed = cluster("");
    bed.write("etc/cstartSeq", "a: n01\nb: n02 n03\na > b\n");
    mark(&bed, "broken", "n01");
    mark(&bed, "dead", "n04");
    let running = bed.program("cstartup").args(["ALL"]).status(143).any_stderr().spawn();
    running.wait_for_stderr("n01: failed");
    running.signal(Signal::SIGUSR1).wait_for_stderr("n[02-03]: held by n01");
    running.signal(Signal::SIGTERM);
    running.end();
}

#[test]
fn a_second_run_is_refused_while_one_is_at_it() {
    let bed = cluster("");
    mark(&bed, "hang", "n04");
    let running = bed.program("cstartup").args(["--timeout", "4s", "n04"]).status(1).any_stderr().spawn();
    running.wait_for_stderr("n04: powering on");
    let ended = cstartup(&bed, &["n04"], 4);
    assert!(ended.stderr.contains("at work: both act on n04"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(cstartup --timeout 4s n04, user "), "{}", ended.stderr);
    cstartup(&bed, &["-k", "n01"], 0);
    running.end();
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let bed = cluster("");
    bed.tool("true").shell("cstartup --json ALL 2>&1 | true").any_stdout().any_stderr().any_status().run();
    wait_until("all are up", || power(&bed).iter().filter(|line| line.starts_with("up ")).count() == 4);
}

/// Whoever reads the records from a file believes to have them all.
#[test]
fn records_that_a_full_disk_does_not_take_are_told_of_and_stop_nothing() {
    let bed = cluster("");
    let full = bed.shell("cstartup -q --json ALL >/dev/full").status(1);
    let told = full.stderr_contains("standard output is incomplete: No space left").any_stderr().run().stderr;
    assert_eq!(told.matches("incomplete").count(), 1, "{told}");
    assert_eq!(power(&bed).iter().filter(|line| line.starts_with("up ")).count(), 4);
}
