//! The reader of what `ansible-inventory --list` prints.
//!
//! Hosts are nodes; their groups are those that name them and all groups above (but for `all` and
//! `ungrouped`, which say nothing). Of the host variables `boot_server`, `number` and `partition` mean
//! what they do in our own format, `ansible_host` is the address, and the others are attributes.

use super::Inventory;
use super::check::{Draft, Drafts};
use super::json::read_key;
use crate::diagnostic::{Diagnostics, Source};
use crate::json::{Json, Member};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

pub(super) fn read(source: Source<'_>) -> Result<Inventory, Diagnostics> {
    let top = Json::parse(source)?;
    let mut drafts = Drafts::new(source);
    let Some(members) = top.members() else {
        return Err(top.diagnose("an Ansible inventory is an object of groups").into());
    };
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut hosts = Hosts::default();
    for member in &members {
        if member.key == "_meta" {
            read_variables(&member.value, &mut hosts, &mut drafts);
        } else {
            let group = read_group(member, &mut hosts, &mut drafts);
            groups.insert(member.key.clone().into_owned(), group);
        }
    }
    for (name, group) in &groups {
        if name == "all" || name == "ungrouped" {
            continue;
        }
        if let Some(fault) = crate::name::fault(name) {
            drafts.wrong.at(group.at.clone(), fault);
            continue;
        }
        for host in members_of(name, &groups) {
            if let Some(&at) = hosts.by_name.get(host) {
                hosts.drafts[at].node.groups.push(name.clone());
            }
        }
    }
    for draft in hosts.drafts {
        drafts.add(draft);
    }
    drafts.finish()
}

#[derive(Default)]
struct Group {
    hosts: Vec<String>,
    children: Vec<String>,
    at: Range<usize>,
}

/// Hosts in the order in which they are first named.
#[derive(Default)]
struct Hosts {
    drafts: Vec<Draft>,
    by_name: HashMap<String, usize>,
}

impl Hosts {
    fn get(&mut self, name: &str, at: Range<usize>) -> &mut Draft {
        let next = self.drafts.len();
        let place = *self.by_name.entry(name.to_owned()).or_insert(next);
        if place == next {
            let mut draft = Draft { at, ..Draft::default() };
            name.clone_into(&mut draft.node.name);
            self.drafts.push(draft);
        }
        &mut self.drafts[place]
    }
}

fn read_variables(meta: &Json<'_>, hosts: &mut Hosts, drafts: &mut Drafts<'_>) {
    let variables = meta.members().into_iter().flatten().find(|member| member.key == "hostvars");
    for host in variables.and_then(|member| member.value.members()).unwrap_or_default() {
        let draft = hosts.get(&host.key, host.key_range());
        for variable in host.value.members().unwrap_or_default() {
            let key = if variable.key == "ansible_host" { "address" } else { variable.key.as_ref() };
            match variable.value.text() {
                Some(text) => drafts.state(draft, key, &text, variable.value.range()),
                // What our format calls groups and units are no words of Ansible's.
                None if matches!(key, "groups" | "power_with") => {}
                None => read_key(&variable, draft, drafts),
            }
        }
    }
}

/// Reads `{"hosts": […], "children": […]}`, or the older plain list of hosts.
fn read_group(member: &Member<'_>, hosts: &mut Hosts, drafts: &mut Drafts<'_>) -> Group {
    let mut group = Group { at: member.key_range(), ..Group::default() };
    if let Some(items) = member.value.items() {
        group.hosts = read_names(&items, drafts);
    } else if let Some(parts) = member.value.members() {
        for part in parts {
            match (part.key.as_ref(), part.value.items()) {
                ("hosts", Some(items)) => group.hosts = read_names(&items, drafts),
                ("children", Some(items)) => group.children = read_names(&items, drafts),
                ("hosts" | "children", None) => {
                    drafts
                        .wrong
                        .add(|| part.value.diagnose(format!("\"{}\" must be a list of names", part.key)));
                }
                // The variables of a group are repeated among those of its hosts.
                _ => {}
            }
        }
    } else {
        drafts.wrong.add(|| member.value.diagnose("a group must be an object or a list of hosts"));
    }
    for host in &group.hosts {
        hosts.get(host, group.at.clone());
    }
    group
}

fn read_names(items: &[Json<'_>], drafts: &mut Drafts<'_>) -> Vec<String> {
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        match item.text() {
            Some(name) => names.push(name.into_owned()),
            None => drafts.wrong.add(|| item.diagnose("must be a name in quotes")),
        }
    }
    names
}

/// Returns the hosts of a group and of all groups below it, sorted.
fn members_of<'g>(name: &'g str, groups: &'g BTreeMap<String, Group>) -> BTreeSet<&'g str> {
    let (mut hosts, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![name]);
    while let Some(name) = open.pop() {
        if let Some(group) = groups.get(name).filter(|_| seen.insert(name)) {
            hosts.extend(group.hosts.iter().map(String::as_str));
            open.extend(group.children.iter().map(String::as_str));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, read};

    #[test]
    fn what_ansible_inventory_prints_is_read() {
        let text = r#"{
            "_meta": {"hostvars": {
                "n1": {"ansible_host": "10.0.0.1", "number": 1, "ansible_port": 22},
                "n2": {"boot_server": "n1", "number": "2"}}},
            "all": {"children": ["compute", "ungrouped"]},
            "compute": {"children": ["rack1"]},
            "rack1": {"hosts": ["n1", "n2"]},
            "ungrouped": {"hosts": ["n3"]}}"#;
        let inventory =
            read(&Source { name: "a", text }, Format::Ansible).map_err(|d| d.to_string()).unwrap();
        assert_eq!(inventory.len(), 3);
        let n2 = inventory.node(inventory.by_number(2).unwrap());
        assert_eq!(
            (n2.groups.as_slice(), n2.boot_servers.len()),
            (&["compute".to_owned(), "rack1".to_owned()][..], 1)
        );
        assert_eq!(inventory.nodes()[0].address(), "10.0.0.1");
        assert_eq!(inventory.nodes()[0].attributes["ansible_port"], 22);
        assert!(inventory.nodes()[2].groups.is_empty());
    }
}
