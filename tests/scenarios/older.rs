//! What an older run saved, or a host that owed a restore, never replaces what is newer.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::Disk;

fn outside(pair: &Pair<'_>, host: usize) -> String {
    pair.bed.read(format!("outside.{host}/file"))
}

fn edit(pair: &Pair<'_>, host: usize, text: &str) {
    pair.bed.write(format!("outside.{host}/file"), text);
}

/// A release that was killed, finished when the peer had held the asset since, named its old snapshot at the new
/// mark, and the peer restored it over its newer files.
#[test]
fn an_old_release_that_is_finished_after_the_peer_held_the_asset_names_nothing() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.trouble("after 7");
    pair.release(1).any_status().any_stdout().any_stderr().run();
    pair.forget();
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    edit(&pair, 2, "v2\n");
    pair.released(2);
    let said = "the asset was taken since this release was begun, and let go again";
    pair.release(1).status(4).any_stdout().stderr_contains(said).stderr_contains("--new-plan").run();
    let fresh =
        pair.release(1).args(["--new-plan", "--after", "9", "--json", "-q"]).any_stdout().any_stderr().run();
    assert!(fresh.stdout.contains("\"snapshot\":null"), "{}", fresh.stdout);
    let back = pair.takeover(2).args(["--record", "-"]).stdin(&fresh.stdout);
    back.any_stdout().goes_well().run();
    assert_eq!(outside(&pair, 2), "v2\n");
}

/// A host that took the asset without the restore made the hourly snapshot of its old files, and after a fence that
/// one was restored over the newer ones.
#[test]
fn a_snapshot_of_a_host_that_owed_a_restore_is_not_restored_after_a_fence() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.released(1);
    pair.taken(2);
    edit(&pair, 2, "v2\n");
    pair.released(2);
    let takeover = pair.takeover(1).args(["--skip", "restore", "--record"]).arg(pair.record(2));
    takeover.any_stdout().goes_well().run();
    pair.program(1, "habackup").any_stdout().goes_well().run();
    let died = "exportfs -u '*:'$ORDERLY_BED/at/share; umount loop; umount at; svc proxy stop; svc ec stop; \
                ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, died).any_stdout().any_stderr().any_status().run();
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    assert_eq!(outside(&pair, 2), "v2\n");
}
