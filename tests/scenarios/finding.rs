//! `habackup --find`: in which snapshots a path is, and where it changed.

use crate::snapshot::{configure, holder, ids, ready, snapshots};
use bed::{Bed, Need, real};
use std::fs;

#[test]
fn a_path_is_found_in_every_snapshot_that_has_it_and_where_it_changed() {
    if !ready() || !real::require(&[Need::Program("hostid")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 9");
    bed.tools(&["hostid"]);
    let (one, two) = (holder(&bed, "ec1"), holder(&bed, "ec2"));
    bed.write("source/deep/er/named", "1");
    bed.write("source/named-not", "1");
    one.program("habackup").arg("-q").run();
    one.program("habackup").arg("-q").run();
    bed.write("source/deep/er/named", "22");
    bed.write("source/named", "");
    two.program("habackup").arg("-q").run();
    fs::remove_file(bed.path("source/named")).unwrap();
    one.program("habackup").arg("-q").run();

    let find = |pattern: &str| one.program("habackup").args(["--find", pattern]);
    find("named")
        .stdout(
            "[ROOT]/source/deep/er/named\n  [SNAPSHOT] to [SNAPSHOT]  2 snapshots  ec1  there  file, 1 B\n  \
             [SNAPSHOT] to [SNAPSHOT]  2 snapshots  ec2,ec1  updated (contents, time)  file, 2 B\n\
             [ROOT]/source/named\n  [SNAPSHOT]  ec2  new  file, 0 B\n  [SNAPSHOT]  ec1  gone\n",
        )
        .run();
    let whole = bed.path("source/named-not").display().to_string();
    find(&whole)
        .stdout(
            "[ROOT]/source/named-not\n  [SNAPSHOT] to [SNAPSHOT]  4 snapshots  ec1,ec2  there  file, 1 B\n",
        )
        .run();
    // Of directories alone, as in `exclude`.
    find("deep/").any_stdout().stdout_contains("[ROOT]/source/deep\n").run();
    find("named/").status(1).stderr_contains("no path in 4 snapshots matches \"named/\"").run();
    let json = find("named").arg("--json").any_stdout().run().stdout;
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{json}");
    assert!(lines.iter().all(|line| line["format"] == "orderly-find/1"));
    let ids = ids(&bed);
    let states = lines[0]["states"].as_array().unwrap();
    assert_eq!(states[1]["snapshots"], serde_json::json!([ids[2], ids[3]]));
    assert_eq!(states[1]["differs"], serde_json::json!(["contents", "time"]));
    assert_eq!((&lines[2]["record"], &lines[2]["found"]), (&"report".into(), &2.into()));
    for (wrong, why) in
        [("a/b", "write /a/b or **/a/b"), ("!a", "nothing to take back"), ("a[", "can match nothing")]
    {
        find(wrong).status(2).stderr_contains(why).run();
    }
}

/// What a damaged manifest has is found as far as it can be read, and the answer says that it may not be all.
#[test]
fn a_damaged_manifest_is_named_and_the_rest_is_searched() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 9");
    let host = holder(&bed, "ec1");
    bed.write("source/named", "1");
    for _ in 0..3 {
        host.program("habackup").arg("-q").run();
    }
    let manifest = |number: usize| snapshots(&bed)[number].join("manifest.json");
    let text = fs::read(manifest(1)).unwrap();
    fs::write(manifest(1), &text[..text.len() / 2]).unwrap();
    fs::remove_file(manifest(2)).unwrap();
    let ended = host.program("habackup").args(["--find", "named"]).status(1).any_stdout();
    let ended = ended.stderr_contains("cannot be read, and what it has may be missing here: ").run();
    assert!(ended.stdout.contains("/source/named\n"), "{}", ended.stdout);
    assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
}
