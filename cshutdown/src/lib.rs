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
    let next = shut_down(&args, &input, &mut drivers, &mut reporter);
    reporter.end_progress();
    if drivers.is_simulated() {
        reporter.say("simulated: cluster.toml names the simulator, nothing real was touched");
    }
    drivers.close()?;
    match next? {
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
    let stopped = checked.nodes.clone();
    let status = carry_out(args, input, checked, drivers, reporter)?;
    Ok(next(args, input, status, stopped, drivers, reporter))
}

/// Goes through the phases, with a log, and reports what came of it.
fn carry_out(
    args: &Args,
    input: &Input,
    checked: Checked,
    drivers: &mut Drivers,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut log = Log::begin(&input.site.cluster.log_dir, "cshut", &arguments)?;
    // csLogger, which gets this name, follows no link.
    let path = std::fs::canonicalize(log.path()).unwrap_or_else(|_| log.path().to_owned());
    let name = |node: NodeId| input.site.name(node);
    let mut telling = Telling { reporter, log: Some(&mut log), name: &name };
    telling.say(&format!("stopping {} (log {})", fold(&input.site, &checked.targets()), path.display()));
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
    let (endings, ended) = match phases.run() {
        Ok(endings) => (endings, None),
        Err(error) => (phases.nothing_stopped(), Some(error)),
    };
    let signalled = ended.as_ref().and_then(|error| match error.downcast_ref() {
        Some(&Status::Signal(signal)) => Some(signal),
        _ => None,
    });
    let (signal, partly) = (phases.signal.or(signalled), phases.partly);
    let took_each = std::mem::take(&mut phases.took);
    let took = drivers.now().saturating_sub(begun);
    let course = outcome::Course { endings: &endings, signal, partly, took, phases: &took_each };
    reporter.end_progress();
    let simulated = drivers.is_simulated();
    let Some(error) = ended else { return Ok(report(&course, input, simulated, log, reporter)) };
    if signalled.is_some() {
        course.record(&input.site, simulated, Some(log.path()), reporter);
    }
    log.end(&format!("ended: {error:#}"));
    Err(error)
}

/// Returns what comes next: with `-r`, once all are down, their start.
fn next(
    args: &Args,
    input: &Input,
    status: Status,
    stopped: Vec<NodeId>,
    drivers: &Drivers,
    reporter: &Reporter,
) -> Next {
    // Those without a power switch restart by themselves, and are up again by now.
    let off: Vec<NodeId> =
        stopped.into_iter().filter(|&node| drivers.abilities(node).switches_power).collect();
    if !args.restart || off.is_empty() {
        return Next::Ended(status);
    }
    let restart = restart(args, input, &off);
    if status == Status::Done {
        return Next::Start(Box::new(restart));
    }
    reporter.warn(format!("not all are down, so none is started; to do it: {}", restart.shown()));
    Next::Ended(status)
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
