//! How long something may take, as people write it: `90s`, `10m`, `2h`, `50ms`; a bare number is seconds.

use std::time::Duration;

/// Returns the duration that `text` states.
///
/// # Errors
/// A clause that says what a duration looks like.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong =
        || format!("\"{text}\" is not a duration (like 90s, 10m, 2h, 50ms; a bare number is seconds)");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
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

/// Returns a duration as people read it: `850ms`, `4.2s`, `3m10s`, `2h05m`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..=9 => format!("{:.1}s", duration.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_as_people_write_them() {
        for (text, ms) in
            [("90s", 90_000), ("10m", 600_000), ("50ms", 50), ("7", 7_000), ("2h", 7_200_000), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1 parsec", "99999999999999999999h", "1x"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for (ms, shown) in
            [(850, "850ms"), (4_200, "4.2s"), (59_000, "59s"), (190_000, "3m10s"), (7_500_000, "2h05m")]
        {
            assert_eq!(show(Duration::from_millis(ms)), shown);
        }
    }
}
