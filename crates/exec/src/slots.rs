//! What there is only so much of for all processes of this machine: each slot is a byte of one file, which the kernel keeps
//! locked for whoever has it, and lets go when that ends, however it does. The file is empty and never deleted.
//!
//! Nobody starves: whoever was turned away marks that it wants, and nobody takes a slot past one that wants unless it was
//! turned away itself.

use crate::byte_locks::Bytes;
use crate::files;
use anyhow::Context;
use nix::libc;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How many bytes a pool has: as many slots, and as many places for those that want some.
const BYTES: i64 = 1 << 20;
const SLOTS: usize = 1 << 19;

/// The slots of all pools; without a file each process has its own.
#[derive(Debug)]
pub struct Slots {
    file: Option<File>,
    turned_away: Cell<bool>,
}

/// So many slots that have a name in common, and those of them that this process has.
#[derive(Debug)]
pub struct Pool {
    base: i64,
    most: usize,
    /// By slot whether this process has it, as far as it ever had one.
    taken: Vec<bool>,
    held: usize,
    /// Where a free one is looked for first.
    next: usize,
    wants: bool,
    asked: bool,
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
        Ok(Self { file: Some(file), turned_away: Cell::new(false) })
    }

    /// Returns slots that are shared with nobody.
    pub fn own() -> Self {
        Self { file: None, turned_away: Cell::new(false) }
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
        while pool.held > wanted {
            self.give_back(pool);
        }
        while pool.held < wanted.min(pool.most) && self.take(pool) {}
        pool.held
    }

    /// Gives back what is more than this, and wants no more unless it was asked since the last time.
    pub fn settle(&self, pool: &mut Pool, needed: usize) {
        while pool.held > needed {
            self.give_back(pool);
        }
        if !std::mem::take(&mut pool.asked) {
            self.want(pool, false);
        }
    }

    fn take(&self, pool: &mut Pool) -> bool {
        pool.asked = true;
        let may = pool.wants || !self.is_wanted(pool);
        let free = (0..pool.most).map(|at| (pool.next + at) % pool.most);
        let found = free
            .filter(|_| may)
            .filter(|&at| !pool.taken.get(at).copied().unwrap_or(false))
            .find(|&at| self.lock(pool.base + at as i64));
        let Some(at) = found else {
            self.turned_away.set(true);
            self.want(pool, true);
            return false;
        };
        if pool.taken.len() <= at {
            pool.taken.resize(at + 1, false);
        }
        pool.taken[at] = true;
        pool.held += 1;
        pool.next = (at + 1) % pool.most;
        self.want(pool, false);
        true
    }

    fn give_back(&self, pool: &mut Pool) {
        let Some(at) = pool.taken.iter().rposition(|taken| *taken) else { return };
        self.unlock(pool.base + at as i64);
        pool.taken[at] = false;
        pool.held -= 1;
        pool.next = at;
    }

    /// Marks that this process wants a slot, or that it no longer does.
    fn want(&self, pool: &mut Pool, wants: bool) {
        if pool.wants != wants {
            let own = pool.base + SLOTS as i64 + i64::from(std::process::id()) % SLOTS as i64;
            match wants {
                true => _ = self.lock(own),
                false => self.unlock(own),
            }
            pool.wants = wants;
        }
    }

    /// Tells whether another process wants a slot of the pool.
    fn is_wanted(&self, pool: &Pool) -> bool {
        let wanting = Bytes { start: pool.base + SLOTS as i64, length: SLOTS as i64 };
        self.file.as_ref().is_some_and(|file| wanting.are_locked(file))
    }

    /// Locks a byte; tells whether that could be done.
    fn lock(&self, at: i64) -> bool {
        self.file.as_ref().is_none_or(|file| Bytes::one(at).lock(file))
    }

    fn unlock(&self, at: i64) {
        if let Some(file) = &self.file {
            Bytes::one(at).unlock(file);
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
        let base = i64::try_from(hash >> 22).unwrap_or(0) * BYTES;
        let most = most.clamp(1, SLOTS);
        Self { base, most, taken: Vec::new(), held: 0, next: 0, wants: false, asked: false }
    }

    /// Returns how many slots this process has.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Tells whether others have what it wants.
    pub fn is_wanting(&self) -> bool {
        self.wants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(slots[1].hold(&mut pools[2], 9), 3);
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

    #[test]
    fn without_a_file_a_process_has_its_own() {
        let slots = Slots::own();
        let mut pool = Pool::named("fanout", 2);
        assert_eq!((slots.hold(&mut pool, 5), slots.hold(&mut pool, 1)), (2, 1));
    }
}
