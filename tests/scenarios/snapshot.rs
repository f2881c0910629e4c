//! habackup takes snapshots: what is in them, when it refuses, what survives a kill at any system call.

use bed::loopfs::{HOST_NEEDS, Host};
use bed::{Bed, Need, real};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The tools that the scenarios' shell lines use.
const TOOLS: &[&str] = &["mount", "umount", "cat", "true", "sleep"];

/// Writes `ha.toml` for an asset that is bind mounted at `asset`, and makes the sources.
pub(crate) fn configure(bed: &Bed, more: &str) {
    bed.tools(TOOLS);
    for folder in ["shared", "asset", "source/deep/er"] {
        fs::create_dir_all(bed.path(folder)).unwrap();
    }
    let root = bed.root().display();
    bed.config(
        "ha.toml",
        format!(
            r#"
[[host]]
name = "ec1"
[[host]]
name = "ec2"
[asset]
kind = "bind"
source = "{root}/shared"
[[asset.mount]]
at = "{root}/asset"
[[service]]
name = "controller"
status = ["cat", "{root}/controller"]
stop = ["true"]
start = ["true"]
[backup]
directory = "{root}/asset/habackup"
include = ["{root}/source"]
optional = ["{root}/perhaps"]
exclude = ["*.pid"]
{more}
"#
        ),
    );
    bed.write("controller", "online\n");
}

/// Returns a host that holds the asset.
pub(crate) fn holder<'a>(bed: &'a Bed, name: &str) -> Host<'a> {
    let host = Host::new(bed, name);
    host.shell("mount --bind shared asset").run();
    host
}

/// Returns the published snapshots, oldest first, as they lie on the disk.
pub(crate) fn snapshots(bed: &Bed) -> Vec<PathBuf> {
    let Ok(list) = fs::read_dir(bed.path("shared/habackup")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = list.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("20"));
    found.sort();
    found
}

/// Returns their names, which are their IDs.
pub(crate) fn ids(bed: &Bed) -> Vec<String> {
    let names = snapshots(bed).into_iter();
    names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Returns where a source's copy stands in a snapshot.
pub(crate) fn copy_of(bed: &Bed, snapshot: &Path, below: &str) -> PathBuf {
    let source = bed.path("source").join(below);
    snapshot.join("tree").join(source.strip_prefix("/").unwrap())
}

pub(crate) fn ready() -> bool {
    real::require(&HOST_NEEDS)
}

#[test]
fn a_snapshot_has_everything_the_source_has() {
    if !ready()
        || !real::require(&[Need::Program("setfacl"), Need::Program("setfattr"), Need::Program("getfattr")])
    {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["setfacl", "setfattr", "getfattr", "mkfifo", "chown", "chmod", "touch", "ln"]);
    let host = holder(&bed, "ec1");
    bed.write("source/plain", "one\n");
    bed.write("source/deep/er/twice", "two\n");
    bed.write("source/left.pid", "1");
    symlink("../nowhere", bed.path("source/deep/link")).unwrap();
    let sparse = fs::File::create(bed.path("source/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    host.shell(
        "cd source && ln deep/er/twice twice && mkfifo -m 640 fifo && chown 1:2 plain && chmod 6751 plain && \
         setfattr -n user.note -v kept plain && setfacl -m u:3:r plain && touch -d '2001-02-03 04:05:06.123456789' plain && \
         chmod 1750 deep",
    )
    .run();
    host.program("habackup").stdout("Backup complete.\n").run();

    let taken = snapshots(&bed).remove(0);
    assert_eq!(
        fs::read_link(bed.path("shared/habackup/latest")).unwrap().as_os_str(),
        taken.file_name().unwrap()
    );
    assert_eq!(fs::metadata(bed.path("shared/habackup")).unwrap().mode() & 0o7777, 0o700);
    let (copy, source) = (|below| copy_of(&bed, &taken, below), |below: &str| bed.path("source").join(below));
    for below in ["plain", "deep", "deep/link", "deep/er/twice", "twice", "sparse", "fifo"] {
        let (a, b) =
            (fs::symlink_metadata(copy(below)).unwrap(), fs::symlink_metadata(source(below)).unwrap());
        let facts = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
        assert_eq!(facts(&a), facts(&b), "{below}");
    }
    assert_eq!(
        fs::metadata(copy("twice")).unwrap().ino(),
        fs::metadata(copy("deep/er/twice")).unwrap().ino()
    );
    assert!(fs::metadata(copy("sparse")).unwrap().blocks() < 1000);
    assert!(!copy("left.pid").exists());
    let attributes = |path: PathBuf| {
        let line = format!("getfattr --absolute-names -d -m - -e hex {} | cat", path.display());
        let said = host.shell(&line).any_stdout().run().stdout;
        said.lines().skip(1).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let attributes = (attributes(copy("plain")), attributes(source("plain")));
    assert!(attributes.1.len() > 1, "{attributes:?}");
    assert_eq!(attributes.0, attributes.1);

    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(taken.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["format"], "orderly-snapshot/1");
    assert_eq!((&manifest["host"], &manifest["complete"]), (&"ec1".into(), &true.into()));
    let entry = |below: &str| {
        let path = source(below).display().to_string();
        manifest["entries"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["path"] == path.as_str())
            .unwrap()
            .clone()
    };
    assert_eq!((&entry("plain")["mode"], &entry("plain")["user"]), (&"6751".into(), &"daemon".into()));
    assert_eq!(entry("plain")["mtime_ns"].as_u64().unwrap() % 1_000_000_000, 123_456_789);
    assert_eq!(entry("twice")["link_group"], entry("deep/er/twice")["link_group"]);
    host.program("habackup").arg("--verify").stdout_contains("is sound").run();
}

/// rsnapshot and Time Machine look-alikes give old snapshots the new mode, since inodes are shared.
#[test]
fn unchanged_files_are_shared_and_old_snapshots_never_change() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["chmod"]);
    let host = holder(&bed, "ec1");
    for name in ["same", "content", "mode"] {
        bed.write(Path::new("source").join(name), "first\n");
    }
    host.program("habackup").arg("-q").run();
    bed.write("source/content", "second\n");
    fs::set_permissions(bed.path("source/mode"), fs::Permissions::from_mode(0o600)).unwrap();
    host.program("habackup").arg("-q").run();
    let [first, second] = snapshots(&bed).try_into().unwrap();
    let inode = |snapshot: &PathBuf, below| fs::metadata(copy_of(&bed, snapshot, below)).unwrap().ino();
    assert_eq!(inode(&first, "same"), inode(&second, "same"));
    assert_ne!(inode(&first, "content"), inode(&second, "content"));
    assert_ne!(inode(&first, "mode"), inode(&second, "mode"));
    assert_eq!(fs::read(copy_of(&bed, &first, "content")).unwrap(), b"first\n");
    assert_eq!(fs::metadata(copy_of(&bed, &first, "mode")).unwrap().mode() & 0o777, 0o644);
    for snapshot in [first, second] {
        host.program("habackup").arg("--verify").arg(snapshot.file_name().unwrap()).any_stdout().run();
    }
}

#[test]
fn a_run_that_finds_no_change_reads_no_file() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tool("strace");
    let host = holder(&bed, "ec1");
    for number in 0..50 {
        bed.write(format!("source/deep/marked-{number}"), "x");
    }
    // File times count in steps; a file is trusted once it is older than such a step.
    host.shell("sleep 2.1").run();
    let opened = || -> Vec<String> {
        host.shell("strace -f -e trace=openat,openat2,open -o trace habackup -q").run();
        bed.read("trace").lines().filter(|line| line.contains("marked-")).map(str::to_owned).collect()
    };
    // The first run reads them all, so what is looked for would be seen.
    assert!(opened().len() >= 50, "{:?}", opened());
    assert_eq!(opened(), Vec::<String>::new());
    let manifest = fs::read(snapshots(&bed)[1].join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!((&manifest["totals"]["linked"], &manifest["totals"]["copied"]), (&50.into(), &0.into()));
}

#[test]
fn what_cannot_be_read_is_named_and_the_snapshot_is_kept_apart() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "keep = 1");
    let host = holder(&bed, "ec1");
    bed.write("source/fine", "1");
    host.program("habackup").stdout("Backup complete.\n").run();
    let text = bed
        .read("etc/ha.toml")
        .replace("include = [", &format!("include = [\"{}/gone\", ", bed.root().display()));
    bed.config("ha.toml", text);
    for _ in 0..2 {
        host.program("habackup")
            .status(1)
            .stderr_contains("/gone: No such file")
            .stderr_contains(".incomplete")
            .run();
        let names = ids(&bed);
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[1].ends_with(".incomplete"));
        assert_eq!(
            fs::read_link(bed.path("shared/habackup/latest")).unwrap().to_str(),
            Some(names[0].as_str())
        );
    }
    host.program("habackup").args(["--check", "--max-age", "0"]).status(1).stderr_contains("stale").run();
}

#[test]
fn no_source_at_all_is_rejected_and_leaves_nothing() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    fs::remove_dir_all(bed.path("source")).unwrap();
    host.program("habackup").status(3).stderr_contains("/source: No such file").run();
    assert!(!bed.path("shared/habackup").exists());
}

#[test]
fn a_snapshot_is_refused_where_it_would_do_harm() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.write("source/a", "1");
    let other = Host::new(&bed, "ec2");
    // The asset is not here: the bare mountpoint must stay empty.
    other.program("habackup").status(4).stderr_contains("refused").run();
    other.program("habackup").args(["-q", "--if-held"]).run();
    assert_eq!(fs::read_dir(bed.path("asset")).unwrap().count(), 0);

    let host = holder(&bed, "ec1");
    bed.write("controller", "offline\n");
    host.program("habackup").status(4).stderr_contains("controller is down").run();
    bed.write("controller", "who knows\n");
    host.program("habackup").status(4).stderr_contains("controller is unknown").run();
    // Unknown is not "not held": a monitoring that falls silent is none.
    host.program("habackup").args(["-q", "--if-held"]).status(4).stderr_contains("controller").run();
    bed.write("controller", "online\n");
    assert!(snapshots(&bed).is_empty());

    bed.tool("flock");
    host.shell("flock state/ha.lock habackup").status(4).stderr_contains("another run holds").run();
    host.program("habackup").args(["-q", "--if-held"]).run();
    assert_eq!(snapshots(&bed).len(), 1);
}

#[test]
fn a_dry_run_and_wrong_words_touch_nothing() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    host.program("habackup").arg("-n").stdout_contains("would copy").run();
    host.program("habackup").arg("extra").status(2).stderr_contains("without operands").run();
    host.program("habackup").args(["--list", "--verify"]).status(2).any_stderr().run();
    host.program("habackup").args(["--config", "nowhere"]).status(3).stderr_contains("nowhere").run();
    assert!(!bed.path("shared/habackup").exists());
}

#[test]
fn mounts_below_a_source_and_the_snapshots_themselves_are_left_out() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    fs::create_dir_all(bed.path("source/mounted")).unwrap();
    fs::create_dir_all(bed.path("elsewhere/inner")).unwrap();
    host.shell("mount --bind elsewhere source/mounted").run();
    host.program("habackup")
        .arg("-v")
        .any_stdout()
        .stderr_contains("source/mounted: left out: something else is mounted")
        .run();
    assert!(!copy_of(&bed, &snapshots(&bed)[0], "mounted").exists());
}

/// A signal ends the run with nothing published and nothing left behind, also amid one large file.
#[test]
fn an_interrupted_run_publishes_nothing_and_leaves_nothing() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["ls", "strace"]);
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    host.program("habackup").arg("-q").run();
    // Large, and slowly read.
    bed.write("source/endless", vec![b'x'; 64 << 20]);
    let before = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    let root = bed.root().display();
    host.shell(&format!(
        "strace -f -o /dev/null -e trace=read -e inject=read:delay_enter=50000 habackup & tracer=$!; \
         until ls shared/habackup/.staging*/tree{root}/source/endless >/dev/null 2>&1; do sleep 0.05; done; \
         staging=$(echo shared/habackup/.staging-*); kill -TERM ${{staging##*-}}; wait $tracer",
    ))
    .status(143)
    .stderr_contains("interrupted by SIGTERM")
    .run();
    assert_eq!(host.shell("ls -A shared/habackup").any_stdout().run().stdout, before);
}

/// ha-release holds the lock while it runs habackup, and passes it on.
#[test]
fn a_lock_that_is_passed_down_is_joined() {
    if !ready() || !real::require(&[Need::Program("flock")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tool("flock");
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    host.shell("exec 9<>state/ha.lock && flock 9 && ORDERLY_LOCK_FD=9 habackup -q").run();
    assert_eq!(snapshots(&bed).len(), 1);
}

/// A log that is written to all the time must neither stop the snapshot nor pass for a settled copy.
#[test]
fn a_file_that_keeps_changing_is_copied_and_marked() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["strace", "touch"]);
    let host = holder(&bed, "ec1");
    bed.write("source/log", vec![b'x'; 400_000]);
    bed.write("source/still", "1");
    // Every read of it takes a while, in which it is written to.
    let log = bed.path("source/log").display().to_string();
    host.shell(&format!(
        "(while :; do echo y >>source/log; done) & writer=$!; \
         strace -f -o /dev/null -P {log} -e trace=read -e inject=read:delay_exit=400000 habackup; \
         status=$?; kill $writer; exit $status",
    ))
    .stdout("Backup complete.\n")
    .stderr_contains("source/log: changed each time it was read")
    .run();
    let taken = snapshots(&bed).remove(0);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(taken.join("manifest.json")).unwrap()).unwrap();
    let changed: Vec<&str> = manifest["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["changed"] == true)
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(changed, [bed.path("source/log").to_str().unwrap()]);
    assert_eq!(manifest["totals"]["changed"], 1);
    // What was copied is what the manifest says, torn or not.
    host.program("habackup").arg("--verify").any_stdout().run();
}
