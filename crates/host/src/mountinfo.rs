//! `/proc/PID/mountinfo` as values: what is mounted where, from which device.
//!
//! Pure but for [`own`]. Paths come octal-escaped from the kernel (proc(5)) and are bytes, not text.

use anyhow::Context;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One mount of one mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub id: u64,
    /// The mount it stands on; at the root itself, or a mount that is not seen here.
    pub parent: u64,
    pub device: Device,
    /// The folder of the file system that is mounted; `/` unless it is a bind mount or a subvolume.
    pub root: PathBuf,
    pub at: PathBuf,
    /// Options of this mount.
    pub options: String,
    pub fstype: String,
    /// What was given as the source: a device, or whatever the file system shows.
    pub source: OsString,
    /// Options of the file system.
    pub super_options: String,
    /// The peer group that hears of what is mounted and unmounted below it.
    pub shared: Option<u64>,
    /// The peer group that it hears of that from (mount_namespaces(7)).
    pub master: Option<u64>,
}

/// A device number as the kernel prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    pub major: u64,
    pub minor: u64,
}

impl Device {
    /// Returns the device behind a number from stat(2).
    pub fn from_stat(number: u64) -> Self {
        Self { major: nix::sys::stat::major(number), minor: nix::sys::stat::minor(number) }
    }
}

impl std::str::FromStr for Device {
    type Err = anyhow::Error;

    /// Reads what the kernel prints, as in `/sys/block/*/dev`.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        parse_device(text.as_bytes()).with_context(|| format!("\"{text}\" is not a device number"))
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The mounts of one namespace, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mounts(pub Vec<Mount>);

/// Returns the mounts of this process's namespace.
///
/// # Errors
/// When the kernel does not show them or shows something that cannot be read.
pub fn own() -> anyhow::Result<Mounts> {
    let path = "/proc/self/mountinfo";
    let bytes = std::fs::read(path).with_context(|| format!("read {path}"))?;
    Mounts::parse(&bytes).with_context(|| format!("read {path}"))
}

impl Mounts {
    /// Reads the text of a `mountinfo` file.
    ///
    /// # Errors
    /// Names the line: a mount that cannot be read might be the one that matters.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        bytes
            .split(|&byte| byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| {
                parse_line(line).with_context(|| format!("line {} is not a mount", index + 1))
            })
            .collect::<anyhow::Result<Vec<_>>>()
            .map(Self)
    }

    /// Returns the mount that is seen at exactly this path: the last one made there.
    pub fn at(&self, path: &Path) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.at == path)
    }

    /// Returns the mount that hides this one, made later at a directory above its place.
    pub fn hiding(&self, mount: &Mount) -> Option<&Mount> {
        let mut below = vec![mount.id];
        while let Some(next) = below
            .last()
            .and_then(|id| self.0.iter().find(|other| other.id == *id))
            .filter(|other| !below.contains(&other.parent))
        {
            below.push(next.parent);
        }
        let later = self.0.iter().skip_while(|other| other.id != mount.id).skip(1);
        let is_above = |other: &&Mount| other.at != mount.at && mount.at.starts_with(&other.at);
        later.filter(is_above).find(|other| !below.contains(&other.id))
    }

    /// Returns the mount a resolved absolute path lies on.
    pub fn covering(&self, path: &Path) -> Option<&Mount> {
        // The longest wins; of two at one place the later one hides the earlier.
        self.0
            .iter()
            .filter(|mount| path.starts_with(&mount.at))
            .max_by_key(|mount| mount.at.components().count())
    }

    /// Returns device and path within its file system of a resolved absolute path.
    pub fn locate(&self, path: &Path) -> Option<(Device, PathBuf)> {
        let mount = self.covering(path)?;
        let below = path.strip_prefix(&mount.at).ok()?;
        Some((mount.device, if below == Path::new("") { mount.root.clone() } else { mount.root.join(below) }))
    }

    /// Returns a path, through another mount of the same file system, at which a bind mount's folder lies.
    pub fn path_of(&self, bind: &Mount) -> Option<PathBuf> {
        let mut others = self.of(bind.device).filter(|mount| mount.id != bind.id);
        others.find_map(|mount| Some(mount.at.join(bind.root.strip_prefix(&mount.root).ok()?)))
    }

    /// Returns the mounts of this device, in the order in which they were made.
    pub fn of(&self, device: Device) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(move |mount| mount.device == device)
    }

    /// Returns the mounts that stand on another one, directly or not, deepest last.
    pub fn above(&self, id: u64) -> Vec<&Mount> {
        let mut stack = vec![id];
        let mut found: Vec<&Mount> = Vec::new();
        while let Some(below) = stack.pop() {
            for mount in self.0.iter().filter(|mount| mount.parent == below && mount.id != below) {
                if !found.iter().any(|known| known.id == mount.id) {
                    found.push(mount);
                    stack.push(mount.id);
                }
            }
        }
        found
    }
}

impl Mount {
    /// Returns the options with which mount(8) makes this mount again.
    pub fn options_to_remount(&self) -> String {
        let mut options: Vec<&str> = Vec::new();
        for option in self.options.split(',').chain(self.super_options.split(',')) {
            // What the kernel shows of a journal or a label is state, not something to be passed back;
            // ext4 shows only options that were given.
            // Shown by the kernel under SELinux, and no option that mount(8) takes.
            if option == "seclabel" {
                continue;
            }
            let contradicts = option == "rw" && options.contains(&"ro");
            if !option.is_empty() && !contradicts && !options.contains(&option) {
                options.push(option);
            }
        }
        options.join(",")
    }
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mut next = || fields.next();
    let id = number(next()?)?;
    let parent = number(next()?)?;
    let device = parse_device(next()?)?;
    let root = PathBuf::from(unescape(next()?));
    let at = PathBuf::from(unescape(next()?));
    let options = text(next()?)?;
    let (mut shared, mut master) = (None, None);
    // Optional fields end with a lone hyphen.
    loop {
        let field = next()?;
        if field == b"-" {
            break;
        }
        if let Some(group) = field.strip_prefix(b"shared:") {
            shared = Some(number(group)?);
        } else if let Some(group) = field.strip_prefix(b"master:") {
            master = Some(number(group)?);
        }
    }
    let fstype = text(next()?)?;
    let source = unescape(next()?);
    let super_options = next().map_or(Some(String::new()), text)?;
    Some(Mount { id, parent, device, root, at, options, fstype, source, super_options, shared, master })
}

fn text(field: &[u8]) -> Option<String> {
    unescape(field).into_string().ok()
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn parse_device(field: &[u8]) -> Option<Device> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    Some(Device { major: number(&field[..colon])?, minor: number(&field[colon + 1..])? })
}

/// Returns the bytes behind the kernel's `\040`, `\011`, `\012`, `\134` and `\043`.
pub fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match tail.get(..3).filter(|_| first == b'\\').and_then(octal) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0u8, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(digit - b'0'),
        _ => None,
    })
}

/// Returns a path as the kernel writes it in its tables.
pub fn escape(path: &Path) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => escaped.extend(format!("\\{byte:03o}").bytes()),
            _ => escaped.push(byte),
        }
    }
    escaped
}

/// Returns the automounter's trigger that lies over a place, as a clause with its remedy: whoever looks there
/// would have something mounted.
pub fn trigger_over(at: &Path, mounts: &Mounts) -> Option<String> {
    let trigger = mounts.0.iter().find(|mount| mount.fstype == "autofs" && at.starts_with(&mount.at))?;
    Some(format!(
        "{} is under an automounter, which mounts at {} ({}) as soon as somebody looks there; take that out of its map, or stop its unit",
        at.display(),
        trigger.at.display(),
        trigger.source.to_string_lossy()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    const TABLE: &[u8] = b"22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro\n\
        30 22 7:0 / /srv/x\\040vm rw,noatime shared:2 master:1 - ext4 /dev/loop0 rw\n\
        31 22 7:0 /uce/etc.opt /etc/opt/SUNWuce ro,relatime - ext4 /dev/loop0 rw\n\
        32 30 0:40 / /srv/x\\040vm/tmp rw - tmpfs tmpfs rw\n";

    #[test]
    fn mounts_are_read_with_escapes_and_optional_fields() {
        let mounts = Mounts::parse(TABLE).unwrap();
        let loop0 = Device { major: 7, minor: 0 };
        assert_eq!(mounts.of(loop0).count(), 2);
        let mount = mounts.at(Path::new("/srv/x vm")).unwrap();
        assert_eq!((mount.id, mount.source.as_os_str()), (30, OsStr::new("/dev/loop0")));
        assert_eq!(mounts.above(30).iter().map(|m| m.id).collect::<Vec<_>>(), [32]);
        assert_eq!(mounts.locate(Path::new("/etc/opt/SUNWuce/a")), Some((loop0, "/uce/etc.opt/a".into())));
        assert_eq!(mounts.locate(Path::new("/srv/x vm")), Some((loop0, "/".into())));
        assert_eq!(mounts.covering(Path::new("/srv/x vm/tmp/y")).map(|m| m.id), Some(32));
        assert_eq!(mounts.covering(Path::new("/srv/x vmm")).map(|m| m.id), Some(22));
        assert_eq!(mounts.at(Path::new("/etc/opt/SUNWuce")).unwrap().options_to_remount(), "ro,relatime");
    }

    #[test]
    fn a_mount_is_hidden_by_a_later_one_above_its_place() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / /srv rw - tmpfs t rw\n\
            3 2 7:0 / /srv/a rw - ext4 /dev/loop0 rw\n4 2 0:6 / /srv rw - tmpfs t rw\n";
        let mounts = Mounts::parse(text).unwrap();
        assert_eq!(mounts.hiding(&mounts.0[2]).map(|mount| mount.id), Some(4));
        assert_eq!(mounts.hiding(&mounts.0[1]), None);
        assert_eq!(Mounts(mounts.0[..3].to_vec()).hiding(&mounts.0[2]), None);
    }

    #[test]
    fn a_line_that_is_not_a_mount_is_named() {
        for bad in [&b"22 1 254:1 / /\n"[..], b"x 1 0:1 / / rw - a b c\n", b"1 1 01 / / rw - a b c\n"] {
            let error = Mounts::parse(bad).unwrap_err().to_string();
            assert!(error.contains("line 1"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_rejected_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_not = Mounts::parse(&bytes);
        }

        #[test]
        fn any_path_survives_the_kernels_escapes(bytes in proptest::collection::vec(1u8..=255, 1..40)) {
            let path = PathBuf::from(OsString::from_vec([b"/".as_slice(), &bytes].concat()));
            let mut line = b"7 1 8:1 / ".to_vec();
            line.extend(escape(&path));
            line.extend(b" rw - ext4 /dev/sda1 rw\n");
            let mounts = Mounts::parse(&line).unwrap();
            prop_assert_eq!(&mounts.0[0].at, &path);
        }
    }

    #[test]
    fn the_own_table_is_readable() {
        // In a chroot the root itself may be no mount; where the table is read from is one.
        assert!(own().unwrap().at(Path::new("/proc")).is_some());
    }
}
