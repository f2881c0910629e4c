//! Which snapshots stay. Pure: snapshots and a policy in, names to prune out.
//!
//! Invariant: what has a [`Keeper`] is never among what is to be pruned: the newest whole snapshot of each host, what a
//! release record names, what is pinned (`what_has_a_keeper_always_stays`).
//! Invariant: what one host made changes nothing for what another one made, but that the snapshot which its newest
//! one continues stays: the next restore on either host compares with it.

use crate::id::SnapshotName;
use orderly_host::config::Keep;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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
    /// Somebody said that it stays (`--pin`).
    pub is_pinned: bool,
    /// Its maker still had a restore to do, so no takeover restores it by itself.
    pub owes: bool,
    /// The snapshot that its maker had restored last: what is live there is compared with it when it comes back.
    pub continues: Option<String>,
}

/// Why a snapshot stays whatever the policy says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    Pinned,
    /// A release record or what this host knows of its restores names it.
    Recorded,
    /// It is the newest whole one that this host made; of nobody where manifests cannot be read.
    NewestOf(Option<String>),
    /// It is what a takeover without a record would restore of this host, whose newer ones still owe a restore.
    RestoredOf(String),
    /// The newest whole snapshot of a host continues it.
    ContinuedBy(SnapshotName),
}

impl fmt::Display for Keeper {
    /// Says why the snapshot must stay, and what ends that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => write!(f, "it is pinned; unpin it first (habackup --unpin)"),
            Self::Recorded => write!(
                f,
                "a release record or the last restore on this host names it, and a takeover may need it; it can go \
                 after the next hand-over and restore"
            ),
            Self::NewestOf(Some(host)) => write!(
                f,
                "it is the newest whole snapshot of {host}, and a takeover may restore it; it can go after the next \
                 snapshot on {host}"
            ),
            Self::NewestOf(None) => write!(f, "its manifest cannot be read, and no newer one is like it"),
            Self::RestoredOf(host) => write!(
                f,
                "a takeover from {host} would restore it; it can go after the next snapshot on {host}"
            ),
            Self::ContinuedBy(name) => write!(
                f,
                "{name} continues it, and the next restore compares the two; it can go when {name} is no longer the \
                 newest of its host"
            ),
        }
    }
}

/// Returns the snapshots that stay whatever the policy says, each with every reason.
pub fn keepers(snapshots: &[Candidate]) -> BTreeMap<SnapshotName, BTreeSet<Keeper>> {
    let mut kept: BTreeMap<SnapshotName, BTreeSet<Keeper>> = BTreeMap::new();
    let mut keep = |name, keeper| {
        kept.entry(name).or_default().insert(keeper);
    };
    for one in snapshots {
        if one.is_pinned {
            keep(one.name, Keeper::Pinned);
        }
        if one.is_named {
            keep(one.name, Keeper::Recorded);
        }
    }
    let hosts: BTreeSet<Option<&str>> = snapshots.iter().map(|one| one.host.as_deref()).collect();
    for host in hosts {
        let of_host = |one: &&Candidate| one.name.whole && one.host.as_deref() == host;
        let newest = snapshots.iter().filter(of_host).max_by_key(|one| one.name);
        let restored = snapshots.iter().filter(of_host).filter(|one| !one.owes).max_by_key(|one| one.name);
        let Some(newest) = newest else { continue };
        keep(newest.name, Keeper::NewestOf(host.map(str::to_owned)));
        if let (Some(restored), Some(host)) = (restored.filter(|one| one.name != newest.name), host) {
            keep(restored.name, Keeper::RestoredOf(host.to_owned()));
        }
        if let Some(id) = &newest.continues {
            let continued = snapshots.iter().filter(|one| one.name.to_string() == *id);
            continued.for_each(|one| keep(one.name, Keeper::ContinuedBy(newest.name)));
        }
    }
    kept
}

/// Returns what is to be pruned at `now`, in seconds since 1970, oldest first.
///
/// Of each host the whole snapshots stay by the policy, a pinned one like any other: a pin adds to what stays and takes
/// the place of none. Of its incomplete ones only the newest stays, and
/// only while no whole one is newer: it then has the newest state of what could be read.
pub fn prunable(snapshots: &[Candidate], keep: Keep, now: i64) -> Vec<SnapshotName> {
    let mut by_host: BTreeMap<Option<&str>, Vec<&Candidate>> = BTreeMap::new();
    for candidate in snapshots {
        by_host.entry(candidate.host.as_deref()).or_default().push(candidate);
    }
    let mut staying: BTreeSet<SnapshotName> = keepers(snapshots).into_keys().collect();
    for made in by_host.values_mut() {
        made.sort_by_key(|candidate| candidate.name);
        staying.extend(staying_of(made, keep, now));
    }
    let mut going: Vec<SnapshotName> = snapshots.iter().map(|candidate| candidate.name).collect();
    going.retain(|name| !staying.contains(name));
    going.sort();
    going
}

/// Returns which snapshots of one host stay; `made` is sorted, oldest first.
fn staying_of(made: &[&Candidate], keep: Keep, now: i64) -> BTreeSet<SnapshotName> {
    let whole: Vec<&Candidate> = made.iter().copied().filter(|candidate| candidate.name.whole).collect();
    let mut staying = BTreeSet::new();
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
            is_pinned: false,
            owes: false,
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

    #[test]
    fn what_is_pinned_stays_and_takes_the_place_of_none() {
        let mut all: Vec<_> = (0..5).map(|hour| one(hour * HOUR, hour != 1)).collect();
        all[0].is_pinned = true;
        all[1].is_pinned = true;
        assert_eq!(prunable(&all, Keep::Last(2), LATER), [all[2].name]);
        all[4].is_pinned = true;
        assert_eq!(prunable(&all, Keep::Last(2), LATER), [all[2].name]);
    }

    /// The newest one of a host that owed a restore was kept, and the one that a takeover restores was not.
    #[test]
    fn what_a_takeover_restores_stays_when_newer_ones_owe_a_restore() {
        let mut all = [one(0, true), one(10, true), one(20, true), one(30, true)];
        all[2].owes = true;
        all[3].owes = true;
        assert_eq!(prunable(&all, Keep::Last(1), LATER), [all[0].name, all[2].name]);
        assert_eq!(keepers(&all)[&all[1].name], BTreeSet::from([Keeper::RestoredOf("ec1".into())]));
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

    /// Who made it; whether it is whole, named, pinned, owes a restore; which one it continues.
    type AnyState = (Option<&'static str>, [bool; 4], Option<i64>);

    /// Snapshots of two hosts and of nobody, in any state.
    fn any_snapshots() -> impl Strategy<Value = Vec<Candidate>> {
        let host = prop_oneof![Just(Some("ec1")), Just(Some("ec2")), Just(None)];
        let state = (host, any::<[bool; 4]>(), proptest::option::of(0i64..1_000_000));
        proptest::collection::btree_map(0i64..1_000_000, state, 0..60).prop_map(|all| {
            let seconds: Vec<i64> = all.keys().copied().collect();
            let candidate = |(second, state): (i64, AnyState)| {
                let (host, [whole, is_named, is_pinned, owes], continues) = state;
                let continued = continues.map(|pick| seconds[pick as usize % seconds.len()]);
                Candidate {
                    host: host.map(str::to_owned),
                    // One in four is named or pinned at most: what is all kept proves nothing.
                    is_named: is_named && second % 2 == 0,
                    is_pinned: is_pinned && second % 2 == 1,
                    owes,
                    continues: continued.map(|second| name(second, true).to_string()),
                    ..one(second, whole)
                }
            };
            all.into_iter().map(candidate).collect()
        })
    }

    fn any_policy() -> impl Strategy<Value = Keep> {
        prop_oneof![
            (0u64..5).prop_map(Keep::Last),
            (0u64..5, 0u64..5, 0u64..5).prop_map(|(hourly, daily, weekly)| Keep::Spread {
                hourly,
                daily,
                weekly
            }),
        ]
    }

    proptest! {
        /// Pinned, named by a record, the newest of its host, what a takeover restores: whatever the policy and the rest.
        #[test]
        fn what_has_a_keeper_always_stays(all in any_snapshots(), keep in any_policy(), now in 0i64..2_000_000) {
            let pruned = prunable(&all, keep, now);
            for host in [Some("ec1"), Some("ec2")] {
                let made = || all.iter().filter(|one| one.host.as_deref() == host && one.name.whole);
                for newest in [made().next_back(), made().rfind(|one| !one.owes)].into_iter().flatten() {
                    prop_assert!(!pruned.contains(&newest.name), "newest {} of {host:?}", newest.name);
                }
            }
            for one in all.iter().filter(|one| one.is_pinned || one.is_named) {
                prop_assert!(!pruned.contains(&one.name), "{one:?}");
            }
            // What goes, goes at once: a second run finds nothing more.
            let again: Vec<_> = all.iter().filter(|one| !pruned.contains(&one.name)).cloned().collect();
            prop_assert_eq!(prunable(&again, keep, now), []);
        }

        /// Each host's are counted as if the other one had none.
        #[test]
        fn what_another_host_made_counts_for_nothing(all in any_snapshots(), keep in any_policy(), now in 0i64..2_000_000) {
            let alone: Vec<_> = all.iter().map(|one| Candidate { continues: None, ..one.clone() }).collect();
            let together = prunable(&alone, keep, now);
            let mut apart = Vec::new();
            for host in [Some("ec1"), Some("ec2"), None] {
                let own: Vec<_> = alone.iter().filter(|one| one.host.as_deref() == host).cloned().collect();
                apart.extend(prunable(&own, keep, now));
            }
            apart.sort();
            prop_assert_eq!(apart, together);
        }

        /// A pin keeps one snapshot and changes nothing for the rest.
        #[test]
        fn a_pin_adds_one(all in any_snapshots(), keep in any_policy(), pick: prop::sample::Index) {
            prop_assume!(!all.is_empty());
            let before = prunable(&all, keep, LATER);
            let mut pinned = all.clone();
            let one = pick.index(all.len());
            pinned[one].is_pinned = true;
            let mut wanted = before;
            wanted.retain(|name| *name != all[one].name);
            prop_assert_eq!(prunable(&pinned, keep, LATER), wanted);
        }

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
