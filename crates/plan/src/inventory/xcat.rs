//! The reader of stanzas as `lsdef -z` prints them.
//!
//! `servicenode` (a list) names the servers of a node. Where it is missing `xcatmaster` does, by name or
//! by address, if that is one of the nodes; else it is the management node, which is no node.
//! `groups` are groups, `ip` is the address, all else are attributes. Stanzas of other objects than
//! nodes are passed over.

use super::Inventory;
use super::check::{Draft, Drafts};
use super::relation::Wanted;
use crate::diagnostic::{Diagnostics, Source};
use std::collections::HashMap;
use std::ops::Range;

pub(super) fn read(source: Source<'_>) -> Result<Inventory, Diagnostics> {
    let mut drafts = Drafts::new(source);
    let mut stanzas: Vec<Stanza> = Vec::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        read_line(start, line.trim_end(), &mut stanzas, &mut drafts);
        start += line.len();
    }
    stanzas.retain(|stanza| stanza.is_node);
    let by_address: HashMap<String, String> = stanzas
        .iter()
        .filter_map(|stanza| Some((stanza.draft.node.address.clone()?, stanza.draft.node.name.clone())))
        .collect();
    let mut masters = Vec::with_capacity(stanzas.len());
    for stanza in stanzas {
        masters.push(stanza.master);
        drafts.add(stanza.draft);
    }
    drafts.serve_by(|index, has_servers, has| {
        let (master, at) = masters.get(index)?.as_ref().filter(|_| !has_servers)?;
        let name = if has(master) { master } else { by_address.get(master)? };
        Some((Wanted::Text(name.clone()), at.clone()))
    });
    drafts.finish()
}

struct Stanza {
    draft: Draft,
    is_node: bool,
    master: Option<(String, Range<usize>)>,
}

fn read_line(start: usize, line: &str, stanzas: &mut Vec<Stanza>, drafts: &mut Drafts<'_>) {
    let text = line.trim_start();
    let at = start + line.len() - text.len()..start + line.len();
    if text.is_empty() || text.starts_with('#') {
        return;
    }
    match (text.strip_suffix(':'), text.split_once('=')) {
        (Some(name), None) => {
            let mut draft = Draft { at: at.start..at.end - 1, ..Draft::default() };
            name.clone_into(&mut draft.node.name);
            // lsdef leaves the type out only where it prints nothing but nodes.
            stanzas.push(Stanza { draft, is_node: true, master: None });
        }
        (_, Some((key, value))) => match stanzas.last_mut() {
            Some(stanza) => read_attribute(stanza, key.trim(), value.trim(), at, drafts),
            None => drafts.wrong.at(at, "an attribute before the first \"name:\""),
        },
        (None, None) => drafts.wrong.at(at, "neither \"name:\" nor \"attribute=value\""),
    }
}

fn read_attribute(stanza: &mut Stanza, key: &str, value: &str, at: Range<usize>, drafts: &mut Drafts<'_>) {
    let values = || value.split(',').map(str::trim).filter(|value| !value.is_empty());
    match key {
        "objtype" => stanza.is_node = value == "node",
        "servicenode" => {
            let servers = values().map(|server| (Wanted::Text(server.to_owned()), at.clone()));
            stanza.draft.servers.extend(servers);
        }
        "xcatmaster" => stanza.master = Some((value.to_owned(), at)),
        "groups" => stanza.draft.node.groups = values().map(str::to_owned).collect(),
        "ip" => stanza.draft.node.address = Some(value.to_owned()),
        // xCAT's own words for other things than ours.
        "address" | "boot_server" | "partition" => {
            stanza.draft.node.attributes.insert(key.to_owned(), value.into());
        }
        _ => drafts.state(&mut stanza.draft, key, value, at),
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, read};

    const STANZAS: &str = "# <xCAT data object stanza file>\n\nsn1:\n    objtype=node\n    groups=service,all\n    \
        ip=10.0.0.2\n    xcatmaster=10.0.0.1\n\ncn1:\n    objtype=node\n    arch=x86_64\n    chain=runcmd=bmcsetup,shell\n    \
        groups=all\n    servicenode=sn1\n    xcatmaster=sn1-ib\n\ncn2:\n    objtype=node\n    xcatmaster=10.0.0.2\n\n\
        image:\n    objtype=osimage\n    profile=compute\n";

    #[test]
    fn what_lsdef_prints_is_read() {
        let inventory =
            read(&Source { name: "x", text: STANZAS }, Format::Xcat).map_err(|d| d.to_string()).unwrap();
        let servers: Vec<usize> = inventory.nodes().iter().map(|node| node.boot_servers.len()).collect();
        assert_eq!(servers, [0, 1, 1]);
        assert_eq!(inventory.group("all").map(<[_]>::len), Some(2));
        assert_eq!(inventory.nodes()[1].attributes["chain"], "runcmd=bmcsetup,shell");
    }

    #[test]
    fn an_unknown_service_node_is_an_error_with_its_place() {
        let said =
            read(&Source { name: "x", text: "cn1:\n  servicenode=sn1\nwhat\n" }, Format::Xcat).unwrap_err();
        let said = said.to_string();
        assert!(said.contains("x:2:3: no node named \"sn1\"") && said.contains("x:3:1: neither"), "{said}");
    }
}
