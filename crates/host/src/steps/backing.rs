//! The backup of a release, and which snapshot its record names.

use crate::asset::State;
use crate::backup::{self, InHolding};
use crate::host::Host;
use crate::ledger::{self, Ledger};
use crate::parts::service;
use anyhow::bail;
use orderly_exec::job::Ending;
use orderly_plan::owed::{self, Naming};
use std::time::Duration;

/// What comes of the backup of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    Made,
    /// It fails, and the release goes on with this snapshot of this holding, which is young enough.
    PassedOver {
        why: String,
        snapshot: String,
    },
    /// It fails, and the release with it.
    Fails(String),
}

impl Backing {
    /// Returns its word in records of a dry run.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Made => "succeeds",
            Self::PassedOver { .. } => "passed_over",
            Self::Fails(_) => "fails",
        }
    }

    /// Returns what would come of it now, as a clause.
    pub fn foreseen(&self) -> String {
        match self {
            Self::Made => "would succeed".to_owned(),
            Self::PassedOver { why, snapshot } => format!(
                "would fail ({why}); the release would go on, because the snapshot {snapshot} of this holding is young \
                 enough now; what changed since would not be handed over"
            ),
            Self::Fails(why) => format!("would fail: {why}"),
        }
    }
}

pub(crate) fn backup(host: &mut Host<'_>) -> anyhow::Result<()> {
    match back_up(host, &[], Duration::MAX)? {
        Backing::Made => {}
        Backing::PassedOver { why, snapshot } => {
            host.passed_over = Some(format!(
                "{why}; going on, because the snapshot {snapshot} of this holding is young enough; what changed since is not handed over"
            ));
        }
        Backing::Fails(why) => bail!("{why}"),
    }
    Ok(())
}

/// Returns what would come of the backup of a release now; makes nothing.
///
/// # Errors
/// When `habackup` cannot be run, or does not say it within this limit.
pub fn foresee_backup(host: &mut Host<'_>, limit: Duration) -> anyhow::Result<Backing> {
    back_up(host, &["-n", "-q"], limit)
}

fn back_up(host: &mut Host<'_>, arguments: &[&str], limit: Duration) -> anyhow::Result<Backing> {
    let Some(settings) = &host.config.backup else { return Ok(Backing::Made) };
    let shorter = settings.timeout.min(limit);
    let ended = backup::run(host.config, arguments, shorter, host.lock, &mut host.runner)?;
    if shorter < settings.timeout && matches!(ended.ending, Ending::TimedOut | Ending::Unkillable) {
        bail!(
            "habackup {} took longer than {} s; ha-release -n waits for it",
            arguments.join(" "),
            limit.as_secs()
        );
    }
    if ended.succeeded() {
        return Ok(Backing::Made);
    }
    let why = format!("habackup: {}", ended.clause());
    let more = match backup::in_holding(host.config, host.lock, &mut host.runner) {
        Ok(InHolding { snapshot: Some(snapshot), fresh: true }) => {
            return Ok(Backing::PassedOver { why, snapshot });
        }
        Ok(InHolding { snapshot: Some(id), .. }) => {
            format!("{id}, the newest whole snapshot of this holding, is older than max_age")
        }
        Ok(InHolding { snapshot: None, .. }) => {
            "no whole snapshot was made in this holding, so none is younger than max_age".to_owned()
        }
        Err(error) => format!("{error:#}"),
    };
    Ok(Backing::Fails(format!("{why}; and {more} (--no-backup goes on without)")))
}

/// Tells whether any service is not provably down.
pub(crate) fn runs_a_service(host: &mut Host<'_>) -> bool {
    let services = host.config.services.iter();
    let mut states = services.map(|table| service::state(table, &mut host.runner));
    states.any(|state| state != service::ServiceState::Down)
}

/// Finds out what the record will name, while the snapshots can still be seen. What cannot be found out
/// stops no release: the record then names none and says why.
pub(crate) fn name_snapshot(host: &mut Host<'_>) -> anyhow::Result<()> {
    if Ledger::read()?.leaving.is_some() || host.asset_state() != State::Held {
        return Ok(());
    }
    let own = &host.config.own.name;
    let mut open = ledger::open_holding()?;
    // Mounted by hand, and no snapshot numbered it.
    if open.is_none() {
        if let Err(error) = host.numbering().number() {
            host.notes.push(format!("this holding has no number: {error:#}"));
        }
        open = ledger::open_holding()?;
    }
    let ledger = Ledger::read()?;
    let holding = open.unwrap_or(ledger.holding);
    let newest = match &host.config.backup {
        None => Ok(None),
        Some(_) => backup::in_holding(host.config, host.lock, &mut host.runner)
            .map(|found| found.snapshot)
            .map_err(|error| format!("{error:#}")),
    };
    let mut naming = owed::naming(holding, own, newest, ledger.source.as_ref());
    if host.config.backup.is_none() {
        let none = format!("{own} saves nothing: {} has no [backup]", host.config.path.display());
        naming = Naming { holding: Some(holding), none: Some(none), ..Naming::default() };
    }
    ledger::change(|ledger| {
        ledger.leaving = Some(naming);
        // Mounted by hand, and no takeover noted it.
        ledger.runs.last = open.unwrap_or(ledger.runs.last).max(ledger.runs.last);
    })
}
