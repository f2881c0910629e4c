//! Killed at any system call, and with any call on files failing, a run damages nothing: `habackup` under
//! strace. The short form takes every so many calls, `ORDERLY_SOAK=1` every one.

use crate::snapshot::{configure, holder, ready, snapshots};
use bed::Bed;
use bed::loopfs::Host;
use bed::real::{self, Need};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Mutex;

/// One entry of `strace`: the call's name and which call of that name it is.
pub(crate) fn calls(trace: &str) -> Vec<(String, usize)> {
    let mut counts = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        // "PID name(arguments" begins a call; "PID <... name resumed>" goes on with one.
        let Some(name) =
            line.split_whitespace().nth(1).and_then(|rest| rest.split_once('(')).map(|(name, _)| name)
        else {
            continue;
        };
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            || name == "execve"
        {
            continue;
        }
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        calls.push((name.to_owned(), *count));
    }
    calls
}

/// Makes a host with a source and two snapshots of it.
fn before_a_kill(bed: &Bed) -> Host<'_> {
    configure(bed, "keep = 2\nrequire_services = false");
    bed.tools(&["strace", "ls", "chmod"]);
    let host = holder(bed, "ec1");
    for number in 0..4 {
        bed.write(format!("source/deep/{number}"), number.to_string());
    }
    fs::hard_link(bed.path("source/deep/1"), bed.path("source/deep/er/1")).unwrap();
    symlink("deep/1", bed.path("source/link")).unwrap();
    bed.write("source/large", vec![b'x'; 600_000]);
    // Every run then finds the same: files that are shared at once.
    host.shell("sleep 2.1").run();
    for _ in 0..2 {
        host.program("habackup").arg("-q").run();
    }
    host
}

/// Changes what every run then finds: a file to copy, and one whose copy turns out to be the old one.
fn change(bed: &Bed, host: &Host<'_>, text: &str) {
    bed.write("source/deep/2", text);
    host.shell("chmod 640 source/deep/3; chmod 644 source/deep/3").run();
}

/// Looks at what a run leaves that did not go well; then lets another one succeed.
fn look_after(bed: &Bed, host: &Host<'_>, what: &str) {
    let latest = fs::read_link(bed.path("shared/habackup/latest")).unwrap();
    assert!(!latest.to_string_lossy().contains("incomplete"), "{what}");
    assert!(bed.path("shared/habackup").join(latest).join("manifest.json").exists(), "{what}");
    for snapshot in snapshots(bed) {
        host.program("habackup").args(["-q", "--verify"]).arg(snapshot.file_name().unwrap()).run();
    }
    host.program("habackup").arg("-q").any_stderr().run();
    let names = host.shell("ls -A shared/habackup").any_stdout().run().stdout;
    assert!(names.lines().all(|name| !name.starts_with('.')), "{what}: {names}");
    assert_eq!(snapshots(bed).len(), 2, "{what}: {names}");
}

/// Kills a run at one system call. Tells whether there was such a call.
fn kill_at(bed: &Bed, host: &Host<'_>, number: usize, (name, which): &(String, usize)) -> bool {
    change(bed, host, &format!("kill {number}"));
    let line = format!(
        "strace -f -o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={which} habackup -q"
    );
    let killed = host.shell(&line).any_status().any_stderr().run().status == 128 + 9;
    look_after(bed, host, &format!("call {number}, {name}"));
    killed
}

/// Lets one system call of a run fail. Tells whether there was such a call.
fn fail_at(bed: &Bed, host: &Host<'_>, number: usize, (name, which): &(String, usize), error: &str) -> bool {
    let text = format!("{error} {number}");
    change(bed, host, &text);
    let line =
        format!("strace -f -o trace -e trace={name} -e inject={name}:error={error}:when={which} habackup -q");
    let ended = host.shell(&line).any_status().any_stderr().run();
    let what = format!("call {number}, {name} ({which}) fails with {error}");
    // Before the program begins its loader has the word.
    let is_begun = !ended.stderr.contains("error while loading shared libraries");
    let is_calm = ended.status < 126 && !ended.stderr.contains("panicked");
    assert!(is_calm || !is_begun, "{what}: {}: {}", ended.status, ended.stderr);
    if ended.status == 0 {
        // What did not matter; then the snapshot is all that it should be.
        let copy =
            bed.path("shared/habackup/latest/tree").join(&bed.path("source/deep/2").to_string_lossy()[1..]);
        assert_eq!(fs::read_to_string(copy).ok().as_deref(), Some(&*text), "{what}: {}", ended.stderr);
    } else {
        assert!(!ended.stderr.is_empty(), "{what}: status {} without a word", ended.status);
    }
    look_after(bed, host, &what);
    bed.read("trace").contains("(INJECTED)")
}

/// Returns the system calls of a run.
fn traced() -> Vec<(String, usize)> {
    let bed = Bed::new();
    let host = before_a_kill(&bed);
    change(&bed, &host, "before the trace");
    host.shell("strace -f -o trace habackup -q").run();
    let calls = calls(&bed.read("trace"));
    assert!(calls.len() > 200, "{} calls were traced", calls.len());
    calls
}

pub(crate) fn is_soak() -> bool {
    std::env::var_os("ORDERLY_SOAK").is_some()
}

/// Does something at chosen calls, on several stores at once (two snapshots of one are a second apart);
/// returns the calls that were not reached.
fn at_each<T>(chosen: &[T], act: impl Fn(&Bed, &Host<'_>, &T) -> bool + Sync) -> Vec<T>
where
    T: Clone + Send + Sync,
{
    let shards = if is_soak() { 12 } else { 4 };
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for shard in 0..shards {
            let (act, missed) = (&act, &missed);
            scope.spawn(move || {
                let bed = Bed::new();
                let host = before_a_kill(&bed);
                for one in chosen.iter().skip(shard).step_by(shards) {
                    if !act(&bed, &host, one) {
                        missed.lock().unwrap().push(one.clone());
                    }
                }
            });
        }
    });
    missed.into_inner().unwrap()
}

fn say(line: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

/// The snapshots stay sound, `latest` whole, and the next run succeeds and leaves no debris.
#[test]
fn a_kill_at_any_system_call_damages_nothing() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let calls = traced();
    let step = if is_soak() { 1 } else { (calls.len() / 24).max(1) };
    let chosen: Vec<usize> = (0..calls.len()).skip(step - 1).step_by(step).collect();
    let missed = at_each(&chosen, |bed, host, &number| kill_at(bed, host, number, &calls[number]));
    let kills = chosen.len() - missed.len();
    say(&format!("kills: {kills} at {} of {} system calls, 0 damaged\n", chosen.len(), calls.len()));
    // A run may make a call less than the one that was traced (what was read came in one piece); a
    // harness that kills nothing would be no proof.
    assert!(missed.len() * 20 <= chosen.len(), "not reached: {missed:?}");
}

/// Calls that touch files, and the ends of those that need room.
const ON_FILES: [&str; 37] = [
    "openat",
    "openat2",
    "open",
    "read",
    "pread64",
    "readv",
    "write",
    "pwrite64",
    "writev",
    "copy_file_range",
    "sendfile",
    "fsync",
    "fdatasync",
    "syncfs",
    "renameat",
    "renameat2",
    "rename",
    "linkat",
    "link",
    "symlinkat",
    "symlink",
    "unlinkat",
    "unlink",
    "mkdirat",
    "mkdir",
    "fchmodat",
    "fchmod",
    "fchownat",
    "fchown",
    "utimensat",
    "statx",
    "newfstatat",
    "getdents64",
    "ftruncate",
    "fallocate",
    "flock",
    "fgetxattr",
];
const NEED_ROOM: [&str; 12] = [
    "write",
    "pwrite64",
    "writev",
    "copy_file_range",
    "sendfile",
    "fsync",
    "fdatasync",
    "syncfs",
    "mkdirat",
    "linkat",
    "symlinkat",
    "ftruncate",
];

/// A disk that fails or is full at any moment is named; what was published stays, and what is said to be
/// complete is.
#[test]
fn a_system_call_on_files_that_fails_damages_nothing_and_is_named() {
    if !ready() || !real::require(&[Need::Program("strace")]) {
        return;
    }
    let calls = traced();
    let all: Vec<(usize, &str)> = calls
        .iter()
        .enumerate()
        .flat_map(|(number, (name, _))| {
            let eio = ON_FILES.contains(&name.as_str()).then_some((number, "EIO"));
            let enospc = NEED_ROOM.contains(&name.as_str()).then_some((number, "ENOSPC"));
            eio.into_iter().chain(enospc)
        })
        .collect();
    let step = if is_soak() { 1 } else { (all.len() / 24).max(1) };
    let chosen: Vec<(usize, &str)> = all.iter().copied().skip(step - 1).step_by(step).collect();
    let missed =
        at_each(&chosen, |bed, host, &(number, error)| fail_at(bed, host, number, &calls[number], error));
    let failures = chosen.len() - missed.len();
    say(&format!("failing calls: {failures} at {} of {} places, 0 damaged\n", chosen.len(), all.len()));
    assert!(missed.len() * 20 <= chosen.len(), "not reached: {missed:?}");
}
