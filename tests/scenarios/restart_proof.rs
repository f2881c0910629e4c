//! Restarts without a power switch, proven by the boot id: scripts stand in for the nodes.

use bed::{Bed, Program};

const BEFORE: &str = "11111111-1111-1111-1111-111111111111";
const AFTER: &str = "22222222-2222-2222-2222-222222222222";

/// One node without power; `restarts` are the lines its restart runs, in its folder.
fn node(bed: &Bed, restarts: &str) {
    let inventory =
        bed.write("inventory.json", r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1"}]}"#);
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
    bed.config(
        "cluster.toml",
        format!(
            "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?}, subsystems = {:?} }}\n\
             [power]\ndriver = \"none\"\n[shell]\ndriver = \"command\"\n\
             run = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
             [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"20ms\"\n\
             [shutdown]\nend_users = \"none\"\n",
            bed.path("log"),
            bed.path("cstartSeq"),
            bed.path("cshutSeq"),
            bed.path("subsysSeq"),
        ),
    );
    bed.write("cshutSeq", "");
    bed.write("cstartSeq", "");
}

fn restart<'a>(bed: &'a Bed, timeout: &str) -> Program<'a> {
    bed.program("cshutdown").args(["-F", "-r", "--timeout", timeout, "n1"]).any_stderr()
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

#[test]
fn a_node_too_quick_to_be_seen_down_is_restarted_by_its_boot_id() {
    let bed = Bed::new();
    node(&bed, &format!("echo {AFTER} >id"));
    let ended = restart(&bed, "1s").run();
    assert!(ended.stderr.contains("its boot id changed"), "{}", ended.stderr);
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
