//! The reader of stanzas as `lsdef -z` prints them.
//!
//! `servicenode` and `xcatmaster` (lists) name the servers of a node, by any of the names and addresses that
//! xCAT gives to a node: `ip`, `hostnames`, `otherinterfaces`, `nicips`, `nicaliases`, and its name with the
//! prefix or suffix of a network interface. `groups` are groups, `ip` is the address, all else are attributes.
//! What a stanza of a group states of servers holds for its nodes, as in xCAT: where a node does not state it itself,
//! and of the first of its groups that does. Stanzas of other objects are passed over.

use super::check::{Draft, Drafts, weight};
use super::facts::Groups;
use super::nodes::Inventory;
use super::outside::short;
use super::reader::{Reader, said};
use super::relation::WantedServer;
use crate::diagnostic::{Diagnostics, Source};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

pub(super) const READER: Reader =
    Reader { word: "xcat", title: "the stanzas of lsdef -z", read, is_like: has_a_stanza };

fn has_a_stanza(text: &str) -> bool {
    let mut lines = said(text);
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let is_head = first.trim_end().strip_suffix(':').is_some_and(|head| !head.contains(char::is_whitespace));
    let is_attribute = second.starts_with([' ', '\t']) && second.contains('=') && !second.contains(": ");
    is_head && is_attribute
}

fn read<'s>(source: Source<'s>, mut drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
    let mut stanzas: Vec<Stanza> = Vec::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        read_line(start, line.trim_end(), &mut stanzas, &mut drafts);
        start += line.len();
    }
    let (groups, nodes) = stanzas.into_iter().partition::<Vec<_>, _>(|stanza| stanza.object == Object::Group);
    let groups = XcatGroups::of(&groups);
    for mut stanza in nodes.into_iter().filter(|stanza| stanza.object == Object::Node) {
        groups.inherit(&mut stanza, &mut drafts);
        stanza.draft.node.known_as = aliases(&stanza);
        drafts.add(stanza.draft);
    }
    drafts.finish()
}

/// Attributes that name the servers of a node.
const SERVERS: [&str; 2] = ["servicenode", "xcatmaster"];
/// Attributes that are kept and may be relations.
const RELATIONS: [&str; 3] = ["nfsserver", "tftpserver", "monserver"];

struct Stanza {
    draft: Draft,
    object: Object,
    nics: Nics,
    /// What it states of servers, in these attributes.
    stated: BTreeMap<String, Stated>,
    /// Nodes that a group lists.
    members: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Node,
    Group,
    Other,
}

#[derive(Debug, Clone)]
struct Stated {
    value: String,
    at: Range<usize>,
}

/// Groups that say something of servers, by name, and those that list a node, by the node.
struct XcatGroups<'s> {
    stated: HashMap<&'s str, &'s BTreeMap<String, Stated>>,
    listing: HashMap<&'s str, Vec<&'s str>>,
}

impl<'s> XcatGroups<'s> {
    fn of(stanzas: &'s [Stanza]) -> Self {
        let mut groups = Self { stated: HashMap::new(), listing: HashMap::new() };
        for stanza in stanzas.iter().filter(|stanza| !stanza.stated.is_empty()) {
            let name = stanza.draft.node.name.as_str();
            groups.stated.insert(name, &stanza.stated);
            for member in &stanza.members {
                groups.listing.entry(member).or_default().push(name);
            }
        }
        groups
    }

    /// Gives a node what its groups state of servers and it does not.
    fn inherit(&self, stanza: &mut Stanza, drafts: &mut Drafts<'_>) {
        if self.stated.is_empty() {
            return;
        }
        let listing = self.listing.get(stanza.draft.node.name.as_str()).map_or(&[][..], Vec::as_slice);
        let groups = stanza.draft.node.groups.iter().chain(listing.iter().copied());
        let groups: Vec<_> = groups.filter_map(|group| self.stated.get(group)).collect();
        for key in SERVERS.into_iter().chain(RELATIONS) {
            if stanza.stated.contains_key(key) {
                continue;
            }
            let Some(stated) = groups.iter().find_map(|group| group.get(key)) else { continue };
            // What one line states, each of its nodes has.
            let facts = weight(stated.value.len()).max(list(&stated.value).count());
            if stated.value.starts_with('|') {
                drafts.doubt_expression(key, stated.at.clone());
            } else if drafts.has_room(facts, stated.at.clone()) {
                stanza.take_server(key, &stated.value, &stated.at);
            }
        }
    }
}

impl Stanza {
    /// Takes the groups of a node; what cannot be named here makes none.
    fn read_groups(&mut self, value: &str, at: &Range<usize>, drafts: &mut Drafts<'_>) {
        self.draft.node.groups = Groups::default();
        for name in list(value) {
            match crate::name::fault(name) {
                None => self.draft.node.groups.push(name.to_owned()),
                Some(fault) => drafts.no_group(at.clone(), name, &fault),
            }
        }
    }

    fn take_server(&mut self, key: &str, value: &str, at: &Range<usize>) {
        if SERVERS.contains(&key) {
            let servers = list(value).map(|server| (WantedServer::Text(server.to_owned()), at.clone()));
            self.draft.servers.extend(servers);
        } else {
            self.draft.node.attributes.insert(key.to_owned(), value.into());
        }
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|value| !value.is_empty())
}

/// What xCAT calls a node by its network interfaces.
#[derive(Default)]
struct Nics {
    /// Interfaces that have a name or an address, with the prefixes and the suffixes of their names.
    named: BTreeMap<String, (Vec<String>, Vec<String>)>,
    /// Addresses and aliases, whole.
    words: Vec<String>,
}

/// Returns by what else a node is known. Without a prefix or suffix of its own an interface is known as
/// `NODE-INTERFACE`.
fn aliases(stanza: &Stanza) -> Vec<String> {
    let Stanza { draft, nics, .. } = stanza;
    let node = draft.node.name.as_str();
    let name = short(node).unwrap_or(node);
    let mut aliases = nics.words.clone();
    aliases.extend(draft.node.address.clone());
    // `sn1` for a node that is called `sn1.example.org`, and the other way round, which the look-up does.
    aliases.extend([node.to_owned(), name.to_owned()]);
    for (nic, (prefixes, suffixes)) in &nics.named {
        if prefixes.is_empty() && suffixes.is_empty() {
            aliases.push(format!("{name}-{nic}"));
        }
        aliases.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
        aliases.extend(prefixes.iter().map(|prefix| format!("{prefix}{name}")));
        let both = prefixes.iter().zip(suffixes);
        aliases.extend(both.map(|(prefix, suffix)| format!("{prefix}{name}{suffix}")));
    }
    aliases.retain(|word| !word.is_empty());
    aliases.sort_unstable();
    aliases.dedup();
    aliases
}

impl Nics {
    /// Takes what a key says of interfaces: `nicips.ib0=10.1.0.1|10.2.0.1`, or all of them as
    /// `nicips=ib0!10.1.0.1|10.2.0.1,eth1!10.3.0.1`.
    fn take(&mut self, key: &str, value: &str) {
        let (kind, nic) = key.split_once('.').map_or((key, None), |(kind, nic)| (kind, Some(nic)));
        if !matches!(kind, "nicips" | "nicaliases" | "nichostnamesuffixes" | "nichostnameprefixes") {
            return;
        }
        for piece in value.split(',').map(str::trim) {
            let (nic, words) = match (nic, piece.split_once('!')) {
                (Some(nic), None) => (nic, piece),
                (_, Some((nic, words))) => (nic, words),
                (None, None) => continue,
            };
            let (prefixes, suffixes) = self.named.entry(nic.to_owned()).or_default();
            for word in words.split('|').map(str::trim).filter(|word| !word.is_empty()) {
                let word = word.to_owned();
                match kind {
                    "nichostnamesuffixes" => suffixes.push(word),
                    "nichostnameprefixes" => prefixes.push(word),
                    _ => self.words.extend(word.split_whitespace().map(str::to_owned)),
                }
            }
        }
    }
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
            stanzas.push(Stanza {
                draft,
                object: Object::Node,
                nics: Nics::default(),
                stated: BTreeMap::new(),
                members: Vec::new(),
            });
        }
        (_, Some((key, value))) => match stanzas.last_mut() {
            Some(stanza) => read_attribute(stanza, key.trim(), value.trim(), at, drafts),
            None => drafts.wrong.at(at, "an attribute before the first \"name:\""),
        },
        (None, None) => drafts.wrong.at(at, "neither \"name:\" nor \"attribute=value\""),
    }
}

fn read_attribute(stanza: &mut Stanza, key: &str, value: &str, at: Range<usize>, drafts: &mut Drafts<'_>) {
    if (SERVERS.contains(&key) || RELATIONS.contains(&key)) && !value.is_empty() {
        stanza.take_server(key, value, &at);
        stanza.stated.insert(key.to_owned(), Stated { value: value.to_owned(), at });
        return;
    }
    match key {
        "objtype" => {
            stanza.object = match value {
                "node" => Object::Node,
                "group" => Object::Group,
                _ => Object::Other,
            };
        }
        // As if it were not stated.
        _ if SERVERS.contains(&key) || RELATIONS.contains(&key) => {}
        "members" => stanza.members = list(value).map(str::to_owned).collect(),
        "groups" => stanza.read_groups(value, &at, drafts),
        "ip" if value.is_empty() => {}
        "ip" => stanza.draft.node.address = Some(value.to_owned()),
        // xCAT's own words for other things than ours.
        "address" | "boot_server" | "partition" => {
            stanza.draft.node.attributes.insert(key.to_owned(), value.into());
        }
        _ => {
            match key {
                "hostnames" => {
                    stanza.nics.words.extend(value.split([',', ' ']).map(str::trim).map(str::to_owned));
                }
                "otherinterfaces" => other_interfaces(stanza, value),
                _ => stanza.nics.take(key, value),
            }
            drafts.state(&mut stanza.draft, key, value, at);
        }
    }
}

/// Takes `-ipmi:10.0.0.5,sn1-hf0:10.1.0.5`, where a minus stands for the name of the node.
fn other_interfaces(stanza: &mut Stanza, value: &str) {
    let node = stanza.draft.node.name.clone();
    let node = short(&node).unwrap_or(&node);
    for piece in value.split(',') {
        let (name, address) = piece.trim().split_once(':').unwrap_or((piece.trim(), ""));
        let name = if name.starts_with('-') { format!("{node}{name}") } else { name.to_owned() };
        stanza.nics.words.extend([name, address.to_owned()].into_iter().filter(|word| !word.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};

    /// The form is that of `lsdef -t node -z` in xCAT's own pages; both spellings of the keys of interfaces.
    const STANZAS: &str = "# <xCAT data object stanza file>\n\nsn1:\n    objtype=node\n    groups=service,all\n    \
        ip=10.0.0.2\n    nicips.ib0=10.1.0.2\n    nichostnamesuffixes.ib0=-ib\n    xcatmaster=10.0.0.1\n\n\
        sn2.example.org:\n    objtype=node\n    nicips=eth1!10.2.0.3|10.3.0.3,ib0!10.1.0.3\n    hostnames=boot2\n    \
        servicenode=mn\n\n\
        cn1:\n    objtype=node\n    arch=x86_64\n    chain=runcmd=bmcsetup,shell\n    groups=all\n    \
        servicenode=sn1,sn2\n    xcatmaster=sn1-ib\n\nimage:\n    objtype=osimage\n    profile=compute\n";

    fn outside() -> Outside {
        Outside::new(["10.0.0.1", "mn.example.org"].map(str::to_owned))
    }

    fn servers(masters: &str) -> Result<Vec<String>, String> {
        let text = format!("{STANZAS}\ncn2:\n    objtype=node\n{masters}");
        let inventory = read(&Source { name: "x", text: &text }, Format::Xcat, &outside())
            .map_err(|wrong| wrong.to_string())?;
        let node = inventory.node(inventory.by_name("cn2").unwrap());
        Ok(node.boot_servers.iter().map(|id| inventory.name(*id).to_owned()).collect())
    }

    #[test]
    fn what_lsdef_prints_is_read() {
        let inventory = read(&Source { name: "x", text: STANZAS }, Format::Xcat, &outside())
            .map_err(|d| d.to_string())
            .unwrap();
        let servers: Vec<usize> = inventory.nodes().iter().map(|node| node.boot_servers.len()).collect();
        assert_eq!(servers, [0, 0, 2]);
        assert_eq!(inventory.group("all").map(<[_]>::len), Some(2));
        assert_eq!(inventory.nodes()[2].attributes["chain"], "runcmd=bmcsetup,shell");
    }

    /// All but the first were dropped, with nothing said, and the clients started before their servers.
    #[test]
    fn a_server_is_known_by_every_name_that_xcat_gives_it() {
        for (masters, wanted) in [
            ("xcatmaster=sn1\n", "sn1"),
            ("xcatmaster=sn1,sn2\n", "sn1 sn2.example.org"),
            ("xcatmaster=10.0.0.2\n", "sn1"),
            ("xcatmaster=10.1.0.2\n", "sn1"),
            ("xcatmaster=sn1-ib\n", "sn1"),
            ("xcatmaster=sn1-ib.example.org\n", "sn1"),
            ("xcatmaster=sn1.example.org\n", "sn1"),
            ("xcatmaster=SN2\n", "sn2.example.org"),
            ("xcatmaster=10.3.0.3\n", "sn2.example.org"),
            ("xcatmaster=sn2-eth1\n", "sn2.example.org"),
            ("xcatmaster=boot2\n", "sn2.example.org"),
            ("servicenode=10.1.0.3,sn1-ib\n", "sn1 sn2.example.org"),
            ("servicenode=sn1\n    xcatmaster=sn2-ib0\n", "sn1 sn2.example.org"),
            ("servicenode=sn1\n    xcatmaster=10.0.0.1\n", "sn1"),
            ("xcatmaster=mn\n", ""),
        ] {
            let found = servers(masters).map(|names| names.join(" "));
            assert_eq!(found.as_deref(), Ok(wanted), "{masters}");
        }
    }

    /// It was a group that nothing could name, and made our own format unreadable.
    #[test]
    fn a_group_that_cannot_be_named_here_makes_none_and_is_a_warning() {
        let text = "n1:\n  objtype=node\n  groups=a:b,c\n";
        let inventory = read(&Source { name: "x", text }, Format::Xcat, &outside()).unwrap();
        assert!(inventory.nodes()[0].groups.iter().eq(["c"]));
        let said = inventory.warnings()[0].to_string();
        assert!(said.starts_with("x:3:3: \"a:b\" makes no group: a name cannot contain \":\""), "{said}");
    }

    #[test]
    fn a_server_that_nobody_knows_or_that_several_are_is_an_error_with_its_place() {
        let said = servers("xcatmaster=sn3\n").unwrap_err();
        assert!(
            said.contains("x:31:1: no node named \"sn3\"") && said.contains("hint: did you mean"),
            "{said}"
        );
        let said = servers("xcatmaster=master\n").unwrap_err();
        assert!(said.contains("x:31:1: no node named \"master\"") && said.contains("--outside"), "{said}");
        let said = servers("ip=10.1.0.2\ncn3:\nxcatmaster=10.1.0.2\n").unwrap_err();
        assert!(said.contains("several nodes are known as \"10.1.0.2\""), "{said}");
    }

    /// It was passed over, with nothing said, and the clients started before their servers.
    #[test]
    fn a_server_stated_for_a_group_is_that_of_its_nodes_unless_they_state_one() {
        let text = "sn1:\n  objtype=node\nsn2:\n  objtype=node\n\
            cn1:\n  objtype=node\n  groups=rack1,compute\n\
            cn2:\n  objtype=node\n  groups=compute\n  servicenode=sn1\n  nfsserver=sn1\n\
            cn3:\n  objtype=node\n  xcatmaster=\n\
            compute:\n  objtype=group\n  grouptype=static\n  members=cn1,cn2,cn3\n  servicenode=sn2\n  nfsserver=sn2\n\
            rack1:\n  objtype=group\n  servicenode=sn1,sn2\n  xcatmaster=|\\D+|sn1|\n\
            x:\n  objtype=network\n  nfsserver=sn9\n";
        let inventory =
            read(&Source { name: "x", text }, Format::Xcat, &outside()).map_err(|d| d.to_string()).unwrap();
        let said = |name: &str| {
            let node = inventory.node(inventory.by_name(name).unwrap());
            let servers: Vec<&str> = node.boot_servers.iter().map(|id| inventory.name(*id)).collect();
            format!("{} {}", servers.join(","), node.attributes["nfsserver"].as_str().unwrap())
        };
        assert_eq!((said("cn1"), said("cn2")), ("sn1,sn2 sn2".into(), "sn1 sn1".into()));
        assert_eq!(said("cn3"), "sn2 sn2");
        assert_eq!(inventory.len(), 5);
        let warnings: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("x:25:3: \"xcatmaster\" of a group is an expression"),
            "{warnings:?}"
        );
        let text = "cn1:\n  objtype=node\n  groups=g\ng:\n  objtype=group\n  servicenode=sn9\n";
        let said = read(&Source { name: "x", text }, Format::Xcat, &outside()).unwrap_err().to_string();
        assert!(said.contains("x:6:3: no node named \"sn9\""), "{said}");
    }

    #[test]
    fn an_unknown_service_node_is_an_error_with_its_place() {
        let text = "cn1:\n  servicenode=sn1\nwhat\n";
        let said = read(&Source { name: "x", text }, Format::Xcat, &Outside::default()).unwrap_err();
        let said = said.to_string();
        assert!(said.contains("x:2:3: no node named \"sn1\"") && said.contains("x:3:1: neither"), "{said}");
    }
}
