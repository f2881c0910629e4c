//! The reader of what `ansible-inventory --list` prints, with and without `--export`.
//!
//! Hosts are nodes; their groups are those that name them and all groups above (but for `all` and
//! `ungrouped`, which say nothing). Of the variables `boot_server`, `number` and `partition` mean
//! what they do in our own format, `ansible_host` is the address, and the others are attributes. With
//! `--export` the variables of a group stand with the group: a host has those of all its groups, of
//! which the nearer win, and its own before any (`ansible/tree.rs`).

mod nearest;
mod tree;

use super::check::{Draft, Drafts};
use super::json::{read_attribute, read_key, read_servers};
use super::nodes::Inventory;
use super::parts::{Part, PartRef, Parts};
use super::reader::{Reader, is_object_with};
use crate::diagnostic::{Diagnostics, Source};
use crate::json::{Json, JsonMember};
use crate::name::Names;
use nearest::NearestValues;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use tree::Tree;

pub(super) const READER: Reader = Reader {
    word: "ansible",
    title: "the JSON of ansible-inventory --list",
    read,
    is_like: |text| is_object_with(text, &["_meta", "hostvars", "hosts", "children"]),
};

fn read<'s>(source: Source<'s>, mut drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
    let top = Json::parse(source)?;
    let Some(members) = top.members() else {
        return Err(top.diagnose("an Ansible inventory is an object of groups").into());
    };
    let mut groups: BTreeMap<String, AnsibleGroup<'s>> = BTreeMap::new();
    let mut hosts = Hosts::default();
    drafts.once(&members);
    for member in &members {
        if member.key == "_meta" {
            read_host_variables(&member.value, &mut hosts, &mut drafts);
        } else {
            let group = read_group(member, &mut hosts, &mut drafts);
            groups.insert(member.key.clone().into_owned(), group);
        }
    }
    let says_nothing = hosts.found.is_empty() && drafts.wrong.count() == 0;
    if let Some(member) =
        members.first().filter(|_| says_nothing && members.iter().all(|one| one.key != "_meta"))
    {
        // What another program wrote, very likely; Ansible itself always writes `_meta`.
        let clause = "no group of it has a host, and there are no host variables";
        return Err(member.diagnose_key(clause).into());
    }
    drop(members);
    for (name, group) in &groups {
        if let Some(fault) = crate::name::fault(name) {
            drafts.no_group(group.at.clone(), name, &fault);
        }
    }
    match Tree::of(&groups, hosts.found.len()) {
        Ok(tree) if has_room(&tree, &hosts, &mut drafts) => state(&tree, hosts, &mut drafts),
        Ok(_) => {}
        Err(circle) => {
            let message =
                format!("the groups go round in a circle: {}", circle.names.join(" is a child of "));
            drafts.wrong.at(circle.at, message);
        }
    }
    drop(groups);
    drafts.finish()
}

/// Gives each host what its groups state, and what is its own.
fn state(tree: &Tree<'_, '_>, hosts: Hosts<'_>, drafts: &mut Drafts<'_>) {
    let mut teller = HostVariables::default();
    let mut parts = Parts::default();
    for group in tree.groups() {
        parts.add(group_part(tree, group, &mut teller, drafts));
    }
    let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut part_of = |host: u32| match tree.nearest_groups(host).as_slice() {
        [] => None,
        [only] => Some(*only),
        several => Some(
            *known
                .entry(several.to_vec())
                .or_insert_with(|| parts.add(Part { above: several.to_vec(), ..Part::default() })),
        ),
    };
    let part_of_host: Vec<Option<u32>> = (0..).take(hosts.found.len()).map(&mut part_of).collect();
    let parts = Arc::new(parts);
    let nearest = NearestValues::of(tree);
    drafts.expect(hosts.found.len());
    for ((found, part), host) in hosts.found.into_iter().zip(part_of_host).zip(0..) {
        let mut draft = Draft { at: found.at, ..Draft::default() };
        hosts.names.get(host).clone_into(&mut draft.node.name);
        let mut variables: BTreeMap<&str, &JsonMember<'_>> =
            found.own.iter().map(|member| (member.key.as_ref(), member)).collect();
        nearest.of_host(host, tree, &mut variables, drafts);
        teller.state(&variables, &mut draft, drafts);
        if let Some(part) = part {
            let part_ref = PartRef::new(&parts, part);
            draft.node.groups.share(part_ref.clone());
            draft.node.attributes.share(part_ref);
        }
        drafts.add(draft);
    }
}

/// Returns what a group states for all hosts below it; what is ours of that is looked up for each host.
fn group_part(tree: &Tree<'_, '_>, group: u32, teller: &mut HostVariables, drafts: &mut Drafts<'_>) -> Part {
    let mut part = Part { rank: tree.depth(group), above: tree.parents(group).to_vec(), ..Part::default() };
    if !tree.is_used(group) {
        return part;
    }
    let name = tree.name(group);
    if !matches!(name, "all" | "ungrouped") && crate::name::fault(name).is_none() {
        part.groups.push(name.to_owned());
    }
    let others = tree.variables(group).iter().filter(|member| !nearest::OURS.contains(&member.key.as_ref()));
    let mut draft = Draft::default();
    teller.state(&others.map(|member| (member.key.as_ref(), member)).collect(), &mut draft, drafts);
    part.attributes = std::mem::take(draft.node.attributes.own_mut());
    part
}

/// Counts what all hosts have, which is all that their groups state, before anything is made of it. What they have at the
/// least and at the most costs no more than to read the text; only what lies between is counted group by group.
fn has_room(tree: &Tree<'_, '_>, hosts: &Hosts<'_>, drafts: &mut Drafts<'_>) -> bool {
    let (mut least, mut most) = (0usize, 0usize);
    for (found, host) in hosts.found.iter().zip(0..) {
        let [at_least, at_most] = tree.bounds(host);
        least = least.saturating_add(at_least);
        most = most.saturating_add(at_most);
        if !drafts.foresees_room(least, found.at.clone()) {
            return false;
        }
    }
    if drafts.would_have_room(most) {
        return true;
    }
    let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut counter = tree.counter();
    hosts.found.iter().zip(0..).all(|(found, host)| {
        let stated =
            *known.entry(tree.nearest_groups(host)).or_insert_with_key(|groups| counter.count(groups));
        drafts.has_room(stated, found.at.clone())
    })
}

const UNSAFE: &str = "__ansible_unsafe";

#[derive(Default)]
struct AnsibleGroup<'a> {
    /// By number.
    hosts: Vec<u32>,
    children: Vec<Cow<'a, str>>,
    variables: Vec<JsonMember<'a>>,
    at: Range<usize>,
}

/// Hosts in the order in which they are first named, each with its own variables.
#[derive(Default)]
struct Hosts<'a> {
    names: Names,
    found: Vec<FoundHost<'a>>,
}

struct FoundHost<'a> {
    at: Range<usize>,
    own: Vec<JsonMember<'a>>,
}

impl Hosts<'_> {
    /// Returns the number of a host, which may be new.
    fn number(&mut self, name: &str, at: &Range<usize>) -> Option<u32> {
        let number = self.names.intern(name)?;
        if number as usize == self.found.len() {
            self.found.push(FoundHost { at: at.clone(), own: Vec::new() });
        }
        Some(number)
    }
}

fn read_host_variables<'a>(meta: &Json<'a>, hosts: &mut Hosts<'a>, drafts: &mut Drafts<'_>) {
    let Some(parts) = meta.members() else {
        drafts.wrong.add(|| meta.diagnose("\"_meta\" must be an object: {\"hostvars\": …}"));
        return;
    };
    for part in parts.iter().filter(|part| part.key == "hostvars") {
        for host in objects(part, drafts) {
            if let Some(number) = hosts.number(&host.key, &host.key_range()) {
                hosts.found[number as usize].own = objects(&host, drafts);
            }
        }
    }
}

/// Returns the members of an object of variables; null is none of them, and so is an empty list, as PHP and
/// Perl write an empty object.
fn objects<'a>(part: &JsonMember<'a>, drafts: &mut Drafts<'_>) -> Vec<JsonMember<'a>> {
    let value = &part.value;
    match value.members() {
        Some(members) => {
            drafts.once(&members);
            members
        }
        None if value.is_null() || value.items().is_some_and(|items| items.is_empty()) => Vec::new(),
        None => {
            drafts.wrong.add(|| value.diagnose(format!("\"{}\" must be an object of variables", part.key)));
            Vec::new()
        }
    }
}

/// Reads `{"hosts": […], "children": […], "vars": {…}}`, or the older plain list of hosts.
fn read_group<'a>(
    member: &JsonMember<'a>,
    hosts: &mut Hosts<'a>,
    drafts: &mut Drafts<'_>,
) -> AnsibleGroup<'a> {
    let mut group = AnsibleGroup { at: member.key_range(), ..AnsibleGroup::default() };
    if let Some(items) = member.value.items() {
        group.hosts = read_hosts(&items, &group.at, hosts, drafts);
    } else if let Some(parts) = member.value.members() {
        drafts.once(&parts);
        for part in parts {
            match (part.key.as_ref(), part.value.items()) {
                ("hosts", Some(items)) => group.hosts = read_hosts(&items, &group.at, hosts, drafts),
                ("children", Some(items)) => group.children = read_names(&items, drafts).collect(),
                ("hosts" | "children", None) => {
                    drafts
                        .wrong
                        .add(|| part.value.diagnose(format!("\"{}\" must be a list of names", part.key)));
                }
                ("vars", _) => group.variables = objects(&part, drafts),
                _ => {}
            }
        }
    } else {
        drafts.wrong.add(|| member.value.diagnose("a group must be an object or a list of hosts"));
    }
    group
}

fn read_hosts<'a>(
    items: &[Json<'a>],
    at: &Range<usize>,
    hosts: &mut Hosts<'a>,
    drafts: &mut Drafts<'_>,
) -> Vec<u32> {
    read_names(items, drafts).filter_map(|name| hosts.number(&name, at)).collect()
}

fn read_names<'a>(items: &[Json<'a>], drafts: &mut Drafts<'_>) -> impl Iterator<Item = Cow<'a, str>> {
    items.iter().filter_map(|item| {
        let name = item.text();
        if name.is_none() {
            drafts.wrong.add(|| item.diagnose("must be a name in quotes"));
        }
        name
    })
}

/// Gives hosts and groups their variables; what one place states for many hosts is wrong once.
#[derive(Default)]
struct HostVariables {
    wrong: HashSet<usize>,
}

impl HostVariables {
    fn state(
        &mut self,
        variables: &BTreeMap<&str, &JsonMember<'_>>,
        draft: &mut Draft,
        drafts: &mut Drafts<'_>,
    ) {
        for (&name, member) in variables {
            let start = member.value.range().start;
            if self.wrong.contains(&start) {
                continue;
            }
            let before = drafts.wrong.count();
            state_one(name, member, draft, drafts);
            if drafts.wrong.count() > before {
                self.wrong.insert(start);
            }
            // What is not set here hides what a group farther away sets.
            if !nearest::OURS.contains(&name) {
                draft.node.attributes.own_mut().entry(name.to_owned()).or_insert(Value::Null);
            }
        }
    }
}

fn state_one(name: &str, member: &JsonMember<'_>, draft: &mut Draft, drafts: &mut Drafts<'_>) {
    // Somebody's own word; the address is ansible_host.
    if name == "address" {
        let value = member.value.value().ok();
        let value = value.filter(|value| !value.is_null());
        draft.node.attributes.own_mut().extend(value.map(|value| (name.to_owned(), value)));
        return;
    }
    let key = if name == "ansible_host" { "address" } else { name };
    let value = plain(&member.value);
    let number = (key == "number").then(|| value.value().ok()).flatten();
    match value.text().or(number.map(|number| number.to_string().into())) {
        Some(text) => drafts.state(draft, key, &text, value.range()),
        // What our format calls groups and units are no words of Ansible's.
        None if matches!(key, "groups" | "power_with") => {}
        None if key == "boot_server" => {
            let servers = value.items().unwrap_or_else(|| vec![value]);
            read_servers(servers.iter().map(plain), draft, drafts);
        }
        None if matches!(key, "number" | "address" | "partition") => {
            read_key(&member.with(key, value), draft, drafts);
        }
        // What is not set.
        None if value.is_null() => {}
        None => {
            read_attribute(&member.with(key, value), &mut draft.node, drafts);
            draft.node.attributes.own_mut().get_mut(key).into_iter().for_each(make_plain);
        }
    }
}

/// Returns what is in `{"__ansible_unsafe": …}`, which Ansible puts around what it must not expand.
fn plain<'a>(value: &Json<'a>) -> Json<'a> {
    match value.members().as_deref() {
        Some([only]) if only.key == UNSAFE => only.value,
        _ => *value,
    }
}

/// Does the same at every depth of a value.
fn make_plain(value: &mut Value) {
    match value {
        Value::Object(members) if members.len() == 1 && members.contains_key(UNSAFE) => {
            *value = members.remove(UNSAFE).unwrap_or_default();
        }
        Value::Object(members) => members.values_mut().for_each(make_plain),
        Value::Array(items) => items.iter_mut().for_each(make_plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};

    /// Of two values the first was dropped in silence, with the server it stated.
    #[test]
    fn a_key_that_stands_twice_is_rejected() {
        for text in [
            r#"{"_meta": {"hostvars": {"n1": {"boot_server": "s1"}, "n1": {}}}, "g": ["n1", "s1"]}"#,
            r#"{"_meta": {"hostvars": {"n1": {"boot_server": "s1", "boot_server": "s2"}}}, "g": ["n1", "s1", "s2"]}"#,
            r#"{"g": {"hosts": ["n1"], "vars": {"boot_server": "s1"}}, "h": ["s1"], "g": ["n1"]}"#,
            r#"{"g": {"hosts": ["n1"], "vars": {"boot_server": "s1"}, "vars": {}}, "h": ["s1"]}"#,
        ] {
            let said = read(&Source { name: "a", text }, Format::Ansible, &Outside::default()).unwrap_err();
            assert!(said.to_string().contains("stands twice"), "{text}\n{said}");
        }
    }

    /// JSON warned of it, and the others dropped the server in silence.
    #[test]
    fn a_misspelt_server_is_doubted_in_every_format() {
        for key in ["bootserver", "Boot_Server", "boot-server", "boot_servers"] {
            for (format, text) in [
                (
                    Format::Ansible,
                    format!(r#"{{"_meta": {{"hostvars": {{"n1": {{"{key}": "s1"}}}}}}, "g": ["n1", "s1"]}}"#),
                ),
                (Format::Warewulf, format!(r#"{{"n1": {{"Tags": {{"{key}": "s1"}}}}, "s1": {{}}}}"#)),
                (Format::Genders, format!("n1 {key}=s1\ns1\n")),
                (Format::Xcat, format!("n1:\n  {key}=s1\ns1:\n")),
                (
                    Format::Json,
                    format!(r#"{{"nodes": [{{"name": "n1", "{key}": "s1"}}, {{"name": "s1"}}]}}"#),
                ),
            ] {
                let inventory =
                    read(&Source { name: "i", text: &text }, format, &Outside::default()).unwrap();
                let said: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
                assert!(
                    said.len() == 1 && said[0].contains("did you mean \"boot_server\"?"),
                    "{text}\n{said:?}"
                );
            }
        }
    }

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
        let inventory = read(&Source { name: "a", text }, Format::Ansible, &Outside::default())
            .map_err(|d| d.to_string())
            .unwrap();
        assert_eq!(inventory.len(), 3);
        let n2 = inventory.node(inventory.by_number(2).unwrap());
        assert_eq!(
            (n2.groups.iter().collect::<Vec<_>>(), n2.boot_servers.len()),
            (vec!["compute", "rack1"], 1)
        );
        assert_eq!(inventory.nodes()[0].address(), "10.0.0.1");
        assert_eq!(inventory.nodes()[0].attributes["ansible_port"], 22);
        assert!(inventory.nodes()[2].groups.is_empty());
    }

    fn servers(text: &str) -> Result<Vec<String>, String> {
        let inventory = read(&Source { name: "a", text }, Format::Ansible, &Outside::default())
            .map_err(|d| d.to_string())?;
        let servers = |node: &crate::inventory::Node| {
            let servers = node.boot_servers.iter().map(|id| inventory.name(*id));
            format!("{}:{}", node.name, servers.collect::<Vec<_>>().join(","))
        };
        Ok(inventory.nodes().iter().map(servers).collect())
    }

    /// With `--export` no node had a server, and nothing was said.
    #[test]
    fn variables_of_groups_are_those_of_their_hosts_and_the_nearest_wins() {
        let text = r#"{
            "_meta": {"hostvars": {"n5": {"boot_server": "io1"}, "n6": {"boot_server": ""}}},
            "all": {"children": ["ungrouped", "io", "clients"], "vars": {"boot_server": "mgmt"}},
            "clients": {"children": ["compute", "gpu"], "vars": {"boot_server": "io1"}},
            "compute": {"hosts": ["n1", "n2", "n5", "n6"]},
            "gpu": {"hosts": ["n3"], "children": ["fast"], "vars": {"boot_server": "io2"}},
            "fast": {"hosts": ["n4"]},
            "io": {"hosts": ["io1", "io2"]},
            "mgmt_only": {"hosts": ["mgmt"], "vars": {"boot_server": 0}}}"#;
        let mut found = servers(text).unwrap();
        found.sort();
        assert_eq!(
            found,
            ["io1:mgmt", "io2:mgmt", "mgmt:", "n1:io1", "n2:io1", "n3:io2", "n4:io2", "n5:io1", "n6:"]
        );
    }

    #[test]
    fn a_server_stated_for_a_group_that_is_no_node_is_one_error() {
        let text =
            r#"{"g": {"hosts": ["n1", "n2", "n3"], "vars": {"boot_server": "nas1", "ansible_host": 5}}}"#;
        let said = servers(text).unwrap_err();
        assert_eq!(said.matches("no node named \"nas1\"").count(), 1, "{said}");
        assert_eq!(said.matches("\"address\" must be").count(), 1, "{said}");
        assert!(said.contains("a:1:61: no node"), "{said}");
        for text in
            [r#"{"_meta": {"hostvars": "x"}}"#, r#"{"_meta": 1}"#, r#"{"g": {"vars": "boot_server=n1"}}"#]
        {
            assert!(servers(text).unwrap_err().contains("must be an object"), "{text}");
        }
        assert_eq!(servers(r#"{"_meta": {"hostvars": []}, "g": ["n1"]}"#).unwrap(), ["n1:"]);
    }

    #[test]
    fn two_groups_of_one_depth_with_different_servers_are_a_warning() {
        let text = r#"{"a": {"hosts": ["n1", "n2"], "vars": {"boot_server": "s1"}},
            "b": {"hosts": ["n1", "n2"], "vars": {"boot_server": "s2"}}, "c": ["s1", "s2"]}"#;
        let inventory = read(&Source { name: "a", text }, Format::Ansible, &Outside::default()).unwrap();
        assert_eq!(inventory.warnings().len(), 1);
        assert_eq!(servers(text).unwrap()[..2], ["n1:s2", "n2:s2"]);
    }

    /// It was rejected; Ansible writes so what it must not expand.
    #[test]
    fn values_marked_unsafe_are_read_at_every_depth() {
        let text = r#"{"_meta": {"hostvars": {
            "n1": {"boot_server": {"__ansible_unsafe": "nas1"}, "ansible_host": {"__ansible_unsafe": "10.0.0.1"}},
            "n2": {"boot_server": [{"__ansible_unsafe": "nas1"}, "n1"], "address": "x", "number": {"__ansible_unsafe": "7"},
                   "nfs": {"a": [{"__ansible_unsafe": "x"}]}}}}, "all": {"hosts": ["nas1", "n1", "n2"]}}"#;
        assert_eq!(servers(text).unwrap(), ["n1:nas1", "n2:n1,nas1", "nas1:"]);
        let inventory = read(&Source { name: "a", text }, Format::Ansible, &Outside::default()).unwrap();
        assert_eq!((inventory.nodes()[0].address(), inventory.nodes()[1].number), ("10.0.0.1", Some(7)));
        assert_eq!(inventory.nodes()[1].address(), "n2", "a variable of that name is somebody's own");
        assert_eq!(inventory.nodes()[1].attributes["nfs"], serde_json::json!({"a": ["x"]}));
    }

    /// One such name made the whole inventory unreadable.
    #[test]
    fn a_group_that_cannot_be_named_here_makes_none_and_is_a_warning() {
        let text = r#"{"aws: eu": {"hosts": ["n1"], "children": ["b"], "vars": {"boot_server": "n3"}},
            "b": ["n2"], "c": ["n3"]}"#;
        assert_eq!(servers(text).unwrap(), ["n1:n3", "n2:n3", "n3:"]);
        let inventory = read(&Source { name: "a", text }, Format::Ansible, &Outside::default()).unwrap();
        assert_eq!(inventory.group_names().collect::<Vec<_>>(), ["b", "c"]);
        let said = inventory.warnings()[0].to_string();
        assert!(said.starts_with("a:1:2: \"aws: eu\" makes no group: a name cannot contain \":\""), "{said}");
    }
}
