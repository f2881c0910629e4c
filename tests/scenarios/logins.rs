//! Logins held off while a shutdown waits: scripts stand in for the nodes.

use bed::{Bed, Running, wait_until};
use std::path::Path;
use std::time::Duration;

/// Makes a cluster of so many nodes, all up, on which `rsh NODE COMMAND` runs what is to be run.
fn cluster(bed: &Bed, rsh: &Path, count: usize) {
    let nodes: Vec<String> = (1..=count).map(|node| format!("{{\"name\": \"n{node}\"}}")).collect();
    let text = format!("{{\"format\": \"orderly-inventory/1\", \"nodes\": [{}]}}", nodes.join(", "));
    let inventory = bed.write("inventory.json", text);
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?}, subsystems = {:?} }}\n\
             [power]\ndriver = \"none\"\n[probe]\ndriver = \"command\"\nup = [\"true\", \"{{node}}\"]\n\
             [shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n",
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cshutSeq"),
            bed.path("subsysSeq"),
        ),
    );
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
    bed.tools(&["cat", "grep", "rm", "sed", "sh", "sleep", "true"]);
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
    killed.signal(nix::sys::signal::Signal::SIGKILL);
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
    bed.tools(&["cat", "grep", "rm", "sed", "sh", "sleep", "true"]);
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
    wait_until("logins are held off everywhere", || calls("set -C") == 5);
    bed.program("cshutdown").arg("--cancel").run();
    waiting.end();
    assert_eq!(calls("exit 0; rm"), 5, "and allowed again: {}", bed.read("rsh.log"));
    assert!(!bed.path("rsh.overlapped").exists());
}

/// A start file that reads standard input took half of the message, and the file that was then not known as
/// ours stayed: users were locked out by a shutdown that was cancelled.
#[test]
fn what_a_start_file_takes_from_standard_input_is_missed_by_nobody() {
    let bed = Bed::new();
    bed.tools(&["cat", "grep", "rm", "sed", "sh", "sleep", "true"]);
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
