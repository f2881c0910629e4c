//! Special subsystems: programs told of a shutdown before any node is halted, in the order that
//! `subsysSeq` states, on one node of each partition.

use crate::battery::UntilItsEnd;
use crate::prompt::{PromptAnswer, prompt};
use orderly_exec::job::Ended;
use orderly_nodes::backend::Backend;
use orderly_nodes::command::{CommandId, RunsOn, SideCommand};
use orderly_nodes::quieted::Quieted;
use orderly_nodes::subsystem::argv;
use orderly_nodes::telling::Telling;
use orderly_plan::drivers::{Event, Failure, FailureKind, NodeId};
use orderly_plan::graph::Order;
use orderly_plan::name::Names;
use orderly_plan::progress::Progress;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How often it is looked for a signal while a person is asked.
const GLANCE: Duration = Duration::from_millis(100);

/// Where a partition's subsystems are called, and for which of its nodes.
#[derive(Debug, Clone)]
pub(crate) struct SubsystemPlace {
    pub host: RunsOn,
    /// What people call the host.
    pub name: String,
    /// The targets of the partition, as subsystems are given them.
    pub operands: Vec<String>,
    /// The names of the same.
    pub quieted: Vec<String>,
}

/// The subsystems of a run.
#[derive(Debug)]
pub(crate) struct Subsystems<'a> {
    pub names: &'a Names,
    pub order: &'a Order,
    pub places: Vec<SubsystemPlace>,
    /// `-h`, `-r` or `-m`.
    pub flag: &'static str,
    pub control: String,
    pub log: &'a Path,
    pub timeout: Duration,
    /// A failure stops nothing (`-Y`, `--within`).
    pub go_on: bool,
    /// Which of them it was.
    pub go_on_flag: &'static str,
    /// By subsystem, what undoes it: such ones are remembered. Nothing in a rehearsal.
    pub pairs: Option<&'a BTreeMap<String, String>>,
    pub simulated: bool,
}

/// How the phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// All were called and succeeded.
    All,
    /// Some failed, and it was said to go on.
    Partly,
    /// Some failed; no node is to be halted.
    Stopped,
    /// A signal came.
    Interrupted(i32),
    /// A second one came, and ended what ran: how far that got is not known.
    Torn(i32),
}

impl Subsystems<'_> {
    /// Calls all of them; returns when none runs any more.
    ///
    /// What each took is added to `took`. On battery what is not over at the end of its time is ended.
    pub(crate) fn call(
        &self,
        drivers: &mut dyn Backend,
        until: UntilItsEnd<'_, '_>,
        took: &mut Vec<(NodeId, Duration)>,
        telling: &mut Telling<'_>,
    ) -> Quiet {
        let all: Vec<NodeId> = (0..u32::try_from(self.names.len()).unwrap_or(u32::MAX)).map(NodeId).collect();
        let mut round = SubsystemRound {
            subsystems: self,
            progress: Progress::new(self.order, &all, Vec::new()),
            running: BTreeMap::new(),
            left: vec![self.places.len(); all.len()],
            failed: Vec::new(),
            signal: None,
            torn: false,
            until,
            took,
        };
        let mut partly = false;
        loop {
            round.begin(drivers, telling);
            if round.running.is_empty() {
                if let Some(signal) = round.signal {
                    return if round.torn { Quiet::Torn(signal) } else { Quiet::Interrupted(signal) };
                }
                if round.failed.is_empty() {
                    return if partly { Quiet::Partly } else { Quiet::All };
                }
                match self.goes_on(&round.failed, drivers, telling) {
                    PromptAnswer::Continue => {}
                    PromptAnswer::Quit => return Quiet::Stopped,
                    PromptAnswer::Signal(signal) => return Quiet::Interrupted(signal),
                }
                partly = true;
                for failed in std::mem::take(&mut round.failed) {
                    round.progress.complete(failed);
                }
                continue;
            }
            round.listen(drivers, telling);
        }
    }

    fn goes_on(
        &self,
        failed: &[NodeId],
        drivers: &mut dyn Backend,
        telling: &mut Telling<'_>,
    ) -> PromptAnswer {
        let names: Vec<&str> = failed.iter().map(|one| self.names.get(one.0)).collect();
        let names = names.join(", ");
        if self.go_on {
            telling.warn(&format!("going on without {names}, as {} says", self.go_on_flag));
            return PromptAnswer::Continue;
        }
        let mut signal = || {
            let until = drivers.now() + GLANCE;
            let number = |event| if let Event::Signal(number) = event { Some(number) } else { None };
            drivers.next(Some(until)).into_iter().find_map(number)
        };
        let answer = prompt(&format!("{names} failed"), &mut signal);
        match answer {
            Some(PromptAnswer::Continue) => {
                telling.warn(&format!("going on without {names}, as was answered"));
            }
            Some(PromptAnswer::Signal(_)) => telling.warn("interrupted at the question: no node is stopped"),
            Some(PromptAnswer::Quit) | None => {}
        }
        answer.unwrap_or(PromptAnswer::Quit)
    }

    /// Remembers what is quieted from here on, where a program undoes it.
    fn remember(&self, subsystem: NodeId) -> anyhow::Result<()> {
        let name = self.names.get(subsystem.0);
        let Some(up) = self.pairs.and_then(|pairs| pairs.get(name)) else { return Ok(()) };
        let nodes = self.places.iter().flat_map(|place| place.quieted.iter().cloned());
        Quieted::change(self.simulated, |quieted| quieted.add(name, up, nodes))
    }

    fn command(&self, subsystem: NodeId, place: &SubsystemPlace) -> SideCommand {
        SideCommand {
            on: place.host,
            argv: argv(self.names.get(subsystem.0), self.flag, &self.control, self.log, &place.operands),
            stdin: Vec::new(),
            timeout: self.timeout,
        }
    }
}

struct SubsystemRound<'r, 'u, 'b> {
    subsystems: &'r Subsystems<'r>,
    until: UntilItsEnd<'u, 'b>,
    took: &'r mut Vec<(NodeId, Duration)>,
    progress: Progress<'r>,
    running: BTreeMap<CommandId, (NodeId, usize)>,
    /// By subsystem, how many places it has not succeeded at yet.
    left: Vec<usize>,
    failed: Vec<NodeId>,
    /// The first that came.
    signal: Option<i32>,
    /// A call was ended before it was over.
    torn: bool,
}

impl SubsystemRound<'_, '_, '_> {
    /// Begins what may begin; nothing more once one failed, so that whoever is asked sees the end.
    fn begin(&mut self, drivers: &mut dyn Backend, telling: &mut Telling<'_>) {
        while self.failed.is_empty() && self.signal.is_none() {
            let Some(subsystem) = self.progress.take() else { break };
            if self.end_in_time(drivers, telling) {
                let name = self.subsystems.names.get(subsystem.0);
                telling.warn(&format!("subsystem {name} is not called: its time is over"));
                self.failed.push(subsystem);
                continue;
            }
            if let Err(error) = self.subsystems.remember(subsystem) {
                let name = self.subsystems.names.get(subsystem.0);
                if !self.subsystems.go_on {
                    telling.warn(&format!(
                        "subsystem {name} is not called, as nothing would undo it: {error:#}"
                    ));
                    self.failed.push(subsystem);
                    continue;
                }
                telling.warn(&format!(
                    "going on as {} says: subsystem {name} is called, and no start will undo it: {error:#}",
                    self.subsystems.go_on_flag
                ));
            }
            for (at, place) in self.subsystems.places.iter().enumerate() {
                let command = self.subsystems.command(subsystem, place);
                telling.say(&format!(
                    "subsystem {} on {}",
                    self.subsystems.names.get(subsystem.0),
                    place.name
                ));
                telling.subsystem_called(self.subsystems.names.get(subsystem.0), &place.name, drivers.now());
                self.running.insert(drivers.start(&command), (subsystem, at));
            }
            if self.subsystems.places.is_empty() {
                self.progress.complete(subsystem);
            }
        }
    }

    /// Ends what runs once the time is over; tells whether it is.
    fn end_in_time(&mut self, drivers: &mut dyn Backend, telling: &mut Telling<'_>) -> bool {
        if self.until.is_now_over(drivers.now(), telling) && !self.running.is_empty() {
            telling.warn(
                "the time of the subsystems is over: what still runs is ended, and the shutdown goes on",
            );
            drivers.end_all();
        }
        self.until.is_over
    }

    fn listen(&mut self, drivers: &mut dyn Backend, telling: &mut Telling<'_>) {
        telling.door.at("calling subsystems");
        self.end_in_time(drivers, telling);
        for event in drivers.next(self.until.next_look()) {
            match event {
                Event::Signal(signal) => {
                    if self.signal.is_some() {
                        telling.warn("interrupted again: ending what runs");
                        drivers.end_all();
                    } else {
                        self.signal = Some(signal);
                        telling
                            .warn("interrupted: the subsystems that run are waited for (again to end them)");
                    }
                }
                Event::Attention => {
                    for (subsystem, at) in self.running.values() {
                        let place = &self.subsystems.places[*at].name;
                        let name = self.subsystems.names.get(subsystem.0);
                        telling.warn(&format!("subsystem {name} still runs on {place}"));
                    }
                }
                Event::Power(..) | Event::Probe(..) | Event::BootId(..) | Event::Ended(..) | Event::Asked => {
                }
            }
        }
        for (id, result) in drivers.take_ended() {
            if let Some((subsystem, at)) = self.running.remove(&id) {
                self.ended((subsystem, at), drivers.now(), result, telling);
            }
        }
    }

    fn ended(
        &mut self,
        (subsystem, at): (NodeId, usize),
        now: Duration,
        result: Result<Ended, Failure>,
        telling: &mut Telling<'_>,
    ) {
        let name = self.subsystems.names.get(subsystem.0);
        let place = &self.subsystems.places[at].name;
        let failure = match result {
            Err(failure) if failure.kind == FailureKind::Ended && !self.until.is_over => {
                telling.warn(&format!("subsystem {name} on {place}: {}", failure.detail()));
                self.torn = true;
                return;
            }
            Ok(ended) if ended.succeeded() => {
                self.took.push((subsystem, ended.took));
                None
            }
            Ok(ended) => Some(ended.clause()),
            Err(failure) => Some(failure.detail()),
        };
        telling.subsystem_ended(name, place, now, failure.as_deref());
        match failure {
            None => {
                self.left[subsystem.index()] -= 1;
                if self.left[subsystem.index()] == 0 {
                    self.progress.complete(subsystem);
                }
            }
            Some(clause) => {
                telling.warn(&format!("subsystem {name} failed on {place}: {clause}"));
                if !self.failed.contains(&subsystem) {
                    self.failed.push(subsystem);
                }
            }
        }
    }
}
