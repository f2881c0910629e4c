//! cstartup: read, check, plan, carry out, report.

mod args;
mod closing;
mod own;
mod plan;
mod restored;
mod resume;

pub use args::StartupArgs;
use clap::CommandFactory;
use closing::Closing;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, program};
use orderly_nodes::absent::{self, Absence};
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::{self, Foreseen, HeldClaim};
use orderly_nodes::config::Flags;
use orderly_nodes::connect;
use orderly_nodes::elsewhere::{self, Door};
use orderly_nodes::history::{History, RunKind};
use orderly_nodes::identity;
use orderly_nodes::log::RunLog;
use orderly_nodes::permanent;
use orderly_nodes::picture::{self, Picture};
use orderly_nodes::probe::ProbeBy;
use orderly_nodes::reach::{self, Reach};
use orderly_nodes::remedies::{self, Asked};
use orderly_nodes::run::drive;
use orderly_nodes::simulator::Initial;
use orderly_nodes::site::{Site, SiteRequest, fold};
use orderly_nodes::targets::Targets;
use orderly_nodes::telling::Telling;
use orderly_nodes::unreported;
use orderly_nodes::up::WasUp;
use orderly_nodes::versions;
use orderly_nodes::{why, why_not};
use orderly_plan::drivers::NodeId;
use orderly_plan::report::{self, Phase, PhaseTime, Summary};
use orderly_plan::run::Run;
use orderly_plan::select::Direction;
use orderly_plan::startup::Startup;
use orderly_plan::survey::{Condition, Reading, Survey};
use orderly_plan::timeline::{Timeline, TimelineKind};
use plan::{StartPlan, concerned};
use restored::WantedNodes;
use resume::Resumed;
use std::time::Duration;

/// Returns the command line as data, for tests, man pages and completions.
pub fn command() -> clap::Command {
    StartupArgs::command()
}

/// Runs the program.
///
/// # Errors
/// See the exit-status table in the manual page.
pub fn run(args: StartupArgs) -> anyhow::Result<Status> {
    let mut reporter = args.flags.speech.reporter();
    let ended = run_with(&args, &mut reporter);
    unreported::record(&mut reporter, &ended);
    reporter.part(&ended);
    ended
}

fn run_with(args: &StartupArgs, reporter: &mut Reporter) -> anyhow::Result<Status> {
    if let (Some(path), Some(log)) = (&args.flags.timeline, &args.flags.from_log) {
        // Whoever has no configuration here still sees the nodes.
        return picture::of_log(path, log, read(args).ok().as_ref(), reporter);
    }
    if let Some(answered) = elsewhere::answer(&args.flags, &args.targets, || read(args), reporter) {
        return answered;
    }
    // Made once more when the run begins: what stands in its way is told before anything is asked.
    Picture::asked(&args.flags)?;
    let mut site = read(args)?;
    if let Some(why) = &args.flags.why {
        return why::answer(&site, Direction::Startup, (why, args.flags.kind()), reporter);
    }
    if let Some(node) = &args.flags.why_not {
        let mut drivers = connect::backend(&site.cluster, &site.inventory)?;
        drivers.check_programs(&site.cluster, false)?;
        return why_not::answer(
            &site,
            Direction::Startup,
            (node, args.flags.kind()),
            &mut *drivers,
            reporter,
        );
    }
    let mut wanted = WantedNodes::read(args, &site)?;
    if args.even_absent {
        site.absent.clear();
    }
    // Who of those that are listed as absent is one is known only once they were asked.
    if !args.flags.extend && site.absent.is_empty() {
        plan::confirm(args, wanted.targets.nodes.len())?;
    }
    let history = History::read(RunKind::Start, site.cluster.is_simulated(), |line| reporter.say(line));
    let mut drivers = drivers(args, &site, &wanted.targets.nodes, &history)?;
    site.addresses = identity::resolved(&site, &*drivers);
    let acts = !args.dry_run && !args.flags.rehearse;
    let simulated = simulated(args, &*drivers);
    if let Some((why, done)) = simulated {
        reporter.say(format!("simulated: {why}, nothing real is {done}"));
    }
    for remark in &site.remarks {
        reporter.say(remark);
    }
    if args.restore {
        wanted.say(&site, reporter)?;
    }
    let door = if acts {
        Door::of(site.roster.members().iter().map(|member| member.name.clone()))
    } else {
        Door::default()
    };
    let claim = match acts {
        true => claim(args, &site, &mut wanted, &door, &mut *drivers, reporter).map(Some),
        false => Ok(None),
    };
    let outcome = claim.and_then(|claim| match claim {
        Some(Claimed::NothingLeft) => {
            let why = "others brought up meanwhile all that was to be brought back";
            reporter.say(why);
            unreported::end(reporter, Status::Done, why, &[]);
            Ok(Status::Done)
        }
        Some(Claimed::Held(held)) => {
            let known = (Some(*held), history, door);
            carry_out(args, &mut site, wanted.targets.clone(), known, &mut *drivers, reporter)
        }
        None => {
            carry_out(args, &mut site, wanted.targets.clone(), (None, history, door), &mut *drivers, reporter)
        }
    });
    let outcome = outcome.and_then(|status| drivers.close().map(|()| status));
    if acts && outcome.is_ok() && !wanted.gone.is_empty() {
        WasUp::brought_up(site.cluster.is_simulated(), wanted.gone.iter().map(String::as_str))?;
    }
    reporter.end_progress();
    let Some((why, done)) = simulated else { return outcome };
    // Said last, after what went wrong.
    unreported::record(reporter, &outcome);
    let status = outcome.unwrap_or_else(|error| {
        reporter.warn(format!("{error:#}"));
        error.downcast_ref::<Status>().copied().unwrap_or(Status::Failed)
    });
    reporter.say(format!("simulated: {why}, nothing real was {done}"));
    Ok(status)
}

fn read(args: &StartupArgs) -> anyhow::Result<Site> {
    let flags = Flags { stagger: args.stagger, reset_stuck: args.reset_stuck, ..args.flags.overrides() };
    Site::read(&SiteRequest {
        direction: Direction::Startup,
        config: args.flags.config.clone(),
        sequence: args.flags.sequence.clone(),
        flags,
    })
}

/// Returns the nodes behind their drivers, or imagined ones for a rehearsal.
fn drivers(
    args: &StartupArgs,
    site: &Site,
    targets: &[NodeId],
    history: &History,
) -> anyhow::Result<Box<dyn Backend>> {
    if !args.flags.rehearse {
        let mut drivers = connect::backend(&site.cluster, &site.inventory)?;
        drivers.check_programs(&site.cluster, false)?;
        versions::check(&site.cluster, false, &mut *drivers)?;
        return Ok(drivers);
    }
    let failing = args.flags.failing(site)?;
    let initial = if args.others_up { Initial::Up } else { Initial::Off };
    let mut simulation = connect::rehearsal(&site.cluster, &site.inventory, initial)?;
    targets.iter().for_each(|&target| simulation.switch_off(target));
    // A unit was switched off with the last of its nodes.
    let is_target = |node: &NodeId| targets.binary_search(node).is_ok();
    let units = site.units_of(targets).into_iter();
    units
        .filter(|&unit| site.nodes_with(unit).iter().all(is_target))
        .for_each(|unit| simulation.switch_off(unit));
    for node in site.inventory.ids() {
        if let Some(usual) = history.usual(site.name(node)) {
            simulation.world_mut().nature_mut(node).boots_as_usual(usual);
        }
    }
    failing.into_iter().for_each(|node| simulation.fail(node));
    Ok(simulation)
}

/// Returns why nothing real is done, where that is so, and what not; it is said first and last.
fn simulated(args: &StartupArgs, drivers: &dyn Backend) -> Option<(&'static str, &'static str)> {
    match (args.flags.rehearse, drivers.is_simulated()) {
        (true, _) => Some(("a rehearsal", "asked or touched")),
        (false, true) => Some(("cluster.toml names the simulator", "touched")),
        (false, false) => None,
    }
}

/// What came of the wait for a turn.
enum Claimed {
    Held(Box<HeldClaim>),
    /// Others brought up meanwhile all that `--restore` was to bring back.
    NothingLeft,
}

/// Claims the nodes of the run, once no other acts on them. What `--restore` brings back is read again then: the runs that
/// were waited for may have brought up some of it, or stopped more.
fn claim(
    args: &StartupArgs,
    site: &Site,
    wanted: &mut WantedNodes,
    door: &Door,
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<Claimed> {
    let begun = drivers.now();
    let mut before: Option<HeldClaim> = None;
    let held = loop {
        let (claim, remark) =
            reach::claim(site, Direction::Startup, &wanted.targets.nodes, args.flags.reach());
        if let Some(remark) = remark {
            reporter.warn(remark);
        }
        let patience = args.flags.patience().after(drivers.now().saturating_sub(begun));
        let name = |node| site.name(node);
        let mut telling = Telling { reporter, log: None, timeline: None, name: &name, door: door.clone() };
        let mut held = match before.take() {
            None => claims::enter(claim, patience, drivers, &mut telling)?,
            Some(before) => before.claim_anew(claim, patience, drivers, &mut telling)?,
        };
        if !args.restore {
            break held;
        }
        if restored::is_nothing_left(site)? {
            return Ok(Claimed::NothingLeft);
        }
        let now = WantedNodes::read(args, site)?;
        if now == *wanted {
            break held;
        }
        reporter.say("what was up is recorded otherwise by now");
        now.say(site, reporter)?;
        let more = now.targets.nodes.iter().any(|node| wanted.targets.nodes.binary_search(node).is_err());
        *wanted = now;
        if !more {
            let reach = reach::claim(site, Direction::Startup, &wanted.targets.nodes, args.flags.reach());
            held.narrow(reach.0)?;
            break held;
        }
        before = Some(held);
    };
    drivers.share_limits()?;
    // Others may have acted until now, on imagined nodes too.
    drivers.reload()?;
    Ok(Claimed::Held(Box::new(held)))
}

fn carry_out(
    args: &StartupArgs,
    site: &mut Site,
    mut targets: Targets,
    (mut claim, history, door): (Option<HeldClaim>, History, Door),
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    identity::check(site, &targets.nodes, &site.addresses)?;
    reporter.show_lines();
    let begun = drivers.now();
    let readings = match ask(args, site, &targets, &door, drivers, reporter) {
        Ok(readings) => readings,
        Err(signal) => return Ok(Status::Signal(signal)),
    };
    let absence = Absence::of(site, &readings);
    site.order.leave_out(&absence.silent);
    let site = &*site;
    if let Some(remark) = absence.remark(site) {
        reporter.say(remark);
    }
    let away;
    (targets.nodes, away) = absence.part(targets.nodes);
    let conditions: Vec<_> = readings.iter().map(|reading| reading.condition()).collect();
    let own = own::find(args, site, &targets, &readings, drivers)?;
    let plan = StartPlan::new(args, site, targets, (&conditions, &absence), &own, &history)?;
    if args.dry_run {
        reporter.end_progress();
        let failures = permanent::among(
            site,
            plan.to_be_started(),
            |node| plan.task(node, conditions[node.index()]),
            drivers,
        );
        let quieted = resume::still_quieted(drivers.is_simulated())?;
        if args.flags.speech.json {
            let absent = (!away.is_empty()).then(|| fold(site, &away));
            reporter.record(&plan.record((absent, &quieted), &failures));
        } else {
            reporter.data(&plan.text());
        }
        let nobody = plan.targets.is_empty();
        if nobody {
            reporter.warn(absent::nobody(site, &away));
        } else {
            absent::line(site, &away).into_iter().for_each(|line| reporter.say(line));
        }
        resume::line(&quieted).into_iter().for_each(|line| reporter.say(line));
        permanent::lines(site, &failures).into_iter().for_each(|line| reporter.warn(line));
        let (claim, _) = reach::claim(site, Direction::Startup, &plan.targets, Reach::Targets);
        let foreseen = claims::foresee(claim, args.flags.patience());
        let refused = foreseen.map(|Foreseen { line, status, runs }| {
            reporter.warn(&line);
            if status == Status::Refused {
                unreported::end(reporter, status, &line, &runs);
            }
            status
        });
        return Ok(match refused {
            Some(status) if status != Status::Done => status,
            _ if failures.is_empty() && !nobody => Status::Done,
            _ => Status::Failed,
        });
    }
    if args.flags.extend {
        if let Some(claim) = &mut claim {
            let failed = reach::narrow(claim, site, Direction::Startup, &plan.targets);
            failed.into_iter().for_each(|line| reporter.warn(line));
        }
    }
    start(args, site, (plan, away), (begun, &readings), (claim, history, door), drivers, reporter)
}

/// Asks how all nodes stand that matter; the signal when that was interrupted.
fn ask(
    args: &StartupArgs,
    site: &Site,
    targets: &Targets,
    door: &Door,
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> Result<Vec<Reading>, i32> {
    let units = (0..site.roster.len())
        .map(|at| site.is_unit(NodeId(u32::try_from(at).unwrap_or(u32::MAX))))
        .collect();
    let mut survey =
        Survey::new(site.roster.len(), concerned(site, targets), units).not_waiting_for(&site.absent);
    // Who is to be reset is decided by what is read now, and a plan is to show how all stand.
    if !(args.dry_run || args.reset || args.reset_all) {
        let by_power = |node: &NodeId| site.profile(*node).probe.driver.by == ProbeBy::Power;
        let probed = targets.nodes.iter().copied().filter(by_power).collect();
        let mut read = site.units_of(&targets.nodes);
        read.extend(&targets.nodes);
        survey = survey.asked_again_later(&site.order, probed, read);
    }
    let name = |node| site.name(node);
    let mut telling = Telling { reporter, log: None, name: &name, timeline: None, door: door.clone() };
    let signal = drive(&mut survey, drivers.drivers(), &mut telling);
    let is_awaited = |node: &NodeId| site.absent.binary_search(node).is_err();
    let silent: Vec<NodeId> = survey.left_behind().iter().copied().filter(is_awaited).collect();
    if !silent.is_empty() {
        let silent = fold(site, &silent);
        reporter.say(format!("{silent}: no answer yet; asked again while the others go on"));
    }
    signal.map_or_else(|| Ok(survey.readings().to_vec()), Err)
}

fn start(
    args: &StartupArgs,
    site: &Site,
    (plan, away): (StartPlan, Vec<NodeId>),
    (begun, readings): (Duration, &[Reading]),
    (mut claim, mut history, door): (Option<HeldClaim>, History, Door),
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let picture = Picture::asked(&args.flags)?;
    let mut log = match args.flags.rehearse {
        true => None,
        false => Some(RunLog::begin(&site.cluster.log_dir, "cstart", &program::arguments())?),
    };
    if drivers.is_simulated() {
        if let Some(log) = &mut log {
            log.line("simulated");
        }
    }
    // csLogger, which gets this name, follows no link.
    let whole = |log: &RunLog| std::fs::canonicalize(log.path()).unwrap_or_else(|_| log.path().to_owned());
    let log_path = log.as_ref().map(whole);
    let asking = drivers.now().saturating_sub(begun);
    let reset = plan.options.reset.clone();
    let order = plan.order;
    let mut startup = Startup::new(&order, &plan.targets, readings, plan.options);
    let mut timeline = Timeline::new(TimelineKind::Start);
    let name = |node| site.name(node);
    let mut telling =
        Telling { reporter, log: log.as_mut(), name: &name, timeline: Some(&mut timeline), door };
    let signal = drive(&mut startup, drivers.drivers(), &mut telling);
    let resumed = match (&log_path, &mut claim) {
        (Some(path), Some(claim)) if signal.is_none() => {
            resume::all(site, (path, claim), drivers, &mut telling).unwrap_or_else(|error| {
                telling.warn(&format!("what subsystems quieted is not undone: {error:#}"));
                Resumed { failed: true, ..Resumed::default() }
            })
        }
        _ => Resumed::default(),
    };
    let signal = signal.or(resumed.signal);
    let quieted = if args.flags.rehearse {
        Vec::new()
    } else {
        resume::still_quieted(drivers.is_simulated()).unwrap_or_default()
    };
    let endings = startup.endings();
    let usual = |node| history.usual(site.name(node));
    let took = drivers.now().saturating_sub(begun);
    let phase = |phase, took| PhaseTime { phase, took };
    let node_name = |node| site.name(node);
    let mut summary = Summary {
        phases: vec![phase(Phase::Asking, asking), phase(Phase::Nodes, took.saturating_sub(asking))],
        stages: timeline.stages(),
        critical_path: report::critical_nodes(&site.order, &endings, &node_name),
        slower: report::slower_than_usual(&endings, &usual, &node_name),
        next: Vec::new(),
    };
    // Whoever interrupted it knows why not all is well.
    if signal.is_none() && !args.flags.rehearse {
        let (own, stuck) = (args.asked(), startup.stuck());
        let asked = Asked { flags: &args.flags, own, restarts: false, may_force: false, stuck };
        summary.next = remedies::next(site, Direction::Startup, &asked, &endings);
    }
    let closing = Closing {
        site,
        endings,
        summary,
        shortages: startup.shortages(),
        is_not_undone: resumed.failed,
        quieted,
        away,
        signal,
        simulated: drivers.is_simulated(),
        asking,
        took,
    };
    if !args.flags.rehearse {
        closing.remember(&mut history, |node| {
            readings[node.index()].condition() == Condition::Down || reset.binary_search(&node).is_ok()
        });
        if let Err(error) = history.save(|name| site.inventory.by_name(name).is_some()) {
            reporter.warn(format!("the history is not kept: {error:#}"));
        }
        if let Err(error) = WasUp::brought_up(closing.simulated, closing.up()) {
            reporter
                .warn(format!("what was brought up is not taken out of the record of what was: {error:#}"));
        }
    }
    reporter.end_progress();
    let status = closing.tell(reporter, log);
    if let Some(picture) = picture {
        picture.draw(timeline, (site, &closing.endings), &closing.last_line(status), reporter);
    }
    Ok(status)
}
