//! `ha.toml`: one configuration for both hosts of the pair, read as a whole, all errors at once.
//!
//! What is said about the asset itself is read in `config/asset.rs` and by its kind, about the hosts in
//! `config/hosts.rs`, and about each part that moves with the asset in a file for it. Whether it is true of this
//! machine is found out elsewhere; nothing here looks beyond the file and the host's own name.

mod address;
mod asset;
mod backup;
pub(crate) mod client;
mod hosts;
pub(crate) mod limits;
pub(crate) mod loopback;
mod service;
mod settings;
mod share;
#[cfg(test)]
mod tests;

pub use address::AddressTable;
pub use asset::AssetTable;
pub use backup::{BackupTable, Keep};
pub use hosts::HostTable;
pub use loopback::LoopbackTable;
pub use service::{Control, ServiceTable};
pub use settings::{Settings, differences};
pub use share::{ShareCommands, ShareTable};

use crate::asset::{Asset, Surroundings};
use crate::platform::{Argv, Platform};
use anyhow::Context;
use orderly_exec::settings::TomlDocument;
use orderly_exec::{OrStatus, Status, fail, files, paths, trust};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file in the configuration folder.
pub const NAME: &str = "ha.toml";

/// Everything that `ha.toml` says, seen from this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where it was read; not part of what it says.
    #[serde(skip)]
    pub path: PathBuf,
    /// What it says, in short: alike on both hosts when their configurations are.
    #[serde(skip)]
    pub fingerprint: String,
    /// This host. Which of the two it is stands in no fingerprint: the configuration means the same on both.
    #[serde(skip)]
    pub own: HostTable,
    /// The other host.
    #[serde(skip)]
    pub peer: HostTable,
    pub platform: Platform,
    pub asset: AssetTable,
    /// Of these one must answer before the peer is powered off, or taken for off by somebody's word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<String>,
    /// What is run when something changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_event: Option<Argv>,
    /// In stop order.
    pub services: Vec<ServiceTable>,
    pub loopbacks: Vec<LoopbackTable>,
    pub shares: Vec<ShareTable>,
    pub addresses: Vec<AddressTable>,
    pub backup: Option<BackupTable>,
}

impl Config {
    /// Reads `ha.toml`: `--config FILE`, else in `ORDERLY_CONFIG_DIR`, else in `/etc/orderly`.
    ///
    /// # Errors
    /// Rejected (3): missing, unreadable, wrong (everything that is wrong at once), writable by
    /// others, or naming neither host like this one.
    pub fn load(flag: Option<&Path>) -> anyhow::Result<Self> {
        let path = paths::config_path(flag, NAME);
        let path = std::path::absolute(&path)
            .with_context(|| format!("find {}", path.display()))
            .or_status(Status::Rejected)?;
        if matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound) {
            return Err(fail(
                Status::Rejected,
                format!(
                    "read {}: No such file or directory\nprint one to start from: ha-release --init KIND ({}; ha.toml(5)); both \
                     hosts need the same file\nor name another file with --config",
                    path.display(),
                    crate::asset::AssetKind::WORDS.join(", ")
                ),
            ));
        }
        let text = files::read(&path)?;
        trust::check_only_owner_changes(&path)?;
        let own = own_name().or_status(Status::Rejected)?;
        let config = Self::read(&path, &text, &own).or_status(Status::Rejected)?;
        config.insist_on_local_state().or_status(Status::Rejected)?;
        Ok(config)
    }

    /// The journal and the records must still be there when the asset is not.
    fn insist_on_local_state(&self) -> anyhow::Result<()> {
        let named = paths::state_directory();
        let real = std::fs::canonicalize(&named).unwrap_or_else(|_| named.clone());
        let mounts = self.asset.mounts.iter().map(|mount| &mount.at);
        let mut places = mounts.chain(self.loopbacks.iter().map(|loopback| &loopback.at));
        match places.find(|at| named.starts_with(at) || real.starts_with(at)) {
            Some(at) => anyhow::bail!(
                "{}: the state directory {} lies below {}, and would go with the asset; ORDERLY_STATE_DIR must name one \
                 on a local disk",
                self.path.display(),
                named.display(),
                at.display()
            ),
            None => Ok(()),
        }
    }

    /// Reads the text of a configuration as the host `own` sees it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(path: &Path, text: &str, own: &str) -> Result<Self, Diagnostics> {
        let name = path.to_string_lossy();
        let document = TomlDocument::parse(&name, text)?;
        let root = document.root();
        let platform = match root.word("platform", &["linux", "solaris"]) {
            Some("solaris") => Platform::Solaris,
            _ => Platform::Linux,
        };
        let hosts = hosts::read_all(&root);
        let asset = asset::read(&root, platform);
        let mounts = asset.as_ref().map_or(&[][..], |asset| &asset.mounts);
        let loopbacks = loopback::read_all(&root, mounts);
        let shares = share::read_all(&root, platform, mounts, &loopbacks);
        let services = service::read_all(&root, platform);
        let addresses = address::read_all(&root);
        let witness = hosts::read_witness(&root, &hosts, &addresses);
        let on_event = root.argv("on_event");
        let backup = root.table("backup").and_then(|table| backup::read(table, mounts, &shares));
        root.end();
        document.finish(())?;
        // Nothing was wrong, so everything that must be there is.
        let missing = || Diagnostics::from(Diagnostic::about(&name, "is incomplete"));
        let (own, peer) = hosts::choose(&name, hosts, own)?;
        let mut config = Self {
            path: path.to_owned(),
            fingerprint: String::new(),
            own,
            peer,
            platform,
            asset: asset.ok_or_else(missing)?,
            witness,
            on_event,
            services,
            loopbacks,
            shares,
            addresses,
            backup,
        };
        config.fingerprint = config.in_short();
        Ok(config)
    }

    fn in_short(&self) -> String {
        let mut hosts = [&self.own, &self.peer];
        hosts.sort_by_key(|host| &host.name);
        orderly_plan::record::fingerprint(&serde_json::to_string(&(self, hosts)).unwrap_or_default())
    }

    /// Returns the asset that changes hands.
    pub fn open_asset(&self) -> Box<dyn Asset> {
        self.asset.kind.open(&Surroundings {
            own: &self.own.name,
            peer: &self.peer.name,
            platform: self.platform,
            mounts: &self.asset.mounts,
            timeout: self.asset.timeout,
        })
    }

    /// Returns where the asset and its loopbacks are mounted.
    pub fn places(&self) -> Vec<PathBuf> {
        let mounts = self.asset.mounts.iter().map(|mount| mount.at.clone());
        mounts.chain(self.loopbacks.iter().map(|loopback| loopback.at.clone())).collect()
    }

    /// Gives everything that has a limit this one at most (`--timeout`).
    pub fn limit_all(&mut self, limit: Duration) {
        let limits = [&mut self.asset.timeout]
            .into_iter()
            .chain(self.services.iter_mut().map(|service| &mut service.timeout))
            .chain(self.loopbacks.iter_mut().map(|loopback| &mut loopback.timeout))
            .chain(self.shares.iter_mut().map(|share| &mut share.timeout))
            .chain(self.addresses.iter_mut().map(|address| &mut address.timeout))
            .chain(self.backup.iter_mut().map(|backup| &mut backup.timeout));
        for timeout in limits {
            *timeout = limit.min(*timeout);
        }
    }

    /// Returns the lock of this host's configuration: `habackup`, `ha-release` and `ha-takeover` exclude
    /// one another.
    pub fn lock_path() -> PathBuf {
        paths::state_directory().join("ha.lock")
    }
}

/// Returns the name of this host: `ORDERLY_HOST`, else what `uname -n` says.
///
/// # Errors
/// When the name is not text.
pub fn own_name() -> anyhow::Result<String> {
    let name = match std::env::var_os("ORDERLY_HOST").filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => nix::unistd::gethostname().context("ask for this host's name")?,
    };
    name.into_string()
        .map_err(|name| anyhow::anyhow!("this host's name {} is not UTF-8", name.to_string_lossy()))
}
