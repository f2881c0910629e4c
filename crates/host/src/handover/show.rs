//! What a run would do, shown without doing it (`-n`).

use crate::action::{Action, Perform};
use crate::host::Host;
use crate::platform::Argv;
use crate::steps::Backing;
use anyhow::Context;
use orderly_exec::Status;
use orderly_exec::job::show;
use orderly_exec::journal::{Header, Stored};
use orderly_exec::reporter::Reporter;
use orderly_plan::step::{Next, Plan, Progress, Record, StepId, Undo, Verdict};

/// Returns what finishing a run would do: what is left of it, and the backup anew where it counts no more.
fn left(stored: &Stored<Action>, host: &mut Host<'_>) -> anyhow::Result<Vec<Next>> {
    let plan = &stored.header.plan;
    let mut progress = Progress::replay(plan, &stored.records()).context("replay the journal")?;
    progress.record(Record::Resumed).ok();
    let mut left = progress.left();
    let goes_on = matches!(progress.next(), Next::Run(_) | Next::Finished(Verdict::Completed));
    let backup = plan.steps.iter().position(|step| step.action == Action::Backup).map(StepId);
    if let Some(backup) = backup.filter(|backup| goes_on && progress.is_done(*backup)) {
        if host.is_outdated(&Action::Backup) {
            left.insert(0, Next::Run(backup));
        }
    }
    Ok(left)
}

/// The backup that finishing a run begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// It would take a backup.
    pub backs_up: bool,
    /// How the run would end if that failed.
    pub failing: Status,
}

/// Tells what finishing a run begins with.
///
/// # Errors
/// When its journal does not fit its plan.
pub fn beginning(stored: &Stored<Action>, host: &mut Host<'_>) -> anyhow::Result<Beginning> {
    let plan = &stored.header.plan;
    let is_backup = |next: &Next| matches!(next, Next::Run(id) if plan.steps[id.0].action == Action::Backup);
    let Some(Next::Run(backup)) = left(stored, host)?.into_iter().find(is_backup) else {
        return Ok(Beginning { backs_up: false, failing: Status::Refused });
    };
    let mut progress = Progress::replay(plan, &stored.records()).context("replay the journal")?;
    for record in [Record::Resumed, Record::Started(backup), Record::Failed(backup)] {
        progress.record(record).context("foresee a backup that fails")?;
    }
    let failing = match progress.next() {
        Next::Undo(_) => Status::Failed,
        Next::Finished(Verdict::Stuck) => Status::Stuck,
        Next::Run(_) | Next::Finished(_) => Status::Refused,
    };
    Ok(Beginning { backs_up: true, failing })
}

/// Shows what finishing a run would do (`-n`).
///
/// # Errors
/// When its journal does not fit its plan.
pub fn show_unfinished(
    stored: &Stored<Action>,
    backing: Option<&Backing>,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<()> {
    let Header { plan, at, program, .. } = &stored.header;
    reporter.say(format!("the run of {program} begun {at} would be finished, and nothing else:"));
    for next in left(stored, host)? {
        match next {
            Next::Run(id) => {
                let step = &plan.steps[id.0];
                let backing = backing.filter(|_| step.action == Action::Backup);
                show_foreseen(&step.name.0, &host.commands(&step.action), backing, reporter);
            }
            Next::Undo(id) => {
                let step = &plan.steps[id.0];
                let commands = match &step.undo {
                    Undo::Action(action) | Undo::UntilDone(action) => host.commands(action),
                    Undo::Nothing | Undo::Never => Vec::new(),
                };
                show_step(&format!("take back {}", step.name), &commands, reporter);
            }
            Next::Finished(_) => {}
        }
    }
    Ok(())
}

/// Shows a plan: each step with the commands it would run, and what would come of its backup.
pub fn show_plan(
    plan: &Plan<Action>,
    backing: Option<&Backing>,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) {
    for step in &plan.steps {
        let backing = backing.filter(|_| step.action == Action::Backup);
        show_foreseen(&step.name.0, &host.commands(&step.action), backing, reporter);
    }
}

/// Shows one step with the commands it would run.
pub fn show_step(name: &str, commands: &[Argv], reporter: &mut Reporter) {
    show_foreseen(name, commands, None, reporter);
}

fn show_foreseen(name: &str, commands: &[Argv], backing: Option<&Backing>, reporter: &mut Reporter) {
    let outlook = backing.map(Backing::word);
    let reason = backing.filter(|backing| **backing != Backing::Made).map(Backing::foreseen);
    reporter.record(&PlannedStep { format: "orderly-plan/1", step: name, commands, outlook, reason });
    let shown: Vec<String> = commands.iter().map(|argv| show(argv)).collect();
    reporter.answer(&if shown.is_empty() {
        name.to_owned()
    } else {
        format!("{name}: {}", shown.join("; "))
    });
}

/// One step of a dry run.
#[derive(Debug, serde::Serialize)]
struct PlannedStep<'a> {
    format: &'static str,
    step: &'a str,
    commands: &'a [Argv],
    /// What would come of a backup now: succeeds or passed_over.
    #[serde(skip_serializing_if = "Option::is_none")]
    outlook: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}
