//! `driver = "command"`: the site states the command that runs another on a node.

use super::driver::{ShellDriver, ShellEntry, before};
use crate::roster::Member;
use crate::template::{Reach, Template};
use orderly_exec::settings::Table;
use std::ffi::OsString;
use std::sync::Arc;

pub(super) const ENTRY: ShellEntry = ShellEntry {
    word: "command",
    keys: &["run"],
    read: |table, base| {
        if before::<ShellCommand>(base).is_none() {
            table.need("run");
        }
        Some(Arc::new(ShellCommand(read_run(table)?)))
    },
};

#[derive(Debug)]
struct ShellCommand(Template);

impl ShellDriver for ShellCommand {
    fn word(&self) -> &'static str {
        ENTRY.word
    }

    fn argv(&self, node: &Member, command: &str) -> anyhow::Result<Vec<OsString>> {
        self.0.fill(&[node], command)
    }

    fn template(&self) -> Option<&Template> {
        Some(&self.0)
    }
}

/// Reads the command that takes another to a node.
pub(super) fn read_run(table: &Table<'_>) -> Option<Template> {
    let run = Template::read(table, "run")?;
    let wrong = if !run.takes_command() {
        "has no {command}"
    } else if run.reach() == Reach::Set {
        "runs on one node at a time; write {node} or {address}"
    } else if !run.names_node() {
        // Without it, the halt command would halt this machine.
        "does not say which node; write {node}, {number}, {address} or an attribute"
    } else {
        return Some(run);
    };
    table.reject("run", format!("{}: {wrong}", table.named("run")));
    None
}
