//! What a run says of itself to all others, in a file of the state directory (`orderly-claim/1`).
//!
//! That it lives is proven by the kernel's lock beside the file and never by its process number.

use crate::elsewhere::protocol::{RunRecord, Sent};
use orderly_exec::lock::{Lock, command, who};
use orderly_exec::program::program_name;
use orderly_exec::status::mark;
use orderly_exec::{Status, clock, files, paths, printable};
use orderly_plan::claim::{Claim, Queued, Stage, Touch};
use orderly_plan::nodeset;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

const FORMAT: &str = "orderly-claim/1";

/// A run, as it is known to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    pub(super) format: String,
    /// Its place among all; those that came later have larger ones.
    pub number: u64,
    pub pid: u32,
    pub program: String,
    /// As it was called.
    pub command: String,
    pub user: String,
    pub since: String,
    pub stage: Stage,
    /// It was told to give up before it acts.
    pub cancelled: bool,
    pub claim: Claim,
}

impl RunFacts {
    /// Returns the facts of this process.
    pub(super) fn own(number: u64, stage: Stage, claim: Claim) -> Self {
        Self {
            format: FORMAT.to_owned(),
            number,
            pid: std::process::id(),
            program: program_name(),
            command: command(),
            user: who(),
            since: clock::now(),
            stage,
            cancelled: false,
            claim,
        }
    }

    /// Returns the facts in `directory` of the run of this number; nothing where it has not written any. What cannot be
    /// read, as that of a later release, is a run that may act on anything.
    pub(super) fn read(directory: &Path, number: u64) -> Option<Self> {
        let path = path(directory, number);
        let found = std::fs::symlink_metadata(&path).ok()?;
        // A pipe would be read until somebody writes into it.
        let text = || if found.is_file() { files::read(&path).ok() } else { None };
        let read = || Self::parse(&text()?).filter(|facts| facts.number == number);
        Some(read().unwrap_or_else(|| Self::unknown(number)))
    }

    /// Returns the facts of a run that says nothing of itself: it may act on anything.
    pub(super) fn unknown(number: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            number,
            pid: 0,
            program: String::new(),
            command: String::new(),
            user: String::new(),
            since: String::new(),
            stage: Stage::Acting,
            cancelled: false,
            claim: Claim { unbounded: true, ..Claim::default() },
        }
    }

    /// Returns the facts that a text holds; nothing where it is of another format.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|facts| facts.format == FORMAT)
    }

    /// Returns the facts in a file as they are now.
    pub(crate) fn written_at(path: &Path) -> Option<Self> {
        Self::parse(&files::read(path).ok()?)
    }

    /// Returns what is said first to whoever comes to the run from elsewhere.
    pub(crate) fn greeting(&self) -> Sent<RunRecord> {
        let Self { number, pid, program, .. } = self;
        Sent::new(RunRecord::Hello { number: *number, pid: *pid, program: program.clone() })
    }

    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        files::replace(&path(directory, self.number), text.as_bytes())
    }

    pub(super) fn queued(&self) -> Queued<'_> {
        Queued { number: self.number, stage: self.stage, claim: &self.claim }
    }

    /// Tells whether it was called with a deadline, by its words.
    pub(super) fn goes_first(&self) -> bool {
        self.program == "cshutdown" && self.command.contains(" --within")
    }

    /// Tells whether the process of its number is this run, and may be sent a signal.
    pub fn is_its_process(&self) -> bool {
        Lock::is_open_in(&lock_path(&directory(), self.number), self.pid)
    }

    /// Returns its targets, folded.
    pub fn targets(&self) -> String {
        nodeset::fold(self.claim.targets.iter().map(String::as_str))
    }

    /// Returns what programs are told of the run.
    pub(crate) fn record(&self) -> RunFactsRecord<'_> {
        let Self { pid, program, command, user, since, .. } = self;
        RunFactsRecord { pid: *pid, program, command, user, since, targets: self.targets() }
    }

    /// Names the run to people: its process, user, start and targets.
    pub fn describe(&self) -> String {
        if self.pid == 0 {
            let lock = lock_path(&directory(), self.number);
            return Lock::holder(&lock)
                .unwrap_or_else(|| "a process that cannot be seen from here".to_owned());
        }
        let Self { pid, command, user, since, .. } = self;
        printable(&format!(
            "process {pid} ({command}, user {user}, since {since}, targets {})",
            self.targets()
        ))
    }
}

/// A run as it is told to programs.
#[derive(Debug, Serialize)]
pub(crate) struct RunFactsRecord<'r> {
    pid: u32,
    program: &'r str,
    command: &'r str,
    user: &'r str,
    since: &'r str,
    /// As a node set.
    targets: String,
}

/// Why a run may not act, and the runs in its way.
#[derive(Debug)]
pub struct Hindered {
    said: String,
    pub runs: Vec<RunFacts>,
}

impl Hindered {
    /// Returns it, marked as refused (4).
    pub fn refused(said: String, runs: Vec<RunFacts>) -> anyhow::Error {
        mark(Self { said, runs }.into(), Status::Refused)
    }
}

impl fmt::Display for Hindered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Hindered {}

/// A run that is in another's way, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pub run: RunFacts,
    pub touch: Touch,
}

impl Obstacle {
    /// Says who is in the way, and in what.
    pub fn describe(&self) -> String {
        let fold = |names: &[String]| nodeset::fold(names.iter().map(String::as_str));
        let why = match &self.touch {
            Touch::Both(names) => format!("both act on {}", fold(names)),
            Touch::Marks(marks) => format!("both act on what is at the {}", marks.join(", ")),
            Touch::Others(names) => format!("a sequence binds {} there to targets here", fold(names)),
            Touch::Own(names) => format!("a sequence binds {} here to its targets", fold(names)),
            Touch::Unknown => {
                "which nodes a sequence binds to its targets, or to those here, is not known".to_owned()
            }
        };
        let doing = if self.run.stage == Stage::Waiting { "which waits itself" } else { "at work" };
        format!("{}, {doing}: {why}", self.run.describe())
    }
}

/// Where runs say what they act on.
pub(super) fn directory() -> PathBuf {
    paths::state_directory().join("runs")
}

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.json"))
}

pub(super) fn lock_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.lock"))
}

/// Returns where a run of this number is spoken to ([`crate::elsewhere`]).
pub fn socket_path(number: u64) -> PathBuf {
    directory().join(format!("{number}.sock"))
}
