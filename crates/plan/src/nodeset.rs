//! Node sets: `n[01-16,20]`, as ClusterShell writes them.
//!
//! A set is operands joined by `,` (and), `!` (without), `&` (only what is in both) and `^` (what is
//! in one of the two), worked off from left to right; `@name` stands for a group where the caller
//! knows groups. Padding is kept. [`fold`] is the way back.
//!
//! Invariant: no set makes more than [`LIMIT`] names, however few characters ask for them.

mod budget;
mod fold;
mod pattern;

pub use budget::Budget;
pub use fold::{fold, fold_words};

use crate::name::Names;
use pattern::NamePattern;
use std::ops::Range;

/// The most names one set stands for; no inventory has more nodes. More is a slip of the hand, and found before a name is
/// made.
pub const LIMIT: u64 = 1_000_000;

/// What is wrong with a set, and where in its text (in bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetFault {
    pub range: Range<usize>,
    /// Lower case, no full stop.
    pub message: String,
}

impl SetFault {
    fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { range, message: message.into() }
    }
}

impl std::fmt::Display for SetFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SetFault {}

/// Tells whether a word has any character that only a node set gives a meaning.
pub fn is_set(word: &str) -> bool {
    word.bytes().any(|byte| matches!(byte, b'[' | b']' | b'!' | b'&' | b'^' | b'@' | b',' | b' ' | b'\t'))
}

/// Returns the names a set stands for, each once, in the order in which they are first written.
///
/// # Errors
/// When the text is no set, is too large, or uses a group.
pub fn expand(text: &str) -> Result<Vec<String>, SetFault> {
    expand_with(text, &|_| None)
}

/// Returns the names a set stands for; `members` returns those of a group, if there is such a group.
///
/// # Errors
/// When the text is no set, is too large, or uses an unknown group.
pub fn expand_with(text: &str, members: &JsonMembers<'_>) -> Result<Vec<String>, SetFault> {
    let mut names = Names::default();
    visit(text, members, &mut |name| names.intern(name).is_some())?;
    Ok(names.iter().map(str::to_owned).collect())
}

/// Returns what reading a set costs: how many names its parts have in all, of which a long one counts for several;
/// a group counts as one, and what is no set as none.
pub fn cost(text: &str) -> u64 {
    parse(text)
        .map_or(0, |terms| terms.iter().fold(0, |sum: u64, term| sum.saturating_add(term.operand.cost())))
}

/// Returns the set that somebody means who writes `n1-n3`, `n1-3`, `n1..n3` or `n1:n3`, as other programs have it; and
/// the first and the last name of it.
pub fn dashed(word: &str) -> Option<(String, [String; 2])> {
    let (from, to) = ["..", ":", "-"].iter().find_map(|between| word.split_once(between))?;
    let stem = from.trim_end_matches(|c: char| c.is_ascii_digit());
    let (first, last) = (&from[stem.len()..], to.strip_prefix(stem).unwrap_or(to));
    let is_number =
        |digits: &str| (1..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    let is_range = !stem.is_empty() && is_number(first) && is_number(last);
    is_range.then(|| (format!("{stem}[{first}-{last}]"), [from.to_owned(), format!("{stem}{last}")]))
}

/// Says who the members of a group are; nothing when there is no such group.
pub type JsonMembers<'m> = dyn Fn(&str) -> Option<Vec<String>> + 'm;

/// Passes each name of a set to `take`, in the order written, possibly more than once, until `take`
/// says no. Sets without `!`, `&` and `^` are never held in memory.
///
/// # Errors
/// When the text is no set, is too large, or uses an unknown group; some names may have been passed
/// by then only if a group is unknown to `members`.
pub fn visit(
    text: &str,
    members: &JsonMembers<'_>,
    take: &mut dyn FnMut(&str) -> bool,
) -> Result<(), SetFault> {
    let terms = parse(text)?;
    if terms.iter().all(|term| term.operator == Operator::Union) {
        let mut go_on = true;
        for term in &terms {
            term.operand.visit(text, members, &mut |name| {
                go_on = take(name);
                go_on
            })?;
            if !go_on {
                break;
            }
        }
        return Ok(());
    }
    let mut chosen = ChosenRanges::default();
    for term in &terms {
        chosen.apply(term.operator, |pick| term.operand.visit(text, members, pick))?;
    }
    chosen.names().all(take);
    Ok(())
}

/// The names chosen so far. Each operator costs as much as its right operand is large, whatever was
/// chosen before, so that a long expression stays linear.
#[derive(Debug, Default)]
struct ChosenRanges {
    met: Names,
    /// By name: the round in which it was last chosen, and the term in which it was last met.
    marks: Vec<(u32, u32)>,
    round: u32,
    term: u32,
}

impl ChosenRanges {
    fn apply(
        &mut self,
        operator: Operator,
        operand: impl FnOnce(&mut dyn FnMut(&str) -> bool) -> Result<(), SetFault>,
    ) -> Result<(), SetFault> {
        let (before, now) = match operator {
            // A new round forgets all that are not chosen again.
            Operator::Intersection => (self.round + 1, self.round + 2),
            Operator::Union | Operator::Difference | Operator::Either => (self.round + 1, self.round + 1),
        };
        self.round = now - 1;
        self.term += 1;
        operand(&mut |name| {
            let Some(id) = self.met.intern(name) else { return false };
            self.marks.resize(self.met.len(), (0, 0));
            let (chosen, term) = &mut self.marks[id as usize];
            let was = *chosen == before;
            let again = std::mem::replace(term, self.term) == self.term;
            *chosen = match operator {
                _ if again => *chosen,
                Operator::Union => now,
                Operator::Intersection if was => now,
                Operator::Either if !was => now,
                Operator::Difference | Operator::Intersection | Operator::Either => 0,
            };
            true
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let marks = self.marks.iter();
        self.met.iter().zip(marks).filter(|(_, mark)| mark.0 == self.round + 1).map(|(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Union,
    Difference,
    Intersection,
    Either,
}

impl Operator {
    fn of(c: u8) -> Option<Self> {
        match c {
            b',' => Some(Self::Union),
            b'!' => Some(Self::Difference),
            b'&' => Some(Self::Intersection),
            b'^' => Some(Self::Either),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Term<'t> {
    operator: Operator,
    operand: SetOperand<'t>,
}

#[derive(Debug)]
enum SetOperand<'t> {
    Group(Range<usize>),
    NamePattern(NamePattern<'t>),
}

impl SetOperand<'_> {
    fn visit(
        &self,
        text: &str,
        members: &JsonMembers<'_>,
        take: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), SetFault> {
        match self {
            Self::NamePattern(pattern) => pattern.visit(take),
            Self::Group(range) => {
                let name = &text[range.start + 1..range.end];
                let Some(members) = members(name) else {
                    return Err(SetFault::new(range.clone(), format!("no node group named \"{name}\"")));
                };
                let _all_taken = members.iter().all(|name| take(name));
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<Term<'_>>, SetFault> {
    let bytes = text.as_bytes();
    let mut terms: Vec<Term<'_>> = Vec::new();
    let mut pending: Option<(Operator, usize)> = None;
    let mut total = 0u64;
    let mut joined_by_blank: Option<Range<usize>> = None;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
        } else if let Some(operator) = Operator::of(bytes[at]) {
            if pending.is_some() || terms.is_empty() {
                return Err(SetFault::new(
                    at..at + 1,
                    format!("nothing before \"{}\"", char::from(bytes[at])),
                ));
            }
            pending = Some((operator, at));
            at += 1;
        } else {
            let end = operand_end(text, at)?;
            let operand = parse_operand(text, at..end)?;
            total = total.saturating_add(operand.size());
            if total > LIMIT {
                return Err(SetFault::new(
                    at..end,
                    format!(
                        "stands for more than {LIMIT} names, and no inventory has more: is a digit too many?"
                    ),
                ));
            }
            // Blanks alone join like a comma.
            if pending.is_none() && !terms.is_empty() {
                check_no_bracket_first(bytes, at)?;
                joined_by_blank.get_or_insert(at..end);
            }
            terms.push(Term {
                operator: pending.take().map_or(Operator::Union, |(operator, _)| operator),
                operand,
            });
            at = end;
        }
    }
    if let Some((_, at)) = pending {
        return Err(SetFault::new(at..at + 1, format!("nothing after \"{}\"", char::from(bytes[at]))));
    }
    if terms.is_empty() {
        return Err(SetFault::new(0..text.len(), "an empty node set"));
    }
    match joined_by_blank {
        Some(place) if terms.iter().any(|term| term.operator != Operator::Union) => {
            Err(SetFault::new(place, "a blank beside \"!\", \"&\" or \"^\"; write a comma, or two arguments"))
        }
        _ => Ok(terms),
    }
}

/// Rejects `n [1-3]`, which is not `n[1-3]` and not meant as two.
fn check_no_bracket_first(bytes: &[u8], at: usize) -> Result<(), SetFault> {
    if bytes[at] == b'[' {
        return Err(SetFault::new(
            at..at + 1,
            "a blank before a bracket; write n[1-3], or a comma between two sets",
        ));
    }
    Ok(())
}

impl SetOperand<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Group(_) => 1,
            Self::NamePattern(pattern) => pattern.size(),
        }
    }

    fn cost(&self) -> u64 {
        match self {
            Self::Group(_) => 1,
            Self::NamePattern(pattern) => pattern.cost(),
        }
    }
}

/// Returns where the operand that begins at `start` ends; separators within brackets belong to it.
fn operand_end(text: &str, start: usize) -> Result<usize, SetFault> {
    let mut open = None;
    for (offset, byte) in text[start..].bytes().enumerate() {
        let at = start + offset;
        match (byte, open) {
            (b'[', None) => open = Some(at),
            (b'[', Some(_)) => return Err(SetFault::new(at..at + 1, "a bracket within brackets")),
            (b']', Some(_)) => open = None,
            (b']', None) => {
                return Err(SetFault::new(at..at + 1, "a closing bracket without an opening one"));
            }
            (_, None) if byte.is_ascii_whitespace() || Operator::of(byte).is_some() => return Ok(at),
            _ => {}
        }
    }
    match open {
        Some(at) => Err(SetFault::new(at..text.len(), "a bracket that is not closed")),
        None => Ok(text.len()),
    }
}

fn parse_operand(text: &str, range: Range<usize>) -> Result<SetOperand<'_>, SetFault> {
    // No name holds one, and folding relies on that.
    let is_odd = |c: &(usize, char)| c.1.is_control() && c.1 != '\t' || crate::name::is_unseen(c.1);
    if let Some((at, c)) = text[range.clone()].char_indices().find(is_odd) {
        let place = range.start + at..range.start + at + c.len_utf8();
        return Err(SetFault::new(place, format!("a name cannot contain \"{}\"", c.escape_debug())));
    }
    if text[range.clone()].starts_with('@') {
        if range.len() == 1 {
            return Err(SetFault::new(range, "the name of a group is missing after \"@\""));
        }
        return Ok(SetOperand::Group(range));
    }
    NamePattern::parse(text, range).map(SetOperand::NamePattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        let said = match expand(text) {
            Ok(names) => names.join(" "),
            Err(fault) => format!("{}-{}: {}", fault.range.start, fault.range.end, fault.message),
        };
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn sets_are_expanded_as_clustershell_does() {
        check("n[01-03,20]", "n01 n02 n03 n20");
        check("n[1-10/3]", "n1 n4 n7 n10");
        check("a[1-2]b[0-1]", "a1b0 a1b1 a2b0 a2b1");
        check("n[00-02]x", "n00x n01x n02x");
        check("n[1-5]!n[2-3],n2", "n1 n2 n4 n5");
        check("n[1-5]&n[2-7]^n[4-9]", "n2 n3 n6 n7 n8 n9");
        check("n1 n2, n1", "n1 n2");
        check("n[ 1 - 3 ]", "n1 n2 n3");
        check("n[-1-2]", "n-1 n0 n1 n2");
        check("größe[1-2]", "größe1 größe2");
        // As ClusterShell reads them.
        check("n1[8-9]", "n18 n19");
        check("0[1-2]", "01 02");
        check("n1[09-10]", "n109 n110");
        check("n[9-10]0x", "n90x n100x");
        check("n[3-3/2]", "n3");
    }

    #[test]
    fn what_is_no_set_is_said_with_its_place() {
        check("", "0-0: an empty node set");
        check("n[3-1]", "2-5: the range 3-1 is upside down");
        check("n[1-2", "1-5: a bracket that is not closed");
        check("n1]", "2-3: a closing bracket without an opening one");
        check("n[]", "2-2: an empty range");
        check("n[1,,2]", "4-4: an empty range");
        check("n[a-b]", "2-5: \"a-b\" is not a range of numbers");
        check("n[1-4/0]", "2-7: the step of a range must be 1 or more");
        check("n[009-11]", "2-8: the ends of the range 009-11 are padded differently");
        check("n1,,n2", "3-4: nothing before \",\"");
        check("n1!", "2-3: nothing after \"!\"");
        check("n[1-2][3-4]", "6-7: two brackets without anything between them");
        check("n[3/2]", "2-5: \"3/2\" has a step and is no range; write 3 alone");
        check(
            "n[1-4]0[3-4]",
            "7-12: only digits between two brackets; write one bracket with all of the number",
        );
        check(
            "n[1-3/2]7",
            "8-9: digits after a bracket with a step; write the whole numbers in the bracket (n[13,33], not n[1-3/2]3)",
        );
        for word in ["prod-1[9-10]", "0[7-10]", "n1[9,10]"] {
            assert!(expand(word).unwrap_err().message.contains("of different lengths"), "{word}");
        }
        // It got in, and folding then lost its neighbours; found by the fuzz target `nodeset`.
        check("n4,\u{1}", "3-4: a name cannot contain \"\\u{1}\"");
        check("n[1-2]\u{200b}", "6-9: a name cannot contain \"\\u{200b}\"");
        check("@", "0-1: the name of a group is missing after \"@\"");
        check("@io", "0-3: no node group named \"io\"");
    }

    /// In a file each of two words is an expression of its own, ClusterShell has names with blanks; here the second
    /// word was joined to the first, so that `n1 n[2-3]!n1` meant n[1-3] in a file and n[2-3] on a command line.
    #[test]
    fn a_blank_joins_nothing_that_a_file_reads_otherwise() {
        check("n1 n[2-3]", "n1 n2 n3");
        check("n[1-3] ! n2 , n5", "n1 n3 n5");
        let refused = "a blank beside \"!\", \"&\" or \"^\"; write a comma, or two arguments";
        check("n1 n[2-3]!n1", &format!("3-9: {refused}"));
        check("n[1-3]!n2 n4", &format!("10-12: {refused}"));
        check("n[1-3]&n1\tn4", &format!("10-12: {refused}"));
        check("n [1-3]", "2-3: a blank before a bracket; write n[1-3], or a comma between two sets");
        for word in ["n1,", ",n1", " , n1", "n1,,n2", "n1,!n2", " ", "\t"] {
            assert!(expand(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_range_of_a_billion_names_is_an_error_and_not_the_end_of_memory() {
        check(
            "n[1-1000000000000]",
            "0-18: stands for more than 1000000 names, and no inventory has more: is a digit too many?",
        );
        check(
            "a[1-9999]b[1-9999]c[1-9999]",
            "0-27: stands for more than 1000000 names, and no inventory has more: is a digit too many?",
        );
        check("n[1-99999999999999999999]", "2-24: \"1-99999999999999999999\" is not a range of numbers");
        check(
            "n[1-1000001]",
            "0-12: stands for more than 1000000 names, and no inventory has more: is a digit too many?",
        );
        check(
            "n[1-600000],m[1-600000]",
            "12-23: stands for more than 1000000 names, and no inventory has more: is a digit too many?",
        );
        assert_eq!(cost("n[1-1000000]"), 1_000_000);
    }

    #[test]
    fn groups_are_asked_for() {
        let members = |name: &str| (name == "io").then(|| vec!["n1".to_owned(), "n2".to_owned()]);
        assert_eq!(expand_with("@io!n2,x", &members).unwrap(), ["n1", "x"]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_set_or_an_error(text in "[a-c0-3\\[\\],!&^@/ -]{0,24}|\\PC{0,12}") {
            let _ = expand(&text);
        }

        #[test]
        fn folding_and_expanding_gives_the_same_names(
            names in prop::collection::btree_set("[a-b]{1,2}[0-9]{0,3}(-[a-b][0-9]{1,2})?", 0..60)
        ) {
            let folded = fold(names.iter().map(String::as_str));
            let mut back = if names.is_empty() { Vec::new() } else { expand(&folded).unwrap() };
            back.sort();
            prop_assert_eq!(back, names.into_iter().collect::<Vec<_>>(), "{}", folded);
        }

        #[test]
        fn folding_knows_no_order(names in prop::collection::vec("[a-b][0-9]{1,2}[a-b][0-9]{1,2}", 1..40)) {
            let turned: Vec<_> = names.iter().rev().map(String::as_str).collect();
            prop_assert_eq!(fold(names.iter().map(String::as_str)), fold(turned));
        }
    }
}
