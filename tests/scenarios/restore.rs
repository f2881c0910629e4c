//! habackup --restore and harestore: only with consent, only what is sound, and always to be undone.

use crate::snapshot::{configure, copy_of, holder, snapshots};
use bed::loopfs::{HOST_NEEDS, Host};
use bed::{Bed, real};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

pub(crate) fn ready() -> bool {
    real::require(&HOST_NEEDS)
}

/// By path: kind and mode, owner, time, contents or target.
pub(crate) type Picture = BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)>;

/// Returns everything below a folder.
pub(crate) fn picture(folder: &Path) -> Picture {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let contents = if meta.is_file() {
                fs::read(&path).unwrap()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                folders.push(path.clone());
                Vec::new()
            };
            // A folder's time changes with what is in it; restoring and undoing may both touch that.
            let time = if meta.is_dir() { 0 } else { meta.mtime_nsec() };
            found.insert(path, (meta.mode(), meta.uid(), time, contents));
        }
    }
    found
}

/// Makes a source, a snapshot of it, and then changes the source in every way.
pub(crate) fn changed_since<'a>(bed: &'a Bed) -> Host<'a> {
    configure(bed, "");
    let host = holder(bed, "ec1");
    for name in ["same", "content", "mode", "deep/gone", "deep/er/linked"] {
        bed.write(Path::new("source").join(name), format!("{name} as it was\n"));
    }
    fs::hard_link(bed.path("source/deep/er/linked"), bed.path("source/linked")).unwrap();
    symlink("as-it-was", bed.path("source/link")).unwrap();
    host.program("habackup").arg("-q").run();
    bed.write("source/content", "new\n");
    fs::set_permissions(bed.path("source/mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(bed.path("source/deep/gone")).unwrap();
    fs::remove_file(bed.path("source/linked")).unwrap();
    fs::remove_file(bed.path("source/link")).unwrap();
    symlink("elsewhere", bed.path("source/link")).unwrap();
    bed.write("source/extra", "mine\n");
    host
}

#[test]
fn a_restore_brings_back_what_was_and_an_undo_what_was_overwritten() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    let before = picture(&bed.path("source"));
    let shown = host.program("habackup").args(["--restore", "-n"]).any_stdout().run().stdout;
    for line in [
        "/content (contents, time)",
        "/mode (mode)",
        "new ",
        "/deep/gone",
        "/link (target",
        "extra ",
        "3 updated, 2 new, 1 extra",
    ] {
        assert!(shown.contains(line), "{line}\nin\n{shown}");
    }
    // Nobody to ask, nothing done.
    host.program("habackup").arg("--restore").status(4).any_stdout().stderr_contains("--yes").run();
    assert_eq!(picture(&bed.path("source")), before);

    host.program("habackup").args(["--restore", "--yes"]).stdout_contains("Restore complete").run();
    for name in ["same", "content", "deep/gone", "linked", "deep/er/linked"] {
        let name = name.strip_prefix("./").unwrap_or(name);
        let was = if name == "linked" { "deep/er/linked" } else { name };
        assert_eq!(bed.read(Path::new("source").join(name)), format!("{was} as it was\n"));
    }
    let inode = |name: &str| fs::metadata(bed.path("source").join(name)).unwrap().ino();
    assert_eq!(inode("linked"), inode("deep/er/linked"));
    assert_eq!(bed.read("source/extra"), "mine\n");
    host.program("habackup").args(["--diff", "live"]).stdout_contains("0 updated, 0 new, 1 extra").run();

    host.program("habackup").args(["--undo", "--yes"]).stdout_contains("Undo complete").run();
    assert_eq!(picture(&bed.path("source")), before);
    host.program("habackup").args(["--undo", "--yes"]).status(4).stderr_contains("no restore to undo").run();
}

#[test]
fn only_listed_paths_are_restored_and_nothing_above_them_changes() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    let deep = bed.path("source/deep");
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o711)).unwrap();
    let path = bed.path("source/deep/gone");
    host.program("habackup").args(["--restore", "--yes", "latest"]).arg(&path).any_stdout().run();
    assert!(path.exists());
    assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o777, 0o711);
    assert_eq!(bed.read("source/content"), "new\n");
    let nowhere = bed.path("source/never");
    host.program("habackup")
        .args(["--restore", "--yes"])
        .arg(nowhere)
        .status(2)
        .stderr_contains("is not in the snapshot")
        .run();
}

#[test]
fn a_damaged_snapshot_is_not_restored() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    let copy = copy_of(&bed, &snapshots(&bed)[0], "content");
    let meta = fs::metadata(&copy).unwrap();
    fs::write(&copy, "content as it waS\n").unwrap();
    assert_eq!(fs::metadata(&copy).unwrap().len(), meta.len());
    host.program("habackup")
        .arg("--verify")
        .status(1)
        .stderr_contains("its contents are not what was copied")
        .stderr_contains("damaged")
        .run();
    host.program("habackup").args(["--restore", "--yes"]).status(3).stderr_contains("damaged").run();
    assert_eq!(bed.read("source/content"), "new\n");
    // A manifest that somebody edited is no manifest.
    let manifest = snapshots(&bed)[0].join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"0644\"", "\"4755\"")).unwrap();
    host.program("habackup").args(["--restore", "--yes"]).status(3).stderr_contains("checksum").run();
    host.program("habackup").arg("--list").status(1).stderr_contains("checksum").run();
    // Monitoring was told that all is well.
    host.program("habackup")
        .arg("--check")
        .status(1)
        .stderr_contains("stale: the newest whole one cannot")
        .run();
    for cut in [0, 1, text.len() / 2, text.len() - 1] {
        fs::write(&manifest, &text[..cut]).unwrap();
        host.program("habackup").arg("--verify").status(1).stderr_contains("manifest.json: line ").run();
        host.program("habackup").args(["--restore", "--yes"]).status(3).stderr_contains("line ").run();
        host.program("habackup").arg("--check").status(1).stderr_contains("line ").run();
    }
    // That of another snapshot is not this one's.
    fs::write(&manifest, &text).unwrap();
    let other = manifest.parent().unwrap().with_file_name("2026-01-02T03-04-05Z");
    fs::rename(manifest.parent().unwrap(), &other).unwrap();
    host.program("habackup").arg("--verify").status(1).stderr_contains("its manifest is that of").run();
    host.program("habackup").args(["--restore", "--yes"]).status(3).stderr_contains("is that of").run();
    assert_eq!(bed.read("source/content"), "new\n");
}

/// backintime restored one folder as root and followed a link out of it.
#[test]
fn a_restore_never_leaves_through_a_link() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    fs::create_dir_all(bed.path("outside/er")).unwrap();
    fs::remove_dir_all(bed.path("source/deep")).unwrap();
    symlink(bed.path("outside"), bed.path("source/deep")).unwrap();
    let gone = bed.path("source/deep/gone");
    host.program("habackup")
        .args(["--restore", "--yes"])
        .arg(gone)
        .status(1)
        .any_stdout()
        .stderr_contains("source/deep: is a symbolic link here")
        .run();
    // It stops nothing else, and is one line with all that lies below it.
    let ended = host.program("habackup").args(["--restore", "--yes", "-q"]).status(1).any_stderr().run();
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.contains("source/deep: is a symbolic link here") && line.contains("below it")),
        "{lines:?}"
    );
    assert_eq!(fs::read_dir(bed.path("outside/er")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(bed.path("outside")).unwrap().count(), 1);
    assert_eq!(bed.read("source/content"), "content as it was\n");
}

#[test]
fn a_restore_that_fails_half_way_is_taken_back() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    let before = picture(&bed.path("source"));
    // A file that something is mounted on cannot be replaced.
    bed.write("over", "mounted\n");
    bed.write("source/same", "differs\n");
    let before = {
        drop(before);
        picture(&bed.path("source"))
    };
    host.shell("mount --bind over source/same").run();
    host.program("habackup")
        .args(["--restore", "--yes"])
        .status(1)
        .any_stdout()
        .stderr_contains("nothing was restored: everything is as it was")
        .stderr_contains("source/same")
        .run();
    host.shell("umount source/same").run();
    assert_eq!(picture(&bed.path("source")), before);
}

#[test]
fn harestore_restores_the_newest_snapshot_of_the_other_host() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    {
        let first = holder(&bed, "ec1");
        bed.write("source/a", "from ec1\n");
        first.program("habackup").arg("-q").run();
    }
    let second = holder(&bed, "ec2");
    second
        .program("habackup")
        .args(["--restore", "--made-by", "ec2", "--yes"])
        .status(4)
        .stderr_contains("no whole snapshot made by ec2")
        .run();
    bed.write("source/a", "from ec2\n");
    second.program("habackup").arg("-q").run();
    let list = second.program("habackup").args(["--list", "--json"]).any_stdout().run().stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let hosts: Vec<_> = list["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["host"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(hosts, ["ec1", "ec2"]);
    second.program("habackup").args(["--restore", "--made-by", "ec1", "--yes"]).any_stdout().run();
    assert_eq!(bed.read("source/a"), "from ec1\n");
    symlink(bed.path("bin/habackup"), bed.path("tools/harestore")).unwrap();
    second.shell("harestore --yes").stdout_contains("Restore complete").run();
    assert_eq!(bed.read("source/a"), "from ec2\n");
}

#[test]
fn a_restore_can_be_proved_somewhere_else_first() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    fs::create_dir_all(bed.path("proof")).unwrap();
    host.program("habackup").args(["--restore", "--yes", "--into"]).arg(bed.path("proof")).any_stdout().run();
    let restored = bed.path("proof").join(bed.path("source").strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(restored.join("deep/gone")).unwrap(), "deep/gone as it was\n");
    assert_eq!(bed.read("source/content"), "new\n");
}

#[test]
fn a_snapshot_of_another_asset_is_refused() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    // The same folder copied elsewhere is another asset.
    bed.tools(&["cp"]);
    host.shell("umount asset && cp -a shared other && mount --bind other asset").run();
    let text = bed.read("etc/ha.toml").replace("/shared\"", "/other\"");
    bed.config("ha.toml", text);
    host.program("habackup")
        .args(["--restore", "--yes"])
        .status(4)
        .stderr_contains("is of another asset")
        .run();
}

/// Names are bytes: one that is not UTF-8 comes back as it was.
#[test]
fn a_name_that_is_not_text_comes_back() {
    if !ready() {
        return;
    }
    use std::os::unix::ffi::OsStrExt;
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    let path = bed.path("source").join(std::ffi::OsStr::from_bytes(b"caf\xe9 \xff\n"));
    fs::write(&path, "bytes\n").unwrap();
    host.program("habackup").arg("-q").run();
    fs::remove_file(&path).unwrap();
    host.program("habackup").args(["--restore", "--yes"]).any_stdout().run();
    assert_eq!(fs::read(&path).unwrap(), b"bytes\n");
}

/// Two hosts with one hostid cannot tell who holds a pool.
#[test]
fn what_makes_a_machine_itself_is_left_alone_unless_named() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = Host::new(&bed, "ec1");
    bed.write("etc-of-host/machine-id", "ours\n");
    bed.write("etc-of-host/setting", "ours\n");
    let text = bed.read("etc/ha.toml").replace(&format!("{}/source", bed.root().display()), "/etc");
    bed.config("ha.toml", text);
    // Only this host sees this /etc, and only what the bed put there.
    host.shell("mount --bind shared asset && mount --bind etc-of-host /etc").run();
    host.program("habackup").arg("-q").run();
    bed.write("etc-of-host/machine-id", "changed\n");
    bed.write("etc-of-host/setting", "changed\n");
    let said = host
        .program("habackup")
        .args(["--restore", "--yes"])
        .any_stdout()
        .stderr_contains("/etc/machine-id: left alone")
        .run()
        .stdout;
    assert!(said.contains("0 extra"), "what is in the snapshot is not extra: {said}");
    assert_eq!(
        (bed.read("etc-of-host/machine-id"), bed.read("etc-of-host/setting")),
        ("changed\n".into(), "ours\n".into())
    );
    host.program("habackup").args(["--restore", "--yes", "/etc/machine-id"]).any_stdout().run();
    assert_eq!(bed.read("etc-of-host/machine-id"), "ours\n");
}

/// Killed at every so many system calls (`ORDERLY_SOAK=1`: at every one), a restore never leaves half
/// a file, and doing it again ends as if nothing had happened.
#[test]
fn a_restore_killed_anywhere_leaves_whole_files_and_can_be_done_again() {
    if !ready() || !real::require(&[bed::Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tool("strace");
    let change = |number: usize| {
        bed.write("source/content", format!("new {number}\n"));
        fs::remove_file(bed.path("source/deep/gone")).ok();
        fs::set_permissions(bed.path("source/mode"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    host.shell("strace -f -o trace habackup -q --restore --yes").run();
    let wanted = picture(&bed.path("source"));
    change(0);
    host.shell("strace -f -o trace habackup -q --restore --yes").run();
    let calls = crate::syscalls::calls(&bed.read("trace"));
    let step = if std::env::var_os("ORDERLY_SOAK").is_some() { 1 } else { (calls.len() / 24).max(1) };
    let (mut kills, mut missed) = (0, Vec::new());
    for (number, (name, which)) in calls.iter().enumerate().skip(step - 1).step_by(step) {
        change(number);
        let line = format!(
            "strace -f -o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={which} habackup -q --restore --yes"
        );
        match host.shell(&line).any_status().any_stderr().run().status {
            137 => kills += 1,
            _ => missed.push((name, which)),
        }
        let content = bed.read("source/content");
        assert!(
            content == format!("new {number}\n") || content == "content as it was\n",
            "call {number}, {name}: {content}"
        );
        host.program("habackup").args(["-q", "--restore", "--yes"]).run();
        assert_eq!(picture(&bed.path("source")), wanted, "call {number}, {name}");
    }
    let line = format!("kills amid restores: {kills} of {} system calls, 0 damaged\n", calls.len());
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    assert!(missed.len() * 10 <= kills, "not reached: {missed:?}");
}

/// An undo took back edits that were made after the restore, without a word.
#[test]
fn an_undo_names_what_was_edited_since() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    host.program("habackup").args(["-q", "--restore", "--yes"]).run();
    bed.write("source/content", "edited since\n");
    bed.write("source/deep/gone", "edited as well\n");
    let ended = host.program("habackup").args(["--undo", "-n"]).any_stdout().any_stderr().run();
    let named: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("edited since")).collect();
    assert_eq!(named.len(), 2, "{}", ended.stderr);
    host.program("habackup")
        .args(["-q", "--undo", "--yes"])
        .stderr_contains("source/content: was edited since")
        .run();
    assert_eq!(bed.read("source/content"), "new\n");
}

/// Monitoring heard "refused" where it should have heard that there never was a backup.
#[test]
fn where_no_snapshot_was_ever_taken_the_check_is_stale_and_the_list_empty() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    let host = holder(&bed, "ec1");
    host.program("habackup").arg("--check").status(1).stderr_contains("there is no whole snapshot").run();
    let said = host.program("habackup").args(["--list", "--json"]).any_stderr().any_stdout().run().stdout;
    let listing: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&listing["latest"], &listing["snapshots"]),
        (&serde_json::Value::Null, &serde_json::json!([]))
    );
    host.program("habackup").arg("--list").stderr_contains("no snapshot was taken yet").run();
    host.program("habackup").arg("--verify").status(4).stderr_contains("no snapshot was taken yet").run();
}

/// Who a file had been given to could write to it while it was restored, and then owned a program with
/// the rights of root: only owner and mode were set on what had been compared before.
#[test]
fn a_file_that_was_given_away_is_restored_as_a_new_one() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tools(&["chmod", "chown"]);
    let host = holder(&bed, "ec1");
    for name in ["given", "lends", "kept"] {
        bed.write(Path::new("source").join(name), "#!/bin/true\n");
    }
    host.shell("chmod 755 source/*; chmod 4755 source/lends").run();
    host.program("habackup").arg("-q").run();
    host.shell("chown 65534 source/given; chmod 700 source/kept source/lends").run();
    let inode = |name: &str| fs::metadata(bed.path("source").join(name)).unwrap().ino();
    let names = ["given", "lends", "kept"];
    // Held open, so that no inode's number is given out again.
    let held =
        names.map(|name| fs::OpenOptions::new().append(true).open(bed.path("source").join(name)).unwrap());
    let before = names.map(inode);
    host.program("habackup").args(["-q", "--restore", "--yes"]).run();
    let same: Vec<bool> = names.iter().zip(before).map(|(name, before)| inode(name) == before).collect();
    assert_eq!(same, [false, false, true]);
    for mut file in held {
        std::io::Write::write_all(&mut file, b"mine\n").unwrap();
    }
    assert_eq!(
        (bed.read("source/given"), bed.read("source/lends")),
        ("#!/bin/true\n".into(), "#!/bin/true\n".into())
    );
    let mode = |name: &str| fs::metadata(bed.path("source").join(name)).unwrap().mode() & 0o7777;
    assert_eq!(names.map(mode), [0o755, 0o4755, 0o755]);
    host.program("habackup").args(["-q", "--undo", "--yes"]).goes_well().run();
    assert_eq!(fs::metadata(bed.path("source/given")).unwrap().uid(), 65_534);
}

/// An undo began to put back what was saved and then met a damaged copy: half was undone.
#[test]
fn an_undo_of_what_was_damaged_since_touches_nothing() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    host.program("habackup").args(["-q", "--restore", "--yes"]).run();
    let restored = picture(&bed.path("source"));
    let saved = fs::read_dir(bed.path("state/restores")).unwrap().next().unwrap().unwrap().path();
    let copy = saved.join("tree").join(bed.path("source/content").strip_prefix("/").unwrap());
    fs::write(copy, "NEW\n").unwrap();
    host.program("habackup")
        .args(["--undo", "--yes"])
        .status(3)
        .stderr_contains("is damaged and nothing was undone")
        .stderr_contains("source/content")
        .run();
    assert_eq!(picture(&bed.path("source")), restored);
}

/// What was saved for restores that were killed before they began took the places of those to be undone.
#[test]
fn what_was_saved_for_a_restore_that_never_began_goes_with_the_next() {
    if !ready() || !real::require(&[bed::Need::Program("strace")]) {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tool("strace");
    host.shell(
        "strace -f -o /dev/null -e trace=syncfs -e inject=syncfs:signal=KILL habackup --restore --yes",
    )
    .status(137)
    .any_stdout()
    .any_stderr()
    .run();
    let saved = || fs::read_dir(bed.path("state/restores")).unwrap().count();
    assert_eq!(saved(), 1);
    host.program("habackup").args(["-q", "--restore", "--yes"]).run();
    assert_eq!(saved(), 1);
    host.program("habackup").args(["-q", "--undo", "--yes"]).run();
    assert_eq!(bed.read("source/content"), "new\n");
}
