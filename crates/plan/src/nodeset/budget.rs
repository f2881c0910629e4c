//! How many names all words of one text may stand for together: a thousand short words could each stand for millions.

use std::cell::Cell;

/// A name counts once more for every so many bytes.
const LONG: usize = 32;

/// Counts the names that words stand for, before any are taken away.
#[derive(Debug, Default)]
pub struct Budget(Cell<u64>);

impl Budget {
    /// The most names of all words of one text.
    pub const NAMES: u64 = if cfg!(test) { 20_000 } else { 5_000_000 };

    /// Returns for how many names one of so many bytes counts.
    pub(super) fn weight(bytes: usize) -> u64 {
        u64::try_from(bytes / LONG).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Counts names, and tells whether all so far are within the limit.
    pub fn spend(&self, names: u64) -> bool {
        self.0.set(self.0.get().saturating_add(names));
        !self.is_spent()
    }

    /// Leaves room for no further name.
    pub fn exhaust(&self) {
        self.0.set(self.0.get().max(Self::NAMES + 1));
    }

    /// Tells whether the limit is passed.
    pub fn is_spent(&self) -> bool {
        self.0.get() > Self::NAMES
    }

    /// Returns how many names were counted.
    #[cfg(test)]
    pub(crate) fn met(&self) -> u64 {
        self.0.get()
    }
}
