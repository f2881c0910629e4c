//! A snapshot as the decisions of a hand-over see it: who made it, in which holding, and what it continues.

use serde::{Deserialize, Serialize};

/// A whole snapshot, as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: String,
    pub host: String,
    /// Absent where an earlier version made it.
    pub holding: Option<u64>,
    /// Its maker still owed a restore then, so it does not continue what the peer left.
    #[serde(default)]
    pub owes: bool,
    /// What was restored on its maker last; what it made continues that.
    #[serde(default)]
    pub continues: Option<Continued>,
}

/// A whole snapshot of the other host that was restored on a host: what is live there continues it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continued {
    /// The holding that it was made in; absent where an earlier version made it.
    pub holding: Option<u64>,
    pub snapshot: String,
    pub host: String,
}
