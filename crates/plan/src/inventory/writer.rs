//! The writer of our own format: all that was read of an inventory, whatever it was written in.
//!
//! Invariant: what is written reads back as the same nodes, groups, relations and partitions
//! (`every_format_reads_back_from_json_as_it_was`, and the fuzzed formats of inventories).

use super::json::{FORMAT, KNOWN};
use super::nodes::{Inventory, Node};
use serde_json::Value;
use std::fmt::Write;

impl Inventory {
    /// Returns the inventory as `orderly-inventory/1`, a line a node, in the order in which nodes were read.
    pub fn to_json(&self) -> String {
        let mut text = format!("{{ \"format\": \"{FORMAT}\",\n  \"nodes\": [");
        for (at, node) in self.nodes.iter().enumerate() {
            let separator = if at > 0 { "," } else { "" };
            // Writing to a String cannot fail.
            write!(text, "{separator}\n    {}", self.object(node)).ok();
        }
        text.push_str(" ] }\n");
        text
    }

    fn object(&self, node: &Node) -> String {
        let mut members: Vec<(&str, Value)> = vec![("name", node.name.as_str().into())];
        members.extend(node.number.map(|number| ("number", number.into())));
        members.extend(node.address.as_deref().map(|address| ("address", address.into())));
        members.extend(node.partition.as_deref().map(|partition| ("partition", partition.into())));
        let servers: Vec<&str> = node.boot_servers.iter().map(|id| self.name(*id)).collect();
        match servers.as_slice() {
            [] => {}
            [only] => members.push(("boot_server", (*only).into())),
            several => members.push(("boot_server", several.into())),
        }
        let groups = node.groups.iter().map(str::to_owned).collect();
        for (key, words) in
            [("groups", groups), ("power_with", node.power_with.clone()), ("known_as", node.known_as.clone())]
        {
            if !words.is_empty() {
                members.push((key, words.into()));
            }
        }
        // What another program means by a word of ours stands apart from what we mean.
        let (apart, plain): (Vec<_>, Vec<_>) =
            node.attributes.iter().partition(|(key, _)| KNOWN.contains(key));
        members.extend(plain.into_iter().map(|(key, value)| (key, value.clone())));
        if !apart.is_empty() {
            let apart = apart.into_iter().map(|(key, value)| (key.to_owned(), value.clone()));
            members.push(("attributes", Value::Object(apart.collect())));
        }
        let members: Vec<String> =
            members.iter().map(|(key, value)| format!("{}: {value}", Value::from(*key))).collect();
        format!("{{{}}}", members.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{Diagnostics, Source};
    use crate::inventory::{Format, Inventory, Node, Outside, read};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn try_read(format: Format, text: &str) -> Result<Inventory, Diagnostics> {
        read(&Source { name: "i", text }, format, &Outside::new(["nas".to_owned()]))
    }

    fn right(format: Format, text: &str) -> Inventory {
        try_read(format, text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
    }

    /// Asserts that the JSON of an inventory is the inventory.
    fn reads_back(format: Format, text: &str) {
        let inventory = right(format, text);
        let written = inventory.to_json();
        let again = right(Format::Json, &written);
        assert_eq!(again.nodes(), inventory.nodes(), "{format:?}\n{text}\n{written}");
        let groups = |inventory: &Inventory| -> BTreeMap<String, Vec<_>> {
            let members = |name: &str| inventory.group(name).unwrap().to_vec();
            inventory.group_names().map(|name| (name.to_owned(), members(name))).collect()
        };
        assert_eq!(groups(&again), groups(&inventory), "{written}");
        for id in inventory.ids() {
            let keys = inventory.node(id).attributes.keys();
            for key in keys.chain(["boot_server"]) {
                assert_eq!(again.related(id, key), inventory.related(id, key), "{key} of\n{text}\n{written}");
            }
        }
        assert_eq!(again.to_json(), written);
    }

    /// A node as each format can state it.
    #[derive(Debug, Clone)]
    struct Stated {
        number: Option<u32>,
        address: Option<String>,
        partition: Option<String>,
        servers: Vec<usize>,
        groups: Vec<String>,
        attributes: BTreeMap<String, Value>,
    }

    /// Words that formats use, or that mean something to one of them and not to another.
    fn key() -> impl Strategy<Value = String> {
        let words = [
            "rack",
            "nfsserver",
            "bmc",
            "name",
            "groups",
            "power_with",
            "known_as",
            "attributes",
            "address",
            "number",
            "partition",
            "boot_server",
            "ip",
            "adress",
            "nicips.ib0",
            "hostnames",
            "mac",
        ];
        prop_oneof![proptest::sample::select(words.to_vec()).prop_map(str::to_owned), "[a-z]{1,4}"]
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z0-9.=/%-]{1,8}", "n[0-9]", Just("nas".to_owned()), Just("0".to_owned())];
        prop_oneof![4 => text.prop_map(Value::from), 1 => any::<i32>().prop_map(Value::from),
            1 => any::<f64>().prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from),
            1 => Just(json!({"a": [null, "\u{e9}\"\\", {"b": 1.5}]})), 1 => Just(json!(["n0", "n1"]))]
    }

    prop_compose! {
        fn stated(at: usize)(
            numbered in any::<bool>(),
            address in proptest::option::of("[0-9a-f.:]{1,9}|[a-z][a-z0-9.]{0,8}"),
            partition in proptest::option::of("[a-z]{1,3}"),
            servers in proptest::collection::vec(0..at.max(1), 0..3),
            groups in proptest::collection::btree_set("[a-z][a-z0-9_.=-]{0,3}", 0..3),
            attributes in proptest::collection::btree_map(key(), value(), 0..5),
        ) -> Stated {
            Stated {
                number: numbered.then_some(u32::try_from(at).unwrap() * 7 + 1),
                address,
                partition,
                // Of those before it, so that no servers go round in a circle.
                servers: if at == 0 { Vec::new() } else { servers },
                groups: groups.into_iter().collect(),
                attributes,
            }
        }
    }

    fn cluster() -> impl Strategy<Value = Vec<Stated>> {
        (stated(0), stated(1), stated(2), stated(3), stated(4))
            .prop_map(|nodes| <[Stated; 5]>::from(nodes).to_vec())
    }

    fn names(servers: &[usize]) -> Vec<String> {
        servers.iter().map(|at| format!("n{at}")).collect()
    }

    /// The texts among the attributes; `is_ours` leaves those out that a format would read as something else.
    fn texts(node: &Stated, is_ours: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let texts = node.attributes.iter().filter(|(key, _)| !is_ours(key));
        texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// What formats without types state of a node under our words.
    fn facts(node: &Stated) -> Vec<(&'static str, String)> {
        let server = names(&node.servers).into_iter().next().map(|server| ("boot_server", server));
        let number = node.number.map(|number| ("number", number.to_string()));
        let partition = node.partition.clone().map(|partition| ("partition", partition));
        [server, number, partition].into_iter().flatten().collect()
    }

    fn genders(nodes: &[Stated]) -> String {
        let line = |(at, node): (usize, &Stated)| {
            let ours = ["boot_server", "number", "address", "partition"];
            let mut words: BTreeMap<String, String> = texts(node, |key| ours.contains(&key))
                .into_iter()
                .map(|(key, text)| (key, format!("={}", text.replace('%', "%%"))))
                .collect();
            for group in node.groups.iter().filter(|group| !group.contains('=')) {
                words.entry(group.clone()).or_default();
            }
            let address = node.address.clone().map(|address| ("address", address));
            let facts = facts(node).into_iter().chain(address);
            words.extend(facts.map(|(key, value)| (key.to_owned(), format!("={value}"))));
            let words: Vec<String> = words.into_iter().map(|(key, value)| key + &value).collect();
            format!("n{at} {}\n", words.join(","))
        };
        nodes.iter().enumerate().map(line).collect()
    }

    fn ansible(nodes: &[Stated]) -> Value {
        let (mut hosts, mut groups) = (serde_json::Map::new(), serde_json::Map::new());
        for (at, node) in nodes.iter().enumerate() {
            let ours = |key: &String| ["boot_server", "number", "partition"].contains(&key.as_str());
            let mut variables: serde_json::Map<String, Value> =
                node.attributes.clone().into_iter().filter(|(key, _)| !ours(key)).collect();
            if !node.servers.is_empty() {
                variables.insert("boot_server".into(), names(&node.servers).into());
            }
            variables.extend(node.number.map(|number| ("number".into(), number.into())));
            variables.extend(node.address.clone().map(|address| ("ansible_host".into(), address.into())));
            variables.extend(node.partition.clone().map(|partition| ("partition".into(), partition.into())));
            hosts.insert(format!("n{at}"), variables.into());
            for group in node.groups.iter().chain(std::iter::once(&"all".to_owned())) {
                let group = groups.entry(group.clone()).or_insert(json!({"hosts": []}));
                group["hosts"].as_array_mut().unwrap().push(format!("n{at}").into());
            }
        }
        groups.insert("_meta".into(), json!({ "hostvars": hosts }));
        groups.into()
    }

    fn warewulf(nodes: &[Stated]) -> Value {
        let node = |(at, node): (usize, &Stated)| {
            let ours = |key: &str| ["boot_server", "number", "partition", "address"].contains(&key);
            let mut tags: serde_json::Map<String, Value> =
                texts(node, ours).into_iter().map(|(key, text)| (key, text.into())).collect();
            tags.extend(facts(node).into_iter().map(|(key, value)| (key.into(), value.into())));
            let mut fields = json!({"profiles": node.groups, "tags": tags});
            if let Some(address) = &node.address {
                fields["network devices"] = json!({"default": {"ipaddr": address}});
            }
            (format!("n{at}"), fields)
        };
        Value::Object(nodes.iter().enumerate().map(node).collect())
    }

    fn xcat(nodes: &[Stated]) -> String {
        let stanza = |(at, node): (usize, &Stated)| {
            let ours = ["groups", "ip", "number", "nfsserver", "objtype", "members"];
            let mut lines = vec![format!("n{at}:"), "objtype=node".into()];
            lines.extend(
                texts(node, |key| ours.contains(&key)).into_iter().map(|(key, text)| format!("{key}={text}")),
            );
            lines.push(format!("groups={}", node.groups.join(",")));
            lines.extend(node.address.as_ref().map(|address| format!("ip={address}")));
            lines.extend(node.number.map(|number| format!("number={number}")));
            if !node.servers.is_empty() {
                lines.push(format!("servicenode={}", names(&node.servers).join(",")));
                // By a name that only xCAT gives it.
                lines.push(format!("nfsserver=n{}-ib", node.servers[0]));
            }
            lines.push("nicips.ib=10.9.8.7".replace('7', &at.to_string()));
            lines.join("\n  ") + "\n"
        };
        nodes.iter().enumerate().map(stanza).collect()
    }

    fn in_each_format(nodes: &[Stated]) -> [(Format, String); 4] {
        [
            (Format::Genders, genders(nodes)),
            (Format::Ansible, ansible(nodes).to_string()),
            (Format::Warewulf, warewulf(nodes).to_string()),
            (Format::Xcat, xcat(nodes)),
        ]
    }

    proptest! {
        #[test]
        fn every_format_reads_back_from_json_as_it_was(nodes in cluster()) {
            for (format, text) in in_each_format(&nodes) {
                // An address that is a range, or what is no name to us, is the business of other tests.
                if try_read(format, &text).is_ok() {
                    reads_back(format, &text);
                    let written = right(format, &text).to_json();
                    reads_back(Format::Json, &written);
                }
            }
        }
    }

    /// The property above passes over what is rejected: here is how much of it is not.
    #[test]
    fn nearly_all_random_inventories_are_read() {
        use proptest::strategy::ValueTree;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut count = BTreeMap::<&str, usize>::new();
        for _ in 0..200 {
            let nodes = cluster().new_tree(&mut runner).unwrap().current();
            for (format, text) in in_each_format(&nodes) {
                *count.entry(format.word()).or_default() += usize::from(try_read(format, &text).is_ok());
            }
        }
        assert!(count.len() == 4 && count.values().all(|&read| read > 100), "{count:?}");
    }

    #[test]
    fn all_that_our_own_format_states_is_written() {
        let text = r#"{"format": "orderly-inventory/1", "nodes": [
            {"name": "n1", "number": 3, "address": "10.0.0.1", "partition": "p", "groups": ["b", "a"],
             "power_with": ["io7"], "known_as": ["n1-ib", "10.1.0.1"], "rack": 7, "x": {"y": [null]},
             "attributes": {"number": "A7", "name": "other", "attributes": 1, "known_as": [2], "plain": "z"}},
            {"name": "n2", "boot_server": ["n1", 3], "nfs": "n1-ib"}, {"name": "n3", "boot_server": ["n2", "n1"]},
            {"name": "1"}, {"name": "n4", "boot_server": "1"}, {"name": "n5", "boot_server": "nas"}]}"#;
        reads_back(Format::Json, text);
        let inventory = right(Format::Json, text);
        assert_eq!(inventory.nodes()[0].attributes["number"], "A7");
        assert_eq!(inventory.related(inventory.by_name("n2").unwrap(), "nfs").unwrap().len(), 1);
        let lines: Vec<String> = inventory.to_json().lines().map(str::to_owned).collect();
        assert_eq!(
            lines[..4],
            [
                r#"{ "format": "orderly-inventory/1","#,
                r#"  "nodes": ["#,
                concat!(
                    r#"    {"name": "n1", "number": 3, "address": "10.0.0.1", "partition": "p", "groups": ["b","a"], "#,
                    r#""power_with": ["io7"], "known_as": ["n1-ib","10.1.0.1"], "plain": "z", "rack": 7, "#,
                    r#""x": {"y":[null]}, "attributes": {"attributes":1,"known_as":[2],"name":"other","number":"A7"}},"#
                ),
                r#"    {"name": "n2", "boot_server": "n1", "nfs": "n1-ib"},"#,
            ]
        );
        assert_eq!(
            Inventory::default().to_json(),
            "{ \"format\": \"orderly-inventory/1\",\n  \"nodes\": [ ] }\n"
        );
        let node = Node { name: "n1".into(), ..Node::default() };
        assert!(Inventory::new(vec![node]).to_json().contains("\n    {\"name\": \"n1\"} ] }\n"));
    }

    #[test]
    fn attributes_and_further_names_have_their_form_and_stand_once() {
        let text = r#"{"format": "orderly-inventory/1", "nodes": [{"name": "n1",
            "known_as": "x", "attributes": 1}, {"name": "n2", "known_as": ["", 1], "rack": 1,
            "attributes": {"rack": 2, "a": 1, "a": 2, "b": null}}]}"#;
        let wrong =
            read(&Source { name: "i", text }, Format::Json, &Outside::default()).unwrap_err().to_string();
        for part in [
            "i:2:25: \"known_as\" must be a list of texts",
            "i:2:44: \"attributes\" must be an object",
            "i:2:75: \"known_as\" must be a list of texts",
            "i:3:28: the attribute \"rack\" stands twice",
            "i:3:47: the key \"a\" stands twice",
        ] {
            assert!(wrong.contains(part), "{part}\n{wrong}");
        }
    }
}
