//! One run at a time acts on the nodes: what one takes for up must not be going down by another's hand.
//! Runs that only look, rehearse or wait for the time of `-T` take no turn.

use crate::log;
use orderly_exec::cli::{arguments, program_name};
use orderly_exec::files;
use orderly_exec::job::show;
use orderly_exec::lock::Lock;

/// How much of a command line whoever is refused is shown.
const SHOWN: usize = 200;

/// Takes the turn of this state directory, until the lock is dropped.
///
/// # Errors
/// Refused (4) when another run acts on the nodes, naming it.
pub fn take() -> anyhow::Result<Lock> {
    let lock = Lock::take(&files::state_directory().join("nodes.lock"))?;
    let command = show(&[&[program_name()], arguments().as_slice()].concat());
    let command: String = command.chars().take(SHOWN).collect();
    lock.sign(&format!("{command}, process {}, asked by {}\n", std::process::id(), log::who()))?;
    Ok(lock)
}
