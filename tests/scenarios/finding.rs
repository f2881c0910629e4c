//! `habackup --find`: in which snapshots a path is, and where it changed.

use crate::snapshot::{configure, holder, ids, ready, snapshots};
use bed::loopfs::Host;
use bed::{Bed, Need, real};
use std::fs;
use std::time::Duration;

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

/// What one search took: the most memory at once, and how often some was asked for.
struct Heap {
    peak: f64,
    blocks: f64,
}

/// Searches for what every entry matches, and counts its memory with valgrind(1), which no other load changes.
fn search(bed: &Bed, host: &Host<'_>, entries: usize) -> Heap {
    // By its own path: it looks for its parts beside itself.
    let valgrind = real::find("valgrind").unwrap().display().to_string();
    let line =
        format!("{valgrind} --tool=dhat --dhat-out-file=/dev/null ./habackup.stripped --find 'entry-*'");
    let ended = host.shell(&line).patience(Duration::from_secs(600)).any_stdout().any_stderr().run();
    let found = ended.stdout.lines().filter(|line| line.starts_with('/')).count();
    assert_eq!(found, entries, "{}", bed.root().display());
    let figures = |name: &str| -> Vec<f64> {
        let line = ended.stderr.lines().find_map(|line| line.split_once(name)).unwrap().1;
        let words = line.split_whitespace().map(|word| word.replace(',', ""));
        words.filter_map(|word| word.parse().ok()).collect()
    };
    Heap { peak: figures("At t-gmax:")[0], blocks: figures("Total:")[1] }
}

/// Manifests are read side by side and in passing: a store of a million entries is searched in the memory of a small one,
/// and each entry costs what it costs there.
#[test]
fn a_search_of_a_large_store_takes_the_memory_of_a_small_one() {
    if !ready() || !real::require(&[Need::Program("valgrind"), Need::Program("strip")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 9");
    let strip = bed.external(real::find("strip").unwrap()).arg("-o").arg(bed.path("habackup.stripped"));
    strip.arg(bed.path("bin/habackup")).run();
    let host = holder(&bed, "ec1");
    let mut heaps = Vec::new();
    let sizes = [0, 400, 3200];
    for size in sizes {
        for number in 0..size {
            bed.write(format!("source/{}/entry-{number}", number / 50), "");
        }
        // Each has three snapshots of its size, and none of another one.
        fs::remove_dir_all(bed.path("shared/habackup")).ok();
        for _ in 0..3 {
            host.program("habackup").arg("-q").run();
        }
        if size == 0 {
            // Something must be found, or the search ends otherwise.
            bed.write("source/entry-0", "");
            host.program("habackup").arg("-q").run();
            heaps.push(search(&bed, &host, 1));
            fs::remove_file(bed.path("source/entry-0")).unwrap();
        } else {
            heaps.push(search(&bed, &host, size));
        }
    }
    let [none, small, large] = heaps.try_into().ok().unwrap();
    let ratio = large.peak / small.peak;
    assert!(
        ratio < 1.1,
        "{} bytes at once, and {ratio:.2} times as many for eight times the entries",
        small.peak
    );
    let ratio = (large.blocks - none.blocks) / (small.blocks - none.blocks);
    assert!(ratio < 9.0, "{} blocks, and {ratio:.2} times as many for eight times the entries", small.blocks);
}
