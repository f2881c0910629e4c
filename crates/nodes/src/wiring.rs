//! What each member gets, after all overrides, and what can only be checked with the inventory at hand.

use crate::config::{Cluster, ProbeSettings, Profile};
use crate::places::asked;
use crate::probe::ProbeBy;
use crate::roster::{Member, MemberKind, MemberRoster};
use orderly_exec::files;
use orderly_exec::status::unmarked;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use orderly_plan::drivers::{Abilities, NodeId};
use orderly_plan::inventory::Inventory;
use orderly_plan::nodeset;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What each member gets, after all overrides.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) roster: MemberRoster,
    profiles: Vec<Profile>,
    /// By member.
    profile_of: Vec<u32>,
}

impl Wiring {
    /// Returns the number of a node's profile.
    pub(crate) fn profile_number(&self, node: NodeId) -> u32 {
        self.profile_of[node.index()]
    }

    pub(crate) fn profile(&self, node: NodeId) -> &Profile {
        &self.profiles[self.profile_of[node.index()] as usize]
    }

    /// Returns the profiles that some member has.
    pub(crate) fn profiles_in_use(&self) -> impl Iterator<Item = &Profile> {
        let used: BTreeSet<u32> = self.profile_of.iter().copied().collect();
        used.into_iter().map(|at| &self.profiles[at as usize])
    }

    pub(crate) fn abilities(&self, node: NodeId) -> Abilities {
        let profile = self.profile(node);
        let runs = self.roster.member(node).kind == MemberKind::Node;
        let power = &profile.power.driver;
        Abilities {
            switches_power: power.switches(),
            reads_power: power.reads(),
            confirms_power: power.is_known() && power.switches() && !power.is_simulated(),
            resets: power.resets(),
            runs_commands: runs && profile.shell.runs_commands(),
            halts: runs && profile.shell.driver.is_some(),
            probes: runs && profile.probe.driver.by != ProbeBy::Nothing,
            interval: profile.probe.interval,
        }
    }
}

/// Gives every member its profile and checks what can only be checked with the inventory at hand.
pub(crate) fn wire(cluster: &Cluster, inventory: &Inventory) -> Result<Wiring, Diagnostics> {
    let roster = MemberRoster::of(inventory, &asked::attributes(cluster));
    let mut wrong = Diagnostics::default();
    check_overrides(cluster, inventory, &roster, &mut wrong);
    let mut profiles = vec![cluster.profile.clone()];
    let mut profile_of = Vec::with_capacity(roster.len());
    // Members with the same overrides share a profile, however many there are.
    let mut known: HashMap<(Vec<&str>, Option<&str>), u32> = HashMap::from([((Vec::new(), None), 0)]);
    for member in roster.members() {
        let groups: Vec<&str> =
            member.groups.iter().filter(|group| cluster.group_overrides.contains_key(*group)).collect();
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
    find_halting(cluster, &mut wiring, &mut wrong);
    for profile in &wiring.profiles {
        let (power, halting) = (&profile.power.driver, profile.shell.halting.as_ref());
        let files = [("power", Some(power)), ("shell", halting)];
        let files = files.into_iter().filter_map(|(table, driver)| Some((table, driver?.password_file()?)));
        // Most have it in common.
        for (table, file) in
            files.collect::<BTreeMap<_, _>>().into_iter().take(if halting.is_some() { 2 } else { 1 })
        {
            if let Err(error) = files::check_only_owner_reads(file) {
                let clause = format!("{table}.password_file: {}", unmarked(&error));
                let hint = "its first line is the password, and only its owner may read it (mode 0600)";
                wrong.push(Diagnostic::about(&cluster.file, clause).hint(hint));
            }
        }
    }
    let mut without: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (at, node) in inventory.nodes().iter().enumerate() {
        let id = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
        let power = Arc::clone(&wiring.profile(id).power.driver);
        let halting = wiring.profile(id).shell.halting.clone();
        let halting = halting.filter(|halting| halting.attribute() != power.attribute());
        for driver in [Some(&power), halting.as_ref()].into_iter().flatten() {
            let Some(attribute) = driver.attribute() else { continue };
            match node.attributes.get(attribute).and_then(|value| value.as_str()) {
                Some(address) => match driver.unfit(wiring.roster.member(id), address) {
                    None if Arc::ptr_eq(driver, &power) => wiring.roster.set_bmc(id, address.to_owned()),
                    None => {}
                    Some(clause) => {
                        let hint = format!("write one name or address as \"{attribute}\" of {}", node.name);
                        wrong.push(Diagnostic::at(inventory.place(id), inventory.file(), clause).hint(hint));
                    }
                },
                None => without.entry(attribute.to_owned()).or_default().push(node.name.as_str()),
            }
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
        if let Some(word) = [&member.name, &member.address].into_iter().find(|word| word.starts_with('-')) {
            let clause = format!("{}: \"{word}\" would be taken for an option", member.name);
            let place = wiring.roster.place(inventory, node);
            let diagnostic = Diagnostic::at(place, inventory.file(), clause);
            wrong.push(diagnostic.hint("write it without the \"-\" in front"));
        }
        for clause in unusable(wiring.profile(node), member) {
            wrong.push(Diagnostic::about(&cluster.file, clause));
        }
    }
    wrong.or(wiring)
}

/// Finds by what nodes are halted on which no command can be run.
fn find_halting(cluster: &Cluster, wiring: &mut Wiring, wrong: &mut Diagnostics) {
    let used: BTreeSet<u32> = wiring.profile_of.iter().copied().collect();
    let mut told = BTreeSet::new();
    for at in used {
        let profile = &mut wiring.profiles[at as usize];
        let halting = profile.shell.driver.as_ref().and_then(|shell| shell.halting(&*profile.power.driver));
        match halting {
            Some(Ok(driver)) => profile.shell.halting = Some(driver),
            Some(Err(clause)) if told.insert(clause.clone()) => {
                wrong.push(Diagnostic::about(&cluster.file, clause));
            }
            Some(Err(_)) | None => {}
        }
    }
}

/// How many overrides of nothing get a did-you-mean, which costs as much as there are names.
const SUGGESTED: usize = 100;

fn check_overrides(cluster: &Cluster, inventory: &Inventory, roster: &MemberRoster, wrong: &mut Diagnostics) {
    let groups = cluster.group_overrides.keys().filter(|name| inventory.group(name).is_none());
    for (at, name) in groups.enumerate() {
        let message = format!("override.group.{name}: the inventory has no node group \"{name}\"");
        let known = inventory.group_names().take(if at < SUGGESTED { usize::MAX } else { 0 });
        wrong.push(Diagnostic::about(&cluster.file, message).suggest(name, known));
    }
    let names: HashSet<&str> = roster.members().iter().map(|member| member.name.as_str()).collect();
    let nodes = cluster.node_overrides.keys().filter(|name| !names.contains(name.as_str()));
    for (at, name) in nodes.enumerate() {
        let message = format!("override.node.{name}: the inventory has no node \"{name}\"");
        let known = names.iter().copied().take(if at < SUGGESTED { usize::MAX } else { 0 });
        wrong.push(Diagnostic::about(&cluster.file, message).suggest(name, known));
    }
}

/// Returns why drivers cannot be used on a member.
fn unusable(profile: &Profile, member: &Member) -> Vec<String> {
    let mut clauses = Vec::new();
    let name = &member.name;
    if member.kind == MemberKind::Node {
        if let Some(parallel) = profile.shell.parallel() {
            clauses.extend(crate::shell::unnamable(parallel, member));
        }
        let ProbeSettings { driver, .. } = &profile.probe;
        if driver.by == ProbeBy::Power && !profile.reads_power() {
            clauses.push(format!("node {name}: its probe is \"power\", and its power cannot be read"));
        }
        if driver.needs_shell() && profile.shell.driver.is_none() {
            clauses.push(format!("node {name}: its probe is \"shell\", and it has no shell driver"));
        }
    }
    clauses
}
