//! Which snapshots stay. Pure: names and a policy in, names to prune out.
//!
//! Invariant: the newest whole snapshot is never among what is to be pruned.

use crate::id::SnapshotName;
use orderly_host::config::Keep;
use std::collections::BTreeSet;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// Returns what is to be pruned, oldest first.
///
/// Whole snapshots stay by the policy. Of incomplete ones only the newest stays, and only while no
/// whole one is newer: it then has the newest state of what could be read.
pub fn prunable(snapshots: &[SnapshotName], keep: Keep) -> Vec<SnapshotName> {
    let mut sorted = snapshots.to_vec();
    sorted.sort();
    let whole: Vec<SnapshotName> = sorted.iter().copied().filter(|name| name.whole).collect();
    let mut staying: BTreeSet<SnapshotName> = whole.last().copied().into_iter().collect();
    match keep {
        Keep::Last(count) => {
            staying.extend(whole.iter().rev().take(usize::try_from(count).unwrap_or(usize::MAX)));
        }
        Keep::Spread { hourly, daily, weekly } => {
            for (length, count) in [(HOUR, hourly), (DAY, daily), (WEEK, weekly)] {
                staying.extend(newest_of_each(&whole, length, count));
            }
        }
    }
    staying.extend(sorted.last().filter(|name| !name.whole));
    sorted.into_iter().filter(|name| !staying.contains(name)).collect()
}

/// Returns the newest snapshot of each of the last `count` periods that have one. Weeks begin on Monday.
fn newest_of_each(whole: &[SnapshotName], length: i64, count: u64) -> Vec<SnapshotName> {
    // 1970 began on a Thursday.
    let period = |name: &SnapshotName| {
        (name.id.second() + if length == WEEK { 3 * DAY } else { 0 }).div_euclid(length)
    };
    let mut chosen: Vec<SnapshotName> = Vec::new();
    for name in whole.iter().rev() {
        if chosen.len() as u64 >= count {
            break;
        }
        if chosen.last().is_none_or(|last| period(last) != period(name)) {
            chosen.push(*name);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use proptest::prelude::*;

    fn name(second: i64, whole: bool) -> SnapshotName {
        SnapshotName { id: Id::at_second(second), whole }
    }

    #[test]
    fn the_last_ones_stay() {
        let all: Vec<_> = (0..5).map(|hour| name(hour * HOUR, true)).collect();
        assert_eq!(prunable(&all, Keep::Last(2)), all[..3]);
        assert_eq!(prunable(&all, Keep::Last(9)), []);
        assert_eq!(prunable(&all, Keep::Last(0)), all[..4]);
    }

    #[test]
    fn incomplete_ones_count_for_nothing_and_go_when_a_newer_one_is_there() {
        let all = [name(0, true), name(10, false), name(20, false)];
        assert_eq!(prunable(&all, Keep::Last(1)), [all[1]]);
        let all = [name(0, true), name(10, false), name(20, true)];
        assert_eq!(prunable(&all, Keep::Last(2)), [all[1]]);
    }

    #[test]
    fn the_newest_of_each_hour_day_and_week_stays() {
        // 40 days, four snapshots an hour.
        let all: Vec<_> = (0..40 * 24 * 4).map(|quarter| name(quarter * 900, true)).collect();
        let pruned = prunable(&all, Keep::Spread { hourly: 48, daily: 14, weekly: 5 });
        let staying: Vec<_> = all.iter().filter(|name| !pruned.contains(name)).collect();
        // The newest two days are hours as well, and the newest three weeks are days.
        assert_eq!(staying.len(), 48 + 12 + 2);
        assert!(staying.iter().all(|name| (name.id.second() + 900) % HOUR == 0));
    }

    proptest! {
        #[test]
        fn the_newest_whole_snapshot_always_stays(
            seconds in proptest::collection::btree_map(0i64..1_000_000, any::<bool>(), 0..60),
            hourly in 0u64..5, daily in 0u64..5, weekly in 0u64..5, last: bool,
        ) {
            let all: Vec<_> = seconds.into_iter().map(|(second, whole)| name(second, whole)).collect();
            let keep = if last { Keep::Last(hourly) } else { Keep::Spread { hourly, daily, weekly } };
            let pruned = prunable(&all, keep);
            if let Some(newest) = all.iter().rfind(|name| name.whole) {
                prop_assert!(!pruned.contains(newest));
            }
            let again: Vec<_> = all.iter().copied().filter(|name| !pruned.contains(name)).collect();
            prop_assert_eq!(prunable(&again, keep), []);
        }
    }
}
