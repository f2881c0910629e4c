//! What special subsystems quieted at a shutdown, until what undoes it has been called (`orderly-quieted/1`).
//!
//! One record in the state directory. A subsystem is in it before it is called, so that a run that is killed leaves
//! nothing quieted that nobody knows of; a node leaves it when the program that undoes it has succeeded for that node.

use crate::records;
use orderly_exec::files::{self, Found};
use orderly_exec::status::{Status, fail};
use orderly_exec::{paths, trust};
use orderly_plan::report::QuietedReport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

const FORMAT: &str = "orderly-quieted/1";

/// What one subsystem quieted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietedBy {
    /// The subsystem.
    pub down: String,
    /// The program that undoes it.
    pub up: String,
    /// In order of names.
    pub nodes: BTreeSet<String>,
}

/// What is quieted, in the order in which subsystems were called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quieted {
    format: String,
    pub subsystems: Vec<QuietedBy>,
    #[serde(skip)]
    path: PathBuf,
}

impl Quieted {
    /// Returns what is quieted; simulated nodes have a record of their own.
    ///
    /// # Errors
    /// Rejected (3) when it cannot be read or is no such record.
    pub fn read(simulated: bool) -> anyhow::Result<Self> {
        let name = if simulated { "quieted.simulated.json" } else { "quieted.json" };
        let path = paths::state_directory().join(name);
        let Found::Text(text) = files::read_if_there(&path)? else {
            return Ok(Self { format: FORMAT.to_owned(), subsystems: Vec::new(), path });
        };
        // It names programs that a start runs.
        trust::check_only_owner_changes(&path)?;
        let named = |why: String| fail(Status::Rejected, format!("read {}: {why}", path.display()));
        let record: Self = serde_json::from_str(&text).map_err(|error| named(error.to_string()))?;
        if record.format != FORMAT {
            return Err(named(format!("format is \"{}\", not \"{FORMAT}\"", record.format)));
        }
        Ok(Self { path, ..record })
    }

    /// Changes what is remembered, while no other run does.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn change(simulated: bool, change: impl FnOnce(&mut Self)) -> anyhow::Result<()> {
        records::alone(|| {
            let mut quieted = Self::read(simulated)?;
            change(&mut quieted);
            quieted.save()
        })
    }

    /// Adds what a subsystem quiets now: the last that was called for those nodes that it had not quieted before.
    pub fn add(&mut self, down: &str, up: &str, nodes: impl Iterator<Item = String>) {
        let is_known =
            |node: &String| self.subsystems.iter().any(|by| by.down == down && by.nodes.contains(node));
        let nodes: BTreeSet<String> = nodes.filter(|node| !is_known(node)).collect();
        self.subsystems.iter_mut().filter(|by| by.down == down).for_each(|by| up.clone_into(&mut by.up));
        match self.subsystems.last_mut() {
            _ if nodes.is_empty() => {}
            Some(last) if last.down == down => last.nodes.extend(nodes),
            Some(_) | None => {
                self.subsystems.push(QuietedBy { down: down.to_owned(), up: up.to_owned(), nodes });
            }
        }
    }

    /// Takes nodes out for which what a subsystem did has been undone.
    pub fn undone<'n>(&mut self, down: &str, nodes: impl Iterator<Item = &'n str>) {
        let nodes: BTreeSet<&str> = nodes.collect();
        for by in self.subsystems.iter_mut().filter(|by| by.down == down) {
            by.nodes.retain(|node| !nodes.contains(node.as_str()));
        }
        self.subsystems.retain(|by| !by.nodes.is_empty());
    }

    /// Returns what is quieted for programs, in the order in which it is undone.
    pub fn report(&self) -> Vec<QuietedReport> {
        let one = |by: &QuietedBy| QuietedReport {
            subsystem: by.down.clone(),
            undone_by: by.up.clone(),
            nodes: orderly_plan::nodeset::fold(by.nodes.iter().map(String::as_str)),
        };
        self.subsystems.iter().rev().map(one).collect()
    }

    /// Returns all nodes of it, in order of names.
    pub fn nodes(&self) -> BTreeSet<&str> {
        self.subsystems.iter().flat_map(|by| by.nodes.iter().map(String::as_str)).collect()
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self) -> anyhow::Result<()> {
        if let Some(directory) = self.path.parent() {
            files::private_directory(directory)?;
        }
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        files::replace(&self.path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(record: &Quieted) -> Vec<(&str, Vec<&str>)> {
        record
            .subsystems
            .iter()
            .map(|by| (by.down.as_str(), by.nodes.iter().map(String::as_str).collect()))
            .collect()
    }

    #[test]
    fn stages_add_up_and_what_was_called_last_for_a_node_is_undone_first() {
        let mut record = Quieted { format: FORMAT.to_owned(), subsystems: Vec::new(), path: PathBuf::new() };
        let names =
            |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>().into_iter();
        record.add("/a", "/a-up", names(&["n1"]));
        record.add("/b", "/b-up", names(&["n1"]));
        record.add("/a", "/a-up2", names(&["n1", "n2"]));
        // Of n1 /b is undone first, as it was called last.
        assert_eq!(of(&record), [("/a", vec!["n1"]), ("/b", vec!["n1"]), ("/a", vec!["n2"])]);
        assert!(record.subsystems.iter().all(|by| by.down == "/b" || by.up == "/a-up2"));
        record.undone("/a", ["n2"].into_iter());
        record.undone("/b", ["n1"].into_iter());
        assert_eq!(of(&record), [("/a", vec!["n1"])]);
    }
}
