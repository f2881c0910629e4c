//! Shares: made with an id that both hosts give alike, and taken back until the kernel's NFS server
//! has forgotten them.
//!
//! An export that is gone from the table can stay in the kernel's cache, and locks and open files of
//! clients stay longer than that. In the order of the agent `exportfs` of resource-agents: unexport,
//! drop the locks, flush until it is forgotten; then wait for clients that are gone, at most a lease.

use super::{LOOKING, Machine, gone};
use crate::answer::Answer;
use crate::config::{Kind, Platform, Share};
use crate::holders::{self, Holder};
use crate::shares::{self, Export};
use anyhow::bail;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a client of NFS version 4 that is gone keeps its files open, in seconds (nfsd(7)).
const LEASE: &str = "/proc/fs/nfsd/nfsv4leasetime";

impl Machine<'_> {
    /// Returns what would keep a share from being exported, each with its remedy. What lies on the asset can be seen
    /// only where it is held; of its file system the configuration may tell.
    pub fn against_sharing(&mut self, share: &Share, is_held: bool) -> Vec<String> {
        let shown = share.path.display();
        let mut against = Vec::new();
        let is_new = match shares::found(share, self.config.platform, &mut self.runner) {
            Ok(found) => found.is_empty(),
            Err(error) => {
                against.push(format!("share {shown}: {error:#}"));
                true
            }
        };
        let is_mounted = is_held && is_new && self.is_on_asset(&share.path);
        if is_mounted && !share.path.exists() {
            against.push(format!("share {shown}: it is not there; make it, or take the [[share]] out"));
        } else if is_mounted && let Err(error) = self.insist_on_fsid(share) {
            against.push(format!("share {shown}: {error:#}"));
        } else if is_new
            && !is_mounted
            && let Some(fstype) = self.foreseen_type(&share.path)
            && let Err(error) = self.insist_on_id(share, &fstype)
        {
            against.push(format!("share {shown}: {error:#}"));
        }
        against
    }

    /// Returns the type of the file system that a place will be on once the asset is held, where the configuration
    /// tells it.
    fn foreseen_type(&mut self, path: &Path) -> Option<String> {
        let asset = &self.config.asset;
        let over = asset.mounts.iter().filter(|mount| path.starts_with(&mount.at));
        let mount = over.max_by_key(|mount| mount.at.components().count())?;
        if mount.fstype.is_some() {
            return mount.fstype.clone();
        }
        // A directory is mounted that this host sees already.
        let Kind::Bind { source } = &asset.kind else { return None };
        let within = source.join(path.strip_prefix(&mount.at).ok()?);
        let mounts = self.mounts().ok()?;
        mounts.covering(&within).map(|found| found.fstype.clone())
    }

    pub(super) fn check_share(&mut self, path: &Path, wanted: &[Export]) -> Answer {
        let Some(share) = self.share(path) else { return gone("share", &path.display().to_string()) };
        let found = match shares::found(share, self.config.platform, &mut self.runner) {
            Ok(found) => found,
            Err(error) => return Answer::Unknown(format!("{error:#}")),
        };
        if wanted.is_empty() {
            return if !found.is_empty() {
                Answer::No("it is still exported".to_owned())
            } else if self.is_in_kernel(share) {
                Answer::No("the kernel's NFS server still exports it".to_owned())
            } else {
                Answer::Yes
            };
        }
        if share.commands.is_some() && !found.is_empty() {
            return Answer::Yes;
        }
        let against = wanted.iter().find_map(|export| {
            let Some(there) = found.iter().find(|there| shares::is_same(&there.client, &export.client))
            else {
                return Some(format!("it is not exported to {}", export.client));
            };
            if self.config.platform == Platform::Solaris {
                return None;
            }
            let (is, should) = shares::difference(there, export)?;
            Some(format!("it is exported to {} with {is}, not {should}", export.client))
        });
        against.map_or(Answer::Yes, Answer::No)
    }

    /// Where a share has its own commands, its server may be another one than the kernel's.
    fn is_in_kernel(&self, share: &Share) -> bool {
        let by_kernel = share.commands.is_none() && self.config.platform == Platform::Linux;
        by_kernel && holders::is_exported(&share.path)
    }

    pub(super) fn add_share(&mut self, path: &Path, exports: &[Export]) -> anyhow::Result<()> {
        let Some(share) = self.share(path) else { bail!("no share {} is configured", path.display()) };
        // What was found is given back as it was.
        if exports == shares::wanted(share, self.config.platform) {
            self.insist_on_fsid(share)?;
        }
        let exports = &self.as_listed(share, exports)?;
        let commands = shares::add_commands(share, self.config.platform, exports);
        self.run(&commands, share.timeout)
    }

    /// What is exported already is exported anew, or no more, by the name that it has there.
    fn as_listed(&mut self, share: &Share, exports: &[Export]) -> anyhow::Result<Vec<Export>> {
        if share.commands.is_some() || self.config.platform == Platform::Solaris {
            return Ok(exports.to_vec());
        }
        let listed = shares::found(share, self.config.platform, &mut self.runner)?;
        Ok(shares::as_listed(exports, &listed))
    }

    /// Clients find their files again by the id of the file system. One that the other host would not
    /// give alike leaves them with stale handles after every hand-over.
    fn insist_on_fsid(&mut self, share: &Share) -> anyhow::Result<()> {
        let mounts = self.mounts()?;
        let fstype = mounts.covering(&share.path).map_or("an unknown file system", |mount| &mount.fstype);
        self.insist_on_id(share, fstype)
    }

    fn insist_on_id(&self, share: &Share, fstype: &str) -> anyhow::Result<()> {
        let says_itself = share.commands.is_some() || shares::has_fsid(share);
        let is_named = says_itself || self.config.platform == Platform::Solaris;
        if is_named || shares::has_id_of_its_own(fstype) {
            return Ok(());
        }
        bail!(
            "{} is on {fstype}, which has no id of its own, so clients would meet stale handles after a takeover; \
             give the share an fsid",
            share.path.display()
        )
    }

    pub(super) fn remove_share(&mut self, path: &Path, exports: &[Export]) -> anyhow::Result<()> {
        let Some(share) = self.share(path) else { bail!("no share {} is configured", path.display()) };
        let exports = &self.as_listed(share, exports)?;
        let commands = shares::remove_commands(share, self.config.platform, exports);
        self.run(&commands, share.timeout)?;
        if share.commands.is_some() || self.config.platform == Platform::Solaris {
            return Ok(());
        }
        shares::drop_locks(path)?;
        let until = Instant::now() + share.timeout;
        while holders::is_exported(path) {
            if Instant::now() >= until || self.runner.interrupted().is_some() {
                bail!("the kernel's NFS server still exports {}", path.display());
            }
            self.runner.pause(LOOKING);
            self.run(&[shares::flush_command()], share.timeout)?;
        }
        self.wait_for_clients(until);
        Ok(())
    }

    /// A client that is gone lets go of its files when its lease ends. One that is alive does not; the
    /// unmount names it then.
    fn wait_for_clients(&mut self, until: Instant) {
        let seconds = std::fs::read_to_string(LEASE).ok().and_then(|text| text.trim().parse().ok());
        let Some(lease) = seconds.map(Duration::from_secs) else { return };
        let until = until.min(Instant::now() + lease + Duration::from_secs(2));
        let is_open = |holder: &Holder| matches!(holder, Holder::Client { .. });
        while Instant::now() < until
            && self.runner.interrupted().is_none()
            && self.users().holders.iter().any(is_open)
        {
            self.runner.pause(LOOKING);
        }
    }
}
