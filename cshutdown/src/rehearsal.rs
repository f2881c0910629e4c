//! The nodes of a rehearsal: imagined, all up, as slow as they were before, on a virtual clock.

use crate::args::ShutdownArgs;
use orderly_nodes::backend::Backend;
use orderly_nodes::connect;
use orderly_nodes::history::History;
use orderly_nodes::simulator::Initial;
use orderly_nodes::site::Site;

/// Returns them; those of `--fail` refuse what they are told.
///
/// # Errors
/// Usage (2) when `--fail` names nobody.
pub(crate) fn drivers(
    args: &ShutdownArgs,
    site: &Site,
    history: &History,
) -> anyhow::Result<Box<dyn Backend>> {
    let failing = args.flags.failing(site)?;
    let mut simulation = connect::rehearsal(&site.cluster, &site.inventory, Initial::Up)?;
    for node in site.inventory.ids() {
        if let Some(usual) = history.usual(site.name(node)) {
            simulation.world_mut().nature_mut(node).halts_as_usual(usual);
        }
    }
    failing.into_iter().for_each(|node| simulation.fail(node));
    Ok(simulation)
}
