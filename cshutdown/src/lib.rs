//! cshutdown: read, check, plan, carry out, report.
//!
//! `input` reads, `check` checks, `preview` shows the plan, `phases` carries it out, `outcome` reports.

mod args;
mod battery;
pub mod beacon;
mod check;
mod deadline;
mod full_disk;
mod input;
mod limits;
pub mod logger;
mod met;
mod notice;
mod on_each_node;
mod outcome;
mod pending;
mod phases;
mod preview;
mod prompt;
mod rehearsal;
mod remote;
mod restart;
mod stops_seen;
mod subsystem;
mod succession;
mod warning;

use args::ShutdownArgs;
use battery::{Battery, Learned};
use beacon::{Beacon, Lit, MetBeacon};
use check::Checked;
use clap::CommandFactory;
use full_disk::{UNTOLD, spared};
use input::ShutdownInput;
use met::Meeting;
use notice::Logins;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, program};
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::{self, Foreseen, HeldClaim};
use orderly_nodes::connect;
use orderly_nodes::elsewhere::{self, Door};
use orderly_nodes::identity;
use orderly_nodes::log::RunLog;
use orderly_nodes::permanent;
use orderly_nodes::picture::{self, Picture};
use orderly_nodes::reach::{self, Reach};
use orderly_nodes::remedies::{self, Asked};
pub use orderly_nodes::site::fold;
use orderly_nodes::telling::Telling;
use orderly_nodes::unreported;
use orderly_nodes::versions;
use orderly_nodes::{why, why_not};
use orderly_plan::drivers::{NodeId, Task};
use orderly_plan::duration;
use orderly_plan::report::{self, Summary};
use orderly_plan::select::Direction;
use orderly_plan::survey::Condition;
use orderly_plan::timeline::{Timeline, TimelineKind};
use outcome::{PhaseResults, ShutdownResult};
use phases::Phases;
use restart::Restart;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    ShutdownArgs::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(mut args: ShutdownArgs) -> anyhow::Result<Status> {
    if let Some(which) = &args.cancel {
        return pending::cancel(which);
    }
    let mut reporter = args.flags.speech.reporter();
    let ended = run_with(&mut args, &mut reporter);
    unreported::record(&mut reporter, &ended);
    reporter.part(&ended);
    ended
}

fn run_with(args: &mut ShutdownArgs, reporter: &mut Reporter) -> anyhow::Result<Status> {
    if let (Some(path), Some(log)) = (&args.flags.timeline, &args.flags.from_log) {
        // Whoever has no configuration here still sees the nodes.
        return picture::of_log(path, log, input::site(args).ok().as_ref(), reporter);
    }
    if let Some(answered) = elsewhere::answer(&args.flags, &args.targets, || input::site(args), reporter) {
        return answered;
    }
    // Made once more when the run begins: what stands in its way is told before anything is asked.
    Picture::asked(&args.flags)?;
    if let Some(nodes) = &args.flags.why {
        return why::answer(&input::site(args)?, Direction::Shutdown, (nodes, args.flags.kind()), reporter);
    }
    if let Some(node) = &args.flags.why_not {
        let site = input::site(args)?;
        let mut drivers = connect::backend(&site.cluster, &site.inventory)?;
        drivers.check_programs(&site.cluster, true)?;
        return why_not::answer(
            &site,
            Direction::Shutdown,
            (node, args.flags.kind()),
            &mut *drivers,
            reporter,
        );
    }
    let mut input = ShutdownInput::read(args)?;
    if args.restart && !args.flags.rehearse {
        restart(args, &input, &input.targets.nodes).check()?;
    }
    let (mut beacon, mut met) = (None, None);
    if let Some(within) = args.within.filter(|_| args.acts()) {
        let targets: Vec<&str> = input.targets.nodes.iter().map(|&node| input.site.name(node)).collect();
        let lit = Beacon::light(deadline::left(&input, within), &targets, args.flags.even_self);
        match spared(lit, true, UNTOLD, reporter)? {
            Some(Lit::Own(own)) => beacon = Some(own),
            Some(Lit::Met(other)) => met = Some(other),
            Some(Lit::Told(words)) => return Ok(told(&words, reporter)),
            None => {}
        }
    }
    let learned = Learned::read(input.site.cluster.is_simulated(), |line| reporter.say(line));
    let mut drivers = if args.flags.rehearse {
        rehearsal::drivers(args, &input.site, &learned.halts)?
    } else {
        let mut drivers = connect::backend(&input.site.cluster, &input.site.inventory)?;
        drivers.check_programs(&input.site.cluster, true)?;
        versions::check(&input.site.cluster, true, &mut *drivers)?;
        drivers
    };
    input.site.addresses = identity::resolved(&input.site, &*drivers);
    say_simulated(args, &*drivers, "is", reporter);
    // Another that was begun meanwhile may have taken the place first.
    while let Some(other) = met.take() {
        match succeed(&other, args, &mut input, &mut *drivers, reporter)? {
            Some(Lit::Own(own)) => beacon = Some(own),
            Some(Lit::Met(another)) => met = Some(another),
            None => {}
            Some(Lit::Told(words)) => {
                let status = told(&words, reporter);
                say_simulated(args, &*drivers, "was", reporter);
                drivers.close()?;
                return Ok(status);
            }
        }
    }
    let next = shut_down(args, &mut input, (learned, beacon), &mut *drivers, reporter);
    reporter.end_progress();
    // Said last, after what went wrong.
    let next = next.or_else(|error| {
        if !drivers.is_simulated() {
            return Err(error);
        }
        reporter.warn(format!("{error:#}"));
        unreported::failed(reporter, &error);
        Ok(AfterShutdown::Ended(error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed)))
    });
    say_simulated(args, &*drivers, "was", reporter);
    drivers.close()?;
    match next? {
        AfterShutdown::Ended(status) => Ok(status),
        AfterShutdown::Start(next) => {
            let (restart, claim) = *next;
            reporter.say(format!("all are down: {}", restart.shown()));
            reporter.go_on_as("cstartup");
            restart.become_it(claim.as_ref())
        }
    }
}

/// Ends a run in whose place another goes on.
fn told(words: &str, reporter: &mut Reporter) -> Status {
    reporter.say(words);
    unreported::end(reporter, Status::Done, words, &[]);
    Status::Done
}

/// Takes the place of the shutdown with a deadline that runs already and does not have all the targets of this one.
fn succeed(
    met: &MetBeacon,
    args: &mut ShutdownArgs,
    input: &mut ShutdownInput,
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<Option<Lit>> {
    let names: Vec<String> = input.site.roster.members().iter().map(|member| member.name.clone()).collect();
    let name = |node: NodeId| names[node.index()].as_str();
    let mut telling = Telling { reporter, log: None, name: &name, timeline: None, door: Door::default() };
    succession::succeed(met, args, input, drivers, &mut telling)
}

/// Says first that nothing real `is` touched, and last that nothing `was`.
fn say_simulated(args: &ShutdownArgs, drivers: &dyn Backend, is: &str, reporter: &Reporter) {
    if args.flags.rehearse {
        reporter.say(format!("simulated: a rehearsal, nothing real {is} asked or touched"));
    } else if drivers.is_simulated() {
        reporter.say(format!("simulated: cluster.toml names the simulator, nothing real {is} touched"));
    }
}

/// What comes after the nodes are down.
enum AfterShutdown {
    Ended(Status),
    /// Under the same claim.
    Start(Box<(Restart, Option<HeldClaim>)>),
}

fn shut_down(
    args: &ShutdownArgs,
    input: &mut ShutdownInput,
    (learned, beacon): (Learned, Option<Beacon>),
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<AfterShutdown> {
    for remark in &input.site.remarks {
        reporter.say(remark);
    }
    let mut door = Door::default();
    let mut claim = None;
    if args.acts() {
        door = Door::of(input.site.roster.members().iter().map(|member| member.name.clone()));
        let entered = self::claim(args, input, drivers, (&mut *reporter, &door));
        claim = spared(entered, args.within.is_some(), "no other run knows of it", reporter)?;
    }
    let input = &*input;
    let site = &input.site;
    let deadline = deadline::of(args, input, drivers);
    let name = |node: NodeId| site.name(node);
    let mut telling = Telling { reporter, log: None, name: &name, timeline: None, door: door.clone() };
    if args.only_verifies() {
        let begun = drivers.now();
        let checked = Checked::new(args, input, drivers, &mut telling)?;
        check_restart_of_present(args, input, &checked, drivers)?;
        let now = drivers.now();
        let wishes = args.wishes();
        let is_off = |node: NodeId| checked.conditions[node.index()] == Condition::Down;
        let task = |node: NodeId| (wishes.power_off && !is_off(node)).then_some(Task::PowerOff);
        let nodes = [checked.targets(), checked.units.clone()].concat();
        let failures = permanent::among(site, &nodes, task, drivers);
        let battery = deadline.map(|deadline| {
            Battery::new(args, input, &checked, &learned, (deadline, now - begun), None, drivers)
        });
        preview::show(args, input, (&checked, &failures), (&learned.halts, battery.as_ref(), now), reporter);
        let fits = battery.is_none_or(|battery| battery.plan.fits());
        let (claim, _) = reach::claim(site, Direction::Shutdown, &checked.targets(), Reach::Targets);
        // On battery whoever is in the way is told to end.
        let foreseen = claims::foresee(claim, args.flags.patience()).filter(|_| args.within.is_none());
        let refused = foreseen.map(|Foreseen { line, status, runs }| {
            reporter.warn(&line);
            if status == Status::Refused {
                unreported::end(reporter, status, &line, &runs);
            }
            status
        });
        return Ok(AfterShutdown::Ended(match refused {
            Some(status) if status != Status::Done => status,
            _ if failures.is_empty() && fits => Status::Done,
            _ => Status::Failed,
        }));
    }
    telling.reporter.show_lines();
    let begun = drivers.now();
    let checked = Checked::new(args, input, drivers, &mut telling)?;
    check_restart_of_present(args, input, &checked, drivers)?;
    // Whoever waits for a time finds out only then what has to be added.
    if input.wait.is_zero() || deadline.is_some() {
        checked.narrow(claim.as_mut(), args, input, &mut telling);
    }
    let asking = drivers.now().saturating_sub(begun);
    let battery = deadline
        .map(|deadline| Battery::new(args, input, &checked, &learned, (deadline, asking), beacon, drivers));
    let known = (learned, battery, door);
    let (status, stopped, claim) =
        carry_out(args, input, (begun, checked), (claim, known), drivers, reporter)?;
    Ok(next(args, input, (status, stopped, claim), drivers, reporter))
}

/// Claims the nodes of the run, once no other acts on them.
fn claim(
    args: &ShutdownArgs,
    input: &mut ShutdownInput,
    drivers: &mut dyn Backend,
    (reporter, door): (&mut Reporter, &Door),
) -> anyhow::Result<HeldClaim> {
    let (claim, remark) =
        reach::claim(&input.site, Direction::Shutdown, &input.targets.nodes, args.flags.reach());
    if let Some(remark) = remark {
        reporter.warn(remark);
    }
    let held = match deadline::of(args, input, drivers) {
        Some(deadline) => {
            let (held, left_out) =
                Meeting::new(input, args.flags.reach(), deadline, drivers, (reporter, door)).enter(claim)?;
            input.targets.nodes.retain(|node| left_out.binary_search(node).is_err());
            input.left_out = left_out;
            held
        }
        None => {
            let site = &input.site;
            let name = |node: NodeId| site.name(node);
            let mut telling =
                Telling { reporter, log: None, name: &name, timeline: None, door: door.clone() };
            claims::enter(claim, args.flags.patience(), drivers, &mut telling)?
        }
    };
    drivers.share_limits()?;
    // Others may have acted until now, on imagined nodes too.
    drivers.reload()?;
    Ok(held)
}

/// Goes through the phases, with a log, and reports what came of it; returns what was to be stopped,
/// which may have changed during the wait, and the claim.
fn carry_out(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    (begun, checked): (Duration, Checked),
    (claim, (learned, battery, door)): (Option<HeldClaim>, (Learned, Option<Battery<'_>>, Door)),
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<(Status, Vec<NodeId>, Option<HeldClaim>)> {
    let picture = Picture::asked(&args.flags)?;
    let mut log = match args.flags.rehearse {
        true => None,
        false => {
            let begun = RunLog::begin(&input.site.cluster.log_dir, "cshut", &program::arguments());
            spared(begun, args.within.is_some(), "without a log", reporter)?
        }
    };
    // csLogger, which gets this name, follows no link.
    let whole = |log: &RunLog| std::fs::canonicalize(log.path()).unwrap_or_else(|_| log.path().to_owned());
    // Subsystems write into what they are given, also where there is no log.
    let path = log.as_ref().map_or_else(|| PathBuf::from("/dev/null"), whole);
    let name = |node: NodeId| input.site.name(node);
    let shown = log.as_ref().map(|_| format!(" (log {})", path.display())).unwrap_or_default();
    let mut timeline = Timeline::new(TimelineKind::Stop);
    let mut telling =
        Telling { reporter, log: log.as_mut(), name: &name, timeline: Some(&mut timeline), door };
    if checked.targets().is_empty() {
        telling.say(&format!("nothing is to be stopped: all targets are absent{shown}"));
    } else {
        telling.say(&format!("stopping {}{shown}", fold(&input.site, &checked.targets())));
    }
    if let Some(battery) = &battery {
        for line in battery.lines(drivers.now()) {
            if battery.plan.fits() { telling.say(&line) } else { telling.warn(&line) }
        }
        battery.record(telling.reporter);
    }
    if let Some(expected) = limits::expected(&input.site, &checked.running(), &learned.halts) {
        telling.say(&format!("the nodes are expected to take {}", duration::show(expected)));
    }
    let usual: HashMap<NodeId, Duration> = checked
        .targets()
        .into_iter()
        .filter_map(|node| Some((node, learned.halts.usual(input.site.name(node))?)))
        .collect();
    let fits = battery.as_ref().is_none_or(|battery| battery.plan.fits());
    let logins = Logins::new(drivers.at_once(input.site.cluster.limits.fanout));
    let mut phases = Phases {
        args,
        input,
        drivers,
        telling: &mut telling,
        log: &path,
        checked,
        claim,
        logins,
        battery,
        learned,
        results: PhaseResults { partly: !input.left_out.is_empty(), ..PhaseResults::default() },
    };
    let (endings, ended) = match phases.run(begun) {
        Ok(endings) => (endings, None),
        Err(error) => (phases.nothing_stopped(), Some(error)),
    };
    let signalled = ended.as_ref().and_then(|error| match error.downcast_ref() {
        Some(&Status::Signal(signal)) => Some(signal),
        _ => None,
    });
    let mut results = std::mem::take(&mut phases.results);
    // As the check of the same.
    results.partly |= args.flags.rehearse && !fits;
    results.signal = results.signal.or(signalled);
    let away = std::mem::take(&mut phases.checked.away);
    let (stopped, claim) = (phases.checked.nodes.clone(), phases.claim.take());
    let took = drivers.now().saturating_sub(begun);
    let node_name = |node| input.site.name(node);
    let mut summary = Summary {
        phases: std::mem::take(&mut results.took),
        stages: timeline.stages(),
        critical_path: outcome::critical_path(&input.site, &endings),
        slower: report::slower_than_usual(&endings, &|node| usual.get(&node).copied(), &node_name),
        next: Vec::new(),
    };
    // Whoever interrupted it, or stopped before the nodes, knows why not all is well.
    if results.signal.is_none() && ended.is_none() && args.acts() {
        let asked = Asked {
            flags: &args.flags,
            own: args.asked(),
            restarts: args.restart,
            may_force: !args.force_off && !args.maintenance,
            stuck: Vec::new(),
        };
        summary.next = remedies::next(&input.site, Direction::Shutdown, &asked, &endings);
    }
    if args.acts() {
        let restore = remedies::restore(&input.site, &args.flags, &results.halted, results.is_recorded);
        summary.next.extend(restore);
    }
    let result = ShutdownResult { endings: &endings, away: &away, phases: results, summary, took };
    reporter.end_progress();
    if let Some(picture) = picture {
        picture.draw(timeline, (&input.site, &endings), &result.verdict(&input.site), reporter);
    }
    let simulated = drivers.is_simulated();
    let Some(error) = ended else {
        return Ok((report(&result, input, simulated, log, reporter), stopped, claim));
    };
    if signalled.is_some() {
        result.record(&input.site, simulated, log.as_ref().map(RunLog::path), reporter);
    }
    if let Some(log) = log {
        log.end(&format!("ended: {error:#}"));
    }
    Err(error)
}

/// Returns what comes next: with `-r`, once all are down, their start.
fn next(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    (status, stopped, claim): (Status, Vec<NodeId>, Option<HeldClaim>),
    drivers: &dyn Backend,
    reporter: &Reporter,
) -> AfterShutdown {
    // Those without a power switch restart by themselves, and are up again by now.
    let off: Vec<NodeId> =
        stopped.into_iter().filter(|&node| drivers.abilities(node).switches_power).collect();
    if !args.restart || off.is_empty() {
        return AfterShutdown::Ended(status);
    }
    let restart = restart(args, input, &off);
    if status == Status::Done {
        return AfterShutdown::Start(Box::new((restart, claim)));
    }
    reporter.warn(format!("not all are down, so none is started; to do it: {}", restart.shown()));
    AfterShutdown::Ended(status)
}

fn report(
    result: &ShutdownResult<'_>,
    input: &ShutdownInput,
    simulated: bool,
    mut log: Option<RunLog>,
    reporter: &mut Reporter,
) -> Status {
    let status = result.status();
    for (well, line) in result.lines(&input.site) {
        if well {
            reporter.say(&line);
        } else {
            reporter.warn(&line);
        }
        if let Some(log) = &mut log {
            log.line(&line);
        }
    }
    if let Some(log) = &log {
        reporter.say(format!("log: {}", log.path().display()));
    }
    let verdict = result.verdict(&input.site);
    reporter.say(&verdict);
    result.record(&input.site, simulated, log.as_ref().map(RunLog::path), reporter);
    let Some(log) = log else { return status };
    let lost = log.end(&verdict);
    if lost > 0 {
        reporter.warn(format!("{lost} lines could not be written to the log"));
    }
    status
}

/// Returns the call of `cstartup` for these nodes, with what both programs must agree on.
/// Checks the start that is to follow (`-r`) once more where some targets may be absent: it is of those that were stopped
/// alone, and another that is away may lead them.
fn check_restart_of_present(
    args: &ShutdownArgs,
    input: &ShutdownInput,
    checked: &Checked,
    drivers: &dyn Backend,
) -> anyhow::Result<()> {
    let nodes = checked.targets();
    if !args.restart || args.flags.rehearse || nodes.len() == input.targets.nodes.len() {
        return Ok(());
    }
    let off: Vec<NodeId> = nodes.into_iter().filter(|&node| drivers.abilities(node).switches_power).collect();
    if off.is_empty() { Ok(()) } else { restart(args, input, &off).check() }
}

fn restart(args: &ShutdownArgs, input: &ShutdownInput, nodes: &[NodeId]) -> Restart {
    let mut options: Vec<OsString> = input.startup_options.clone();
    let has = |options: &[OsString], flags: &[&str]| {
        let is = |option: &OsString, flag: &str| {
            let glued = option.to_str().and_then(|option| option.strip_prefix(flag));
            glued.is_some_and(|value| value.is_empty() || value.starts_with('='))
        };
        options.iter().any(|option| flags.iter().any(|flag| is(option, flag)))
    };
    if args.flags.across_partitions && !has(&options, &["-G"]) {
        options.push("-G".into());
    }
    // Whoever was up until now is there, whatever the list says.
    if !input.site.absent.is_empty() && !has(&options, &["--even-absent"]) {
        options.push("--even-absent".into());
    }
    if args.flags.speech.json && !has(&options, &["--json"]) {
        options.push("--json".into());
    }
    // What -C says of the voice wins.
    if !has(&options, &["-q", "--quiet", "-v", "--verbose"]) {
        let voice = [("-q", args.flags.speech.quiet), ("-v", args.flags.speech.verbose)];
        options.extend(voice.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| OsString::from(flag)));
    }
    if args.flags.rehearse {
        // The others are as this rehearsal left them.
        for flag in ["--rehearse", "--others-up"] {
            if !has(&options, &[flag]) {
                options.push(flag.into());
            }
        }
    }
    // What -C names wins, as it does above.
    for (flags, path) in
        [(&["--config"][..], args.flags.config.as_ref()), (&["-i", "--inventory"], args.flags.source.path())]
    {
        if let Some(path) = path.filter(|_| !has(&options, flags)) {
            options.extend([OsString::from(flags[0]), path.into()]);
        }
    }
    if let Some(format) = args.flags.source.format().filter(|_| !has(&options, &["--from"])) {
        options.extend(["--from", format.word()].map(OsString::from));
    }
    if let Some(name) = args.flags.partition.as_ref().filter(|_| !has(&options, &["--partition"])) {
        options.extend(["--partition".into(), name.into()]);
    }
    Restart::new(options, nodes.iter().map(|&node| input.site.name(node)))
}
