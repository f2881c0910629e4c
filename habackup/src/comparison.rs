//! What would change: entries of a snapshot beside what stands on the live system, or beside those
//! of another snapshot. Changes nothing.

use crate::exclude::Excludes;
use crate::manifest::{Entry, Kind, Reader};
use crate::owner::OwnerMap;
use crate::progress::Progress;
use crate::root::{Root, Trouble};
use crate::verbatim::Verbatim;
use crate::walk;
use nix::fcntl::openat;
use nix::sys::stat::Mode;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// In what respect two things at one path differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    Type,
    Contents,
    Target,
    Owner,
    Mode,
    Time,
    Attributes,
    Links,
}

impl Aspect {
    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Contents => "contents",
            Self::Target => "target",
            Self::Owner => "owner",
            Self::Mode => "mode",
            Self::Time => "time",
            Self::Attributes => "attributes",
            Self::Links => "links",
        }
    }
}

/// What restoring an entry would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Unchanged,
    Updated(Vec<Aspect>),
    New,
    /// It cannot be restored, and why; then nothing is.
    Conflict(String),
    /// It is left out, and why.
    Skipped(String),
}

/// An entry of a snapshot with what restoring it would do.
#[derive(Debug, Clone)]
pub struct Item {
    pub entry: Entry,
    pub change: Change,
}

/// A snapshot beside the live system.
#[derive(Debug, Default)]
pub struct Comparison {
    pub items: Vec<Item>,
    /// What is there and not in the snapshot; restoring leaves it alone.
    pub extra: Vec<Verbatim>,
}

impl Comparison {
    /// Returns the items that would be changed.
    pub fn changing(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| matches!(item.change, Change::New | Change::Updated(_)))
    }

    /// Returns how many items would be: unchanged, updated, new.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Change) -> bool| {
            self.items.iter().filter(|item| !item.entry.parent && wanted(&item.change)).count()
        };
        (
            count(|change| *change == Change::Unchanged),
            count(|change| matches!(change, Change::Updated(_))),
            count(|change| *change == Change::New),
        )
    }
}

/// Compares entries with the live system; owners as the map translates them.
///
/// # Errors
/// When something on the live system cannot be read: what is unknown is not called unchanged.
pub fn with_live(
    entries: Vec<Entry>,
    live: &mut Root,
    owners: &mut OwnerMap,
    excludes: &Excludes,
    progress: &mut Progress<'_>,
) -> anyhow::Result<Comparison> {
    let extra = extra(&entries, live, excludes);
    let mut firsts: HashMap<u64, Option<(u64, u64)>> = HashMap::new();
    let mut items = Vec::with_capacity(entries.len());
    for mut entry in entries {
        progress.file()?;
        (entry.uid, entry.gid) = owners.translate(&entry);
        let change = change(&entry, live, &mut firsts, progress)?;
        items.push(Item { entry, change });
    }
    Ok(Comparison { items, extra })
}

fn change(
    entry: &Entry,
    live: &mut Root,
    firsts: &mut HashMap<u64, Option<(u64, u64)>>,
    progress: &mut Progress<'_>,
) -> anyhow::Result<Change> {
    let mut found = match live.look(&entry.path) {
        Ok(found) => found,
        Err(Trouble::Missing) if entry.kind == Kind::Socket => {
            return Ok(Change::Skipped("a socket".to_owned()));
        }
        Err(Trouble::Missing) => {
            // Its other names are joined to the one that is made.
            entry.link_group.map(|group| firsts.entry(group).or_insert(None));
            return Ok(Change::New);
        }
        Err(trouble @ Trouble::Through(_)) => return Ok(Change::Conflict(trouble.to_string())),
        Err(Trouble::Other(error)) => anyhow::bail!("look at {}: {}", entry.path, error.desc()),
    };
    if entry.kind == Kind::Socket {
        return Ok(Change::Skipped("a socket".to_owned()));
    }
    if (found.kind == Kind::Directory) != (entry.kind == Kind::Directory) {
        return Ok(Change::Conflict(format!(
            "is a {} here and a {} in the snapshot; move it away",
            found.kind.word(),
            entry.kind.word()
        )));
    }
    if entry.parent {
        return Ok(Change::Unchanged);
    }
    if entry.kind == Kind::File && found.kind == Kind::File && found.size == entry.size {
        live.hash(&mut found, &mut |count| progress.bytes(count))?;
    }
    let mut aspects = aspects(entry, &found);
    if let Some(group) = entry.link_group {
        let first = *firsts.entry(group).or_insert(Some((found.device, found.inode)));
        if first != Some((found.device, found.inode)) {
            aspects.push(Aspect::Links);
        }
    }
    if aspects.is_empty() {
        return Ok(Change::Unchanged);
    }
    if live.is_fixed(&entry.path) {
        return Ok(Change::Conflict("is immutable here; chattr -ia it, or leave it out".to_owned()));
    }
    Ok(Change::Updated(aspects))
}

/// Returns in what respects two things differ.
pub fn aspects(a: &Entry, b: &Entry) -> Vec<Aspect> {
    let differs = [
        (Aspect::Type, a.kind != b.kind || a.device_number != b.device_number),
        (Aspect::Contents, a.kind == Kind::File && (a.size != b.size || a.blake3 != b.blake3)),
        (Aspect::Target, a.target != b.target),
        (Aspect::Owner, (a.uid, a.gid) != (b.uid, b.gid)),
        // The mode of a link means nothing.
        (Aspect::Mode, a.mode != b.mode && a.kind != Kind::Symlink),
        // A folder's time changes with every file in it.
        (Aspect::Time, a.mtime_ns != b.mtime_ns && a.kind != Kind::Directory),
        (Aspect::Attributes, a.xattrs != b.xattrs),
    ];
    differs.into_iter().filter_map(|(aspect, differs)| differs.then_some(aspect)).collect()
}

/// Returns what is in the folders of the entries and not among them.
fn extra(entries: &[Entry], live: &mut Root, excludes: &Excludes) -> Vec<Verbatim> {
    let known: HashSet<&[u8]> = entries.iter().map(|entry| entry.path.as_bytes()).collect();
    let mut extra = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Directory && !entry.parent) {
        // What cannot be listed is found out, and told, when it is compared.
        let Ok(place) = live.place(&entry.path) else { continue };
        let opened = openat(&*place.folder, place.name.as_c_str(), crate::store::FOLDER, Mode::empty());
        let Ok(names) = opened.and_then(walk::names) else { continue };
        for name in names {
            let path = walk::join(entry.path.as_bytes(), &name);
            if !known.contains(path.as_slice()) && !excludes.matches(&path) {
                extra.push(Verbatim::new(path));
            }
        }
    }
    extra
}

/// What differs between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Added,
    Removed,
    Changed(Vec<Aspect>),
}

/// Compares two snapshots by their manifests alone, read side by side: both stand in walk order.
/// Nothing is returned unless both are whole.
///
/// # Errors
/// When one of them cannot be read to its end.
pub fn between(mut old: Reader, mut new: Reader) -> anyhow::Result<Vec<(Verbatim, Step)>> {
    let mut found = Vec::new();
    let (mut before, mut after) = (next(&mut old)?, next(&mut new)?);
    loop {
        let order = match (&before, &after) {
            (None, None) => return Ok(found),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => before.path.cmp(&after.path),
        };
        match order {
            Ordering::Less => {
                found.extend(before.map(|entry| (entry.path, Step::Removed)));
                before = next(&mut old)?;
            }
            Ordering::Greater => {
                found.extend(after.map(|entry| (entry.path, Step::Added)));
                after = next(&mut new)?;
            }
            Ordering::Equal => {
                if let (Some(before), Some(after)) = (before, after) {
                    let aspects = aspects(&before, &after);
                    if !aspects.is_empty() {
                        found.push((after.path, Step::Changed(aspects)));
                    }
                }
                (before, after) = (next(&mut old)?, next(&mut new)?);
            }
        }
    }
}

/// Returns the next entry that was asked for itself.
fn next(reader: &mut Reader) -> anyhow::Result<Option<Entry>> {
    while let Some(entry) = reader.next_entry()? {
        if !entry.parent {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}
