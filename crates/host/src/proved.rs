//! What the asset was when it was proven released, kept for a run that is killed after it.

use crate::action::Action;
use anyhow::Context;
use orderly_exec::{files, paths};
use orderly_plan::step::{Plan, Progress, StepId};
use std::path::PathBuf;

/// What the asset was when it was proven released.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proved {
    pub identity: String,
    pub mark: Option<String>,
}

/// Returns what the run proved, if it came so far: the file alone may be of an earlier run.
pub(crate) fn proved(plan: &Plan<Action>, progress: &Progress<'_, Action>) -> anyhow::Result<Option<Proved>> {
    let step = plan.steps.iter().position(|step| step.action == Action::Prove).map(StepId);
    if !step.is_some_and(|id| progress.is_done(id)) {
        return Ok(None);
    }
    match files::read_if_there(&proved_path())? {
        files::Found::Missing => Ok(None),
        files::Found::Text(text) => {
            serde_json::from_str(&text).with_context(|| format!("read {}", proved_path().display())).map(Some)
        }
    }
}

fn proved_path() -> PathBuf {
    paths::state_directory().join("proved.json")
}

impl Proved {
    /// Keeps what the asset was when it was proven released, for a run that is killed after it.
    ///
    /// # Errors
    /// When the local disk does not take it.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        files::replace(&proved_path(), format!("{}\n", serde_json::to_string(self)?).as_bytes())
    }
}
