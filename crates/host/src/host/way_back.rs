//! How a host gets back what it had: after its own crash by the peer's word, after its own release by what the
//! kind of asset allows.

use crate::asset::{Detection, State, mount_spec};
use crate::config::Config;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::records;
use crate::runs::{self, Program};
use orderly_exec::job::show;
use orderly_exec::journal::boot_id;
use orderly_exec::{OrStatus, Status};
use orderly_plan::permit::{self, Crash, Since, Useless};

/// Returns what would go unnoticed if the peer used the asset as well; `None` where nothing would.
pub fn unnoticed(host: &mut Host<'_>) -> Option<String> {
    let peer = &host.config.peer.name;
    match host.asset.detection(&mut host.runner) {
        Detection::Watched => None,
        Detection::Unwatched(why) => {
            Some(format!("{why}: nothing would notice {peer} taking it at the same moment"))
        }
        Detection::Blind(why) => {
            Some(format!("{why}: nothing would notice {peer} having it, or taking it at the same moment"))
        }
    }
}

/// Returns what the host that released last types to take the asset back; an own record permits only where two
/// takes exclude each other, because the peer may hold the same record.
pub fn after_own_release(host: &mut Host<'_>) -> String {
    let peer = host.config.peer.name.clone();
    match host.asset.detection(&mut host.runner) {
        Detection::Watched => "ha-takeover".to_owned(),
        Detection::Unwatched(_) => peers_word(host.config),
        // There the peer cannot say that nobody has it, unless it had it last.
        Detection::Blind(_) => format!(
            "ssh {peer} ha-takeover --record - <{}; ssh {peer} ha-release --json | ha-takeover --record -",
            records::record_path().display()
        ),
    }
}

/// Returns what leads on where a record does not count whatever the asset is like now: its maker makes another one.
/// `own` tells whether this host made it.
pub fn anew(own: bool, host: &mut Host<'_>) -> String {
    if !own {
        // A record of this host at the same mark would come after one that says nothing of it.
        return match records::own_record(host.config) {
            Some(record) if record.safe => peers_word(host.config),
            Some(_) | None => {
                format!("ssh {} ha-release --json | ha-takeover --record -", host.config.peer.name)
            }
        };
    }
    let line = after_own_release(host);
    match host.asset.detection(&mut host.runner) {
        // The record of the peer counts beside the one that this host has.
        Detection::Unwatched(_) => line,
        Detection::Watched | Detection::Blind(_) => format!("ha-release && {line}"),
    }
}

/// Returns what gets the peer's word that nobody has the asset, above the last record of this host.
pub fn peers_word(config: &Config) -> String {
    let serial = records::own_record(config).map_or(0, |own| own.serial);
    format!("ssh {} ha-release --after {serial} --json | ha-takeover --record -", config.peer.name)
}

/// Returns what is typed to get the asset back by the peer's word that it does not have it.
pub fn after_own_crash(host: &Host<'_>) -> String {
    disclaim_line(host, "")
}

/// Returns the same, for a word with a serial above this one.
pub fn after_own_crash_above(host: &Host<'_>, serial: u64) -> String {
    disclaim_line(host, &format!(" --after {serial}"))
}

fn disclaim_line(host: &Host<'_>, after: &str) -> String {
    let (peer, new_plan) = (&host.config.peer.name, new_plan());
    format!("ssh {peer} ha-release --disclaim{after} --json | ha-takeover{new_plan} --record -")
}

/// The run that a crash ended is neither finished nor taken back by a new proof alone.
fn new_plan() -> &'static str {
    let is_unfinished =
        [Program::Release, Program::Takeover].into_iter().any(|run| runs::is_unfinished(run).unwrap_or(true));
    if is_unfinished { " --new-plan" } else { "" }
}

/// Returns what is typed where no program knows who had the asset last, because it was mounted by hand or changed
/// by a tool, and the operator finds that neither host has it: it is mounted here by hand, once the peer says that
/// it does not hold it. `None` where the kind, or its state, has another way.
pub fn by_hand(host: &mut Host<'_>) -> Option<String> {
    let peer = host.config.peer.name.clone();
    let (mount, new_plan) = (mount_line(host)?, new_plan());
    let word = match host.asset.take_mark(&mut host.runner) {
        Ok(Some(_)) => "--disclaim",
        // Of that kind it says nothing but what it sees.
        Ok(None) => "--status",
        Err(_) => return None,
    };
    Some(format!("ssh {peer} ha-release {word} && {mount} && ha-takeover{new_plan}"))
}

/// Returns the commands that mount a file system which shows neither that it is held nor that it is free.
pub fn mount_line(host: &mut Host<'_>) -> Option<String> {
    let may_be_had = match host.asset_state() {
        State::Elsewhere(_) => true,
        State::Free => matches!(host.asset.detection(&mut host.runner), Detection::Blind(_)),
        State::Held | State::Unknown(_) => false,
    };
    let (config, asset) = (host.config, host.asset.as_ref());
    if !may_be_had || !asset.is_taken_by_mounting() {
        return None;
    }
    let mounts = config.asset.mounts.iter().map(|table| mount_spec(asset, table));
    let commands = mounts.flat_map(|mount| mount.commands(config.platform));
    Some(commands.map(|argv| show(&argv)).collect::<Vec<_>>().join(" && "))
}

/// Returns what is typed where this host went down with the asset, as the operator knows, and the peer does not
/// have it.
pub fn after_crash(host: &mut Host<'_>) -> String {
    let by_hand = if may_have_it_back(host) { None } else { by_hand(host) };
    by_hand.unwrap_or_else(|| after_own_crash(host))
}

/// Returns what leads on where a record of the peer, or its word, does not serve this host: a line for each case.
pub fn onward(host: &mut Host<'_>) -> String {
    let peer = host.config.peer.name.clone();
    let release = format!("ssh {peer} ha-release --json | ha-takeover --record -");
    match by_hand(host) {
        Some(line) => {
            format!("if {peer} holds it: {release}\nif neither host holds it, mount it by hand: {line}")
        }
        None => format!("take it by a new record: {release}"),
    }
}

/// Tells whether this host went down with the asset and may have it back with the peer's word.
pub fn may_have_it_back(host: &mut Host<'_>) -> bool {
    let now = host.asset.take_mark(&mut host.runner).ok().flatten();
    crash(host, now.as_deref()).is_ok_and(|serves| serves.is_ok())
}

/// Judges whether this host went down with the asset and nobody took it since, by what the peer recorded.
///
/// # Errors
/// Refused (4) when the asset cannot be looked at, rejected (3) when the ledger is damaged.
pub fn crash(host: &mut Host<'_>, recorded: Option<&str>) -> anyhow::Result<Result<(), Useless>> {
    let ledger = Ledger::read()?;
    let (boot_then, taken) = ledger.last_take().unwrap_or_default();
    let now = host.asset.take_mark(&mut host.runner).or_status(Status::Refused)?;
    let since = |mark: Option<&str>| match (taken, mark) {
        (Some(taken), Some(mark)) => host.asset.since(taken, mark),
        _ => Since::Unknown("it has no change mark".to_owned()),
    };
    let (now, recorded) = (since(now.as_deref()), since(recorded));
    Ok(permit::serves(&Crash { taken: taken.is_some(), now, recorded, boot_then, boot_now: &boot_id() }))
}
