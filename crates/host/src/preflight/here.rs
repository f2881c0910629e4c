//! What a hand-over needs of this host in either role: its state directory, its runs, the peer's power, its network.

use super::{Preflight, Role};
use crate::config::Config;
use crate::handover::{self, Program};
use crate::host::Host;
use crate::host::reachability::Reachability;
use crate::state;
use crate::steps::fencing::{self, Power};
use crate::steps::preconditions;
use orderly_exec::lock::Lock;
use orderly_exec::room::HeldRoom;

/// Checks where journals and records are kept, and that no run is under way or unfinished.
pub(super) fn check(host: &Host<'_>, preflight: &mut Preflight) {
    let kept = [state::insist_on_own(host.config), state::insist_on_files(), HeldRoom::look()];
    // Who is at work now is told with the runs.
    let lock =
        Lock::look(&Config::lock_path()).map(drop).or_else(|error| match Lock::is_held_elsewhere(&error) {
            true => Ok(()),
            false => Err(error),
        });
    let gaps = kept.into_iter().chain([lock]).filter_map(Result::err).map(|error| said(&error));
    preflight.note("state directory", gaps, "it has room for a journal and a record");
    let mut gaps: Vec<String> = Vec::new();
    if let Some(who) = handover::running() {
        gaps.push(format!("{who} is at work now; run this again once it has ended"));
    } else {
        for program in [Program::Release, Program::Takeover] {
            match handover::is_unfinished(program) {
                Ok(false) => {}
                Ok(true) => gaps.push(format!(
                    "a run of {0} was begun on this host and is not finished; {0} --status names the next command",
                    program.name()
                )),
                Err(error) => gaps.push(said(&error)),
            }
        }
    }
    preflight.note("runs", gaps, "none is under way or unfinished");
}

/// Checks what may have to be asked when the peer does not answer any more: its power, its address, the witnesses.
/// `answers` says whether the peer ran a command just now.
pub(super) fn check_network(role: Role, answers: bool, host: &mut Host<'_>, preflight: &mut Preflight) {
    check_power(host, preflight);
    check_address(answers, host, preflight);
    // A takeover asks them by itself.
    if role == Role::Holder {
        let gaps = preconditions::unwitnessed(host);
        if !host.config.witness.is_empty() {
            preflight.note("witnesses", gaps, "one of them answers");
        }
    }
}

fn check_power(host: &mut Host<'_>, preflight: &mut Preflight) {
    let peer = &host.config.peer.name;
    if host.config.peer.fence.is_none() {
        let why = format!(
            "no fence is configured for {peer}; once it is dead, only --peer-down permits a takeover"
        );
        return preflight.unchecked("power", why);
    }
    let gap = match fencing::power(host) {
        Ok(Power::On) => None,
        Ok(Power::Off) => Some(format!(
            "fence_status reports that {peer} is off; if it runs, fence would power off another machine: correct fence and \
             fence_status of {peer}"
        )),
        Err(why) => Some(format!(
            "the power of {peer} cannot be queried: {why:#}; correct the address, the user or the password in fence and \
             fence_status of {peer}"
        )),
    };
    preflight.note("power", gap, format!("fence_status reports that {peer} is on"));
}

fn check_address(answers: bool, host: &mut Host<'_>, preflight: &mut Preflight) {
    let peer = &host.config.peer;
    let Some(address) = &peer.address else {
        let why = format!("{} has no address, so --peer-down cannot see that it is alive", peer.name);
        return preflight.unchecked("address", why);
    };
    let gap = match host.reach(address) {
        Reachability::Answered => None,
        Reachability::Silent if answers => Some(format!(
            "{} is alive, but does not answer at {address}, so --peer-down would pass it for dead; correct its address",
            peer.name
        )),
        Reachability::Silent => Some(format!(
            "{} does not answer at {address}; correct its address, or look at that host",
            peer.name
        )),
        Reachability::Unknown(why) => {
            Some(format!("cannot determine whether {} answers at {address}: {why}", peer.name))
        }
    };
    preflight.note("address", gap, format!("{} answers at {address}", peer.name));
}

/// Returns an error without the word of the status that it would end a run with.
fn said(error: &anyhow::Error) -> String {
    let whole = format!("{error:#}");
    whole.strip_prefix("refused: ").or_else(|| whole.strip_prefix("rejected: ")).unwrap_or(&whole).to_owned()
}
