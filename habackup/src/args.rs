//! What was typed; nothing resolved.

use clap::ArgGroup;
use orderly_exec::cli::Speech;
use orderly_host::config_report;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The modes that bring nothing back.
const NOT_WRITING_BACK: [&str; 9] =
    ["list", "verify", "diff", "check", "find", "pin", "unpin", "forget", "check_config"];

/// The modes that restore nothing.
const NOT_RESTORING: [&str; 10] =
    ["list", "verify", "diff", "check", "find", "undo", "pin", "unpin", "forget", "check_config"];

/// What a copy of the snapshots is not for.
const NOT_OF_A_COPY: [&str; 7] = ["check", "undo", "pin", "unpin", "forget", "if_held", "check_config"];

/// What leaves the state of backups as it is.
const NOT_MEASURED: [&str; 11] = [
    "list",
    "verify",
    "diff",
    "find",
    "restore",
    "undo",
    "pin",
    "unpin",
    "forget",
    "check_config",
    "dry_run",
];

/// The modes that are of no one's snapshots in particular.
const NOT_OF_A_MAKER: [&str; 9] =
    ["list", "diff", "check", "find", "undo", "pin", "unpin", "forget", "check_config"];

/// Copies the state that lives outside the shared storage into it, and restores it.
///
/// Without an option it takes one snapshot as ha.toml says and prints "Backup complete.".
/// Called by the name harestore, it restores the latest one.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "habackup", version, group = ArgGroup::new("mode").multiple(false))]
pub struct Args {
    /// List the snapshots, oldest first
    #[arg(long, group = "mode")]
    pub list: bool,

    /// Hash a snapshot again and compare it with its manifest
    #[arg(long, group = "mode")]
    pub verify: bool,

    /// Compare a snapshot with the one before it, with another one, or with the live system
    #[arg(long, group = "mode")]
    pub diff: bool,

    /// Tell whether the newest whole snapshot is fresh: exit status 0, or 1 when it is stale
    #[arg(long, group = "mode")]
    pub check: bool,

    /// Restore a snapshot, or the named paths of it
    #[arg(long, group = "mode")]
    pub restore: bool,

    /// Bring back what the last restore overwrote
    #[arg(long, group = "mode")]
    pub undo: bool,

    /// Find in which snapshots a path is, and where it changed
    #[arg(long, group = "mode", value_name = "PATTERN")]
    pub find: Option<String>,

    /// Keep this snapshot, whatever the retention in ha.toml says
    #[arg(long, group = "mode", value_name = "ID")]
    pub pin: Option<String>,

    /// Let this snapshot go again when the retention says so
    #[arg(long, group = "mode", value_name = "ID")]
    pub unpin: Option<String>,

    /// Remove this snapshot, unless it must stay
    #[arg(long, group = "mode", value_name = "ID")]
    pub forget: Option<String>,

    /// Check ha.toml and nothing else: report all its errors, or that it is valid
    #[arg(long, group = "mode", conflicts_with = "if_held")]
    pub check_config: bool,

    /// How old the newest whole snapshot may be (default: max_age of ha.toml)
    #[arg(long, value_name = "DURATION", requires = "check", value_parser = orderly_exec::duration::parse)]
    pub max_age: Option<Duration>,

    /// With --check: count only what this host made since it took the asset
    #[arg(long, requires = "check")]
    pub this_holding: bool,

    /// Choose the newest whole snapshot that this host made
    #[arg(long, value_name = "HOST", conflicts_with_all = NOT_OF_A_MAKER)]
    pub made_by: Option<String>,

    /// Read a copy of the snapshots in this directory, also where the asset is lost
    #[arg(long, value_name = "DIR", conflicts_with_all = NOT_OF_A_COPY)]
    pub store: Option<PathBuf>,

    /// Write how backups stand to this file, for Prometheus' textfile collector
    #[arg(long, value_name = "FILE", conflicts_with_all = NOT_MEASURED)]
    pub metrics: Option<PathBuf>,

    /// Restore below this directory instead of /
    #[arg(long, value_name = "DIR", conflicts_with_all = NOT_RESTORING)]
    pub into: Option<PathBuf>,

    /// Also restore a snapshot that another version of habackup made
    #[arg(long, conflicts_with_all = NOT_RESTORING)]
    pub any_version: bool,

    /// Leave what was changed here since this snapshot, and not in the one to be restored
    #[arg(long, value_name = "ID", conflicts_with_all = NOT_RESTORING)]
    pub base: Option<String>,

    /// Restore, or undo, without asking
    #[arg(short, long, conflicts_with_all = NOT_WRITING_BACK)]
    pub yes: bool,

    /// Do nothing, successfully, on the host that provably does not hold the asset
    #[arg(long)]
    pub if_held: bool,

    /// Check everything and show what would be done; change nothing
    #[arg(short = 'n', long, conflicts_with_all = ["list", "verify", "diff", "check", "find", "check_config"])]
    pub dry_run: bool,

    #[command(flatten)]
    pub speech: Speech,

    /// Use this file instead of /etc/orderly/ha.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A snapshot (an ID as --list shows it, or "latest"), then paths; for --diff a second ID or "live"
    #[arg(value_name = "ID|PATH")]
    pub operands: Vec<OsString>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Take,
    List,
    Verify,
    Diff,
    Check,
    Restore,
    Undo,
    Find,
    Pin,
    Unpin,
    Forget,
    CheckConfig,
}

impl Mode {
    /// Returns the format of what it reports.
    pub fn format(self) -> &'static str {
        match self {
            Self::Take => "orderly-backup/1",
            Self::List => "orderly-snapshots/1",
            Self::Verify => "orderly-verification/1",
            Self::Diff => "orderly-difference/1",
            Self::Check => "orderly-freshness/1",
            Self::Restore | Self::Undo => "orderly-restore/1",
            Self::Find => "orderly-find/1",
            Self::Pin | Self::Unpin => "orderly-pin/1",
            Self::Forget => "orderly-forget/1",
            Self::CheckConfig => config_report::FORMAT,
        }
    }
}

impl Args {
    /// Returns what is to be done when called by `program`.
    pub fn mode(&self, program: &str) -> Mode {
        let chosen = [
            (self.list, Mode::List),
            (self.verify, Mode::Verify),
            (self.diff, Mode::Diff),
            (self.check, Mode::Check),
            (self.restore, Mode::Restore),
            (self.undo, Mode::Undo),
            (self.find.is_some(), Mode::Find),
            (self.pin.is_some(), Mode::Pin),
            (self.unpin.is_some(), Mode::Unpin),
            (self.forget.is_some(), Mode::Forget),
            (self.check_config, Mode::CheckConfig),
        ];
        let default = if program == "harestore" { Mode::Restore } else { Mode::Take };
        chosen.into_iter().find_map(|(is_chosen, mode)| is_chosen.then_some(mode)).unwrap_or(default)
    }
}
