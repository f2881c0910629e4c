//! Mounts and the asset itself: mounted, unmounted, released, taken, compared.

use super::{backing, preconditions};
use crate::action::{AssetMount, Export, Way};
use crate::answer::Answer;
use crate::asset::{Detection, State};
use crate::config::client::is_same;
use crate::holders::Holder;
use crate::host::{Host, LOOKING, NAMED, Proved, way_back, writable};
use crate::last_release::LastRelease;
use crate::parts::Transfer;
use crate::parts::share::exports;
use crate::platform::Argv;
use crate::{records, runs};
use anyhow::bail;
use orderly_exec::{clock, files, paths};
use orderly_plan::permit::Since;
use orderly_plan::release::Release;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A file on the asset that says that it was about to be released.
const INTENT: &str = ".orderly-intent";

pub(crate) fn check_released(host: &mut Host<'_>) -> Answer {
    if let Some(answer) = still_mounted(host) {
        return answer;
    }
    match host.asset_state() {
        State::Free => Answer::Yes,
        State::Held => {
            let hidden = host.asset.hidden(&mut host.runner);
            Answer::No(hidden.unwrap_or_else(|| "this host still holds it".to_owned()))
        }
        // Detached after it was proven released: who cannot see it does not hold it.
        State::Unknown(_) if is_detached(host) => Answer::Yes,
        State::Elsewhere(why) | State::Unknown(why) => Answer::Unknown(why),
    }
}

fn is_detached(host: &mut Host<'_>) -> bool {
    let asset = &host.config.asset;
    let goes_away = asset.detach.is_some() || !asset.after_release.is_empty();
    goes_away && host.proved.is_some() && host.asset.identity(&mut host.runner).is_err()
}

/// Makes sure that it is released, and notes what it is before it may go out of sight.
pub(crate) fn prove(host: &mut Host<'_>) -> anyhow::Result<()> {
    match check_released(host) {
        Answer::Yes | Answer::Untold => {}
        Answer::No(why) | Answer::Unknown(why) => bail!("{why}"),
    }
    if let Ok(identity) = host.asset.identity(&mut host.runner) {
        let proved = Proved { identity, mark: host.asset.change_mark(&mut host.runner)? };
        proved.keep()?;
        host.proved = Some(proved);
    }
    Ok(())
}

/// Like a release, except that what another host holds is not held here.
pub(crate) fn check_let_go(host: &mut Host<'_>) -> Answer {
    match check_released(host) {
        Answer::Unknown(why) => match host.asset_state() {
            State::Elsewhere(_) if still_mounted(host).is_none() => Answer::Yes,
            State::Held | State::Free | State::Elsewhere(_) | State::Unknown(_) => Answer::Unknown(why),
        },
        answer @ (Answer::Yes | Answer::No(_) | Answer::Untold) => answer,
    }
}

/// Returns what speaks against the asset being gone from every mount namespace.
fn still_mounted(host: &mut Host<'_>) -> Option<Answer> {
    let found = host.asset_mounts();
    if !found.holders.is_empty() {
        let named: Vec<String> = found.holders.iter().take(NAMED).map(Holder::to_string).collect();
        return Some(Answer::No(named.join("; ")));
    }
    found.unread_clause().map(Answer::Unknown)
}

pub(crate) fn release(host: &mut Host<'_>, mounts: &[AssetMount]) -> anyhow::Result<()> {
    backing::name_snapshot(host)?;
    host.asset.claim()?;
    leave_intent(host, mounts);
    for mount in mounts.iter().rev() {
        if mount.is_unmounted_by_hand(host) {
            mount.act(Way::LetGo, host)?;
        }
    }
    // Letting go under a mount in another namespace would say that it is free while it is not.
    if !goes_by_itself(host, mounts) {
        if let Some(Answer::No(why)) = still_mounted(host) {
            bail!("{why}");
        }
    }
    let_go(host)?;
    // What ended just now may take a moment to be gone from the kernel.
    let until = Instant::now() + LOOKING * 20;
    while Instant::now() < until
        && host.runner.interrupted().is_none()
        && host.asset.hidden(&mut host.runner).is_some()
    {
        host.runner.pause(LOOKING);
    }
    Ok(())
}

/// Tells whether letting go of the asset unmounts what is still mounted of it.
pub fn goes_by_itself(host: &Host<'_>, mounts: &[AssetMount]) -> bool {
    mounts.iter().any(|mount| !mount.is_unmounted_by_hand(host))
}

pub(crate) fn let_go(host: &mut Host<'_>) -> anyhow::Result<()> {
    let others = other_exports(host);
    let done = host.asset.let_go(&mut host.runner);
    mend_exports(host, others);
    done
}

/// Takes it, with what mounts itself.
pub(crate) fn take(host: &mut Host<'_>, end: LastRelease) -> anyhow::Result<()> {
    // Looked at beforehand, too, but what comes first (fencing, before_take) may make and lift them.
    if let Some(why) = host.reservations().objections.into_iter().next() {
        bail!("{why}");
    }
    if host.asset_state() != State::Held {
        if let Some(why) = preconditions::against_devices(host).into_iter().next() {
            bail!("{why}");
        }
        writable::note_mark(host)?;
    }
    let others = other_exports(host);
    let taken = host.asset.take(end, &mut host.runner);
    let done = taken.and_then(|()| host.asset.mount_own(&mut host.runner));
    mend_exports(host, others);
    done
}

/// Returns the exports that are not the asset's, where letting go of it would make them vanish.
fn other_exports(host: &mut Host<'_>) -> Vec<(PathBuf, Export)> {
    if !host.asset.disturbs_shares() {
        return Vec::new();
    }
    let asset = &host.config.asset;
    match exports::all(asset.timeout, &mut host.runner) {
        Ok(mut all) => {
            all.retain(|(path, _)| !asset.mounts.iter().any(|mount| path.starts_with(&mount.at)));
            all
        }
        Err(error) => {
            host.notes.push(format!(
                "nobody can say whether other exports are still there ({error:#}); look at exportfs -s"
            ));
            Vec::new()
        }
    }
}

/// Exports again what was exported before and is no more, and says so.
fn mend_exports(host: &mut Host<'_>, before: Vec<(PathBuf, Export)>) {
    if before.is_empty() {
        return;
    }
    let limit = host.config.asset.timeout;
    let now = match exports::all(limit, &mut host.runner) {
        Ok(now) => now,
        Err(error) => {
            host.notes.push(format!("other exports may be gone: {error:#}"));
            return;
        }
    };
    let is_there = |(path, export): &(PathBuf, Export)| {
        now.iter().any(|(other, there)| other == path && is_same(&there.client, &export.client))
    };
    for (path, export) in before.iter().filter(|one| !is_there(one)) {
        let shown = format!("{}:{}", export.client, path.display());
        // What lay on the asset is gone with it.
        if path.symlink_metadata().is_err() {
            continue;
        }
        match host.run(&[exports::export_command(path, export)], limit) {
            Ok(()) => host.notes.push(format!("{shown} was exported no more, and is exported again")),
            Err(error) => host.notes.push(format!("{shown} is exported no more: {error:#}")),
        }
    }
}

/// Leaves a word on the asset for whoever finds it half released. It never counts as a record.
fn leave_intent(host: &mut Host<'_>, mounts: &[AssetMount]) {
    let Ok(table) = host.mounts() else { return };
    let Some(first) = mounts.iter().find(|mount| mount.is_mounted(&table, host)) else { return };
    let intent =
        IntentText { format: "orderly-intent/1", safe: false, host: &host.config.own.name, at: clock::now() };
    let written =
        intent.put(INTENT).and_then(|()| host.run(&[intent_command(&first.0.at)], host.config.asset.timeout));
    if let Err(error) = written {
        host.notes.push(format!("{error:#}"));
    }
}

/// Numbers the holding on the asset's label. Where a kind shows only writing, that is also what the peer
/// sees that it is held by, so it is written anew after every mount.
pub(crate) fn leave_trace(host: &mut Host<'_>) -> anyhow::Result<()> {
    let needs_trace = needs_trace(host);
    host.numbering().number()?;
    if needs_trace {
        host.numbering().touch()?;
    }
    host.traced = true;
    Ok(())
}

pub(crate) fn needs_trace(host: &mut Host<'_>) -> bool {
    !host.traced && matches!(host.asset.detection(&mut host.runner), Detection::Blind(_))
}

/// Takes the intent of a release away where the asset is held again: it says something untrue.
pub fn drop_intent(host: &mut Host<'_>) {
    let Ok(table) = host.mounts() else { return };
    for mount in &host.config.asset.mounts {
        if !table.at(&mount.at).is_some_and(|found| host.asset.is_on(found)) {
            continue;
        }
        if let Err(error) = host.run(&[forget_command(&mount.at)], host.config.asset.timeout) {
            host.notes.push(format!("{error:#}"));
        }
    }
}

pub(crate) fn retake(host: &mut Host<'_>, mounts: &[AssetMount]) -> anyhow::Result<()> {
    host.asset.take(LastRelease::Clean, &mut host.runner)?;
    for mount in mounts {
        mount.mount(host)?;
    }
    leave_trace(host)?;
    // Mounting it again moved the mark.
    if let Err(error) = host.numbering().note_take() {
        host.notes
            .push(format!("{error:#}; after a crash this host may need --peer-down to get the asset back"));
    }
    Ok(())
}

pub(crate) fn check_held(host: &mut Host<'_>, mounts: &[AssetMount]) -> anyhow::Result<Answer> {
    for mount in mounts {
        let checked = mount.check(Way::Take, host)?;
        if checked != Answer::Yes {
            return Ok(checked);
        }
    }
    Ok(match host.asset_state() {
        State::Held if needs_trace(host) => Answer::No("nothing on it shows yet that it is held".to_owned()),
        State::Held if host.numbering().is_numbered()? => writable::check_moved(host)?,
        State::Held => Answer::No("this holding has no number on its label yet".to_owned()),
        State::Free => Answer::No("nobody holds it".to_owned()),
        State::Elsewhere(why) => Answer::No(why),
        State::Unknown(why) => Answer::Unknown(why),
    })
}

/// Tells why it is not proven that nobody holds an asset that is free as far as it shows: its
/// kind shows only writing, and this host was not the last to let go of it.
pub fn doubt(host: &mut Host<'_>) -> Option<String> {
    let Detection::Blind(why) = host.asset.detection(&mut host.runner) else { return None };
    let own = match files::read_if_there(&records::record_path()) {
        Ok(files::Found::Text(text)) => Release::read(&text).ok(),
        Ok(files::Found::Missing) | Err(_) => None,
    };
    let own = own.filter(|record| {
        record.safe && record.maker.host == host.config.own.name && record.of.mark.is_some()
    });
    let is_last = own.is_some_and(|record| {
        record.of.identity.is_some_and(|identity| compare(host, &identity, record.of.mark.as_deref()).is_ok())
    });
    (!is_last).then_some(why)
}

/// Makes sure that nobody took the asset since this host did.
pub(crate) fn compare_take(host: &mut Host<'_>, identity: &str, take_mark: &str) -> anyhow::Result<()> {
    compare(host, identity, None)?;
    let found = host.asset.take_mark(&mut host.runner)?;
    let since = found.map_or_else(
        || Since::Unknown("it has no change mark".to_owned()),
        |found| host.asset.since(take_mark, &found),
    );
    match since {
        Since::Nothing => Ok(()),
        Since::Taken => bail!("the asset was taken since {} disclaimed it", host.config.peer.name),
        Since::Unknown(why) => bail!(
            "cannot determine whether the asset was taken since {} disclaimed it: {why}",
            host.config.peer.name
        ),
    }
}

/// Compares the asset with what a release record says of it; reads, and opens nothing.
///
/// # Errors
/// Says in what they differ, or what cannot be read.
pub fn compare(host: &mut Host<'_>, identity: &str, mark: Option<&str>) -> anyhow::Result<()> {
    let found = host.asset.identity(&mut host.runner)?;
    if found != identity {
        bail!(
            "the release record is of another asset: it names {identity}, and this one is {found}; {}",
            way_back::anew(false, host)
        );
    }
    let found = host.asset.change_mark(&mut host.runner)?;
    match mark {
        Some(mark) if found.as_deref() != Some(mark) => {
            bail!("{}", outdated(host, mark, &found.unwrap_or_default()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Says why a record of this change mark does not count any more, who had the asset since, and what to type.
fn outdated(host: &mut Host<'_>, mark: &str, found: &str) -> String {
    let onward = way_back::onward(host);
    let (what, who) = match host.asset.since(mark, found) {
        Since::Nothing => {
            let what = "the asset was changed after its release without being mounted, as e2fsck, tune2fs and \
                        resize2fs do, so a newer record counts";
            (what.to_owned(), None)
        }
        Since::Taken => {
            let what = "the asset was held again after its release, so a newer record counts";
            (what.to_owned(), Some(held_since(host)))
        }
        Since::Unknown(why) => {
            let what = "the asset was held again after its release, or changed without being held, so a newer record \
                        counts";
            (format!("{what}: {why}"), Some(held_since(host)))
        }
    };
    let marks = format!("change mark then \"{mark}\", now \"{found}\"");
    [Some(what), who, Some(marks), Some(onward)].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Says what is known of who had the asset last: of this host its own journal, of the peer nothing.
fn held_since(host: &Host<'_>) -> String {
    let (own, peer) = (&host.config.own.name, &host.config.peer.name);
    match runs::last_takeover() {
        Ok(Some(at)) => {
            format!("{own} took it last on {at}; if that was before the release, {peer} had it since")
        }
        Ok(None) => format!(
            "{peer} had it since, or somebody mounted it by hand: the journal of {own} has no takeover"
        ),
        Err(error) => {
            format!("who had it since is unknown: the journal of {own} cannot be read: {error:#}")
        }
    }
}

/// Returns the command that moves a file of the local disk to the asset. In a child, because a disk that
/// died would hang whoever writes to it; by mv(1), which replaces what is there instead of writing into it.
fn move_command(name: &str, folder: &Path) -> Argv {
    let file = paths::state_directory().join(name);
    ["mv", "-f", &file.to_string_lossy(), &folder.to_string_lossy()].map(str::to_owned).to_vec()
}

pub(crate) fn intent_command(at: &Path) -> Argv {
    move_command(INTENT, at)
}

/// Returns the command that takes the intent of a release away.
pub(crate) fn forget_command(at: &Path) -> Argv {
    ["rm", "-f", &at.join(INTENT).to_string_lossy()].map(str::to_owned).to_vec()
}

/// What a file on the asset says.
#[derive(serde::Serialize)]
struct IntentText<'a> {
    format: &'static str,
    safe: bool,
    host: &'a str,
    at: String,
}

impl IntentText<'_> {
    /// Writes it to the local disk, under the name it is to have.
    fn put(&self, name: &str) -> anyhow::Result<()> {
        let path = paths::state_directory().join(name);
        // Closed to all others: it is moved with its mode.
        files::replace_with_mode(&path, format!("{}\n", serde_json::to_string(self)?).as_bytes(), 0o600)
    }
}
