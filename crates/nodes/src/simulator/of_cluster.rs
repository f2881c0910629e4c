//! The simulation of a cluster, as `[simulator]` and the drivers' abilities say.

use super::controllers::ImaginedControllers;
use super::{Initial, Nature, NodeState, Simulation};
use crate::config::Cluster;
use crate::roster::MemberKind;
use crate::wiring::Wiring;
use orderly_plan::drivers::NodeId;
use orderly_plan::inventory::Inventory;
use std::time::Duration;

impl Simulation {
    /// Imagines the nodes of a cluster, on a virtual clock.
    pub(crate) fn of(cluster: &Cluster, inventory: &Inventory, wiring: &Wiring, initial: Initial) -> Self {
        let settings = &cluster.simulator;
        let natures = wiring
            .roster
            .members()
            .iter()
            .map(|member| {
                let name = member.name.as_str();
                let (boot, halt) = match member.kind {
                    MemberKind::Node => {
                        (settings.time(name, settings.boot), settings.time(name, settings.halt))
                    }
                    MemberKind::Unit => (Duration::ZERO, Duration::ZERO),
                };
                let mut nature = Nature::sound(boot, halt);
                nature.latency = settings.latency;
                nature.powers_off = settings.powers_off;
                if settings.hang.iter().any(|hung| hung == name) {
                    nature.hang();
                }
                if settings.fail.iter().any(|failing| failing == name) {
                    nature.fail();
                }
                let condition = match initial {
                    Initial::Off => NodeState::Off,
                    Initial::Up => NodeState::Up,
                };
                (nature, condition)
            })
            .collect();
        let mut simulation = Self::imagine(natures);
        for index in 0..wiring.roster.len() {
            let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            let mut abilities = wiring.abilities(node);
            abilities.interval =
                abilities.interval.div_f64(f64::from(settings.speed.max(1))).max(Duration::from_millis(1));
            simulation.set_abilities(node, abilities);
        }
        simulation.controllers = ImaginedControllers::new(cluster, inventory);
        simulation.set_fanout(cluster.limits.fanout);
        simulation.set_limit(cluster.profile.power_timeout());
        simulation
    }
}
