//! The flags that `cstartup` and `cshutdown` have in common, in the same words.
//!
//! Where each meaning comes from, IBM's text or our choice, stands in the manual pages.

use crate::claims::Patience;
use crate::config::Flags;
use crate::elsewhere::ElsewhereFlags;
use crate::reach::Reach;
use crate::site::Site;
use crate::targets::{self, Typed};
use orderly_exec::cli::Speech;
use orderly_exec::duration;
use orderly_exec::inventory::InventoryFlags;
use orderly_exec::{OrStatus, Status, fail};
use orderly_plan::drivers::NodeId;
use orderly_plan::select::TargetKind;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What both programs understand alike.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunFlags {
    /// Extend the targets by the nodes that have to come before them
    #[arg(short = 'E', long, conflicts_with = "ignore_others")]
    pub extend: bool,
    /// Ignore nodes that are no targets in the check of the sequence
    #[arg(short = 'X', long)]
    pub ignore_others: bool,
    /// Act across partitions; ALL is then every node
    #[arg(short = 'G', long)]
    pub across_partitions: bool,
    /// Targets are node numbers and ranges of them
    #[arg(short = 'N', long, conflicts_with = "groups")]
    pub numbers: bool,
    /// Targets are node groups of the inventory
    #[arg(short = 'g', long)]
    pub groups: bool,
    /// The one operand is a file of targets; `-` is standard input
    #[arg(short = 'R', long)]
    pub read_targets: bool,
    /// Leave these nodes out
    #[arg(short = 'x', long, value_name = "NODESET")]
    pub exclude: Vec<String>,
    /// Let what waits for a node go on when the node takes longer than this; may be given twice
    #[arg(short = 'W', long, value_name = "SECONDS|AUTO")]
    pub late: Vec<Late>,
    /// Run at most this many driver processes at once
    #[arg(short = 'K', long, value_name = "NUMBER", value_parser = at_least_one)]
    pub fanout: Option<usize>,
    /// How long a node, and each driver call, may take
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Do nothing unless there are exactly this many targets
    #[arg(long, value_name = "COUNT", value_parser = crate::targets::read_count)]
    pub confirm: Option<usize>,
    /// Act also on this very machine, last, and on nodes that this run still needs
    #[arg(long)]
    pub even_self: bool,
    /// Wait for the end of other runs that this one touches, and no longer than this
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          value_parser = duration::parse, conflicts_with = "rehearse")]
    pub wait: Option<Option<Duration>>,
    /// Imagine the whole run on a virtual clock; nothing is asked or touched
    #[arg(long, conflicts_with = "dry_run")]
    pub rehearse: bool,
    /// Imagine that these nodes fail
    #[arg(long, value_name = "NODESET", requires = "rehearse")]
    pub fail: Vec<String>,
    /// Print why the first of two nodes waits for the second, line by line; nothing is asked or touched
    #[arg(long, num_args = 2, value_names = ["NODE", "NODE"],
          conflicts_with_all = ["targets", "dry_run", "rehearse", "timeline"])]
    pub why: Option<Vec<String>>,
    /// Ask the nodes, and print what holds this one now, down to what comes first of all
    #[arg(long, value_name = "NODE",
          conflicts_with_all = ["targets", "dry_run", "rehearse", "timeline", "why"])]
    pub why_not: Option<String>,
    #[command(flatten)]
    pub elsewhere: ElsewhereFlags,
    /// Write a picture of the run to this file, as SVG
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub timeline: Option<PathBuf>,
    /// Draw the run that this log tells of; with --timeline
    #[arg(long, value_name = "LOG", requires = "timeline", conflicts_with_all = ["targets", "rehearse"])]
    pub from_log: Option<PathBuf>,
    /// The current partition
    #[arg(long, value_name = "NAME", env = "SP_NAME", hide_env_values = true)]
    pub partition: Option<String>,
    /// Use this sequence file
    #[arg(long, value_name = "FILE")]
    pub sequence: Option<PathBuf>,
    #[command(flatten)]
    pub source: InventoryFlags,
    /// Use this file instead of /etc/orderly/cluster.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub speech: Speech,
}

impl RunFlags {
    /// Returns what they say in the place of `cluster.toml`.
    pub fn overrides(&self) -> Flags {
        Flags {
            inventory: self.source.path().cloned(),
            inventory_format: self.source.format(),
            fanout: self.fanout,
            timeout: self.timeout,
            ..Flags::default()
        }
    }

    /// Returns what another command must be given to read the same files, and to reach as far.
    pub fn repeated(&self) -> Vec<String> {
        let mut words = self.repeated_by_start();
        let sequence = self.sequence.as_ref().map(|path| path.display().to_string());
        words.extend(sequence.into_iter().flat_map(|path| ["--sequence".to_owned(), path]));
        words
    }

    /// Returns the same for a start after a shutdown, whose sequence file is none of it.
    pub fn repeated_by_start(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        };
        let shown = |path: &PathBuf| path.display().to_string();
        add("--config", self.config.as_ref().map(shown));
        add("-i", self.source.path().map(shown));
        add("--from", self.source.format().map(|format| format.word().to_owned()));
        // What the environment says holds for the next command as well.
        let by_flag = |name: &&String| std::env::var("SP_NAME").is_ok_and(|set| set != **name);
        add("--partition", self.partition.as_ref().filter(by_flag).cloned());
        if self.across_partitions {
            words.push("-G".to_owned());
        }
        words
    }

    /// Returns what another command must be given to do the same in the same way, but for what adds targets or leaves some
    /// out, and for how much is said.
    pub fn asked(&self) -> Vec<String> {
        let mut words = Vec::new();
        for late in &self.late {
            let limit = match late {
                Late::After(limit) => typed(*limit),
                Late::Auto => "AUTO".to_owned(),
            };
            words.extend(["-W".to_owned(), limit]);
        }
        words.extend(self.fanout.iter().flat_map(|fanout| ["-K".to_owned(), fanout.to_string()]));
        words.extend(self.timeout.iter().flat_map(|timeout| ["--timeout".to_owned(), typed(*timeout)]));
        words.extend(self.even_self.then(|| "--even-self".to_owned()));
        words.extend(self.wait.map(|limit| match limit {
            Some(limit) => format!("--wait={}", typed(limit)),
            None => "--wait".to_owned(),
        }));
        words.extend(self.repeated());
        words
    }

    /// Returns these targets with what says how they are meant.
    pub fn typed(&self, words: Vec<String>) -> Typed {
        Typed {
            words,
            numbers: self.numbers,
            groups: self.groups,
            file: self.read_targets,
            exclude: self.exclude.clone(),
            across_partitions: self.across_partitions,
            partition: self.partition.clone(),
        }
    }

    /// Returns what the words that name nodes are: names, numbers or groups.
    pub fn kind(&self) -> TargetKind {
        targets::kind(self.numbers, self.groups)
    }

    /// Returns how long other runs are waited for.
    pub fn patience(&self) -> Patience {
        Patience::of(self.wait)
    }

    /// Returns how far the run may go beyond its targets.
    pub fn reach(&self) -> Reach {
        if self.extend { Reach::Extended } else { Reach::Targets }
    }

    /// Returns the nodes and units of `--fail`.
    ///
    /// # Errors
    /// Usage (2) when it names nobody.
    pub fn failing(&self, site: &Site) -> anyhow::Result<Vec<NodeId>> {
        let mut failing = Vec::new();
        for set in &self.fail {
            for name in site.inventory.expand(set).or_status(Status::Usage)? {
                let node = site.inventory.by_name(&name).or_else(|| site.roster.unit(&name));
                failing.push(node.ok_or_else(|| {
                    fail(Status::Usage, format!("--fail: there is no node named \"{name}\""))
                })?);
            }
        }
        Ok(failing)
    }

    /// Returns the limit of `-W` that holds for all nodes, where one was given.
    pub fn late_after(&self) -> Option<Duration> {
        self.late.iter().rev().find_map(|late| match late {
            Late::After(limit) => Some(*limit),
            Late::Auto => None,
        })
    }

    /// Tells whether nodes are waited for as their own history says.
    pub fn is_late_by_history(&self) -> bool {
        self.late.contains(&Late::Auto)
    }
}

/// Returns a duration as it is typed, not rounded.
pub fn typed(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        return format!("{}s", duration.as_secs());
    }
    format!("{}ms", duration.as_millis())
}

/// A limit on waiting for a late node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The same for all nodes.
    After(Duration),
    /// Twice what the node took in all but the slowest of its earlier runs.
    Auto,
}

impl FromStr for Late {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("AUTO") {
            return Ok(Self::Auto);
        }
        duration::parse(text).map(Self::After).map_err(|clause| format!("{clause}, and not AUTO"))
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("\"{text}\" is not a number from 1 on")),
        Ok(number) => Ok(number),
    }
}
