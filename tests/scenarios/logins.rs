//! Logins held off while a shutdown waits: scripts stand in for the nodes.

use bed::{Bed, wait_until};

#[test]
fn logins_are_held_off_on_no_more_nodes_at_a_time_than_fanout() {
    let bed = Bed::new();
    bed.tools(&["cat", "mkdir", "rmdir", "sleep", "true"]);
    let inventory = bed.write(
        "inventory.json",
        r#"{"format": "orderly-inventory/1", "nodes": [
            {"name": "n1"}, {"name": "n2"}, {"name": "n3"}, {"name": "n4"}, {"name": "n5"}]}"#,
    );
    // A second call while one runs finds the folder of the first.
    let rsh = bed.script(
        "rsh",
        "cat >/dev/null\ncase $2 in *nologin*) ;; *) exit 0 ;; esac\nmkdir \"$0.busy\" || echo >\"$0.overlapped\"\n\
         sleep 0.02\nrmdir \"$0.busy\"\necho \"$1 $2\" >>\"$0.log\"",
    );
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
    let calls = |what: &str| {
        let log = std::fs::read_to_string(bed.path("rsh.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(what)).count()
    };
    let waiting =
        bed.program("cshutdown").args(["-T", "5", "-K", "1", "ALL"]).any_stderr().status(130).spawn();
    wait_until("logins are held off everywhere", || calls("cat >") == 5);
    bed.program("cshutdown").arg("--cancel").run();
    waiting.end();
    assert_eq!(calls("rm -f"), 5, "and allowed again: {}", bed.read("rsh.log"));
    assert!(!bed.path("rsh.overlapped").exists());
}
