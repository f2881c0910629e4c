//! The nodes of a run behind [`Fleet`]: real ones through their drivers, imagined ones through the
//! simulator.

mod ahead;
mod controllers;
mod programs;
mod wires;

use crate::config::programs as named;
use crate::config::{Cluster, Probe, Profile};
use crate::probe::ProbeDriver;
use crate::roster::{Kind, Roster};
use crate::shell::ShellDriver;
use crate::simulator::{Condition, Initial, Nature, Simulation, Store};
use orderly_exec::children::Children;
use orderly_exec::files;
use orderly_exec::job::{Ended, Ending};
use orderly_exec::signals::Signals;
use orderly_exec::status::{OrStatus, Status};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use orderly_plan::fleet::{Abilities, Event, Failure, Fleet, NodeId, Task};
use orderly_plan::inventory::Inventory;
use orderly_plan::nodeset;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use wires::Wires;

/// The nodes of a run and their drivers.
#[derive(Debug)]
pub struct Drivers {
    fleet: Kindred,
    next: u64,
    ended: Vec<(CommandId, Result<Ended, Failure>)>,
}

#[derive(Debug)]
enum Kindred {
    Real(Box<Wires>),
    Simulated(Box<Simulation>),
}

/// A command that is no part of a node's own course: a subsystem, a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub on: Host,
    /// The program and its arguments; on a node they arrive as the same words.
    pub argv: Vec<String>,
    pub stdin: Vec<u8>,
    pub timeout: Duration,
}

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// On this machine.
    Control,
    /// On this node, through its shell driver.
    Node(NodeId),
}

/// A command that was begun with [`Drivers::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub(crate) u64);

/// What each member gets, after all overrides.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) roster: Roster,
    pub(crate) profiles: Vec<Profile>,
    /// By member.
    pub(crate) profile_of: Vec<u32>,
}

impl Wiring {
    pub(crate) fn profile(&self, node: NodeId) -> &Profile {
        &self.profiles[self.profile_of[node.index()] as usize]
    }

    pub(crate) fn abilities(&self, node: NodeId) -> Abilities {
        let profile = self.profile(node);
        let runs = self.roster.member(node).kind == Kind::Node;
        let power = &profile.power.driver;
        Abilities {
            switches_power: power.switches(),
            reads_power: power.reads(),
            confirms_power: power.is_known() && power.switches() && !power.is_simulated(),
            resets: power.resets(),
            runs_commands: runs && profile.shell.driver != ShellDriver::None,
            probes: runs && profile.probe.driver != ProbeDriver::None,
            interval: profile.probe.interval,
        }
    }
}

impl Drivers {
    /// Wires up the nodes of `inventory` as `cluster` says, and listens to signals. Once a process.
    ///
    /// # Errors
    /// Rejected (3) when an override names nobody, or a driver cannot be used on a node.
    pub fn new(cluster: &Cluster, inventory: &Inventory) -> anyhow::Result<Self> {
        let wiring = wire(cluster, inventory).or_status(Status::Rejected)?;
        let children = Children::new(Signals::listen()?)?;
        let fleet = if cluster.is_simulated() {
            let names = wiring.roster.members().iter().map(|member| member.name.clone()).collect();
            let store = Store::at(cluster.simulator_state());
            let simulation = simulate(cluster, &wiring, cluster.simulator.initial);
            Kindred::Simulated(Box::new(simulation.on_real_clock(children, store, names)?))
        } else {
            Kindred::Real(Box::new(Wires::new(cluster, inventory, wiring, children)))
        };
        Ok(Self { fleet, next: 0, ended: Vec::new() })
    }

    /// Imagines the same nodes on a virtual clock, whatever their drivers: nothing is touched.
    ///
    /// # Errors
    /// As [`Drivers::new`].
    pub fn rehearse(cluster: &Cluster, inventory: &Inventory, initial: Initial) -> anyhow::Result<Self> {
        let wiring = wire(cluster, inventory).or_status(Status::Rejected)?;
        let simulation = simulate(cluster, &wiring, initial);
        Ok(Self { fleet: Kindred::Simulated(Box::new(simulation)), next: 0, ended: Vec::new() })
    }

    /// Checks that the programs by which the nodes are reached are there, and that nobody else can change
    /// them: nothing could be asked or done without them. A shutdown runs commands on nodes, a start none.
    ///
    /// # Errors
    /// Rejected (3), with all that is wrong.
    pub fn check_programs(&self, cluster: &Cluster, runs_commands: bool) -> anyhow::Result<()> {
        let Kindred::Real(wires) = &self.fleet else { return Ok(()) };
        let mut wrong = Diagnostics::default();
        named::check(&cluster.file, wires.profiles(), runs_commands, &mut wrong);
        wrong.or(()).or_status(Status::Rejected)
    }

    /// Tells whether the nodes are imagined; such a run says *simulated* first and last.
    pub fn is_simulated(&self) -> bool {
        matches!(self.fleet, Kindred::Simulated(_))
    }

    /// Returns the simulation, where there is one.
    pub fn simulation(&mut self) -> Option<&mut Simulation> {
        match &mut self.fleet {
            Kindred::Real(_) => None,
            Kindred::Simulated(simulation) => Some(simulation),
        }
    }

    /// Lets these nodes be stopped although they are this very machine (`--even-self`).
    pub fn allow_self(&mut self, nodes: &[NodeId]) {
        if let Kindred::Real(wires) = &mut self.fleet {
            wires.allow_self(nodes);
        }
    }

    /// Returns why nothing can come of asking a node about its power, or of probing it, as it is configured.
    pub fn permanent_failure(&self, node: NodeId) -> Option<Failure> {
        match &self.fleet {
            Kindred::Real(wires) => {
                wires.permanent_power_failure(node).or_else(|| wires.permanent_probe_failure(node))
            }
            Kindred::Simulated(_) => None,
        }
    }

    /// Takes note that the power program does not know these nodes; people are told.
    pub(crate) fn mark_unlisted(&mut self, nodes: &[NodeId]) {
        if let Kindred::Real(wires) = &mut self.fleet {
            wires.mark_unlisted(nodes);
        }
    }

    /// Sets what users are told by `Errand::Notify`.
    pub fn set_message(&mut self, message: &str) {
        if let Kindred::Real(wires) = &mut self.fleet {
            wires.set_message(message);
        }
    }

    /// Returns how many driver processes run at a time: as many as were asked for, or as there can be.
    pub fn at_once(&self, asked: usize) -> usize {
        match &self.fleet {
            Kindred::Real(wires) => wires.at_once(),
            Kindred::Simulated(_) => asked,
        }
    }

    /// Tells whether commands on this node go together with those on others, in one process: then
    /// nothing is gained by beginning only so many at a time.
    pub fn takes_many(&self, node: NodeId) -> bool {
        match &self.fleet {
            Kindred::Real(wires) => wires.takes_many(node),
            Kindred::Simulated(_) => false,
        }
    }

    /// Begins a command; [`Drivers::take_ended`] tells of its end after a later `next`, which may
    /// then return no event. In a simulation nothing runs and all succeeds.
    pub fn start(&mut self, command: &Command) -> CommandId {
        self.next += 1;
        let id = CommandId(self.next);
        match &mut self.fleet {
            Kindred::Real(wires) => wires.start(id, command),
            Kindred::Simulated(_) => self.ended.push((id, Ok(nothing_ran()))),
        }
        id
    }

    /// Returns the commands that ended since the last call. One that ran is `Ok`, whatever its exit
    /// status; a failure means that it did not run, or that its end is not known.
    pub fn take_ended(&mut self) -> Vec<(CommandId, Result<Ended, Failure>)> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.take_ended(),
            Kindred::Simulated(_) => std::mem::take(&mut self.ended),
        }
    }

    /// Ends the run: what is to be remembered is written.
    ///
    /// # Errors
    /// When the simulated world cannot be written.
    pub fn close(mut self) -> anyhow::Result<()> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.close(),
            Kindred::Simulated(simulation) => simulation.save()?,
        }
        Ok(())
    }
}

impl Fleet for Drivers {
    fn now(&self) -> Duration {
        match &self.fleet {
            Kindred::Real(wires) => wires.now(),
            Kindred::Simulated(simulation) => simulation.now(),
        }
    }

    fn abilities(&self, node: NodeId) -> Abilities {
        match &self.fleet {
            Kindred::Real(wires) => wires.abilities(node),
            Kindred::Simulated(simulation) => simulation.abilities(node),
        }
    }

    fn begin(&mut self, task: Task, nodes: &mut VecDeque<NodeId>) -> Vec<NodeId> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.begin(task, nodes),
            Kindred::Simulated(simulation) => simulation.begin(task, nodes),
        }
    }

    fn end_all(&mut self) {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.end_all(),
            Kindred::Simulated(simulation) => simulation.end_all(),
        }
    }

    fn next(&mut self, until: Option<Duration>) -> Vec<Event> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.next(until),
            // The end of a simulated command is heard of without waiting.
            Kindred::Simulated(simulation) if !self.ended.is_empty() => simulation.next(Some(Duration::ZERO)),
            Kindred::Simulated(simulation) => simulation.next(until),
        }
    }

    fn why_unknown(&self, node: NodeId) -> Option<String> {
        match &self.fleet {
            Kindred::Real(wires) => wires.why_unknown(node),
            Kindred::Simulated(_) => None,
        }
    }

    fn permanent_power_failure(&self, node: NodeId) -> Option<Failure> {
        match &self.fleet {
            Kindred::Real(wires) => wires.permanent_power_failure(node),
            Kindred::Simulated(_) => None,
        }
    }

    fn take_warnings(&mut self) -> Vec<String> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.take_warnings(),
            Kindred::Simulated(_) => Vec::new(),
        }
    }

    fn take_last_warnings(&mut self) -> Vec<String> {
        match &mut self.fleet {
            Kindred::Real(wires) => wires.take_last_warnings(),
            Kindred::Simulated(_) => Vec::new(),
        }
    }
}

fn nothing_ran() -> Ended {
    Ended {
        ending: Ending::Exited(0),
        stdout: Vec::new(),
        stderr: Vec::new(),
        truncated: false,
        took: Duration::ZERO,
    }
}

fn simulate(cluster: &Cluster, wiring: &Wiring, initial: Initial) -> Simulation {
    let settings = &cluster.simulator;
    let natures = wiring
        .roster
        .members()
        .iter()
        .map(|member| {
            let name = member.name.as_str();
            let (boot, halt) = match member.kind {
                Kind::Node => (settings.time(name, settings.boot), settings.time(name, settings.halt)),
                Kind::Unit => (Duration::ZERO, Duration::ZERO),
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
                Initial::Off => Condition::Off,
                Initial::Up => Condition::Up,
            };
            (nature, condition)
        })
        .collect();
    let mut simulation = Simulation::imagine(natures);
    for index in 0..wiring.roster.len() {
        let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut abilities = wiring.abilities(node);
        abilities.interval =
            abilities.interval.div_f64(f64::from(settings.speed.max(1))).max(Duration::from_millis(1));
        simulation.set_abilities(node, abilities);
    }
    simulation.set_fanout(cluster.limits.fanout);
    simulation.set_limit(cluster.profile.power_timeout());
    simulation
}

/// Gives every member its profile and checks what can only be checked with the inventory at hand.
fn wire(cluster: &Cluster, inventory: &Inventory) -> Result<Wiring, Diagnostics> {
    let roster = Roster::of(inventory);
    let mut wrong = Diagnostics::default();
    check_overrides(cluster, &roster, &mut wrong);
    let mut profiles = vec![cluster.profile.clone()];
    let mut profile_of = Vec::with_capacity(roster.len());
    // Members with the same overrides share a profile, however many there are.
    let mut known: HashMap<(Vec<&str>, Option<&str>), u32> = HashMap::from([((Vec::new(), None), 0)]);
    for member in roster.members() {
        let groups: Vec<&str> = member
            .groups
            .iter()
            .map(String::as_str)
            .filter(|group| cluster.group_overrides.contains_key(*group))
            .collect();
        let own = cluster.node_overrides.get_key_value(&member.name);
        let key = (groups, own.map(|(name, _)| name.as_str()));
        let index = known.get(&key).copied().unwrap_or_else(|| {
            let mut profile = cluster.profile.clone();
            let patches = key.0.iter().filter_map(|group| cluster.group_overrides.get(*group));
            patches.chain(own.map(|(_, patch)| patch)).for_each(|patch| profile.apply(patch));
            profiles.push(profile);
            let index = u32::try_from(profiles.len() - 1).unwrap_or(u32::MAX);
            known.insert(key, index);
            index
        });
        profile_of.push(index);
    }
    let mut wiring = Wiring { profile_of, profiles, roster };
    for profile in &wiring.profiles {
        if let Some(Err(error)) = profile.power.driver.password_file().map(files::check_only_owner_reads) {
            let why = format!("{error:#}");
            let why = why.trim_start_matches("rejected: ");
            let clause = format!("power.password_file: {why}");
            let hint = "its first line is the password, and only its owner may read it (mode 0600)";
            wrong.push(Diagnostic::about(&cluster.file, clause).hint(hint));
        }
    }
    let mut without: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (at, node) in inventory.nodes().iter().enumerate() {
        let id = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
        let driver = Arc::clone(&wiring.profile(id).power.driver);
        let Some(attribute) = driver.attribute() else { continue };
        match node.attributes.get(attribute).and_then(|value| value.as_str()) {
            Some(address)
                if !address.is_empty()
                    && !address.contains([',', ' ', '[', '\n'])
                    && !address.starts_with('-') =>
            {
                let address = address.to_owned();
                wiring.roster.set_bmc(id, address);
            }
            Some(address) => {
                let clause =
                    format!("node {}: \"{address}\" cannot be the address of a controller", node.name);
                wrong.push(Diagnostic::about(&cluster.file, clause));
            }
            None => without.entry(attribute.to_owned()).or_default().push(node.name.as_str()),
        }
    }
    // One line: a misspelt attribute is missing from all nodes alike.
    for (attribute, nodes) in without {
        let nodes = nodeset::fold(nodes);
        let clause = format!(
            "{nodes}: the inventory has no text \"{attribute}\" for them, the address of a node's controller \
             (power.bmc names the attribute)"
        );
        wrong.push(Diagnostic::about(&cluster.file, clause));
    }
    for (index, member) in wiring.roster.members().iter().enumerate() {
        let node = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
        for clause in unusable(wiring.profile(node), member) {
            wrong.push(Diagnostic::about(&cluster.file, clause));
        }
    }
    wrong.or(wiring)
}

fn check_overrides(cluster: &Cluster, roster: &Roster, wrong: &mut Diagnostics) {
    let mut groups: Vec<&str> =
        roster.members().iter().flat_map(|member| member.groups.iter().map(String::as_str)).collect();
    groups.sort_unstable();
    groups.dedup();
    for name in cluster.group_overrides.keys() {
        if groups.binary_search(&name.as_str()).is_err() {
            let message = format!("override.group.{name}: the inventory has no node group \"{name}\"");
            wrong.push(Diagnostic::about(&cluster.file, message).suggest(name, groups.iter().copied()));
        }
    }
    let names: std::collections::HashSet<&str> =
        roster.members().iter().map(|member| member.name.as_str()).collect();
    for name in cluster.node_overrides.keys() {
        if !names.contains(name.as_str()) {
            let message = format!("override.node.{name}: the inventory has no node \"{name}\"");
            wrong.push(Diagnostic::about(&cluster.file, message).suggest(name, names.iter().copied()));
        }
    }
}

/// Returns why drivers cannot be used on a member.
fn unusable(profile: &Profile, member: &crate::roster::Member) -> Vec<String> {
    let mut clauses = Vec::new();
    let name = &member.name;
    for word in [name, &member.address] {
        if word.starts_with('-') {
            clauses.push(format!("node {name}: \"{word}\" would be taken for an option"));
            break;
        }
    }
    if member.kind == Kind::Node && member.number.is_none() {
        let power = profile.power.driver.templates().iter().any(|(_, template)| template.needs_number());
        let shell = matches!(&profile.shell.driver, ShellDriver::Command(run) if run.needs_number());
        let probe = matches!(&profile.probe.driver, ProbeDriver::Command(up) if up.needs_number());
        for (table, needs) in [("power", power), ("shell", shell), ("probe", probe)] {
            if needs {
                clauses.push(format!("{table}: {{number}} is asked for, and node {name} has no number"));
            }
        }
    }
    if member.kind == Kind::Node {
        if let ShellDriver::Parallel(parallel) = &profile.shell.driver {
            clauses.extend(crate::shell::unnamable(parallel, member));
        }
        let Probe { driver, .. } = &profile.probe;
        if *driver == ProbeDriver::Power && !profile.reads_power() {
            clauses.push(format!("node {name}: its probe is \"power\", and its power cannot be read"));
        }
        if matches!(driver, ProbeDriver::Shell { .. }) && profile.shell.driver == ShellDriver::None {
            clauses.push(format!("node {name}: its probe is \"shell\", and it has no shell driver"));
        }
    }
    clauses
}

#[cfg(test)]
mod tests;
