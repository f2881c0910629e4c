//! How long something took, or may take, as people read it.

use std::time::Duration;

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
    fn durations_are_shown_as_people_write_them() {
        for (ms, shown) in
            [(850, "850ms"), (4_200, "4.2s"), (59_000, "59s"), (190_000, "3m10s"), (7_500_000, "2h05m")]
        {
            assert_eq!(show(Duration::from_millis(ms)), shown);
        }
    }
}
