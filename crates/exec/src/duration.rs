//! How long something may take, as people write it: `90s`, `10m`, `1h30m`, `50ms`, `2d`; a bare number is seconds.
//!
//! How it is shown is in `orderly_plan::duration`.

use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::time::Duration;

/// A hundred years, for nobody waits longer: what is added to it is still a time.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the duration that `text` states. A day has 24 hours. What is longer than [`LONGEST`] is that.
///
/// # Errors
/// A clause that says what a duration looks like.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds).min(LONGEST));
    }
    let stated = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let positive = stated.ok().filter(|stated| *stated >= SignedDuration::ZERO);
    positive.map(|stated| stated.unsigned_abs().min(LONGEST)).ok_or_else(|| {
        format!("\"{text}\" is not a duration (like 90s, 10m, 1h30m, 50ms; a bare number is seconds)")
    })
}

/// Returns the limit that `text` states: a duration in which something can be done.
///
/// # Errors
/// A clause, also for a limit of 0: everything would be over before it began.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    let limit = parse(text)?;
    if limit.is_zero() {
        return Err("must be longer than 0".to_owned());
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1h30m` was no duration.
    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("50ms", 50),
            ("7", 7_000),
            ("2h", 7_200_000),
            ("0", 0),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("1d", 86_400_000),
            (" 5 minutes ", 300_000),
            // Added to the time it is, it was none.
            ("18446744073709551615", LONGEST.as_millis() as u64),
            ("5000000h", LONGEST.as_millis() as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "s", "-1s", "1s ago", "1 parsec", "99999999999999999999h", "1x", "1mo", "1y", "30m1h", "é"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_limit("0s").is_err());
    }
}
