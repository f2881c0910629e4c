//! Whether backups succeed, from one run to the next: who is to be told by `on_event` is told once when they begin to fail,
//! and once when they succeed again.

use crate::preconditions::Preconditions;
use anyhow::Context;
use orderly_exec::files::{self, Found};
use orderly_exec::lock::Lock;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Run;
use orderly_exec::{Status, clock, paths};
use orderly_host::event::{self, EventKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const FORMAT: &str = "orderly-backup-fate/1";

/// What became of the last backup of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    format: String,
    failing: bool,
    /// Since when it is so.
    since: String,
}

/// Notes what became of a run, and tells whoever is to know where it is another fate than that of the run before. `None`
/// is a run that had nothing to do.
pub fn note(
    preconditions: &Preconditions,
    done: &anyhow::Result<Option<Status>>,
    run: &mut dyn Run,
    reporter: &Reporter,
) {
    let Some((status, why)) = told(done) else { return };
    let failing = status != Status::Done;
    let before = read();
    let was_failing = before.as_ref().is_some_and(|fate| fate.failing);
    if before.as_ref().is_none_or(|fate| fate.failing != failing) {
        if let Err(error) = write(failing) {
            reporter.warn(format!("{error:#}; on_event may be run again for it"));
        }
    }
    if failing == was_failing {
        return;
    }
    let title = preconditions.title();
    let (kind, sentence) = match failing {
        true => (EventKind::BackupFailing, format!("backups of {title} fail: {why}")),
        false => (EventKind::BackupOk, format!("backups of {title} succeed again")),
    };
    event::send(kind, status, &sentence, &preconditions.config, run, reporter);
}

/// Returns the status of a run that tells something of backups, with its reason. One that was interrupted, or found
/// another run at work, does not.
fn told(done: &anyhow::Result<Option<Status>>) -> Option<(Status, String)> {
    match done {
        Ok(None) => None,
        Ok(Some(status)) => Some((*status, "the last one is not complete".to_owned())),
        Err(error) if Lock::is_held_elsewhere(error) => None,
        Err(error) => {
            let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
            (!matches!(status, Status::Signal(_))).then(|| (status, format!("{error:#}")))
        }
    }
}

fn path() -> PathBuf {
    paths::state_directory().join("backup-fate.json")
}

/// A file that cannot be read tells nothing: the next change is told then.
fn read() -> Option<Fate> {
    let Ok(Found::Text(text)) = files::read_if_there(&path()) else { return None };
    serde_json::from_str(&text).ok()
}

fn write(failing: bool) -> anyhow::Result<()> {
    let fate = Fate { format: FORMAT.to_owned(), failing, since: clock::now() };
    files::replace(&path(), format!("{}\n", serde_json::to_string(&fate)?).as_bytes())
        .context("keep the fate of the last backup")
}
