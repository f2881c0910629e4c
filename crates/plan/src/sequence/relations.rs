//! The default sequence: servers before their clients, as the inventory relates them.
//!
//! Every server has a group of its own and one of its clients, so that no client waits for a server
//! it does not use; a server that is itself a client stands in both kinds, which is what chains the
//! levels. The compact form is the classic one: two groups a level.

use super::{At, Edge, Group, Member, Sequence};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::fleet::NodeId;
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

    fn pair(
        &mut self,
        servers: &str,
        server_members: impl IntoIterator<Item = NodeId>,
        clients: &str,
        client_members: impl IntoIterator<Item = NodeId>,
    ) {
        let before = self.add_group(servers, server_members);
        let after = self.add_group(clients, client_members);
        self.edges.push(Edge { before, after, at: At::NOWHERE });
    }

    fn add_group(&mut self, name: &str, members: impl IntoIterator<Item = NodeId>) -> GroupId {
        let id = GroupId(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let members = members.into_iter().map(|node| Member { node, at: At::NOWHERE }).collect();
        self.names.intern(name);
        self.groups.push(Group { members, at: At::NOWHERE });
        id
    }
}

/// Returns the servers of each node, by node.
fn relate(inventory: &Inventory, relations: &[&str]) -> Result<Vec<Vec<NodeId>>, Diagnostics> {
    let mut wrong = Diagnostics::default();
    let mut servers = vec![Vec::new(); inventory.len()];
    for relation in relations {
        for id in inventory.ids() {
            let clause = match inventory.related(id, relation) {
                Ok(related) if related.contains(&id) => "the node is its own server".to_owned(),
                Ok(related) => {
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
    what: impl Fn(crate::graph::Vertex) -> crate::graph::What,
) -> Sequence {
    let mut depth = vec![0usize; inventory.len()];
    for &vertex in sorted {
        if let crate::graph::What::Node(id) = what(vertex) {
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
