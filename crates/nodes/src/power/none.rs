//! `driver = "none"`: power is neither switched nor read.

use super::driver::{PowerDriver, PowerEntry};
use crate::roster::Member;
use crate::template::Reach;
use orderly_exec::job::{Ended, Job};
use orderly_plan::drivers::{Power, Task};
use std::sync::Arc;
use std::time::Duration;

pub(super) const ENTRY: PowerEntry =
    PowerEntry { word: "none", keys: &[], read: |_, _| Some(Arc::new(NoPower)) };

/// No power driver.
#[derive(Debug, Clone, Copy)]
pub struct NoPower;

impl PowerDriver for NoPower {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn reach(&self, _task: Task) -> Option<Reach> {
        None
    }

    fn job(&self, _task: Task, _nodes: &[&Member], _timeout: Duration) -> anyhow::Result<Option<Job>> {
        Ok(None)
    }

    fn powers(&self, nodes: &[&Member], _ended: &Ended) -> Vec<Power> {
        vec![Power::Unknown; nodes.len()]
    }

    fn switches(&self) -> bool {
        false
    }
}
