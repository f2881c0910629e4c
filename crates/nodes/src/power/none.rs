//! `driver = "none"`: power is neither switched nor read.

use super::driver::{PowerDriver, PowerEntry};
use std::sync::Arc;

pub(super) const ENTRY: PowerEntry =
    PowerEntry { word: "none", keys: &[], read: |_, _| Some(Arc::new(NoPower)) };

/// No power driver.
#[derive(Debug, Clone, Copy)]
pub struct NoPower;

impl PowerDriver for NoPower {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn switches(&self) -> bool {
        false
    }
}
