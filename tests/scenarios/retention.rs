//! Which snapshots stay: each host's apart, and whatever the clocks said.

use crate::snapshot::{configure, holder, ready, snapshots};
use bed::{Bed, Need, real};

/// The hourly policy pruned the other host's snapshot of the same hour, and what the operator had just taken.
#[test]
fn a_snapshot_of_the_other_host_and_one_taken_by_hand_outlive_the_next() {
    if !ready() || !real::require(&[Need::Program("hostid")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "hourly = 1");
    bed.tools(&["hostid"]);
    let (one, two) = (holder(&bed, "ec1"), holder(&bed, "ec2"));
    for host in [&one, &two, &two, &one, &one] {
        host.program("habackup").stdout("Backup complete.\n").run();
    }
    assert_eq!(snapshots(&bed).len(), 5);
    // By number it is counted for each host apart.
    let text = bed.read("etc/ha.toml").replace("hourly = 1", "keep = 2");
    bed.config("ha.toml", text);
    one.program("habackup").arg("-n").any_stdout().stdout_contains("would prune").run();
    one.program("habackup").stdout("Backup complete.\n").run();
    let said = one.program("habackup").arg("--list").any_stdout().run().stdout;
    let hosts: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(hosts, ["ec2", "ec2", "ec1", "ec1"], "{said}");
}

/// After a clock that was five hours ahead once, backups were refused for five hours.
#[test]
fn a_clock_that_was_ahead_once_stops_no_backup() {
    if !ready() || !real::require(&[Need::Program("faketime")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["faketime"]);
    let host = holder(&bed, "ec1");
    host.shell("faketime -f +5h habackup").stdout("Backup complete.\n").run();
    let stale = host.program("habackup").arg("--check").status(1);
    stale.stderr_contains("which is in the future: a clock was set back since; run habackup").run();
    host.program("habackup").stdout("Backup complete.\n").run();
    host.program("habackup").arg("--check").any_stdout().stdout_contains("fresh: ").run();
    host.shell("faketime -f +20y habackup").stdout("Backup complete.\n").run();
    for _ in 0..2 {
        host.program("habackup").stdout("Backup complete.\n").run();
    }
    host.program("habackup").arg("--check").any_stdout().stdout_contains("fresh: ").run();
    host.program("habackup").arg("--verify").any_stdout().run();
    assert_eq!(snapshots(&bed).len(), 5);
}
