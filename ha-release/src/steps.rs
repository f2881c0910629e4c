//! The steps of a release, made from what is found on this host, so that undoing them leads back there.

use crate::args::Part;
use crate::inuse::{self, Manner};
use orderly_exec::job::show;
use orderly_host::action::Action;
use orderly_host::asset::State;
use orderly_host::config::{Config, Platform};
use orderly_host::machine::Machine;
use orderly_host::machine::way_back;
use orderly_host::mountinfo::Mounts;
use orderly_host::mounts::{MountSpec, loopback_mount};
use orderly_host::parts::mount::AssetMount;
use orderly_host::parts::share::exports;
use orderly_host::parts::{self, Draft, Kind, Way};
use orderly_plan::owed::Source;
use orderly_plan::step::Undo;

/// The parts, in the order in which they are let go of.
const ORDER: [(Kind, Part); 4] = [
    (Kind::Service, Part::Services),
    (Kind::Address, Part::Addresses),
    (Kind::Loopback, Part::Loopbacks),
    (Kind::Share, Part::Shares),
];

/// Looks at this host and makes the plan. Changes nothing.
pub(crate) fn find(machine: &mut Machine<'_>, left_out: &[Part], manner: Manner) -> Draft {
    let mut draft = Draft::default();
    let wanted = |part| !left_out.contains(&part);
    let mounts = machine.mounts().unwrap_or_else(|error| {
        draft.against.push(format!("{error:#}"));
        Mounts::default()
    });
    let state = machine.asset_state();
    match &state {
        State::Elsewhere(why) => {
            let peer = &machine.config.peer.name;
            draft.against.push(format!("the asset is not here: {why}"));
            draft.against.push(format!("if {peer} holds it, release it there: ssh {peer} ha-release"));
            if way_back::may_have_it_back(machine) {
                draft.against.push(format!(
                    "this host held it when it went down; get it back by the word of {peer}: {}",
                    way_back::after_own_crash(machine)
                ));
            }
            if machine.config.peer.fence.is_some() {
                draft.against.push(format!(
                    "if {peer} died with it, power it off and take it here: ha-takeover --fence"
                ));
            }
            draft.against.push(format!(
                "if {peer} died with it and is powered off, take it here: ha-takeover --peer-down {peer}"
            ));
        }
        State::Unknown(why) => draft.against.push(format!("nobody can say who holds the asset: {why}")),
        State::Held | State::Free => {}
    }
    if state == State::Free
        && let Some(why) = machine.doubt()
    {
        // Safe would be a lie: the peer may have it mounted this very moment.
        draft.against.push(format!(
            "nobody can say who holds the asset: it is not held here and looks free, but {why}, and this host was not the last to release it"
        ));
        let peer = machine.config.peer.name.clone();
        if let Some(mount) = way_back::mount_line(machine) {
            draft.against.push(format!("if {peer} holds it, release it there: ssh {peer} ha-release"));
            draft.against.push(format!(
                "if neither host holds it, mount it here by hand and release it: ssh {peer} ha-release --status && {mount} && ha-release"
            ));
        }
    }
    if let Err(error) = machine.asset.identity(&mut machine.runner) {
        // A record that does not say of which asset it is would prove nothing in the end.
        draft.against.push(format!("the asset cannot be identified: {error:#}"));
    }
    if wanted(Part::Proof)
        && let Some(unread) = machine.asset_mounts().unread_clause()
    {
        // Found out when the asset is released, it would leave everybody with an asset that nobody may take.
        draft.against.push(format!(
            "that nothing here holds the asset could not be proven: {unread}; run it as root of this machine itself, \
             or use --skip proof, which is never safe"
        ));
    }
    if wanted(Part::Boot) {
        boot(&mut draft, machine);
    }
    let owes = owes(&mut draft, machine);
    if wanted(Part::Backup) && machine.config.backup.is_some() && state == State::Held && !owes {
        draft.lasting("backup", Action::Backup);
    }
    for (kind, group) in ORDER {
        if wanted(group) {
            for part in parts::in_order(kind, Way::LetGo, machine) {
                part.plan_release(&mounts, &mut draft, machine);
            }
        }
        if kind == Kind::Service && manner == Manner::Kill {
            draft.lasting("end who uses it", Action::EndUsers);
        }
    }
    if wanted(Part::Shares) && state == State::Held {
        other_exports(&mut draft, machine, &mounts, manner);
    }
    if wanted(Part::Asset) {
        if state == State::Held {
            draft.against.extend(machine.asset.against_releasing());
        }
        asset(&mut draft, machine, &mounts);
        if !wanted(Part::Loopbacks) {
            loopbacks_left(&mut draft, machine, &mounts);
        }
    } else if wanted(Part::Proof) && state == State::Held {
        draft.against.push(
            "--skip asset leaves the asset held here, so the proof would fail; do without --skip asset, or use \
             --skip asset,proof, which stops the services and is never safe"
                .to_owned(),
        );
    }
    // Proven while the asset can still be seen: what comes next may take it out of sight.
    if wanted(Part::Proof) {
        draft.lasting("proof", Action::Prove);
    }
    if wanted(Part::Asset) {
        detach(&mut draft, machine.config);
    }
    holders(&mut draft, machine, manner);
    draft
}

/// Tells whether a restore is due here: what is live is then older than the snapshot that is, and the
/// record names that one.
fn owes(draft: &mut Draft, machine: &mut Machine<'_>) -> bool {
    let own = &machine.config.own.name;
    match machine.source_now() {
        Ok(Some(source)) if source.is_due(own) => {
            let Source { id, host, .. } = source;
            draft.notes.push(format!("no backup is taken: this host has not restored {id} of {host} yet"));
            true
        }
        Ok(_) => false,
        Err(error) => {
            draft.against.push(format!("{error:#}"));
            false
        }
    }
}

fn boot(draft: &mut Draft, machine: &mut Machine<'_>) {
    let mut takers = orderly_host::boot::takers(machine.config, machine.asset.fstab_name());
    takers.extend(machine.asset.takers(&mut machine.runner));
    takers.sort();
    takers.dedup();
    draft.against.extend(takers.into_iter().map(|taker| format!("{taker}; or use --skip boot")));
}

/// A loopback that is left out keeps the asset busy, unless the asset takes its mounts along.
fn loopbacks_left(draft: &mut Draft, machine: &Machine<'_>, mounts: &Mounts) {
    let goes_by_itself =
        |action: &Action| matches!(action, Action::Release { mounts } if machine.goes_by_itself(mounts));
    if draft.plan.steps.iter().any(|step| goes_by_itself(&step.action)) {
        return;
    }
    for loopback in &machine.config.loopbacks {
        if loopback_mount(machine.asset.as_ref(), loopback, mounts).is_some() {
            let at = show(&[loopback.at.display().to_string()]);
            draft.against.push(format!(
                "{at} is mounted and keeps the asset busy; umount {at}, or do without --skip loopbacks"
            ));
        }
    }
}

/// Exports of the asset that nobody configured would be gone, and back on no host. What is configured tells
/// whether they can be listed at all.
fn other_exports(draft: &mut Draft, machine: &mut Machine<'_>, mounts: &Mounts, manner: Manner) {
    let config = machine.config;
    if config.platform == Platform::Solaris {
        return;
    }
    let all = match exports::all(config.asset.timeout, &mut machine.runner) {
        Ok(all) => all,
        Err(error) => {
            draft.notes.push(format!("what else is exported is unknown: {error:#}"));
            return;
        }
    };
    for (path, export) in all {
        let is_on = mounts.covering(&path).is_some_and(|mount| machine.asset.is_on(mount));
        if !is_on || config.shares.iter().any(|share| share.path == path) {
            continue;
        }
        let pair = show(&[format!("{}:{}", export.client, path.display())]);
        let line = format!(
            "{} is on the asset, is exported, and is not configured; exportfs -u {pair}, or add a [[share]], or use --skip shares",
            path.display()
        );
        if manner == Manner::List { draft.notes.push(line) } else { draft.against.push(line) }
    }
}

fn asset(draft: &mut Draft, machine: &mut Machine<'_>, mounts: &Mounts) {
    let config = machine.config;
    let found = machine.asset.found_mounts(mounts, &mut machine.runner).transpose();
    let found = found.unwrap_or_else(|error| {
        draft.against.push(format!("what is mounted of the asset: {error:#}"));
        None
    });
    let configured = || {
        config
            .asset
            .mounts
            .iter()
            .filter_map(|table| {
                let mount = mounts.at(&table.at)?;
                let spec = orderly_host::mounts::configured(machine.asset.as_ref(), table);
                (spec.what.is_none() || machine.asset.is_on(mount)).then(|| spec.as_found(mount))
            })
            .collect()
    };
    let specs: Vec<MountSpec> = found.unwrap_or_else(configured);
    let mounts: Vec<AssetMount> = specs.into_iter().map(AssetMount).collect();
    let undo = Undo::UntilDone(Action::Retake { mounts: mounts.clone() });
    draft.step(format!("release {}", machine.asset.title()), Action::Release { mounts }, undo);
}

fn detach(draft: &mut Draft, config: &Config) {
    for (index, argv) in config.asset.after_release.iter().enumerate() {
        draft.lasting(format!("after release {}", index + 1), Action::Run { argv: argv.clone() });
    }
    if let Some(argv) = &config.asset.detach {
        draft.lasting("detach", Action::Run { argv: argv.clone() });
    }
}

/// Lists who uses the asset now; refuses for what the services do not take along when they stop.
fn holders(draft: &mut Draft, machine: &mut Machine<'_>, manner: Manner) {
    let users = machine.users();
    let found = inuse::judge(&users, machine.config, manner);
    draft.against.extend(found.against);
    draft.notes.extend(found.notes);
    let hidden = machine.asset.hidden(&mut machine.runner);
    draft.notes.extend(hidden.map(|why| format!("in use now: {why}")));
}
