//! The reader of what `ansible-inventory --list` prints, with and without `--export`.
//!
//! Hosts are nodes; their groups are those that name them and all groups above (but for `all` and
//! `ungrouped`, which say nothing). Of the variables `boot_server`, `number` and `partition` mean
//! what they do in our own format, `ansible_host` is the address, and the others are attributes. With
//! `--export` the variables of a group stand with the group: a host has those of all its groups, of
//! which the nearer win, and its own before any (`ansible/tree.rs`).

mod tree;

use super::check::{Draft, Drafts, weight};
use super::json::{read_attribute, read_key, read_servers};
use super::nodes::Inventory;
use crate::diagnostic::{Diagnostics, Source};
use crate::json::{Json, JsonMember};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use tree::Tree;

pub(super) fn read<'s>(source: Source<'s>, mut drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
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
    for (name, group) in &groups {
        if let Some(fault) = crate::name::fault(name) {
            drafts.no_group(group.at.clone(), name, &fault);
        }
    }
    let tree = Tree::of(&groups);
    if !has_room(&tree, &hosts, &mut drafts) {
        return drafts.finish();
    }
    let mut teller = HostVariables::default();
    for (mut draft, own) in hosts.found {
        let above = tree.groups_of(&draft.node.name);
        draft.node.groups = tree.names(&above);
        let variables = HostVariables::variables(&tree, &above, &own, &mut drafts);
        teller.state(&variables, &mut draft, &mut drafts);
        drafts.add(draft);
    }
    drafts.finish()
}

/// Counts what all hosts have, which is all that their groups state, before anything is made of it: first what they have
/// at the least, which costs no more than to read the text.
fn has_room(tree: &Tree<'_, '_>, hosts: &Hosts<'_>, drafts: &mut Drafts<'_>) -> bool {
    let mut least = 0;
    for (draft, _) in &hosts.found {
        least += tree.least(&draft.node.name);
        if !drafts.foresees_room(least, draft.at.clone()) {
            return false;
        }
    }
    let mut known = HashMap::new();
    hosts.found.iter().all(|(draft, _)| {
        let name = &draft.node.name;
        let stated = *known.entry(tree.own_groups(name)).or_insert_with(|| {
            tree.groups_of(name).into_iter().map(|group| tree.weight(group)).sum::<usize>()
        });
        drafts.has_room(stated, draft.at.clone())
    })
}

const UNSAFE: &str = "__ansible_unsafe";

#[derive(Default)]
struct AnsibleGroup<'a> {
    hosts: Vec<String>,
    children: Vec<String>,
    variables: Vec<JsonMember<'a>>,
    at: Range<usize>,
}

/// Hosts in the order in which they are first named, each with its own variables.
#[derive(Default)]
struct Hosts<'a> {
    found: Vec<(Draft, Vec<JsonMember<'a>>)>,
    by_name: HashMap<String, usize>,
}

impl<'a> Hosts<'a> {
    fn get(&mut self, name: &str, at: Range<usize>) -> &mut Vec<JsonMember<'a>> {
        let next = self.found.len();
        let place = *self.by_name.entry(name.to_owned()).or_insert(next);
        if place == next {
            let mut draft = Draft { at, ..Draft::default() };
            name.clone_into(&mut draft.node.name);
            self.found.push((draft, Vec::new()));
        }
        &mut self.found[place].1
    }
}

fn read_host_variables<'a>(meta: &Json<'a>, hosts: &mut Hosts<'a>, drafts: &mut Drafts<'_>) {
    let Some(parts) = meta.members() else {
        drafts.wrong.add(|| meta.diagnose("\"_meta\" must be an object: {\"hostvars\": …}"));
        return;
    };
    for part in parts.iter().filter(|part| part.key == "hostvars") {
        for host in objects(part, drafts) {
            *hosts.get(&host.key, host.key_range()) = objects(&host, drafts);
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
        group.hosts = read_names(&items, drafts);
    } else if let Some(parts) = member.value.members() {
        drafts.once(&parts);
        for part in parts {
            match (part.key.as_ref(), part.value.items()) {
                ("hosts", Some(items)) => group.hosts = read_names(&items, drafts),
                ("children", Some(items)) => group.children = read_names(&items, drafts),
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

/// Gives hosts their variables; what one place states for many hosts is wrong once.
#[derive(Default)]
struct HostVariables {
    wrong: HashSet<usize>,
}

impl HostVariables {
    /// Returns the variables of a host: of its groups, the farthest first, and its own.
    fn variables<'v, 'a>(
        tree: &Tree<'v, 'a>,
        above: &[usize],
        own: &'v [JsonMember<'a>],
        drafts: &mut Drafts<'_>,
    ) -> BTreeMap<&'v str, &'v JsonMember<'a>> {
        let mut variables: BTreeMap<&str, (Option<usize>, &JsonMember<'_>)> = BTreeMap::new();
        for &group in above {
            for member in tree.variables(group) {
                let before = variables.insert(&member.key, (Some(group), member));
                if let Some((Some(other), before)) = before {
                    if member.key == "boot_server"
                        && tree.depth(other) == tree.depth(group)
                        && before.value.value().ok() != member.value.value().ok()
                    {
                        let groups = [tree.name(other), tree.name(group)];
                        drafts.warn(member.key_range(), ("beside", &member.key), || beside(member, groups));
                    }
                }
            }
        }
        variables.extend(own.iter().map(|member| (member.key.as_ref(), (None, member))));
        variables.into_iter().map(|(key, (_, member))| (key, member)).collect()
    }

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
            // Somebody's own word; the address is ansible_host.
            if name == "address" {
                let value = member.value.value().ok();
                let value = value.filter(|value| !value.is_null());
                draft.node.attributes.extend(value.map(|value| (name.to_owned(), value)));
                continue;
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
                    draft.node.attributes.get_mut(key).into_iter().for_each(make_plain);
                }
            }
            if drafts.wrong.count() > before {
                self.wrong.insert(start);
            }
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

/// Returns the warning about a server that two groups state, neither of them nearer to the host.
fn beside(member: &JsonMember<'_>, [first, second]: [&str; 2]) -> crate::diagnostic::Diagnostic {
    member
        .diagnose_key(format!("the groups \"{first}\" and \"{second}\" state different servers of one host"))
        .hint(
            "the latter is taken, as Ansible does unless ansible_group_priority says otherwise, which --export \
             leaves out; state it for the host, or use ansible-inventory --list without --export",
        )
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
            (n2.groups.as_slice(), n2.boot_servers.len()),
            (&["compute".to_owned(), "rack1".to_owned()][..], 1)
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
