//! The manifest of a snapshot: what it says, and how it stands on disk.
//!
//! `manifest.json` is one JSON document laid out one entry a line, so that a million entries are
//! written and read in passing and never all in memory. The first line is the [`ManifestHeader`], the last
//! one the [`Trailer`], which ends in a checksum of everything before it: a cut or edited manifest is
//! recognised. Entries stand in the order of a walk (see [`crate::path_bytes::walk_order`]).

pub mod entry;
mod reader;
mod writer;

pub use entry::{Entry, Kind, Xattr};
pub use reader::ManifestReader;
pub use writer::Writer;

use crate::path_bytes::PathBytes;
use orderly_plan::snapshot::Continued;
use serde::{Deserialize, Serialize};

/// What `format` says.
pub const FORMAT: &str = "orderly-snapshot/1";
/// The file's name within the snapshot.
pub const FILE: &str = "manifest.json";
/// The folder's name within the snapshot, below which the copies stand.
pub const TREE: &str = "tree";

/// What is known before the first entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestHeader {
    pub format: String,
    pub id: String,
    /// When the walk began, RFC 3339 UTC.
    pub started: String,
    /// The host that made it, as `ha.toml` names it.
    pub host: String,
    pub hostid: String,
    /// The processor architecture: what was compiled for another one is no use there.
    pub machine: String,
    pub asset: AssetTitle,
    /// The number of the holding of the asset that it was made in: of two snapshots the one of the higher
    /// number is the newer, whatever the clocks said. Absent in those of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<u64>,
    /// The snapshot that this host still had to restore then: this one does not continue it, so no takeover
    /// restores it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owes: Option<String>,
    /// What was restored on this host last: the snapshot continues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
    /// The version of habackup.
    pub version: String,
    pub sources: Sources,
}

/// Which asset the snapshot stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetTitle {
    pub kind: String,
    pub name: String,
    /// The guid, UUID or what else tells it from every other.
    pub identity: String,
}

/// What the configuration asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    pub include: Vec<PathBytes>,
    pub optional: Vec<PathBytes>,
    pub exclude: Vec<String>,
}

/// What is known after the last entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    pub finished: String,
    pub totals: Totals,
    /// What was left out on purpose, with the reason.
    pub skipped: Vec<Remark>,
    /// What could not be read, with the reason.
    pub problems: Vec<Remark>,
    /// Everything asked for is in it.
    pub complete: bool,
}

/// What a snapshot amounts to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub entries: u64,
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files whose data was read and kept.
    pub copied: u64,
    pub copied_bytes: u64,
    /// Files shared with the snapshot before.
    pub linked: u64,
    /// Files that changed while they were read, each time.
    pub changed: u64,
}

/// A path with what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    pub path: PathBytes,
    pub reason: String,
}
