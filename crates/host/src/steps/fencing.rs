//! The peer's power: switched off, and proven to be off.
//!
//! How `fence` ends is not judged: only what `fence_status` prints then is proof, and it is read again
//! just before the asset is taken (`orderly_plan::fence`).

use crate::host::{Host, LOOKING};
use anyhow::{Context, bail};
use orderly_exec::job::{Ended, Ending, Job, show};
use orderly_exec::runner::Run;
use orderly_plan::fence::proves_off;
use std::time::Instant;

/// How many lines of what `fence_status` printed are shown.
const SHOWN: usize = 4;

/// Insists that the peer's power is proven to be off.
///
/// # Errors
/// Why it is not.
pub fn prove_off(host: &mut Host<'_>) -> anyhow::Result<()> {
    let Some(argv) = &host.config.peer.fence_status else {
        bail!("no fence_status is configured for {}", host.config.peer.name);
    };
    let ended = host.runner.run(&Job::new(argv, host.config.asset.timeout));
    // fence-agents say OFF with exit status 2. Any other status is an error, whatever is printed.
    let has_answered = matches!(ended.ending, Ending::Exited(0 | 2)) && !ended.truncated;
    if has_answered && proves_off(&ended.text()) {
        return Ok(());
    }
    bail!("{} does not say off: {}", show(argv), answer(&ended))
}

pub(crate) fn fence(host: &mut Host<'_>) -> anyhow::Result<()> {
    let peer = &host.config.peer;
    let argv =
        peer.fence.as_ref().with_context(|| format!("no fence command is configured for {}", peer.name))?;
    let until = Instant::now() + host.config.asset.timeout;
    let ended = host.runner.run(&Job::new(argv, host.config.asset.timeout));
    loop {
        match prove_off(host) {
            Err(_) if Instant::now() < until && host.runner.interrupted().is_none() => {
                host.runner.pause(LOOKING);
            }
            Err(why) => bail!("{why}; {}: {}", show(argv), ended.clause()),
            Ok(()) => return Ok(()),
        }
    }
}

/// Returns what a command printed, on one line, with how it ended.
fn answer(ended: &Ended) -> String {
    let text = ended.text();
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > SHOWN {
        lines.truncate(SHOWN);
        lines.push("...");
    }
    let printed = if lines.is_empty() {
        "it printed nothing".to_owned()
    } else {
        format!("it printed \"{}\"", lines.join(" / "))
    };
    if ended.stderr.is_empty() && ended.ending == Ending::Exited(0) {
        return printed;
    }
    if ended.stderr.is_empty() {
        return format!("{printed}, {}", ended.ending);
    }
    format!("{printed}, {}", ended.clause())
}
