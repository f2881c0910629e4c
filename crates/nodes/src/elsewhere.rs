//! A run that is looked at and steered from elsewhere: `--watch`, `--status`, `--give-up`, `--more-time`.
//!
//! On one side is the run with its [`Door`], on the other whoever comes; between them lines of JSON ([`protocol`]) through
//! a socket beside the claim of the run ([`crate::claims`]). A run is found by its claim, and lives as long as the kernel
//! says that its lock is held: what a killed one leaves is nobody's.

mod connection;
mod door;
mod find;
mod flags;
mod follow;
pub mod protocol;
mod round;
mod standing;
mod steer;

pub use door::Door;
pub use flags::ElsewhereFlags;
pub(crate) use round::{attend, serve};
pub(crate) use standing::in_its_run;

use crate::flags::RunFlags;
use crate::site::Site;
use orderly_exec::Status;
use orderly_exec::reporter::Reporter;

/// Answers what is asked of runs that go on, where something is; `read` reads the nodes, where they are asked too. Targets
/// may stand behind further flags (`--status --json n01`).
pub fn answer(
    flags: &RunFlags,
    targets: &[String],
    read: impl FnOnce() -> anyhow::Result<Site>,
    reporter: &mut Reporter,
) -> Option<anyhow::Result<Status>> {
    let asked = &flags.elsewhere;
    if let Some(words) = &asked.watch {
        return Some(follow::follow(&[words, targets].concat(), &flags.speech, reporter));
    }
    if let Some(words) = &asked.status {
        return Some(standing::answer(&[words, targets].concat(), flags, read, reporter));
    }
    if !asked.give_up.is_empty() {
        return Some(steer::give_up(&asked.give_up, reporter));
    }
    if !asked.more_time.is_empty() {
        return Some(steer::more_time(&asked.more_time, reporter));
    }
    None
}
