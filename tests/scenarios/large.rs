//! habackup with much: holes of a tebibyte, many files and the helpers they bring, more than the asset
//! has room for.

use super::snapshot::{configure, copy_of, holder, snapshots};
use bed::loopfs::{DISK_NEEDS, Disk, HOST_NEEDS, Host};
use bed::{Bed, Need, real};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, symlink};

fn ready() -> bool {
    real::require(&HOST_NEEDS)
}

fn manifest(bed: &Bed) -> serde_json::Value {
    let taken = snapshots(bed).pop().unwrap();
    serde_json::from_slice(&fs::read(taken.join("manifest.json")).unwrap()).unwrap()
}

/// A hole was hashed zero by zero, by the snapshot, the verification, the comparison and the restore.
#[test]
fn a_hole_of_a_tebibyte_is_copied_verified_and_restored() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    let mut image = fs::File::create(bed.path("source/image")).unwrap();
    image.set_len(1 << 40).unwrap();
    image.seek(SeekFrom::Start(1 << 39)).unwrap();
    image.write_all(b"in the middle").unwrap();
    host.program("habackup").arg("-q").run();
    let copy = fs::metadata(copy_of(&bed, &snapshots(&bed)[0], "image")).unwrap();
    assert_eq!(copy.len(), 1 << 40);
    assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
    host.program("habackup").arg("--verify").stdout_contains("is sound").run();
    image.seek(SeekFrom::Start(1 << 39)).unwrap();
    image.write_all(b"AT").unwrap();
    drop(image);
    host.program("habackup").args(["--diff", "live"]).stdout_contains("image (contents, time)").run();
    host.program("habackup").args(["--restore", "--yes"]).stdout_contains("Restore complete").run();
    host.program("habackup").args(["--diff", "live"]).stdout_contains("0 updated").run();
    host.program("habackup").args(["--undo", "--yes"]).stdout_contains("Undo complete").run();
    host.program("habackup").args(["--diff", "live"]).stdout_contains("image (contents, time)").run();
}

/// What no disk could hold was begun all the same, one file after the other, until it was full.
#[test]
fn a_snapshot_that_cannot_fit_is_not_begun() {
    if !ready() || !real::require(&DISK_NEEDS) || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["strace", "ls", "rm", "mkfs.ext4"]);
    let disk = Disk::ext4(&bed, 16);
    let device = disk.device().display().to_string();
    let host = Host::new(&bed, "ec1");
    host.shell(&format!("mount {device} shared && mount --bind shared asset")).run();
    bed.write("source/before", "1");
    host.program("habackup").arg("-q").run();
    let before = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    for number in 0..24 {
        bed.write(format!("source/deep/{number}"), vec![b'x'; 1 << 20]);
    }
    let refused = |why: &str| {
        host.shell("strace -f -o trace -e trace=linkat,openat habackup")
            .status(1)
            .stderr_contains("the snapshot is not begun: No space left on device: it needs")
            .stderr_contains(why)
            .run();
        let trace = bed.read("trace");
        let begun: Vec<&str> =
            trace.lines().filter(|line| line.contains("linkat(") || line.contains("\"before\"")).collect();
        assert!(begun.is_empty(), "{begun:?}");
        assert_eq!(host.shell("ls -A shared/habackup").any_stdout().run().stdout, before);
    };
    refused("24.0 MiB");
    fs::remove_dir_all(bed.path("source/deep")).unwrap();
    // Each with a name of its own and next to nothing in it: what there is too little of are inodes.
    fs::create_dir_all(bed.path("source/deep")).unwrap();
    for number in 0..6_000 {
        symlink("nowhere", bed.path("source/deep").join(number.to_string())).unwrap();
    }
    refused("inodes");
}

/// What takes room and was not foreseen: folders alone.
#[test]
fn a_disk_that_fills_up_midway_leaves_everything_as_it_was() {
    if !ready() || !real::require(&DISK_NEEDS) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["ls", "mkfs.ext4"]);
    let disk = Disk::blank(&bed, "small", 12);
    let device = disk.device().display().to_string();
    bed.shell(&format!("mkfs.ext4 -q -F -b 4096 -N 8192 {device}")).run();
    let host = Host::new(&bed, "ec1");
    host.shell(&format!("mount {device} shared && mount --bind shared asset")).run();
    bed.write("source/before", "1");
    host.program("habackup").arg("-q").run();
    let before = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    for number in 0..4_000 {
        fs::create_dir(bed.path("source/deep").join(number.to_string())).unwrap();
    }
    host.program("habackup")
        .status(1)
        .stderr_contains("write the copy of")
        .stderr_contains("No space left")
        .run();
    assert_eq!(host.shell("ls -A shared/habackup").any_stdout().run().stdout, before);
    host.program("habackup").arg("--verify").any_stdout().run();
}

/// Fills the source with more files than are shared without helpers.
fn many_files(bed: &Bed) {
    for folder in 0..70 {
        for number in 0..80 {
            bed.write(format!("source/{folder}/{number}"), format!("{folder} {number}"));
        }
    }
    fs::create_dir_all(bed.path("source/33/in/between")).unwrap();
    bed.write("source/33/in/between/file", "deep");
    fs::hard_link(bed.path("source/1/1"), bed.path("source/44/of 1")).unwrap();
    symlink("1/1", bed.path("source/44/link")).unwrap();
}

/// Helpers share ahead of the walk; what they leave is the same in every respect.
#[test]
fn many_files_are_shared_by_helpers_and_the_snapshot_is_the_same() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "require_services = false");
    bed.tool("strace");
    let host = holder(&bed, "ec1");
    many_files(&bed);
    host.shell("sleep 2.1").run();
    // How far helpers may be behind is a matter of how many folders may be open.
    host.shell("ulimit -n 96; habackup -q").run();
    host.shell("strace -f -o trace -e trace=linkat,openat,clone,clone3 habackup -q").run();
    let (processors, trace) = (std::thread::available_parallelism().unwrap().get(), bed.read("trace"));
    let who: std::collections::BTreeSet<&str> = trace
        .lines()
        .filter(|line| line.contains("linkat("))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(processors == 1 || who.len() > 1, "{who:?} of {processors}");
    // The folders above are others' too, and change meanwhile.
    let files = |manifest: &serde_json::Value| {
        let entries = manifest["entries"].as_array().unwrap().iter();
        entries.filter(|entry| entry["parent"] != true).cloned().collect::<Vec<_>>()
    };
    let [first, second] = snapshots(&bed).try_into().unwrap();
    let read = |path: &std::path::Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap()
    };
    let (before, after) = (read(&first), read(&second));
    assert_eq!(files(&before), files(&after));
    assert_eq!(after["totals"]["linked"], after["totals"]["files"].as_u64().unwrap() - 1);
    assert_eq!(after["totals"]["copied"], 0);
    for below in ["0/0", "33/in/between/file", "44/of 1", "69/79"] {
        let inode = |snapshot| fs::metadata(copy_of(&bed, snapshot, below)).unwrap().ino();
        assert_eq!(inode(&first), inode(&second), "{below}");
    }
    let times = |snapshot| fs::metadata(copy_of(&bed, snapshot, "33")).unwrap().mtime_nsec();
    assert_eq!(times(&first), times(&second), "a folder gets its time after all in it is made");

    // Among many that are shared, some are not: written to, gone, become something else.
    bed.write("source/7/7", "changed");
    fs::remove_file(bed.path("source/8/8")).unwrap();
    fs::remove_file(bed.path("source/9/9")).unwrap();
    fs::create_dir(bed.path("source/9/9")).unwrap();
    bed.write("source/9/9/in", "new");
    host.shell("ulimit -n 96; habackup -q").run();
    let totals = manifest(&bed)["totals"].clone();
    assert_eq!((&totals["copied"], &totals["changed"]), (&2.into(), &0.into()));
    let said = host.program("habackup").arg("--diff").any_stdout().run().stdout;
    for line in ["7/7 (contents, time)\n", "gone", "8/8\n", "9/9/in\n"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    host.program("habackup").args(["-q", "--verify"]).run();
}

/// Killed while helpers are at work, or told to stop, nothing is published and nothing is left behind.
#[test]
fn a_run_with_helpers_can_be_ended_at_any_time() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 2\nrequire_services = false");
    bed.tools(&["strace", "ls"]);
    let host = holder(&bed, "ec1");
    many_files(&bed);
    host.shell("sleep 2.1").run();
    host.program("habackup").arg("-q").run();
    let names = || host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    let before = names();
    for (signal, which, status) in [("KILL", 1, 137), ("KILL", 700, 137), ("TERM", 300, 143)] {
        let line = format!(
            "strace -f -o /dev/null -e trace=linkat -e inject=linkat:signal={signal}:when={which} habackup -q"
        );
        let ended = host.shell(&line).any_status().any_stderr().run();
        assert_eq!(ended.status, status, "{signal} {which}: {}", ended.stderr);
        let published: Vec<String> =
            names().lines().filter(|name| !name.starts_with('.')).map(str::to_owned).collect();
        assert_eq!(published, before.lines().collect::<Vec<_>>(), "{signal} {which}");
    }
    // Told to stop, a run takes away itself what it began; only a killed one leaves it to the next.
    assert_eq!(names(), before);
    host.program("habackup").goes_well().stdout("Backup complete.\n").run();
    host.program("habackup").args(["-q", "--verify"]).run();
    assert_eq!(names().lines().filter(|name| name.starts_with('.')).count(), 0);
}

/// On a terminal a run shows files, bytes, how fast, and how long it will take, going by the run before.
#[test]
fn a_terminal_shows_how_far_a_run_is() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tool("strace");
    let host = holder(&bed, "ec1");
    let fill = |text: &str| {
        for number in 0..400 {
            bed.write(format!("source/{number}"), format!("{text} {number}").repeat(400));
        }
    };
    fill("first");
    host.program("habackup").arg("-q").run();
    fill("second");
    let slow = "strace -f -o /dev/null -e trace=read -e inject=read:delay_enter=4000 habackup";
    let running =
        host.shell(slow).env("TERM", "vt100").on_terminal().stdout("Backup complete.\n").any_stderr().spawn();
    for part in ["snapshot: ", "/400 files, ", " KiB/s", ", about ", " left"] {
        running.wait_for_stderr(part);
    }
    running.end();
    // Nobody looks: nothing is shown.
    fill("third");
    host.program("habackup").stdout("Backup complete.\n").run();
}
