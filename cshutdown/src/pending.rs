//! Cancelling shutdowns that have not begun: that wait for their time, or for other runs.
//!
//! Who cancels holds the desk of all runs meanwhile, so that none begins to act in between.

use crate::beacon;
use orderly_exec::{Status, fail};
use orderly_nodes::claims::{Desk, RunFacts};
use orderly_plan::claim::Stage;
use orderly_plan::nodeset;
use std::time::{Duration, Instant};

/// How long a cancelled shutdown may take to let go: it waits for users who are just being told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const GLANCE: Duration = Duration::from_millis(20);

const NONE: &str = "no shutdown waits for its time here; nothing is cancelled";

const KILLED: &str = "the shutdown that waited here was killed; its users were told of it and not that nothing comes of \
    it, and where it held off logins they still are: remove /run/nologin on its targets";

/// Cancels the shutdown that waits on this machine, or those that are named, and waits until they have given up.
///
/// # Errors
/// Refused (4) when none waits, or several and none is named; failed (1) when one does not give up.
pub(crate) fn cancel(which: &[String]) -> anyhow::Result<Status> {
    if let Some(status) = beacon::cancel()? {
        return Ok(status);
    }
    let desk = Desk::open()?;
    let chosen = chosen(&desk, which)?;
    for run in &chosen {
        desk.cancel(run)?;
    }
    drop(desk);
    let until = Instant::now() + PATIENCE;
    loop {
        let desk = Desk::open()?;
        let left = chosen.iter().find(|one| desk.runs().iter().any(|run| run.number == one.number));
        let Some(left) = left else { return Ok(Status::Done) };
        if Instant::now() > until {
            let pid = left.pid;
            return Err(fail(Status::Failed, format!("process {pid} was interrupted and still waits")));
        }
        drop(desk);
        std::thread::sleep(GLANCE);
    }
}

/// Returns the shutdowns that are meant.
fn chosen(desk: &Desk, which: &[String]) -> anyhow::Result<Vec<RunFacts>> {
    let waits = |run: &&RunFacts| run.program == "cshutdown" && run.stage != Stage::Acting;
    let waiting: Vec<&RunFacts> = desk.runs().iter().filter(waits).collect();
    if waiting.is_empty() {
        return Err(fail(Status::Refused, if desk.killed().is_empty() { NONE } else { KILLED }));
    }
    let list: Vec<String> = waiting.iter().map(|run| run.describe()).collect();
    if which.is_empty() {
        let [one] = waiting[..] else {
            let several =
                "several shutdowns wait here; say whose targets or which process: cshutdown --cancel PROCESS";
            return Err(fail(Status::Refused, format!("{several}\n{}", list.join("\n"))));
        };
        return Ok(vec![one.clone()]);
    }
    let mut chosen: Vec<RunFacts> = Vec::new();
    for word in which {
        let meant = named(&waiting, word)?;
        if meant.is_empty() {
            let none = format!(
                "no shutdown that waits here is process {word} or has such targets; nothing is cancelled"
            );
            return Err(fail(Status::Refused, format!("{none}\n{}", list.join("\n"))));
        }
        chosen.extend(meant);
    }
    chosen.sort_by_key(|run| run.number);
    chosen.dedup_by_key(|run| run.number);
    Ok(chosen)
}

/// Returns the runs that a word names: by its process, or by nodes that it is to stop.
fn named(waiting: &[&RunFacts], word: &str) -> anyhow::Result<Vec<RunFacts>> {
    let of = |is_it: &dyn Fn(&RunFacts) -> bool| -> Vec<RunFacts> {
        waiting.iter().filter(|run| is_it(run)).map(|run| (*run).clone()).collect()
    };
    if word == "ALL" {
        return Ok(of(&|_| true));
    }
    let by_process = of(&|run| run.pid.to_string() == word);
    if !by_process.is_empty() {
        return Ok(by_process);
    }
    let names =
        nodeset::expand(word).map_err(|fault| fail(Status::Usage, format!("--cancel {word}: {fault}")))?;
    Ok(of(&|run| names.iter().any(|name| run.claim.targets.contains(name))))
}
