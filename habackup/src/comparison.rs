//! What would change: entries of a snapshot beside what stands on the live system, or beside those
//! of another snapshot. Changes nothing.

use crate::apply;
use crate::base::{self, Beside};
use crate::left::Left;
use crate::manifest::{Entry, Kind, ManifestReader, Remark};
use crate::path_bytes::PathBytes;
use crate::progress::ShownProgress;
use crate::root::{Root, Trouble};
use crate::selection::{Choice, ChosenEntries, Numbered};
use crate::walk::{self, Listed, ListedName};
use nix::fcntl::openat;
use nix::sys::stat::Mode;
use orderly_exec::Status;
use orderly_host::exclude::Excludes;
use orderly_plan::ancestry::Changed;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
pub struct ComparedItem {
    pub number: u32,
    pub change: Change,
    /// What stood there when it was compared: nothing else is changed in place.
    pub compared: Option<Compared>,
    /// Device and inode of the folder that it lay in then; none where that was not there.
    pub within: Option<(u64, u64)>,
    /// Nobody but root can put another thing in its place.
    pub is_safe: bool,
}

/// What tells a file or folder from every other, and from itself after any change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub kind: Kind,
    pub inode: (u64, u64),
    pub owner: (u32, u32),
    pub ctime_ns: i128,
}

impl Compared {
    /// Returns what tells this thing from others.
    pub fn of(found: &Entry) -> Self {
        Self {
            kind: found.kind,
            inode: (found.device, found.inode),
            owner: (found.uid, found.gid),
            ctime_ns: found.ctime_ns,
        }
    }

    /// Tells whether it is the same folder: its times change with everything that is made in it.
    pub fn is_same_folder(&self, other: &Self) -> bool {
        (self.kind, self.inode, self.owner) == (other.kind, other.inode, other.owner)
    }
}

/// How many entries are as they were, shall be updated, shall be made.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct RestoreCounts {
    pub unchanged: usize,
    pub updated: usize,
    pub new: usize,
}

/// A snapshot beside the live system: what differs.
#[derive(Debug, Default)]
pub struct Comparison {
    /// In the order of the manifest.
    pub items: Vec<ComparedItem>,
    pub counts: RestoreCounts,
    /// What cannot be restored, and why; then nothing is.
    pub conflicts: Vec<Remark>,
    /// What has its place taken by something else, and is left as it is.
    pub left: Vec<Left>,
    /// What was changed here since the base, and not in the snapshot: it stays. By path, and by number.
    pub kept: Vec<PathBytes>,
    pub kept_numbers: HashSet<u32>,
    /// What was changed both here and in the snapshot since the base, among what is updated.
    pub both: Vec<PathBytes>,
    /// The first name of each file with several, where it stands: device and inode.
    pub firsts: HashMap<u64, Option<(u64, u64)>>,
    /// What is left out, and why.
    pub skipped: Vec<Remark>,
    /// What is this machine's identity, and left alone.
    pub left_alone: Vec<PathBytes>,
    /// What is there and not in the snapshot; restoring leaves it alone.
    pub extra: Vec<PathBytes>,
}

impl Comparison {
    fn note(&mut self, number: u32, entry: Entry, verdict: EntryVerdict, live: &mut Root) {
        let remark = |reason| Remark { path: entry.path.clone(), reason };
        match verdict {
            EntryVerdict::Conflict(path, reason) => {
                let remark = Remark { path, reason };
                if self.conflicts.last() != Some(&remark) {
                    self.conflicts.push(remark);
                }
            }
            EntryVerdict::Left(why) => Left::note(&mut self.left, &entry.path, || why),
            EntryVerdict::Skipped(why) => self.skipped.push(remark(why.to_owned())),
            EntryVerdict::Kept => {
                self.kept_numbers.insert(number);
                self.kept.push(entry.path);
            }
            EntryVerdict::Unchanged if entry.parent => {}
            EntryVerdict::Unchanged => self.counts.unchanged += 1,
            EntryVerdict::Change(change, compared, since) => {
                if since == Some(Changed::Both) {
                    self.both.push(entry.path.clone());
                }
                // A folder above what is restored is made and not counted.
                match change {
                    _ if entry.parent => {}
                    Change::New => self.counts.new += 1,
                    Change::Updated(_) => self.counts.updated += 1,
                }
                let folder = live.folder_of(&entry.path).ok();
                self.items.push(ComparedItem {
                    number,
                    change,
                    compared,
                    within: folder.as_ref().map(|folder| folder.identity),
                    is_safe: folder.is_none_or(|folder| folder.is_safe),
                });
            }
        }
    }
}

/// What is found of one entry.
#[derive(Debug)]
enum EntryVerdict {
    Unchanged,
    /// With who changed it since the base, where there is one.
    Change(Change, Option<Compared>, Option<Changed>),
    /// It was changed here since the base, and not in the snapshot.
    Kept,
    /// Nothing may be restored at all: the path that stands against it, and why.
    Conflict(PathBytes, String),
    /// Something else has its place.
    Left(String),
    Skipped(&'static str),
}

/// Compares entries with the live system. What was changed there alone since `base`, an older snapshot, stays.
///
/// # Errors
/// When something on the live system cannot be read: what is unknown is not called unchanged.
pub fn with_live(
    chosen: &mut ChosenEntries<'_>,
    live: &mut Root,
    excludes: &Excludes,
    base: Option<&mut ChosenEntries<'_>>,
    progress: &mut ShownProgress<'_>,
) -> anyhow::Result<Comparison> {
    let mut found = Comparison::default();
    let mut base = base.map(Beside::begin).transpose()?;
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
                let verdict =
                    if found.left.last().is_some_and(|left| entry.path.is_within(left.path.as_bytes())) {
                        EntryVerdict::Left(String::new())
                    } else {
                        let base = base.as_mut().map_or(Ok(None), |base| base.at(&entry.path))?;
                        verdict(&entry, base, live, &mut found.firsts, progress)?
                    };
                found.note(number, entry, verdict, live);
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
    base: Option<&Entry>,
    live: &mut Root,
    firsts: &mut HashMap<u64, Option<(u64, u64)>>,
    progress: &mut ShownProgress<'_>,
) -> anyhow::Result<EntryVerdict> {
    let mut found = match live.look(&entry.path) {
        Ok(found) => found,
        Err(Trouble::Missing) if entry.kind == Kind::Socket => return Ok(EntryVerdict::Skipped("a socket")),
        Err(Trouble::Missing) => {
            // Its other names are joined to the one that is made.
            entry.link_group.map(|group| firsts.entry(group).or_insert(None));
            return Ok(closed(entry, live).unwrap_or(EntryVerdict::Change(Change::New, None, None)));
        }
        Err(trouble @ Trouble::Through(_)) => return Ok(EntryVerdict::Left(trouble.to_string())),
        // Who may put things there could otherwise stop every restore with one that nobody can look at.
        Err(Trouble::Other(error)) if !is_safe(live, &entry.path) => {
            return Ok(EntryVerdict::Left(format!("cannot be looked at: {}", error.desc())));
        }
        Err(Trouble::Other(error)) => anyhow::bail!("look at {}: {}", entry.path, error.desc()),
    };
    if entry.kind == Kind::Socket {
        return Ok(EntryVerdict::Skipped("a socket"));
    }
    if (found.kind == Kind::Directory) != (entry.kind == Kind::Directory) {
        return Ok(EntryVerdict::Left(format!(
            "is a {} here and a {} in the snapshot; move it away and restore it again",
            found.kind.word(),
            entry.kind.word()
        )));
    }
    if entry.parent {
        return Ok(EntryVerdict::Unchanged);
    }
    if entry.kind == Kind::File && found.kind == Kind::File && found.size == entry.size {
        let hashed = live.hash(&mut found, &mut |count| progress.bytes(count));
        // Without a hash it differs; what somebody put there must not stop a restore.
        if let Err(error) = hashed {
            if error.downcast_ref::<Status>().is_some() || is_safe(live, &entry.path) {
                return Err(error);
            }
        }
    }
    let mut aspects = aspects(entry, &found);
    let since = match base.filter(|_| !aspects.is_empty()) {
        None => None,
        Some(base) => Some(base::judge(base, entry, &mut found, live, &mut |count| progress.bytes(count))?),
    };
    // Before it could become the first of several names: what stays is joined to nothing.
    if since == Some(Changed::Here) {
        return Ok(EntryVerdict::Kept);
    }
    if let Some(group) = entry.link_group {
        let first = *firsts.entry(group).or_insert(Some((found.device, found.inode)));
        if first != Some((found.device, found.inode)) {
            aspects.push(Aspect::Links);
        }
    }
    if aspects.is_empty() {
        return Ok(EntryVerdict::Unchanged);
    }
    if live.is_fixed(&entry.path) {
        let why = "is immutable here; chattr -ia it, or leave it out".to_owned();
        return Ok(EntryVerdict::Conflict(entry.path.clone(), why));
    }
    if entry.kind == Kind::Directory && is_another_folder(entry, &found, &aspects, live) {
        return Ok(EntryVerdict::Left(format!(
            "belongs to {}:{} here and to {}:{} in the snapshot, and others than root may have put it there; move it \
             away, or chown it, and restore it again",
            found.uid, found.gid, entry.uid, entry.gid
        )));
    }
    if !apply::can_be_adjusted(entry, &aspects) {
        if let Some(verdict) = closed(entry, live) {
            return Ok(verdict);
        }
    }
    Ok(EntryVerdict::Change(Change::Updated(aspects), Some(Compared::of(&found)), since))
}

/// What stands against making anything in the folder of an entry.
fn closed(entry: &Entry, live: &mut Root) -> Option<EntryVerdict> {
    let why = live.closed(&entry.path)?;
    let folder = entry.path.as_path().parent().unwrap_or(Path::new("/"));
    Some(EntryVerdict::Conflict(PathBytes::new(folder.as_os_str().as_bytes()), why.to_owned()))
}

fn is_safe(live: &mut Root, path: &PathBytes) -> bool {
    live.folder_of(path).is_ok_and(|folder| folder.is_safe)
}

/// Tells whether a folder that others may have put there would get another owner, or, being of somebody else
/// than the folder that it lies in, other rights: all in it, which nobody compared, would go along.
fn is_another_folder(entry: &Entry, found: &Entry, aspects: &[Aspect], live: &mut Root) -> bool {
    let gives_away = aspects.contains(&Aspect::Owner)
        || (found.uid == 0
            && aspects.iter().any(|aspect| matches!(aspect, Aspect::Mode | Aspect::Attributes)));
    gives_away && !is_safe(live, &entry.path)
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
    folders: Vec<(PathBytes, Vec<ListedName>)>,
    found: Vec<PathBytes>,
}

impl Extras<'_> {
    /// Begins a folder that stands in the manifest.
    fn enter(&mut self, path: &PathBytes, live: &mut Root) {
        // What cannot be listed is found out, and told, when it is compared.
        let Ok(place) = live.place(path) else { return };
        let opened = openat(&*place.folder, place.name.as_c_str(), crate::kernel::FOLDER, Mode::empty());
        let Ok(mut names) = opened.and_then(walk::listing) else { return };
        names.reverse();
        self.folders.push((path.clone(), names));
    }

    /// Comes past a path of the manifest: what sorts before it beside it is in no manifest.
    fn pass(&mut self, path: &PathBytes) {
        while let Some((folder, _)) = self.folders.last() {
            if path.is_within(folder.as_bytes()) {
                break;
            }
            self.leave();
        }
        let Some((folder, names)) = self.folders.last_mut() else { return };
        let below = path.as_bytes().get(folder.as_bytes().len() + 1..).unwrap_or_default();
        let name = below.split(|&byte| byte == b'/').next().unwrap_or_default();
        while names.last().is_some_and(|(found, _)| found.as_bytes() <= name) {
            let Some((found, listed)) = names.pop() else { break };
            if found.as_bytes() != name {
                let path = walk::join(folder.as_bytes(), found.as_bytes());
                note_extra(path, listed, self.excludes, &mut self.found);
            }
        }
    }

    fn leave(&mut self) {
        let Some((folder, names)) = self.folders.pop() else { return };
        for (name, listed) in names.iter().rev() {
            let path = walk::join(folder.as_bytes(), name.as_bytes());
            note_extra(path, *listed, self.excludes, &mut self.found);
        }
    }

    fn end(mut self) -> Vec<PathBytes> {
        while !self.folders.is_empty() {
            self.leave();
        }
        self.found.sort();
        self.found
    }
}

fn note_extra(path: Vec<u8>, listed: Listed, excludes: &Excludes, found: &mut Vec<PathBytes>) {
    if !excludes.leave_out(&path, || listed == Listed::Folder) {
        found.push(PathBytes::new(path));
    }
}

/// What differs between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryDifference {
    Added,
    Removed,
    Changed(Vec<Aspect>),
}

/// Compares two snapshots by their manifests alone, read side by side: both stand in walk order.
/// Nothing is returned unless both are whole.
///
/// # Errors
/// When one of them cannot be read to its end.
pub fn between(
    mut old: ManifestReader,
    mut new: ManifestReader,
) -> anyhow::Result<Vec<(PathBytes, EntryDifference)>> {
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
                found.extend(before.map(|entry| (entry.path, EntryDifference::Removed)));
                before = next(&mut old)?;
            }
            Ordering::Greater => {
                after.iter().for_each(|entry| drop(new_firsts.of(entry)));
                found.extend(after.map(|entry| (entry.path, EntryDifference::Added)));
                after = next(&mut new)?;
            }
            Ordering::Equal => {
                if let (Some(before), Some(after)) = (before, after) {
                    let mut aspects = aspects(&before, &after);
                    if old_firsts.of(&before) != new_firsts.of(&after) {
                        aspects.push(Aspect::Links);
                    }
                    if !aspects.is_empty() {
                        found.push((after.path, EntryDifference::Changed(aspects)));
                    }
                }
                (before, after) = (next(&mut old)?, next(&mut new)?);
            }
        }
    }
}

/// The first name of each file with several names, by which its other names are known to be of one file.
#[derive(Debug, Default)]
struct Firsts(HashMap<u64, PathBytes>);

impl Firsts {
    /// Returns the first name of the file that an entry is a name of: its own where it has no other.
    fn of(&mut self, entry: &Entry) -> PathBytes {
        let own = || entry.path.clone();
        entry.link_group.map_or_else(own, |group| self.0.entry(group).or_insert_with(own).clone())
    }
}

/// Returns the next entry that was asked for itself.
fn next(reader: &mut ManifestReader) -> anyhow::Result<Option<Entry>> {
    while let Some(entry) = reader.next_entry()? {
        if !entry.parent {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}
