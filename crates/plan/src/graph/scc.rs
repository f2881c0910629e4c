//! The shortest loop of a component: of vertices that all come before each other.
//!
//! A search from every vertex would be quadratic. What keeps this short, without giving up that no loop
//! is shorter than the one found:
//!
//! - Every loop has a step by which a walk in depth came back to its own way, and a step that does not
//!   lead one level further from the first vertex. Only from either end of one kind of step is searched,
//!   whichever are fewest: one for a ring, however large; a handful for a few lines that contradict all
//!   the others.
//! - The lengths of all loops are multiples of one number, the period. A loop as long as that is the
//!   shortest, and between two multiples there is nothing to look for.
//! - Searches end one period before the best length found so far. Many starts mean short loops, so what
//!   makes for many searches makes for short ones.
//! - They are made 128 at a time, one bit each, and starts that lie close together share their way.
//! - After [`STEPS`] steps the best found so far will do: ten thousands of groups without a short loop are searched
//!   from nearly all of them otherwise.
//!
//! Invariant: no loop of the component is shorter (`no_loop_is_shorter_than_the_one_found`), unless it took too many steps.

use std::collections::VecDeque;

/// Searches that share one walk over the component, one bit each.
type Bits = u128;
const TOGETHER: usize = Bits::BITS as usize;

/// How many steps are taken in search of a shorter loop.
const STEPS: usize = if cfg!(test) { 1_000_000 } else { 100_000_000 };

/// A strongly connected graph: vertices by place, and where each leads, sorted.
#[derive(Debug)]
pub(super) struct Component {
    /// Where the steps of each vertex begin; one entry more than there are vertices.
    from: Vec<usize>,
    steps: Vec<u32>,
}

/// The best found so far: a loop's length, and a vertex it passes through.
#[derive(Debug, Clone, Copy)]
struct Best {
    length: usize,
    through: u32,
}

impl Component {
    /// Returns the component of `count` vertices; `leads` returns to which a vertex leads.
    pub(super) fn new<L: IntoIterator<Item = u32>>(count: usize, leads: impl Fn(u32) -> L) -> Self {
        let mut component = Self { from: Vec::with_capacity(count + 1), steps: Vec::new() };
        for vertex in 0..count {
            let begin = component.steps.len();
            component.from.push(begin);
            component.steps.extend(leads(place(vertex)));
            component.steps[begin..].sort_unstable();
        }
        component.from.push(component.steps.len());
        component
    }

    /// Returns a shortest loop, as the vertices along it; nothing where there is no step at all.
    pub(super) fn shortest_loop(&self) -> Option<Vec<u32>> {
        if self.steps.is_empty() {
            return None;
        }
        self.search().0.map(|best| self.loop_through(best.through))
    }

    /// Returns the best loop found, and how many steps that took.
    fn search(&self) -> (Option<Best>, usize) {
        let levels = self.levels();
        let period = self.period(&levels);
        let mut starts = self.starts(&levels);
        starts.sort_by_key(|&vertex| (levels[vertex as usize], vertex));
        let mut best: Option<Best> = None;
        let mut search = LoopSearch::new(self.len());
        for together in starts.chunks(TOGETHER) {
            let longest = best.map_or(usize::MAX, |best| best.length.saturating_sub(period));
            if longest < period || best.is_some() && search.steps > STEPS {
                break;
            }
            best = search.run(self, together, longest).or(best);
        }
        (best, search.steps)
    }

    fn len(&self) -> usize {
        self.from.len() - 1
    }

    fn leads(&self, vertex: u32) -> &[u32] {
        &self.steps[self.from[vertex as usize]..self.from[vertex as usize + 1]]
    }

    /// Returns how many steps each vertex is from the first one.
    fn levels(&self) -> Vec<u32> {
        let mut levels = vec![u32::MAX; self.len()];
        levels[0] = 0;
        let mut queue = VecDeque::from([0]);
        while let Some(vertex) = queue.pop_front() {
            for &next in self.leads(vertex) {
                if levels[next as usize] == u32::MAX {
                    levels[next as usize] = levels[vertex as usize] + 1;
                    queue.push_back(next);
                }
            }
        }
        levels
    }

    /// Returns what divides the length of every loop: around a loop levels come back to where they
    /// were, so its length is a sum of how far each step is from being one level up.
    fn period(&self, levels: &[u32]) -> usize {
        let mut period = 0;
        for vertex in 0..self.len() {
            for &next in self.leads(place(vertex)) {
                let off = (levels[vertex] + 1).abs_diff(levels[next as usize]);
                period = divisor(period, off as usize);
            }
        }
        period.max(1)
    }

    /// Returns vertices of which every loop passes through one.
    fn starts(&self, levels: &[u32]) -> Vec<u32> {
        let (mut by_depth, mut by_level) = (Ends::new(self.len()), Ends::new(self.len()));
        self.walk_in_depth(|from, to| by_depth.mark(from, to));
        for from in (0..self.len()).map(place) {
            for &to in self.leads(from) {
                if levels[to as usize] <= levels[from as usize] {
                    by_level.mark(from, to);
                }
            }
        }
        let ways = [by_depth.from, by_depth.to, by_level.from, by_level.to];
        let listed = ways
            .map(|marks| (0..self.len()).filter(|&vertex| marks[vertex]).map(place).collect::<Vec<u32>>());
        listed.into_iter().min_by_key(Vec::len).unwrap_or_default()
    }

    /// Walks along all steps, as deep as it goes first; tells of those that come back to the way.
    fn walk_in_depth(&self, mut came_back: impl FnMut(u32, u32)) {
        #[derive(Clone, Copy, PartialEq)]
        enum ChildEvent {
            Never,
            OnTheWay,
            Left,
        }
        let mut seen = vec![ChildEvent::Never; self.len()];
        seen[0] = ChildEvent::OnTheWay;
        let mut way: Vec<(u32, usize)> = vec![(0, 0)];
        while let Some((vertex, step)) = way.last_mut() {
            let Some(&next) = self.leads(*vertex).get(*step) else {
                seen[*vertex as usize] = ChildEvent::Left;
                way.pop();
                continue;
            };
            *step += 1;
            match seen[next as usize] {
                ChildEvent::Never => {
                    seen[next as usize] = ChildEvent::OnTheWay;
                    way.push((next, 0));
                }
                ChildEvent::OnTheWay => came_back(*vertex, next),
                ChildEvent::Left => {}
            }
        }
    }

    /// Returns the shortest loop through a vertex.
    fn loop_through(&self, start: u32) -> Vec<u32> {
        let mut came_from = vec![u32::MAX; self.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(vertex) = queue.pop_front() {
            for &next in self.leads(vertex) {
                if next == start {
                    let mut path = vec![vertex];
                    while let Some(&last) = path.last() {
                        if last == start {
                            break;
                        }
                        path.push(came_from[last as usize]);
                    }
                    path.reverse();
                    return path;
                }
                if came_from[next as usize] == u32::MAX {
                    came_from[next as usize] = vertex;
                    queue.push_back(next);
                }
            }
        }
        Vec::new()
    }
}

/// The ends of some steps, by vertex.
#[derive(Debug)]
struct Ends {
    from: Vec<bool>,
    to: Vec<bool>,
}

impl Ends {
    fn new(count: usize) -> Self {
        Self { from: vec![false; count], to: vec![false; count] }
    }

    fn mark(&mut self, from: u32, to: u32) {
        self.from[from as usize] = true;
        self.to[to as usize] = true;
    }
}

/// Searches from many vertices at once; where one was searched from before is not entered again, as
/// its loops are known.
#[derive(Debug)]
struct LoopSearch {
    /// By vertex: the searches that have come there, and those that are there now, and next.
    been: Vec<Bits>,
    now: Vec<Bits>,
    next: Vec<Bits>,
    /// By vertex: the search that begins there.
    begins: Vec<Bits>,
    done: Vec<bool>,
    steps: usize,
}

impl LoopSearch {
    fn new(count: usize) -> Self {
        Self {
            been: vec![0; count],
            now: vec![0; count],
            next: vec![0; count],
            begins: vec![0; count],
            done: vec![false; count],
            steps: 0,
        }
    }

    /// Returns the shortest loop through any of `starts` that is not longer than `longest`.
    fn run(&mut self, component: &Component, starts: &[u32], longest: usize) -> Option<Best> {
        let mut here: Vec<u32> = starts.to_vec();
        let mut touched: Vec<u32> = Vec::new();
        for (number, &start) in starts.iter().enumerate() {
            self.begins[start as usize] = 1 << number;
            self.now[start as usize] = 1 << number;
        }
        let mut found = None;
        let mut length = 0;
        while found.is_none() && length < longest && !here.is_empty() {
            length += 1;
            let mut there: Vec<u32> = Vec::new();
            for &vertex in &here {
                let bits = std::mem::replace(&mut self.now[vertex as usize], 0);
                self.steps += component.leads(vertex).len();
                for &next in component.leads(vertex) {
                    if self.done[next as usize] {
                        continue;
                    }
                    let at = next as usize;
                    let new = bits & !self.been[at];
                    if new == 0 {
                        continue;
                    }
                    if new & self.begins[at] != 0 {
                        // Of loops alike, that through the first in order.
                        let first = found.map_or(next, |best: Best| best.through.min(next));
                        found = Some(Best { length, through: first });
                    }
                    if self.next[at] == 0 {
                        there.push(next);
                    }
                    self.been[at] |= new;
                    self.next[at] |= new;
                }
            }
            std::mem::swap(&mut self.now, &mut self.next);
            touched.extend(&there);
            here = there;
        }
        for &vertex in here.iter().chain(&touched) {
            self.now[vertex as usize] = 0;
            self.been[vertex as usize] = 0;
        }
        for &start in starts {
            self.now[start as usize] = 0;
            self.begins[start as usize] = 0;
            self.done[start as usize] = true;
        }
        found
    }
}

fn place(vertex: usize) -> u32 {
    u32::try_from(vertex).unwrap_or(u32::MAX)
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn component(count: usize, edges: &[(u32, u32)]) -> Component {
        let mut leads = vec![Vec::new(); count];
        edges.iter().for_each(|&(from, to)| leads[from as usize].push(to));
        Component::new(count, |vertex| leads[vertex as usize].clone())
    }

    /// The same asked plainly: from every vertex, how far it is back to itself.
    fn shortest_by_trying_all(count: usize, edges: &[(u32, u32)]) -> Option<usize> {
        let component = component(count, edges);
        let back = |start: u32| {
            let mut steps = vec![None; count];
            let mut queue = VecDeque::from([(start, 0)]);
            while let Some((vertex, far)) = queue.pop_front() {
                for &next in component.leads(vertex) {
                    if steps[next as usize].is_none() {
                        steps[next as usize] = Some(far + 1);
                        queue.push_back((next, far + 1));
                    }
                }
            }
            steps[start as usize]
        };
        (0..place(count)).filter_map(back).min()
    }

    fn is_loop(edges: &[(u32, u32)], found: &[u32]) -> bool {
        let next = found.iter().cycle().skip(1);
        found.iter().zip(next).all(|(&from, &to)| edges.contains(&(from, to)))
    }

    proptest! {
        #[test]
        fn no_loop_is_shorter_than_the_one_found(
            count in 1usize..24,
            chords in prop::collection::vec((0u32..24, 0u32..24), 0..40),
        ) {
            // A ring makes a component of whatever else there is.
            let size = place(count);
            let mut edges: Vec<(u32, u32)> = (0..size).map(|at| (at, (at + 1) % size)).collect();
            edges.extend(chords.iter().map(|&(from, to)| (from % size, to % size)));
            let found = component(count, &edges).shortest_loop().unwrap();
            prop_assert!(is_loop(&edges, &found), "{found:?}");
            prop_assert_eq!(Some(found.len()), shortest_by_trying_all(count, &edges));
        }

        /// Few and long chords only: nothing else is as far from having short loops.
        #[test]
        fn no_loop_is_shorter_where_all_are_long(
            count in 50usize..400,
            chords in prop::collection::vec((any::<u32>(), 1u32..9), 1..60),
        ) {
            let size = place(count);
            let mut edges: Vec<(u32, u32)> = (0..size).map(|at| (at, (at + 1) % size)).collect();
            edges.extend(chords.iter().map(|&(from, by)| (from % size, (from % size + by) % size)));
            let found = component(count, &edges).shortest_loop().unwrap();
            prop_assert!(is_loop(&edges, &found), "{found:?}");
            prop_assert_eq!(Some(found.len()), shortest_by_trying_all(count, &edges));
        }
    }

    /// Twice the groups took more than three times as long, for a loop a step shorter.
    #[test]
    fn a_search_for_something_shorter_ends() {
        let steps = |size: u32| {
            let edges = (0..size).flat_map(|at| [(at, (at + 2) % size), (at, (at + 3) % size)]);
            let component = component(size as usize, &edges.collect::<Vec<_>>());
            let (found, steps) = component.search();
            assert!(found.unwrap().length >= size as usize / 3);
            steps
        };
        let (one, two) = (steps(10_000), steps(20_000));
        assert!(one > STEPS && two < 5 * one / 2, "{one} {two}");
    }

    #[test]
    fn more_starts_than_searches_go_together_are_all_searched_from() {
        // 600 loops of three through one vertex each, one of two in the last.
        let mut edges = Vec::new();
        for at in 0..600u32 {
            let (a, b) = (1 + 2 * at, 2 + 2 * at);
            edges.extend([(a, b), (b, 0), (0, a), (b, if at == 599 { a } else { 0 })]);
        }
        assert_eq!(component(1201, &edges).shortest_loop().unwrap().len(), 2);
    }
}
