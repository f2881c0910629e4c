//! `--preflight` of a standby: whether it could take the asset over if the holder died now.

use crate::args::TakeoverPart;
use crate::proof::Proof;
use crate::steps::{self, Terms};
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail};
use orderly_host::asset::State;
use orderly_host::flags::word;
use orderly_host::host::Host;
use orderly_host::preflight::{Preflight, Role};
use orderly_host::steps::programs;
use std::path::Path;

/// Checks this host and the pair, for a takeover without the parts that are left out.
///
/// # Errors
/// Refused (4) on the host that holds the asset.
pub(crate) fn run(
    config: Option<&Path>,
    left_out: &[TakeoverPart],
    host: &mut Host<'_>,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let state = host.asset_state();
    if state == State::Held {
        let own = &host.config.own.name;
        let why = format!("{own} holds {}; ha-release --preflight checks the holder", host.asset.title());
        return Err(fail(Status::Refused, why));
    }
    let mut preflight = Preflight::begin(Role::Standby, config, left_out.iter().map(word).collect(), host);
    // What came to light up to here is in the checks.
    host.notes.clear();
    // With the power of the peer off everything else must be well here. That it answers now is no gap.
    let terms = Terms { proof: &Proof::Fence, on_word: false, left_out };
    let objections = steps::objections(host, terms, &state);
    host.notes.clear();
    preflight.note("takeover", objections, format!("nothing on {} speaks against it", host.config.own.name));
    let missing = match steps::plan(host, terms, &state) {
        Ok(plan) => programs::missing_programs(host, &plan),
        Err(error) => vec![format!("{error:#}")],
    };
    preflight.note("programs", missing, "every command of a takeover can be run here");
    if host.config.backup.is_some() && !left_out.contains(&TakeoverPart::Restore) {
        let why = format!(
            "the snapshots are on the asset, which {} holds; ha-release --preflight checks them there",
            host.config.peer.name
        );
        preflight.unchecked("snapshot", why);
    }
    Ok(preflight.tell(host, reporter))
}
