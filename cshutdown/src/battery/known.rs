//! What is known of how long nodes and subsystems take, and what is assumed where nothing is.

use crate::args::ShutdownArgs;
use crate::check::Checked;
use crate::input::ShutdownInput;
use crate::limits;
use orderly_nodes::backend::Backend;
use orderly_nodes::controllers::ControllerNumbers;
use orderly_nodes::history::{History, RunKind};
use orderly_nodes::site::Site;
use orderly_plan::deadline::{CallLimits, NodeCalls, NodeTakes};
use orderly_plan::drivers::{NodeId, RemoteCommand, Task};
use orderly_plan::survey::Condition;
use std::time::Duration;

/// What a call takes beside what it waits for.
const CALL: Duration = Duration::from_secs(2);

/// Earlier times by which is planned.
#[derive(Debug)]
pub(crate) struct Learned {
    pub halts: History,
    pub offs: History,
    pub subsystems: History,
    pub tellings: History,
    pub settlings: History,
}

impl Learned {
    pub(crate) fn read(simulated: bool, mut warn: impl FnMut(String)) -> Self {
        Self {
            halts: History::read(RunKind::Halt, simulated, &mut warn),
            offs: History::read(RunKind::PowerOff, simulated, &mut warn),
            subsystems: History::read(RunKind::Subsystem, simulated, &mut warn),
            tellings: History::read(RunKind::Telling, simulated, &mut warn),
            settlings: History::read(RunKind::Settling, simulated, &mut warn),
        }
    }
}

/// By what it is known how long something takes.
pub(super) struct Known<'k> {
    pub args: &'k ShutdownArgs,
    pub input: &'k ShutdownInput,
    pub checked: &'k Checked,
    pub learned: &'k Learned,
    pub drivers: &'k dyn Backend,
    /// How long asking all nodes how they stand has just taken.
    pub asking: Duration,
}

impl Known<'_> {
    fn site(&self) -> &Site {
        &self.input.site
    }

    /// Returns by how much imagined time is faster than that of the settings.
    pub(super) fn speed(&self) -> u32 {
        if self.args.flags.rehearse { 1 } else { self.site().cluster.speed() }
    }

    /// Returns what a call takes that waits for nothing.
    pub(super) fn call(&self) -> Duration {
        CALL / self.speed()
    }

    /// Returns the targets and units that are not down.
    pub(super) fn running(&self) -> Vec<NodeId> {
        let all = [self.checked.nodes.as_slice(), &self.checked.units].concat();
        let runs = |node: &NodeId| self.checked.conditions[node.index()] != Condition::Down;
        all.into_iter().filter(runs).collect()
    }

    /// Tells whether it is not known how long a node takes.
    pub(super) fn is_assumed(&self, node: NodeId) -> bool {
        let site = self.site();
        !site.is_unit(node) && self.learned.halts.slow(site.name(node)).is_none()
    }

    /// Returns how long a node or unit takes: as long as all but the slowest of its earlier times, else what
    /// `cluster.toml` says.
    pub(super) fn takes(&self, node: NodeId) -> NodeTakes {
        let (site, name) = (self.site(), self.site().name(node));
        let speed = self.speed();
        let unit = site.is_unit(node);
        let profile = if unit { site.cluster.profile.clone() } else { site.profile(node).into_owned() };
        let switches = self.args.wishes().power_off && self.drivers.abilities(node).switches_power;
        let off = switches.then(|| self.learned.offs.slow(name).unwrap_or(profile.power_timeout() / speed));
        if unit {
            return NodeTakes { halt: Duration::ZERO, off };
        }
        // Earlier times are those until the power was off.
        let part = off.and_then(|_| self.learned.offs.quick(name)).unwrap_or_default();
        let earlier = self.learned.halts.slow(name).map(|all| all.saturating_sub(part));
        let settle = profile.shutdown.settle / speed;
        let halt = match earlier {
            None => profile.shutdown.usual / speed + settle,
            // One whose power always read off by itself is not watched.
            Some(earlier) if switches && self.learned.offs.slow(name).is_some_and(|off| off.is_zero()) => {
                earlier
            }
            Some(earlier) => self.settled(name, earlier, settle),
        };
        NodeTakes { halt, off }
    }

    /// Returns how long a node takes to go down and settle. What it was watched for is no matter of the past: that may be
    /// longer by now, or shorter.
    fn settled(&self, name: &str, earlier: Duration, settle: Duration) -> Duration {
        match self.learned.settlings.quick(name) {
            Some(watched) => earlier.saturating_sub(watched) + settle,
            None => earlier.max(settle),
        }
    }

    /// Returns what holds the calls of the run back.
    pub(super) fn limits(&self) -> CallLimits {
        let site = self.site();
        let of = &site.cluster.limits;
        let controllers = ControllerNumbers::new(&site.inventory, of.per.as_deref());
        let at_once = self.drivers.at_once(of.fanout);
        let look = self.look(at_once);
        let calls = |at: usize| {
            let node = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
            let slot = |task| self.drivers.slot(node, task);
            NodeCalls {
                able: self.drivers.abilities(node),
                look,
                tell: self.tell(node),
                switch: look,
                shell: slot(Task::Run(RemoteCommand::Halt)),
                power: slot(Task::PowerOff),
                read: slot(Task::ReadPower),
                probe: slot(Task::Probe),
                controller: controllers.of(node),
            }
        };
        CallLimits {
            at_once,
            per_controller: of.max,
            calls: (0..site.roster.len()).map(calls).collect(),
            stops: limits::all(site, &self.args.flags, &self.learned.halts),
        }
    }

    /// Returns how long a question takes how a node stands, by what asking all of them took: where there were more than
    /// can be asked at once, each took its part.
    fn look(&self, at_once: usize) -> Duration {
        let site = self.site();
        if site.cluster.is_simulated() {
            return site.cluster.simulator.latency;
        }
        let asked = u32::try_from(self.checked.targets().len()).unwrap_or(u32::MAX);
        let rounds = f64::from(asked) / f64::from(u32::try_from(at_once).unwrap_or(u32::MAX)).max(1.0);
        self.asking.div_f64(rounds.max(1.0)).min(self.call())
    }

    /// Returns how long the command takes that halts a node.
    fn tell(&self, node: NodeId) -> Duration {
        let site = self.site();
        if site.cluster.is_simulated() {
            return site.cluster.simulator.latency;
        }
        self.learned.tellings.slow(site.name(node)).unwrap_or(self.call())
    }

    /// Returns how long the subsystems take that would be called, and those of which that is not known.
    pub(super) fn subsystems(&self) -> (Option<Duration>, Vec<String>) {
        let Some((sequence, order)) =
            self.input.subsystems.as_ref().filter(|_| !self.checked.alive().is_empty())
        else {
            return (None, Vec::new());
        };
        let settings = &self.site().cluster.subsystem;
        let usual = settings.usual.min(settings.timeout) / self.speed();
        let mut assumed = Vec::new();
        let takes = sequence.own_names().iter().map(|name| {
            let took = self.learned.subsystems.slow(name).unwrap_or_else(|| {
                assumed.push(name.to_owned());
                usual
            });
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX / 4)
        });
        let takes: Vec<u64> = takes.collect();
        let longest = order.critical(&takes).into_iter().max().unwrap_or(0);
        (Some(Duration::from_millis(longest)), assumed)
    }
}
