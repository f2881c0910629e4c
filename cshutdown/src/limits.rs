//! How long each node is waited for: what `cluster.toml` says, for a node after its overrides, and
//! with `-W AUTO` what its own history says.

use orderly_nodes::config::{Cluster, Profile};
use orderly_nodes::flags::RunFlags;
use orderly_nodes::history::History;
use orderly_nodes::site::Site;
use orderly_plan::drivers::NodeId;
use orderly_plan::shutdown::StopLimits;
use std::time::Duration;

/// How long a node is thought to take of which nothing is known, in milliseconds.
const USUAL: u64 = 60_000;

/// Returns the limits of each node and unit.
pub(crate) fn all(site: &Site, flags: &RunFlags, history: &History) -> Vec<StopLimits> {
    // Where a node has no history, AUTO means what is given beside it.
    let (for_all, by_history) = (flags.late_after(), flags.is_late_by_history());
    members(site)
        .map(|node| {
            if site.is_unit(node) {
                return limits(&site.cluster, &site.cluster.profile, true, None);
            }
            let own = by_history.then(|| history.late(site.name(node))).flatten();
            limits(&site.cluster, &site.profile(node), false, own.or(for_all))
        })
        .collect()
}

/// Returns for each node how much work it is: how long it usually takes, where it is to be stopped.
pub(crate) fn takes(site: &Site, nodes: &[NodeId], history: &History) -> Vec<u64> {
    let mut takes = vec![0; site.roster.len()];
    for &node in nodes {
        let usual = history.usual(site.name(node)).and_then(|usual| u64::try_from(usual.as_millis()).ok());
        takes[node.index()] = usual.unwrap_or(USUAL);
    }
    takes
}

/// Returns how long stopping these nodes takes, where all of them have a history.
pub(crate) fn expected(site: &Site, nodes: &[NodeId], history: &History) -> Option<Duration> {
    if nodes.is_empty() || nodes.iter().any(|&node| history.usual(site.name(node)).is_none()) {
        return None;
    }
    site.order.critical(&takes(site, nodes, history)).into_iter().max().map(Duration::from_millis)
}

fn members(site: &Site) -> impl Iterator<Item = NodeId> {
    (0..site.roster.len()).map(|at| NodeId(u32::try_from(at).unwrap_or(u32::MAX)))
}

fn limits(cluster: &Cluster, profile: &Profile, unit: bool, let_go: Option<Duration>) -> StopLimits {
    // Imagined time may run faster, and settling is nothing but waiting.
    let speed = cluster.speed();
    StopLimits {
        unit,
        settle: profile.shutdown.settle.div_f64(f64::from(speed)),
        timeout: profile.limits.timeout,
        retries: profile.limits.retries,
        let_go,
        cut_before: Duration::MAX,
        hurried: false,
    }
}
