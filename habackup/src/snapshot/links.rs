//! Sources that are themselves links: what a link leads to is saved only where it lies in a source.
//!
//! A link alone brings nothing back, so a source that is one without its target makes a snapshot
//! incomplete.

use super::{LinkedSource, SnapshotWalk, WalkResult};
use crate::walk::Scope;
use orderly_host::exclude::Excludes;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// As many links in a row as the kernel follows.
const MOST: usize = 40;

impl SnapshotWalk<'_> {
    /// Names the sources that are links to what no source has.
    pub(super) fn judge_linked_sources(&mut self, scope: &Scope) {
        for (path, named) in std::mem::take(&mut self.linked_sources) {
            let path_shown = Path::new(OsStr::from_bytes(&path));
            let is_optional = named == LinkedSource::Optional;
            let why = objection(path_shown, is_optional, scope, &self.left_out.excludes)
                .or_else(|| self.found.left_out(path_shown));
            if let Some(why) = why {
                self.found.sources = self.found.sources.saturating_sub(1);
                self.found.problem(&path, why);
            }
        }
    }
}

impl WalkResult {
    /// What a link leads to may lie in a source and be left out all the same, below another file system.
    fn left_out(&self, link: &Path) -> Option<String> {
        let target = std::fs::canonicalize(link).ok()?;
        let skipped = self.skipped.iter().find(|skipped| target.starts_with(skipped.path.as_path()))?;
        Some(format!("is a symlink to {}, which is left out: {}", target.display(), skipped.reason))
    }
}

/// Returns why a source that is a link saves nothing; `None` where it is no link, or where all that it leads
/// to lies in a source, or where it may be absent and leads nowhere.
pub(crate) fn objection(
    source: &Path,
    is_optional: bool,
    scope: &Scope,
    excludes: &Excludes,
) -> Option<String> {
    let mut link = source.to_owned();
    for _ in 0..MOST {
        let Ok(leads_to) = std::fs::read_link(&link) else { return None };
        let target = match next_hop(&link, &leads_to) {
            Ok(target) => target,
            Err(error) if error.kind() == ErrorKind::NotFound && is_optional => return None,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Some(format!("is a symlink to {}, which does not exist", leads_to.display()));
            }
            Err(error) => return Some(format!("is a symlink to {}: {error}", leads_to.display())),
        };
        if !scope.covers(target.as_os_str().as_bytes()) {
            let shown = target.display();
            return Some(format!(
                "is a symlink to {shown}, which no source has; add {shown} to backup.include"
            ));
        }
        if is_excluded(&target, scope, excludes) {
            return Some(format!("is a symlink to {}, which backup.exclude leaves out", target.display()));
        }
        link = target;
    }
    Some("is a symlink in a loop of symlinks".to_owned())
}

/// Returns where a link leads: its folder as it really is, its name as it stands, for that may be a link again.
fn next_hop(link: &Path, leads_to: &Path) -> std::io::Result<PathBuf> {
    let target = link.parent().unwrap_or(Path::new("/")).join(leads_to);
    let hop = match (target.parent(), target.file_name()) {
        (Some(folder), Some(name)) if !target.as_os_str().as_bytes().ends_with(b"/") => {
            std::fs::canonicalize(folder)?.join(name)
        }
        // It ends in `..` or `/`: a folder in any case.
        _ => std::fs::canonicalize(target)?,
    };
    hop.symlink_metadata()?;
    Ok(hop)
}

/// Tells whether a path, or a folder between it and the source that it lies in, is left out.
fn is_excluded(path: &Path, scope: &Scope, excludes: &Excludes) -> bool {
    path.ancestors()
        .take_while(|part| part.parent().is_some_and(|parent| scope.covers(parent.as_os_str().as_bytes())))
        .any(|part| {
            let is_folder = || part != path || part.symlink_metadata().is_ok_and(|found| found.is_dir());
            excludes.leave_out(part.as_os_str().as_bytes(), is_folder)
        })
}
