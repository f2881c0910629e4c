//! Where this host stands (`--status`): asset, services, mounts, shares, addresses, unfinished runs.
//! Changes nothing and needs no lock.

use crate::action::{Action, Part};
use crate::asset::State;
use crate::handover::{self, Program};
use crate::host::{Host, way_back};
use crate::parts::{self, PartKind, PartPresence};
use crate::steps::{backing, storage};
use crate::{backup, ledger, runs, state};
use orderly_exec::journal;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, columns, files, paths};
use orderly_plan::release::Release;
use serde::Serialize;
use std::time::Duration;

/// The answer to `--status`.
#[derive(Debug, Serialize)]
struct StatusReport {
    format: &'static str,
    host: String,
    peer: String,
    #[serde(flatten)]
    asset: AssetStatus,
    parts: Vec<PartStatus>,
    holders: Vec<String>,
    unfinished: Vec<String>,
    /// The run that is going on.
    running: Option<String>,
    #[serde(flatten)]
    saved: SavedStatus,
    /// The command that makes sense now.
    next: String,
}

#[derive(Debug, Serialize)]
struct AssetStatus {
    #[serde(rename = "asset")]
    title: String,
    /// held, free, elsewhere or unknown.
    state: &'static str,
    reason: Option<String>,
    /// all, part, nothing or unknown: how much of what belongs to the asset is on this host.
    here: &'static str,
    /// The same as a clause.
    #[serde(skip)]
    amount: &'static str,
    #[serde(skip)]
    is_elsewhere: bool,
}

/// What this host knows of snapshots and records.
#[derive(Debug, Serialize)]
struct SavedStatus {
    /// The newest whole snapshot; looked for only where the asset is held.
    snapshot: Option<LastSnapshot>,
    /// What would come of the backup of a release; asked only where one would be taken.
    backup: Option<Outlook>,
    /// The last release record this host made.
    record: Option<LastRecord>,
    /// The restore that this host still owes.
    owed: Option<Owed>,
    /// Why the restore of the last takeover failed, which was taken back for that and would be again.
    failed_restore: Option<String>,
}

#[derive(Debug, Serialize)]
struct Owed {
    snapshot: String,
    made_by: String,
    /// Whether the next takeover restores it; where the services ran without it a person decides.
    due: bool,
}

#[derive(Debug, Serialize)]
struct LastSnapshot {
    id: String,
    age_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Outlook {
    /// succeeds, passed_over, fails or unknown.
    outlook: &'static str,
    /// The same as a clause, with the reason.
    reason: String,
}

/// Whether `--status` asks what would come of a backup, which looks at every file that it would copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backups {
    Foreseen,
    LeftOut,
}

#[derive(Debug, Serialize)]
struct LastRecord {
    at: String,
    safe: bool,
    reason: Option<String>,
    /// Whether the asset is still as it says; known only of a safe record with a mark where the asset
    /// is free.
    fits: Option<bool>,
}

/// A run that was begun and not finished.
#[derive(Debug)]
struct Unfinished {
    said: String,
    /// What makes sense next.
    next: String,
}

#[derive(Debug, Serialize)]
struct PartStatus {
    kind: &'static str,
    name: String,
    state: String,
    #[serde(skip)]
    presence: PartPresence,
}

impl PartStatus {
    fn of(part: &Part, host: &mut Host<'_>) -> Self {
        let ((kind, name), presence) = (part.title(), part.presence(host));
        Self { kind, name, state: presence.word(), presence }
    }

    fn is_here(&self) -> bool {
        matches!(self.presence, PartPresence::Here(_))
    }

    fn is_missing(&self) -> bool {
        matches!(self.presence, PartPresence::Missing(_) | PartPresence::Other(_))
    }
}

/// How many holders are listed before the rest is counted: the answer fits on a screen.
const SHOWN: usize = 6;

/// How long the look at what a backup would copy may take: who asks where this host stands waits for it.
const FORESEEING: Duration = Duration::from_secs(20);

/// Tells where this host stands; returns the exit status that says it to a script (`--exit-code`).
pub fn tell(backups: Backups, host: &mut Host<'_>, reporter: &mut Reporter) -> Status {
    let running = handover::running();
    let state = host.asset_state();
    let parts = parts(host);
    // Journals and a record that are another configuration's say nothing of this asset.
    let foreign = state::insist_on_own(host.config).err();
    let (unfinished, record) = match &foreign {
        Some(_) => (Vec::new(), None),
        // What it has begun is not unfinished, and its journal changes while it is read.
        None if running.is_some() => (Vec::new(), last_record(host, &state)),
        None => {
            let programs = [Program::Release, Program::Takeover].into_iter();
            let begun = programs.filter_map(unfinished).chain(unread_ledger()).collect();
            (begun, last_record(host, &state))
        }
    };
    let failed_restore = match (&foreign, &running) {
        (None, None) => failed_restore(host, &state, record.as_ref()),
        _ => None,
    };
    let owed = if foreign.is_none() { owed(host) } else { None };
    let is_asked = backups == Backups::Foreseen && foreign.is_none() && running.is_none();
    // A release that owes a restore takes none, and one that is to be finished may take none.
    let takes_one = is_asked && unfinished.is_empty() && !owed.as_ref().is_some_and(|owed| owed.due);
    let backup = if takes_one && state == State::Held { outlook(host) } else { None };
    let next = match (&foreign, &running) {
        (Some(error), _) => error.root_cause().to_string(),
        (None, Some(_)) => "nothing, until that run has ended; then ask again".to_owned(),
        (None, None) => {
            let at_hand = AtHand {
                unfinished: &unfinished,
                record: record.as_ref(),
                failed: &failed_restore,
                backup: backup.as_ref(),
            };
            next(host, &state, &parts, at_hand)
        }
    };
    let ((here, amount), snapshot) = (here(&state, &parts), last_snapshot(host, &state));
    let status = exit_status(&state, here);
    let is_elsewhere = matches!(state, State::Elsewhere(_));
    let (state, reason) = match state {
        State::Held => ("held", None),
        State::Free => ("free", None),
        State::Elsewhere(why) => ("elsewhere", Some(why)),
        State::Unknown(why) => ("unknown", Some(why)),
    };
    let report = StatusReport {
        format: "orderly-status/1",
        host: host.config.own.name.clone(),
        peer: host.config.peer.name.clone(),
        asset: AssetStatus { title: host.asset.title(), state, reason, here, amount, is_elsewhere },
        parts,
        holders: host.users().holders.iter().map(ToString::to_string).collect(),
        unfinished: unfinished.into_iter().map(|run| run.said).collect(),
        running,
        saved: SavedStatus { snapshot, backup, record, owed, failed_restore },
        next,
    };
    show(&report, reporter);
    reporter.record(&report);
    status
}

/// Returns the exit status of `--exit-code`, by whose asset it is and how much of it is here.
fn exit_status(state: &State, here: &str) -> Status {
    match (state, here) {
        (State::Held, "all") => Status::Done,
        (State::Held, "part") => Status::Failed,
        (State::Free | State::Elsewhere(_), _) => Status::Refused,
        (State::Held | State::Unknown(_), _) => Status::Stuck,
    }
}

/// Tells how much of what belongs to the asset is on this host, as a word and as a clause. Unknown is neither.
fn here(state: &State, parts: &[PartStatus]) -> (&'static str, &'static str) {
    let known = parts.iter().all(|part| part.is_here() || part.is_missing());
    match state {
        State::Held if parts.iter().any(PartStatus::is_missing) => {
            ("part", ", and not everything that belongs to it is here")
        }
        State::Held if known => ("all", ", with everything that belongs to it"),
        State::Free | State::Elsewhere(_) if parts.iter().any(PartStatus::is_here) => {
            ("part", ", and something that belongs to it is still here")
        }
        State::Free | State::Elsewhere(_) if known => ("nothing", ""),
        State::Held | State::Free | State::Elsewhere(_) | State::Unknown(_) => ("unknown", ""),
    }
}

/// Shows it to a person: one line for the asset, a table of what belongs to it, what comes next last.
fn show(report: &StatusReport, reporter: &mut Reporter) {
    let StatusReport { host, asset, saved, .. } = report;
    let AssetStatus { title, state, reason, amount, is_elsewhere, .. } = asset;
    let reason = reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let place = if *is_elsewhere { ", not on" } else { " on" };
    reporter.answer(&format!("{title}: {state}{place} {host}{reason}{amount}"));
    let width = columns::widest(report.parts.iter().map(|part| part.name.as_str()));
    for PartStatus { kind, name, state, .. } in &report.parts {
        reporter.answer(&format!("  {kind:<8}  {}  {state}", columns::padded(name, width)));
    }
    for line in report.holders.iter().take(SHOWN) {
        reporter.answer(&format!("in use: {line}"));
    }
    if let Some(more @ 1..) = report.holders.len().checked_sub(SHOWN) {
        reporter.answer(&format!("in use: {more} more (ha-release --holders lists them)"));
    }
    if let Some(run) = &report.running {
        reporter.answer(&format!("at work: {run}"));
    }
    for line in &report.unfinished {
        reporter.answer(&format!("unfinished: {line}"));
    }
    if let Some(LastSnapshot { id, age_seconds }) = &saved.snapshot {
        let age = age_seconds.map_or_else(String::new, |age| format!(", {} min old", age / 60));
        reporter.answer(&format!("last snapshot: {id}{age}"));
    }
    if let Some(Outlook { reason, .. }) = &saved.backup {
        reporter.answer(&format!("backup: {reason}"));
    }
    if let Some(LastRecord { at, safe, reason, fits }) = &saved.record {
        let word = if *safe { "safe" } else { "NOT safe" };
        let why = match (reason, fits) {
            (Some(why), _) => format!(" ({why})"),
            (None, Some(false)) => " (then; the asset was held again since, so it is worthless)".to_owned(),
            (None, Some(true) | None) => String::new(),
        };
        reporter.answer(&format!("last record of this host: {at}, {word}{why}"));
    }
    if let Some(Owed { snapshot, made_by, due }) = &saved.owed {
        let when = if *due {
            "the next takeover here restores it".to_owned()
        } else {
            format!("the services ran without it; habackup --restore {snapshot} restores it")
        };
        reporter.answer(&format!("restore owed: {snapshot} of {made_by}; {when}"));
    }
    if let Some(why) = &saved.failed_restore {
        reporter.answer(&format!("last takeover: taken back, because its restore failed: {why}"));
    }
    reporter.answer(&format!("next: {}", report.next));
}

fn last_snapshot(host: &mut Host<'_>, state: &State) -> Option<LastSnapshot> {
    let backup = host.config.backup.as_ref().filter(|_| *state == State::Held)?;
    let id = backup::latest(backup, &mut host.runner)?;
    let age_seconds = backup::age(&id).map(|age| age.as_secs());
    Some(LastSnapshot { id, age_seconds })
}

/// Asks `habackup` what would come of the backup of a release; `None` where nothing is ever saved.
fn outlook(host: &mut Host<'_>) -> Option<Outlook> {
    host.config.backup.as_ref()?;
    Some(match backing::foresee_backup(host, FORESEEING) {
        Ok(backing) => Outlook { outlook: backing.word(), reason: backing.foreseen() },
        Err(error) => {
            Outlook { outlook: "unknown", reason: format!("unknown whether it would succeed: {error:#}") }
        }
    })
}

fn owed(host: &Host<'_>) -> Option<Owed> {
    host.config.backup.as_ref()?;
    let source = ledger::owed(host.config).ok().flatten()?;
    let due = source.is_due(&host.config.own.name);
    Some(Owed { snapshot: source.id, made_by: source.host, due })
}

fn last_record(host: &mut Host<'_>, state: &State) -> Option<LastRecord> {
    let files::Found::Text(text) = files::read_if_there(&handover::record_path()).ok()? else { return None };
    let release = match Release::read(&text) {
        Ok(release) => release,
        Err(unfit) => {
            let reason = Some(unfit.to_string());
            return Some(LastRecord { at: "unknown".to_owned(), safe: false, reason, fits: None });
        }
    };
    let comparable = release.of.identity.as_deref().zip(release.of.mark.as_deref());
    let comparable = comparable.filter(|_| release.safe && *state == State::Free);
    let fits = match state {
        // Whoever has it took it since.
        State::Held | State::Elsewhere(_) if release.safe => Some(false),
        State::Held | State::Free | State::Elsewhere(_) | State::Unknown(_) => {
            comparable.map(|(identity, mark)| storage::compare(host, identity, Some(mark)).is_ok())
        }
    };
    Some(LastRecord { at: release.maker.at, safe: release.safe, reason: release.reason, fits })
}

/// Returns why the restore of the last takeover failed, where nobody had the asset since: the next one would fail
/// at the same.
fn failed_restore(host: &Host<'_>, state: &State, record: Option<&LastRecord>) -> Option<String> {
    let is_since =
        *state == State::Held || record.is_some_and(|record| record.safe && record.fits != Some(false));
    let owes = ledger::owed(host.config).ok().flatten().is_some();
    if is_since && owes { runs::failed_restore() } else { None }
}

/// What this host has at hand for its next step.
struct AtHand<'a> {
    unfinished: &'a [Unfinished],
    record: Option<&'a LastRecord>,
    failed: &'a Option<String>,
    backup: Option<&'a Outlook>,
}

/// Returns what a person would do next; advice, and proof of nothing.
fn next(host: &mut Host<'_>, state: &State, parts: &[PartStatus], at_hand: AtHand<'_>) -> String {
    let AtHand { unfinished, record, failed, backup } = at_hand;
    let skip = if failed.is_some() { " --skip restore" } else { "" };
    let peer = &host.config.peer.name;
    // Whatever run the crash ended.
    if *state != State::Held && way_back::may_have_it_back(host) {
        return format!(
            "{}, to have back what this host held when it went down; where {peer} cannot be asked: ha-takeover {}",
            way_back::after_own_crash(host),
            by_power(host)
        );
    }
    if let Some(run) = unfinished.first() {
        return run.next.clone();
    }
    if *state == State::Free {
        if let Some(left) = parts.iter().find(|part| part.is_here()) {
            return format!("ha-release, to take down what is left here: {} is {}", left.name, left.state);
        }
    }
    // A takeover mounts nothing over it.
    if let Some(other) = parts.iter().find(|part| matches!(part.presence, PartPresence::Other(_))) {
        return format!(
            "umount {}, which shows another directory of the asset, then ha-takeover",
            other.name
        );
    }
    match (state, parts.iter().find(|part| part.is_missing())) {
        (State::Held, Some(part)) => {
            format!("ha-takeover{skip}, to complete what is here: {} is {}", part.name, part.state)
        }
        (State::Held, None) if backup.is_some_and(|backup| backup.outlook == "fails") => format!(
            "mend what the backup fails for, then hand it over; to hand it over without a new snapshot: ha-release --no-backup \
             --json | ssh {peer} ha-takeover --record -"
        ),
        (State::Held, None) => {
            format!("ha-release --json | ssh {peer} ha-takeover --record -, to hand it over")
        }
        (State::Free, _) if record.is_some_and(|record| record.safe && record.fits != Some(false)) => {
            format!(
                "ha-takeover --record on {peer}, with {}; or here, to take it back: {}{skip}",
                handover::record_path().display(),
                way_back::after_own_release(host)
            )
        }
        (State::Free, _) => format!("ha-takeover --record, with the record of {peer}"),
        (State::Elsewhere(_), _) => {
            format!("nothing, while {peer} is alive; when it is dead: ha-takeover {}", by_power(host))
        }
        _ => "find out who holds the asset; neither program acts while that is unknown".to_owned(),
    }
}

/// Returns the proof of a peer that cannot be asked.
fn by_power(host: &Host<'_>) -> String {
    let peer = &host.config.peer;
    if peer.fence.is_some() { "--fence".to_owned() } else { format!("--peer-down {}", peer.name) }
}

/// Returns what belongs to the asset and is not here, or of which nobody can say it, each as a clause.
pub fn absent(host: &mut Host<'_>) -> Vec<String> {
    let parts = parts(host);
    let absent = parts.iter().filter(|part| !part.is_here());
    absent.map(|PartStatus { kind, name, state, .. }| format!("{kind} {name} is {state}")).collect()
}

fn parts(host: &mut Host<'_>) -> Vec<PartStatus> {
    let parts: Vec<_> = PartKind::ALL.into_iter().flat_map(|kind| parts::configured(kind, host)).collect();
    parts.iter().map(|part| PartStatus::of(part, host)).collect()
}

/// What is owed, and whether this host went down with the asset, is not known without it.
fn unread_ledger() -> Option<Unfinished> {
    let error = format!("{:#}", ledger::Ledger::read().err()?);
    Some(Unfinished { next: format!("mend what this says: {error}"), said: error })
}

fn unfinished(program: Program) -> Option<Unfinished> {
    let path = paths::state_directory().join(format!("{}.journal", program.name()));
    let name = program.name();
    match journal::read::<Action>(&path) {
        Ok(Some(stored)) if !stored.is_closed() => {
            let last = stored.lines.last().map(|line| {
                let step = line.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
                let event = serde_json::to_value(line.event).unwrap_or_default();
                format!("; its last record: {}{step}", event.as_str().unwrap_or_default())
            });
            let (at, last) = (&stored.header.at, last.unwrap_or_default());
            Some(Unfinished {
                said: format!("{name} was begun {at} and is not finished{last}; run it again"),
                next: match program {
                    Program::Release => {
                        "ha-release, to finish what was begun; or, to stay on this host: ha-takeover --new-plan".to_owned()
                    }
                    Program::Takeover => {
                        "ha-takeover, to finish what was begun; or, to let go: ha-release --new-plan".to_owned()
                    }
                },
            })
        }
        Ok(_) => None,
        Err(error) => Some(Unfinished {
            said: format!("{error:#}"),
            next: format!(
                "look at {}; {name} --new-plan sets it aside and checks every step anew",
                path.display()
            ),
        }),
    }
}
