//! What is to be done later, soonest first.

use std::collections::BTreeMap;
use std::time::Instant;

/// Things to be done, each at its time; those of the same time in the order in which they were put here.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    due: BTreeMap<(Instant, u64), T>,
    count: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), count: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn push(&mut self, at: Instant, what: T) {
        self.count += 1;
        self.due.insert((at, self.count), what);
    }

    /// Returns when the next thing is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the next thing that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, what)| what)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.due.values()
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.due).into_values()
    }
}
