//! A pool that is not imported here, as its devices show it.

use super::Zfs;
use super::label::PoolLabel;
use super::listing::ListedPool;
use anyhow::{Context, bail};
use orderly_exec::job::{Ending, show};
use orderly_exec::runner::Run;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Zfs {
    /// Returns how `zpool import` lists the pool: now, or earlier in this run.
    pub(super) fn listed(&self, run: &mut dyn Run) -> anyhow::Result<ListedPool> {
        if let Some(listed) = self.listed.borrow().as_ref() {
            return Ok(listed.clone());
        }
        self.list(run)
    }

    pub(super) fn list(&self, run: &mut dyn Run) -> anyhow::Result<ListedPool> {
        self.listed.take();
        let command = [&["zpool", "import"].map(str::to_owned)[..], &self.search()].concat();
        let ended = self.calls.run(&command, run);
        // Where there is nothing to import, it says so on stderr and exits with 0 or 1.
        let nothing = String::from_utf8_lossy(&ended.stderr).contains("no pools available");
        if ended.truncated || !(ended.succeeded() || (nothing && ended.ending == Ending::Exited(1))) {
            bail!("{}: {}", show(&command), ended.clause());
        }
        let mut found = ListedPool::read_all(&ended.text())?;
        found.retain(|listed| {
            listed.name == self.table.pool && self.table.guid.is_none_or(|guid| guid == listed.guid)
        });
        if let [one, another, ..] = found.as_slice() {
            bail!(
                "two pools are named {}: {} and {}; name the right one by asset.guid",
                self.table.pool,
                one.guid,
                another.guid
            );
        }
        let Some(listed) = found.pop() else {
            let guid = self.table.guid.map(|guid| format!(" with the guid {guid}")).unwrap_or_default();
            bail!(
                "no device under {} carries a pool named {}{guid}; one that the other host made on whole disks is seen \
                 here only after blockdev --rereadpt DISK",
                self.shown_devices(),
                self.table.pool
            )
        };
        self.listed.replace(Some(listed.clone()));
        Ok(listed)
    }

    pub(super) fn search(&self) -> Vec<String> {
        self.table.devices.iter().flat_map(|path| ["-d".to_owned(), path.clone()]).collect()
    }

    pub(super) fn shown_devices(&self) -> String {
        let devices = &self.table.devices;
        if devices.is_empty() { "the usual directories".to_owned() } else { devices.join(", ") }
    }

    /// Returns the newest label on the devices of the pool.
    pub(super) fn label(&self, run: &mut dyn Run) -> anyhow::Result<PoolLabel> {
        let listed = self.listed(run)?;
        let mut newest: Option<PoolLabel> = None;
        for leaf in &listed.leaves {
            for path in self.candidates(leaf) {
                let command = ["zdb", "-l", "-u", &path.to_string_lossy()].map(str::to_owned);
                let ended = self.calls.run(&command, run);
                // It exits with 2 where there is no label: on the whole disk beside its partition.
                if ended.truncated || !matches!(ended.ending, Ending::Exited(0 | 2)) {
                    bail!("{}: {}", show(&command), ended.clause());
                }
                let label = PoolLabel::newest(&ended.text()).with_context(|| show(&command))?;
                let Some(label) = label.filter(|label| label.guid == listed.guid) else { continue };
                if newest.as_ref().is_none_or(|known| label.txg > known.txg) {
                    newest = Some(label);
                }
            }
        }
        newest.with_context(|| format!("no device of {} shows its label", self.table.pool))
    }

    /// Returns where a device may be that `zpool import` names by the last part of its path, and,
    /// where ZFS has the whole disk, without its partition.
    pub(super) fn candidates(&self, leaf: &str) -> BTreeSet<PathBuf> {
        let is_it = |name: &str| {
            name.strip_prefix(leaf).is_some_and(|rest| {
                let number = rest.strip_prefix("-part").or(rest.strip_prefix('p')).unwrap_or(rest);
                number.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let mut found = BTreeSet::new();
        for device in self.table.devices.iter().map(Path::new) {
            let names_it = |path: &Path| path.file_name().is_some_and(|name| is_it(&name.to_string_lossy()));
            if names_it(device) {
                found.insert(device.to_owned());
            }
            let entries = std::fs::read_dir(device).into_iter().flatten().flatten();
            found.extend(entries.map(|entry| entry.path()).filter(|path| names_it(path)));
        }
        found
    }
}
