//! Real ext4, xfs and btrfs on loop devices: handed over and back, refused, recovered.
//!
//! The two hosts share one kernel, so a disk that one host has mounted is looked at by the other, but
//! never mounted by it in earnest: the scenarios end before, as the programs must.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, Need, real};

const KINDS: [&str; 3] = ["ext4", "xfs", "btrfs"];

fn ready() -> bool {
    possible() && real::require(&FILESYSTEM_NEEDS)
}

fn disk(bed: &Bed, kind: &str) -> Disk {
    match kind {
        "xfs" => Disk::xfs(bed),
        "btrfs" => Disk::btrfs(bed),
        _ => Disk::ext4(bed, 16),
    }
}

/// Hands over with the record and returns it.
fn hand_over(pair: &Pair<'_>, from: usize, to: usize) -> String {
    pair.released(from);
    let record = std::fs::read_to_string(pair.record(from)).unwrap();
    pair.takeover(to).args(["--record", "-"]).stdin(&record).any_stdout().goes_well().run();
    record
}

#[test]
fn every_file_system_goes_there_and_back_and_an_old_record_is_refused() {
    if !ready() {
        return;
    }
    for kind in KINDS {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        pair.apart(&disk);
        let mut records: Vec<String> = Vec::new();
        for (turn, (from, to)) in [(1, 2), (2, 1), (1, 2)].into_iter().enumerate() {
            pair.shell(from, &format!("echo {turn} >at/turn")).run();
            records.push(hand_over(&pair, from, to));
            assert_eq!(pair.holders(), [to], "{kind}");
            pair.shell(to, "cat at/turn").stdout(format!("{turn}\n")).run();
        }
        // Held by the peer: not one of the records opens it, nor the own one.
        for record in &records {
            let ended = pair.takeover(1).args(["--record", "-"]).stdin(record).status(4).any_stderr().run();
            assert!(ended.stderr.contains("held again after its release"), "{kind}: {}", ended.stderr);
        }
        pair.released(2);
        pair.forget();
        for record in &records {
            let ended = pair.takeover(1).args(["--record", "-"]).stdin(record).status(4).any_stderr().run();
            assert!(ended.stderr.contains("held again after its release"), "{kind}: {}", ended.stderr);
        }
        assert!(pair.acts().is_empty(), "{kind}: {:?}", pair.acts());
        let newest = pair.record(2);
        pair.takeover(1).arg("--record").arg(newest).any_stdout().goes_well().run();
    }
}

/// The superblock of an xfs or a btrfs that is mounted and left alone says nothing of it: the peer
/// took it a moment ago, and the own record of the last release passed for the way back.
#[test]
fn what_the_peer_just_took_is_not_taken_back_by_the_own_record() {
    if !ready() {
        return;
    }
    for kind in KINDS {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        hand_over(&pair, 1, 2);
        pair.forget();
        pair.way_back(1).status(4).any_stderr().run();
        pair.takeover(1).status(4).any_stderr().run();
        let released = pair.release(1).status(4).any_stderr().run();
        assert!(!released.stderr.contains("safe to take over"), "{kind}: {}", released.stderr);
        assert!(pair.acts().is_empty(), "{kind}: {:?}", pair.acts());
        assert_eq!(pair.holders(), [2], "{kind}");
    }
}

/// Failure scenario 1: where nothing looks for another host it is said, and a typed word is needed.
#[test]
fn without_an_activity_check_the_way_back_needs_a_typed_word() {
    if !ready() {
        return;
    }
    for (kind, said) in [
        ("ext4", "is an ext4 without multiple mount protection"),
        ("xfs", "does not show that it is mounted until something is written to it"),
        ("btrfs", "does not show that it is mounted until something is written to it"),
    ] {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        pair.released(1);
        pair.forget();
        pair.takeover(1).status(4).stderr_contains(said).stderr_contains("--record").run();
        assert!(pair.acts().is_empty(), "{kind}: {:?}", pair.acts());
        pair.way_back(1).any_stdout().stderr_contains("taken on the strength of the record").run();
        assert_eq!(pair.holders(), [1], "{kind}");
    }
}

/// It was looked for by udev's links alone, and under the label as fstab(5) writes it: with a blank in the
/// label, or where udev has no links, the line passed for that of another device.
#[test]
fn a_line_of_fstab_that_names_what_is_on_the_device_refuses() {
    if !ready() || !real::require(&[Need::Program("tune2fs")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    bed.tool("tune2fs");
    let label = format!("tune2fs -L 'my label' {}", disk.device().display());
    bed.shell(&label).any_stdout().any_stderr().run();
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    bed.write("fstab", "");
    pair.shell(1, "mount --bind fstab /etc/fstab").run();
    pair.forget();
    for spec in ["LABEL=my\\040label".to_owned(), format!("UUID=\"{}\"", disk.uuid().to_uppercase())] {
        bed.write("fstab", format!("{spec} /mnt/old ext4 defaults 0 2\n"));
        pair.release(1).status(4).stderr_contains("/etc/fstab:1: /mnt/old is mounted at boot").run();
    }
    bed.write("fstab", "LABEL=my /mnt/old ext4\nPARTUUID=1 /mnt/b ext4\nUUID=1 /mnt/c ext4\n");
    pair.released(1);
}

/// An ext4 with multiple mount protection is looked after by the kernel, so nothing need be typed.
#[test]
fn an_ext4_with_multiple_mount_protection_is_taken_back_without_a_word() {
    if !ready() || !real::require(&[Need::Program("tune2fs")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    bed.tool("tune2fs");
    bed.shell(&format!("tune2fs -O mmp -E mmp_update_interval=1 {}", disk.device().display()))
        .any_stdout()
        .any_stderr()
        .run();
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    pair.released(1);
    let ended = pair.takeover(1).any_stdout().any_stderr().run();
    assert!(!ended.stderr.contains("nothing would notice"), "{}", ended.stderr);
    assert_eq!(pair.holders(), [1]);
}

/// A host that never held it made a record that says safe, while the peer had it mounted.
#[test]
fn a_host_that_did_not_hold_an_xfs_cannot_call_it_released() {
    if !ready() {
        return;
    }
    for kind in ["xfs", "btrfs"] {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        pair.released(1);
        pair.forget();
        let ended = pair.release(2).status(4).any_stderr().run();
        assert!(ended.stderr.contains("was not the last to release it"), "{kind}: {}", ended.stderr);
        assert!(!pair.record(2).exists());
        // The host that did release it says so again.
        pair.release(1).stdout_contains("is safe to take over").goes_well().run();
    }
}

/// Mounted by hand on the peer, without a change: seen by nobody but the rule above; with a change
/// that reached the disk: seen on the disk.
#[test]
fn a_disk_that_the_peer_writes_to_is_elsewhere() {
    if !ready() {
        return;
    }
    for kind in ["xfs", "btrfs"] {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        pair.released(1);
        let mount = format!("mount {} at && echo new >at/new && sync at/new", disk.device().display());
        pair.shell(2, &mount).run();
        pair.forget();
        pair.way_back(1).status(4).stderr_contains("held again after its release").run();
        let status = pair.release(1).args(["--status", "--json"]).any_stdout().run().json();
        assert_eq!(status["state"].as_str(), Some("elsewhere"), "{kind}");
        assert!(pair.acts().is_empty(), "{kind}: {:?}", pair.acts());
        pair.shell(2, "umount at").run();
    }
}

/// A power cut: the disk is copied while it is mounted and written to; the copy is what a takeover
/// finds. It needs a proof that the peer is off, and then the log is replayed.
#[test]
fn after_a_power_cut_what_was_synced_is_there_once_the_peer_is_proven_off() {
    if !ready() {
        return;
    }
    for kind in KINDS {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        let dirty = "sync -f at && echo synced >at/synced && sync at/synced && echo lost >at/lost";
        pair.shell(1, dirty).run();
        let left = disk.content();
        let stop = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo";
        pair.shell(1, stop).run();
        disk.put(&left);
        pair.forget();
        let ended = pair.takeover(2).status(4).any_stderr().run();
        assert!(ended.stderr.contains("--peer-down ec1"), "{kind}: {}", ended.stderr);
        assert!(pair.acts().is_empty(), "{kind}: {:?}", pair.acts());
        let status = pair.takeover(2).arg("--status").any_stdout().run().stdout;
        assert!(status.contains("ended without unmounting it"), "{kind}: {status}");
        pair.takeover(2).args(["--peer-down", "ec1"]).any_stdout().goes_well().run();
        assert_eq!(pair.holders(), [2], "{kind}");
        pair.shell(2, "cat at/synced").stdout("synced\n").run();
        pair.released(2);
    }
}

#[test]
fn a_cut_edited_or_foreign_record_opens_nothing() {
    if !ready() {
        return;
    }
    for kind in ["xfs", "btrfs"] {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        pair.released(1);
        let record = std::fs::read_to_string(pair.record(1)).unwrap();
        pair.forget();
        let mark = if kind == "xfs" { "log=" } else { "generation=" };
        assert!(record.contains(mark), "{record}");
        for wrong in [&record[..record.len() - 20], &record.replace(mark, "other=")] {
            pair.takeover(2).args(["--record", "-"]).stdin(wrong).status(3).any_stderr().run();
        }
        // The same configuration, another disk behind it.
        let make = format!("mkfs.{kind} -f {}", disk.device().display());
        bed.tool(&format!("mkfs.{kind}"));
        bed.shell(&make).any_stdout().any_stderr().run();
        pair.takeover(2)
            .args(["--record", "-"])
            .stdin(&record)
            .status(4)
            .stderr_contains("is of another asset")
            .run();
        assert!(pair.acts().is_empty(), "{kind}: {:?}", pair.acts());
    }
}

/// A disk that died answers no read: the tool hung with it, and so did whoever waited for the tool.
#[test]
fn a_device_that_does_not_answer_is_unknown_within_its_limit() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    pair.released(1);
    let record = pair.record(1);
    std::fs::remove_file(bed.path("tools/dd")).unwrap();
    bed.script("fakes/dd", "exec sleep 1000");
    pair.forget();
    let limit = ["--timeout", "1s"];
    let said = "timed out";
    pair.takeover(2).args(limit).arg("--record").arg(&record).status(4).stderr_contains(said).run();
    pair.release(1).args(limit).status(4).stderr_contains(said).run();
    pair.release(1).args(limit).arg("--status").stdout_contains("unknown").run();
    assert!(pair.acts().is_empty(), "{:?}", pair.acts());
}

/// The word that a release leaves on the asset was written by the tool itself, which hung with a file
/// system that takes no writes; frozen, it is one.
#[test]
fn an_asset_that_takes_no_writes_does_not_hang_the_release() {
    if !ready() || !real::require(&[Need::Program("fsfreeze")]) {
        return;
    }
    let bed = Bed::new();
    bed.tool("fsfreeze");
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    pair.shell(1, "fsfreeze -f at").run();
    let ended = pair.release(1).args(["--timeout", "1s"]).any_status().any_stdout().any_stderr().run();
    pair.shell(1, "fsfreeze -u at").any_status().any_stderr().run();
    assert_eq!(ended.status, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("NOT safe") && ended.stderr.contains("powered off"), "{}", ended.stderr);
}

/// What the kernel still has mounted was "not here: mounted elsewhere" to the host that has it.
#[test]
fn what_was_unmounted_lazily_and_is_still_in_use_is_not_released() {
    if !ready() {
        return;
    }
    for kind in KINDS {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        // This host's kernel is the machine's; the other host does nothing here.
        let hold =
            "umount /sys/fs && sleep 1000 9>at/held.open </dev/null >/dev/null 2>&1 & echo $! >holder.pid";
        pair.shell(1, hold).run();
        let unmount =
            "while [ ! -e /proc/$(cat holder.pid)/fd/9 ]; do :; done; sync -f at; umount loop; umount -l at";
        pair.shell(1, unmount).run();
        pair.forget();
        let kept = pair.release(1).status(1).any_stdout().stderr_contains("still has");
        let kept = kept.stderr_contains("(sleep), which has /held.open open").run();
        assert!(kept.stderr.contains("NOT safe"), "{kind}: {}", kept.stderr);
        assert!(pair.world(1).contains("proxy online"), "{kind}");
        pair.release(1).arg("--status").stdout_contains("held on ec1").run();
        pair.shell(1, "read -r pid <holder.pid; kill $pid").run();
        bed::wait_until("the kernel has let go of it", || {
            pair.release(1).arg("--status").any_stdout().run().stdout.contains(": free on ec1")
        });
        // Of the others nobody knows whether another host has them: nothing shows it.
        let status = if kind == "ext4" { 0 } else { 4 };
        pair.release(1).status(status).any_stdout().any_stderr().run();
    }
}

/// A namespace that only an open file keeps is in no list. An idle xfs or btrfs that is mounted in it
/// looks free on its disk, and was called released.
#[test]
fn a_namespace_that_only_an_open_file_keeps_is_seen_in_the_kernel() {
    if !ready() {
        return;
    }
    for kind in KINDS {
        let bed = Bed::new();
        bed.tools(&["unshare", "kill"]);
        let disk = disk(&bed, kind);
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        let before = pair.world(1);
        let keep = "umount /sys/fs; unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 & pid=$!; \
                    while [ \"$(cat /proc/$pid/comm)\" != sleep ]; do :; done; \
                    sleep 1000 9</proc/$pid/ns/mnt </dev/null >/dev/null 2>&1 & echo $! >holder.pid; \
                    while [ ! -e /proc/$(cat holder.pid)/fd/9 ]; do :; done; kill -KILL $pid; wait $pid || true";
        pair.shell(1, keep).any_stderr().run();
        pair.forget();
        let kept =
            pair.release(1).status(1).any_stdout().stderr_contains("no table of mounts shows where").run();
        assert!(kept.stderr.contains("NOT safe"), "{kind}: {}", kept.stderr);
        assert_eq!(pair.world(1), before, "{kind}");
        pair.shell(1, "read -r pid <holder.pid; kill $pid").run();
        pair.released(1);
    }
}

/// Two hosts with a kernel each: the second one's device is another loop device of the same image, so
/// that only what is on the disk tells one of the other.
#[test]
fn an_ext4_with_multiple_mount_protection_is_had_by_one_of_two_hosts_that_take_it_at_once() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    bed.tool("tune2fs");
    let disk = disk(&bed, "ext4");
    bed.shell(&format!("tune2fs -O mmp -E mmp_update_interval=1 {}", disk.device().display()))
        .any_stdout()
        .any_stderr()
        .run();
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    pair.apart(&disk);
    // It is alive, whatever the operator says: the kernel finds out.
    let kept = pair.takeover(2).args(["--peer-down", "ec1"]).status(1).any_stdout().any_stderr().run();
    assert!(kept.stderr.contains("let go again"), "{}", kept.stderr);
    assert!(kept.stderr.contains("multiple mount protection sees another host"), "{}", kept.stderr);
    assert_eq!(pair.holders(), [1]);
    let mut holder = 1;
    for round in 0..2 {
        pair.released(holder);
        let record = pair.record(holder);
        let run = |host| {
            let take = pair.takeover(host).arg("--record").arg(&record);
            take.any_status().any_stdout().any_stderr().spawn()
        };
        let (one, two) = (run(1), run(2));
        let ended = [one.end(), two.end()];
        let won: Vec<usize> = [1, 2].into_iter().filter(|host| ended[host - 1].status == 0).collect();
        let said = format!("round {round}: {}\n{}", ended[0].stderr, ended[1].stderr);
        assert_eq!((won.len(), pair.holders()), (1, won.clone()), "{said}");
        holder = won[0];
    }
    pair.released(holder);
}
