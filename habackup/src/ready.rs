//! What must hold before a snapshot is begun: one list, which the run and `-n` go through alike. Nothing here
//! changes anything.

use crate::manifest;
use crate::preconditions::Preconditions;
use crate::snapshot;
use crate::store::Store;
use crate::walk::Scope;
use nix::errno::Errno;
use orderly_exec::runner::Run;
use orderly_exec::{Status, fail};
use orderly_host::config::BackupTable;
use orderly_host::exclude::Excludes;
use std::path::PathBuf;

/// What is known once everything holds.
#[derive(Debug)]
pub struct Ready {
    pub asset: manifest::AssetTitle,
    pub sources: SourcesNow,
    /// The directory of snapshots, unless the run makes it.
    pub store: Option<Store>,
}

/// The sources that the configuration names, as they are now.
#[derive(Debug)]
pub struct SourcesNow {
    pub there: Vec<PathBuf>,
    pub missing: Vec<PathBuf>,
    /// Links to what no source has, each with the reason.
    pub linked: Vec<(PathBuf, String)>,
}

impl SourcesNow {
    fn look(backup: &BackupTable) -> Self {
        let (scope, excludes) =
            (Scope::new(&backup.include, &backup.optional), Excludes::new(&backup.exclude));
        let sources = backup.include.iter().map(|path| (path, false));
        let sources = sources.chain(backup.optional.iter().map(|path| (path, true)));
        let linked: Vec<(PathBuf, String)> = sources
            .filter_map(|(path, may_be_absent)| {
                let why = snapshot::objection(path, may_be_absent, &scope, &excludes)?;
                Some((path.clone(), why))
            })
            .collect();
        let (mut there, missing): (Vec<_>, Vec<_>) =
            backup.include.iter().cloned().partition(|path| path.symlink_metadata().is_ok());
        there.retain(|path| linked.iter().all(|(link, _)| link != path));
        Self { there, missing, linked }
    }

    /// Insists that anything would be copied.
    fn insist_on_any(self, backup: &BackupTable) -> anyhow::Result<Self> {
        if !self.there.is_empty() || backup.optional.iter().any(|path| path.symlink_metadata().is_ok()) {
            return Ok(self);
        }
        let missing = self.missing.iter().map(|path| (path, Errno::ENOENT.desc()));
        let linked = self.linked.iter().map(|(path, why)| (path, why.as_str()));
        let said = missing.chain(linked).map(|(path, why)| format!("{}: {why}", path.display()));
        Err(nothing_there(said))
    }
}

/// Returns the error of a snapshot of nothing.
pub(crate) fn nothing_there(problems: impl Iterator<Item = String>) -> anyhow::Error {
    let problems: Vec<String> = problems.collect();
    let message = format!("nothing that backup.include names is there: {}", problems.join("; "));
    fail(Status::Rejected, message)
}

/// Insists on everything that can be known before a snapshot is begun.
///
/// # Errors
/// Refused (4), or rejected (3) where what this host knows of the asset is damaged; every reason at once.
pub fn insist(preconditions: &Preconditions, run: &mut dyn Run) -> anyhow::Result<Ready> {
    let mut against = Against::default();
    against.keep(preconditions.insist_on_none_due());
    against.keep(preconditions.insist_on_services(run));
    let asset = against.keep(preconditions.asset(run));
    let sources = against.keep(SourcesNow::look(&preconditions.backup).insist_on_any(&preconditions.backup));
    let mut store = None;
    // Elsewhere than on the asset it is none of ours.
    if against.keep(preconditions.insist_on_place(run)).is_some() {
        store = against.keep(Store::look(&preconditions.backup.directory)).flatten();
        against.keep(preconditions.look_at_number(run));
    }
    match (asset, sources) {
        (Some(asset), Some(sources)) if against.said.is_empty() => Ok(Ready { asset, sources, store }),
        _ => Err(against.end()),
    }
}

/// What speaks against it so far.
#[derive(Debug, Default)]
struct Against {
    /// That of the first one.
    status: Option<Status>,
    said: Vec<String>,
}

impl Against {
    /// Returns what was found out, or keeps why it was not.
    fn keep<T>(&mut self, looked: anyhow::Result<T>) -> Option<T> {
        let error = match looked {
            Ok(found) => return Some(found),
            Err(error) => error,
        };
        let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
        self.status.get_or_insert(status);
        let text = format!("{error:#}");
        let text = text.strip_prefix(&format!("{status}: ")).unwrap_or(&text).to_owned();
        if !self.said.contains(&text) {
            self.said.push(text);
        }
        None
    }

    fn end(self) -> anyhow::Error {
        fail(self.status.unwrap_or(Status::Refused), self.said.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_exec::OrStatus;

    #[test]
    fn every_reason_is_said_once_under_the_status_of_the_first() {
        let mut against = Against::default();
        assert_eq!(against.keep(Ok(7)), Some(7));
        for why in ["a", "b", "a"] {
            let looked: anyhow::Result<()> = Err(anyhow::anyhow!(why)).or_status(Status::Rejected);
            assert_eq!(against.keep(looked), None);
        }
        against.keep::<()>(Err(fail(Status::Refused, "c")));
        let error = against.end();
        assert_eq!(error.downcast_ref(), Some(&Status::Rejected));
        assert_eq!(format!("{error:#}"), "rejected: a\nb\nc");
    }
}
