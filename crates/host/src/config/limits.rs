//! What limits are counted in where `ha.toml` says nothing of them.

use std::time::Duration;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
