//! Ending who keeps the asset busy, on the word of a person (`ha-release --holders --kill`).
//!
//! Only processes that use the asset beyond doubt, looked at once more before each signal, and reached
//! through a pidfd, so that a number given to another process meanwhile hits nobody.
//! Invariant: process 1, this process and its ancestors, kernel threads, sshd and cluster managers
//! are never signalled (`what_keeps_the_machine_reachable_is_spared`).

use crate::holders::{self, Holder};
use crate::mountinfo::Mount;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long TERM may take before KILL, and KILL before it is given up.
const GRACE: Duration = Duration::from_secs(5);
const LOOKING: Duration = Duration::from_millis(50);
/// How long whoever keeps a process running may take to start it again: systemd waits 100 ms.
const RETURN: Duration = Duration::from_secs(1);

/// Programs by which the machine is reached, or managed by somebody else.
const SPARED: [&str; 19] = [
    "sshd",
    "sshd-session",
    "sshd-auth",
    "systemd",
    "init",
    "dbus-daemon",
    "corosync",
    "pacemakerd",
    "pcsd",
    "pcs",
    "keepalived",
    "cman",
    "heartbeat",
    // Pacemaker 1.1, as on RHEL 7; later ones begin with its name.
    "lrmd",
    "stonithd",
    "cib",
    "crmd",
    "attrd",
    "pengine",
];

/// Ends the processes that use such mounts; returns why each of the others is left alone.
///
/// Returns late enough that the next look finds what was started again at once.
pub fn end_users(on: &dyn Fn(&Mount) -> bool) -> Vec<String> {
    let mut left = Vec::new();
    let mut wanted = Vec::new();
    for holder in holders::users_of(on, &|_| true).holders {
        let Holder::Process { pid, command, .. } = &holder else { continue };
        // Opened before it is judged: what is judged is then what is signalled.
        let Some(handle) = open(*pid) else { continue };
        if let Some(why) = spared(*pid, command) {
            left.push(format!("{holder}: left alone: {why}"));
        } else if !holders::uses_for_certain(*pid, on) {
            left.push(format!("{holder}: left alone: known by its device alone"));
        } else {
            wanted.push((*pid, handle));
        }
    }
    let signalled = !wanted.is_empty();
    for signal in [Signal::TERM, Signal::KILL] {
        wanted.retain(|(pid, _)| holders::uses_for_certain(*pid, on));
        for (_, handle) in &wanted {
            send(handle, signal);
        }
        let until = Instant::now() + GRACE;
        while Instant::now() < until && wanted.iter().any(|(pid, _)| holders::uses_for_certain(*pid, on)) {
            std::thread::sleep(LOOKING);
        }
    }
    if signalled {
        std::thread::sleep(RETURN);
    }
    left
}

/// Returns why a process is never signalled.
pub fn spared(pid: u32, command: &str) -> Option<&'static str> {
    if pid == 1 {
        return Some("it is process 1");
    }
    if ancestors().contains(&pid) {
        return Some("it is this program or runs it");
    }
    // The first thread may have ended before the others, and shows no program then.
    if holders::threads(pid).iter().all(|thread| fs::read_link(format!("/proc/{thread}/exe")).is_err()) {
        return Some("it is a kernel thread");
    }
    let is_spared = SPARED.contains(&command) || command.starts_with("pacemaker-");
    is_spared.then_some("this machine is reached or managed by it")
}

/// Returns this process and all that lead to it.
fn ancestors() -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some(parent) = line.last().and_then(|pid| parent(*pid)).filter(|pid| !line.contains(pid)) {
        line.push(parent);
    }
    line
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// A process that ended meanwhile is what was wanted.
fn send(handle: &OwnedFd, signal: Signal) {
    rustix::process::pidfd_send_signal(handle, signal).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_machine_reachable_is_spared() {
        assert!(spared(1, "init").is_some());
        assert!(spared(std::process::id(), "test").is_some());
        let parent = parent(std::process::id()).unwrap();
        assert!(spared(parent, "sh").is_some());
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(spared(child.id(), "sleep"), None);
        for name in ["sshd", "sshd-session", "pacemaker-execd", "corosync", "lrmd"] {
            assert!(spared(child.id(), name).is_some(), "{name}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Dead and reaped, or dead and waiting: nobody to signal.
        assert!(open(child.id()).is_none());
    }
}
