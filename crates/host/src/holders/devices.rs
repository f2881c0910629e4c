//! What the kernel keeps open by itself: loop devices, what is built on a device, swap.

use super::holder::Holder;
use crate::mountinfo::{Device, Mount, Mounts};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How deep devices may be built on one another before the search is given up.
const DEEP: usize = 16;

/// Returns the devices and swaps that use files or devices for whose mounts `on` says yes.
pub(super) fn users(own: &Mounts, on: &dyn Fn(&Mount) -> bool) -> Vec<Holder> {
    let uses = |path: &Path| {
        let device = if path.starts_with("/dev") { behind(path) } else { None };
        device.map_or_else(|| own.covering(path).is_some_and(on), |device| is(device, on))
    };
    let mut found: Vec<Holder> =
        swaps().into_iter().filter(|path| uses(path)).map(|file| Holder::Swap { file }).collect();
    let mut below: BTreeSet<Device> =
        own.0.iter().filter(|mount| on(mount)).map(|mount| mount.device).collect();
    for (device, file, number) in loop_files(Path::new("/sys/block")) {
        if uses(&file) {
            // A file system in a file of the asset: it is unmounted first.
            let mounted = own.0.iter().filter(|mount| mount.device == number);
            found.extend(mounted.map(|mount| Holder::Mount { at: mount.at.clone(), pid: None }));
            found.push(Holder::Loop { device, file });
            below.insert(number);
        }
    }
    for device in below {
        found.extend(built_on(Path::new("/sys/dev/block"), device));
    }
    found
}

/// Returns the block device behind a path in `/dev`; `None` for what is none: /dev/shm and the like are
/// folders of file systems as any other. Looks at the node alone: it opens nothing.
pub(super) fn behind(path: &Path) -> Option<Device> {
    let node = fs::metadata(path).ok().filter(|node| node.file_type().is_block_device())?;
    Some(Device::from_stat(node.rdev()))
}

/// Returns the block devices of this host that are the asset's.
pub(super) fn of_asset(on: &dyn Fn(&Mount) -> bool, unread: &mut Vec<String>) -> BTreeSet<Device> {
    let folder = "/sys/class/block";
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten(),
        Err(error) => {
            unread.push(format!("{folder}: {error}"));
            return BTreeSet::new();
        }
    };
    let number = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok();
    entries.filter_map(number).filter(|device| is(*device, on)).collect()
}

/// Tells whether a device is the asset's, which is known by what is mounted of it.
fn is(device: Device, on: &dyn Fn(&Mount) -> bool) -> bool {
    on(&Mount {
        id: 0,
        parent: 0,
        device,
        root: PathBuf::from("/"),
        at: PathBuf::from("/dev"),
        options: String::new(),
        fstype: String::new(),
        source: OsString::new(),
        super_options: String::new(),
        shared: None,
        master: None,
    })
}

fn loop_files(root: &Path) -> Vec<(String, PathBuf, Device)> {
    let devices = fs::read_dir(root).into_iter().flatten().flatten();
    devices
        .filter_map(|entry| {
            let mut file = fs::read(entry.path().join("loop/backing_file")).ok()?;
            file.truncate(file.strip_suffix(b"\n").map_or(file.len(), <[u8]>::len));
            let number = fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok()?;
            let name = format!("/dev/{}", entry.file_name().to_string_lossy());
            Some((name, PathBuf::from(OsString::from_vec(file)), number))
        })
        .collect()
}

/// Returns what is built on a device, and on that in turn: volumes, crypt devices, multipaths, arrays.
fn built_on(root: &Path, device: Device) -> Vec<Holder> {
    let mut found = Vec::new();
    let mut below = vec![(root.join(device.to_string()), device.to_string())];
    for _ in 0..DEEP {
        let mut above = Vec::new();
        for (folder, on) in &below {
            let named = fs::canonicalize(folder).ok().and_then(|path| path.file_name().map(OsString::from));
            let on = named.map_or_else(|| on.clone(), |name| format!("/dev/{}", name.to_string_lossy()));
            for entry in fs::read_dir(folder.join("holders")).into_iter().flatten().flatten() {
                let device = name_of(&entry.path(), &entry.file_name());
                found.push(Holder::Built { device: device.clone(), on: on.clone() });
                above.push((entry.path(), device));
            }
        }
        if above.is_empty() {
            break;
        }
        below = above;
    }
    found
}

/// Returns the path people know a device by.
fn name_of(folder: &Path, name: &OsString) -> String {
    match fs::read_to_string(folder.join("dm/name")) {
        Ok(mapped) => format!("/dev/mapper/{}", mapped.trim()),
        Err(_) => format!("/dev/{}", name.to_string_lossy()),
    }
}

fn swaps() -> Vec<PathBuf> {
    swapped(&fs::read("/proc/swaps").unwrap_or_default())
}

/// Reads `/proc/swaps`, in which blanks of a path are written as numbers, like in a table of mounts.
fn swapped(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    let paths = lines.filter_map(|line| line.split(|byte| byte.is_ascii_whitespace()).next());
    paths.map(|path| PathBuf::from(crate::mountinfo::unescape(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_swap_file_is_named_as_it_is_written() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/srv/a\\040b/swap                      file\t\t8\t\t0\t\t-2\n";
        assert_eq!(swapped(text), [PathBuf::from("/srv/a b/swap")]);
    }

    #[test]
    fn what_is_built_on_a_device_is_named_up_to_the_top() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (name, mapped) in
            [("sdb", None), ("dm-3", Some("mpatha")), ("dm-4", Some("shared-data")), ("md0", None)]
        {
            fs::create_dir_all(root.join(name).join("holders")).unwrap();
            if let Some(mapped) = mapped {
                fs::create_dir(root.join(name).join("dm")).unwrap();
                fs::write(root.join(name).join("dm/name"), format!("{mapped}\n")).unwrap();
            }
        }
        for (below, above) in [("sdb", "dm-3"), ("dm-3", "dm-4"), ("dm-3", "md0")] {
            symlink(root.join(above), root.join(below).join("holders").join(above)).unwrap();
        }
        symlink(root.join("sdb"), root.join("8:16")).unwrap();
        let said: Vec<String> =
            built_on(root, Device { major: 8, minor: 16 }).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0], "/dev/mapper/mpatha is built on /dev/sdb; dmsetup remove /dev/mapper/mpatha");
        assert!(
            said.iter().any(|line| line.starts_with("/dev/md0 is built on") && line.contains("mdadm --stop"))
        );
    }

    #[test]
    fn the_file_behind_a_loop_device_is_read_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("loop3/loop")).unwrap();
        fs::write(dir.path().join("loop3/loop/backing_file"), "/srv/a file\n").unwrap();
        fs::write(dir.path().join("loop3/dev"), "7:3\n").unwrap();
        fs::create_dir(dir.path().join("sda")).unwrap();
        let found = loop_files(dir.path());
        assert_eq!(found, [("/dev/loop3".into(), "/srv/a file".into(), Device { major: 7, minor: 3 })]);
    }
}
