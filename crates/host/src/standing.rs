//! Where this host stands (`--status`): asset, services, mounts, shares, addresses, unfinished runs.
//! Changes nothing and needs no lock.

use crate::action::Action;
use crate::addresses;
use crate::asset::State;
use crate::handover::Program;
use crate::holders;
use crate::machine::Machine;
use crate::mountinfo;
use crate::mounts::loopback_mount;
use crate::{services, shares};
use orderly_exec::files;
use orderly_exec::journal;
use orderly_exec::reporter::Reporter;
use serde::Serialize;

/// The answer to `--status`.
#[derive(Debug, Serialize)]
struct Standing {
    format: &'static str,
    host: String,
    peer: String,
    asset: String,
    /// held, free, elsewhere or unknown.
    state: &'static str,
    reason: Option<String>,
    parts: Vec<Part>,
    holders: Vec<String>,
    unfinished: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Part {
    kind: &'static str,
    name: String,
    state: String,
}

/// Tells where this host stands.
pub fn tell(machine: &mut Machine<'_>, reporter: &mut Reporter) {
    let (state, reason) = match machine.asset_state() {
        State::Held => ("held", None),
        State::Free => ("free", None),
        State::Elsewhere(why) => ("elsewhere", Some(why)),
        State::Unknown(why) => ("unknown", Some(why)),
    };
    let standing = Standing {
        format: "orderly-status/1",
        host: machine.config.own.name.clone(),
        peer: machine.config.peer.name.clone(),
        asset: machine.asset.title(),
        state,
        reason,
        parts: parts(machine),
        holders: holders::users(machine.asset.as_ref()).holders.iter().map(ToString::to_string).collect(),
        unfinished: [Program::Release, Program::Takeover].into_iter().filter_map(unfinished).collect(),
    };
    let reason = standing.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    reporter.message(&format!("{}: {}{reason} on {}", standing.asset, standing.state, standing.host));
    for part in &standing.parts {
        reporter.message(&format!("{} {}: {}", part.kind, part.name, part.state));
    }
    for line in standing.holders.iter().chain(&standing.unfinished) {
        reporter.message(line);
    }
    reporter.record(&standing);
}

fn parts(machine: &mut Machine<'_>) -> Vec<Part> {
    let config = machine.config;
    let mut parts = Vec::new();
    let mut add = |kind, name: String, state: String| parts.push(Part { kind, name, state });
    for service in &config.services {
        let state = match services::state(service, &mut machine.runner) {
            services::State::Up => "up".to_owned(),
            services::State::Down => "down".to_owned(),
            services::State::Unknown(why) => format!("unknown ({why})"),
        };
        add("service", service.name.clone(), state);
    }
    let mounts = mountinfo::own().unwrap_or_default();
    let word = |there: bool| if there { "mounted" } else { "not mounted" }.to_owned();
    for mount in &config.asset.mounts {
        add("mount", mount.at.display().to_string(), word(mounts.at(&mount.at).is_some()));
    }
    for loopback in &config.loopbacks {
        let there = loopback_mount(machine.asset.as_ref(), loopback, &mounts).is_some();
        add("loopback", loopback.at.display().to_string(), word(there));
    }
    for share in &config.shares {
        let state = match shares::found(share, &mut machine.runner) {
            Ok(found) => if found.is_empty() { "not exported" } else { "exported" }.to_owned(),
            Err(error) => format!("unknown ({error:#})"),
        };
        add("share", share.path.display().to_string(), state);
    }
    for address in &config.addresses {
        let state = match addresses::is_here(address, &mut machine.runner) {
            Ok(true) => "here".to_owned(),
            Ok(false) => "not here".to_owned(),
            Err(why) => format!("unknown ({why})"),
        };
        add("address", address.cidr.clone(), state);
    }
    parts
}

fn unfinished(program: Program) -> Option<String> {
    let path = files::state_directory().join(format!("{}.journal", program.name()));
    match journal::read::<Action>(&path) {
        Ok(Some(stored)) if !stored.is_closed() => {
            let last = stored.lines.last().map(|line| {
                let step = line.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
                let event = serde_json::to_value(line.event).unwrap_or_default();
                format!("; its last record: {}{step}", event.as_str().unwrap_or_default())
            });
            Some(format!(
                "{} was begun {} and is not finished{}; run it again",
                program.name(),
                stored.header.at,
                last.unwrap_or_default()
            ))
        }
        Ok(_) => None,
        Err(error) => Some(format!("{error:#}")),
    }
}
