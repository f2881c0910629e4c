//! What the walk has come past and the manifest has not: folders entered and left, and names that
//! helpers are at. It is settled in the order of the walk, so the manifest stands in that order and a
//! folder gets its times after all in it is made.

use super::level::Level;
use super::sharing::{Name, ShareNames, ShareOutcome, Shares};
use super::{At, LISTED, SnapshotWalk};
use crate::manifest::{Entry, Kind};
use crate::walk;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many names of one folder go to a helper at once.
pub(super) const NAMES_AT_ONCE: usize = 512;
/// How far the walk may be ahead, in steps and in names.
const STEPS: u64 = 96;
const NAMES: usize = 8_192;

/// Steps of the walk that are not settled, oldest first.
#[derive(Debug)]
pub(super) struct Ahead {
    steps: VecDeque<AheadStep>,
    /// How many there may be.
    limit: usize,
    names: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        // Each may hold a folder open on three sides, and the walk needs most of what it may open.
        let limit = (crate::kernel::files_allowed() / 16).clamp(2, STEPS);
        Self { steps: VecDeque::new(), limit: usize::try_from(limit).unwrap_or(2), names: 0 }
    }
}

#[derive(Debug)]
enum AheadStep {
    Enter(Arc<Entry>),
    Names { answer: Shares, count: usize },
    Leave { level: Arc<Level>, entry: Arc<Entry> },
}

impl SnapshotWalk<'_> {
    /// Notes that a folder was entered.
    pub(super) fn enter_ahead(&mut self, entry: &Arc<Entry>) -> anyhow::Result<()> {
        self.push_ahead(AheadStep::Enter(Arc::clone(entry)))
    }

    /// Notes that all in a folder was come past.
    pub(super) fn leave_ahead(&mut self, level: Arc<Level>, entry: Arc<Entry>) -> anyhow::Result<()> {
        self.push_ahead(AheadStep::Leave { level, entry })
    }

    /// Has names of a folder shared.
    pub(super) fn send_ahead(&mut self, level: &Arc<Level>, names: Vec<Name>) -> anyhow::Result<()> {
        let count = names.len();
        if count == 0 {
            return Ok(());
        }
        let answer = self.helpers.share(ShareNames { level: Arc::clone(level), names });
        self.ahead.names += count;
        self.push_ahead(AheadStep::Names { answer, count })
    }

    /// Settles everything.
    pub(super) fn settle_all(&mut self) -> anyhow::Result<()> {
        while let Some(step) = self.ahead.steps.pop_front() {
            self.settle(step)?;
        }
        Ok(())
    }

    fn push_ahead(&mut self, step: AheadStep) -> anyhow::Result<()> {
        self.ahead.steps.push_back(step);
        while self.ahead.steps.len() > self.ahead.limit || self.ahead.names > NAMES {
            let Some(step) = self.ahead.steps.pop_front() else { break };
            self.settle(step)?;
        }
        Ok(())
    }

    fn settle(&mut self, step: AheadStep) -> anyhow::Result<()> {
        match step {
            AheadStep::Enter(entry) => self.add(&entry),
            AheadStep::Names { answer, count } => {
                self.ahead.names -= count;
                self.settle_names(answer.wait()?)
            }
            // Last, because making what is in it changes its time, and its mode may forbid making any.
            AheadStep::Leave { level, entry } => self.finish(&level.target, &entry),
        }
    }

    fn settle_names(&mut self, outcome: ShareOutcome) -> anyhow::Result<()> {
        let ShareOutcome { level, names, json } = outcome;
        for (name, shared) in names {
            let Some(shared) = shared else {
                self.settle_one(&level, name)?;
                continue;
            };
            self.progress.file()?;
            let totals = &mut self.found.totals;
            totals.entries += 1;
            totals.files += 1;
            totals.linked += 1;
            totals.bytes += shared.size;
            self.writer.add_json(&json[shared.json])?;
        }
        Ok(())
    }

    /// Settles a name that could not be shared.
    fn settle_one(&mut self, level: &Arc<Level>, name: Name) -> anyhow::Result<()> {
        let path = walk::join(&level.path, name.name.to_bytes());
        match fstatat(&level.source, name.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let at = At { level, name: &name.name, path };
                if Kind::of_mode(stat.st_mode) == Kind::Directory {
                    return self.folder_since(&at);
                }
                self.other(&at, &stat, name.before.map(|before| before.entry))
            }
            Err(Errno::ENOENT) => {
                self.found.absent(&path, LISTED.scope, LISTED.named, Errno::ENOENT);
                Ok(())
            }
            Err(error) => {
                self.found.problem(&path, error.desc().to_owned());
                Ok(())
            }
        }
    }

    /// Walks over what became a folder since it was listed, before anything that follows it.
    fn folder_since(&mut self, at: &At<'_>) -> anyhow::Result<()> {
        let following = std::mem::take(&mut self.ahead);
        self.directory(at, LISTED)?;
        self.settle_all()?;
        self.ahead = following;
        Ok(())
    }
}
