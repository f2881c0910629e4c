//! Other runs that a run with a deadline meets: each is told to begin nothing more, and waited for, but not for ever. It has
//! its place among all runs from the beginning, so that none that comes later acts on its nodes before it.

use crate::input::ShutdownInput;
use orderly_exec::reporter::Reporter;
use orderly_exec::{Status, fail, signals};
use orderly_nodes::backend::Backend;
use orderly_nodes::claims::{self, HeldClaim, Hindered, Obstacle, RunFacts};
use orderly_nodes::elsewhere::Door;
use orderly_nodes::reach::{self, Reach};
use orderly_nodes::site::fold;
use orderly_plan::claim::{Claim, Stage};
use orderly_plan::drivers::{Event, NodeId};
use orderly_plan::select::Direction;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it is looked whether they are over.
const GLANCE: Duration = Duration::from_millis(100);

/// A run with a deadline among others.
pub(crate) struct Meeting<'m> {
    input: &'m ShutdownInput,
    reach: Reach,
    /// From then on what a run still runs is ended, too.
    impatient: Duration,
    /// From then on nobody is waited for.
    last: Duration,
    drivers: &'m mut dyn Backend,
    reporter: &'m mut Reporter,
    door: &'m Door,
    /// How often a process was told.
    told: BTreeMap<u32, u8>,
}

impl<'m> Meeting<'m> {
    /// Others are waited for as long as half of the time until `deadline`.
    pub(crate) fn new(
        input: &'m ShutdownInput,
        reach: Reach,
        deadline: Duration,
        drivers: &'m mut dyn Backend,
        (reporter, door): (&'m mut Reporter, &'m Door),
    ) -> Self {
        let (now, left) = (drivers.now(), deadline.saturating_sub(drivers.now()));
        let told = BTreeMap::new();
        Self { input, reach, impatient: now + left / 4, last: now + left / 2, drivers, reporter, door, told }
    }

    /// Returns the claim of this run once nobody who touches it is left, and the targets that others act on who do not
    /// end: those are no targets any more.
    ///
    /// # Errors
    /// Refused (4) where others act on all of them; ended by a signal; when the state directory cannot be used.
    pub(crate) fn enter(mut self, claim: Claim) -> anyhow::Result<(HeldClaim, Vec<NodeId>)> {
        let (mut held, mut obstacles) = claims::queue(claim, self.drivers, self.reporter, self.door)?;
        let mut left_out = Vec::new();
        loop {
            let is_last = self.drivers.now() >= self.last;
            let waiting = if is_last { Vec::new() } else { self.pending(held.facts()) };
            if obstacles.is_empty() && waiting.is_empty() {
                return Ok((held, left_out));
            }
            if is_last {
                let (rest, out) = self.leave_out(&obstacles, left_out)?;
                held.narrow(rest)?;
                left_out = out;
            }
            obstacles.iter().map(|obstacle| &obstacle.run).chain(&waiting).for_each(|run| self.tell(run));
            let until = self.drivers.now() + GLANCE;
            for event in self.drivers.next(Some(until)) {
                if let Event::Signal(signal) = event {
                    return Err(fail(Status::Signal(signal), "interrupted before anything was stopped"));
                }
            }
            obstacles = held.turn(self.drivers)?;
        }
    }

    /// Returns shutdowns that wait for their time with some of the nodes.
    fn pending(&self, own: &RunFacts) -> Vec<RunFacts> {
        let meets = |run: &RunFacts| run.stage == Stage::Pending && run.claim.touch(&own.claim).is_some();
        claims::seen().into_iter().filter(meets).collect()
    }

    fn tell(&mut self, run: &RunFacts) {
        let times = self.told.entry(run.pid).or_default();
        let wanted = if self.drivers.now() >= self.impatient { 2 } else { 1 };
        if *times < wanted {
            *times += 1;
            let what = if *times == 1 { "begin nothing more" } else { "end what it runs, too" };
            if run.is_its_process() {
                self.reporter.warn(format!("{} is told to {what}, and waited for", run.describe()));
                // One that ended meanwhile need not be told.
                signals::terminate(run.pid).ok();
            } else {
                let why = "its process cannot be seen from here, and is not told to";
                self.reporter.warn(format!("{}: {why} {what}; it is waited for", run.describe()));
            }
        }
    }

    /// Returns what is claimed without the targets that these runs touch, and all of those, after some were left out.
    fn leave_out(
        &mut self,
        obstacles: &[Obstacle],
        mut left_out: Vec<NodeId>,
    ) -> anyhow::Result<(Claim, Vec<NodeId>)> {
        let site = &self.input.site;
        let (_, targets) = parted(&self.input.targets.nodes, |node| left_out.contains(&node));
        let each = reach::each(site, Direction::Shutdown, &targets, self.reach);
        let claims: BTreeMap<NodeId, Claim> = targets.iter().copied().zip(each).collect();
        let meets = |node: NodeId| {
            let touches = |obstacle: &Obstacle| obstacle.run.claim.touch(&claims[&node]).is_some();
            obstacles.iter().any(touches)
        };
        let (held, rest) = parted(&targets, meets);
        let runs: Vec<String> = obstacles.iter().map(|obstacle| obstacle.run.describe()).collect();
        let seen = obstacles.iter().map(|obstacle| &obstacle.run).filter(|run| run.is_its_process());
        let pids: Vec<String> = seen.map(|run| run.pid.to_string()).collect();
        let kill = match pids.len() == obstacles.len() {
            true => format!("kill -KILL {}", pids.join(" ")),
            false => "end those runs where they run".to_owned(),
        };
        let said = format!(
            "not stopped, as half of the time is over and other runs have not ended: {}: {}\n\
             to stop them: {kill}, then cshutdown --within with the time that is left",
            fold(site, &held),
            runs.join("; "),
        );
        if rest.is_empty() {
            let runs = obstacles.iter().map(|obstacle| obstacle.run.clone()).collect();
            return Err(Hindered::refused(said, runs));
        }
        if !held.is_empty() {
            self.reporter.warn(said);
        }
        left_out.extend(held);
        left_out.sort_unstable();
        let (claim, _) = reach::claim(site, Direction::Shutdown, &rest, self.reach);
        Ok((claim, left_out))
    }
}

/// Parts nodes by a question.
fn parted(nodes: &[NodeId], is_it: impl Fn(NodeId) -> bool) -> (Vec<NodeId>, Vec<NodeId>) {
    nodes.iter().copied().partition(|&node| is_it(node))
}
