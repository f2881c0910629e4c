//! Every system call of habackup that touches a file is made to fail, or to be the last one: nothing
//! damaged is ever published, every failure is said, and an undo brings back what was.

use crate::restore::{Picture, changed_since, picture};
use crate::snapshot::{configure, holder, snapshots};
use crate::syscalls::{before_a_kill, calls, change};
use bed::loopfs::{HOST_NEEDS, Host};
use bed::{Bed, Need, real};
use std::fs;

/// What strace(1) calls the calls that take a path or an open file.
const FILES: &str = "trace=%file,%desc";

type Call = (String, usize);

fn ready() -> bool {
    real::require(&HOST_NEEDS) && real::require(&[Need::Program("strace")])
}

/// Returns some of the calls of a run, with `ORDERLY_SOAK=1` all of them.
fn traced(bed: &Bed, host: &Host<'_>, which: &str, run: &str) -> Vec<Call> {
    host.shell(&format!("strace -f -o trace -e {which} {run}")).any_stdout().any_stderr().run();
    // The loader and the standard library end a process that cannot map memory, poll or close a folder,
    // which never fails: not our doing.
    let mut calls = calls(&bed.read("trace"));
    calls.retain(|(name, _)| !matches!(name.as_str(), "mmap" | "poll" | "close"));
    let step = if std::env::var_os("ORDERLY_SOAK").is_some() { 1 } else { (calls.len() / 16).max(1) };
    calls.into_iter().skip(step - 1).step_by(step).collect()
}

fn inject((name, number): &Call, what: &str, run: &str) -> String {
    format!("strace -f -o /dev/null -e trace={name} -e inject={name}:{what}:when={number} {run}")
}

fn say(line: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes()).unwrap();
}

/// Fails a run at one call, looks at what it leaves, and lets another one succeed; returns whether the
/// run failed.
fn fail_at(bed: &Bed, host: &Host<'_>, call: &Call, error: &str) -> bool {
    let at = format!("{} {} of {}", error, call.1, call.0);
    change(bed, host, &at);
    let ended = host
        .shell(&inject(call, &format!("error={error}"), "habackup"))
        .any_status()
        .any_stdout()
        .any_stderr()
        .run();
    let said = (ended.status, ended.stdout.contains("Backup complete."));
    assert!(matches!(said, (0, true) | (1..=4, false) | (127, false)), "{at}: {said:?} {}", ended.stderr);
    assert!(ended.status == 0 || !ended.stderr.trim().is_empty(), "{at}: failed without a word");
    let is_sync = call.0.contains("sync");
    assert!(!is_sync || ended.status != 0, "{at}: what may not be on the disk was called complete");
    let latest = fs::read_link(bed.path("shared/habackup/latest")).unwrap();
    assert!(!latest.to_string_lossy().contains("incomplete"), "{at}: {latest:?}");
    for snapshot in snapshots(bed) {
        host.program("habackup").args(["-q", "--verify"]).arg(snapshot.file_name().unwrap()).run();
    }
    if ended.status == 0 {
        host.program("habackup").args(["--diff", "live"]).stdout_contains("0 updated, 0 new, 0 extra").run();
    }
    host.program("habackup").arg("-q").goes_well().run();
    let names = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    assert!(names.lines().all(|name| !name.starts_with('.')), "{at}: {names}");
    assert_eq!(snapshots(bed).len(), 2, "{at}: {names}");
    ended.status != 0
}

/// At some calls each; `ORDERLY_SOAK=1`: at every one.
#[test]
fn an_error_of_any_system_call_is_said_and_damages_nothing() {
    if !ready() {
        return;
    }
    let chosen = {
        let bed = Bed::new();
        let host = before_a_kill(&bed);
        change(&bed, &host, "before the trace");
        traced(&bed, &host, FILES, "habackup -q")
    };
    let shards = 4;
    let failed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for shard in 0..shards {
            let (chosen, failed) = (&chosen, &failed);
            scope.spawn(move || {
                let bed = Bed::new();
                let host = before_a_kill(&bed);
                for (number, call) in chosen.iter().enumerate().skip(shard).step_by(shards) {
                    let error = if number / shards % 2 == 0 { "EIO" } else { "ENOSPC" };
                    if fail_at(&bed, &host, call, error) {
                        failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    say(&format!("errors amid snapshots: {}, {failed} runs failed, 0 damaged", chosen.len()));
    assert!(failed * 4 > chosen.len(), "only {failed} runs of {} failed", chosen.len());
}

/// What a restore did, or an undo did not end, is always taken back by the next undo.
fn undone(bed: &Bed, host: &Host<'_>, at: &str) {
    let ended =
        host.program("habackup").args(["--undo", "--yes"]).any_status().any_stdout().any_stderr().run();
    let is_none = ended.status == 4 && ended.stderr.contains("there is no restore to undo");
    assert!(ended.status == 0 || is_none, "{at}: {} {}", ended.status, ended.stderr);
    // What a killed restore never came to was not edited by anybody.
    assert!(!ended.stderr.contains("edited since"), "{at}: {}", ended.stderr);
    fs::remove_dir_all(bed.path("state/restores")).ok();
}

/// Kills `habackup RUN` at each of these calls, and lets each fail, after `prepare`; an undo then leads back to
/// what was.
fn killed_or_failed(
    bed: &Bed,
    host: &Host<'_>,
    (run, chosen): (&str, &[Call]),
    before: &Picture,
    prepare: impl Fn(),
) {
    let whats = ["signal=KILL", "error=EIO"];
    for (what, call) in whats.iter().flat_map(|what| chosen.iter().map(move |call| (what, call))) {
        let at = format!("{run}, {what} at {} of {}", call.1, call.0);
        prepare();
        let ended = host
            .shell(&inject(call, what, &format!("habackup {run} --yes")))
            .any_status()
            .any_stdout()
            .any_stderr()
            .run();
        assert!(matches!(ended.status, 0..=5 | 127 | 137), "{at}: {} {}", ended.status, ended.stderr);
        if matches!(ended.status, 1..=4) && ended.stderr.contains("nothing was restored") {
            assert_eq!(picture(&bed.path("source")), *before, "{at}: {}", ended.stderr);
        }
        undone(bed, host, &at);
        assert_eq!(picture(&bed.path("source")), *before, "{at}: {}", ended.stderr);
    }
    say(&format!("kills and errors amid {run}: {}, all undone", chosen.len() * 2));
}

#[test]
fn a_restore_that_is_killed_or_fails_anywhere_can_be_undone() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tool("strace");
    let before = picture(&bed.path("source"));
    let chosen = traced(&bed, &host, FILES, "habackup --restore --yes");
    undone(&bed, &host, "unharmed");
    assert_eq!(picture(&bed.path("source")), before);
    killed_or_failed(&bed, &host, ("--restore", &chosen), &before, || {});
}

#[test]
fn an_undo_that_is_killed_or_fails_anywhere_can_be_done_again() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tool("strace");
    let before = picture(&bed.path("source"));
    let restore = || {
        host.program("habackup").args(["-q", "--restore", "--yes"]).run();
    };
    restore();
    let chosen = traced(&bed, &host, FILES, "habackup --undo --yes");
    assert_eq!(picture(&bed.path("source")), before);
    killed_or_failed(&bed, &host, ("--undo", &chosen), &before, restore);
}

/// A run during which the asset was unmounted said that the backup was complete, where nobody finds it.
#[test]
fn a_store_that_goes_away_amid_a_run_is_no_backup() {
    if !ready() {
        return;
    }
    for goes in ["umount -l asset", "mv shared/habackup shared/moved"] {
        let bed = Bed::new();
        configure(&bed, "");
        bed.tools(&["strace", "ls", "mv"]);
        let host = holder(&bed, "ec1");
        bed.write("source/a", "1");
        host.program("habackup").arg("-q").run();
        bed.write("source/a", vec![b'x'; 8 << 20]);
        let root = bed.root().display();
        host.shell(&format!(
            "strace -f -o /dev/null -e trace=read -e inject=read:delay_enter=60000 habackup & tracer=$!; \
             until ls shared/habackup/.staging*/tree{root}/source/a >/dev/null 2>&1; do sleep 0.02; done; \
             {goes}; wait $tracer",
        ))
        .status(1)
        .stderr_contains("asset/habackup")
        .run();
        let store = if goes.starts_with("mv") { "shared/moved" } else { "shared/habackup" };
        let left = host.shell(&format!("ls -A {store}")).any_stdout().run().stdout;
        assert_eq!(left.lines().count(), 2, "{goes}: {left}");
    }
}

#[test]
fn a_store_that_may_not_be_written_is_refused_and_still_read() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    configure(&bed, "");
    bed.tool("ls");
    let host = holder(&bed, "ec1");
    bed.write("source/a", "1");
    host.program("habackup").arg("-q").run();
    host.shell("mount -o remount,bind,ro asset").run();
    let before = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    host.program("habackup").status(4).stderr_contains("mounted read-only; remount it").run();
    assert_eq!(host.shell("ls -A shared/habackup").any_stdout().run().stdout, before);
    host.program("habackup").arg("--verify").any_stdout().run();
    bed.write("source/a", "2");
    host.program("habackup").args(["-q", "--restore", "--yes"]).run();
    assert_eq!(bed.read("source/a"), "1");
}

/// A user who may write where something is restored exchanges a folder for a link, all the time.
#[test]
fn a_restore_amid_a_race_of_links_writes_nothing_elsewhere() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tools(&["mv", "ln", "rm", "mkdir"]);
    bed.write("outside/er/linked", "theirs\n");
    let outside = picture(&bed.path("outside"));
    let root = bed.root().display();
    // Never through the link itself, and past what the restore makes in between.
    let race = format!(
        "cd source; until test -e ../end; do mv -T deep aside; ln -sT {root}/outside deep; rm -rf deep; \
         mv -T aside deep || {{ rm -rf deep; mv -T aside deep; }}; done"
    );
    let race = host.shell(&race).any_status().any_stderr().spawn();
    let rounds = if std::env::var_os("ORDERLY_SOAK").is_some() { 300 } else { 20 };
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..rounds {
        // This one may well go through the link; nothing of that name is outside.
        fs::remove_file(bed.path("source/deep/gone")).ok();
        fs::remove_file(bed.path("source/aside/gone")).ok();
        let run = host.program("habackup").args(["--restore", "--yes"]);
        *statuses.entry(run.any_status().any_stdout().any_stderr().run().status).or_insert(0) += 1;
        assert_eq!(picture(&bed.path("outside")), outside);
    }
    bed.write("end", "");
    drop(race);
    say(&format!("restores amid a race of links: {rounds}, statuses {statuses:?}, 0 outside"));
    assert!(statuses.keys().all(|status| matches!(status, 0..=5)), "{statuses:?}");
}

/// A file that could not be looked at when it was to be saved was overwritten all the same, and no undo
/// brought it back.
#[test]
fn what_cannot_be_saved_is_not_overwritten() {
    if !ready() {
        return;
    }
    let bed = Bed::new();
    let host = changed_since(&bed);
    bed.tool("strace");
    let before = picture(&bed.path("source"));
    let looks = || host.shell("strace -f -o trace -e trace=newfstatat habackup --restore --yes").any_stdout();
    looks().run();
    undone(&bed, &host, "unharmed");
    let trace = bed.read("trace");
    let looks = trace.lines().filter(|line| line.contains("newfstatat(")).enumerate();
    let looks: Vec<usize> =
        looks.filter(|(_, line)| line.contains("\"content\"")).map(|(number, _)| number + 1).collect();
    assert!(looks.len() >= 3, "{looks:?}\n{trace}");
    for number in looks {
        let call = ("newfstatat".to_owned(), number);
        let run = host.shell(&inject(&call, "error=EIO", "habackup --restore --yes")).any_stdout();
        let ended = run.any_status().stderr_contains("/content").run();
        assert!(matches!(ended.status, 1..=4), "look {number}: {} {}", ended.status, ended.stderr);
        assert_eq!(picture(&bed.path("source")), before, "look {number}: {}", ended.stderr);
    }
}
