//! How the host that had the asset last let go of it.

use serde::{Deserialize, Serialize};

/// How the last holder ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastRelease {
    /// It let go, and proved it.
    Clean,
    /// It is proven off, or the operator says so.
    PoweredOff,
    /// It was this host, which went down with it, and the peer disclaims it.
    OwnCrash,
}
