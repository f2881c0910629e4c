//! Names of one folder that need not be copied: looked at, proved unchanged and joined to their copies
//! in the snapshot before, by helpers where there are many. What a helper cannot settle so, the walk
//! settles itself.
//!
//! Helpers only add names below the folder that is being made, which nobody sees; the walk ends, one
//! way or the other, only after they have.

use super::level::Level;
use crate::manifest::{Entry, Kind};
use crate::metadata::{self, Owners};
use crate::path_bytes::PathBytes;
use crate::previous::{Before, proves_unchanged};
use anyhow::Context;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use nix::unistd::linkat;
use std::ffi::{CStr, CString};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Fewer entries than this are shared sooner than helpers have begun.
const WORTH_HELP: u64 = 5_000;
/// More helpers than this wait for one another in the kernel.
const MOST: usize = 4;

/// A name with what stood there in the snapshot before.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: CString,
    pub(super) before: Option<Before>,
}

/// Names of one folder, to be shared.
#[derive(Debug)]
pub(super) struct ShareNames {
    pub(super) level: Arc<Level>,
    pub(super) names: Vec<Name>,
}

/// What became of names: for each whether it was shared.
#[derive(Debug)]
pub(super) struct ShareOutcome {
    pub(super) level: Arc<Level>,
    pub(super) names: Vec<(Name, Option<ShareResult>)>,
    /// The entries of what was shared, as JSON, one behind the other.
    pub(super) json: Vec<u8>,
}

/// A file that was shared.
#[derive(Debug)]
pub(super) struct ShareResult {
    pub(super) size: u64,
    /// Where its entry stands in [`ShareOutcome::json`].
    pub(super) json: Range<usize>,
}

/// What becomes of names, now or later.
#[derive(Debug)]
pub(super) enum Shares {
    Here(ShareOutcome),
    Coming(Receiver<ShareOutcome>),
}

impl Shares {
    /// Waits for it.
    ///
    /// # Errors
    /// When the helper is gone.
    pub(super) fn wait(self) -> anyhow::Result<ShareOutcome> {
        match self {
            Self::Here(outcome) => Ok(outcome),
            Self::Coming(coming) => coming.recv().context("a helper ended before its work was done"),
        }
    }
}

type Job = (ShareNames, Sender<ShareOutcome>);

/// Those who share.
#[derive(Debug)]
pub(super) struct Helpers {
    /// Before which moment a file must have settled; none without a snapshot before.
    settled_before: Option<i128>,
    owners: Owners,
    work: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    has_ended: Arc<AtomicBool>,
}

impl Helpers {
    /// Calls as many as are worth it for this many entries; without any, the caller shares itself.
    pub(super) fn call(settled_before: Option<i128>, expected: u64) -> Self {
        let has_ended = Arc::new(AtomicBool::new(false));
        let owners = Owners::default();
        let mut helpers = Self { settled_before, owners, work: None, threads: Vec::new(), has_ended };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if let Some(settled_before) = settled_before {
            if expected >= WORTH_HELP && processors > 1 {
                let (work, jobs) = channel();
                let jobs = Arc::new(Mutex::new(jobs));
                // Without another thread to be had, those there are do.
                helpers.threads = (0..processors.min(MOST))
                    .map_while(|_| helper(Arc::clone(&jobs), settled_before, Arc::clone(&helpers.has_ended)))
                    .collect();
                helpers.work = Some(work).filter(|_| !helpers.threads.is_empty());
            }
        }
        helpers
    }

    /// Has names shared.
    pub(super) fn share(&mut self, names: ShareNames) -> Shares {
        let names = match &self.work {
            None => names,
            Some(work) => {
                let (answer, coming) = channel();
                match work.send((names, answer)) {
                    Ok(()) => return Shares::Coming(coming),
                    Err(unsent) => unsent.0.0,
                }
            }
        };
        Shares::Here(share_all(names, self.settled_before, &mut self.owners))
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        // Whatever is made after this, or removed, is not made by them.
        self.has_ended.store(true, Ordering::Relaxed);
        self.work = None;
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn helper(
    jobs: Arc<Mutex<Receiver<Job>>>,
    settled_before: i128,
    has_ended: Arc<AtomicBool>,
) -> Option<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("sharing".to_owned());
    thread.spawn(move || help(&jobs, settled_before, &has_ended)).ok()
}

fn help(jobs: &Mutex<Receiver<Job>>, settled_before: i128, has_ended: &AtomicBool) {
    let mut owners = Owners::default();
    loop {
        let Ok(job) = jobs.lock().map(|jobs| jobs.recv()) else { return };
        let Ok((names, answer)) = job else { return };
        if has_ended.load(Ordering::Relaxed) {
            return;
        }
        // Nobody waits for it where the walk has failed.
        answer.send(share_all(names, Some(settled_before), &mut owners)).ok();
    }
}

fn share_all(names: ShareNames, settled_before: Option<i128>, owners: &mut Owners) -> ShareOutcome {
    let ShareNames { level, names } = names;
    let mut json = Vec::with_capacity(if settled_before.is_some() { names.len() * 400 } else { 0 });
    let mut settle = |name: Name| {
        let shared = settled_before.and_then(|settled| share_one(&level, &name, settled, owners, &mut json));
        (name, shared)
    };
    let names = names.into_iter().map(&mut settle).collect();
    ShareOutcome { level, names, json }
}

/// Shares a file that is proved unchanged and has no other name.
fn share_one(
    level: &Level,
    name: &Name,
    settled_before: i128,
    owners: &mut Owners,
    json: &mut Vec<u8>,
) -> Option<ShareResult> {
    let before = name.before.as_ref()?;
    let stat = fstatat(&level.source, name.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    if Kind::of_mode(stat.st_mode) != Kind::File || stat.st_nlink > 1 {
        return None;
    }
    let now = metadata::entry(PathBytes::default(), &stat, owners);
    if !proves_unchanged(settled_before, &now, &before.entry) {
        return None;
    }
    let start = json.len();
    if says_the_same(&now, &before.entry) {
        json.extend_from_slice(&before.json);
    } else {
        let Entry { path, blake3, xattrs, .. } = before.entry.clone();
        serde_json::to_writer(&mut *json, &Entry { path, blake3, xattrs, ..now }).ok()?;
    }
    if !share(level, &name.name) {
        json.truncate(start);
        return None;
    }
    Some(ShareResult { size: before.entry.size, json: start..json.len() })
}

/// Tells whether the entry of a file that is unchanged says word for word what it said before: also who
/// its owner is by name, and that it has no other name.
fn says_the_same(now: &Entry, before: &Entry) -> bool {
    (&now.user, &now.group) == (&before.user, &before.group)
        && (now.link_group, now.parent) == (before.link_group, before.parent)
}

/// Makes the copy of the snapshot before a name in this one; tells whether that was possible.
pub(super) fn share(level: &Level, name: &CStr) -> bool {
    let Some(previous) = &level.previous else { return false };
    linkat(previous, name, &level.target, name, AtFlags::empty()).is_ok()
}
