//! What is wrong with something a person wrote, and where.
//!
//! Every reader in the house collects [`Diagnostic`]s and hands them over together, because an
//! administrator who mends one line at a time at night mends the wrong one.

use std::fmt;
use std::ops::Range;
use unicode_width::UnicodeWidthChar;

/// A text with the name people know it by; turns byte ranges into places.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// File name, or `-` for standard input.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

impl Source<'_> {
    /// Returns the line and column, both from 1, of a byte offset. Columns count characters.
    pub fn place(&self, offset: usize) -> Place {
        let offset = floor_char(self.text, offset);
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            file: self.name.to_owned(),
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    /// Returns the places of many byte offsets, in the order given, with one walk through the text.
    pub fn places(&self, offsets: &[usize]) -> Vec<Place> {
        let place = |(line, column): (u32, u32)| Place {
            file: self.name.to_owned(),
            line: line as usize,
            column: column as usize,
        };
        positions(self.text, offsets).into_iter().map(place).collect()
    }

    /// Returns a diagnostic for a byte range of this text, its line quoted and the range underlined.
    pub fn diagnose(&self, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let place = self.place(range.start);
        self.diagnose_at(place, range, message)
    }

    /// As [`Source::diagnose`], of a range whose place is known.
    fn diagnose_at(&self, place: Place, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let start = floor_char(self.text, range.start);
        let end = floor_char(self.text, range.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let shown = line_start.max(floor_char(self.text, start.saturating_sub(CLIP)))
            ..line_end.min(floor_char(self.text, start.saturating_add(CLIP)));
        let width = self.text[start..end.min(shown.end).max(start)].chars().count().max(1);
        Diagnostic {
            excerpt: Some(Excerpt {
                line: self.text[shown.clone()].trim_end_matches('\r').to_owned(),
                before: self.text[shown.start..start].chars().count(),
                width,
            }),
            place: Some(place),
            message: message.into(),
            notes: Vec::new(),
            hint: None,
        }
    }
}

/// A text that knows where its lines begin, for who may have much to say of it: to count lines each time costs as much as
/// the text before them.
#[derive(Debug)]
pub struct SourceLines<'a> {
    source: Source<'a>,
    starts: Vec<usize>,
}

impl<'a> SourceLines<'a> {
    /// Finds the lines.
    pub fn new(source: Source<'a>) -> Self {
        let ends = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { source, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// Returns the name of the text.
    pub fn name(&self) -> &'a str {
        self.source.name
    }

    /// As [`Source::diagnose`].
    pub fn diagnose(&self, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let offset = floor_char(self.source.text, range.start);
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let place = Place {
            file: self.source.name.to_owned(),
            line,
            column: self.source.text[start..offset].chars().count() + 1,
        };
        self.source.diagnose_at(place, range, message)
    }
}

/// Returns the lines and columns, from 1, of byte offsets, in the order given.
pub(crate) fn positions(text: &str, offsets: &[usize]) -> Vec<(u32, u32)> {
    let mut upwards: Vec<usize> = (0..offsets.len()).collect();
    upwards.sort_unstable_by_key(|&index| offsets[index]);
    let mut found = vec![(1, 1); offsets.len()];
    let (mut at, mut line, mut column) = (0, 1u32, 1u32);
    for index in upwards {
        let offset = floor_char(text, offsets[index]);
        for c in text[at..offset].chars() {
            (line, column) =
                if c == '\n' { (line.saturating_add(1), 1) } else { (line, column.saturating_add(1)) };
        }
        at = offset;
        found[index] = (line, column);
    }
    found
}

/// How much of a very long line is quoted on each side of a place, in bytes: a whole inventory may
/// stand on one line.
const CLIP: usize = 120;

fn floor_char(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// A place in a file; line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The line a diagnostic is about and how many characters of it are underlined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, or what is near the place when the line is very long.
    pub line: String,
    /// How many characters of it come before the underlined ones.
    pub before: usize,
    pub width: usize,
}

impl Excerpt {
    /// Returns the line as it is shown, and the one that underlines it on a terminal.
    fn lines(&self) -> (String, String) {
        // Spelled out, a control character would push all that follows out of its column.
        let shown: String =
            self.line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        let mut under = String::with_capacity(self.before + self.width);
        let mut marked = false;
        for (at, c) in shown.chars().enumerate().take(self.before + self.width) {
            let sign = if at < self.before { ' ' } else { '^' };
            marked |= sign == '^' && c != '\t' && cells(c) > 0;
            // Tabs stay tabs, so that the underline stands where the text does.
            if c == '\t' {
                under.push('\t');
            } else {
                under.extend(std::iter::repeat_n(sign, cells(c)));
            }
        }
        if !marked {
            under.push('^');
        }
        (shown, under)
    }
}

/// Returns how many columns of a terminal a character takes.
fn cells(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// One thing that is wrong, with its place and, where there is one, its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Option<Place>,
    /// Lower case, no full stop.
    pub message: String,
    pub excerpt: Option<Excerpt>,
    /// Further places that take part, each with a clause (the lines of a cycle, the first definition).
    pub notes: Vec<(Place, String)>,
    /// What to do, printed on its own line.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Returns a diagnostic about a whole file, without a line.
    pub fn about(file: &str, message: impl fmt::Display) -> Self {
        Self {
            place: None,
            message: format!("{file}: {message}"),
            excerpt: None,
            notes: Vec::new(),
            hint: None,
        }
    }

    /// Returns a diagnostic at a place, or about the whole file where the place is not known.
    pub fn at(place: Option<Place>, file: &str, message: impl fmt::Display) -> Self {
        match place {
            None => Self::about(file, message),
            Some(_) => Self { place, message: message.to_string(), ..Self::about(file, "") },
        }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a did-you-mean when some candidate is near `word`.
    #[must_use]
    pub fn suggest<'c>(self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Self {
        match crate::suggest::nearest(word, candidates) {
            Some(near) => self.hint(format!("did you mean \"{near}\"?")),
            None => self,
        }
    }

    /// Adds a further place that takes part.
    #[must_use]
    pub fn note(mut self, place: Place, clause: impl Into<String>) -> Self {
        self.notes.push((place, clause.into()));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message)?,
            None => write!(f, "{}", self.message)?,
        }
        if let Some(excerpt) = &self.excerpt {
            if !excerpt.line.trim().is_empty() {
                let (shown, under) = excerpt.lines();
                write!(f, "\n  | {shown}\n  | {under}")?;
            }
        }
        for (place, clause) in &self.notes {
            write!(f, "\n  {place}: {clause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All that is wrong with an input; never empty when it travels as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Returns `value` when nothing is wrong, else everything that is, in order of place.
    ///
    /// # Errors
    /// The collected diagnostics.
    pub fn or<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        Err(self)
    }

    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whoever_knows_the_lines_says_the_same(text in "[a\\né節\t]{0,40}", from in 0..60_usize, more in 0..5_usize) {
            let source = Source { name: "s", text: &text };
            let range = from..from + more;
            let wanted = source.diagnose(range.clone(), "no");
            prop_assert_eq!(SourceLines::new(source).diagnose(range, "no"), wanted);
        }
    }

    #[test]
    fn a_diagnostic_underlines_its_range_and_counts_characters() {
        let source = Source { name: "seq", text: "a: b\nгруппа > stroage\n" };
        let at = source.text.find("stroage").unwrap();
        let said = source
            .diagnose(at..at + 7, "no group named \"stroage\"")
            .suggest("stroage", ["storage", "clients"])
            .to_string();
        assert_eq!(
            said,
            "seq:2:10: no group named \"stroage\"\n  | группа > stroage\n  |          ^^^^^^^\n  hint: did you mean \"storage\"?"
        );
    }

    #[test]
    fn the_underline_stands_below_wide_characters_tabs_and_control_characters() {
        let check = |text: &str, word: &str, under: &str| {
            let at = text.find(word).unwrap();
            let said = Source { name: "s", text }.diagnose(at..at + word.len(), "no").to_string();
            assert_eq!(said.lines().last().unwrap(), format!("  | {under}"), "{text}");
        };
        check("a: 節点x n9", "節点x", "   ^^^^^");
        check("a: 節点x n9", "n9", "         ^^");
        check("a:\tn[1,\t2]", "n[1,\t2]", "  \t^^^^\t^^");
        check("a: \u{1b}[31m n9", "n9", "         ^^");
        check("e\u{301}x n9", "n9", "   ^^");
    }

    #[test]
    fn of_a_very_long_line_only_the_neighbourhood_is_quoted() {
        let text = format!("{}stroage{}", "é ".repeat(10_000), " x".repeat(10_000));
        let at = text.find("stroage").unwrap();
        let said = Source { name: "seq", text: &text }.diagnose(at..at + 7, "no").to_string();
        assert!(said.starts_with("seq:1:20001: no\n") && said.len() < 700, "{said}");
        let lines: Vec<&str> = said.lines().collect();
        let under = lines[2].find('^').map(|at| lines[2][..at].chars().count());
        assert_eq!(under, lines[1].find("stroage").map(|at| lines[1][..at].chars().count()));
    }

    #[test]
    fn a_range_past_the_end_of_the_text_is_no_panic() {
        let source = Source { name: "-", text: "é" };
        assert_eq!(source.diagnose(1..99, "x").place.map(|p| p.column), Some(1));
    }
}
