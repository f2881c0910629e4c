//! Errors of one text, collected without letting a badly broken input cost for ever.
//!
//! Placing an error costs as much as the text before it, and a did-you-mean as much as there are
//! candidates. So only the first [`SHOWN`] are placed and the rest are counted.

use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use std::ops::Range;

/// How many errors of one text are shown.
const SHOWN: usize = 100;

/// How many candidates are compared for all did-you-means of one text.
const COMPARED: usize = 5_000_000;

/// What is wrong with one text so far.
#[derive(Debug)]
pub(crate) struct Faults<'s> {
    source: Source<'s>,
    shown: Diagnostics,
    unsaid: usize,
    compared: usize,
}

impl<'s> Faults<'s> {
    pub(crate) fn new(source: Source<'s>) -> Self {
        Self { source, shown: Diagnostics::default(), unsaid: 0, compared: 0 }
    }

    /// Remembers an error at a place in bytes.
    pub(crate) fn at(&mut self, range: Range<usize>, message: impl Into<String>) {
        let source = self.source;
        self.add(|| source.diagnose(range, message));
    }

    /// Remembers an error at a place, with a remedy.
    pub(crate) fn with_hint(
        &mut self,
        range: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let source = self.source;
        self.add(|| source.diagnose(range, message).hint(hint));
    }

    /// Remembers a word that is not known, with a did-you-mean; `remedy` makes the hint where no candidate is
    /// near, empty for none.
    pub(crate) fn unknown<'c>(
        &mut self,
        range: Range<usize>,
        message: impl Into<String>,
        word: &str,
        candidates: impl IntoIterator<Item = &'c str>,
        remedy: impl FnOnce() -> String,
    ) {
        let (source, left) = (self.source, COMPARED.saturating_sub(self.compared));
        let mut compared = 0;
        self.add(|| {
            let candidates = candidates.into_iter().take(left).inspect(|_| compared += 1);
            let mut diagnostic = source.diagnose(range, message).suggest(word, candidates);
            if diagnostic.hint.is_none() {
                diagnostic.hint = Some(remedy()).filter(|remedy| !remedy.is_empty());
            }
            diagnostic
        });
        self.compared += compared;
    }

    /// Returns how many errors there are so far.
    pub(crate) fn count(&self) -> usize {
        self.shown.0.len() + self.unsaid
    }

    /// Remembers an error that `make` describes, if it will be shown.
    pub(crate) fn add(&mut self, make: impl FnOnce() -> Diagnostic) {
        if self.shown.0.len() < SHOWN {
            self.shown.push(make());
        } else {
            self.unsaid += 1;
        }
    }

    /// Takes over the errors of another collection about the same text.
    pub(crate) fn extend(&mut self, other: Self) {
        self.unsaid += other.unsaid;
        for diagnostic in other.shown.0 {
            self.add(|| diagnostic);
        }
    }

    /// Returns `value` when nothing is wrong.
    ///
    /// # Errors
    /// The errors, in order of place.
    pub(crate) fn or<T>(mut self, value: T) -> Result<T, Diagnostics> {
        if self.unsaid > 0 {
            let total = self.unsaid + self.shown.0.len();
            self.shown.push(Diagnostic::about(
                self.source.name,
                format!("{total} errors, of which the first {SHOWN} are shown"),
            ));
        }
        self.shown.or(value)
    }
}
