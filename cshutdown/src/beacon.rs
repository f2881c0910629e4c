//! The shutdown with a deadline on this machine, as others see it: a second `--within` tightens its deadline, and
//! `--cancel` turns it round until its first halt is sent.
//!
//! It holds a lock as long as it lives, beside which stands what it says of itself. That counts only where the process of
//! its number has the lock: what a killed run left is nobody's, also while the next one begins. Whoever wants a sooner end
//! writes that into a file of its own, at which the run looks now and then.

use crate::full_disk::is_full;
use orderly_exec::files::Found;
use orderly_exec::lock::Lock;
use orderly_exec::status::unmarked;
use orderly_exec::{OrStatus, Status, fail, files, paths, signals};
use orderly_nodes::backend::Backend;
use orderly_plan::drivers::Event;
use orderly_plan::nodeset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long one who cancels waits for the run to give up: its users are told, and its calls waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one who tightens waits to hear that the run has heard of it.
const ANSWER: Duration = Duration::from_secs(15);
/// How long one who cancels may take from reading the number to using it.
const LATE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

const FORMAT: &str = "orderly-within/1";

/// What a run with a deadline says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BeaconFacts {
    format: String,
    pid: u32,
    /// In seconds since 1970.
    deadline: f64,
    /// Folded.
    targets: String,
    /// The first halt was sent, or is about to be: it runs to its end.
    halting: bool,
    /// It may stop this machine.
    #[serde(default)]
    even_self: bool,
}

/// Held while a shutdown with a deadline runs.
#[derive(Debug)]
pub(crate) struct Beacon {
    facts: BeaconFacts,
    _lock: Lock,
}

/// What became of a call with `--within`.
#[derive(Debug)]
pub(crate) enum Lit {
    /// It is the one that runs.
    Own(Beacon),
    /// One ran already, and has heard of it: in these words.
    Told(String),
    /// So it is, and some targets are none of its own, or no disk takes the deadline for it.
    Met(MetBeacon),
}

/// One that runs already, and does not have all the targets of this one, or cannot be told its deadline.
#[derive(Debug)]
pub(crate) struct MetBeacon {
    facts: BeaconFacts,
    strangers: Vec<String>,
    /// What it has to do with the deadline of this one.
    pub words: String,
    is_later: bool,
}

impl MetBeacon {
    /// Returns the targets that it does not have, folded.
    pub(crate) fn strangers(&self) -> String {
        nodeset::fold(self.strangers.iter().map(String::as_str))
    }

    /// Tells whether it lacks targets of this one.
    pub(crate) fn has_strangers(&self) -> bool {
        !self.strangers.is_empty()
    }

    /// Returns the names of its targets.
    pub(crate) fn targets(&self) -> Vec<String> {
        nodeset::expand(&self.facts.targets).unwrap_or_default()
    }

    pub(crate) fn process(&self) -> u32 {
        self.facts.pid
    }

    pub(crate) fn even_self(&self) -> bool {
        self.facts.even_self
    }

    /// Tells whether it could take longer than this one.
    pub(crate) fn is_later(&self) -> bool {
        self.is_later
    }

    /// Returns how long it is until it has to be over.
    pub(crate) fn left(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.facts.deadline - since_1970()).ok()
    }

    /// Tells whether it still runs.
    pub(crate) fn lives(&self) -> bool {
        Lock::is_open_in(&lock_path(), self.facts.pid)
    }

    /// Tells whether it was killed: whoever ends takes what it says of itself away.
    pub(crate) fn was_killed(&self) -> bool {
        !self.lives()
            && BeaconFacts::read().is_ok_and(|left| left.is_some_and(|left| left.pid == self.facts.pid))
    }

    /// Tells it to begin nothing more, if nobody has.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        let _turn = spared_turn()?;
        if self.lives() { self.facts.tell_to_end() } else { Ok(()) }
    }

    /// Tells it to end what it runs, too.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn end_all(&self) -> anyhow::Result<()> {
        let _turn = spared_turn()?;
        if self.lives() { signals::terminate(self.facts.pid) } else { Ok(()) }
    }
}

impl Drop for Beacon {
    fn drop(&mut self) {
        // Before the lock goes: whoever takes it next must not be taken for the process that had it.
        for path in [facts_path(), asked_path(), told_path()] {
            std::fs::remove_file(path).ok();
        }
    }
}

impl Beacon {
    /// Makes this run the one with a deadline, `left` from now on these targets, or tightens the one that runs.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(crate) fn light(left: Duration, targets: &[&str], even_self: bool) -> anyhow::Result<Lit> {
        let deadline = since_1970() + left.as_secs_f64();
        loop {
            match Self::take(left, targets, even_self) {
                Ok(beacon) => return Ok(Lit::Own(beacon)),
                Err(error) if !Lock::is_held_elsewhere(&error) => return Err(error),
                Err(_) => {}
            }
            let Some(facts) = BeaconFacts::living()? else { continue };
            let is_later = deadline < facts.deadline;
            let (words, is_told) = match facts.tighten(deadline) {
                Ok(Some(words)) => (words, true),
                Ok(None) => continue,
                // It has to be over by then all the same, so its place is taken.
                Err(error) if is_full(&error) => (facts.untold(&error), false),
                Err(error) => return Err(error),
            };
            let strangers = facts.strangers(targets);
            return Ok(match strangers.is_empty() && is_told {
                true => Lit::Told(words),
                false => Lit::Met(MetBeacon { facts, strangers, words, is_later }),
            });
        }
    }

    /// Makes this run the one with a deadline.
    ///
    /// # Errors
    /// When another is it, or the state directory cannot be used.
    fn take(left: Duration, targets: &[&str], even_self: bool) -> anyhow::Result<Self> {
        let lock = Lock::take(&lock_path())?;
        for path in [asked_path(), told_path()] {
            std::fs::remove_file(path).ok();
        }
        let facts = BeaconFacts {
            format: FORMAT.to_owned(),
            pid: std::process::id(),
            deadline: since_1970() + left.as_secs_f64(),
            targets: nodeset::fold(targets.iter().copied()),
            halting: false,
            even_self,
        };
        facts.write().or_status(Status::Refused)?;
        Ok(Self { facts, _lock: lock })
    }

    /// Returns how long it is to the deadline, where somebody has asked for a sooner one.
    pub(crate) fn tightened(&mut self) -> Option<Duration> {
        let asked = asked()?;
        if asked >= self.facts.deadline {
            return None;
        }
        self.facts.deadline = asked;
        // Who asked waits for it, and not for ever.
        self.facts.write().ok();
        Some(Duration::try_from_secs_f64(asked - since_1970()).unwrap_or_default())
    }

    /// Makes known that the first halt is sent; returns the signal of somebody who was cancelling just then. From here
    /// on nobody can.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(crate) fn begin_halting(&mut self, drivers: &mut dyn Backend) -> anyhow::Result<Option<i32>> {
        self.facts.halting = true;
        self.facts.write()?;
        let until = drivers.now() + LATE;
        let signal = |event| if let Event::Signal(signal) = event { Some(signal) } else { None };
        loop {
            let is_turn = is_held(&turn_path());
            let soon = drivers.now() + if is_turn { GLANCE } else { Duration::ZERO };
            if let Some(signal) = drivers.next(Some(soon)).into_iter().find_map(signal) {
                return Ok(Some(signal));
            }
            if !is_turn || drivers.now() >= until {
                return Ok(None);
            }
        }
    }
}

impl BeaconFacts {
    /// Returns what the run that lives says of itself; nothing where none does. One that just begins or ends is waited for.
    fn living() -> anyhow::Result<Option<Self>> {
        let until = Instant::now() + ANSWER;
        while let Some(by) = Lock::holder(&lock_path()) {
            // Another release's is read only where its run lives.
            let is_living = |facts: &Self| Lock::is_open_in(&lock_path(), facts.pid);
            match Self::read() {
                Ok(Some(facts)) if is_living(&facts) => return Ok(Some(facts)),
                Ok(_) | Err(_) if Instant::now() <= until => std::thread::sleep(GLANCE),
                Err(error) => return Err(error),
                Ok(_) => {
                    let text = format!("{} says nothing of the shutdown of {by}", facts_path().display());
                    return Err(fail(Status::Refused, text));
                }
            }
        }
        Ok(None)
    }

    fn read() -> anyhow::Result<Option<Self>> {
        let Found::Text(text) = files::read_if_there(&facts_path())? else { return Ok(None) };
        // Whoever wrote another format runs another release: it cannot be told anything.
        Self::parse(&text)
            .map(Some)
            .ok_or_else(|| fail(Status::Refused, format!("{}: not of this release", facts_path().display())))
    }

    /// Returns the facts that a text holds; nothing where it is of another format.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|facts| facts.format == FORMAT)
    }

    fn write(&self) -> anyhow::Result<()> {
        files::replace(&facts_path(), &serde_json::to_vec(self)?)
    }

    /// Asks the run for a sooner end; nothing where it ended meanwhile.
    fn tighten(&self, deadline: f64) -> anyhow::Result<Option<String>> {
        let pid = self.pid;
        if deadline >= self.deadline {
            let words =
                format!("the shutdown of process {pid} has to be over sooner already: nothing is changed");
            return Ok(Some(words));
        }
        {
            let _turn = turn()?;
            if asked().is_none_or(|asked| deadline < asked) {
                files::replace(&asked_path(), format!("{deadline}\n").as_bytes())?;
                give_to_the_run(&asked_path());
            }
        }
        let until = Instant::now() + ANSWER;
        while Lock::is_open_in(&lock_path(), pid) {
            let heard = Self::read()?.is_some_and(|facts| facts.pid == pid && facts.deadline <= deadline);
            if heard {
                return Ok(Some(format!("the deadline of the shutdown of process {pid} is tightened")));
            }
            if Instant::now() > until {
                let words = format!(
                    "the shutdown of process {pid} finds its new deadline before it begins its next phase"
                );
                return Ok(Some(words));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(None)
    }

    /// Says that it cannot be asked for a sooner end.
    fn untold(&self, error: &anyhow::Error) -> String {
        format!(
            "the deadline of the shutdown of process {} cannot be tightened: {}",
            self.pid,
            unmarked(error)
        )
    }

    /// Tells the run to begin nothing more. A second time would end what it runs, so it is told once, whoever does it.
    fn tell_to_end(&self) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        let told = files::read_if_there(&told_path());
        if matches!(told, Ok(Found::Text(told)) if told.trim() == pid) {
            return Ok(());
        }
        signals::terminate(self.pid)?;
        // Where there is no room for it, it may be told twice.
        files::replace(&told_path(), format!("{pid}\n").as_bytes()).ok();
        Ok(())
    }

    /// Returns those of some targets that are none of the run.
    pub fn strangers(&self, targets: &[&str]) -> Vec<String> {
        let own: BTreeSet<String> = nodeset::expand(&self.targets).unwrap_or_default().into_iter().collect();
        targets.iter().filter(|target| !own.contains(**target)).map(|&target| target.to_owned()).collect()
    }
}

/// A shutdown with a deadline that may be turned round.
#[derive(Debug)]
pub(crate) struct TurnedBeacon(BeaconFacts);

impl TurnedBeacon {
    /// Returns the one that runs; nothing where none does.
    ///
    /// # Errors
    /// When it says nothing of itself.
    pub(crate) fn living() -> anyhow::Result<Option<Self>> {
        Ok(BeaconFacts::living()?.map(Self))
    }

    pub(crate) fn process(&self) -> u32 {
        self.0.pid
    }

    /// Tells whether its first halt was sent, so that it runs to its end.
    pub(crate) fn is_halting(&self) -> bool {
        self.0.halting
    }

    /// Tells whether it is to stop one of these nodes.
    pub(crate) fn has(&self, names: &[String]) -> bool {
        let own = nodeset::expand(&self.0.targets).unwrap_or_default();
        names.iter().any(|name| own.contains(name))
    }

    /// Names it to people.
    pub(crate) fn describe(&self) -> String {
        format!("process {} (with a deadline, targets {})", self.0.pid, self.0.targets)
    }

    /// Turns it round, and waits until it has given up. Several who do it are one.
    ///
    /// # Errors
    /// Refused (4) when its first halt was sent; failed (1) when it does not give up.
    pub(crate) fn cancel(&self) -> anyhow::Result<()> {
        let pid = self.0.pid;
        {
            let _turn = turn()?;
            let now = BeaconFacts::read()?.filter(|facts| facts.pid == pid);
            if now.is_some_and(|facts| facts.halting) {
                let text = format!(
                    "the shutdown of process {pid} has begun to halt nodes and runs to its end; cstartup --restore brings \
                     them back then (with --reset-stuck those that are halted and still have power)"
                );
                return Err(fail(Status::Refused, text));
            }
            if Lock::is_open_in(&lock_path(), pid) {
                self.0.tell_to_end()?;
            }
        }
        let until = Instant::now() + PATIENCE;
        while Lock::is_open_in(&lock_path(), pid) {
            if Instant::now() > until {
                let text = format!("process {pid} was told to end, and still waits for what it has begun");
                return Err(fail(Status::Failed, text));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

/// Takes the turn of those who tell the run something.
fn turn() -> anyhow::Result<Lock> {
    let until = Instant::now() + LATE;
    loop {
        match Lock::take(&turn_path()) {
            Err(error) if Lock::is_held_elsewhere(&error) && Instant::now() < until => {
                std::thread::sleep(GLANCE);
            }
            taken => {
                give_to_the_run(&turn_path());
                return taken;
            }
        }
    }
}

/// Takes the turn, unless there is no room for it: then the run may be told twice.
fn spared_turn() -> anyhow::Result<Option<Lock>> {
    match turn() {
        Ok(turn) => Ok(Some(turn)),
        Err(error) if is_full(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lets the run read what root has written for it, where that is another user's.
fn give_to_the_run(path: &Path) {
    if let Ok(run) = std::fs::metadata(facts_path()) {
        // Nobody but root can, and need not.
        std::os::unix::fs::chown(path, Some(run.uid()), Some(run.gid())).ok();
    }
}

/// Returns the deadline that somebody asked for.
fn asked() -> Option<f64> {
    let Ok(Found::Text(text)) = files::read_if_there(&asked_path()) else { return None };
    text.trim().parse().ok().filter(|asked: &f64| asked.is_finite())
}

fn since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Tells whether somebody holds a lock, without taking it.
fn is_held(lock: &Path) -> bool {
    Lock::holder(lock).is_some()
}

fn lock_path() -> PathBuf {
    paths::state_directory().join("cshutdown.within.lock")
}

fn turn_path() -> PathBuf {
    paths::state_directory().join("cshutdown.within.turn.lock")
}

fn facts_path() -> PathBuf {
    paths::state_directory().join("cshutdown.within.json")
}

fn asked_path() -> PathBuf {
    paths::state_directory().join("cshutdown.within.asked")
}

fn told_path() -> PathBuf {
    paths::state_directory().join("cshutdown.within.told")
}
