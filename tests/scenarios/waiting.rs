//! cshutdown -T: users are warned again and again, and after the wait the sequence is checked again. On
//! simulated nodes, whose time runs faster.

use super::shutdown_plan::cluster;
use bed::{Bed, Program, Running, wait_until};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use std::time::{SystemTime, UNIX_EPOCH};

fn cshutdown<'a>(bed: &'a Bed, args: &str) -> Program<'a> {
    bed.program("cshutdown").args(args.split_whitespace()).any_stdout().goes_well()
}

/// Returns a shutdown of n1 that waits for ten imagined minutes, while n2, which was down, is started: it
/// needs n1. The run that starts it holds the nodes when the time comes, and is waited for.
fn overtaken(bed: &Bed, flags: &str, status: i32) -> Running {
    cluster(bed, "speed = 60");
    cshutdown(bed, "n2").run();
    let waiting = cshutdown(bed, &format!("{flags} -T 10 n1")).status(status).spawn();
    waiting.wait_for_stderr("the shutdown begins in 10m00s");
    bed.program("cstartup").arg("n2").goes_well().run();
    waiting
}

#[test]
fn what_came_up_during_the_wait_refuses_the_shutdown() {
    let bed = Bed::new();
    let ended = overtaken(&bed, "", 4).end();
    for part in
        ["the time has come", "n2 is up and not a target, and needs n1", "cancelled: nothing was stopped"]
    {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    let plan = cshutdown(&bed, "-k ALL").run();
    assert_eq!(plan.stdout.lines().next(), Some("1: halt n2"), "{}", plan.stdout);
}

#[test]
fn what_came_up_during_the_wait_is_restarted_too_where_the_targets_are_extended() {
    let bed = Bed::new();
    let ended = overtaken(&bed, "-r -E", 0).end();
    assert!(ended.stderr.contains("cshutdown: down: n[1-2] (2 nodes"), "{}", ended.stderr);
    assert!(ended.stderr.contains("cstartup: up: n[1-2] (2 nodes"), "{}", ended.stderr);
}

#[test]
fn the_warning_is_repeated_until_the_time_has_come() {
    let bed = Bed::new();
    cluster(&bed, "speed = 1000");
    let ended = cshutdown(&bed, "-T 45 -M maintenance ALL").run();
    let said: Vec<&str> = ended
        .stderr
        .lines()
        .filter_map(|line| line.split("the shutdown begins in ").nth(1)?.split(';').next())
        .collect();
    assert_eq!(said, ["45m00s", "30m00s", "15m00s", "10m00s", "5m00s", "2m00s", "1m00s"], "{}", ended.stderr);
    let come = ended.stderr.find("the time has come").unwrap();
    assert!(ended.stderr.find("1m00s").unwrap() < come, "{}", ended.stderr);
    assert!(come < ended.stderr.find("halting").unwrap(), "{}", ended.stderr);
}

#[test]
fn a_time_of_day_that_has_passed_is_tomorrows() {
    let bed = Bed::new();
    cluster(&bed, "");
    // The bed's clock shows UTC.
    let minutes = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let time = |minutes: u64| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    for (at, said) in
        [(minutes - 2, "begins in 23h5"), (minutes + 181, "begins in 3h0"), (minutes + 121, "begins in 2h0")]
    {
        let waiting = cshutdown(&bed, &format!("-T {} ALL", time(at))).status(130).spawn();
        waiting.wait_for_stderr(said).signal(Signal::SIGINT);
        let ended = waiting.end();
        assert!(ended.stderr.contains("cancelled: nothing was stopped"), "{}", ended.stderr);
    }
}

/// Who cancels reads whom to interrupt and interrupts it; when the time came in between, the interrupt was
/// one of the shutdown itself, and half of it had happened although it was said to be cancelled.
#[test]
fn who_cancels_at_the_last_moment_cancels_before_anything_is_stopped() {
    let bed = Bed::new();
    cluster(&bed, "speed = 60");
    let waiting = cshutdown(&bed, "-T 1 ALL").status(130).spawn();
    waiting.wait_for_stderr("the shutdown begins in 1m00s");
    // The scenario is the one who cancels, and has read the number of the process already.
    let desk = std::fs::File::open(bed.path("state/runs/desk.lock")).unwrap();
    let desk = Flock::lock(desk, FlockArg::LockExclusive).unwrap();
    waiting.wait_for_stderr("the time has come");
    waiting.signal(Signal::SIGINT);
    drop(desk);
    let ended = waiting.end();
    assert!(ended.stderr.contains("cancelled: nothing was stopped"), "{}", ended.stderr);
    let plan = cshutdown(&bed, "-k ALL").run();
    assert!(plan.stdout.starts_with("1: halt n2\n2: halt n1\n"), "{}", plan.stdout);
}

/// It was let go of before the wait, although only after it n2 was found to be needed: n3, which n2 depends on, was acted
/// on at the same time.
#[test]
fn what_may_be_added_when_the_time_has_come_is_claimed_until_then() {
    let bed = Bed::new();
    cluster(&bed, "speed = 60\nhang = \"n3\"");
    let nodes = ["n1", "n2", "n3"].map(|name| format!(r#"{{"name": "{name}"}}"#)).join(",");
    bed.write("inventory.json", format!(r#"{{"format": "orderly-inventory/1", "nodes": [{nodes}]}}"#));
    bed.config("cluster.toml", bed.read("etc/cluster.toml").replace("partition = \"a\"\n", ""));
    bed.write("cstartSeq", "a: n1\nb: n2\nc: n3\na > b\nc > b\n");
    bed.write("cshutSeq", "a: n1\nb: n2\nc: n3\nb > a\nb > c\n");
    cshutdown(&bed, "n2").run();
    let waiting = cshutdown(&bed, "-E -T 10 n1").any_stderr().spawn();
    waiting.wait_for_stderr("the shutdown begins in 10m00s").signal(Signal::SIGSTOP);
    bed.program("cstartup").arg("n2").goes_well().run();
    let beside = cshutdown(&bed, "-X -F n3").any_stderr().any_status().spawn();
    beside.wait_for_stderr("n3: halting");
    waiting.signal(Signal::SIGCONT);
    let reason = format!("waiting for the end of process {} (cshutdown -X -F n3", beside.pid());
    let is_decided = || {
        let said = waiting.stderr_so_far();
        said.contains(&reason) || said.contains(": halting")
    };
    wait_until("it waits or acts", is_decided);
    assert!(!waiting.stderr_so_far().contains(": halting"), "{}", waiting.stderr_so_far());
    beside.signal(Signal::SIGKILL);
    beside.end();
    let ended = waiting.end();
    assert!(ended.stderr.contains("down: n[1-2] (2 nodes"), "{}", ended.stderr);
}
