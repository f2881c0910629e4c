//! `cluster.toml`: how a node is powered, reached and probed, and within which limits.
//!
//! The whole file is read and checked at once, by `config/read.rs`; what a node finally gets,
//! after the overrides of its groups and its own, is a [`Profile`].

mod keys;
mod profile;
pub(crate) mod programs;
mod read;
mod shell;

pub use keys::{
    LimitsPatch, NodeLimits, PowerPatch, PowerSettings, ProbePatch, ProbeSettings, Shutdown, ShutdownPatch,
};
pub use profile::{Patch, Profile};
pub use shell::{ShellPatch, ShellSettings};

use crate::power::PowerDriver;
use crate::shell::ShellDriver;
use crate::simulator::SimulatorSettings;
use anyhow::Context;
use orderly_exec::status::{OrStatus, Status, fail};
use orderly_exec::{files, paths, trust};
use orderly_plan::inventory::Format;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything `cluster.toml` says, with the defaults filled in.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Where it was read, for messages.
    pub file: String,
    /// The current partition when `SP_NAME` is unset.
    pub partition: Option<String>,
    pub inventory: PathBuf,
    /// How it is written.
    pub inventory_format: Format,
    pub log_dir: PathBuf,
    /// What subsystems get as `-b`; found out when it is not given.
    pub control_address: Option<String>,
    /// This machine's name in the inventory, when it is itself a node.
    pub control_node: Option<String>,
    /// Machines that may serve nodes and are none of the inventory.
    pub outside: Vec<String>,
    /// Nodes that are known to be away: a node set, and a file of such.
    pub absent: Option<String>,
    pub absent_file: Option<PathBuf>,
    pub sequence: SequencePaths,
    pub subsystem: Subsystem,
    pub limits: Limits,
    /// What holds for every node without an override.
    pub profile: Profile,
    /// What groups say differently, by name.
    pub group_overrides: BTreeMap<String, Patch>,
    /// What nodes say differently, by name.
    pub node_overrides: BTreeMap<String, Patch>,
    pub simulator: SimulatorSettings,
}

/// The three sequence files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencePaths {
    pub start: PathBuf,
    pub shut: PathBuf,
    pub subsystems: PathBuf,
    /// A `shut` that states the same order as `start` is meant so.
    pub literal: bool,
}

/// Where special subsystems are called, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsystem {
    pub host: SubsystemHost,
    pub operands: SubsystemOperands,
    pub timeout: Duration,
    /// How long one is thought to take of which that is not known yet.
    pub usual: Duration,
    /// By subsystem that quiets something: the program that undoes this once nodes are up again.
    pub up: BTreeMap<String, String>,
}

/// How subsystems are given nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubsystemOperands {
    /// As IBM documents it; a node without a number by its name.
    Numbers,
    Names,
}

/// Where special subsystems are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubsystemHost {
    /// On one randomly chosen reachable node of the partition.
    Random,
    /// On this machine.
    Control,
    Node(String),
}

/// The limits of a whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Driver processes at once.
    pub fanout: usize,
    /// Nodes between power-on and up at once; none is no limit.
    pub booting: Option<usize>,
    /// The attribute for each value of which that limit is; of all nodes together without it.
    pub booting_per: Option<String>,
    /// Time between two power-ons.
    pub stagger: Duration,
    /// The inventory attribute that names a node's power controller.
    pub per: Option<String>,
    /// Power calls at once for nodes with the same value of `per`.
    pub max: usize,
}

/// What was said on the command line; each wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    pub partition: Option<String>,
    pub inventory: Option<PathBuf>,
    pub inventory_format: Option<Format>,
    pub log_dir: Option<PathBuf>,
    pub fanout: Option<usize>,
    /// 0 is no limit, as in the file.
    pub booting: Option<usize>,
    pub stagger: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    pub reset_stuck: bool,
}

impl Cluster {
    /// Reads `cluster.toml`: `--config FILE`, else in `ORDERLY_CONFIG_DIR`, else in `/etc/orderly`.
    ///
    /// # Errors
    /// Rejected (3) when it is missing (without it nothing is done), unreadable, writable by others,
    /// or wrong; the [`Diagnostics`](orderly_plan::diagnostic::Diagnostics) are in the chain.
    pub fn read(config: Option<&Path>) -> anyhow::Result<Self> {
        let path = paths::config_path(config, "cluster.toml");
        match files::read_if_there(&path)? {
            files::Found::Missing => Err(fail(
                Status::Rejected,
                format!(
                    "read {}: there is no such file, and without it nothing is done; \
                     write one (cluster.toml(5)) or name another with --config",
                    path.display()
                ),
            )),
            files::Found::Text(text) => {
                trust::check_only_owner_changes(&path)?;
                Self::parse(&path.display().to_string(), &text).or_status(Status::Rejected)
            }
        }
    }

    /// Puts what was said on the command line in the place of what the file says.
    pub fn apply(&mut self, flags: &Flags) {
        fn set<T: Clone>(place: &mut T, said: Option<&T>) {
            if let Some(value) = said {
                place.clone_from(value);
            }
        }
        if flags.partition.is_some() {
            self.partition.clone_from(&flags.partition);
        }
        set(&mut self.inventory, flags.inventory.as_ref());
        set(&mut self.inventory_format, flags.inventory_format.as_ref());
        set(&mut self.log_dir, flags.log_dir.as_ref());
        set(&mut self.limits.fanout, flags.fanout.as_ref());
        set(&mut self.limits.stagger, flags.stagger.as_ref());
        if let Some(booting) = flags.booting {
            self.limits.booting = (booting > 0).then_some(booting);
        }
        // A flag is about every node: overrides of the same limit give way too.
        let overrides = self.group_overrides.values_mut().chain(self.node_overrides.values_mut());
        for patch in overrides {
            patch.limits.timeout = patch.limits.timeout.filter(|_| flags.timeout.is_none());
            patch.limits.retries = patch.limits.retries.filter(|_| flags.retries.is_none());
            patch.limits.reset_stuck = patch.limits.reset_stuck.filter(|_| !flags.reset_stuck);
        }
        set(&mut self.profile.limits.timeout, flags.timeout.as_ref());
        set(&mut self.profile.limits.retries, flags.retries.as_ref());
        self.profile.limits.reset_stuck |= flags.reset_stuck;
    }

    /// Returns the power drivers of all nodes, as the file names them.
    pub fn power_drivers(&self) -> impl Iterator<Item = &dyn PowerDriver> {
        let overrides = self.group_overrides.values().chain(self.node_overrides.values());
        let drivers = overrides.filter_map(|patch| patch.power.driver.as_ref());
        drivers.chain([&self.profile.power.driver]).map(|driver| &**driver)
    }

    /// Returns the shell drivers of all nodes, as the file names them.
    pub fn shell_drivers(&self) -> impl Iterator<Item = &dyn ShellDriver> {
        let overrides = self.group_overrides.values().chain(self.node_overrides.values());
        let drivers = overrides.filter_map(|patch| patch.shell.driver.as_deref());
        drivers.chain(self.profile.shell.driver.as_deref())
    }

    /// Returns what people are to be told at every run.
    pub fn remarks(&self) -> Vec<String> {
        let of_shell = self.shell_drivers().filter_map(ShellDriver::remark);
        let remarks: BTreeSet<String> =
            self.power_drivers().filter_map(PowerDriver::remark).chain(of_shell).collect();
        remarks.into_iter().map(|remark| format!("warning: {}: {remark}", self.file)).collect()
    }

    /// Tells whether the nodes are imagined; such a run says *simulated* first and last.
    pub fn is_simulated(&self) -> bool {
        self.profile.is_simulated()
            || self.group_overrides.values().chain(self.node_overrides.values()).any(Patch::is_simulated)
    }

    /// Returns how many times faster than the clock on the wall imagined time runs; 1 for real nodes.
    pub fn speed(&self) -> u32 {
        if self.is_simulated() { self.simulator.speed.max(1) } else { 1 }
    }

    /// Returns where the simulated world is remembered.
    pub fn simulator_state(&self) -> PathBuf {
        self.simulator.state.clone().unwrap_or_else(|| paths::state_directory().join("simulator.json"))
    }

    /// Returns the address subsystems are given: the configured one, else the one from which
    /// `towards` is reached, else this machine's name.
    ///
    /// # Errors
    /// When none can be found out.
    pub fn control_address(&self, towards: &[&str]) -> anyhow::Result<String> {
        if let Some(address) = &self.control_address {
            return Ok(address.clone());
        }
        if let Some(address) = towards.iter().find_map(|node| source_address(node)) {
            return Ok(address.to_string());
        }
        let name = nix::unistd::gethostname().context("ask for this machine's name")?;
        Ok(name.to_string_lossy().into_owned())
    }
}

/// Returns the address this machine would use towards a numeric address; nothing is sent.
fn source_address(node: &str) -> Option<std::net::IpAddr> {
    let node: std::net::IpAddr = node.parse().ok()?;
    let any: std::net::IpAddr = match node {
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((node, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests;
