//! Who keeps the asset busy: processes, mounts of any namespace, devices built on it, swap, the NFS
//! server and its clients.
//!
//! Reads only `/proc` links, `mountinfo`, `/sys` and device nodes: nothing here stats a path on the
//! suspect mount, which on a dead file server would hang. What cannot be read is said, because it may
//! be a holder. Processes are in `holders/process.rs`, mount tables in `holders/namespaces.rs`, what the kernel itself keeps open in
//! `holders/devices.rs` and `holders/nfs.rs`.

mod devices;
mod foreign_mounts;
mod holder;
mod login;
mod namespaces;
mod nfs;
mod overlay;
mod process;
mod processes;
mod unit;

pub use holder::Holder;
pub(crate) use processes::threads;

use crate::mountinfo::{Device, Mount};
use namespaces::{Tables, read_table};
use orderly_exec::printable;
use processes::{mount_id, processes};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a look through this host found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Holders {
    pub holders: Vec<Holder>,
    /// What could not be looked at, and why.
    pub unread: Vec<String>,
}

/// How many of the things that cannot be read are named before the rest is counted.
const NAMED: usize = 2;

impl Holders {
    /// Returns what could not be looked at, as a clause that fits on a line; `None` when that is nothing.
    pub fn unread_clause(&self) -> Option<String> {
        let mut named: Vec<String> = self.unread.iter().take(NAMED).cloned().collect();
        if let Some(more @ 1..) = self.unread.len().checked_sub(NAMED) {
            named.push(format!("and {more} more like it"));
        }
        (!named.is_empty()).then(|| named.join("; "))
    }
}

/// Says by what a process is known to be of somebody who logged in, so that no service owns it.
pub fn login_of(pid: u32) -> Option<String> {
    login::of(pid)
}

/// Returns the unit or container that a process belongs to.
pub fn unit_of(pid: u32) -> Option<String> {
    unit::of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default())
}

/// Tells whether the kernel's NFS server exports a path now, whatever the table of exports says.
pub fn is_exported(path: &Path) -> bool {
    nfs::is_exported(path)
}

/// Returns who uses files on the mounts for which `on` says yes, and what keeps those mounts busy; `known`
/// says which of them whoever lets go of the asset unmounts.
pub fn users_of(on: &dyn Fn(&Mount) -> bool, known: &dyn Fn(&Mount) -> bool) -> Holders {
    let mut found = Holders::default();
    let own = crate::mountinfo::own().unwrap_or_default();
    let mut tables = Tables::default();
    found.holders.extend(devices::users(&own, on));
    found.holders.extend(nfs::users(&own, on, &mut found.unread));
    found.holders.extend(process::users(&own, &mut tables, on, &mut found.unread));
    let (foreign, unread) = foreign_mounts::find(&own, &tables, on, known);
    found.holders.extend(foreign);
    found.holders.extend(overlay::users(&own, &tables, on));
    found.unread.extend(unread);
    found.holders.sort();
    found.holders.dedup();
    found
}

/// Returns the mounts for which `on` says yes, in every mount namespace of this host's processes.
pub fn mounts(on: &dyn Fn(&Mount) -> bool) -> Holders {
    let mut found = Holders::default();
    let mut tables = Tables::default();
    let own = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    for pid in processes(&mut found.unread).into_iter().flat_map(threads) {
        match tables.first_of(pid) {
            Ok(Some((namespace, mounts))) => {
                let pid = (namespace.as_os_str() != own.as_os_str()).then_some(pid);
                found.holders.extend(
                    mounts
                        .0
                        .iter()
                        .filter(|mount| on(mount))
                        .map(|mount| Holder::Mount { at: mount.at.clone(), pid }),
                );
            }
            Ok(None) => {}
            Err(why) => found.unread.push(why),
        }
    }
    for (by, table) in tables.kept() {
        match table {
            Ok(mounts) => found.holders.extend(
                mounts
                    .0
                    .iter()
                    .filter(|mount| on(mount))
                    .map(|mount| Holder::Kept { at: mount.at.clone(), by: by.clone() }),
            ),
            Err(why) => found.unread.push(why),
        }
    }
    found.holders.sort();
    found
}

/// Returns who may keep a file system in use that is mounted nowhere any more: files that are open on a mount
/// that no table shows, and overlays. Of which file system these are, nothing says.
pub fn detached_mounts() -> Vec<String> {
    let mut tables = Tables::default();
    let own = std::process::id();
    let pids: Vec<u32> = processes(&mut Vec::new()).into_iter().filter(|pid| *pid != own).collect();
    // All of them first: a descriptor can be of another namespace than its process is in.
    let threads: Vec<(u32, u32)> =
        pids.into_iter().filter_map(|pid| Some((pid, tables.first_thread(pid)?))).collect();
    let known: BTreeSet<u64> =
        tables.all().flat_map(|mounts| mounts.0.iter().map(|mount| mount.id)).collect();
    let name = |(pid, thread): (u32, u32)| {
        let path = file_of_detached_mount(thread, &known)?;
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let (comm, path) = (printable(comm.trim()), printable(&path.to_string_lossy()));
        Some(format!("perhaps process {pid} ({comm}), which has {path} open"))
    };
    let overlays = tables.all().flat_map(|mounts| &mounts.0).filter(|mount| mount.fstype == "overlay");
    let mut found: Vec<String> = threads.into_iter().filter_map(name).collect();
    let mut seen: BTreeSet<Device> = BTreeSet::new();
    found.extend(overlays.filter(|mount| mount.at != Path::new("/") && seen.insert(mount.device)).map(
        |mount| format!("perhaps the overlay at {}; umount it", printable(&mount.at.to_string_lossy())),
    ));
    found
}

fn file_of_detached_mount(pid: u32, known: &BTreeSet<u64>) -> Option<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.into_iter().find_map(|entry| {
        let path = fs::read_link(entry.path()).ok().filter(|path| path.is_absolute())?;
        // Memory that has a name like a file is on a mount of the kernel's own.
        let text = path.to_string_lossy();
        let is_memory = ["/memfd:", "/SYSV", "/dev/zero", "/[", "/anon_hugepage"]
            .iter()
            .any(|beginning| text.starts_with(beginning));
        let id = mount_id(pid, &entry.file_name().to_string_lossy())?;
        (!is_memory && !known.contains(&id)).then_some(path)
    })
}

/// Tells whether a process uses such a mount beyond doubt: an open file names the mount by its id, or
/// a link does by its path as this process itself sees it. A mapped file alone names only a device.
pub fn uses_for_certain(pid: u32, on: &dyn Fn(&Mount) -> bool) -> bool {
    threads(pid).into_iter().any(|thread| thread_uses_for_certain(thread, on))
}

fn thread_uses_for_certain(pid: u32, on: &dyn Fn(&Mount) -> bool) -> bool {
    let Ok(Some(mounts)) = read_table(pid) else { return false };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let by_id = |entry: fs::DirEntry| {
        mount_id(pid, &entry.file_name().to_string_lossy())
            .is_some_and(|id| mounts.0.iter().any(|m| m.id == id && on(m)))
    };
    if files.into_iter().any(by_id) {
        return true;
    }
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
    // With another root, its links and its mount table do not speak of the same paths.
    link("root").is_some_and(|root| root == Path::new("/"))
        && ["cwd", "exe"].into_iter().any(|name| {
            link(name).is_some_and(|path| path.is_absolute() && mounts.covering(&path).is_some_and(on))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_process_that_works_in_the_asset_is_named() {
        // This test's own folder plays the asset: what is mounted nowhere has no users.
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"bind\"\nsource = \"{}\"\n\
             [[asset.mount]]\nat = \"/at\"\n",
            dir.path().display()
        );
        let bind = Config::read(Path::new("ha.toml"), &text, "ec1").unwrap().open_asset();
        assert_eq!(users_of(&|mount| bind.is_on(mount), &|_| false).holders, []);
        assert_eq!(mounts(&|mount| bind.is_on(mount)).holders, []);
    }

    /// A name with a line feed in it forged a line that said "released".
    #[test]
    fn a_holder_is_one_line_whatever_it_is_called() {
        let forged = "/srv/a\nha-release: released";
        let holders = [
            Holder::Mount { at: forged.into(), pid: None },
            Holder::Swap { file: forged.into() },
            Holder::Process {
                pid: 7,
                user: "root".into(),
                command: "s\nh".into(),
                unit: None,
                uses: forged.into(),
            },
        ];
        for holder in holders {
            assert!(!holder.to_string().contains('\n'), "{holder}");
        }
    }

    /// A path that is no text let the whole JSON answer be missing, with status 0.
    #[test]
    fn a_path_that_is_no_text_is_written_to_json_all_the_same() {
        let at = PathBuf::from(std::ffi::OsStr::from_bytes(b"/srv/\xff"));
        let written = serde_json::to_string(&Holder::Mount { at, pid: None }).unwrap();
        assert!(written.contains("/srv/"), "{written}");
    }

    #[test]
    fn a_holder_says_who_and_what_and_what_to_do() {
        let process = Holder::Process {
            pid: 7,
            user: "root".into(),
            command: "sh".into(),
            unit: Some("a.service".into()),
            uses: "/srv/f".into(),
        };
        assert_eq!(process.to_string(), "process 7 (sh, user root, a.service) uses /srv/f");
        let hidden = Holder::Mount { at: "/srv".into(), pid: Some(9) };
        assert!(hidden.to_string().contains("namespace of process 9"));
    }
}
