//! Why a takeover restores nothing, or not the newest that there is: "there is none" is said only where that is so.

use crate::backup;
use crate::host::Host;
use crate::ledger::Ledger;
use orderly_plan::owed::{self, Source};
use orderly_plan::snapshot::Snapshot;

/// How many snapshots a sentence names.
const NAMED: usize = 3;

/// Says why nothing is restored where nothing is due, with what a person may type instead.
pub(crate) fn why_nothing_is_restored(host: &mut Host<'_>) -> anyhow::Result<String> {
    let (own, peer) = (&host.config.own.name, &host.config.peer.name);
    let source = Ledger::read()?.source.filter(|source| source.host != *own);
    let done = source.as_ref().filter(|source| source.paid).map(|source| source.id.clone());
    let passed = passed_over(host, done.as_deref())?;
    let why = match (&source, &passed) {
        (Some(source), _) if !source.paid => ran_without(source, own),
        (Some(Source { id, host, .. }), None) => {
            format!(
                "{id} of {host} is restored here already, and {peer} left no newer whole snapshot; nothing is restored"
            )
        }
        (Some(Source { id, host, .. }), Some(_)) => {
            format!("{id} of {host} is restored here already; nothing is restored")
        }
        (None, None) => format!("{peer} left no newer whole snapshot; nothing is restored"),
        (None, Some(_)) => "nothing is restored".to_owned(),
    };
    Ok(passed.map_or_else(|| why.clone(), |passed| format!("{why}; {passed}")))
}

/// Names the snapshots of the peer that are, or may be, newer than what is live here once `done` is restored, and
/// that nothing restores by itself.
pub(crate) fn passed_over(host: &mut Host<'_>, done: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(settings) = &host.config.backup else { return Ok(None) };
    let snapshots = backup::whole_snapshots(settings)?;
    let (own, ledger) = (&host.config.own.name, Ledger::read()?);
    // The holding under way has a number already.
    let now = ledger.took.as_ref().map(|took| took.holding);
    let before = ledger.took.as_ref().and_then(|took| took.before.as_ref());
    let is_earlier = |one: &&Snapshot| one.host != *own || one.holding != now;
    let earlier: Vec<Snapshot> = snapshots.iter().filter(is_earlier).cloned().collect();
    let ran = Some(ledger.runs.last).filter(|ran| Some(*ran) != now).unwrap_or(ledger.runs.before);
    let last = owed::last_held(before, &earlier, own, ledger.ended.max(ran));
    let incomplete = backup::incomplete_snapshots(settings).unwrap_or_else(|error| {
        host.notes.push(format!("which snapshots are incomplete cannot be told: {error:#}"));
        Vec::new()
    });
    let restored = done.and_then(|id| snapshots.iter().find(|one| one.id == id));
    let incomplete = owed::incomplete(&incomplete, own, last, restored);
    Ok(sentence(&owed::passed_over(&earlier, own, last, done), &incomplete))
}

fn ran_without(Source { id, host, .. }: &Source, own: &str) -> String {
    format!(
        "not restored: services of {own} ran without {id} of {host}, and what they wrote would be replaced; \
         habackup --diff {id} live shows what differs, habackup --restore {id} restores it"
    )
}

/// Names the snapshots with what keeps them from being restored; `None` where there is none.
fn sentence(passed: &[&Snapshot], incomplete: &[&Snapshot]) -> Option<String> {
    let Snapshot { id, host, .. } = passed.first().or(incomplete.first())?;
    let (owing, unnumbered): (Vec<&Snapshot>, Vec<&Snapshot>) =
        passed.iter().partition(|one| one.holding.is_some());
    let owes =
        format!("which {host} made while it owed a restore, so that does not continue what was handed over");
    let old = format!(
        "which an earlier version made on {host} without a number, so nobody knows whether it is newer"
    );
    let partial = format!("which {host} could not make whole");
    let clauses = [(owing, owes), (unnumbered, old), (incomplete.to_vec(), partial)];
    let named =
        clauses.iter().filter(|(all, _)| !all.is_empty()).map(|(all, why)| format!("{}, {why}", list(all)));
    Some(format!(
        "not restored: {}; habackup --diff {id} live shows what differs, habackup --restore {id} restores it",
        named.collect::<Vec<_>>().join("; and ")
    ))
}

/// Names the first ones, and counts the rest.
fn list(all: &[&Snapshot]) -> String {
    let named: Vec<&str> = all.iter().take(NAMED).map(|one| one.id.as_str()).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(" and "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_snapshot_that_is_passed_over_is_named_with_its_reason() {
        let made = |id: &str, holding| Snapshot {
            id: id.into(),
            host: "ec1".into(),
            holding,
            owes: true,
            continues: None,
        };
        let all = [made("d", Some(4)), made("c", Some(4)), made("b", None)];
        let said = sentence(&all.iter().collect::<Vec<_>>(), &[]).unwrap();
        assert!(said.contains("d and c, which ec1 made while it owed a restore"), "{said}");
        assert!(said.contains("and b, which an earlier version made"), "{said}");
        let line = "habackup --diff d live shows what differs, habackup --restore d restores it";
        assert!(said.ends_with(line), "{said}");
        let many = [made("d", None), made("c", None), made("b", None), made("a", None)];
        let counted = sentence(&many.iter().collect::<Vec<_>>(), &[]).unwrap();
        assert!(counted.contains("d, c, b and 1 more, which an earlier"), "{counted}");
        let half = made("e.incomplete", Some(4));
        let said = sentence(&[], &[&half]).unwrap();
        assert!(
            said.contains("not restored: e.incomplete, which ec1 could not make whole; habackup --diff"),
            "{said}"
        );
        assert_eq!(sentence(&[], &[]), None);
    }
}
