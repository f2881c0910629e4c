//! What is taken can be written to, and the disk shows that it was taken: real ext4 (with and without
//! multiple mount protection), btrfs and xfs on loop devices.

use crate::pair::{Asset, Pair, possible};
use bed::loopfs::{Disk, FILESYSTEM_NEEDS};
use bed::{Bed, Need, real};

const KINDS: [&str; 4] = ["ext4", "mmp", "btrfs", "xfs"];

fn ready() -> bool {
    possible() && real::require(&FILESYSTEM_NEEDS) && real::require(&[Need::Program("tune2fs")])
}

fn disk(bed: &Bed, kind: &str) -> Disk {
    match kind {
        "xfs" => Disk::xfs(bed),
        "btrfs" => Disk::btrfs(bed),
        _ => Disk::ext4(bed, 16),
    }
}

/// Makes a pair whose first host died holding a disk of this kind, with these options of its mount.
fn dead<'a>(bed: &'a Bed, disk: &'a Disk, kind: &str, options: &str) -> Pair<'a> {
    bed.tools(&["tune2fs"]);
    if kind == "mmp" {
        let line = format!("tune2fs -O mmp -E mmp_update_interval=1 {}", disk.device().display());
        bed.shell(&line).any_stdout().any_stderr().run();
    }
    let pair = Pair::new(bed, &Asset::Disk(disk));
    let line = "umount loop; umount at; svc proxy stop; svc ec stop; ip address del 192.0.2.10/32 dev lo";
    pair.shell(1, line).any_stderr().any_status().run();
    pair.forget();
    let text = bed.read("etc/ha.toml").replace("options = \"noatime\"\n", options);
    bed.config("ha.toml", text);
    pair
}

/// Lets each mount of the disk go through this line of sh, in which `really "$@"` mounts.
fn mount_by(bed: &Bed, disk: &Disk, line: &str) {
    let tool = real::find("mount").unwrap().display().to_string();
    let device = disk.device().display().to_string();
    let script = format!(
        "really() {{ {tool} \"$@\"; }}\ncase \" $* \" in *\" {device} \"*) {line};; *) really \"$@\";; esac"
    );
    bed.script("fakes/mount", &script);
}

fn not_taken(pair: &Pair<'_>, case: &str) {
    let ended = pair.takeover(2).args(["--peer-down", "ec1"]).status(1).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("is let go again, safe for the other host"), "{case}: {}", ended.stderr);
    assert!(
        ended.stderr.contains("is mounted read-only") || ended.stderr.contains("write-protected"),
        "{case}: {}",
        ended.stderr
    );
    assert!(pair.holders().is_empty(), "{case}");
}

/// It was called taken, left no mark, and the peer took it, too.
#[test]
fn a_mount_that_is_read_only_is_taken_back() {
    if !ready() {
        return;
    }
    for kind in KINDS {
        for options in ["", "options = \"rw\"\n"] {
            let bed = Bed::new();
            let disk = disk(&bed, kind);
            let pair = dead(&bed, &disk, kind, options);
            let case = format!("{kind} {options}");
            mount_by(&bed, &disk, "really \"$@\" && for at; do :; done && really -o remount,ro \"$at\"");
            not_taken(&pair, &case);
            // The disk becomes write-protected between the look at it and the mount.
            let blockdev = real::find("blockdev").unwrap();
            mount_by(
                &bed,
                &disk,
                &format!("{} --setro {} && really \"$@\"", blockdev.display(), disk.device().display()),
            );
            not_taken(&pair, &case);
            disk.unprotect();
            mount_by(&bed, &disk, "really \"$@\"");
            pair.taken_back(2);
            assert_eq!(pair.holders(), [2], "{case}");
        }
    }
}

/// A file system may be read-only by itself, whatever the options ask for.
#[test]
fn a_file_system_that_is_read_only_by_itself_is_taken_back() {
    if !ready() || !real::require(&[Need::Program("btrfstune")]) {
        return;
    }
    for (kind, make) in [("ext4", "tune2fs -O read-only"), ("btrfs", "btrfstune -S 1")] {
        for options in ["", "options = \"rw\"\n"] {
            let bed = Bed::new();
            bed.tools(&["btrfstune"]);
            let disk = disk(&bed, kind);
            let pair = dead(&bed, &disk, kind, options);
            bed.shell(&format!("{make} {}", disk.device().display())).any_stdout().any_stderr().run();
            not_taken(&pair, kind);
            // Where the configuration says so, it is meant.
            let text = bed.read("etc/ha.toml");
            let at = format!("at = \"{}/at\"\n", bed.root().display());
            let text = text.replace(options, "").replacen(&at, &format!("{at}options = \"ro\"\n"), 1);
            bed.config("ha.toml", text);
            let ended =
                pair.takeover(2).args(["--peer-down", "ec1"]).any_status().any_stdout().any_stderr().run();
            assert_eq!(ended.status, 0, "{kind}: {}", ended.stderr);
        }
    }
}

/// What was written went nowhere, so the peer saw a disk that nobody had. Scripted: `dd` goes on showing the
/// first bytes that it read.
#[test]
fn a_take_that_the_disk_does_not_show_is_taken_back() {
    if !ready() {
        return;
    }
    for kind in ["ext4", "btrfs"] {
        let bed = Bed::new();
        let disk = disk(&bed, kind);
        let pair = dead(&bed, &disk, kind, "");
        let dd = real::find("dd").unwrap().display().to_string();
        bed.script("fakes/dd", &format!("[ -e \"$ORDERLY_BED/old\" ] || {dd} \"$@\" >\"$ORDERLY_BED/old\"; /bin/cat \"$ORDERLY_BED/old\""));
        let ended = pair.takeover(2).args(["--peer-down", "ec1"]).status(1).any_stdout().any_stderr().run();
        assert!(ended.stderr.contains("its change mark is still"), "{kind}: {}", ended.stderr);
        assert!(pair.holders().is_empty(), "{kind}");
    }
}

/// An ext4 that its kernel made read-only after an error was unmounted by the next look at it.
#[test]
fn what_is_held_and_became_read_only_is_said_and_not_taken_down() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let disk = Disk::ext4(&bed, 16);
    let pair = Pair::new(&bed, &Asset::Disk(&disk));
    pair.shell(1, "mount -o remount,ro at").run();
    let ended = pair.takeover(1).status(5).any_stdout().any_stderr().run();
    assert!(ended.stderr.contains("is mounted read-only"), "{}", ended.stderr);
    assert_eq!(pair.holders(), [1]);
    assert!(pair.world(1).contains("proxy online"));
}
