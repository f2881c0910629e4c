//! The mounts of the asset itself: made once it is taken, unmounted before it is let go of.

use super::transfer::{PartPresence, Situation, Transfer};
use crate::action::{AssetMount, Way};
use crate::answer::Answer;
use crate::asset::asks_read_only;
use crate::host::{Host, apart};
use crate::mountinfo::{Mount, Mounts, trigger_over};
use crate::mounts::unmount_command;
use crate::platform::{Argv, Platform};
use anyhow::{Context, bail};
use std::path::Path;
use std::time::Duration;

impl AssetMount {
    pub(crate) fn is_mounted(&self, mounts: &Mounts, host: &Host<'_>) -> bool {
        mounts.at(&self.0.at).is_some_and(|mount| match &self.0.what {
            None => host.asset.is_on(mount),
            Some(what) => host.asset.is_made_of(mount, what),
        })
    }

    /// What taking mounts, releasing unmounts; of some kinds that goes for every mount.
    pub(crate) fn is_unmounted_by_hand(&self, host: &Host<'_>) -> bool {
        self.0.what.is_some() && !host.asset.unmounts_when_let_go()
    }

    /// Mounts it, unless it is mounted.
    pub(crate) fn mount(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        if self.is_any_here(host) {
            return Ok(());
        }
        apart::wait_for_another_second(host);
        let mounted = host.run(&self.commands(Way::Take, host), host.config.asset.timeout);
        let is_busy = |error: &anyhow::Error| format!("{error:#}").contains("busy");
        match mounted {
            Err(error) if is_busy(&error) => match host.asset.busy_elsewhere(&mut host.runner) {
                Some(why) => Err(error.context(why)),
                None => Err(error),
            },
            other => other,
        }
    }

    /// Mounts what is not mounted yet. A place within the asset is looked at only now: before, it was not
    /// there.
    fn take(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        let at = &self.0.at;
        if host.config.asset.has_within(at) && !self.is_any_here(host) {
            let shown = at.display();
            let mut entries =
                std::fs::read_dir(at).with_context(|| format!("look into {shown}; make it (mkdir -p)"))?;
            if entries.next().is_some() {
                bail!("{shown} is not empty, and mounting would hide what is in it; move that away");
            }
        }
        self.mount(host)?;
        // A host that goes down from here on had the asset.
        if self.is_any_here(host) {
            if let Err(error) = host.numbering().note_mount() {
                host.notes.push(format!("{error:#}; the asset is taken all the same"));
            }
        }
        Ok(())
    }
}

impl Transfer for AssetMount {
    fn title(&self) -> (&'static str, String) {
        ("mount", self.0.at.display().to_string())
    }

    fn look(&self, host: &mut Host<'_>) -> anyhow::Result<PartPresence> {
        let is_here = host.mounts()?.at(&self.0.at).is_some_and(|found| host.asset.is_on(found));
        Ok(if is_here { PartPresence::Here("mounted") } else { PartPresence::Missing("not mounted") })
    }

    /// Taken, it can also be written to, unless its options say that it is not.
    fn check(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<Answer> {
        let (at, mounts) = (&self.0.at, host.mounts()?);
        if way == Way::LetGo {
            let is_ours = mounts.at(at).is_some_and(|mount| host.asset.is_on(mount));
            return Ok(if is_ours { Answer::No("it is still mounted".to_owned()) } else { Answer::Yes });
        }
        if !self.is_mounted(&mounts, host) {
            return Ok(other(at, &mounts, host));
        }
        if self.0.options.as_deref().is_some_and(asks_read_only) {
            return Ok(Answer::Yes);
        }
        Ok(match mounts.at(at).filter(|mount| is_read_only(mount, host.config.platform)) {
            Some(mount) if !host.asset.is_read_only_itself(mount, &mut host.runner) => Answer::No(format!(
                "{} is mounted read-only, so nothing shows the other host that it is held here; look at its disk \
                 (dmesg), or configure options = \"ro\"",
                at.display()
            )),
            Some(_) | None => Answer::Yes,
        })
    }

    fn act(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<()> {
        match way {
            Way::Take => self.take(host),
            Way::LetGo => unmount(self, &self.0.at, host.config.asset.timeout, host),
        }
    }

    fn commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        match way {
            Way::Take => self.0.commands(host.config.platform),
            Way::LetGo => vec![unmount_command(&self.0.at)],
        }
    }

    /// Also one that cannot be written to is not unmounted.
    fn is_any_here(&self, host: &mut Host<'_>) -> bool {
        let mounts = host.mounts();
        mounts.is_ok_and(|mounts| self.is_mounted(&mounts, host))
    }

    fn against_taking(&self, situation: Situation<'_>, host: &mut Host<'_>) -> Vec<String> {
        let (at, mounts) = (&self.0.at, situation.mounts);
        let is_ours = mounts.at(at).is_some_and(|found| host.asset.is_on(found));
        let why = if is_ours || host.config.asset.has_within(at) { None } else { against_place(at, mounts) };
        why.into_iter().collect()
    }
}

fn against_place(at: &Path, mounts: &Mounts) -> Option<String> {
    let shown = at.display();
    if let Some(why) = trigger_over(at, mounts) {
        return Some(why);
    }
    if let Some(other) = mounts.at(at) {
        return Some(format!("{} is mounted at {shown}; umount it", other.source.to_string_lossy()));
    }
    if let Some(why) = against_link(at) {
        return Some(why);
    }
    match std::fs::read_dir(at) {
        Ok(mut entries) => entries
            .next()
            .map(|_| format!("{shown} is not empty, and mounting would hide what is in it; move that away")),
        Err(error) => Some(format!("{shown} cannot be mounted on: {error}; make it (mkdir -p)")),
    }
}

/// The kernel lists a mount by where it really is, so one behind a link would never be found again.
pub(super) fn against_link(at: &Path) -> Option<String> {
    let there = std::fs::canonicalize(at).ok()?;
    (there != at)
        .then(|| format!("{} leads to {}; name that in the configuration", at.display(), there.display()))
}

/// Says what is mounted at a place instead; of the asset the folder, which alone tells one from another.
pub(super) fn other(at: &Path, mounts: &Mounts, host: &Host<'_>) -> Answer {
    Answer::No(match mounts.at(at) {
        Some(other) if host.asset.is_on(other) => {
            format!("{} ({}) is mounted there", other.source.to_string_lossy(), other.root.display())
        }
        Some(other) => format!("{} is mounted there", other.source.to_string_lossy()),
        None => format!("nothing is mounted at {}", at.display()),
    })
}

/// Unmounts a part from its place.
pub(super) fn unmount(
    part: &dyn Transfer,
    at: &Path,
    limit: Duration,
    host: &mut Host<'_>,
) -> anyhow::Result<()> {
    // Mounts can stand on one another at one place; a bound, for a table that grows as fast.
    for _ in 0..16 {
        if matches!(part.check(Way::LetGo, host), Ok(Answer::Yes)) {
            return Ok(());
        }
        if let Err(error) = host.run(&[unmount_command(at)], limit) {
            // What umount(8) says ends with a full stop.
            bail!("{}; {}", format!("{error:#}").trim_end_matches('.'), host.held_by());
        }
    }
    bail!("{} is mounted again and again", at.display())
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
