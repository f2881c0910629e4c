//! Loopbacks: folders of the asset, mounted where programs look for them.

use super::mount::{against_link, other, unmount};
use super::transfer::{PartPresence, PlanDraft, Situation, Transfer};
use crate::action::{Loopback, Part, Way};
use crate::answer::Answer;
use crate::asset::Asset;
use crate::config::LoopbackTable;
use crate::host::Host;
use crate::mountinfo::{Mount, Mounts, trigger_over};
use crate::mounts::{MountSpec, shows, unmount_command};
use crate::platform::Argv;
use anyhow::{Context, bail};
use std::path::Path;

impl Loopback {
    /// Returns the loopback of a table.
    pub fn of(table: &LoopbackTable) -> Self {
        let what = Some(table.source.to_string_lossy().into_owned());
        Self(MountSpec { what, at: table.at.clone(), fstype: None, options: None, bind: true })
    }

    /// Returns the bind mount that was found at its place, also one of another folder than configured.
    fn as_found(table: &LoopbackTable, mount: &Mount, mounts: &Mounts) -> Self {
        let mut found = Self::of(table).0.as_found(mount);
        if !shows(mount, &table.source, mounts) {
            if let Some(source) = mounts.path_of(mount) {
                found.what = Some(source.to_string_lossy().into_owned());
            }
        }
        Self(found)
    }

    fn table<'c>(&self, host: &Host<'c>) -> anyhow::Result<&'c LoopbackTable> {
        let found = host.config.loopbacks.iter().find(|table| table.at == self.0.at);
        found.with_context(|| format!("the configuration has no loopback {} any more", self.0.at.display()))
    }

    fn source(&self) -> &Path {
        Path::new(self.0.what.as_deref().unwrap_or_default())
    }

    fn is_mounted(&self, mounts: &Mounts) -> bool {
        mounts.at(&self.0.at).is_some_and(|mount| shows(mount, self.source(), mounts))
    }

    /// Mounts a folder of the asset. Whoever owns a folder there could put a link into it, and have any
    /// folder of this host mounted: so where it leads is looked at before, and what came of it after.
    fn mount(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        let (source, at) = (self.source(), &self.0.at);
        let mounts = host.mounts()?;
        if self.is_mounted(&mounts) {
            return Ok(());
        }
        let real = std::fs::canonicalize(source).with_context(|| format!("find {}", source.display()))?;
        let is_on_asset = mounts.covering(&real).is_some_and(|found| host.asset.is_on(found));
        if real != source && !is_on_asset {
            bail!("{} leads to {}, which is not on the asset", source.display(), real.display());
        }
        let before = mounts.at(at).map(|found| found.id);
        let done = host.run(&self.commands(Way::Take, host), self.table(host)?.timeout);
        let mounts = host.mounts()?;
        if !self.is_mounted(&mounts) {
            let foreign = mounts.at(at).map(|found| found.id);
            host.foreign_mounts.extend(foreign.filter(|_| foreign != before));
        }
        done
    }

    /// Returns what keeps it from being mounted where the asset is mounted already, with its remedy.
    fn against_source(&self, host: &mut Host<'_>) -> Option<String> {
        let (source, at) = (self.source().display(), self.0.at.display());
        if !host.is_on_asset(self.source()) {
            return None;
        }
        match std::fs::metadata(self.source()) {
            Err(error) => Some(format!(
                "{source} cannot be mounted at {at}: {error}; make it, or take the [[loopback]] out"
            )),
            Ok(found) if found.is_dir() != self.0.at.is_dir() => Some(format!(
                "{source} cannot be mounted at {at}: one of them is a directory, and the other is not"
            )),
            Ok(_) => None,
        }
    }
}

impl Transfer for Loopback {
    fn title(&self) -> (&'static str, String) {
        ("loopback", self.0.at.display().to_string())
    }

    fn look(&self, host: &mut Host<'_>) -> anyhow::Result<PartPresence> {
        let (table, mounts) = (self.table(host)?, host.mounts()?);
        Ok(match loopback_mount(host.asset.as_ref(), table, &mounts) {
            None => PartPresence::Missing("not mounted"),
            Some(mount) if shows(mount, &table.source, &mounts) => PartPresence::Here("mounted"),
            Some(_) => PartPresence::Other("of another directory"),
        })
    }

    fn check(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<Answer> {
        let (table, mounts) = (self.table(host)?, host.mounts()?);
        if way == Way::Take {
            return Ok(if self.is_mounted(&mounts) { Answer::Yes } else { other(&self.0.at, &mounts, host) });
        }
        let is_foreign = mounts.at(&self.0.at).is_some_and(|mount| host.foreign_mounts.contains(&mount.id));
        let is_ours = is_foreign || loopback_mount(host.asset.as_ref(), table, &mounts).is_some();
        Ok(if is_ours { Answer::No("it is still mounted".to_owned()) } else { Answer::Yes })
    }

    fn act(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<()> {
        match way {
            Way::Take => self.mount(host),
            Way::LetGo => unmount(self, &self.0.at, self.table(host)?.timeout, host),
        }
    }

    fn commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        match way {
            Way::Take => self.0.commands(host.config.platform),
            Way::LetGo => vec![unmount_command(&self.0.at)],
        }
    }

    fn against_taking(&self, situation: Situation<'_>, host: &mut Host<'_>) -> Vec<String> {
        let (Ok(table), at, mounts) = (self.table(host), &self.0.at, situation.mounts) else {
            return Vec::new();
        };
        let (config, shown) = (host.config, at.display());
        let why = match (trigger_over(at, mounts), mounts.at(at)) {
            (Some(why), _) => Some(why),
            (None, Some(other)) if loopback_mount(host.asset.as_ref(), table, mounts).is_none() => {
                Some(format!("{} is mounted at {shown}; umount it", other.source.to_string_lossy()))
            }
            (None, Some(other)) if !shows(other, &table.source, mounts) => Some(format!(
                "another directory of the asset ({}) is mounted at {shown}, not {}; umount it",
                other.root.display(),
                table.source.display()
            )),
            (None, Some(_)) => None,
            // There only once the asset, or the loopback that it lies in, is mounted.
            (None, None) if !situation.is_held && config.asset.has_within(at) => None,
            (None, None)
                if config.loopbacks.iter().any(|other| other.at != *at && at.starts_with(&other.at)) =>
            {
                None
            }
            (None, None) if !at.exists() => Some(format!("{shown} is not there; make it (mkdir -p)")),
            (None, None) => {
                let source = if situation.is_held { self.against_source(host) } else { None };
                return against_link(at).into_iter().chain(source).collect();
            }
        };
        why.into_iter().collect()
    }

    fn plan_release(&self, mounts: &Mounts, draft: &mut PlanDraft, host: &mut Host<'_>) {
        let Ok(table) = self.table(host) else { return };
        match (loopback_mount(host.asset.as_ref(), table, mounts), mounts.at(&self.0.at)) {
            (Some(mount), _) => {
                draft.part(Way::LetGo, Part::Loopback(Self::as_found(table, mount, mounts)));
            }
            (None, Some(other)) => draft.notes.push(format!(
                "{} is mounted at {}, not {}; it is left alone",
                other.source.to_string_lossy(),
                self.0.at.display(),
                table.source.display()
            )),
            (None, None) => {}
        }
    }
}

/// Returns the mount at a loopback's place if it is one to be unmounted: of the asset, whatever folder of it
/// it shows, or of the loopback's source.
pub fn loopback_mount<'m>(
    asset: &dyn Asset,
    loopback: &LoopbackTable,
    mounts: &'m Mounts,
) -> Option<&'m Mount> {
    let mount = mounts.at(&loopback.at)?;
    let source = mounts.locate(&loopback.source);
    (asset.is_on(mount) || source == Some((mount.device, mount.root.clone()))).then_some(mount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bind_mount_is_made_again_of_the_folder_that_was_found() {
        let table =
            b"30 22 7:0 / /srv/xvm rw - ext4 /dev/loop0 rw\n31 22 7:0 /opt /etc/a ro - ext4 /dev/loop0 rw\n";
        let mounts = Mounts::parse(table).unwrap();
        let found = &mounts.0[1];
        let loopback = |source: &str| LoopbackTable {
            source: source.into(),
            at: "/etc/a".into(),
            timeout: Duration::ZERO,
        };
        for source in ["/srv/xvm/opt", "/srv/xvm/etc.opt"] {
            let spec = Loopback::as_found(&loopback(source), found, &mounts).0;
            assert_eq!((spec.what.as_deref(), spec.options.as_deref()), (Some("/srv/xvm/opt"), Some("ro")));
        }
    }
}
