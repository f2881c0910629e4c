//! The snapshot that a restore compares with, read beside the one that is restored: both stand in walk order.
//! What was changed here alone since then stays (`orderly_plan::ancestry`).

use crate::comparison::{Aspect, aspects};
use crate::manifest::{Entry, Kind};
use crate::path_bytes::PathBytes;
use crate::root::Root;
use crate::selection::{ChosenEntries, Pass};
use orderly_plan::ancestry::{Changed, changed};

/// One pass over a base.
#[derive(Debug)]
pub struct Beside<'a> {
    pass: Pass<'a>,
    next: Option<Entry>,
}

impl<'a> Beside<'a> {
    /// Begins a pass.
    ///
    /// # Errors
    /// When the manifest cannot be opened.
    pub fn begin(base: &'a mut ChosenEntries<'_>) -> anyhow::Result<Self> {
        let mut pass = base.pass()?;
        let next = pass.next_entry()?.map(|(_, entry)| entry);
        Ok(Self { pass, next })
    }

    /// Returns the base's entry of this path. Paths are asked for in walk order.
    ///
    /// # Errors
    /// When the manifest cannot be read on.
    pub fn at(&mut self, path: &PathBytes) -> anyhow::Result<Option<&Entry>> {
        while self.next.as_ref().is_some_and(|next| next.path < *path) {
            self.next = self.pass.next_entry()?.map(|(_, entry)| entry);
        }
        Ok(self.next.as_ref().filter(|next| next.path == *path && !next.parent))
    }
}

/// Judges who changed a thing since the base. `found` is what is here, `entry` what is restored; times alone
/// are no change.
///
/// # Errors
/// When what is here cannot be read.
pub fn judge(
    base: &Entry,
    entry: &Entry,
    found: &mut Entry,
    live: &mut Root,
    step: &mut dyn FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Changed> {
    let is_edit = |aspects: Vec<Aspect>| aspects.iter().any(|&aspect| aspect != Aspect::Time);
    if !is_edit(aspects(entry, found)) {
        return Ok(Changed::There);
    }
    let there = is_edit(aspects(base, entry));
    let both_files = base.kind == Kind::File && found.kind == Kind::File;
    if there && both_files && found.size == base.size && found.blake3.is_none() {
        live.hash(found, step)?;
    }
    // Where the other host changed nothing since, what differs was changed here.
    let here = !there || is_edit(aspects(base, found));
    Ok(changed(here, there))
}
