//! How long each node is waited for: what `cluster.toml` says, for a node after its overrides.

use crate::args::Wait;
use orderly_nodes::config::{Cluster, Profile};
use orderly_plan::fleet::NodeId;
use orderly_plan::inventory::Inventory;
use orderly_plan::shutdown::Patience;
use std::time::Duration;

/// Returns the patience with each node and unit, of which there are `count`; units come last.
pub(crate) fn all(cluster: &Cluster, inventory: &Inventory, count: usize, waits: &[Wait]) -> Vec<Patience> {
    let let_go = let_go(waits);
    let nodes = inventory.ids().map(|node| {
        let profile = profile(cluster, inventory, node);
        patience(cluster, profile.as_ref().unwrap_or(&cluster.profile), false, let_go)
    });
    let unit = patience(cluster, &cluster.profile, true, None);
    nodes.chain(std::iter::repeat(unit)).take(count).collect()
}

/// Where there is no history, `AUTO` means what is given beside it.
fn let_go(waits: &[Wait]) -> Option<Duration> {
    waits.iter().rev().find_map(|wait| match wait {
        Wait::Seconds(limit) => Some(*limit),
        Wait::Auto => None,
    })
}

fn patience(cluster: &Cluster, profile: &Profile, unit: bool, let_go: Option<Duration>) -> Patience {
    // Imagined time may run faster, and settling is nothing but waiting.
    let speed = if cluster.is_simulated() { cluster.simulator.speed.max(1) } else { 1 };
    Patience {
        unit,
        settle: profile.shutdown.settle.div_f64(f64::from(speed)),
        timeout: profile.limits.timeout,
        retries: profile.limits.retries,
        let_go,
    }
}

/// Returns what holds for a node, where that is not what holds for all.
pub(crate) fn profile(cluster: &Cluster, inventory: &Inventory, node: NodeId) -> Option<Profile> {
    let node = inventory.node(node);
    let groups = node.groups.iter().filter_map(|group| cluster.group_overrides.get(group));
    let mut patches = groups.chain(cluster.node_overrides.get(&node.name)).peekable();
    patches.peek()?;
    let mut profile = cluster.profile.clone();
    patches.for_each(|patch| profile.apply(patch));
    Some(profile)
}
