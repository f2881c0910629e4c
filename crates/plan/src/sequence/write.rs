//! The sequence text: what [`super::parse`] reads back to the same order.

use super::groups::{At, Sequence, WrittenText};
use super::{lexer, word};
use crate::graph::GroupId;
use crate::name::Roster;
use crate::nodeset;
use std::borrow::Cow;

/// How members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Name by name, as they stand.
    Names,
    /// In bracket ranges.
    Folded,
}

/// Lines are broken where they would get longer than this.
const WIDTH: usize = 100;

impl Sequence {
    /// Returns the sequence as a sequence file.
    pub fn to_text(&self, roster: &dyn Roster, spelling: Spelling) -> String {
        let mut text = String::new();
        for id in self.group_ids() {
            text.push_str(self.group_name(id));
            text.push(':');
            let mut column = self.group_name(id).chars().count() + 1;
            for word in self.words(id, roster, spelling) {
                let width = word.chars().count() + 1;
                if column + width > WIDTH {
                    text.push_str(" \\\n   ");
                    column = 3;
                }
                text.push(' ');
                text.push_str(&word);
                column += width;
            }
            text.push('\n');
        }
        for edge in &self.edges {
            text.push_str(self.group_name(edge.before));
            if let Some(threshold) = edge.threshold {
                text.push_str(&format!("({threshold})"));
            }
            text.push_str(" > ");
            text.push_str(self.group_name(edge.after));
            text.push('\n');
        }
        text
    }

    /// Returns the members of a group as words of a sequence file. Where names were not looked up, a word stays as
    /// it is written: what `001` or `a!b` means is for the inventory to say.
    pub fn words<'s>(
        &'s self,
        group: GroupId,
        roster: &'s dyn Roster,
        spelling: Spelling,
    ) -> Vec<Cow<'s, str>> {
        let members = &self.group(group).members;
        if self.own.is_empty() {
            let names = members.iter().map(|member| roster.name(member.node));
            return match spelling {
                Spelling::Names => names.map(Cow::Borrowed).collect(),
                Spelling::Folded => folded(names, roster),
            };
        }
        let (mut words, mut plain, mut expressions) = (Vec::new(), Vec::new(), lexer::Expressions::default());
        for several in members.chunk_by(|one, next| one.at == next.at) {
            let word = self.written.word(several[0].at, &mut expressions);
            if spelling == Spelling::Names || word.contains(['!', '&', '^', '@']) {
                words.push(Cow::Borrowed(word));
            } else {
                plain.extend(several.iter().map(|member| self.own.get(member.node.0)));
            }
        }
        nodeset::fold_words(plain).into_iter().map(unmistaken).chain(words).collect()
    }
}

impl WrittenText {
    fn word(&self, at: At, expressions: &mut lexer::Expressions) -> &str {
        let start = (at.0 as usize).min(self.text.len());
        &self.text[start..expressions.end(&self.text, start)]
    }
}

/// Returns a folded word that is read back as it is: without an inventory, where no exact name wins, `5-06` would be
/// the numbers 5 and 6. In brackets stands its last digit alone: a number in brackets cannot be of any length.
fn unmistaken<'w>(mut word: String) -> Cow<'w, str> {
    if word::is_range(&word) {
        word.insert(word.len() - 1, '[');
        word.push(']');
    }
    Cow::Owned(word)
}

fn folded<'n>(names: impl Iterator<Item = &'n str>, roster: &dyn Roster) -> Vec<Cow<'n, str>> {
    // A name with a sign of node sets means itself only as it stands: `a!b` is no difference.
    let (whole, plain): (Vec<&str>, Vec<&str>) = names.partition(|name| nodeset::is_set(name));
    let mut words = Vec::new();
    for word in nodeset::fold_words(plain) {
        // A node whose very name looks like this set would be read instead of it.
        if nodeset::is_set(&word) && roster.find(&word).is_some() {
            words.extend(nodeset::expand(&word).unwrap_or_else(|_| vec![word]).into_iter().map(Cow::Owned));
        } else {
            words.push(Cow::Owned(word));
        }
    }
    words.extend(whole.into_iter().map(Cow::Borrowed));
    words
}
