//! What was typed; nothing resolved.

use clap::{Parser, ValueEnum};
use orderly_host::flags::HandoverFlags;
use std::path::PathBuf;

/// Takes the shared storage on this host, once it is proven that the other host let go of it.
#[derive(Debug, Parser)]
#[command(name = "ha-takeover", version, disable_help_subcommand = true)]
pub struct Args {
    /// Take the release record in this file for proof; - is standard input
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Power the peer off, and take its power being off for proof
    #[arg(long, conflicts_with_all = ["record", "peer_down", "check_config", "preflight"])]
    pub fence: bool,
    /// You know that the peer, which must be named, is off; refused while its address answers
    #[arg(long, value_name = "NAME", conflicts_with_all = ["check_config", "preflight"])]
    pub peer_down: Option<String>,
    /// The cluster manager that runs this says that the peer, which must be named, let go or is fenced
    #[arg(long, value_name = "NAME", conflicts_with_all = ["record", "fence", "peer_down", "check_config", "preflight"])]
    pub cluster_fenced: Option<String>,
    /// Leave this part out; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "status")]
    pub skip: Vec<TakeoverPart>,
    /// Tell where this host stands; change nothing
    #[arg(long, conflicts_with_all = ["dry_run", "record", "fence", "peer_down", "cluster_fenced"])]
    pub status: bool,
    #[command(flatten)]
    pub flags: HandoverFlags,
}

/// A part of the takeover that can be left out. Proof is none: nothing is taken without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum TakeoverPart {
    Restore,
    Loopbacks,
    Shares,
    Addresses,
    Services,
    Witness,
}

impl Args {
    /// Returns the parts that are left out, each once, in order.
    pub fn left_out(&self) -> Vec<TakeoverPart> {
        let mut parts = self.skip.clone();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}
