//! Real logins: the cluster of real sshd itself, and the programs that bring it up and down.

use crate::real_shells;
use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, real, wait_until};

#[test]
fn nodes_come_up_answer_and_halt() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2"]);
    assert!(!cluster.is_up("n1"));
    bed.shell("ssh n1 true").status(255).stderr_contains("onnection refused").run();

    cluster.power_on("n1").power_on("n2");
    bed.shell("ssh n1 true; ssh 127.0.1.2 'rm -rf /etc'").run();
    bed.shell("power status n1 n2 n3")
        .stdout("n1: on\nn2: on\n")
        .stderr_contains("no node n3")
        .status(1)
        .run();
    bed.shell("echo bye | ssh n1 wall").run();
    assert_eq!(cluster.heard("n1"), "bye\n");

    bed.shell("ssh n1 shutdown -h now").run();
    wait_until("n1 is gone", || !cluster.is_up("n1"));
    assert!(cluster.is_on("n1") && cluster.is_up("n2"));
    cluster.on_halt("n2", "drop").after_halt("n2", "off");
    bed.shell("ssh n2 shutdown -h now").status(255).any_stderr().run();
    wait_until("n2 is gone", || !cluster.is_up("n2"));
    assert!(!cluster.is_on("n2"));
    let expected = ["n1 power on", "n2 power on", "n1 true", "n2 rm -rf /etc", "n1 wall"];
    assert_eq!(cluster.asked()[..5], expected);
}

#[test]
fn a_restart_shows_another_boot_id() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1"]);
    cluster.power_on("n1").answer("uptime", "echo long");
    bed.shell("ssh n1 uptime").stdout("long\n").run();
    let ask = || bed.shell("ssh n1 cat /proc/sys/kernel/random/boot_id").any_stdout().run().stdout;
    let before = ask();
    bed.shell("ssh n1 shutdown -r now").run();
    wait_until("n1 is back", || cluster.is_up("n1"));
    assert_ne!(ask(), before);
}

#[test]
fn a_cluster_goes_up_and_down_in_order_through_real_logins() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2", "n3"]);
    cluster.configure();
    bed.write("cstartSeq", "servers: n1\nclients: n2 n3\nservers > clients\n");
    std::os::unix::fs::symlink(bed.path("cstartSeq"), bed.path("cshutSeq")).unwrap();

    bed.program("cstartup").arg("ALL").goes_well().run();
    assert!(["n1", "n2", "n3"].iter().all(|name| cluster.is_up(name)));
    let asked = cluster.asked();
    let at = |asked: &[String], line: &str| {
        asked.iter().position(|one| one == line).unwrap_or_else(|| panic!("{line}"))
    };
    assert!(at(&asked, "n1 power on") < at(&asked, "n2 power on").min(at(&asked, "n3 power on")));

    bed.program("cshutdown").arg("ALL").goes_well().run();
    assert!(["n1", "n2", "n3"].iter().all(|name| !cluster.is_up(name) && !cluster.is_on(name)));
    let asked = cluster.asked();
    let halt = |name: &str| at(&asked, &format!("{name} shutdown -h now"));
    for client in ["n2", "n3"] {
        assert!(halt(client) < at(&asked, &format!("{client} power off")));
        assert!(at(&asked, &format!("{client} power off")) < halt("n1"));
    }
    assert!(halt("n1") < at(&asked, "n1 power off"));
}

/// One terminal that took nothing more held the whole run for a quarter of an hour.
#[test]
fn a_notice_that_hangs_on_one_node_is_ended_and_said_and_the_shutdown_goes_on() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let cluster = Cluster::new(&bed, &["n1", "n2"]);
    cluster.configure();
    let config =
        bed.read("etc/cluster.toml").replace("[shutdown]\n", "[shutdown]\nnotify_timeout = \"2s\"\n");
    bed.config("cluster.toml", config);
    bed.write("cshutSeq", "");
    cluster.power_on("n1").power_on("n2");
    cluster.answer("wall*", "[ $node = n2 ] || exec sleep 100000; cat >>\"$here/stdin\"");
    let ended = bed.program("cshutdown").arg("ALL").any_stderr().run();
    let said = ended.stderr.lines().find(|line| line.contains("telling users did not succeed"));
    assert!(said.is_some_and(|line| line.contains("n1") && line.contains("timed out")), "{}", ended.stderr);
    assert!(["n1", "n2"].iter().all(|name| !cluster.is_up(name) && !cluster.is_on(name)));
}

#[test]
fn garbage_speaks_for_nobody() {
    real_shells::garbage_speaks_for_nobody("ssh");
}

#[test]
fn each_failure_is_called_by_its_name() {
    real_shells::each_failure_is_called_by_its_name("ssh");
}
