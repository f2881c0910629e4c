//! The reader of genders files: `n[1-16] compute,boot_server=n20`.
//!
//! A line is nodes (`genders/hosts.rs`), blanks, attributes; nodes may stand on several lines, whose attributes add up; in
//! a value `%n` is the name of the node. `boot_server`, `number`, `address` and `partition` mean what
//! they do in our own format. Every other attribute is a group, one with a value also a group of
//! its own (`rack=7`) and an attribute that can be a relation.

mod hosts;
mod stated;

use super::check::{Draft, Drafts, NODES, weight};
use super::nodes::Inventory;
use super::parts::{Part, PartRef, Parts};
use super::reader::{Reader, said};
use crate::diagnostic::{Diagnostics, Source};
use crate::name::Names;
use hosts::Hosts;
use stated::StatedKeys;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Its lines are a name and attributes, parted by blanks.
pub(super) const READER: Reader =
    Reader { word: "genders", title: "a genders file", read, is_like: has_names_and_attributes };

/// Hosts of an inventory of Ansible in INI form have `key=value` with blanks between.
fn has_names_and_attributes(text: &str) -> bool {
    let is_word = |word: &str| !word.contains([':', '{', '}', '"']) && !word.starts_with(['[', '-']);
    let first: Vec<&str> = said(text).next().unwrap_or_default().split_whitespace().collect();
    matches!(first.as_slice(), [node, attributes] if is_word(node) && is_word(attributes))
}

fn read<'s>(source: Source<'s>, drafts: Drafts<'s>) -> Result<Inventory, Diagnostics> {
    let mut reader = GendersReader {
        drafts,
        foreseen: 0,
        names: Names::default(),
        nodes: Vec::new(),
        lines: Vec::new(),
        keys: StatedKeys::default(),
        parts: Parts::default(),
        joined: HashMap::new(),
    };
    for (start, line) in lines(source.text) {
        reader.foresee(start, line);
    }
    for (start, line) in lines(source.text) {
        reader.line(start, line);
    }
    reader.finish()
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
    nodes: Vec<GendersNode>,
    lines: Vec<Line<'s>>,
    keys: StatedKeys<'s>,
    parts: Parts,
    /// The part of all nodes that have a part already and stand on a line as well.
    joined: HashMap<(u32, u32), u32>,
}

/// A node as far as it is read.
struct GendersNode {
    /// Where it is named first.
    at: Range<usize>,
    part: u32,
}

/// A line, by the number of its part: what it states that is another for each node. What stands on two lines is none.
#[derive(Default)]
struct Line<'s>(Vec<Attribute<'s>>);

/// An attribute as a line states it for all its nodes.
struct Attribute<'s> {
    key: &'s str,
    value: Option<&'s str>,
    at: Range<usize>,
}

/// How long a value with `%n` in it may become: each node has another one.
const LONGEST: usize = 1024;

impl<'s> Attribute<'s> {
    fn of(piece: &'s str, start: usize) -> Self {
        let (key, value) = piece.split_once('=').map_or((piece, None), |(key, value)| (key, Some(value)));
        Self { key, value, at: start..start + piece.len() }
    }

    /// How long its value becomes, where the longest of the nodes' names has so many bytes.
    fn length(&self, longest: usize) -> usize {
        let value = self.value.unwrap_or_default();
        value.len() + places(value).saturating_mul(longest)
    }

    fn is_too_long(&self, longest: usize) -> bool {
        self.value.is_some_and(|value| places(value) > 0) && self.length(longest) > LONGEST
    }

    /// Tells whether each node has another value, or one that is looked up for each.
    fn is_own(&self) -> bool {
        self.value.is_some_and(|value| self.is_ours() || places(value) > 0)
    }

    /// Tells whether it means here what it does in our own format.
    fn is_ours(&self) -> bool {
        self.value.is_some() && matches!(self.key, "boot_server" | "number" | "address" | "partition")
    }

    /// The group of all nodes with a value; one that cannot be named makes none.
    fn group(&self, value: &str) -> Option<String> {
        Some(format!("{}={value}", self.key)).filter(|group| crate::name::fault(group).is_none())
    }
}

impl<'s> GendersReader<'s> {
    /// Counts what a line states, before a node is made: a short file can state much of millions.
    fn foresee(&mut self, start: usize, line: &'s str) {
        let (nodes, indent, attributes) = parts(line);
        let Ok(hosts) = Hosts::parse(nodes) else { return };
        let (longest, mut weights) = (hosts.longest(), 0usize);
        for (at, piece) in split(attributes) {
            let attribute = Attribute::of(piece, start + indent + at);
            if attribute.is_too_long(longest) {
                let message =
                    format!("the value of \"{}\" becomes longer than {LONGEST} bytes", attribute.key);
                let hint = "every %n is replaced by the name of the node; use fewer of them";
                self.drafts.wrong.with_hint(attribute.at, message, hint);
            } else {
                weights = weights.saturating_add(weight(attribute.length(longest)));
            }
        }
        self.foreseen = self.foreseen.saturating_add(hosts.count().saturating_mul(1 + weights));
        self.drafts.foresees_room(self.foreseen, start..start + nodes.len());
    }

    fn line(&mut self, start: usize, line: &'s str) {
        let (nodes, indent, attributes) = parts(line);
        if nodes.is_empty() {
            return;
        }
        let at = start..start + nodes.len();
        let hosts = match Hosts::parse(nodes) {
            Ok(hosts) => hosts,
            Err(fault) => {
                self.drafts.wrong.at(start + fault.range.start..start + fault.range.end, fault.message);
                return;
            }
        };
        let mut attributes = self.attributes(start + indent, attributes);
        let longest = hosts.longest();
        // They were told beforehand.
        attributes.retain(|attribute| !attribute.is_too_long(longest));
        let weights: usize = attributes.iter().map(|attribute| weight(attribute.length(longest))).sum();
        if !self.drafts.has_room(hosts.count().saturating_mul(1 + weights), at.clone()) {
            return;
        }
        if self.nodes.len() + hosts.count() > NODES {
            let mut new = 0;
            hosts.each(&mut |name| new += usize::from(self.names.find(name).is_none()));
            if self.nodes.len() + new > NODES {
                self.drafts
                    .wrong
                    .at(at, format!("more than {NODES} nodes: write an inventory for each cluster"));
                return;
            }
        }
        let part = self.part(attributes);
        hosts.each(&mut |name| self.stand(name, &at, part));
        self.keys.end_of_line();
    }

    /// Adds what a line states: for all of its nodes alike, and for each.
    fn part(&mut self, attributes: Vec<Attribute<'s>>) -> u32 {
        let mut part = Part::default();
        let mut own = Vec::new();
        for attribute in attributes {
            self.keys.state(attribute.key, attribute.at.clone());
            if !attribute.is_ours() {
                if crate::name::fault(attribute.key).is_none() {
                    part.groups.push(attribute.key.to_owned());
                }
                if attribute.value.is_some() {
                    self.drafts.doubt_server(attribute.key, attribute.at.clone());
                }
            }
            if attribute.is_own() {
                own.push(attribute);
            } else if let Some(value) = attribute.value {
                let value = substitute(value, "");
                part.groups.extend(attribute.group(&value));
                part.attributes.insert(attribute.key.to_owned(), value.into());
            }
        }
        self.lines.push(Line(own));
        self.parts.add(part)
    }

    /// Puts a node on a line.
    fn stand(&mut self, name: &str, at: &Range<usize>, part: u32) {
        let Some(id) = self.names.intern(name) else { return };
        self.keys.stands(id);
        let Some(node) = self.nodes.get_mut(id as usize) else {
            self.nodes.push(GendersNode { at: at.clone(), part });
            return;
        };
        node.part = *self.joined.entry((node.part, part)).or_insert_with(|| {
            self.lines.push(Line::default());
            self.parts.add(Part { above: vec![node.part, part], ..Part::default() })
        });
    }

    fn finish(mut self) -> Result<Inventory, Diagnostics> {
        for (node, key, at) in self.keys.twice(self.nodes.len()) {
            let name = self.names.get(node);
            self.drafts.wrong.at(at, format!("\"{name}\" has the attribute \"{key}\" already"));
        }
        drop((self.keys, self.joined));
        let parts = Arc::new(self.parts);
        self.drafts.expect(self.nodes.len());
        // Neighbours stand on the same lines, mostly.
        let (mut met, mut own) = (None, Vec::new());
        for (GendersNode { at, part }, id) in self.nodes.into_iter().zip(0..) {
            let part_ref = PartRef::new(&parts, part);
            if met.replace(part) != Some(part) {
                own = part_ref.parts();
                own.retain(|part| !self.lines[*part as usize].0.is_empty());
            }
            let mut draft = Draft { at, ..Draft::default() };
            self.names.get(id).clone_into(&mut draft.node.name);
            draft.node.groups.share(part_ref.clone());
            draft.node.attributes.share(part_ref);
            for attribute in own.iter().flat_map(|part| &self.lines[*part as usize].0) {
                state(attribute, &mut draft, &mut self.drafts);
            }
            self.drafts.add(draft);
        }
        drop(self.names);
        self.drafts.finish()
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
}

/// States what each node has another value of.
fn state(attribute: &Attribute<'_>, draft: &mut Draft, drafts: &mut Drafts<'_>) {
    let value = substitute(attribute.value.unwrap_or_default(), &draft.node.name);
    if attribute.is_ours() {
        drafts.state(draft, attribute.key, &value, attribute.at.clone());
        return;
    }
    attribute.group(&value).into_iter().for_each(|group| draft.node.groups.push(group));
    draft.node.attributes.insert(attribute.key.to_owned(), value.into());
}

/// Returns how often the name of the node stands in a value.
fn places(value: &str) -> usize {
    value.split("%%").map(|part| part.matches("%n").count()).sum()
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
        assert!(n3.groups.iter().eq(["compute", "rack", "rack=7", "login"]), "{:?}", n3.groups);
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
            (n1.groups.iter().collect::<Vec<_>>(), n1.number, n1.partition.as_deref()),
            (vec!["b"], None, None)
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
