//! How long nodes took to start or to halt, remembered for `-W AUTO`, for the longest path and for
//! forecasts. Each action has a file of its own in the state directory.
//!
//! Bounded: the last `KEPT` times of a node, and at most `NODES` nodes unless the inventory at
//! hand has more; then those that it does not know are forgotten.

use crate::records;
use orderly_exec::files::{self, Found};
use orderly_exec::paths;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How many times of a node are remembered.
const KEPT: usize = 20;

/// How many nodes are remembered before those of other inventories are forgotten.
const NODES: usize = 20_000;

/// What took longer, in seconds, was not a node: a week.
const LONGEST: f64 = 7.0 * 86_400.0;

/// What the times are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// From the turn of a node until it is up.
    Start,
    /// From the turn of a node until it is down, and off where it was switched off, without what it waited for a slot.
    Halt,
    /// From the power-off of a node until its power reads off; nothing where it switches itself off.
    PowerOff,
    /// From the call of a subsystem until it has ended; by its path.
    Subsystem,
    /// From the beginning of the command that halts a node until that has ended.
    Telling,
    /// How long a node was watched being down before it counted as such; nothing where its power read off by itself.
    Settling,
}

/// Earlier times, by node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    format: String,
    /// The last times of each node, oldest first.
    seconds: BTreeMap<String, Vec<f64>>,
    /// What this run adds, which other runs do not undo.
    #[serde(skip)]
    added: Vec<(String, f64)>,
    #[serde(skip)]
    path: PathBuf,
}

const FORMAT: &str = "orderly-history/1";

impl History {
    /// Reads the history of an action from the state directory; simulated nodes have one of their
    /// own. A history that cannot be read is told of and taken for empty: it only ever guides.
    pub fn read(action: RunKind, simulated: bool, warn: impl FnOnce(String)) -> Self {
        let name = match (action, simulated) {
            (RunKind::Start, false) => "start-history.json",
            (RunKind::Start, true) => "start-history.simulated.json",
            (RunKind::Halt, false) => "halt-history.json",
            (RunKind::Halt, true) => "halt-history.simulated.json",
            (RunKind::PowerOff, false) => "off-history.json",
            (RunKind::PowerOff, true) => "off-history.simulated.json",
            (RunKind::Subsystem, false) => "subsystem-history.json",
            (RunKind::Subsystem, true) => "subsystem-history.simulated.json",
            (RunKind::Telling, false) => "tell-history.json",
            (RunKind::Telling, true) => "tell-history.simulated.json",
            (RunKind::Settling, false) => "settle-history.json",
            (RunKind::Settling, true) => "settle-history.simulated.json",
        };
        Self::of(paths::state_directory().join(name), warn)
    }

    fn of(path: PathBuf, warn: impl FnOnce(String)) -> Self {
        let empty =
            |path| Self { format: FORMAT.to_owned(), seconds: BTreeMap::new(), added: Vec::new(), path };
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

    /// Remembers how long a node took.
    pub fn add(&mut self, node: &str, took: Duration) {
        let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        self.push(node, seconds);
        self.added.push((node.to_owned(), seconds));
    }

    fn push(&mut self, node: &str, seconds: f64) {
        let times = self.seconds.entry(node.to_owned()).or_default();
        times.push(seconds);
        times.drain(..times.len().saturating_sub(KEPT));
    }

    /// Forgets nodes that are not `known`, where there are more than are worth remembering.
    fn forget(&mut self, known: impl Fn(&str) -> bool) {
        if self.seconds.len() > NODES {
            self.seconds.retain(|node, _| known(node));
        }
    }

    /// Writes what this run adds into the history; `known` are the nodes of the inventory at hand.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, known: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        records::alone(|| {
            // What cannot be read was told of at the beginning.
            let mut all = Self::of(self.path.clone(), |_| {});
            self.added.iter().for_each(|(node, seconds)| all.push(node, *seconds));
            all.forget(known);
            files::replace(&all.path, &serde_json::to_vec(&all)?)
        })
    }

    /// Returns how long a node usually takes: the middle of its earlier times.
    pub fn usual(&self, node: &str) -> Option<Duration> {
        self.share(node, 50)
    }

    /// Returns after how long a node is late: twice what it took in all but the slowest of its
    /// earlier times.
    pub fn late(&self, node: &str) -> Option<Duration> {
        Some(self.share(node, 95)? * 2)
    }

    /// Returns how long a node took in all but the slowest of its earlier times.
    pub fn slow(&self, node: &str) -> Option<Duration> {
        self.share(node, 95)
    }

    /// Returns how long a node took at the least.
    pub fn quick(&self, node: &str) -> Option<Duration> {
        self.share(node, 0)
    }

    fn share(&self, node: &str, percent: usize) -> Option<Duration> {
        let mut times = self.seconds.get(node)?.clone();
        times.retain(|seconds| (0.0..=LONGEST).contains(seconds));
        times.sort_by(f64::total_cmp);
        let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(at).and_then(|&seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan of a shutdown on battery ended in a panic.
    #[test]
    fn what_no_node_takes_is_not_known() {
        let mut history = history(&[]);
        history.seconds.insert("n1".to_owned(), vec![1.8e19, f64::NAN, -1.0, 20.0]);
        history.seconds.insert("n2".to_owned(), vec![1.8e19, f64::INFINITY]);
        assert_eq!(history.slow("n1"), Some(Duration::from_secs(20)));
        assert_eq!((history.slow("n2"), history.usual("n2"), history.quick("n2")), (None, None, None));
    }

    fn history(starts: &[u64]) -> History {
        let mut history = History {
            format: FORMAT.to_owned(),
            seconds: BTreeMap::new(),
            added: Vec::new(),
            path: PathBuf::new(),
        };
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
        assert_eq!(history.slow("n01"), Some(Duration::from_secs(24)));
        assert_eq!(history.quick("n01"), Some(Duration::from_secs(6)), "of the last 20");
    }

    #[test]
    fn one_start_is_a_history_and_a_spoilt_one_is_none() {
        assert_eq!(history(&[7]).late("n01"), Some(Duration::from_secs(14)));
        let mut spoilt = history(&[]);
        spoilt.seconds.insert("n01".to_owned(), vec![f64::NAN, -1.0, f64::INFINITY]);
        assert_eq!(spoilt.usual("n01"), None);
    }

    #[test]
    fn nodes_of_other_inventories_are_forgotten_only_when_there_are_too_many() {
        let mut history = history(&[3]);
        history.forget(|_| false);
        assert_eq!(history.usual("n01"), Some(Duration::from_secs(3)));
        for node in 0..NODES {
            history.add(&format!("old{node}"), Duration::from_secs(1));
        }
        history.forget(|node| node == "n01");
        assert_eq!(history.seconds.len(), 1);
        assert_eq!(history.usual("n01"), Some(Duration::from_secs(3)));
    }
}
