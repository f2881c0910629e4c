//! The steps of a release, made from what is found on this host, so that undoing them leads back there.

use crate::args::ReleasePart;
use crate::inuse::{self, OnHolders};
use orderly_exec::job::show;
use orderly_host::action::{Action, AssetMount, Way};
use orderly_host::asset::State;
use orderly_host::config::Config;
use orderly_host::host::{Host, way_back};
use orderly_host::mountinfo::Mounts;
use orderly_host::mounts::MountSpec;
use orderly_host::parts::loopback::loopback_mount;
use orderly_host::parts::share::exports;
use orderly_host::parts::{self, PartKind, PlanDraft};
use orderly_host::platform::Platform;
use orderly_host::steps::{restoring, storage};
use orderly_plan::owed::Source;
use orderly_plan::step::Undo;

/// The parts, in the order in which they are let go of.
const ORDER: [(PartKind, ReleasePart); 4] = [
    (PartKind::Service, ReleasePart::Services),
    (PartKind::Address, ReleasePart::Addresses),
    (PartKind::Loopback, ReleasePart::Loopbacks),
    (PartKind::Share, ReleasePart::Shares),
];

/// Looks at this host and makes the plan. Changes nothing.
pub(crate) fn find(host: &mut Host<'_>, left_out: &[ReleasePart], manner: OnHolders) -> PlanDraft {
    let mut draft = PlanDraft::default();
    let wanted = |part| !left_out.contains(&part);
    let mounts = host.mounts().unwrap_or_else(|error| {
        draft.objections.push(format!("{error:#}"));
        Mounts::default()
    });
    let state = host.asset_state();
    match &state {
        State::Elsewhere(why) => {
            let peer = &host.config.peer.name;
            draft.objections.push(format!("the asset is not here: {why}"));
            draft.objections.push(format!("if {peer} holds it, release it there: ssh {peer} ha-release"));
            if way_back::may_have_it_back(host) {
                draft.objections.push(format!(
                    "this host held it when it went down; get it back by the word of {peer}: {}",
                    way_back::after_own_crash(host)
                ));
            }
            if host.config.peer.fence.is_some() {
                draft.objections.push(format!(
                    "if {peer} died with it, power it off and take it here: ha-takeover --fence"
                ));
            }
            draft.objections.push(format!(
                "if {peer} died with it and is powered off, take it here: ha-takeover --peer-down {peer}"
            ));
        }
        State::Unknown(why) => draft.objections.push(format!("nobody can say who holds the asset: {why}")),
        State::Held | State::Free => {}
    }
    if state == State::Free {
        if let Some(why) = storage::doubt(host) {
            // Safe would be a lie: the peer may have it mounted this very moment.
            draft.objections.push(format!(
            "nobody can say who holds the asset: it is not held here and looks free, but {why}, and this host was not the last to release it"
        ));
            let peer = host.config.peer.name.clone();
            if let Some(mount) = way_back::mount_line(host) {
                draft.objections.push(format!("if {peer} holds it, release it there: ssh {peer} ha-release"));
                draft.objections.push(format!(
                "if neither host holds it, mount it here by hand and release it: ssh {peer} ha-release --status && {mount} && ha-release"
            ));
            }
        }
    }
    if let Err(error) = host.asset.identity(&mut host.runner) {
        // A record that does not say of which asset it is would prove nothing in the end.
        draft.objections.push(format!("the asset cannot be identified: {error:#}"));
    }
    if wanted(ReleasePart::Proof) {
        if let Some(unread) = host.asset_mounts().unread_clause() {
            // Found out when the asset is released, it would leave everybody with an asset that nobody may take.
            draft.objections.push(format!(
            "that nothing here holds the asset could not be proven: {unread}; run it as root of this machine itself, \
             or use --skip proof, which is never safe"
        ));
        }
    }
    if wanted(ReleasePart::Boot) {
        boot(&mut draft, host);
    }
    let owes = owes(&mut draft, host);
    if wanted(ReleasePart::Backup) && host.config.backup.is_some() && state == State::Held && !owes {
        draft.lasting("backup", Action::Backup);
    }
    for (kind, group) in ORDER {
        if wanted(group) {
            for part in parts::in_order(kind, Way::LetGo, host) {
                part.plan_release(&mounts, &mut draft, host);
            }
        }
        if kind == PartKind::Service && manner == OnHolders::Kill {
            draft.lasting("end who uses it", Action::EndUsers);
        }
    }
    if wanted(ReleasePart::Shares) && state == State::Held {
        other_exports(&mut draft, host, &mounts, manner);
    }
    if wanted(ReleasePart::Asset) {
        if state == State::Held {
            draft.objections.extend(host.asset.against_releasing());
        }
        asset(&mut draft, host, &mounts);
        if !wanted(ReleasePart::Loopbacks) {
            loopbacks_left(&mut draft, host, &mounts);
        }
    } else if wanted(ReleasePart::Proof) && state == State::Held {
        draft.objections.push(
            "--skip asset leaves the asset held here, so the proof would fail; do without --skip asset, or use \
             --skip asset,proof, which stops the services and is never safe"
                .to_owned(),
        );
    }
    // Proven while the asset can still be seen: what comes next may take it out of sight.
    if wanted(ReleasePart::Proof) {
        draft.lasting("proof", Action::Prove);
    }
    if wanted(ReleasePart::Asset) {
        detach(&mut draft, host.config);
    }
    holders(&mut draft, host, manner);
    draft
}

/// Tells whether a restore is due here: what is live is then older than the snapshot that is, and the
/// record names that one.
fn owes(draft: &mut PlanDraft, host: &mut Host<'_>) -> bool {
    let own = &host.config.own.name;
    match restoring::source_now(host) {
        Ok(Some(source)) if source.is_due(own) => {
            let Source { id, host, .. } = source;
            draft.notes.push(format!("no backup is taken: this host has not restored {id} of {host} yet"));
            true
        }
        Ok(_) => false,
        Err(error) => {
            draft.objections.push(format!("{error:#}"));
            false
        }
    }
}

fn boot(draft: &mut PlanDraft, host: &mut Host<'_>) {
    let config = host.config;
    let mut boot_mounts =
        orderly_host::boot::boot_mounts(config.platform, &config.places(), host.asset.fstab_name());
    boot_mounts.extend(host.asset.boot_mounts(&mut host.runner));
    boot_mounts.sort();
    boot_mounts.dedup();
    draft.objections.extend(boot_mounts.into_iter().map(|mount| format!("{mount}; or use --skip boot")));
}

/// A loopback that is left out keeps the asset busy, unless the asset takes its mounts along.
fn loopbacks_left(draft: &mut PlanDraft, host: &Host<'_>, mounts: &Mounts) {
    let goes_by_itself = |action: &Action| matches!(action, Action::Release { mounts } if storage::goes_by_itself(host, mounts));
    if draft.plan.steps.iter().any(|step| goes_by_itself(&step.action)) {
        return;
    }
    for loopback in &host.config.loopbacks {
        if loopback_mount(host.asset.as_ref(), loopback, mounts).is_some() {
            let at = show(&[loopback.at.display().to_string()]);
            draft.objections.push(format!(
                "{at} is mounted and keeps the asset busy; umount {at}, or do without --skip loopbacks"
            ));
        }
    }
}

/// Exports of the asset that nobody configured would be gone, and back on no host. What is configured tells
/// whether they can be listed at all.
fn other_exports(draft: &mut PlanDraft, host: &mut Host<'_>, mounts: &Mounts, manner: OnHolders) {
    let config = host.config;
    if config.platform == Platform::Solaris {
        return;
    }
    let all = match exports::all(config.asset.timeout, &mut host.runner) {
        Ok(all) => all,
        Err(error) => {
            draft.notes.push(format!("what else is exported is unknown: {error:#}"));
            return;
        }
    };
    for (path, export) in all {
        let is_on = mounts.covering(&path).is_some_and(|mount| host.asset.is_on(mount));
        if !is_on || config.shares.iter().any(|share| share.path == path) {
            continue;
        }
        let pair = show(&[format!("{}:{}", export.client, path.display())]);
        let line = format!(
            "{} is on the asset, is exported, and is not configured; exportfs -u {pair}, or add a [[share]], or use --skip shares",
            path.display()
        );
        if manner == OnHolders::List { draft.notes.push(line) } else { draft.objections.push(line) }
    }
}

fn asset(draft: &mut PlanDraft, host: &mut Host<'_>, mounts: &Mounts) {
    let config = host.config;
    let found = host.asset.found_mounts(mounts, &mut host.runner).transpose();
    let found = found.unwrap_or_else(|error| {
        draft.objections.push(format!("what is mounted of the asset: {error:#}"));
        None
    });
    let configured = || {
        config
            .asset
            .mounts
            .iter()
            .filter_map(|table| {
                let mount = mounts.at(&table.at)?;
                let spec = orderly_host::asset::mount_spec(host.asset.as_ref(), table);
                (spec.what.is_none() || host.asset.is_on(mount)).then(|| spec.as_found(mount))
            })
            .collect()
    };
    let specs: Vec<MountSpec> = found.unwrap_or_else(configured);
    let mounts: Vec<AssetMount> = specs.into_iter().map(AssetMount).collect();
    let undo = Undo::UntilDone(Action::Retake { mounts: mounts.clone() });
    draft.step(format!("release {}", host.asset.title()), Action::Release { mounts }, undo);
}

fn detach(draft: &mut PlanDraft, config: &Config) {
    for (index, argv) in config.asset.after_release.iter().enumerate() {
        draft.lasting(format!("after release {}", index + 1), Action::Run { argv: argv.clone() });
    }
    if let Some(argv) = &config.asset.detach {
        draft.lasting("detach", Action::Run { argv: argv.clone() });
    }
}

/// Lists who uses the asset now; refuses for what the services do not take along when they stop.
fn holders(draft: &mut PlanDraft, host: &mut Host<'_>, manner: OnHolders) {
    let users = host.users();
    let found = inuse::judge(&users, host.config, manner);
    draft.objections.extend(found.objections);
    draft.notes.extend(found.notes);
    let hidden = host.asset.hidden(&mut host.runner);
    draft.notes.extend(hidden.map(|why| format!("in use now: {why}")));
}
