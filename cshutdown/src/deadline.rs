//! When a run with `--within` has to be over.

use crate::args::ShutdownArgs;
use crate::input::ShutdownInput;
use orderly_nodes::backend::Backend;
use std::time::Duration;

/// Returns when a run is over that has so much time, given how much has passed.
pub(crate) fn of(args: &ShutdownArgs, input: &ShutdownInput, drivers: &dyn Backend) -> Option<Duration> {
    let within = args.within?;
    let left = if args.flags.rehearse { within } else { left(input, within) };
    Some(drivers.now() + left)
}

/// Returns how much of the time is left. Imagined time may run faster.
pub(crate) fn left(input: &ShutdownInput, within: Duration) -> Duration {
    (within / input.site.cluster.speed()).saturating_sub(input.passed())
}
