//! Text in columns of a terminal, where a character may take two, or none.

use unicode_width::UnicodeWidthStr;

/// Returns how many columns a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Returns the width of the widest of these, in columns.
pub fn widest<'t>(texts: impl IntoIterator<Item = &'t str>) -> usize {
    texts.into_iter().map(UnicodeWidthStr::width).max().unwrap_or_default()
}

/// Returns a text with blanks after it, as wide as `width` columns at least.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_and_combining_signs_stay_in_their_column() {
        assert_eq!(widest(["/srv", "/節点", ""]), 5);
        assert_eq!(padded("/節点", 6), "/節点 ");
        assert_eq!(padded("e\u{301}", 2), "e\u{301} ");
        assert_eq!(padded("/srv", 2), "/srv");
    }
}
