//! The commands of ZFS as they are run.

use orderly_exec::job::{Ended, Job};
use orderly_exec::runner::Run;
use std::ffi::OsStr;
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

    fn job(&self, command: &[impl AsRef<OsStr>]) -> Job {
        let mut job = Job::new(command, self.timeout);
        job.env.push(("LC_ALL".into(), "C".into()));
        // A host of many disks lists many pools.
        job.keep = 1024 * 1024;
        job
    }

    pub(super) fn run(&self, command: &[String], run: &mut dyn Run) -> Ended {
        run.run(&self.job(command))
    }

    pub(super) fn expect(&self, command: &[String], run: &mut dyn Run) -> anyhow::Result<()> {
        run.expect(&self.job(command)).map(drop)
    }

    pub(super) fn text(&self, command: &[&str], run: &mut dyn Run) -> anyhow::Result<String> {
        run.text(&self.job(command))
    }
}
