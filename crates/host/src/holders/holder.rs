//! Something that keeps the asset busy, and what a person types to end that.

use orderly_exec::printable;
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that keeps the asset busy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Holder {
    Process {
        pid: u32,
        user: String,
        command: String,
        unit: Option<String>,
        uses: String,
    },
    /// A mount in the namespace of this process.
    Mount {
        #[serde(serialize_with = "as_text")]
        at: PathBuf,
        pid: Option<u32>,
    },
    /// A mount in a mount namespace that no process is in and a bind mount keeps.
    Kept {
        #[serde(serialize_with = "as_text")]
        at: PathBuf,
        #[serde(serialize_with = "as_text")]
        by: PathBuf,
    },
    Loop {
        device: String,
        #[serde(serialize_with = "as_text")]
        file: PathBuf,
    },
    /// A device of device-mapper or md that is built on a device of the asset, or on a loop device
    /// whose file lies on it.
    Built {
        device: String,
        on: String,
    },
    Swap {
        #[serde(serialize_with = "as_text")]
        file: PathBuf,
    },
    /// An overlay that has a directory of the asset as one of its layers.
    Overlay {
        #[serde(serialize_with = "as_text")]
        at: PathBuf,
        part: String,
        #[serde(serialize_with = "as_text")]
        path: PathBuf,
        /// A process in its mount namespace, where that is not this one's.
        pid: Option<u32>,
    },
    Export {
        #[serde(serialize_with = "as_text")]
        path: PathBuf,
    },
    /// A file that a client of the kernel's NFS server has open.
    Client {
        /// Its address, as the server shows it.
        client: String,
        file: String,
        /// Where the server is told to forget it.
        #[serde(serialize_with = "as_text")]
        control: PathBuf,
    },
}

impl fmt::Display for Holder {
    /// One line, whatever names are in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| printable(&path.to_string_lossy());
        match self {
            Self::Process { pid, user, command, unit, uses } => {
                write!(f, "process {pid} ({}, user {user}", printable(command))?;
                if let Some(unit) = unit {
                    write!(f, ", {}", printable(unit))?;
                }
                write!(f, ") uses {}", printable(uses))
            }
            Self::Mount { at, pid: None } => write!(f, "something is mounted at {}; umount it", shown(at)),
            Self::Mount { at, pid: Some(pid) } => {
                write!(f, "mounted at {} in the mount namespace of process {pid}; end it", shown(at))
            }
            Self::Kept { at, by } => write!(
                f,
                "mounted at {} in a mount namespace without processes; umount {}, which keeps it",
                shown(at),
                shown(by)
            ),
            Self::Built { device, on } if device.starts_with("/dev/md") => {
                write!(f, "{device} is built on {on}; mdadm --stop {device}")
            }
            Self::Built { device, on } => write!(f, "{device} is built on {on}; dmsetup remove {device}"),
            Self::Client { client, file, control } => write!(
                f,
                "NFS client {client} has {} open; end it there, or echo expire >{}",
                printable(file),
                shown(control)
            ),
            Self::Loop { device, file } => write!(f, "{device} uses {}; losetup -d {device}", shown(file)),
            Self::Swap { file } => write!(f, "swap is on {}; swapoff it", shown(file)),
            Self::Overlay { at, part, path, pid: None } => {
                write!(f, "the overlay at {0} has {1} as its {part}; umount {0}", shown(at), shown(path))
            }
            Self::Overlay { at, part, path, pid: Some(pid) } => write!(
                f,
                "the overlay at {} in the mount namespace of process {pid} has {} as its {part}; end it",
                shown(at),
                shown(path)
            ),
            Self::Export { path } => write!(f, "the kernel exports {}; exportfs -u it", shown(path)),
        }
    }
}

/// JSON has no bytes; a path that is no text is shown as well as it can be.
fn as_text<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}
