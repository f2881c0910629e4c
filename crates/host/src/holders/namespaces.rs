//! Mount tables of all mount namespaces of this host, also of those that no process is in.

use super::gone_is_none;
use crate::mountinfo::Mounts;
use nix::fcntl::{OFlag, openat};
use nix::sched::{self, CloneFlags};
use nix::sys::stat::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Mount tables by namespace: thousands of processes share a handful.
#[derive(Default)]
pub(super) struct Tables(BTreeMap<OsString, (u32, Mounts)>);

impl Tables {
    /// Returns the table of a process; `None` when the process is gone.
    pub(super) fn of(&mut self, pid: u32) -> Result<Option<&Mounts>, String> {
        Ok(self.named(pid)?.map(|(_, mounts)| mounts))
    }

    /// Returns the namespace of a process or thread, and its table; `None` when it is gone.
    pub(super) fn named(&mut self, pid: u32) -> Result<Option<(&OsString, &Mounts)>, String> {
        let Some(namespace) = namespace(pid)? else { return Ok(None) };
        if !self.0.contains_key(&namespace) {
            let Some(mounts) = read_table(pid)? else { return Ok(None) };
            self.0.insert(namespace.clone(), (pid, mounts));
        }
        Ok(self.0.get_key_value(&namespace).map(|(name, (_, mounts))| (name, mounts)))
    }

    /// Returns the table of a process's namespace if no earlier process showed it.
    pub(super) fn first_of(&mut self, pid: u32) -> Result<Option<(OsString, &Mounts)>, String> {
        let Some(namespace) = namespace(pid)? else { return Ok(None) };
        if self.0.contains_key(&namespace) {
            return Ok(None);
        }
        Ok(self.of(pid)?.map(|mounts| (namespace, mounts)))
    }

    /// Returns the namespaces that no process seen so far is in and that a bind mount of their file
    /// (nsfs) keeps, with what is mounted in them.
    pub(super) fn kept(&self) -> Vec<(PathBuf, Result<Mounts, String>)> {
        let mut known: BTreeSet<OsString> = self.0.keys().cloned().collect();
        let mut found = Vec::new();
        for (pid, mounts) in self.0.values() {
            for mount in mounts.0.iter().filter(|mount| mount.fstype == "nsfs") {
                let name = mount.root.clone().into_os_string();
                let is_mounts = name.to_string_lossy().starts_with("mnt:[");
                if is_mounts && known.insert(name) {
                    let at = mount.at.strip_prefix("/").unwrap_or(&mount.at);
                    let file = Path::new("/proc").join(pid.to_string()).join("root").join(at);
                    found.push((mount.at.clone(), enter_and_read(&file)));
                }
            }
        }
        found
    }
}

/// Reads what is mounted in a namespace that no process is in, by entering it. In a thread of its
/// own, which alone changes its namespace and ends with that; it runs nothing in there.
fn enter_and_read(file: &Path) -> Result<Mounts, String> {
    let shown = file.display().to_string();
    let attempt = |error: &dyn std::fmt::Display| format!("the mount namespace {shown}: {error}");
    let read = || -> Result<Mounts, String> {
        let namespace = File::open(file).map_err(|error| attempt(&error))?;
        // Opened before: in there, /proc may be another one, or none.
        let own = File::open("/proc/thread-self").map_err(|error| attempt(&error))?;
        // Threads that share a folder to work in cannot be in two namespaces.
        sched::unshare(CloneFlags::CLONE_FS).map_err(|error| attempt(&error))?;
        sched::setns(&namespace, CloneFlags::CLONE_NEWNS).map_err(|error| attempt(&error))?;
        let table = openat(&own, "mountinfo", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        let mut bytes = Vec::new();
        File::from(table.map_err(|error| attempt(&error))?)
            .read_to_end(&mut bytes)
            .map_err(|error| attempt(&error))?;
        Mounts::parse(&bytes).map_err(|error| attempt(&format!("{error:#}")))
    };
    std::thread::scope(|scope| {
        scope.spawn(read).join().unwrap_or_else(|_| Err(attempt(&"the thread that reads it ended")))
    })
}

fn namespace(pid: u32) -> Result<Option<OsString>, String> {
    let path = format!("/proc/{pid}/ns/mnt");
    gone_is_none(fs::read_link(&path), &path).map(|link| link.map(PathBuf::into_os_string))
}

pub(super) fn read_table(pid: u32) -> Result<Option<Mounts>, String> {
    let path = format!("/proc/{pid}/mountinfo");
    let Some(bytes) = gone_is_none(fs::read(&path), &path)? else { return Ok(None) };
    Mounts::parse(&bytes).map(Some).map_err(|error| format!("{path}: {error:#}"))
}
