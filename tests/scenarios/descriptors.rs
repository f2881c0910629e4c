//! How many processes run at once is bounded by the descriptors this process may have.

use bed::Bed;

/// As many processes at once as were asked for need more descriptors than a login session has; nodes failed, because
/// no pipe could be made for theirs.
#[test]
fn as_many_processes_as_descriptors_allow_run_at_once_and_the_rest_waits() {
    // With a hard limit that allows all, and with one that does not.
    for (soft, hard, at_once) in [(128, 1024, 60), (128, 128, 12)] {
        let bed = Bed::new();
        bed.tools(&["sleep"]);
        let nodes: Vec<String> = (1..=60).map(|node| format!("{{\"name\": \"n{node}\"}}")).collect();
        let inventory = bed.write("inventory.json", format!("{{\"nodes\": [{}]}}", nodes.join(", ")));
        bed.write("order", "all: n[1-60]\n");
        std::fs::create_dir_all(bed.path("begun")).unwrap();
        let power = bed.script(
            "power",
            &format!("cd {:?} || exit 1\n: >begun/$1\nuntil [ -e go ]; do sleep 0.05; done", bed.root()),
        );
        bed.config(
            "cluster.toml",
            format!(
                "inventory = {inventory:?}\nlog_dir = {:?}\nsequence = {{ start = {:?}, shut = {:?} }}\n[power]\n\
                 driver = \"command\"\non = [{power:?}, \"{{node}}\"]\noff = [{power:?}, \"{{node}}\"]\n[probe]\ndriver = \"none\"\n\
                 [limits]\nretries = 0\n",
                bed.path("log"),
                bed.path("order"),
                bed.path("order"),
            ),
        );
        let cstartup = bed.path("bin/cstartup");
        let line = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec {} -K 60 ALL", cstartup.display());
        let run = bed.shell(&line).any_status().any_stdout().any_stderr().spawn();
        bed::wait_until("as many run as can", || {
            std::fs::read_dir(bed.path("begun")).unwrap().count() >= at_once
        });
        bed.write("go", "");
        let ended = run.end();
        assert_eq!(ended.status, 0, "{soft} {hard}: {}", ended.stderr);
        let said = ended.stderr.contains("only 12 driver processes run at a time, and not 60");
        assert_eq!(said, at_once < 60, "{}", ended.stderr);
    }
}
