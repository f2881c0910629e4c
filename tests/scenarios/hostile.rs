//! habackup among sources that mean it harm: odd names, deep trees, dead mounts, full and failing
//! disks, owners that a user namespace does not know.

use super::snapshot::{configure, copy_of, holder, snapshots};
use bed::loopfs::{DISK_NEEDS, Disk, HOST_NEEDS, Host};
use bed::{Bed, Need, real};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

fn ready() -> bool {
    real::require(&HOST_NEEDS)
}

fn manifest(bed: &Bed) -> serde_json::Value {
    let taken = snapshots(bed).pop().unwrap();
    serde_json::from_slice(&fs::read(taken.join("manifest.json")).unwrap()).unwrap()
}

/// Three descriptors a level met the usual limit of 1,024 at some 340 levels.
#[test]
fn a_deep_tree_is_copied_verified_restored_and_pruned() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 1");
    let host = holder(&bed, "ec1");
    let mut deep = bed.path("source");
    for _ in 0..700 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("leaf"), "found\n").unwrap();
    for _ in 0..2 {
        host.shell("ulimit -Sn 256; habackup").stdout("Backup complete.\n").run();
    }
    host.program("habackup").arg("--verify").any_stdout().run();
    fs::write(deep.join("leaf"), "lost\n").unwrap();
    host.program("habackup").args(["--restore", "--yes"]).any_stdout().run();
    assert_eq!(fs::read(deep.join("leaf")).unwrap(), b"found\n");
    assert_eq!(snapshots(&bed).len(), 1);
}

/// Who may write to a source could end every backup with a tree deeper than the stack.
#[test]
fn a_tree_without_end_is_named_and_does_not_end_the_backup() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["mkdir", "mv"]);
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    // Deeper than any path: made from the inside out.
    let line = "i=0; mkdir nest; cd nest; while [ $i -lt 1300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; \
                cd \"$ORDERLY_BED\"; mv nest source/";
    host.shell(line).run();
    host.program("habackup")
        .status(1)
        .stderr_contains("directories deep")
        .stderr_contains(".incomplete")
        .run();
    assert!(copy_of(&bed, &snapshots(&bed)[0], "a").exists());
}

/// Each folder of a restore kept its parent open until there were too many.
#[test]
fn a_restore_of_more_folders_than_may_be_open_succeeds() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    for number in 0..400 {
        bed.write(format!("source/wide/{number}/in/side/file"), number.to_string());
    }
    host.program("habackup").arg("-q").run();
    fs::remove_dir_all(bed.path("source/wide")).unwrap();
    host.shell("ulimit -n 128; habackup --restore --yes").any_stdout().run();
    assert_eq!(bed.read("source/wide/399/in/side/file"), "399");
}

#[test]
fn names_of_any_bytes_come_back() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    let long = [b'n'; 255];
    let names: [&[u8]; 7] =
        [b"new\nline", b"\xff\xfe", b"esc\x1b[2J", b" ", b"-rf", b".orderly-shared", &long];
    for name in names {
        fs::write(bed.path("source").join(OsStr::from_bytes(name)), name).unwrap();
    }
    for _ in 0..2 {
        host.program("habackup").stdout("Backup complete.\n").run();
    }
    host.program("habackup").arg("--verify").any_stdout().run();
    for name in names {
        fs::write(bed.path("source").join(OsStr::from_bytes(name)), "gone").unwrap();
    }
    let said = host.program("habackup").args(["--restore", "--yes"]).any_stdout().run().stdout;
    assert!(!said.contains('\x1b'), "a name moves no cursor");
    for name in names {
        assert_eq!(fs::read(bed.path("source").join(OsStr::from_bytes(name))).unwrap(), name);
    }
}

/// A copy that is shared must never be written to, also where two names of a source fold into one on the
/// asset. Few kernels have a file system that folds, so the name comes to be there by hand.
#[test]
fn a_name_that_is_there_already_is_never_written_to() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["strace", "ln", "ls"]);
    let host = holder(&bed, "ec1");
    bed.write("source/slow", vec![b'x'; 3 << 20]);
    bed.write("source/twice", "small\n");
    host.program("habackup").arg("-q").run();
    bed.write("source/slow", vec![b'y'; 3 << 20]);
    bed.write("source/twice", "LARGE\n");
    let root = bed.root().display();
    host.shell(&format!(
        "strace -f -o /dev/null -e trace=write -e inject=write:delay_enter=150000 habackup & tracer=$!; \
         until ls shared/habackup/.staging*/tree{root}/source/slow >/dev/null 2>&1; do sleep 0.02; done; \
         new=$(echo shared/habackup/.staging*); ln shared/habackup/latest/tree{root}/source/twice $new/tree{root}/source/twice; \
         wait $tracer",
    ))
    .status(1)
    .stderr_contains("source/twice: the backup directory cannot hold it: it takes the name for another one that is there")
    .run();
    let kept: Vec<bool> = snapshots(&bed).iter().map(|path| path.extension().is_none()).collect();
    assert_eq!(kept, [true, false], "the second one is kept apart as incomplete");
    host.program("habackup").args(["-q", "--verify"]).run();
}

/// A large file was written until the disk was full, and the services on the asset with it.
#[test]
fn a_file_that_does_not_fit_is_not_begun() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tool("strace");
    let host = Host::new(&bed, "ec1");
    host.shell("mount -t tmpfs -o size=3m tmpfs shared && mount --bind shared asset").run();
    bed.write("source/large", vec![b'x'; 8 << 20]);
    host.shell("strace -f -o trace -e trace=write habackup")
        .status(1)
        .stderr_contains("No space left on device: it needs 8.0 MiB")
        .run();
    assert!(!bed.read("trace").contains("xxxxxxxx"), "nothing was written");
}

/// What the mount of a dead server is asked never returns; that it is a mount is known without asking.
#[test]
fn a_folder_that_something_is_mounted_on_is_not_looked_at() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["strace", "mkdir"]);
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    host.shell("mkdir source/dead-server && mount -t tmpfs tmpfs source/dead-server").run();
    host.shell("strace -f -o trace habackup -q").run();
    // The mount's name also comes by in what is read of the mount table, which asks the mount nothing.
    let asks = |line: &&str| line.contains("dead-server") && !line.contains(" read(");
    let looked: Vec<String> = bed.read("trace").lines().filter(asks).map(str::to_owned).collect();
    assert!(looked.iter().all(|line| line.contains("openat2(")), "{looked:?}");
}

/// A change of mode alone took the room of the file again on file systems that could share it.
#[test]
fn a_change_of_mode_takes_no_room_where_data_can_be_shared() {
    if !ready() || !real::require(&DISK_NEEDS) || !real::require(&[Need::Program("mkfs.xfs")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["mkfs.xfs", "chmod"]);
    let disk = Disk::blank(&bed, "xfs", 320);
    let device = disk.device().display().to_string();
    bed.shell(&format!("mkfs.xfs -q -f -m reflink=1 {device}")).run();
    let host = Host::new(&bed, "ec1");
    host.shell(&format!("mount {device} shared && mount --bind shared asset")).run();
    bed.write("source/large", vec![b'x'; 4 << 20]);
    host.program("habackup").arg("-q").run();
    host.shell("chmod 600 source/large").run();
    let said = host.program("habackup").arg("--json").any_stdout().run().stdout;
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["totals"]["copied_bytes"], &report["totals"]["linked"]), (&0.into(), &1.into()));
    host.program("habackup").args(["-q", "--verify"]).run();
}

/// Only root reads everything, and in a user namespace not even root.
#[test]
fn what_may_not_be_read_is_named_and_the_snapshot_is_kept_apart() {
    if !ready() || !real::require(&[Need::UserNamespace]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "require_services = false");
    bed.tools(&["unshare", "chown", "chmod", "mkdir"]);
    bed.write("source/fine", "1");
    bed.write("source/secret", "2");
    let host = Host::new(&bed, "ec1");
    let line = "chown 5:5 source/secret; chmod 600 source/secret; mkdir source/shut; chown 5:5 source/shut; chmod 700 source/shut";
    host.shell(line).run();
    host.shell("unshare -Urm /bin/sh -c 'mount --bind shared asset && exec habackup'")
        .status(1)
        .stderr_contains("source/secret: Permission denied")
        .stderr_contains("source/shut: open the directory: Permission denied")
        .stderr_contains(".incomplete")
        .run();
    let taken = snapshots(&bed).pop().unwrap();
    assert!(copy_of(&bed, &taken, "fine").exists() && !copy_of(&bed, &taken, "secret").exists());
    assert!(fs::symlink_metadata(bed.path("shared/habackup/latest")).is_err());
}

/// While one file is read, it is cut short, and another one that was listed already is removed.
#[test]
fn a_file_that_shrinks_is_read_again_and_one_that_vanishes_is_named() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["strace", "ls", "truncate", "rm"]);
    let host = holder(&bed, "ec1");
    bed.write("source/a", vec![b'x'; 8 << 20]);
    bed.write("source/z", "1");
    let root = bed.root().display();
    host.shell(&format!(
        "strace -f -o /dev/null -e trace=read -e inject=read:delay_enter=60000 habackup & tracer=$!; \
         until ls shared/habackup/.staging*/tree{root}/source/a >/dev/null 2>&1; do sleep 0.02; done; \
         truncate -s 1M source/a; rm source/z; wait $tracer",
    ))
    .status(1)
    .stderr_contains("source/z: vanished while the snapshot was taken")
    .run();
    let manifest = manifest(&bed);
    let entries = manifest["entries"].as_array().unwrap();
    let path = bed.path("source/a").display().to_string();
    let entry = entries.iter().find(|entry| entry["path"] == path.as_str()).unwrap();
    assert_eq!((&entry["size"], &entry["changed"]), (&(1 << 20).into(), &serde_json::Value::Null));
    assert_eq!(manifest["problems"].as_array().unwrap().len(), 1);
    let name = snapshots(&bed).pop().unwrap();
    host.program("habackup").args(["-q", "--verify"]).arg(name.file_name().unwrap()).run();
}

#[test]
fn of_two_runs_at_once_one_wins_and_the_other_refuses() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["strace", "ls"]);
    let host = holder(&bed, "ec1");
    bed.write("source/a", vec![b'x'; 8 << 20]);
    host.shell(
        "strace -f -o /dev/null -e trace=read -e inject=read:delay_enter=60000 habackup & tracer=$!; \
         until ls shared/habackup/.staging* >/dev/null 2>&1; do sleep 0.02; done; \
         habackup; echo $?; wait $tracer",
    )
    .stdout("4\nBackup complete.\n")
    .stderr_contains("another run holds")
    .run();
    assert_eq!(snapshots(&bed).len(), 1);
}

/// The kernel says only "Invalid argument" of an owner without a number.
#[test]
fn an_owner_unknown_to_the_user_namespace_is_explained() {
    if !ready() || !real::require(&[Need::UserNamespace]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "require_services = false");
    bed.tools(&["unshare", "chown"]);
    bed.write("source/foreign", "1");
    bed.write("source/mine", "2");
    let host = Host::new(&bed, "ec1");
    host.shell("chown 5:5 source/foreign").run();
    host.shell("unshare -Urm /bin/sh -c 'mount --bind shared asset && exec habackup'")
        .stdout("Backup complete.\n")
        .stderr_contains("source/foreign: the owner 65534:65534 has no number in this user namespace")
        .run();
    assert_eq!(manifest(&bed)["totals"]["files"], 2);
}

/// A program that reads the report got nothing to read when a run ended in an error.
#[test]
fn a_run_that_ends_in_an_error_reports_it_as_json_too() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = Host::new(&bed, "ec1");
    let ended = host.program("habackup").arg("--json").status(4).any_stderr().any_stdout().run();
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["record"], &report["status"]), (&"failure".into(), &"refused".into()));
    assert!(report["error"].as_str().unwrap().contains("the host that holds the asset"));
}

/// A restore that changed a mode changed it under every other name of the file too.
#[test]
fn a_restore_touches_no_other_name_of_a_file() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["chmod", "ln"]);
    let host = holder(&bed, "ec1");
    bed.write("source/mode", "same\n");
    host.shell("chmod 4755 source/mode; habackup -q; chmod 600 source/mode; ln source/mode elsewhere").run();
    host.program("habackup").args(["--restore", "--yes"]).any_stdout().run();
    assert_eq!(fs::metadata(bed.path("source/mode")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(fs::metadata(bed.path("elsewhere")).unwrap().mode() & 0o7777, 0o600);
}

/// Links, devices and what cannot be read, beside one another, on a real disk.
#[test]
fn everything_a_file_system_has_is_kept_or_named() {
    if !ready()
        || !real::require(&DISK_NEEDS)
        || !real::require(&[Need::Program("setcap"), Need::Program("chattr")])
    {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["mkfifo", "mknod", "setcap", "getcap", "chattr", "chown", "chmod", "mkdir"]);
    let disk = Disk::ext4(&bed, 64);
    let device = disk.device().display().to_string();
    let host = holder(&bed, "ec1");
    host.shell(&format!("mount {device} source")).run();
    let line = "cd source; mkfifo pipe; mknod null c 1 3; echo 1 >cap; setcap cap_net_raw+ep cap; echo 2 >fixed; \
                chattr +i fixed; echo 3 >foreign; chown 54321:54322 foreign; chmod 6711 foreign; mkdir shut; echo 4 >shut/in; chmod 0 shut";
    host.shell(line).run();
    symlink("/etc/passwd", bed.path("source/never-followed")).unwrap_or(());
    host.program("habackup").stdout("Backup complete.\n").run();
    let found: Vec<String> = manifest(&bed)["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| Some(entry["path"].as_str()?.rsplit('/').next()?.to_owned()))
        .collect();
    for name in ["pipe", "null", "cap", "fixed", "foreign", "shut", "in"] {
        assert!(found.iter().any(|path| path == name), "{name}: {found:?}");
    }
    // What is immutable here cannot be replaced: found out when it is tried, and taken back.
    host.shell(
        "chattr -i source/fixed; echo other >source/fixed; echo other >source/cap; chattr +i source/fixed",
    )
    .run();
    host.program("habackup")
        .args(["--restore", "--yes"])
        .status(4)
        .stderr_contains("source/fixed: is immutable here")
        .run();
    host.shell("chattr -i source/fixed").run();
    host.program("habackup").args(["--restore", "--yes"]).any_stdout().run();
    host.shell("getcap source/cap").stdout("source/cap cap_net_raw=ep\n").run();
    host.shell("umount source").run();
}

/// Each kind of thing, removed after the snapshot, comes back as it was in all that can be asked of it.
#[test]
fn every_kind_of_thing_is_restored_as_it_was() {
    let tools = ["setcap", "setfacl", "getfacl", "setfattr", "getfattr"].map(Need::Program);
    if !ready() || !real::require(&DISK_NEEDS) || !real::require(&tools) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["mkfifo", "mknod", "ln", "setcap", "setfacl", "getfacl", "setfattr", "getfattr", "cp"]);
    bed.tools(&["chown", "chmod", "touch", "mkdir", "find", "sort", "rm", "truncate", "printf", "stat"]);
    let disk = Disk::ext4(&bed, 64);
    let host = holder(&bed, "ec1");
    host.shell(&format!("mount {} source", disk.device().display())).run();
    host.shell(
        "cd source; mkdir -p deep/er empty shut; : >none; echo 1 >deep/one; ln deep/one deep/er/same; ln deep/one again; \
         ln -s ../nowhere deep/dangling; ln -s . loop; mkfifo -m 620 pipe; mknod null c 1 3; mknod disk b 7 99; chmod 600 null disk; \
         truncate -s 9M holes; echo end >>holes; echo 2 >cap; setcap cap_net_raw+ep cap; echo 3 >lends; chown 7:8 lends; \
         chmod 6751 lends; echo 4 >acl; setfacl -m u:3:rw,g:4:r acl; setfacl -d -m u:5:rwx deep; setfattr -n user.note -v kept acl; \
         setfattr -n trusted.note -v ours deep/er; setfattr -h -n trusted.link -v ours loop; echo 5 >shut/in; chmod 0 shut/in shut; \
         chmod 1777 empty; touch -h -d '1931-02-03 04:05:06.123456789' deep/dangling cap acl lends; printf x >\"$(printf 'a\\nb\\377')\"",
    )
    .run();
    let picture = || {
        let line = "cd source; find . ! -name lost+found -printf '%P|%y|%m|%U:%G|%n|%l|' -exec stat -c '%s %t:%T' {} \\; | sort; \
                    find . ! -type d ! -name lost+found -printf '%P|%T@\\n' | sort; getfacl -nR . ; getfattr -hR -d -m - -e hex . | cat";
        let said = host.shell(line).any_stdout().any_stderr().run().stdout;
        // How large a folder is depends on what was in it before.
        let is_folder = |line: &&str| !line.contains("|d|");
        let folders: Vec<&str> = said.lines().filter(|line| !is_folder(line)).collect();
        let folders =
            folders.iter().filter_map(|line| line.rsplit_once('|')).map(|(facts, _)| facts.to_owned());
        let rest = said.lines().filter(is_folder).map(str::to_owned);
        folders.chain(rest).collect::<Vec<_>>()
    };
    let before = picture();
    host.program("habackup").stdout("Backup complete.\n").run();
    // A socket is written down and skipped with a word: it ends with its program.
    let _ear = std::os::unix::net::UnixListener::bind(bed.path("ear")).unwrap();
    host.shell("cp -a ear source/").run();
    host.program("habackup").arg("-v").any_stdout().stderr_contains("source/ear: left out: a socket").run();
    assert!(manifest(&bed)["entries"].as_array().unwrap().iter().any(|entry| entry["type"] == "socket"));
    host.shell("cd source; chmod 700 shut; rm -rf deep empty shut none again loop pipe null disk holes cap lends acl ear a*b*").run();
    host.program("habackup").args(["--restore", "--yes"]).any_stdout().goes_well().run();
    let after = picture();
    let differs: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert!(differs.is_empty() && before.len() == after.len(), "{differs:#?}\n{before:#?}");
    let blocks = host.shell("stat -c %b source/holes").any_stdout().run().stdout;
    assert!(blocks.trim().parse::<u64>().unwrap() < 100, "{blocks} blocks of holes");
    host.shell("umount source").run();
}
