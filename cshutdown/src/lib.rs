//! cshutdown: read, check, plan, carry out, report.
//!
//! `input` reads, `check` checks, `preview` shows the plan, `phases` carries it out, `outcome` reports.

mod args;
mod ask;
mod check;
mod guard;
mod input;
pub mod logger;
mod notice;
mod outcome;
mod patience;
mod pending;
mod phases;
mod preview;
mod remote;
mod restart;
mod subsystem;
mod warning;

pub use args::Args;
use check::Checked;
use clap::CommandFactory;
use input::Input;
use notice::Logins;
use orderly_exec::reporter::{Output, Reporter, Voice};
use orderly_exec::{Status, files, lock::Lock};
use orderly_nodes::fleet::Drivers;
use orderly_nodes::log::Log;
use orderly_nodes::run::Telling;
use orderly_nodes::targets::fold;
use orderly_plan::fleet::{Fleet, NodeId};
use orderly_plan::machine::Ending;
use phases::Phases;
use restart::Restart;
use std::ffi::OsString;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: Args) -> anyhow::Result<Status> {
    if args.cancel {
        return pending::cancel();
    }
    let voice = match (args.quiet, args.verbose) {
        (true, _) => Voice::Quiet,
        (_, true) => Voice::Verbose,
        _ => Voice::Plain,
    };
    let output = if args.json { Output::Json } else { Output::Text };
    let mut reporter = Reporter::new(voice, output);
    let input = Input::read(&args)?;
    if args.restart {
        restart(&args, &input, &input.targets.nodes).check()?;
    }
    let mut drivers = Drivers::new(&input.site.cluster, &input.site.inventory)?;
    if drivers.is_simulated() {
        reporter.say("simulated: cluster.toml names the simulator, nothing real is touched");
    }
    let status = shut_down(&args, &input, &mut drivers, &mut reporter);
    if drivers.is_simulated() {
        reporter.say("simulated: cluster.toml names the simulator, nothing real was touched");
    }
    drivers.close()?;
    match status? {
        Next::Ended(status) => Ok(status),
        Next::Start(restart) => {
            reporter.say(format!("all are down: {}", restart.shown()));
            restart.become_it()
        }
    }
}

/// What comes after the nodes are down.
enum Next {
    Ended(Status),
    Start(Box<Restart>),
}

fn shut_down(
    args: &Args,
    input: &Input,
    drivers: &mut Drivers,
    reporter: &mut Reporter,
) -> anyhow::Result<Next> {
    let site = &input.site;
    let name = |node: NodeId| site.name(node);
    for remark in &site.remarks {
        reporter.say(remark);
    }
    let mut telling = Telling { reporter, log: None, name: &name };
    if args.only_verifies() {
        let checked = Checked::new(args, input, drivers, &mut telling)?;
        preview::show(args, input, &checked, reporter);
        return Ok(Next::Ended(Status::Done));
    }
    let _lock = Lock::take(&files::state_directory().join("nodes.lock"))?;
    telling.reporter.show_progress();
    let checked = Checked::new(args, input, drivers, &mut telling)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut log = Log::begin(&site.cluster.log_dir, "cshut", &arguments)?;
    let path = std::fs::canonicalize(log.path()).unwrap_or_else(|_| log.path().to_owned());
    telling.log = Some(&mut log);
    telling.say(&format!("stopping {} (log {})", fold(site, &checked.targets()), path.display()));
    let begun = drivers.now();
    let mut phases = Phases {
        args,
        input,
        drivers,
        telling: &mut telling,
        log: &path,
        checked,
        logins: Logins::default(),
        partly: false,
        signal: None,
        took: Vec::new(),
    };
    let endings = phases.run();
    let (signal, partly, took_each) = (phases.signal, phases.partly, std::mem::take(&mut phases.took));
    let stopped = std::mem::take(&mut phases.checked.nodes);
    telling.reporter.end_progress();
    let endings = match endings {
        Ok(endings) => endings,
        Err(error) => {
            if let Some(&Status::Signal(signal)) = error.downcast_ref() {
                let endings: Vec<Ending> = stopped.into_iter().map(phases::skipped).collect();
                let took = drivers.now().saturating_sub(begun);
                let course = outcome::Course {
                    endings: &endings,
                    signal: Some(signal),
                    partly,
                    took,
                    phases: &took_each,
                };
                course.record(site, drivers.is_simulated(), Some(log.path()), reporter);
            }
            log.end(&format!("ended: {error:#}"));
            return Err(error);
        }
    };
    let result = outcome::Course {
        endings: &endings,
        signal,
        partly,
        took: drivers.now().saturating_sub(begun),
        phases: &took_each,
    };
    let status = report(&result, input, drivers.is_simulated(), log, reporter);
    if !args.restart {
        return Ok(Next::Ended(status));
    }
    // Those without a power switch restart by themselves, and are up again by now.
    let off: Vec<NodeId> =
        stopped.into_iter().filter(|&node| drivers.abilities(node).switches_power).collect();
    let restart = restart(args, input, &off);
    if off.is_empty() {
        Ok(Next::Ended(status))
    } else if status == Status::Done {
        Ok(Next::Start(Box::new(restart)))
    } else {
        reporter.warn(format!("not all are down, so none is started; to do it: {}", restart.shown()));
        Ok(Next::Ended(status))
    }
}

fn report(
    result: &outcome::Course<'_>,
    input: &Input,
    simulated: bool,
    mut log: Log,
    reporter: &mut Reporter,
) -> Status {
    let status = result.status();
    for (well, line) in result.lines(&input.site) {
        if well {
            reporter.say(&line);
        } else {
            reporter.warn(&line);
        }
        log.line(&line);
    }
    result.record(&input.site, simulated, Some(log.path()), reporter);
    let lost = log.end(&format!("{} ({})", status.word(), status.code()));
    if lost > 0 {
        reporter.warn(format!("{lost} lines could not be written to the log"));
    }
    status
}

/// Returns the call of `cstartup` for these nodes, with what both programs must agree on.
fn restart(args: &Args, input: &Input, nodes: &[NodeId]) -> Restart {
    let mut options: Vec<OsString> = input.startup_options.clone();
    let has = |options: &[OsString], flags: &[&str]| {
        options.iter().any(|option| flags.iter().any(|flag| option == flag))
    };
    if args.all_partitions && !has(&options, &["-G"]) {
        options.push("-G".into());
    }
    if args.json && !has(&options, &["--json"]) {
        options.push("--json".into());
    }
    // What -C says of the voice wins.
    if !has(&options, &["-q", "--quiet", "-v", "--verbose"]) {
        let voice = [("-q", args.quiet), ("-v", args.verbose)];
        options.extend(voice.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| OsString::from(flag)));
    }
    for (flag, path) in [("--config", &args.config), ("-i", &args.inventory)] {
        if let Some(path) = path {
            options.extend([OsString::from(flag), path.into()]);
        }
    }
    Restart::new(options, nodes.iter().map(|&node| input.site.name(node)))
}
