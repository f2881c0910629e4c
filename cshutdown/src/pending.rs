//! A shutdown that waits for its time, and how it is cancelled from elsewhere.
//!
//! While it waits it holds a lock of its own beside which its process number stands; the lock dies
//! with the process, so a number without the lock names nobody.

use anyhow::Context;
use orderly_exec::files::Found;
use orderly_exec::lock::Lock;
use orderly_exec::{Status, fail, files, paths, signals};
use orderly_nodes::backend::Backend;
use orderly_plan::drivers::Event;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a cancelled shutdown may take to let go: it waits for users who are just being told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const GLANCE: Duration = Duration::from_millis(20);

/// How long one who cancels may take from reading the number to using it.
const LATE: Duration = Duration::from_secs(10);

const NONE: &str = "no shutdown waits for its time here; nothing is cancelled";

const KILLED: &str = "the shutdown that waited here was killed; its users were told of it and not that nothing comes of \
    it, and where it held off logins they still are: remove /run/nologin on its targets";

const TAKEN: &str =
    "another shutdown waits for its time on this machine; cshutdown --cancel cancels that one";

/// Held while a shutdown waits for its time.
#[derive(Debug)]
pub(crate) struct Pending {
    _lock: Lock,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Before the lock goes: whoever takes it next must not be taken for the process that had it.
        std::fs::remove_file(number_path()).ok();
    }
}

impl Pending {
    /// Makes this run the one that `--cancel` cancels.
    ///
    /// # Errors
    /// Refused (4) when another shutdown waits already.
    pub(crate) fn announce() -> anyhow::Result<Self> {
        let lock = Lock::take(&lock_path()).map_err(|error| match Lock::is_held_elsewhere(&error) {
            true => fail(Status::Refused, TAKEN),
            false => error.context("wait for the time of a shutdown"),
        })?;
        // One that was killed left its number, which may be another process's by now.
        std::fs::remove_file(number_path()).ok();
        files::replace(&number_path(), format!("{}\n", std::process::id()).as_bytes())?;
        Ok(Self { _lock: lock })
    }

    /// Ends the wait because its time has come; returns the signal of somebody who was cancelling it just
    /// then. From here on nobody can: an interrupt would be one of the shutdown itself.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(crate) fn end(&self, drivers: &mut dyn Backend) -> anyhow::Result<Option<i32>> {
        std::fs::remove_file(number_path()).ok();
        let until = drivers.now() + LATE;
        // Whoever has the turn may have read the number before it went, and is about to use it.
        while drivers.now() < until && is_held(&turn_path())? {
            let soon = drivers.now() + GLANCE;
            for event in drivers.next(Some(soon)) {
                if let Event::Signal(signal) = event {
                    return Ok(Some(signal));
                }
            }
        }
        Ok(None)
    }
}

/// Cancels the shutdown that waits on this machine, and waits until it has given up.
///
/// # Errors
/// Refused (4) when none waits; failed (1) when it does not give up.
pub(crate) fn cancel() -> anyhow::Result<Status> {
    let lock = lock_path();
    if !is_held(&lock)? {
        // Whoever ends as it should takes its number along.
        let killed = !matches!(files::read_if_there(&number_path())?, Found::Missing);
        return Err(fail(Status::Refused, if killed { KILLED } else { NONE }));
    }
    let until = Instant::now() + PATIENCE;
    // Two at once would interrupt twice, and the second interrupt would end the telling of users.
    let mut waited = false;
    let _turn = loop {
        match Lock::take(&turn_path()) {
            Ok(turn) => break turn,
            Err(error) if Lock::is_held_elsewhere(&error) && Instant::now() < until => waited = true,
            Err(error) => return Err(error),
        }
        std::thread::sleep(GLANCE);
    };
    if waited && !is_held(&lock)? {
        return Ok(Status::Done);
    }
    let text = loop {
        // It may just be beginning to wait, or have ended a moment ago.
        match files::read_if_there(&number_path())? {
            Found::Text(text) => break text,
            Found::Missing if is_held(&lock)? && Instant::now() < until => std::thread::sleep(GLANCE),
            Found::Missing => return Err(fail(Status::Refused, NONE)),
        }
    };
    let process: u32 = text.trim().parse().with_context(|| format!("read {}", number_path().display()))?;
    signals::interrupt(process)?;
    while is_held(&lock)? {
        if Instant::now() > until {
            return Err(fail(Status::Failed, format!("process {process} was interrupted and still waits")));
        }
        std::thread::sleep(GLANCE);
    }
    Ok(Status::Done)
}

/// Tells whether somebody holds a lock.
fn is_held(lock: &Path) -> anyhow::Result<bool> {
    match Lock::take(lock) {
        Ok(_) => Ok(false),
        Err(error) if Lock::is_held_elsewhere(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Held by whoever cancels.
fn turn_path() -> PathBuf {
    paths::state_directory().join("cshutdown.cancel.lock")
}

fn lock_path() -> PathBuf {
    paths::state_directory().join("cshutdown.pending.lock")
}

fn number_path() -> PathBuf {
    paths::state_directory().join("cshutdown.pending")
}
