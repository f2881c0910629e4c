//! `--forget`: removes one snapshot, unless it must stay.
//!
//! Invariant: what [`crate::retention::keepers`] names is never forgotten. A snapshot whose manifest is damaged is of
//! no use to a takeover, so it is nobody's newest one and may go.

use crate::args::Args;
use crate::choice;
use crate::id::SnapshotName;
use crate::preconditions::Preconditions;
use crate::pruning;
use crate::retention::{Candidate, Keeper, keepers};
use crate::store::Store;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, clock, fail, status};
use serde::Serialize;
use std::collections::BTreeSet;

/// What `--forget --json` prints.
#[derive(Debug, Serialize)]
struct ForgetReport {
    format: &'static str,
    record: &'static str,
    status: &'static str,
    time: String,
    snapshot: String,
    /// Whether it is gone; `false` with `-n`.
    forgotten: bool,
}

/// Removes a snapshot.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: &Args, runner: &mut Runner, reporter: &mut Reporter) -> anyhow::Result<Status> {
    let preconditions = Preconditions::open(args)?;
    let _lock = preconditions.lock_unless(args.dry_run)?;
    let store = preconditions.open_store_to_change(args.dry_run, runner)?;
    preconditions.insist_on_no_handover()?;
    let name = choice::snapshot(&store, args.forget.as_deref(), None)?;
    insist_on_nobody_needs(&store, name)?;
    store.insist_on_removable(name).map_err(|error| status::mark(error, Status::Refused))?;
    if args.dry_run {
        reporter.message(&format!("would forget {name}"));
    } else {
        for name in store.clean()? {
            reporter.say(format!("removed {name}, left behind by a run that was killed"));
        }
        store.forget(name)?;
        reporter.message(&format!("forgot {name}"));
    }
    reporter.record(&ForgetReport {
        format: "orderly-forget/1",
        record: "report",
        status: Status::Done.word(),
        time: clock::now(),
        snapshot: name.to_string(),
        forgotten: !args.dry_run,
    });
    Ok(Status::Done)
}

/// Insists that nothing speaks for a snapshot.
fn insist_on_nobody_needs(store: &Store, name: SnapshotName) -> anyhow::Result<()> {
    let mut candidates = pruning::candidates(store)?;
    disown_damaged(&mut candidates, |name| store.ends(name).is_ok());
    let why: BTreeSet<Keeper> = keepers(&candidates).remove(&name).unwrap_or_default();
    let why: Vec<String> = why
        .iter()
        .filter(|keeper| **keeper != Keeper::NewestOf(None))
        .map(|keeper| format!("{name} must stay: {keeper}"))
        .collect();
    if why.is_empty() { Ok(()) } else { Err(fail(Status::Refused, why.join("\n"))) }
}

/// Makes nobody's what is damaged, from the newest of each host on, until one is sound: that one must stay.
fn disown_damaged(candidates: &mut [Candidate], is_sound: impl Fn(SnapshotName) -> bool) {
    let mut known: BTreeSet<(String, bool)> = BTreeSet::new();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.name));
    for candidate in candidates.iter_mut().filter(|candidate| candidate.name.whole) {
        let Some(host) = candidate.host.clone() else { continue };
        // One that owes a restore is the newest of its host, but not what a takeover restores.
        let of_host = (host, candidate.owes);
        if known.contains(&of_host) {
            continue;
        }
        if is_sound(candidate.name) {
            known.insert(of_host);
        } else {
            candidate.host = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    #[test]
    fn what_is_damaged_stands_for_no_host() {
        let made = |second, host: &str, owes| Candidate {
            name: SnapshotName { id: Id::at_second(second), whole: true },
            host: Some(host.to_owned()),
            taken: second,
            is_named: false,
            is_pinned: false,
            owes,
            continues: None,
        };
        let mut all = vec![
            made(1, "ec1", false),
            made(2, "ec1", false),
            made(3, "ec2", false),
            made(4, "ec1", false),
            made(5, "ec1", true),
        ];
        disown_damaged(&mut all, |name| ![4, 3].contains(&name.id.second()));
        let kept: Vec<i64> = keepers(&all)
            .into_iter()
            .filter(|(_, why)| why.iter().any(|keeper| *keeper != Keeper::NewestOf(None)))
            .map(|(name, _)| name.id.second())
            .collect();
        assert_eq!(kept, [2, 5]);
    }
}
