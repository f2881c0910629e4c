//! Block devices: found by name or by UUID, and read past the page cache, under a deadline.
//!
//! A disk that died answers no read, and nothing ends a process that waits for one. So every read is
//! made by dd(1) in a child: it is the child that hangs, and it is left behind.

use super::Superblock;
use crate::boot::{self, NameMatch};
use crate::mountinfo::{self, Device, Mounts};
use anyhow::{Context, bail};
use orderly_exec::job::{Ending, Job};
use orderly_exec::runner::Run;
use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs};

/// Direct reads begin and end at multiples of this; no device has larger sectors.
const BLOCK: u64 = 4096;

/// How long each candidate is waited for while the right device is looked for.
const CANDIDATE: Duration = Duration::from_secs(10);

/// A block device of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockDevice {
    pub(super) path: PathBuf,
    pub(super) number: Device,
}

/// Why a device could not be read.
#[derive(Debug)]
pub(super) struct UnreadDevice {
    said: String,
    /// It did not answer in time, and would not the next time.
    pub(super) is_silent: bool,
    /// It may carry what is looked for, as far as is known.
    may_be_it: bool,
}

impl fmt::Display for UnreadDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for UnreadDevice {}

/// Reads bytes of a device; what lies behind its end is left out.
///
/// # Errors
/// When they cannot be read, or not in time.
pub(super) fn read(
    device: &Path,
    offset: u64,
    length: u64,
    limit: Duration,
    run: &mut dyn Run,
) -> anyhow::Result<Vec<u8>> {
    let (first, last) = (offset / BLOCK, (offset + length).div_ceil(BLOCK));
    // Direct: on a device that another host writes to, the page cache may be old.
    let argv = [
        "dd".to_owned(),
        format!("if={}", device.display()),
        "iflag=direct,fullblock".to_owned(),
        format!("bs={BLOCK}"),
        format!("skip={first}"),
        format!("count={}", last - first),
        "status=none".to_owned(),
    ];
    let mut job = Job::new(argv, limit);
    job.env.push(("LC_ALL".into(), "C".into()));
    job.keep = usize::try_from((last - first) * BLOCK).unwrap_or(usize::MAX);
    let ended = run.run(&job);
    if !ended.succeeded() {
        let why = ended.clause();
        // What the kernel makes of a reservation conflict (EBADE).
        let is_reserved = why.contains("Invalid exchange");
        let hint = if is_reserved { "; another host has a SCSI reservation of it" } else { "" };
        let is_silent = matches!(ended.ending, Ending::TimedOut | Ending::Unkillable);
        let may_be_it = is_silent || is_reserved || ended.ending == Ending::NotStarted;
        let said = format!("read {}: dd: {why}{hint}", device.display());
        bail!(UnreadDevice { said, is_silent, may_be_it });
    }
    let begin = usize::try_from(offset - first * BLOCK).unwrap_or(usize::MAX);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(ended.stdout.get(begin..).unwrap_or_default().iter().copied().take(wanted).collect())
}

/// Finds a device that is named by its path.
///
/// # Errors
/// When it is not there or is no block device.
pub(super) fn named(path: &Path) -> anyhow::Result<BlockDevice> {
    let path = fs::canonicalize(path).with_context(|| format!("find the device {}", path.display()))?;
    let number = number_of(&path)?;
    Ok(BlockDevice { path, number })
}

/// Finds the device with this UUID: by udev's link, else by looking at every block device, as
/// findfs(8) does.
///
/// # Errors
/// When none has it, or several: a copy is another asset, and nobody could say which one was meant.
pub(super) fn with_uuid(uuid: &str, limit: Duration, run: &mut dyn Run) -> anyhow::Result<BlockDevice> {
    let uuid = uuid.to_ascii_lowercase();
    let mut silent: Vec<String> = Vec::new();
    let mut is_it = |path: &Path, limit: Duration| match Superblock::read(path, limit, run) {
        Ok(found) => found.uuid == uuid,
        // What is no file system is not asked about again; what did not answer may be the one.
        Err(error) => {
            if error.downcast_ref().is_some_and(|unread: &UnreadDevice| unread.may_be_it) {
                silent.push(format!("{error:#}"));
            }
            false
        }
    };
    if let Some(linked) = link(&uuid) {
        if is_it(&linked.path, limit) {
            return Ok(linked);
        }
    }
    let mut names: Vec<_> =
        fs::read_dir("/sys/class/block")?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names.retain(|name| is_worth_a_look(name));
    let found: Vec<PathBuf> = names
        .into_iter()
        .map(|name| Path::new("/dev").join(name))
        .filter(|path| is_it(path, limit.min(CANDIDATE)))
        .collect();
    match found.as_slice() {
        [one] => named(one),
        [one, another, ..] => bail!(
            "{} and {} both have the UUID {uuid}; name the device instead",
            one.display(),
            another.display()
        ),
        [] if silent.is_empty() => bail!("no device here has a file system with UUID={uuid}"),
        [] => bail!("no device here shows a file system with UUID={uuid}; {}", silent.join("; ")),
    }
}

/// Where udev has the links of a tag of fstab(5), by which a device is named there.
const TAGS: [(&str, &str); 5] = [
    ("UUID=", "by-uuid"),
    ("LABEL=", "by-label"),
    ("PARTUUID=", "by-partuuid"),
    ("PARTLABEL=", "by-partlabel"),
    ("ID=", "by-id"),
];

const LINKS: &str = "/dev/disk";

/// Tells whether what stands first in a line of fstab(5) is this device, under whatever name. What is
/// on the device counts, where it could be read: udev's links may be old, or not there at all.
pub(super) fn named_in_fstab(spec: &str, device: Device, on_it: Option<&Superblock>) -> NameMatch {
    let spec = mountinfo::unescape(spec.as_bytes()).to_string_lossy().replace('"', "");
    let Some((kind, name)) = tag(&spec) else {
        let path = Path::new(&spec);
        let mounts = mountinfo::own().unwrap_or_default();
        return (may_be_asked(path, &mounts) && number_of(path).is_ok_and(|number| number == device)).into();
    };
    let folder = Path::new(LINKS).join(&kind);
    match (kind.as_str(), on_it) {
        ("by-uuid", Some(on_it)) if on_it.uuid.eq_ignore_ascii_case(&name) => return NameMatch::Yes,
        ("by-label", Some(on_it)) if on_it.label == name => return NameMatch::Yes,
        _ => {}
    }
    let name = if kind == "by-uuid" { name.to_ascii_lowercase() } else { name };
    let is_known = matches!(kind.as_str(), "by-uuid" | "by-label") && on_it.is_some();
    let has_part = !kind.starts_with("by-part") || is_partition(device);
    match number_of(&folder.join(encode(&name))) {
        Ok(number) => (number == device).into(),
        Err(_) if is_known || !has_part || folder.is_dir() => NameMatch::No,
        Err(_) => NameMatch::Unknown(format!("there is no {}", folder.display())),
    }
}

/// Tells whether a path may be looked at: on the file system of `/` or in `/dev`. On any other, of a file
/// server or of the asset itself, whoever looks may wait for ever; and no device is found there.
fn may_be_asked(path: &Path, mounts: &Mounts) -> bool {
    let lies_on = |path: &Path| mounts.covering(path).map(|mount| mount.device);
    path.starts_with("/dev") || (path.is_absolute() && lies_on(path) == lies_on(Path::new("/")))
}

/// Returns the folder of links and the name that a source of fstab(5) means, as a tag or as a path.
fn tag(spec: &str) -> Option<(String, String)> {
    if let Some((tag, folder)) = TAGS.iter().find(|(tag, _)| spec.starts_with(tag)) {
        return Some(((*folder).to_owned(), spec[tag.len()..].to_owned()));
    }
    let (kind, name) = spec.strip_prefix(LINKS)?.strip_prefix('/')?.split_once('/')?;
    Some((kind.to_owned(), boot::unescape(name)))
}

/// A partition has a number of its own in sysfs; a whole disk and what is built on others has none.
fn is_partition(device: Device) -> bool {
    Path::new("/sys/dev/block").join(device.to_string()).join("partition").exists()
}

/// Returns a name as udev writes it in a link: what is not plain as `\x20` (libblkid's encoding).
fn encode(name: &str) -> String {
    let mut encoded = String::new();
    for letter in name.chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '#' | '+' | '-' | '.' | ':' | '=' | '@' | '_' | '/' => {
                encoded.push(letter);
            }
            _ if !letter.is_ascii() => encoded.push(letter),
            _ => encoded.push_str(&format!("\\x{:02x}", u32::from(letter))),
        }
    }
    encoded
}

/// Returns where udev says that a UUID is; a link may be old, so what it leads to is read again.
pub(super) fn link(uuid: &str) -> Option<BlockDevice> {
    named(&Path::new("/dev/disk/by-uuid").join(uuid.to_ascii_lowercase())).ok()
}

/// A path below device-mapper shows the same file system as the device above it, and a device of
/// size 0 (a drive without medium, a loop device without file) shows none.
fn is_worth_a_look(name: &OsStr) -> bool {
    let folder = Path::new("/sys/class/block").join(name);
    let is_below = fs::read_dir(folder.join("holders")).is_ok_and(|mut holders| holders.next().is_some());
    let is_empty = fs::read_to_string(folder.join("size")).is_ok_and(|size| size.trim() == "0");
    !is_below && !is_empty
}

/// Returns the number of a block device.
///
/// # Errors
/// When it is not there or is no block device.
pub(super) fn number_of(path: &Path) -> anyhow::Result<Device> {
    let found = fs::metadata(path).with_context(|| format!("find the device {}", path.display()))?;
    if !found.file_type().is_block_device() {
        bail!("{} is not a block device", path.display());
    }
    Ok(Device::from_stat(found.rdev()))
}

/// Where the kernel describes block devices, by number.
const BLOCK_DEVICES: &str = "/sys/dev/block";

/// Says that nothing can be written to a device, or to one that it is made of, with the remedy. Read from
/// the kernel: to open a device for writing could wake whoever watches it.
pub fn write_protection(device: &Path) -> Option<String> {
    let number = number_of(device).ok()?;
    let protected = protected(&Path::new(BLOCK_DEVICES).join(number.to_string()), &mut Vec::new())?;
    let below = if device.file_name() == Some(&protected) {
        String::new()
    } else {
        format!(", which lies on {}", protected.to_string_lossy())
    };
    Some(format!(
        "{}{below} is write-protected; mend that (blockdev --setrw, or on the storage), or mount it with options = \"ro\"",
        device.display()
    ))
}

/// Returns the name of the first device that is write-protected: this one, or one that it is made of.
fn protected(entry: &Path, seen: &mut Vec<PathBuf>) -> Option<std::ffi::OsString> {
    let entry = fs::canonicalize(entry).ok()?;
    if seen.contains(&entry) {
        return None;
    }
    seen.push(entry.clone());
    if fs::read_to_string(entry.join("ro")).is_ok_and(|text| text.trim() == "1") {
        return entry.file_name().map(OsStr::to_owned);
    }
    let below = fs::read_dir(entry.join("slaves")).into_iter().flatten().flatten();
    below.map(|slave| slave.path()).find_map(|slave| protected(&slave, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_it() -> Superblock {
        Superblock {
            fstype: "ext4",
            uuid: "0a1b".to_owned(),
            label: "my label".to_owned(),
            mark: String::new(),
            take_mark: None,
            is_clean: true,
            is_protected: false,
        }
    }

    /// A line that binds a folder of a file server that is dead would have hung the release.
    #[test]
    fn no_path_is_looked_at_for_which_one_may_wait_for_ever() {
        let table = b"1 1 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /dev rw - devtmpfs dev rw\n\
                      3 1 0:9 / /nfs rw - nfs server:/x rw\n";
        let mounts = Mounts::parse(table).unwrap();
        for (path, may) in [("/dev/sdb", true), ("/disk", true), ("/nfs/a", false), ("tmpfs", false)] {
            assert_eq!(may_be_asked(Path::new(path), &mounts), may, "{path}");
        }
    }

    /// A label with a blank, and every tag where udev has made no links, passed for another device.
    #[test]
    fn a_tag_of_fstab_is_compared_with_what_is_on_the_device() {
        let none = Device { major: 0, minor: 0 };
        for ours in [
            "UUID=0A1B",
            "UUID=\"0a1b\"",
            "LABEL=my\\040label",
            "LABEL=\"my\\040label\"",
            "/dev/disk/by-uuid/0a1b",
            "/dev/disk/by-label/my\\x20label",
        ] {
            assert_eq!(named_in_fstab(ours, none, Some(&on_it())), NameMatch::Yes, "{ours}");
        }
        for other in ["UUID=0a1c", "LABEL=my", "tmpfs", "/dev/null", "PARTUUID=0a1b"] {
            assert_eq!(named_in_fstab(other, none, Some(&on_it())), NameMatch::No, "{other}");
        }
        let unasked = named_in_fstab("/dev/disk/by-nothing/x", none, Some(&on_it()));
        assert_eq!(unasked, NameMatch::Unknown("there is no /dev/disk/by-nothing".to_owned()));
        assert_eq!(encode("my label"), "my\\x20label");
    }
}
