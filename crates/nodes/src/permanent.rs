//! Nodes that fail at every try as they are configured; a check (`-k`) names them and fails.

use crate::backend::Backend;
use crate::site::Site;
use crate::targets::fold;
use orderly_plan::drivers::NodeId;
use orderly_plan::report;
use serde::Serialize;

/// One of them, for programs.
#[derive(Debug, Clone, Serialize)]
pub struct PermanentFailure<'s> {
    pub node: &'s str,
    pub failure: &'static str,
    pub detail: String,
    #[serde(skip)]
    id: NodeId,
}

/// Returns those of `nodes` of which it is known by now, after they were asked how they stand.
pub fn among<'s>(site: &'s Site, nodes: &[NodeId], drivers: &dyn Backend) -> Vec<PermanentFailure<'s>> {
    let one = |&id: &NodeId| {
        let failure = drivers.permanent_failure(id)?;
        Some(PermanentFailure {
            node: site.name(id),
            failure: failure.kind.word(),
            detail: failure.detail(),
            id,
        })
    };
    nodes.iter().filter_map(one).collect()
}

/// Returns what people are told, those of whom the same is to be said in one line.
pub fn lines(site: &Site, failures: &[PermanentFailure<'_>]) -> Vec<String> {
    let keys = report::comparable(failures.iter().map(|one| (one.detail.as_str(), one.node)));
    let mut rows: Vec<(&String, Vec<&PermanentFailure<'_>>)> = Vec::new();
    for (key, one) in keys.iter().zip(failures) {
        match rows.iter_mut().find(|(known, _)| *known == key) {
            Some((_, row)) => row.push(one),
            None => rows.push((key, vec![one])),
        }
    }
    let line = |(key, row): &(&String, Vec<&PermanentFailure<'_>>)| {
        let nodes: Vec<NodeId> = row.iter().map(|one| one.id).collect();
        let said = report::of_all(key, row.iter().map(|one| one.detail.as_str()));
        format!("{}: cannot succeed as configured: {said}", fold(site, &nodes))
    };
    rows.iter().map(line).collect()
}
