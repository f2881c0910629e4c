//! Logins held off while a shutdown waits, and what start files of a node do to what is sent there: scripts stand in
//! for the nodes, but where real logins are named.

use bed::sshd::{Cluster, NEEDS};
use bed::{Bed, Need, Running, inventory_of, real, wait_until};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;

/// Makes a cluster of so many nodes, all up, on which `rsh NODE COMMAND` runs what is to be run.
fn cluster(bed: &Bed, rsh: &Path, count: usize) {
    let settings = format!(
        "[power]\ndriver = \"none\"\n[probe]\ndriver = \"command\"\nup = [\"true\", \"{{node}}\"]\n\
         [shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n"
    );
    bed.cluster(&inventory_of((1..=count).map(|node| format!("n{node}"))), settings);
}

/// A node whose logins are held off by `nologin.NODE` and whose users read `told.NODE`; a message that
/// tells of a cancelled shutdown is read only when there is a file `go`.
const NODE: &str = "cd \"${0%/*}\" || exit 1\ncase $2 in\n\
    *nologin*) exec sh -c \"$(echo \"$2\" | sed \"s#/run/nologin#nologin.$1#g; s#/etc/nologin#nologin.$1#g\")\" ;;\n\
    *wall*) text=$2 ;;\n*) exit 0 ;;\nesac\n\
    case $text in *cancelled*) : >\"cancelling.$1\"; until [ -e go ]; do sleep 0.02; done ;; esac\n\
    echo \"$text\" >>\"told.$1\"";

/// A run that was killed leaves its file behind, and nobody could log in any more.
#[test]
fn logins_that_a_killed_run_held_off_are_allowed_again_by_the_next() {
    let bed = Bed::new();
    bed.tools(&["cat", "grep", "ln", "rm", "sed", "sh", "sleep", "true"]);
    cluster(&bed, &bed.script("rsh", NODE), 2);
    bed.write("go", "");
    bed.write("nologin.n2", "somebody works on this node\n");
    let shutdown = |message: &str| {
        bed.program("cshutdown").args(["-T", "5", "-M", message, "ALL"]).any_stderr().any_status().spawn()
    };
    let holds = |message: &str| {
        std::fs::read_to_string(bed.path("nologin.n1")).is_ok_and(|text| text.contains(message))
    };
    let killed = shutdown("the first");
    wait_until("logins are held off", || holds("the first"));
    killed.signal(Signal::SIGKILL);
    killed.end();
    let none = bed.program("cshutdown").arg("--cancel").any_stderr().status(4).run();
    assert!(
        none.stderr.contains("was killed") && none.stderr.contains("remove /run/nologin"),
        "{}",
        none.stderr
    );
    let second = shutdown("the second");
    wait_until("logins are held off by the second run", || holds("the second"));
    bed.program("cshutdown").arg("--cancel").run();
    second.end();
    assert!(!bed.path("nologin.n1").exists(), "logins are still held off");
    assert_eq!(bed.read("nologin.n2"), "somebody works on this node\n", "another's file is not touched");
}

/// The interrupts of several ended the telling of users, and they waited for a shutdown that never came.
#[test]
fn who_cancels_beside_another_does_not_keep_users_from_being_told() {
    let bed = Bed::new();
    bed.tools(&["cat", "grep", "ln", "rm", "sed", "sh", "sleep", "true"]);
    cluster(&bed, &bed.script("rsh", NODE), 2);
    let waiting = bed.program("cshutdown").args(["-T", "5", "ALL"]).any_stderr().status(130).spawn();
    wait_until("logins are held off", || bed.path("nologin.n1").exists() && bed.path("nologin.n2").exists());
    let first = bed.program("cshutdown").arg("--cancel").spawn();
    wait_until("users are being told", || bed.path("cancelling.n1").exists());
    // One more interrupt was waited out, two were not.
    let others: Vec<Running> = (0..3).map(|_| bed.program("cshutdown").arg("--cancel").spawn()).collect();
    // Time enough for them to do their harm; that they do none is seen whatever the time.
    std::thread::sleep(Duration::from_millis(500));
    bed.write("go", "");
    first.end();
    others.into_iter().for_each(|other| drop(other.end()));
    waiting.end();
    for node in ["n1", "n2"] {
        assert!(bed.read(format!("told.{node}")).contains("is cancelled"), "{node}");
        assert!(!bed.path(format!("nologin.{node}")).exists(), "{node}");
    }
}

#[test]
fn logins_are_held_off_on_no_more_nodes_at_a_time_than_fanout() {
    let bed = Bed::new();
    bed.tools(&["cat", "mkdir", "rmdir", "sleep", "true"]);
    // A second call while one runs finds the folder of the first.
    let rsh = bed.script(
        "rsh",
        "cat >/dev/null\ncase $2 in *nologin*) ;; *) exit 0 ;; esac\nmkdir \"$0.busy\" || echo >\"$0.overlapped\"\n\
         sleep 0.02\nrmdir \"$0.busy\"\necho \"$1 $2\" >>\"$0.log\"",
    );
    cluster(&bed, &rsh, 5);
    let calls = |what: &str| {
        let log = std::fs::read_to_string(bed.path("rsh.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(what)).count()
    };
    let waiting =
        bed.program("cshutdown").args(["-T", "5", "-K", "1", "ALL"]).any_stderr().status(130).spawn();
    wait_until("logins are held off everywhere", || calls(".new") == 5);
    bed.program("cshutdown").arg("--cancel").run();
    waiting.end();
    assert_eq!(calls("exit 3; rm"), 5, "and allowed again: {}", bed.read("rsh.log"));
    assert!(!bed.path("rsh.overlapped").exists());
}

/// A start file that reads standard input took half of the message, and the file that was then not known as
/// ours stayed: users were locked out by a shutdown that was cancelled.
#[test]
fn what_a_start_file_takes_from_standard_input_is_missed_by_nobody() {
    let bed = Bed::new();
    bed.tools(&["cat", "grep", "ln", "rm", "sed", "sh", "sleep", "true"]);
    cluster(&bed, &bed.script("rsh", &format!("read -r line\nread -r line\n{NODE}")), 1);
    bed.write("go", "");
    let waiting = bed
        .program("cshutdown")
        .args(["-T", "5", "-M", "it's for new disks", "ALL"])
        .any_stderr()
        .status(130)
        .spawn();
    wait_until("logins are held off", || bed.path("nologin.n1").exists());
    wait_until("the text is whole", || bed.read("nologin.n1").ends_with("it's for new disks\n"));
    bed.program("cshutdown").arg("--cancel").run();
    waiting.end();
    assert!(!bed.path("nologin.n1").exists(), "logins are still held off");
    let told = bed.read("told.n1");
    assert!(told.contains("This node goes down") && told.contains("is cancelled"), "{told}");
}

/// pdsh leaves standard input open, so that such a start file waits for ever; nothing was ever sent through it there.
/// Each of the others, as `cshutdown` and what arrives at the node show it.
fn arrives_whole(tool: &'static str) {
    let mut needs = NEEDS.to_vec();
    needs.extend([Need::Program(tool), Need::Program("python3")]);
    if !real::require(&needs) {
        return;
    }
    let bed = Bed::new();
    let nodes = Cluster::new(&bed, &["n1"]);
    if tool != "ssh" {
        nodes.lend(tool);
    }
    nodes.power_on("n1").start_file("n1", "read -r line\nread -r line");
    nodes.configure_shell(&format!("driver = \"{tool}\"\nuser = \"root\"\n"));
    bed.program("cshutdown").args(["-Y", "ALL"]).goes_well().run();
    assert!(nodes.script("n1").starts_with("# Ends users' processes"), "{}", nodes.script("n1"));
    assert!(nodes.heard("n1").contains("This node goes down now"), "{}", nodes.heard("n1"));
}

/// The script that ends users' processes, and with clush the message to users, went in through standard input, of
/// which a start file took its part: half a script was run on the node.
#[test]
fn what_ends_users_processes_arrives_whole_with_ssh() {
    arrives_whole("ssh");
}

#[test]
fn what_ends_users_processes_arrives_whole_with_clush() {
    arrives_whole("clush");
}

/// A start file that ends logins without a terminal made a success of every command that was never run.
#[test]
fn a_login_that_ends_before_its_command_is_no_success() {
    if !real::require(&NEEDS) {
        return;
    }
    let bed = Bed::new();
    let nodes = Cluster::new(&bed, &["n1"]);
    nodes.power_on("n1").start_file("n1", "exit 0");
    nodes.configure();
    let more = "end_users = \"none\"\n[limits]\nretries = 0\ntimeout = \"10m\"\n";
    bed.config("cluster.toml", bed.read("etc/cluster.toml") + more);
    let run = bed.program("cshutdown").args(["-Y", "--even-self", "ALL"]).any_status().any_stderr().spawn();
    run.wait_for_stderr("telling users did not succeed: ssh").wait_for_stderr("before the command began");
    // Its halt fared no better, and the node would be waited for up to its limit.
    run.wait_for_stderr("n1: halting").signal(Signal::SIGINT);
    let ended = run.end();
    assert!(ended.stderr.contains("begun, not waited for: n1"), "{} {}", ended.status, ended.stderr);
    assert!(nodes.is_up("n1") && nodes.heard("n1").is_empty());
}

/// One lost connection, and users were locked out by a shutdown that was cancelled.
#[test]
fn logins_that_could_not_be_allowed_again_are_tried_again_and_what_stays_is_named() {
    for (times, left) in [(2, false), (99, true)] {
        let bed = Bed::new();
        bed.tools(&["cat", "echo", "grep", "ln", "rm", "sed", "sh", "sleep", "true", "wc"]);
        let lost = format!(
            "case $2 in *'exit 3; rm'*) echo >>\"$0.lost\"; [ $(wc -l <\"$0.lost\") -gt {times} ] || exit 255 ;; esac\n{NODE}"
        );
        cluster(&bed, &bed.script("rsh", &lost), 1);
        bed.write("go", "");
        let waiting = bed.program("cshutdown").args(["-T", "5", "ALL"]).any_stderr().status(130).spawn();
        wait_until("logins are held off", || bed.path("nologin.n1").exists());
        bed.program("cshutdown").arg("--cancel").run();
        let ended = waiting.end();
        assert_eq!(bed.path("nologin.n1").exists(), left, "{}", ended.stderr);
        let said = "cancelled: nothing was stopped, but logins are still held off on n1";
        assert_eq!(ended.stderr.contains(said), left, "{}", ended.stderr);
    }
}

/// A file of ours that a full file system had cut was not known as ours, and stayed.
#[test]
fn logins_are_held_off_by_a_whole_file_or_by_none() {
    let bed = Bed::new();
    bed.tools(&["cat", "grep", "ln", "rm", "sed", "sh", "sleep", "true"]);
    // Nothing can be written on the node, though a file can be made there.
    let full = NODE.replace("exec sh -c \"", "trap '' XFSZ; ulimit -f 0; exec sh -c \"");
    cluster(&bed, &bed.script("rsh", &full), 1);
    bed.write("go", "");
    let waiting = bed.program("cshutdown").args(["-T", "5", "ALL"]).any_stderr().status(130).spawn();
    waiting.wait_for_stderr("logins were held off already, or cannot be, on n1");
    bed.program("cshutdown").arg("--cancel").run();
    waiting.end();
    assert!(!bed.path("nologin.n1").exists() && !bed.path("nologin.n1.new").exists());
}
