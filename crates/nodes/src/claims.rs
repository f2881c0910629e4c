//! Runs beside each other: those that touch act one after the other, all others go on.
//!
//! Each has three files in the `runs` directory of the state directory: `NUMBER.lock`, locked as long as it lives,
//! `NUMBER.json`, which says what it acts on ([`RunFacts`]), and `NUMBER.sock`, by which it is seen from elsewhere. They
//! are judged and removed under the lock of the desk alone, which nobody holds for longer than that takes; so what a
//! killed run leaves is nobody's, and the next removes it.
//!
//! Who touches whom, and whose turn it is, is decided in `orderly_plan::claim`.

mod entry;
mod facts;

use anyhow::Context;
pub use entry::{Foreseen, Patience, enter, foresee, queue};
pub(crate) use facts::RunFactsRecord;
pub use facts::{Hindered, Obstacle, RunFacts, socket_path};
use facts::{directory, lock_path, path};
use orderly_exec::lock::Lock;
use orderly_exec::{OrStatus, Status, fail, signals};
use orderly_plan::claim::{Claim, Stage};
use std::fs::DirEntry;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long the desk is waited for: everybody holds it for moments, unless stopped or on a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// More runs than there will ever be.
const NUMBERS: u64 = 1 << 62;

/// All runs of this machine, held still.
#[derive(Debug)]
pub struct Desk {
    directory: PathBuf,
    runs: Vec<RunFacts>,
    /// Shutdowns that were killed while they waited for their time.
    killed: Vec<RunFacts>,
    /// The claim of the program whose place this one has taken.
    passed: Option<(RunFacts, Lock)>,
    last: u64,
    _lock: Lock,
}

impl Desk {
    /// Holds all runs still, and removes what killed ones left.
    ///
    /// # Errors
    /// Refused (4) where the state directory cannot be used, or somebody holds the desk for too long.
    pub fn open() -> anyhow::Result<Self> {
        let (directory, lock) = (directory(), lock()?);
        let mut desk =
            Self { runs: Vec::new(), killed: Vec::new(), passed: None, last: 0, directory, _lock: lock };
        remove_unfinished(&desk.directory);
        desk.last = last(&desk.directory);
        for number in numbers(&desk.directory) {
            let facts = RunFacts::read(&desk.directory, number);
            match (Lock::take(&lock_path(&desk.directory, number)), facts) {
                (Ok(lock), Some(facts)) if lock.is_passed() => {
                    desk.passed = Some((facts, lock));
                }
                (Ok(_), Some(facts)) if facts.stage == Stage::Pending => desk.killed.push(facts),
                (Ok(_), _) => remove(&desk.directory, number),
                // Each has written its facts before the desk was free again.
                (Err(error), facts) if Lock::is_held_elsewhere(&error) => {
                    desk.runs.push(facts.unwrap_or_else(|| RunFacts::unknown(number)));
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(desk)
    }

    /// Returns all runs that live, but for this one.
    pub fn runs(&self) -> &[RunFacts] {
        &self.runs
    }

    /// Returns the shutdowns that were killed while they waited for their time.
    pub fn killed(&self) -> &[RunFacts] {
        &self.killed
    }

    /// Interrupts a run before it acts, as Ctrl-C would; it cannot begin to act meanwhile. Several who do it are one.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn cancel(&self, run: &RunFacts) -> anyhow::Result<()> {
        if !run.cancelled {
            if !run.is_its_process() {
                let unseen =
                    format!("process {} is not that run as seen from here; cancel it where it runs", run.pid);
                return Err(fail(Status::Refused, unseen));
            }
            signals::interrupt(run.pid)?;
            RunFacts { cancelled: true, ..run.clone() }.write(&self.directory)?;
        }
        Ok(())
    }

    /// Returns who is in the way of a run.
    fn obstacles(&self, own: &RunFacts) -> Vec<Obstacle> {
        let others = self.runs.iter().filter(|run| run.number != own.number);
        let held = |run: &RunFacts| {
            own.queued().is_held_by(&run.queued()).map(|touch| Obstacle { run: run.clone(), touch })
        };
        others.filter_map(held).collect()
    }

    /// Makes a claim known, under the next number.
    fn enter(&self, facts: RunFacts) -> anyhow::Result<HeldClaim> {
        let lock = Lock::take(&lock_path(&self.directory, facts.number))?;
        facts
            .write(&self.directory)
            .inspect_err(|_| remove(&self.directory, facts.number))
            .or_status(Status::Refused)?;
        Ok(HeldClaim { facts, lock, watched: None })
    }

    /// Removes what killed shutdowns left, of which a later one tells the users.
    fn forget_killed(&self) {
        self.killed.iter().for_each(|run| remove(&self.directory, run.number));
    }
}

/// Returns the runs that live, for who only looks: makes no file and takes no lock.
pub fn seen() -> Vec<RunFacts> {
    let directory = directory();
    let lives = |number: &u64| Lock::holder(&lock_path(&directory, *number)).is_some();
    numbers(&directory).filter(lives).filter_map(|number| RunFacts::read(&directory, number)).collect()
}

/// Makes sure that it can be seen which runs live.
///
/// # Errors
/// When the directory of runs cannot be read.
pub fn check_seen() -> anyhow::Result<()> {
    match std::fs::read_dir(directory()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("see which runs go on, in {}", directory().display()))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Tells whether there ever was a run.
pub fn were_any() -> bool {
    directory().exists()
}

/// Tells whether a run lives: another may have its number since.
pub fn lives(run: &RunFacts) -> bool {
    let directory = directory();
    let is_other = |facts: RunFacts| facts.pid != 0 && facts.pid != run.pid;
    Lock::holder(&lock_path(&directory, run.number)).is_some()
        && !RunFacts::read(&directory, run.number).is_some_and(is_other)
}

/// Returns the numbers of the runs that live or were killed, in their order: those with a lock file.
fn numbers(directory: &Path) -> impl Iterator<Item = u64> + use<> {
    let is_file = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    let locks = entries(directory).filter(is_file);
    let mut numbers: Vec<u64> = locks.filter_map(|entry| number(&entry, ".lock")).collect();
    numbers.sort_unstable();
    numbers.into_iter()
}

/// Returns the largest number whose names are taken, be it by what is nobody's.
fn last(directory: &Path) -> u64 {
    let taken = |entry: DirEntry| number(&entry, ".lock").or_else(|| number(&entry, ".json"));
    entries(directory).filter_map(taken).max().unwrap_or_default()
}

fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten()
}

/// Reads a name that a run would give its file; nothing of one that no run has ever given.
fn number(entry: &DirEntry, ending: &str) -> Option<u64> {
    let name = entry.file_name();
    let digits = name.to_str()?.strip_suffix(ending)?;
    let number = digits.parse::<u64>().ok()?;
    (number < NUMBERS && number.to_string() == digits).then_some(number)
}

/// Removes what a run was writing when it was killed: whoever writes has the desk.
fn remove_unfinished(directory: &Path) {
    for entry in entries(directory) {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

fn remove(directory: &Path, number: u64) {
    std::fs::remove_file(socket_path(number)).ok();
    std::fs::remove_file(path(directory, number)).ok();
    std::fs::remove_file(lock_path(directory, number)).ok();
}

/// Takes the lock of the desk.
fn lock() -> anyhow::Result<Lock> {
    Lock::wait(&directory().join("desk.lock"), PATIENCE)
}

/// What this run claims, until it is dropped or the process ends.
#[derive(Debug)]
pub struct HeldClaim {
    facts: RunFacts,
    lock: Lock,
    /// One that it waits for, with its facts as they were then.
    watched: Option<(u64, Written)>,
}

/// A file as it was written: others are put in its place, and never changed.
type Written = Option<(u64, SystemTime)>;

impl HeldClaim {
    /// Returns what this run says of itself.
    pub fn facts(&self) -> &RunFacts {
        &self.facts
    }

    /// Claims no more than this from now on, where it turned out that it is enough.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn narrow(&mut self, claim: Claim) -> anyhow::Result<()> {
        let _desk = lock()?;
        self.facts.claim = claim;
        self.facts.write(&directory())
    }

    /// Claims these nodes as well, each as its own claim says, but for those that touch another run which acts or waits;
    /// returns the ones claimed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, nodes: Vec<(String, Claim)>) -> anyhow::Result<Vec<String>> {
        let desk = Desk::open()?;
        let is_other = |run: &&RunFacts| run.number != self.facts.number && run.stage != Stage::Pending;
        let others: Vec<&RunFacts> = desk.runs.iter().filter(is_other).collect();
        let is_free = |claim: &Claim| others.iter().all(|run| run.claim.touch(claim).is_none());
        let (free, claims): (Vec<String>, Vec<Claim>) =
            nodes.into_iter().filter(|(_, claim)| is_free(claim)).unzip();
        claims.into_iter().for_each(|claim| self.facts.claim.add(claim));
        self.facts.write(&desk.directory)?;
        Ok(free)
    }

    /// Returns a descriptor for the program that takes this one's place (`PASSED_LOCK`), which then has this claim.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn pass_on(&self) -> anyhow::Result<OwnedFd> {
        self.lock.pass_on()
    }

    fn watch(&mut self, obstacle: &Obstacle) {
        let number = obstacle.run.number;
        self.watched = Some((number, written(&path(&directory(), number))));
    }

    /// Tells whether one that was in the way still is, as it was then. Told without a lock; where it cannot be, it is not.
    fn is_held_as_before(&self) -> bool {
        self.watched.as_ref().is_some_and(|(number, facts)| {
            facts.is_some()
                && *facts == written(&path(&directory(), *number))
                && Lock::holder(&lock_path(&directory(), *number)).is_some()
        })
    }
}

fn written(path: &Path) -> Written {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.ino(), found.modified().ok()?))
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        // Where the desk cannot be had it is left like that of a killed run.
        if let Ok(_desk) = lock() {
            remove(&directory(), self.facts.number);
        }
    }
}
