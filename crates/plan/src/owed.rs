//! Which snapshot a takeover restores, and what a release record names: decided by the numbers of
//! holdings, never by clocks.
//!
//! What is live on a host is as new as the last snapshot that was restored there, or as its own last
//! holding. A snapshot that this host made is never restored here: what is live here came after it.
//!
//! Invariant: a snapshot of an earlier holding never replaces what a later one left
//! (`permit::model::nothing_newer_is_ever_replaced_and_there_is_always_a_way_out`).

use crate::holding::Label;
use crate::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

/// What the last takeover of this host had to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub id: String,
    /// The host that made it.
    pub host: String,
    /// It was restored, and not taken back.
    pub paid: bool,
    /// The services ran here since, restored or not.
    pub ran: bool,
}

impl Source {
    /// Returns a snapshot that is still to be restored.
    pub fn new(id: &str, host: &str) -> Self {
        Self { id: id.to_owned(), host: host.to_owned(), paid: false, ran: false }
    }

    /// Tells whether a host still owes this restore.
    pub fn is_owed(&self, own: &str) -> bool {
        !self.paid && self.host != own
    }

    /// Tells whether a takeover pays the debt by itself. Where services ran since, what they wrote would
    /// be replaced by something older: a person decides.
    pub fn is_due(&self, own: &str) -> bool {
        self.is_owed(own) && !self.ran
    }
}

/// Which snapshot a takeover is told to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wanted {
    /// The record names it.
    Named { id: String, host: String },
    /// No record names one: the newest that the peer made since this host held the asset.
    LastHolding,
}

/// Returns what a takeover has to restore, before it numbers its holding. `label` is the asset's as it was
/// found, `snapshots` the whole ones, newest first, `held` the number of this host's last holding, `before` what it had to
/// restore earlier.
pub fn source(
    wanted: &Wanted,
    label: Option<&Label>,
    snapshots: &[Snapshot],
    (own, held): (&str, u64),
    before: Option<&Source>,
) -> Option<Source> {
    let found = match wanted {
        Wanted::Named { id, host } => Some((id.as_str(), host.as_str())),
        Wanted::LastHolding => of_last_holding(label, snapshots, own, held),
    };
    match (found, before) {
        // Named again after it was restored and not taken back: it stays paid.
        (Some((id, host)), Some(before)) if before.id == id && before.host == host && !before.ran => {
            Some(before.clone())
        }
        (Some((id, host)), _) => Some(Source::new(id, host)),
        (None, before) => before.cloned(),
    }
}

/// The newest whole snapshot that the peer made after this host's own last holding: the one of its last holding,
/// or, where that one has none, of a holding before it, which is newer than everything here all the same.
fn of_last_holding<'a>(
    label: Option<&Label>,
    snapshots: &'a [Snapshot],
    own: &str,
    held: u64,
) -> Option<(&'a str, &'a str)> {
    let last = last_held(label, snapshots, own, held);
    let continues = |one: &&Snapshot| one.host != own && !one.owes && one.holding.is_some_and(|n| n > last);
    let later = snapshots.iter().filter(continues);
    // The first of equals is the newest.
    let newest = later.rev().max_by_key(|one| one.holding)?;
    Some((&newest.id, &newest.host))
}

/// Returns the number of a host's last holding, by all that is known of it.
pub fn last_held(label: Option<&Label>, snapshots: &[Snapshot], own: &str, held: u64) -> u64 {
    let by_label = label.filter(|label| label.host == own).map(|label| label.holding);
    let by_snapshot = snapshots.iter().filter(|one| one.host == own).filter_map(|one| one.holding);
    by_snapshot.chain(by_label).fold(held, u64::max)
}

/// Returns the whole snapshots of the peer that may be newer than what is live here, and that no takeover restores
/// by itself: their maker owed a restore then, or they have no number. `last` is this host's last holding, `done` the
/// snapshot that it has instead.
pub fn passed_over<'a>(
    snapshots: &'a [Snapshot],
    own: &str,
    last: u64,
    done: Option<&str>,
) -> Vec<&'a Snapshot> {
    let floor = done.and_then(|id| snapshots.iter().find(|one| one.id == id)?.holding).unwrap_or(last);
    let is_passed = |one: &&Snapshot| match one.holding {
        Some(holding) => one.owes && holding > floor,
        None => done.is_none(),
    };
    snapshots.iter().filter(|one| one.host != own).filter(is_passed).collect()
}

/// Returns the incomplete snapshots of the peer that have, or may have, something newer than what is live here. `last`
/// is this host's last holding, `done` the snapshot that was restored since.
pub fn incomplete<'a>(
    snapshots: &'a [Snapshot],
    own: &str,
    last: u64,
    done: Option<&Snapshot>,
) -> Vec<&'a Snapshot> {
    let is_newer = |one: &&Snapshot| match (one.holding, done) {
        // Within a holding they are named in their order.
        (Some(holding), Some(done)) if done.holding == Some(holding) && done.host == one.host => {
            one.id > done.id
        }
        (Some(holding), done) => holding > done.and_then(|done| done.holding).unwrap_or(last),
        (None, done) => done.is_none(),
    };
    snapshots.iter().filter(|one| one.host != own).filter(is_newer).collect()
}

/// What a release record says of snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Naming {
    /// The snapshot that a takeover by the record restores.
    pub snapshot: Option<String>,
    /// The host that made the snapshot; absent in the record of an earlier version, whose snapshot may be
    /// an old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// Why no snapshot is named.
    #[serde(rename = "no_snapshot", alias = "none", default, skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    /// The holding that ended; absent where the maker of the record held nothing, so that whoever takes by it
    /// looks for the last holding itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<u64>,
}

/// Returns what the record of a host names that ends its holding: the newest whole snapshot that it made in
/// it; where it still has to restore one itself, or never came to run, that one.
pub fn naming(
    holding: u64,
    own: &str,
    newest: Result<Option<String>, String>,
    source: Option<&Source>,
) -> Naming {
    let none = |why: String| Naming { holding: Some(holding), none: Some(why), ..Naming::default() };
    let named = |id: &str, host: &str| Naming {
        holding: Some(holding),
        snapshot: Some(id.to_owned()),
        made_by: Some(host.to_owned()),
        none: None,
    };
    match (source, newest) {
        (Some(source), _) if source.is_due(own) => named(&source.id, &source.host),
        (Some(source), _) if source.is_owed(own) => none(format!(
            "{own} ran without restoring {} of {}, so its files do not continue those of {}",
            source.id, source.host, source.host
        )),
        (_, Ok(Some(id))) => named(&id, own),
        (Some(source), Ok(None)) if !source.ran => named(&source.id, &source.host),
        (_, Ok(None)) => none(format!("{own} made no whole snapshot in this holding")),
        (_, Err(why)) => none(format!("the snapshots cannot be read: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(id: &str, host: &str, holding: u64) -> Snapshot {
        Snapshot { id: id.into(), host: host.into(), holding: Some(holding), owes: false, continues: None }
    }

    fn last(label: Option<(&str, u64)>, snapshots: &[Snapshot]) -> Option<String> {
        let label = label.map(|(host, holding)| Label { host: host.into(), holding });
        source(&Wanted::LastHolding, label.as_ref(), snapshots, ("ec2", 0), None).map(|source| source.id)
    }

    #[test]
    fn without_a_record_only_the_last_holding_of_the_peer_counts() {
        let all = [made("c", "ec1", 3), made("b", "ec2", 2), made("a", "ec1", 1)];
        assert_eq!(last(Some(("ec1", 3)), &all), Some("c".into()));
        assert_eq!(last(Some(("ec1", 3)), &all[1..]), None, "it made none in it: a is of another");
        assert_eq!(last(Some(("ec2", 4)), &all), None, "this host held it last");
        assert_eq!(last(Some(("ec2", 2)), &all), Some("c".into()), "the label did not reach the disk");
        let skipped = [Snapshot { owes: true, ..made("d", "ec1", 4) }, made("c", "ec1", 3)];
        assert_eq!(last(None, &skipped), Some("c".into()), "d was made without the restore that was owed");
        assert_eq!(last(None, &[Snapshot { holding: None, ..made("a", "ec1", 0) }]), None, "unnumbered");
    }

    /// "left no newer snapshot" was said of each of these.
    #[test]
    fn what_is_passed_over_is_known() {
        let all = [
            Snapshot { owes: true, ..made("d", "ec1", 5) },
            made("c", "ec1", 4),
            made("b", "ec2", 3),
            Snapshot { owes: true, ..made("a", "ec1", 2) },
            Snapshot { holding: None, ..made("0", "ec1", 0) },
        ];
        let ids = |last, done| {
            let passed = passed_over(&all, "ec2", last, done);
            passed.into_iter().map(|one| one.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(ids(3, None), ["d", "0"], "a is older than what ec2 has");
        assert_eq!(ids(3, Some("c")), ["d"]);
        assert_eq!(ids(6, None), ["0"], "of that one nobody knows");
        assert_eq!(last_held(None, &all, "ec2", 1), 3);
    }

    /// They were passed over without a word.
    #[test]
    fn incomplete_snapshots_with_something_newer_are_known() {
        let all = [
            made("4.incomplete", "ec1", 4),
            made("3.incomplete", "ec2", 3),
            made("2.incomplete", "ec1", 2),
            Snapshot { holding: None, ..made("0.incomplete", "ec1", 0) },
        ];
        let ids = |last, done| {
            let found = incomplete(&all, "ec2", last, done);
            found.into_iter().map(|one| one.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(ids(3, None), ["4.incomplete", "0.incomplete"], "2 is older than what ec2 has");
        let (before, after) = (made("3", "ec1", 4), made("5", "ec1", 4));
        assert_eq!(ids(1, Some(&before)), ["4.incomplete"], "made later in the same holding");
        assert_eq!(ids(1, Some(&after)), Vec::<&str>::new(), "a whole one followed");
    }

    #[test]
    fn a_named_snapshot_replaces_what_is_owed_and_none_leaves_it() {
        let owed = Source::new("a", "ec1");
        let named = Wanted::Named { id: "b".into(), host: "ec1".into() };
        assert_eq!(source(&named, None, &[], ("ec2", 0), Some(&owed)).unwrap().id, "b");
        assert_eq!(source(&Wanted::LastHolding, None, &[], ("ec2", 0), Some(&owed)), Some(owed.clone()));
        let own = Source::new("c", "ec2");
        assert!(!own.is_owed("ec2"), "what this host made is never restored here");
        assert!(owed.is_due("ec2") && !Source { ran: true, ..owed }.is_due("ec2"));
    }

    #[test]
    fn a_record_names_a_snapshot_of_the_holding_that_it_ends_or_what_is_owed() {
        let newest = || Ok(Some("n".to_owned()));
        assert_eq!(naming(3, "ec2", newest(), None).snapshot, Some("n".into()));
        assert!(naming(3, "ec2", Ok(None), None).none.is_some());
        let owed = Source::new("a", "ec1");
        assert_eq!(naming(3, "ec2", newest(), Some(&owed)).made_by, Some("ec1".into()));
        let skipped = Source { ran: true, ..owed.clone() };
        assert_eq!(naming(3, "ec2", newest(), Some(&skipped)).snapshot, None);
        assert_eq!(
            naming(3, "ec2", newest(), Some(&Source { paid: true, ..skipped })).made_by,
            Some("ec2".into())
        );
        let own = Source::new("o", "ec2");
        assert_eq!(naming(3, "ec2", Ok(None), Some(&own)).snapshot, Some("o".into()), "it never came to run");
    }
}
