//! The peer's power: switched off, and proven to be off.
//!
//! How `fence` ends is not judged: only what `fence_status` prints then is proof, and it is read again
//! just before the asset is taken (`orderly_plan::fence`).

use crate::host::{Host, LOOKING};
use crate::platform::Argv;
use anyhow::{Context, bail};
use orderly_exec::job::{Ended, Ending, Job, show};
use orderly_exec::runner::Run;
use orderly_plan::fence::{proves_off, shows_on};
use std::time::Instant;

/// How many lines of what `fence_status` printed are shown.
const SHOWN: usize = 4;

/// What `fence_status` says of the peer's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    On,
    Off,
}

/// Queries the peer's power.
///
/// # Errors
/// Why it is unknown.
pub fn power(host: &mut Host<'_>) -> anyhow::Result<Power> {
    let (argv, ended) = query(host)?;
    match (has_answered(&ended), &ended.text()) {
        (true, text) if proves_off(text) => Ok(Power::Off),
        (true, text) if shows_on(text) => Ok(Power::On),
        _ => bail!("{}: {}", show(argv), answer(&ended)),
    }
}

/// Insists that the peer's power is proven to be off.
///
/// # Errors
/// Why it is not.
pub fn prove_off(host: &mut Host<'_>) -> anyhow::Result<()> {
    let (argv, ended) = query(host)?;
    if has_answered(&ended) && proves_off(&ended.text()) {
        return Ok(());
    }
    bail!("{} does not say off: {}", show(argv), answer(&ended))
}

fn query<'c>(host: &mut Host<'c>) -> anyhow::Result<(&'c Argv, Ended)> {
    let config = host.config;
    let Some(argv) = &config.peer.fence_status else {
        bail!("no fence_status is configured for {}", config.peer.name);
    };
    Ok((argv, host.runner.run(&Job::new(argv, config.asset.timeout))))
}

/// fence-agents say OFF with exit status 2. Any other status is an error, whatever is printed.
fn has_answered(ended: &Ended) -> bool {
    matches!(ended.ending, Ending::Exited(0 | 2)) && !ended.truncated
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
