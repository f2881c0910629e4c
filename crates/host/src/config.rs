//! `ha.toml`: one configuration for both hosts of the pair, read as a whole, all errors at once.
//!
//! What is said about the asset itself is read in `config/asset.rs`, everything else in
//! `config/parts.rs`. Whether it is true of this machine is found out elsewhere; nothing here looks
//! beyond the file and the host's own name.

mod asset;
mod parts;
#[cfg(test)]
mod tests;

pub(crate) use asset::asks_read_only;
pub use asset::{AssetTable, Kind, MountTable};

use anyhow::Context;
use orderly_exec::settings::Document;
use orderly_exec::{OrStatus, Status, fail, files, paths, trust};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file in the configuration folder.
pub const NAME: &str = "ha.toml";

/// An argument vector.
pub type Argv = Vec<String>;

/// Whose commands are run, and whose output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    #[default]
    Linux,
    Solaris,
}

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
    pub own: Host,
    /// The other host.
    #[serde(skip)]
    pub peer: Host,
    pub platform: Platform,
    pub asset: AssetTable,
    /// Of these one must answer before the peer is powered off, or taken for off by somebody's word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<String>,
    /// In stop order.
    pub services: Vec<Service>,
    pub loopbacks: Vec<Loopback>,
    pub shares: Vec<Share>,
    pub addresses: Vec<Address>,
    pub backup: Option<Backup>,
}

/// One of the two hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    pub name: String,
    /// Where it would answer if it were alive.
    pub address: Option<String>,
    /// How the other host powers it off.
    pub fence: Option<Argv>,
    /// Proven only by the word `off`.
    pub fence_status: Option<Argv>,
    /// By which SCSI disks know its reservations.
    pub reservation_key: Option<u64>,
}

/// A service that needs the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    pub name: String,
    pub control: Control,
    pub timeout: Duration,
}

/// How a service is asked, stopped and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    Commands { status: Argv, stop: Argv, start: Argv },
    Unit(String),
}

/// A bind mount backed by the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loopback {
    pub source: PathBuf,
    pub at: PathBuf,
    pub timeout: Duration,
}

/// An exported folder on the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    pub path: PathBuf,
    pub clients: Vec<String>,
    pub options: String,
    pub fsid: Option<String>,
    pub description: Option<String>,
    /// Commands in place of the platform's own: all three or none.
    pub commands: Option<ShareCommands>,
    pub timeout: Duration,
}

/// What is run instead of the platform's share commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShareCommands {
    /// Prints one exported path a line.
    pub list: Argv,
    pub add: Argv,
    pub remove: Argv,
}

/// An address that moves with the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    pub cidr: String,
    pub device: String,
    pub timeout: Duration,
}

impl Address {
    /// Returns the address without its prefix length.
    pub fn ip(&self) -> &str {
        self.cidr.split('/').next().unwrap_or(&self.cidr)
    }

    /// Tells whether it is an address of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.cidr.contains(':')
    }
}

/// What `habackup` keeps, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    pub directory: PathBuf,
    pub include: Vec<PathBuf>,
    pub optional: Vec<PathBuf>,
    pub exclude: Vec<String>,
    pub keep: Keep,
    pub max_age: Duration,
    pub require_services: bool,
    pub timeout: Duration,
}

/// How many snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    Last(u64),
    Spread { hourly: u64, daily: u64, weekly: u64 },
}

const MINUTE: Duration = Duration::from_secs(60);

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
                    "read {}: No such file or directory\nmake it from an example, alike on both hosts \
                     (share/doc/orderly/examples/ha-*.toml; man 5 ha.toml), or name another file with --config\n\
                     then see where this host stands: ha-release --status",
                    path.display()
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
        let document = Document::parse(&name, text)?;
        let root = document.root();
        let platform = match root.word("platform", &["linux", "solaris"]) {
            Some("solaris") => Platform::Solaris,
            _ => Platform::Linux,
        };
        let hosts = parts::read_hosts(&root);
        let asset = asset::read(&root, platform);
        let mounts = asset.as_ref().map_or(&[][..], |asset| &asset.mounts);
        let loopbacks = parts::read_loopbacks(&root, mounts);
        let shares = parts::read_shares(&root, platform, mounts, &loopbacks);
        let services = parts::read_services(&root, platform);
        let addresses = parts::read_addresses(&root);
        let witness = parts::read_witness(&root, &hosts, &addresses);
        let backup = root.table("backup").and_then(|table| parts::read_backup(table, mounts, &shares));
        root.end();
        document.finish(())?;
        // Nothing was wrong, so everything that must be there is.
        let missing = || Diagnostics::from(Diagnostic::about(&name, "is incomplete"));
        let (own, peer) = parts::choose(&name, hosts, own)?;
        let mut config = Self {
            path: path.to_owned(),
            fingerprint: String::new(),
            own,
            peer,
            platform,
            asset: asset.ok_or_else(missing)?,
            witness,
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
    name.into_string().map_err(|name| anyhow::anyhow!("this host's name {} is not UTF-8", name.display()))
}
