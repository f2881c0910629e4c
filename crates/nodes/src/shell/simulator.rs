//! `driver = "simulator"`: commands on imagined nodes, which the simulator answers for without a call.

use super::driver::{ShellDriver, ShellEntry};
use std::sync::Arc;

pub(super) const ENTRY: ShellEntry =
    ShellEntry { word: "simulator", keys: &[], read: |_, _| Some(Arc::new(SimulatedShell)) };

#[derive(Debug)]
struct SimulatedShell;

impl ShellDriver for SimulatedShell {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn is_simulated(&self) -> bool {
        true
    }
}
