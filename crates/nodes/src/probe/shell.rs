//! `driver = "shell"`: up when a command succeeds on the node.

use super::driver::{ProbeBy, ProbeDriver, ProbeEntry};

pub(super) const ENTRY: ProbeEntry = ProbeEntry {
    word: "shell",
    keys: &["command"],
    read: |table, base| {
        let before = match base.map(|base| &base.by) {
            Some(ProbeBy::CommandThere(command)) => command,
            _ => "true",
        };
        let command = table.text("command").unwrap_or_else(|| before.to_owned());
        Some(ProbeDriver { word: ENTRY.word, by: ProbeBy::CommandThere(command) })
    },
};
