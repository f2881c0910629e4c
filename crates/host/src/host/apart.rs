//! Mounts are kept apart: a file system that dates its mounts by the second is mounted in a later second than the last
//! time. Of two mounts in one second nobody could say that the asset was taken in between.

use super::{Host, LOOKING};
use nix::time::{ClockId, clock_gettime};

/// How far ahead of this host's clock the last mount may be dated for it to be waited for: that of the peer may be
/// ahead. What is dated later is a clock that is wrong, which the comparison of marks tells.
const AHEAD: i64 = 3;

/// Waits until a mount would have another date than the last one.
pub(crate) fn wait_for_another_second(host: &mut Host<'_>) {
    let Some(last) = host.asset.last_mount(&mut host.runner) else { return };
    while is_too_near(last, now()) && host.runner.interrupted().is_none() {
        host.runner.pause(LOOKING / 5);
    }
}

/// Tells whether a mount now could be dated like the last one, or before it by a clock that is a little behind.
fn is_too_near(last: i64, now: i64) -> bool {
    (0..AHEAD).contains(&last.saturating_sub(now))
}

/// Returns the second by which the kernel would date a mount: that of the clock which moves with its ticks. The other
/// one can be in the next second already.
fn now() -> i64 {
    clock_gettime(ClockId::CLOCK_REALTIME_COARSE).map_or(0, |time| time.tv_sec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mount_of_this_second_or_a_little_ahead_is_waited_for() {
        for (last, now, waits) in
            [(7, 7, true), (8, 7, true), (9, 7, true), (10, 7, false), (6, 7, false), (7, 0, false)]
        {
            assert_eq!(is_too_near(last, now), waits, "{last} {now}");
        }
    }
}
