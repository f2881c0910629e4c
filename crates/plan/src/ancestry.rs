//! What the files of two hosts have in common: the last snapshot that both continue. A restore compares with
//! it, so that an edit that no snapshot has (a release without a backup, a crash, a service that writes while it
//! stops) is not replaced by what is older.
//!
//! Invariant: what was changed on this host alone since then is never replaced
//! (`permit::model::nothing_newer_is_ever_replaced_and_there_is_always_a_way_out`).

use crate::snapshot::{Continued, Snapshot};

/// A host about to restore, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    pub name: &'a str,
    /// The last snapshot that was restored here, and not taken back.
    pub restored: Option<&'a Continued>,
    /// The first holding that this host remembers: what is live after a new installation continues no
    /// snapshot of before. 0 where it remembers none.
    pub since: u64,
    /// The last holding in which its services ran; 0 where they never did.
    pub ran: u64,
}

/// What a restore compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Common<'a> {
    /// This snapshot.
    Snapshot(&'a str),
    /// Nothing, and nothing is known to be newer here.
    Nothing,
    /// Nothing: this snapshot, which both continue, is not there any more.
    Gone(&'a str),
    /// Nothing, and what was written here in this holding is in no snapshot: a person decides.
    Unsaved(u64),
}

/// Finds the last snapshot that both what is live here and the snapshot to be restored continue, among the
/// whole ones.
pub fn common<'a>(here: Here<'a>, restored: &'a Snapshot, snapshots: &[Snapshot]) -> Common<'a> {
    let is_there = |one: &&Continued| snapshots.iter().any(|snapshot| snapshot.id == one.snapshot);
    // The very one that was restored counts as well: what was changed here since then stays.
    let theirs = here.restored.filter(|one| one.host == restored.host);
    let is_ours = |one: &&Continued| {
        one.host == here.name && here.since > 0 && one.holding.is_some_and(|holding| holding >= here.since)
    };
    let ours = restored.continues.as_ref().filter(is_ours);
    let both = || theirs.into_iter().chain(ours);
    if let Some(last) = both().filter(is_there).max() {
        return Common::Snapshot(&last.snapshot);
    }
    let is_saved = |one: &Snapshot| one.host == here.name && one.holding == Some(here.ran);
    match both().max() {
        _ if here.ran > 0 && !snapshots.iter().any(is_saved) => Common::Unsaved(here.ran),
        Some(gone) => Common::Gone(&gone.snapshot),
        None => Common::Nothing,
    }
}

/// Who changed a thing since the snapshot that both hosts' files continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is as the other host has it since: it is restored.
    There,
    /// It stays as it is.
    Here,
    /// What the other host has is restored, and what is here is saved and named.
    Both,
}

/// Judges a thing that is here otherwise than in the snapshot to be restored.
pub fn changed(here: bool, there: bool) -> Changed {
    match (here, there) {
        (_, false) => Changed::Here,
        (true, true) => Changed::Both,
        (false, true) => Changed::There,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(snapshot: &str, host: &str, holding: u64) -> Continued {
        Continued { holding: Some(holding), snapshot: snapshot.into(), host: host.into() }
    }

    fn made(id: &str, host: &str, holding: u64, continues: Option<Continued>) -> Snapshot {
        Snapshot { id: id.into(), host: host.into(), holding: Some(holding), owes: false, continues }
    }

    #[test]
    fn the_last_snapshot_that_both_continue_is_the_newer_of_two() {
        let all = [
            made("d", "ec2", 4, Some(one("c", "ec1", 3))),
            made("c", "ec1", 3, Some(one("b", "ec2", 2))),
            made("b", "ec2", 2, None),
        ];
        let restored = one("b", "ec2", 2);
        let here = Here { name: "ec1", restored: Some(&restored), since: 1, ran: 3 };
        assert_eq!(common(here, &all[0], &all), Common::Snapshot("c"));
        assert_eq!(common(here, &all[2], &all), Common::Snapshot("b"), "it is restored already");
        // Without a backup in holding 3 the other host continued its own.
        let bare = made("d", "ec2", 4, None);
        assert_eq!(common(here, &bare, &all), Common::Snapshot("b"));
        assert_eq!(common(here, &bare, &all[..2]), Common::Gone("b"), "pruned or deleted");
        // A new installation continues nothing of before.
        let fresh = Here { name: "ec1", restored: None, since: 5, ran: 0 };
        assert_eq!(common(fresh, &all[0], &all), Common::Nothing);
    }

    #[test]
    fn what_is_in_no_snapshot_is_known() {
        let all = [made("b", "ec2", 2, None)];
        let here = Here { name: "ec1", restored: None, since: 1, ran: 1 };
        assert_eq!(common(here, &all[0], &all), Common::Unsaved(1));
        let saved = [all[0].clone(), made("a", "ec1", 1, None)];
        assert_eq!(common(here, &saved[0], &saved), Common::Nothing);
        assert_eq!(common(Here { ran: 0, ..here }, &all[0], &all), Common::Nothing, "it never ran here");
    }

    #[test]
    fn what_is_changed_here_alone_stays() {
        assert_eq!(changed(true, false), Changed::Here);
        assert_eq!(changed(false, true), Changed::There);
        assert_eq!(changed(true, true), Changed::Both);
    }
}
