//! Texts of others, made safe to show: what a node says must neither move the cursor of whoever reads it nor turn the
//! words round.

/// Returns a text with the characters that are not for reading (but for tabs) made visible.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) && c != '\t' { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Returns a JSON text with the same characters escaped as JSON has it; they can only be in its strings.
pub(crate) fn escaped(json: &str) -> String {
    let mut whole = String::with_capacity(json.len());
    for c in json.chars() {
        // All of them are in the plane that needs one escape.
        if is_unseen(c) { whole.push_str(&format!("\\u{:04x}", u32::from(c))) } else { whole.push(c) }
    }
    whole
}

/// Tells whether a character moves the cursor, or turns, joins or breaks the words around it.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that said U+202E turned the rest of the line round, on the terminal and in the log.
    #[test]
    fn characters_that_turn_words_round_are_shown_and_json_has_them_escaped() {
        assert_eq!(
            printable("a\u{202e}b\u{2066}c\u{9b}d\te\u{e9}"),
            "a\\u{202e}b\\u{2066}c\\u{9b}d\te\u{e9}"
        );
        let json = escaped(&serde_json::to_string("a\u{202e}\u{7f}\u{9b}\u{1b}").unwrap());
        assert_eq!(json, r#""a\u202e\u007f\u009b\u001b""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "a\u{202e}\u{7f}\u{9b}\u{1b}");
    }
}
