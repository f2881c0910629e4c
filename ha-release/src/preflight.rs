//! `--preflight` of the host that holds the asset: whether it could release it now, and whether what it saved could be
//! restored by the standby.

use crate::inuse::OnHolders;
use crate::{ReleasePart, UNPROVEN, foresee, steps};
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail};
use orderly_host::asset::State;
use orderly_host::backup::{self, InHolding};
use orderly_host::flags::word;
use orderly_host::host::Host;
use orderly_host::preflight::{Preflight, Role};
use orderly_host::steps::{Backing, backing, programs};
use std::path::Path;
use std::time::Duration;

/// Checks this host and the pair, for a release without the parts that are left out.
///
/// # Errors
/// Refused (4) on a host that does not hold the asset.
pub(crate) fn run(
    config: Option<&Path>,
    left_out: &[ReleasePart],
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    match host.asset_state() {
        State::Held | State::Unknown(_) => {}
        State::Free => return Err(not_holder(host, "it is free")),
        State::Elsewhere(why) => return Err(not_holder(host, &why)),
    }
    let mut preflight = Preflight::begin(Role::Holder, config, left_out.iter().map(word).collect(), host);
    host.notes.clear();
    let mut draft = steps::find(host, left_out, OnHolders::Refuse);
    let well = format!("nothing on {} speaks against it", host.config.own.name);
    preflight.note("release", std::mem::take(&mut draft.objections), well);
    let mut missing = foresee::programs(&draft.plan, false, host);
    missing.extend(programs::missing_for_undo(host, &draft.plan));
    preflight.note("programs", missing, "every command of a release can be run here");
    if left_out.contains(&ReleasePart::Proof) {
        preflight.note(
            "proof",
            [format!("{UNPROVEN}, so no takeover would be permitted; do without --skip proof")],
            "",
        );
    }
    if host.config.backup.is_some() {
        let backs_up = !left_out.contains(&ReleasePart::Backup);
        if backs_up {
            check_backup(host, &mut preflight);
        }
        check_snapshot(backs_up, host, &mut preflight);
    } else {
        preflight.unchecked("backup", "ha.toml has no [backup] table, so nothing is saved or restored");
    }
    host.notes.extend(draft.notes);
    Ok(preflight.tell(host, reporter))
}

fn not_holder(host: &Host<'_>, why: &str) -> anyhow::Error {
    let own = &host.config.own.name;
    let title = host.asset.title();
    fail(
        Status::Refused,
        format!("{own} does not hold {title}: {why}; ha-takeover --preflight checks the standby"),
    )
}

fn check_backup(host: &mut Host<'_>, preflight: &mut Preflight) {
    let gap = match backing::foresee_backup(host, Duration::MAX) {
        Ok(Backing::Made) => None,
        Ok(Backing::PassedOver { why, .. } | Backing::Fails(why)) => Some(format!("it would fail: {why}")),
        Err(error) => Some(format!("cannot determine whether it would succeed: {error:#}")),
    };
    preflight.note("backup", gap, "it would succeed");
}

/// Checks that the newest snapshot of this holding is what was saved, and young enough where a backup is taken: without one
/// it is handed over however old it is, or none.
fn check_snapshot(backs_up: bool, host: &mut Host<'_>, preflight: &mut Preflight) {
    let id = match backup::in_holding(host.config, None, &mut host.runner) {
        Ok(InHolding { snapshot: Some(id), fresh }) => {
            let well = if fresh { "is younger than max_age" } else { "would be restored, however old it is" };
            let gap = (backs_up && !fresh)
                .then(|| format!("{id} is older than max_age; look at the hourly job, and run habackup"));
            preflight.note("snapshot", gap, format!("{id} {well}"));
            id
        }
        Ok(InHolding { snapshot: None, .. }) if backs_up => {
            let gap = "no whole snapshot was made in this holding; run habackup";
            return preflight.note("snapshot", [gap.to_owned()], "");
        }
        Ok(InHolding { snapshot: None, .. }) => {
            let why = "no whole snapshot was made in this holding, so none would be restored";
            return preflight.unchecked("snapshot", why);
        }
        Err(error) => return preflight.note("snapshot", [format!("it cannot be found: {error:#}")], ""),
    };
    let limit = host.config.backup.as_ref().map_or(Duration::MAX, |backup| backup.timeout);
    let gap = match backup::run(host.config, &["--verify", &id, "-q"], limit, None, &mut host.runner) {
        Ok(ended) if ended.succeeded() => None,
        Ok(ended) => Some(format!(
            "{id} could not be restored: {}; run habackup, and look at the disk",
            ended.clause()
        )),
        Err(error) => Some(format!("{error:#}")),
    };
    preflight.note("verification", gap, format!("every file of {id} is as it was saved"));
}
