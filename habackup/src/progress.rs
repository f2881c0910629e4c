//! How far a run is: the live line on a terminal, and the question whether somebody wants it to stop.

use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, fail};
use std::time::{Duration, Instant};

/// How many steps go by between two looks at the signals and the clock.
const STRIDE: u32 = 64;
const REFRESH: Duration = Duration::from_millis(200);

/// Counts what went by.
#[derive(Debug)]
pub struct ShownProgress<'a> {
    reporter: &'a Reporter,
    runner: &'a mut Runner,
    what: &'static str,
    files: u64,
    bytes: u64,
    /// What the run before amounted to, as a forecast.
    expected_files: u64,
    began: Instant,
    shown: Instant,
    steps: u32,
    deaf: bool,
}

impl<'a> ShownProgress<'a> {
    /// Begins to count; `what` is the verb of the live line.
    pub fn new(
        reporter: &'a Reporter,
        runner: &'a mut Runner,
        what: &'static str,
        expected_files: u64,
    ) -> Self {
        let now = Instant::now();
        Self {
            reporter,
            runner,
            what,
            files: 0,
            bytes: 0,
            expected_files,
            began: now,
            shown: now,
            steps: 0,
            deaf: false,
        }
    }

    /// Begins to count what must not be interrupted: an undo.
    pub fn deaf(reporter: &'a Reporter, runner: &'a mut Runner) -> Self {
        Self { deaf: true, ..Self::new(reporter, runner, "undo", 0) }
    }

    /// Counts a file.
    ///
    /// # Errors
    /// Marked with the signal when one came.
    pub fn file(&mut self) -> anyhow::Result<()> {
        self.files += 1;
        self.step()
    }

    /// Counts bytes.
    ///
    /// # Errors
    /// Marked with the signal when one came.
    pub fn bytes(&mut self, count: u64) -> anyhow::Result<()> {
        self.bytes += count;
        self.step()
    }

    /// Says what people should know between the counts.
    pub fn say(&self, line: impl AsRef<str>) {
        self.reporter.say(line);
    }

    /// Says something between the counts to who looks closely.
    pub fn detail(&self, line: impl AsRef<str>) {
        self.reporter.detail(line);
    }

    fn step(&mut self) -> anyhow::Result<()> {
        self.steps = self.steps.wrapping_add(1);
        if self.deaf || self.steps % STRIDE != 0 {
            return Ok(());
        }
        if let Some(signal) = self.runner.interrupted() {
            return Err(fail(
                Status::Signal(signal as i32),
                format!("{} interrupted by {signal}", self.what),
            ));
        }
        if self.reporter.is_live() && self.shown.elapsed() >= REFRESH {
            self.shown = Instant::now();
            self.reporter.progress(self.text());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let forecast = Some(self.expected_files).filter(|expected| *expected > self.files && self.files > 0);
        shown(self.what, self.files, forecast, self.bytes, self.began.elapsed())
    }
}

/// Returns the live line. Short: a terminal of 80 columns has no room for more, and what takes no room
/// any more is the time that is left.
fn shown(what: &str, files: u64, forecast: Option<u64>, bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let of = forecast.map(|expected| format!("/{expected}")).unwrap_or_default();
    let mut text = format!("{what}: {files}{of} files, {}", show_bytes(bytes));
    if bytes > 0 {
        text.push_str(&format!(", {}/s", show_bytes((bytes as f64 / seconds) as u64)));
    }
    if let Some(expected) = forecast {
        let left = seconds / files.max(1) as f64 * expected.saturating_sub(files) as f64;
        let left = orderly_plan::duration::show(Duration::from_secs(left.ceil() as u64));
        text.push_str(&format!(", about {left} left"));
    }
    text
}

/// Returns an amount as people read it: `512 B`, `3.4 MiB`.
pub fn show_bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].iter();
    let mut unit = units.next();
    while amount >= 1024.0 {
        let Some(next) = units.next() else { break };
        amount /= 1024.0;
        unit = Some(next);
    }
    let unit = unit.unwrap_or(&"B");
    if bytes < 1024 { format!("{bytes} {unit}") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::{show_bytes, shown};
    use std::time::Duration;

    /// The time that is left, which stood last, was cut off on a terminal of 80 columns.
    #[test]
    fn the_live_line_has_room_on_eighty_columns() {
        let hour = Duration::from_secs(3600);
        let long = shown("snapshot", 999_999, Some(1_234_567), 1_098_437_885_952, hour);
        assert_eq!(long, "snapshot: 999999/1234567 files, 1023.0 GiB, 291.0 MiB/s, about 14m05s left");
        // The spinner and the time that has gone by stand before it.
        assert!("* 2h ".len() + long.len() <= 80, "{}", long.len());
        assert_eq!(shown("verify", 3, None, 0, hour), "verify: 3 files, 0 B");
    }

    #[test]
    fn amounts_are_shown_as_people_read_them() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3_565_158, "3.4 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(show_bytes(bytes), shown);
        }
    }
}
