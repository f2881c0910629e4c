//! The nodes of a rehearsal: imagined, all up, as slow as they were before, on a virtual clock.

use crate::args::ShutdownArgs;
use orderly_exec::{OrStatus, Status, fail};
use orderly_nodes::backend::{self, Backend};
use orderly_nodes::history::History;
use orderly_nodes::simulator::Initial;
use orderly_nodes::site::Site;
use orderly_plan::drivers::NodeId;

/// Returns them; those of `--fail` refuse what they are told.
///
/// # Errors
/// Usage (2) when `--fail` names nobody.
pub(crate) fn drivers(
    args: &ShutdownArgs,
    site: &Site,
    history: &History,
) -> anyhow::Result<Box<dyn Backend>> {
    let failing = failing(args, site)?;
    let mut drivers = backend::rehearse(&site.cluster, &site.inventory, Initial::Up)?;
    if let Some(simulation) = drivers.simulation() {
        for node in site.inventory.ids() {
            if let Some(usual) = history.usual(site.name(node)) {
                simulation.world_mut().nature_mut(node).halt = Some(usual);
            }
        }
        failing.into_iter().for_each(|node| simulation.fail(node));
    }
    Ok(drivers)
}

fn failing(args: &ShutdownArgs, site: &Site) -> anyhow::Result<Vec<NodeId>> {
    let mut failing = Vec::new();
    for set in &args.flags.fail {
        for name in site.inventory.expand(set).or_status(Status::Usage)? {
            match site.inventory.by_name(&name).or_else(|| site.roster.unit(&name)) {
                Some(node) => failing.push(node),
                None => {
                    return Err(fail(Status::Usage, format!("--fail: there is no node named \"{name}\"")));
                }
            }
        }
    }
    Ok(failing)
}
