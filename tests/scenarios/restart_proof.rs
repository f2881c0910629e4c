//! Restarts without a power switch and resets, proven by the boot id: scripts stand in for the nodes.

use bed::{Bed, Program, inventory_of};

const BEFORE: &str = "11111111-1111-1111-1111-111111111111";
const AFTER: &str = "22222222-2222-2222-2222-222222222222";

/// One node without power; `restarts` are the lines its restart runs, in its folder.
fn node(bed: &Bed, restarts: &str) {
    bed.write("node/id", BEFORE);
    let folder = bed.path("node");
    let rsh = bed.script(
        "rsh",
        &format!(
            "cd {folder:?}\ncase $2 in\n*boot_id*) [ ! -e id ] || read -r id <id || :; echo \"$id\" ;;\n\
             *'shutdown -r'*) {restarts} ;;\nesac"
        ),
    );
    // Down for as many probes as `down` says.
    let probe = bed.script(
        "probe",
        &format!(
            "cd {folder:?}\n[ -s down ] || exit 0\nread -r left <down\n[ \"$left\" -gt 0 ] || exit 0\n\
             echo $((left - 1)) >down\nexit 1"
        ),
    );
    bed.cluster(
        &inventory_of(["n1"]),
        format!(
            "[power]\ndriver = \"none\"\n[shell]\ndriver = \"command\"\n\
             run = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
             [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"20ms\"\n\
             [shutdown]\nend_users = \"none\"\n"
        ),
    );
    bed.write("cshutSeq", "");
    bed.write("cstartSeq", "");
}

fn restart<'a>(bed: &'a Bed, timeout: &str) -> Program<'a> {
    bed.program("cshutdown").args(["-F", "-r", "--timeout", timeout, "n1"]).goes_well()
}

#[test]
fn a_node_that_was_down_and_has_a_new_boot_id_is_restarted() {
    let bed = Bed::new();
    node(&bed, &format!("echo 3 >down; echo {AFTER} >id"));
    let ended = restart(&bed, "60s").run();
    assert!(ended.stderr.contains("restarted: n1"), "{}", ended.stderr);
}

#[test]
fn a_node_that_is_up_again_with_the_same_boot_id_was_not_restarted() {
    let bed = Bed::new();
    node(&bed, "echo 3 >down");
    let ended = restart(&bed, "60s").status(1).run();
    assert!(ended.stderr.contains("same boot id: it was not restarted"), "{}", ended.stderr);
    assert!(ended.stderr.contains("failed: n1"), "{}", ended.stderr);
}

/// Its whole time was waited for first, by all that follow it.
#[test]
fn a_node_too_quick_to_be_seen_down_is_restarted_by_its_boot_id() {
    let bed = Bed::new();
    node(&bed, &format!("echo {AFTER} >id"));
    let ended = restart(&bed, "10m").run();
    assert!(ended.stderr.contains("restarted: n1"), "{}", ended.stderr);
}

#[test]
fn where_no_boot_id_can_be_read_the_probe_decides() {
    let bed = Bed::new();
    node(&bed, "echo 3 >down");
    std::fs::remove_file(bed.path("node/id")).unwrap();
    let ended = restart(&bed, "60s").run();
    assert!(ended.stderr.contains("restarted: n1"), "{}", ended.stderr);
}

/// Returns the end of a reset of a running node that is never seen down; `resets` are the lines its
/// controller runs, in the node's folder.
fn reset(bed: &Bed, resets: &str, status: i32) -> bed::Ended {
    node(bed, ":");
    let folder = bed.path("node");
    let power = bed.script(
        "power",
        &format!("cd {folder:?}\ncase $1 in\nstatus) echo \"$2: on\" ;;\nreset) {resets} ;;\nesac"),
    );
    let word = |word: &str| format!("[{power:?}, \"{word}\", \"{{node}}\"]");
    let driver = format!(
        "driver = \"command\"\non = {}\noff = {}\nreset = {}\nstatus = {}",
        word("on"),
        word("off"),
        word("reset"),
        word("status")
    );
    let text = bed.read("etc/cluster.toml").replacen("driver = \"none\"", &driver, 1);
    bed.config("cluster.toml", text);
    bed.program("cstartup").args(["-Z", "--timeout", "5s", "n1"]).status(status).goes_well().run()
}

/// It was called failed after its whole time, because no probe had found it down.
#[test]
fn a_reset_node_too_quick_to_be_seen_down_is_up_by_its_boot_id() {
    let bed = Bed::new();
    let ended = reset(&bed, &format!("echo {AFTER} >id"), 0);
    assert!(ended.stderr.contains("n1: resetting") && ended.stderr.contains("up: n1"), "{}", ended.stderr);
}

#[test]
fn a_reset_that_leaves_the_boot_id_as_it_was_has_failed() {
    let bed = Bed::new();
    let ended = reset(&bed, ":", 1);
    assert!(ended.stderr.contains("failed: n1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the reset was accepted and had no effect for 5.0s"), "{}", ended.stderr);
}
