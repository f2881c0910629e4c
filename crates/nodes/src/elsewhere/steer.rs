//! Having a run stop waiting for nodes (`--give-up`), or wait longer (`--more-time`).

use super::connection::{Connection, PATIENCE};
use super::find;
use super::flags::MoreTime;
use super::protocol::{RunRecord, RunRequest, Sent};
use crate::claims::RunFacts;
use orderly_exec::lock::who;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail};
use orderly_plan::nodeset;

/// Answers `--give-up`.
///
/// Returns done (0) where all of it is done, failed (1) where a run no longer waits for some of the nodes.
///
/// # Errors
/// Refused (4) where no run acts on them; usage (2) for what is no node set.
pub(super) fn give_up(sets: &[String], reporter: &mut Reporter) -> anyhow::Result<Status> {
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    steer("--give-up", &sets, &|nodes| RunRequest::GiveUp { nodes, by: who() }, reporter)
}

/// Answers `--more-time`, likewise.
///
/// # Errors
/// As [`give_up`].
pub(super) fn more_time(all: &[MoreTime], reporter: &mut Reporter) -> anyhow::Result<Status> {
    let mut status = Status::Done;
    for MoreTime { nodes, longer } in all {
        let seconds = longer.map(|longer| longer.as_secs_f64());
        let request = |nodes| RunRequest::MoreTime { nodes, seconds, by: who() };
        status = status.max(steer("--more-time", &[nodes], &request, reporter)?);
    }
    Ok(status)
}

/// Asks the runs that act on these nodes, each for its own.
fn steer(
    flag: &str,
    sets: &[&str],
    request: &dyn Fn(String) -> RunRequest,
    reporter: &mut Reporter,
) -> anyhow::Result<Status> {
    let mut names = Vec::new();
    for set in sets {
        names.extend(find::names(flag, set)?);
    }
    let runs = find::all()?;
    if runs.is_empty() {
        return Err(find::none(flag));
    }
    let is_acted_on = |name: &&String| runs.iter().any(|run| find::acts_on(run, name));
    let strange = nodeset::fold(names.iter().filter(|name| !is_acted_on(name)).map(String::as_str));
    if !strange.is_empty() || names.is_empty() {
        let list = find::list(&runs);
        return Err(fail(Status::Refused, format!("{flag}: no run acts on {strange}\n{list}")));
    }
    let mut status = Status::Done;
    for run in &runs {
        let own = nodeset::fold(names.iter().filter(|name| find::acts_on(run, name)).map(String::as_str));
        if !own.is_empty() {
            status = status.max(ask(run, &request(own), reporter));
        }
    }
    Ok(status)
}

/// Asks one run, and says what came of it.
fn ask(run: &RunFacts, request: &RunRequest, reporter: &mut Reporter) -> Status {
    let answered = Connection::to(run, PATIENCE).and_then(|mut run| run.ask(request, PATIENCE));
    match answered {
        Ok(answered) => {
            answered.text.lines().for_each(|line| reporter.answer(line));
            reporter.record(&Sent::new(RunRecord::Answer { ok: answered.ok, text: answered.text }));
            if answered.ok { Status::Done } else { Status::Failed }
        }
        Err(why) => {
            reporter.warn(why.of(run));
            Status::Failed
        }
    }
}
