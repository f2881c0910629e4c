//! A run as it went: what each node was at when, for a picture ([`Timeline::svg`]).
//!
//! It is told what happens while a run goes on, or afterwards by whoever reads a log; names are all it knows of nodes.
//! About 100 bytes a node and 32 for each thing that a node was at.

mod rows;
mod svg;

use crate::doing::Doing;
use crate::drivers::{RemoteCommand, Task};
use crate::notice::Happening;
use crate::outcome::{Fate, Outcome};
use crate::report::StageTime;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
pub use svg::TimelineTitle;

/// What a bar stands for, in the order of a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Its turn has come, and a limit or a pause holds it.
    Queued,
    /// It is asked how it stands.
    Probing,
    Power,
    Booting,
    Notice,
    Users,
    Subsystem,
    Halting,
    Off,
}

impl Stage {
    /// Everything there is.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Probing,
        Self::Power,
        Self::Booting,
        Self::Notice,
        Self::Users,
        Self::Subsystem,
        Self::Halting,
        Self::Off,
    ];

    /// Returns the word for it, which is its class in the picture as well.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Probing => "probing",
            Self::Power => "power",
            Self::Booting => "booting",
            Self::Notice => "notice",
            Self::Users => "users",
            Self::Subsystem => "subsystem",
            Self::Halting => "halting",
            Self::Off => "off",
        }
    }
}

/// What kind of run it is: powering off is the end of a stop, and within a start a part of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineKind {
    Start,
    Stop,
}

impl TimelineKind {
    /// Returns the stage in which something is done; nothing where nothing is to be seen.
    pub fn of_task(self, task: Task) -> Stage {
        match (task, self) {
            (Task::PowerOn | Task::Reset, _) | (Task::PowerOff, Self::Start) => Stage::Power,
            (Task::PowerOff, Self::Stop) => Stage::Off,
            (Task::ReadPower | Task::Probe | Task::Run(RemoteCommand::ReadBootId), _) => Stage::Probing,
            (Task::Run(RemoteCommand::Notify), _) => Stage::Notice,
            (Task::Run(RemoteCommand::EndUsers), _) => Stage::Users,
            (Task::Run(RemoteCommand::Halt | RemoteCommand::Restart | RemoteCommand::Maintenance), _) => {
                Stage::Halting
            }
        }
    }

    /// Returns the stage of a node that is at something; nothing while its turn has not come.
    pub fn of_doing(self, doing: Doing) -> Option<Stage> {
        Some(match (doing, self) {
            (Doing::WaitingForOthers, _) => return None,
            (Doing::WaitingForDriver | Doing::WaitingToTryAgain | Doing::WaitingForTurn, _) => Stage::Queued,
            (Doing::Asked | Doing::NotKnown | Doing::AskedBoot, _) => Stage::Probing,
            (Doing::PoweringOn | Doing::Resetting | Doing::JudgingPower, _)
            | (Doing::PoweringOff, Self::Start) => Stage::Power,
            (Doing::Booting | Doing::ComingUp, _) => Stage::Booting,
            (Doing::TellingUsers, _) => Stage::Notice,
            (Doing::EndingUsers, _) => Stage::Users,
            (Doing::BeingTold | Doing::GoingDown, _) => Stage::Halting,
            (Doing::PoweringOff | Doing::WaitingForOff, _) => Stage::Off,
        })
    }
}

/// A node was at one thing, from one time to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bar {
    stage: Stage,
    from: Duration,
    to: Duration,
}

/// How a node ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEnd {
    pub at: Duration,
    pub fate: Fate,
    /// For people: `up`, `failed: power on: controller says no`, `held by n17`.
    pub said: String,
}

/// One node, or one subsystem.
#[derive(Debug, Clone, Default)]
struct Row {
    name: String,
    bars: Vec<Bar>,
    open: Option<(Stage, Duration)>,
    end: Option<TimelineEnd>,
    is_critical: bool,
}

impl Row {
    /// Ends what it is at; what took no time is left out unless `keeps_moments`, or where there is nothing else of it.
    fn close(&mut self, at: Duration, keeps_moments: bool) {
        let Some((stage, from)) = self.open.take() else { return };
        let keeps_moments = keeps_moments || stage == Stage::Subsystem;
        match self.bars.last_mut() {
            // One thing, however often it was tried.
            Some(last) if last.stage == stage && last.to == from => last.to = at,
            Some(_) | None if at > from || keeps_moments => self.bars.push(Bar { stage, from, to: at }),
            Some(_) | None => {}
        }
    }

    /// Tells whether it is a program that was called, and no node.
    fn is_program(&self) -> bool {
        let mut stages = self.bars.iter().map(|bar| bar.stage).chain(self.open.map(|(stage, _)| stage));
        stages.next() == Some(Stage::Subsystem) && stages.all(|stage| stage == Stage::Subsystem)
    }

    fn fate(&self) -> Option<Fate> {
        self.end.as_ref().map(|end| end.fate)
    }

    /// Returns when its own turn came, if it did: what is done before to all of them at once is no part of its way.
    fn began(&self) -> Option<Duration> {
        let open = self.open.map(|(stage, from)| Bar { stage, from, to: from });
        let is_own = |bar: &Bar| !matches!(bar.stage, Stage::Notice | Stage::Users);
        self.bars.iter().copied().chain(open).find(is_own).map(|bar| bar.from)
    }

    fn ended(&self) -> Option<Duration> {
        let end = self.end.as_ref().map(|end| end.at);
        self.bars.last().map(|bar| bar.to).max(end)
    }
}

/// A run as it went.
#[derive(Debug, Clone)]
pub struct Timeline {
    kind: TimelineKind,
    rows: Vec<Row>,
    places: HashMap<String, usize>,
    keeps_moments: bool,
}

impl Timeline {
    pub fn new(kind: TimelineKind) -> Self {
        Self { kind, rows: Vec::new(), places: HashMap::new(), keeps_moments: false }
    }

    /// A run whose times are whole seconds: what began and ended within one was there all the same.
    pub fn to_the_second(kind: TimelineKind) -> Self {
        Self { keeps_moments: true, ..Self::new(kind) }
    }

    /// Takes note of what happened to a node. Times are since the run began, and never go back.
    pub fn hear(&mut self, name: &str, at: Duration, what: &Happening) {
        match what {
            Happening::Began(task) => self.enter(name, at, Some(self.kind.of_task(*task))),
            Happening::Went(doing) => self.enter(name, at, self.kind.of_doing(*doing)),
            Happening::Over(outcome) => {
                let detail = outcome.detail().map_or_else(String::new, |detail| format!(": {detail}"));
                let said = format!("{outcome}{detail}");
                self.over(name, TimelineEnd { at, fate: Fate::of(outcome), said });
            }
            Happening::WaitedFor(_)
            | Happening::Retried(..)
            | Happening::Missed(..)
            | Happening::LetGo(..) => {}
        }
    }

    /// A node is in another stage from now on; in none where nothing is to be seen.
    pub fn enter(&mut self, name: &str, at: Duration, stage: Option<Stage>) {
        let keeps_moments = self.keeps_moments;
        let row = self.row(name);
        row.close(at, keeps_moments);
        row.open = stage.map(|stage| (stage, at));
    }

    /// A node is over.
    pub fn over(&mut self, name: &str, end: TimelineEnd) {
        let keeps_moments = self.keeps_moments;
        let row = self.row(name);
        row.close(end.at, keeps_moments);
        row.end = Some(end);
    }

    /// Says of a node that it was held, and by whom: known only at the end.
    pub fn held(&mut self, name: &str, at: Duration, by: &str) {
        let said = format!("{}{by}", Outcome::HELD);
        // When the first of them failed was heard of already.
        let at = self.row(name).end.as_ref().map_or(at, |end| end.at);
        self.over(name, TimelineEnd { at, fate: Fate::Held, said });
    }

    /// Ends whatever goes on: a phase of the run is over.
    pub fn close(&mut self, at: Duration) {
        self.close_where(at, |_| true);
    }

    /// Ends whatever goes on but the notice: users were told, and have until the time comes.
    pub fn close_round(&mut self, at: Duration) {
        self.close_where(at, |stage| stage != Stage::Notice);
    }

    fn close_where(&mut self, at: Duration, ends: impl Fn(Stage) -> bool) {
        let keeps_moments = self.keeps_moments;
        let open = self.rows.iter_mut().filter(|row| row.open.is_some_and(|(stage, _)| ends(stage)));
        open.for_each(|row| row.close(at, keeps_moments));
    }

    /// Marks those on the critical path.
    pub fn mark_critical<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for name in names {
            if let Some(&at) = self.places.get(name) {
                self.rows[at].is_critical = true;
            }
        }
    }

    /// Tells whether there is nothing to be seen.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns how long nodes were in each stage, in the order of a legend.
    pub fn stages(&self) -> Vec<StageTime> {
        let mut times: BTreeMap<Stage, Vec<Duration>> = BTreeMap::new();
        for row in &self.rows {
            let mut own: BTreeMap<Stage, Duration> = BTreeMap::new();
            row.bars.iter().for_each(|bar| *own.entry(bar.stage).or_default() += bar.to - bar.from);
            own.into_iter().for_each(|(stage, time)| times.entry(stage).or_default().push(time));
        }
        let time = |(stage, mut times): (Stage, Vec<Duration>)| {
            times.sort_unstable();
            let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
            StageTime { stage: stage.word(), nodes: times.len(), middle, most }
        };
        times.into_iter().map(time).collect()
    }

    fn row(&mut self, name: &str) -> &mut Row {
        let at = match self.places.get(name) {
            Some(&at) => at,
            None => {
                self.places.insert(name.to_owned(), self.rows.len());
                self.rows.push(Row { name: name.to_owned(), ..Row::default() });
                self.rows.len() - 1
            }
        };
        &mut self.rows[at]
    }
}

#[cfg(test)]
mod tests;
