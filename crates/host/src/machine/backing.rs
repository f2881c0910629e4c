//! The backup of a release, and which snapshot its record names.

use super::Machine;
use crate::asset::State;
use crate::backup::{self, InHolding};
use crate::ledger::{self, Ledger};
use crate::services;
use anyhow::bail;
use orderly_plan::owed::{self, Naming};

impl Machine<'_> {
    pub(super) fn backup(&mut self) -> anyhow::Result<()> {
        let Some(settings) = &self.config.backup else { return Ok(()) };
        let ended = backup::run(self.config, &[], settings.timeout, self.lock, &mut self.runner)?;
        if ended.succeeded() {
            return Ok(());
        }
        let why = format!("habackup: {}", ended.clause());
        match backup::in_holding(self.config, self.lock, &mut self.runner) {
            Ok(InHolding { snapshot: Some(id), fresh: true }) => {
                self.passed_over = Some(format!(
                    "{why}; going on, because the snapshot {id} of this holding is young enough; what changed since is not handed over"
                ));
                Ok(())
            }
            Ok(InHolding { snapshot: Some(id), .. }) => bail!(
                "{why}; and {id}, the newest whole snapshot of this holding, is older than max_age (--no-backup goes on without)"
            ),
            Ok(InHolding { snapshot: None, .. }) => bail!(
                "{why}; and no whole snapshot was made in this holding, so none is younger than max_age (--no-backup goes on without)"
            ),
            Err(error) => bail!("{why}; and {error:#} (--no-backup goes on without)"),
        }
    }

    /// Tells whether any service is not provably down.
    pub(super) fn runs_a_service(&mut self) -> bool {
        let services = self.config.services.iter();
        let mut states = services.map(|service| services::state(service, &mut self.runner));
        states.any(|state| state != services::State::Down)
    }

    /// Finds out what the record will name, while the snapshots can still be seen. What cannot be found out
    /// stops no release: the record then names none and says why.
    pub(super) fn name_snapshot(&mut self) -> anyhow::Result<()> {
        if Ledger::read()?.leaving.is_some() || self.asset_state() != State::Held {
            return Ok(());
        }
        let own = &self.config.own.name;
        let mut open = ledger::open_holding()?;
        // Mounted by hand, and no snapshot numbered it.
        if open.is_none() {
            if let Err(error) = self.numbering().number() {
                self.notes.push(format!("this holding has no number: {error:#}"));
            }
            open = ledger::open_holding()?;
        }
        let ledger = Ledger::read()?;
        let holding = open.unwrap_or(ledger.holding);
        let newest = match &self.config.backup {
            None => Ok(None),
            Some(_) => backup::in_holding(self.config, self.lock, &mut self.runner)
                .map(|found| found.snapshot)
                .map_err(|error| format!("{error:#}")),
        };
        let mut naming = owed::naming(holding, own, newest, ledger.source.as_ref());
        if self.config.backup.is_none() {
            naming = Naming { holding: Some(holding), ..Naming::default() };
        }
        ledger::change(|ledger| {
            ledger.leaving = Some(naming);
            // Mounted by hand, and no takeover noted it.
            ledger.ran = open.unwrap_or(ledger.ran).max(ledger.ran);
        })
    }
}
