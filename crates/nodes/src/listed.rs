//! Which nodes powermand knows: asked once, and of no controller, so that none can hang.

use crate::asked;
use crate::backend::Backend;
use crate::command::{RunsOn, SideCommand};
use crate::site::Site;
use orderly_exec::{Status, fail};
use orderly_plan::drivers::NodeId;
use orderly_plan::nodeset;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// The daemon reads its list from its own memory.
const ANSWERING: Duration = Duration::from_secs(10);

/// Finds out which of these nodes powermand does not know, and has the drivers remember it; returns what people
/// should know where it cannot be asked.
///
/// # Errors
/// Ended by a signal.
pub fn check(site: &Site, nodes: &[NodeId], drivers: &mut dyn Backend) -> anyhow::Result<Vec<String>> {
    if drivers.is_simulated() {
        return Ok(Vec::new());
    }
    let mut by_daemon: BTreeMap<Vec<String>, Vec<NodeId>> = BTreeMap::new();
    for &node in nodes {
        if let Some(listing) = site.profile(node).power.driver.listing() {
            by_daemon.entry(listing.call).or_default().push(node);
        }
    }
    let command = |argv: &Vec<String>| SideCommand {
        on: RunsOn::Control,
        argv: argv.clone(),
        stdin: Vec::new(),
        timeout: ANSWERING,
    };
    let commands: Vec<SideCommand> = by_daemon.keys().map(command).collect();
    let answers = asked::all(&commands, drivers)
        .map_err(|signal| fail(Status::Signal(signal), "interrupted before anything was done"))?;
    let mut doubts = Vec::new();
    for ((argv, nodes), answer) in by_daemon.into_iter().zip(answers) {
        let why = match answer {
            Ok(ended) if ended.succeeded() => {
                let text = ended.text();
                let known: HashSet<String> =
                    text.lines().filter_map(|line| nodeset::expand(line.trim()).ok()).flatten().collect();
                let is_unlisted = |node: &NodeId| !known.contains(site.name(*node));
                let unlisted: Vec<NodeId> = nodes.into_iter().filter(is_unlisted).collect();
                drivers.mark_unlisted(&unlisted);
                continue;
            }
            Ok(ended) => ended.clause(),
            Err(failure) => failure.detail(),
        };
        doubts.push(format!("which nodes powermand knows is not known: {}: {why}", argv.join(" ")));
    }
    Ok(doubts)
}
