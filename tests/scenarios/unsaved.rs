//! What a host wrote and no snapshot has (a hand-over without a backup, a crash, an edit after the backup) is
//! not replaced by what the peer ran on when the asset comes back.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::Bed;
use bed::loopfs::Disk;

fn read(pair: &Pair<'_>, host: usize, name: &str) -> String {
    pair.bed.read(format!("outside.{host}/{name}"))
}

fn edit(pair: &Pair<'_>, host: usize, name: &str, text: &str) {
    pair.bed.write(format!("outside.{host}/{name}"), text);
}

/// Hands the asset over, and returns what the takeover printed.
fn hand_over(pair: &Pair<'_>, from: usize, to: usize, args: &[&str]) -> String {
    pair.release(from).args(args).any_stdout().goes_well().run();
    let taken = pair.takeover(to).arg("--record").arg(pair.record(from)).any_stdout().any_stderr().run();
    taken.stdout + &taken.stderr
}

/// A pair whose hosts each saved once: ec1 holds the asset, and both have the same files.
fn alike<'a>(bed: &'a Bed, disk: &Disk) -> Pair<'a> {
    let pair = Pair::new(bed, &Asset::Ext4(disk));
    with_backup(&pair);
    for name in ["file", "other", "both"] {
        edit(&pair, 1, name, "v1\n");
    }
    hand_over(&pair, 1, 2, &[]);
    hand_over(&pair, 2, 1, &[]);
    pair
}

/// It was replaced by the older one that the peer had run on: status 0, and no word of it.
#[test]
fn what_was_edited_after_the_last_snapshot_comes_back_unharmed() {
    if !possible() {
        return;
    }
    for has_snapshot in [true, false] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = alike(&bed, &disk);
        if has_snapshot {
            edit(&pair, 1, "other", "v2 of ec1\n");
            pair.program(1, "habackup").any_stdout().goes_well().run();
        }
        edit(&pair, 1, "file", "v2 of ec1\n");
        edit(&pair, 1, "both", "v2 of ec1\n");
        hand_over(&pair, 1, 2, &["--no-backup"]);
        assert_eq!(read(&pair, 2, "file"), "v1\n", "it is in no snapshot");
        edit(&pair, 2, "both", "v3 of ec2\n");
        edit(&pair, 2, "new", "v3 of ec2\n");
        if has_snapshot {
            edit(&pair, 2, "other", "v1\n");
        }
        let back = hand_over(&pair, 2, 1, &[]);
        let root = bed.root().display();
        assert!(back.contains("kept what was changed on ec1 alone since"), "{back}");
        assert!(back.contains(&format!(": {root}/outside/file\n")), "{back}");
        assert_eq!(read(&pair, 1, "file"), "v2 of ec1\n");
        assert_eq!(read(&pair, 1, "new"), "v3 of ec2\n");
        // What both changed is the later one's, and the other one is kept and named.
        assert!(back.contains("changed on both hosts since"), "{back}");
        assert_eq!(read(&pair, 1, "both"), "v3 of ec2\n");
        let saved =
            back.split("what ec1 had is in ").nth(1).and_then(|rest| rest.split(": ").next()).unwrap();
        let saved = format!("{saved}/tree{root}/outside/both");
        assert_eq!(std::fs::read_to_string(saved).unwrap(), "v2 of ec1\n");
        // An edit that goes back to what once was is an edit.
        assert_eq!(read(&pair, 1, "other"), "v1\n");
        // And so it goes on: what was kept is handed over by the next snapshot.
        hand_over(&pair, 1, 2, &[]);
        assert_eq!(read(&pair, 2, "file"), "v2 of ec1\n");
    }
}

/// What a crash left unsaved was replaced by the last hourly snapshot that the peer had run on.
#[test]
fn what_was_edited_before_a_crash_comes_back_unharmed() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = alike(&bed, &disk);
    edit(&pair, 1, "file", "v2 of ec1\n");
    pair.program(1, "habackup").any_stdout().goes_well().run();
    edit(&pair, 1, "file", "v3 of ec1\n");
    let died = "exportfs -u '*:'$ORDERLY_BED/at/share; umount loop; umount at; svc proxy stop; svc ec stop; \
                ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, died).any_stdout().any_stderr().any_status().run();
    pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
    assert_eq!(read(&pair, 2, "file"), "v2 of ec1\n");
    edit(&pair, 2, "other", "v4 of ec2\n");
    let back = hand_over(&pair, 2, 1, &[]);
    assert!(back.contains("kept what was changed on ec1 alone since"), "{back}");
    assert_eq!(
        (read(&pair, 1, "file"), read(&pair, 1, "other")),
        ("v3 of ec1\n".into(), "v4 of ec2\n".into())
    );
}

/// The other host pruned it, and the next restore wrote the peer's older files over what was edited here, status 0.
#[test]
fn what_both_hosts_continue_is_not_pruned() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = alike(&bed, &disk);
    bed.config("ha.toml", bed.read("etc/ha.toml") + "keep = 1\n");
    for _ in 0..2 {
        edit(&pair, 1, "file", "v2 of ec1\n");
        pair.released(1);
        let by_record = pair.takeover(2).arg("--record").arg(pair.record(1));
        by_record.args(["--skip", "restore"]).any_stdout().goes_well().run();
        edit(&pair, 2, "other", "v2 of ec2\n");
        hand_over(&pair, 2, 1, &[]);
    }
    edit(&pair, 1, "file", "v3 of ec1\n");
    let taken = hand_over(&pair, 1, 2, &[]);
    assert!(taken.contains("kept what was changed on ec2 alone since"), "{taken}");
    assert_eq!(
        (read(&pair, 2, "file"), read(&pair, 2, "other")),
        ("v3 of ec1\n".into(), "v2 of ec2\n".into())
    );
}

/// Where the hosts' files have nothing in common, nobody but a person can say which are right.
#[test]
fn files_that_no_snapshot_ever_had_are_not_replaced_and_the_restore_is_owed() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "file", "v1 of ec1\n");
    hand_over(&pair, 1, 2, &["--no-backup"]);
    edit(&pair, 2, "other", "v2 of ec2\n");
    let back = hand_over(&pair, 2, 1, &[]);
    let said = "not restored: what ec1 wrote in its holding 1 is in no snapshot, and";
    assert!(back.contains(said), "{back}");
    assert!(back.contains("restore owed"), "{back}");
    assert_eq!(read(&pair, 1, "file"), "v1 of ec1\n");
    let remedy =
        back.split("habackup --restore ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    pair.program(1, "habackup").args(["--restore", remedy, "--yes"]).any_stdout().goes_well().run();
    assert_eq!((read(&pair, 1, "file"), read(&pair, 1, "other")), ("of 2\n".into(), "v2 of ec2\n".into()));
}

/// A host that was installed anew has default files, which are nobody's edits.
#[test]
fn a_host_that_was_installed_anew_gets_all_files() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = alike(&bed, &disk);
    hand_over(&pair, 1, 2, &[]);
    std::fs::remove_dir_all(pair.state(1)).unwrap();
    edit(&pair, 1, "file", "as installed\n");
    hand_over(&pair, 2, 1, &[]);
    assert_eq!(read(&pair, 1, "file"), "v1\n");
}

/// The base by hand: each kind of entry, several names of a file, and what is missing here.
#[test]
fn a_restore_with_a_base_leaves_what_was_changed_here_alone() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    let make = "cd outside && mkdir d e && echo 1 >a && ln a b && ln -s a link && echo 1 >gone && echo 1 >touched && echo 1 >mode";
    pair.shell(1, &make.replace("mkdir", "/bin/mkdir").replace("ln ", "/bin/ln ")).run();
    let snapshot = || {
        pair.program(1, "habackup").any_stdout().goes_well().run();
        let list = pair.program(1, "habackup").args(["--list", "--json"]).any_stdout().run().json();
        list["snapshots"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned()
    };
    let base = snapshot();
    pair.shell(1, "cd outside && echo theirs >file && /bin/chmod 700 e").run();
    let later = snapshot();
    let edits = "cd outside && echo 2 >n && mv n a && /bin/ln -sf b link && rm gone && /bin/chmod 600 mode && \
                 /bin/chmod 711 d && touch touched && echo of 1 >file && /bin/chmod 755 e";
    pair.shell(1, edits).run();
    let restore = ["--restore", &later, "--base", &base];
    let shown = pair.program(1, "habackup").args(restore).arg("-n").any_stdout().run().stdout;
    assert!(shown.contains("3 updated") && shown.contains("4 kept"), "{shown}");
    let done =
        pair.program(1, "habackup").args(restore).args(["--yes", "--json"]).any_stdout().any_stderr().run();
    let root = bed.root().display();
    let kept: Vec<String> =
        ["a", "d", "link", "mode"].iter().map(|name| format!("{root}/outside/{name}")).collect();
    let report: serde_json::Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(report["kept"], serde_json::json!(kept), "{report}");
    let state = "cd outside && cat a b file gone touched && readlink link && stat -c %a d e mode";
    let state = state.replace("readlink", "/bin/readlink").replace("stat", "/bin/stat");
    let now = pair.shell(1, &state).any_stdout().run().stdout;
    assert_eq!(now, "2\n1\ntheirs\n1\n1\nb\n711\n700\n600\n");
}

/// A takeover that was taken back put the old files over what its services had written meanwhile.
#[test]
fn what_services_wrote_before_a_takeover_was_taken_back_is_kept() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "file", "v1\n");
    edit(&pair, 1, "new", "v1\n");
    pair.released(1);
    let writes = "start) : >\"$here\"; [ \"$1\" != ec ] || { echo ec >>\"$ORDERLY_BED/outside/file\"; echo ec >>\"$ORDERLY_BED/outside/new\"; };;";
    bed.script(
        "fakes/svc",
        &bed.read("fakes/svc").replace("#!/bin/sh\n", "").replace("start) : >\"$here\";;", writes),
    );
    // The last command of all starts the other service.
    pair.trouble("fail 7");
    let failed =
        pair.takeover(2).arg("--record").arg(pair.record(1)).status(1).any_stdout().any_stderr().run().stderr;
    assert!(failed.contains("what was written here since the restore is in "), "{failed}");
    let kept =
        failed.split("since the restore is in ").nth(1).and_then(|rest| rest.split(": ").next()).unwrap();
    for name in ["file", "new"] {
        let path = format!("{kept}/tree{}/outside/{name}", bed.root().display());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "v1\nec\n");
    }
    assert_eq!(read(&pair, 2, "file"), "of 2\n");
    assert!(!bed.path("outside.2/new").exists());
}

/// The record of a takeover of which nothing came, or of a holding without a snapshot, named nothing, and the peer ran
/// on old files while a newer snapshot was there.
#[test]
fn a_snapshot_that_the_peer_never_had_is_restored_though_the_last_record_names_none() {
    if !possible() {
        return;
    }
    for fails in [true, false] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Ext4(&disk));
        with_backup(&pair);
        edit(&pair, 1, "file", "v1\n");
        pair.released(1);
        if fails {
            for _ in 0..2 {
                pair.forget();
                pair.trouble("fail 6");
                pair.takeover(1).args(["--peer-down", "ec2"]).status(1).any_stdout().any_stderr().run();
            }
            pair.forget();
        } else {
            pair.taken_back(1);
            pair.release(1).arg("--no-backup").any_stdout().goes_well().run();
        }
        pair.taken(2);
        assert_eq!(read(&pair, 2, "file"), "v1\n", "fails: {fails}");
    }
}
