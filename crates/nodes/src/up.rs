//! What was up before a shutdown, so that exactly that can be brought back (`orderly-up/1`).
//!
//! One record in the state directory: that of the last shutdown. It is written before the first node
//! is told, and again at the end, without those that were down already.

use orderly_exec::clock;
use orderly_exec::files::{self, Found};
use orderly_exec::status::{OrStatus, Status, fail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FORMAT: &str = "orderly-up/1";

/// How old a record of a shutdown that did not reach its end may be, to be continued by the next.
const CONTINUED: Duration = Duration::from_secs(24 * 3600);

/// The nodes that were up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasUp {
    format: String,
    /// When the shutdown told the first node, for people.
    pub time: String,
    /// The same in seconds since 1970.
    since: u64,
    /// The shutdown reached its end: everything listed was stopped.
    pub complete: bool,
    /// In order of names.
    pub nodes: BTreeSet<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl WasUp {
    /// Returns the record of the last shutdown, where there is one; simulated nodes have their own.
    ///
    /// # Errors
    /// Rejected (3) when it cannot be read or is no such record.
    pub fn read(simulated: bool) -> anyhow::Result<Option<Self>> {
        let path = path(simulated);
        let Found::Text(text) = files::read_if_there(&path).or_status(Status::Rejected)? else {
            return Ok(None);
        };
        let named = |why: String| fail(Status::Rejected, format!("read {}: {why}", path.display()));
        let record: Self = serde_json::from_str(&text).map_err(|error| named(error.to_string()))?;
        if record.format != FORMAT {
            return Err(named(format!("format is \"{}\", not \"{FORMAT}\"", record.format)));
        }
        Ok(Some(Self { path, ..record }))
    }

    /// Returns the record of a shutdown that begins now, with those of `nodes` that are up; one that
    /// did not reach its end, and is not old, is continued: what it stopped was up before.
    pub fn begin(simulated: bool, before: Option<Self>, nodes: impl IntoIterator<Item = String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_young = |record: &Self| since.saturating_sub(record.since) < CONTINUED.as_secs();
        let continued = before.filter(|record| !record.complete && is_young(record));
        let mut all: BTreeSet<String> = nodes.into_iter().collect();
        all.extend(continued.map(|record| record.nodes).unwrap_or_default());
        Self {
            format: FORMAT.to_owned(),
            time: clock::now(),
            since,
            complete: false,
            nodes: all,
            path: path(simulated),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent() {
            files::private_directory(folder)?;
        }
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        files::replace(&self.path, text.as_bytes())
    }
}

fn path(simulated: bool) -> PathBuf {
    files::state_directory().join(if simulated { "was-up.simulated.json" } else { "was-up.json" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(record: &WasUp) -> Vec<&str> {
        record.nodes.iter().map(String::as_str).collect()
    }

    fn begin(before: Option<WasUp>, nodes: &[&str]) -> WasUp {
        WasUp::begin(true, before, nodes.iter().map(|node| (*node).to_owned()))
    }

    #[test]
    fn a_shutdown_that_did_not_reach_its_end_is_continued() {
        let mut first = begin(None, &["n2", "n1"]);
        assert_eq!(names(&begin(Some(first.clone()), &["n3"])), ["n1", "n2", "n3"]);
        first.since -= 25 * 3600;
        assert_eq!(names(&begin(Some(first.clone()), &["n3"])), ["n3"], "not after a day");
        let done = WasUp { complete: true, ..begin(None, &["n1"]) };
        assert_eq!(names(&begin(Some(done), &["n3"])), ["n3"]);
    }
}
