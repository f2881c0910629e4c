//! `driver = "simulator"`: power of imagined nodes, which the simulator answers for without a call.

use super::driver::{PowerDriver, PowerEntry};
use std::sync::Arc;

pub(super) const ENTRY: PowerEntry =
    PowerEntry { word: "simulator", keys: &[], read: |_, _| Some(Arc::new(SimulatedPower)) };

#[derive(Debug, Clone, Copy)]
struct SimulatedPower;

impl PowerDriver for SimulatedPower {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn reads(&self) -> bool {
        true
    }

    fn resets(&self) -> bool {
        true
    }
}
