//! The default sequence: servers before their clients, as the inventory relates them.
//!
//! Every server has a group of its own and one of its clients, so that no client waits for a server
//! it does not use; a server that is itself a client stands in both kinds, which is what chains the
//! levels. The compact form is the classic one: two groups a level.

use super::groups::{At, Edge, Group, GroupMember, Sequence};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::drivers::NodeId;
use crate::graph::GroupId;
use crate::inventory::Inventory;
use std::collections::BTreeMap;

/// Which way the order runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Servers first.
    Startup,
    /// Clients first.
    Shutdown,
}

/// How finely the default sequence tells servers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each client waits for its own servers.
    Each,
    /// All servers of a level before all their clients.
    Compact,
}

/// The group of nodes that neither serve nor are served.
const OTHERS: &str = "others";

impl Sequence {
    /// Returns the order of servers and clients by these attributes (`boot_server` is one); the same
    /// for an inventory in any order.
    ///
    /// # Errors
    /// An attribute that names no node of the inventory, or relations that go round in a circle.
    pub fn from_inventory(
        inventory: &Inventory,
        relations: &[&str],
        process: Process,
        form: Form,
    ) -> Result<Self, Diagnostics> {
        let servers = relate(inventory, relations)?;
        let mut each = Self::default();
        for (server, clients) in clients_by_server(inventory, &servers) {
            let name = inventory.name(server);
            each.pair(&format!("server_{name}"), [server], &format!("clients_{name}"), clients);
        }
        // Also what the compact form means must be found free of cycles first.
        let order = each.order(inventory)?;
        let sequence = match form {
            Form::Each => each,
            Form::Compact => {
                drop(each);
                compact(inventory, &servers, &order.sorted().unwrap_or_default(), |vertex| order.what(vertex))
            }
        };
        Ok(match process {
            Process::Startup => sequence,
            Process::Shutdown => sequence.mirrored(),
        })
    }

    /// Returns the same with a group of the nodes that are in none, which puts them in no order: a file in which
    /// every node is listed shows which are new.
    #[must_use]
    pub fn listing_all(mut self, inventory: &Inventory) -> Self {
        let mut listed = vec![false; inventory.len()];
        for member in self.groups.iter().flat_map(|group| &group.members) {
            listed[member.node.index()] = true;
        }
        let others: Vec<NodeId> = inventory.sorted().into_iter().filter(|id| !listed[id.index()]).collect();
        if !others.is_empty() {
            self.add_group(OTHERS, others);
        }
        self
    }

    fn pair(
        &mut self,
        servers: &str,
        server_members: impl IntoIterator<Item = NodeId>,
        clients: &str,
        client_members: impl IntoIterator<Item = NodeId>,
    ) {
        let before = self.add_group(servers, server_members);
        let after = self.add_group(clients, client_members);
        self.edges.push(Edge { before, after, threshold: None, at: At::NOWHERE });
    }

    fn add_group(&mut self, name: &str, members: impl IntoIterator<Item = NodeId>) -> GroupId {
        let id = GroupId(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let members = members.into_iter().map(|node| GroupMember { node, at: At::NOWHERE }).collect();
        self.names.intern(name);
        self.groups.push(Group { members, at: At::NOWHERE });
        id
    }
}

/// A short text can relate many nodes to many.
const PAIRS: usize = 5_000_000;

/// Returns the servers of each node, by node.
fn relate(inventory: &Inventory, relations: &[&str]) -> Result<Vec<Vec<NodeId>>, Diagnostics> {
    let mut wrong = Diagnostics::default();
    let mut servers = vec![Vec::new(); inventory.len()];
    let mut pairs = 0;
    for relation in relations {
        for id in inventory.ids() {
            let clause = match inventory.related(id, relation) {
                Ok(related) if related.contains(&id) => "the node is its own server".to_owned(),
                Ok(related) => {
                    pairs += related.len();
                    if pairs > PAIRS {
                        let message = format!(
                            "more than {PAIRS} relations between nodes and servers: write an inventory for each cluster"
                        );
                        return Err(Diagnostic::about(inventory.file(), message).into());
                    }
                    servers[id.index()].extend(related);
                    continue;
                }
                Err(unknown) => unknown.to_string(),
            };
            let message = format!("{}: {relation}: {clause}", inventory.name(id));
            let about = Diagnostic { place: inventory.place(id), ..Diagnostic::about("", "") };
            wrong.push(Diagnostic { message, ..about });
        }
    }
    for servers in &mut servers {
        servers.sort_unstable_by_key(|&id| inventory.rank(id));
        servers.dedup();
    }
    wrong.or(servers)
}

/// Returns servers and their clients, both by number, then by name.
fn clients_by_server(inventory: &Inventory, servers: &[Vec<NodeId>]) -> Vec<(NodeId, Vec<NodeId>)> {
    let mut clients: Vec<Vec<NodeId>> = vec![Vec::new(); inventory.len()];
    let sorted = inventory.sorted();
    for &id in &sorted {
        for server in &servers[id.index()] {
            clients[server.index()].push(id);
        }
    }
    let take = |id: NodeId| (id, std::mem::take(&mut clients[id.index()]));
    sorted.into_iter().map(take).filter(|(_, clients)| !clients.is_empty()).collect()
}

/// Returns two groups a level; a server is on the level below its deepest own server.
fn compact(
    inventory: &Inventory,
    servers: &[Vec<NodeId>],
    sorted: &[crate::graph::Vertex],
    what: impl Fn(crate::graph::Vertex) -> crate::graph::VertexKind,
) -> Sequence {
    let mut depth = vec![0usize; inventory.len()];
    for &vertex in sorted {
        if let crate::graph::VertexKind::Node(id) = what(vertex) {
            let above = servers[id.index()].iter().map(|server| depth[server.index()] + 1);
            depth[id.index()] = above.max().unwrap_or(0);
        }
    }
    let mut levels: BTreeMap<usize, (Vec<NodeId>, Vec<NodeId>)> = BTreeMap::new();
    for (server, _) in clients_by_server(inventory, servers) {
        levels.entry(depth[server.index()]).or_default().0.push(server);
    }
    for id in inventory.sorted() {
        let mut above: Vec<usize> = servers[id.index()].iter().map(|server| depth[server.index()]).collect();
        above.sort_unstable();
        above.dedup();
        for level in above {
            levels.entry(level).or_default().1.push(id);
        }
    }
    let mut sequence = Sequence::default();
    for (level, (servers, clients)) in levels {
        let suffix = if level == 0 { String::new() } else { (level + 1).to_string() };
        sequence.pair(&format!("servers{suffix}"), servers, &format!("clients{suffix}"), clients);
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::inventory::Node;
    use crate::nodeset;
    use crate::sequence::{SequenceDocument, Spelling, from_json, parse};
    use proptest::prelude::*;

    /// Returns an inventory in which a node is served by some of those before it, without cycles.
    fn inventory(servers: &[Vec<usize>], numbered: usize, turn: usize) -> Inventory {
        let count = servers.len();
        let place = |node: usize| (node + turn) % count;
        let mut nodes = vec![Node::default(); count];
        for (node, wanted) in servers.iter().enumerate() {
            let above = wanted.iter().filter(|_| node > 0).map(|server| server % node.max(1));
            let ids = above.map(|server| NodeId(u32::try_from(place(server)).unwrap()));
            let mut boot_servers: Vec<NodeId> = ids.collect();
            boot_servers.sort_unstable();
            boot_servers.dedup();
            let number = (node < numbered).then(|| u32::try_from(count - node).unwrap());
            nodes[place(node)] =
                Node { name: format!("n{node:02}"), number, boot_servers, ..Node::default() };
        }
        Inventory::new(nodes)
    }

    fn text(inventory: &Inventory, process: Process, form: Form, spelling: Spelling) -> String {
        let sequence = Sequence::from_inventory(inventory, &["boot_server"], process, form).unwrap();
        sequence.to_text(inventory, spelling)
    }

    #[test]
    fn each_client_waits_for_its_own_servers_and_levels_chain() {
        let inventory = inventory(&[vec![], vec![0], vec![0], vec![1], vec![1, 2], vec![]], 0, 0);
        let said = text(&inventory, Process::Startup, Form::Each, Spelling::Folded);
        assert_eq!(
            said,
            "server_n00: n00\nclients_n00: n[01-02]\nserver_n01: n01\nclients_n01: n[03-04]\n\
             server_n02: n02\nclients_n02: n04\nserver_n00 > clients_n00\nserver_n01 > clients_n01\n\
             server_n02 > clients_n02\n"
        );
        let said = text(&inventory, Process::Shutdown, Form::Compact, Spelling::Folded);
        assert_eq!(
            said,
            "servers: n00\nclients: n[01-02]\nservers2: n[01-02]\nclients2: n[03-04]\n\
             clients > servers\nclients2 > servers2\n"
        );
    }

    #[test]
    fn a_relation_that_names_no_node_is_an_error() {
        let mut node = Node { name: "a".to_owned(), ..Node::default() };
        node.attributes.insert("nfs".to_owned(), "b".into());
        let inventory = Inventory::new(vec![node]);
        let wrong = Sequence::from_inventory(&inventory, &["nfs"], Process::Startup, Form::Each).unwrap_err();
        assert_eq!(wrong.to_string(), "a: nfs: no node named \"b\"");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_to_the_same_order(
            servers in prop::collection::vec(prop::collection::vec(0usize..99, 0..3), 1..40),
            numbered in 0usize..60,
            turn in 0usize..40,
        ) {
            let inventory = inventory(&servers, numbered, 0);
            let turned = self::inventory(&servers, numbered, turn);
            for process in [Process::Startup, Process::Shutdown] {
                for form in [Form::Each, Form::Compact] {
                    let sequence = Sequence::from_inventory(&inventory, &["boot_server"], process, form).unwrap();
                    let order = sequence.order(&inventory).unwrap();
                    for spelling in [Spelling::Names, Spelling::Folded] {
                        let written = sequence.to_text(&inventory, spelling);
                        prop_assert_eq!(&written, &text(&turned, process, form, spelling), "shuffled input");
                        let read = parse(&Source { name: "s", text: &written }, Some(&inventory)).unwrap();
                        prop_assert_eq!(read.order(&inventory).unwrap().waves(), order.waves());
                        let document = SequenceDocument::new(&sequence, &order, &inventory, spelling);
                        let json = serde_json::to_string(&document).unwrap();
                        let back = from_json(&Source { name: "j", text: &json }).unwrap();
                        let back = parse(&Source { name: "t", text: &back }, Some(&inventory)).unwrap();
                        prop_assert_eq!(back.to_text(&inventory, spelling), written);
                    }
                    let mirrored = sequence.clone().mirrored().mirrored();
                    prop_assert_eq!(mirrored.order(&inventory).unwrap().waves(), order.waves());
                }
            }
        }

        #[test]
        fn no_client_is_in_a_wave_before_its_servers(
            servers in prop::collection::vec(prop::collection::vec(0usize..99, 0..3), 1..40),
        ) {
            let inventory = inventory(&servers, 0, 0);
            for form in [Form::Each, Form::Compact] {
                let sequence =
                    Sequence::from_inventory(&inventory, &["boot_server"], Process::Startup, form).unwrap();
                let waves = sequence.order(&inventory).unwrap().waves();
                let wave = |id: NodeId| waves.iter().position(|wave| wave.contains(&id)).unwrap();
                for id in inventory.ids() {
                    for &server in &inventory.node(id).boot_servers {
                        prop_assert!(wave(server) < wave(id));
                    }
                }
            }
        }

        #[test]
        fn folded_members_are_the_same_nodes(names in prop::collection::btree_set("[a-b][0-9]{1,3}", 1..30)) {
            let folded = nodeset::fold_words(names.iter().map(String::as_str)).join(" ");
            let text = format!("g: {folded}\n");
            let read = parse(&Source { name: "s", text: &text }, None).unwrap();
            let mut back: Vec<&str> = read.own_names().iter().collect();
            back.sort_unstable();
            prop_assert_eq!(back, names.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
