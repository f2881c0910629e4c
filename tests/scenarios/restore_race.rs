//! Restores into directories that belong to users: their owner may exchange what is in them at any moment, and
//! gains nothing by it, and stops nothing.

use crate::pair::{Asset, Pair};
use crate::snapshot::{configure, holder, ready};
use bed::loopfs::{DISK_NEEDS, Disk, Host};
use bed::{Bed, Need, real};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

const USER: u32 = 54321;

/// A host with a snapshot of `source/home`, which belongs to a user.
fn with_home<'a>(bed: &'a Bed, line: &str) -> Host<'a> {
    configure(bed, "");
    bed.tools(&["strace", "mv", "chmod", "chown", "grep", "mkdir", "rm", "ln", "chattr", "ls", "stat"]);
    let host = holder(bed, "ec1");
    fs::create_dir(bed.path("source/home")).unwrap();
    host.shell(&format!("cd source/home; {line}; chown -Rh {USER}:{USER} .")).run();
    host.program("habackup").arg("-q").run();
    host
}

/// What a run said to people, without the place of this bed.
fn said(bed: &Bed, ended: &bed::Ended) -> String {
    ended.stderr.replace(&bed.root().display().to_string(), "[ROOT]")
}

/// Runs a restore and, when all that it overwrites is saved and nothing is applied, this line.
fn amid_restore(host: &Host<'_>, line: &str) -> bed::Ended {
    host.shell(&format!(
        "strace -f -o trace -e trace=syncfs -e inject=syncfs:delay_enter=1500000 habackup --restore --yes -q & restore=$!; \
         until grep -qs '\"complete\":true' state/restores/*/manifest.json; do sleep 0.02; done; \
         cd source/home; {line}; wait $restore",
    ))
    .any_status()
    .any_stdout()
    .any_stderr()
    .run()
}

fn possible() -> bool {
    ready() && real::require(&[Need::Program("strace")])
}

/// A restore that was to change the mode of the user's file changed owner and mode of root's file, which the
/// user had meanwhile renamed over it.
#[test]
fn a_file_that_is_put_in_the_place_of_another_is_not_given_away() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let host = with_home(&bed, "echo mine >f; echo other >g; mkdir d; echo in >d/in");
    host.shell("cd source/home; chmod 600 f; chmod 700 d; echo secret >roots; chmod 600 roots; mkdir R; chmod 700 R; echo x >R/in").run();
    let ended = amid_restore(&host, "mv roots f; mv d elsewhere; mv R d");
    let home = bed.path("source/home");
    let f = fs::metadata(home.join("f")).unwrap();
    assert_eq!((f.uid(), bed.read("source/home/f").as_str()), (USER, "mine\n"), "{}", ended.stderr);
    let d = fs::metadata(home.join("d")).unwrap();
    assert_eq!((d.uid(), d.mode() & 0o7777), (0, 0o700), "root's directory is left alone: {}", ended.stderr);
    assert_eq!(bed.read("source/home/d/in"), "x\n");
    // It is named, and stopped nothing.
    let said = said(&bed, &ended);
    assert!(said.contains("left [ROOT]/source/home/d: was exchanged while it was restored"), "{said}");
    assert_eq!(ended.status, 1);
}

/// What is made is made where the user cannot reach it: he exchanged it before it got its owner, and a directory
/// of the name that it was made under stopped every restore.
#[test]
fn nothing_is_made_where_a_user_can_exchange_it_or_take_its_name() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let host = with_home(&bed, "echo mine >f; mkdir d; echo in >d/in");
    host.shell("cd source/home; rm -r f d; mkdir .orderly-restore; echo x >.orderly-restore/x").run();
    let line = "strace -f -o trace -e trace=fchownat -e inject=fchownat:delay_enter=300000 habackup --restore --yes -q & restore=$!; \
                while kill -0 $restore 2>/dev/null; do ls -A source/home >>seen; sleep 0.02; done; wait $restore";
    host.shell(line).run();
    let seen = bed.read("seen");
    let strange: Vec<&str> =
        seen.lines().filter(|name| !matches!(*name, ".orderly-restore" | "f" | "d")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(fs::metadata(bed.path("source/home/d/in")).unwrap().uid(), USER);
    let left = host.shell("ls -A source state/restores/2*").any_stdout().run().stdout;
    assert!(!left.contains("orderly-restore") && !left.contains("workshops"), "{left}");
}

/// A user stopped every restore, and with it every takeover, by another type of thing in the place of a file.
#[test]
fn something_else_in_the_place_of_an_entry_is_left_and_named_and_stops_nothing() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let host = with_home(&bed, "echo one >f; mkdir -p d/e; echo two >d/e/in; echo three >d/g; echo four >h");
    let home = bed.path("source/home");
    host.shell("cd source/home; rm -r f d h; mkdir f; ln -s /etc d").run();
    for path in ["f", "d"] {
        std::os::unix::fs::lchown(home.join(path), Some(USER), Some(USER)).unwrap();
    }
    let ended = host.program("habackup").args(["--restore", "--yes", "-q"]).status(1).any_stderr().run();
    let said = said(&bed, &ended);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "habackup: left [ROOT]/source/home/d: is a symbolic link here and a directory in the snapshot; move it away \
             and restore it again (with 3 entries below it)",
            "habackup: left [ROOT]/source/home/f: is a directory here and a file in the snapshot; move it away and \
             restore it again"
        ]
    );
    assert_eq!(bed.read("source/home/h"), "four\n");
    let json =
        host.program("habackup").args(["--restore", "--yes", "--json"]).status(1).any_stderr().any_stdout();
    let report: serde_json::Value = serde_json::from_str(json.run().stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&report["left"], &report["status"]), (&5.into(), &"failed".into()));
    // The undo leaves alone what is there now, and takes away what it made.
    host.program("habackup").args(["--undo", "--yes"]).any_stdout().run();
    assert!(!home.join("h").exists() && home.join("f").is_dir());
    // And where the place of what it made was taken since, it names that.
    host.program("habackup").args(["--restore", "--yes", "-q"]).status(1).any_stderr().run();
    fs::remove_file(home.join("h")).unwrap();
    fs::write(home.join("h"), "root's own\n").unwrap();
    host.program("habackup").args(["--undo", "--yes"]).any_stdout().stderr_contains("home/h stays").run();
    assert_eq!(bed.read("source/home/h"), "root's own\n");
}

/// A directory of root's that a user puts in the place of his own is not given to him with all that is in it.
#[test]
fn a_directory_that_a_user_put_in_place_is_not_given_to_him() {
    if !possible() {
        return;
    }
    let bed = Bed::new();
    let host = with_home(&bed, "mkdir d; echo in >d/in; echo f >f");
    host.shell("cd source/home; rm -r f d; mkdir d; echo root >d/roots; chmod 700 d").run();
    let ended = host.program("habackup").args(["--restore", "--yes", "-q"]).status(1).any_stderr().run();
    let said = said(&bed, &ended);
    assert!(said.contains("left [ROOT]/source/home/d: belongs to 0:0 here"), "{said}");
    let d = fs::metadata(bed.path("source/home/d")).unwrap();
    assert_eq!((d.uid(), d.mode() & 0o7777), (0, 0o700));
    assert!(!bed.path("source/home/d/in").exists());
    assert_eq!(fs::metadata(bed.path("source/home/f")).unwrap().uid(), USER);
    // In a directory of root's own nobody but root can have done it: there the owner is brought back.
    let top = bed.path("source/home");
    chown(&top, Some(0), Some(0)).unwrap();
    host.program("habackup").args(["--restore", "--yes", "-q"]).run();
    assert_eq!(fs::metadata(bed.path("source/home/d/in")).unwrap().uid(), USER);
}

/// An immutable or append-only directory ended a restore half-way, with 5 and left-overs.
#[test]
fn a_directory_in_which_nothing_can_be_made_is_found_before_anything_is_touched() {
    if !possible() || !real::require(&DISK_NEEDS) || !real::require(&[Need::Program("chattr")]) {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["chattr", "mkdir", "rm", "ls"]);
    let disk = Disk::ext4(&bed, 64);
    let host = holder(&bed, "ec1");
    host.shell(&format!("mount {} source", disk.device().display())).run();
    host.shell("cd source; mkdir a b; echo 1 >a/one; echo 2 >a/two; echo 3 >b/three; echo 4 >four").run();
    host.program("habackup").arg("-q").goes_well().run();
    for flag in ["i", "a"] {
        host.shell(&format!("cd source; rm -f a/one a/two four; echo other >b/three; chattr +{flag} a b"))
            .run();
        let ended = host.program("habackup").args(["--restore", "--yes", "-q"]).status(4).any_stderr().run();
        let why = "is immutable or append-only here; chattr -ia it";
        let expected =
            format!("habackup: refused: [ROOT]/source/a: {why}\nhabackup: [ROOT]/source/b: {why}\n");
        assert_eq!(said(&bed, &ended), expected, "one line a directory");
        assert!(!host.shell("ls source").any_stdout().run().stdout.contains("four"), "nothing was touched");
        host.shell("cd source; chattr -ia a b").run();
        host.program("habackup").args(["--restore", "--yes", "-q"]).run();
    }
    host.shell("rm source/four; mount -o remount,ro source").run();
    let ended = host.program("habackup").args(["--restore", "--yes", "-q"]).status(4);
    ended.stderr_contains("lies on a file system that is mounted read-only; remount it").run();
    host.shell("umount source").run();
}

/// The same amid a hand-over: a user's directory in the place of a file stopped the takeover.
#[test]
fn something_else_in_the_place_of_an_entry_stops_no_takeover() {
    if !crate::pair::possible() {
        return;
    }
    let bed = Bed::new();
    let pair = Pair::new(&bed, &Asset::Whole);
    pair.released(1);
    fs::remove_file(bed.path("outside.2/file")).unwrap();
    fs::create_dir(bed.path("outside.2/file")).unwrap();
    let record = pair.record(1);
    let takeover = pair.takeover(2).arg("--record").arg(record);
    let said = takeover.any_stdout().stderr_contains("restore: done but 1: ").run();
    assert_eq!(said.status, 0);
    assert!(bed.path("outside.2/file").is_dir());
}
