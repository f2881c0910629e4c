//! Putting back the state outside the asset, and taking that back.
//!
//! A restore of a later takeover must not overwrite what is newer: whoever held the asset last has
//! the newest files.

use super::{backing, storage, unrestored};
use crate::action::{Action, AssetMount};
use crate::answer::Answer;
use crate::asset::State;
use crate::backup::{self, Restored};
use crate::host::Host;
use crate::host::reachability::Reachability;
use crate::ledger::{self, Ledger};
use crate::runs;
use anyhow::{anyhow, bail};
use orderly_plan::ancestry::{self, Common};
use orderly_plan::owed::{self, Source, Wanted};
use orderly_plan::snapshot::Snapshot;
use orderly_plan::step::Plan;
use std::path::Path;

/// What a restore compares with.
enum Base {
    Is(Option<String>),
    /// This one was it, and is not there any more.
    Gone(String),
    /// There is none, and what this host wrote in this holding is in no snapshot.
    Unsaved(u64),
}

/// A restore that is to be made.
struct Due {
    source: Source,
    /// What it compares with.
    base: Option<String>,
    /// What it would compare with, and is not there any more.
    gone: Option<String>,
}

/// Returns what `habackup` is told.
fn arguments<'a>(id: &'a str, base: Option<&'a str>) -> Vec<&'a str> {
    let mut arguments = vec!["--restore", id];
    arguments.extend(base.into_iter().flat_map(|base| ["--base", base]));
    arguments
}

/// Says what a restore did, and what became of what was changed here since its base.
fn sentences(restored: &Restored, source: &str, base: Option<&str>, own: &str) -> Vec<String> {
    let changed = restored.updated + restored.new;
    let id = source.split(' ').next().unwrap_or(source);
    let mut said = vec![match restored.left {
        0 => format!("restore: done: {source}, {changed} files changed"),
        left => format!(
            "restore: done but {left}: {source}, {changed} files changed; something else has the place of \
             {left} entries (habackup --diff {id} live names them)"
        ),
    }];
    let since = base.unwrap_or("then");
    if !restored.kept.is_empty() {
        said.push(format!("kept what was changed on {own} alone since {since}: {}", list(&restored.kept)));
    }
    if !restored.both.is_empty() {
        let saved = restored.saved.as_deref().unwrap_or(Path::new("the state directory"));
        said.push(format!(
            "changed on both hosts since {since}, now as in {source}; what {own} had is in {}: {}",
            saved.display(),
            list(&restored.both)
        ));
    }
    said
}

/// Names the first paths, and counts the rest.
fn list(paths: &[String]) -> String {
    let named = paths.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// How many paths a sentence names.
const NAMED: usize = 4;

/// More restores than one run can make.
const RESTORES: usize = 8;

/// Notes what this takeover has to restore, before it numbers its holding: by the label as it was found.
/// Then what the record says if the takeover is taken back, which only now can be seen.
pub(crate) fn hold(host: &mut Host<'_>, wanted: Option<&Wanted>) -> anyhow::Result<()> {
    let Some(wanted) = wanted else { return storage::leave_trace(host) };
    // What has its number was noted before: a run that is begun anew must not note it by another label.
    if host.numbering().goes_on()? != Some(true) {
        let source = source(host, wanted)?;
        ledger::change(|ledger| ledger.source = source)?;
    }
    let own = &host.config.own.name;
    let goes_on = host.numbering().is_numbered().unwrap_or(false);
    let snapshots = match &host.config.backup {
        Some(settings) if goes_on => backup::whole_snapshots(settings)?,
        Some(_) | None => Vec::new(),
    };
    storage::leave_trace(host)?;
    let ledger = Ledger::read()?;
    if ledger.leaving.is_some() {
        return Ok(());
    }
    let holding = ledger.took.as_ref().map_or(ledger.holding, |took| took.holding);
    let is_of_it = |one: &&Snapshot| goes_on && one.host == *own && one.holding == Some(holding);
    let newest = snapshots.iter().find(is_of_it).map(|one| one.id.clone());
    let leaving = owed::naming(holding, own, Ok(newest), ledger.source.as_ref());
    ledger::change(|ledger| ledger.leaving = Some(leaving))
}

/// Returns what this host has to restore when it is told so, by the label as it is.
fn source(host: &mut Host<'_>, wanted: &Wanted) -> anyhow::Result<Option<Source>> {
    let label = host.numbering().label()?;
    let snapshots = match &host.config.backup {
        Some(settings) if *wanted == Wanted::LastHolding => backup::whole_snapshots(settings)?,
        Some(_) | None => Vec::new(),
    };
    let ledger = Ledger::read()?;
    let held = ledger.took.as_ref().map_or(0, |took| took.holding);
    let own = host.config.own.name.as_str();
    Ok(owed::source(wanted, label.as_ref(), &snapshots, (own, held), ledger.source.as_ref()))
}

/// Returns what this host has to restore, also where a takeover was killed before it noted that.
///
/// # Errors
/// When the label, the snapshots or the ledger cannot be read.
pub fn source_now(host: &mut Host<'_>) -> anyhow::Result<Option<Source>> {
    let noted = Ledger::read()?.source;
    if host.asset_state() != State::Held {
        return Ok(noted);
    }
    match (host.numbering().goes_on()?, runs::told_before()) {
        (Some(false), Some(wanted)) => source(host, &wanted),
        // Without its mount nobody can look for the last holding.
        (None, Some(wanted)) if wanted != Wanted::LastHolding => source(host, &wanted),
        _ => Ok(noted),
    }
}

/// Notes what this host has to restore, before the journal that tells it is set aside.
///
/// # Errors
/// When it cannot be found out or not be written.
pub fn note_source(host: &mut Host<'_>) -> anyhow::Result<()> {
    let source = source_now(host)?;
    ledger::change(|ledger| ledger.source = source)
}

pub(crate) fn check_hold(
    host: &mut Host<'_>,
    mounts: &[AssetMount],
    wanted: Option<&Wanted>,
) -> anyhow::Result<Answer> {
    let held = storage::check_held(host, mounts)?;
    if held != Answer::Yes || wanted.is_none() || Ledger::read()?.leaving.is_some() {
        return Ok(held);
    }
    Ok(Answer::No("what is to be restored is not noted yet".to_owned()))
}

/// Restores what is due; `habackup` notes that it is paid, also where it is run by hand.
pub(crate) fn restore(host: &mut Host<'_>) -> anyhow::Result<()> {
    let (Some(settings), config) = (&host.config.backup, host.config) else { return Ok(()) };
    let Due { source: Source { id, host: maker, .. }, base, gone } = match due(host, Ledger::read()?.source)?
    {
        Ok(due) => due,
        Err(why) => {
            host.notes.push(why);
            return Ok(());
        }
    };
    let arguments = arguments(&id, base.as_deref());
    let restored = backup::restore(config, &arguments, settings.timeout, host.lock, &mut host.runner)
        .map_err(|error| {
            anyhow!("{error:#}; --skip restore takes the asset without it, and leaves it owed")
        })?;
    let source = format!("{id} of {maker}");
    host.notes.extend(sentences(&restored, &source, base.as_deref(), &config.own.name));
    let passed = unrestored::passed_over(host, Some(&id))?;
    host.notes.extend(passed);
    if let (Some(gone), Some(saved), 1..) = (gone, &restored.saved, restored.updated) {
        host.notes.push(format!(
            "{gone}, which both hosts continue, is not there any more, so nothing was compared; what {} had is in {} \
             (habackup --undo)",
            config.own.name,
            saved.display()
        ));
    }
    Ok(())
}

/// Says why a restore that a plan has would fail, where the asset is mounted here already.
///
/// # Errors
/// When what is due cannot be found out.
pub fn against_restore(host: &mut Host<'_>, plan: &Plan<Action>) -> anyhow::Result<Option<String>> {
    let Some(settings) = &host.config.backup else { return Ok(None) };
    let told = plan
        .steps
        .iter()
        .find_map(|step| if let Action::Hold { wanted, .. } = &step.action { wanted.as_ref() } else { None });
    let source = match told {
        Some(wanted) if host.numbering().goes_on()? != Some(true) => source(host, wanted)?,
        Some(_) | None => Ledger::read()?.source,
    };
    // Said when it comes to that.
    let said = host.notes.len();
    let due = due(host, source);
    host.notes.truncate(said);
    let Ok(Due { source, base, .. }) = due? else { return Ok(None) };
    let arguments = [arguments(&source.id, base.as_deref()), vec!["-n"]].concat();
    let tried = backup::restore(host.config, &arguments, settings.timeout, host.lock, &mut host.runner);
    Ok(tried.err().map(|error| format!("restore: {error:#}; --skip restore leaves it owed")))
}

/// Returns the restore that is due, or why none is.
fn due(host: &mut Host<'_>, source: Option<Source>) -> anyhow::Result<Result<Due, String>> {
    let own = &host.config.own.name;
    let Some(source) = source.filter(|source| source.is_due(own)) else {
        return Ok(Err(unrestored::why_nothing_is_restored(host)?));
    };
    let Source { id, host: maker, .. } = &source;
    if backing::runs_a_service(host) {
        return Ok(Err(format!(
            "not restored: a service runs here or may run, and what it wrote would be replaced; habackup --restore {id} restores it"
        )));
    }
    let (base, gone) = match base(host, id)? {
        Base::Is(base) => (base, None),
        Base::Gone(gone) => (None, Some(gone)),
        Base::Unsaved(holding) => {
            return Ok(Err(format!(
                "not restored: what {own} wrote in its holding {holding} is in no snapshot, and {id} of {maker} does not \
                 continue it; habackup --diff {id} live shows what differs, habackup --restore {id} restores it"
            )));
        }
    };
    Ok(Ok(Due { source, base, gone }))
}

/// Finds the snapshot that what is live here and the one to be restored both continue.
fn base(host: &mut Host<'_>, id: &str) -> anyhow::Result<Base> {
    let Some(settings) = &host.config.backup else { return Ok(Base::Is(None)) };
    let snapshots = match backup::whole_snapshots(settings) {
        Ok(snapshots) => snapshots,
        Err(error) => {
            host.notes.push(format!("restored without comparing with an earlier snapshot: {error:#}"));
            return Ok(Base::Is(None));
        }
    };
    let Some(restored) = snapshots.iter().find(|one| one.id == id) else { return Ok(Base::Is(None)) };
    let ledger = Ledger::read()?;
    Ok(match ancestry::common(ledger.here(&host.config.own.name), restored, &snapshots) {
        Common::Snapshot(base) => Base::Is(Some(base.to_owned())),
        Common::Nothing => Base::Is(None),
        Common::Gone(base) => Base::Gone(base.to_owned()),
        Common::Unsaved(holding) => Base::Unsaved(holding),
    })
}

/// Tells whether the newest restore of this host is the one from before this run.
pub(crate) fn check_unrestored(before: Option<&str>) -> anyhow::Result<Answer> {
    let is_as_before = backup::newest_restore()?.as_deref() == before;
    Ok(if is_as_before { Answer::Yes } else { Answer::No("what was restored is still there".to_owned()) })
}

/// A run that was killed and begun again may have restored more than once.
pub(crate) fn unrestore(host: &mut Host<'_>, before: Option<&str>) -> anyhow::Result<()> {
    let (Some(settings), config) = (&host.config.backup, host.config) else { return Ok(()) };
    // What the services of this run wrote goes with it, so it is due again.
    ledger::change(Ledger::note_unrun)?;
    for _ in 0..RESTORES {
        if backup::newest_restore()?.as_deref() == before {
            return Ok(());
        }
        let undone = backup::restore(config, &["--undo"], settings.timeout, host.lock, &mut host.runner)?;
        if let Some(saved) = undone.saved.filter(|_| !undone.edited.is_empty()) {
            let (edited, saved) = (list(&undone.edited), saved.display());
            host.notes.push(format!("what was written here since the restore is in {saved}: {edited}"));
        }
    }
    bail!("there are more restores than this takeover made")
}

/// The operator's word stands in the journal; an answer of the peer is worth more than it.
pub(crate) fn ask_peer(host: &mut Host<'_>, peer: &str) -> anyhow::Result<()> {
    let Some(address) = &host.config.peer.address else {
        let note = format!("{peer} has no address in the configuration, so nobody asked whether it answers");
        if !host.notes.contains(&note) {
            host.notes.push(note);
        }
        return Ok(());
    };
    match host.reach(address) {
        Reachability::Silent => Ok(()),
        Reachability::Answered => bail!("{peer} is not down: {address} answers"),
        Reachability::Unknown(why) => bail!("nobody can say whether {peer} answers: {why}"),
    }
}
