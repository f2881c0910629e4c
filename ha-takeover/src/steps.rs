//! The steps of a takeover, and everything that is checked before the first.

use crate::args::TakeoverPart;
use crate::order;
use crate::proof::Proof;
use orderly_exec::{OrStatus, Status};
use orderly_host::action::{Action, AssetMount, Part, Perform, Way};
use orderly_host::answer::Answer;
use orderly_host::asset::State;
use orderly_host::config::Config;
use orderly_host::flags::word;
use orderly_host::host::reachability::Reachability;
use orderly_host::host::{Host, way_back};
use orderly_host::last_release::LastRelease;
use orderly_host::mountinfo::Mounts;
use orderly_host::parts::{self, PartKind, PlanDraft, Situation};
use orderly_host::steps::{fencing, preconditions, storage};
use orderly_host::{backup, handover, ledger, runs};
use orderly_plan::owed::Wanted;
use orderly_plan::release::Release;
use orderly_plan::step::{Plan, Undo};
use std::path::Path;

/// The parts in the order in which they are looked at beforehand, each with what leaves it out.
const LOOKED_AT: [(PartKind, Option<TakeoverPart>); 5] = [
    (PartKind::Mount, None),
    (PartKind::Loopback, Some(TakeoverPart::Loopbacks)),
    (PartKind::Service, Some(TakeoverPart::Services)),
    (PartKind::Address, Some(TakeoverPart::Addresses)),
    (PartKind::Share, Some(TakeoverPart::Shares)),
];

/// The parts in the order in which they are taken once the asset is mounted.
const ORDER: [(PartKind, TakeoverPart); 4] = [
    (PartKind::Loopback, TakeoverPart::Loopbacks),
    (PartKind::Share, TakeoverPart::Shares),
    (PartKind::Address, TakeoverPart::Addresses),
    (PartKind::Service, TakeoverPart::Services),
];

/// What a takeover was asked to do, and by what right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) proof: &'a Proof,
    /// The operator says that the peer is down.
    pub(crate) on_word: bool,
    /// Done without, as the operator says.
    pub(crate) left_out: &'a [TakeoverPart],
}

/// Returns everything that speaks against a takeover, each with its remedy. Changes nothing.
pub(crate) fn objections(
    host: &mut Host<'_>,
    Terms { proof, on_word, left_out }: Terms<'_>,
    state: &State,
) -> Vec<String> {
    let wanted = |part| !left_out.contains(&part);
    let mut objections = Vec::new();
    let config = host.config;
    let mounts = host.mounts().unwrap_or_else(|error| {
        objections.push(format!("{error:#}"));
        Mounts::default()
    });
    // Fencing may lift the peer's, and what comes before the take may make this host's.
    if *state != State::Held && *proof != Proof::Fence && config.asset.before_take.is_empty() {
        check_reservations(host, &mut objections);
    }
    // What comes before the take may make the disks appear, or writable. What is held may be mounted nowhere yet.
    let is_there = |at: &Path| mounts.at(at).is_some_and(|found| host.asset.is_on(found));
    let writes = match state {
        State::Held => !config.asset.mounts.iter().all(|mount| is_there(&mount.at)),
        State::Free | State::Elsewhere(_) | State::Unknown(_) => config.asset.before_take.is_empty(),
    };
    if writes {
        objections.extend(preconditions::against_devices(host));
    }
    if (on_word || *proof == Proof::Fence) && wanted(TakeoverPart::Witness) {
        objections.extend(preconditions::unwitnessed(host));
    }
    check_state(host, proof, state, &mut objections);
    if !matches!(state, State::Unknown(_)) {
        objections.extend(host.asset.against_taking(end(proof, state), &mut host.runner));
    }
    if matches!(proof, Proof::PeerDown | Proof::Cluster(LastRelease::PoweredOff))
        && matches!(state, State::Elsewhere(_))
    {
        if let Some(why) = host.asset.is_alive_elsewhere(&mut host.runner) {
            objections.push(format!("{} is not down: {why}; use --fence, or power it off", config.peer.name));
        }
    }
    let situation =
        Situation { is_held: *state == State::Held, fences: *proof == Proof::Fence, mounts: &mounts };
    for (kind, group) in LOOKED_AT {
        if group.is_none_or(wanted) {
            for part in parts::configured(kind, host) {
                objections.extend(part.against_taking(situation, host));
            }
        }
    }
    if *proof == Proof::Fence {
        check_peer_can_be_asked(host, &mut objections);
    }
    objections
}

fn check_state(host: &mut Host<'_>, proof: &Proof, state: &State, objections: &mut Vec<String>) {
    let config = host.config;
    let peer = &config.peer.name;
    match (state, proof) {
        (State::Held | State::Free, _)
        | (State::Elsewhere(_), Proof::Fence | Proof::PeerDown | Proof::Cluster(_) | Proof::Disclaimed(_)) => {
        }
        (State::Elsewhere(why), _) => {
            let off = if config.peer.fence.is_some() {
                "--fence".to_owned()
            } else {
                format!("--peer-down {peer}")
            };
            objections.push(format!("the asset is not free: {why}"));
            objections.push(format!(
                "where {peer} runs and holds it: ssh {peer} ha-release --json | ha-takeover --record -"
            ));
            objections
                .push(format!("where {peer} died and its power is off, or may be cut: ha-takeover {off}"));
            let line = way_back::after_crash(host);
            objections
                .push(format!("where this host itself died with it and {peer} does not have it: {line}"));
        }
        // The device may appear only once before_take has run.
        (State::Unknown(_), _) if !config.asset.before_take.is_empty() => {}
        (State::Unknown(why), _) => objections.push(format!("nobody can say who holds the asset: {why}")),
    }
}

/// Said before anything else: a disk that another host reserved may show nothing at all.
fn check_reservations(host: &mut Host<'_>, objections: &mut Vec<String>) {
    let found = host.reservations();
    objections.extend(found.objections);
    host.notes.extend(found.notes.into_iter().chain(found.unasked));
}

/// Whether the peer is silent is asked once its power is off; that it cannot be asked is found out now.
fn check_peer_can_be_asked(host: &mut Host<'_>, objections: &mut Vec<String>) {
    let peer = &host.config.peer;
    let Some(address) = &peer.address else { return };
    match host.reach(address) {
        Reachability::Silent => {}
        Reachability::Answered => {
            host.notes.push(format!("{} answers at {address}, and must be silent once it is off", peer.name));
        }
        Reachability::Unknown(why) => {
            objections.push(format!("nobody can say whether {} answers at {address}: {why}", peer.name));
        }
    }
}

/// Makes the plan.
///
/// # Errors
/// When what was restored before cannot be read, so that nobody could tell what to take back.
pub(crate) fn plan(
    host: &mut Host<'_>,
    Terms { proof, on_word, left_out }: Terms<'_>,
    state: &State,
) -> anyhow::Result<Plan<Action>> {
    let wanted = |part| !left_out.contains(&part);
    let config = host.config;
    let restored = backup::newest_restore().or_status(Status::Refused)?;
    let told = told(proof, host).or_status(Status::Refused)?;
    let restores = restores(config, proof, told.as_ref()).or_status(Status::Refused)?;
    let mut draft = PlanDraft::default();
    for part in left_out {
        let part = word(part);
        draft.lasting(format!("without {part}, says the operator"), Action::LeftOut { part });
    }
    if *proof == Proof::Fence {
        draft.lasting(format!("fence {}", config.peer.name), Action::Fence);
        let moving = config.addresses.iter().filter(|_| wanted(TakeoverPart::Addresses));
        let silent = config.peer.address.as_deref().into_iter().chain(moving.map(|address| address.ip()));
        for ip in silent {
            draft.lasting(format!("{ip} is silent"), Action::Silence { ip: ip.to_owned() });
        }
    }
    if on_word {
        let peer = config.peer.name.clone();
        let name = format!("{peer} is down, says the operator");
        draft.lasting(name, Action::PeerDown { peer });
    }
    if *proof == Proof::Cluster(LastRelease::PoweredOff) {
        let peer = config.peer.name.clone();
        draft.lasting(format!("{peer} is fenced, says the cluster"), Action::PeerDown { peer });
    }
    if !matches!(proof, Proof::HeldHere(_)) {
        for (index, argv) in config.asset.before_take.iter().enumerate() {
            draft.lasting(format!("before take {}", index + 1), Action::Run { argv: argv.clone() });
        }
    }
    if let Proof::Record(record) = proof {
        if let Some(identity) = record.of.identity.clone() {
            let (mark, record) = (record.of.mark.clone(), record.checksum.clone());
            draft.lasting("proof".to_owned(), Action::Compare { identity, mark, record });
        }
    }
    if let Proof::Disclaimed(record) = proof {
        if let (Some(identity), Some(take_mark)) = (record.of.identity.clone(), record.take_mark.clone()) {
            draft.lasting("proof".to_owned(), Action::CompareTake { identity, take_mark });
        }
    }
    if *proof == Proof::Fence {
        draft.lasting(format!("{} is still off", config.peer.name), Action::ProveOff);
    }
    let title = host.asset.title();
    draft.step(format!("take {title}"), Action::Take { end: end(proof, state) }, Undo::Action(Action::LetGo));
    let mounts = parts::configured(PartKind::Mount, host).into_iter();
    let mounts = mounts.filter_map(|part| if let Part::Mount(mount) = part { Some(mount) } else { None });
    let mounts: Vec<AssetMount> = mounts.collect();
    for mount in mounts.iter().filter(|mount| mount.0.what.is_some()) {
        draft.part(Way::Take, Part::Mount(mount.clone()));
    }
    draft.lasting(format!("hold {title}"), Action::Hold { mounts, wanted: told });
    if restores && wanted(TakeoverPart::Restore) {
        let undo = Undo::Action(Action::Unrestore { before: restored });
        draft.step("restore".to_owned(), Action::Restore, undo);
    }
    for (kind, group) in ORDER {
        for part in parts::in_order(kind, Way::Take, host).into_iter().filter(|_| wanted(group)) {
            // An address that was here before this run stays.
            if kind == PartKind::Address && part.is_any_here(host) {
                draft.lasting_part(Way::Take, part);
            } else {
                draft.part(Way::Take, part);
            }
        }
    }
    let mut plan = draft.plan;
    if matches!(proof, Proof::HeldHere(_)) {
        // What was here before this run is not taken down because a part of it cannot be completed.
        for step in &mut plan.steps {
            let was_here = if let Action::Part { part, .. } = &step.action {
                part.is_any_here(host)
            } else {
                matches!(step.action, Action::Take { .. }) || host.check(&step.action) == Answer::Yes
            };
            if was_here {
                step.undo = Undo::Nothing;
            }
        }
    }
    Ok(plan)
}

/// Returns what the proof tells to restore; nothing where this host's own holding goes on.
fn told(proof: &Proof, host: &mut Host<'_>) -> anyhow::Result<Option<Wanted>> {
    Ok(match proof {
        Proof::HeldHere(record) => told_here(record.as_deref(), host)?,
        Proof::Record(record) => Some(order::wanted(record)),
        // What went down was a takeover, before it noted what it had to restore.
        Proof::Disclaimed(_) if ledger::Ledger::read()?.mounted.is_some() => {
            Some(runs::told_before().unwrap_or(Wanted::LastHolding))
        }
        Proof::Disclaimed(record) => Some(order::wanted(record)),
        Proof::Fence | Proof::PeerDown | Proof::Cluster(_) => Some(Wanted::LastHolding),
    })
}

/// Mounted here by hand, or by a takeover that was killed before it numbered its holding. What was told then,
/// or a record, counts only if the label names no later holding.
fn told_here(record: Option<&Release>, host: &mut Host<'_>) -> anyhow::Result<Option<Wanted>> {
    if host.numbering().goes_on()? == Some(true) {
        return Ok(None);
    }
    let last = host.numbering().label()?.map_or(0, |label| label.holding);
    let by_record =
        record.filter(|record| record.safe && record.naming.holding >= Some(last)).map(order::wanted);
    let known = ledger::Ledger::read()?.holding;
    let before = || runs::told_before().filter(|_| last <= known);
    Ok(Some(by_record.or_else(before).unwrap_or(Wanted::LastHolding)))
}

/// Tells whether there is, or may be, something to restore.
fn restores(config: &Config, proof: &Proof, wanted: Option<&Wanted>) -> anyhow::Result<bool> {
    let own = &config.own.name;
    let is_due = ledger::owed(config)?.is_some_and(|source| source.is_due(own));
    let may = match wanted {
        Some(Wanted::Named { host, .. }) => host != own,
        Some(Wanted::LastHolding) => true,
        None => is_due && matches!(proof, Proof::HeldHere(_)),
    };
    Ok(may && config.backup.is_some())
}

/// After a clean end the plain form is enough, also when the peer was powered off since.
fn end(proof: &Proof, state: &State) -> LastRelease {
    match (proof, state) {
        (Proof::Cluster(end), _) => *end,
        (Proof::Disclaimed(_), _) => LastRelease::OwnCrash,
        (Proof::HeldHere(_) | Proof::Record(_), _)
        | (Proof::Fence | Proof::PeerDown, State::Held | State::Free) => LastRelease::Clean,
        (Proof::Fence | Proof::PeerDown, State::Elsewhere(_) | State::Unknown(_)) => LastRelease::PoweredOff,
    }
}

/// Tells whether an unfinished takeover may go on: its proof must still hold.
pub(crate) fn proof_stands(host: &mut Host<'_>, plan: &Plan<Action>) -> Result<(), String> {
    let compared = plan.steps.iter().find_map(|step| {
        let Action::Compare { identity, mark, record } = &step.action else { return None };
        Some((identity, mark, record))
    });
    let fenced = plan.steps.iter().any(|step| step.action == Action::Fence);
    match (host.asset_state(), compared) {
        (State::Held, _) => Ok(()),
        // Its other half was a word of then.
        (State::Free, Some((_, _, record)))
            if handover::own_record(host.config).is_some_and(|own| own.checksum == *record)
                && way_back::unnoticed(host).is_some() =>
        {
            Err("what proved that the peer does not take it must be proven again".to_owned())
        }
        (State::Free, Some((identity, mark, _))) if mark.is_some() => {
            storage::compare(host, identity, mark.as_deref()).map_err(|error| format!("{error:#}"))
        }
        _ if fenced && fencing::prove_off(host).is_ok() => Ok(()),
        (State::Elsewhere(why) | State::Unknown(why), _) => Err(why),
        (State::Free, _) => Err("what proved that the peer let go must be proven again".to_owned()),
    }
}
