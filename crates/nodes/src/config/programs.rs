//! The programs that a configuration names: each must be there, and nobody else may write it.

use super::{PowerDriver, ProbeDriver, Profile, ShellDriver};
use crate::power::Tool;
use crate::template::Template;
use orderly_exec::trust;
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Says of each program of these profiles that is missing, or that others can write, where it is named. The shell
/// driver is of no concern to a run that runs no commands on nodes and does not probe by them.
pub(crate) fn check<'p>(
    file: &str,
    profiles: impl Iterator<Item = &'p Profile>,
    runs_commands: bool,
    wrong: &mut Diagnostics,
) {
    let mut named: BTreeMap<OsString, &'static str> = BTreeMap::new();
    for (key, program) in profiles.flat_map(|profile| programs(profile, runs_commands)) {
        named.entry(program).or_insert(key);
    }
    for (program, key) in named {
        if let Err(error) = trust::check_program(&program) {
            let why = format!("{error:#}");
            let why = why.trim_start_matches("rejected: ");
            wrong.push(Diagnostic::about(file, format!("{key}: {why}")));
        }
    }
}

fn programs(profile: &Profile, runs_commands: bool) -> Vec<(&'static str, OsString)> {
    let mut all = Vec::new();
    match &profile.power.driver {
        PowerDriver::None | PowerDriver::Simulator => {}
        PowerDriver::Command(commands) => {
            all.push(("power.on", commands.on.program()));
            all.push(("power.off", commands.off.program()));
            all.extend(commands.reset.as_ref().map(|reset| ("power.reset", reset.program())));
            all.extend(commands.status.as_ref().map(|status| ("power.status", status.program())));
        }
        PowerDriver::Tool(tool) => all.push(("power.driver", tool.program().into())),
    }
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

impl Tool {
    fn program(&self) -> &str {
        match self {
            Self::Powerman(powerman) => &powerman.program,
            Self::Ipmitool(ipmi) | Self::Ipmipower(ipmi) => &ipmi.program,
        }
    }
}

impl Template {
    fn program(&self) -> OsString {
        self.fill(&[], "").into_iter().next().unwrap_or_default()
    }
}
