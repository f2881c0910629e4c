//! The one loop of a run: advance the machine, wait, hear; and who is told what on the way.

use crate::log::Log;
use crate::watch;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use orderly_plan::duration;
use orderly_plan::fleet::{Errand, Event, Fleet, NodeId, Task};
use orderly_plan::machine::{Happening, Machine, Notice, Outcome};
use orderly_plan::report::Naming;
use serde::Serialize;
use std::time::Duration;

/// How often the live line is renewed.
const GLANCE: Duration = Duration::from_millis(500);

/// Who is told what happens: people on stderr, programs on stdout, the log.
pub struct Telling<'t> {
    pub reporter: &'t mut Reporter,
    pub log: Option<&'t mut Log>,
    pub name: &'t Naming<'t>,
}

impl std::fmt::Debug for Telling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telling").field("reporter", &self.reporter).field("log", &self.log).finish()
    }
}

/// Drives a machine to its end and returns the first signal that interrupted it, if one did.
///
/// The first INT, TERM or HUP begins nothing more and waits for the driver calls that run; the second
/// ends those too. SIGUSR1 prints where the run stands.
pub fn drive(machine: &mut dyn Machine, fleet: &mut dyn Fleet, telling: &mut Telling<'_>) -> Option<i32> {
    let began = fleet.now();
    let mut signal = None;
    let mut ended_rest = false;
    let mut glance = began;
    loop {
        machine.advance(fleet);
        for notice in machine.take_notices() {
            telling.notice(&notice);
        }
        if machine.is_over() {
            if machine.outstanding() == 0 {
                return signal;
            }
            // Every node has its outcome: what still runs (a call hanging on one node of many, a
            // probe on its way) can tell nothing new.
            if !std::mem::replace(&mut ended_rest, true) {
                fleet.end_all();
            }
        }
        if telling.reporter.is_live() && fleet.now() >= glance {
            let now = fleet.now();
            glance = now + GLANCE;
            telling.reporter.progress(watch::line(&machine.stand(now), began, now, telling.name));
        }
        let wake = machine.wake();
        if wake.is_none() && machine.outstanding() == 0 {
            // Nothing runs and nothing is due, so nothing will ever be heard: what is left is
            // reported as it stands.
            return signal;
        }
        let until = [wake, telling.reporter.is_live().then_some(glance)].into_iter().flatten().min();
        let events = fleet.next(until);
        for warning in fleet.take_warnings() {
            telling.warn(&warning);
        }
        for event in events {
            match event {
                Event::Signal(number) if signal.is_none() => {
                    signal = Some(number);
                    telling.interrupted(machine.outstanding());
                    machine.interrupt();
                }
                Event::Signal(_) => {
                    telling.warn("interrupted again: ending what runs");
                    fleet.end_all();
                }
                Event::Attention => {
                    let now = fleet.now();
                    for line in watch::whole(&machine.stand(now), began, now, telling.name) {
                        telling.reporter.warn(line);
                    }
                }
                Event::Power(..) | Event::Probe(..) | Event::Ended(..) => machine.hear(&event, fleet.now()),
            }
        }
    }
}

/// One thing that happened, for programs.
#[derive(Debug, Serialize)]
struct Record<'r> {
    format: &'static str,
    record: &'static str,
    time: String,
    seconds: f64,
    node: &'r str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'r str>,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Of interest when looking closely.
    Detail,
    Event,
    /// Shown also to the quiet, and told to syslog.
    Failure,
}

impl Telling<'_> {
    /// Tells of a notice.
    pub fn notice(&mut self, notice: &Notice) {
        let name = (self.name)(notice.node);
        let (weight, clause) = clause(&notice.what, self.name);
        let line = format!("{name}: {clause}");
        match weight {
            Weight::Failure => self.warn(&line),
            Weight::Event => self.say(&line),
            Weight::Detail => {
                self.reporter.detail(&line);
                self.log(&line);
            }
        }
        let mut record = Record {
            format: "orderly-run/1",
            record: "node",
            time: clock::now(),
            seconds: (notice.at.as_secs_f64() * 1000.0).round() / 1000.0,
            node: name,
            event: "over",
            task: None,
            outcome: None,
            held_by: None,
            after_seconds: None,
            detail: None,
        };
        match &notice.what {
            Happening::Began(task) => (record.event, record.task) = ("began", Some(task_word(*task))),
            Happening::WaitedFor(limit) => {
                (record.event, record.after_seconds) = ("waited_for", Some(limit.as_secs_f64()));
            }
            Happening::Retried(failure, pause) => {
                record.event = "retried";
                record.after_seconds = Some(pause.as_secs_f64());
                record.detail = Some(&failure.detail);
            }
            Happening::Missed(task, failure) => {
                (record.event, record.task) = ("missed", Some(task_word(*task)));
                record.detail = Some(&failure.detail);
            }
            Happening::LetGo(limit) => {
                (record.event, record.after_seconds) = ("let_go", Some(limit.as_secs_f64()));
            }
            Happening::Over(outcome) => {
                record.outcome = Some(outcome.word());
                record.held_by = outcome.held_by().map(self.name);
                record.detail = outcome.detail();
            }
        }
        self.reporter.record(&record);
    }

    /// Says something to people and the log; on a live terminal the line below shows it already.
    pub fn say(&mut self, line: &str) {
        if self.reporter.is_live() {
            self.reporter.detail(line);
        } else {
            self.reporter.say(line);
        }
        self.log(line);
    }

    /// Says what went wrong to people, the log and syslog.
    pub fn warn(&mut self, line: &str) {
        self.reporter.warn(line);
        if let Some(log) = &mut self.log {
            log.failure(line);
        }
    }

    fn log(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            log.line(line);
        }
    }

    fn interrupted(&mut self, outstanding: usize) {
        let calls = match outstanding {
            0 => String::new(),
            1 => "; one driver call is waited for (again to end it)".to_owned(),
            count => format!("; {count} driver calls are waited for (again to end them)"),
        };
        self.warn(&format!("interrupted: nothing more is begun{calls}"));
    }
}

fn clause<'n>(what: &Happening, name: &Naming<'n>) -> (Weight, String) {
    match what {
        Happening::Began(task) => (Weight::Event, task_clause(*task).to_owned()),
        Happening::WaitedFor(limit) => {
            let limit = duration::show(*limit);
            (Weight::Event, format!("not up; it may be booting, and is waited for up to {limit}"))
        }
        Happening::Retried(failure, pause) => {
            let pause = duration::show(*pause);
            (Weight::Event, format!("{}; tried again in {pause}", failure.detail))
        }
        Happening::Missed(task, failure) => {
            (Weight::Failure, format!("{} did not succeed: {}", task_clause(*task), failure.detail))
        }
        Happening::LetGo(limit) => {
            let limit = duration::show(*limit);
            (Weight::Failure, format!("not ready after {limit}, and what waits for it goes on (-W)"))
        }
        Happening::Over(outcome) => over(outcome, name),
    }
}

fn over<'n>(outcome: &Outcome, name: &Naming<'n>) -> (Weight, String) {
    match (outcome, outcome.held_by()) {
        // Each failure holds many: they are named once, folded, at the end.
        (_, Some(by)) => (Weight::Event, format!("not begun, held by {}", name(by))),
        (Outcome::AlreadyUp | Outcome::AlreadyDown, _) => (Weight::Detail, outcome.to_string()),
        _ if outcome.is_well() => (Weight::Event, outcome.to_string()),
        _ => match outcome.detail() {
            Some(detail) => (Weight::Failure, format!("{outcome}: {detail}")),
            None => (Weight::Failure, outcome.to_string()),
        },
    }
}

fn task_clause(task: Task) -> &'static str {
    match task {
        Task::PowerOn => "powering on",
        Task::PowerOff => "powering off",
        Task::Reset => "resetting",
        Task::ReadPower => "reading power",
        Task::Probe => "probing",
        Task::Run(Errand::Notify) => "telling users",
        Task::Run(Errand::EndUsers) => "ending users' processes",
        Task::Run(Errand::Halt) => "halting",
        Task::Run(Errand::Restart) => "restarting",
        Task::Run(Errand::Maintenance) => "going to maintenance",
    }
}

fn task_word(task: Task) -> &'static str {
    match task {
        Task::PowerOn => "power_on",
        Task::PowerOff => "power_off",
        Task::Reset => "reset",
        Task::ReadPower => "read_power",
        Task::Probe => "probe",
        Task::Run(Errand::Notify) => "notify",
        Task::Run(Errand::EndUsers) => "end_users",
        Task::Run(Errand::Halt) => "halt",
        Task::Run(Errand::Restart) => "restart",
        Task::Run(Errand::Maintenance) => "maintenance",
    }
}

/// Returns the names of nodes as people read them, folded.
pub fn fold<'n>(nodes: &[NodeId], name: &Naming<'n>) -> String {
    orderly_plan::nodeset::fold(nodes.iter().map(|&node| name(node)))
}
