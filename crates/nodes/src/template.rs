//! Commands with places for nodes: `["mypower", "on", "{node}"]`.
//!
//! Values are put in once, word by word, and never looked at again: no shell, and a name that
//! looks like a place is not one. What the inventory says of a node is put in only where it stays what it is: no
//! option, no second argument, no part of a script (`a_value_is_never_an_option_or_a_part_of_a_script`).

use crate::roster::Member;
use anyhow::anyhow;
use orderly_exec::settings::Table;
use orderly_plan::nodeset;
use std::collections::BTreeSet;
use std::ffi::OsString;

/// The places that every node can fill; any other is an attribute of the inventory.
pub(crate) const PLACES: [(&str, Placeholder); 6] = [
    ("node", Placeholder::Node),
    ("number", Placeholder::Number),
    ("address", Placeholder::Address),
    ("nodes", Placeholder::Nodes),
    ("nodeset", Placeholder::Nodeset),
    ("command", Placeholder::Command),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Node,
    Number,
    Address,
    Nodes,
    Nodeset,
    Command,
    Attribute(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WordPart {
    Text(String),
    Placeholder(Placeholder),
}

/// How many nodes one process stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One: `{node}`, `{number}`, `{address}`, an attribute, or no place at all.
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
        let words: Vec<Vec<WordPart>> = argv.iter().map(|word| parse_word(word)).collect();
        let places = || words.iter().flatten().filter_map(WordPart::place);
        let set = places().any(|place| matches!(place, Placeholder::Nodes | Placeholder::Nodeset));
        if set {
            if let Some(place) = places().find(|place| place.is_of_one()) {
                return Err(format!("{{nodes}} and {{nodeset}} cannot stand beside {{{}}}", place.name()));
            }
        }
        if words
            .first()
            .is_some_and(|program| program.iter().any(|part| matches!(part, WordPart::Placeholder(_))))
        {
            return Err("the program itself cannot depend on the node".into());
        }
        for word in &words {
            for whole in [Placeholder::Nodes, Placeholder::Command] {
                if word.len() > 1 && word.iter().any(|part| part.place() == Some(&whole)) {
                    return Err(format!("{{{}}} must be an argument of its own", whole.name()));
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
        match self.words.first().map(Vec::as_slice) {
            Some([WordPart::Text(program)]) => program.into(),
            _ => OsString::new(),
        }
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Tells whether the command says which node it is for.
    pub fn names_node(&self) -> bool {
        self.reach == Reach::Set || self.places().any(Placeholder::is_of_one)
    }

    /// Tells whether `{command}` stands in it.
    pub fn takes_command(&self) -> bool {
        self.places().any(|place| *place == Placeholder::Command)
    }

    /// Returns the first place that not every node can fill: `number`, or the name of an attribute.
    pub(crate) fn optional_place(&self) -> Option<&str> {
        self.places()
            .find(|place| matches!(place, Placeholder::Number | Placeholder::Attribute(_)))
            .map(Placeholder::name)
    }

    /// Returns the names of the inventory attributes that stand in it.
    pub(crate) fn attributes(&self) -> BTreeSet<&str> {
        let attributes = self.places().filter(|place| matches!(place, Placeholder::Attribute(_)));
        attributes.map(Placeholder::name).collect()
    }

    fn places(&self) -> impl Iterator<Item = &Placeholder> {
        self.words.iter().flatten().filter_map(WordPart::place)
    }

    /// Returns why the command cannot be made for a node: it lacks the value of a place, or the value would not stay
    /// what it is.
    pub(crate) fn objection(&self, node: &Member) -> Option<Objection> {
        let of_word = |word: &Vec<WordPart>| {
            word.iter().enumerate().find_map(|(at, part)| match part.place()? {
                Placeholder::Number if node.number.is_none() => Some(Objection::lacks("number", "number")),
                Placeholder::Attribute(name) => match node.attributes.get(name) {
                    None => Some(Objection::lacks(name, "text or number")),
                    Some(value) => why_unfit(word, at, value).map(|why| Objection::unfit(name, value, why)),
                },
                Placeholder::Number
                | Placeholder::Node
                | Placeholder::Address
                | Placeholder::Nodes
                | Placeholder::Nodeset
                | Placeholder::Command => None,
            })
        };
        self.words.iter().find_map(of_word)
    }

    /// Returns the arguments for these nodes; a template for each takes the first one.
    ///
    /// # Errors
    /// When that node has no value, or none that is fit, for a place.
    pub fn fill(&self, nodes: &[&Member], command: &str) -> anyhow::Result<Vec<OsString>> {
        if let Some(first) = nodes.first() {
            if let Some(objection) = self.objection(first) {
                return Err(anyhow!("{}: {}", first.name, objection.clause));
            }
        }
        Ok(self.fill_as_is(nodes, command))
    }

    /// As [`Template::fill`], with nothing where there is no value.
    pub(crate) fn fill_as_is(&self, nodes: &[&Member], command: &str) -> Vec<OsString> {
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

/// Why a command cannot be made for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    /// The name of the place.
    pub(crate) place: String,
    /// Why, in words that do not name the node.
    pub(crate) clause: String,
}

impl Objection {
    fn lacks(place: &str, what: &str) -> Self {
        let of = if place == "number" { String::new() } else { format!(" \"{place}\"") };
        let clause = format!("{{{place}}} is asked for, and the inventory has no {what}{of} for it");
        Self { place: place.to_owned(), clause }
    }

    fn unfit(place: &str, value: &str, why: &str) -> Self {
        Self { place: place.to_owned(), clause: format!("{{{place}}} is {value:?} for it, which {why}") }
    }
}

/// Returns why the value of the place `at` of a word would not stay what it is.
fn why_unfit(word: &[WordPart], at: usize, value: &str) -> Option<&'static str> {
    // Beside these, the word is read by somebody: a shell, or whoever reads JSON.
    let is_read = |c: char| c.is_whitespace() || "\"'`$;|&<>(){}\\#*?!".contains(c);
    let is_script = word.iter().any(|part| matches!(part, WordPart::Text(text) if text.contains(is_read)));
    // There a shell would begin a word with it, or nothing stands before it at all.
    let begins = |text: &str| text.ends_with(|c: char| c.is_whitespace() || "\"'`(;|&$".contains(c));
    let is_json = matches!(word, [WordPart::Text(text), ..] if text.trim_start().starts_with(['{', '[']));
    let is_first = match at.checked_sub(1).and_then(|before| word.get(before)) {
        None => true,
        Some(WordPart::Text(text)) => is_script && !is_json && begins(text),
        Some(WordPart::Placeholder(_)) => false,
    };
    let is_plain = |c: char| c.is_alphanumeric() || "._:/@%+=,[]-".contains(c);
    if value.is_empty() {
        Some("is empty")
    } else if value.contains(char::is_control) {
        Some("has control characters")
    } else if is_first && value.starts_with('-') {
        Some("would be taken for an option")
    } else if is_script && !value.chars().all(is_plain) {
        Some("could be read as more than a value within such a text (make it an argument of its own)")
    } else {
        None
    }
}

impl WordPart {
    fn place(&self) -> Option<&Placeholder> {
        if let Self::Placeholder(place) = self { Some(place) } else { None }
    }
}

impl Placeholder {
    /// Tells whether it is of one node.
    fn is_of_one(&self) -> bool {
        matches!(self, Self::Node | Self::Number | Self::Address | Self::Attribute(_))
    }

    fn name(&self) -> &str {
        if let Self::Attribute(name) = self {
            return name;
        }
        PLACES.iter().find(|(_, known)| known == self).map_or("", |(name, _)| name)
    }
}

fn fill_word(parts: &[WordPart], nodes: &[&Member], command: &str) -> String {
    let mut word = String::new();
    for part in parts {
        match part {
            WordPart::Text(text) => word.push_str(text),
            WordPart::Placeholder(place) => fill_place(place, nodes, command, &mut word),
        }
    }
    word
}

fn fill_place(place: &Placeholder, nodes: &[&Member], command: &str, word: &mut String) {
    let first = nodes.first();
    match place {
        Placeholder::Node => word.push_str(first.map_or("", |node| &node.name)),
        Placeholder::Address => word.push_str(first.map_or("", |node| &node.address)),
        Placeholder::Number => {
            if let Some(number) = first.and_then(|node| node.number) {
                word.push_str(&number.to_string());
            }
        }
        Placeholder::Attribute(name) => {
            word.push_str(first.and_then(|node| node.attributes.get(name)).map_or("", String::as_str));
        }
        Placeholder::Nodes | Placeholder::Nodeset => word.push_str(&fold(nodes)),
        Placeholder::Command => word.push_str(command),
    }
}

/// Returns the names as one node set.
pub(crate) fn fold(nodes: &[&Member]) -> String {
    nodeset::fold(nodes.iter().map(|node| node.name.as_str()))
}

/// Cuts a word at its places. Braces around anything but a name are text (`awk '{print $1}'`), and so is a name
/// after `$` or `%`, which a shell or curl fills in itself.
fn parse_word(word: &str) -> Vec<WordPart> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        let name = &inside[..inside.find(['}', '{']).unwrap_or(inside.len())];
        let closed = inside[name.len()..].starts_with('}');
        let known = PLACES.iter().find(|(known, _)| *known == name).map(|(_, place)| place.clone());
        let is_attribute = is_name(name) && !text.ends_with(['$', '%']);
        let place = known.or_else(|| is_attribute.then(|| Placeholder::Attribute(name.to_owned())));
        if let Some(place) = place.filter(|_| closed) {
            if !text.is_empty() {
                parts.push(WordPart::Text(std::mem::take(&mut text)));
            }
            parts.push(WordPart::Placeholder(place));
            rest = &inside[name.len() + 1..];
            continue;
        }
        text.push('{');
        rest = inside;
    }
    text.push_str(rest);
    if !text.is_empty() || parts.is_empty() {
        parts.push(WordPart::Text(text));
    }
    parts
}

/// Tells whether a text can be the name of an attribute.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::roster::MemberKind;
    use orderly_plan::inventory::Groups;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    pub(crate) fn member(name: &str, number: u32) -> Member {
        Member {
            name: name.into(),
            number: Some(number),
            address: format!("10.0.0.{number}"),
            groups: Groups::default(),
            kind: MemberKind::Node,
            bmc: None,
            attributes: BTreeMap::new(),
        }
    }

    fn filled(argv: &[&str]) -> Result<Vec<String>, String> {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let (one, two) = (member("{node}", 1), member("n2", 2));
        let filled = Template::parse(&argv)?.fill(&[&one, &two], "rm '{nodes}'");
        let filled = filled.map_err(|error| error.to_string())?;
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
            (vec!["sh", "${HOME} %{http_code}"], vec!["sh", "${HOME} %{http_code}"]),
            (vec!["curl", r#"{"ResetType": "On"}"#], vec!["curl", r#"{"ResetType": "On"}"#]),
        ] {
            assert_eq!(filled(&argv), Ok(wanted.iter().map(|&w| w.to_owned()).collect()), "{argv:?}");
        }
    }

    #[test]
    fn slips_and_mixtures_are_refused() {
        for argv in [
            vec!["p", "{node}", "{nodes}"],
            vec!["p", "{bmc}", "{nodeset}"],
            vec!["{bmc}"],
            vec!["p", "{bmc}"],
            vec!["p", "x{nodes}"],
            vec!["r", "-c {command}"],
            vec!["{node}"],
        ] {
            assert!(filled(&argv).is_err(), "{argv:?}");
        }
    }

    /// `bmc` is what the inventory says of n1.
    fn with_bmc(argv: &[&str], bmc: &str) -> Result<Vec<OsString>, String> {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let attributes = BTreeMap::from([("bmc".to_owned(), bmc.to_owned())]);
        let node = Member { attributes, ..member("n1", 1) };
        Template::parse(&argv).unwrap().fill(&[&node], "").map_err(|error| error.to_string())
    }

    #[test]
    fn an_attribute_is_put_in_as_it_is_within_one_argument() {
        let url = with_bmc(&["curl", "https://{bmc}/redfish/v1"], "10.1.0.1").unwrap();
        assert_eq!(url, ["curl", "https://10.1.0.1/redfish/v1"]);
        assert_eq!(with_bmc(&["p", "{bmc}"], "PDU 3 {node};").unwrap(), ["p", "PDU 3 {node};"]);
        assert_eq!(with_bmc(&["p", "-H{bmc}"], "-1").unwrap(), ["p", "-H-1"]);
    }

    #[test]
    fn a_value_is_never_an_option_or_a_part_of_a_script() {
        for (word, value, said) in [
            ("{bmc}", "--delete-all", "would be taken for an option"),
            ("virsh start {bmc}", "--all", "would be taken for an option"),
            ("virsh start \"{bmc}\"", "--all", "would be taken for an option"),
            ("{bmc}", "", "is empty"),
            ("{bmc}", "a\nb", "has control characters"),
            ("ssh {bmc} on", "b1; reboot", "more than a value"),
            ("ssh {bmc} on", "$(reboot)", "more than a value"),
            (r#"{"host":"{bmc}"}"#, r#"b","x":""#, "more than a value"),
        ] {
            let said_of = with_bmc(&["sh", word], value).unwrap_err();
            assert!(said_of.starts_with("n1: {bmc} is ") && said_of.contains(said), "{word}: {said_of}");
        }
        for word in [r#"{"offset":"{bmc}"}"#, "cn{bmc}", "ipmi --host={bmc} on"] {
            assert!(with_bmc(&["p", word], "-1").is_ok(), "{word}");
        }
        assert_eq!(
            with_bmc(&["sh", "-c", "ssh {bmc} on"], "10.1.0.1:443").unwrap()[2],
            "ssh 10.1.0.1:443 on"
        );
    }

    proptest! {
        /// Whatever a value is, it makes as many arguments as any other, and none that begins with it is an option.
        #[test]
        fn no_value_makes_an_argument_more(value in "\\PC{0,20}|[- ;'\"$a\n]{0,8}") {
            if let Ok(argv) = with_bmc(&["p", "{bmc}", "x{bmc}"], &value) {
                prop_assert_eq!(argv.len(), 3);
                prop_assert!(!argv[1].as_encoded_bytes().starts_with(b"-"));
            }
        }

        #[test]
        fn text_without_places_stays_as_it_is(word in "[ -z{}|~$%]{0,40}") {
            let whole: String = parse_word(&word).iter().map(|part| match part {
                WordPart::Text(text) => text.clone(),
                WordPart::Placeholder(place) => format!("{{{}}}", place.name()),
            }).collect();
            prop_assert_eq!(whole, word);
        }
    }
}
