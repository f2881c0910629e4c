//! What there is only so much of for all processes of this machine: each slot is a byte of one file, which the kernel keeps
//! locked for whoever has it, and lets go when that ends, however it does. The file is empty and never deleted.
//!
//! Nobody starves: whoever is turned away takes a ticket, and no slot that it could use goes to somebody who came later.
//! Only where it leaves one free for long, as a stopped process does, others go past it for a while.

use crate::byte_locks::Bytes;
use crate::files;
use anyhow::Context;
use nix::libc;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many bytes a pool has: slots, behind them as many for tickets, and from [`HOLDERS`] on one for each process.
const BYTES: i64 = 1 << 23;
const SLOTS: usize = 1 << 19;

/// The number of a process is below this; whoever has slots has locked the byte of its own, so that others see who it is.
const HOLDERS: i64 = 1 << 22;

/// How many bytes a ticket has. As many of them are locked as the number of slots has digits, of which its holder uses
/// the first: so others see which.
const TICKET: i64 = 32;
const TICKETS: i64 = SLOTS as i64 / TICKET;

/// How long a free slot is left to somebody who came earlier and does not take it.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long it is passed then.
const PASSED: Duration = Duration::from_secs(10);

/// The slots of all pools; without a file each process has its own.
#[derive(Debug)]
pub struct Slots {
    file: Option<File>,
    turned_away: Cell<bool>,
    patience: Duration,
}

/// So many slots that have a name in common, and those of them that this process has.
#[derive(Debug)]
pub struct Pool {
    name: String,
    base: i64,
    most: usize,
    /// Those that this process has.
    taken: BTreeSet<usize>,
    /// Where a free one is looked for first, from there downwards: those at the low end are all that others may use.
    next: usize,
    ticket: Option<i64>,
    /// Since when one is free that is left to others.
    left_since: Option<Instant>,
    /// Tickets of others that do not use theirs, and until when they are passed.
    passed: BTreeMap<i64, Instant>,
    asked: bool,
}

/// Somebody who waits for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    ticket: i64,
    /// It can use those below this one.
    below: usize,
}

impl Slots {
    /// Returns slots that are shared with all who name the same file, which is made where it is missing.
    ///
    /// # Errors
    /// When the file cannot be made or opened.
    pub fn shared(path: &Path) -> anyhow::Result<Self> {
        if let Some(parent) = path.parent() {
            files::private_directory(parent)?;
        }
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = how.open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { file: Some(file), ..Self::own() })
    }

    /// Returns slots that are shared with nobody.
    pub fn own() -> Self {
        Self { file: None, turned_away: Cell::new(false), patience: PATIENCE }
    }

    /// Tells whether something was wanted, since the last [`Slots::forget`], that others have.
    pub fn turned_away(&self) -> bool {
        self.turned_away.get()
    }

    /// Begins to count anew what is wanted.
    pub fn forget(&self) {
        self.turned_away.set(false);
    }

    /// Takes or gives back slots of a pool until this process has so many; returns how many it has.
    pub fn hold(&self, pool: &mut Pool, wanted: usize) -> usize {
        while pool.held() > wanted {
            self.give_back(pool);
        }
        while pool.held() < wanted.min(pool.most) && self.take(pool) {}
        pool.held()
    }

    /// Gives back what is more than this, and wants no more unless it was asked since the last time.
    pub fn settle(&self, pool: &mut Pool, needed: usize) {
        while pool.held() > needed {
            self.give_back(pool);
        }
        if !std::mem::take(&mut pool.asked) {
            self.want_no_more(pool);
        }
    }

    fn take(&self, pool: &mut Pool) -> bool {
        pool.asked = true;
        let mut earlier = self.waiting(pool);
        earlier.retain(|one| pool.ticket.is_none_or(|own| one.ticket < own));
        let last = earlier.last().map(|one| one.ticket);
        let now = Instant::now();
        pool.passed.retain(|ticket, until| *until > now && earlier.iter().any(|one| one.ticket == *ticket));
        earlier.retain(|one| !pool.passed.contains_key(&one.ticket));
        let left = earlier.iter().map(|one| one.below).max().unwrap_or_default();
        let found = self.take_from(pool, left).or_else(|| self.take_past(pool, &earlier, left));
        let Some(at) = found else {
            self.turned_away.set(true);
            self.queue(pool, last);
            return false;
        };
        if pool.taken.is_empty() {
            self.lock(pool.holder());
        }
        pool.taken.insert(at);
        pool.next = at.checked_sub(1).unwrap_or(pool.most - 1);
        self.want_no_more(pool);
        true
    }

    /// Locks a slot from this one on.
    fn take_from(&self, pool: &Pool, first: usize) -> Option<usize> {
        pool.candidates().filter(|&at| at >= first).find(|&at| self.lock(pool.slot(at)))
    }

    /// Locks a slot that is left to these others, where one was free for long.
    fn take_past(&self, pool: &mut Pool, earlier: &[Waiting], left: usize) -> Option<usize> {
        let file = self.file.as_ref()?;
        let Some(free) = pool.candidates().find(|&at| at < left && !pool.slot(at).are_locked(file)) else {
            pool.left_since = None;
            return None;
        };
        let now = Instant::now();
        if now.duration_since(*pool.left_since.get_or_insert(now)) < self.patience {
            return None;
        }
        let idle = earlier.iter().filter(|one| one.below > free);
        pool.passed.extend(idle.map(|one| (one.ticket, now + PASSED)));
        self.lock(pool.slot(free)).then_some(free)
    }

    fn give_back(&self, pool: &mut Pool) {
        let Some(at) = pool.taken.pop_first() else { return };
        self.unlock(pool.slot(at));
        if pool.taken.is_empty() {
            self.unlock(pool.holder());
        }
        pool.next = pool.next.max(at);
    }

    /// Takes a ticket behind all others, or the first that is free behind those before it.
    fn queue(&self, pool: &mut Pool, before: Option<i64>) {
        let first = before.map_or(0, |before| before + 1);
        let wanted = match pool.ticket {
            Some(own) if own <= first => return,
            Some(_) => first,
            None => self.waiting(pool).last().map_or(0, |last| last.ticket + 1),
        };
        // Where another was quicker it is tried again at the next turn.
        if wanted < TICKETS && self.lock(pool.ticket(wanted)) {
            let former = pool.ticket.replace(wanted);
            former.into_iter().for_each(|former| self.unlock(pool.ticket(former)));
        }
    }

    fn want_no_more(&self, pool: &mut Pool) {
        pool.left_since = None;
        pool.ticket.take().into_iter().for_each(|ticket| self.unlock(pool.ticket(ticket)));
    }

    /// Returns the other processes that wait for a slot, those that came first first.
    fn waiting(&self, pool: &Pool) -> Vec<Waiting> {
        let Some(file) = &self.file else { return Vec::new() };
        let tickets = pool.base + SLOTS as i64;
        let mut waiting = Vec::new();
        let mut parts = vec![(0, TICKETS)];
        // The kernel names any of several. A ticket only ever moves to the front, so who looks at the back first misses none.
        while let Some((from, end)) = parts.pop() {
            let bytes = Bytes { start: tickets + from * TICKET, length: (end - from) * TICKET };
            let Some(met) = (if from < end { bytes.locked(file) } else { None }) else { continue };
            let ticket = (met.start - tickets).div_euclid(TICKET).clamp(from, end - 1);
            let digits = u32::try_from(met.length).unwrap_or(u32::MAX).saturating_sub(1);
            waiting.push(Waiting { ticket, below: 1_usize.checked_shl(digits).unwrap_or(SLOTS) });
            parts.extend([(from, ticket), (ticket + 1, end)]);
        }
        waiting.sort_unstable_by_key(|one| one.ticket);
        waiting
    }

    /// Returns the other processes that have slots of a pool, by their numbers as they see them.
    pub fn holders(&self, pool: &Pool) -> Vec<u32> {
        let Some(file) = &self.file else { return Vec::new() };
        let first = pool.base + HOLDERS;
        let mut holders = Vec::new();
        let mut parts = vec![(0, HOLDERS)];
        while let Some((from, end)) = parts.pop() {
            let bytes = Bytes { start: first + from, length: end - from };
            let Some(met) = (if from < end { bytes.locked(file) } else { None }) else { continue };
            let process = (met.start - first).clamp(from, end - 1);
            holders.extend(u32::try_from(process));
            parts.extend([(from, process), (process + 1, end)]);
        }
        holders.sort_unstable();
        holders
    }

    /// Locks bytes; tells whether that could be done.
    fn lock(&self, bytes: Bytes) -> bool {
        self.file.as_ref().is_none_or(|file| bytes.lock(file))
    }

    fn unlock(&self, bytes: Bytes) {
        if let Some(file) = &self.file {
            bytes.unlock(file);
        }
    }
}

impl Pool {
    /// Returns a pool of this name. Two that differ in their size are one, of which each uses so many.
    pub fn named(name: &str, most: usize) -> Self {
        // FNV-1a: the same in all releases. Two names that meet would share their slots, which is no harm.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let base = i64::try_from(hash >> 25).unwrap_or(0) * BYTES;
        let most = most.clamp(1, SLOTS);
        Self {
            name: name.to_owned(),
            base,
            most,
            taken: BTreeSet::new(),
            next: most - 1,
            ticket: None,
            left_since: None,
            passed: BTreeMap::new(),
            asked: false,
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many slots this process has.
    pub fn held(&self) -> usize {
        self.taken.len()
    }

    /// Tells whether others have what it wants.
    pub fn is_wanting(&self) -> bool {
        self.ticket.is_some()
    }

    /// Returns those that this process has not, in the order in which it tries to take one.
    fn candidates(&self) -> impl Iterator<Item = usize> {
        let all = (0..=self.next).rev().chain((self.next + 1..self.most).rev());
        all.filter(|at| !self.taken.contains(at))
    }

    /// Returns the byte that says that this process has some.
    fn holder(&self) -> Bytes {
        Bytes::one(self.base + HOLDERS + i64::from(std::process::id()).min(HOLDERS - 1))
    }

    fn slot(&self, at: usize) -> Bytes {
        Bytes::one(self.base + at as i64)
    }

    /// Returns the bytes of a ticket: the next power of two says how many slots it is for.
    fn ticket(&self, ticket: i64) -> Bytes {
        let digits = i64::from(self.most.next_power_of_two().trailing_zeros()) + 1;
        Bytes { start: self.base + SLOTS as i64 + ticket * TICKET, length: digits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn three() -> (tempfile::TempDir, Vec<Slots>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/slots.lock");
        let slots = (0..3).map(|_| Slots::shared(&path).unwrap()).collect();
        (dir, slots)
    }

    #[test]
    fn all_together_have_no_more_than_there_are() {
        let (_dir, slots) = three();
        let mut pools: Vec<Pool> = (0..3).map(|_| Pool::named("fanout", 4)).collect();
        assert_eq!(slots[0].hold(&mut pools[0], 3), 3);
        assert_eq!(slots[1].hold(&mut pools[1], 3), 1);
        assert!(slots[1].turned_away() && !slots[0].turned_away());
        assert_eq!(slots[0].hold(&mut Pool::named("another", 1), 1), 1, "pools have nothing in common");
        slots[0].settle(&mut pools[0], 1);
        assert_eq!(slots[1].hold(&mut pools[1], 3), 3);
        // Whoever ends, however that may be, has none any more.
        let mut slots = slots;
        drop(slots.remove(1));
        // A child that another test has just forked has them, too, until it becomes its program.
        let has_three = || {
            std::thread::sleep(Duration::from_millis(1));
            slots[1].hold(&mut pools[2], 9) == 3
        };
        assert!(std::iter::repeat_with(has_three).take(10_000).any(|has| has));
    }

    #[test]
    fn nobody_takes_a_slot_past_one_that_wants_it() {
        let (_dir, slots) = three();
        let mut pools: Vec<Pool> = (0..3).map(|_| Pool::named("fanout", 2)).collect();
        assert_eq!(slots[0].hold(&mut pools[0], 2), 2);
        assert_eq!(slots[1].hold(&mut pools[1], 1), 0);
        slots[0].settle(&mut pools[0], 1);
        assert_eq!(slots[0].hold(&mut pools[0], 2), 1, "the other was turned away first");
        assert_eq!(slots[1].hold(&mut pools[1], 1), 1);
        // It wants no more, and the first may go on as soon as there is one.
        slots[1].settle(&mut pools[1], 0);
        assert_eq!(slots[0].hold(&mut pools[0], 2), 2);
        // Who no longer asks no longer wants.
        assert_eq!(slots[1].hold(&mut pools[1], 1), 0);
        slots[1].settle(&mut pools[1], 0);
        slots[1].settle(&mut pools[1], 0);
        slots[0].settle(&mut pools[0], 0);
        assert_eq!(slots[0].hold(&mut pools[0], 2), 2);
    }

    /// Nobody could tell who had them.
    #[test]
    fn who_has_slots_is_seen_until_the_last_is_given_back() {
        let (_dir, slots) = three();
        let mut pools: Vec<Pool> = (0..3).map(|_| Pool::named("fanout", 2)).collect();
        assert!(slots[1].holders(&pools[1]).is_empty());
        slots[0].hold(&mut pools[0], 2);
        slots[2].hold(&mut Pool::named("another", 1), 1);
        assert_eq!(slots[1].holders(&pools[1]), [std::process::id()]);
        slots[0].hold(&mut pools[0], 1);
        assert_eq!(slots[1].holders(&pools[1]), [std::process::id()]);
        slots[0].hold(&mut pools[0], 0);
        assert!(slots[1].holders(&pools[1]).is_empty());
    }

    /// Whoever uses only the first slots never came to its turn, as others kept those and gave back the rest.
    #[test]
    fn whoever_may_have_fewer_comes_to_its_turn_beside_one_that_always_wants_more() {
        let (_dir, slots) = three();
        let (mut small, mut large) = (Pool::named("fanout", 2), Pool::named("fanout", 8));
        assert_eq!(slots[0].hold(&mut large, 8), 8);
        assert_eq!(slots[1].hold(&mut small, 1), 0);
        for turn in 0.. {
            assert!(turn < 8, "it waits for ever");
            // A call ends and the next is wanted at once.
            let held = large.held();
            slots[0].hold(&mut large, held - 1);
            slots[0].hold(&mut large, 8);
            if slots[1].hold(&mut small, 1) == 1 {
                break;
            }
        }
        assert_eq!(large.held(), 7, "what it cannot use is nobody's to leave");
    }

    #[test]
    fn who_does_not_take_what_is_left_to_it_is_passed_after_a_while() {
        let (_dir, mut slots) = three();
        let mut pools: Vec<Pool> = (0..2).map(|_| Pool::named("fanout", 1)).collect();
        assert_eq!(slots[0].hold(&mut pools[0], 1), 1);
        assert_eq!(slots[1].hold(&mut pools[1], 1), 0);
        slots[0].settle(&mut pools[0], 0);
        slots[0].patience = Duration::MAX;
        assert_eq!(slots[0].hold(&mut pools[0], 1), 0);
        slots[0].patience = Duration::ZERO;
        for _ in 0..3 {
            assert_eq!(slots[0].hold(&mut pools[0], 1), 1, "the other is stopped");
            slots[0].settle(&mut pools[0], 0);
            slots[0].patience = Duration::MAX;
        }
        assert_eq!(slots[1].hold(&mut pools[1], 1), 1, "it is no longer");
    }

    proptest! {
        /// Runs that differ in how many they use want more and have less, in any order.
        #[test]
        fn no_slot_goes_past_one_that_could_use_it_and_all_come_to_their_turn(
            sizes in prop::collection::vec(1..9_usize, 2..5),
            steps in prop::collection::vec((0..5_usize, any::<bool>()), 1..120),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut runs: Vec<(Slots, Pool)> = sizes.iter().map(|&most| {
                let slots = Slots::shared(&dir.path().join("slots.lock")).unwrap();
                (Slots { patience: Duration::MAX, ..slots }, Pool::named("fanout", most))
            }).collect();
            // Those that were turned away, in that order.
            let mut queue: Vec<usize> = Vec::new();
            for (at, more) in steps {
                let at = at % runs.len();
                if !more {
                    let (slots, pool) = &mut runs[at];
                    let held = pool.held();
                    slots.hold(pool, held.saturating_sub(1));
                    continue;
                }
                let (before, most) = (runs[at].1.held(), sizes[at]);
                if before == most {
                    continue;
                }
                let all: BTreeSet<usize> = runs.iter().flat_map(|(_, pool)| pool.taken.clone()).collect();
                let place = queue.iter().position(|&one| one == at).unwrap_or(queue.len());
                // What a ticket says is rounded up.
                let left = queue[..place].iter().map(|&one| sizes[one].next_power_of_two()).max();
                let (slots, pool) = &mut runs[at];
                let has = slots.hold(pool, before + 1) == before + 1;
                let may = (left.unwrap_or_default()..most).any(|slot| !all.contains(&slot));
                prop_assert_eq!(has, may);
                match has {
                    true => queue.retain(|&one| one != at),
                    false if place == queue.len() => queue.push(at),
                    false => {}
                }
            }
            // Each gives back what it has, and wants one more as long as somebody waits.
            let turns: usize = runs.iter().map(|(_, pool)| pool.held()).sum::<usize>() + queue.len();
            let waiting: BTreeSet<usize> = queue.into_iter().collect();
            let mut served = BTreeSet::new();
            for _ in 0..=turns {
                for (at, (slots, pool)) in runs.iter_mut().enumerate() {
                    let held = pool.held();
                    slots.hold(pool, held.saturating_sub(1));
                    let held = pool.held();
                    if slots.hold(pool, held + 1) > held {
                        served.insert(at);
                    }
                }
            }
            prop_assert!(waiting.is_subset(&served), "{:?} of {:?}", served, waiting);
        }
    }

    #[test]
    fn without_a_file_a_process_has_its_own() {
        let slots = Slots::own();
        let mut pool = Pool::named("fanout", 2);
        assert_eq!((slots.hold(&mut pool, 5), slots.hold(&mut pool, 1)), (2, 1));
    }
}
