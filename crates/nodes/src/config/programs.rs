//! The programs that a configuration names: each must be there, and nobody else may write it.

use super::Profile;
use crate::probe::ProbeDriver;
use crate::shell::ShellDriver;
use orderly_exec::trust;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

/// Says of each program of these profiles that is missing, or that others can write, where it is named. The shell
/// driver is of no concern to a run that runs no commands on nodes and does not probe by them.
pub(crate) fn check<'p>(
    file: &str,
    profiles: impl Iterator<Item = &'p Profile>,
    runs_commands: bool,
    wrong: &mut Diagnostics,
) {
    let mut named: BTreeMap<OsString, &'static str> = BTreeMap::new();
    let mut leads: BTreeSet<&Path> = BTreeSet::new();
    for profile in profiles {
        for (key, program) in programs(profile, runs_commands) {
            named.entry(program).or_insert(key);
        }
        leads.extend(topology(profile));
    }
    let programs = named.iter().map(|(program, key)| (*key, trust::check_program(program)));
    let files = leads.iter().map(|path| ("shell.topology", trust::check_only_owner_changes(path)));
    for (key, checked) in programs.chain(files) {
        if let Err(error) = checked {
            let why = format!("{error:#}");
            let why = why.trim_start_matches("rejected: ");
            wrong.push(Diagnostic::about(file, format!("{key}: {why}")));
        }
    }
}

/// Returns the file that says through which gateways commands go: whoever writes it is given them all.
fn topology(profile: &Profile) -> Option<&Path> {
    match &profile.shell.driver {
        ShellDriver::Parallel(parallel) => parallel.topology.as_deref(),
        ShellDriver::None | ShellDriver::Simulator | ShellDriver::Ssh(_) | ShellDriver::Command(_) => None,
    }
}

fn programs(profile: &Profile, runs_commands: bool) -> Vec<(&'static str, OsString)> {
    let mut all = Vec::new();
    let power = &profile.power.driver;
    all.extend(power.program().map(|program| ("power.driver", program.into())));
    all.extend(power.templates().into_iter().map(|(key, template)| (key, template.program())));
    let asks_by_shell = matches!(profile.probe.driver, ProbeDriver::Shell { .. });
    match &profile.shell.driver {
        _ if !runs_commands && !asks_by_shell => {}
        ShellDriver::None | ShellDriver::Simulator => {}
        ShellDriver::Ssh(ssh) => all.push(("shell.driver", ssh.program.clone().into())),
        ShellDriver::Parallel(parallel) => all.push(("shell.driver", parallel.program.clone().into())),
        ShellDriver::Command(run) => all.push(("shell.run", run.program())),
    }
    if let ProbeDriver::Command(up) = &profile.probe.driver {
        all.push(("probe.up", up.program()));
    }
    all
}
