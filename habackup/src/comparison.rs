//! What would change: entries of a snapshot beside what stands on the live system, or beside those
//! of another snapshot. Changes nothing.

use crate::chosen::{Chosen, Numbered, Step as Choice};
use crate::exclude::Excludes;
use crate::manifest::{Entry, Kind, Reader, Remark};
use crate::progress::Progress;
use crate::root::{Root, Trouble};
use crate::verbatim::Verbatim;
use crate::walk;
use nix::fcntl::openat;
use nix::sys::stat::Mode;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::CString;

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

/// What restoring an entry changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Updated(Vec<Aspect>),
    New,
}

/// An entry of a snapshot that restoring would change something for; it is known by its number in the
/// manifest, because its path alone would take a multiple of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub number: u32,
    pub change: Change,
}

/// A snapshot beside the live system: what differs.
#[derive(Debug, Default)]
pub struct Comparison {
    /// In the order of the manifest.
    pub items: Vec<Item>,
    /// How many entries are as they were, shall be updated, shall be made.
    pub unchanged: usize,
    pub updated: usize,
    pub new: usize,
    /// What cannot be restored, and why; then nothing is.
    pub conflicts: Vec<Remark>,
    /// What is left out, and why.
    pub skipped: Vec<Remark>,
    /// What is this machine's identity, and left alone.
    pub left_alone: Vec<Verbatim>,
    /// What is there and not in the snapshot; restoring leaves it alone.
    pub extra: Vec<Verbatim>,
}

impl Comparison {
    fn note(&mut self, number: u32, entry: Entry, verdict: Verdict) {
        let remark = |reason| Remark { path: entry.path.clone(), reason };
        match verdict {
            Verdict::Conflict(why) => self.conflicts.push(remark(why)),
            Verdict::Skipped(why) => self.skipped.push(remark(why.to_owned())),
            Verdict::Unchanged if entry.parent => {}
            Verdict::Unchanged => self.unchanged += 1,
            Verdict::Change(change) => {
                // A folder above what is restored is made and not counted.
                match change {
                    _ if entry.parent => {}
                    Change::New => self.new += 1,
                    Change::Updated(_) => self.updated += 1,
                }
                self.items.push(Item { number, change });
            }
        }
    }
}

/// What is found of one entry.
#[derive(Debug)]
enum Verdict {
    Unchanged,
    Change(Change),
    Conflict(String),
    Skipped(&'static str),
}

/// Compares entries with the live system.
///
/// # Errors
/// When something on the live system cannot be read: what is unknown is not called unchanged.
pub fn with_live(
    chosen: &mut Chosen<'_>,
    live: &mut Root,
    excludes: &Excludes,
    progress: &mut Progress<'_>,
) -> anyhow::Result<Comparison> {
    let mut firsts: HashMap<u64, Option<(u64, u64)>> = HashMap::new();
    let mut found = Comparison::default();
    let mut extras = Extras { excludes, folders: Vec::new(), found: Vec::new() };
    let mut pass = chosen.pass()?;
    while let Some(Numbered { number, step }) = pass.next_step()? {
        match step {
            Choice::Entry(entry) => {
                progress.file()?;
                extras.pass(&entry.path);
                if entry.kind == Kind::Directory && !entry.parent {
                    extras.enter(&entry.path, live);
                }
                let verdict = verdict(&entry, live, &mut firsts, progress)?;
                found.note(number, entry, verdict);
            }
            Choice::LeftAlone(path) => {
                extras.pass(&path);
                found.left_alone.push(path);
            }
            Choice::Other => {}
        }
    }
    found.extra = extras.end();
    Ok(found)
}

fn verdict(
    entry: &Entry,
    live: &mut Root,
    firsts: &mut HashMap<u64, Option<(u64, u64)>>,
    progress: &mut Progress<'_>,
) -> anyhow::Result<Verdict> {
    let mut found = match live.look(&entry.path) {
        Ok(found) => found,
        Err(Trouble::Missing) if entry.kind == Kind::Socket => return Ok(Verdict::Skipped("a socket")),
        Err(Trouble::Missing) => {
            // Its other names are joined to the one that is made.
            entry.link_group.map(|group| firsts.entry(group).or_insert(None));
            return Ok(Verdict::Change(Change::New));
        }
        Err(trouble @ Trouble::Through(_)) => return Ok(Verdict::Conflict(trouble.to_string())),
        Err(Trouble::Other(error)) => anyhow::bail!("look at {}: {}", entry.path, error.desc()),
    };
    if entry.kind == Kind::Socket {
        return Ok(Verdict::Skipped("a socket"));
    }
    if (found.kind == Kind::Directory) != (entry.kind == Kind::Directory) {
        return Ok(Verdict::Conflict(format!(
            "is a {} here and a {} in the snapshot; move it away",
            found.kind.word(),
            entry.kind.word()
        )));
    }
    if entry.parent {
        return Ok(Verdict::Unchanged);
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
        return Ok(Verdict::Unchanged);
    }
    if live.is_fixed(&entry.path) {
        return Ok(Verdict::Conflict("is immutable here; chattr -ia it, or leave it out".to_owned()));
    }
    Ok(Verdict::Change(Change::Updated(aspects)))
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

/// Finds what is in the folders of the entries and not among them, read beside the manifest: both are
/// sorted alike.
#[derive(Debug)]
struct Extras<'a> {
    excludes: &'a Excludes,
    /// The folders the pass is in, outermost first, with the names in them not come past yet, last first.
    folders: Vec<(Verbatim, Vec<CString>)>,
    found: Vec<Verbatim>,
}

impl Extras<'_> {
    /// Begins a folder that stands in the manifest.
    fn enter(&mut self, path: &Verbatim, live: &mut Root) {
        // What cannot be listed is found out, and told, when it is compared.
        let Ok(place) = live.place(path) else { return };
        let opened = openat(&*place.folder, place.name.as_c_str(), crate::store::FOLDER, Mode::empty());
        let Ok(mut names) = opened.and_then(walk::names) else { return };
        names.reverse();
        self.folders.push((path.clone(), names));
    }

    /// Comes past a path of the manifest: what sorts before it beside it is in no manifest.
    fn pass(&mut self, path: &Verbatim) {
        while let Some((folder, _)) = self.folders.last()
            && !path.is_within(folder.as_bytes())
        {
            self.leave();
        }
        let Some((folder, names)) = self.folders.last_mut() else { return };
        let below = path.as_bytes().get(folder.as_bytes().len() + 1..).unwrap_or_default();
        let name = below.split(|&byte| byte == b'/').next().unwrap_or_default();
        while let Some(found) = names.pop_if(|found| found.as_bytes() <= name) {
            if found.as_bytes() != name {
                let path = walk::join(folder.as_bytes(), found.as_bytes());
                note_extra(path, self.excludes, &mut self.found);
            }
        }
    }

    fn leave(&mut self) {
        let Some((folder, names)) = self.folders.pop() else { return };
        for name in names.iter().rev() {
            let path = walk::join(folder.as_bytes(), name.as_bytes());
            note_extra(path, self.excludes, &mut self.found);
        }
    }

    fn end(mut self) -> Vec<Verbatim> {
        while !self.folders.is_empty() {
            self.leave();
        }
        self.found.sort();
        self.found
    }
}

fn note_extra(path: Vec<u8>, excludes: &Excludes, found: &mut Vec<Verbatim>) {
    if !excludes.matches(&path) {
        found.push(Verbatim::new(path));
    }
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
    let (mut old_firsts, mut new_firsts) = (Firsts::default(), Firsts::default());
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
                before.iter().for_each(|entry| drop(old_firsts.of(entry)));
                found.extend(before.map(|entry| (entry.path, Step::Removed)));
                before = next(&mut old)?;
            }
            Ordering::Greater => {
                after.iter().for_each(|entry| drop(new_firsts.of(entry)));
                found.extend(after.map(|entry| (entry.path, Step::Added)));
                after = next(&mut new)?;
            }
            Ordering::Equal => {
                if let (Some(before), Some(after)) = (before, after) {
                    let mut aspects = aspects(&before, &after);
                    if old_firsts.of(&before) != new_firsts.of(&after) {
                        aspects.push(Aspect::Links);
                    }
                    if !aspects.is_empty() {
                        found.push((after.path, Step::Changed(aspects)));
                    }
                }
                (before, after) = (next(&mut old)?, next(&mut new)?);
            }
        }
    }
}

/// The first name of each file with several names, by which its other names are known to be of one file.
#[derive(Debug, Default)]
struct Firsts(HashMap<u64, Verbatim>);

impl Firsts {
    /// Returns the first name of the file that an entry is a name of: its own where it has no other.
    fn of(&mut self, entry: &Entry) -> Verbatim {
        let own = || entry.path.clone();
        entry.link_group.map_or_else(own, |group| self.0.entry(group).or_insert_with(own).clone())
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
