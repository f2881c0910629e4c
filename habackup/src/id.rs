//! What a snapshot is called: the second it was taken in, UTC, and whether it is whole.

use anyhow::Context;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::fmt;

/// What the name of an incomplete snapshot ends in.
pub const INCOMPLETE: &str = ".incomplete";

const SHAPE: &str = "%Y-%m-%dT%H-%M-%SZ";

/// The second a snapshot was taken in; shown as `2026-01-02T03-04-05Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Timestamp);

impl Id {
    /// Returns the id of this second.
    pub fn now() -> Self {
        Self::at_second(Timestamp::now().as_second())
    }

    /// Returns the id of a second since 1970.
    pub fn at_second(second: i64) -> Self {
        Self(Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Returns the id that a text names, if it does.
    pub fn parse(text: &str) -> Option<Self> {
        // The length tells "2026-1-2T…" from the one spelling there is.
        if text.len() != 20 {
            return None;
        }
        let time = DateTime::strptime(SHAPE, text).ok()?.to_zoned(TimeZone::UTC).ok()?;
        let id = Self(time.timestamp());
        (id.to_string() == text).then_some(id)
    }

    /// Returns the seconds since 1970.
    pub fn second(self) -> i64 {
        self.0.as_second()
    }

    /// Returns the next id.
    pub fn next(self) -> Self {
        Self::at_second(self.second() + 1)
    }

    /// Returns the time as RFC 3339.
    pub fn time(self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime(SHAPE))
    }
}

/// The name of a published snapshot; sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    pub id: Id,
    /// Everything asked for is in it. Invariant: whether a snapshot is whole stands in its name, so
    /// that no reader can overlook it.
    pub whole: bool,
}

impl SnapshotName {
    /// Returns the snapshot that a folder's name stands for, if it is one.
    pub fn parse(name: &str) -> Option<Self> {
        let (id, whole) = name.strip_suffix(INCOMPLETE).map_or((name, true), |id| (id, false));
        Id::parse(id).map(|id| Self { id, whole })
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, if self.whole { "" } else { INCOMPLETE })
    }
}

/// Returns a moment written as RFC 3339 in nanoseconds since 1970.
///
/// # Errors
/// When it is not written so.
pub fn moment_ns(text: &str) -> anyhow::Result<i128> {
    let time: Timestamp = text.parse().with_context(|| format!("read the time \"{text}\""))?;
    Ok(time.as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_reads_back(second in 0i64..4_000_000_000, whole: bool) {
            let name = SnapshotName { id: Id::at_second(second), whole };
            prop_assert_eq!(SnapshotName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn no_other_name_is_taken_for_a_snapshot(name in "[0-9TZ.:-]{0,24}") {
            if let Some(parsed) = SnapshotName::parse(&name) {
                prop_assert_eq!(parsed.to_string(), name);
            }
        }
    }

    #[test]
    fn names_are_spelt_in_one_way() {
        assert_eq!(Id::at_second(1_767_323_045).to_string(), "2026-01-02T03-04-05Z");
        for name in [
            "latest",
            ".staging",
            "2026-01-02",
            "2026-1-2T3-4-5Z",
            "2026-01-02T03-04-05Z.part",
            "2026-13-02T03-04-05Z",
        ] {
            assert_eq!(SnapshotName::parse(name), None, "{name}");
        }
    }
}
