//! A takeover that was killed, or whose host went down, between its take and its end: what it had to restore
//! is not forgotten, nothing older passes for newer, and there is a way on.

use crate::pair::{Asset, Pair, possible, with_backup};
use crate::proofs;
use bed::Bed;
use bed::loopfs::Disk;

fn outside(pair: &Pair<'_>, host: usize) -> String {
    pair.bed.read(format!("outside.{host}/file"))
}

fn edit(pair: &Pair<'_>, host: usize, text: &str) {
    pair.bed.write(format!("outside.{host}/file"), text);
}

fn release(pair: &Pair<'_>, host: usize) {
    pair.released(host);
}

fn take(pair: &Pair<'_>, host: usize, from: usize) {
    pair.takeover(host).arg("--record").arg(pair.record(from)).any_stdout().goes_well().run();
}

/// Begins a takeover that is killed as told.
fn killed(pair: &Pair<'_>, host: usize, told: &str, arguments: &[&str]) {
    pair.trouble(told);
    let run = pair.takeover(host).args(arguments).any_stdout().any_stderr();
    run.status(137).run();
    pair.forget();
}

/// Takes the disk from a host as a power cut does, and boots it anew.
fn power_cut(pair: &Pair<'_>, disk: &Disk, host: usize) {
    pair.shell(host, "sync -f at").any_status().any_stderr().run();
    let dirty = disk.content();
    let down = "exportfs -u '*:'$ORDERLY_BED/at/share; umount loop; umount at; svc proxy stop; svc ec stop; \
                ip address del 192.0.2.10/32 dev lo";
    pair.shell(host, down).any_stdout().any_stderr().any_status().run();
    disk.put(&dirty);
    let name = format!("boot_id.ec{host}");
    let booted = format!("{}-again\n", pair.bed.read(&name).trim());
    pair.bed.write(name, booted);
    pair.forget();
}

/// ec2's v2 became v1 again: a new plan found the asset held here, and nothing told of the restore any more.
#[test]
fn a_takeover_killed_between_mount_and_hold_is_begun_anew_and_still_restores() {
    if !possible() {
        return;
    }
    for (kind, given) in [(0, false), (0, true), (1, false), (1, true), (2, false)] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Ext4(&disk), Asset::Bind, Asset::Command][kind]);
        with_backup(&pair);
        edit(&pair, 1, "v1\n");
        release(&pair, 1);
        take(&pair, 2, 1);
        edit(&pair, 2, "v2\n");
        release(&pair, 2);
        let path = pair.record(2).display().to_string();
        killed(&pair, 1, "after 1", &["--record", &path]);
        let mut arguments = vec!["--new-plan", "--skip", "addresses"];
        arguments.extend([["--record", path.as_str()]].iter().flatten().filter(|_| given));
        let taken = pair.takeover(1).args(arguments).any_stdout().any_stderr().run();
        assert!(taken.stdout.contains("restore: done"), "{kind}: {}{}", taken.stdout, taken.stderr);
        assert_eq!(outside(&pair, 1), "v2\n");
        pair.program(1, "habackup").any_stdout().goes_well().run();
        release(&pair, 1);
        take(&pair, 2, 1);
        assert_eq!(outside(&pair, 2), "v2\n", "{kind}");
    }
}

#[test]
fn a_fence_killed_after_its_mount_is_begun_anew_and_still_restores() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.program(1, "habackup").any_stdout().goes_well().run();
    bed.write("power.ec1", "off\n");
    let text = bed.read("etc/ha.toml").replace("svc\", \"power\", \"stop", "svc\", \"power\", \"start");
    bed.config("ha.toml", text);
    let died = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo; exportfs -u \"*:$ORDERLY_BED/at/share\"";
    pair.shell(1, died).any_stdout().any_stderr().any_status().run();
    killed(&pair, 2, "after 2", &["--fence"]);
    let taken = pair.takeover(2).args(["--fence", "--new-plan"]).any_stdout().any_stderr().run();
    assert!(taken.stdout.contains("restore: done"), "{}{}", taken.stdout, taken.stderr);
    assert_eq!(outside(&pair, 2), "v1\n");
}

#[test]
fn an_asset_that_was_mounted_by_hand_is_taken_with_what_the_record_tells_to_restore() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    release(&pair, 1);
    pair.shell(2, &format!("mount -o noatime {} at", disk.device().display())).run();
    take(&pair, 2, 1);
    assert_eq!(outside(&pair, 2), "v1\n");
}

/// The line that "--status" proposes backed up ec2's stale file as a holding of its own; cron did, too.
#[test]
fn a_takeover_killed_after_its_mount_leaves_no_backup_that_passes_for_newer() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    bed.config("ha.toml", bed.read("etc/ha.toml") + "require_services = false\n");
    edit(&pair, 1, "v1\n");
    release(&pair, 1);
    killed(&pair, 2, "after 1", &["--record", &pair.record(1).display().to_string()]);
    pair.program(2, "habackup").args(["-q", "--if-held"]).run();
    let refused = pair.program(2, "habackup").status(4).any_stderr().run();
    assert!(refused.stderr.contains("run ha-takeover to finish it"), "{}", refused.stderr);
    pair.release(2).arg("--new-plan").any_stdout().goes_well().run();
    let made = pair.shell(1, "cat $ORDERLY_BED/state/ec2/release.json").any_stdout().run().json();
    assert_eq!(made["made_by"].as_str(), Some("ec1"), "{made}");
    take(&pair, 1, 2);
    assert_eq!(outside(&pair, 1), "v1\n");
}

/// What ec2's services wrote was replaced by what they had been started without.
#[test]
fn a_takeover_that_skipped_the_restore_and_was_killed_at_its_end_restores_nothing_over_what_ran_since() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    release(&pair, 1);
    let path = pair.record(1).display().to_string();
    // 1 mount, 2 loopback, 3 share, 4 address, 5 its announcement, 6 and 7 services.
    killed(&pair, 2, "after 7", &["--skip", "restore", "--record", &path]);
    assert_eq!(pair.shell(2, "svc proxy status").any_stdout().run().stdout, "online\n");
    pair.forget();
    edit(&pair, 2, "v2\n");
    let taken = pair.takeover(2).arg("--new-plan").any_stdout().any_stderr().run();
    assert_eq!(outside(&pair, 2), "v2\n", "{}{}", taken.stdout, taken.stderr);
    assert!(taken.stdout.contains("taken, restore owed: "), "{}{}", taken.stdout, taken.stderr);
}

/// A takeover killed long ago on the peer left no way out that did not cut its power.
#[test]
fn a_stale_run_of_a_host_that_holds_nothing_is_closed_by_its_disclaimer() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("sync");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    release(&pair, 1);
    killed(&pair, 2, "before 1", &["--record", &pair.record(1).display().to_string()]);
    pair.taken_back(1);
    power_cut(&pair, &disk, 1);
    let refused = pair.takeover(2).status(4).any_stderr().run();
    assert!(!refused.stderr.contains("set aside"), "{}", refused.stderr);
    // What runs there might still need the asset.
    pair.shell(2, "svc ec start").run();
    let runs = pair.release(2).arg("--disclaim").status(4).any_stderr().run();
    assert!(runs.stderr.contains("service ec runs here; stop it"), "{}", runs.stderr);
    pair.shell(2, "svc ec stop").run();
    let word = pair.release(2).args(["--disclaim", "--json"]).any_stdout().any_stderr().run();
    pair.takeover(1).args(["--record", "-"]).stdin(&word.stdout).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [1]);
}

/// The same of a release: what it began is over once the asset is gone from its host.
#[test]
fn a_stale_release_of_a_host_that_holds_nothing_is_closed_by_its_disclaimer() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("sync");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    // ec1 is killed amid its release, and its power is cut; ec2 takes the asset, and goes down with it.
    pair.trouble("before 3");
    pair.release(1).any_status().any_stdout().any_stderr().run();
    power_cut(&pair, &disk, 1);
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    power_cut(&pair, &disk, 2);
    let status = pair.release(1).arg("--status").any_stdout().any_stderr().run().stdout;
    assert!(status.contains("ha-release was begun"), "{status}");
    // What runs there might still need the asset.
    pair.shell(1, "svc ec start").run();
    let runs = pair.release(1).arg("--disclaim").status(4).any_stderr().run();
    assert!(runs.stderr.contains("service ec runs here; stop it"), "{}", runs.stderr);
    pair.shell(1, "svc ec stop").run();
    let word = pair.release(1).args(["--disclaim", "--json"]).any_stdout().any_stderr().run();
    assert!(word.stderr.contains("the unfinished run of ha-release is closed"), "{}", word.stderr);
    let status = pair.release(1).arg("--status").any_stdout().any_stderr().run().stdout;
    assert!(!status.contains("unfinished"), "{status}");
    pair.takeover(2).args(["--record", "-"]).stdin(&word.stdout).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [2]);
}

/// The mark was noted only at the end of a takeover, so after a power cut amid it no disclaimer served.
#[test]
fn a_host_that_loses_power_amid_its_takeover_has_the_asset_back_with_the_peers_word() {
    if !possible() {
        return;
    }
    for told in ["before 2", "before 6"] {
        let bed = Bed::new();
        bed.tool("sync");
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Ext4(&disk));
        pair.count_also("mv");
        with_backup(&pair);
        edit(&pair, 1, "v1\n");
        release(&pair, 1);
        // At its second change the label is not written yet.
        killed(&pair, 2, told, &["--record", &pair.record(1).display().to_string()]);
        power_cut(&pair, &disk, 2);
        let word = pair.release(1).args(["--disclaim", "--json"]).any_stdout().any_stderr().run();
        let back =
            pair.takeover(2).args(["--record", "-"]).stdin(&word.stdout).any_stdout().any_stderr().run();
        assert_eq!(pair.holders(), [2], "{told}: {}{}", back.stdout, back.stderr);
        assert_eq!(outside(&pair, 2), "v1\n", "{told}: {}{}", back.stdout, back.stderr);
    }
}

/// An asset that the operator mounts at each boot had a new mark each time, and the ledger that of the first.
#[test]
fn a_holding_that_was_mounted_by_hand_after_a_boot_is_had_back_after_a_crash() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("sync");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    pair.program(1, "habackup").any_stdout().goes_well().run();
    let line = format!(
        "umount loop; umount at; mount -o noatime {} at && mount --bind at/opt loop",
        disk.device().display()
    );
    pair.shell(1, &line).run();
    bed.write("boot_id.ec1", "second\n");
    pair.program(1, "habackup").any_stdout().goes_well().run();
    power_cut(&pair, &disk, 1);
    let word = pair.release(2).args(["--disclaim", "--json"]).any_stdout().any_stderr().run();
    pair.takeover(1).args(["--record", "-"]).stdin(&word.stdout).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [1]);
}

/// Runs a program that is killed as it is about to replace a file of its state directory for this time: the ledger, the
/// list of used records, its record, what lies between them and the end of its journal. Tells whether it came so far.
fn killed_at_file(pair: &Pair<'_>, host: usize, file: usize, line: &str) -> bool {
    let strace = format!(
        "strace -qq -o trace -e trace=/^rename -e inject=/^rename:signal=KILL:when={file} {line} </dev/null"
    );
    let ended = pair.shell(host, &strace).any_status().any_stdout().any_stderr().run();
    assert!(
        [0, 137].contains(&ended.status),
        "file {file}: {} {}{}",
        ended.status,
        ended.stdout,
        ended.stderr
    );
    ended.status == 137
}

/// Between the label on the asset and the end of the journal a run writes several files, and only records of the
/// journal were points to kill at. Files are edited in between, where services run.
#[test]
fn killed_at_each_file_that_it_writes_a_hand_over_is_finished_and_loses_nothing() {
    if !proofs::ready() {
        return;
    }
    let bed = Bed::new();
    bed.tool("strace");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    let (mut releases, mut takeovers) = (true, true);
    let mut kills = 0;
    for file in 1.. {
        if !releases && !takeovers {
            break;
        }
        if !proofs::is_turn("ext4", file, 0) {
            continue;
        }
        let newest = format!("v{file}\n");
        edit(&pair, 1, &newest);
        releases = releases && killed_at_file(&pair, 1, file, "ha-release");
        let mut newest = newest;
        if pair.world(1).contains("proxy online") {
            newest = format!("v{file}, later\n");
            edit(&pair, 1, &newest);
        }
        pair.takeover(2).status(4).any_stdout().any_stderr().run();
        release(&pair, 1);
        let path = pair.record(1).display().to_string();
        takeovers = takeovers && killed_at_file(&pair, 2, file, &format!("ha-takeover --record {path}"));
        pair.way_back(1).any_status().any_stdout().any_stderr().run();
        proofs::never_both(&pair, &format!("file {file}"));
        if pair.holders() == [1] {
            release(&pair, 1);
        }
        take(&pair, 2, 1);
        assert_eq!((pair.holders(), outside(&pair, 2)), (vec![2], newest), "file {file}");
        edit(&pair, 2, &format!("of ec2 {file}\n"));
        release(&pair, 2);
        take(&pair, 1, 2);
        assert_eq!(outside(&pair, 1), format!("of ec2 {file}\n"), "file {file}");
        kills += usize::from(releases) + usize::from(takeovers);
    }
    assert!(kills > 4, "{kills} kills only");
}
