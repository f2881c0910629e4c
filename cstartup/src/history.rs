//! How long nodes took to start, remembered for `-W AUTO`, for the longest path and for forecasts.

use orderly_exec::files::{self, Found};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How many starts of a node are remembered.
const KEPT: usize = 20;

/// Earlier starts, by node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    format: String,
    /// The last starts of each node, oldest first.
    start_seconds: BTreeMap<String, Vec<f64>>,
    #[serde(skip)]
    path: PathBuf,
}

const FORMAT: &str = "orderly-history/1";

impl History {
    /// Reads the history from the state directory; simulated nodes have one of their own. A history
    /// that cannot be read is told of and taken for empty: it only ever guides.
    pub(crate) fn read(simulated: bool, warn: impl FnOnce(String)) -> Self {
        let name = if simulated { "start-history.simulated.json" } else { "start-history.json" };
        let path = files::state_directory().join(name);
        let empty = |path| Self { format: FORMAT.to_owned(), start_seconds: BTreeMap::new(), path };
        let text = match files::read_if_there(&path) {
            Ok(Found::Missing) => return empty(path),
            Ok(Found::Text(text)) => text,
            Err(error) => {
                warn(format!("no history is used: {error:#}"));
                return empty(path);
            }
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(history) if history.format == FORMAT => Self { path, ..history },
            Ok(history) => {
                warn(format!("no history is used: {} is {}", path.display(), history.format));
                empty(path)
            }
            Err(error) => {
                warn(format!("no history is used: {}: {error}", path.display()));
                empty(path)
            }
        }
    }

    /// Remembers a start.
    pub(crate) fn add(&mut self, node: &str, took: Duration) {
        let starts = self.start_seconds.entry(node.to_owned()).or_default();
        starts.push((took.as_secs_f64() * 1000.0).round() / 1000.0);
        starts.drain(..starts.len().saturating_sub(KEPT));
    }

    /// Writes the history.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent() {
            files::private_directory(folder)?;
        }
        files::replace(&self.path, &serde_json::to_vec(self)?)
    }

    /// Returns how long a start of a node usually takes: the middle of its earlier ones.
    pub(crate) fn usual(&self, node: &str) -> Option<Duration> {
        self.share(node, 50)
    }

    /// Returns after how long a node is late: twice what all but the slowest of its starts took.
    pub(crate) fn late(&self, node: &str) -> Option<Duration> {
        Some(self.share(node, 95)? * 2)
    }

    fn share(&self, node: &str, percent: usize) -> Option<Duration> {
        let mut starts = self.start_seconds.get(node)?.clone();
        starts.retain(|seconds| seconds.is_finite() && *seconds >= 0.0);
        starts.sort_by(f64::total_cmp);
        let at = (starts.len() * percent).div_ceil(100).saturating_sub(1);
        starts.get(at).and_then(|&seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(starts: &[u64]) -> History {
        let mut history =
            History { format: FORMAT.to_owned(), start_seconds: BTreeMap::new(), path: PathBuf::new() };
        starts.iter().for_each(|&seconds| history.add("n01", Duration::from_secs(seconds)));
        history
    }

    #[test]
    fn a_node_is_late_after_twice_what_it_took_at_worst_but_for_one_in_twenty() {
        let all: Vec<u64> = (1..=25).collect();
        let history = history(&all);
        assert_eq!(history.usual("n01"), Some(Duration::from_secs(15)));
        assert_eq!(history.late("n01"), Some(Duration::from_secs(48)), "of the last 20, the 19th is 24");
        assert_eq!(history.late("n02"), None);
    }

    #[test]
    fn one_start_is_a_history_and_a_spoilt_one_is_none() {
        assert_eq!(history(&[7]).late("n01"), Some(Duration::from_secs(14)));
        let mut spoilt = history(&[]);
        spoilt.start_seconds.insert("n01".to_owned(), vec![f64::NAN, -1.0, f64::INFINITY]);
        assert_eq!(spoilt.usual("n01"), None);
    }
}
