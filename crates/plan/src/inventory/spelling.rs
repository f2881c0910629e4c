//! What the names, addresses and units of a node cannot look like: words that stand for other nodes on a command
//! line, in a sequence file or for a program that is given them (clush, pdsh, powerman).
//!
//! Invariant: a name that was read stands for its node alone wherever node sets are read
//! (`no_name_of_an_inventory_is_a_node_set`).

use super::nodes::Node;
use crate::select::ALL;
use core::net::Ipv6Addr;

/// What is wrong with a word, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misspelt {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// Returns the first word of a node that names other nodes than itself, or none.
pub(super) fn fault(node: &Node) -> Option<Misspelt> {
    address_fault(node.address.as_deref()).or_else(|| {
        let address =
            node.address.as_deref().filter(|word| !is_literal(word)).map(|word| (word, "the address"));
        let units = node.power_with.iter().map(|unit| (unit.as_str(), "the unit"));
        let words = std::iter::once((node.name.as_str(), "the name")).chain(address).chain(units);
        words.into_iter().find_map(|(word, what)| set_fault(word, what))
    })
}

/// Every comparison with this machine, or with another node, would miss such an address.
fn address_fault(address: Option<&str>) -> Option<Misspelt> {
    let word = address?;
    let is_odd = |c: &char| c.is_whitespace() || c.is_control() || crate::name::is_unseen(*c);
    let what = match word.chars().find(is_odd)? {
        ' ' => "a blank".to_owned(),
        c => format!("\"{}\"", c.escape_debug()),
    };
    Some(Misspelt {
        message: format!("the address \"{}\" has {what} in it", word.escape_debug()),
        hint: "write it without",
    })
}

fn set_fault(word: &str, what: &str) -> Option<Misspelt> {
    let (clause, hint) = if word.eq_ignore_ascii_case(ALL) {
        ("stands for all nodes on a command line", "give it another name")
    } else if word.contains(['[', ']']) || is_range(word) {
        ("stands for several nodes", "an inventory has an entry for each node, with a name of its own")
    } else if word.starts_with('@') || word.contains(['!', '&', '^', ',', '*', '?']) {
        (
            "is a node set; \"!\", \"&\", \"^\", \",\", \"*\", \"?\" and an \"@\" in front have a meaning in those",
            "an inventory has an entry for each node, with a name without them",
        )
    } else {
        return None;
    };
    Some(Misspelt { message: format!("{what} \"{word}\" {clause}"), hint })
}

/// `3-7`, which are node numbers.
fn is_range(word: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('-').is_some_and(|(from, to)| digits(from) && digits(to))
}

/// Tells whether an address stands in brackets as IPv6 addresses do, be it with a user, a port or a zone.
fn is_literal(word: &str) -> bool {
    let host = word.rsplit_once('@').map_or(word, |(_, host)| host);
    let host = host.split_once("://").map_or(host, |(_, host)| host);
    let Some((inner, after)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let (address, zone) = inner.split_once('%').unwrap_or((inner, ""));
    let is_plain = |text: &str| !text.contains(['[', ']', ',', '!', '&', '^']);
    address.parse::<Ipv6Addr>().is_ok() && is_plain(zone) && is_plain(after)
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Source;
    use crate::inventory::{Format, Outside, read};
    use crate::nodeset;
    use proptest::prelude::*;

    fn said(format: Format, text: &str) -> String {
        let source = Source { name: "i", text };
        read(&source, format, &Outside::default()).map_or_else(|wrong| wrong.to_string(), |_| String::new())
    }

    /// Some formats took them, and `n1!n2` was then one node here and another for clush.
    #[test]
    fn a_name_that_is_a_node_set_is_rejected_in_every_format_with_its_place() {
        for (name, clause) in [
            ("n[1-3", "the name \"n[1-3\" stands for several nodes"),
            ("n1]", "the name \"n1]\" stands for several nodes"),
            ("3-7", "the name \"3-7\" stands for several nodes"),
            ("n1!n2", "the name \"n1!n2\" is a node set"),
            ("n&1", "the name \"n&1\" is a node set"),
            ("n^1", "the name \"n^1\" is a node set"),
            ("@g", "the name \"@g\" is a node set"),
            ("n*", "the name \"n*\" is a node set"),
            ("n?", "the name \"n?\" is a node set"),
            ("ALL", "the name \"ALL\" stands for all nodes"),
            ("All", "the name \"All\" stands for all nodes"),
        ] {
            for (format, text, place) in [
                (Format::Json, format!(r#"{{"nodes": [{{"name": "{name}"}}]}}"#), "i:1:21"),
                (Format::Genders, format!("{name} a\n"), "i:1:1"),
                (Format::Ansible, format!(r#"{{"g": ["{name}"]}}"#), "i:1:2"),
                (
                    Format::Ansible,
                    format!(r#"{{"_meta": {{"hostvars": {{"{name}": {{}}}}}}, "g": ["{name}"]}}"#),
                    "i:1:25",
                ),
                (Format::Warewulf, format!(r#"{{"{name}": {{}}}}"#), "i:1:2"),
                (Format::Xcat, format!("{name}:\n  objtype=node\n"), "i:1:1"),
            ] {
                let said = said(format, &text);
                let first = said.lines().next().unwrap_or_default();
                assert!(first.starts_with(&format!("{place}: {clause}")), "{format:?} {text}\n{said}");
                assert!(said.contains("  hint: "), "{said}");
            }
        }
    }

    #[test]
    fn an_address_or_a_unit_that_is_a_node_set_is_rejected() {
        for (fields, clause) in [
            (r#""address": "n1,n2""#, "the address \"n1,n2\" is a node set"),
            (r#""address": "@g""#, "the address \"@g\" is a node set"),
            (r#""address": "ALL""#, "the address \"ALL\" stands for all nodes"),
            (r#""address": "[1-3]""#, "the address \"[1-3]\" stands for several"),
            (r#""address": "[fe80::1]n[1-2]""#, "stands for several"),
            (r#""address": "n\u200b1""#, "the address \"n\\u{200b}1\" has \"\\u{200b}\" in it"),
            (r#""power_with": ["u!v"]"#, "the unit \"u!v\" is a node set"),
            (r#""power_with": ["all"]"#, "the unit \"all\" stands for all nodes"),
        ] {
            let said = said(Format::Json, &format!(r#"{{"nodes": [{{"name": "n1", {fields}}}]}}"#));
            assert!(said.starts_with("i:1:21: ") && said.contains(clause), "{fields}\n{said}");
        }
        for address in
            ["root@n1", "ssh://root@n1:22", "[fe80::1]", "[fe80::1%eth0]:22", "root@[2001:db8:0:0:0:0:0:5]"]
        {
            let text = format!(r#"{{"nodes": [{{"name": "rack1-3", "address": "{address}"}}]}}"#);
            assert_eq!(said(Format::Json, &text), "", "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_name_of_an_inventory_is_a_node_set(name in "[an0-3\\[\\]!&^@*?,-]{1,6}") {
            let text = format!(r#"{{"nodes": [{{"name": "{name}"}}]}}"#);
            if said(Format::Json, &text).is_empty() {
                prop_assert_eq!(nodeset::expand(&name), Ok(vec![name]));
            }
        }
    }
}
