//! How a hand-over tells of itself: what is not done is not called so, the last sentence is heard, and no run
//! begins without room for its record.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;

/// A step whose backup failed said "backup: done", on the screen and in the record.
#[test]
fn a_backup_that_failed_is_not_called_done() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    with_backup(&pair);
    pair.program(1, "habackup").any_stdout().goes_well().run();
    // A snapshot is there and young; the next one fails.
    let good = bed.read("etc/ha.toml");
    let bad = good.replace("/outside\"]", "/outside\", \"/nowhere/at/all\"]");
    bed.config("ha.toml", &bad);
    let ended = pair.release(1).arg("-q").any_stderr().run();
    assert!(ended.stderr.contains("backup: not done: habackup: "), "{}", ended.stderr);
    pair.taken_back(1);
    // Only one of the same holding counts.
    bed.config("ha.toml", &good);
    pair.program(1, "habackup").any_stdout().goes_well().run();
    bed.config("ha.toml", &bad);
    let ended = pair.release(1).arg("--json").any_stdout().any_stderr().run();
    let record = ended.records().pop().unwrap();
    let steps = record["steps"].as_array().unwrap();
    let backup = steps.iter().find(|step| step["step"] == "backup").unwrap();
    assert_eq!(backup["outcome"], "not_done", "{record}");
    assert!(!ended.stderr.contains("backup: done"), "{}", ended.stderr);
}

/// With --json the sentence that closes a run was heard by nobody.
#[test]
fn the_closing_sentence_is_on_stderr_where_stdout_speaks_json() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let title = "[ROOT]/source";
    pair.trouble("fail 2");
    let kept = pair.release(1).arg("--json").status(1).any_stdout().any_stderr().run();
    assert!(
        kept.stderr.contains("NOT safe to take over: ") && kept.stderr.contains("/source: still held"),
        "{}",
        kept.stderr
    );
    pair.forget();
    let said = format!("released: {title} is safe to take over");
    pair.release(1).arg("--json").any_stdout().stderr_contains(&said).run();
    let record = pair.record(1);
    let takeover = || pair.takeover(2).arg("--json").arg("--record").arg(&record);
    pair.trouble("fail 2");
    takeover().status(1).any_stdout().stderr_contains("not taken: ").run();
    pair.forget();
    let own = pair.record(2);
    let record = if own.exists() { own } else { record.clone() };
    let said = format!("taken: ec2 holds {title}");
    pair.takeover(2).arg("--json").arg("--record").arg(&record).any_stdout().stderr_contains(&said).run();
    pair.takeover(1).arg("--json").status(4).any_stdout().stderr_contains("ha-takeover: refused: ").run();
    pair.release(1).arg("--json").status(4).any_stdout().stderr_contains("ha-release: refused: ").run();
}

/// The state directory was found to be full when the asset was released and nobody could say so.
#[test]
fn a_state_directory_that_is_nearly_full_refuses_before_anything_is_stopped() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let small =
        "/bin/mkdir -p state/ec1 && mount -t tmpfs -o size=2m t state/ec1 && /bin/chmod 700 state/ec1";
    pair.shell(1, small).run();
    let before = pair.world(1);
    let fill = |left: usize| {
        let line =
            format!("/bin/dd if=/dev/zero of=state/ec1/filler bs=1k count={} status=none", 2048 - left);
        pair.shell(1, &line).run();
        pair.forget();
    };
    fill(300);
    for (program, args) in [("ha-release", &["-n"][..]), ("ha-release", &[]), ("ha-takeover", &[])] {
        let said = "has no room for the journal and the record";
        pair.program(1, program).args(args).status(4).stderr_contains(said).run();
    }
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    assert_eq!(pair.world(1), before);
    // What a cluster manager stops is stopped all the same, as -n says.
    pair.release(1).args(["-n", "--no-unwind"]).any_stdout().goes_well().run();
    pair.release(1).arg("--no-unwind").any_stdout().goes_well().run();
    pair.shell(1, "rm -f state/ec1/filler").run();
    pair.taken_back(1);
    fill(300);
    // Somebody else fills it amid the run: what was held is used.
    pair.shell(1, "rm -f state/ec1/filler").run();
    let service = bed.read("fakes/svc");
    let greedy = "case $* in \"ec stop\") /bin/dd if=/dev/zero of=\"$ORDERLY_BED/state/ec1/filler\" bs=1k 2>/dev/null;; esac";
    bed.script("fakes/svc", &format!("{greedy}\n{service}"));
    let ended = pair.released(1);
    assert!(ended.stdout.contains("is safe to take over"), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stderr.contains("without a journal"), "{}", ended.stderr);
    let kept = pair.shell(1, "cat state/ec1/release.json; ls -A state/ec1").any_stdout().run().stdout;
    assert!(kept.contains("\"safe\":true") && !kept.contains(".room"), "{kept}");
}

/// The site's own command was run once more on what this host held already.
#[test]
fn a_command_asset_that_is_held_is_not_taken_a_second_time() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Command);
    let takes = || pair.acts().iter().filter(|act| act.contains("myasset take")).count();
    pair.shell(1, "svc proxy stop").run();
    pair.takeover(1).any_stdout().goes_well().run();
    assert_eq!(takes(), 0, "{:?}", pair.acts());
    // A release that is taken back before it let go.
    pair.shell(1, "sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >pid").run();
    pair.release(1).status(1).any_stdout().any_stderr().run();
    pair.shell(1, "read -r pid <pid; kill $pid; while [ -e /proc/$pid/cwd ]; do :; done").run();
    assert_eq!(takes(), 0, "{:?}", pair.acts());
    pair.released(1);
    pair.taken_back(1);
    assert_eq!(takes(), 1, "{:?}", pair.acts());
}

/// It stayed exported, or vanished for its clients, and nobody named it.
#[test]
fn an_export_of_the_asset_that_is_not_configured_refuses_and_is_named() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let path = bed.path("at/opt").display().to_string();
    pair.shell(1, &format!("exportfs -o ro '192.0.2.0/24:{path}' && exportfs -o rw '*:{path}'")).run();
    pair.forget();
    for args in [&["-n"][..], &[]] {
        pair.release(1)
            .args(args)
            .status(4)
            .stderr_contains("exportfs -u 192.0.2.0/24:[ROOT]/at/opt, or add")
            .stderr_contains("exportfs -u '*:[ROOT]/at/opt', or add")
            .run();
    }
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
    // What is exported elsewhere is nobody's business, and a cluster manager never meets it.
    pair.release(1).args(["-n", "--no-unwind"]).any_stdout().goes_well().run();
    pair.shell(1, &format!("exportfs -u '192.0.2.0/24:{path}' && exportfs -u '*:{path}'")).run();
    pair.released(1);
}
