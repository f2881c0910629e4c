//! Which runs go on, and how nodes stand in them (`--status`).

use super::connection::{Connection, NoWord, PATIENCE};
use super::find;
use super::protocol::{ReadStatus, RunRecord, RunRequest, StandingRecord, StatusRecord};
use crate::claims::{RunFacts, RunFactsRecord};
use crate::connect;
use crate::elsewhere::Door;
use crate::flags::RunFlags;
use crate::run::drive;
use crate::site::Site;
use crate::telling::Telling;
use crate::watch::{self, InTheWay};
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, printable};
use orderly_plan::drivers::{NodeId, Power, Probe};
use orderly_plan::nodeset;
use orderly_plan::survey::{Condition, Reading, Survey};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How far it is told who waits for whom.
const LEVELS: usize = 4;

/// Answers `--status`.
///
/// Returns done (0) where all could be asked, runs and nodes, else failed (1); what interrupted the question.
///
/// # Errors
/// Refused (4) where runs cannot be seen; what is wrong with the targets.
pub(super) fn answer(
    words: &[String],
    flags: &RunFlags,
    read: impl FnOnce() -> anyhow::Result<Site>,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let runs = find::all()?;
    if words.is_empty() {
        return Ok(tell_runs(&runs, reporter));
    }
    let site = read()?;
    let targets = flags.typed(words.to_vec()).resolve(&site)?.nodes;
    let readings = match ask_nodes(&site, &targets, reporter)? {
        Ok(readings) => readings,
        Err(signal) => return Ok(Status::Signal(signal)),
    };
    let mut status = Status::Done;
    let mut standings: HashMap<NodeId, (&RunFacts, StandingRecord)> = HashMap::new();
    for run in &runs {
        let own: Vec<NodeId> =
            targets.iter().copied().filter(|node| find::acts_on(run, site.name(*node))).collect();
        if own.is_empty() {
            continue;
        }
        let set = nodeset::fold(own.iter().map(|&node| site.name(node)));
        match ask(run, Some(set)) {
            Ok((run_status, records)) => {
                let mut by_name: HashMap<String, StandingRecord> =
                    records.into_iter().map(|record| (record.node.clone(), record)).collect();
                for node in own {
                    let name = site.name(node);
                    let elsewhere = || StandingRecord {
                        node: name.to_owned(),
                        doing: if run_status.phase.is_empty() {
                            "not begun".into()
                        } else {
                            run_status.phase.clone()
                        },
                        ..StandingRecord::default()
                    };
                    standings.insert(node, (run, by_name.remove(name).unwrap_or_else(elsewhere)));
                }
            }
            Err(why) => {
                reporter.warn(why.of(run));
                status = Status::Failed;
            }
        }
    }
    let states: Vec<NodeState<'_>> = targets
        .iter()
        .map(|&node| NodeState {
            node: site.name(node),
            reading: readings[node.index()],
            run: standings.get(&node),
        })
        .collect();
    for state in &states {
        reporter.record(&state.record());
    }
    for line in folded(&states) {
        reporter.answer(&line);
    }
    let is_known = |state: &NodeState<'_>| state.reading.condition() != Condition::Unknown;
    Ok(if states.iter().all(is_known) { status } else { Status::Failed })
}

/// Asks the nodes how they stand; the signal where that was interrupted.
fn ask_nodes(
    site: &Site,
    targets: &[NodeId],
    reporter: &mut Reporter,
) -> anyhow::Result<Result<Vec<Reading>, i32>> {
    let mut drivers = connect::backend(&site.cluster, &site.inventory)?;
    drivers.check_programs(&site.cluster, false)?;
    if drivers.is_simulated() {
        reporter.say("simulated: cluster.toml names the simulator");
    }
    reporter.show_lines();
    let name = |node| site.name(node);
    let mut telling = Telling { reporter, log: None, name: &name, timeline: None, door: Door::default() };
    let mut ask = |nodes: Vec<NodeId>, only_power: bool| {
        let mut survey = Survey::new(site.roster.len(), nodes, vec![only_power; site.roster.len()]);
        let signal = drive(&mut survey, drivers.drivers(), &mut telling);
        signal.map_or_else(|| Ok(survey.readings().to_vec()), Err)
    };
    let asked = ask(targets.to_vec(), false).and_then(|mut readings| {
        // Of those that are up the power is not asked: nothing else depends on it.
        let up: Vec<NodeId> =
            targets.iter().copied().filter(|node| readings[node.index()].power.is_none()).collect();
        for (reading, power) in readings.iter_mut().zip(ask(up, true)?) {
            reading.power = reading.power.or(power.power);
        }
        Ok(readings)
    });
    reporter.end_progress();
    Ok(asked)
}

/// Asks a run where it stands, and these nodes in it.
fn ask(run: &RunFacts, nodes: Option<String>) -> Result<(StatusRecord, Vec<StandingRecord>), NoWord> {
    let mut connection = Connection::to(run, PATIENCE)?;
    let answered = connection.ask(&RunRequest::Status { nodes }, PATIENCE)?;
    if !answered.ok {
        return Err(NoWord::Strange(answered.text));
    }
    let (mut status, mut standings) = (StatusRecord::default(), Vec::new());
    for record in answered.records {
        match record {
            RunRecord::Status(record) => status = record,
            RunRecord::Standing(record) => standings.push(record),
            RunRecord::Hello { .. }
            | RunRecord::Line { .. }
            | RunRecord::Answer { .. }
            | RunRecord::Skipped { .. }
            | RunRecord::GoesOn { .. }
            | RunRecord::End { .. }
            | RunRecord::Other => {}
        }
    }
    Ok((status, standings))
}

/// A run, for programs.
#[derive(Debug, Serialize)]
struct RunStateRecord<'r> {
    format: &'static str,
    record: &'static str,
    #[serde(flatten)]
    run: RunFactsRecord<'r>,
    /// Null where it does not answer.
    status: Option<StatusRecord>,
}

/// Tells of all runs.
fn tell_runs(runs: &[RunFacts], reporter: &mut Reporter) -> Status {
    if runs.is_empty() {
        reporter.answer("no run of cstartup or cshutdown goes on here");
    }
    let mut all = Status::Done;
    for run in runs {
        let asked = ask(run, None).map(|(status, _)| status);
        reporter.record(&RunStateRecord {
            format: "orderly-run/1",
            record: "run",
            run: run.record(),
            status: asked.as_ref().ok().cloned(),
        });
        reporter.answer(&run.describe());
        match asked {
            Ok(status) => lines(&status).iter().for_each(|line| reporter.answer(&format!("  {line}"))),
            Err(why) => {
                reporter.warn(why.of(run));
                all = Status::Failed;
            }
        }
    }
    all
}

/// Returns where a run stands, in lines.
fn lines(record: &StatusRecord) -> Vec<String> {
    let read = ReadStatus::of(record);
    if read.status.total == 0 {
        let phase = if read.status.phase.is_empty() { "between two phases" } else { &read.status.phase };
        return vec![phase.to_owned()];
    }
    let in_the_way = InTheWay { held: read.held.clone(), waiting: read.waiting.clone() };
    watch::whole(&read.status, &in_the_way, (Duration::ZERO, read.now), &|node| read.name(node), None)
}

/// How a node stands, and what a run does with it.
struct NodeState<'s> {
    node: &'s str,
    reading: Reading,
    run: Option<&'s (&'s RunFacts, StandingRecord)>,
}

/// The same for programs.
#[derive(Debug, Serialize)]
struct NodeStateRecord<'r> {
    format: &'static str,
    record: &'static str,
    node: &'r str,
    power: Option<&'static str>,
    probe: Option<&'static str>,
    run: Option<InRunRecord<'r>>,
}

#[derive(Debug, Serialize)]
struct InRunRecord<'r> {
    pid: u32,
    program: &'r str,
    #[serde(flatten)]
    standing: &'r StandingRecord,
}

impl NodeState<'_> {
    fn record(&self) -> NodeStateRecord<'_> {
        NodeStateRecord {
            format: "orderly-run/1",
            record: "state",
            node: self.node,
            power: self.reading.power.map(|power| match power {
                Power::On => "on",
                Power::Off => "off",
                Power::Unknown => "unknown",
            }),
            probe: self.reading.probe.map(|probe| match probe {
                Probe::Up => "up",
                Probe::Down => "down",
                Probe::Unknown => "unknown",
            }),
            run: self.run.map(|(run, standing)| InRunRecord {
                pid: run.pid,
                program: &run.program,
                standing,
            }),
        }
    }

    fn clause(&self) -> String {
        let shown = self.reading.shown();
        match self.run {
            Some((run, standing)) => {
                format!("{shown}; {} of process {}: {}", run.program, run.pid, standing.clause())
            }
            None => shown,
        }
    }
}

/// Returns the lines of nodes, those of which the same is said in one.
fn folded(states: &[NodeState<'_>]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for state in states {
        let clause = state.clause();
        let nodes = alike.entry(clause.clone()).or_default();
        if nodes.is_empty() {
            order.push(clause);
        }
        nodes.push(state.node);
    }
    let line = |clause: &String| {
        let nodes = &alike[clause];
        let count = if nodes.len() == 1 { String::new() } else { format!(" ({} nodes)", nodes.len()) };
        format!("{}{count}: {clause}", nodeset::fold(nodes.iter().copied()))
    };
    order.iter().map(line).collect()
}

/// Says for which other runs a run waits.
fn held_back(status: &StatusRecord) -> impl Iterator<Item = String> + '_ {
    status.held_back.iter().map(|held| format!("  that run is {}", printable(&held.words())))
}

/// Returns what runs that act on a node do with it now, and with whom it waits for there: for `--why-not`.
pub(crate) fn in_its_run(run: &RunFacts, node: &str) -> Vec<String> {
    let asked = ask(run, Some(node.to_owned()));
    let (status, standing) = match asked {
        Ok((status, mut standings)) => (status, standings.pop()),
        Err(why) => return vec![why.of(run)],
    };
    let Some(standing) = standing else {
        let phase = if status.phase.is_empty() { "between two phases" } else { &status.phase };
        let phase = format!("{} is at another phase: {phase}", run.describe());
        return std::iter::once(phase).chain(held_back(&status)).collect();
    };
    let mut lines = vec![format!("in the run of {}: {node} is {}", run.describe(), standing.clause())];
    lines.extend(held_back(&status));
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut before = standing.waits_for;
    // Down to those that wait for nobody; in a long chain the nearest.
    for _ in 0..LEVELS {
        let Some(set) = before.take().filter(|set| !set.is_empty() && seen.insert(set.clone())) else {
            break;
        };
        let Ok((_, standings)) = ask(run, Some(set)) else { break };
        let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for one in &standings {
            alike.entry(one.clause()).or_default().push(&one.node);
        }
        lines
            .extend(alike.into_iter().map(|(clause, nodes)| format!("  {}: {clause}", nodeset::fold(nodes))));
        let further: Vec<&str> = standings.iter().filter_map(|one| one.waits_for.as_deref()).collect();
        before = (!further.is_empty()).then(|| further.join(","));
    }
    lines
}
