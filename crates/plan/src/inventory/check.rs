//! What all readers share: nodes as found, then checked against each other.
//!
//! Invariant: an inventory has unique names and numbers, known servers and no server cycle, however
//! it was written down.

use super::nodes::{Inventory, Node};
use super::outside::{Outside, plain, short};
use super::relation::{Resolver, Unknown, WantedServer, node_number};
use super::spelling;
use crate::diagnostic::{Diagnostic, Diagnostics, Source, positions};
use crate::drivers::NodeId;
use crate::faults::Faults;
use crate::graph::{GroupId, Order, VertexKind};
use crate::json::JsonMember;
use crate::name::Names;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A node as one place of the text states it; its servers are not looked up yet.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) node: Node,
    /// Where the name stands.
    pub(super) at: Range<usize>,
    pub(super) number_at: Range<usize>,
    pub(super) servers: Vec<(WantedServer, Range<usize>)>,
}

/// All nodes of a text and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Drafts<'s> {
    source: Source<'s>,
    pub(super) wrong: Faults<'s>,
    drafts: Vec<Draft>,
    names: Names,
    numbers: HashMap<u32, usize>,
    /// Each with how many more there are like it.
    warnings: Vec<(Diagnostic, usize)>,
    alike: HashMap<(&'static str, String), usize>,
    /// Where they stand.
    doubted: HashSet<usize>,
    outside: Outside,
    facts: usize,
    is_full: bool,
}

/// The most nodes of one inventory.
pub(super) const NODES: usize = if cfg!(test) { 20_000 } else { 1_000_000 };

/// The most that is stated of all nodes together; a short text can state much of many.
const FACTS: usize = if cfg!(test) { 100_000 } else { 5_000_000 };

/// Returns what a value counts as: one, and a long one as several.
pub(super) fn weight(length: usize) -> usize {
    1 + length / 64
}

/// More of these say nothing new.
const WARNINGS: usize = 20;

impl<'s> Drafts<'s> {
    pub(super) fn new(source: Source<'s>, outside: &Outside) -> Self {
        Self {
            source,
            wrong: Faults::new(source),
            drafts: Vec::new(),
            names: Names::default(),
            numbers: HashMap::new(),
            warnings: Vec::new(),
            alike: HashMap::new(),
            doubted: HashSet::new(),
            outside: outside.clone(),
            facts: 0,
            is_full: false,
        }
    }

    /// Counts groups, servers and attributes of nodes, and tells whether they are still few enough.
    pub(super) fn has_room(&mut self, facts: usize, at: Range<usize>) -> bool {
        count(&mut self.facts, facts, at, &mut self.wrong)
    }

    /// Tells whether what is found out beforehand to be stated will be few enough; what is too much makes no room for
    /// anything from then on.
    pub(super) fn foresees_room(&mut self, facts: usize, at: Range<usize>) -> bool {
        facts <= FACTS || self.has_room(usize::MAX, at)
    }

    /// Tells whether so much more will be few enough, without counting it.
    pub(super) fn would_have_room(&self, facts: usize) -> bool {
        self.facts.saturating_add(facts) <= FACTS
    }

    /// Remembers what is allowed and yet likely wrong; what one place states for many nodes is doubtful once.
    /// Doubts of one kind about one thing, such as a key, are told once and counted.
    pub(super) fn warn(
        &mut self,
        at: Range<usize>,
        (kind, thing): (&'static str, &str),
        make: impl FnOnce() -> Diagnostic,
    ) {
        if !self.doubted.insert(at.start) {
            return;
        }
        match self.alike.get(&(kind, thing.to_owned())) {
            Some(&first) => self.warnings[first].1 += 1,
            None if self.warnings.len() < WARNINGS => {
                self.alike.insert((kind, thing.to_owned()), self.warnings.len());
                self.warnings.push((make(), 0));
            }
            None => {}
        }
    }

    /// Remembers that something that is a group elsewhere makes none here.
    pub(super) fn no_group(&mut self, at: Range<usize>, name: &str, fault: &str) {
        let source = self.source;
        self.warn(at.clone(), ("no group", name), || {
            source.diagnose(at, format!("\"{name}\" makes no group: {fault}"))
        });
    }

    /// Keeps as an attribute what another program means something else by.
    fn keep(&mut self, draft: &mut Draft, key: &str, value: &str, at: Range<usize>, clause: &str) {
        draft.node.attributes.insert(key.to_owned(), value.into());
        let source = self.source;
        let message = format!("\"{value}\" {clause}; it is kept as an attribute");
        self.warn(at.clone(), ("kept", key), || source.diagnose(at, message));
    }

    /// Remembers that an attribute of an xCAT group cannot be taken.
    pub(super) fn doubt_expression(&mut self, key: &str, at: Range<usize>) {
        let source = self.source;
        self.warn(at.clone(), ("expression", key), || {
            source
                .diagnose(at, format!("\"{key}\" of a group is an expression, and is left out"))
                .hint("lsdef -t node -z prints what it stands for, node by node")
        });
    }

    /// Doubts an attribute that is likely a relation, misspelt: a server that is stated is never dropped in silence.
    pub(super) fn doubt_server(&mut self, key: &str, at: Range<usize>) {
        let letters: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        if key != "boot_server"
            && (letters.eq_ignore_ascii_case("bootserver") || letters.eq_ignore_ascii_case("bootservers"))
        {
            let source = self.source;
            self.warn(at.clone(), ("kept", key), || {
                let message = format!("\"{key}\" is kept as an attribute of the node");
                source.diagnose(at, message).hint("did you mean \"boot_server\"?")
            });
        }
    }

    /// Rejects keys that stand twice in one object: of two values one would be dropped in silence.
    pub(super) fn once(&mut self, members: &[JsonMember<'_>]) {
        let mut seen: HashSet<&str> = HashSet::with_capacity(members.len());
        for member in members.iter().filter(|member| !seen.insert(member.key.as_ref())) {
            self.wrong.add(|| member.diagnose_key(format!("the key \"{}\" stands twice", member.key)));
        }
    }

    /// Takes what a format without types states of a node; keys that mean nothing to us become
    /// attributes.
    pub(super) fn state(&mut self, draft: &mut Draft, key: &str, value: &str, at: Range<usize>) {
        match key {
            "number" => match node_number(value).filter(|number| *number > 0) {
                Some(number) => {
                    draft.node.number = Some(number);
                    draft.number_at = at;
                }
                None => self.keep(draft, key, value, at, "is no node number, a whole number from 1"),
            },
            // Nothing is stated.
            "address" if value.is_empty() => {}
            "address" => draft.node.address = Some(value.to_owned()),
            "partition" => match crate::name::fault(value) {
                Some(fault) => self.keep(draft, key, value, at, &format!("is no partition: {fault}")),
                None => draft.node.partition = Some(value.to_owned()),
            },
            "boot_server" if value.is_empty() => {}
            "boot_server" => draft.servers.push((WantedServer::Text(value.to_owned()), at)),
            _ => {
                self.doubt_server(key, at);
                draft.node.attributes.insert(key.to_owned(), value.into());
            }
        }
    }

    /// Makes room for so many nodes: what grows by itself takes twice what it needs.
    pub(super) fn expect(&mut self, nodes: usize) {
        self.drafts.reserve_exact(nodes.min(NODES));
    }

    /// Adds a node; a name or number that is there already, or no name at all, is remembered as wrong.
    pub(super) fn add(&mut self, mut draft: Draft) {
        if self.drafts.len() >= NODES {
            if !std::mem::replace(&mut self.is_full, true) {
                self.wrong
                    .at(draft.at, format!("more than {NODES} nodes: write an inventory for each cluster"));
            }
            return;
        }
        let name = &draft.node.name;
        if let Some(fault) = crate::name::fault(name) {
            self.wrong.at(draft.at.clone(), fault);
        } else if let Some(fault) = spelling::fault(&draft.node) {
            self.wrong.with_hint(draft.at.clone(), fault.message, fault.hint);
        } else if let Some(first) = self.names.find(name) {
            let (source, first) = (self.source, self.drafts[first as usize].at.clone());
            self.wrong.add(|| {
                source
                    .diagnose(draft.at.clone(), format!("the node \"{name}\" is there already"))
                    .note(source.place(first.start), "first defined here")
            });
            return;
        }
        if let Some(number) = draft.node.number {
            if let Some(&first) = self.numbers.get(&number) {
                let (source, first) = (self.source, &self.drafts[first]);
                self.wrong.add(|| {
                    let message = format!("the number {number} belongs to \"{}\" already", first.node.name);
                    let at = draft.number_at.clone();
                    source.diagnose(at, message).note(source.place(first.number_at.start), "first given here")
                });
                draft.node.number = None;
            } else {
                self.numbers.insert(number, self.drafts.len());
            }
        }
        // A name with a fault is kept under the name written, so that references to it are no errors.
        self.names.intern(&draft.node.name);
        self.drafts.push(draft);
    }

    /// Returns the inventory when nothing is wrong.
    ///
    /// # Errors
    /// Everything that is.
    pub(super) fn finish(mut self) -> Result<Inventory, Diagnostics> {
        let starts: Vec<usize> = self.drafts.iter().map(|draft| draft.at.start).collect();
        let places = positions(self.source.text, &starts);
        let wanted: Vec<_> = self.drafts.iter_mut().map(|draft| std::mem::take(&mut draft.servers)).collect();
        // In the memory of the drafts: that of both is most of what a large inventory takes.
        let nodes = self.drafts.into_iter().map(|draft| draft.node).collect();
        drop((self.names, self.numbers));
        let mut inventory = Inventory::new(nodes);
        inventory.outside = self.outside;
        for id in inventory.ids() {
            let known_as = &inventory.nodes[id.index()].known_as;
            known_as.iter().for_each(|word| inventory.aliases.add(word, id));
        }
        let mut servers: Vec<Vec<NodeId>> = Vec::with_capacity(wanted.len());
        let mut told = HashSet::new();
        for (id, wanted) in inventory.ids().zip(&wanted) {
            // Each is looked up as often as it is stated, and a set of them stands for many.
            let at = wanted.first().map_or(0..0, |(_, at)| at.clone());
            let names: u64 = wanted.iter().map(|(wanted, _)| wanted.size()).sum();
            let names = usize::try_from(names).unwrap_or(usize::MAX);
            if !count(&mut self.facts, names, at, &mut self.wrong) {
                break;
            }
            servers.push(look_up(&inventory, id, wanted, &mut told, &mut self.wrong));
        }
        for (node, servers) in inventory.nodes.iter_mut().zip(servers) {
            node.boot_servers = servers;
        }
        report_loops(&inventory, &wanted, self.source, &mut self.wrong);
        inventory.file = self.source.name.to_owned();
        inventory.places = places;
        inventory.warnings = self.warnings.into_iter().map(counted).collect();
        self.wrong.or(inventory)
    }
}

/// Returns a warning that says how many more there are like it.
fn counted((mut warning, more): (Diagnostic, usize)) -> Diagnostic {
    if more > 0 {
        warning.message.push_str(&format!(" ({more} more like this)"));
    }
    warning
}

/// Adds to what is counted, and tells whether it is still little enough; what is too much is wrong once.
fn count(facts: &mut usize, more: usize, at: Range<usize>, wrong: &mut Faults<'_>) -> bool {
    let had = std::mem::replace(facts, facts.saturating_add(more));
    if *facts > FACTS && had <= FACTS {
        wrong.at(at, format!("more than {FACTS} groups, servers and attributes of nodes in all: write an inventory for each cluster"));
    }
    *facts <= FACTS
}

fn look_up(
    inventory: &Inventory,
    id: NodeId,
    wanted: &[(WantedServer, Range<usize>)],
    told: &mut HashSet<usize>,
    wrong: &mut Faults<'_>,
) -> Vec<NodeId> {
    let mut servers = Vec::new();
    for (wanted, at) in wanted {
        match Resolver(inventory).resolve(wanted) {
            Ok(found) if found.contains(&id) => {
                wrong.at(at.clone(), format!("\"{}\" is its own server", inventory.name(id)));
            }
            Ok(found) => servers.extend(found),
            // What one place states for many nodes is wrong once.
            Err(unknown) if told.insert(at.start) => report_unknown(inventory, &unknown, at.clone(), wrong),
            Err(_) => {}
        }
    }
    // Order of statement carries no meaning; equal content must give equal output.
    servers.sort_unstable();
    servers.dedup();
    servers
}

fn report_unknown(inventory: &Inventory, unknown: &Unknown, at: Range<usize>, wrong: &mut Faults<'_>) {
    let word = unknown.word();
    let remedy = || match unknown {
        Unknown::Name(_) => match known_as(inventory, word) {
            Some(name) => format!("did you mean \"{name}\"? servers are named as the inventory names nodes"),
            None => "a server that is no node is named in outside of cluster.toml, or with seqfile --outside"
                .into(),
        },
        Unknown::Number(_) | Unknown::Several(_) | Unknown::Senseless(_) => String::new(),
    };
    let names = inventory.nodes.iter().map(|node| node.name.as_str());
    wrong.unknown(at, unknown.to_string(), word, names, remedy);
}

/// Returns the node that has a word for its address, or as another form of its name.
fn known_as<'i>(inventory: &'i Inventory, word: &str) -> Option<&'i str> {
    let word = plain(word);
    let is_same = |node: &&Node| {
        let name = plain(&node.name);
        node.address.as_deref().is_some_and(|address| plain(address) == word)
            || short(&word).is_some_and(|short| name == short)
            || short(&name).is_some_and(|short| word == short)
    };
    inventory.nodes.iter().find(is_same).map(|node| node.name.as_str())
}

fn report_loops(
    inventory: &Inventory,
    wanted: &[Vec<(WantedServer, Range<usize>)>],
    source: Source<'_>,
    wrong: &mut Faults<'_>,
) {
    let order = server_order(inventory);
    for found in order.cycles() {
        let mut nodes: Vec<NodeId> = found
            .iter()
            .filter_map(|vertex| if let VertexKind::Node(id) = order.what(*vertex) { Some(id) } else { None })
            .collect();
        // The order runs from servers to clients; people say whom a node boots from.
        nodes.reverse();
        let smallest = (0..nodes.len()).min_by_key(|&at| nodes[at]).unwrap_or(0);
        nodes.rotate_left(smallest);
        let Some(&first) = nodes.first() else { continue };
        let at = |id: &NodeId| wanted[id.index()].first().map_or(0..0, |(_, at)| at.clone());
        wrong.add(|| {
            let starts: Vec<usize> = nodes.iter().map(|id| at(id).start).collect();
            let places = source.places(&starts);
            let mut names: Vec<&str> = nodes.iter().map(|id| inventory.name(*id)).collect();
            names.push(inventory.name(first));
            let message = format!("the servers go round in a circle: {}", names.join(" boots from "));
            let others = nodes.iter().zip(places).skip(1);
            others.fold(source.diagnose(at(&first), message), |diagnostic, (id, place)| {
                diagnostic.note(place, format!("the server of {}", inventory.name(*id)))
            })
        });
    }
}

/// Returns the order of servers before their clients.
fn server_order(inventory: &Inventory) -> Order {
    let mut clients: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    for id in inventory.ids() {
        for &server in &inventory.node(id).boot_servers {
            clients.entry(server).or_default().push(id);
        }
    }
    let mut servers: Vec<NodeId> = clients.keys().copied().collect();
    servers.sort_unstable();
    let mut groups = Vec::with_capacity(2 * servers.len());
    let mut edges = Vec::with_capacity(servers.len());
    for server in servers {
        let group = GroupId(u32::try_from(groups.len()).unwrap_or(u32::MAX));
        groups.push(vec![server]);
        groups.push(clients.remove(&server).unwrap_or_default());
        edges.push((group, GroupId(group.0 + 1)));
    }
    Order::new(inventory.len(), &groups, &edges)
}
