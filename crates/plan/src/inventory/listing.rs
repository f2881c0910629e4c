//! Many short lists of numbers in two long ones: a list of its own each costs more than what is in it.

/// Lists of numbers, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    starts: Vec<u32>,
    items: Vec<u32>,
}

/// Each is an item of the list that is named first.
pub(super) type Pairs<'p> = Box<dyn Iterator<Item = (u32, u32)> + 'p>;

impl Listing {
    pub(super) fn of<'p>(lists: usize, pairs: &mut dyn FnMut() -> Pairs<'p>) -> Self {
        let mut starts = vec![0u32; lists + 1];
        for (list, _) in pairs() {
            starts[list as usize + 1] += 1;
        }
        for list in 1..starts.len() {
            starts[list] += starts[list - 1];
        }
        let mut next = starts.clone();
        let mut items = vec![0; starts.last().map_or(0, |end| *end as usize)];
        for (list, item) in pairs() {
            let at = &mut next[list as usize];
            items[*at as usize] = item;
            *at += 1;
        }
        Self { starts, items }
    }

    /// Returns how many lists there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(super) fn of_one(&self, list: u32) -> &[u32] {
        let list = list as usize;
        &self.items[self.starts[list] as usize..self.starts[list + 1] as usize]
    }
}
