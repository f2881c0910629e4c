//! `ha.toml`: one configuration for both hosts of the pair, read as a whole, all errors at once.
//!
//! What is said about the asset itself is read in [`asset`]. Whether what is said is true of this
//! machine is found out elsewhere; nothing here looks beyond the file and the host's own name.

mod asset;
#[cfg(test)]
mod tests;

pub use asset::{AssetTable, Kind, MountTable};

use anyhow::Context;
use orderly_exec::settings::{Document, Table};
use orderly_exec::{OrStatus, Status, files};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use serde::Serialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file in the configuration folder.
pub const NAME: &str = "ha.toml";

/// An argument vector.
pub type Argv = Vec<String>;

/// Everything that `ha.toml` says, seen from this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where it was read; not part of what it says.
    #[serde(skip)]
    pub path: PathBuf,
    /// What it says, in short: alike on both hosts when their configurations are.
    #[serde(skip)]
    pub fingerprint: String,
    /// This host. Not serialised: the configuration means the same on both hosts.
    #[serde(skip)]
    pub own: Host,
    /// The other host.
    #[serde(skip)]
    pub peer: Host,
    pub asset: AssetTable,
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
        let path = files::config_path(flag, NAME);
        let path = std::path::absolute(&path)
            .with_context(|| format!("find {}", path.display()))
            .or_status(Status::Rejected)?;
        let text = files::read(&path)?;
        files::check_only_owner_writes(&path)?;
        let own = own_name().or_status(Status::Rejected)?;
        Self::read(&path, &text, &own).or_status(Status::Rejected)
    }

    /// Reads the text of a configuration as the host `own` sees it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(path: &Path, text: &str, own: &str) -> Result<Self, Diagnostics> {
        let name = path.to_string_lossy();
        let document = Document::parse(&name, text)?;
        let root = document.root();
        root.word("platform", &["linux", "solaris"]).filter(|word| *word == "solaris").inspect(|_| {
            root.reject("platform", "platform: solaris is not supported by this version");
        });
        let hosts = read_hosts(&root);
        let asset = asset::read(&root);
        let mounts = asset.as_ref().map_or(&[][..], |asset| &asset.mounts);
        let loopbacks = read_loopbacks(&root, mounts);
        let shares = read_shares(&root, mounts, &loopbacks);
        let services = read_services(&root);
        let addresses = read_addresses(&root);
        let backup = root.table("backup").and_then(|table| read_backup(table, mounts, &shares));
        root.end();
        document.finish(())?;
        // Nothing was wrong, so everything that must be there is.
        let missing = || Diagnostics::from(Diagnostic::about(&name, "is incomplete"));
        let (own, peer) = choose(&name, hosts, own)?;
        let mut config = Self {
            path: path.to_owned(),
            fingerprint: String::new(),
            own,
            peer,
            asset: asset.ok_or_else(missing)?,
            services,
            loopbacks,
            shares,
            addresses,
            backup,
        };
        config.fingerprint =
            orderly_plan::record::fingerprint(&serde_json::to_string(&config).unwrap_or_default());
        Ok(config)
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

    /// Returns the lock of this configuration: `habackup`, `ha-release` and `ha-takeover` exclude
    /// one another.
    pub fn lock_path(&self) -> PathBuf {
        files::state_directory().join("ha.lock")
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

fn read_hosts(root: &Table<'_>) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let tables = root.tables("host");
    if tables.len() != 2 {
        root.reject(
            "host",
            format!("host: exactly two [[host]] tables are needed, there are {}", tables.len()),
        );
    }
    for table in tables {
        let name = table.need_text("name").unwrap_or_default();
        if hosts.iter().any(|host| host.name == name) {
            table.reject("name", format!("{}: both hosts are named \"{name}\"", table.named("name")));
        }
        let address = table.text("address");
        if address.as_ref().is_some_and(|address| address.parse::<IpAddr>().is_err()) {
            table.reject(
                "address",
                format!(
                    "{}: must be an IP address (a name may not resolve when it matters)",
                    table.named("address")
                ),
            );
        }
        let (fence, fence_status) = (table.argv("fence"), table.argv("fence_status"));
        if table.has("fence") && !table.has("fence_status") {
            table.reject(
                "fence",
                format!(
                    "{}: needs fence_status beside it, which proves that the power is off",
                    table.named("fence")
                ),
            );
        }
        hosts.push(Host { name, address, fence, fence_status });
        table.end();
    }
    hosts
}

fn choose(file: &str, hosts: Vec<Host>, own: &str) -> Result<(Host, Host), Diagnostics> {
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let (mut mine, mut others): (Vec<Host>, Vec<Host>) = hosts.into_iter().partition(|host| host.name == own);
    match (mine.pop(), others.pop()) {
        (Some(mine), Some(other)) => Ok((mine, other)),
        _ => Err(Diagnostic::about(
            file,
            format!("this host is \"{own}\" (uname -n), and no [[host]] is named so"),
        )
        .hint(format!("the hosts are {}; or set ORDERLY_HOST", names.join(" and ")))
        .into()),
    }
}

fn read_services(root: &Table<'_>) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for table in root.tables("service") {
        let name = table.need_text("name").unwrap_or_default();
        if services.iter().any(|service| service.name == name) {
            table.reject("name", format!("{}: a second service named \"{name}\"", table.named("name")));
        }
        let control = read_control(&table);
        let timeout = table.duration("timeout").unwrap_or(10 * MINUTE);
        services.extend(control.map(|control| Service { name, control, timeout }));
        table.end();
    }
    services
}

fn read_control(table: &Table<'_>) -> Option<Control> {
    let unit = table.text("unit");
    let commands = ["status", "stop", "start"].map(|key| table.has(key));
    if unit.is_some() {
        if commands.contains(&true) {
            table
                .reject("unit", format!("{}: stands instead of status, stop and start", table.named("unit")));
        }
        return unit.map(Control::Unit);
    }
    if commands == [false; 3] {
        table.reject("name", format!("{}: needs unit, or status, stop and start", table.named("name")));
        return None;
    }
    for key in ["status", "stop", "start"] {
        table.need(key);
    }
    Some(Control::Commands {
        status: table.argv("status")?,
        stop: table.argv("stop")?,
        start: table.argv("start")?,
    })
}

fn read_loopbacks(root: &Table<'_>, mounts: &[MountTable]) -> Vec<Loopback> {
    let mut loopbacks: Vec<Loopback> = Vec::new();
    for table in root.tables("loopback") {
        table.need("source");
        table.need("at");
        let (source, at) = (table.absolute_path("source"), table.absolute_path("at"));
        if let Some(source) = &source {
            insist_on_asset(&table, "source", source, mounts, &[]);
        }
        if let Some(at) = &at
            && (loopbacks.iter().any(|other| other.at == *at) || mounts.iter().any(|mount| mount.at == *at))
        {
            table.reject(
                "at",
                format!("{}: something else is mounted at {}", table.named("at"), at.display()),
            );
        }
        let timeout = table.duration("timeout").unwrap_or(MINUTE);
        if let (Some(source), Some(at)) = (source, at) {
            loopbacks.push(Loopback { source, at, timeout });
        }
        table.end();
    }
    loopbacks
}

fn read_shares(root: &Table<'_>, mounts: &[MountTable], loopbacks: &[Loopback]) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for table in root.tables("share") {
        table.need("path");
        let path = table.absolute_path("path");
        if let Some(path) = &path {
            insist_on_asset(&table, "path", path, mounts, loopbacks);
            if shares.iter().any(|share| share.path == *path) {
                table.reject(
                    "path",
                    format!("{}: listed twice; put all its clients in one table", table.named("path")),
                );
            }
        }
        let clients = table.texts("clients").unwrap_or_else(|| vec!["*".to_owned()]);
        if clients.iter().any(|client| client.is_empty() || client.contains(char::is_whitespace)) {
            table.reject("clients", format!("{}: a client has no blanks in it", table.named("clients")));
        }
        let share = path.map(|path| Share {
            path,
            clients,
            options: table.text("options").unwrap_or_else(|| "ro".to_owned()),
            fsid: table.text("fsid"),
            description: table.text("description"),
            commands: read_share_commands(&table),
            timeout: table.duration("timeout").unwrap_or(MINUTE),
        });
        shares.extend(share);
        table.end();
    }
    shares
}

fn read_share_commands(table: &Table<'_>) -> Option<ShareCommands> {
    let keys = ["list", "add", "remove"];
    if !keys.into_iter().any(|key| table.has(key)) {
        return None;
    }
    keys.into_iter().for_each(|key| table.need(key));
    Some(ShareCommands { list: table.argv("list")?, add: table.argv("add")?, remove: table.argv("remove")? })
}

fn read_addresses(root: &Table<'_>) -> Vec<Address> {
    let mut addresses = Vec::new();
    for table in root.tables("address") {
        let cidr = table.need_text("cidr");
        let device = table.need_text("device");
        let timeout = table.duration("timeout").unwrap_or(MINUTE);
        if let Some(cidr) = &cidr
            && !is_cidr(cidr)
        {
            table.reject(
                "cidr",
                format!(
                    "{}: \"{cidr}\" is not an address with its prefix length (192.0.2.10/24)",
                    table.named("cidr")
                ),
            );
        }
        if let (Some(cidr), Some(device)) = (cidr, device) {
            addresses.push(Address { cidr, device, timeout });
        }
        table.end();
    }
    addresses
}

fn is_cidr(text: &str) -> bool {
    let Some((ip, length)) = text.split_once('/') else { return false };
    let (Ok(ip), Ok(length)) = (ip.parse::<IpAddr>(), length.parse::<u8>()) else { return false };
    length <= if ip.is_ipv4() { 32 } else { 128 }
}

fn read_backup(table: Table<'_>, mounts: &[MountTable], shares: &[Share]) -> Option<Backup> {
    table.need("directory");
    let directory = table.absolute_path("directory");
    if let Some(directory) = &directory {
        insist_on_asset(&table, "directory", directory, mounts, &[]);
        if let Some(share) = shares.iter().find(|share| directory.starts_with(&share.path)) {
            let message = format!(
                "{}: lies under the exported {}, and snapshots hold what only root may read",
                table.named("directory"),
                share.path.display()
            );
            table.reject("directory", message);
        }
    }
    table.need("include");
    let include = absolute_paths(&table, "include");
    let optional = absolute_paths(&table, "optional");
    let keep = read_keep(&table);
    let backup = directory.map(|directory| Backup {
        directory,
        include,
        optional,
        exclude: table.texts("exclude").unwrap_or_default(),
        keep,
        max_age: table.duration("max_age").unwrap_or(120 * MINUTE),
        require_services: table.flag("require_services").unwrap_or(true),
        timeout: table.duration("timeout").unwrap_or(60 * MINUTE),
    });
    table.end();
    backup
}

fn read_keep(table: &Table<'_>) -> Keep {
    let spread = ["hourly", "daily", "weekly"].map(|key| (table.has(key), table.number(key).unwrap_or(0)));
    let keep = table.number("keep");
    if spread.iter().any(|(there, _)| *there) {
        if table.has("keep") {
            table.reject(
                "keep",
                format!("{}: stands instead of hourly, daily and weekly", table.named("keep")),
            );
        }
        let [(_, hourly), (_, daily), (_, weekly)] = spread;
        return Keep::Spread { hourly, daily, weekly };
    }
    if keep == Some(0) {
        table.reject("keep", format!("{}: at least 1, or no snapshot would stay", table.named("keep")));
    }
    Keep::Last(keep.unwrap_or(48))
}

fn absolute_paths(table: &Table<'_>, key: &'static str) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = table.texts(key).unwrap_or_default().into_iter().map(PathBuf::from).collect();
    for path in &paths {
        if !is_plain(path) {
            table.reject(
                key,
                format!("{}: {} must be an absolute path without \"..\"", table.named(key), path.display()),
            );
        }
    }
    paths
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir)
}

/// What moves with the asset must lie on it, or it would stay behind with the wrong host.
fn insist_on_asset(
    table: &Table<'_>,
    key: &'static str,
    path: &Path,
    mounts: &[MountTable],
    loopbacks: &[Loopback],
) {
    let mut places =
        mounts.iter().map(|mount| &mount.at).chain(loopbacks.iter().map(|loopback| &loopback.at));
    if !mounts.is_empty() && !places.any(|at| path.starts_with(at)) {
        let message = format!(
            "{}: {} is not on the asset; no [[asset.mount]] is at or above it",
            table.named(key),
            path.display()
        );
        table.reject(key, message);
    }
}
