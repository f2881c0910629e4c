//! On battery no node is left running because a disk takes nothing more.

use orderly_exec::reporter::Reporter;
use orderly_exec::status::unmarked;
use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};

/// What it means that a run cannot say of itself that it has a deadline.
pub(crate) const UNTOLD: &str = "nobody can tighten its deadline or cancel it";

/// Tells whether something failed because nothing can be written.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    let mut failures = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    failures.any(|failure| matches!(failure.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem))
}

/// Goes on without what could not be written, on battery; `lost` says what that means.
///
/// # Errors
/// Those of `result`, where it failed for another reason or there is time.
pub(crate) fn spared<T>(
    result: anyhow::Result<T>,
    on_battery: bool,
    lost: &str,
    reporter: &mut Reporter,
) -> anyhow::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if on_battery && is_full(&error) => {
            reporter.warn(format!("{}; the shutdown goes on, and {lost}", unmarked(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
