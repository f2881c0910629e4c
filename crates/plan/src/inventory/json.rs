//! The reader of our own format, `orderly-inventory/1`.

use super::check::{Draft, Drafts};
use super::nodes::{Inventory, Node};
use super::reader::{Reader, is_object_with};
use super::relation::{RELAYS, WantedServer};
use crate::diagnostic::{Diagnostics, Source};
use crate::json::{Json, JsonMember};
use crate::suggest;
use std::collections::HashSet;

pub(super) const FORMAT: &str = "orderly-inventory/1";
const TOP: [&str; 2] = ["format", "nodes"];
/// The keys of a node that mean something; `attributes` holds those of another meaning.
pub(super) const KNOWN: [&str; 9] = [
    "name",
    "number",
    "address",
    "partition",
    "boot_server",
    "groups",
    "power_with",
    "known_as",
    "attributes",
];

pub(super) const READER: Reader =
    Reader { word: "json", title: "orderly-inventory/1", read, is_like: says_so_or_lists_nodes };

fn says_so_or_lists_nodes(text: &str) -> bool {
    let is_list = |rest: &str| {
        rest.trim_start().strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with('['))
    };
    let lists_nodes = || text.split_once("\"nodes\"").is_some_and(|(_, rest)| is_list(rest));
    is_object_with(text, &["orderly-inventory/1"])
        || is_object_with(text, &["nodes"]) && lists_nodes() && !is_object_with(text, &["_meta", "hosts"])
}

fn read<'s>(source: Source<'s>, mut drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
    let top = Json::parse(source)?;
    let Some(members) = top.members() else {
        return Err(top.diagnose("an inventory is an object: {\"format\": …, \"nodes\": […]}").into());
    };
    let mut nodes = None;
    let mut seen: HashSet<&str> = HashSet::new();
    for member in &members {
        if !seen.insert(&member.key) {
            drafts.wrong.add(|| member.diagnose_key(format!("the key \"{}\" stands twice", member.key)));
            continue;
        }
        match member.key.as_ref() {
            "format" => check_format(&member.value, &mut drafts),
            "nodes" => nodes = Some(member.value),
            unknown => drafts
                .wrong
                .add(|| member.diagnose_key(format!("unknown key \"{unknown}\"")).suggest(unknown, TOP)),
        }
    }
    match nodes {
        None => drafts.wrong.add(|| top.diagnose("the key \"nodes\" is missing")),
        Some(list) => match list.items() {
            None => drafts.wrong.add(|| list.diagnose("\"nodes\" must be a list")),
            Some(items) => items.iter().for_each(|item| read_node(item, &mut drafts)),
        },
    }
    drafts.finish()
}

fn check_format(value: &Json<'_>, drafts: &mut Drafts<'_>) {
    match value.text() {
        Some(text) if text == FORMAT => {}
        _ => drafts.wrong.add(|| value.diagnose(format!("the format must be \"{FORMAT}\""))),
    }
}

fn read_node(item: &Json<'_>, drafts: &mut Drafts<'_>) {
    let Some(members) = item.members() else {
        drafts.wrong.add(|| item.diagnose("a node must be an object: {\"name\": …}"));
        return;
    };
    let mut draft = Draft { at: item.range().start..item.range().start + 1, ..Draft::default() };
    let mut named = false;
    let mut seen: HashSet<&str> = HashSet::with_capacity(members.len());
    for member in &members {
        let key = member.key.as_ref();
        if !seen.insert(key) {
            drafts.wrong.add(|| member.diagnose_key(format!("the key \"{key}\" stands twice")));
            continue;
        }
        if key == "name" {
            named = read_name(&member.value, &mut draft, drafts);
        } else {
            read_key(member, &mut draft, drafts);
        }
    }
    if !seen.contains("name") {
        drafts.wrong.add(|| item.diagnose("a node without \"name\""));
    }
    if named {
        drafts.add(draft);
    }
}

fn read_name(value: &Json<'_>, draft: &mut Draft, drafts: &mut Drafts<'_>) -> bool {
    let Some(name) = value.text() else {
        drafts.wrong.add(|| value.diagnose("\"name\" must be a text"));
        return false;
    };
    draft.at = value.range();
    draft.node.name = name.into_owned();
    true
}

pub(super) fn read_key(member: &JsonMember<'_>, draft: &mut Draft, drafts: &mut Drafts<'_>) {
    let (key, value, node) = (member.key.as_ref(), &member.value, &mut draft.node);
    // Null is what generators write for "not set".
    if value.is_null() {
        return;
    }
    match key {
        "number" => match value.number().filter(|number| *number > 0) {
            Some(number) => {
                node.number = Some(number);
                draft.number_at = value.range();
            }
            None => drafts.wrong.add(|| value.diagnose("\"number\" must be a whole number, 1 or more")),
        },
        "address" => node.address = read_text(key, value, drafts),
        "partition" => node.partition = read_names(key, value, drafts).and_then(|mut names| names.pop()),
        "groups" => node.groups = read_names(key, value, drafts).into_iter().flatten().collect(),
        "power_with" => node.power_with = read_names(key, value, drafts).unwrap_or_default(),
        "boot_server" => {
            read_servers(value.items().unwrap_or_else(|| vec![*value]).into_iter(), draft, drafts);
        }
        "known_as" => node.known_as = read_words(key, value, drafts),
        "attributes" => read_attributes(value, node, drafts),
        _ => read_attribute(member, node, drafts),
    }
}

fn read_text(key: &str, value: &Json<'_>, drafts: &mut Drafts<'_>) -> Option<String> {
    let text = value.text().filter(|text| !text.is_empty() && !text.chars().any(char::is_control));
    if text.is_none() {
        drafts.wrong.add(|| value.diagnose(format!("\"{key}\" must be a text of printable characters")));
    }
    text.map(std::borrow::Cow::into_owned)
}

/// Reads a list of names, or one name for `partition`.
fn read_names(key: &str, value: &Json<'_>, drafts: &mut Drafts<'_>) -> Option<Vec<String>> {
    let (items, wanted) =
        if key == "partition" { (Some(vec![*value]), "a name") } else { (value.items(), "a list of names") };
    let Some(items) = items else {
        drafts.wrong.add(|| value.diagnose(format!("\"{key}\" must be {wanted}")));
        return None;
    };
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        match item.text() {
            None => drafts.wrong.add(|| item.diagnose(format!("\"{key}\" must be {wanted}"))),
            Some(name) => match crate::name::fault(&name) {
                Some(fault) => drafts.wrong.add(|| item.diagnose(format!("{key}: {fault}"))),
                None => names.push(name.into_owned()),
            },
        }
    }
    Some(names)
}

/// Reads a list of texts that are no names of ours.
fn read_words(key: &str, value: &Json<'_>, drafts: &mut Drafts<'_>) -> Vec<String> {
    let texts = value.items().and_then(|items| items.iter().map(Json::text).collect::<Option<Vec<_>>>());
    let Some(texts) = texts.filter(|texts| texts.iter().all(|text| !text.is_empty())) else {
        drafts.wrong.add(|| value.diagnose(format!("\"{key}\" must be a list of texts")));
        return Vec::new();
    };
    texts.into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// Reads attributes that stand apart because our format means something else by their names.
fn read_attributes(value: &Json<'_>, node: &mut Node, drafts: &mut Drafts<'_>) {
    let Some(members) = value.members() else {
        drafts.wrong.add(|| value.diagnose("\"attributes\" must be an object"));
        return;
    };
    drafts.once(&members);
    let mut seen: HashSet<&str> = HashSet::new();
    for member in members.iter().filter(|member| !member.value.is_null() && seen.insert(&member.key)) {
        insert(member, node, drafts);
    }
}

fn insert(member: &JsonMember<'_>, node: &mut Node, drafts: &mut Drafts<'_>) {
    match member.value.value() {
        Ok(value) => {
            let before = node.attributes.insert(member.key.clone().into_owned(), value);
            if before.is_some() {
                // Once beside the keys of the node, and once in `attributes`.
                let message = format!("the attribute \"{}\" stands twice", member.key);
                drafts.wrong.add(|| member.diagnose_key(message));
            }
        }
        Err(wrong) => wrong.0.into_iter().for_each(|wrong| drafts.wrong.add(|| wrong)),
    }
}

pub(super) fn read_servers<'j>(
    servers: impl Iterator<Item = Json<'j>>,
    draft: &mut Draft,
    drafts: &mut Drafts<'_>,
) {
    for item in servers {
        let wanted = match (item.number(), item.text()) {
            (Some(number), _) => WantedServer::Number(number),
            (None, Some(text)) => WantedServer::Text(text.into_owned()),
            (None, None) => {
                drafts.wrong.add(|| {
                    item.diagnose("\"boot_server\" must be a node number, a node name or a list of them")
                });
                continue;
            }
        };
        draft.servers.push((wanted, item.range()));
    }
}

pub(super) fn read_attribute(member: &JsonMember<'_>, node: &mut Node, drafts: &mut Drafts<'_>) {
    let near = suggest::nearest(&member.key, KNOWN);
    if let Some(near) = near.filter(|_| !RELAYS.contains(&member.key.as_ref())) {
        drafts.warn(member.key_range(), ("kept", &member.key), || {
            member
                .diagnose_key(format!("\"{}\" is kept as an attribute of the node", member.key))
                .hint(format!("did you mean \"{near}\"?"))
        });
    }
    insert(member, node, drafts);
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Inventory, Outside, RELAYS, read};

    fn wrong(text: &str) -> String {
        read(&Source { name: "i.json", text }, Format::Json, &Outside::default()).unwrap_err().to_string()
    }

    fn right(text: &str) -> Inventory {
        read(&Source { name: "i.json", text }, Format::Json, &Outside::default())
            .map_err(|d| d.to_string())
            .unwrap()
    }

    #[test]
    fn the_documented_example_is_read() {
        let inventory = right(
            r#"{ "format": "orderly-inventory/1", "nodes": [
                {"name": "n01", "number": 1, "address": "10.0.0.1", "partition": "prod", "boot_server": 0, "groups": ["io"]},
                {"name": "n02", "number": 2, "boot_server": 1, "power_with": ["io7"], "rack": 7},
                {"name": "n03", "number": 3, "boot_server": "n01"} ] }"#,
        );
        let name = |id| inventory.name(id);
        let servers = |node: &str| {
            let id = inventory.by_name(node).unwrap();
            inventory.node(id).boot_servers.iter().map(|id| name(*id)).collect::<Vec<_>>()
        };
        assert_eq!((servers("n01"), servers("n02"), servers("n03")), (vec![], vec!["n01"], vec!["n01"]));
        assert_eq!(inventory.group("io").map(<[_]>::len), Some(1));
        assert_eq!(inventory.node(inventory.by_number(2).unwrap()).attributes["rack"], 7);
        assert_eq!(inventory.place(inventory.by_name("n03").unwrap()).unwrap().to_string(), "i.json:4:26");
        assert!(inventory.warnings().is_empty());
    }

    /// An attribute that the guard of gateways reads was called a misspelt server.
    #[test]
    fn an_attribute_that_means_something_elsewhere_is_not_doubted() {
        for key in RELAYS {
            let text = format!(r#"{{"nodes": [{{"name": "n1", "{key}": "s1"}}, {{"name": "s1"}}]}}"#);
            assert!(right(&text).warnings().is_empty(), "{key}: {:?}", right(&text).warnings());
        }
        let near = right(r#"{"nodes": [{"name": "n1", "bot_server": "s1"}, {"name": "s1"}]}"#);
        assert_eq!(near.warnings().len(), 1);
    }

    #[test]
    fn all_errors_come_at_once_each_with_its_place() {
        let said = wrong(
            "{\"nodse\": 1, \"nodes\": [\n\
             {\"name\": \"n1\", \"number\": 0},\n\
             {\"name\": \"n1\", \"number\": 2},\n\
             {\"name\": \"n 2\", \"number\": 2},\n\
             {\"name\": \"n3\", \"boot_server\": \"n3\"},\n\
             {\"name\": \"n4\", \"boot_server\": [9, \"n5x\", true]},\n\
             {\"name\": \"n5\", \"groups\": \"io\", \"number\": 2},\n\
             {}, 7]}",
        );
        for part in [
            "i.json:1:2: unknown key \"nodse\"",
            "did you mean \"nodes\"?",
            "i.json:2:26: \"number\" must be a whole number, 1 or more",
            "i.json:3:10: the node \"n1\" is there already",
            "i.json:4:10: a name cannot contain a blank",
            "i.json:7:42: the number 2 belongs to \"n 2\" already",
            "i.json:5:31: \"n3\" is its own server",
            "i.json:6:32: no node with the number 9",
            "i.json:6:35: no node named \"n5x\"",
            "i.json:6:42: \"boot_server\" must be",
            "i.json:7:26: \"groups\" must be a list of names",
            "i.json:8:1: a node without \"name\"",
            "i.json:8:5: a node must be an object",
        ] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
    }

    #[test]
    fn server_cycles_are_shown_as_the_whole_loop() {
        let said = wrong(
            r#"{"nodes": [{"name":"a","boot_server":"b"},{"name":"b","boot_server":"c"},
                {"name":"c","boot_server":"a"},{"name":"d","boot_server":"a"}]}"#,
        );
        assert!(
            said.contains("the servers go round in a circle: a boots from b boots from c boots from a"),
            "{said}"
        );
    }

    #[test]
    fn a_misspelt_key_is_an_attribute_and_a_doubt() {
        let inventory = right(r#"{"nodes": [{"name": "a", "boot_sever": "b"}]}"#);
        assert!(inventory.warnings()[0].to_string().contains("did you mean \"boot_server\"?"));
    }

    #[test]
    fn a_badly_broken_inventory_is_rejected_without_counting_lines_for_ever() {
        let nodes = vec!["{\"name\":\"a\"}"; 50_000].join(",");
        assert!(wrong(&format!("{{\"nodes\":[{nodes}]}}")).contains("49999 errors, of which the first 100"));
    }

    /// It was accepted, and neither known as this machine nor as another node's.
    #[test]
    fn an_address_with_a_blank_is_rejected_with_its_place() {
        for address in ["127.0.0.1 ", " n2", "n 2"] {
            let text = format!(
                "{{\"format\":\"orderly-inventory/1\",\"nodes\":[{{\"name\":\"n1\",\"address\":\"{address}\"}}]}}"
            );
            let source = Source { name: "inv", text: &text };
            let said = read(&source, Format::Json, &Outside::default()).unwrap_err().to_string();
            assert!(said.contains("inv:1:") && said.contains("has a blank in it"), "{said}");
        }
    }
}
