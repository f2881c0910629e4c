//! One run at a time, also where a lock comes from the calling program.

use crate::order::{cluster, mark, power};
use crate::snapshot::{configure, holder, ready, snapshots};
use bed::{Bed, Need, real};

/// Any descriptor of the lock's file let a second run in, locked or not.
#[test]
fn a_passed_descriptor_that_is_not_locked_lets_nobody_in() {
    if !ready() || !real::require(&[Need::Program("flock")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tool("flock");
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    let other = "exec 8<>state/ha.lock && flock 8 && exec 9<>state/ha.lock";
    for program in ["habackup", "ha-release", "ha-takeover --new-plan"] {
        host.shell(&format!("{other}; ORDERLY_LOCK_FD=9 {program}"))
            .status(4)
            .stderr_contains("another run holds")
            .run();
    }
    assert!(snapshots(&bed).is_empty());
    // Of another file, however well it is locked.
    let another = "exec 8<>state/ha.lock && flock 8 && exec 9<>state/other && flock 9";
    host.shell(&format!("{another}; ORDERLY_LOCK_FD=9 habackup"))
        .status(4)
        .stderr_contains("another run holds")
        .run();
    // Nobody holds the lock: the descriptor is not needed, and is not locked for whoever passed it.
    host.shell(
        "exec 9<>state/ha.lock; ORDERLY_LOCK_FD=9 habackup -q && flock -n state/ha.lock cat /dev/null",
    )
    .run();
    assert_eq!(snapshots(&bed).len(), 1);
}

/// What a command leaves behind had the passed descriptor, and with it the lock, for ever.
#[test]
fn what_a_command_leaves_running_does_not_keep_a_lock_that_was_passed_down() {
    if !ready() || !real::require(&[Need::Program("flock")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["flock", "ls"]);
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    bed.script(
        "status",
        "sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >>\"$ORDERLY_BED/left\"; echo online",
    );
    let text = bed.read("etc/ha.toml").replace("\"cat\", ", "\"/bin/sh\", ");
    bed.config("ha.toml", text.replace("/controller\"]", "/status\"]"));
    host.shell("exec 9<>state/ha.lock && flock 9 && ORDERLY_LOCK_FD=9 habackup -q").run();
    let files = host.shell("read -r pid <left; ls -l /proc/$pid/fd; kill $pid").any_stdout().run().stdout;
    assert!(files.contains("/dev/null") && !files.contains("ha.lock"), "{files}");
}

/// The lock of a run lets only that program in whose place the run takes.
#[test]
fn a_descriptor_lets_no_second_run_act_on_the_nodes() {
    let bed = cluster("");
    mark(&bed, "hang", "n04");
    let first = bed.program("cstartup").args(["--timeout", "600s", "n04"]).any_status().any_stderr().spawn();
    first.wait_for_stderr("n04: powering on");
    bed.shell("exec 9<>state/runs/1.lock; ORDERLY_LOCK_FD=9 exec cstartup n04")
        .status(4)
        .stderr_contains("at work: both act on n04")
        .any_stderr()
        .run();
    assert_eq!(power(&bed), ["on n04"]);
    first.signal(nix::sys::signal::Signal::SIGKILL);
    first.end();
}
