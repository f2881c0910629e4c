//! Imagined power controllers: how many calls run at once for each, as `limits.per` and `limits.max` say.

use crate::config::Cluster;
use crate::controllers::ControllerNumbers;
use orderly_plan::drivers::{NodeId, Task};
use orderly_plan::inventory::Inventory;
use std::collections::HashMap;

/// The calls under way, by controller.
#[derive(Debug, Default)]
pub(super) struct ImaginedControllers {
    numbers: ControllerNumbers,
    busy: HashMap<u32, usize>,
    max: usize,
}

impl ImaginedControllers {
    pub(super) fn new(cluster: &Cluster, inventory: &Inventory) -> Self {
        let numbers = ControllerNumbers::new(inventory, cluster.limits.per.as_deref());
        Self { numbers, busy: HashMap::new(), max: cluster.limits.max }
    }

    fn of(&self, task: Task, node: NodeId) -> Option<u32> {
        self.numbers.of(node).filter(|_| !matches!(task, Task::Run(_) | Task::Probe))
    }

    pub(super) fn has_room(&self, task: Task, node: NodeId) -> bool {
        let busy = |controller| self.busy.get(&controller).copied().unwrap_or(0);
        self.of(task, node).is_none_or(|controller| busy(controller) < self.max)
    }

    pub(super) fn occupy(&mut self, task: Task, node: NodeId) {
        if let Some(controller) = self.of(task, node) {
            *self.busy.entry(controller).or_default() += 1;
        }
    }

    pub(super) fn free(&mut self, task: Task, node: NodeId) {
        if let Some(busy) = self.of(task, node).and_then(|controller| self.busy.get_mut(&controller)) {
            *busy = busy.saturating_sub(1);
        }
    }

    /// Lets any number of calls go to each controller.
    pub(super) fn lift_limits(&mut self) {
        self.max = usize::MAX;
    }
}
