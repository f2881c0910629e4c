//! The entries of a manifest that are meant, read in passing as often as it takes: a manifest of a
//! million entries is never in memory.

use crate::identity;
use crate::manifest::{Entry, Kind, ManifestReader};
use crate::owner::OwnerMap;
use crate::path_bytes::PathBytes;
use orderly_host::exclude::Excludes;

/// Which entries of a manifest are meant.
#[derive(Debug)]
pub enum Selection {
    /// All of them.
    All,
    /// What a restore that was saved overwrote: without the folders above, owners by number.
    Saved,
    /// What is to be restored: all but this machine's identity, or what is named with all below it.
    /// The folders above become parents.
    Named { paths: Vec<PathBytes>, identity: Excludes },
}

impl Selection {
    /// Returns what restoring these paths means, or everything without any.
    pub fn named(paths: Vec<PathBytes>) -> Self {
        Self::Named { paths, identity: identity::patterns() }
    }

    fn choose(&self, mut entry: Entry) -> Choice {
        match self {
            Self::All => Choice::Entry(entry),
            Self::Saved if entry.parent => Choice::Other,
            Self::Saved => {
                (entry.user, entry.group) = (None, None);
                Choice::Entry(entry)
            }
            Self::Named { paths, identity } => {
                let is_above =
                    paths.iter().any(|path| path.is_within(entry.path.as_bytes()) && *path != entry.path);
                let is_wanted =
                    paths.is_empty() || paths.iter().any(|path| entry.path.is_within(path.as_bytes()));
                if !is_wanted && !is_above {
                    return Choice::Other;
                }
                if is_wanted
                    && identity.leave_out(entry.path.as_bytes(), || entry.kind == Kind::Directory)
                    && !paths.contains(&entry.path)
                {
                    return Choice::LeftAlone(entry.path);
                }
                entry.parent |= !is_wanted;
                Choice::Entry(entry)
            }
        }
    }
}

/// What a manifest says next, in the light of a selection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every step is an entry, and none is kept")]
pub enum Choice {
    Entry(Entry),
    /// This machine's identity, which nobody named.
    LeftAlone(PathBytes),
    /// Not meant.
    Other,
}

/// An entry with its number in the manifest, by which a later pass knows it again.
#[derive(Debug)]
pub struct Numbered {
    pub number: u32,
    pub step: Choice,
}

/// The entries of one manifest that are meant.
pub struct ChosenEntries<'a> {
    open: Box<dyn Fn() -> anyhow::Result<ManifestReader> + 'a>,
    selection: Selection,
    owners: OwnerMap,
}

impl std::fmt::Debug for ChosenEntries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChosenEntries").field("selection", &self.selection).finish_non_exhaustive()
    }
}

impl<'a> ChosenEntries<'a> {
    /// Returns what is meant of the manifest that `open` begins to read.
    pub fn new(open: impl Fn() -> anyhow::Result<ManifestReader> + 'a, selection: Selection) -> Self {
        Self { open: Box::new(open), selection, owners: OwnerMap::default() }
    }

    /// Begins a pass. Owners are as this host numbers them.
    ///
    /// # Errors
    /// When the manifest cannot be opened.
    pub fn pass(&mut self) -> anyhow::Result<Pass<'_>> {
        let reader = (self.open)()?;
        Ok(Pass { reader, selection: &self.selection, owners: &mut self.owners, number: 0 })
    }

    /// Returns what is worth telling of owners, once a pass has met them.
    pub fn remarks(&self) -> impl Iterator<Item = &str> {
        self.owners.remarks()
    }
}

/// One pass over a manifest.
#[derive(Debug)]
pub struct Pass<'a> {
    reader: ManifestReader,
    selection: &'a Selection,
    owners: &'a mut OwnerMap,
    number: u32,
}

impl Pass<'_> {
    /// Returns what comes next; `None` at the end.
    ///
    /// # Errors
    /// When the manifest cannot be read to its end.
    pub fn next_step(&mut self) -> anyhow::Result<Option<Numbered>> {
        let Some(entry) = self.reader.next_entry()? else { return Ok(None) };
        let mut step = self.selection.choose(entry);
        if let Choice::Entry(entry) = &mut step {
            (entry.uid, entry.gid) = self.owners.translate(entry);
        }
        self.number += 1;
        Ok(Some(Numbered { number: self.number, step }))
    }

    /// Returns the next entry that is meant, with its number; `None` at the end.
    ///
    /// # Errors
    /// When the manifest cannot be read to its end.
    pub fn next_entry(&mut self) -> anyhow::Result<Option<(u32, Entry)>> {
        while let Some(Numbered { number, step }) = self.next_step()? {
            if let Choice::Entry(entry) = step {
                return Ok(Some((number, entry)));
            }
        }
        Ok(None)
    }
}
