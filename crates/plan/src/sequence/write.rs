//! The sequence text: what [`super::parse`] reads back to the same order.

use super::{GroupId, Sequence, word};
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
            self.each_word(id, roster, spelling, &mut |word| {
                let width = word.chars().count() + 1;
                if column + width > WIDTH {
                    text.push_str(" \\\n   ");
                    column = 3;
                }
                text.push(' ');
                text.push_str(word);
                column += width;
            });
            text.push('\n');
        }
        for edge in &self.edges {
            text.push_str(self.group_name(edge.before));
            text.push_str(" > ");
            text.push_str(self.group_name(edge.after));
            text.push('\n');
        }
        text
    }

    /// Returns the members of a group as words of a sequence file.
    pub fn words(&self, group: GroupId, roster: &dyn Roster, spelling: Spelling) -> Vec<String> {
        let mut words = Vec::new();
        self.each_word(group, roster, spelling, &mut |word| words.push(word.to_owned()));
        words
    }

    /// Returns a name as it is read back. Without an inventory, where no exact name wins, `5-06` would be
    /// the numbers 5 and 6.
    pub(super) fn spelled<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.own.is_empty() || !word::is_range(name) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(format!("[{}", name.replacen('-', "]-", 1)))
    }

    fn each_word(&self, group: GroupId, roster: &dyn Roster, spelling: Spelling, take: &mut dyn FnMut(&str)) {
        let names = self.group(group).members.iter().map(|member| roster.name(member.node));
        match spelling {
            Spelling::Names => names.for_each(|name| take(&self.spelled(name))),
            Spelling::Folded => {
                // A name with a sign of node sets means itself only as it stands: `a!b` is no difference.
                let (whole, plain): (Vec<&str>, Vec<&str>) = names.partition(|name| nodeset::is_set(name));
                for word in nodeset::fold_words(plain) {
                    // A node whose very name looks like this set would be read instead of it.
                    if nodeset::is_set(&word) && roster.find(&word).is_some() {
                        for name in nodeset::expand(&word).unwrap_or_else(|_| vec![word]) {
                            take(&name);
                        }
                    } else {
                        take(&self.spelled(&word));
                    }
                }
                whole.into_iter().for_each(take);
            }
        }
    }
}
