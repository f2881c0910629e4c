//! One entry of a manifest: a file, folder, link or special file with all that is restored of it.

use crate::path_bytes::{PathBytes, decode_hex, decode_hex_into, encode_hex};
use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

impl Kind {
    /// Returns the kind in the type bits of a mode.
    pub fn of_mode(mode: u32) -> Self {
        match mode & nix::libc::S_IFMT {
            nix::libc::S_IFDIR => Self::Directory,
            nix::libc::S_IFLNK => Self::Symlink,
            nix::libc::S_IFIFO => Self::Fifo,
            nix::libc::S_IFSOCK => Self::Socket,
            nix::libc::S_IFCHR => Self::CharDevice,
            nix::libc::S_IFBLK => Self::BlockDevice,
            _ => Self::File,
        }
    }

    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
        }
    }
}

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub path: PathBytes,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub size: u64,
    /// Permission bits, in JSON as octal text (`"0644"`).
    #[serde(serialize_with = "octal", deserialize_with = "from_octal")]
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
    /// Nanoseconds since 1970; more than 64 bits, because file systems know years that 64 do not.
    pub mtime_ns: i128,
    pub ctime_ns: i128,
    pub device: u64,
    pub inode: u64,
    /// BLAKE3 of a file's whole contents, holes read as zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<Digest>,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBytes>,
    /// Major and minor number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_number: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<Xattr>,
    /// Entries with the same number are one file under several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_group: Option<u64>,
    /// The file changed each time it was read; its copy may be of no single moment.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changed: bool,
    /// A folder above what was asked for: made when missing on restore, never altered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub parent: bool,
    /// The store could not hold a copy of this link, fifo or device; the entry alone has all there is to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub manifest_only: bool,
}

impl Entry {
    /// Tells whether the two have the same owner, permissions, modification time and attributes.
    pub fn same_metadata(&self, other: &Self) -> bool {
        self.same_rights(other) && self.mtime_ns == other.mtime_ns
    }

    /// Tells whether the two have the same owner, permissions and attributes.
    pub fn same_rights(&self, other: &Self) -> bool {
        (self.kind, self.mode, self.uid, self.gid) == (other.kind, other.mode, other.uid, other.gid)
            && self.xattrs == other.xattrs
    }

    /// Tells whether the file behind this entry is, by its inode and times, the one `before` was.
    pub fn is_untouched_since(&self, before: &Self) -> bool {
        (self.kind, self.size, self.mtime_ns, self.ctime_ns, self.inode, self.device)
            == (before.kind, before.size, before.mtime_ns, before.ctime_ns, before.inode, before.device)
            && (self.mode, self.uid, self.gid) == (before.mode, before.uid, before.gid)
    }
}

/// An extended attribute; POSIX ACLs and capabilities are among them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Xattr {
    pub name: PathBytes,
    /// In JSON as hexadecimal.
    #[serde(serialize_with = "hexadecimal", deserialize_with = "from_hexadecimal")]
    pub value: Vec<u8>,
}

/// A BLAKE3 hash, in JSON as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut digest = [0; 32];
        decode_hex_into(&text, &mut digest)
            .map(|()| Self(digest))
            .ok_or_else(|| D::Error::custom("a BLAKE3 hash has 64 hexadecimal digits"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it writes by reference")]
fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

fn from_octal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    u32::from_str_radix(&text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| D::Error::custom("mode: four octal digits"))
}

fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode_hex(bytes))
}

fn from_hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    decode_hex(&text).ok_or_else(|| D::Error::custom("not hexadecimal"))
}
