//! One name with ranges in brackets: `n[01-16,20]-ib[0-1]`.

use super::{Budget, SetFault};
use std::fmt::Write;
use std::ops::Range;

/// A name in parts, each a text or the numbers of a bracket.
#[derive(Debug)]
pub(super) struct NamePattern<'t> {
    parts: Vec<PatternPart<'t>>,
}

#[derive(Debug)]
enum PatternPart<'t> {
    Text(&'t str),
    Numbers(Vec<Span>),
}

/// The numbers from `first` to `last`, in digits padded to `width`.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: i64,
    last: i64,
    step: i64,
    width: usize,
    /// Whether a step is written, be it 1.
    is_stepped: bool,
}

impl Span {
    fn size(self) -> u64 {
        self.last.abs_diff(self.first) / self.step.unsigned_abs() + 1
    }
}

impl<'t> NamePattern<'t> {
    /// Parses the operand at `range` of `text`, whose brackets are known to be paired.
    pub(super) fn parse(text: &'t str, range: Range<usize>) -> Result<Self, SetFault> {
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            if text.as_bytes()[at] != b'[' {
                let end = text[at..range.end].find('[').map_or(range.end, |offset| at + offset);
                check_after(&parts, text, at..end)?;
                parts.push(PatternPart::Text(&text[at..end]));
                at = end;
                continue;
            }
            if let Some(PatternPart::Numbers(_)) = parts.last() {
                return Err(SetFault::new(at..at + 1, "two brackets without anything between them"));
            }
            let close = text[at..range.end].find(']').map_or(range.end, |offset| at + offset);
            let spans = parse_spans(text, at + 1..close)?;
            check_before(&parts, &spans, at..(close + 1).min(range.end))?;
            parts.push(PatternPart::Numbers(spans));
            at = close + 1;
        }
        Ok(Self { parts })
    }

    /// Returns how many names it stands for; the most a number can say when there are more.
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().fold(1, |total: u64, part| match part {
            PatternPart::Text(_) => total,
            PatternPart::Numbers(spans) => {
                total.saturating_mul(spans.iter().fold(0, |sum: u64, span| sum.saturating_add(span.size())))
            }
        })
    }

    /// Returns for how many names it counts in a budget: a name is as long as text and brackets can make it, so a
    /// short set of long names takes as much room as a long one.
    pub(super) fn cost(&self) -> u64 {
        let longest = self.parts.iter().map(|part| match part {
            PatternPart::Text(text) => text.len(),
            PatternPart::Numbers(spans) => {
                spans.iter().map(|span| span.width.max(1)).max().unwrap_or_default()
            }
        });
        self.size().saturating_mul(Budget::weight(longest.sum()))
    }

    /// Passes each name to `take` until it says no; the last bracket turns fastest.
    pub(super) fn visit(&self, take: &mut dyn FnMut(&str) -> bool) {
        let mut name = String::new();
        self.visit_from(0, &mut name, take);
    }

    // As deep as there are brackets: a set of four million names has at most 22 that matter, and
    // brackets with one number each are walked in the loop below, not by recursion.
    fn visit_from(&self, mut part: usize, name: &mut String, take: &mut dyn FnMut(&str) -> bool) -> bool {
        let start = name.len();
        while let Some(found) = self.parts.get(part) {
            part += 1;
            match found {
                PatternPart::Text(text) => name.push_str(text),
                PatternPart::Numbers(spans) => {
                    if let [only] = spans.as_slice() {
                        if only.size() == 1 {
                            write_number(name, only.first, only.width);
                            continue;
                        }
                    }
                    let go_on = self.visit_numbers(spans, part, name, take);
                    name.truncate(start);
                    return go_on;
                }
            }
        }
        let go_on = take(name);
        name.truncate(start);
        go_on
    }

    fn visit_numbers(
        &self,
        spans: &[Span],
        next: usize,
        name: &mut String,
        take: &mut dyn FnMut(&str) -> bool,
    ) -> bool {
        let before = name.len();
        for span in spans {
            let mut number = span.first;
            while number <= span.last {
                write_number(name, number, span.width);
                let go_on = self.visit_from(next, name, take);
                name.truncate(before);
                if !go_on {
                    return false;
                }
                number += span.step;
            }
        }
        true
    }
}

/// Rejects what ClusterShell rejects or reads otherwise: digits that stand right before a bracket belong to its
/// numbers, so all of these must be of one length, and a bracket cannot follow another with nothing but digits
/// between them.
fn check_before(parts: &[PatternPart<'_>], spans: &[Span], place: Range<usize>) -> Result<(), SetFault> {
    let Some(PatternPart::Text(before)) = parts.last() else { return Ok(()) };
    if !before.ends_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    let digits = before.bytes().all(|byte| byte.is_ascii_digit());
    if digits && parts.len() > 1 {
        let message = "only digits between two brackets; write one bracket with all of the number";
        return Err(SetFault::new(place, message));
    }
    let length = |number: i64, width: usize| number.to_string().len().max(width);
    let mut lengths =
        spans.iter().flat_map(|span| [length(span.first, span.width), length(span.last, span.width)]);
    let first = lengths.next();
    if lengths.any(|other| Some(other) != first) {
        let message = "digits before a bracket whose numbers are of different lengths; write the whole numbers in the \
                       bracket (n[19-20], not n1[9-10])";
        return Err(SetFault::new(place, message));
    }
    Ok(())
}

/// Rejects digits right after a bracket with a step: they belong to its numbers, and ClusterShell takes none there.
fn check_after(parts: &[PatternPart<'_>], text: &str, place: Range<usize>) -> Result<(), SetFault> {
    let Some(PatternPart::Numbers(spans)) = parts.last() else { return Ok(()) };
    let digits = text[place.clone()].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || spans.iter().all(|span| !span.is_stepped) {
        return Ok(());
    }
    let message = "digits after a bracket with a step; write the whole numbers in the bracket (n[13,33], not n[1-3/2]3)";
    Err(SetFault::new(place.start..place.start + digits, message))
}

fn write_number(name: &mut String, number: i64, width: usize) {
    // Writing to a String cannot fail.
    write!(name, "{number:0width$}").ok();
}

fn parse_spans(text: &str, range: Range<usize>) -> Result<Vec<Span>, SetFault> {
    let mut spans = Vec::new();
    let mut start = range.start;
    for piece in text[range].split(',') {
        spans.push(parse_span(piece, start)?);
        start += piece.len() + 1;
    }
    Ok(spans)
}

/// Parses `7`, `1-16` or `0-30/2`; `start` is where the piece begins, for its faults.
fn parse_span(piece: &str, start: usize) -> Result<Span, SetFault> {
    let place = start..start + piece.len();
    let word = piece.trim();
    if word.is_empty() {
        return Err(SetFault::new(place, "an empty range"));
    }
    let no_range = || SetFault::new(place.clone(), format!("\"{word}\" is not a range of numbers"));
    let (ends, step) = match word.split_once('/') {
        None => (word, 1),
        Some((ends, step)) => {
            let step = number(step.trim()).ok_or_else(no_range)?;
            if step < 1 {
                return Err(SetFault::new(place, "the step of a range must be 1 or more"));
            }
            (ends.trim(), step)
        }
    };
    if word.contains('/') && !ends.char_indices().skip(1).any(|(_, c)| c == '-') {
        return Err(SetFault::new(
            place,
            format!("\"{word}\" has a step and is no range; write {ends} alone"),
        ));
    }
    // A minus at the front is a sign, as in ClusterShell; the next one makes a range.
    let dash = ends.char_indices().skip(1).find(|(_, c)| *c == '-').map(|(at, _)| at);
    let (from, to) = match dash {
        None => (ends, ends),
        Some(at) => (ends[..at].trim(), ends[at + 1..].trim()),
    };
    let (first, last) = (number(from).ok_or_else(no_range)?, number(to).ok_or_else(no_range)?);
    if first > last {
        return Err(SetFault::new(place, format!("the range {ends} is upside down")));
    }
    let padded = is_padded(from) || is_padded(to);
    if padded && from.len() != to.len() {
        return Err(SetFault::new(place, format!("the ends of the range {ends} are padded differently")));
    }
    Ok(Span { first, last, step, width: if padded { from.len() } else { 0 }, is_stepped: word.contains('/') })
}

fn is_padded(digits: &str) -> bool {
    digits.len() > 1 && digits.trim_start_matches('-').starts_with('0')
}

/// Reads at most 15 digits, so that no sum of two overflows.
fn number(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let plain = !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { word.parse().ok() } else { None }
}
