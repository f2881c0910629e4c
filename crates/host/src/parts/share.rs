//! Shares: made with an id that both hosts give alike, and taken back until the kernel's NFS server
//! has forgotten them. Only the listed paths; never all.
//!
//! An export that is gone from the table can stay in the kernel's cache, and locks and open files of
//! clients stay longer than that. In the order of the agent `exportfs` of resource-agents: unexport,
//! drop the locks, flush until it is forgotten; then wait for clients that are gone, at most a lease.

pub mod exports;

use super::transfer::{PartPresence, PlanDraft, Situation, Transfer};
use crate::action::{Export, Part, Share, Way};
use crate::answer::Answer;
use crate::config::ShareTable;
use crate::config::client::is_same;
use crate::holders::{self, Holder};
use crate::host::{Host, LOOKING};
use crate::mountinfo::Mounts;
use crate::platform::{Argv, Platform};
use anyhow::{Context, bail};
use std::time::{Duration, Instant};

/// How long a client of NFS version 4 that is gone keeps its files open, in seconds (nfsd(7)).
const LEASE: &str = "/proc/fs/nfsd/nfsv4leasetime";

impl Share {
    /// Returns the share of a table.
    pub fn of(table: &ShareTable, platform: Platform) -> Self {
        Self { path: table.path.clone(), exports: exports::wanted(table, platform) }
    }

    fn table<'c>(&self, host: &Host<'c>) -> anyhow::Result<&'c ShareTable> {
        let found = host.config.shares.iter().find(|table| table.path == self.path);
        found.with_context(|| format!("the configuration has no share {} any more", self.path.display()))
    }

    fn found(&self, host: &mut Host<'_>) -> anyhow::Result<Vec<Export>> {
        exports::found(self.table(host)?, host.config.platform, &mut host.runner)
    }

    /// Where a share has its own commands, its server may be another one than the kernel's.
    fn is_by_kernel(&self, host: &Host<'_>) -> bool {
        let has_commands = self.table(host).is_ok_and(|table| table.commands.is_some());
        !has_commands && host.config.platform == Platform::Linux
    }

    /// What is exported already is exported anew, or no more, by the name that it has there.
    fn as_listed(&self, host: &mut Host<'_>) -> anyhow::Result<Self> {
        let mut exports = self.exports.clone();
        if self.is_by_kernel(host) {
            exports = exports::as_listed(&exports, &self.found(host)?);
        }
        Ok(Self { path: self.path.clone(), exports })
    }

    fn add(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        let table = self.table(host)?;
        // What was found is given back as it was.
        if self.exports == exports::wanted(table, host.config.platform) {
            self.insist_on_fsid(host)?;
        }
        let commands = self.as_listed(host)?.commands(Way::Take, host);
        host.run(&commands, table.timeout)
    }

    fn remove(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        let limit = self.table(host)?.timeout;
        let commands = self.as_listed(host)?.commands(Way::LetGo, host);
        host.run(&commands, limit)?;
        if !self.is_by_kernel(host) {
            return Ok(());
        }
        exports::drop_locks(&self.path)?;
        let until = Instant::now() + limit;
        while holders::is_exported(&self.path) {
            if Instant::now() >= until || host.runner.interrupted().is_some() {
                bail!("the kernel's NFS server still exports {}", self.path.display());
            }
            host.runner.pause(LOOKING);
            host.run(&[exports::flush_command()], limit)?;
        }
        wait_for_clients(until, host);
        Ok(())
    }

    /// Clients find their files again by the id of the file system. One that the other host would not
    /// give alike leaves them with stale handles after every hand-over.
    fn insist_on_fsid(&self, host: &mut Host<'_>) -> anyhow::Result<()> {
        let mounts = host.mounts()?;
        let fstype = mounts.covering(&self.path).map_or("an unknown file system", |mount| &mount.fstype);
        self.insist_on_id(fstype, host)
    }

    fn insist_on_id(&self, fstype: &str, host: &Host<'_>) -> anyhow::Result<()> {
        let is_named = !self.is_by_kernel(host) || self.table(host).is_ok_and(exports::has_fsid);
        if is_named || exports::has_id_of_its_own(fstype) {
            return Ok(());
        }
        bail!(
            "{} is on {fstype}, which has no id of its own, so clients would meet stale handles after a takeover; \
             give the share an fsid",
            self.path.display()
        )
    }

    /// Returns the type of the file system that a share will be on once the asset is held, where the configuration
    /// tells it.
    fn foreseen_type(&self, host: &mut Host<'_>) -> Option<String> {
        let over = host.config.asset.mounts.iter().filter(|mount| self.path.starts_with(&mount.at));
        let mount = over.max_by_key(|mount| mount.at.components().count())?;
        if mount.fstype.is_some() {
            return mount.fstype.clone();
        }
        // A directory is mounted that this host sees already.
        let within = host.asset.folder()?.join(self.path.strip_prefix(&mount.at).ok()?);
        let mounts = host.mounts().ok()?;
        mounts.covering(&within).map(|found| found.fstype.clone())
    }
}

impl Transfer for Share {
    fn title(&self) -> (&'static str, String) {
        ("share", self.path.display().to_string())
    }

    fn look(&self, host: &mut Host<'_>) -> anyhow::Result<PartPresence> {
        let found = self.found(host)?;
        if found.is_empty() {
            return Ok(PartPresence::Missing("not exported"));
        }
        let differs = |there: &Export| {
            let same = self.exports.iter().find(|export| is_same(&export.client, &there.client));
            same.is_some_and(|export| exports::difference(there, export).is_some())
        };
        let is_otherwise = host.config.platform == Platform::Linux && found.iter().any(differs);
        Ok(PartPresence::Here(if is_otherwise { "exported with other options" } else { "exported" }))
    }

    fn check(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<Answer> {
        let (found, has_commands) = (self.found(host)?, self.table(host)?.commands.is_some());
        if way == Way::LetGo {
            return Ok(if !found.is_empty() {
                Answer::No("it is still exported".to_owned())
            } else if self.is_by_kernel(host) && holders::is_exported(&self.path) {
                Answer::No("the kernel's NFS server still exports it".to_owned())
            } else {
                Answer::Yes
            });
        }
        if has_commands && !found.is_empty() {
            return Ok(Answer::Yes);
        }
        let objections = self.exports.iter().find_map(|export| {
            let Some(there) = found.iter().find(|there| is_same(&there.client, &export.client)) else {
                return Some(format!("it is not exported to {}", export.client));
            };
            if host.config.platform == Platform::Solaris {
                return None;
            }
            let (is, should) = exports::difference(there, export)?;
            Some(format!("it is exported to {} with {is}, not {should}", export.client))
        });
        Ok(objections.map_or(Answer::Yes, Answer::No))
    }

    fn act(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<()> {
        match way {
            Way::Take => self.add(host),
            Way::LetGo => self.remove(host),
        }
    }

    fn commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        let (Ok(table), platform) = (self.table(host), host.config.platform) else { return Vec::new() };
        match way {
            Way::Take => exports::add_commands(table, platform, &self.exports),
            Way::LetGo => exports::remove_commands(table, platform, &self.exports),
        }
    }

    /// Exported to somebody: taking one client back would not bring back what was found.
    fn is_any_here(&self, host: &mut Host<'_>) -> bool {
        !matches!(self.check(Way::LetGo, host), Ok(Answer::Yes))
    }

    /// What lies on the asset can be seen only where it is held; of its file system the configuration may tell.
    fn against_taking(&self, situation: Situation<'_>, host: &mut Host<'_>) -> Vec<String> {
        let mut objections = Vec::new();
        let is_new = match self.found(host) {
            Ok(found) => found.is_empty(),
            Err(error) => {
                objections.push(format!("{error:#}"));
                true
            }
        };
        let is_mounted = situation.is_held && is_new && host.is_on_asset(&self.path);
        let fsid = if is_mounted && !self.path.exists() {
            Err(anyhow::anyhow!("it is not there; make it, or take the [[share]] out"))
        } else if is_mounted {
            self.insist_on_fsid(host)
        } else if is_new {
            self.foreseen_type(host).map_or(Ok(()), |fstype| self.insist_on_id(&fstype, host))
        } else {
            Ok(())
        };
        objections.extend(fsid.err().map(|error| format!("{error:#}")));
        objections.iter().map(|why| format!("share {}: {why}", self.path.display())).collect()
    }

    fn plan_release(&self, _mounts: &Mounts, draft: &mut PlanDraft, host: &mut Host<'_>) {
        match self.found(host) {
            Ok(exports) if exports.is_empty() => {}
            Ok(exports) => draft.part(Way::LetGo, Part::Share(Self { path: self.path.clone(), exports })),
            Err(error) => {
                let path = self.path.display();
                draft.objections.push(format!("share {path}: {error:#}; or use --skip shares"));
            }
        }
    }
}

/// A client that is gone lets go of its files when its lease ends. One that is alive does not; the
/// unmount names it then.
fn wait_for_clients(until: Instant, host: &mut Host<'_>) {
    let seconds = std::fs::read_to_string(LEASE).ok().and_then(|text| text.trim().parse().ok());
    let Some(lease) = seconds.map(Duration::from_secs) else { return };
    let until = until.min(Instant::now() + lease + Duration::from_secs(2));
    let is_open = |holder: &Holder| matches!(holder, Holder::Client { .. });
    while Instant::now() < until
        && host.runner.interrupted().is_none()
        && host.users().holders.iter().any(is_open)
    {
        host.runner.pause(LOOKING);
    }
}
