//! Cancelling shutdowns that have not begun: that wait for their time, or for other runs.
//!
//! Who cancels holds the desk of all runs meanwhile, so that none begins to act in between.

use crate::beacon::TurnedBeacon;
use orderly_exec::{Status, fail};
use orderly_nodes::claims::{self, Desk, RunFacts};
use orderly_plan::claim::Stage;
use orderly_plan::nodeset;
use std::time::{Duration, Instant};

/// How long a cancelled shutdown may take to let go: it waits for users who are just being told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const GLANCE: Duration = Duration::from_millis(20);

/// All that wait.
const ALL: &str = "ALL";

const NONE: &str = "no shutdown waits for its time here; nothing is cancelled";

const KILLED: &str = "the shutdown that waited here was killed; its users were told of it and not that nothing comes of \
    it, and where it held off logins they still are: remove /run/nologin on its targets";

/// Cancels the shutdown that waits on this machine, or those that are named, and waits until they have given up. One with a
/// deadline comes first where none is named: power that is back turns it round, whatever else waits.
///
/// # Errors
/// Refused (4) when none waits, or several and none is named; failed (1) when one does not give up.
pub(crate) fn cancel(which: &[String]) -> anyhow::Result<Status> {
    let which: Vec<Wanted> = which.iter().map(|word| Wanted::read(word)).collect::<Result<_, _>>()?;
    let turned = TurnedBeacon::living()?;
    let chosen = Chosen::interrupted(&which, turned.as_ref())?;
    if let Some(beacon) = turned.filter(|_| chosen.is_turned) {
        beacon.cancel()?;
    }
    if chosen.runs.is_empty() {
        return Ok(Status::Done);
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let desk = Desk::open()?;
        let left = chosen.runs.iter().find(|one| desk.runs().iter().any(|run| run.number == one.number));
        let Some(left) = left else { return Ok(Status::Done) };
        if Instant::now() > until {
            let pid = left.pid;
            return Err(fail(Status::Failed, format!("process {pid} was interrupted and still waits")));
        }
        drop(desk);
        std::thread::sleep(GLANCE);
    }
}

/// A word by which runs are named.
struct Wanted {
    word: String,
    /// The nodes that it means, where it is no number of a process and not ALL.
    names: Vec<String>,
}

impl Wanted {
    fn read(word: &str) -> anyhow::Result<Self> {
        let names = match word {
            ALL => Vec::new(),
            _ => nodeset::expand(word)
                .map_err(|fault| fail(Status::Usage, format!("--cancel {word}: {fault}")))?,
        };
        Ok(Self { word: word.to_owned(), names })
    }

    /// Tells whether it means the one with a deadline, where it means these others. By its nodes it does not mean one that
    /// can no longer be turned round, if another has them.
    fn is_of(&self, beacon: &TurnedBeacon, others: &[RunFacts]) -> bool {
        self.word == ALL
            || self.word == beacon.process().to_string()
            || (beacon.has(&self.names) && (others.is_empty() || !beacon.is_halting()))
    }

    /// Returns the runs that it names: by their process, or by nodes that they are to stop.
    fn runs(&self, waiting: &[&RunFacts]) -> Vec<RunFacts> {
        let of = |is_it: &dyn Fn(&RunFacts) -> bool| -> Vec<RunFacts> {
            waiting.iter().filter(|run| is_it(run)).map(|run| (*run).clone()).collect()
        };
        if self.word == ALL {
            return of(&|_| true);
        }
        let by_process = of(&|run| run.pid.to_string() == self.word);
        if !by_process.is_empty() {
            return by_process;
        }
        of(&|run| self.names.iter().any(|name| run.claim.targets.contains(name)))
    }
}

/// The shutdowns that are meant.
#[derive(Default)]
struct Chosen {
    /// Those that wait, without one that has a deadline.
    runs: Vec<RunFacts>,
    /// The one with a deadline is meant.
    is_turned: bool,
}

impl Chosen {
    /// Interrupts those that wait and are meant.
    fn interrupted(which: &[Wanted], beacon: Option<&TurnedBeacon>) -> anyhow::Result<Self> {
        if which.is_empty() && beacon.is_some() {
            return Ok(Self { is_turned: true, ..Self::default() });
        }
        // The state directory may be another user's: nothing is made in it where nothing ever ran.
        if beacon.is_none() && !claims::were_any() {
            return Err(fail(Status::Refused, NONE));
        }
        let desk = Desk::open()?;
        let is_turned = |run: &RunFacts| beacon.is_some_and(|beacon| beacon.process() == run.pid);
        let waits =
            |run: &&RunFacts| run.program == "cshutdown" && run.stage != Stage::Acting && !is_turned(run);
        let waiting: Vec<&RunFacts> = desk.runs().iter().filter(waits).collect();
        if waiting.is_empty() && beacon.is_none() {
            return Err(fail(Status::Refused, if desk.killed().is_empty() { NONE } else { KILLED }));
        }
        let chosen = Self::of(which, &waiting, beacon)?;
        chosen.runs.iter().try_for_each(|run| desk.cancel(run))?;
        Ok(chosen)
    }

    fn of(which: &[Wanted], waiting: &[&RunFacts], beacon: Option<&TurnedBeacon>) -> anyhow::Result<Self> {
        let list = waiting.iter().map(|run| run.describe()).chain(beacon.map(TurnedBeacon::describe));
        let list = list.collect::<Vec<String>>().join("\n");
        if which.is_empty() {
            let [one] = *waiting else {
                let several = "several shutdowns wait here; say whose targets or which process: cshutdown --cancel PROCESS";
                return Err(fail(Status::Refused, format!("{several}\n{list}")));
            };
            return Ok(Self { runs: vec![one.clone()], ..Self::default() });
        }
        let mut chosen = Self::default();
        for word in which {
            let meant = word.runs(waiting);
            let is_turned = beacon.is_some_and(|beacon| word.is_of(beacon, &meant));
            if meant.is_empty() && !is_turned {
                let word = &word.word;
                let none = format!(
                    "no shutdown that waits here is process {word} or has such targets; nothing is cancelled"
                );
                return Err(fail(Status::Refused, format!("{none}\n{list}")));
            }
            chosen.is_turned |= is_turned;
            chosen.runs.extend(meant);
        }
        chosen.runs.sort_by_key(|run| run.number);
        chosen.runs.dedup_by_key(|run| run.number);
        Ok(chosen)
    }
}
