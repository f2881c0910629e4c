//! Who is listed as absent (`absent`, `absent_file`).

use crate::config::Cluster;
use orderly_exec::{OrStatus, Status, fail, files, trust};
use orderly_plan::diagnostic::Diagnostics;
use orderly_plan::drivers::NodeId;
use orderly_plan::inventory::Inventory;
use orderly_plan::select::{self, AskedTargets, Field, TargetKind, TargetWord};
use std::path::Path;

/// Returns the nodes that are listed as absent, sorted.
///
/// # Errors
/// Rejected (3): words that name no node, each with its place, or a list that cannot be read or that others may write.
pub(crate) fn listed(cluster: &Cluster, inventory: &Inventory) -> anyhow::Result<Vec<NodeId>> {
    let field = Field { inventory, nodes: inventory.len(), partition: None };
    let named = |words: Vec<TargetWord>| {
        let asked = AskedTargets { kind: TargetKind::Names, words, exclude: Vec::new() };
        if asked.words.is_empty() { Ok(Vec::new()) } else { select::targets(field, &asked) }
    };
    let (mut nodes, mut wrong) = (Vec::new(), Diagnostics::default());
    if let Some(set) = &cluster.absent {
        match named(set.split_whitespace().map(TargetWord::typed).collect()) {
            Ok(found) => nodes.extend(found),
            Err(mut unknown) => {
                for diagnostic in &mut unknown.0 {
                    diagnostic.message = format!("{}: absent: {}", cluster.file, diagnostic.message);
                }
                wrong.0.append(&mut unknown.0);
            }
        }
    }
    if let Some(path) = &cluster.absent_file {
        match named(words_of(path)?) {
            Ok(found) => nodes.extend(found),
            Err(mut unknown) => wrong.0.append(&mut unknown.0),
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    wrong.or(nodes).or_status(Status::Rejected)
}

fn words_of(path: &Path) -> anyhow::Result<Vec<TargetWord>> {
    // A pipe would be read until somebody writes into it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(fail(Status::Rejected, format!("absent_file: {} is no file", path.display())));
    }
    let text = files::read(path)?;
    trust::check_only_owner_changes(path)?;
    Ok(select::words(&path.display().to_string(), &text))
}
