//! What time it is, for people and for JSON.

use anyhow::Context;
use jiff::civil::Time;
use jiff::tz::AmbiguousOffset;
use jiff::{Timestamp, Unit, Zoned};
use std::time::Duration;

/// Returns how long ago a time of RFC 3339 was; `None` for what is none, or lies ahead.
pub fn age(time: &str) -> Option<Duration> {
    let time: Timestamp = time.parse().ok()?;
    Duration::try_from(Timestamp::now().duration_since(time)).ok()
}

/// Returns a date of HTTP (`Wed, 21 Oct 2015 07:28:00 GMT`) in seconds since 1970.
pub fn of_http(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp().as_second())
}

/// Returns the current second since 1970.
pub fn second() -> i64 {
    Timestamp::now().as_second()
}

/// Returns the current time as RFC 3339 in UTC, to the millisecond.
pub fn now() -> String {
    let now = Timestamp::now();
    format!("{:.3}", now.round(Unit::Millisecond).unwrap_or(now))
}

/// Returns a time of RFC 3339 in milliseconds since 1970; `None` for what is none.
pub fn millisecond(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Returns a time in seconds since 1970 as RFC 3339 in UTC; `None` for one that no calendar has.
pub fn at(second: i64) -> Option<String> {
    Timestamp::from_second(second).ok().map(|time| time.to_string())
}

/// Returns the local time as `YYYY-MM-DD HH:MM:SS`, for log lines.
pub fn local() -> String {
    Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns when that was, in seconds since 1970; `None` for what [`local`] did not write.
pub fn read_local(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    time.to_zoned(jiff::tz::TimeZone::system()).ok().map(|time| time.timestamp().as_second())
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
    until_from(&Zoned::now(), hour, minute)
}

/// The same from a given time on. An hour that the clock leaves out in spring is taken an hour later;
/// one that it shows twice in autumn is taken at the first that is still to come.
fn until_from(now: &Zoned, hour: i8, minute: i8) -> anyhow::Result<Duration> {
    let time = Time::new(hour, minute, 0, 0).with_context(|| format!("read the time {hour}:{minute:02}"))?;
    let tomorrow = now.date().tomorrow().context("find tomorrow")?;
    let mut coming: Vec<Zoned> = Vec::new();
    for day in [now.date(), tomorrow] {
        let shown = now.time_zone().to_ambiguous_zoned(day.to_datetime(time));
        let is_twice = matches!(shown.offset(), AmbiguousOffset::Fold { .. });
        let later = shown.clone().later().ok().filter(|_| is_twice);
        coming.push(shown.compatible().context("find that time of day")?);
        coming.extend(later);
    }
    let next = coming.into_iter().filter(|then| then >= now).min().context("find that time of day")?;
    Ok(Duration::try_from(now.duration_until(&next)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{DateTime, date};
    use jiff::tz::TimeZone;

    /// Returns the minutes from a time in Berlin to the next `hour:minute` there.
    fn minutes(now: DateTime, is_second: bool, hour: i8, minute: i8) -> u64 {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let now = zone.to_ambiguous_zoned(now);
        let now = if is_second { now.later().unwrap() } else { now.earlier().unwrap() };
        until_from(&now, hour, minute).unwrap().as_secs() / 60
    }

    #[test]
    fn a_time_of_day_that_is_past_means_tomorrow() {
        let noon = date(2026, 5, 4).at(12, 0, 0, 0);
        assert_eq!(minutes(noon, false, 18, 5), 6 * 60 + 5);
        assert_eq!(minutes(noon, false, 11, 59), 24 * 60 - 1);
        assert_eq!(minutes(noon, false, 12, 0), 0);
        assert_eq!(minutes(date(2026, 12, 31).at(23, 50, 0, 0), false, 0, 10), 20, "the next year's");
        assert!(until_from(&Zoned::now(), 24, 0).is_err());
    }

    #[test]
    fn the_nights_on_which_the_clock_is_changed() {
        let spring = date(2026, 3, 29);
        assert_eq!(minutes(spring.at(1, 0, 0, 0), false, 4, 0), 2 * 60, "an hour is left out");
        assert_eq!(minutes(spring.at(1, 0, 0, 0), false, 2, 30), 90, "02:30 is not shown: 03:30");
        let autumn = date(2026, 10, 25);
        assert_eq!(minutes(autumn.at(1, 0, 0, 0), false, 4, 0), 4 * 60, "an hour comes twice");
        assert_eq!(minutes(autumn.at(2, 45, 0, 0), false, 2, 30), 45, "the second 02:30");
        assert_eq!(minutes(autumn.at(2, 45, 0, 0), true, 2, 30), 23 * 60 + 45, "tomorrow's");
        assert_eq!(minutes(autumn.at(20, 0, 0, 0), false, 2, 30), 6 * 60 + 30);
    }
}
