//! Programs that are too old for what is asked of them, found out before anything runs.

use crate::asked;
use crate::backend::Backend;
use crate::command::{RunsOn, SideCommand};
use crate::config::Cluster;
use crate::power::ProgramVersion;
use crate::shell::ShellDriver;
use orderly_exec::job::Ended;
use orderly_exec::{OrStatus, Status, fail};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use std::collections::BTreeSet;
use std::time::Duration;

/// For a program to print its version.
const ANSWERING: Duration = Duration::from_secs(10);

/// Asks the programs of drivers for their versions, where that matters; those of shell drivers where the run
/// `runs_commands`.
///
/// # Errors
/// Rejected (3) with each that is too old, or does not say; ended by a signal.
pub fn check(cluster: &Cluster, runs_commands: bool, drivers: &mut dyn Backend) -> anyhow::Result<()> {
    if drivers.is_simulated() {
        return Ok(());
    }
    let of_cluster = cluster.power_drivers().filter_map(|driver| driver.version());
    let of_shell = cluster.shell_drivers().filter(|_| runs_commands).filter_map(ShellDriver::version);
    let of_cluster = of_cluster.chain(of_shell);
    let wanted: Vec<ProgramVersion> = of_cluster.collect::<BTreeSet<_>>().into_iter().collect();
    let command = |version: &ProgramVersion| SideCommand {
        on: RunsOn::Control,
        argv: version.ask.clone(),
        stdin: Vec::new(),
        timeout: ANSWERING,
    };
    let commands: Vec<SideCommand> = wanted.iter().map(command).collect();
    let answers = asked::all(&commands, drivers)
        .map_err(|signal| fail(Status::Signal(signal), "interrupted before anything was done"))?;
    let mut wrong = Diagnostics::default();
    for (version, answer) in wanted.iter().zip(answers) {
        let clause = match answer {
            Ok(ended) => objection(version, &ended),
            Err(failure) => Some(format!("its version is not known: {failure}")),
        };
        if let Some(clause) = clause {
            let program = version.ask.first().map_or("", String::as_str);
            let (major, minor) = version.least;
            let hint = format!("install {major}.{minor} or later (package {})", version.package);
            let clause = format!("{program}: {clause}");
            wrong.push(Diagnostic::about(&cluster.file, clause).hint(hint));
        }
    }
    wrong.or(()).or_status(Status::Rejected)
}

/// Returns why a program will not do.
fn objection(wanted: &ProgramVersion, ended: &Ended) -> Option<String> {
    let text = ended.text();
    let said = text.split_whitespace().nth(1).unwrap_or_default();
    match read(said) {
        Some(version) if version >= wanted.least => None,
        Some(_) => Some(format!("version {said} is too old")),
        None => Some(format!("its version is not known: {}", ended.clause())),
    }
}

/// Reads the first two numbers of a version.
fn read(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-', '_']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (text, version) in
            [("7.88.1", (7, 88)), ("7.9", (7, 9)), ("8.0.0-DEV", (8, 0)), ("10.2", (10, 2))]
        {
            assert_eq!(read(text), Some(version), "{text}");
        }
        assert!(read("7.9").unwrap() < (7, 76) && read("").is_none() && read("x.y").is_none());
    }
}
