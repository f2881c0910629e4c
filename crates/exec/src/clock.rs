//! What time it is, for people and for JSON.

use anyhow::Context;
use jiff::civil::Time;
use jiff::{Timestamp, Unit, Zoned};
use std::time::Duration;

/// Returns the current time as RFC 3339 in UTC, to the millisecond.
pub fn now() -> String {
    let now = Timestamp::now();
    format!("{:.3}", now.round(Unit::Millisecond).unwrap_or(now))
}

/// Returns a time in seconds since 1970 as RFC 3339 in UTC; `None` for one that no calendar has.
pub fn at(second: i64) -> Option<String> {
    Timestamp::from_second(second).ok().map(|time| time.to_string())
}

/// Returns the local time as `YYYY-MM-DD HH:MM:SS`, for log lines.
pub fn local() -> String {
    Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the local time as `MMDDhhmmss`, as the log files of cstartup and cshutdown are named.
pub fn log_stamp() -> String {
    Zoned::now().strftime("%m%d%H%M%S").to_string()
}

/// Returns how long it is until the clock on the wall next shows `hour:minute`, today or tomorrow.
///
/// # Errors
/// When there is no such time of day.
pub fn until(hour: i8, minute: i8) -> anyhow::Result<Duration> {
    let time = Time::new(hour, minute, 0, 0).with_context(|| format!("read the time {hour}:{minute:02}"))?;
    let now = Zoned::now();
    let at = |day: Zoned| day.with().time(time).build().context("find that time of day");
    let mut then = at(now.clone())?;
    if then < now {
        then = at(now.tomorrow().context("find tomorrow")?)?;
    }
    Ok(Duration::try_from(now.duration_until(&then)).unwrap_or_default())
}
