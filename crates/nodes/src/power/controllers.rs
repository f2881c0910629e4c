//! How many power calls run at once for each controller: more would make a BMC freeze. And which
//! nodes are behind one that hangs: they are asked apart from all others, who would wait with them.

use crate::controllers::ControllerNumbers;
use crate::shared::SharedLimits;
use orderly_plan::drivers::NodeId;
use orderly_plan::inventory::Inventory;
use std::collections::HashSet;

/// Calls under way, by value of the inventory attribute that names a node's controller.
#[derive(Debug, Default)]
pub(super) struct Controllers {
    of: Vec<Option<u32>>,
    /// By controller, what all runs know it by; nothing where only one node has it, which only one run acts on.
    names: Vec<Option<String>>,
    busy: Vec<usize>,
    max: usize,
    suspects: HashSet<NodeId>,
}

impl Controllers {
    pub(super) fn new(inventory: &Inventory, per: Option<&str>, max: usize) -> Self {
        let Some(per) = per else { return Self::default() };
        let numbers = ControllerNumbers::new(inventory, Some(per));
        let of = numbers.all().to_vec();
        let mut nodes = vec![0usize; numbers.values.len()];
        of.iter().flatten().for_each(|controller| nodes[*controller as usize] += 1);
        let name = |(value, nodes): (String, usize)| (nodes > 1).then(|| format!("per {per}={value}"));
        let names: Vec<Option<String>> = numbers.values.into_iter().zip(nodes).map(name).collect();
        Self { of, busy: vec![0; names.len()], names, max, suspects: HashSet::new() }
    }

    /// Lets any number of calls go to each controller.
    pub(super) fn lift_limits(&mut self) {
        self.max = usize::MAX;
    }

    /// Tells whether another call may go to the node's controller, as far as this run and all others are concerned.
    pub(super) fn has_room(&self, node: NodeId, shared: &SharedLimits) -> bool {
        self.controller(node).is_none_or(|controller| {
            let busy = self.busy[controller];
            let may = |name: &String| shared.calls(controller, name, self.max, busy + 1) > busy;
            busy < self.max && self.names[controller].as_ref().is_none_or(may)
        })
    }

    /// Returns how many calls go to a controller.
    pub(super) fn busy(&self, controller: usize) -> usize {
        self.busy.get(controller).copied().unwrap_or(0)
    }

    /// Tells whether the node's controller may be asked how a call stands that runs already. Such a
    /// look is part of that call: with `max = 1` it could never be taken otherwise, and a call for
    /// many would be waited for until its limit because of one.
    pub(super) fn bears_a_look(&self, node: NodeId) -> bool {
        self.controller(node).is_none_or(|controller| self.busy[controller] <= self.max)
    }

    /// Takes note that a status for these nodes takes its time; some of them hang.
    pub(super) fn suspect(&mut self, nodes: &[NodeId]) {
        self.suspects.extend(nodes);
    }

    pub(super) fn trust(&mut self, node: NodeId) {
        self.suspects.remove(&node);
    }

    pub(super) fn is_suspect(&self, node: NodeId) -> bool {
        !self.suspects.is_empty() && self.suspects.contains(&node)
    }

    /// Counts one call for each controller that has a part in it.
    pub(super) fn occupy(&mut self, nodes: &[NodeId]) {
        for controller in self.distinct(nodes) {
            self.busy[controller] += 1;
        }
    }

    pub(super) fn free(&mut self, nodes: &[NodeId]) {
        for controller in self.distinct(nodes) {
            self.busy[controller] = self.busy[controller].saturating_sub(1);
        }
    }

    /// Counts one call for each node, where a program asks the controller for each of them at once.
    pub(super) fn occupy_each(&mut self, nodes: &[NodeId]) {
        for controller in nodes.iter().filter_map(|&node| self.controller(node)).collect::<Vec<_>>() {
            self.busy[controller] += 1;
        }
    }

    pub(super) fn free_each<'n>(&mut self, nodes: impl IntoIterator<Item = &'n NodeId>) {
        for node in nodes {
            if let Some(controller) = self.controller(*node) {
                self.busy[controller] = self.busy[controller].saturating_sub(1);
            }
        }
    }

    /// Returns how many more calls may go to a node's controller, and which that is; nothing where they are not counted.
    pub(super) fn room(&self, node: NodeId, is_each: bool, shared: &SharedLimits) -> Option<(usize, usize)> {
        let controller = self.controller(node)?;
        let busy = self.busy[controller];
        let wanted = if is_each { self.max } else { self.max.min(busy + 1) };
        let most = match &self.names[controller] {
            Some(name) => shared.calls(controller, name, self.max, wanted),
            None => wanted,
        };
        Some((controller, most.saturating_sub(busy)))
    }

    /// Parts a set: by power controller where the inventory names them, else neighbours together,
    /// in so many parts that a thousand nodes take two rounds, as far as there is room for calls.
    pub(super) fn split(&self, nodes: &[NodeId], room: usize) -> Vec<Vec<NodeId>> {
        let room = room.max(2);
        let mut units = self.parts(nodes);
        if units.len() > 1 && units.len() <= room {
            return units;
        }
        if units.len() < 2 {
            units = nodes.iter().map(|&node| vec![node]).collect();
        }
        let count = units.len().isqrt().clamp(2, (room / 2).max(2));
        units.chunks(units.len().div_ceil(count)).map(<[_]>::concat).collect()
    }

    /// Parts nodes by controller; those without one are together.
    fn parts(&self, nodes: &[NodeId]) -> Vec<Vec<NodeId>> {
        let mut parts: std::collections::BTreeMap<Option<usize>, Vec<NodeId>> =
            std::collections::BTreeMap::new();
        for &node in nodes {
            parts.entry(self.controller(node)).or_default().push(node);
        }
        parts.into_values().collect()
    }

    fn controller(&self, node: NodeId) -> Option<usize> {
        self.of.get(node.index()).copied().flatten().map(|controller| controller as usize)
    }

    fn distinct(&self, nodes: &[NodeId]) -> Vec<usize> {
        if self.of.is_empty() {
            return Vec::new();
        }
        let mut all: Vec<usize> = nodes.iter().filter_map(|&node| self.controller(node)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
