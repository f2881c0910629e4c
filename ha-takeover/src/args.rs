//! What was typed; nothing resolved.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Takes the shared storage on this host, once it is proven that the other host let go of it.
#[derive(Debug, Parser)]
#[command(name = "ha-takeover", version, disable_help_subcommand = true)]
pub struct Args {
    /// Read this configuration instead of /etc/orderly/ha.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Take the release record in this file for proof; - is standard input
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Power the peer off, and take its power being off for proof
    #[arg(long, conflicts_with_all = ["record", "peer_down"])]
    pub fence: bool,
    /// You know that the peer, which must be named, is off; refused while its address answers
    #[arg(long, value_name = "NAME")]
    pub peer_down: Option<String>,
    /// The cluster manager that runs this says that the peer, which must be named, let go or is fenced
    #[arg(long, value_name = "NAME", conflicts_with_all = ["record", "fence", "peer_down"])]
    pub cluster_fenced: Option<String>,
    /// Leave this part out; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "status")]
    pub skip: Vec<Part>,
    /// Check everything and print the commands that would run, in order; change nothing
    #[arg(short = 'n', long, conflicts_with = "status")]
    pub dry_run: bool,
    /// Tell where this host stands; change nothing
    #[arg(long, conflicts_with_all = ["record", "fence", "peer_down", "cluster_fenced"])]
    pub status: bool,
    /// Set aside an unfinished run and its plan; check every step anew
    #[arg(long)]
    pub new_plan: bool,
    /// Give each command at most this long, whatever the configuration says
    #[arg(long, value_name = "DURATION", value_parser = orderly_plan::duration::parse_limit)]
    pub timeout: Option<std::time::Duration>,
    /// Print JSON records, the report last
    #[arg(long)]
    pub json: bool,
    /// Say nothing but failures
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long)]
    pub verbose: bool,
}

/// A part of the takeover that can be left out. Proof is none: nothing is taken without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    Restore,
    Loopbacks,
    Shares,
    Addresses,
    Services,
    Witness,
}

impl Part {
    /// Returns its word on the command line and in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Loopbacks => "loopbacks",
            Self::Shares => "shares",
            Self::Addresses => "addresses",
            Self::Services => "services",
            Self::Witness => "witness",
        }
    }
}

impl Args {
    /// Returns the parts that are left out, each once, in order.
    pub fn left_out(&self) -> Vec<Part> {
        let mut parts = self.skip.clone();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}
