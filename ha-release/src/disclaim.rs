//! `--disclaim`: the word that this host holds nothing, for the other one to get back what it held when it
//! went down. Changes nothing.

use orderly_exec::reporter::Reporter;
use orderly_exec::{OrStatus, Status, fail};
use orderly_host::asset::State;
use orderly_host::handover::{self, Manner, Program, RecordContents};
use orderly_host::host::Host;
use orderly_host::parts::{self, PartKind, PartPresence};
use orderly_plan::release::Release;

/// Makes the record and prints it.
///
/// # Errors
/// Refused (4) where anything is held here, might be, or could be taken by an unfinished run.
pub(crate) fn run(
    after: Option<u64>,
    manner: Manner,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let refuse = |why: String| Err(fail(Status::Refused, format!("nothing is disclaimed: {why}")));
    let mounts = host.asset_mounts();
    if let Some(holder) = mounts.holders.first() {
        return refuse(format!("{holder}; ha-release releases it"));
    }
    if let Some(unread) = mounts.unread_clause() {
        return refuse(format!("cannot determine whether something here holds the asset: {unread}"));
    }
    match host.asset_state() {
        State::Free | State::Elsewhere(_) => {}
        State::Held => return refuse("this host holds the asset; ha-release releases it".to_owned()),
        State::Unknown(why) => return refuse(format!("cannot determine who holds the asset: {why}")),
    }
    if let Err(why) = close_unfinished(host, reporter)? {
        return refuse(why);
    }
    let take_mark = host.asset.take_mark(&mut host.runner).or_status(Status::Refused)?;
    let (own, peer) = (&host.config.own.name, &host.config.peer.name);
    let Some(take_mark) = take_mark else {
        return refuse(format!(
            "nothing on an asset of this kind tells a take from what is written later, so {peer} could not see whether \
             {own} took it since; ha-takeover --peer-down or --fence is the way back"
        ));
    };
    let why =
        format!("{own} holds nothing of it, and says no more: only {peer} can use this, after it went down");
    let said = RecordContents { after, unsafe_because: Some(why), ..RecordContents::default() };
    let release = handover::record(host, said);
    if release.of.identity.is_none() {
        return refuse(release.reason.unwrap_or_default());
    }
    let release = Release { disclaims: true, take_mark: Some(take_mark), ..release }.seal();
    reporter.message(&format!(
        "disclaimed: {own} holds nothing of {}; {peer} may take back what it held when it went down",
        release.of.title
    ));
    if manner.output == orderly_exec::reporter::Output::Text {
        reporter.say(format!(
            "{peer} needs the record: ssh {own} ha-release --disclaim --json | ha-takeover --record -"
        ));
    }
    reporter.record(&release);
    Ok(Status::Done)
}

/// A run that was killed here long ago holds nothing any more where nothing is held and no service runs; no
/// other program could close it, because the peer has the asset.
fn close_unfinished(host: &mut Host<'_>, reporter: &Reporter) -> anyhow::Result<Result<(), String>> {
    if !handover::is_unfinished(Program::Takeover)? && !handover::is_unfinished(Program::Release)? {
        return Ok(Ok(()));
    }
    for part in parts::configured(PartKind::Service, host) {
        let (_, name) = part.title();
        match part.presence(host) {
            PartPresence::Missing(_) => {}
            PartPresence::Here(_) | PartPresence::Other(_) => {
                return Ok(Err(format!("a run is not finished, and service {name} runs here; stop it")));
            }
            PartPresence::Unknown(why) => {
                return Ok(Err(format!("a run is not finished, and service {name} is unknown: {why}")));
            }
        }
    }
    for name in handover::close_unfinished()? {
        reporter.say(format!("the unfinished run of {name} is closed: nothing is held here"));
    }
    Ok(Ok(()))
}
