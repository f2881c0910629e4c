//! The mirrored file: its orders turned round, everything else left as it stands.
//!
//! Comments and the spelling of members are what people put work into, so the text is mirrored and
//! not written anew.

use super::lexer::{Lexer, TokenKind};

/// Returns the text with every order turned round; mirrored again it states what it did at first. To
/// be called with a text that was found valid.
pub fn reversed_text(text: &str) -> String {
    let mut reversed = String::with_capacity(text.len());
    let (mut lexer, mut tokens, mut copied) = (Lexer::new(text), Vec::new(), 0);
    while lexer.line(&mut tokens).is_some() {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { continue };
        if !tokens.iter().any(|token| token.kind == TokenKind::Before) {
            continue;
        }
        reversed.push_str(&text[copied..first.range().start]);
        copied = last.range().end;
        let sides = tokens.split(|token| token.kind == TokenKind::Before).map(|side| {
            // A word after a parenthesis is how many, not who.
            let is_name = |at: &usize| {
                side[*at].kind == TokenKind::Word
                    && !(*at > 0 && side[*at - 1].kind == TokenKind::Parenthesis)
            };
            (0..side.len()).filter(is_name).map(|at| &text[side[at].range()]).collect::<Vec<_>>().join(", ")
        });
        let mut sides: Vec<String> = sides.collect();
        sides.reverse();
        reversed.push_str(&sides.join(" > "));
    }
    reversed.push_str(&text[copied..]);
    reversed
}
