//! Takes old snapshots away: looks at what there is, has [`crate::retention`] choose, removes.

use crate::id::{Id, SnapshotName, moment_ns};
use crate::preconditions::Preconditions;
use crate::retention::{Candidate, prunable};
use crate::store::Store;
use anyhow::Context;
use orderly_exec::{Status, status};
use orderly_host::ledger::{self, Ledger};
use std::collections::BTreeSet;

/// Prunes after success only: an incomplete snapshot ends no whole one. Returns what went.
///
/// # Errors
/// When one cannot be removed, or the directory cannot be read.
pub fn prune(
    preconditions: &Preconditions,
    store: &Store,
    taken: SnapshotName,
) -> anyhow::Result<Vec<SnapshotName>> {
    let candidates = candidates(store)?;
    let going = prunable(&candidates, preconditions.backup.keep, Id::now().second());
    let mut pruned = Vec::new();
    for name in going.into_iter().filter(|name| taken.whole || !name.whole) {
        // The snapshot itself is safe by now; only its room is not given back.
        store
            .insist_on_removable(name)
            .and_then(|()| store.prune(name))
            .with_context(|| format!("the snapshot {taken} is published"))
            .map_err(|error| status::mark(error, Status::Failed))?;
        pruned.push(name);
    }
    Ok(pruned)
}

/// Returns what would be pruned if this host took a snapshot of this name now.
///
/// # Errors
/// When the directory cannot be read, or one of them could not be removed.
pub fn preview(
    preconditions: &Preconditions,
    store: Option<&Store>,
    next: SnapshotName,
) -> anyhow::Result<Vec<SnapshotName>> {
    let mut candidates = store.map_or(Ok(Vec::new()), candidates)?;
    let now = Id::now().second();
    let host = Some(preconditions.config.own.name.clone());
    let continues = Ledger::read()?.restores.last.map(|continued| continued.snapshot);
    let owes = ledger::owed(&preconditions.config)?.is_some();
    let (is_named, is_pinned) = (false, false);
    candidates.push(Candidate { name: next, host, taken: now, is_named, is_pinned, owes, continues });
    let mut going = prunable(&candidates, preconditions.backup.keep, now);
    going.retain(|name| next.whole || !name.whole);
    for (name, store) in going.iter().zip(store.into_iter().cycle()) {
        store.insist_on_removable(*name)?;
    }
    Ok(going)
}

/// Looks at the head of each manifest: one that cannot be read is nobody's, and counted apart from all others.
///
/// # Errors
/// When the directory, or what is pinned, cannot be read.
pub fn candidates(store: &Store) -> anyhow::Result<Vec<Candidate>> {
    let (named, pinned) = (orderly_host::handover::recorded_snapshots(), store.pinned()?);
    let candidate = |name: SnapshotName| Candidate {
        is_pinned: pinned.contains(&name),
        ..candidate(store, name, &named)
    };
    Ok(store.snapshots()?.into_iter().map(candidate).collect())
}

fn candidate(store: &Store, name: SnapshotName, named: &BTreeSet<String>) -> Candidate {
    let header = store.manifest(name).ok().map(|reader| reader.header().clone());
    let started = header.as_ref().and_then(|header| moment_ns(&header.started).ok());
    let taken = started.and_then(|moment| i64::try_from(moment.div_euclid(1_000_000_000)).ok());
    Candidate {
        name,
        owes: header.as_ref().is_some_and(|header| header.owes.is_some()),
        continues: header.as_ref().and_then(|header| header.continues.clone()).map(|one| one.snapshot),
        host: header.map(|header| header.host),
        taken: taken.unwrap_or_else(|| name.id.second()),
        is_named: named.contains(&name.to_string()),
        is_pinned: false,
    }
}
