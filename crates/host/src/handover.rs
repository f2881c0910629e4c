//! What `ha-release` and `ha-takeover` share: journals begun and resumed, a plan carried out or
//! shown, release records written.

mod show;

use crate::action::Action;
use crate::carry::{Carrier, Ending};
use crate::config::Config;
use crate::hostid;
use crate::ledger::{self, Ledger};
use crate::machine::{Machine, Proved};
use anyhow::Context;
use orderly_exec::journal::{self, Journal, Stored};
use orderly_exec::lock::Lock;
use orderly_exec::reporter::{Output, Reporter, Voice};
use orderly_exec::{Status, clock, fail, files, paths};
use orderly_plan::owed::Naming;
use orderly_plan::permit;
use orderly_plan::record::{Line, fingerprint};
use orderly_plan::release::{FORMAT, Failure, Outcome, Release};
use orderly_plan::step::{Plan, Progress, StepId, Verdict};
pub use show::{Beginning, beginning, show_plan, show_step, show_unfinished};
use std::path::PathBuf;

/// The programs that hand over; one must not begin while the other is unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Release,
    Takeover,
}

impl Program {
    /// Returns the name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "ha-release",
            Self::Takeover => "ha-takeover",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Release => Self::Takeover,
            Self::Takeover => Self::Release,
        }
    }

    pub(crate) fn journal(self) -> PathBuf {
        paths::state_directory().join(format!("{}.journal", self.name()))
    }
}

/// The version that both hosts must share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the command line says of a run, alike in both programs.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub voice: Voice,
    pub output: Output,
    pub new_plan: bool,
}

/// Returns the fingerprint of what is asked for: another one means another plan.
pub fn digest(config: &Config, left_out: &[&str]) -> String {
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
                "a release was begun on this host and not finished; run ha-release to finish it; to stay on this host \
                 instead, with all that was stopped: ha-takeover --new-plan"
            }
            Program::Release => {
                "a takeover was begun on this host and not finished; run ha-takeover to finish it; to let go instead: \
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

/// Tells whether a run of this program was begun and not finished.
///
/// # Errors
/// Rejected (3) when its journal is damaged.
pub fn is_unfinished(program: Program) -> anyhow::Result<bool> {
    Ok(journal::read::<Action>(&program.journal())?.is_some_and(|stored| !stored.is_closed()))
}

/// Closes the unfinished runs of a host that holds nothing, and returns the names of their programs.
///
/// # Errors
/// Rejected (3) when a journal is damaged; when it cannot be written.
pub fn close_unfinished() -> anyhow::Result<Vec<&'static str>> {
    let mut closed = Vec::new();
    for program in [Program::Takeover, Program::Release] {
        let stored = journal::read::<Action>(&program.journal())?.filter(|stored| !stored.is_closed());
        if let Some(stored) = stored {
            let mut journal = Journal::go_on(&program.journal(), &stored)?;
            journal.append(&Line::closed(Verdict::Unwound, clock::now()))?;
            closed.push(program.name());
        }
    }
    Ok(closed)
}

/// Prints, with `--json`, the record of a run that ended in an error, in place of a report of this format.
pub fn tell_failure(format: &str, output: Output, error: &anyhow::Error) {
    let status = error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed);
    let failure = Failure::new(format, status.word(), clock::now(), format!("{error:#}"));
    Reporter::new(Voice::Quiet, output).record(&failure);
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
    machine: &mut Machine<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<(Ending, Option<Journal>)> {
    if manner.new_plan {
        journal::set_aside(&program.other().journal())?;
    }
    ledger::change(|ledger| ledger.leaving = None)?;
    let header = journal::header(program.name(), VERSION, &machine.config.own.name, digest, plan.clone());
    let journal = Journal::begin(&program.journal(), &header)?;
    let progress = Progress::replay(plan, &[]).context("begin with an empty journal")?;
    Ok(Carrier::new(plan, progress, Some(journal), reporter).run(machine))
}

/// Finishes what a killed or stuck run left.
///
/// # Errors
/// Refused (4) when its journal cannot be written any more.
pub fn finish(
    program: Program,
    stored: &Stored<Action>,
    machine: &mut Machine<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<(Ending, Option<Journal>)> {
    reporter.say(format!("finishing the run begun {}", stored.header.at));
    let journal = Journal::go_on(&program.journal(), stored)?;
    let progress = Progress::replay(&stored.header.plan, &stored.records()).context("replay the journal")?;
    machine.proved = proved(&stored.header.plan, &progress)?;
    let mut carrier = Carrier::new(&stored.header.plan, progress, Some(journal), reporter);
    carrier.resume(machine);
    Ok(carrier.run(machine))
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

/// How many release records are remembered as used; a host has hardly more than that in its life.
const REMEMBERED: usize = 10_000;

/// Tells whether this host took the asset by this release record before.
///
/// # Errors
/// Rejected (3) when what was kept of it is damaged.
pub fn is_used_up(checksum: &str) -> anyhow::Result<bool> {
    Ok(used_records()?.lines().any(|line| line == checksum))
}

/// Remembers the release record by which a completed takeover took the asset. Before its journal is
/// closed: who is killed in between remembers it when the run is finished.
///
/// # Errors
/// When the local disk does not take it.
pub fn use_up(plan: &Plan<Action>) -> anyhow::Result<()> {
    let of_record = plan
        .steps
        .iter()
        .find_map(|step| if let Action::Compare { record, .. } = &step.action { Some(record) } else { None });
    let Some(record) = of_record else { return Ok(()) };
    let before = used_records()?;
    let mut lines: Vec<&str> = before.lines().filter(|line| line != record).collect();
    lines.push(record);
    let first = lines.len().saturating_sub(REMEMBERED);
    files::replace(&used_path(), format!("{}\n", lines[first..].join("\n")).as_bytes())
}

fn used_records() -> anyhow::Result<String> {
    match files::read_if_there(&used_path())? {
        files::Found::Missing => Ok(String::new()),
        files::Found::Text(text) => Ok(text),
    }
}

fn used_path() -> PathBuf {
    paths::state_directory().join("used-records")
}

/// Closes the journal of a run that is over; that of a stuck one stays open, for the next run.
pub fn close(journal: Option<Journal>, verdict: Verdict, reporter: &Reporter) {
    if let Some(mut journal) = journal
        && verdict != Verdict::Stuck
        && let Err(error) = journal.append(&Line::closed(verdict, clock::now()))
    {
        reporter.warn(format!("{error:#}; the next run will look at every step again"));
    }
}

/// What a record says beside where the asset is.
#[derive(Debug, Default)]
pub struct Said {
    pub steps: Vec<Outcome>,
    pub skipped: Vec<String>,
    pub naming: Naming,
    /// The serial it must come after (`--after`).
    pub after: Option<u64>,
    /// `None` when it is safe.
    pub unsafe_because: Option<String>,
}

/// Returns the record of how a release ended, and remembers its serial.
pub fn record(machine: &mut Machine<'_>, said: Said) -> Release {
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
    let proved = machine.proved.clone().filter(|_| is_safe);
    let (identity, mark) = match proved {
        Some(proved) => (Some(proved.identity), proved.mark),
        None => (
            read("identity", machine.asset.identity(&mut machine.runner).map(Some)),
            read("change mark", machine.asset.mark(&mut machine.runner)),
        ),
    };
    let serial = next_serial(said.after).unwrap_or_else(|error| {
        // One that may be the same as an earlier one's could permit both hosts.
        reason.get_or_insert(format!("the serial of the record cannot be kept: {error:#}"));
        0
    });
    if reason.is_none()
        && let Err(error) = ledger::change(|ledger| {
            ledger.ended = ledger.ended.max(said.naming.holding.unwrap_or(0));
            ledger.mounted = None;
        })
    {
        reason = Some(format!("that this holding ended cannot be kept: {error:#}"));
    }
    Release {
        format: FORMAT.to_owned(),
        safe: reason.is_none(),
        reason,
        asset: machine.asset.title(),
        identity,
        mark,
        configuration: machine.config.fingerprint.clone(),
        host: machine.config.own.name.clone(),
        hostid: hostid::ask(machine.config.platform, &mut machine.runner),
        boot_id: journal::boot_id(),
        at: clock::now(),
        version: VERSION.to_owned(),
        snapshot: said.naming.snapshot,
        made_by: said.naming.made_by,
        no_snapshot: said.naming.none,
        holding: said.naming.holding,
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
pub fn naming(machine: &mut Machine<'_>) -> Naming {
    let none = |why: String| Naming { none: Some(why), ..Naming::default() };
    let leaving = match Ledger::read() {
        Ok(ledger) => ledger.leaving,
        Err(error) => return none(format!("{error:#}")),
    };
    if let Some(leaving) = leaving {
        return leaving;
    }
    let last = own_record(machine.config).filter(|record| record.safe);
    let last = last.filter(|record| match (&record.identity, &record.mark) {
        (Some(identity), Some(mark)) => machine.compare(identity, Some(mark)).is_ok(),
        _ => false,
    });
    let own = &machine.config.own.name;
    let nothing = || none(format!("{own} held nothing when it made this record"));
    last.map_or_else(nothing, |record| Naming {
        holding: record.holding,
        snapshot: record.snapshot,
        made_by: record.made_by,
        none: record.no_snapshot,
    })
}

/// Returns the serial of the next record, remembered before it is used.
fn next_serial(after: Option<u64>) -> anyhow::Result<u64> {
    let serial = permit::serial(Ledger::read()?.serial, after);
    ledger::change(|ledger| ledger.serial = serial)?;
    Ok(serial)
}

/// Returns what the run proved, if it came so far: the file alone may be of an earlier run.
fn proved(plan: &Plan<Action>, progress: &Progress<'_, Action>) -> anyhow::Result<Option<Proved>> {
    let step = plan.steps.iter().position(|step| step.action == Action::Prove).map(StepId);
    if !step.is_some_and(|id| progress.is_done(id)) {
        return Ok(None);
    }
    match files::read_if_there(&proved_path())? {
        files::Found::Missing => Ok(None),
        files::Found::Text(text) => {
            serde_json::from_str(&text).with_context(|| format!("read {}", proved_path().display())).map(Some)
        }
    }
}

fn proved_path() -> PathBuf {
    paths::state_directory().join("proved.json")
}

/// Keeps what the asset was when it was proven released, for a run that is killed after it.
///
/// # Errors
/// When the local disk does not take it.
pub fn keep_proved(proved: &Proved) -> anyhow::Result<()> {
    files::replace(&proved_path(), format!("{}\n", serde_json::to_string(proved)?).as_bytes())
}

/// Returns where this host keeps the last release record it made.
pub fn record_path() -> PathBuf {
    paths::state_directory().join("release.json")
}

/// Returns the last record that this host made, if it can be read.
pub fn own_record(config: &Config) -> Option<Release> {
    let files::Found::Text(text) = files::read_if_there(&record_path()).ok()? else { return None };
    Release::read(&text).ok().filter(|record| record.host == config.own.name)
}

/// Returns the snapshots that this host's last release record names, and its ledger: a takeover may need them, to
/// restore one or to compare with it.
pub fn recorded_snapshots() -> std::collections::BTreeSet<String> {
    let text = match files::read_if_there(&record_path()) {
        Ok(files::Found::Text(text)) => Some(text),
        Ok(files::Found::Missing) | Err(_) => None,
    };
    let recorded = text.and_then(|text| Release::read(&text).ok()).and_then(|record| record.snapshot);
    let ledger = Ledger::read().unwrap_or_default();
    let source = ledger.source.map(|source| source.id);
    let restored = ledger.restored.map(|restored| restored.snapshot);
    recorded.into_iter().chain(source).chain(restored).collect()
}

/// Writes a record to the state folder.
///
/// # Errors
/// When the local disk does not take it.
pub fn keep_record(release: &Release) -> anyhow::Result<()> {
    let path = record_path();
    if let Some(folder) = path.parent() {
        files::private_directory(folder)?;
    }
    files::replace(&path, format!("{}\n", release.line()).as_bytes())
}
