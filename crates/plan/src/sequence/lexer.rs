//! From text to logical lines of words and signs.
//!
//! A comment runs from `#` to the end of its line; a backslash at the end of a line (blanks after it
//! do not count, they cannot be seen) joins the next one.

use std::ops::Range;

/// What a piece of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Colon,
    Comma,
    Before,
    /// `(` or `)`: reserved.
    Parenthesis,
    /// A backslash that joins no line.
    Backslash,
}

/// A piece of a line and where it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    start: u32,
    end: u32,
}

impl Token {
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn span(self) -> (u32, u32) {
        (self.start, self.end)
    }
}

/// Reads a text one logical line at a time.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the bytes of the next logical line, its pieces put into `tokens`; nothing at the end.
    pub(super) fn line(&mut self, tokens: &mut Vec<Token>) -> Option<Range<usize>> {
        tokens.clear();
        let bytes = self.text.as_bytes();
        if self.at >= bytes.len() {
            return None;
        }
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'\n' => break,
                b'#' => {
                    self.at = self.end_of_line(self.at);
                    break;
                }
                b' ' | b'\t' => self.at += 1,
                b'\r' if matches!(bytes.get(self.at + 1), Some(b'\n') | None) => self.at += 1,
                b'\\' => match self.joined_line(self.at) {
                    Some(next) => self.at = next,
                    None => self.push(TokenKind::Backslash, self.at + 1, tokens),
                },
                b':' => self.push(TokenKind::Colon, self.at + 1, tokens),
                b',' => self.push(TokenKind::Comma, self.at + 1, tokens),
                b'>' => self.push(TokenKind::Before, self.at + 1, tokens),
                b'(' | b')' => self.push(TokenKind::Parenthesis, self.at + 1, tokens),
                _ => self.push(TokenKind::Word, word_end(self.text, self.at), tokens),
            }
        }
        let end = self.at;
        self.at += 1;
        Some(start..end)
    }

    fn push(&mut self, kind: TokenKind, end: usize, tokens: &mut Vec<Token>) {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        tokens.push(Token { kind, start: offset(self.at), end: offset(end) });
        self.at = end;
    }

    fn end_of_line(&self, from: usize) -> usize {
        self.text[from..].find('\n').map_or(self.text.len(), |offset| from + offset)
    }

    /// Returns where the line that a backslash joins begins, if it joins one.
    fn joined_line(&self, backslash: usize) -> Option<usize> {
        let rest = &self.text.as_bytes()[backslash + 1..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match rest.get(blanks) {
            Some(b'\n') => Some(backslash + 1 + blanks + 1),
            None => Some(self.text.len()),
            Some(_) => None,
        }
    }
}

/// Returns where the word that begins at `start` ends. Commas and blanks between brackets belong to
/// it; a bracket that is not closed on its line is a character like any other.
pub(super) fn word_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b',' | b':' | b'>' | b'(' | b')' | b'#' | b'\\' => break,
            b'\r' if matches!(bytes.get(at + 1), Some(b'\n') | None) => break,
            b'[' => at = bracket_end(bytes, at).unwrap_or(at) + 1,
            _ => at += 1,
        }
    }
    at
}

fn bracket_end(bytes: &[u8], open: usize) -> Option<usize> {
    let inside = bytes[open + 1..]
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b',' | b'-' | b'/' | b' ' | b'\t'))
        .count();
    let close = open + 1 + inside;
    (bytes.get(close) == Some(&b']')).then_some(close)
}

/// Finds where expressions end, one after the other; a list is read once and not anew for each of its words.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// A list whose words are expressions each.
    plain: Range<usize>,
}

impl Expressions {
    /// Returns where the expression that begins at `start` ends. A word with commas and no blanks is one, as on a
    /// command line, where that makes a difference: where it has `!`, `&` or `^`.
    pub(super) fn end(&mut self, text: &str, start: usize) -> usize {
        if self.plain.contains(&start) {
            return word_end(text, start);
        }
        let end = list_end(text, start);
        if text[start..end].contains(['!', '&', '^']) {
            return end;
        }
        self.plain = start..end;
        word_end(text, start)
    }
}

/// Returns where the words end that commas alone join.
fn list_end(text: &str, start: usize) -> usize {
    let mut end = word_end(text, start);
    while text.as_bytes().get(end) == Some(&b',') {
        let next = word_end(text, end + 1);
        if next == end + 1 {
            break;
        }
        end = next;
    }
    end
}

/// Tells whether a text would be read as exactly one member.
pub(super) fn is_one_member(text: &str) -> bool {
    !text.is_empty() && Expressions::default().end(text, 0) == text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str) -> Vec<Vec<&str>> {
        let (mut lexer, mut tokens, mut lines) = (Lexer::new(text), Vec::new(), Vec::new());
        while lexer.line(&mut tokens).is_some() {
            lines.push(tokens.iter().map(|token| &text[token.range()]).collect());
        }
        lines
    }

    #[test]
    fn lines_are_joined_and_comments_left_out() {
        assert_eq!(lines("a: b,c # d\n"), [vec!["a", ":", "b", ",", "c"]]);
        assert_eq!(lines("a>b\\  \n>c"), [vec!["a", ">", "b", ">", "c"]]);
        assert_eq!(lines("a: \\\r\n b\r\n"), [vec!["a", ":", "b"]]);
        assert_eq!(lines("a: n[1, 3-4]x n[1 y"), [vec!["a", ":", "n[1, 3-4]x", "n[1", "y"]]);
        assert_eq!(lines("# a \\\nb: c"), [vec![], vec!["b", ":", "c"]]);
        assert_eq!(lines("a: b\\"), [vec!["a", ":", "b"]]);
        assert_eq!(lines("a\\b"), [vec!["a", "\\", "b"]]);
    }

    proptest! {
        #[test]
        fn any_text_is_lexed_to_its_end(text in "[a:>,#\\\\ \\[\\]1\n\r()é-]{0,40}|\\PC{0,20}") {
            let _ = lines(&text);
        }
    }
}
