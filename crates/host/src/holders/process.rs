//! By what processes use the asset: their folders, programs, open and mapped files.
//!
//! For each open file one link is read, and which mount it is on (`fdinfo`) only where the link leads
//! below a place where the asset is mounted. Nothing is lost by that: links and mount tables are both
//! written from the root of the namespace, so a file's path begins with the place of its mount, also
//! where another mount hides it.

use super::holder::Holder;
use super::namespaces::Tables;
use super::processes::{mount_id, processes, threads};
use super::{devices, unit};
use crate::mountinfo::{Device, Mount, Mounts};
use nix::dir::Dir;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many processes are worth another thread to look at them.
const SHARE: usize = 500;
/// How many threads look at most.
const LOOKERS: usize = 8;

/// What is known of the asset before any process is looked at.
struct KnownMounts<'a> {
    tables: &'a Tables,
    places: Places,
    devices: BTreeSet<Device>,
}

/// Where the asset is mounted, in any namespace, and the numbers of those mounts.
#[derive(Default)]
struct Places {
    ids: BTreeSet<u64>,
    at: BTreeSet<PathBuf>,
}

/// A thread, and the mount namespace it is in.
struct Thread {
    pid: u32,
    id: u32,
    namespace: OsString,
}

impl Places {
    fn add(&mut self, mounts: &Mounts, on: &dyn Fn(&Mount) -> bool) {
        for mount in mounts.0.iter().filter(|mount| on(mount)) {
            self.ids.insert(mount.id);
            self.at.insert(mount.at.clone());
        }
    }

    /// Tells whether a file of this path may be on the asset; where not, it is not.
    fn may_hold(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes();
        self.at.iter().any(|at| {
            let rest = path.strip_prefix(at.as_os_str().as_bytes());
            rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/') || at == Path::new("/"))
        })
    }
}

/// Returns the processes that use mounts for which `on` says yes; `own` is what this process itself sees
/// mounted. The mount tables of all processes are kept in `tables`, what cannot be read is added to `unread`.
pub(super) fn users(
    own: &Mounts,
    tables: &mut Tables,
    on: &dyn Fn(&Mount) -> bool,
    unread: &mut Vec<String>,
) -> Vec<Holder> {
    let threads = all_threads(tables, unread);
    // All namespaces before any file: one opened in another namespace is told by its mount.
    let mut places = Places::default();
    tables.all().chain([own]).for_each(|mounts| places.add(mounts, on));
    let known = KnownMounts { tables, places, devices: devices::of_asset(on, unread) };
    let groups: Vec<&[Thread]> = threads.chunk_by(|one, other| one.pid == other.pid).collect();
    let lookers = std::thread::available_parallelism().map_or(1, usize::from).min(LOOKERS);
    let share = groups.len().div_ceil(lookers).max(SHARE);
    let look = |groups: &[&[Thread]]| {
        let mut look = Look::new(&known);
        groups.iter().filter_map(|threads| look.process_use(threads)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let mut shares = groups.chunks(share);
        let first = shares.next().unwrap_or_default();
        let others: Vec<_> = shares.map(|groups| scope.spawn(move || look(groups))).collect();
        let mut found = look(first);
        for other in others {
            match other.join() {
                Ok(more) => found.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    })
}

fn all_threads(tables: &mut Tables, unread: &mut Vec<String>) -> Vec<Thread> {
    let mut found = Vec::new();
    for pid in processes(unread) {
        for id in threads(pid) {
            match tables.named(id) {
                Ok(Some((namespace, _))) => found.push(Thread { pid, id, namespace: namespace.clone() }),
                Ok(None) => {}
                Err(why) => unread.push(why),
            }
        }
    }
    found
}

/// One look at processes, one after the other.
struct Look<'a> {
    known: &'a KnownMounts<'a>,
    /// What was found behind paths in `/dev`; most processes have the same few open.
    behind: BTreeMap<PathBuf, Option<Device>>,
    /// What was read last; thousands of files go through it.
    text: Vec<u8>,
}

impl<'a> Look<'a> {
    fn new(known: &'a KnownMounts<'a>) -> Self {
        Self { known, behind: BTreeMap::new(), text: vec![0; 64 * 1024] }
    }

    fn process_use(&mut self, threads: &[Thread]) -> Option<Holder> {
        // Where one thread was looked at: in its namespace the others share its open files.
        let first = &threads.first()?.namespace;
        threads.iter().enumerate().find_map(|(index, thread)| {
            let mounts = self.known.tables.of_namespace(&thread.namespace)?;
            let uses = if index > 0 && thread.namespace == *first {
                self.folder_use(thread.id, mounts)
            } else {
                self.first_use(thread.id, mounts)
            };
            uses.map(|uses| describe(thread.pid, thread.id, uses))
        })
    }

    /// Returns the first thing by which a thread uses the asset.
    fn first_use(&mut self, thread: u32, mounts: &Mounts) -> Option<String> {
        self.folder_use(thread, mounts)
            .or_else(|| self.program_use(thread, mounts))
            .or_else(|| self.file_use(thread, mounts))
            .or_else(|| self.mapped_use(thread, mounts))
    }

    /// Returns the folder of the asset that a thread works in or has for its root.
    fn folder_use(&mut self, thread: u32, mounts: &Mounts) -> Option<String> {
        [("cwd", "as its working directory"), ("root", "as its root")].into_iter().find_map(|(link, word)| {
            let path = fs::read_link(format!("/proc/{thread}/{link}")).ok()?;
            self.is_on_asset(&path, mounts).then(|| format!("{} {word}", path.display()))
        })
    }

    fn program_use(&mut self, thread: u32, mounts: &Mounts) -> Option<String> {
        let path = fs::read_link(format!("/proc/{thread}/exe")).ok()?;
        self.is_on_asset(&path, mounts).then(|| format!("{} as its program", path.display()))
    }

    fn file_use(&mut self, thread: u32, mounts: &Mounts) -> Option<String> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut folder = Dir::open(format!("/proc/{thread}/fd").as_str(), flags, Mode::empty()).ok()?;
        let names = folder.iter().flatten().map(|entry| entry.file_name().to_owned());
        // All but the folder itself and the one above it.
        let files: Vec<CString> = names.filter(|name| !name.to_bytes().starts_with(b".")).collect();
        files.iter().find_map(|file| {
            let path = PathBuf::from(readlinkat(&folder, file.as_c_str()).ok()?);
            let is_used = path.is_absolute()
                && (self.is_open_on_asset(thread, file, &path) || self.is_on_asset(&path, mounts));
            is_used.then(|| path.display().to_string())
        })
    }

    fn is_open_on_asset(&self, thread: u32, file: &CStr, path: &Path) -> bool {
        let places = &self.known.places;
        let id = || mount_id(thread, &file.to_string_lossy());
        places.may_hold(path) && id().is_some_and(|id| places.ids.contains(&id))
    }

    fn mapped_use(&mut self, thread: u32, mounts: &Mounts) -> Option<String> {
        let mut text = std::mem::take(&mut self.text);
        let length = read_into(&format!("/proc/{thread}/maps"), &mut text);
        let mut last: &[u8] = &[];
        let found = text[..length].split(|byte| *byte == b'\n').find_map(|line| {
            let path = &line[line.iter().position(|byte| *byte == b'/')?..];
            // A file is mapped in several pieces, one after the other.
            if std::mem::replace(&mut last, path) == path {
                return None;
            }
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            self.is_on_asset(path, mounts).then(|| format!("{} (mapped)", path.display()))
        });
        self.text = text;
        found
    }

    /// Tells whether a path that a process names is on the asset. Whoever has the device itself open uses
    /// the asset, too.
    fn is_on_asset(&mut self, path: &Path, mounts: &Mounts) -> bool {
        if let Some(device) = self.device_behind(path) {
            return self.known.devices.contains(&device);
        }
        let places = &self.known.places;
        places.may_hold(path) && mounts.covering(path).is_some_and(|mount| places.ids.contains(&mount.id))
    }

    fn device_behind(&mut self, path: &Path) -> Option<Device> {
        if !path.starts_with("/dev") {
            return None;
        }
        if let Some(known) = self.behind.get(path) {
            return *known;
        }
        let device = devices::behind(path);
        self.behind.insert(path.to_owned(), device);
        device
    }
}

/// Reads a file of `/proc` into a buffer, which grows as it must; returns how much of it that is.
fn read_into(path: &str, text: &mut Vec<u8>) -> usize {
    let Ok(mut file) = File::open(path) else { return 0 };
    let mut length = 0;
    loop {
        if length == text.len() {
            text.resize(2 * length, 0);
        }
        match file.read(&mut text[length..]) {
            Ok(0) | Err(_) => return length,
            Ok(more) => length += more,
        }
    }
}

fn describe(pid: u32, thread: u32, uses: String) -> Holder {
    let text = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let uid = text("status")
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
    let user = uid.map_or_else(
        || "unknown".to_owned(),
        |uid: u32| {
            let name = nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
            name.unwrap_or_else(|| uid.to_string())
        },
    );
    let unit = unit::of(&fs::read_to_string(format!("/proc/{thread}/cgroup")).unwrap_or_default());
    Holder::Process { pid, user, command: text("comm").trim().to_owned(), unit, uses }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_a_place_by_whole_names() {
        let places = |at: &str| Places { ids: BTreeSet::new(), at: BTreeSet::from([PathBuf::from(at)]) };
        for path in ["/srv", "/srv/", "/srv/a (deleted)"] {
            assert!(places("/srv").may_hold(Path::new(path)), "{path}");
            assert!(places("/").may_hold(Path::new(path)), "{path}");
        }
        for path in ["/srv2", "/sr", "/", "/a/srv", "pipe:[1]"] {
            assert!(!places("/srv").may_hold(Path::new(path)), "{path}");
        }
        assert!(!Places::default().may_hold(Path::new("/")));
    }
}
