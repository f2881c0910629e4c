//! What can be known of a release before its first step: whether its programs are there, and, for `-n`, what
//! would come of its backup.

use crate::{ReleasePart, UNPROVEN, off_command};
use orderly_exec::Status;
use orderly_exec::reporter::Reporter;
use orderly_host::action::Action;
use orderly_host::handover::{self, Program};
use orderly_host::host::Host;
use orderly_host::steps::{Backing, backing, programs};
use orderly_plan::step::Plan;
use std::time::Duration;

/// Returns the programs of a release that cannot be started, each with its remedy.
pub(crate) fn programs(plan: &Plan<Action>, poweroff: bool, host: &mut Host<'_>) -> Vec<String> {
    let mut missing = programs::missing_programs(host, plan);
    let [off, _] = off_command(host.config.platform);
    if poweroff {
        if let Some(why) = programs::unfit_program(host, off, true) {
            missing.push(format!("power off: {why}"));
        }
    }
    missing
}

/// Says what would come of the backup, where the run takes one.
///
/// # Errors
/// Says why it would fail, where the release would be refused for it.
pub(crate) fn backup(
    backs_up: bool,
    host: &mut Host<'_>,
    reporter: &Reporter,
) -> Result<Option<Backing>, String> {
    if !backs_up {
        return Ok(None);
    }
    if handover::running().is_some() {
        reporter.say("backup: whether it would succeed can be told once that run has ended");
        return Ok(None);
    }
    if handover::is_unfinished(Program::Takeover).unwrap_or(true) {
        reporter
            .say("backup: whether it would succeed can be told once the unfinished takeover is set aside");
        return Ok(None);
    }
    let backing =
        backing::foresee_backup(host, Duration::MAX).map_err(|error| format!("backup: {error:#}"))?;
    let said = format!("backup: {}", backing.foreseen());
    match backing {
        Backing::Fails(_) => return Err(said),
        Backing::PassedOver { .. } => reporter.warn(said),
        Backing::Made => reporter.say(said),
    }
    Ok(Some(backing))
}

/// Returns how a run would end that stops at these users of the asset, and says so; nothing where there are none.
pub(crate) fn end_in_use(stays: &[String], host: &Host<'_>, reporter: &Reporter) -> Option<Status> {
    let (first, others) = stays.split_first()?;
    let more = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
    reporter.warn(format!("would end NOT safe to take over: {}: {first}{more}", host.asset.title()));
    Some(Status::Stuck)
}

/// Returns how a run would end of which no step fails; says so where that is not well.
pub(crate) fn end(left_out: &[ReleasePart], host: &Host<'_>, reporter: &Reporter) -> Status {
    if !left_out.contains(&ReleasePart::Proof) {
        return Status::Done;
    }
    reporter.warn(format!("would end NOT safe to take over: {}: {UNPROVEN}", host.asset.title()));
    Status::Stuck
}
