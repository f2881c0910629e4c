//! Halt commands that end with a failure because their own shutdown ends them. The nodes are scripted: they go down
//! after so many questions, and never after so much time.

use bed::Bed;

/// A cluster of a server n1 and its client n2. The halt of n2 ends with `status`, and its probe says up this many times
/// more; its power then reads off by itself where `powers_off`.
fn cluster(bed: &Bed, status: u8, ups: usize, powers_off: bool, settle: &str) {
    bed.tools(&["cat", "wc", "sh"]);
    let inventory = r#"{"nodes": [{"name": "n1"}, {"name": "n2", "boot_server": "n1"}]}"#;
    let told = bed.path("told");
    let rsh = bed.script(
        "rsh",
        &format!(
            "case $2 in halt) echo \"$1 halt\" >>{told:?}; : >\"$0.$1\"; [ $1 = n1 ] || exit {status} ;; *) echo 1 ;; esac"
        ),
    );
    let probe = bed.script(
        "probe",
        &format!(
            "[ -e {rsh:?}.$1 ] || exit 0\necho >>\"$0.$1\"\n[ $1 = n2 ] && [ $(wc -l <\"$0.$1\") -le {ups} ] && exit 0\n: >\"$0.$1.down\"\nexit 1"
        ),
    );
    let off = if powers_off { "off" } else { "on" };
    let power = bed.script(
        "power",
        &format!(
            "case $1 in status) if [ -e \"$0.$2\" ]; then echo \"$2: off\"; elif [ -e {probe:?}.$2.down ]; then echo \"$2: {off}\"; \
             else echo \"$2: on\"; fi ;; *) echo \"$2 power $1\" >>{told:?}; : >\"$0.$2\" ;; esac"
        ),
    );
    bed.cluster(
        inventory,
        format!(
            "[power]\ndriver = \"command\"\non = [{power:?}, \"on\", \"{{node}}\"]\noff = [{power:?}, \"off\", \"{{node}}\"]\n\
             status = [{power:?}, \"status\", \"{{node}}\"]\n[shell]\ndriver = \"command\"\nrun = [{rsh:?}, \"{{node}}\", \"{{command}}\"]\n\
             [probe]\ndriver = \"command\"\nup = [{probe:?}, \"{{node}}\"]\ninterval = \"20ms\"\n\
             [shutdown]\nhalt = \"halt\"\nend_users = \"none\"\nsettle = \"{settle}\"\n"
        ),
    );
}

/// Runs it; returns what was told, and how n1 and n2 ended.
fn shut_down(bed: &Bed) -> (String, Vec<String>) {
    let ended = bed.program("cshutdown").args(["-F", "--json", "ALL"]).any_stdout().goes_well().run();
    let report = ended.records().pop().unwrap();
    let nodes = report["nodes"].as_array().unwrap();
    (bed.read("told"), nodes.iter().map(|node| node["outcome"].as_str().unwrap().to_owned()).collect())
}

/// The node goes down long after its command failed: it was called failed, and its server was held.
#[test]
fn a_halt_that_fails_while_the_node_goes_down_later_holds_nobody() {
    for status in [1, 143] {
        let bed = Bed::new();
        cluster(&bed, status, 40, true, "300s");
        let (told, outcomes) = shut_down(&bed);
        assert_eq!(outcomes, ["down", "down"], "{told}");
        let lines: Vec<&str> = told.lines().collect();
        let last = lines.iter().rposition(|line| *line == "n2 halt").unwrap();
        assert!(
            lines.iter().position(|line| *line == "n1 halt").unwrap() > last,
            "the server goes after: {told}"
        );
        assert!(!told.contains("n2 power"), "it switched itself off: {told}");
    }
}

/// It is down at the first look: it was called already down, though this run had told it. Down all through settle
/// proves it halted as after any other halt, and its power is cut.
#[test]
fn a_halt_that_fails_while_the_node_is_down_at_once_is_this_runs_own() {
    for status in [1, 143] {
        let bed = Bed::new();
        cluster(&bed, status, 0, false, "200ms");
        let (told, outcomes) = shut_down(&bed);
        assert_eq!(outcomes, ["down", "down"], "{told}");
        assert_eq!(told, "n2 halt\nn2 power off\nn1 halt\nn1 power off\n");
    }
}

/// One that says no and stays up is failed after settle, and keeps its power.
#[test]
fn a_halt_that_fails_and_changes_nothing_is_failed_and_never_cut() {
    let bed = Bed::new();
    cluster(&bed, 1, 1_000_000, false, "200ms");
    let config = bed.read("etc/cluster.toml");
    bed.config("cluster.toml", config + "[limits]\nretries = 0\n");
    let ended =
        bed.program("cshutdown").args(["-F", "--json", "ALL"]).status(1).any_stdout().any_stderr().run();
    let report = ended.records().pop().unwrap();
    let outcomes = [&report["nodes"][0]["outcome"], &report["nodes"][1]["outcome"]];
    assert_eq!(outcomes, ["held", "failed"], "{report}");
    assert!(!bed.read("told").contains("power"), "{}", bed.read("told"));
}
