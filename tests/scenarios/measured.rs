//! `--metrics FILE`: what Prometheus' textfile collector reads, also where a backup failed.

use crate::snapshot::{configure, holder, ready};
use bed::loopfs::Host;
use bed::{Bed, Need, real};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NAMES: [&str; 5] = ["age_seconds", "duration_seconds", "files", "problems", "size_bytes"];

/// Reads the file, with each metric once; insists that `promtool`, where it is installed, has nothing to say.
fn metrics(bed: &Bed) -> BTreeMap<String, f64> {
    let text = bed.read("orderly.prom");
    assert_eq!(fs::metadata(bed.path("orderly.prom")).unwrap().permissions().mode() & 0o7777, 0o644);
    if real::require(&[Need::Program("promtool")]) {
        let check = bed.external(real::find("promtool").unwrap()).args(["check", "metrics"]).stdin(&text);
        check.run();
    }
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap().strip_prefix("orderly_backup_").unwrap();
        for head in ["# HELP", "# TYPE"] {
            assert!(text.contains(&format!("{head} orderly_backup_{name} ")), "{text}");
        }
        assert!(found.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{text}");
    }
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), NAMES, "{text}");
    found
}

fn run(bed: &Bed, host: &Host<'_>, words: &[&str], status: i32) {
    let run = host.program("habackup").args(words).arg("--metrics").arg(bed.path("orderly.prom"));
    run.status(status).any_stdout().any_stderr().run();
}

/// The textfile of the last success stayed, and nobody saw that backups failed since.
#[test]
fn a_backup_that_fails_leaves_a_problem_and_an_age_that_grows() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["umount"]);
    let host = holder(&bed, "ec1");
    bed.write("source/one", "12345");
    // No snapshot yet: an age that every alert goes off at.
    run(&bed, &host, &["--check"], 1);
    assert!(metrics(&bed)["age_seconds"].is_infinite());
    run(&bed, &host, &["-q"], 0);
    let good = metrics(&bed);
    assert_eq!((good["problems"], good["files"], good["size_bytes"]), (0.0, 1.0, 5.0));
    assert!(bed.read("orderly.prom").contains(&format!("{{asset=\"{}/shared\"}}", bed.root().display())));
    // The services are down, the next time: refused.
    bed.write("controller", "offline\n");
    host.shell("sleep 1.1").run();
    run(&bed, &host, &["-q"], 4);
    let refused = metrics(&bed);
    assert!(refused["problems"] >= 1.0 && refused["age_seconds"] > good["age_seconds"], "{refused:?}");
    run(&bed, &host, &["--check"], 0);
    assert_eq!(metrics(&bed)["problems"], 0.0);
    bed.write("controller", "online\n");
    // An incomplete snapshot is no fresh one.
    let text = bed.read("etc/ha.toml");
    bed.config(
        "ha.toml",
        text.replace("/source\"]", &format!("/source\", \"{}/gone\"]", bed.root().display())),
    );
    host.shell("sleep 1.1").run();
    run(&bed, &host, &["-q"], 1);
    let incomplete = metrics(&bed);
    assert!(
        incomplete["problems"] == 1.0 && incomplete["age_seconds"] > refused["age_seconds"],
        "{incomplete:?}"
    );
    run(&bed, &host, &["--check"], 0);
    assert_eq!(metrics(&bed)["problems"], 1.0);
    // Neither is one that cannot be asked for.
    bed.config("ha.toml", "nonsense");
    run(&bed, &host, &["-q"], 3);
    let rejected = metrics(&bed);
    assert!(rejected["problems"] == 1.0 && rejected["age_seconds"].is_infinite(), "{rejected:?}");
    bed.config("ha.toml", text);
    host.shell("umount asset").run();
    run(&bed, &host, &["-q"], 4);
    assert!(metrics(&bed)["age_seconds"].is_infinite());
    // The host that does not hold the asset has nothing to say of it.
    run(&bed, &host, &["-q", "--if-held"], 0);
    assert_eq!(bed.read("orderly.prom"), "# The asset is not held by this host.\n");
}

#[test]
fn a_file_that_cannot_be_replaced_is_refused_before_anything_is_done() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    fs::create_dir(bed.path("orderly.prom")).unwrap();
    run(&bed, &host, &["-q"], 4);
    assert!(crate::snapshot::snapshots(&bed).is_empty());
    for words in [&["--list"][..], &["-n"], &["--restore"]] {
        run(&bed, &host, words, 2);
    }
}
