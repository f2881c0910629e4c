//! Nodes that fail at every try as they are configured; a check (`-k`) names them and fails.

use crate::backend::Backend;
use crate::site::{Site, fold};
use orderly_plan::drivers::{NodeId, Task};
use orderly_plan::words::Words;
use serde::Serialize;

/// One of them, for programs.
#[derive(Debug, Clone, Serialize)]
pub struct PermanentFailure<'s> {
    pub node: &'s str,
    pub failure: &'static str,
    pub detail: String,
    #[serde(skip)]
    words: Words,
    #[serde(skip)]
    id: NodeId,
}

/// Returns those of `nodes` of which it is known by now, after they were asked how they stand; `task` tells what would
/// be done to the power of a node.
pub fn among<'s>(
    site: &'s Site,
    nodes: &[NodeId],
    task: impl Fn(NodeId) -> Option<Task>,
    drivers: &dyn Backend,
) -> Vec<PermanentFailure<'s>> {
    let one = |&id: &NodeId| {
        let unallowed = || drivers.unallowed(id, task(id)?);
        let failure = drivers.permanent_failure(id).or_else(unallowed)?;
        Some(PermanentFailure {
            node: site.name(id),
            failure: failure.kind.word(),
            detail: failure.detail(),
            words: failure.words(),
            id,
        })
    };
    nodes.iter().filter_map(one).collect()
}

/// Returns what people are told, those of whom the same is to be said in one line.
pub fn lines(site: &Site, failures: &[PermanentFailure<'_>]) -> Vec<String> {
    let mut rows: Vec<(&Words, Vec<NodeId>)> = Vec::new();
    for one in failures {
        match rows.iter_mut().find(|(words, _)| **words == one.words) {
            Some((_, nodes)) => nodes.push(one.id),
            None => rows.push((&one.words, vec![one.id])),
        }
    }
    let line = |(words, nodes): &(&Words, Vec<NodeId>)| {
        format!("{}: cannot succeed as configured: {}", fold(site, nodes), words.of_count(nodes.len()))
    };
    rows.iter().map(line).collect()
}
