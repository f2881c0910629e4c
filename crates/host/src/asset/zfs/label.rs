//! What a pool's devices say of it, read by `zdb -l -u` without importing anything.
//!
//! Every device of a pool carries four copies of a label. It says who held the pool last, whether
//! it was exported, and in which transaction group that was written: after every import there is a
//! later one. `zdb` reads it past the cache of the device (it flushes that first) and runs under a
//! deadline, where a read of our own from a dead path would hang for ever.

use anyhow::Context;

/// The label of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolLabel {
    pub(super) name: String,
    pub(super) guid: u64,
    pub(super) use_of: Use,
    pub(super) txg: u64,
    /// The host that wrote it; a host without hostid leaves none.
    pub(super) hostid: Option<u32>,
    pub(super) hostname: String,
    /// Whether its host kept writing a sign of life, so that another one can see whether it is alive.
    pub(super) is_guarded: bool,
    /// When it was last written to, in seconds since 1970.
    pub(super) last: Option<i64>,
}

/// `POOL_STATE_…` of the on-disk format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Imported somewhere, or its host died with it.
    Active,
    Exported,
    /// Destroyed, a spare, a cache device …
    Other(u64),
}

impl PoolLabel {
    /// Returns the newest of the labels that `zdb` printed of one device; `None` when it has none.
    ///
    /// # Errors
    /// When there is one that cannot be understood.
    pub(super) fn newest(text: &str) -> anyhow::Result<Option<Self>> {
        let mut newest: Option<Self> = None;
        for section in text.split("LABEL ").skip(1).filter(|section| section.contains("\n    pool_guid: ")) {
            let label = Self::read(section)?;
            if newest.as_ref().is_none_or(|known| label.txg > known.txg) {
                newest = Some(label);
            }
        }
        if let (Some(newest), Some(block)) = (&mut newest, Uberblock::newest(text)) {
            newest.is_guarded = block.mmp_delay > 0;
            newest.last = Some(block.timestamp);
        }
        Ok(newest)
    }

    fn read(section: &str) -> anyhow::Result<Self> {
        let number = |key: &str| {
            let value = find(section, key).with_context(|| format!("the label has no {key}"))?;
            value.parse::<u64>().with_context(|| format!("the label has {key} \"{value}\""))
        };
        Ok(Self {
            name: find(section, "name").context("the label has no name")?.to_owned(),
            guid: number("pool_guid")?,
            use_of: match number("state")? {
                0 => Use::Active,
                1 => Use::Exported,
                other => Use::Other(other),
            },
            txg: number("txg")?,
            hostid: find(section, "hostid").and_then(|value| value.parse().ok()),
            hostname: find(section, "hostname").unwrap_or_default().to_owned(),
            is_guarded: false,
            last: None,
        })
    }

    /// Returns who wrote it, for people.
    pub(super) fn holder(&self) -> String {
        match (self.hostid, self.hostname.is_empty()) {
            (Some(id), false) => format!("{} (hostid {id:08x})", self.hostname),
            (Some(id), true) => format!("the host with hostid {id:08x}"),
            (None, false) => format!("{} (without hostid)", self.hostname),
            (None, true) => "a host without name and hostid".to_owned(),
        }
    }
}

/// What matters of one of the blocks that begin each transaction group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Uberblock {
    txg: u64,
    timestamp: i64,
    /// Nanoseconds between two signs of life; 0 when multihost is off.
    mmp_delay: u64,
}

impl Uberblock {
    fn newest(text: &str) -> Option<Self> {
        text.split("Uberblock[").skip(1).filter_map(Self::read).max()
    }

    fn read(block: &str) -> Option<Self> {
        let number = |key: &str| {
            let value = block.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(" = "))?;
            value.split_whitespace().next()
        };
        Some(Self {
            txg: number("txg")?.parse().ok()?,
            timestamp: number("timestamp")?.parse().ok()?,
            // Written by a version that knows no multihost.
            mmp_delay: number("mmp_delay").and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }
}

/// Returns a value of the label itself; those of devices below it are indented deeper.
fn find<'t>(section: &'t str, key: &str) -> Option<&'t str> {
    section.lines().find_map(|line| {
        let value = line.strip_prefix("    ")?.strip_prefix(key)?.strip_prefix(": ")?;
        Some(value.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> PoolLabel {
        PoolLabel::newest(text).unwrap().unwrap()
    }

    #[test]
    fn a_label_says_who_held_the_pool_and_whether_it_was_exported() {
        let active = label(include_str!("../../../../../tests/fakes/zfs/zdb-active.txt"));
        assert_eq!((active.name.as_str(), active.use_of), ("tank", Use::Active));
        assert_eq!(active.holder(), "ec1 (hostid 00ec0001)");
        assert!(active.is_guarded && active.last.is_some());
        let exported = label(include_str!("../../../../../tests/fakes/zfs/zdb-exported.txt"));
        assert_eq!((exported.use_of, exported.guid), (Use::Exported, active.guid));
        assert!(exported.txg > active.txg);
        assert!(!label(include_str!("../../../../../tests/fakes/zfs/zdb-unguarded.txt")).is_guarded);
        let none = include_str!("../../../../../tests/fakes/zfs/zdb-none.txt");
        assert_eq!(PoolLabel::newest(none).unwrap(), None);
    }

    #[test]
    fn of_labels_that_differ_the_newest_counts() {
        let old = include_str!("../../../../../tests/fakes/zfs/zdb-active.txt");
        let new = old.replace("    state: 0", "    state: 1").replace("    txg: 4\n", "    txg: 40\n");
        for text in [format!("{old}{new}"), format!("{new}{old}")] {
            assert_eq!((label(&text).txg, label(&text).use_of), (40, Use::Exported));
        }
    }

    #[test]
    fn a_label_that_cannot_be_understood_is_no_label_of_a_free_pool() {
        let text = include_str!("../../../../../tests/fakes/zfs/zdb-active.txt");
        assert!(PoolLabel::newest(&text.replace("    state: 0\n", "")).is_err());
        assert!(PoolLabel::newest(&text.replace("    txg: 4\n", "    txg: four\n")).is_err());
        assert_eq!(label(&text.replace("    hostid: 15466497\n", "")).holder(), "ec1 (without hostid)");
    }
}
