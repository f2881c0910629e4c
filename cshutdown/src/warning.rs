//! When users are warned before a shutdown, and in what words.

use orderly_plan::duration;
use std::time::Duration;

/// Minutes before the shutdown at which the warning is repeated.
const REPEATED: [u64; 6] = [30, 15, 10, 5, 2, 1];
/// From then on nobody may log in any more.
const CLOSED: Duration = Duration::from_secs(5 * 60);

/// A warning to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Warning {
    /// From the beginning of the wait.
    pub after: Duration,
    /// Until the shutdown begins.
    pub left: Duration,
}

/// Returns the warnings of a wait, in order: one now, one at each repeated minute, one at its end.
pub(crate) fn schedule(wait: Duration) -> Vec<Warning> {
    let repeated = REPEATED.iter().map(|minutes| Duration::from_secs(60 * minutes));
    let mut lefts: Vec<Duration> =
        std::iter::once(wait).chain(repeated.filter(|left| *left < wait)).collect();
    if !wait.is_zero() {
        lefts.push(Duration::ZERO);
    }
    lefts.into_iter().map(|left| Warning { after: wait.saturating_sub(left), left }).collect()
}

impl Warning {
    /// Tells whether logins are held off from this warning on.
    pub(crate) fn closes_logins(self) -> bool {
        self.left <= CLOSED
    }

    /// Returns what users read. `verb` says what comes: `goes down`, `restarts`.
    pub(crate) fn text(self, verb: &str, asked_by: &str, message: Option<&str>) -> String {
        let when = if self.left.is_zero() {
            "now".to_owned()
        } else if self.left.as_secs() % 60 == 0 && self.left.as_secs() < 3600 {
            let minutes = self.left.as_secs() / 60;
            format!("in {minutes} minute{}", if minutes == 1 { "" } else { "s" })
        } else {
            format!("in {}", duration::show(self.left))
        };
        let mut text = format!("This node {verb} {when}, asked by {asked_by}.\n");
        if let Some(message) = message {
            text.push_str(message);
            text.push('\n');
        }
        text
    }
}

/// Returns what users read when the shutdown was cancelled.
pub(crate) fn cancelled(asked_by: &str) -> String {
    format!("The shutdown asked by {asked_by} is cancelled.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lefts(minutes: u64) -> Vec<u64> {
        schedule(Duration::from_secs(minutes * 60))
            .iter()
            .map(|warning| warning.left.as_secs() / 60)
            .collect()
    }

    #[test]
    fn the_warning_is_repeated_at_the_documented_minutes() {
        assert_eq!(lefts(45), [45, 30, 15, 10, 5, 2, 1, 0]);
        assert_eq!(lefts(10), [10, 5, 2, 1, 0], "not twice at ten");
        assert_eq!(lefts(1), [1, 0]);
        assert_eq!(lefts(0), [0]);
        let all = schedule(Duration::from_secs(7 * 60));
        assert!(all.windows(2).all(|pair| pair[0].after < pair[1].after));
        assert_eq!(all.last().map(|last| last.after), Some(Duration::from_secs(7 * 60)));
    }

    #[test]
    fn users_read_when_who_and_why() {
        let warning = Warning { after: Duration::ZERO, left: Duration::from_secs(60) };
        assert_eq!(
            warning.text("goes down", "root", Some("new disks")),
            "This node goes down in 1 minute, asked by root.\nnew disks\n"
        );
        let later = Warning { after: Duration::ZERO, left: Duration::from_secs(7500) };
        assert!(later.text("restarts", "root", None).contains("in 2h05m"));
        assert!(warning.closes_logins() && !later.closes_logins());
    }
}
