//! What a run should have printed, and the placeholders for what differs from run to run.
//!
//! `[ROOT]` the temporary root, `[TIME]` a time, `[SNAPSHOT]` a snapshot's id, `[STAMP]` the stamp of
//! a log file, `[PID]` the program's own process id; `[..]` in what is expected matches any text
//! within a line, a line of `...` any number of lines.

use std::path::Path;

/// What is expected of one stream.
#[derive(Debug, Clone, Default)]
pub enum Expected {
    /// Nothing: what nobody asked for is a failure.
    #[default]
    Nothing,
    /// Exactly this text, placeholders applied.
    Exactly(String),
    /// Each of these somewhere.
    Containing(Vec<String>),
    /// Lines of this program alone, of which none tells of a fault.
    Quietly(String),
    /// Whatever; the scenario looks itself.
    Anything,
}

/// What a line says that tells of a fault.
const FAULTS: [&str; 8] = [
    "warning: ",
    "failed",
    "did not succeed",
    "timed out",
    "unreachable",
    "unknown",
    "held by",
    "interrupted",
];

impl Expected {
    /// Adds a text that must appear.
    pub(crate) fn also(&mut self, text: &str) {
        match self {
            Self::Containing(texts) => texts.push(text.to_owned()),
            Self::Nothing | Self::Exactly(_) | Self::Quietly(_) | Self::Anything => {
                *self = Self::Containing(vec![text.to_owned()]);
            }
        }
    }

    /// Returns what is wrong with a masked text, or nothing.
    pub(crate) fn differs_from(&self, text: &str) -> Option<String> {
        match self {
            Self::Nothing if text.is_empty() => None,
            Self::Nothing => Some("should be empty".to_owned()),
            Self::Exactly(wanted) if is_like(text, wanted) => None,
            Self::Exactly(wanted) => Some(format!("should be exactly:\n{wanted}")),
            Self::Containing(wanted) => {
                let missing: Vec<&str> =
                    wanted.iter().map(String::as_str).filter(|one| !text.contains(one)).collect();
                (!missing.is_empty()).then(|| format!("should contain:\n{}", missing.join("\n")))
            }
            Self::Quietly(program) => {
                // With -r cshutdown starts cstartup.
                let is_own = |line: &str| {
                    line.starts_with(&format!("{program}: "))
                        || (program == "cshutdown" && line.starts_with("cstartup: "))
                };
                let is_fault = |line: &&str| !is_own(line) || FAULTS.iter().any(|fault| line.contains(fault));
                text.lines().find(is_fault).map(|line| format!("should tell of no fault, and says:\n{line}"))
            }
            Self::Anything => None,
        }
    }
}

/// Returns a text with what differs from run to run replaced by placeholders.
pub fn masked(text: &str, root: &Path, pid: u32) -> String {
    let text = text.replace(&root.display().to_string(), "[ROOT]");
    let mut masked = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let found = if before.is_ascii_alphanumeric() { None } else { placeholder(rest, pid) };
        if let Some((length, placeholder)) = found {
            masked.push_str(placeholder);
            rest = &rest[length..];
            before = ']';
        } else {
            masked.push(next);
            rest = &rest[next.len_utf8()..];
            before = next;
        }
    }
    masked
}

fn placeholder(text: &str, pid: u32) -> Option<(usize, &'static str)> {
    if begins_like(text, "dddd-dd-ddTdd-dd-ddZ") {
        return Some((20, "[SNAPSHOT]"));
    }
    if begins_like(text, "dddd-dd-ddTdd:dd:dd") || begins_like(text, "dddd-dd-dd dd:dd:dd") {
        let mut length = 19;
        if text[length..].starts_with('.') {
            length += 1 + digits(&text[length + 1..]);
        }
        if text[length..].starts_with('Z') {
            length += 1;
        } else if begins_like(&text[length..], "+dd:dd") || begins_like(&text[length..], "-dd:dd") {
            length += 6;
        }
        return Some((length, "[TIME]"));
    }
    if begins_like(text, "dddddddddd.d") {
        return Some((11 + digits(&text[11..]), "[STAMP]"));
    }
    let pid = pid.to_string();
    (digits(text) == pid.len() && text.starts_with(&pid)).then_some((pid.len(), "[PID]"))
}

/// Tells whether a text begins with a pattern in which `d` stands for a digit.
fn begins_like(text: &str, pattern: &str) -> bool {
    text.len() >= pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, like)| match like {
            b'd' => byte.is_ascii_digit(),
            _ => byte == like,
        })
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Tells whether a masked text is what is expected, wildcards applied.
pub fn is_like(text: &str, wanted: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let like: Vec<&str> = wanted.lines().collect();
    text.ends_with('\n') == wanted.ends_with('\n') && lines_are_like(&lines, &like)
}

fn lines_are_like(lines: &[&str], like: &[&str]) -> bool {
    match like.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| lines_are_like(&lines[skipped..], rest)),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| line_is_like(line, first) && lines_are_like(lines, rest)),
    }
}

fn line_is_like(line: &str, like: &str) -> bool {
    let mut parts = like.split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_masked() {
        for (text, wanted) in [
            ("/tmp/x/etc at 2026-01-02T03:04:05.678Z\n", "[ROOT]/etc at [TIME]\n"),
            ("took 2026-01-02T03-04-05Z", "took [SNAPSHOT]"),
            ("2026-01-02 03:04:05 begun", "[TIME] begun"),
            ("2026-01-02T03:04:05+01:00", "[TIME]"),
            ("cshut.1121214907.4711", "cshut.[STAMP]"),
            ("pid 77, not 777 nor n77 ", "pid [PID], not 777 nor n77 "),
        ] {
            assert_eq!(masked(text, Path::new("/tmp/x"), 77), wanted);
        }
    }

    #[test]
    fn wildcards_match_as_far_as_they_say() {
        assert!(is_like("took 3.2s in all\n", "took [..]s in all\n"));
        assert!(is_like("a b c\nd\n", "a[..]c\nd\n"));
        assert!(!is_like("took 3.2s\nin all\n", "took [..]all\n"));
        assert!(!is_like("a", "a\n"));
        assert!(!is_like("ab", "a"));
        assert!(is_like("a\nb\nc\nd\n", "a\n...\nd\n"));
        assert!(is_like("a\nd\n", "a\n...\nd\n...\n"));
        assert!(!is_like("a\nb\n", "a\n...\nd\n"));
    }
}
