//! Entries that a restore leaves as they are, because something else has their place: they are named and
//! stop nothing, since whoever may write to a directory could otherwise stop every restore.

use crate::path_bytes::PathBytes;

/// An entry that is left as it is, because something else has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub path: PathBytes,
    pub reason: String,
    /// How many entries below it are left with it.
    pub below: usize,
}

impl Left {
    /// Adds an entry to those that are left; one that lies below the last one is only counted.
    pub fn note(list: &mut Vec<Self>, path: &PathBytes, reason: impl FnOnce() -> String) {
        match list.last_mut() {
            Some(last) if last.path != *path && path.is_within(last.path.as_bytes()) => last.below += 1,
            Some(last) if last.path == *path => {}
            Some(_) | None => list.push(Self { path: path.clone(), reason: reason(), below: 0 }),
        }
    }

    /// Returns how many entries are left in all.
    pub fn count(list: &[Self]) -> usize {
        list.iter().map(|left| 1 + left.below).sum()
    }

    /// Returns the reason with how much lies below.
    pub fn clause(&self) -> String {
        match self.below {
            0 => self.reason.clone(),
            1 => format!("{} (with 1 entry below it)", self.reason),
            below => format!("{} (with {below} entries below it)", self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_is_counted_and_not_named() {
        let mut list = Vec::new();
        for path in ["/a/f", "/d", "/d/1", "/d/2/3", "/da"] {
            Left::note(&mut list, &path.into(), || "is a link".to_owned());
        }
        let lines: Vec<_> = list.iter().map(|left| format!("{} {}", left.path, left.clause())).collect();
        assert_eq!(lines, ["/a/f is a link", "/d is a link (with 2 entries below it)", "/da is a link"]);
        assert_eq!(Left::count(&list), 5);
    }
}
