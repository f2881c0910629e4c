//! Holdings are numbered and records carry a serial: which snapshot is the right one, whatever failed before
//! and whatever the clocks say.

use crate::pair::{Asset, Pair, possible, with_backup};
use bed::loopfs::Disk;
use bed::{Bed, Need, real};

/// Returns the manifests' first lines, oldest first: the host that made each, and in which holding.
fn made(pair: &Pair<'_>, host: usize) -> Vec<(String, u64)> {
    let line = "for m in at/habackup/2*Z/manifest.json; do read -r first <$m; echo \"$first]}\"; done";
    let said = pair.shell(host, line).any_stdout().run().stdout;
    let header = |line: &str| {
        let header: serde_json::Value = serde_json::from_str(line).unwrap();
        (header["host"].as_str().unwrap().to_owned(), header["holding"].as_u64().unwrap())
    };
    said.lines().map(header).collect()
}

#[test]
fn each_take_has_the_next_number_and_snapshots_carry_it() {
    if !possible() {
        return;
    }
    for asset in 0..3 {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &[Asset::Ext4(&disk), Asset::Bind, Asset::Command][asset]);
        with_backup(&pair);
        // Mounted by hand: the first snapshot begins the first holding, and the next goes on with it.
        for _ in 0..2 {
            pair.program(1, "habackup").stdout("Backup complete.\n").goes_well().run();
        }
        for (from, to) in [(1, 2), (2, 2), (2, 1)] {
            pair.released(from);
            let take = match from == to {
                true => pair.way_back(to),
                false => pair.takeover(to).arg("--record").arg(pair.record(from)),
            };
            take.any_stdout().goes_well().run();
        }
        let label = pair.shell(1, "cat at/.orderly-holder").any_stdout().run().json();
        assert_eq!((label["host"].as_str(), label["holding"].as_u64()), (Some("ec1"), Some(4)));
        let by = |host: &str, holding| (host.to_owned(), holding);
        assert_eq!(made(&pair, 1), [by("ec1", 1), by("ec1", 1), by("ec1", 1), by("ec2", 2), by("ec2", 3)]);
        // Taking what is held is no new take.
        pair.takeover(1).any_stdout().goes_well().run();
        let again = pair.shell(1, "cat at/.orderly-holder").any_stdout().run().json();
        assert_eq!(again["holding"].as_u64(), Some(4));
    }
}

/// Returns the file that each host has of its own.
fn outside(pair: &Pair<'_>, host: usize) -> String {
    pair.bed.read(format!("outside.{host}/file"))
}

fn edit(pair: &Pair<'_>, host: usize, text: &str) {
    pair.bed.write(format!("outside.{host}/file"), text);
}

/// Hands the asset over, and expects no trouble.
fn hand_over(pair: &Pair<'_>, from: usize, to: usize) {
    pair.released(from);
    pair.taken(to);
}

/// Returns a host's last record.
fn read_record(pair: &Pair<'_>, host: usize) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(pair.record(host)).unwrap()).unwrap()
}

/// The snapshot of the holding before the last but one was "young enough", and was put over newer files.
#[test]
fn a_snapshot_of_an_earlier_holding_is_no_backup_of_this_one_and_is_not_restored() {
    if !possible() {
        return;
    }
    for fences in [false, true] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Ext4(&disk));
        with_backup(&pair);
        edit(&pair, 1, "v1\n");
        hand_over(&pair, 1, 2);
        assert_eq!(outside(&pair, 2), "v1\n");
        edit(&pair, 2, "v2\n");
        hand_over(&pair, 2, 1);
        assert_eq!(outside(&pair, 1), "v2\n");
        edit(&pair, 1, "v3\n");
        // The services are down, so no backup can be taken.
        pair.shell(1, "svc proxy stop").run();
        let refused = pair.release(1).status(4);
        refused.stderr_contains("no whole snapshot was made in this holding").run();
        if fences {
            bed.write("power.ec1", "off\n");
            let died = "umount loop; umount at; svc ec stop; ip address del 192.0.2.10/32 dev lo";
            pair.shell(1, died).any_stderr().any_status().run();
            let text =
                bed.read("etc/ha.toml").replace("svc\", \"power\", \"stop", "svc\", \"power\", \"start");
            bed.config("ha.toml", text);
            pair.takeover(2).arg("--fence").any_stdout().stderr_contains("nothing is restored").run();
        } else {
            pair.release(1).arg("--no-backup").any_stdout().goes_well().run();
            let told = read_record(&pair, 1);
            assert!(told["snapshot"].is_null() && told["no_snapshot"].is_string(), "{told}");
            pair.taken(2);
        }
        assert_eq!(outside(&pair, 2), "v2\n", "an older snapshot was put over it");
    }
}

/// The record gave no reason where nothing is ever saved.
#[test]
fn a_record_of_a_host_without_a_backup_says_why_nothing_is_restored() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Bind);
    pair.released(1);
    let told = read_record(&pair, 1);
    assert!(told["snapshot"].is_null(), "{told}");
    let why = told["no_snapshot"].as_str().unwrap_or_default();
    assert!(why.starts_with("ec1 saves nothing: ") && why.ends_with("/ha.toml has no [backup]"), "{told}");
}

/// "left no newer whole snapshot" was all that was said, also where most of the newest files are in one.
#[test]
fn an_incomplete_snapshot_that_is_newer_is_named_where_it_is_not_restored() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    hand_over(&pair, 1, 2);
    hand_over(&pair, 2, 1);
    edit(&pair, 1, "v3\n");
    let good = bed.read("etc/ha.toml");
    bed.config("ha.toml", good.replace("/outside\"]", "/outside\", \"/nowhere/at/all\"]"));
    pair.program(1, "habackup").status(1).any_stderr().run();
    bed.config("ha.toml", &good);
    pair.release(1).arg("--no-backup").any_stdout().goes_well().run();
    let takeover = pair.taken(2);
    let said = takeover.stderr.split("not restored: ").nth(1).unwrap_or_default();
    let (id, rest) = said.split_once(", which ec1 could not make whole; ").unwrap_or_default();
    assert!(id.ends_with(".incomplete"), "{}", takeover.stderr);
    let line = format!("habackup --restore {id} restores it");
    assert!(rest.contains(&line), "{}", takeover.stderr);
    // The line that is shown works.
    assert_ne!(outside(&pair, 2), "v3\n");
    let restore = pair.program(2, "habackup").args(["--restore", id, "--yes"]);
    restore.any_status().any_stdout().any_stderr().run();
    assert_eq!(outside(&pair, 2), "v3\n");
}

/// The restore was taken back, the retry that was proposed ran on stale files, and later put them over newer
/// ones.
#[test]
fn a_restore_that_was_taken_back_is_owed_and_the_next_takeover_pays_it() {
    if !possible() {
        return;
    }
    // The last command of all starts a service: it fails, or somebody interrupts the run while it is under way.
    for (trouble, status) in [("fail 6", 1), ("int 6", 128 + 15)] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Ext4(&disk));
        with_backup(&pair);
        edit(&pair, 1, "v1\n");
        pair.released(1);
        pair.trouble(trouble);
        let takeover = pair.takeover(2).arg("--record").arg(pair.record(1));
        let ended = takeover.status(status).any_stdout().any_stderr().run();
        assert!(ended.stderr.contains("restore: taken back"), "{trouble}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("restore owed: ") && ended.stderr.contains(" of ec1; the next"),
            "{trouble}: {}",
            ended.stderr
        );
        pair.forget();
        assert_eq!(
            (outside(&pair, 2), read_record(&pair, 2)["made_by"].as_str()),
            ("of 2\n".into(), Some("ec1")),
            "{trouble}"
        );
        let asked = pair.release(2).arg("--status").any_stdout().run().stdout;
        assert!(asked.contains("restore owed: ") && asked.contains(" of ec1"), "{trouble}: {asked}");
        let retried = pair.taken_back(2);
        assert!(retried.stdout.contains("restore: done"), "{trouble}: {}", retried.stdout);
        assert_eq!(outside(&pair, 2), "v1\n", "{trouble}");
        // On the host that made it it is never restored.
        edit(&pair, 2, "v2\n");
        hand_over(&pair, 2, 1);
        edit(&pair, 1, "v3\n");
        pair.released(1);
        pair.trouble(trouble);
        let takeover = pair.takeover(2).arg("--record").arg(pair.record(1));
        takeover.status(status).any_stdout().any_stderr().run();
        pair.forget();
        edit(&pair, 1, "v4\n");
        pair.taken(1);
        assert_eq!(outside(&pair, 1), "v4\n", "{trouble}");
    }
}

/// A clock that was hours ahead once: releases were refused until it was later than that, with a false reason.
#[test]
fn a_snapshot_of_the_future_stops_no_release_and_is_not_taken_for_the_newest() {
    if !possible() || !real::require(&[Need::Program("faketime")]) {
        return;
    }
    let bed = Bed::new();
    bed.tools(&["faketime"]);
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.shell(1, "faketime -f +5h habackup").any_stdout().any_stderr().run();
    edit(&pair, 1, "v2\n");
    let rehearsed = pair.release(1).arg("-n").any_stdout().any_stderr().run();
    assert!(!rehearsed.stderr.contains("future"), "{}", rehearsed.stderr);
    hand_over(&pair, 1, 2);
    assert_eq!(outside(&pair, 2), "v2\n");
    assert_eq!(made(&pair, 2).len(), 2, "a backup was made, and the one of the future is kept");
}

/// "--skip restore" is the way out of a snapshot that is damaged, and what it leaves out is not forgotten.
#[test]
fn a_restore_that_is_skipped_stays_owed_and_nothing_passes_for_newer() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.released(1);
    let id = read_record(&pair, 1)["snapshot"].as_str().unwrap().to_owned();
    let damage = |text: &str| {
        let line = format!(
            "mount -o noatime {0} at && echo {text} >at/habackup/{id}/tree{1}/outside/file && umount at",
            disk.device().display(),
            bed.root().display()
        );
        pair.shell(2, &line).run();
        pair.forget();
    };
    damage("evil");
    let fresh = pair.release(1).args(["--json", "-q"]).any_stdout().any_stderr().run();
    let take = |args: &[&str]| {
        pair.takeover(2)
            .args(["--record", "-"])
            .args(args)
            .stdin(&fresh.stdout)
            .any_status()
            .any_stdout()
            .any_stderr()
            .run()
    };
    // Mounting it by hand moved the mark: the record of before is worthless, and the next names the same.
    let refused = take(&[]);
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("--skip restore"), "{}", refused.stderr);
    let skipped = pair.way_back(2).args(["--skip", "restore"]).any_stdout().any_stderr().run();
    assert!(
        skipped.stdout.contains(&format!("taken, restore owed: ec2 holds {}", disk.device().display())),
        "{}",
        skipped.stdout
    );
    let status = pair.release(2).arg("--status").any_stdout().run().stdout;
    assert!(status.contains(&format!("restore owed: {id} of ec1")), "{status}");
    // What it has does not continue what the other one has, so none is named.
    pair.released(2);
    assert!(read_record(&pair, 2)["no_snapshot"].as_str().unwrap().contains("ran without restoring"));
    pair.taken(1);
    assert_eq!(outside(&pair, 1), "v1\n");
}

/// Killed after "backup: done" with the services up, the next run took that for a backup of what was edited since.
#[test]
fn a_release_that_is_taken_up_again_takes_its_backup_anew() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    // The first command after the backup stops a service.
    pair.trouble("before 1");
    pair.release(1).status(137).any_stdout().any_stderr().run();
    pair.forget();
    edit(&pair, 1, "v2\n");
    pair.released(1);
    pair.taken(2);
    assert_eq!(outside(&pair, 2), "v2\n");
    // Once the services are down nothing is taken anew, and nothing is refused.
    pair.trouble("before 3");
    pair.release(2).status(137).any_stdout().any_stderr().run();
    pair.forget();
    let before = made(&pair, 2).len();
    pair.released(2);
    pair.taken_back(2);
    assert_eq!(made(&pair, 2).len(), before);
}

/// Each host had the other's record, and both mounted it.
#[test]
fn of_two_records_that_were_exchanged_only_one_permits() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    pair.released(1);
    pair.released(2);
    let dry = |host: usize, other: usize| {
        pair.takeover(host)
            .args(["-n", "--record"])
            .arg(pair.record(other))
            .any_status()
            .any_stdout()
            .any_stderr()
            .run()
    };
    assert_eq!(dry(1, 2).status, 0);
    let refused = dry(2, 1);
    let line = "ssh ec1 ha-release --after 1 --json | ha-takeover --record -";
    assert!(refused.status == 4 && refused.stderr.contains(line), "{}", refused.stderr);
    // The line that is printed helps, and turns it round.
    let fresh = pair.release(1).args(["--after", "1", "--json", "-q"]).any_stdout().run();
    assert_eq!(fresh.records().last().unwrap()["serial"].as_u64(), Some(2));
    assert_eq!(dry(1, 2).status, 4);
    pair.takeover(2).args(["--record", "-"]).stdin(&fresh.stdout).any_stdout().goes_well().run();
    assert_eq!(pair.holders(), [2]);
}

/// Lets a host lose its power while it holds the disk, and boot again.
pub(crate) fn crash(pair: &Pair<'_>, disk: &Disk, host: usize) {
    pair.shell(host, "sync -f at").run();
    let dirty = disk.content();
    let down = "exportfs -u '*:'$ORDERLY_BED/at/share; umount loop; umount at; svc proxy stop; svc ec stop; \
                ip address del 192.0.2.10/32 dev lo";
    pair.shell(host, down).any_stdout().any_stderr().any_status().run();
    disk.put(&dirty);
    // Never one that it had before.
    let name = format!("boot_id.ec{host}");
    let booted = format!("{}-again\n", pair.bed.read(&name).trim());
    pair.bed.write(name, booted);
    pair.forget();
}

/// It lost its power and booted, the other one lived and held nothing, and nobody could take the ext4 but by
/// powering the living one off.
#[test]
fn after_its_own_crash_a_host_gets_its_asset_back_with_the_peers_word() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    bed.tool("sync");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.released(1);
    pair.taken_back(1);
    edit(&pair, 1, "v2\n");
    pair.program(1, "habackup").stdout("Backup complete.\n").goes_well().run();
    // While it lives its peer's word gives it nothing, and who holds it disclaims nothing.
    pair.release(1).arg("--disclaim").status(4).stderr_contains("nothing is disclaimed").run();
    crash(&pair, &disk, 1);
    let line = "ssh ec2 ha-release --disclaim --json | ha-takeover --record -";
    pair.takeover(1).status(4).stderr_contains(line).run();
    let word = pair.release(2).args(["--disclaim", "--json"]).any_stdout().any_stderr().run();
    assert_eq!(word.records().last().unwrap()["safe"].as_bool(), Some(false));
    assert!(!pair.record(2).exists(), "it changes nothing");
    // It serves that host, and only now.
    pair.takeover(2).args(["--record", "-"]).stdin(&word.stdout).status(4).any_stderr().run();
    let back = pair.takeover(1).args(["--record", "-"]).stdin(&word.stdout).any_stdout().any_stderr().run();
    assert!(!back.stdout.contains("files changed"), "{}", back.stdout);
    assert_eq!((pair.holders(), outside(&pair, 1)), (vec![1], "v2\n".into()));
    // What was saved before the crash is of this holding.
    pair.shell(1, "svc proxy stop").run();
    pair.release(1).any_stdout().stderr_contains("young enough").run();
    pair.taken(2);
    assert_eq!(outside(&pair, 2), "v2\n");
    // An old word is worth nothing once somebody took it.
    let down = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo";
    pair.shell(2, down).any_status().any_stderr().run();
    pair.takeover(1).args(["--record", "-"]).stdin(&word.stdout).status(4).any_stderr().run();
}

/// Returns all that a run says for people.
fn said(program: bed::Program<'_>) -> String {
    let ended = program.any_stdout().any_stderr().run();
    ended.stdout + &ended.stderr
}

/// "ec2 left no newer snapshot; nothing is restored" was said of one that ec2 had made without the restore it owed.
#[test]
fn a_snapshot_that_is_passed_over_is_named_with_its_reason() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    hand_over(&pair, 1, 2);
    hand_over(&pair, 2, 1);
    edit(&pair, 1, "v1\n");
    pair.released(1);
    let skipping = pair.takeover(2).args(["--skip", "restore", "--record"]).arg(pair.record(1));
    skipping.any_stdout().goes_well().run();
    pair.program(2, "habackup").any_stdout().goes_well().run();
    pair.released(2);
    let back = said(pair.takeover(1).arg("--record").arg(pair.record(2)));
    assert!(!back.contains("left no newer"), "{back}");
    assert!(back.contains("which ec2 made while it owed a restore"), "{back}");
    let (_, rest) = back.split_once("; habackup --diff ").expect(&back);
    let (id, rest) = rest.split_once(' ').unwrap();
    let line = format!("live shows what differs, habackup --restore {id} restores it");
    assert!(rest.starts_with(&line), "{back}");
    // What it says to type does what it says.
    let differs =
        pair.program(1, "habackup").args(["--diff", id, "live"]).any_status().any_stdout().any_stderr().run();
    assert!(differs.stdout.contains("file"), "{}{}", differs.stdout, differs.stderr);
    pair.program(1, "habackup").args(["--restore", id, "--yes"]).any_stdout().goes_well().run();
    assert_eq!(outside(&pair, 1), pair.bed.read("outside.2/file"));
}

/// "ec1 released the asset last; nothing is restored" was the reason, and the operator had left it out.
#[test]
fn each_reason_for_restoring_nothing_is_the_one_that_it_is() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    with_backup(&pair);
    edit(&pair, 1, "v1\n");
    pair.released(1);
    let back = said(pair.way_back(1).args(["--skip", "restore"]));
    assert!(!back.contains("nothing is restored"), "skipped: {back}");
    pair.released(1);
    pair.taken(2);
    // It restored it; then it went down, and the peer had nothing since.
    bed.tool("sync");
    crash(&pair, &disk, 2);
    let word = pair.release(1).args(["--disclaim", "--json"]).any_stdout().any_stderr().run().stdout;
    let back = said(pair.takeover(2).args(["--record", "-"]).stdin(&word));
    assert!(back.contains("is restored here already, and ec1 left no newer whole snapshot"), "{back}");
}
