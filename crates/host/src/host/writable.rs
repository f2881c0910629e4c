//! Whether the disk shows that the asset was taken.
//!
//! A read-only take leaves no mark, so the other host would take the asset, too, and nobody would notice.

use super::Host;
use crate::answer::Answer;
use anyhow::Context;
use orderly_exec::files::{self, Found};
use orderly_exec::paths;
use std::path::PathBuf;

/// Notes the change mark that the asset has before it is taken, where taking it moves the mark.
pub(crate) fn note_mark(host: &mut Host<'_>) -> anyhow::Result<()> {
    // One that an earlier take left says nothing of this one.
    forget().with_context(|| format!("remove {}", noted().display()))?;
    if !host.asset.take_moves_mark() || host.config.asset.is_read_only() {
        return Ok(());
    }
    let mark = host.asset.change_mark(&mut host.runner).context("read the change mark before the take")?;
    match mark {
        Some(mark) => files::replace(&noted(), format!("{mark}\n").as_bytes()),
        None => Ok(()),
    }
}

/// Tells whether the mark has moved since it was noted; by this run, or by one that was killed.
pub(crate) fn check_moved(host: &mut Host<'_>) -> anyhow::Result<Answer> {
    let Found::Text(text) = files::read_if_there(&noted())? else { return Ok(Answer::Yes) };
    let before = text.trim();
    if host.asset.change_mark(&mut host.runner)?.as_deref() == Some(before) {
        return Ok(Answer::No(format!(
            "its change mark is still \"{before}\": what is written here does not reach the disk, so nothing shows \
             the other host that it is held"
        )));
    }
    forget().with_context(|| format!("remove {}", noted().display()))?;
    Ok(Answer::Yes)
}

/// Where the mark before the take is kept until it has moved, for a run that is killed in between.
fn noted() -> PathBuf {
    paths::state_directory().join("mark-before-take")
}

fn forget() -> std::io::Result<()> {
    match std::fs::remove_file(noted()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
