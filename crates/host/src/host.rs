//! This machine as a hand-over finds it: its configuration, its asset, and what it is asked.

pub mod apart;
pub mod reachability;
pub mod way_back;
pub mod writable;

pub use crate::proved::Proved;

use crate::asset::{Asset, State};
use crate::config::{Config, LoopbackTable};
use crate::holders::{self, Holder, Holders};
use crate::mountinfo::{self, Mount, Mounts};
use crate::platform::{Argv, Platform};
use crate::reservations::{self, Reservations};
use crate::{ledger, mounts};
use orderly_exec::job::Job;
use orderly_exec::lock::Lock;
use orderly_exec::runner::{Run, Runner};
use reachability::Reachability;
use std::path::Path;
use std::time::Duration;

/// How long is waited between two looks at a service that is about to change.
pub(crate) const LOOKING: Duration = Duration::from_millis(250);

/// How many holders are named before the rest is counted.
pub(crate) const NAMED: usize = 8;

/// This machine, with its configuration and the lock of the run.
#[derive(Debug)]
pub struct Host<'c> {
    pub config: &'c Config,
    pub asset: Box<dyn Asset>,
    pub runner: Runner,
    /// `None` for a run that changes nothing.
    pub(crate) lock: Option<&'c Lock>,
    /// What is worth saying and fails nothing.
    pub notes: Vec<String>,
    /// Identity and change mark at the moment at which the asset was proven released: later steps
    /// (closing LUKS, detaching the storage) take it out of sight.
    pub proved: Option<Proved>,
    /// Whether this run left a trace on the asset by which the peer sees that it is held here.
    pub(crate) traced: bool,
    /// Mounts that this run made and that do not show what they should: whose they look like, they are its own.
    pub(crate) foreign_mounts: Vec<u64>,
    /// Why the last action did not come about, where the run goes on all the same.
    pub(crate) passed_over: Option<String>,
    /// A command that not even KILL ended. It may still do its work, so nothing is known any more.
    pub(crate) wedged: Option<String>,
}

impl<'c> Host<'c> {
    /// Returns this machine.
    ///
    /// # Errors
    /// When no process could be waited for.
    pub fn new(config: &'c Config, lock: Option<&'c Lock>) -> anyhow::Result<Self> {
        Ok(Self {
            config,
            asset: config.open_asset(),
            runner: Runner::new()?,
            lock,
            notes: Vec::new(),
            proved: None,
            traced: false,
            foreign_mounts: Vec::new(),
            passed_over: None,
            wedged: None,
        })
    }

    /// Returns who holds the asset.
    pub fn asset_state(&mut self) -> State {
        self.asset.state(&mut self.runner)
    }

    /// Returns what is mounted on this host.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub fn mounts(&mut self) -> anyhow::Result<Mounts> {
        mounts::table(self.config.platform, &mut self.runner)
    }

    /// Returns the mounts that keep the asset in use, in every mount namespace of this host. Solaris
    /// has one table, in which the global zone also sees what other zones mounted.
    pub fn asset_mounts(&mut self) -> Holders {
        let mut found = Holders::default();
        if !self.asset.has_mounts() {
            return found;
        }
        if self.config.platform == Platform::Linux {
            return holders::mounts(&|mount| self.asset.is_on(mount));
        }
        match self.mounts() {
            Ok(table) => {
                let ours = table.0.iter().filter(|mount| self.asset.is_on(mount));
                found.holders = ours.map(|mount| Holder::Mount { at: mount.at.clone(), pid: None }).collect();
            }
            Err(error) => found.unread.push(format!("{error:#}")),
        }
        found
    }

    /// Returns who uses files on the asset, and what keeps its mounts busy. On Solaris nobody is seen, and
    /// that is said.
    pub fn users(&mut self) -> Holders {
        match self.config.platform {
            Platform::Linux => {
                let own = mountinfo::own().unwrap_or_default();
                holders::users_of(&|mount| self.asset.is_on(mount), &|mount| self.is_known(mount, &own))
            }
            Platform::Solaris => {
                let places = self.config.asset.mounts.iter().map(|mount| mount.at.display().to_string());
                let ask = format!("fuser -c {}", places.collect::<Vec<_>>().join(" "));
                let unread = vec![format!("who uses the asset is not seen on solaris; {ask} tells")];
                Holders { holders: Vec::new(), unread }
            }
        }
    }

    /// Tells whether a release unmounts this mount by itself. The place alone does not tell: something else may
    /// be mounted over what it unmounts there.
    fn is_known(&self, mount: &Mount, own: &Mounts) -> bool {
        let is_on = self.asset.is_on(mount);
        let is_loopback = |loopback: &LoopbackTable| {
            loopback.at == mount.at
                && (is_on || own.locate(&loopback.source) == Some((mount.device, mount.root.clone())))
        };
        (is_on && self.config.asset.mounts.iter().any(|table| table.at == mount.at))
            || self.config.loopbacks.iter().any(is_loopback)
            || self.asset.mounts_itself(mount)
    }

    /// Returns what SCSI reservations stand between this host and the asset. Solaris has no
    /// `sg_persist`, and is not asked.
    pub fn reservations(&mut self) -> Reservations {
        if self.config.platform == Platform::Solaris {
            return Reservations::default();
        }
        let devices = self.asset.devices(&mut self.runner);
        let (own, limit) = (self.config.own.reservation_key, self.config.asset.timeout);
        reservations::look(&devices, own, limit, &mut self.runner)
    }

    /// Runs commands one after the other.
    pub(crate) fn run(&mut self, commands: &[Argv], limit: Duration) -> anyhow::Result<()> {
        for argv in commands {
            self.runner.expect(&Job::new(argv, limit))?;
        }
        Ok(())
    }

    /// Returns this host with its asset, for the label.
    pub fn numbering(&mut self) -> ledger::Numbering<'_> {
        ledger::Numbering {
            config: self.config,
            asset: self.asset.as_ref(),
            run: &mut self.runner,
            by: ledger::LabelWriter::Child,
        }
    }

    /// Asks whether anybody answers at an address.
    pub fn reach(&mut self, ip: &str) -> Reachability {
        reachability::ask(ip, self.config.platform, &mut self.runner)
    }
    /// Returns who keeps the asset busy, as a clause.
    pub(crate) fn held_by(&mut self) -> String {
        let found = self.users();
        let mut named: Vec<String> = found.holders.iter().take(NAMED).map(Holder::to_string).collect();
        if found.holders.len() > NAMED {
            named.push(format!("and {} more", found.holders.len() - NAMED));
        }
        match found.unread_clause() {
            _ if !named.is_empty() => format!("in use: {}", named.join("; ")),
            Some(unread) => unread,
            None => "nobody is seen to use it".to_owned(),
        }
    }

    /// Tells whether a place lies in what is mounted of the asset, there or not.
    pub(crate) fn is_on_asset(&mut self, path: &Path) -> bool {
        let Ok(mounts) = self.mounts() else { return false };
        mounts.covering(path).is_some_and(|mount| self.asset.is_on(mount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `/proc/1` cannot be read, the release of an asset without mounts ended as unknown.
    #[test]
    fn nothing_is_looked_for_where_nothing_can_be_mounted() {
        let text = "[[host]]\nname = \"ec1\"\n[[host]]\nname = \"ec2\"\n[asset]\nkind = \"command\"\nidentity = [\"id\"]\n\
                    state = [\"state\"]\ntake = [\"take\"]\n";
        let config = Config::read(Path::new("ha.toml"), text, "ec1").unwrap();
        assert_eq!(Host::new(&config, None).unwrap().asset_mounts(), Holders::default());
    }
}
