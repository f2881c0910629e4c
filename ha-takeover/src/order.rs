//! Whether a record permits a takeover on this host: its place among the records of both hosts, what it tells
//! to restore, and whether a disclaimer serves.

use orderly_exec::{OrStatus, Status, fail};
use orderly_host::action::Action;
use orderly_host::config::Config;
use orderly_host::handover::{self, Program};
use orderly_host::host::Host;
use orderly_host::host::way_back;
use orderly_host::ledger::{self, Ledger};
use orderly_plan::owed::{Naming, Wanted};
use orderly_plan::permit::Claim;
use orderly_plan::release::Release;
use orderly_plan::step::Plan;

/// Says why the peer's record does not come after this host's own last one, with the line that gets one that
/// does.
pub(crate) fn overtaken(record: &Release, config: &Config) -> Option<String> {
    if record.maker.host == config.own.name {
        return None;
    }
    let own = handover::own_record(config).filter(|own| own.safe)?;
    if claim(record).comes_after(&claim(&own)) {
        return None;
    }
    let (peer, serial) = (&config.peer.name, own.serial);
    Some(format!(
        "{} released it as well, by a record that comes after this one (serial {serial}, this one has {}), so {peer} may be \
         taking it by that; get one that comes after both: ssh {peer} ha-release --after {serial} --json | ha-takeover --record -",
        config.own.name, record.serial
    ))
}

/// The two configurations may name the hosts in different orders, and count as one all the same, so the order
/// is that of the names.
fn claim(release: &Release) -> Claim<'_> {
    Claim { serial: release.serial, host: &release.maker.host, mark: release.of.mark.as_deref() }
}

/// Remembers the serial of a record that is about to be acted upon.
///
/// # Errors
/// Refused (4) when the local disk does not take it.
pub(crate) fn accept(record: &Release, config: &Config) -> anyhow::Result<()> {
    ledger::change(|ledger| {
        if record.maker.host == config.peer.name {
            ledger.heard = ledger.heard.max(record.serial);
        }
        ledger.serial = ledger.serial.max(record.serial);
        ledger.holding = ledger.holding.max(record.naming.holding.unwrap_or(0));
    })
    .or_status(Status::Refused)
}

/// Returns what a record tells to restore.
pub(crate) fn wanted(record: &Release) -> Wanted {
    match (&record.naming.snapshot, &record.naming.made_by) {
        (Some(id), Some(host)) => Wanted::Named { id: id.clone(), host: host.clone() },
        _ => Wanted::LastHolding,
    }
}

/// Returns what the record of a takeover that was taken back names: what the takeover itself had to restore.
pub(crate) fn naming_of_let_go(plan: &Plan<Action>, config: &Config) -> Naming {
    let ledger = Ledger::read().unwrap_or_default();
    if let Some(leaving) = ledger.leaving {
        return leaving;
    }
    let wanted = plan
        .steps
        .iter()
        .find_map(|step| if let Action::Hold { wanted, .. } = &step.action { wanted.as_ref() } else { None });
    match wanted {
        Some(Wanted::Named { id, host }) => {
            let holding = Some(ledger.holding);
            Naming { holding, snapshot: Some(id.clone()), made_by: Some(host.clone()), none: None }
        }
        Some(Wanted::LastHolding) => {
            let own = &config.own.name;
            let none = format!("{own} let go of it before it looked for a snapshot of {}", config.peer.name);
            Naming { none: Some(none), ..Naming::default() }
        }
        None => {
            let none = format!("{} held it before, and had nothing to restore", config.own.name);
            Naming { none: Some(none), ..Naming::default() }
        }
    }
}

/// Insists that a disclaimer serves this host: it held the asset when it went down, and nobody took it since.
///
/// # Errors
/// Refused (4).
pub(crate) fn insist_on_own_crash(record: &Release, host: &mut Host<'_>) -> anyhow::Result<()> {
    let refuse = |why: String| {
        Err(fail(
            Status::Refused,
            format!("the disclaimer of {} does not permit a takeover: {why}", record.maker.host),
        ))
    };
    if record.maker.host != host.config.peer.name {
        let (peer, line) = (&host.config.peer.name, way_back::after_own_crash(host));
        return refuse(format!("only {peer} can make one for this host: {line}"));
    }
    if let Err(why) = way_back::crash(host, record.take_mark.as_deref())? {
        return refuse(format!("{why}\n{}", way_back::onward(host)));
    }
    let heard = Ledger::read()?.heard;
    if record.serial <= heard {
        return refuse(format!(
            "{} said so before its last word (serial {heard}, this one has {}), and may have taken it since; ask it anew: {}",
            record.maker.host,
            record.serial,
            way_back::after_own_crash_above(host, heard)
        ));
    }
    Ok(())
}

/// Insists on a new plan where this host went down amid a release: to finish that there is nothing here.
///
/// # Errors
/// Refused (4), with the line that gets the asset back.
pub(crate) fn insist_on_new_plan(new_plan: bool, host: &mut Host<'_>) -> anyhow::Result<()> {
    if new_plan || !handover::is_unfinished(Program::Release)? || !way_back::may_have_it_back(host) {
        return Ok(());
    }
    let why = format!(
        "this host went down amid its release, and gets the asset back by the word of {}: {}",
        host.config.peer.name,
        way_back::after_own_crash(host)
    );
    Err(fail(Status::Refused, why))
}
