//! What a reader of a format says of itself, and the marks by which it tells a text that is its own.
//!
//! A format is a file of this folder with such a constant, and a line in `format.rs`.

use super::check::Drafts;
use super::nodes::Inventory;
use crate::diagnostic::{Diagnostics, Source};

/// One format, as its reader states it.
pub(super) struct Reader {
    /// The word of `--from` and of `inventory_format`.
    pub(super) word: &'static str,
    /// What a text in it is, within a sentence.
    pub(super) title: &'static str,
    /// Reads a whole text, or tells everything that is wrong with it.
    pub(super) read: for<'s> fn(Source<'s>, Drafts<'s>) -> Result<Inventory, Diagnostics>,
    /// Tells whether a text has marks that only this format has. Of several formats the first of the list counts.
    pub(super) is_like: fn(&str) -> bool,
}

/// Returns the lines of a text that say something: without comments of any kind, and without blank ones.
pub(super) fn said(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']))
}

/// Tells whether a text is an object of JSON that has one of these words.
pub(super) fn is_object_with(text: &str, words: &[&str]) -> bool {
    text.trim_start().starts_with('{') && words.iter().any(|word| text.contains(&format!("\"{word}\"")))
}
