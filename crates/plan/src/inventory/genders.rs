//! The reader of genders files: `n[1-16] compute,boot_server=n20`.
//!
//! A line is nodes (`genders/hosts.rs`), blanks, attributes; nodes may stand on several lines, whose attributes add up; in
//! a value `%n` is the name of the node. `boot_server`, `number`, `address` and `partition` mean what
//! they do in our own format. Every other attribute is a group, one with a value also a group of
//! its own (`rack=7`) and an attribute that can be a relation.

mod hosts;

use super::check::{Draft, Drafts, NODES, weight};
use super::nodes::Inventory;
use crate::diagnostic::{Diagnostics, Source};
use crate::name::Names;
use hosts::Hosts;
use std::collections::HashSet;
use std::ops::Range;

pub(super) fn read<'s>(source: Source<'s>, drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
    let mut reader = GendersReader {
        drafts,
        foreseen: 0,
        names: Names::default(),
        nodes: Vec::new(),
        keys: Keys::default(),
    };
    for (start, line) in lines(source.text) {
        reader.foresee(start, line);
    }
    for (start, line) in lines(source.text) {
        reader.line(start, line);
    }
    let GendersReader { mut drafts, nodes, .. } = reader;
    for node in nodes {
        drafts.add(node);
    }
    drafts.finish()
}

/// Returns the lines without their comments and blanks around, and where they begin.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    text.split_inclusive('\n').map(move |whole| {
        let line = whole.split('#').next().unwrap_or_default();
        let start = next + line.len() - line.trim_start().len();
        next += whole.len();
        (start, line.trim())
    })
}

/// Returns the nodes of a line, and its attributes with where they begin.
fn parts(line: &str) -> (&str, usize, &str) {
    let end = line.find(|c: char| c.is_ascii_whitespace()).unwrap_or(line.len());
    let (nodes, attributes) = line.split_at(end);
    let indent = attributes.len() - attributes.trim_start().len();
    (nodes, end + indent, attributes.trim_start())
}

struct GendersReader<'s> {
    drafts: Drafts<'s>,
    /// What all lines state.
    foreseen: usize,
    names: Names,
    nodes: Vec<Draft>,
    keys: Keys,
}

/// Which attributes nodes have so far, by their numbers.
#[derive(Default)]
struct Keys {
    names: Names,
    of_nodes: HashSet<(usize, Option<u32>)>,
}

/// An attribute as a line states it for all its nodes.
struct Attribute<'s> {
    key: &'s str,
    value: Option<&'s str>,
    at: Range<usize>,
}

impl<'s> Attribute<'s> {
    fn of(piece: &'s str, start: usize) -> Self {
        let (key, value) = piece.split_once('=').map_or((piece, None), |(key, value)| (key, Some(value)));
        Self { key, value, at: start..start + piece.len() }
    }

    /// Returns what its value counts as, where the longest of the nodes' names has so many bytes.
    fn weight(&self, longest: usize) -> usize {
        let value = self.value.unwrap_or_default();
        weight(value.len() + value.matches("%n").count().saturating_mul(longest))
    }
}

impl<'s> GendersReader<'s> {
    /// Counts what a line states, before a node is made: a short file can state much of millions.
    fn foresee(&mut self, start: usize, line: &'s str) {
        let (nodes, _, attributes) = parts(line);
        let Ok(hosts) = Hosts::parse(nodes) else { return };
        let longest = hosts.longest();
        let weights =
            split(attributes).into_iter().map(|(at, piece)| Attribute::of(piece, at).weight(longest));
        let weights: usize = weights.sum();
        self.foreseen = self.foreseen.saturating_add(hosts.count().saturating_mul(1 + weights));
        self.drafts.foresees_room(self.foreseen, start..start + nodes.len());
    }

    fn line(&mut self, start: usize, line: &'s str) {
        let (nodes, indent, attributes) = parts(line);
        if nodes.is_empty() {
            return;
        }
        let end = nodes.len();
        let hosts = match Hosts::parse(nodes) {
            Ok(hosts) => hosts,
            Err(fault) => {
                self.drafts.wrong.at(start + fault.range.start..start + fault.range.end, fault.message);
                return;
            }
        };
        let attributes = self.attributes(start + indent, attributes);
        let longest = hosts.longest();
        let weights: usize = attributes.iter().map(|attribute| attribute.weight(longest)).sum();
        if !self.drafts.has_room(hosts.count().saturating_mul(1 + weights), start..start + end) {
            return;
        }
        let names = hosts.names();
        let is_new = |name: &&String| self.names.find(name).is_none();
        if self.nodes.len() + names.len() > NODES
            && self.nodes.len() + names.iter().filter(is_new).count() > NODES
        {
            self.drafts.wrong.at(start..start + end, format!("more than {NODES} nodes"));
            return;
        }
        let ids: Vec<usize> = names.iter().map(|name| self.node(name, start..start + end)).collect();
        for attribute in attributes {
            let key = self.keys.names.intern(attribute.key);
            for &id in &ids {
                if !self.keys.of_nodes.insert((id, key)) {
                    let node = &self.nodes[id].node.name;
                    let message = format!("\"{node}\" has the attribute \"{}\" already", attribute.key);
                    // Of one line, one node is enough to find the other.
                    self.drafts.wrong.at(attribute.at.clone(), message);
                    break;
                }
                self.attribute(id, &attribute);
            }
        }
    }

    fn node(&mut self, name: &str, at: Range<usize>) -> usize {
        // More names than fit into 4 GiB: the last one stands for all that follow.
        let id = self.names.intern(name).map_or(self.nodes.len(), |id| id as usize);
        if id == self.nodes.len() {
            let mut draft = Draft { at, ..Draft::default() };
            name.clone_into(&mut draft.node.name);
            self.nodes.push(draft);
        }
        id
    }

    /// Returns the attributes of a line; what genders itself does not read is wrong, and told once
    /// however many nodes the line has.
    fn attributes(&mut self, start: usize, text: &'s str) -> Vec<Attribute<'s>> {
        if text.contains(|c: char| c.is_whitespace()) {
            let hint = "attributes are separated by commas alone";
            self.drafts.wrong.with_hint(start..start + text.len(), "a blank within the attributes", hint);
            return Vec::new();
        }
        let mut attributes = Vec::new();
        for (offset, piece) in split(text) {
            let attribute = Attribute::of(piece, start + offset);
            let Attribute { key, value, ref at } = attribute;
            let at = at.clone();
            let wrong = &mut self.drafts.wrong;
            if key.is_empty() {
                wrong.at(at, "an attribute without a name");
            } else if value.is_none() && key == "boot_server" {
                wrong.with_hint(
                    at,
                    "\"boot_server\" names no server",
                    "write boot_server=NODE, or boot_server=0",
                );
            } else if value.is_some_and(str::is_empty) {
                wrong.at(at, "the value is missing after \"=\"");
            } else {
                if let Some(fault) = crate::name::fault(key) {
                    self.drafts.no_group(at.clone(), key, &fault);
                }
                attributes.push(attribute);
            }
        }
        attributes
    }

    fn attribute(&mut self, id: usize, attribute: &Attribute<'_>) {
        let draft = &mut self.nodes[id];
        let Some(value) = attribute.value else {
            if crate::name::fault(attribute.key).is_none() {
                draft.node.groups.push(attribute.key.to_owned());
            }
            return;
        };
        let value = substitute(value, &draft.node.name);
        if matches!(attribute.key, "boot_server" | "number" | "address" | "partition") {
            self.drafts.state(draft, attribute.key, &value, attribute.at.clone());
            return;
        }
        self.drafts.doubt_server(attribute.key, attribute.at.clone());
        let group = format!("{}={value}", attribute.key);
        draft.node.attributes.insert(attribute.key.to_owned(), value.into());
        if crate::name::fault(attribute.key).is_none() {
            draft.node.groups.push(attribute.key.to_owned());
        }
        // A value may hold anything; only one that can be named makes a group.
        if crate::name::fault(&group).is_none() {
            draft.node.groups.push(group);
        }
    }
}

/// Returns a value with `%n` replaced by the name of the node and `%%` by `%`, from left to right.
fn substitute(value: &str, node: &str) -> String {
    let mut parts = value.split("%%").map(|part| part.replace("%n", node));
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |text, part| text + "%" + &part)
}

/// Returns the attributes and where they begin; commas between brackets do not separate.
fn split(text: &str) -> Vec<(usize, &str)> {
    let (mut attributes, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                attributes.push((start, &text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        attributes.push((start, &text[start..]));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};

    #[test]
    fn a_genders_file_is_read() {
        let text = "# site\nmgmt  admin,number=1\nn[1-3],n5\tcompute,boot_server=mgmt,rack=7 # more\n\
                    n3 login,address=%n-ib\n\nstore[1-2]\n";
        let inventory = read(&Source { name: "genders", text }, Format::Genders, &Outside::default())
            .map_err(|d| d.to_string())
            .unwrap();
        let names: Vec<&str> = inventory.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["mgmt", "n1", "n2", "n3", "n5", "store1", "store2"]);
        let n3 = inventory.node(inventory.by_name("n3").unwrap());
        assert_eq!((n3.boot_servers.len(), n3.address()), (1, "n3-ib"));
        assert_eq!(n3.groups, ["compute", "rack", "rack=7", "login"]);
        assert_eq!(inventory.group("rack=7").map(<[_]>::len), Some(4));
    }

    #[test]
    fn what_genders_rejects_is_rejected_once_a_line() {
        let text = "n[1-9] a\nn[3-5] a=2\nn1 b c\nn[1-9] d,\nn2 =x\nn[1-9] e=\nn1 f:g\n";
        let said =
            read(&Source { name: "g", text }, Format::Genders, &Outside::default()).unwrap_err().to_string();
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("g:")).collect();
        assert_eq!(
            lines,
            [
                "g:2:8: \"n3\" has the attribute \"a\" already",
                "g:3:4: a blank within the attributes",
                "g:4:10: an attribute without a name",
                "g:5:4: an attribute without a name",
                "g:6:8: the value is missing after \"=\"",
            ]
        );
    }

    #[test]
    fn a_percent_sign_is_written_as_two_whatever_follows_it() {
        let text = "n1 x=%n%%n,y=5%%\n";
        let inventory = read(&Source { name: "g", text }, Format::Genders, &Outside::default()).unwrap();
        assert_eq!(inventory.nodes()[0].attributes["x"], "n1%n");
        assert_eq!(inventory.nodes()[0].attributes["y"], "5%");
    }

    /// Each made the whole file unreadable, and genders reads them all.
    #[test]
    fn what_only_we_cannot_name_or_use_is_a_warning() {
        let text = "n[1-2] f:g=1,x(y,number=A7,partition=a:b\nn3,n1 b\n";
        let inventory = read(&Source { name: "g", text }, Format::Genders, &Outside::default()).unwrap();
        let names: Vec<&str> = inventory.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["n1", "n2", "n3"]);
        let n1 = inventory.node(inventory.by_name("n1").unwrap());
        assert_eq!(
            (n1.groups.as_slice(), n1.number, n1.partition.as_deref()),
            (&["b".to_owned()][..], None, None)
        );
        assert_eq!((&n1.attributes["f:g"], &n1.attributes["number"]), (&"1".into(), &"A7".into()));
        let said: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
        for part in [
            "g:1:8: \"f:g\" makes no group: a name cannot contain \":\"",
            "g:1:14: \"x(y\" makes no group: a name cannot contain \"(\"",
            "g:1:18: \"A7\" is no node number, a whole number from 1; it is kept as an attribute",
            "g:1:28: \"a:b\" is no partition: a name cannot contain \":\"; it is kept as an attribute",
        ] {
            assert_eq!(said.iter().filter(|said| said.contains(part)).count(), 1, "{part}\nin\n{said:?}");
        }
    }

    #[test]
    fn its_errors_have_places() {
        let text = "n[1-2 x\nn3 boot_server=n4,number=no\n";
        let said = read(&Source { name: "genders", text }, Format::Genders, &Outside::default())
            .unwrap_err()
            .to_string();
        for part in
            ["genders:1:1: the name \"n[1-2\" stands for several nodes", "genders:2:4: no node named \"n4\""]
        {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
    }
}
