//! Killed at any system call, a run damages nothing: `habackup` under strace. The short form takes every so
//! many calls, `ORDERLY_SOAK=1` every one.

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
pub(crate) fn before_a_kill(bed: &Bed) -> Host<'_> {
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
pub(crate) fn change(bed: &Bed, host: &Host<'_>, text: &str) {
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
    host.program("habackup").arg("-q").goes_well().run();
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
    let mut missed = at_each(&chosen, |bed, host, &number| kill_at(bed, host, number, &calls[number]));
    let kills = chosen.len() - missed.len();
    say(&format!("kills: {kills} at {} of {} system calls, 0 damaged\n", chosen.len(), calls.len()));
    // A run may make a call less than the one that was traced (what was read came in one piece); a
    // harness that kills nothing would be no proof.
    // How often one waits for a service, or for the next second, is a matter of how busy the machine is.
    missed.retain(|&number| calls[number].0 != "epoll_wait");
    assert!(missed.len() * 20 <= chosen.len(), "not reached: {missed:?}");
}
