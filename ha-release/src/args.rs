//! What was typed; nothing resolved.

use clap::{Parser, ValueEnum};
use orderly_host::flags::HandoverFlags;
use orderly_host::sample;
use std::path::PathBuf;

/// Lets go of the shared storage on this host, so that the other host may take it.
#[derive(Debug, Parser)]
#[command(name = "ha-release", version, disable_help_subcommand = true)]
pub struct Args {
    /// Leave this part out; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub skip: Vec<ReleasePart>,
    /// Do without a backup, also when the newest snapshot is too old (the same as --skip backup)
    #[arg(long, conflicts_with = "check_config")]
    pub no_backup: bool,
    /// Leave what was done when a step fails, for a cluster manager that powers this host off then
    #[arg(long, conflicts_with_all = ["check_config", "preflight"])]
    pub no_unwind: bool,
    /// Tell where this host stands; change nothing
    #[arg(long, conflicts_with_all = ["dry_run", "poweroff", "record"])]
    pub status: bool,
    /// List who keeps the asset, or the file system of PATH, busy; change nothing
    #[arg(
        long, value_name = "PATH", num_args = 0..=1,
        conflicts_with_all = ["status", "dry_run", "poweroff", "record", "skip", "no_backup", "no_unwind", "new_plan", "check_config", "preflight"]
    )]
    pub holders: Option<Option<PathBuf>>,
    /// End the processes that use the asset, by TERM and then KILL, once the services are stopped; with --holders: now
    #[arg(long, conflicts_with_all = ["status", "no_unwind", "check_config", "preflight"])]
    pub kill: bool,
    /// Write the release record to this file, too
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Give the record a serial above this one, which the other host asked for
    #[arg(
        long,
        value_name = "SERIAL",
        conflicts_with_all = ["status", "check_config", "preflight"],
        value_parser = clap::value_parser!(u64).range(..=orderly_plan::permit::LARGEST)
    )]
    pub after: Option<u64>,
    /// State that this host holds nothing, for the other one to get back what it held when it went down
    #[arg(
        long,
        conflicts_with_all = ["status", "dry_run", "poweroff", "record", "skip", "no_backup", "no_unwind", "new_plan", "holders", "check_config", "preflight"]
    )]
    pub disclaim: bool,
    /// Shut the operating system down after a safe release
    #[arg(long, conflicts_with_all = ["check_config", "preflight"])]
    pub poweroff: bool,
    /// Print a commented ha.toml for this kind of asset to start from
    #[arg(
        long, value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(sample::kinds()),
        conflicts_with_all = [
            "status", "dry_run", "poweroff", "record", "skip", "no_backup", "no_unwind", "new_plan", "holders", "kill",
            "disclaim", "after", "check_config", "preflight", "config", "timeout", "json"
        ]
    )]
    pub init: Option<String>,
    #[command(flatten)]
    pub flags: HandoverFlags,
}

/// A part of the release that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ReleasePart {
    Boot,
    Backup,
    Services,
    Addresses,
    Loopbacks,
    Shares,
    Asset,
    Proof,
}

impl Args {
    /// Returns the parts that are left out, each once, in order.
    pub fn left_out(&self) -> Vec<ReleasePart> {
        let mut parts = self.skip.clone();
        if self.no_backup {
            parts.push(ReleasePart::Backup);
        }
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}
