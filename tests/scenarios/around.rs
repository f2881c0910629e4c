//! What a site runs around a snapshot: `before` and `after` of `[backup]`.

use crate::snapshot::{configure, copy_of, holder, ready, snapshots};
use bed::Bed;
use std::fs;

/// Writes `ha.toml` with these keys in `[backup]`, and a script that notes what it is told.
fn around(bed: &Bed, more: &str) {
    configure(bed, &more.replace('@', &bed.path("tools").display().to_string()));
    bed.script(
        "tools/note",
        "cd \"$ORDERLY_BED\"; echo \"$* ${ORDERLY_BACKUP_STATUS:-none} ${ORDERLY_SNAPSHOT:-none} $ORDERLY_BACKUP_DIRECTORY\" >>notes",
    );
    bed.script("tools/fail", "echo \"cannot log in as $1\" >&2; exit 3");
    bed.script("tools/dump", "echo dumped >\"$ORDERLY_BED/source/dump\"");
}

fn notes(bed: &Bed) -> Vec<String> {
    let text = fs::read_to_string(bed.path("notes")).unwrap_or_default();
    fs::remove_file(bed.path("notes")).ok();
    text.lines().map(|line| line.replace(&bed.root().display().to_string(), "")).collect()
}

#[test]
fn what_before_makes_is_in_the_snapshot_and_after_is_told_its_name() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    around(
        &bed,
        r#"before = [["@/dump"], ["@/note", "one"]]
                    after = [["@/note", "two"]]"#,
    );
    let host = holder(&bed, "ec1");
    let preview = host.program("habackup").arg("-n").any_stdout().run().stdout;
    for words in ["would run before: [..]/dump\n", "would run after: [..]/note two\n"] {
        let line = words.trim_end().replace("[..]", &bed.path("tools").display().to_string());
        assert!(preview.contains(&line), "{preview}");
    }
    assert_eq!(notes(&bed), [""; 0]);
    host.program("habackup").stdout("Backup complete.\n").run();
    let taken = snapshots(&bed).remove(0);
    assert_eq!(fs::read(copy_of(&bed, &taken, "dump")).unwrap(), b"dumped\n");
    let id = taken.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        notes(&bed),
        ["one none none /asset/habackup".to_owned(), format!("two complete {id} /asset/habackup")]
    );
    // An incomplete snapshot is told as such.
    fs::remove_dir_all(bed.path("source")).unwrap();
    host.program("habackup").status(3).stderr_contains("nothing that backup.include names is there").run();
    assert_eq!(notes(&bed), [""; 0], "nothing was begun, so there is nothing to end");
}

#[test]
fn a_failing_before_means_no_snapshot_and_after_runs_all_the_same() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    around(
        &bed,
        r#"before = [["@/fail", "--password=geheim"], ["@/note", "never"]]
                    after = [["@/fail", "token=geheim"], ["@/note", "ended"]]"#,
    );
    let host = holder(&bed, "ec1");
    let preview = host.program("habackup").args(["-n", "--json"]).any_stdout().run().stdout;
    assert!(preview.contains("--password=***") && !preview.contains("geheim"), "{preview}");
    let ended = host.program("habackup").arg("--json").status(1).any_stdout();
    let ended = ended
        .stderr_contains("no snapshot was taken: backup.before: [ROOT]/tools/fail: exit status 3: cannot log in as --password=***")
        .stderr_contains("backup.after: [ROOT]/tools/fail: exit status 3: cannot log in as token=***")
        .run();
    assert!(!ended.stderr.contains("geheim") && !ended.stdout.contains("geheim"), "{ended:?}");
    assert_eq!(notes(&bed), ["ended failed none /asset/habackup"]);
    assert!(snapshots(&bed).is_empty());
    assert!(!fs::read_dir(bed.path("shared/habackup")).unwrap().any(|_| true), "nothing is left behind");
}

/// The copy elsewhere failed, and the run was called a success.
#[test]
fn a_failing_after_is_told_and_the_snapshot_is_whole() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    around(&bed, r#"after = [["@/fail", "x"], ["@/note", "next"]]"#);
    let host = holder(&bed, "ec1");
    let ended =
        host.program("habackup").arg("--json").status(1).any_stdout().stderr_contains("backup.after: ").run();
    let report: serde_json::Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&report["complete"], &report["status"]), (&true.into(), &"failed".into()));
    assert_eq!(report["after_failed"].as_array().unwrap().len(), 1);
    assert!(notes(&bed)[0].starts_with("next complete 20"));
    host.program("habackup").arg("--verify").any_stdout().run();
}

#[test]
fn a_command_has_a_deadline_and_a_signal_ends_the_run_after_after() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    around(
        &bed,
        r#"before = [["sleep", "1000"]]
                    after = [["@/note", "ended"]]
                    command_timeout = "1s""#,
    );
    let host = holder(&bed, "ec1");
    host.program("habackup").status(1).stderr_contains("backup.before: sleep: ").run();
    assert_eq!(notes(&bed), ["ended failed none /asset/habackup"]);
    bed.script(
        "tools/slow",
        ": >\"$ORDERLY_BED/begun\"; while [ ! -e \"$ORDERLY_BED/go\" ]; do sleep 0.05; done",
    );
    let slow = bed
        .read("etc/ha.toml")
        .replace(r#"["sleep", "1000"]"#, &format!("[\"{}\"]", bed.path("tools/slow").display()));
    bed.config("ha.toml", slow.replace("\"1s\"", "\"10m\""));
    // What runs is not torn in two: it ends, and nothing comes after it but what ends it.
    let line =
        "habackup & run=$!; while [ ! -e begun ]; do sleep 0.05; done; kill -TERM $run; : >go; wait $run";
    host.shell(line).status(128 + 15).stderr_contains("interrupted before the snapshot was taken").run();
    assert_eq!(notes(&bed), ["ended failed none /asset/habackup"]);
    assert!(snapshots(&bed).is_empty());
}

#[test]
fn a_limit_without_commands_is_rejected() {
    let bed = Bed::new();
    around(&bed, r#"command_timeout = "1s""#);
    bed.program("habackup")
        .arg("--list")
        .status(3)
        .stderr_contains("there is neither before nor after")
        .run();
    around(&bed, r#"before = [["dump"], []]"#);
    bed.program("habackup").arg("--list").status(3).stderr_contains("backup.before: names no program").run();
    around(&bed, r#"before = ["dump"]"#);
    bed.program("habackup").arg("--list").status(3).stderr_contains("backup.before must be a list of").run();
}
