//! The reader of genders files: `n[1-16] compute,boot_server=n20`.
//!
//! A line is nodes, blanks, attributes; nodes may stand on several lines, whose attributes add up; in
//! a value `%n` is the name of the node. `boot_server`, `number`, `address` and `partition` mean what
//! they do in our own format. Every other attribute is a group, one with a value also a group of
//! its own (`rack=7`) and an attribute that can be a relation.

use super::Inventory;
use super::check::{Draft, Drafts};
use crate::diagnostic::{Diagnostics, Source};
use crate::name::Names;
use crate::nodeset;
use std::ops::Range;

pub(super) fn read(source: Source<'_>) -> Result<Inventory, Diagnostics> {
    let mut reader = Reader { drafts: Drafts::new(source), names: Names::default(), nodes: Vec::new() };
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        reader.line(start, line.split('#').next().unwrap_or_default());
        start += line.len();
    }
    let Reader { mut drafts, nodes, .. } = reader;
    for node in nodes {
        drafts.add(node);
    }
    drafts.finish()
}

struct Reader<'s> {
    drafts: Drafts<'s>,
    names: Names,
    nodes: Vec<Draft>,
}

impl Reader<'_> {
    fn line(&mut self, start: usize, line: &str) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        let start = start + indent;
        let end = line.find(|c: char| c.is_ascii_whitespace()).unwrap_or(line.len());
        let (nodes, attributes) = line.split_at(end);
        if nodes.is_empty() {
            return;
        }
        let names = match nodeset::expand(nodes) {
            Ok(names) => names,
            Err(fault) => {
                self.drafts.wrong.at(start + fault.range.start..start + fault.range.end, fault.message);
                return;
            }
        };
        let indent = attributes.len() - attributes.trim_start().len();
        let attributes_at = start + end + indent;
        let attributes = split(attributes.trim_start());
        for name in names {
            let id = self.node(&name, start..start + end);
            for (offset, attribute) in &attributes {
                let at = attributes_at + offset..attributes_at + offset + attribute.len();
                self.attribute(id, attribute, at);
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

    fn attribute(&mut self, id: usize, attribute: &str, at: Range<usize>) {
        let draft = &mut self.nodes[id];
        let Some((key, value)) = attribute.split_once('=') else {
            self.group(id, attribute, at);
            return;
        };
        let value = value.replace("%n", &draft.node.name).replace("%%", "%");
        if matches!(key, "boot_server" | "number" | "address" | "partition") {
            self.drafts.state(draft, key, &value, at);
            return;
        }
        let group = format!("{key}={value}");
        draft.node.attributes.insert(key.to_owned(), value.into());
        self.group(id, key, at.clone());
        // A value may hold anything; only one that can be named makes a group.
        if crate::name::fault(&group).is_none() {
            self.group(id, &group, at);
        }
    }

    fn group(&mut self, id: usize, name: &str, at: Range<usize>) {
        match crate::name::fault(name) {
            Some(fault) => self.drafts.wrong.at(at, fault),
            None => {
                let groups = &mut self.nodes[id].node.groups;
                if !groups.iter().any(|group| group == name) {
                    groups.push(name.to_owned());
                }
            }
        }
    }
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
    attributes.push((start, &text[start..]));
    attributes.retain(|(_, attribute)| !attribute.is_empty());
    attributes
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, read};

    #[test]
    fn a_genders_file_is_read() {
        let text = "# site\nmgmt  admin,number=1\nn[1-3],n5\tcompute,boot_server=mgmt,rack=7 # more\n\
                    n3 login,address=%n-ib\n\nstore[1-2]\n";
        let inventory =
            read(&Source { name: "genders", text }, Format::Genders).map_err(|d| d.to_string()).unwrap();
        let names: Vec<&str> = inventory.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["mgmt", "n1", "n2", "n3", "n5", "store1", "store2"]);
        let n3 = inventory.node(inventory.by_name("n3").unwrap());
        assert_eq!((n3.boot_servers.len(), n3.address()), (1, "n3-ib"));
        assert_eq!(n3.groups, ["compute", "rack", "rack=7", "login"]);
        assert_eq!(inventory.group("rack=7").map(<[_]>::len), Some(4));
    }

    #[test]
    fn its_errors_have_places() {
        let text = "n[1-2 x\nn3 boot_server=n4,number=no\n";
        let said = read(&Source { name: "genders", text }, Format::Genders).unwrap_err().to_string();
        for part in [
            "genders:1:2: a bracket that is not closed",
            "genders:2:4: no node named \"n4\"",
            "genders:2:19: \"number\"",
        ] {
            assert!(said.contains(part), "{part}\nin\n{said}");
        }
    }
}
