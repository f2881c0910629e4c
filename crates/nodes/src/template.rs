//! Commands with places for nodes: `["mypower", "on", "{node}"]`.
//!
//! Values are put in once, word by word, and never looked at again: no shell, and a name that
//! looks like a place is not one.

use crate::roster::Member;
use orderly_exec::settings::Table;
use orderly_plan::{nodeset, suggest};
use std::ffi::OsString;

const PLACES: [(&str, Placeholder); 6] = [
    ("node", Placeholder::Node),
    ("number", Placeholder::Number),
    ("address", Placeholder::Address),
    ("nodes", Placeholder::Nodes),
    ("nodeset", Placeholder::Nodeset),
    ("command", Placeholder::Command),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Node,
    Number,
    Address,
    Nodes,
    Nodeset,
    Command,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WordPart {
    Text(String),
    Placeholder(Placeholder),
}

/// How many nodes one process stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One: `{node}`, `{number}`, `{address}`, or no place at all.
    Each,
    /// All that are ready: `{nodes}` or `{nodeset}`.
    Set,
}

/// An argument vector with places for nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    words: Vec<Vec<WordPart>>,
    reach: Reach,
}

impl Template {
    /// Returns the template an argument vector states.
    ///
    /// # Errors
    /// A clause that says what is wrong and what to write instead.
    pub fn parse(argv: &[String]) -> Result<Self, String> {
        let words: Vec<Vec<WordPart>> = argv.iter().map(|word| parse_word(word)).collect::<Result<_, _>>()?;
        let has = |place| words.iter().flatten().any(|part| *part == WordPart::Placeholder(place));
        let each = has(Placeholder::Node) || has(Placeholder::Number) || has(Placeholder::Address);
        let set = has(Placeholder::Nodes) || has(Placeholder::Nodeset);
        if each && set {
            return Err("{nodes} and {nodeset} cannot stand beside {node}, {number} or {address}".into());
        }
        if words
            .first()
            .is_some_and(|program| program.iter().any(|part| matches!(part, WordPart::Placeholder(_))))
        {
            return Err("the program itself cannot depend on the node".into());
        }
        for word in &words {
            for whole in [Placeholder::Nodes, Placeholder::Command] {
                if word.len() > 1 && word.contains(&WordPart::Placeholder(whole)) {
                    return Err(format!("{{{}}} must be an argument of its own", named(whole)));
                }
            }
        }
        Ok(Self { words, reach: if set { Reach::Set } else { Reach::Each } })
    }

    /// Reads the command of a key; `{command}` stands in `run` alone.
    pub(crate) fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let argv = table.argv(key)?;
        match Self::parse(&argv) {
            Ok(template) if template.takes_command() && key != "run" => {
                table.reject(key, format!("{}: {{command}} stands only in shell.run", table.named(key)));
                None
            }
            Ok(template) => Some(template),
            Err(clause) => {
                table.reject(key, format!("{}: {clause}", table.named(key)));
                None
            }
        }
    }

    /// Returns the program, which is the same for all nodes.
    pub(crate) fn program(&self) -> OsString {
        self.fill(&[], "").into_iter().next().unwrap_or_default()
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Tells whether the command says which node it is for.
    pub fn names_node(&self) -> bool {
        self.has(Placeholder::Node)
            || self.has(Placeholder::Number)
            || self.has(Placeholder::Address)
            || self.reach == Reach::Set
    }

    /// Tells whether `{command}` stands in it.
    pub fn takes_command(&self) -> bool {
        self.has(Placeholder::Command)
    }

    /// Tells whether `{number}` stands in it, which a node without a number cannot fill.
    pub fn needs_number(&self) -> bool {
        self.has(Placeholder::Number)
    }

    fn has(&self, place: Placeholder) -> bool {
        self.words.iter().flatten().any(|part| *part == WordPart::Placeholder(place))
    }

    /// Returns the arguments for these nodes; a template for each takes the first one.
    pub fn fill(&self, nodes: &[&Member], command: &str) -> Vec<OsString> {
        let mut argv = Vec::with_capacity(self.words.len() + nodes.len());
        for word in &self.words {
            match word.as_slice() {
                [WordPart::Text(text)] => argv.push(OsString::from(text)),
                [WordPart::Placeholder(Placeholder::Nodes)] => {
                    argv.extend(nodes.iter().map(|node| OsString::from(&node.name)));
                }
                parts => argv.push(OsString::from(fill_word(parts, nodes, command))),
            }
        }
        argv
    }
}

fn fill_word(parts: &[WordPart], nodes: &[&Member], command: &str) -> String {
    let mut word = String::new();
    for part in parts {
        match part {
            WordPart::Text(text) => word.push_str(text),
            WordPart::Placeholder(place) => fill_place(*place, nodes, command, &mut word),
        }
    }
    word
}

fn fill_place(place: Placeholder, nodes: &[&Member], command: &str, word: &mut String) {
    let first = nodes.first();
    match place {
        Placeholder::Node => word.push_str(first.map_or("", |node| &node.name)),
        Placeholder::Address => word.push_str(first.map_or("", |node| &node.address)),
        Placeholder::Number => {
            if let Some(number) = first.and_then(|node| node.number) {
                word.push_str(&number.to_string());
            }
        }
        Placeholder::Nodes | Placeholder::Nodeset => word.push_str(&fold(nodes)),
        Placeholder::Command => word.push_str(command),
    }
}

/// Returns the names as one node set.
pub(crate) fn fold(nodes: &[&Member]) -> String {
    nodeset::fold(nodes.iter().map(|node| node.name.as_str()))
}

fn named(place: Placeholder) -> &'static str {
    PLACES.iter().find(|(_, known)| *known == place).map_or("", |(name, _)| name)
}

/// Cuts a word at its places. Braces around anything else are text (`awk '{print $1}'`), unless
/// they are nearly a place: then somebody's hand slipped.
fn parse_word(word: &str) -> Result<Vec<WordPart>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        let name = &inside[..inside.find(['}', '{']).unwrap_or(inside.len())];
        let closed = inside[name.len()..].starts_with('}');
        let place = PLACES.iter().find(|(known, _)| closed && *known == name);
        if let Some((_, place)) = place {
            if !text.is_empty() {
                parts.push(WordPart::Text(std::mem::take(&mut text)));
            }
            parts.push(WordPart::Placeholder(*place));
            rest = &inside[name.len() + 1..];
            continue;
        }
        if closed && let Some(near) = suggest::nearest(name, PLACES.map(|(known, _)| known)) {
            return Err(format!("{{{name}}} is not known; did you mean {{{near}}}?"));
        }
        text.push('{');
        rest = inside;
    }
    text.push_str(rest);
    if !text.is_empty() || parts.is_empty() {
        parts.push(WordPart::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::roster::MemberKind;
    use proptest::prelude::*;

    pub(crate) fn member(name: &str, number: u32) -> Member {
        Member {
            name: name.into(),
            number: Some(number),
            address: format!("10.0.0.{number}"),
            groups: Vec::new(),
            kind: MemberKind::Node,
            bmc: None,
        }
    }

    fn filled(argv: &[&str]) -> Result<Vec<String>, String> {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let (one, two) = (member("{node}", 1), member("n2", 2));
        let filled = Template::parse(&argv)?.fill(&[&one, &two], "rm '{nodes}'");
        Ok(filled.iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn values_are_put_in_once_and_words_stay_words() {
        for (argv, wanted) in [
            (vec!["p", "on", "{node}"], vec!["p", "on", "{node}"]),
            (vec!["p", "-n{number}@{address}"], vec!["p", "-n1@10.0.0.1"]),
            (vec!["p", "{nodes}", "x"], vec!["p", "{node}", "n2", "x"]),
            (vec!["r", "{address}", "{command}"], vec!["r", "10.0.0.1", "rm '{nodes}'"]),
            (vec!["awk", "{print $1} {", "{}"], vec!["awk", "{print $1} {", "{}"]),
            (vec!["p", "", "{{node}}"], vec!["p", "", "{{node}}"]),
        ] {
            assert_eq!(filled(&argv), Ok(wanted.iter().map(|&w| w.to_owned()).collect()), "{argv:?}");
        }
    }

    #[test]
    fn slips_and_mixtures_are_refused() {
        for argv in [
            vec!["p", "{nodee}"],
            vec!["p", "{node}", "{nodes}"],
            vec!["p", "x{nodes}"],
            vec!["r", "-c {command}"],
            vec!["{node}"],
        ] {
            assert!(filled(&argv).is_err(), "{argv:?}");
        }
    }

    proptest! {
        #[test]
        fn text_without_places_stays_as_it_is(word in "[ -z{}|~]{0,40}") {
            if let Ok(parts) = parse_word(&word) {
                let whole: String = parts.iter().map(|part| match part {
                    WordPart::Text(text) => text.clone(),
                    WordPart::Placeholder(place) => format!("{{{}}}", named(*place)),
                }).collect();
                prop_assert_eq!(whole, word);
            }
        }
    }
}
