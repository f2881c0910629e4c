//! What `habackup --undo` takes back: whatever the restore, or an undo before, came to.

use crate::restore::{changed_since, picture, ready};
use crate::syscalls::{calls, is_soak};
use bed::Bed;
use bed::loopfs::Host;
use bed::real::{self, Need};
use std::collections::BTreeMap;
use std::path::PathBuf;

type Picture = BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)>;

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

/// Kills `habackup ARGS --yes` at every so many system calls (`ORDERLY_SOAK=1`: at every one). Each time
/// `prepare` comes before, and after it an undo that must lead back to what was.
fn killed_and_undone(args: &str, prepare: impl Fn(&Host<'_>)) {
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tool("strace");
    let before: Picture = picture(&bed.path("source"));
    let undo = || host.program("habackup").args(["-q", "--undo", "--yes"]).any_status().any_stderr().run();
    prepare(&host);
    host.shell(&format!("strace -f -o trace habackup -q {args} --yes")).run();
    let calls = calls(&bed.read("trace"));
    undo();
    assert_eq!(picture(&bed.path("source")), before, "without a kill");
    let step = if is_soak() { 1 } else { (calls.len() / 24).max(1) };
    let (mut kills, mut missed) = (0, Vec::new());
    for (number, (name, which)) in calls.iter().enumerate().skip(step - 1).step_by(step) {
        prepare(&host);
        let line = format!(
            "strace -f -o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={which} habackup -q {args} --yes"
        );
        match host.shell(&line).any_status().any_stderr().run().status {
            137 => kills += 1,
            _ => missed.push((name, which)),
        }
        let ended = undo();
        // 4: nothing was overwritten yet, or all is put back already.
        assert!([0, 4].contains(&ended.status), "call {number}, {name}: {}: {}", ended.status, ended.stderr);
        assert_eq!(picture(&bed.path("source")), before, "call {number}, {name}: {}", ended.stderr);
        assert!(!ended.stderr.contains("edited since"), "call {number}, {name}: {}", ended.stderr);
    }
    let line = format!("kills amid {args}, undone: {kills} of {} system calls, 0 damaged\n", calls.len());
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    assert!(missed.len() * 10 <= kills, "not reached: {missed:?}");
}

/// The file that was being made beside another stayed, and what the restore never came to was said to have
/// been edited since.
#[test]
fn a_restore_killed_anywhere_can_be_undone() {
    if ready() && real::require(&[Need::Program("strace")]) {
        killed_and_undone("--restore", |_| {});
    }
}

#[test]
fn an_undo_killed_anywhere_can_be_done_again() {
    if ready() && real::require(&[Need::Program("strace")]) {
        killed_and_undone("--undo", |host| {
            host.program("habackup").args(["-q", "--restore", "--yes"]).run();
        });
    }
}
