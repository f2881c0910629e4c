//! cshutdown --within among other runs: those that it touches are told to end, none gets in before it, and one that does not
//! end keeps its own nodes and no others. On simulated nodes.

use super::shutdown_plan::cluster;
use bed::{Bed, Running, wait_until};
use nix::sys::signal::Signal;

fn spawn(bed: &Bed, program: &str, args: &[&str]) -> Running {
    bed.program(program).args(args).any_stdout().any_stderr().any_status().spawn()
}

/// Returns a run that acts on n1, which hangs, and that is stopped, so that it hears of nothing.
fn deaf(bed: &Bed) -> Running {
    cluster(bed, "hang = \"n1\"");
    let run = spawn(bed, "cshutdown", &["-X", "-F", "n1"]);
    run.wait_for_stderr("n1: halting").signal(Signal::SIGSTOP);
    run
}

fn end(run: Running) {
    run.signal(Signal::SIGKILL);
    run.end();
}

/// It waited for ever, and nothing at all was stopped.
#[test]
fn a_run_that_does_not_end_keeps_its_nodes_and_the_others_are_stopped() {
    let bed = Bed::new();
    let deaf = deaf(&bed);
    let of = format!("process {} (cshutdown -X -F n1, user ", deaf.pid());
    let args = ["-G", "-F", "--within", "12s", "n1", "n[3-4]"];
    let ended = bed.program("cshutdown").args(args).status(1).any_stdout().any_stderr().run();
    let left_out = "not stopped, as half of the time is over and other runs have not ended: n1: ";
    assert!(ended.stderr.contains(&format!("{left_out}{of}")), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("kill -KILL {}, then", deaf.pid())), "{}", ended.stderr);
    assert!(ended.stderr.contains("down: n[3-4] (2 nodes"), "{}", ended.stderr);
    // Where it has all of them nothing is left to stop.
    let args = ["-F", "--within", "2s", "n1"];
    let ended = bed.program("cshutdown").args(args).status(4).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains(&format!("{left_out}{of}")), "{}", ended.stderr);
    end(deaf);
}

/// Nobody knew of it until its turn had come: what came later and touched it alone acted before it.
#[test]
fn nobody_acts_before_a_run_on_battery_that_waits_and_whoever_waited_is_told_why_it_ends() {
    let bed = Bed::new();
    let deaf = deaf(&bed);
    let waiting = spawn(&bed, "cstartup", &["--wait", "n1"]);
    waiting.wait_for_stderr("waiting for the end of");
    let battery = spawn(&bed, "cshutdown", &["-G", "-F", "--within", "20m", "n1", "n3"]);
    battery.wait_for_stderr(&format!("process {} (cstartup --wait n1, user ", waiting.pid()));
    let ended = waiting.end();
    assert_eq!(ended.status, 128 + 15, "{}", ended.stderr);
    let by = format!("ended by a shutdown on battery, process {} (cshutdown -G -F --within", battery.pid());
    assert!(ended.stderr.contains(&by), "{}", ended.stderr);
    for program in ["cstartup", "cshutdown"] {
        let args = ["-X", "-G", "n3"];
        let refused = bed.program(program).args(args).status(4).any_stdout().any_stderr().run();
        let by = format!("process {} (cshutdown -G -F --within", battery.pid());
        assert!(refused.stderr.contains(&by), "{}", refused.stderr);
        assert!(refused.stderr.contains(", which waits itself: both act on n3"), "{}", refused.stderr);
    }
    deaf.signal(Signal::SIGCONT);
    assert_eq!(deaf.end().status, 128 + 15);
    battery.wait_for_stderr("n1: halting");
    wait_until("the others are down", || battery.stderr_so_far().contains("n3: "));
    end(battery);
}

/// The number was enough: where it had been given anew, or was of a container, any process at all was ended.
#[test]
fn a_process_that_is_not_the_run_is_sent_no_signal() {
    let bed = Bed::new();
    cluster(&bed, "hang = \"n1\"");
    let acting = spawn(&bed, "cshutdown", &["-X", "-F", "n1"]);
    acting.wait_for_stderr("n1: halting");
    let mut innocent = bed.external("/bin/sleep").arg("1000").any_status().spawn();
    let claim = std::fs::read_dir(bed.path("state/runs")).unwrap().flatten();
    let claim =
        claim.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "json"));
    let claim = claim.expect("a claim");
    let text = std::fs::read_to_string(&claim).unwrap();
    let number = |pid: u32| format!("\"pid\":{pid},");
    std::fs::write(&claim, text.replace(&number(acting.pid()), &number(innocent.pid()))).unwrap();
    let args = ["-F", "--within", "2s", "n1"];
    let ended = bed.program("cshutdown").args(args).status(4).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("its process cannot be seen from here"), "{}", ended.stderr);
    assert!(ended.stderr.contains("to stop them: end those runs where they run"), "{}", ended.stderr);
    assert!(innocent.is_running(), "it was ended");
    end(innocent);
    end(acting);
}
