//! What a run claims: its targets with their units, and what leads or trails them through either sequence.

use crate::claims::HeldClaim;
use crate::identity;
use crate::site::{Site, other_order};
use orderly_exec::status::unmarked;
use orderly_plan::claim::Claim;
use orderly_plan::drivers::NodeId;
use orderly_plan::graph::Order;
use orderly_plan::select::Direction;

/// How far a run may go beyond its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Targets,
    /// Nodes that have to come before them may become targets (`-E`).
    Extended,
}

/// Returns what a run claims that acts on these nodes in this direction, and a line for people where it has to claim
/// more than it wants.
pub fn claim(site: &Site, direction: Direction, targets: &[NodeId], reach: Reach) -> (Claim, Option<String>) {
    let other = other_order(site, direction);
    let claim = of(site, other.as_ref().ok(), targets, reach);
    let remark = other.err().map(|error| {
        let which = if direction == Direction::Startup { "shut down" } else { "started" };
        format!(
            "no other run may act beside this one, as it is not known in which order nodes are {which}: {}",
            unmarked(&error)
        )
    });
    (claim, remark)
}

/// Returns for each of these nodes what a run would claim that acts on it alone.
pub fn each(site: &Site, direction: Direction, nodes: &[NodeId], reach: Reach) -> Vec<Claim> {
    let other = other_order(site, direction).ok();
    nodes.iter().map(|&node| of(site, other.as_ref(), &[node], reach)).collect()
}

fn of(site: &Site, other: Option<&Order>, targets: &[NodeId], reach: Reach) -> Claim {
    let mut nodes = targets.to_vec();
    if reach == Reach::Extended {
        nodes.extend(site.order.all_leading(targets));
    }
    nodes.retain(|&node| !site.is_unit(node));
    let units = site.units_of(&nodes);
    let orders: Vec<_> = [&site.order].into_iter().chain(other).collect();
    let mut claim = Claim::of(&orders, &nodes, &units, |node| site.name(node));
    claim.marks = identity::claimed(site, &[nodes, units].concat());
    claim.unbounded = other.is_none();
    claim
}

/// Claims no more than what these nodes need, once it is known which of them a run adds to its targets (`-E`). Returns a
/// line for people where that could not be made known: all that was claimed stays claimed then.
pub fn narrow(held: &mut HeldClaim, site: &Site, direction: Direction, targets: &[NodeId]) -> Option<String> {
    let (claim, _) = claim(site, direction, targets, Reach::Targets);
    let error = held.narrow(claim).err()?;
    Some(format!("nodes that are not acted on stay claimed until this run ends: {error:#}"))
}
