//! What was typed; nothing resolved.
//!
//! IBM's public text names the flags of cstartup and leaves the meaning of some open: where it is
//! silent, the meaning is chosen here and said to be chosen in the manual page. This file is the one
//! table of them.

use clap::Parser;
use orderly_exec::duration;
use orderly_nodes::flags::{RunFlags, typed};
use std::time::Duration;

/// Starts nodes in order, many at once, never before what they depend on.
#[derive(Debug, Parser)]
#[command(name = "cstartup", version, max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct StartupArgs {
    #[command(flatten)]
    pub flags: RunFlags,
    /// Check, print the plan, start nothing
    #[arg(short = 'n', long, visible_short_alias = 'k')]
    pub dry_run: bool,
    /// Ignore violations among nodes that run already
    #[arg(short = 'S', long)]
    pub ignore_running: bool,
    /// Reset running targets where that cures a violation
    #[arg(short = 'z', long, conflicts_with = "reset_all")]
    pub reset: bool,
    /// Reset all running targets
    #[arg(short = 'Z', long)]
    pub reset_all: bool,
    /// Reset nodes that stay on but not up, once
    #[arg(long)]
    pub reset_stuck: bool,
    /// Least time between two power-ons
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub stagger: Option<Duration>,
    /// Imagine that all nodes but the targets are up
    #[arg(long, requires = "rehearse")]
    pub others_up: bool,
    /// Start targets that are listed as absent like any other
    #[arg(long)]
    pub even_absent: bool,
    /// Start exactly what was up before the last cshutdown
    #[arg(long, conflicts_with_all = ["targets", "numbers", "groups", "read_targets", "why", "why_not", "from_log", "watch",
          "status", "give_up", "more_time"])]
    pub restore: bool,
    /// ALL, node names, node sets; numbers with -N, groups with -g, a file with -R
    #[arg(value_name = "TARGET", required_unless_present_any = ["restore", "why", "why_not", "from_log", "watch",
          "status", "give_up", "more_time"])]
    pub targets: Vec<String>,
}

impl StartupArgs {
    /// Returns what another try of the run must be given, of the flags that only `cstartup` has; what `--restore` brings
    /// back is named then.
    pub(crate) fn asked(&self) -> Vec<String> {
        let flags = [
            ("-S", self.ignore_running),
            ("-z", self.reset),
            ("-Z", self.reset_all),
            ("--reset-stuck", self.reset_stuck),
            ("--even-absent", self.even_absent),
        ];
        let mut words: Vec<String> =
            flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| (*flag).to_owned()).collect();
        words.extend(self.stagger.iter().flat_map(|stagger| ["--stagger".to_owned(), typed(*stagger)]));
        words
    }
}
