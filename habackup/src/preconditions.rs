//! What must hold before anything is touched: the configuration, the asset held here, the directory
//! provably on it and not exported, the services running.

use crate::args::Args;
use crate::manifest;
use crate::store::Store;
use anyhow::Context;
use orderly_exec::lock::Lock;
use orderly_exec::runner::Run;
use orderly_exec::{OrStatus, Status, fail};
use orderly_host::asset::{self, Asset, PathPlace, State};
use orderly_host::config::BackupTable;
use orderly_host::config::Config;
use orderly_host::handover::{self, Program};
use orderly_host::parts::service;
use orderly_host::{ledger, mountinfo, mounts};
use std::path::PathBuf;

const NUMBERING: &str = "number this holding of the asset";

/// The configuration with its asset.
#[derive(Debug)]
pub struct Preconditions {
    pub config: Config,
    pub backup: BackupTable,
    asset: Box<dyn Asset>,
}

/// Whether this host holds the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Yes,
    /// Provably not, and why.
    No(String),
}

impl Preconditions {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Rejected (3).
    pub fn open(args: &Args) -> anyhow::Result<Self> {
        let config = Config::load(args.config.as_deref())?;
        let Some(backup) = config.backup.clone() else {
            let message = format!(
                "{}: there is no [backup] table, so nothing is backed up; add one (ha.toml(5))",
                config.path.display()
            );
            return Err(fail(Status::Rejected, message));
        };
        let asset = config.open_asset();
        Ok(Self { config, backup, asset })
    }

    /// Returns what the asset is called.
    pub fn title(&self) -> String {
        self.asset.title()
    }

    /// Asks whether this host holds the asset.
    ///
    /// # Errors
    /// Refused (4) when nothing can be said.
    pub fn held(&self, run: &mut dyn Run) -> anyhow::Result<Held> {
        match self.asset.state(run) {
            State::Held => Ok(Held::Yes),
            State::Free => Ok(Held::No(format!("{} is not taken by this host", self.asset.title()))),
            State::Elsewhere(why) => Ok(Held::No(why)),
            State::Unknown(why) => Err(fail(
                Status::Refused,
                format!("whether this host holds {} is unknown: {why}", self.asset.title()),
            )),
        }
    }

    /// Takes the lock of the configuration, or joins it when the calling program passed it down; for who `looks` only,
    /// insists that it could be taken.
    ///
    /// # Errors
    /// Refused (4) when another run holds it.
    pub fn lock_unless(&self, looks: bool) -> anyhow::Result<Option<Lock>> {
        let path = Config::lock_path();
        if looks { Lock::look(&path).map(|_| None) } else { Lock::take(&path).map(Some) }
    }

    /// Insists that the directory of snapshots is provably on the asset.
    ///
    /// # Errors
    /// Refused (4): anywhere else it would fill the bare mountpoint, and the peer would never see it.
    pub fn insist_on_place(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        let directory = self.backup.directory.display();
        let table = mounts::table(self.config.platform, run);
        match asset::place(&*self.asset, &self.backup.directory, table) {
            PathPlace::OnAsset => {}
            PathPlace::Off(why) => {
                return Err(fail(
                    Status::Refused,
                    format!("{directory} is not on {}: {why}", self.asset.title()),
                ));
            }
            PathPlace::Unknown(why) => {
                return Err(fail(
                    Status::Refused,
                    format!("whether {directory} is on {} is unknown: {why}", self.asset.title()),
                ));
            }
        }
        for path in exported()? {
            if self.backup.directory.starts_with(&path) {
                let message = format!(
                    "{directory} lies under the exported {}, and snapshots hold what only root may read; move one of them",
                    path.display()
                );
                return Err(fail(Status::Refused, message));
            }
        }
        Ok(())
    }

    /// Insists that all services run.
    ///
    /// # Errors
    /// Refused (4), naming every one that does not.
    pub fn insist_on_services(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        if !self.backup.require_services {
            return Ok(());
        }
        let idle = self.config.services.iter().filter_map(|service| match service::state(service, run) {
            service::ServiceState::Up => None,
            service::ServiceState::Down => Some(format!("{} is down", service.name)),
            service::ServiceState::Unknown(why) => Some(format!("{} is unknown: {why}", service.name)),
        });
        let idle: Vec<String> = idle.collect();
        if idle.is_empty() {
            return Ok(());
        }
        let remedy = "start them, or set backup.require_services = false";
        Err(fail(
            Status::Refused,
            format!("a snapshot is taken only while the services run; {}; {remedy}", idle.join("; ")),
        ))
    }

    /// Returns what tells the asset from every other.
    ///
    /// # Errors
    /// Refused (4) when it cannot be found out.
    pub fn asset(&self, run: &mut dyn Run) -> anyhow::Result<manifest::AssetTitle> {
        let title = self.asset.title();
        let identity = self
            .asset
            .identity(run)
            .with_context(|| format!("ask for the identity of {title}"))
            .or_status(Status::Refused)?;
        Ok(manifest::AssetTitle { kind: self.config.asset.kind.word().to_owned(), name: title, identity })
    }

    /// Returns the number of the holding under way, which begins with the first snapshot where the asset was
    /// mounted by hand.
    ///
    /// # Errors
    /// Refused (4): a snapshot whose holding nobody knows might be restored over newer files.
    pub fn number(&self, run: &mut dyn Run) -> anyhow::Result<Option<u64>> {
        self.numbering(run).number().context(NUMBERING).or_status(Status::Refused)
    }

    /// Insists that the holding under way could be numbered; changes nothing.
    ///
    /// # Errors
    /// As [`Preconditions::number`].
    pub fn look_at_number(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        self.numbering(run).look().context(NUMBERING).or_status(Status::Refused)
    }

    fn numbering<'a>(&'a self, run: &'a mut dyn Run) -> ledger::Numbering<'a> {
        ledger::Numbering { config: &self.config, asset: &*self.asset, run, by: ledger::LabelWriter::Itself }
    }

    /// Insists that no restore is due here: what is live is then older than what the peer left, and a
    /// snapshot of it would pass for newer.
    ///
    /// # Errors
    /// Refused (4), with the remedy.
    pub fn insist_on_none_due(&self) -> anyhow::Result<()> {
        let own = &self.config.own.name;
        match ledger::owed(&self.config)?.filter(|source| source.is_due(own)) {
            None => Ok(()),
            Some(source) => Err(fail(
                Status::Refused,
                format!(
                    "this host has not restored {0} of {1} yet, so what it has is older; ha-takeover restores it, or: habackup --restore {0}",
                    source.id, source.host
                ),
            )),
        }
    }

    /// Insists that the asset is held here and that the directory of snapshots is on it.
    ///
    /// # Errors
    /// Refused (4).
    pub fn insist_on_held(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        if let Held::No(why) = self.held(run)? {
            return Err(fail(Status::Refused, format!("the snapshots are on the asset: {why}")));
        }
        self.insist_on_place(run)
    }

    /// Opens the snapshots to change what is there, for who `looks` only without changing anything.
    ///
    /// # Errors
    /// Refused (4): also where no snapshot was ever taken.
    pub fn open_store_to_change(&self, looks: bool, run: &mut dyn Run) -> anyhow::Result<Store> {
        let store = self.open_store(run)?;
        let path = &self.backup.directory;
        if looks { Ok(Store::look(path)?.unwrap_or(store)) } else { Store::open_to_write(path) }
    }

    /// Insists that no hand-over is half done on this host: which snapshot it needs may not be known yet.
    ///
    /// # Errors
    /// Refused (4), with the remedy.
    pub fn insist_on_no_handover(&self) -> anyhow::Result<()> {
        for program in [Program::Takeover, Program::Release] {
            if handover::is_unfinished(program)? {
                let name = program.name();
                return Err(fail(
                    Status::Refused,
                    format!(
                        "a run of {name} on this host is not finished, and may need the snapshot; run {name} first"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Opens the snapshots for reading, once the asset is known to be held here.
    ///
    /// # Errors
    /// Refused (4).
    pub fn open_store(&self, run: &mut dyn Run) -> anyhow::Result<Store> {
        self.insist_on_held(run)?;
        Store::open(&self.backup.directory)
    }
}

/// Returns what is exported to others now, by configuration or by hand.
fn exported() -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for table in ["/proc/fs/nfsd/exports", "/var/lib/nfs/etab", "/etc/dfs/sharetab"] {
        match std::fs::read(table) {
            Ok(text) => paths.extend(exported_paths(&String::from_utf8_lossy(&text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // Not told apart from an export that matters.
            Err(error) => return Err(fail(Status::Refused, format!("read {table}: {error}"))),
        }
    }
    Ok(paths)
}

/// Reads an export table: a path a line, blanks in it as octal escapes (exports(5)).
fn exported_paths(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().filter(|line| line.starts_with('/'));
    lines
        .filter_map(|line| line.split_whitespace().next())
        .map(|field| mountinfo::unescape(field.as_bytes()).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_tables_are_read_with_their_escapes() {
        let text =
            "# Version 1.1\n/srv/a\t*(ro)\n/srv/b\\040c 10.0.0.0/8(rw,no_root_squash)\n/srv/\\x *(ro)\n";
        assert_eq!(exported_paths(text), ["/srv/a", "/srv/b c", "/srv/\\x"].map(PathBuf::from));
    }
}
