//! The runs of the two programs on this host, as their journals tell: which is unfinished, what the last takeover
//! was told, whether it came to its take, and what it failed at.

use crate::action::Action;
use orderly_exec::journal::{self, Journal};
use orderly_exec::{clock, paths};
use orderly_plan::owed::Wanted;
use orderly_plan::record::{Event, Line};
use orderly_plan::step::{Record, Step, StepId, Verdict};
use std::path::PathBuf;

/// The programs that hand over; one must not begin while the other is unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Release,
    Takeover,
}

impl Program {
    /// Returns the name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "ha-release",
            Self::Takeover => "ha-takeover",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Release => Self::Takeover,
            Self::Takeover => Self::Release,
        }
    }

    pub(crate) fn journal(self) -> PathBuf {
        paths::state_directory().join(format!("{}.journal", self.name()))
    }
}

/// Tells whether a run of this program was begun and not finished.
///
/// # Errors
/// Rejected (3) when its journal is damaged.
pub fn is_unfinished(program: Program) -> anyhow::Result<bool> {
    Ok(journal::read::<Action>(&program.journal())?.is_some_and(|stored| !stored.is_closed()))
}

/// Closes the unfinished runs of a host that holds nothing, and returns the names of their programs.
///
/// # Errors
/// Rejected (3) when a journal is damaged; when it cannot be written.
pub fn close_unfinished() -> anyhow::Result<Vec<&'static str>> {
    let mut closed = Vec::new();
    for program in [Program::Takeover, Program::Release] {
        let stored = journal::read::<Action>(&program.journal())?.filter(|stored| !stored.is_closed());
        if let Some(stored) = stored {
            let mut journal = Journal::go_on(&program.journal(), &stored)?;
            journal.append(&Line::closed(Verdict::Unwound, clock::now()))?;
            closed.push(program.name());
        }
    }
    Ok(closed)
}

/// Returns what the unfinished takeover of this host was told to restore, if it began to take the asset.
pub fn told_before() -> Option<Wanted> {
    let stored = journal::read::<Action>(&Program::Takeover.journal()).ok().flatten()?;
    let steps = &stored.header.plan.steps;
    let take = steps.iter().position(|step| matches!(step.action, Action::Take { .. })).map(StepId)?;
    let began = !stored.is_closed() && stored.records().contains(&Record::Started(take));
    let told = |action: &Action| if let Action::Hold { wanted, .. } = action { wanted.clone() } else { None };
    steps.iter().filter(|_| began).find_map(|step| told(&step.action))
}

/// Returns when the last takeover of this host was begun that came to its take, whatever became of it.
///
/// # Errors
/// When its journal cannot be read.
pub fn last_takeover() -> anyhow::Result<Option<String>> {
    let Some(stored) = journal::read::<Action>(&Program::Takeover.journal())? else { return Ok(None) };
    let takes = |step: &Step<Action>| matches!(step.action, Action::Take { .. });
    let take = stored.header.plan.steps.iter().position(takes).map(|at| Record::Started(StepId(at)));
    Ok(take.filter(|take| stored.records().contains(take)).map(|_| stored.header.at))
}

/// Returns why the restore of the last takeover of this host failed, if it was taken back for that.
pub fn failed_restore() -> Option<String> {
    let stored = journal::read::<Action>(&Program::Takeover.journal()).ok().flatten()?;
    if stored.lines.last().and_then(|line| line.verdict) != Some(Verdict::Unwound) {
        return None;
    }
    let plan = &stored.header.plan;
    let is_restore = |line: &&Line| {
        let step = line.step.as_ref().and_then(|name| plan.find(name)).and_then(|id| plan.steps.get(id.0));
        step.is_some_and(|step| step.action == Action::Restore)
            && matches!(line.event, Event::Failed | Event::Unknown)
    };
    let failed = stored.lines.iter().find(is_restore)?;
    Some(failed.detail.clone().unwrap_or_else(|| "it failed".to_owned()))
}
