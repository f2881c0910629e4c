//! How a run gets its turn: at once, after those that it touches, or not at all.

use super::facts::{directory, path};
use super::{Desk, HeldClaim, Hindered, Obstacle, RunFacts, seen, socket_path};
use crate::backend::Backend;
use crate::elsewhere::Door;
use crate::telling::Telling;
use orderly_exec::reporter::Reporter;
use orderly_exec::visitors::Visitors;
use orderly_exec::{Status, fail};
use orderly_plan::claim::{Claim, Stage};
use orderly_plan::drivers::Event;
use orderly_plan::duration;
use std::time::Duration;

/// How often it is looked whether those that are waited for are over.
const GLANCE: Duration = Duration::from_millis(200);

/// How long other runs are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    UpTo(Duration),
    Endless,
}

impl Patience {
    /// Returns what `--wait` says, where it is given with a duration or without.
    pub fn of(flag: Option<Option<Duration>>) -> Self {
        match flag {
            None => Self::None,
            Some(Some(limit)) => Self::UpTo(limit),
            Some(None) => Self::Endless,
        }
    }

    /// Returns what is left of it after some time.
    pub fn after(self, passed: Duration) -> Self {
        match self {
            Self::UpTo(limit) => Self::UpTo(limit.saturating_sub(passed)),
            Self::None | Self::Endless => self,
        }
    }
}

/// Returns the claim of this run once it may act. The claim of the program whose place this one took is its own.
///
/// # Errors
/// Refused (4) where it touches others and may not wait, or not for so long; ended by a signal.
pub fn enter(
    claim: Claim,
    patience: Patience,
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<HeldClaim> {
    let (held, obstacles) = place(claim, patience != Patience::None)?;
    open(held.facts(), drivers, telling.reporter, &telling.door);
    wait(held, obstacles, patience, drivers, telling)
}

/// Returns a place among all runs, and who is in the way; where nobody is, the run acts from here on. Runs that come later
/// and touch it come after it.
///
/// # Errors
/// When the state directory cannot be used.
pub fn queue(
    claim: Claim,
    drivers: &mut dyn Backend,
    reporter: &mut Reporter,
    door: &Door,
) -> anyhow::Result<(HeldClaim, Vec<Obstacle>)> {
    let (held, obstacles) = place(claim, true)?;
    open(held.facts(), drivers, reporter, door);
    Ok((held, obstacles))
}

fn place(claim: Claim, may_wait: bool) -> anyhow::Result<(HeldClaim, Vec<Obstacle>)> {
    let mut desk = Desk::open()?;
    let mut facts = RunFacts::own(desk.last + 1, Stage::Acting, claim);
    let passed = desk.passed.take().map(|(passed, lock)| {
        facts.number = passed.number;
        lock
    });
    let obstacles = desk.obstacles(&facts);
    if !obstacles.is_empty() {
        if !may_wait {
            return Err(refused(&obstacles));
        }
        facts.stage = Stage::Waiting;
    }
    let held = match passed {
        Some(lock) => {
            facts.write(&desk.directory)?;
            HeldClaim { facts, lock, watched: None }
        }
        None => desk.enter(facts)?,
    };
    Ok((held, obstacles))
}

/// Opens the door of the run with this claim. Where there can be none the run goes on without, which is said.
fn open(facts: &RunFacts, drivers: &mut dyn Backend, reporter: &mut Reporter, door: &Door) {
    let listened = Visitors::listen(&socket_path(facts.number), &facts.greeting());
    match listened.and_then(|visitors| drivers.let_in(&visitors, door).map(|()| visitors)) {
        Ok(visitors) => {
            reporter.let_in(visitors.clone());
            door.open(visitors, &path(&directory(), facts.number));
        }
        Err(error) => reporter.warn(format!("nobody can look at this run from elsewhere: {error:#}")),
    }
}

impl HeldClaim {
    /// Gives the nodes free until the time of a shutdown has come.
    ///
    /// # Errors
    /// Refused (4) where another shutdown waits for its time with some of them.
    pub fn defer(&mut self) -> anyhow::Result<()> {
        let desk = Desk::open()?;
        let facts = RunFacts { stage: Stage::Pending, ..self.facts.clone() };
        if let Some(other) = desk.obstacles(&facts).first() {
            let (who, pid) = (other.run.describe(), other.run.pid);
            let taken = "another shutdown waits for its time with some of these nodes";
            let said = format!("{taken}: {who}; cshutdown --cancel {pid} cancels that one");
            return Err(Hindered::refused(said, vec![other.run.clone()]));
        }
        desk.forget_killed();
        facts.write(&desk.directory)?;
        self.facts = facts;
        Ok(())
    }

    /// Claims the nodes again, behind all who wait for them by now.
    ///
    /// # Errors
    /// As [`enter`].
    pub fn take_up(
        self,
        patience: Patience,
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> anyhow::Result<Self> {
        let claim = self.facts.claim.clone();
        self.claim_anew(claim, patience, drivers, telling)
    }

    /// Claims this instead, behind all who wait for any of it by now. Whoever watches the run goes on watching it.
    ///
    /// # Errors
    /// As [`enter`].
    pub fn claim_anew(
        self,
        claim: Claim,
        patience: Patience,
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> anyhow::Result<Self> {
        let desk = Desk::open()?;
        // Whoever cancelled it did so while nobody else had the desk.
        interrupted(&self.facts, drivers)?;
        let mut facts = RunFacts { number: desk.last + 1, stage: Stage::Acting, claim, ..self.facts.clone() };
        let mut obstacles = desk.obstacles(&facts);
        obstacles.retain(|obstacle| obstacle.run.number != self.facts.number);
        if !obstacles.is_empty() {
            if patience == Patience::None {
                return Err(refused(&obstacles));
            }
            facts.stage = Stage::Waiting;
        }
        let held = desk.enter(facts)?;
        let facts = held.facts();
        let (socket, claim) = (socket_path(facts.number), path(&desk.directory, facts.number));
        telling.door.move_to(&socket, &claim, &facts.greeting());
        drop(desk);
        drop(self);
        wait(held, obstacles, patience, drivers, telling)
    }
}

/// Waits for those that are in the way.
fn wait(
    mut held: HeldClaim,
    mut obstacles: Vec<Obstacle>,
    patience: Patience,
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<HeldClaim> {
    let Some(first) = obstacles.first() else { return Ok(held) };
    held.watch(first);
    telling.door.at("waiting for other runs");
    telling.say(&format!("waiting for the end of {}", list(&obstacles)));
    let until = match patience {
        Patience::UpTo(limit) => Some(drivers.now() + limit),
        Patience::None | Patience::Endless => None,
    };
    let was_live = telling.reporter.is_live();
    if !was_live {
        telling.reporter.show_progress();
    }
    let waited = loop {
        telling.reporter.progress(format!("waiting for the end of {}", list(&obstacles)));
        let soon = drivers.now() + GLANCE;
        if let Err(error) =
            listen(until.map_or(soon, |until| until.min(soon)), (held.facts(), &obstacles), drivers, telling)
        {
            break Err(error);
        }
        if !held.is_held_as_before() {
            match held.turn(drivers) {
                Ok(left) if left.is_empty() => break Ok(()),
                Ok(left) => obstacles = left,
                Err(error) => break Err(error),
            }
        }
        if until.is_some_and(|until| drivers.now() >= until) {
            break Err(refused(&obstacles));
        }
    };
    if !was_live {
        telling.reporter.end_progress();
    }
    waited.map(|()| held)
}

impl HeldClaim {
    /// Returns who is in the way by now; where nobody is, this run acts from here on.
    ///
    /// # Errors
    /// Ended by a signal; when the state directory cannot be used.
    pub fn turn(&mut self, drivers: &mut dyn Backend) -> anyhow::Result<Vec<Obstacle>> {
        let desk = Desk::open()?;
        let obstacles = desk.obstacles(&self.facts);
        if let Some(first) = obstacles.first() {
            self.watch(first);
            return Ok(obstacles);
        }
        interrupted(&self.facts, drivers)?;
        self.facts.stage = Stage::Acting;
        self.facts.write(&desk.directory)?;
        Ok(obstacles)
    }
}

/// Listens until then to whoever interrupts or asks.
fn listen(
    until: Duration,
    (own, obstacles): (&RunFacts, &[Obstacle]),
    drivers: &mut dyn Backend,
    telling: &mut Telling<'_>,
) -> anyhow::Result<()> {
    for event in drivers.next(Some(until)) {
        match event {
            Event::Signal(signal) => return Err(nothing_done(signal, own)),
            Event::Attention => telling.reporter.show(format!("waiting for the end of {}", list(obstacles))),
            Event::Power(..) | Event::Probe(..) | Event::BootId(..) | Event::Ended(..) | Event::Asked => {}
        }
    }
    Ok(())
}

/// Fails where a signal has come by now.
fn interrupted(own: &RunFacts, drivers: &mut dyn Backend) -> anyhow::Result<()> {
    let now = drivers.now();
    let signal = |event| if let Event::Signal(signal) = event { Some(signal) } else { None };
    drivers
        .next(Some(now))
        .into_iter()
        .find_map(signal)
        .map_or(Ok(()), |signal| Err(nothing_done(signal, own)))
}

fn nothing_done(signal: i32, own: &RunFacts) -> anyhow::Error {
    // A run on battery sends a TERM to all that it touches.
    let first = seen().into_iter().find(|run| run.goes_first() && run.claim.touch(&own.claim).is_some());
    let why = match first {
        Some(run) => format!("ended by a shutdown on battery, {}", run.describe()),
        None => "interrupted before its turn came".to_owned(),
    };
    fail(Status::Signal(signal), format!("{why}: nothing was done"))
}

fn list(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(Obstacle::describe).collect::<Vec<_>>().join("; ")
}

fn refused(obstacles: &[Obstacle]) -> anyhow::Error {
    let lines: Vec<String> = obstacles.iter().map(Obstacle::describe).collect();
    let said = format!("{}\nhint: --wait waits for the end of those that are in the way", lines.join("\n"));
    Hindered::refused(said, obstacles.iter().map(|obstacle| obstacle.run.clone()).collect())
}

/// What would come of a claim now.
#[derive(Debug)]
pub struct Foreseen {
    pub line: String,
    /// Refused, or done where the others would be waited for.
    pub status: Status,
    /// Those in the way.
    pub runs: Vec<RunFacts>,
}

/// Returns what would come of a claim now, for who only looks; nothing where nobody is in the way.
pub fn foresee(claim: Claim, patience: Patience) -> Option<Foreseen> {
    let own = RunFacts::own(u64::MAX, Stage::Acting, claim);
    let held = |run: RunFacts| own.queued().is_held_by(&run.queued()).map(|touch| Obstacle { run, touch });
    let obstacles: Vec<Obstacle> = seen().into_iter().filter_map(held).collect();
    if obstacles.is_empty() {
        return None;
    }
    let list = list(&obstacles);
    let (line, status) = match patience {
        Patience::None => {
            (format!("now this would be refused ({}): {list}", Status::Refused.code()), Status::Refused)
        }
        Patience::UpTo(limit) => (
            format!("now this would wait up to {} for the end of {list}", duration::show(limit)),
            Status::Done,
        ),
        Patience::Endless => (format!("now this would wait for the end of {list}"), Status::Done),
    };
    Some(Foreseen { line, status, runs: obstacles.into_iter().map(|obstacle| obstacle.run).collect() })
}
