//! Calls that cannot be made: why, told once.

use crate::runtime::Runtime;
use orderly_exec::job::Job;
use orderly_plan::drivers::{Failure, FailureKind, NodeId, Task};
use orderly_plan::words::Words;
use std::collections::HashSet;
use std::sync::Arc;

/// Why power programs could not be called.
#[derive(Debug, Default)]
pub(super) struct Uncallable {
    last: Option<Words>,
    /// What people were told.
    told: HashSet<String>,
}

impl Uncallable {
    /// Returns the job of a call; where there is none, why is remembered, and people are told once.
    pub(super) fn job(&mut self, runtime: &mut Runtime, task: Task, nodes: &[NodeId]) -> Option<Job> {
        let first = *nodes.first()?;
        let profile = runtime.profile(first);
        let halting = profile.shell.halting.as_ref().filter(|_| matches!(task, Task::Run(_)));
        let driver = Arc::clone(halting.unwrap_or(&profile.power.driver));
        let why = match driver.job(task, &runtime.members(nodes), profile.power_timeout()) {
            Ok(job) => return job,
            Err(error) => format!("{error:#}"),
        };
        let words = if nodes.len() == 1 { runtime.member(first).words(&why) } else { why.as_str().into() };
        if self.told.insert(why) {
            let said = Words::from("the power program cannot be called: ").then(words.clone());
            match nodes {
                [_] => runtime.complaints.complain(said, first),
                _ => runtime.complaints.warn(said.to_string()),
            }
        }
        self.last = Some(words);
        None
    }

    /// Returns the failure of nodes for which nothing could be called.
    pub(super) fn failure(&self) -> Failure {
        let detail = self.last.clone().unwrap_or_else(|| "no driver for that".into());
        Failure::own(FailureKind::NotStarted, detail)
    }
}
