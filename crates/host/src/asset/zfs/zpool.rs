//! A ZFS pool on Solaris, where no statistics of the kernel can be read: everything is asked of
//! `zpool` and `zfs`.
//!
//! It is held where `zpool list` shows it. Not shown there, nor any of its data sets by `zfs list`,
//! the pool is looked for with `zpool import`, which reads the labels of the devices and opens
//! nothing: they say whether another host was the last to use it. What these programs print in any
//! other form is unknown. Letting go of a pool unmounts everything that is mounted from it
//! (zpool(1M)), so nothing is unmounted before. There is no change mark: the label that changes
//! whenever the pool is held is not among what `zpool import` shows.

use super::ZfsTable;
use crate::asset::kind::{Asset, State, Volume};
use crate::asset::mount::MountTable;
use crate::last_release::LastRelease;
use crate::mountinfo::Mount;
use crate::platform::Argv;
use anyhow::{Context, bail};
use orderly_exec::job::{Ended, Ending, Job, show};
use orderly_exec::runner::Run;
use std::time::Duration;

/// The asset kind `zfs` on Solaris.
#[derive(Debug)]
pub(super) struct Zpool {
    /// Without devices the pool is looked for nowhere in particular.
    pub(super) table: ZfsTable,
    pub(super) timeout: Duration,
}

/// A pool that nobody on this host has imported, as `zpool import` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ImportablePool {
    pool: String,
    id: u64,
    state: String,
    /// Everything else that is said of it, in one line.
    words: String,
}

impl ImportablePool {
    /// It was not exported by whoever used it last.
    fn was_in_use(&self) -> bool {
        self.words.contains("last accessed by another system") || self.words.contains("-f' flag")
    }
}

impl Zpool {
    fn ask(&self, argv: &[&str], run: &mut dyn Run) -> anyhow::Result<Ended> {
        let ended = run.run(&Job::new(argv, self.timeout));
        if ended.succeeded() && !ended.truncated {
            return Ok(ended);
        }
        bail!("{}: {}", show(argv), clause(&ended))
    }

    /// Returns the first column of a list with a header; empty where there is nothing to list.
    fn names(&self, program: &str, run: &mut dyn Run) -> anyhow::Result<Vec<String>> {
        let ended = self.ask(&[program, "list"], run)?;
        let text = ended.text();
        let said = if text.trim().is_empty() { ended.last_words() } else { text.trim().to_owned() };
        if ["no pools available", "no datasets available"].contains(&said.as_str()) {
            return Ok(Vec::new());
        }
        let mut lines = text.lines().filter_map(|line| line.split_whitespace().next());
        if lines.next() != Some("NAME") {
            bail!("{program} list printed something that is not a list: {said}");
        }
        Ok(lines.map(str::to_owned).collect())
    }

    fn is_listed(&self, run: &mut dyn Run) -> anyhow::Result<bool> {
        Ok(self.names("zpool", run)?.contains(&self.table.pool))
    }

    fn is_ours(&self, dataset: &str) -> bool {
        dataset.strip_prefix(&self.table.pool).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn search(&self) -> Vec<&str> {
        let folders = self.table.devices.iter().flat_map(|folder| ["-d", folder.as_str()]);
        ["zpool", "import"].into_iter().chain(folders).collect()
    }

    /// Looks for the pool on the devices this host sees.
    fn find(&self, run: &mut dyn Run) -> anyhow::Result<ImportablePool> {
        let argv = self.search();
        let ended = run.run(&Job::new(&argv, self.timeout));
        let nothing = ended.last_words().contains("no pools available to import");
        if ended.truncated || !(ended.succeeded() || nothing) {
            bail!("{}: {}", show(&argv), clause(&ended));
        }
        let text = ended.text();
        let mut found = parse_importable(&text)?;
        found.retain(|pool| {
            pool.pool == self.table.pool && self.table.guid.is_none_or(|guid| guid == pool.id)
        });
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => bail!("{} shows no pool {}; are its devices seen here?", show(&argv), self.table.pool),
            several => bail!(
                "{} shows {} pools named {} ({}); name one by asset.guid",
                show(&argv),
                several.len(),
                self.table.pool,
                several.iter().map(|pool| pool.id.to_string()).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    fn look(&self, run: &mut dyn Run) -> anyhow::Result<State> {
        if self.is_listed(run)? {
            return Ok(State::Held);
        }
        if let Some(left) = self.names("zfs", run)?.into_iter().find(|name| self.is_ours(name)) {
            bail!("zpool list does not show {}, but zfs list shows {left}", self.table.pool);
        }
        let found = self.find(run)?;
        if found.was_in_use() {
            return Ok(State::Elsewhere(format!(
                "{} was last used by another host and not let go: {}",
                self.table.pool, found.words
            )));
        }
        let tolerable = if self.table.degraded { &["ONLINE", "DEGRADED"][..] } else { &["ONLINE"] };
        if !tolerable.contains(&found.state.as_str()) {
            bail!("{} is {}: {}", self.table.pool, found.state, found.words);
        }
        Ok(State::Free)
    }

    fn guid_when_held(&self, run: &mut dyn Run) -> anyhow::Result<u64> {
        let text = self.ask(&["zpool", "get", "guid", &self.table.pool], run)?.text();
        let value = text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(&self.table.pool) && words.next() == Some("guid")).then(|| words.next())?
        });
        value.and_then(|value| value.parse().ok()).context("zpool get guid printed no number")
    }

    fn import(&self, end: LastRelease, what: &str) -> Argv {
        let mut argv = self.search();
        // Nothing is mounted by itself, and no boot of this host takes it again.
        argv.extend(["-N", "-o", "cachefile=none"]);
        if end == LastRelease::PoweredOff {
            argv.push("-f");
        }
        argv.push(what);
        argv.into_iter().map(str::to_owned).collect()
    }

    fn run(&self, argv: &Argv, run: &mut dyn Run) -> anyhow::Result<()> {
        let ended = run.run(&Job::new(argv, self.timeout));
        if ended.succeeded() {
            return Ok(());
        }
        bail!("{}: {}", show(argv), clause(&ended))
    }
}

/// A pool whose devices are gone stops every command, and no command brings it back.
fn clause(ended: &Ended) -> String {
    let remedy = match ended.ending {
        Ending::TimedOut | Ending::Unkillable => {
            "; if the pool is suspended, this host must be powered off before a takeover"
        }
        Ending::Exited(_) | Ending::Killed(_) | Ending::NotStarted => "",
    };
    format!("{}{remedy}", ended.clause())
}

impl Asset for Zpool {
    fn title(&self) -> String {
        self.table.pool.clone()
    }

    fn state(&self, run: &mut dyn Run) -> State {
        self.look(run).unwrap_or_else(|error| State::Unknown(format!("{error:#}")))
    }

    fn identity(&self, run: &mut dyn Run) -> anyhow::Result<String> {
        let guid = if self.is_listed(run)? { self.guid_when_held(run)? } else { self.find(run)?.id };
        if self.table.guid.is_some_and(|wanted| wanted != guid) {
            bail!("{} has the guid {guid}, which is not the one of asset.guid", self.table.pool);
        }
        Ok(format!("zfs:{guid}"))
    }

    fn tells_hosts_by_hostid(&self) -> bool {
        true
    }

    fn change_mark(&self, _run: &mut dyn Run) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    fn is_on(&self, mount: &Mount) -> bool {
        mount.fstype == "zfs" && self.is_ours(&mount.source.to_string_lossy())
    }

    fn volume(&self, mount: &MountTable) -> Volume {
        mount.volume.clone().map_or(Volume::Itself, Volume::Device)
    }

    fn take(&self, end: LastRelease, run: &mut dyn Run) -> anyhow::Result<()> {
        if self.is_listed(run)? {
            return Ok(());
        }
        let found = self.find(run)?;
        match (found.was_in_use(), end) {
            (true, LastRelease::Clean | LastRelease::OwnCrash) => {
                bail!("{} was last used by another host and not let go: {}", self.table.pool, found.words)
            }
            // Forced only where that is what the label says, and the peer is proven off.
            (true, LastRelease::PoweredOff) => self.run(&self.import(end, &found.id.to_string()), run),
            (false, _) => self.run(&self.import(LastRelease::Clean, &found.id.to_string()), run),
        }
    }

    fn take_commands(&self, end: LastRelease) -> Vec<Argv> {
        vec![
            self.import(
                end,
                &self.table.guid.map_or_else(|| self.table.pool.clone(), |guid| guid.to_string()),
            ),
        ]
    }

    fn let_go(&self, run: &mut dyn Run) -> anyhow::Result<()> {
        if !self.is_listed(run)? {
            return Ok(());
        }
        self.release_commands().iter().try_for_each(|argv| self.run(argv, run))
    }

    fn release_commands(&self) -> Vec<Argv> {
        vec![["zpool", "export", &self.table.pool].map(str::to_owned).to_vec()]
    }

    fn unmounts_when_let_go(&self) -> bool {
        true
    }
}

/// Reads what `zpool import` prints: for each pool, `KEY: VALUE` lines whose values may go on in lines
/// without a key, and a table of devices.
fn parse_importable(text: &str) -> anyhow::Result<Vec<ImportablePool>> {
    let mut pools: Vec<ImportablePool> = Vec::new();
    let mut in_devices = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = match line.split_once(':') {
            Some((key @ ("pool" | "id" | "state" | "status" | "action" | "see" | "config"), value)) => {
                (key, value.trim())
            }
            _ => ("", line),
        };
        if key == "pool" {
            in_devices = false;
            pools.push(ImportablePool { pool: value.to_owned(), ..ImportablePool::default() });
            continue;
        }
        let Some(pool) = pools.last_mut() else { bail!("zpool import printed \"{line}\" before any pool") };
        match key {
            "id" => pool.id = value.parse().with_context(|| format!("\"{value}\" is no id of a pool"))?,
            "state" => value.clone_into(&mut pool.state),
            "config" => in_devices = true,
            _ if in_devices => {}
            _ => {
                if !pool.words.is_empty() {
                    pool.words.push(' ');
                }
                pool.words.push_str(value);
            }
        }
    }
    Ok(pools)
}
