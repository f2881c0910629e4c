//! What is mounted, and what is to be; the commands for that are in `mounts/spec.rs`.
//!
//! Linux's table is read in [`crate::mountinfo`], that of Solaris in [`crate::mnttab`].

pub mod spec;

pub use spec::{MountSpec, shows, unmount_command};

use crate::mountinfo::Mounts;
use crate::platform::Platform;
use crate::{mnttab, mountinfo};
use anyhow::Context;
use orderly_exec::job::Job;
use orderly_exec::runner::Run;
use std::time::Duration;

/// How long the table of mounts may take; it asks no file system.
const ASKING: Duration = Duration::from_secs(60);

/// Returns what is mounted on this host: from the kernel, on Solaris from `mount -v`.
///
/// # Errors
/// When it cannot be found out, or holds something that cannot be read.
pub fn table(platform: Platform, run: &mut dyn Run) -> anyhow::Result<Mounts> {
    match platform {
        Platform::Linux => mountinfo::own(),
        Platform::Solaris => {
            let text = run.text(&Job::new(["mount", "-v"], ASKING))?;
            mnttab::parse(&text).context("read what mount -v prints")
        }
    }
}
