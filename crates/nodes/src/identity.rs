//! Two nodes that are one: the same power controller, the same command, the same address. What is done to one
//! is done to the other.
//!
//! Several systems behind one controller are told apart by its port and by the options that address them
//! (`-t`, `-b` of ipmitool); a unit and the nodes powered with it are one on purpose.
//!
//! Names that resolve to one address are one machine wherever they are connected to as they resolve, also where
//! a wildcard of the DNS answers for all of them. Only ssh can lead elsewhere, by its own configuration, and it is
//! `shell.aliases` that says so. A TCP probe never reads that and goes by the address.

use crate::backend::Backend;
use crate::config::Profile;
use crate::names::{self, Addresses};
use crate::power::PowerDriver;
use crate::roster::{Member, MemberKind};
use crate::site::Site;
use crate::template::{Reach, Template};
use orderly_exec::here::{canonical, is_address, plain};
use orderly_exec::job::show;
use orderly_exec::{OrStatus, Status};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use orderly_plan::drivers::NodeId;
use orderly_plan::nodeset;
use std::collections::{BTreeMap, BTreeSet};

/// The port of ssh where none is said.
const SSH: u16 = 22;

/// What two nodes may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Controller,
    /// A controller of several systems, of which some node does not say which is its own.
    SystemUnsaid,
    PowerCommand,
    ShellCommand,
    Address,
    ProbedAddress,
}

impl What {
    fn words(self) -> &'static str {
        match self {
            Self::Controller | Self::SystemUnsaid => "power controller",
            Self::PowerCommand => "power command",
            Self::ShellCommand => "shell command",
            Self::Address => "address",
            Self::ProbedAddress => "address and port of the TCP probe",
        }
    }
}

/// What tells a node from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SharedMark {
    what: What,
    key: String,
    /// As people read it.
    shown: String,
}

/// Returns no addresses: names are compared as they are written.
pub fn unresolved() -> Addresses {
    Addresses::new()
}

/// Asks the resolver for the names of all controllers, and of all nodes that are reached by theirs; in a
/// simulation nobody is asked.
pub fn resolved(site: &Site, drivers: &dyn Backend) -> Addresses {
    if drivers.is_simulated() {
        return unresolved();
    }
    let mut asked = BTreeSet::new();
    for id in ids(site) {
        let profile = site.profile(id);
        let driver = &profile.power.driver;
        let controller = controller(site, id, &**driver).map(|place| driver.host(place));
        let is_probed = profile.shell.aliases && profile.probe.driver.port().is_some();
        let address =
            (is_reached_by_name(&profile) || is_probed).then(|| site.roster.member(id).address.as_str());
        asked.extend(controller.into_iter().chain(address).map(plain));
    }
    asked.retain(|name| !is_address(name));
    names::resolve(asked, names::TOGETHER)
}

/// Rejects targets that share with another node what only one can have.
///
/// # Errors
/// Rejected (3), with the places of both.
pub fn check(site: &Site, targets: &[NodeId], addresses: &Addresses) -> anyhow::Result<()> {
    let mut known: BTreeMap<SharedMark, Vec<NodeId>> = BTreeMap::new();
    for id in ids(site) {
        let own: BTreeSet<SharedMark> = marks(site, id, addresses).into_iter().collect();
        own.into_iter().for_each(|mark| known.entry(mark).or_default().push(id));
    }
    // A unit of a target is switched with it.
    let units = site.units_of(targets);
    let is_target = |node: &NodeId| targets.binary_search(node).is_ok() || units.binary_search(node).is_ok();
    let mut told: BTreeSet<(What, Vec<NodeId>)> = BTreeSet::new();
    let mut found: Vec<(Vec<NodeId>, Diagnostic)> = Vec::new();
    for (mark, nodes) in known {
        let nodes = apart(site, nodes);
        if mark.what == What::SystemUnsaid && !says_and_does_not(site, &nodes) {
            continue;
        }
        if nodes.len() > 1 && nodes.iter().any(is_target) && told.insert((mark.what, nodes.clone())) {
            let diagnostic = diagnose(site, &mark, &nodes);
            found.push((nodes, diagnostic));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut wrong = Diagnostics::default();
    found.into_iter().for_each(|(_, diagnostic)| wrong.push(diagnostic));
    wrong.or(()).or_status(Status::Rejected)
}

/// Returns what these nodes and units are reached at and switched by, as it is written and as it resolves, so that two
/// runs meet that have other names for them.
pub fn claimed(site: &Site, nodes: &[NodeId]) -> BTreeSet<String> {
    let marks = nodes.iter().flat_map(|&node| marks(site, node, &site.addresses));
    let is_one = |mark: &SharedMark| matches!(mark.what, What::Controller | What::Address);
    marks.filter(is_one).map(|mark| format!("{} {}", mark.what.words(), mark.key.trim_end())).collect()
}

/// Tells whether some of these nodes say which system of their controller they are, and others do not: these mean the
/// only one.
fn says_and_does_not(site: &Site, nodes: &[NodeId]) -> bool {
    let says = |node: &NodeId| site.profile(*node).power.driver.names_system(site.roster.member(*node));
    nodes.iter().any(says) && !nodes.iter().all(says)
}

fn ids(site: &Site) -> impl Iterator<Item = NodeId> {
    (0..site.roster.len()).map(|at| NodeId(u32::try_from(at).unwrap_or(u32::MAX)))
}

/// Leaves out units that are powered with one of these nodes: they have their power in common.
fn apart(site: &Site, nodes: Vec<NodeId>) -> Vec<NodeId> {
    let powers = |unit: NodeId| {
        let name = site.name(unit);
        let with = |node: &NodeId| {
            !site.is_unit(*node) && site.inventory.node(*node).power_with.iter().any(|other| other == name)
        };
        nodes.iter().any(with)
    };
    let is_apart = |id: &NodeId| !(site.is_unit(*id) && powers(*id));
    nodes.iter().copied().filter(is_apart).collect()
}

fn marks(site: &Site, id: NodeId, addresses: &Addresses) -> Vec<SharedMark> {
    let profile = site.profile(id);
    let member = site.roster.member(id);
    let mut marks = Vec::new();
    let driver = &profile.power.driver;
    if let Some(place) = controller(site, id, &**driver) {
        let (host, apart) = (driver.host(place), driver.apart(member, place));
        marks.extend(at(What::Controller, host, &apart, addresses));
        if let Some(service) = driver.service(place) {
            marks.extend(at(What::SystemUnsaid, host, &service, addresses));
        }
    }
    let acts = driver.templates().into_iter().filter(|(key, _)| *key != "power.status");
    marks.extend(acts.filter_map(|(_, act)| filled(What::PowerCommand, act, member)));
    if member.kind == MemberKind::Unit {
        return marks;
    }
    // Behind one address, another port is another node.
    let port = match (profile.shell.ssh(), profile.shell.template()) {
        (Some(ssh), _) => ssh.port.filter(|&port| port != SSH),
        (None, Some(run)) => {
            marks.extend(filled(What::ShellCommand, run, member));
            None
        }
        (None, None) => profile.probe.driver.port(),
    };
    let apart = port.map(|port| port.to_string()).unwrap_or_default();
    let known = if is_reached_by_name(&profile) { addresses } else { &unresolved() };
    marks.extend(at(What::Address, &member.address, &apart, known));
    if profile.shell.aliases {
        if let Some(port) = profile.probe.driver.port() {
            marks.extend(at(What::ProbedAddress, &member.address, &port.to_string(), addresses));
        }
    }
    marks
}

/// Returns what a place is compared by: as it is written, and by what it resolves to.
fn at(what: What, place: &str, apart: &str, addresses: &Addresses) -> Vec<SharedMark> {
    let found =
        addresses.get(&plain(place)).into_iter().flatten().map(|address| address.to_canonical().to_string());
    let places = found.chain([canonical(place)]);
    places.map(|place| SharedMark { what, key: format!("{place} {apart}"), shown: place }).collect()
}

/// Returns what a command is for one node; for many it names them.
fn filled(what: What, template: &Template, member: &Member) -> Option<SharedMark> {
    let each = template.reach() == Reach::Each;
    // A node that lacks what is asked for has no command in common with another.
    let filled = each.then(|| template.fill(&[member], "COMMAND").ok())?;
    let shown = show(&filled?);
    Some(SharedMark { what, key: shown.clone(), shown })
}

/// Returns where a member's power controller is; a unit is one itself.
fn controller<'s>(site: &'s Site, id: NodeId, driver: &dyn PowerDriver) -> Option<&'s str> {
    let attribute = driver.attribute()?;
    if site.is_unit(id) {
        return Some(&site.roster.member(id).address);
    }
    site.inventory.node(id).attributes.get(attribute)?.as_str()
}

/// Tells whether a node is reached at what its name resolves to: not where a program of the site, or settings of
/// ssh that only ssh reads, lead there.
fn is_reached_by_name(profile: &Profile) -> bool {
    match profile.shell.driver.as_deref().filter(|driver| driver.ssh().is_some()) {
        Some(driver) => !profile.shell.aliases && driver.goes_by_name(),
        None => profile.probe.driver.port().is_some(),
    }
}

/// Returns what to do about what nodes share.
fn way_out(site: &Site, mark: &SharedMark, nodes: &[NodeId]) -> String {
    let is_written = |node: &NodeId| canonical(&site.roster.member(*node).address) == mark.shown;
    let by_ssh = |node: &NodeId| site.profile(*node).shell.ssh().is_some();
    let own = "give each node an address of its own in the inventory";
    match mark.what {
        What::Address if nodes.iter().all(is_written) => {
            format!("{own}; where both are one machine, leave one of them out")
        }
        What::Address if nodes.iter().any(by_ssh) => format!(
            "{own}; or, if they are aliases that ssh itself leads to different machines (Host in ssh_config(5)), set \
             shell.aliases = true in cluster.toml"
        ),
        What::Address => own.to_owned(),
        What::ProbedAddress => format!("{own}, or a probe.port in an override of cluster.toml"),
        What::SystemUnsaid => {
            "say of each which system of the controller it is: \"system\" in the inventory (power.system in cluster.toml(5))".to_owned()
        }
        What::Controller => {
            "give each a controller of its own in the inventory; several systems behind one are told \
                             apart by its port, by a system of its own (redfish), or by power.options in overrides of \
                             cluster.toml"
                .to_owned()
        }
        What::PowerCommand | What::ShellCommand => {
            "let the command say which node it is for: {node}, {number}, {address} or an attribute of its own"
                .to_owned()
        }
    }
}

/// Returns where a member is defined, in words.
fn defined(site: &Site, id: NodeId) -> String {
    let name = site.name(id);
    let with = if site.is_unit(id) { site.nodes_with(id) } else { Vec::new() };
    match with.first() {
        Some(&node) => format!("{name} is a unit of {}, which is defined here", site.name(node)),
        None => format!("{name} is defined here"),
    }
}

fn diagnose(site: &Site, mark: &SharedMark, nodes: &[NodeId]) -> Diagnostic {
    let names = match nodes {
        [first, second] => format!("{} and {}", site.name(*first), site.name(*second)),
        _ => nodeset::fold(nodes.iter().map(|&node| site.name(node))),
    };
    let message = format!("{names} have the same {}, {}", mark.what.words(), mark.shown);
    let place = |node: NodeId| site.roster.place(&site.inventory, node);
    let second = nodes.get(1).and_then(|&node| place(node));
    let diagnostic = Diagnostic::at(second, site.inventory.file(), message);
    let diagnostic = diagnostic.hint(way_out(site, mark, nodes));
    // The place of a unit is another node's, which has to be said.
    let unit = nodes.get(1).copied().filter(|&node| site.is_unit(node));
    let noted = nodes.first().copied().into_iter().chain(unit);
    noted.fold(diagnostic, |diagnostic, node| match place(node) {
        Some(at) => diagnostic.note(at, defined(site, node)),
        None => diagnostic,
    })
}
