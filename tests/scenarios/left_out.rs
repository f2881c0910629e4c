//! What `exclude` leaves out of a snapshot: patterns as in gitignore(5), and those that can match nothing.

use crate::snapshot::{configure, copy_of, holder, ready, snapshots};
use bed::Bed;

/// Writes `ha.toml` with these patterns.
fn excluding(bed: &Bed, patterns: &str) {
    configure(bed, "");
    let text = bed.read("etc/ha.toml").replace("exclude = [\"*.pid\"]", &format!("exclude = [{patterns}]"));
    bed.config("ha.toml", text);
}

#[test]
fn the_last_pattern_decides_and_a_slash_at_the_end_means_directories() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let source = bed.path("source").display().to_string();
    excluding(
        &bed,
        &format!(
            r#"'*.log', '!kept.log', 'cache/', '{source}/deep/*.tmp', '{source}/**/both', '{{a,b}}', '\#a'"#
        ),
    );
    let all = [
        ("a.log", false),
        ("kept.log", true),
        ("deep/er/b.log", false),
        ("cache", true),
        ("deep/cache/inner", false),
        ("deep/a.tmp", false),
        ("deep/er/a.tmp", true),
        ("both", false),
        ("deep/er/both", false),
        ("{a,b}", false),
        ("a", true),
        ("#a", false),
    ];
    for (below, _) in all {
        bed.write(format!("source/{below}"), "x");
    }
    let host = holder(&bed, "ec1");
    host.program("habackup").arg("-q").run();
    let taken = snapshots(&bed).remove(0);
    for (below, wanted) in all {
        assert_eq!(copy_of(&bed, &taken, below).exists(), wanted, "{below}");
    }
    // What was left out is no extra of the live system.
    host.program("habackup")
        .args(["--diff", "latest", "live"])
        .any_stdout()
        .stdout_contains(", 0 extra")
        .run();
}

/// A pattern with a slip in it left nothing out, and what it was to leave out was in every snapshot.
#[test]
fn a_pattern_that_can_match_nothing_is_rejected_with_its_place() {
    let bed = Bed::new();
    excluding(&bed, r#""*.pid", "a/b", "/ect/hosts", "x[""#);
    for (program, option) in [("habackup", "--list"), ("ha-release", "-n"), ("ha-takeover", "--status")] {
        let said = bed.program(program).arg(option).status(3).any_stderr().any_stdout().run().stderr;
        for words in [
            r#"backup.exclude: "a/b" can match nothing: a name has no / in it, and a path begins with one; write /a/b or **/a/b"#,
            r#"backup.exclude: "/ect/hosts" can match nothing: no source has anything there"#,
            r#"backup.exclude: "x[" can match nothing: "#,
        ] {
            assert!(said.contains(words), "{program}: {said}");
        }
        let columns: Vec<&str> = said.lines().filter(|line| line.contains("backup.exclude")).collect();
        assert!(columns.len() == 3 && columns.iter().all(|line| line.contains("ha.toml:")), "{said}");
    }
}
