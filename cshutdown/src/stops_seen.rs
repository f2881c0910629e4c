//! How long nodes took in a run, for the next.

use crate::battery::Learned;
use orderly_nodes::backend::Backend;
use orderly_nodes::site::Site;
use orderly_plan::drivers::NodeId;
use orderly_plan::outcome::{NodeEnding, Outcome};
use orderly_plan::run::Run;
use orderly_plan::shutdown::Shutdown;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is known of nodes by a run that is over.
pub(crate) struct StopsSeen<'s> {
    pub site: &'s Site,
    pub run: &'s Shutdown<'s>,
    /// Power was to be switched off.
    pub switches: bool,
    pub drivers: &'s dyn Backend,
}

impl StopsSeen<'_> {
    /// Adds what the nodes took that are down. Not of those that kept their power for want of time: they took less than
    /// they usually do.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn remember(&self, learned: &mut Learned) -> anyhow::Result<()> {
        let began: BTreeMap<NodeId, Duration> = self.run.power_offs().collect();
        let told: BTreeMap<NodeId, (Duration, Duration)> =
            self.run.tellings().map(|(node, waited, took)| (node, (waited, took))).collect();
        let kept: BTreeSet<NodeId> = self.run.kept_power().collect();
        let endings = self.run.endings();
        let is_done = |ending: &&NodeEnding| ending.outcome == Outcome::Down && !kept.contains(&ending.node);
        for ending in endings.iter().filter(is_done) {
            let (Some(turn), Some(ended)) = (ending.began, ending.ended) else { continue };
            let (node, name) = (ending.node, self.site.name(ending.node));
            // Power that was not switched off has read off by itself.
            let switched = self.switches && self.drivers.abilities(node).switches_power;
            let off = began.get(&node).map(|began| ended.saturating_sub(*began));
            if switched {
                learned.offs.add(name, off.unwrap_or_default());
            }
            if self.site.is_unit(node) {
                continue;
            }
            let (waited, took) = told.get(&node).copied().unwrap_or_default();
            learned.halts.add(name, ended.saturating_sub(turn).saturating_sub(waited));
            if told.contains_key(&node) {
                learned.tellings.add(name, took);
            }
            let by_itself = switched && off.is_none();
            let settle = self.site.profile(node).shutdown.settle / self.site.cluster.speed();
            learned.settlings.add(name, if by_itself { Duration::ZERO } else { settle });
        }
        let known = |name: &str| self.site.inventory.by_name(name).is_some();
        if self.switches {
            learned.offs.save(known)?;
        }
        learned.tellings.save(known)?;
        learned.settlings.save(known)?;
        learned.halts.save(known)
    }
}
