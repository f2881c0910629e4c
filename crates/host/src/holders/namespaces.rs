//! Mount tables of all mount namespaces of this host, also of those that no process is in.

use super::processes::{gone_is_none, threads};
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
///
/// Each is whole, as seen from the root of its namespace, and not only what a process in a jail sees
/// (`holders::a_mount_above_the_jail_of_the_only_process_of_a_namespace_is_found`).
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
            let Some(mounts) = read_whole_table(pid)? else { return Ok(None) };
            self.0.insert(namespace.clone(), (pid, mounts));
        }
        Ok(self.0.get_key_value(&namespace).map(|(name, (_, mounts))| (name, mounts)))
    }

    /// Returns the first thread of a process that shows its namespace, having read its table.
    pub(super) fn first_thread(&mut self, pid: u32) -> Option<u32> {
        threads(pid).into_iter().find(|thread| matches!(self.named(*thread), Ok(Some(_))))
    }

    /// Returns the table of a namespace that a process showed.
    pub(super) fn of_namespace(&self, namespace: &OsString) -> Option<&Mounts> {
        self.0.get(namespace).map(|(_, mounts)| mounts)
    }

    /// Returns the tables of all namespaces that processes showed.
    pub(super) fn all(&self) -> impl Iterator<Item = &Mounts> {
        self.0.values().map(|(_, mounts)| mounts)
    }

    /// Returns the tables of the namespaces that this process is not in, each with a process that is.
    pub(super) fn others(&self) -> impl Iterator<Item = (u32, &Mounts)> {
        let own = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
        let others = self.0.iter().filter(move |(namespace, _)| namespace.as_os_str() != own.as_os_str());
        others.map(|(_, (pid, mounts))| (*pid, mounts))
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
                    let way = [file_of(*pid), mount.at.clone()];
                    found.push((mount.at.clone(), enter_and_read(&way)));
                }
            }
        }
        found
    }
}

/// Reads what is mounted in the namespace that the last of these files is, having entered those before
/// it. In a thread of its own, which alone changes its namespace and ends with that; it runs nothing in
/// there.
fn enter_and_read(way: &[PathBuf]) -> Result<Mounts, String> {
    let shown = way.last().map(|file| file.display().to_string()).unwrap_or_default();
    let attempt = |error: &dyn std::fmt::Display| format!("the mount namespace {shown}: {error}");
    let read = || -> Result<Mounts, String> {
        // Opened before: in there, /proc may be another one, or none.
        let own = File::open("/proc/thread-self").map_err(|error| attempt(&error))?;
        // Threads that share a folder to work in cannot be in two namespaces.
        sched::unshare(CloneFlags::CLONE_FS).map_err(|error| attempt(&error))?;
        for file in way {
            let namespace = File::open(file).map_err(|error| attempt(&error))?;
            sched::setns(&namespace, CloneFlags::CLONE_NEWNS).map_err(|error| attempt(&error))?;
        }
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

/// Returns all that is mounted in the namespace of a process, also where the process has another root.
fn read_whole_table(pid: u32) -> Result<Option<Mounts>, String> {
    let path = format!("/proc/{pid}/root");
    let Some(root) = gone_is_none(fs::read_link(&path), &path)? else { return Ok(None) };
    if root == Path::new("/") {
        let table = read_table(pid)?;
        // Without a mount at / its root is in a file system that is mounted nowhere any more.
        if table.as_ref().is_none_or(|mounts| mounts.at(Path::new("/")).is_some()) {
            return Ok(table);
        }
    }
    enter_and_read(&[file_of(pid)]).map(Some).or_else(|why| match namespace(pid)? {
        Some(_) => Err(why),
        // It ended meanwhile.
        None => Ok(None),
    })
}

/// Returns the file of the namespace of a process.
fn file_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/mnt"))
}

fn namespace(pid: u32) -> Result<Option<OsString>, String> {
    let path = file_of(pid);
    gone_is_none(fs::read_link(&path), &path.to_string_lossy()).map(|link| link.map(PathBuf::into_os_string))
}

pub(super) fn read_table(pid: u32) -> Result<Option<Mounts>, String> {
    let path = format!("/proc/{pid}/mountinfo");
    let Some(bytes) = gone_is_none(fs::read(&path), &path)? else { return Ok(None) };
    Mounts::parse(&bytes).map(Some).map_err(|error| format!("{path}: {error:#}"))
}
