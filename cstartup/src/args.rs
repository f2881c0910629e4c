//! What was typed; nothing resolved.
//!
//! IBM's public text names the flags of cstartup and leaves the meaning of some open: where it is
//! silent, the meaning is chosen here and said to be chosen in the manual page. This file is the one
//! table of them.

use clap::Parser;
use orderly_plan::duration;
use std::path::PathBuf;
use std::time::Duration;

/// Starts nodes in order, many at once, never before what they depend on.
#[derive(Debug, Parser)]
#[command(name = "cstartup", version, max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Args {
    /// Extend the targets by the nodes they need that are not up
    #[arg(short = 'E', long, conflicts_with = "ignore_others")]
    pub extend: bool,
    /// Ignore nodes that are no targets when checking the sequence
    #[arg(short = 'X', long)]
    pub ignore_others: bool,
    /// Act across partitions; ALL is then every node
    #[arg(short = 'G', long)]
    pub across_partitions: bool,
    /// Check, print the plan, start nothing
    #[arg(short = 'n', long, visible_short_alias = 'k')]
    pub dry_run: bool,
    /// Targets are node numbers and ranges of them
    #[arg(short = 'N', long, conflicts_with = "groups")]
    pub numbers: bool,
    /// Targets are node groups of the inventory
    #[arg(short = 'g', long)]
    pub groups: bool,
    /// The one operand is a file of targets; `-` is standard input
    #[arg(short = 'R', long)]
    pub read_targets: bool,
    /// Ignore violations among nodes that run already
    #[arg(short = 'S', long)]
    pub ignore_running: bool,
    /// Let what waits for a node go on when the node is not up after this long; may be given twice
    #[arg(short = 'W', long = "late", value_name = "SECONDS|AUTO", value_parser = late)]
    pub late: Vec<Late>,
    /// Reset running targets where that cures a violation
    #[arg(short = 'z', long, conflicts_with = "reset_all")]
    pub reset: bool,
    /// Reset all running targets
    #[arg(short = 'Z', long)]
    pub reset_all: bool,
    /// Reset nodes that stay on but not up, once
    #[arg(long)]
    pub reset_stuck: bool,
    /// Allow resetting this very machine, last, and nodes this run still needs
    #[arg(long)]
    pub even_self: bool,
    /// Run this many driver processes at once
    #[arg(short = 'K', long, value_name = "NUMBER", value_parser = at_least_one)]
    pub fanout: Option<usize>,
    /// Take these nodes out of the targets
    #[arg(short = 'x', long, value_name = "NODESET")]
    pub exclude: Vec<String>,
    /// How long a node, and each driver call, may take
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Least time between two power-ons
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub stagger: Option<Duration>,
    /// Do nothing unless there are exactly this many targets
    #[arg(long, value_name = "COUNT")]
    pub confirm: Option<usize>,
    /// Use this sequence file instead of /etc/cstartSeq
    #[arg(long, value_name = "FILE")]
    pub sequence: Option<PathBuf>,
    /// Use this cluster.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The inventory; `-` is standard input
    #[arg(short, long, value_name = "FILE", env = "ORDERLY_INVENTORY", hide_env_values = true)]
    pub inventory: Option<PathBuf>,
    /// The current partition
    #[arg(long, value_name = "NAME", env = "SP_NAME", hide_env_values = true)]
    pub partition: Option<String>,
    /// Imagine the whole run on a virtual clock; nothing is asked or touched
    #[arg(long, conflicts_with = "dry_run")]
    pub rehearse: bool,
    /// Imagine that these nodes cannot be started
    #[arg(long, value_name = "NODESET", requires = "rehearse")]
    pub fail: Vec<String>,

    /// Imagine that all nodes but the targets are up (chosen).
    #[arg(long, requires = "rehearse")]
    pub others_up: bool,
    /// Start exactly what was up before the last cshutdown
    #[arg(long, conflicts_with_all = ["targets", "numbers", "groups", "read_targets"])]
    pub restore: bool,
    /// Print JSON records on standard output
    #[arg(long)]
    pub json: bool,
    /// Say only what failed
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say also what is left alone
    #[arg(short, long)]
    pub verbose: bool,
    /// ALL, node names, node sets; numbers with -N, groups with -g, a file with -R
    #[arg(value_name = "TARGET", required_unless_present = "restore")]
    pub targets: Vec<String>,
}

/// A limit on waiting for a late node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The same for all nodes.
    After(Duration),
    /// Twice what the node took in all but the slowest of its earlier starts.
    Auto,
}

fn late(text: &str) -> Result<Late, String> {
    if text.eq_ignore_ascii_case("AUTO") {
        return Ok(Late::Auto);
    }
    duration::parse(text).map(Late::After).map_err(|clause| format!("{clause}, and not AUTO"))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("\"{text}\" is not a number from 1")),
        Ok(number) => Ok(number),
    }
}

impl Args {
    /// Returns the limit that holds for all nodes, where one was given.
    pub(crate) fn late_after(&self) -> Option<Duration> {
        self.late.iter().rev().find_map(|late| match late {
            Late::After(limit) => Some(*limit),
            Late::Auto => None,
        })
    }

    /// Tells whether nodes are waited for as their own history says.
    pub(crate) fn is_late_by_history(&self) -> bool {
        self.late.contains(&Late::Auto)
    }
}
