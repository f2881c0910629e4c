//! Where the snapshots of a restore lie: on the asset, which this host must hold, or in a copy elsewhere (`--store`).
//!
//! Invariant: a restore from a copy changes nothing of what a takeover restores: it is not noted in the ledger
//! (`a_restore_from_a_copy_pays_nothing_that_is_owed`).

use crate::args::Args;
use crate::id::SnapshotName;
use crate::manifest::ManifestHeader;
use crate::preconditions::{Held, Preconditions};
use crate::store::Store;
use orderly_exec::lock::Lock;
use orderly_exec::reporter::Reporter;
use orderly_exec::runner::Runner;
use orderly_exec::{Status, fail, paths};
use orderly_host::config::{self, Config};
use orderly_host::ledger;
use orderly_plan::snapshot::Continued;
use std::path::PathBuf;

/// Where the snapshots lie.
#[derive(Debug)]
pub enum Origin {
    Asset(Preconditions),
    /// A copy; a host that lost everything has no configuration either.
    Copy(PathBuf, Option<Preconditions>),
}

impl Origin {
    /// Reads the configuration, which must be there unless a copy is named.
    ///
    /// # Errors
    /// Rejected (3).
    pub fn open(args: &Args) -> anyhow::Result<Self> {
        let Some(copy) = &args.store else { return Preconditions::open(args).map(Self::Asset) };
        let path = paths::config_path(args.config.as_deref(), config::NAME);
        let is_missing = args.config.is_none()
            && path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let preconditions = if is_missing { None } else { Some(Preconditions::open(args)?) };
        Ok(Self::Copy(copy.clone(), preconditions))
    }

    /// Takes the lock of this host, see [`Preconditions::lock_unless`].
    ///
    /// # Errors
    /// Refused (4) when another run holds it.
    pub fn lock_unless(&self, looks: bool) -> anyhow::Result<Option<Lock>> {
        let path = Config::lock_path();
        if looks { Lock::look(&path).map(|_| None) } else { Lock::take(&path).map(Some) }
    }

    /// Opens the snapshots for reading.
    ///
    /// # Errors
    /// Refused (4).
    pub fn open_store(&self, runner: &mut Runner) -> anyhow::Result<Store> {
        match self {
            Self::Asset(preconditions) => preconditions.open_store(runner),
            Self::Copy(path, _) => Store::open_elsewhere(path),
        }
    }

    /// Insists that a snapshot is of this host's asset, as far as that can be known where the asset is lost.
    ///
    /// # Errors
    /// Refused (4).
    pub fn insist_on_asset(
        &self,
        name: SnapshotName,
        header: &ManifestHeader,
        runner: &mut Runner,
        reporter: &Reporter,
    ) -> anyhow::Result<()> {
        let of = &header.asset;
        let (preconditions, is_copy) = match self {
            Self::Asset(preconditions) => (preconditions, false),
            Self::Copy(_, Some(preconditions)) => (preconditions, true),
            Self::Copy(_, None) => {
                reporter.say(format!(
                    "there is no ha.toml here to compare with: {name} was made by {} and is of {} {}",
                    header.host, of.kind, of.name
                ));
                return Ok(());
            }
        };
        let refuse = |why: String| {
            Err(fail(Status::Refused, format!("the snapshot {name} is of another asset: {why}")))
        };
        let config = &preconditions.config;
        if is_copy {
            let hosts = [&config.own.name, &config.peer.name];
            if !hosts.contains(&&header.host) {
                return refuse(format!(
                    "{} made it, and the hosts here are {} and {}",
                    header.host, hosts[0], hosts[1]
                ));
            }
            let (kind, title) = (config.asset.kind.word(), preconditions.title());
            if (of.kind.as_str(), &of.name) != (kind, &title) {
                return refuse(format!("{} {}, and this is {kind} {title}", of.kind, of.name));
            }
            // What is lost cannot be asked for its identity.
            if !matches!(preconditions.held(runner), Ok(Held::Yes)) {
                reporter.say(format!(
                    "{title} is not held here, so whether {name} is of the same one is not compared"
                ));
                return Ok(());
            }
        }
        let asset = preconditions.asset(runner)?;
        if (&of.kind, &of.identity) != (&asset.kind, &asset.identity) {
            return refuse(format!("{} {}, and this is {}", of.kind, of.identity, asset.identity));
        }
        Ok(())
    }

    /// Returns the head of a manifest as it is noted for an undo: that of a restore from a copy undoes none of the asset.
    pub fn noted(&self, header: &ManifestHeader) -> ManifestHeader {
        let id = match self {
            Self::Asset(_) => header.id.clone(),
            Self::Copy(path, _) => format!("{} of {}", header.id, path.display()),
        };
        ManifestHeader { id, ..header.clone() }
    }

    /// Notes what live files continue once a whole snapshot of the asset is restored.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn note_restore(&self, name: SnapshotName, header: &ManifestHeader) -> anyhow::Result<()> {
        let Self::Asset(preconditions) = self else { return Ok(()) };
        let continued =
            Continued { holding: header.holding, snapshot: name.to_string(), host: header.host.clone() };
        ledger::note_restore(continued, &preconditions.config.own.name)
    }
}
