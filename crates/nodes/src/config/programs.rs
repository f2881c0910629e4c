//! The programs that a configuration names: each must be there, and nobody else may write it.

use super::Profile;
use orderly_exec::status::unmarked;
use orderly_exec::{files, trust};
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
    let mut leads: BTreeSet<(&str, &Path)> = BTreeSet::new();
    for profile in profiles {
        for (key, program) in programs(profile, runs_commands) {
            named.entry(program).or_insert(key);
        }
        // It says through which gateways commands go: whoever writes it is given them all.
        let topology = profile.shell.parallel().and_then(|parallel| parallel.topology.as_deref());
        leads.extend(topology.map(|path| ("shell.topology", path)));
        leads.extend(profile.power.driver.trusted_file());
        let halting = profile.shell.halting.as_ref().and_then(|halting| halting.trusted_file());
        leads.extend(halting.map(|(_, path)| ("shell.ca_file", path)));
    }
    let programs = named.iter().map(|(program, key)| (*key, trust::check_program(program)));
    let is_trusted =
        |path: &Path| trust::check_only_owner_changes(path).and_then(|()| files::read(path).map(|_| ()));
    let files = leads.iter().map(|(key, path)| (*key, is_trusted(path)));
    for (key, checked) in programs.chain(files) {
        if let Err(error) = checked {
            wrong.push(Diagnostic::about(file, format!("{key}: {}", unmarked(&error))));
        }
    }
}

fn programs(profile: &Profile, runs_commands: bool) -> Vec<(&'static str, OsString)> {
    let mut all = Vec::new();
    let power = &profile.power.driver;
    all.extend(power.program().map(|program| ("power.driver", program.into())));
    all.extend(power.templates().into_iter().map(|(key, template)| (key, template.program())));
    if runs_commands {
        let halting = profile.shell.halting.as_ref().and_then(|halting| halting.program());
        all.extend(halting.map(|program| ("shell.driver", program.into())));
    }
    if runs_commands || profile.probe.driver.needs_shell() {
        all.extend(profile.shell.ssh().map(|ssh| ("shell.driver", ssh.program.clone().into())));
        all.extend(profile.shell.template().map(|run| ("shell.run", run.program())));
    }
    all.extend(profile.probe.driver.template().map(|up| ("probe.up", up.program())));
    all
}
