//! The file in which a simulated world outlives its process.

use super::world::{NodeState, SimulatedWorld, Then};
use anyhow::Context;
use orderly_exec::files::{self, Found};
use orderly_exec::lock::Lock;
use orderly_exec::status::{OrStatus, Status, fail};
use orderly_plan::drivers::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FORMAT: &str = "orderly-simulator/1";

/// How long others are waited for: everybody takes moments.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least time between two writings while a run goes on.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    nodes: BTreeMap<String, StoredNode>,
}

/// A node in the file; `until` is in milliseconds since 1970, none is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "condition", rename_all = "snake_case")]
enum StoredNode {
    Off,
    Booting { until: Option<u64> },
    Up,
    Halting { until: Option<u64>, then: EntryThen },
    Halted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EntryThen {
    Off,
    Halted,
    Boots,
}

/// Where the world is kept, and what of it is not written yet.
#[derive(Debug)]
pub(crate) struct WorldStore {
    path: PathBuf,
    changed: BTreeSet<NodeId>,
    /// Nodes that the file did not have: whoever writes it first says what they are.
    new: BTreeSet<NodeId>,
    unwritten: bool,
    written: Option<Instant>,
}

impl WorldStore {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, changed: BTreeSet::new(), new: BTreeSet::new(), unwritten: true, written: None }
    }

    /// Remembers that a node is to be written.
    pub(crate) fn changed(&mut self, node: NodeId) {
        self.changed.insert(node);
        self.unwritten = true;
    }

    /// Makes the world as the file says; nodes that are not in it stay as they are.
    pub(crate) fn load(&mut self, world: &mut SimulatedWorld, names: &[String]) -> anyhow::Result<()> {
        let file = self.read()?;
        for (index, name) in names.iter().enumerate() {
            let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            match file.nodes.get(name) {
                Some(entry) => world.set_condition(node, condition(*entry)),
                None => self.unwritten |= self.new.insert(node),
            }
        }
        Ok(())
    }

    fn read(&self) -> anyhow::Result<File> {
        let text = match files::read_if_there(&self.path)? {
            Found::Missing => return Ok(File { format: FORMAT.into(), nodes: BTreeMap::new() }),
            Found::Text(text) => text,
        };
        let file: File = serde_json::from_str(&text)
            .with_context(|| format!("read {}; remove it to begin a new world", self.path.display()))
            .or_status(Status::Rejected)?;
        if file.format != FORMAT {
            return Err(fail(
                Status::Rejected,
                format!("read {}: format is \"{}\", not \"{FORMAT}\"", self.path.display(), file.format),
            ));
        }
        Ok(file)
    }

    /// Writes what this run changed into the file; what another run changed meanwhile stays.
    pub(crate) fn save(&mut self, world: &SimulatedWorld, names: &[String]) -> anyhow::Result<()> {
        if !self.unwritten {
            return Ok(());
        }
        // Several runs may act on one world.
        let _lock = Lock::wait(&self.path.with_extension("lock"), PATIENCE)?;
        let mut file = self.read()?;
        let named = |node: &NodeId| Some((names.get(node.index())?.clone(), entry(world.condition(*node))));
        for (name, entry) in self.new.iter().filter_map(named) {
            file.nodes.entry(name).or_insert(entry);
        }
        file.nodes.extend(self.changed.iter().filter_map(named));
        let mut text = serde_json::to_string(&file).context("write the simulated world")?;
        text.push('\n');
        files::replace(&self.path, text.as_bytes())?;
        // Cleared: written again later, they would undo what another run does meanwhile.
        self.changed.clear();
        self.new.clear();
        self.unwritten = false;
        self.written = Some(Instant::now());
        Ok(())
    }

    /// Writes what was changed, unless that was done just now.
    pub(crate) fn save_now_and_then(&mut self, world: &SimulatedWorld, names: &[String]) {
        if self.unwritten && self.written.is_none_or(|written| written.elapsed() >= PAUSE) {
            // Told at the end of the run, when it is tried again.
            self.save(world, names).ok();
            self.written = Some(Instant::now());
        }
    }
}

fn milliseconds(until: Option<Duration>) -> Option<u64> {
    until.map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX))
}

fn entry(condition: NodeState) -> StoredNode {
    match condition {
        NodeState::Off => StoredNode::Off,
        NodeState::Booting { until } => StoredNode::Booting { until: milliseconds(until) },
        NodeState::Up => StoredNode::Up,
        NodeState::Halting { until, then } => StoredNode::Halting {
            until: milliseconds(until),
            then: match then {
                Then::Off => EntryThen::Off,
                Then::Halted => EntryThen::Halted,
                Then::Boots => EntryThen::Boots,
            },
        },
        NodeState::Halted => StoredNode::Halted,
    }
}

fn condition(entry: StoredNode) -> NodeState {
    let time = |until: Option<u64>| until.map(Duration::from_millis);
    match entry {
        StoredNode::Off => NodeState::Off,
        StoredNode::Booting { until } => NodeState::Booting { until: time(until) },
        StoredNode::Up => NodeState::Up,
        StoredNode::Halting { until, then } => NodeState::Halting {
            until: time(until),
            then: match then {
                EntryThen::Off => Then::Off,
                EntryThen::Halted => Then::Halted,
                EntryThen::Boots => Then::Boots,
            },
        },
        StoredNode::Halted => NodeState::Halted,
    }
}
