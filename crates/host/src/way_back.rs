//! How a host gets back what it had: after its own crash by the peer's word, after its own release by what the
//! kind of asset allows.

use crate::asset::Guard;
use crate::handover::{self, Program};
use crate::ledger::Ledger;
use crate::machine::Machine;
use orderly_exec::journal::boot_id;
use orderly_exec::{OrStatus, Status};
use orderly_plan::permit::{self, Crash, Useless};

/// Returns what would go unnoticed if the peer used the asset as well; `None` where nothing would.
pub fn unnoticed(machine: &mut Machine<'_>) -> Option<String> {
    let peer = &machine.config.peer.name;
    match machine.asset.guard(&mut machine.runner) {
        Guard::Watched => None,
        Guard::Unwatched(why) => {
            Some(format!("{why}: nothing would notice {peer} taking it at the same moment"))
        }
        Guard::Blind(why) => {
            Some(format!("{why}: nothing would notice {peer} having it, or taking it at the same moment"))
        }
    }
}

/// Returns what the host that released last types to take the asset back; an own record permits only where two
/// takes exclude each other, because the peer may hold the same record.
pub fn after_own_release(machine: &mut Machine<'_>) -> String {
    let peer = machine.config.peer.name.clone();
    let serial = handover::own_record(machine.config).map_or(0, |own| own.serial);
    match machine.asset.guard(&mut machine.runner) {
        Guard::Watched => "ha-takeover".to_owned(),
        Guard::Unwatched(_) => {
            format!("ssh {peer} ha-release --after {serial} --json | ha-takeover --record -")
        }
        // There the peer cannot say that nobody has it, unless it had it last.
        Guard::Blind(_) => format!(
            "ssh {peer} ha-takeover --record - <{}; ssh {peer} ha-release --json | ha-takeover --record -",
            handover::record_path().display()
        ),
    }
}

/// Returns what is typed to get the asset back by the peer's word that it does not have it.
pub fn after_own_crash(machine: &Machine<'_>) -> String {
    disclaim_line(machine, "")
}

/// Returns the same, for a word with a serial above this one.
pub fn after_own_crash_above(machine: &Machine<'_>, serial: u64) -> String {
    disclaim_line(machine, &format!(" --after {serial}"))
}

fn disclaim_line(machine: &Machine<'_>, after: &str) -> String {
    // The run that the crash ended is neither finished nor taken back by a new proof alone.
    let is_unfinished = [Program::Release, Program::Takeover]
        .into_iter()
        .any(|run| handover::is_unfinished(run).unwrap_or(true));
    let new_plan = if is_unfinished { " --new-plan" } else { "" };
    let peer = &machine.config.peer.name;
    format!("ssh {peer} ha-release --disclaim{after} --json | ha-takeover{new_plan} --record -")
}

/// Tells whether this host went down with the asset and may have it back with the peer's word.
pub fn may_have_it_back(machine: &mut Machine<'_>) -> bool {
    let now = machine.asset.take_mark(&mut machine.runner).ok().flatten();
    crash(machine, now.as_deref()).is_ok_and(|serves| serves.is_ok())
}

/// Judges whether this host went down with the asset and nobody took it since, by what the peer recorded.
///
/// # Errors
/// Refused (4) when the asset cannot be looked at, rejected (3) when the ledger is damaged.
pub fn crash(machine: &mut Machine<'_>, recorded: Option<&str>) -> anyhow::Result<Result<(), Useless>> {
    let ledger = Ledger::read()?;
    let (boot_then, taken) = ledger.last_take().unwrap_or_default();
    let now = machine.asset.take_mark(&mut machine.runner).or_status(Status::Refused)?;
    Ok(permit::serves(&Crash { taken, now: now.as_deref(), recorded, boot_then, boot_now: &boot_id() }))
}
