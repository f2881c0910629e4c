//! `[[service]]`: what runs only where the asset is.

use super::limits::MINUTE;
use crate::platform::{Argv, Platform};
use orderly_exec::settings::Table;
use serde::Serialize;
use std::time::Duration;

/// One `[[service]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceTable {
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

/// Reads every `[[service]]`.
pub(super) fn read_all(root: &Table<'_>, platform: Platform) -> Vec<ServiceTable> {
    let mut services: Vec<ServiceTable> = Vec::new();
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
        services.extend(control.map(|control| ServiceTable { name, control, timeout }));
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
