//! Whether what was taken can really be written to, and whether the disk shows that it was taken.
//!
//! A read-only take leaves no mark, so the other host would take the asset, too, and nobody would notice.

use super::Machine;
use crate::answer::Answer;
use crate::config::{Platform, asks_read_only};
use crate::mountinfo::Mount;
use crate::mounts::MountSpec;
use anyhow::Context;
use orderly_exec::files::{self, Found};
use orderly_exec::paths;
use std::path::PathBuf;

impl Machine<'_> {
    /// Tells whether a mount of the asset, or of a loopback, is at its place.
    pub fn is_in_place(&mut self, mount: &MountSpec) -> bool {
        self.check_mounted(mount) == Answer::Yes
    }

    /// Tells whether a mount is at its place and can be written to, unless its options say that it is not.
    pub(super) fn check_mount(&mut self, spec: &MountSpec) -> Answer {
        let checked = self.check_mounted(spec);
        let may_be_read_only = spec.options.as_deref().is_some_and(asks_read_only);
        if checked != Answer::Yes || may_be_read_only || self.loopback(&spec.at).is_some() {
            return checked;
        }
        let mounts = match self.mounts() {
            Ok(mounts) => mounts,
            Err(error) => return Answer::Unknown(format!("{error:#}")),
        };
        match mounts.at(&spec.at).filter(|mount| is_read_only(mount, self.config.platform)) {
            Some(mount) if !self.asset.is_read_only_itself(mount, &mut self.runner) => Answer::No(format!(
                "{} is mounted read-only, so nothing shows the other host that it is held here; look at its disk \
                 (dmesg), or configure options = \"ro\"",
                spec.at.display()
            )),
            Some(_) | None => Answer::Yes,
        }
    }

    /// Notes the change mark that the asset has before it is taken, where taking it moves the mark.
    pub(super) fn note_mark(&mut self) -> anyhow::Result<()> {
        // One that an earlier take left says nothing of this one.
        forget().with_context(|| format!("remove {}", noted().display()))?;
        if !self.asset.take_moves_mark() || self.config.asset.is_read_only() {
            return Ok(());
        }
        let mark = self.asset.mark(&mut self.runner).context("read the change mark before the take")?;
        match mark {
            Some(mark) => files::replace(&noted(), format!("{mark}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Tells whether the mark has moved since it was noted; by this run, or by one that was killed.
    pub(super) fn check_moved(&mut self) -> Answer {
        let before = match files::read_if_there(&noted()) {
            Ok(Found::Missing) => return Answer::Yes,
            Ok(Found::Text(text)) => text.trim().to_owned(),
            Err(error) => return Answer::Unknown(format!("{error:#}")),
        };
        match self.asset.mark(&mut self.runner) {
            Ok(Some(now)) if now == before => Answer::No(format!(
                "its change mark is still \"{before}\": what is written here does not reach the disk, so nothing shows \
                 the other host that it is held"
            )),
            Ok(_) => match forget() {
                Ok(()) => Answer::Yes,
                Err(error) => Answer::Unknown(format!("remove {}: {error}", noted().display())),
            },
            Err(error) => Answer::Unknown(format!("{error:#}")),
        }
    }
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

/// `mount -v` of Solaris says `read only`.
fn is_read_only(mount: &Mount, platform: Platform) -> bool {
    match platform {
        Platform::Linux => [&mount.options, &mount.super_options]
            .iter()
            .any(|all| all.split(',').any(|option| option == "ro")),
        Platform::Solaris => mount.options.split(['/', ',']).any(|option| option == "read only"),
    }
}
