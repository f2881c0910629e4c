//! What a store cannot hold costs that entry alone, and sources that are links save nothing by themselves.

use crate::snapshot::{configure, copy_of, holder, ready, snapshots};
use bed::loopfs::{DISK_NEEDS, Disk, Host};
use bed::{Bed, real};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

/// A host whose asset is an ext4 of 1 KiB blocks, and whose source is a tmpfs, which holds more.
fn small_store<'a>(bed: &'a Bed, disk: &Disk) -> Host<'a> {
    let host = Host::new(bed, "ec1");
    host.shell(&format!(
        "mount {} shared && mount --bind shared asset && mount -t tmpfs tmpfs source",
        disk.device().display()
    ))
    .run();
    host
}

/// A link of 1,100 bytes ended every snapshot with "File name too long".
#[test]
fn a_link_too_long_for_the_store_is_kept_in_the_manifest_and_restored() {
    if !ready() || !real::require(&DISK_NEEDS) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["ln", "rm", "readlink"]);
    let disk = Disk::ext4_with(&bed, 64, &["-b", "1024"]);
    let host = small_store(&bed, &disk);
    let long = "x".repeat(1100);
    host.shell(&format!("ln -s {long} source/long; echo beside >source/plain")).run();
    host.program("habackup").stdout("Backup complete.\n").run();
    host.program("habackup").arg("--verify").any_stdout().run();
    host.shell("rm source/long").run();
    host.program("habackup").args(["--restore", "--yes"]).any_stdout().run();
    host.shell("readlink source/long").stdout(format!("{long}\n")).run();
}

/// A sparse file of 8 EiB ended every snapshot with "File too large".
#[test]
fn a_file_too_large_for_the_store_is_a_problem_of_that_file_alone() {
    if !ready() || !real::require(&DISK_NEEDS) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["truncate", "cat"]);
    let disk = Disk::ext4_with(&bed, 64, &["-b", "1024"]);
    let host = small_store(&bed, &disk);
    host.shell(&format!("truncate -s {} source/huge; echo beside >source/plain", i64::MAX)).run();
    host.program("habackup")
        .status(1)
        .stderr_contains("source/huge: the backup directory cannot hold it: File too large")
        .run();
    host.shell("cat shared/habackup/2*.incomplete/tree/$ORDERLY_BED/source/plain").stdout("beside\n").run();
}

/// The 65,001st name of a file was restored as a file of its own, and nothing said so.
#[test]
fn more_names_of_one_file_than_the_store_allows_are_restored_as_one_file() {
    if !ready() || !real::require(&DISK_NEEDS) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["stat", "rm"]);
    let disk = Disk::ext4(&bed, 64);
    let host = small_store(&bed, &disk);
    // As the host sees it: the tmpfs is mounted nowhere else.
    let inside = Path::new("/proc").join(host.first_process()).join("root");
    let many = inside.join(bed.path("source/many").strip_prefix("/").unwrap());
    fs::create_dir(&many).unwrap();
    fs::write(many.join("n00000"), "one\n").unwrap();
    for number in 1..65_003 {
        fs::hard_link(many.join("n00000"), many.join(format!("n{number:05}"))).unwrap();
    }
    host.program("habackup").stdout("Backup complete.\n").run();
    host.shell("rm source/many/n00001 source/many/n65001 source/many/n65002").run();
    host.program("habackup").args(["--restore", "--yes", "-q"]).run();
    host.shell("stat -c %h source/many/n65002 source/many/n00001").stdout("65003\n65003\n").run();
}

/// Whoever copies a store may lose which names are of one file: it is in the manifest, so nothing is lost by it.
#[test]
fn names_of_one_file_whose_copies_are_several_are_restored_as_one_file() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["ln", "cp", "mv", "rm", "stat"]);
    let host = holder(&bed, "ec1");
    host.shell("cd source; echo one >a; ln a b").run();
    host.program("habackup").stdout("Backup complete.\n").run();
    let copy = copy_of(&bed, &snapshots(&bed)[0], "b");
    host.shell(&format!("cp -p {0} {0}.new; mv {0}.new {0}", copy.display())).run();
    assert_eq!(fs::metadata(&copy).unwrap().nlink(), 1);
    host.program("habackup").arg("--verify").stdout_contains("is sound").run();
    host.shell("rm source/a source/b").run();
    host.program("habackup").args(["--restore", "--yes", "-q"]).run();
    host.shell("stat -c %h source/a").stdout("2\n").run();
}

/// "Backup complete." was said of a source that is a link, and nothing was saved.
#[test]
fn a_source_that_is_a_link_to_what_no_source_has_makes_a_snapshot_incomplete() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["mkdir"]);
    let host = holder(&bed, "ec1");
    let root = bed.root().to_owned();
    let include = |sources: &[&str], optional: &[&str]| {
        let list = |words: &[&str]| {
            words
                .iter()
                .map(|word| format!("\"{}\"", root.join(word).display()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let text = bed.read("etc/ha.toml");
        let kept = text.lines().filter(|line| !line.starts_with("include") && !line.starts_with("optional"));
        let kept: Vec<&str> = kept.collect();
        let text =
            format!("{}\ninclude = [{}]\noptional = [{}]\n", kept.join("\n"), list(sources), list(optional));
        bed.config("ha.toml", text);
    };
    fs::create_dir_all(bed.path("real/deep")).unwrap();
    bed.write("real/deep/kept", "kept\n");
    bed.write("real/left.pid", "1\n");
    for (to, from) in [
        ("real/deep", "to-deep"),
        ("nowhere", "dangling"),
        ("to-deep", "to-to-deep"),
        ("loop", "loop"),
        ("real/left.pid", "to-left"),
    ] {
        symlink(to, bed.path(from)).unwrap();
    }
    let shown = |below: &str| format!("[ROOT]/{below}");
    let problem = |sources: &[&str], optional: &[&str], said: &str| {
        include(sources, optional);
        host.program("habackup").arg("-n").status(1).any_stdout().stderr_contains(said).run();
        host.program("habackup").status(1).stderr_contains(said).run();
    };
    let unsaved = format!(
        "to-deep: is a symlink to {0}, which no source has; add {0} to backup.include",
        shown("real/deep")
    );
    problem(&["source", "to-deep"], &[], &unsaved);
    problem(&["source"], &["to-deep"], &unsaved);
    problem(&["source", "dangling"], &[], "dangling: is a symlink to nowhere, which does not exist");
    // The second link of a chain would be missing, too.
    let unsaved = format!("to-to-deep: is a symlink to {}, which no source has", shown("to-deep"));
    problem(&["source", "real", "to-to-deep"], &[], &unsaved);
    problem(&["source", "loop"], &[], "loop: is a symlink in a loop of symlinks");
    let unsaved =
        format!("to-left: is a symlink to {}, which backup.exclude leaves out", shown("real/left.pid"));
    problem(&["source", "real", "to-left"], &[], &unsaved);
    // What it leads to lies in a source: both are saved.
    include(&["source", "real", "to-deep", "to-to-deep"], &["dangling"]);
    host.program("habackup").stdout("Backup complete.\n").run();
    // Nothing but such links is no source at all.
    include(&["dangling", "to-deep"], &[]);
    host.program("habackup").status(3).stderr_contains("nothing that backup.include names is there").run();
    let newest = snapshots(&bed)
        .into_iter()
        .rfind(|path| !path.display().to_string().ends_with(".incomplete"))
        .unwrap();
    let kept = newest.join("tree").join(bed.path("real/deep/kept").strip_prefix("/").unwrap());
    assert_eq!(fs::metadata(kept).unwrap().size(), 5);
}

/// Two names of one file became two files, and --diff said nothing.
#[test]
fn names_that_are_no_longer_of_one_file_are_told_by_diff() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["ln", "cp", "mv"]);
    let host = holder(&bed, "ec1");
    host.shell("cd source; echo one >a; ln a b; ln a c").run();
    host.program("habackup").stdout("Backup complete.\n").run();
    host.shell("cd source; cp -p c d; mv d c").run();
    host.program("habackup").stdout("Backup complete.\n").run();
    host.program("habackup").arg("--diff").stdout("updated [ROOT]/source/c (links)\n").run();
}
