//! Snapshots that were copied off the asset: the shipped example copies them by rsync, and a host that has lost the asset
//! reads and restores the copy. One that was cut is named, and never restored as whole.

use crate::snapshot::{configure, holder, ids, ready};
use bed::loopfs::Host;
use bed::{Bed, Need, binaries, real};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn rsync() -> bool {
    ready() && real::require(&[Need::Program("rsync")])
}

/// Makes a host that holds the asset, with sources, and copies its snapshots to `copy` by the shipped example.
fn site(bed: &Bed) -> Host<'_> {
    let root = bed.root().display();
    configure(bed, &format!("keep = 9\nafter = [[\"{root}/tools/copy-store\", \"{root}/copy\"]]"));
    bed.tools(&["rsync", "sh", "strace", "cp", "rm", "umount", "ls"]);
    fs::copy(binaries::workspace().join("examples/offsite/copy-store"), bed.path("tools/copy-store"))
        .unwrap();
    for number in 0..6 {
        bed.write(format!("source/deep/{number}"), number.to_string().repeat(2000));
    }
    fs::hard_link(bed.path("source/deep/1"), bed.path("source/deep/er/1")).unwrap();
    symlink("deep/1", bed.path("source/link")).unwrap();
    holder(bed, "ec1")
}

/// Restores the copy below `out`; tells the status, what was said, and which files were restored.
fn restore(bed: &Bed, host: &Host<'_>, copy: &str, more: &[&str]) -> (i32, String, Vec<PathBuf>) {
    let out = bed.path("out");
    fs::remove_dir_all(&out).ok();
    fs::create_dir(&out).unwrap();
    let restore = host.program("habackup").args(["--restore", "--store"]).arg(bed.path(copy));
    let ended = restore.args(["--yes", "-q", "--into"]).arg(&out).args(more).any_status().any_stderr().run();
    (ended.status, ended.stderr, files(&out))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.symlink_metadata().unwrap().is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found
}

/// With the asset the snapshots were lost, too: nothing read a store that lies elsewhere.
#[test]
fn a_host_that_lost_the_asset_reads_and_restores_the_copy() {
    if !rsync() {
        return;
    }
    let bed = Bed::new();
    let host = site(&bed);
    host.program("habackup").stdout("Backup complete.\n").run();
    bed.write("source/deep/1", "changed");
    host.program("habackup").stdout("Backup complete.\n").run();
    let ids = ids(&bed);
    let inode = |id: &str| {
        let file =
            bed.path(format!("copy/{id}/tree")).join(bed.path("source/deep/2").strip_prefix("/").unwrap());
        fs::metadata(file).unwrap().ino()
    };
    assert_eq!(inode(&ids[0]), inode(&ids[1]), "what snapshots share is shared in the copy");
    host.shell("umount asset && rm -rf shared").run();

    let copy = bed.path("copy").display().to_string();
    let look = |words: &[&str]| host.program("habackup").args(words).args(["--store", &copy]);
    look(&["--list"]).any_stdout().stdout_contains("[SNAPSHOT]  ec1  7 files").run();
    look(&["--verify"]).any_stdout().stdout_contains("[SNAPSHOT] is sound").run();
    look(&["--diff"]).any_stdout().stdout_contains("updated [ROOT]/source/deep/1 (contents").run();
    look(&["--find", "er"]).any_stdout().stdout_contains("  2 snapshots  ec1  there  directory").run();
    let (status, said, restored) = restore(&bed, &host, "copy", &[]);
    assert_eq!((status, restored.len()), (0, 8), "{said}");
    // Without -q it says what could not be compared.
    let said = host.program("habackup").args(["--restore", "-n", "--store", &copy]).any_stdout();
    said.stderr_contains("is not held here, so whether [SNAPSHOT] is of the same one is not compared").run();
    // Of a pair that is not this one nothing is restored.
    let text = bed.read("etc/ha.toml");
    bed.config("ha.toml", text.replace("\"ec1\"", "\"other\"").replace("\"ec2\"", "\"another\""));
    let other =
        host.program("habackup").args(["--restore", "-n", "--store", &copy]).env("ORDERLY_HOST", "other");
    other.status(4).stderr_contains("is of another asset: ec1 made it").run();
    // A host that lost everything has no configuration either.
    fs::remove_file(bed.path("etc/ha.toml")).unwrap();
    look(&["--list"]).any_stdout().run();
    let (status, said, restored) = restore(&bed, &host, "copy", &[&ids[0]]);
    assert_eq!((status, restored.len()), (0, 8), "{said}");
    host.program("habackup")
        .args(["--restore", "--yes", "--store", &copy])
        .any_stdout()
        .stderr_contains("there is no ha.toml here to compare with")
        .run();
    host.program("habackup")
        .args(["--undo", "--yes", "--config"])
        .arg({
            bed.config("ha.toml", text);
            bed.path("etc/ha.toml")
        })
        .any_stdout()
        .goes_well()
        .run();

    for (words, why) in [
        (&["--store", &copy][..], "--store is for"),
        (&["--store", &copy, "--check"], "cannot be used with"),
        (&["--store", &copy, "--pin", &ids[0]], "cannot be used with"),
    ] {
        host.program("habackup").args(words).status(2).stderr_contains(why).run();
    }
    fs::set_permissions(bed.path("copy"), fs::Permissions::from_mode(0o777)).unwrap();
    look(&["--list"]).status(4).stderr_contains("others can write to it; chmod go-w").run();
}

/// A restore from a copy is not what a takeover owes, and its undo takes nothing back that was restored from the asset.
#[test]
fn a_restore_from_a_copy_pays_nothing_that_is_owed() {
    if !rsync() {
        return;
    }
    let bed = Bed::new();
    let host = site(&bed);
    host.program("habackup").arg("-q").run();
    let ledger = || {
        let names = fs::read_dir(bed.path("state")).unwrap().map(|entry| entry.unwrap().path());
        let mut texts: Vec<(PathBuf, String)> = names
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect();
        texts.sort();
        texts
    };
    let before = ledger();
    bed.write("source/deep/3", "lost");
    let copy = bed.path("copy").display().to_string();
    host.program("habackup").args(["--restore", "--yes", "-q", "--store", &copy]).run();
    assert_eq!(bed.read("source/deep/3"), "3".repeat(2000));
    assert_eq!(ledger(), before);
    host.program("habackup").args(["--undo", "--yes", "-q"]).goes_well().run();
    assert_eq!(bed.read("source/deep/3"), "lost");
    assert_eq!(ledger(), before);
}

/// Every way in which a copy can have been cut: a file is missing, a manifest is half, `latest` is missing or leads on.
#[test]
fn a_copy_that_was_cut_is_named_and_never_restored_as_whole() {
    if !rsync() {
        return;
    }
    let bed = Bed::new();
    let host = site(&bed);
    for _ in 0..2 {
        host.program("habackup").arg("-q").run();
    }
    let newest = ids(&bed).remove(1);
    let whole = restore(&bed, &host, "copy", &[]);
    assert_eq!((whole.0, whole.2.len()), (0, 8), "{}", whole.1);
    let tree = format!("cut/{newest}");
    let manifest = bed.read(format!("copy/{newest}/manifest.json"));
    let inner = files(&bed.path(format!("copy/{newest}/tree")));
    assert_eq!(inner.len(), 8);
    let mut cuts: Vec<(String, Box<dyn Fn() + '_>)> = Vec::new();
    for file in &inner {
        let below = file.strip_prefix(bed.path("copy")).unwrap().to_owned();
        let cut = bed.path("cut").join(&below);
        cuts.push((
            format!("without {}", below.display()),
            Box::new({
                let cut = cut.clone();
                move || fs::remove_file(&cut).unwrap()
            }),
        ));
        if file.symlink_metadata().unwrap().is_file() {
            // Its shared copy is not to be changed: a new file stands in its place.
            cuts.push((
                format!("half of {}", below.display()),
                Box::new(move || {
                    let text = fs::read(&cut).unwrap();
                    fs::remove_file(&cut).unwrap();
                    fs::write(&cut, &text[..text.len() / 2]).unwrap();
                }),
            ));
        }
    }
    for end in (0..manifest.len()).step_by((manifest.len() / 12).max(1)) {
        let (path, text) = (bed.path(&tree).join("manifest.json"), &manifest[..end]);
        cuts.push((
            format!("a manifest of {end} bytes"),
            Box::new(move || {
                fs::remove_file(&path).unwrap();
                fs::write(&path, text).unwrap();
            }),
        ));
    }
    let at = |name: &str| bed.path("cut").join(name);
    cuts.push((
        "no manifest".into(),
        Box::new(|| fs::remove_file(bed.path(&tree).join("manifest.json")).unwrap()),
    ));
    cuts.push(("no tree".into(), Box::new(|| fs::remove_dir_all(bed.path(&tree).join("tree")).unwrap())));
    cuts.push(("no latest".into(), Box::new(|| fs::remove_file(at("latest")).unwrap())));
    cuts.push(("no newest".into(), Box::new(|| fs::remove_dir_all(at(&newest)).unwrap())));
    let count = cuts.len();
    for (what, cut) in cuts {
        host.shell("rm -rf cut && cp -a copy cut").run();
        cut();
        let (status, said, restored) = restore(&bed, &host, "cut", &[]);
        assert!(
            matches!(status, 1 | 3 | 4) && restored.is_empty() && !said.is_empty(),
            "{what}: {status}: {said} {restored:?}"
        );
        // It is named to who only looks, too: by its directory, or by its files.
        let look = |words: &[&str]| {
            let look = host.program("habackup").args(words).arg("--store").arg(bed.path("cut"));
            look.any_status().any_stdout().any_stderr().run()
        };
        let (listed, verified) = (look(&["--list"]), look(&["--verify", &newest]));
        assert!(listed.status == 1 || verified.status == 1, "{what}: {}{}", listed.stderr, verified.stderr);
        assert!((listed.stderr + &verified.stderr).contains(&newest), "{what}");
    }
    assert!(count > 30, "{count} cuts");
}

/// The shipped example, killed amid the copy of a second snapshot: the next restore is of all or of nothing.
#[test]
fn a_copy_killed_anywhere_is_refused_and_the_next_one_mends_it() {
    if !rsync() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    let host = site(&bed);
    host.program("habackup").arg("-q").run();
    let text = bed.read("etc/ha.toml");
    host.shell("cp -a copy first").run();
    bed.config("ha.toml", text.replace("after = ", "# after = "));
    bed.write("source/deep/2", "second");
    host.program("habackup").arg("-q").run();
    let newest = ids(&bed).remove(1);
    let root = bed.root().display();
    let copy = format!(
        "ORDERLY_BACKUP_DIRECTORY={root}/shared/habackup ORDERLY_BACKUP_STATUS=complete copy-store {root}/cut"
    );
    let (mut refused, mut whole) = (0, 0);
    for (name, step) in [("rename", 1), ("mkdir", 1), ("symlink", 1), ("openat", 20)] {
        for which in (1..).step_by(step) {
            host.shell("rm -rf cut && cp -a first cut").run();
            let line = format!(
                "{} strace -f -o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={which} {}",
                copy.rsplit_once(" copy-store").unwrap().0,
                &copy[copy.find("copy-store").unwrap()..],
            );
            let status = host.shell(&line).any_status().any_stdout().any_stderr().run().status;
            let (restored, said, found) = restore(&bed, &host, "cut", &[]);
            let is_newest = said.is_empty()
                && restored == 0
                && fs::read_link(bed.path("cut/latest")).unwrap().to_string_lossy() == newest;
            match restored {
                0 => {
                    assert_eq!(found.len(), 8, "{name} {which}: {said}");
                    whole += usize::from(is_newest);
                }
                _ => {
                    assert!(found.is_empty(), "{name} {which}: {said} {found:?}");
                    refused += 1;
                }
            }
            if status == 0 {
                break;
            }
        }
    }
    host.shell(&copy).any_stderr().run();
    let (status, said, _) = restore(&bed, &host, "cut", &[]);
    assert_eq!(status, 0, "{said}");
    assert!(refused >= 3 && whole >= 1, "{refused} refused, {whole} whole");
}
