//! Which attributes lines state for which nodes: genders does not read one that a node has twice.

use crate::name::Names;
use std::ops::Range;

/// All statements of a file.
#[derive(Default)]
pub(super) struct StatedKeys<'s> {
    names: Names,
    keys: Vec<&'s str>,
    stated: Vec<StatedKey>,
    /// Of each line the nodes that stand on it, as runs of numbers.
    lines: Vec<Vec<Range<u32>>>,
    open: Vec<Range<u32>>,
}

struct StatedKey {
    key: u32,
    line: usize,
    at: Range<usize>,
}

impl<'s> StatedKeys<'s> {
    /// The line that is read states an attribute.
    pub(super) fn state(&mut self, key: &'s str, at: Range<usize>) {
        let Some(number) = self.names.intern(key) else { return };
        if number as usize == self.keys.len() {
            self.keys.push(key);
        }
        self.stated.push(StatedKey { key: number, line: self.lines.len(), at });
    }

    /// A node stands on the line that is read.
    pub(super) fn stands(&mut self, node: u32) {
        match self.open.last_mut() {
            Some(run) if run.end == node => run.end += 1,
            _ => self.open.push(node..node + 1),
        }
    }

    /// All nodes and attributes of a line were named.
    pub(super) fn end_of_line(&mut self) {
        let mut runs = std::mem::take(&mut self.open);
        runs.shrink_to_fit();
        self.lines.push(runs);
    }

    /// The statements by which a node has an attribute that it had, with the first such node of each.
    pub(super) fn twice(&mut self, nodes: usize) -> Vec<(u32, &'s str, Range<usize>)> {
        // A stable sort: of one attribute they stay in the order written.
        self.stated.sort_by_key(|stated| stated.key);
        let mut last = vec![u32::MAX; nodes];
        let mut twice = Vec::new();
        for StatedKey { key, line, at } in &self.stated {
            let mut again = None;
            for node in self.lines[*line].iter().cloned().flatten() {
                let is_again = std::mem::replace(&mut last[node as usize], *key) == *key;
                again = again.or(is_again.then_some(node));
            }
            twice.extend(again.map(|node| (node, self.keys[*key as usize], at.clone())));
        }
        twice
    }
}
