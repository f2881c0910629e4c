//! Which snapshots stay. Pure: snapshots and a policy in, names to prune out.
//!
//! Invariant: the newest whole snapshot of each host is never among what is to be pruned.
//! Invariant: what one host made changes nothing for what another one made, but that the snapshot which its newest
//! one continues stays: the next restore on either host compares with it.

use crate::id::SnapshotName;
use orderly_host::backup::Keep;
use std::collections::{BTreeMap, BTreeSet};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// A snapshot, with what its retention depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Orders the snapshots of a host; a clock that was wrong once may have put it years ahead.
    pub name: SnapshotName,
    /// The host that made it; `None` where its manifest cannot be read.
    pub host: Option<String>,
    /// When it was made, by the clock of its host, in seconds since 1970.
    pub taken: i64,
    /// Named by a release record: a takeover may need it.
    pub is_named: bool,
    /// The snapshot that its maker had restored last: what is live there is compared with it when it comes back.
    pub continues: Option<String>,
}

/// Returns what is to be pruned at `now`, in seconds since 1970, oldest first.
///
/// Of each host the whole snapshots stay by the policy. Of its incomplete ones only the newest stays, and
/// only while no whole one is newer: it then has the newest state of what could be read.
pub fn prunable(snapshots: &[Candidate], keep: Keep, now: i64) -> Vec<SnapshotName> {
    let mut by_host: BTreeMap<Option<&str>, Vec<&Candidate>> = BTreeMap::new();
    for candidate in snapshots {
        by_host.entry(candidate.host.as_deref()).or_default().push(candidate);
    }
    let mut staying: BTreeSet<SnapshotName> =
        snapshots.iter().filter(|candidate| candidate.is_named).map(|candidate| candidate.name).collect();
    for made in by_host.values_mut() {
        made.sort_by_key(|candidate| candidate.name);
        staying.extend(staying_of(made, keep, now));
        let newest = made.iter().rfind(|candidate| candidate.name.whole);
        if let Some(id) = newest.and_then(|newest| newest.continues.as_deref()) {
            staying.extend(snapshots.iter().map(|one| one.name).filter(|name| name.to_string() == id));
        }
    }
    let mut going: Vec<SnapshotName> = snapshots.iter().map(|candidate| candidate.name).collect();
    going.retain(|name| !staying.contains(name));
    going.sort();
    going
}

/// Returns which snapshots of one host stay; `made` is sorted, oldest first.
fn staying_of(made: &[&Candidate], keep: Keep, now: i64) -> BTreeSet<SnapshotName> {
    let whole: Vec<&Candidate> = made.iter().copied().filter(|candidate| candidate.name.whole).collect();
    let mut staying: BTreeSet<SnapshotName> = whole.last().map(|newest| newest.name).into_iter().collect();
    match keep {
        Keep::Last(count) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            staying.extend(whole.iter().rev().take(count).map(|candidate| candidate.name));
        }
        Keep::Spread { hourly, daily, weekly } => {
            for (length, count) in [(HOUR, hourly), (DAY, daily), (WEEK, weekly)] {
                staying.extend(newest_of_each(&whole, length, count));
            }
            // One that a person took before a change must not go with the next full hour.
            let is_of_today = |candidate: &&&Candidate| (candidate.taken - now).abs() < DAY;
            staying.extend(whole.iter().filter(is_of_today).map(|candidate| candidate.name));
        }
    }
    staying.extend(made.last().filter(|newest| !newest.name.whole).map(|newest| newest.name));
    staying
}

/// Returns the newest snapshot of each of the last `count` periods that have one. Weeks begin on Monday.
fn newest_of_each(whole: &[&Candidate], length: i64, count: u64) -> Vec<SnapshotName> {
    // 1970 began on a Thursday.
    let period = |candidate: &Candidate| {
        (candidate.taken + if length == WEEK { 3 * DAY } else { 0 }).div_euclid(length)
    };
    // Once each: a clock that was set back visits a period again.
    let mut seen = BTreeSet::new();
    let mut chosen: Vec<SnapshotName> = Vec::new();
    for candidate in whole.iter().rev() {
        if chosen.len() as u64 >= count {
            break;
        }
        if seen.insert(period(candidate)) {
            chosen.push(candidate.name);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use proptest::prelude::*;

    /// Long after all of them.
    const LATER: i64 = 1 << 35;

    fn name(second: i64, whole: bool) -> SnapshotName {
        SnapshotName { id: Id::at_second(second), whole }
    }

    fn made(host: &str, second: i64, whole: bool) -> Candidate {
        Candidate {
            name: name(second, whole),
            host: Some(host.to_owned()),
            taken: second,
            is_named: false,
            continues: None,
        }
    }

    fn one(second: i64, whole: bool) -> Candidate {
        made("ec1", second, whole)
    }

    fn names(candidates: &[Candidate]) -> Vec<SnapshotName> {
        candidates.iter().map(|candidate| candidate.name).collect()
    }

    #[test]
    fn the_last_ones_stay() {
        let all: Vec<_> = (0..5).map(|hour| one(hour * HOUR, true)).collect();
        assert_eq!(prunable(&all, Keep::Last(2), LATER), names(&all[..3]));
        assert_eq!(prunable(&all, Keep::Last(9), LATER), []);
        assert_eq!(prunable(&all, Keep::Last(0), LATER), names(&all[..4]));
    }

    #[test]
    fn incomplete_ones_count_for_nothing_and_go_when_a_newer_one_is_there() {
        let all = [one(0, true), one(10, false), one(20, false)];
        assert_eq!(prunable(&all, Keep::Last(1), LATER), [all[1].name]);
        let all = [one(0, true), one(10, false), one(20, true)];
        assert_eq!(prunable(&all, Keep::Last(2), LATER), [all[1].name]);
    }

    #[test]
    fn the_newest_of_each_hour_day_and_week_stays() {
        // 40 days, four snapshots an hour.
        let all: Vec<_> = (0..40 * 24 * 4).map(|quarter| one(quarter * 900, true)).collect();
        let pruned = prunable(&all, Keep::Spread { hourly: 48, daily: 14, weekly: 5 }, LATER);
        let staying: Vec<_> = all.iter().filter(|one| !pruned.contains(&one.name)).collect();
        // The newest two days are hours as well, and the newest three weeks are days.
        assert_eq!(staying.len(), 48 + 12 + 2);
        assert!(staying.iter().all(|one| (one.taken + 900) % HOUR == 0));
    }

    /// The other host's snapshot of the same hour was pruned, so that after a round trip none was left.
    #[test]
    fn hosts_are_counted_apart() {
        let all =
            [made("ec1", 10, true), made("ec2", 20, true), made("ec1", 30, true), made("ec2", 40, true)];
        let hourly = Keep::Spread { hourly: 1, daily: 0, weekly: 0 };
        assert_eq!(prunable(&all, hourly, LATER), names(&all[..2]));
        assert_eq!(prunable(&all, Keep::Last(1), LATER), names(&all[..2]));
        assert_eq!(prunable(&all, Keep::Last(2), LATER), []);
    }

    /// What an operator took by hand was pruned by the snapshot of the next full hour.
    #[test]
    fn what_was_taken_less_than_a_day_ago_stays() {
        let all = [one(0, true), one(10, true), one(DAY, true)];
        let hourly = Keep::Spread { hourly: 1, daily: 0, weekly: 0 };
        assert_eq!(prunable(&all, hourly, DAY + 5), [all[0].name]);
        assert_eq!(prunable(&all, hourly, LATER), names(&all[..2]));
    }

    #[test]
    fn what_a_record_names_stays() {
        let mut all = [one(0, true), one(10, true), one(20, true)];
        all[0].is_named = true;
        assert_eq!(prunable(&all, Keep::Last(1), LATER), [all[1].name]);
    }

    /// The host that had restored it wrote over what the other one had changed alone: nothing was left to compare with.
    #[test]
    fn what_the_newest_of_a_host_continues_stays() {
        let on = |first: Candidate, continues: &Candidate| Candidate {
            continues: Some(continues.name.to_string()),
            ..first
        };
        let first = made("ec1", 0, true);
        let second = on(made("ec2", 10, true), &first);
        let third = on(made("ec1", 20, true), &second);
        let all = [first, second, third, made("ec1", 30, true), made("ec1", 40, true)];
        assert_eq!(prunable(&all, Keep::Last(1), LATER), names(&all[2..4]));
        let later = [all[4].clone(), on(made("ec2", 50, true), &all[4])];
        let all = [&all[..], &later[1..]].concat();
        assert_eq!(prunable(&all, Keep::Last(1), LATER), names(&all[..4]));
    }

    /// Names go on from one that a wrong clock put years ahead; the hours are those of the clock.
    #[test]
    fn a_name_years_ahead_is_in_the_hour_it_was_taken_in() {
        let all: Vec<_> =
            (0..4).map(|hour| Candidate { taken: hour * HOUR, ..one(LATER + hour, true) }).collect();
        assert_eq!(prunable(&all, Keep::Spread { hourly: 3, daily: 0, weekly: 0 }, LATER), [all[0].name]);
    }

    proptest! {
        #[test]
        fn the_newest_whole_snapshot_of_each_host_always_stays(
            seconds in proptest::collection::btree_map(0i64..1_000_000, any::<(bool, bool)>(), 0..60),
            hourly in 0u64..5, daily in 0u64..5, weekly in 0u64..5, last: bool,
        ) {
            let host = |other| if other { "ec2" } else { "ec1" };
            let all: Vec<_> =
                seconds.into_iter().map(|(second, (whole, other))| made(host(other), second, whole)).collect();
            let keep = if last { Keep::Last(hourly) } else { Keep::Spread { hourly, daily, weekly } };
            let pruned = prunable(&all, keep, LATER);
            let mut apart = Vec::new();
            for host in ["ec1", "ec2"] {
                let own: Vec<_> = all.iter().filter(|one| one.host.as_deref() == Some(host)).cloned().collect();
                if let Some(newest) = own.iter().rfind(|one| one.name.whole) {
                    prop_assert!(!pruned.contains(&newest.name));
                }
                apart.extend(prunable(&own, keep, LATER));
            }
            apart.sort();
            prop_assert_eq!(&apart, &pruned);
            let again: Vec<_> = all.iter().filter(|one| !pruned.contains(&one.name)).cloned().collect();
            prop_assert_eq!(prunable(&again, keep, LATER), []);
        }
    }
}
