//! The sequence as JSON, `orderly-sequence/1`, and back.

use super::groups::Sequence;
use super::lexer;
use super::write::Spelling;
use crate::diagnostic::{Diagnostics, Source};
use crate::faults::Faults;
use crate::graph::Order;
use crate::json::{Json, JsonMember};
use crate::name::Roster;
use crate::threshold::Threshold;
use serde::Serialize;
use std::borrow::Cow;

const FORMAT: &str = "orderly-sequence/1";

/// A sequence as other programs read it.
#[derive(Debug, Serialize)]
pub struct SequenceDocument<'s> {
    format: &'static str,
    groups: Vec<GroupOut<'s>>,
    edges: Vec<EdgeOut<'s>>,
    /// What would run when, if all nodes took equally long; left out of account when read.
    waves: Vec<Vec<Cow<'s, str>>>,
}

#[derive(Debug, Serialize)]
struct GroupOut<'s> {
    name: &'s str,
    members: Vec<Cow<'s, str>>,
}

#[derive(Debug, Serialize)]
struct EdgeOut<'s> {
    before: &'s str,
    after: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    enough: Option<Enough>,
}

/// How many of a group are enough: a number, or a text (`90%`, `ended`).
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Enough {
    Count(u32),
    Words(String),
}

impl From<Threshold> for Enough {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Count(count) => Self::Count(count),
            Threshold::Percent(_) | Threshold::Ended => Self::Words(threshold.to_string()),
        }
    }
}

impl<'s> SequenceDocument<'s> {
    /// Returns the document of a sequence and its order.
    pub fn new(sequence: &'s Sequence, order: &Order, roster: &'s dyn Roster, spelling: Spelling) -> Self {
        let groups = sequence.group_ids().map(|id| GroupOut {
            name: sequence.group_name(id),
            members: sequence.words(id, roster, spelling),
        });
        let edges = sequence.edges().iter().map(|edge| EdgeOut {
            before: sequence.group_name(edge.before),
            after: sequence.group_name(edge.after),
            enough: edge.threshold.map(Enough::from),
        });
        let waves = order.waves().into_iter().map(|mut wave| {
            // Not as the inventory happens to list them.
            wave.sort_unstable_by_key(|&node| roster.rank(node));
            let names = wave.iter().map(|node| roster.name(*node));
            match spelling {
                Spelling::Folded => crate::nodeset::fold_words(names).into_iter().map(Cow::Owned).collect(),
                Spelling::Names => names.map(Cow::Borrowed).collect(),
            }
        });
        Self { format: FORMAT, groups: groups.collect(), edges: edges.collect(), waves: waves.collect() }
    }
}

/// Returns the sequence text that a JSON document stands for; what its words mean is for
/// [`super::parse`] to say.
///
/// # Errors
/// Everything that is wrong with its form, each with its place.
pub fn from_json(source: &Source<'_>) -> Result<String, Diagnostics> {
    let top = Json::parse(*source)?;
    let mut reader = SequenceReader { wrong: Faults::new(*source), text: String::new() };
    let known = ["format", "groups", "edges", "waves"];
    let [format, groups, edges, _] = reader.fields(&top, "a sequence", known);
    match format {
        None => reader.wrong.add(|| top.diagnose("the key \"format\" is missing")),
        Some(value) if value.text().as_deref() == Some(FORMAT) => {}
        Some(value) => {
            reader.wrong.add(|| value.diagnose(format!("the format must be \"{FORMAT}\"")));
        }
    }
    for item in reader.list(groups, "groups") {
        reader.group(&item);
    }
    for item in reader.list(edges, "edges") {
        reader.edge(&item);
    }
    reader.wrong.or(reader.text)
}

struct SequenceReader<'s> {
    wrong: Faults<'s>,
    text: String,
}

impl SequenceReader<'_> {
    /// Returns the values of the known keys of an object; other keys, and keys that stand twice, are
    /// wrong.
    fn fields<'j, const N: usize>(
        &mut self,
        object: &Json<'j>,
        what: &str,
        known: [&'static str; N],
    ) -> [Option<Json<'j>>; N] {
        let mut found = [None; N];
        let Some(members) = object.members() else {
            self.wrong.add(|| object.diagnose(format!("{what} must be an object")));
            return found;
        };
        for member in &members {
            match known.iter().position(|key| *key == member.key) {
                Some(at) if found[at].is_none() => found[at] = Some(member.value),
                Some(_) => {
                    let message = format!("the key \"{}\" stands twice", member.key);
                    self.wrong.add(|| member.diagnose_key(message));
                }
                None => self.unknown_key(member, known),
            }
        }
        found
    }

    fn unknown_key<const N: usize>(&mut self, member: &JsonMember<'_>, known: [&'static str; N]) {
        self.wrong.add(|| {
            member.diagnose_key(format!("unknown key \"{}\"", member.key)).suggest(&member.key, known)
        });
    }

    fn list<'j>(&mut self, value: Option<Json<'j>>, key: &str) -> Vec<Json<'j>> {
        let Some(value) = value else { return Vec::new() };
        value.items().unwrap_or_else(|| {
            self.wrong.add(|| value.diagnose(format!("\"{key}\" must be a list")));
            Vec::new()
        })
    }

    fn group(&mut self, item: &Json<'_>) {
        let [name, members] = self.fields(item, "a group", ["name", "members"]);
        self.name(item, "name", name);
        self.text.push(':');
        for member in self.list(members, "members") {
            match member.text() {
                Some(word) if lexer::is_one_member(&word) => {
                    self.text.push(' ');
                    self.text.push_str(&word);
                }
                _ => self.wrong.add(|| {
                    member.diagnose(
                        "a member must be a name, a node set, a number range or a command, in quotes",
                    )
                }),
            }
        }
        self.text.push('\n');
    }

    fn edge(&mut self, item: &Json<'_>) {
        let [before, after, enough] = self.fields(item, "an edge", ["before", "after", "enough"]);
        self.name(item, "before", before);
        if let Some(value) = enough {
            self.threshold(&value);
        }
        self.text.push_str(" > ");
        self.name(item, "after", after);
        self.text.push('\n');
    }

    fn threshold(&mut self, value: &Json<'_>) {
        let text = value.text().or_else(|| value.digits().map(Into::into));
        match text
            .ok_or("\"enough\" must be a whole number of nodes (2, not 2.0), or a text (\"90%\", \"ended\")")
            .map(|text| Threshold::parse(&text))
        {
            Ok(Ok(threshold)) => self.text.push_str(&format!("({threshold})")),
            Ok(Err(message)) | Err(message) => self.wrong.add(|| value.diagnose(message)),
        }
    }

    fn name(&mut self, item: &Json<'_>, key: &str, value: Option<Json<'_>>) {
        let Some(value) = value else {
            self.wrong.add(|| item.diagnose(format!("the key \"{key}\" is missing")));
            return;
        };
        match value.text() {
            None => self.wrong.add(|| value.diagnose(format!("\"{key}\" must be a text"))),
            Some(name) => match crate::name::fault(&name) {
                Some(fault) => self.wrong.add(|| value.diagnose(fault)),
                None => self.text.push_str(&name),
            },
        }
    }
}
