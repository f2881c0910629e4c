//! The tables beside `[asset]`: hosts, services, loopbacks, shares, addresses, backup.

use super::{
    Address, Backup, Control, Host, Keep, Loopback, MINUTE, MountTable, Platform, Service, Share,
    ShareCommands,
};
use crate::shares::client::{is_client, plain_client};
use orderly_exec::settings::Table;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

pub(super) fn read_hosts(root: &Table<'_>) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let tables = root.tables("host");
    if tables.len() != 2 {
        root.reject(
            "host",
            format!("host: exactly two [[host]] tables are needed, there are {}", tables.len()),
        );
    }
    for table in tables {
        table.need("name");
        let name = table.single_word("name", "what uname -n prints there").unwrap_or_default();
        if !name.is_empty() && hosts.iter().any(|host| host.name == name) {
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
        let reservation_key = read_key(&table);
        if reservation_key.is_some() && hosts.iter().any(|host| host.reservation_key == reservation_key) {
            let message = format!("{}: both hosts have the same one", table.named("reservation_key"));
            table.reject("reservation_key", message);
        }
        hosts.push(Host { name, address, fence, fence_status, reservation_key });
        table.end();
    }
    hosts
}

/// Reads a key as `sg_persist` prints it; 0 is no key (SPC-4).
fn read_key(table: &Table<'_>) -> Option<u64> {
    let text = table.text("reservation_key")?;
    let key = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    if key.is_none_or(|key| key == 0) {
        let message = format!(
            "{}: must be a key as sg_persist prints it, \"0xabc001\"",
            table.named("reservation_key")
        );
        table.reject("reservation_key", message);
    }
    key
}

pub(super) fn choose(file: &str, hosts: Vec<Host>, own: &str) -> Result<(Host, Host), Diagnostics> {
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

pub(super) fn read_services(root: &Table<'_>, platform: Platform) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for table in root.tables("service") {
        table.need("name");
        let name = table.filled_text("name", "a name for people").unwrap_or_default();
        if !name.is_empty() && services.iter().any(|service| service.name == name) {
            table.reject("name", format!("{}: a second service named \"{name}\"", table.named("name")));
        }
        if platform == Platform::Solaris && table.has("unit") {
            let message =
                format!("{}: systemd is not on solaris; give status, stop and start", table.named("unit"));
            table.reject("unit", message);
        }
        let control = read_control(&table);
        let timeout = table.limit("timeout").unwrap_or(10 * MINUTE);
        services.extend(control.map(|control| Service { name, control, timeout }));
        table.end();
    }
    services
}

fn read_control(table: &Table<'_>) -> Option<Control> {
    let unit = table.single_word("unit", "the name of a systemd unit, as systemctl has it");
    let commands = ["status", "stop", "start"].map(|key| table.has(key));
    if table.has("unit") {
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

pub(super) fn read_loopbacks(root: &Table<'_>, mounts: &[MountTable]) -> Vec<Loopback> {
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
        let timeout = table.limit("timeout").unwrap_or(MINUTE);
        if let (Some(source), Some(at)) = (source, at) {
            loopbacks.push(Loopback { source, at, timeout });
        }
        table.end();
    }
    loopbacks
}

pub(super) fn read_shares(
    root: &Table<'_>,
    platform: Platform,
    mounts: &[MountTable],
    loopbacks: &[Loopback],
) -> Vec<Share> {
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
        for key in ["clients", "fsid"].into_iter().filter(|_| platform == Platform::Solaris) {
            if table.has(key) {
                let message = format!(
                    "{}: is for linux; on solaris the options say it (ro=host1:host2), and ZFS has its own fsid",
                    table.named(key)
                );
                table.reject(key, message);
            }
        }
        let clients = table.texts("clients").unwrap_or_else(|| vec!["*".to_owned()]);
        if clients.iter().any(|client| client.is_empty() || client.contains(char::is_whitespace)) {
            table.reject("clients", format!("{}: a client has no blanks in it", table.named("clients")));
        }
        if let Some(wrong) = clients.iter().find(|client| !is_client(client)) {
            let named = table.named("clients");
            table.reject(
                "clients",
                format!(
                    "{named}: \"{wrong}\" has a colon, and is no IPv6 address or network (2001:db8::/32)"
                ),
            );
        }
        if clients.is_empty() {
            let message = format!(
                "{}: names nobody; name the clients, or leave it out for all",
                table.named("clients")
            );
            table.reject("clients", message);
        }
        let share = path.map(|path| Share {
            path,
            clients: clients.iter().map(|client| plain_client(client)).collect(),
            options: table.text("options").unwrap_or_else(|| "ro".to_owned()),
            fsid: table.single_word("fsid", "a number or a UUID, or leave it out"),
            description: table.text("description"),
            commands: read_share_commands(&table),
            // Longer than a client that is gone keeps its files open (90 s, nfsd(7)).
            timeout: table.limit("timeout").unwrap_or(2 * MINUTE),
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

pub(super) fn read_addresses(root: &Table<'_>) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    for table in root.tables("address") {
        let cidr = table.need_text("cidr");
        table.need("device");
        let device = table.single_word("device", "the network device that has the address");
        let timeout = table.limit("timeout").unwrap_or(MINUTE);
        let plain = cidr.as_deref().and_then(plain_cidr);
        if let (Some(cidr), None) = (&cidr, &plain) {
            table.reject(
                "cidr",
                format!(
                    "{}: \"{cidr}\" is not an address with its prefix length (192.0.2.10/24)",
                    table.named("cidr")
                ),
            );
        }
        let ip = plain.as_deref().and_then(|cidr| cidr.split('/').next());
        if ip.is_some_and(|ip| addresses.iter().any(|other| other.ip() == ip)) {
            let message = format!("{}: a second table for this address; remove one", table.named("cidr"));
            table.reject("cidr", message);
        }
        if let (Some(cidr), Some(device)) = (plain, device) {
            addresses.push(Address { cidr, device, timeout });
        }
        table.end();
    }
    addresses
}

/// A witness is somebody else: neither host, nor an address that moves.
pub(super) fn read_witness(root: &Table<'_>, hosts: &[Host], addresses: &[Address]) -> Vec<String> {
    let mut witnesses: Vec<String> = Vec::new();
    let Some(texts) = root.texts("witness") else { return witnesses };
    if texts.is_empty() {
        root.reject("witness", format!("{}: names nobody; leave it out for none", root.named("witness")));
    }
    for text in texts {
        let Ok(ip) = text.parse::<IpAddr>() else {
            let named = root.named("witness");
            root.reject(
                "witness",
                format!("{named}: \"{text}\" is not an IP address (a name may not resolve when it matters)"),
            );
            continue;
        };
        let is_it = |other: &str| other.parse() == Ok(ip);
        let host = hosts.iter().find(|host| host.address.as_deref().is_some_and(is_it));
        let why = match host {
            Some(host) => {
                format!("{ip} is {} itself; a witness is a third machine, like a router", host.name)
            }
            None if addresses.iter().any(|address| is_it(address.ip())) => {
                format!("{ip} moves with the asset; a witness is a third machine, like a router")
            }
            None if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() => {
                format!("{ip} is no other machine; a witness is a third machine, like a router")
            }
            None => {
                witnesses.push(ip.to_string());
                continue;
            }
        };
        root.reject("witness", format!("{}: {why}", root.named("witness")));
    }
    witnesses
}

/// Returns an address with its prefix length as `ip` prints it, however it is written.
fn plain_cidr(text: &str) -> Option<String> {
    let (ip, length) = text.split_once('/')?;
    let (ip, length) = (ip.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
    (length <= if ip.is_ipv4() { 32 } else { 128 }).then(|| format!("{ip}/{length}"))
}

pub(super) fn read_backup(table: Table<'_>, mounts: &[MountTable], shares: &[Share]) -> Option<Backup> {
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
        timeout: table.limit("timeout").unwrap_or(60 * MINUTE),
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
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
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
