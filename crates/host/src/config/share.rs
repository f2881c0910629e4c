//! `[[share]]`: folders of the asset that are exported where it is.

use super::client::{is_client, plain_client};
use super::limits::MINUTE;
use super::loopback::{LoopbackTable, insist_on_asset};
use crate::asset::MountTable;
use crate::platform::{Argv, Platform};
use orderly_exec::settings::Table;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// One `[[share]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShareTable {
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

/// Reads every `[[share]]`.
pub(super) fn read_all(
    root: &Table<'_>,
    platform: Platform,
    mounts: &[MountTable],
    loopbacks: &[LoopbackTable],
) -> Vec<ShareTable> {
    let mut shares: Vec<ShareTable> = Vec::new();
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
        let share = path.map(|path| ShareTable {
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
