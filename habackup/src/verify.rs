//! Whether a snapshot still is what its manifest says: every file hashed again.

use crate::manifest::{Entry, Kind, Remark};
use crate::progress::ShownProgress;
use crate::root::{Root, Trouble};

/// Returns what differs between entries, which `next` returns one by one, and the copies below `tree`.
///
/// # Errors
/// When the entries cannot be read to their end, or somebody asked us to stop.
pub fn differences(
    mut next: impl FnMut() -> anyhow::Result<Option<Entry>>,
    tree: &mut Root,
    progress: &mut ShownProgress<'_>,
) -> anyhow::Result<Vec<Remark>> {
    let mut wrong = Vec::new();
    while let Some(entry) = next()? {
        progress.file()?;
        if let Some(reason) = difference(&entry, tree, progress)? {
            wrong.push(Remark { path: entry.path, reason });
        }
    }
    Ok(wrong)
}

fn difference(
    entry: &Entry,
    tree: &mut Root,
    progress: &mut ShownProgress<'_>,
) -> anyhow::Result<Option<String>> {
    let mut found = match tree.look(&entry.path) {
        Ok(found) => found,
        // What only root could have made is kept in the manifest alone.
        Err(Trouble::Missing)
            if entry.manifest_only
                || matches!(entry.kind, Kind::Socket | Kind::CharDevice | Kind::BlockDevice) =>
        {
            return Ok(None);
        }
        Err(trouble) => return Ok(Some(trouble.to_string())),
    };
    if found.kind != entry.kind {
        return Ok(Some(format!("is a {} and was a {}", found.kind.word(), entry.kind.word())));
    }
    if found.target != entry.target {
        return Ok(Some("leads elsewhere".to_owned()));
    }
    if entry.kind != Kind::File {
        return Ok(None);
    }
    if found.size != entry.size {
        return Ok(Some(format!("has {} bytes and had {}", found.size, entry.size)));
    }
    if let Err(error) = tree.hash(&mut found, &mut |count| progress.bytes(count)) {
        // A signal ends the run; a file that cannot be read is what is looked for.
        return if error.downcast_ref::<orderly_exec::Status>().is_some() {
            Err(error)
        } else {
            Ok(Some(format!("{error:#}")))
        };
    }
    Ok((found.blake3 != entry.blake3).then(|| "its contents are not what was copied".to_owned()))
}
