//! The nodes of a run: real ones through their drivers, imagined ones through the simulator.

use crate::backend::Backend;
use crate::config::Cluster;
use crate::dispatcher::Dispatcher;
use crate::shared::SharedLimits;
use crate::simulator::{Initial, Simulation, WorldStore};
use crate::wiring::wire;
use orderly_exec::children::Children;
use orderly_exec::signals::Signals;
use orderly_exec::status::{OrStatus, Status};
use orderly_plan::inventory::Inventory;

/// Makes the nodes of `inventory` ready, as `cluster` says, and listens to signals. Once a process.
///
/// # Errors
/// Rejected (3) when an override names nobody, or a driver cannot be used on a node.
pub fn backend(cluster: &Cluster, inventory: &Inventory) -> anyhow::Result<Box<dyn Backend>> {
    let wiring = wire(cluster, inventory).or_status(Status::Rejected)?;
    let children = Children::new(Signals::listen()?)?;
    if !cluster.is_simulated() {
        return Ok(Box::new(Dispatcher::new(cluster, inventory, wiring, children)));
    }
    let names = wiring.roster.members().iter().map(|member| member.name.clone()).collect();
    let store = WorldStore::at(cluster.simulator_state());
    let simulation = Simulation::of(cluster, inventory, &wiring, cluster.simulator.initial);
    Ok(Box::new(
        simulation.limited(SharedLimits::own(cluster, inventory)).on_real_clock(children, store, names)?,
    ))
}

/// Imagines the same nodes on a virtual clock, whatever their drivers: nothing is touched.
///
/// # Errors
/// As [`backend`].
pub fn rehearsal(
    cluster: &Cluster,
    inventory: &Inventory,
    initial: Initial,
) -> anyhow::Result<Box<Simulation>> {
    let wiring = wire(cluster, inventory).or_status(Status::Rejected)?;
    Ok(Box::new(Simulation::of(cluster, inventory, &wiring, initial)))
}
