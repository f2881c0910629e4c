//! What `ha-release` and `ha-takeover` share: journals begun and resumed, a plan carried out or
//! shown, release records written.

mod show;

use crate::action::Action;
use crate::config::Config;
use crate::executor::{PlanRunner, RunEnding};
use crate::host::Host;
use crate::hostid;
use crate::ledger::{self, Ledger};
use crate::proved::proved;
pub use crate::records::{is_used_up, keep_record, own_record, record_path, recorded_snapshots, use_up};
pub use crate::runs::{Program, close_unfinished, is_unfinished};
use crate::steps::storage;
use anyhow::Context;
use orderly_exec::journal::{self, Journal, Stored};
use orderly_exec::lock::Lock;
use orderly_exec::reporter::{Output, Reporter, Verbosity};
use orderly_exec::{Status, clock, fail};
use orderly_plan::owed::Naming;
use orderly_plan::permit;
use orderly_plan::record::{Line, fingerprint};
use orderly_plan::release::{AssetThen, FORMAT, Failure, Maker, Outcome, Release};
use orderly_plan::step::{Plan, Progress, Verdict};
pub use show::{Beginning, beginning, show_plan, show_step, show_unfinished};

/// The version that both hosts must share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the command line says of a run, alike in both programs.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub verbosity: Verbosity,
    pub output: Output,
    pub new_plan: bool,
}

/// Returns the fingerprint of what is asked for: another one means another plan.
pub fn digest(config: &Config, left_out: &[String]) -> String {
    fingerprint(&format!("{} {}", config.fingerprint, left_out.join(" ")))
}

/// Returns the journal of an unfinished run of this program that is to be finished.
///
/// # Errors
/// Refused (4) when that run had another plan, another version or another host, or when the other
/// program is unfinished; rejected (3) when a journal is damaged. With `--new-plan` none of these.
pub fn unfinished(
    program: Program,
    config: &Config,
    digest: &str,
    manner: Manner,
) -> anyhow::Result<Option<Stored<Action>>> {
    if manner.new_plan {
        return Ok(None);
    }
    let other = program.other();
    if journal::read::<Action>(&other.journal())?.is_some_and(|stored| !stored.is_closed()) {
        // A new plan checks every step anew: what still runs stays, and what was stopped is started.
        let why = match program {
            Program::Takeover => {
                "a release was begun on this host and not finished\nto finish it: ha-release\nto stay on this host \
                 instead, with all that was stopped: ha-takeover --new-plan"
            }
            Program::Release => {
                "a takeover was begun on this host and not finished\nto finish it: ha-takeover\nto let go instead: \
                 ha-release --new-plan"
            }
        };
        return Err(fail(Status::Refused, why));
    }
    let Some(stored) = journal::read::<Action>(&program.journal())?.filter(|stored| !stored.is_closed())
    else {
        return Ok(None);
    };
    let header = &stored.header;
    let differs = [
        (header.digest != digest, "the configuration or what is left out"),
        (header.version != VERSION, "the version of the program"),
        (header.host != config.own.name, "the name of this host"),
    ];
    match differs.iter().find(|(differs, _)| *differs) {
        None => Ok(Some(stored)),
        Some((_, what)) => Err(fail(
            Status::Refused,
            format!(
                "an unfinished run of {} ({}) has another plan: {what} changed; put it back, or use --new-plan, which checks every step anew",
                program.name(),
                header.at
            ),
        )),
    }
}

/// Returns the record of a run that ended in an error, in place of a report of this format.
pub fn failure(format: &str, error: &anyhow::Error) -> Failure {
    let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
    Failure::new(format, status.word(), clock::now(), format!("{error:#}"))
}

/// Prints it with `--json`.
pub fn tell_failure(format: &str, output: Output, error: &anyhow::Error) {
    Reporter::new(Verbosity::Quiet, output).record(&failure(format, error));
}

/// Carries out a plan from its beginning.
///
/// # Errors
/// Refused (4) when no journal can be begun.
pub fn begin(
    program: Program,
    plan: &Plan<Action>,
    digest: String,
    manner: Manner,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<(RunEnding<Action>, Option<Journal>)> {
    if manner.new_plan {
        journal::set_aside(&program.other().journal())?;
    }
    ledger::change(|ledger| ledger.leaving = None)?;
    let header = journal::header(program.name(), VERSION, &host.config.own.name, digest, plan.clone());
    let journal = Journal::begin(&program.journal(), &header)?;
    let progress = Progress::replay(plan, &[]).context("begin with an empty journal")?;
    Ok(PlanRunner::new(plan, progress, Some(journal), reporter).run(host))
}

/// Finishes what a killed or stuck run left.
///
/// # Errors
/// Refused (4) when its journal cannot be written any more.
pub fn finish(
    program: Program,
    stored: &Stored<Action>,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<(RunEnding<Action>, Option<Journal>)> {
    reporter.say(format!("finishing the run begun {}", stored.header.at));
    let journal = Journal::go_on(&program.journal(), stored)?;
    let progress = Progress::replay(&stored.header.plan, &stored.records()).context("replay the journal")?;
    host.proved = proved(&stored.header.plan, &progress)?;
    let mut runner = PlanRunner::new(&stored.header.plan, progress, Some(journal), reporter);
    runner.resume(host);
    Ok(runner.run(host))
}

/// Returns which run is going on, of whatever program of the family.
pub fn running() -> Option<String> {
    Lock::holder(&Config::lock_path())
}

/// Insists, for who only looks, that a run could take the lock; says that another one has it now, so that what is
/// shown may change.
///
/// # Errors
/// Refused (4) when it could never be taken.
pub fn look_at_lock(reporter: &Reporter) -> anyhow::Result<()> {
    match Lock::look(&Config::lock_path()) {
        Err(error) if !Lock::is_held_elsewhere(&error) => return Err(error),
        Ok(_) | Err(_) => {}
    }
    if let Some(who) = running() {
        reporter.say(format!("{who} is at work on this now: what is shown may change"));
    }
    Ok(())
}

/// Closes the journal of a run that is over; that of a stuck one stays open, for the next run.
pub fn close(journal: Option<Journal>, verdict: Verdict, reporter: &Reporter) {
    if let Some(mut journal) = journal {
        if verdict != Verdict::Stuck {
            if let Err(error) = journal.append(&Line::closed(verdict, clock::now())) {
                reporter.warn(format!("{error:#}; the next run will look at every step again"));
            }
        }
    }
}

/// What a record says beside where the asset is.
#[derive(Debug, Default)]
pub struct RecordContents {
    pub steps: Vec<Outcome>,
    pub skipped: Vec<String>,
    pub naming: Naming,
    /// The serial it must come after (`--after`).
    pub after: Option<u64>,
    /// `None` when it is safe.
    pub unsafe_because: Option<String>,
}

/// Returns the record of how a release ended, and remembers its serial.
pub fn record(host: &mut Host<'_>, said: RecordContents) -> Release {
    let is_safe = said.unsafe_because.is_none();
    let mut reason = said.unsafe_because;
    let mut read = |what: &str, value: anyhow::Result<Option<String>>| match value {
        Ok(value) => value,
        Err(error) => {
            // A record that does not say of which asset it is proves nothing.
            reason.get_or_insert(format!("the {what} of the asset cannot be read: {error:#}"));
            None
        }
    };
    // What was proven is what the record is about: the storage may be detached by now.
    let proved = host.proved.clone().filter(|_| is_safe);
    let (identity, mark) = match proved {
        Some(proved) => (Some(proved.identity), proved.mark),
        None => (
            read("identity", host.asset.identity(&mut host.runner).map(Some)),
            read("change mark", host.asset.change_mark(&mut host.runner)),
        ),
    };
    let serial = next_serial(said.after).unwrap_or_else(|error| {
        // One that may be the same as an earlier one's could permit both hosts.
        reason.get_or_insert(format!("the serial of the record cannot be kept: {error:#}"));
        0
    });
    if reason.is_none() {
        let kept = ledger::change(|ledger| {
            ledger.ended = ledger.ended.max(said.naming.holding.unwrap_or(0));
            ledger.mounted = None;
        });
        reason = kept.err().map(|error| format!("that this holding ended cannot be kept: {error:#}"));
    }
    Release {
        format: FORMAT.to_owned(),
        safe: reason.is_none(),
        reason,
        of: AssetThen { title: host.asset.title(), identity, mark },
        maker: Maker {
            configuration: host.config.fingerprint.clone(),
            host: host.config.own.name.clone(),
            hostid: hostid::ask(host.config.platform, &mut host.runner),
            boot_id: journal::boot_id(),
            at: clock::now(),
            version: VERSION.to_owned(),
        },
        naming: said.naming,
        serial,
        disclaims: false,
        take_mark: None,
        steps: said.steps,
        skipped: said.skipped,
        checksum: String::new(),
    }
    .seal()
}

/// Returns what the record of this run names: what was found out while the asset was here; where it was not,
/// what this host's last record names, if nobody held the asset since.
pub fn naming(host: &mut Host<'_>) -> Naming {
    let none = |why: String| Naming { none: Some(why), ..Naming::default() };
    let leaving = match Ledger::read() {
        Ok(ledger) => ledger.leaving,
        Err(error) => return none(format!("{error:#}")),
    };
    if let Some(leaving) = leaving {
        return leaving;
    }
    let last = own_record(host.config).filter(|record| record.safe);
    let last = last.filter(|record| match (&record.of.identity, &record.of.mark) {
        (Some(identity), Some(mark)) => storage::compare(host, identity, Some(mark)).is_ok(),
        _ => false,
    });
    let own = &host.config.own.name;
    let nothing = || none(format!("{own} held nothing when it made this record"));
    last.map_or_else(nothing, |record| record.naming)
}

/// Returns the serial of the next record, remembered before it is used.
fn next_serial(after: Option<u64>) -> anyhow::Result<u64> {
    let serial = permit::serial(Ledger::read()?.serial, after);
    ledger::change(|ledger| ledger.serial = serial)?;
    Ok(serial)
}
