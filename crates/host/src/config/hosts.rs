//! The two hosts, and who vouches for their network.

use super::address::AddressTable;
use crate::platform::Argv;
use orderly_exec::settings::Table;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use serde::Serialize;
use std::net::IpAddr;

/// One of the two hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostTable {
    pub name: String,
    /// Where it would answer if it were alive.
    pub address: Option<String>,
    /// How the other host powers it off.
    pub fence: Option<Argv>,
    /// Proven only by the word `off`.
    pub fence_status: Option<Argv>,
    /// How the other host runs a command on it: what the command and its arguments are put behind.
    pub peer_command: Option<Argv>,
    /// By which SCSI disks know its reservations.
    pub reservation_key: Option<u64>,
}

pub(super) fn read_all(root: &Table<'_>) -> Vec<HostTable> {
    let mut hosts: Vec<HostTable> = Vec::new();
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
        let peer_command = table.argv("peer_command");
        let reservation_key = read_key(&table);
        if reservation_key.is_some() && hosts.iter().any(|host| host.reservation_key == reservation_key) {
            let message = format!("{}: both hosts have the same one", table.named("reservation_key"));
            table.reject("reservation_key", message);
        }
        hosts.push(HostTable { name, address, fence, fence_status, peer_command, reservation_key });
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

pub(super) fn choose(
    file: &str,
    hosts: Vec<HostTable>,
    own: &str,
) -> Result<(HostTable, HostTable), Diagnostics> {
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let (mut mine, mut others): (Vec<HostTable>, Vec<HostTable>) =
        hosts.into_iter().partition(|host| host.name == own);
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

/// A witness is somebody else: neither host, nor an address that moves.
pub(super) fn read_witness(root: &Table<'_>, hosts: &[HostTable], addresses: &[AddressTable]) -> Vec<String> {
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
