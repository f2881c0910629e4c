//! What was edited since a restore: found, and kept before an undo puts back what was there.

use crate::manifest::Kind;
use crate::path_bytes::PathBytes;
use crate::progress::ShownProgress;
use crate::root::Root;
use crate::saved::{self, UndoRun};
use crate::walk::Scope;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

const EDITED: &str = "edited";

impl UndoRun {
    /// Returns the restored files that somebody wrote to since.
    ///
    /// # Errors
    /// When what was saved cannot be read.
    pub fn edited(&mut self, live: &mut Root) -> anyhow::Result<Vec<PathBytes>> {
        let mut strange = BTreeMap::new();
        for restored in &self.restored {
            let Ok(found) = live.look(&restored.path) else { continue };
            let found = (found.kind, found.size, found.mtime_ns);
            if found != (Kind::File, restored.size, restored.mtime_ns) {
                strange.insert(restored.path.clone(), found);
            }
        }
        // A restore that was killed before it came to a file left it as it was, and nobody edited it.
        let mut pass = self.overwritten.pass()?;
        while let Some((_, entry)) = pass.next_entry()? {
            if strange.get(&entry.path) == Some(&(entry.kind, entry.size, entry.mtime_ns)) {
                strange.remove(&entry.path);
            }
        }
        Ok(strange.into_keys().collect())
    }

    /// Copies these paths below the directory of the restore; returns the name of the directory in it.
    ///
    /// # Errors
    /// When one cannot be copied; then nothing may be undone.
    pub fn keep(
        &self,
        edited: &[PathBytes],
        live: &Root,
        progress: ShownProgress<'_>,
    ) -> anyhow::Result<Option<OsString>> {
        if edited.is_empty() {
            return Ok(None);
        }
        let (name, path) = self.new_folder()?;
        let mut scope = Scope::nothing();
        edited.iter().for_each(|path| scope.add_itself(path.as_path()));
        let problems = saved::copy_out(&path, &scope, &self.header, live, progress)
            .with_context(|| format!("keep what was edited since in {}", path.display()))?;
        match problems.first() {
            Some(problem) => bail!("keep what was edited since: {}: {}", problem.path, problem.reason),
            None => Ok(Some(name)),
        }
    }

    /// Makes a directory for them: an undo that was killed and is begun anew finds less, and takes nothing away.
    fn new_folder(&self) -> anyhow::Result<(OsString, PathBuf)> {
        let mut count = 1;
        loop {
            let name = if count == 1 { EDITED.to_owned() } else { format!("{EDITED}.{count}") };
            let path = self.path.join(&name);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok((name.into(), path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => count += 1,
                Err(error) => return Err(error).with_context(|| format!("make {}", path.display())),
            }
        }
    }
}
