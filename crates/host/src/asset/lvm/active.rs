//! What the kernel has active of a volume group: device-mapper's devices in `/sys/block`.
//!
//! Nothing is opened and no command is run, so a device that died hangs nothing here.

use crate::mountinfo::Device;
use anyhow::Context;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A logical volume, or a part of one, that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Active {
    /// As device-mapper names it: group, hyphen, volume, with hyphens within either doubled.
    pub(super) name: String,
    /// The UUID of its group, without hyphens.
    pub(super) group: String,
    pub(super) number: Device,
}

/// Returns what is active of a group.
///
/// # Errors
/// When the kernel's list cannot be read; a list that is not there is not an empty one.
pub(super) fn volumes(group: &str) -> anyhow::Result<Vec<Active>> {
    volumes_in(Path::new("/sys/block"), group)
}

fn volumes_in(root: &Path, group: &str) -> anyhow::Result<Vec<Active>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(root).with_context(|| format!("read {}", root.display()))?;
    for entry in entries {
        let folder = entry.with_context(|| format!("read {}", root.display()))?.path();
        let Some((name, uuid, number)) = device_mapper(&folder)? else { continue };
        let Some(uuid) = uuid.strip_prefix("LVM-").and_then(|uuid| uuid.get(..32)) else { continue };
        if group_of(&name) == group {
            let number = number.parse().with_context(|| format!("read {}", folder.join("dev").display()))?;
            found.push(Active { name, group: uuid.to_owned(), number });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Returns name, UUID and number of a device of device-mapper; `None` where it is none, or gone.
fn device_mapper(folder: &Path) -> anyhow::Result<Option<(String, String, String)>> {
    let read = |name: &str| match fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", folder.join(name).display())),
    };
    Ok(match (read("dm/name")?, read("dm/uuid")?, read("dev")?) {
        (Some(name), Some(uuid), Some(number)) => Some((name, uuid, number)),
        _ => None,
    })
}

/// Returns the group in the name of a device: everything before the first hyphen that is not doubled.
fn group_of(name: &str) -> String {
    let mut group = String::new();
    let mut rest = name.chars().peekable();
    while let Some(next) = rest.next() {
        if next == '-' && rest.next_if_eq(&'-').is_none() {
            break;
        }
        group.push(next);
    }
    group
}

/// Returns the path of a logical volume's device; the volume as in `[[asset.mount]]`: `data`, or
/// `group/data`, or a path already.
pub(super) fn device(group: &str, volume: &str) -> String {
    if volume.starts_with("/dev/mapper/") {
        return volume.to_owned();
    }
    let volume = volume.strip_prefix("/dev/").unwrap_or(volume);
    let volume = volume.strip_prefix(group).and_then(|rest| rest.strip_prefix('/')).unwrap_or(volume);
    let doubled = |name: &str| name.replace('-', "--");
    path(&format!("{}-{}", doubled(group), doubled(volume))).to_string_lossy().into_owned()
}

/// Returns where a device of device-mapper is found.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_from_one_whose_name_begins_alike() {
        assert_eq!(group_of("shared-data"), "shared");
        assert_eq!(group_of("sha--red-data--two"), "sha-red");
        assert_eq!(group_of("shared--two-data"), "shared-two");
        assert_eq!(device("sha-red", "data-two"), "/dev/mapper/sha--red-data--two");
        assert_eq!(device("shared", "shared/data"), "/dev/mapper/shared-data");
        assert_eq!(device("shared", "/dev/shared/data"), "/dev/mapper/shared-data");
    }

    #[test]
    fn what_is_active_is_read_from_the_kernel_and_nothing_else_is_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let uuid = "LVM-0123456789abcdef0123456789abcdefFEDCBA9876543210FEDCBA9876543210";
        for (device, name, uuid) in [
            ("dm-0", "shared-data", uuid),
            ("dm-1", "shared-crypt", "CRYPT-LUKS2-1"),
            ("dm-2", "sharedx-data", uuid),
        ] {
            let folder = dir.path().join(device);
            fs::create_dir_all(folder.join("dm")).unwrap();
            fs::write(folder.join("dm/name"), format!("{name}\n")).unwrap();
            fs::write(folder.join("dm/uuid"), format!("{uuid}\n")).unwrap();
            fs::write(folder.join("dev"), "253:7\n").unwrap();
        }
        fs::create_dir(dir.path().join("vda")).unwrap();
        let found = volumes_in(dir.path(), "shared").unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].number, Device { major: 253, minor: 7 });
        assert_eq!(found[0].group, "0123456789abcdef0123456789abcdef");
        assert!(volumes_in(&dir.path().join("nothing"), "shared").is_err(), "missing is not empty");
    }
}
