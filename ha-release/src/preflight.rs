//! `--preflight` of the host that holds the asset: whether it could release it now, and whether what it saved could be
//! restored by the standby.

use crate::inuse::OnHolders;
use crate::{foresee, steps};
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail};
use orderly_host::asset::State;
use orderly_host::backup::{self, InHolding};
use orderly_host::host::Host;
use orderly_host::preflight::{Preflight, Role};
use orderly_host::steps::{Backing, backing, programs};
use std::path::Path;
use std::time::Duration;

/// Checks this host and the pair.
///
/// # Errors
/// Refused (4) on a host that does not hold the asset.
pub(crate) fn run(
    config: Option<&Path>,
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    match host.asset_state() {
        State::Held | State::Unknown(_) => {}
        State::Free => return Err(not_holder(host, "it is free")),
        State::Elsewhere(why) => return Err(not_holder(host, &why)),
    }
    let mut preflight = Preflight::begin(Role::Holder, config, host);
    host.notes.clear();
    let mut draft = steps::find(host, &[], OnHolders::Refuse);
    let well = format!("nothing on {} speaks against it", host.config.own.name);
    preflight.note("release", std::mem::take(&mut draft.objections), well);
    let mut missing = foresee::programs(&draft.plan, false, host);
    missing.extend(programs::missing_for_undo(host, &draft.plan));
    preflight.note("programs", missing, "every command of a release can be run here");
    if host.config.backup.is_some() {
        check_backup(host, &mut preflight);
        check_snapshot(host, &mut preflight);
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

/// Checks that the newest snapshot of this holding is young enough, and that it is what was saved.
fn check_snapshot(host: &mut Host<'_>, preflight: &mut Preflight) {
    let found = backup::in_holding(host.config, None, &mut host.runner);
    let (id, gap) = match found {
        Ok(InHolding { snapshot: Some(id), fresh: true }) => (id, None),
        Ok(InHolding { snapshot: Some(id), fresh: false }) => {
            let gap = format!("{id} is older than max_age; look at the hourly job, and run habackup");
            (id, Some(gap))
        }
        Ok(InHolding { snapshot: None, .. }) => {
            let gap = "no whole snapshot was made in this holding; run habackup";
            return preflight.note("snapshot", [gap.to_owned()], "");
        }
        Err(error) => return preflight.note("snapshot", [format!("it cannot be found: {error:#}")], ""),
    };
    preflight.note("snapshot", gap, format!("{id} is younger than max_age"));
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
