//! Keeps a start from resetting this very machine, or a node the run still needs: a reset is an off.

use crate::args::StartupArgs;
use anyhow::Result;
use orderly_exec::{Status, fail};
use orderly_nodes::backend::Backend;
use orderly_nodes::guard;
use orderly_nodes::own::{self, Own, OwnTargets};
use orderly_nodes::site::{Site, fold};
use orderly_nodes::targets::Targets;
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::Order;
use orderly_plan::select::Direction;
use orderly_plan::survey::{Condition, Reading};

/// Returns the targets that are this machine. Where none can be reset, nobody is asked for it.
///
/// # Errors
/// Ended by a signal.
pub(crate) fn find(
    args: &StartupArgs,
    site: &Site,
    targets: &Targets,
    readings: &[Reading],
    drivers: &mut dyn Backend,
) -> Result<OwnTargets> {
    let resets = |node: &NodeId| {
        site.profile(*node).limits.reset_stuck && readings[node.index()].condition() != Condition::Up
    };
    if args.reset || args.reset_all || targets.nodes.iter().any(resets) {
        return own::find(site, &targets.nodes, readings, drivers);
    }
    let own = Own::here(site.cluster.control_node.as_deref());
    let nodes = own.among(&site.inventory, &targets.nodes).into_keys().collect();
    Ok(OwnTargets { nodes, ..OwnTargets::default() })
}

/// Returns what there is to say against resetting these nodes.
pub(crate) fn objections(
    args: &StartupArgs,
    site: &Site,
    targets: &[NodeId],
    conditions: &[Condition],
    reset: &[NodeId],
    own: &OwnTargets,
) -> Vec<String> {
    if args.flags.even_self {
        return Vec::new();
    }
    let nodes = own.nodes.iter().copied().filter(|node| reset.binary_search(node).is_ok()).collect();
    let hit = OwnTargets { nodes, unread: own.unread.clone() };
    let acted = acted(targets, conditions, reset);
    let relays = guard::relays_reset(&site.inventory, &site.order, &acted, reset);
    guard::objections(&site.inventory, &hit, &relays, Direction::Startup)
}

/// Returns the targets not up through which others are reached or powered that are started beside them: a run that
/// reset them when they hang would still need them.
pub(crate) fn needed(
    site: &Site,
    targets: &[NodeId],
    conditions: &[Condition],
    reset: &[NodeId],
) -> Vec<NodeId> {
    let not_up = |node: &NodeId| conditions[node.index()] != Condition::Up;
    let may_hang: Vec<NodeId> = targets.iter().copied().filter(not_up).collect();
    let acted = acted(targets, conditions, reset);
    let relays = guard::relays_reset(&site.inventory, &site.order, &acted, &may_hang);
    relays.into_iter().map(|relay| relay.node).collect()
}

/// Refuses to reset this machine, and nodes the run still needs.
///
/// # Errors
/// Refused (4) with every reason.
pub(crate) fn guard(
    args: &StartupArgs,
    site: &Site,
    targets: &[NodeId],
    conditions: &[Condition],
    reset: &[NodeId],
    own: &OwnTargets,
) -> Result<()> {
    let lines = objections(args, site, targets, conditions, reset, own);
    if lines.is_empty() { Ok(()) } else { Err(fail(Status::Refused, lines.join("\n"))) }
}

/// Returns the order of the site, with the reset of this machine after all that is done to others.
///
/// # Errors
/// Refused (4) where others can begin only after it.
pub(crate) fn last(
    site: &Site,
    targets: &[NodeId],
    conditions: &[Condition],
    reset: &[NodeId],
    own: &[NodeId],
) -> Result<Order> {
    let mut order = site.order.clone();
    let hit: Vec<NodeId> = own.iter().copied().filter(|node| reset.binary_search(node).is_ok()).collect();
    if hit.is_empty() {
        return Ok(order);
    }
    // Those that wait for so many of its group go on without it where the others are enough.
    let counts = |node: NodeId| {
        targets.binary_search(&node).is_ok()
            || conditions.get(node.index()).is_some_and(|condition| *condition == Condition::Up)
    };
    order.excuse(&hit, counts);
    for other in acted(targets, conditions, reset).into_iter().filter(|other| !own.contains(other)) {
        hit.iter().for_each(|&node| order.put_before(other, node));
    }
    if order.sorted().is_none() {
        let name = fold(site, &hit);
        let why =
            "is this very machine, and others can be started only after it: nobody is left to start them";
        return Err(fail(Status::Refused, format!("{name} {why}")));
    }
    Ok(order)
}

/// Returns the targets that are started or reset, sorted.
fn acted(targets: &[NodeId], conditions: &[Condition], reset: &[NodeId]) -> Vec<NodeId> {
    let is_acted =
        |node: &NodeId| conditions[node.index()] != Condition::Up || reset.binary_search(node).is_ok();
    targets.iter().copied().filter(is_acted).collect()
}
