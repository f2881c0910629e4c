//! An interrupt, and an undo that fails: the world is then as it was, or a person is called. What every
//! command does to a hand-over when it fails, hangs or dies is in `proofs`.

use crate::pair::{Asset, Pair, possible};
use bed::Bed;
use bed::loopfs::Disk;

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
    pair.released(1);
    pair.forget();
    pair.taken(2);
}

#[test]
fn a_takeover_that_is_interrupted_lets_go_again() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.released(1);
    let before = pair.world(2);
    for at in 1..=5 {
        pair.trouble(&format!("int {at}"));
        let take = match at {
            1 => pair.takeover(2).arg("--record").arg(pair.record(1)),
            _ => pair.way_back(2),
        };
        let ended = take.status(128 + 15).any_stdout().any_stderr().run();
        pair.forget();
        assert!(ended.stderr.contains("safe for the other host"), "{at}: {}", ended.stderr);
        assert_eq!(pair.world(2), before, "{at}");
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
    pair.takeover(2).arg("--record").arg(pair.record(1)).status(4).any_stderr().run();
    pair.forget();
    pair.release(1).status(1).any_stdout().any_stderr().run();
    assert_eq!(pair.world(1), before);
    pair.released(1);
}

/// It was said to run, although it had been stopped before.
#[test]
fn a_release_that_is_taken_back_names_what_did_not_run_before() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.shell(1, "svc proxy stop").run();
    pair.trouble("fail 3\n");
    let said = "NOT safe to take over: [ROOT]/source: held here, as it was found (service proxy is down): ";
    pair.release(1).status(1).any_stdout().stderr_contains(said).run();
    pair.shell(1, "svc proxy start").run();
    pair.trouble("fail 3\n");
    pair.release(1).status(1).any_stdout().stderr_contains("still held and running here: ").run();
}
