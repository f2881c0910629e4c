//! The flags that `ha-release` and `ha-takeover` have in common, in the same words.

use crate::handover::Manner;
use clap::ValueEnum;
use orderly_exec::cli::Speech;
use std::path::PathBuf;
use std::time::Duration;

/// What both programs understand alike.
#[derive(Debug, Clone, clap::Args)]
pub struct HandoverFlags {
    /// Use this file instead of /etc/orderly/ha.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check everything and print the commands that would run, in order; change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Set aside an unfinished run and its plan; check every step anew
    #[arg(long)]
    pub new_plan: bool,
    /// Give each command at most this long, whatever the configuration says
    #[arg(long, value_name = "DURATION", value_parser = orderly_exec::duration::parse_limit)]
    pub timeout: Option<Duration>,
    /// Check ha.toml and nothing else: report all its errors, or that it is valid
    #[arg(long, conflicts_with_all = ["status", "dry_run", "record", "skip", "new_plan", "timeout"])]
    pub check_config: bool,
    /// With --status: exit 0 if the asset is here and whole, 1 if incomplete, 4 if not here, 5 if unknown
    #[arg(long, requires = "status")]
    pub exit_code: bool,
    /// Check, while both hosts are well, all that a hand-over will need; change nothing
    #[arg(long, conflicts_with_all = ["status", "dry_run", "record", "new_plan", "timeout", "check_config"])]
    pub preflight: bool,
    #[command(flatten)]
    pub speech: Speech,
}

/// Returns the word of a part on the command line and in records.
pub fn word(part: &impl ValueEnum) -> String {
    part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl HandoverFlags {
    /// Returns how the run goes and speaks.
    pub fn manner(&self) -> Manner {
        Manner { verbosity: self.speech.verbosity(), output: self.speech.output(), new_plan: self.new_plan }
    }
}
