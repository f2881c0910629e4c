//! The commands of ZFS as they are run.

use crate::config::Argv;
use anyhow::bail;
use orderly_exec::job::{Ended, Job, show};
use orderly_exec::runner::Run;
use std::time::Duration;

/// Runs the commands of ZFS, each under the deadline of the asset and in the language that is parsed.
#[derive(Debug)]
pub(super) struct Calls {
    timeout: Duration,
}

impl Calls {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout }
    }

    pub(super) fn run(&self, command: &[String], run: &mut dyn Run) -> Ended {
        let mut job = Job::new(command, self.timeout);
        job.env.push(("LC_ALL".into(), "C".into()));
        // A host of many disks lists many pools.
        job.keep = 1024 * 1024;
        run.run(&job)
    }

    pub(super) fn expect(&self, command: &Argv, run: &mut dyn Run) -> anyhow::Result<()> {
        let ended = self.run(command, run);
        if !ended.succeeded() {
            bail!("{}: {}", show(command), ended.clause());
        }
        Ok(())
    }

    pub(super) fn text(&self, command: &[&str], run: &mut dyn Run) -> anyhow::Result<String> {
        let command: Argv = command.iter().map(|word| (*word).to_owned()).collect();
        let ended = self.run(&command, run);
        if !ended.succeeded() || ended.truncated {
            bail!("{}: {}", show(&command), ended.clause());
        }
        Ok(ended.text())
    }
}
