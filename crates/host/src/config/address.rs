//! `[[address]]`: addresses that are where the asset is.

use super::limits::MINUTE;
use orderly_exec::settings::Table;
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;

/// One `[[address]]`, or an address as it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressTable {
    pub cidr: String,
    pub device: String,
    pub timeout: Duration,
}

impl AddressTable {
    /// Returns the address without its prefix length.
    pub fn ip(&self) -> &str {
        self.cidr.split('/').next().unwrap_or(&self.cidr)
    }

    /// Tells whether it is an address of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.cidr.contains(':')
    }
}

/// Reads every `[[address]]`.
pub(super) fn read_all(root: &Table<'_>) -> Vec<AddressTable> {
    let mut addresses: Vec<AddressTable> = Vec::new();
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
            addresses.push(AddressTable { cidr, device, timeout });
        }
        table.end();
    }
    addresses
}

/// Returns an address with its prefix length as `ip` prints it, however it is written.
fn plain_cidr(text: &str) -> Option<String> {
    let (ip, length) = text.split_once('/')?;
    let (ip, length) = (ip.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
    (length <= if ip.is_ipv4() { 32 } else { 128 }).then(|| format!("{ip}/{length}"))
}
