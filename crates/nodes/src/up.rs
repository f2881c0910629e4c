//! What was up before a shutdown, so that exactly that can be brought back (`orderly-up/1`).
//!
//! One record in the state directory. It is written before the first node is told, and again at the end,
//! without those that were down already. The stages of a shutdown add up; a node leaves the record when a run
//! has brought it up.

use crate::records;
use orderly_exec::clock;
use orderly_exec::files::{self, Found};
use orderly_exec::paths;
use orderly_exec::status::{OrStatus, Status, fail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FORMAT: &str = "orderly-up/1";

/// How old a record may be that an older release wrote of a shutdown that did not reach its end, to be
/// continued by the next: starts did not take nodes out of it.
const CONTINUED: Duration = Duration::from_secs(24 * 3600);

/// The nodes that were up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasUp {
    format: String,
    /// When the first shutdown of those that add up told its first node, for people.
    pub time: String,
    /// The same in seconds since 1970.
    since: u64,
    /// The shutdown reached its end: everything listed was stopped.
    pub complete: bool,
    /// Nodes left it when they came up; records of older releases do not say that.
    #[serde(default)]
    kept_true: bool,
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

    /// Adds those of `nodes` that are up to the record, for a shutdown that begins now. A record that cannot be read is
    /// told of, and a new one is begun.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(
        simulated: bool,
        nodes: impl IntoIterator<Item = String>,
        warn: impl FnOnce(String),
    ) -> anyhow::Result<()> {
        records::alone(|| {
            let before = Self::read(simulated).unwrap_or_else(|error| {
                warn(format!("a new record of what is up is begun: {error:#}"));
                None
            });
            Self::begin(simulated, before, nodes).save()
        })
    }

    /// Ends what [`WasUp::add`] began, without the nodes that turned out to have been down.
    ///
    /// # Errors
    /// When the record cannot be read or written.
    pub fn end<'n>(
        simulated: bool,
        down: impl Iterator<Item = &'n str>,
        complete: bool,
    ) -> anyhow::Result<()> {
        records::alone(|| {
            let Some(mut record) = Self::read(simulated)? else { return Ok(()) };
            down.for_each(|node| {
                record.nodes.remove(node);
            });
            record.complete = complete;
            record.save()
        })
    }

    /// Returns the record of a shutdown that begins now, with those of `nodes` that are up, and what earlier
    /// ones stopped and no run has brought up since.
    fn begin(simulated: bool, before: Option<Self>, nodes: impl IntoIterator<Item = String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_young = |record: &Self| since.saturating_sub(record.since) < CONTINUED.as_secs();
        let goes_on = |record: &Self| record.kept_true || (!record.complete && is_young(record));
        let continued = before.filter(|record| !record.nodes.is_empty() && goes_on(record));
        let mut all: BTreeSet<String> = nodes.into_iter().collect();
        let mut begun = (clock::now(), since);
        if let Some(record) = continued {
            all.extend(record.nodes);
            begun = (record.time, record.since);
        }
        Self {
            format: FORMAT.to_owned(),
            time: begun.0,
            since: begun.1,
            complete: false,
            kept_true: true,
            nodes: all,
            path: path(simulated),
        }
    }

    /// Returns how long ago the first node of it was told.
    pub fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Duration::from_secs(now.saturating_sub(self.since))
    }

    /// Takes nodes that are up out of the record of what was up, where there is one.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn brought_up<'n>(simulated: bool, nodes: impl Iterator<Item = &'n str>) -> anyhow::Result<()> {
        if matches!(files::read_if_there(&path(simulated)), Ok(Found::Missing)) {
            return Ok(());
        }
        records::alone(|| {
            let Some(mut record) = Self::read(simulated)? else { return Ok(()) };
            let before = record.nodes.len();
            nodes.for_each(|node| {
                record.nodes.remove(node);
            });
            if record.nodes.len() == before && record.kept_true {
                return Ok(());
            }
            record.kept_true = true;
            record.save()
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent() {
            files::private_directory(folder)?;
        }
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        files::replace(&self.path, text.as_bytes())
    }
}

fn path(simulated: bool) -> PathBuf {
    paths::state_directory().join(if simulated { "was-up.simulated.json" } else { "was-up.json" })
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
    fn the_stages_of_a_shutdown_add_up() {
        let mut first = WasUp { complete: true, ..begin(None, &["n2", "n1"]) };
        first.since -= 25 * 3600;
        let both = begin(Some(first.clone()), &["n3"]);
        assert_eq!(names(&both), ["n1", "n2", "n3"]);
        assert_eq!((both.since, &both.time), (first.since, &first.time));
        assert!(both.age() >= Duration::from_secs(25 * 3600));
        let emptied = WasUp { nodes: BTreeSet::new(), ..first };
        assert!(begin(Some(emptied), &["n3"]).age() < Duration::from_secs(3600));
    }

    /// Starts of older releases left their nodes in it.
    #[test]
    fn of_an_older_release_only_a_shutdown_that_did_not_reach_its_end_is_continued() {
        let mut first = WasUp { kept_true: false, ..begin(None, &["n2", "n1"]) };
        assert_eq!(names(&begin(Some(first.clone()), &["n3"])), ["n1", "n2", "n3"]);
        first.since -= 25 * 3600;
        assert_eq!(names(&begin(Some(first.clone()), &["n3"])), ["n3"], "not after a day");
        let done = WasUp { complete: true, kept_true: false, ..begin(None, &["n1"]) };
        assert_eq!(names(&begin(Some(done), &["n3"])), ["n3"]);
    }
}
