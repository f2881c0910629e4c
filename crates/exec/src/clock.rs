//! What time it is, for people and for JSON.

use jiff::{Timestamp, Unit, Zoned};

/// Returns the current time as RFC 3339 in UTC, to the millisecond.
pub fn now() -> String {
    let now = Timestamp::now();
    format!("{:.3}", now.round(Unit::Millisecond).unwrap_or(now))
}

/// Returns the local time as `YYYY-MM-DD HH:MM:SS`, for log lines.
pub fn local() -> String {
    Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the local time as `MMDDhhmmss`, as the log files of cstartup and cshutdown are named.
pub fn log_stamp() -> String {
    Zoned::now().strftime("%m%d%H%M%S").to_string()
}
