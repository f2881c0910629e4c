//! How it is known that the peer let go: its record, its power, or the word of a person or of a
//! cluster manager.
//!
//! Nothing on the asset is opened here. Identity and change mark are read as the kind reads them
//! without mounting (a superblock, a mark file, the site's own command).

use crate::args::Args;
use crate::order;
use orderly_exec::{OrStatus, Status, fail, files};
use orderly_host::action::Action;
use orderly_host::asset::State;
use orderly_host::executor::{EndedStep, RunEnding};
use orderly_host::handover::{self, VERSION};
use orderly_host::host::reachability::Reachability;
use orderly_host::host::{Host, way_back};
use orderly_host::hostid;
use orderly_host::last_release::LastRelease;
use orderly_host::steps::storage;
use orderly_plan::permit;
use orderly_plan::release::{Release, StepOutcome};
use std::path::Path;

/// A proof that was offered and holds as far as it can be checked without the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// This host holds the asset already; the record that was given all the same.
    HeldHere(Option<Box<Release>>),
    Record(Box<Release>),
    /// The peer says that it holds nothing, and this host went down with the asset.
    Disclaimed(Box<Release>),
    Fence,
    PeerDown,
    /// A cluster manager says that the peer let go or is fenced; how it ended, as far as can be seen.
    Cluster(LastRelease),
}

impl Proof {
    /// Returns what stands in the report of a run that ended so: what was proven, or was to be.
    pub(crate) fn word(&self, ending: &RunEnding<Action>) -> String {
        let fenced =
            |step: &EndedStep<Action>| step.action == Action::Fence && step.outcome == StepOutcome::Done;
        match self {
            Self::HeldHere(_) => "this host held the asset already".to_owned(),
            Self::Record(release) => {
                format!("the record of {} from {}", release.maker.host, release.maker.at)
            }
            Self::Disclaimed(release) => {
                format!("the disclaimer of {} from {}", release.maker.host, release.maker.at)
            }
            Self::Fence if ending.steps.iter().any(fenced) => "the peer's power is off".to_owned(),
            Self::Fence => "none: the peer's power is not proven to be off".to_owned(),
            Self::PeerDown => "the operator says that the peer is down".to_owned(),
            Self::Cluster(_) => "the cluster manager says that the peer let go or is fenced".to_owned(),
        }
    }
}

/// Reads the record that the arguments offer, in any case: input is wrong whether or not it is needed.
///
/// # Errors
/// Rejected (3): a record that is cut, edited or none.
pub(crate) fn given(args: &Args) -> anyhow::Result<Option<Release>> {
    args.record.as_deref().map(read).transpose()
}

/// Finds the proof that the arguments offer.
///
/// # Errors
/// Refused (4): a proof that does not hold, or none.
pub(crate) fn find(
    args: &Args,
    record: Option<Release>,
    host: &mut Host<'_>,
    state: &State,
) -> anyhow::Result<Proof> {
    if let Some(name) = &args.peer_down {
        check_peer_down(name, host)?;
    }
    if let Some(name) = &args.cluster_fenced {
        check_name(name, host)?;
    }
    if *state == State::Held {
        insist_on_same(record.as_ref(), host)?;
        return Ok(Proof::HeldHere(record.map(Box::new)));
    }
    if args.cluster_fenced.is_some() {
        return by_cluster(host, state).map(Proof::Cluster);
    }
    if let Some(record) = record {
        check_record(&record, host, args.peer_down.is_some())?;
        return Ok(match record.disclaims {
            true => Proof::Disclaimed(Box::new(record)),
            false => Proof::Record(Box::new(record)),
        });
    }
    if args.fence {
        let peer = &host.config.peer;
        if peer.fence.is_none() {
            let peer = &peer.name;
            let text = format!(
                "no fence command is configured for {peer}; give its [[host]] a fence and a fence_status (ha.toml(5)), or power \
                 it off, and: ha-takeover --peer-down {peer}"
            );
            return Err(fail(Status::Refused, text));
        }
        return Ok(Proof::Fence);
    }
    if args.peer_down.is_some() {
        return Ok(Proof::PeerDown);
    }
    by_own_record(host)
}

/// What is held here by the same name may be another asset than the one the peer released.
fn insist_on_same(record: Option<&Release>, host: &mut Host<'_>) -> anyhow::Result<()> {
    let Some(named) = record.and_then(|record| record.of.identity.as_deref()) else { return Ok(()) };
    let here = host.asset.identity(&mut host.runner).or_status(Status::Refused)?;
    if here == *named {
        return Ok(());
    }
    Err(fail(
        Status::Refused,
        format!(
            "the release record is of another asset: it names {named}, and this host holds {here}; ha-takeover without \
             --record completes what is held here"
        ),
    ))
}

/// ZFS tells hosts apart by their hostids alone.
fn check_hostids(record: &Release, host: &mut Host<'_>) -> Result<(), String> {
    let own = hostid::ask(host.config.platform, &mut host.runner);
    if record.maker.hostid == hostid::NONE {
        return Err(format!(
            "{} has no hostid; zgenhostid there, reboot it, and release anew",
            record.maker.host
        ));
    }
    if record.maker.hostid == own {
        return Err(format!(
            "{} and this host have the same hostid {own}; give one of them another (zgenhostid -f), and reboot it",
            record.maker.host
        ));
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Release> {
    let text = files::read(path)?;
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    Release::read(&text)
        .map_err(|unfit| anyhow::anyhow!("{name} is no release record: {unfit}"))
        .or_status(Status::Rejected)
}

/// The host that released last takes back by its own record, as long as nobody held the asset since.
fn by_own_record(host: &mut Host<'_>) -> anyhow::Result<Proof> {
    if way_back::may_have_it_back(host) {
        let (own, peer) = (&host.config.own.name, &host.config.peer.name);
        return Err(fail(
            Status::Refused,
            format!(
                "{own} held the asset when it went down, and nobody took it since; {peer} must say that it does not have it: \
                 {}; or, if {peer} cannot be asked, power it off (--fence), or say --peer-down {peer}",
                way_back::after_own_crash(host)
            ),
        ));
    }
    let path = handover::record_path();
    let own = match files::read_if_there(&path)? {
        files::Found::Text(text) => Release::read(&text).ok(),
        files::Found::Missing => None,
    };
    let peer = &host.config.peer.name;
    let Some(record) = own.filter(|record| {
        record.safe && record.of.mark.is_some() && record.maker.host == host.config.own.name
    }) else {
        let mut lines = vec![
            format!("nothing proves that {peer} let go of the asset"),
            format!(
                "if {peer} answers, take it by its record: ssh {peer} ha-release --json | ha-takeover --record -"
            ),
        ];
        if host.config.peer.fence.is_some() {
            lines.push(format!("if {peer} does not answer, power it off: ha-takeover --fence"));
        }
        lines.push(format!("if you know that {peer} is powered off: ha-takeover --peer-down {peer}"));
        let by_hand = way_back::by_hand(host);
        lines.extend(by_hand.map(|line| format!("if neither host holds it, mount it by hand: {line}")));
        return Err(fail(Status::Refused, lines.join("\n")));
    };
    check_record(&record, host, false)?;
    Ok(Proof::Record(Box::new(record)))
}

fn check_record(record: &Release, host: &mut Host<'_>, peer_down: bool) -> anyhow::Result<()> {
    let config = host.config;
    let (own, peer) = (&config.own.name, &config.peer.name);
    let refuse = |why: String| {
        Err(fail(Status::Refused, format!("the release record does not permit a takeover: {why}")))
    };
    let anew = way_back::anew(record.maker.host == *own, host);
    if !record.safe && !record.disclaims {
        let finish = if record.maker.host == *own { "ha-release" } else { anew.as_str() };
        return refuse(format!(
            "it says NOT safe: {}; finish that release: {finish}",
            record.reason.as_deref().unwrap_or("no reason is given")
        ));
    }
    if record.maker.host != *peer && record.maker.host != *own {
        return refuse(format!("{} made it, which is neither {own} nor {peer}; {anew}", record.maker.host));
    }
    let here = orderly_exec::journal::boot_id();
    if record.maker.host == *peer && !here.is_empty() && record.maker.boot_id == here {
        return refuse(format!(
            "it names the boot id of this very machine, so {peer} and {own} are one; make ha.toml name two machines"
        ));
    }
    if record.maker.version != VERSION {
        return refuse(format!(
            "version {} of ha-release made it, and this is {VERSION}; install one version on both, and release anew: {anew}",
            record.maker.version
        ));
    }
    if !permit::is_plausible(record.serial) {
        return refuse(format!("no ha-release comes to the serial {}; release anew: {anew}", record.serial));
    }
    if record.maker.configuration != config.fingerprint {
        return refuse(format!(
            "{} made it with another configuration than the one here; make ha.toml alike on both, and release anew: {anew}",
            record.maker.host
        ));
    }
    if host.asset.tells_hosts_by_hostid() && record.maker.host == *peer {
        if let Err(why) = check_hostids(record, host) {
            return refuse(why);
        }
    }
    let Some(identity) = &record.of.identity else {
        return refuse(format!("it does not say of which asset it is; release anew: {anew}"));
    };
    if record.disclaims {
        storage::compare(host, identity, None).or_status(Status::Refused)?;
        return order::insist_on_own_crash(record, host);
    }
    if record.naming.snapshot.is_some() && record.naming.made_by.is_none() && config.backup.is_some() {
        return refuse(format!(
            "an earlier version of ha-release made it, which does not say of which holding its snapshot is; release it anew: \
             {anew}"
        ));
    }
    // A record this host made itself says nothing of what the peer did since.
    if record.of.mark.is_none() && record.maker.host != *peer && !peer_down {
        return refuse(format!(
            "this host made it, and the asset has no change mark, so it does not tell whether {peer} took it since: {}; or, if \
             you know that {peer} is off, say also --peer-down {peer}",
            way_back::peers_word(config)
        ));
    }
    // Without a mark nothing about the asset tells a record from last year from one of today.
    if record.of.mark.is_none() && handover::is_used_up(&record.checksum)? {
        let used =
            format!("this host took the asset by it before, and it says nothing of what {peer} did since");
        return refuse(match peer_down {
            // Whoever is down makes no other one.
            true => format!("{used}; by your word alone: ha-takeover --peer-down {peer}"),
            false => format!("{used}; release it anew: {}", way_back::peers_word(config)),
        });
    }
    // Where before_take must run first, the asset cannot be seen yet; the step "proof" compares then.
    let is_seen = host.asset.identity(&mut host.runner).is_ok();
    if let Err(error) = storage::compare(host, identity, record.of.mark.as_deref()) {
        if is_seen || config.asset.before_take.is_empty() {
            return refuse(format!("{error:#}"));
        }
    }
    if record.maker.host == *own && !peer_down {
        if let Some(why) = way_back::unnoticed(host) {
            let line = way_back::after_own_release(host);
            return refuse(format!(
                "this host made it, but {why}, and {peer} may hold the same record; to take the asset back: {line}; \
             or, if you know that {peer} is off, say --peer-down {peer}"
            ));
        }
    }
    order::overtaken(record, config).map_or(Ok(()), refuse)
}

fn check_name(name: &str, host: &Host<'_>) -> anyhow::Result<()> {
    let peer = &host.config.peer.name;
    if name == peer {
        return Ok(());
    }
    Err(fail(Status::Refused, format!("the peer is {peer}, not {name}; name the host that you know is off")))
}

/// A peer that let go in order stays alive in its cluster, so it may answer. One that did not let go
/// must be off: then it does not.
fn by_cluster(host: &mut Host<'_>, state: &State) -> anyhow::Result<LastRelease> {
    if *state == State::Free {
        return Ok(LastRelease::Clean);
    }
    let peer = &host.config.peer;
    let Some(address) = &peer.address else { return Ok(LastRelease::PoweredOff) };
    match (host.reach(address), state) {
        (Reachability::Silent, _) => Ok(LastRelease::PoweredOff),
        // It can be seen only once before_take has run, and is asked for again then.
        (Reachability::Answered, State::Unknown(_)) => Ok(LastRelease::Clean),
        (Reachability::Answered, _) => Err(fail(
            Status::Refused,
            format!("{} did not let go of the asset and is not fenced: {address} answers", peer.name),
        )),
        (Reachability::Unknown(why), _) => {
            Err(fail(Status::Refused, format!("nobody can say whether {} answers: {why}", peer.name)))
        }
    }
}

fn check_peer_down(name: &str, host: &mut Host<'_>) -> anyhow::Result<()> {
    check_name(name, host)?;
    let peer = &host.config.peer;
    let Some(address) = &peer.address else {
        host.notes
            .push(format!("{name} has no address in the configuration, so nobody asked whether it answers"));
        return Ok(());
    };
    match host.reach(address) {
        Reachability::Silent => Ok(()),
        Reachability::Answered => Err(fail(
            Status::Refused,
            format!("{name} is not down: {address} answers; power it off first: ha-takeover --fence"),
        )),
        Reachability::Unknown(why) => {
            Err(fail(Status::Refused, format!("nobody can say whether {name} answers: {why}")))
        }
    }
}
