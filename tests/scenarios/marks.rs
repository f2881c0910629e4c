//! What the tools of a file system do to its change mark, and what is concluded from it: nobody is said to have
//! taken the asset who did not, and what the mark does not tell is called unknown, with a line that leads on.

use crate::holding::crash;
use crate::pair::{Asset, Pair, possible, with_backup};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, Ended, Need, real};
use std::process::Command;

const EXT4_TOOLS: [Need; 3] = [Need::Program("e2fsck"), Need::Program("tune2fs"), Need::Program("resize2fs")];
const OTHER_TOOLS: [Need; 4] = [
    Need::Program("xfs_repair"),
    Need::Program("xfs_admin"),
    Need::Program("btrfs"),
    Need::Program("btrfstune"),
];

fn done(program: bed::Program<'_>) -> Ended {
    program.any_stdout().any_stderr().run()
}

/// Runs a tool of the file system on the disk, as a line in which `DEV` is the device.
fn tool(disk: &Disk, line: &str) {
    let device = disk.device().display().to_string();
    let words: Vec<String> = line.split(' ').map(|word| word.replace("DEV", &device)).collect();
    let ended = Command::new(real::find(&words[0]).unwrap()).args(&words[1..]).output().unwrap();
    // e2fsck(8) ends with 1 when it mended something.
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code().is_some_and(|code| code < 2), "{line}: {said}");
}

/// ec1 noted its take of the disk, and goes down with it.
fn crashed<'a>(bed: &'a Bed, disk: &Disk) -> Pair<'a> {
    bed.tool("sync");
    let pair = Pair::new(bed, &Asset::Ext4(disk));
    done(pair.release(1));
    done(pair.way_back(1));
    crash(&pair, disk, 1);
    pair
}

/// `e2fsck -f` sets the mount count to 0, and the peer's word was refused: "the asset was taken again since".
#[test]
fn a_check_of_the_file_system_after_a_crash_is_no_take() {
    if !possible() || !real::require(&EXT4_TOOLS) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = crashed(&bed, &disk);
    tool(&disk, "e2fsck -fy DEV");
    let word = done(pair.release(2).args(["--disclaim", "--json"])).stdout;
    done(pair.takeover(1).args(["--record", "-"]).stdin(&word));
    assert_eq!(pair.holders(), [1]);
}

/// Each of these was called a take of the other host.
#[test]
fn what_a_tool_did_to_the_counts_of_mounts_is_unknown_and_there_is_a_way_out() {
    if !possible() || !real::require(&EXT4_TOOLS) {
        return;
    }
    for (line, why) in [
        ("tune2fs -C 9 DEV", "its last mount time stayed, as after tune2fs -C"),
        ("e2fsck -y -b 8193 DEV", "went back from"),
    ] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = crashed(&bed, &disk);
        tool(&disk, line);
        let word = done(pair.release(2).args(["--disclaim", "--json"])).stdout;
        let refused =
            pair.takeover(1).args(["--record", "-"]).stdin(&word).status(4).any_stderr().run().stderr;
        assert!(refused.contains("cannot determine whether the asset was taken again"), "{line}: {refused}");
        assert!(refused.contains(why), "{line}: {refused}");
        if refused.contains(" && ") {
            by_hand(&pair, 1, &refused);
        } else {
            // The tool replayed its journal, so it is clean, and the peer can say that nobody has it.
            assert!(refused.contains("ssh ec2 ha-release --json | ha-takeover --record -"), "{refused}");
            let word = done(pair.release(2).arg("--json")).stdout;
            done(pair.takeover(1).args(["--record", "-"]).stdin(&word));
        }
        assert_eq!(pair.holders(), [1], "{line}");
    }
}

/// Types the line of a refusal that mounts the asset by hand, its first part on the other host.
fn by_hand(pair: &Pair<'_>, host: usize, refused: &str) {
    let peer = 3 - host;
    let (_, line) = refused.rsplit_once(&format!("ssh ec{peer} ha-release --")).expect(refused);
    let (word, line) = line.split_once(" && ").expect(line);
    let (mount, then) = line.split_once(" && ha-").expect(line);
    done(pair.release(peer).arg(format!("--{word}")));
    done(pair.shell(host, mount));
    let words: Vec<&str> =
        then.split([' ', '\n']).take_while(|word| word.starts_with(['t', 'r', '-'])).collect();
    done(pair.program(host, &format!("ha-{}", words[0])).args(&words[1..]));
}

/// Mounted by hand and noted by no program, it went down with its host: each command was refused, and only a
/// fence was left, of a host that lived and held nothing.
#[test]
fn a_mount_by_hand_that_nobody_saw_has_a_way_out_after_a_crash() {
    if !possible() {
        return;
    }
    for noted in [false, true] {
        let bed = Bed::new();
        bed.tool("sync");
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Ext4(&disk));
        if noted {
            done(pair.release(1));
            done(pair.way_back(1));
            let down = "umount loop; umount at";
            done(pair.shell(1, down));
            done(pair.shell(
                1,
                &format!("mount -o noatime {} at && mount --bind at/opt loop", disk.device().display()),
            ));
        }
        crash(&pair, &disk, 1);
        let refused = pair.takeover(1).status(4).any_stderr().run().stderr;
        assert!(refused.contains("ssh ec2 ha-release --disclaim && mount "), "{noted}: {refused}");
        let word = done(pair.release(2).args(["--disclaim", "--json"])).stdout;
        let refused =
            pair.takeover(1).args(["--record", "-"]).stdin(&word).status(4).any_stderr().run().stderr;
        let why = if noted { "taken again since this host noted its take" } else { "noted no take" };
        assert!(refused.contains(why), "{noted}: {refused}");
        by_hand(&pair, 1, &refused);
        assert_eq!(pair.holders(), [1]);
    }
}

/// Between the mount and the note of it nothing on this host tells that it was its own.
#[test]
fn a_power_cut_between_a_mount_and_its_note_has_a_way_out_and_restores() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) {
        return;
    }
    for kind in ["ext4", "btrfs"] {
        let bed = Bed::new();
        bed.tool("sync");
        let disk = if kind == "btrfs" { Disk::btrfs(&bed) } else { Disk::ext4(&bed, 16) };
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        with_backup(&pair);
        bed.write("outside.1/file", "v1\n");
        done(pair.release(1));
        pair.trouble("after 1");
        let run = pair.takeover(2).arg("--record").arg(pair.record(1)).any_stdout().any_stderr();
        run.status(137).run();
        pair.forget();
        done(pair.shell(2, "touch at/seen"));
        crash(&pair, &disk, 2);
        let word =
            pair.release(1).args(["--disclaim", "--json"]).any_status().any_stdout().any_stderr().run();
        let refused = match word.status {
            0 => pair.takeover(2).args(["--new-plan", "--record", "-"]).stdin(&word.stdout),
            // There is no such word of this kind.
            _ => pair.takeover(2).arg("--new-plan"),
        };
        let refused = refused.status(4).any_stdout().any_stderr().run().stderr;
        by_hand(&pair, 2, &refused);
        assert_eq!((pair.holders(), bed.read("outside.2/file")), (vec![2], "v1\n".into()), "{kind}");
    }
}

/// "It was ec1, or somebody who mounted it by hand", of a disk that only got a label.
#[test]
fn a_record_from_before_a_repair_is_refused_for_what_it_was() {
    if !possible() || !real::require(&EXT4_TOOLS) {
        return;
    }
    for line in [
        "e2fsck -fy DEV",
        "tune2fs -L data DEV",
        "e2label DEV data",
        "resize2fs DEV 12M",
        "tune2fs -c 30 DEV",
    ] {
        let bed = Bed::new();
        let disk = Disk::ext4(&bed, 16);
        let pair = Pair::new(&bed, &Asset::Ext4(&disk));
        done(pair.release(1));
        // The time of the last write is in seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        tool(&disk, line);
        let ended =
            pair.takeover(2).arg("--record").arg(pair.record(1)).any_status().any_stdout().any_stderr().run();
        if ended.status == 0 {
            // Some of them leave no trace.
            assert_eq!(pair.holders(), [2], "{line}");
            continue;
        }
        let refused = ended.stderr;
        assert!(refused.contains("changed after its release without being mounted"), "{line}: {refused}");
        let word = done(pair.release(1).arg("--json")).stdout;
        done(pair.takeover(2).args(["--record", "-"]).stdin(&word));
        assert_eq!(pair.holders(), [2], "{line}");
    }
}

/// A mark of these kinds does not tell a mount from a repair, the refusal said "held again" all the same, and the line
/// that it proposed was refused.
#[test]
fn on_xfs_and_btrfs_a_repair_is_not_called_a_take() {
    if !possible() || !real::require(&FILESYSTEM_NEEDS) || !real::require(&OTHER_TOOLS) {
        return;
    }
    for (kind, line, moves) in [
        ("xfs", "xfs_repair DEV", false),
        ("xfs", "xfs_admin -L data DEV", false),
        ("xfs", "xfs_repair -L DEV", true),
        ("btrfs", "btrfs check DEV", false),
        ("btrfs", "btrfs filesystem label DEV data", true),
        ("btrfs", "btrfs check --repair --force DEV", true),
    ] {
        let bed = Bed::new();
        let disk = if kind == "xfs" { Disk::xfs(&bed) } else { Disk::btrfs(&bed) };
        let pair = Pair::new(&bed, &Asset::Disk(&disk));
        done(pair.release(1));
        tool(&disk, line);
        let ended =
            pair.takeover(2).arg("--record").arg(pair.record(1)).any_status().any_stdout().any_stderr().run();
        assert_eq!(ended.status, if moves { 4 } else { 0 }, "{line}: {}", ended.stderr);
        if moves {
            let words = "held again after its release, or changed without being held";
            assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
            assert!(ended.stderr.contains("ssh ec1 ha-release --json |"), "{line}: {}", ended.stderr);
            // Nor can the one that released it say more; held by one of the two, it is known again.
            let refused = pair.release(1).status(4).any_stderr().run().stderr;
            let (host, refused) = if line.starts_with("xfs") { (1, refused) } else { (2, ended.stderr) };
            by_hand(&pair, host, &refused);
            if host == 1 {
                done(pair.takeover(2).arg("--record").arg(pair.record(1)));
            }
            assert_eq!(pair.holders(), [2], "{line}");
        }
    }
}

/// An ext4 dates its mounts by the second, so that of two in one second nobody could say that the asset was taken in
/// between. A takeover waits for the next one, also where the clock of the peer is a little ahead.
#[test]
fn a_takeover_mounts_in_a_later_second_than_the_last_mount() {
    if !possible() || !real::require(&[Need::Program("debugfs")]) {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Ext4(&disk));
    done(pair.release(1));
    // The tool of the bed waits as well.
    let real_mount = real::find("mount").unwrap();
    bed.script("fakes/mount", &format!("exec {} \"$@\"", real_mount.display()));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let device = disk.device().display().to_string();
    let line = format!("set_super_value mtime @{}", now + 2);
    let ended = Command::new(real::find("debugfs").unwrap()).args(["-w", "-R", &line, &device]).output();
    assert!(ended.unwrap().status.success());
    let last_mount = || {
        let head = std::fs::read(disk.device()).unwrap();
        u64::from(u32::from_le_bytes(head[1024 + 0x2c..][..4].try_into().unwrap()))
    };
    assert_eq!(last_mount(), now + 2);
    done(pair.takeover(2).args(["--peer-down", "ec1"]));
    assert!(last_mount() > now + 2, "mounted at {}, last before at {}", last_mount(), now + 2);
}
