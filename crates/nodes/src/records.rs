//! What runs remember together (history, what was up, what is quieted) is read, changed and written by one at a time.

use orderly_exec::lock::Lock;
use orderly_exec::paths;
use std::time::Duration;

/// How long others are waited for: everybody takes moments.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has something done while no other run changes what is remembered.
///
/// # Errors
/// As `change`; refused (4) where somebody keeps the lock for too long.
pub(crate) fn alone<T>(change: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let _lock = Lock::wait(&paths::state_directory().join("records.lock"), PATIENCE)?;
    change()
}
