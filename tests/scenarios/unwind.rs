//! Every command of a hand-over fails once, before and after doing its work: the world is then as it
//! was, or known to be safe, or a person is called; never do both hosts hold the asset.

use crate::pair::{Asset, Pair, kinds, possible};
use bed::Bed;
use bed::loopfs::Disk;

#[test]
fn whatever_fails_in_a_release_the_world_is_as_before() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    for at in 1..=7 {
        for kind in ["fail", "fail-after"] {
            pair.trouble(&format!("{kind} {at}"));
            let ended = pair.release(1).any_status().any_stdout().any_stderr().run();
            pair.forget();
            if ended.status == 0 {
                // It failed after doing its work, and only the truth counts. (The sixth flushes what is
                // no longer exported.)
                assert!(kind == "fail-after" || at == 6, "{at}");
                pair.way_back(1).any_stdout().any_stderr().run();
                pair.shell(
                    1,
                    &format!(
                        "exportfs -u '*:{0}/at/share'; exportfs -o rw,fsid=9,sync ec9:{0}/at/share",
                        bed.root().display()
                    ),
                )
                .run();
                continue;
            }
            assert_eq!(ended.status, 1, "{kind} {at}: {}", ended.stderr);
            assert_eq!(pair.world(1), before, "{kind} {at}: {}", ended.stderr);
            pair.takeover(2)
                .arg("--record")
                .arg(pair.state(1).join("release.json"))
                .status(4)
                .any_stderr()
                .run();
        }
    }
}

#[test]
fn whatever_fails_in_a_takeover_it_is_let_go_again() {
    if !possible() {
        return;
    }
    for asset in 0..3 {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Bind, Asset::Ext4(&disk), Asset::Command][asset]);
        pair.release(1).any_stdout().any_stderr().run();
        let before = pair.world(2);
        let mut record = pair.state(1).join("release.json");
        for at in 1..=8 {
            for kind in kinds(["fail", "fail-after"], asset + at) {
                pair.trouble(&format!("{kind} {at}"));
                let ended = pair
                    .takeover(2)
                    .arg("--record")
                    .arg(&record)
                    .any_status()
                    .any_stdout()
                    .any_stderr()
                    .run();
                pair.forget();
                match ended.status {
                    0 => {
                        // Nothing failed that mattered; back again.
                        pair.release(2).any_stdout().any_stderr().run();
                    }
                    1 => {
                        assert!(
                            ended.stderr.contains("safe for the other host"),
                            "{kind} {at}: {}",
                            ended.stderr
                        );
                        assert_eq!(pair.world(2), before, "{asset} {kind} {at}: {}", ended.stderr);
                    }
                    other => panic!("{asset} {kind} {at}: {other}: {}", ended.stderr),
                }
                // The other host may take it, by the record that was left.
                record = pair.state(2).join("release.json");
                pair.takeover(1).arg("--record").arg(&record).any_stdout().any_stderr().run();
                pair.release(1).any_stdout().any_stderr().run();
                record = pair.state(1).join("release.json");
            }
        }
    }
}

#[test]
fn an_interrupt_takes_back_what_was_begun_and_finishes_what_was_released() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    for at in 1..=6 {
        pair.trouble(&format!("int {at}"));
        pair.release(1).status(128 + 15).any_stdout().stderr_contains("interrupted").run();
        pair.forget();
        assert_eq!(pair.world(1), before, "{at}");
    }
    // At the unmount of the asset itself it is too late: the release is finished.
    pair.trouble("int 7");
    pair.release(1).any_stdout().any_stderr().run();
    pair.forget();
    pair.takeover(2).arg("--record").arg(pair.state(1).join("release.json")).any_stdout().any_stderr().run();
}

#[test]
fn a_takeover_that_is_interrupted_lets_go_again() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.release(1).any_stdout().any_stderr().run();
    let before = pair.world(2);
    let mut record = pair.state(1).join("release.json");
    for at in 1..=5 {
        pair.trouble(&format!("int {at}"));
        let ended =
            pair.takeover(2).arg("--record").arg(&record).status(128 + 15).any_stdout().any_stderr().run();
        pair.forget();
        assert!(ended.stderr.contains("safe for the other host"), "{at}: {}", ended.stderr);
        assert_eq!(pair.world(2), before, "{at}");
        record = pair.state(2).join("release.json");
    }
}

#[test]
fn what_hangs_is_ended_and_counts_as_failed() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    let before = pair.world(1);
    for at in [1, 4, 7] {
        pair.trouble(&format!("hang {at}"));
        pair.release(1).args(["--timeout", "1s"]).status(1).any_stdout().stderr_contains("timed out").run();
        pair.forget();
        assert_eq!(pair.world(1), before, "{at}");
    }
}

#[test]
fn an_undo_that_fails_calls_a_person_and_the_next_run_goes_on_with_it() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    let before = pair.world(1);
    // The loopback cannot be unmounted, and then the address cannot be added again.
    pair.trouble("fail 4\nfail 5\n");
    let ended = pair.release(1).status(5).any_stdout().stderr_contains("cannot be taken back").run();
    assert!(ended.stderr.contains("NOT safe"), "{}", ended.stderr);
    pair.takeover(2).arg("--record").arg(pair.state(1).join("release.json")).status(4).any_stderr().run();
    pair.forget();
    pair.release(1).status(1).any_stdout().any_stderr().run();
    assert_eq!(pair.world(1), before);
    pair.release(1).any_stdout().any_stderr().run();
}
