//! The reader of what `wwctl node list --json` prints (Warewulf 4).
//!
//! Profiles are groups. Warewulf knows no boot servers between nodes, so they are tags: the tags
//! `boot_server`, `number` and `partition` mean what they do in our own format, other tags are
//! attributes. The address is that of the primary network, else of the one named `default`, else of
//! the only one. Keys are read in both spellings that versions of Warewulf print.

use super::check::{Draft, Drafts};
use super::nodes::Inventory;
use super::reader::{Reader, is_object_with};
use crate::diagnostic::{Diagnostics, Source};
use crate::json::{Json, JsonMember};
use std::borrow::Cow;

pub(super) const READER: Reader = Reader {
    word: "warewulf",
    title: "the JSON of wwctl node list --json",
    read,
    is_like: |text| is_object_with(text, &["network devices", "netdevs", "NetDevs", "profiles", "Profiles"]),
};

fn read<'s>(source: Source<'s>, mut drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
    let top = Json::parse(source)?;
    let Some(nodes) = top.members() else {
        let wrong = top.diagnose("must be an object of nodes by name");
        return Err(wrong.hint("some versions of wwctl print a list without names; use a newer one").into());
    };
    if nodes.iter().any(|member| member.key == "_meta") {
        return Err(top.diagnose("\"_meta\" is no node, but a part of an Ansible inventory").into());
    }
    if nodes.iter().any(|member| member.key == "nodeprofiles") {
        let wrong = top.diagnose("\"nodeprofiles\" is no node, but a part of nodes.conf");
        return Err(wrong.hint("wwctl node list --json prints what is read here").into());
    }
    for member in &nodes {
        let mut draft = Draft { at: member.key_range(), ..Draft::default() };
        draft.node.name = member.key.clone().into_owned();
        match member.value.members() {
            Some(fields) => read_node(&fields, &mut draft, &mut drafts),
            None => drafts.wrong.add(|| member.value.diagnose("a node must be an object")),
        }
        drafts.add(draft);
    }
    drafts.finish()
}

fn read_node(fields: &[JsonMember<'_>], draft: &mut Draft, drafts: &mut Drafts<'_>) {
    drafts.once(fields);
    if let Some(profiles) = field(fields, &["profiles"]) {
        read_profiles(&profiles, draft, drafts);
    }
    draft.node.address = address(fields).map(Cow::into_owned);
    let tags = field(fields, &["tags"]).filter(|value| !value.is_null());
    let members = tags.and_then(|value| value.members());
    if let (Some(value), None) = (tags, &members) {
        drafts.wrong.add(|| value.diagnose("the tags of a node must be an object"));
    }
    drafts.once(members.as_deref().unwrap_or_default());
    for tag in members.unwrap_or_default() {
        match plain(&tag.value) {
            // What is not set.
            _ if tag.value.is_null() => {}
            Some(text) => drafts.state(draft, &tag.key, &text, tag.value.range()),
            None => drafts.wrong.add(|| tag.value.diagnose("a tag must be a text")),
        }
    }
}

fn address<'a>(fields: &[JsonMember<'a>]) -> Option<Cow<'a, str>> {
    let networks = field(fields, &["network devices", "netdevs"])?.members()?;
    let primary = field(fields, &["primary network", "primarynetdev"]).and_then(|value| plain(&value));
    let named = |name: &str| networks.iter().find(|network| network.key == name);
    let network = primary
        .as_deref()
        .and_then(named)
        .or_else(|| named("default"))
        .or_else(|| networks.first().filter(|_| networks.len() == 1))?;
    plain(&field(&network.value.members()?, &["ipaddr"])?).filter(|address| !address.is_empty())
}

/// Reads a list of names, or the one text that older versions print.
fn read_profiles(profiles: &Json<'_>, draft: &mut Draft, drafts: &mut Drafts<'_>) {
    let items = profiles.items().unwrap_or_else(|| vec![*profiles]);
    for profile in items.iter().filter(|item| !item.is_null()) {
        let text = plain(profile).unwrap_or_default();
        for name in text.split(',').map(str::trim) {
            match crate::name::fault(name) {
                None => draft.node.groups.push(name.to_owned()),
                Some(_) => drafts.wrong.add(|| profile.diagnose("a profile must be a name")),
            }
        }
    }
}

/// Returns a text; Warewulf 4.4 and 4.5 print where it comes from in front of it, as in
/// `"Source: explicit\nValue: n01\n"`.
fn plain<'a>(value: &Json<'a>) -> Option<Cow<'a, str>> {
    let text = value.text()?;
    let with_source = text.strip_prefix("Source: ").and_then(|rest| rest.split_once("\nValue: "));
    match with_source {
        Some((_, value)) => Some(Cow::Owned(value.trim_end().trim_matches(['"', '\'']).to_owned())),
        None => Some(text),
    }
}

/// Returns the value of the first of these keys that is there, in capitals or not.
fn field<'a>(fields: &[JsonMember<'a>], keys: &[&str]) -> Option<Json<'a>> {
    let found = fields.iter().find(|field| keys.iter().any(|key| field.key.eq_ignore_ascii_case(key)))?;
    Some(found.value)
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};

    /// The file itself, converted, was two nodes named `nodes` and `nodeprofiles`.
    #[test]
    fn nodes_conf_and_keys_that_stand_twice_are_rejected() {
        for (text, part) in [
            (
                r#"{"nodeprofiles": {"default": {}}, "nodes": {"n1": {"tags": {"boot_server": "s1"}}, "s1": {}}}"#,
                "nodes.conf",
            ),
            (
                r#"{"n1": {"tags": {"boot_server": "s1", "boot_server": "s2"}}, "s1": {}, "s2": {}}"#,
                "stands twice",
            ),
            (r#"{"n1": {"tags": {"boot_server": "s1"}, "tags": {}}, "s1": {}}"#, "stands twice"),
        ] {
            let said = read(&Source { name: "w", text }, Format::Warewulf, &Outside::default()).unwrap_err();
            assert!(said.to_string().contains(part), "{text}\n{said}");
        }
    }

    #[test]
    fn both_spellings_are_read() {
        let text = r#"{
            "n01": {"profiles": ["default"], "network devices": {"default": {"ipaddr": "10.0.0.1"}}, "kernel": {}},
            "n02": {"Profiles": ["default"], "Tags": {"boot_server": "n01", "rack": "7"}, "PrimaryNetDev": "ib",
                    "NetDevs": {"default": {"Ipaddr": "10.0.0.2"}, "ib": {"Ipaddr": "10.1.0.2"}}}}"#;
        let inventory = read(&Source { name: "w", text }, Format::Warewulf, &Outside::default())
            .map_err(|d| d.to_string())
            .unwrap();
        let nodes = inventory.nodes();
        assert_eq!((nodes[0].address(), nodes[1].address()), ("10.0.0.1", "10.1.0.2"));
        assert_eq!((nodes[1].boot_servers.len(), nodes[1].groups.iter().count()), (1, 1));
        assert_eq!(nodes[1].attributes["rack"], "7");
    }

    /// The form is that of `TestListMultipleFormats` in Warewulf's `node/list/main_test.go`.
    #[test]
    fn values_with_their_source_in_front_are_read() {
        let text = r#"{"n01":{"Id":"Source: explicit\nValue: n01\n","Comment":"",
            "Profiles":"Source: explicit\nValue: default,gpu\n","PrimaryNetDev":"",
            "NetDevs":{"default":{"Ipaddr":"Source: explicit\nValue: 10.0.0.1\n"}},
            "Tags":{"number":"Source: explicit\nValue: \"7\"\n"}},
            "n02":{"Profiles":null,"NetDevs":{},"Tags":{}}}"#;
        let inventory = read(&Source { name: "w", text }, Format::Warewulf, &Outside::default())
            .map_err(|d| d.to_string())
            .unwrap();
        let n01 = inventory.node(inventory.by_number(7).unwrap());
        assert_eq!(
            (n01.address(), n01.groups.iter().collect::<Vec<_>>()),
            ("10.0.0.1", vec!["default", "gpu"])
        );
    }

    /// They were passed over, and so was the server among them.
    #[test]
    fn tags_that_cannot_be_read_are_an_error() {
        let text = r#"{"n01": {}, "n02": {"Tags": "boot_server=n01"}, "n03": {"Tags": null}}"#;
        let said = read(&Source { name: "w", text }, Format::Warewulf, &Outside::default()).unwrap_err();
        assert!(said.to_string().contains("w:1:29: the tags of a node must be an object"), "{said}");
    }

    #[test]
    fn a_list_without_names_is_rejected_with_the_reason() {
        let said =
            read(&Source { name: "w", text: "[{\"Profiles\": []}]" }, Format::Warewulf, &Outside::default())
                .unwrap_err();
        assert!(said.to_string().contains("a list without names"), "{said}");
    }
}
