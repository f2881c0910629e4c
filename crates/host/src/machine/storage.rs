//! Mounts and the asset itself: mounted, unmounted, released, taken, compared.

use super::{Machine, Proved};
use crate::action::Answer;
use crate::asset::{End, State};
use crate::handover;
use crate::holders::{self, Holder};
use crate::mountinfo::{self, Mounts};
use crate::mounts::{MountSpec, loopback_mount, unmount_command};
use crate::shares::{self, Export};
use anyhow::bail;
use orderly_exec::files;
use std::path::{Path, PathBuf};

/// A file on the asset that says that it was about to be released.
const INTENT: &str = ".orderly-intent";

/// How many holders are named before the rest is counted.
const NAMED: usize = 8;

impl Machine<'_> {
    pub(super) fn check_mounted(&mut self, mount: &MountSpec) -> Answer {
        match mountinfo::own() {
            Err(error) => Answer::Unknown(format!("{error:#}")),
            Ok(mounts) if self.is_mounted(mount, &mounts) => Answer::Yes,
            Ok(mounts) => match mounts.at(&mount.at) {
                Some(other) => Answer::No(format!("{} is mounted there", other.source.display())),
                None => Answer::No(format!("nothing is mounted at {}", mount.at.display())),
            },
        }
    }

    fn is_mounted(&self, spec: &MountSpec, mounts: &Mounts) -> bool {
        let Some(mount) = mounts.at(&spec.at) else { return false };
        match (&spec.what, self.loopback(&spec.at)) {
            (None, _) => self.asset.is_on(mount),
            (Some(_), Some(loopback)) => loopback_mount(self.asset.as_ref(), loopback, mounts).is_some(),
            (Some(what), None) => self.asset.is_made_of(mount, what),
        }
    }

    pub(super) fn check_unmounted(&mut self, at: &Path) -> Answer {
        let mounts = match mountinfo::own() {
            Ok(mounts) => mounts,
            Err(error) => return Answer::Unknown(format!("{error:#}")),
        };
        let ours = match (self.loopback(at), mounts.at(at)) {
            (_, None) => false,
            (Some(loopback), Some(_)) => loopback_mount(self.asset.as_ref(), loopback, &mounts).is_some(),
            (None, Some(mount)) => self.asset.is_on(mount),
        };
        if ours { Answer::No("it is still mounted".to_owned()) } else { Answer::Yes }
    }

    pub(super) fn unmount(&mut self, at: &Path) -> anyhow::Result<()> {
        let limit = self.limit(at);
        // Mounts can stand on one another at one place; a bound, for a table that grows as fast.
        for _ in 0..16 {
            if self.check_unmounted(at) == Answer::Yes {
                return Ok(());
            }
            if let Err(error) = self.run(&[unmount_command(at)], limit) {
                bail!("{error:#}; {}", self.held_by());
            }
        }
        bail!("{} is mounted again and again", at.display())
    }

    /// Returns who keeps the asset busy, as a clause.
    fn held_by(&self) -> String {
        let found = holders::users(self.asset.as_ref());
        let mut named: Vec<String> = found.holders.iter().take(NAMED).map(Holder::to_string).collect();
        if found.holders.len() > NAMED {
            named.push(format!("and {} more", found.holders.len() - NAMED));
        }
        if named.is_empty() {
            "nobody is seen to use it".to_owned()
        } else {
            format!("in use: {}", named.join("; "))
        }
    }

    pub(super) fn check_released(&mut self) -> Answer {
        if let Some(answer) = self.still_mounted() {
            return answer;
        }
        match self.asset_state() {
            State::Free => Answer::Yes,
            State::Held => Answer::No("this host still holds it".to_owned()),
            // Detached after it was proven released: who cannot see it does not hold it.
            State::Unknown(_) if self.is_detached() => Answer::Yes,
            State::Elsewhere(why) | State::Unknown(why) => Answer::Unknown(why),
        }
    }

    fn is_detached(&mut self) -> bool {
        let asset = &self.config.asset;
        let goes_away = asset.detach.is_some() || !asset.after_release.is_empty();
        goes_away && self.proved.is_some() && self.asset.identity(&mut self.runner).is_err()
    }

    /// Makes sure that it is released, and notes what it is before it may go out of sight.
    pub(super) fn prove(&mut self) -> anyhow::Result<()> {
        match self.check_released() {
            Answer::Yes | Answer::Untold => {}
            Answer::No(why) | Answer::Unknown(why) => bail!("{why}"),
        }
        if let Ok(identity) = self.asset.identity(&mut self.runner) {
            let proved = Proved { identity, mark: self.asset.mark(&mut self.runner)? };
            handover::keep_proved(&proved)?;
            self.proved = Some(proved);
        }
        Ok(())
    }

    /// Like a release, except that what another host holds is not held here.
    pub(super) fn check_let_go(&mut self) -> Answer {
        match self.check_released() {
            Answer::Unknown(why) => match self.asset_state() {
                State::Elsewhere(_) if self.still_mounted().is_none() => Answer::Yes,
                State::Held | State::Free | State::Elsewhere(_) | State::Unknown(_) => Answer::Unknown(why),
            },
            answer @ (Answer::Yes | Answer::No(_) | Answer::Untold) => answer,
        }
    }

    /// Returns what speaks against the asset being gone from every mount namespace.
    fn still_mounted(&mut self) -> Option<Answer> {
        let found = holders::mounts(self.asset.as_ref());
        if !found.holders.is_empty() {
            let named: Vec<String> = found.holders.iter().take(NAMED).map(Holder::to_string).collect();
            return Some(Answer::No(named.join("; ")));
        }
        (!found.unread.is_empty()).then(|| Answer::Unknown(found.unread.join("; ")))
    }

    pub(super) fn release(&mut self, mounts: &[MountSpec]) -> anyhow::Result<()> {
        self.asset.claim()?;
        self.leave_intent(mounts);
        for mount in mounts.iter().rev() {
            // What taking mounts, releasing unmounts.
            if mount.what.is_some() {
                self.unmount(&mount.at)?;
            }
        }
        // Letting go under a mount in another namespace would say that it is free while it is not.
        let goes_by_itself = mounts.iter().any(|mount| mount.what.is_none());
        if !goes_by_itself && let Some(Answer::No(why)) = self.still_mounted() {
            bail!("{why}");
        }
        self.let_go()
    }

    pub(super) fn let_go(&mut self) -> anyhow::Result<()> {
        let others = self.other_exports();
        let done = self.asset.let_go(&mut self.runner);
        self.mend_exports(others);
        done
    }

    /// Takes it, with what mounts itself.
    pub(super) fn take(&mut self, end: End) -> anyhow::Result<()> {
        let others = self.other_exports();
        let taken = self.asset.take(end, &mut self.runner);
        let done = taken.and_then(|()| self.asset.mount_own(&mut self.runner));
        self.mend_exports(others);
        done
    }

    /// Returns the exports that are not the asset's, where letting go of it would make them vanish.
    fn other_exports(&mut self) -> Vec<(PathBuf, Export)> {
        if !self.asset.disturbs_shares() {
            return Vec::new();
        }
        let asset = &self.config.asset;
        match shares::all(asset.timeout, &mut self.runner) {
            Ok(mut all) => {
                all.retain(|(path, _)| !asset.mounts.iter().any(|mount| path.starts_with(&mount.at)));
                all
            }
            Err(error) => {
                self.notes.push(format!(
                    "nobody can say whether other exports are still there ({error:#}); look at exportfs -s"
                ));
                Vec::new()
            }
        }
    }

    /// Exports again what was exported before and is no more, and says so.
    fn mend_exports(&mut self, before: Vec<(PathBuf, Export)>) {
        if before.is_empty() {
            return;
        }
        let limit = self.config.asset.timeout;
        let now = match shares::all(limit, &mut self.runner) {
            Ok(now) => now,
            Err(error) => {
                self.notes.push(format!("other exports may be gone: {error:#}"));
                return;
            }
        };
        let is_there = |(path, export): &(PathBuf, Export)| {
            now.iter().any(|(other, there)| other == path && there.client == export.client)
        };
        for (path, export) in before.iter().filter(|one| !is_there(one)) {
            let shown = format!("{}:{}", export.client, path.display());
            // What lay on the asset is gone with it.
            if path.symlink_metadata().is_err() {
                continue;
            }
            match self.run(&[shares::export_command(path, export)], limit) {
                Ok(()) => self.notes.push(format!("{shown} was exported no more, and is exported again")),
                Err(error) => self.notes.push(format!("{shown} is exported no more: {error:#}")),
            }
        }
    }

    /// Leaves a word on the asset for whoever finds it half released. It never counts as a record.
    fn leave_intent(&mut self, mounts: &[MountSpec]) {
        let Ok(table) = mountinfo::own() else { return };
        let Some(first) = mounts.iter().find(|mount| self.is_mounted(mount, &table)) else { return };
        let intent = Intent {
            format: "orderly-intent/1",
            safe: false,
            host: &self.config.own.name,
            at: orderly_exec::clock::now(),
        };
        let text = serde_json::to_string(&intent).unwrap_or_default();
        // A mode of its own: whoever may write to the asset may have put a file of any mode there.
        let written = files::replace_with_mode(&first.at.join(INTENT), format!("{text}\n").as_bytes(), 0o600);
        if let Err(error) = written {
            self.notes.push(format!("{error:#}"));
        }
    }

    /// Takes the intent of a release away where the asset is held again: it says something untrue.
    pub fn drop_intent(&mut self) {
        let Ok(table) = mountinfo::own() else { return };
        for mount in &self.config.asset.mounts {
            if !table.at(&mount.at).is_some_and(|found| self.asset.is_on(found)) {
                continue;
            }
            let path = mount.at.join(INTENT);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    self.notes.push(format!("remove {}: {error}", path.display()));
                }
                _ => {}
            }
        }
    }

    pub(super) fn retake(&mut self, mounts: &[MountSpec]) -> anyhow::Result<()> {
        self.asset.take(End::Clean, &mut self.runner)?;
        for mount in mounts {
            self.mount(mount)?;
        }
        Ok(())
    }

    pub(super) fn mount(&mut self, mount: &MountSpec) -> anyhow::Result<()> {
        if self.check_mounted(mount) == Answer::Yes {
            return Ok(());
        }
        self.run(&mount.commands(), self.limit(&mount.at))
    }

    pub(super) fn check_held(&mut self, mounts: &[MountSpec]) -> Answer {
        for mount in mounts {
            match self.check_mounted(mount) {
                Answer::Yes => {}
                other @ (Answer::No(_) | Answer::Unknown(_) | Answer::Untold) => return other,
            }
        }
        match self.asset_state() {
            State::Held => Answer::Yes,
            State::Free => Answer::No("nobody holds it".to_owned()),
            State::Elsewhere(why) => Answer::No(why),
            State::Unknown(why) => Answer::Unknown(why),
        }
    }

    /// Compares the asset with what a release record says of it; reads, and opens nothing.
    ///
    /// # Errors
    /// Says in what they differ, or what cannot be read.
    pub fn compare(&mut self, identity: &str, mark: Option<&str>) -> anyhow::Result<()> {
        let found = self.asset.identity(&mut self.runner)?;
        if found != identity {
            bail!("the release record is of another asset: it names {identity}, and this one is {found}");
        }
        let found = self.asset.mark(&mut self.runner)?;
        if mark.is_some() && found.as_deref() != mark {
            bail!(
                "the asset was held again after its release: its change mark is \"{}\", the release record has \"{}\"",
                found.unwrap_or_default(),
                mark.unwrap_or_default()
            );
        }
        Ok(())
    }
}

/// The text of the intent file.
#[derive(serde::Serialize)]
struct Intent<'a> {
    format: &'static str,
    safe: bool,
    host: &'a str,
    at: String,
}
