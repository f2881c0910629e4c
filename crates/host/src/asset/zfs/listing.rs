//! What `zpool import` lists of pools that are not imported here: which, on what devices, in what
//! health, and whether somebody uses them.
//!
//! Listing imports nothing. Where the pool is in use by its label and its property multihost is on,
//! the kernel watches it for a while first (the activity check), so the answer may take half a minute.

use anyhow::{Context, bail};

/// Whether somebody uses the pool, as far as the kernel can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastUse {
    /// Nobody does: it was exported, or this host itself used it last.
    Unused,
    /// Somebody writes to it now.
    Active,
    /// Another host used it last; nobody was seen writing, where there was an activity check.
    Quiet,
}

/// One pool that could be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedPool {
    pub(super) name: String,
    pub(super) guid: u64,
    /// `ONLINE`, `DEGRADED`, `UNAVAIL`, `FAULTED`.
    pub(super) health: String,
    /// What is wrong, in the words of ZFS.
    pub(super) status: String,
    pub(super) seen: LastUse,
    /// Its devices, by the last part of their paths.
    pub(super) leaves: Vec<String>,
    /// The devices that are not well, each with how it is.
    pub(super) faults: Vec<String>,
}

impl ListedPool {
    /// Reads everything that was listed.
    ///
    /// # Errors
    /// When a pool is listed in another form than is known.
    pub(super) fn read_all(text: &str) -> anyhow::Result<Vec<Self>> {
        let mut pools: Vec<Vec<&str>> = Vec::new();
        for line in text.lines() {
            if key(line).is_some_and(|(key, _)| key == "pool") {
                pools.push(Vec::new());
            }
            if let Some(pool) = pools.last_mut() {
                pool.push(line);
            }
        }
        pools.iter().map(|lines| Self::read(lines)).collect()
    }

    fn read(lines: &[&str]) -> anyhow::Result<Self> {
        let name = find(lines, "pool").context("zpool import lists a pool without name")?;
        let need =
            |key: &str| find(lines, key).with_context(|| format!("zpool import lists no {key} of {name}"));
        let guid =
            need("id")?.parse().with_context(|| format!("zpool import lists no number as id of {name}"))?;
        let status = find(lines, "status").unwrap_or_default();
        let devices = devices(lines);
        let pool = devices.first().with_context(|| format!("zpool import lists no devices of {name}"))?;
        if pool.name != name {
            bail!("zpool import lists the devices of {} as those of {name}", pool.name);
        }
        let is_leaf =
            |index: usize| devices.get(index + 1).is_none_or(|next| next.depth <= devices[index].depth);
        let leaves: Vec<&PoolDevice<'_>> =
            (1..devices.len()).filter(|index| is_leaf(*index)).map(|index| &devices[index]).collect();
        let faults = leaves.iter().filter(|leaf| leaf.state != "ONLINE");
        Ok(Self {
            guid,
            health: need("state")?,
            seen: seen(&status),
            faults: faults.map(|leaf| format!("{} {}", leaf.name, leaf.state)).collect(),
            leaves: leaves.iter().map(|leaf| leaf.name.to_owned()).collect(),
            status,
            name,
        })
    }
}

fn seen(status: &str) -> LastUse {
    if status.contains("currently imported by another system") {
        LastUse::Active
    } else if status.contains("last accessed by another system") {
        LastUse::Quiet
    } else {
        LastUse::Unused
    }
}

/// One line of the tree of devices.
struct PoolDevice<'t> {
    depth: usize,
    name: &'t str,
    /// With what is said beside it.
    state: String,
}

fn devices<'t>(lines: &[&'t str]) -> Vec<PoolDevice<'t>> {
    let tree = lines.iter().skip_while(|line| key(line).is_none_or(|(key, _)| key != "config")).skip(1);
    tree.filter_map(|line| {
        let line = line.strip_prefix('\t')?;
        let words = line.trim_start();
        let (name, state) = words.split_once(char::is_whitespace)?;
        let state = state.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(PoolDevice { depth: line.len() - words.len(), name, state })
    })
    .collect()
}

/// Returns a value with the lines that go on with it, as one line.
fn find(lines: &[&str], wanted: &str) -> Option<String> {
    let at = lines.iter().position(|line| key(line).is_some_and(|(key, _)| key == wanted))?;
    let (_, first) = key(lines[at])?;
    let more = lines[at + 1..].iter().map_while(|line| line.strip_prefix('\t'));
    Some(std::iter::once(first).chain(more).map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
}

/// Splits a line like `status: …` or ` action: …`; what goes on with it begins with a tab.
fn key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let word = key.trim_start_matches(' ');
    let is_key = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    is_key.then(|| (word, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> ListedPool {
        let all = ListedPool::read_all(text).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn every_listing_seen_in_the_lab_is_told_apart() {
        let cases = [
            (include_str!("../../../../../tests/fakes/zfs/import-exported.txt"), "ONLINE", LastUse::Unused),
            (include_str!("../../../../../tests/fakes/zfs/import-active.txt"), "UNAVAIL", LastUse::Active),
            (include_str!("../../../../../tests/fakes/zfs/import-quiet.txt"), "ONLINE", LastUse::Quiet),
            (include_str!("../../../../../tests/fakes/zfs/import-unguarded.txt"), "ONLINE", LastUse::Quiet),
            (include_str!("../../../../../tests/fakes/zfs/import-no-hostid.txt"), "UNAVAIL", LastUse::Unused),
            (include_str!("../../../../../tests/fakes/zfs/import-degraded.txt"), "DEGRADED", LastUse::Unused),
        ];
        for (text, health, seen) in cases {
            let found = listed(text);
            assert_eq!(
                (found.name.as_str(), found.health.as_str(), found.seen),
                ("tank", health, seen),
                "{text}"
            );
            assert!(found.leaves.iter().any(|leaf| leaf == "virtio-shared0-part1"), "{text}");
        }
    }

    #[test]
    fn what_goes_on_in_the_next_line_belongs_to_the_word_before() {
        let found = listed(include_str!("../../../../../tests/fakes/zfs/import-no-hostid.txt"));
        assert!(found.status.ends_with("when the system hostid is not set."), "{}", found.status);
        assert_eq!(found.leaves, ["virtio-shared0-part1", "virtio-shared1-part1"]);
    }

    #[test]
    fn a_missing_leg_is_named() {
        let found = listed(include_str!("../../../../../tests/fakes/zfs/import-degraded.txt"));
        assert_eq!(found.faults.len(), 1, "{found:?}");
        assert!(found.faults[0].contains("UNAVAIL"), "{found:?}");
    }

    #[test]
    fn two_pools_of_one_name_are_two() {
        let all =
            ListedPool::read_all(include_str!("../../../../../tests/fakes/zfs/import-two.txt")).unwrap();
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["tank", "tank"]);
        assert_ne!(all[0].guid, all[1].guid);
        assert_eq!(all[0].leaves, ["virtio-shared0-part1"], "a pool of one device");
    }

    #[test]
    fn a_listing_cut_anywhere_is_read_in_part_or_rejected_and_never_a_panic() {
        let text = include_str!("../../../../../tests/fakes/zfs/import-active.txt");
        for end in 0..text.len() {
            if let Ok(pools) = ListedPool::read_all(&text[..end]) {
                assert!(pools.iter().all(|pool| pool.guid == 14_097_120_482_456_537_026), "{end}");
            }
        }
        assert!(ListedPool::read_all("   pool: tank\n     id: 7\n").is_err());
        assert_eq!(ListedPool::read_all("").unwrap(), []);
    }
}
