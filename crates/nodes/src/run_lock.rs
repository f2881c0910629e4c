//! One run at a time acts on the nodes: what one takes for up must not be going down by another's hand.
//! Runs that only look, rehearse or wait for the time of `-T` take no lock.

use orderly_exec::lock::Lock;
use orderly_exec::paths;

/// Takes the lock of this state directory, until it is dropped.
///
/// # Errors
/// Refused (4) when another run acts on the nodes, naming it.
pub fn take() -> anyhow::Result<Lock> {
    Lock::take(&paths::state_directory().join("nodes.lock"))
}
