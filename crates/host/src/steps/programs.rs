//! Whether the programs that a plan runs can be started, and its units stopped or started, looked at before its first
//! step.

use crate::action::{Action, Perform};
use crate::answer::Answer;
use crate::asset::State;
use crate::host::Host;
use orderly_exec::paths;
use orderly_plan::step::{Plan, Undo};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns the programs of a plan that cannot be started on this host, and the units that systemd would not stop or
/// start, each with its remedy. What lies on the asset is there while the asset is mounted, and is looked for only where it is not.
pub fn missing_programs(host: &mut Host<'_>, plan: &Plan<Action>) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for step in &plan.steps {
        let said = missing_for(host, &step.action);
        if !said.is_empty() && !is_so_already(host, &step.action) {
            missing.extend(said.iter().map(|why| format!("{}: {why}", step.name)));
        }
    }
    missing.dedup();
    missing
}

/// What is so already runs nothing.
fn is_so_already(host: &mut Host<'_>, action: &Action) -> bool {
    host.check(action) == Answer::Yes
        || (matches!(action, Action::Take { .. }) && host.asset_state() == State::Held)
}

/// Returns the programs without which a plan could not be taken back.
pub fn missing_for_undo(host: &mut Host<'_>, plan: &Plan<Action>) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for step in &plan.steps {
        if let Undo::Action(action) | Undo::UntilDone(action) = &step.undo {
            let said = missing_for(host, action);
            missing
                .extend(said.iter().map(|why| format!("{}, which is for taking it back: {why}", step.name)));
        }
    }
    missing.dedup();
    missing
}

fn missing_for(host: &mut Host<'_>, action: &Action) -> Vec<String> {
    let commands = if let Action::Part { way, part } = action {
        part.needed_commands(*way, host)
    } else {
        host.commands(action)
    };
    let without_asset =
        matches!(action, Action::Run { .. } | Action::Fence | Action::ProveOff | Action::Take { .. });
    let programs = commands.iter().filter_map(|argv| argv.first());
    let mut said: Vec<String> =
        programs.filter_map(|program| unfit_program(host, program, without_asset)).collect();
    if let Action::Part { way, part } = action {
        said.extend(part.refusal(*way, host));
    }
    said.dedup();
    said
}

/// Returns why a program cannot be started, as a clause; with `without_asset` also where it would lie on the
/// asset.
pub fn unfit_program(host: &Host<'_>, program: &str, without_asset: bool) -> Option<String> {
    let candidates: Vec<PathBuf> = match Path::new(program).components().count() {
        0 | 1 => paths::search_path().iter().map(|folder| folder.join(program)).collect(),
        _ => vec![PathBuf::from(program)],
    };
    let is_on_asset = |path: &PathBuf| {
        let places = host.config.asset.mounts.iter().map(|mount| &mount.at);
        let mut places = places.chain(host.config.loopbacks.iter().map(|loopback| &loopback.at));
        places.any(|at| path.starts_with(at))
    };
    let (on_asset, here): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_on_asset);
    if here.iter().any(|path| is_executable(path)) || (!without_asset && !on_asset.is_empty()) {
        return None;
    }
    Some(if without_asset && here.is_empty() {
        format!("{program} lies on the asset, which is not here then; put it elsewhere")
    } else {
        format!("there is no program {program} here; install it, or mend ha.toml")
    })
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
