//! At the end of a start, what subsystems quieted at a shutdown is undone for all nodes that are up again, whatever the
//! targets were; what was called last is undone first.
//!
//! A node for which something could not be undone is left out of all that was quieted before that, and stays
//! remembered: every later start tries again.

use orderly_exec::job::Ended;
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::HeldClaim;
use orderly_nodes::command::{CommandId, RunsOn, SideCommand};
use orderly_nodes::config::SubsystemHost;
use orderly_nodes::quieted::{Quieted, QuietedBy};
use orderly_nodes::reach::{self, Reach};
use orderly_nodes::run::drive;
use orderly_nodes::site::{Site, fold};
use orderly_nodes::subsystem::{argv, host, operand};
use orderly_nodes::telling::Telling;
use orderly_plan::claim::Claim;
use orderly_plan::drivers::{Event, Failure, NodeId};
use orderly_plan::report::QuietedReport;
use orderly_plan::select::Direction;
use orderly_plan::survey::{Condition, Survey};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// Something could not be undone.
    pub(crate) failed: bool,
    pub(crate) signal: Option<i32>,
}

/// Returns what is quieted still.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn still_quieted(simulated: bool) -> anyhow::Result<Vec<QuietedReport>> {
    Ok(Quieted::read(simulated)?.report())
}

/// Returns a line about what is quieted still, where something is.
pub(crate) fn line(quieted: &[QuietedReport]) -> Option<String> {
    let by = |by: &QuietedReport| format!("{} by {} ({} undoes it)", by.nodes, by.subsystem, by.undone_by);
    let all: Vec<String> = quieted.iter().map(by).collect();
    (!all.is_empty())
        .then(|| format!("quieted still, and undone by the start that finds them up: {}", all.join("; ")))
}

/// Has undone what can be.
///
/// # Errors
/// When the record cannot be read or written.
pub(crate) fn all(
    site: &Site,
    (log, claim): (&Path, &mut HeldClaim),
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<Resumed> {
    let simulated = drivers.is_simulated();
    let quieted = Quieted::read(simulated)?;
    if quieted.subsystems.is_empty() {
        return Ok(Resumed::default());
    }
    // Those of other runs are theirs: one that is about to stop them has quieted them for that.
    let free: BTreeSet<String> = claim.add(wanted(site, &quieted))?.into_iter().collect();
    // Another run may have undone some until then.
    let mut quieted = Quieted::read(simulated)?;
    quieted.subsystems.iter_mut().for_each(|by| by.nodes.retain(|node| free.contains(node)));
    quieted.subsystems.retain(|by| !by.nodes.is_empty());
    if quieted.subsystems.is_empty() {
        return Ok(Resumed::default());
    }
    let nodes: Vec<NodeId> =
        quieted.nodes().into_iter().filter_map(|name| site.inventory.by_name(name)).collect();
    let conditions = match ask(site, &nodes, drivers, telling) {
        Ok(conditions) => conditions,
        Err(signal) => return Ok(Resumed { signal: Some(signal), ..Resumed::default() }),
    };
    if let Some(name) = host_that_is_not_up(site, &conditions) {
        telling.say(&format!(
            "{name}, where subsystems are called, is not up: what they quieted stays so until it is"
        ));
        return Ok(Resumed::default());
    }
    let mut round =
        Round { site, log, conditions, drivers, stuck: BTreeSet::new(), resumed: Resumed::default() };
    for by in quieted.subsystems.iter_mut().rev() {
        // What cluster.toml says now: a path that was mistyped can be put right.
        if let Some(up) = site.cluster.subsystem.up.get(&by.down) {
            up.clone_into(&mut by.up);
        }
        let by = &*by;
        for (partition, nodes) in round.ready(by) {
            if round.resumed.signal.is_some() {
                return Ok(round.resumed);
            }
            if round.undo(by, partition.as_deref(), &nodes, telling) {
                let undone = nodes.iter().map(|&node| site.name(node));
                Quieted::change(simulated, |quieted| quieted.undone(&by.down, undone))?;
            } else {
                round.stuck.extend(nodes);
                round.resumed.failed = true;
            }
        }
    }
    Ok(round.resumed)
}

/// Returns what is quieted, and what a run would claim that starts it. What has left the inventory has its name alone.
fn wanted(site: &Site, quieted: &Quieted) -> Vec<(String, Claim)> {
    let (known, gone): (Vec<&str>, Vec<&str>) =
        quieted.nodes().into_iter().partition(|name| site.inventory.by_name(name).is_some());
    let nodes: Vec<NodeId> = known.iter().filter_map(|name| site.inventory.by_name(name)).collect();
    let claims = reach::each(site, Direction::Startup, &nodes, Reach::Targets);
    let alone = |name: &&str| Claim { targets: [(*name).to_owned()].into(), ..Claim::default() };
    let claims = claims.into_iter().chain(gone.iter().map(alone)).collect::<Vec<_>>();
    known.iter().chain(&gone).map(|&name| name.to_owned()).zip(claims).collect()
}

/// Asks how nodes stand, and those on which the programs may be called; the signal when that was interrupted.
fn ask(
    site: &Site,
    nodes: &[NodeId],
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> Result<Vec<Condition>, i32> {
    let partition = |node: &NodeId| site.inventory.node(*node).partition.as_deref();
    let partitions: BTreeSet<Option<&str>> = nodes.iter().map(partition).collect();
    let beside: Vec<NodeId> = match &site.cluster.subsystem.host {
        SubsystemHost::Control => Vec::new(),
        SubsystemHost::Node(name) => site.inventory.by_name(name).into_iter().collect(),
        SubsystemHost::Random => {
            site.inventory.ids().filter(|node| partitions.contains(&partition(node))).collect()
        }
    };
    let asked: BTreeSet<NodeId> = nodes.iter().copied().chain(beside).collect();
    let units = (0..site.roster.len()).map(|at| at >= site.inventory.len()).collect();
    // Whoever is silent is not up, and any that is will do: nobody is waited for.
    let asked: Vec<NodeId> = asked.into_iter().collect();
    let mut survey = Survey::new(site.roster.len(), asked.clone(), units).not_waiting_for(&asked);
    match drive(&mut survey, drivers.drivers(), telling) {
        Some(signal) => Err(signal),
        None => Ok(survey.conditions()),
    }
}

/// Returns the node on which the programs are called, where one is named and is not up.
fn host_that_is_not_up<'s>(site: &'s Site, conditions: &[Condition]) -> Option<&'s str> {
    let SubsystemHost::Node(name) = &site.cluster.subsystem.host else { return None };
    let node = site.inventory.by_name(name)?;
    (conditions[node.index()] != Condition::Up).then_some(name.as_str())
}

struct Round<'r> {
    site: &'r Site,
    log: &'r Path,
    conditions: Vec<Condition>,
    drivers: &'r mut dyn Backend,
    /// Nodes for which something could not be undone.
    stuck: BTreeSet<NodeId>,
    resumed: Resumed,
}

impl Round<'_> {
    /// Returns the nodes of a subsystem that are up and may be told of, by partition.
    fn ready(&self, by: &QuietedBy) -> BTreeMap<Option<String>, Vec<NodeId>> {
        let mut ready: BTreeMap<Option<String>, Vec<NodeId>> = BTreeMap::new();
        let nodes = by.nodes.iter().filter_map(|name| self.site.inventory.by_name(name));
        for node in nodes.filter(|node| self.conditions[node.index()] == Condition::Up) {
            if !self.stuck.contains(&node) {
                ready.entry(self.site.inventory.node(node).partition.clone()).or_default().push(node);
            }
        }
        ready
    }

    /// Calls the program that undoes something; tells whether it succeeded.
    fn undo(
        &mut self,
        by: &QuietedBy,
        partition: Option<&str>,
        nodes: &[NodeId],
        telling: &mut Telling<'_>,
    ) -> bool {
        let whom = fold(self.site, nodes);
        let ended = self.command(by, partition, nodes).and_then(|(command, place)| {
            telling.say(&format!("{} on {place}, for {whom}", by.up));
            telling.subsystem_called(&by.up, &place, self.drivers.now());
            let id = self.drivers.start(&command);
            let ended = self.wait_for(id, telling).map_err(|failure| failure.detail());
            let failure = match &ended {
                Ok(ended) if ended.succeeded() => None,
                Ok(ended) => Some(ended.clause()),
                Err(clause) => Some(clause.clone()),
            };
            telling.subsystem_ended(&by.up, &place, self.drivers.now(), failure.as_deref());
            ended
        });
        let clause = match ended {
            Ok(ended) if ended.succeeded() => return true,
            Ok(ended) => ended.clause(),
            Err(clause) => clause,
        };
        telling.warn(&format!(
            "{} failed, so what {} quieted stays so, and the next start tries again: {whom}: {clause}",
            by.up, by.down
        ));
        false
    }

    fn command(
        &self,
        by: &QuietedBy,
        partition: Option<&str>,
        nodes: &[NodeId],
    ) -> Result<(SideCommand, String), String> {
        let (on, place) = host(self.site, self.drivers, &self.conditions, partition)?;
        if on == RunsOn::Control && !self.drivers.is_simulated() {
            // It is run as root.
            orderly_exec::trust::check_program(by.up.as_ref()).map_err(|error| format!("{error:#}"))?;
        }
        let inventory = &self.site.inventory;
        let addresses: Vec<&str> = nodes.iter().map(|&node| inventory.node(node).address()).collect();
        let control = self.site.cluster.control_address(&addresses).map_err(|error| format!("{error:#}"))?;
        let operands: Vec<String> = nodes.iter().map(|&node| operand(self.site, node)).collect();
        let argv = argv(&by.up, "-u", &control, self.log, &operands);
        let timeout = self.site.cluster.subsystem.timeout;
        Ok((SideCommand { on, argv, stdin: Vec::new(), timeout }, place))
    }

    fn wait_for(&mut self, id: CommandId, telling: &mut Telling<'_>) -> Result<Ended, Failure> {
        loop {
            for event in self.drivers.next(None) {
                let Event::Signal(signal) = event else { continue };
                if self.resumed.signal.is_some() {
                    self.drivers.end_all();
                } else {
                    self.resumed.signal = Some(signal);
                    telling.warn("interrupted: the program that runs is waited for (again to end it)");
                }
            }
            if let Some((_, result)) = self.drivers.take_ended().into_iter().find(|(ended, _)| *ended == id) {
                return result;
            }
        }
    }
}
