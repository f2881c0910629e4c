//! Who is told what happens in a run: people on stderr, programs on stdout, the log and the picture.

use crate::elsewhere::Door;
use crate::log::RunLog;
use orderly_exec::clock;
use orderly_exec::reporter::Reporter;
use orderly_plan::drivers::{NodeId, Probe, RemoteCommand, Task, Teller};
use orderly_plan::duration;
use orderly_plan::notice::{Happening, Notice};
use orderly_plan::outcome::{Fate, NodeEnding, Outcome, Reason};
use orderly_plan::report::{Naming, Phase};
use orderly_plan::timeline::{Stage, Timeline, TimelineEnd};
use orderly_plan::words::Words;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

/// How a line of the log begins that tells of the end of a phase.
pub(crate) const PHASE_OVER: &str = "phase over";

/// Who is told what happens: people on stderr, programs on stdout, the log.
pub struct Telling<'t> {
    pub reporter: &'t mut Reporter,
    pub log: Option<&'t mut RunLog>,
    pub name: &'t Naming<'t>,
    /// What is drawn of it.
    pub timeline: Option<&'t mut Timeline>,
    /// Where it is looked at and steered from elsewhere.
    pub door: Door,
}

impl std::fmt::Debug for Telling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telling").field("reporter", &self.reporter).field("log", &self.log).finish()
    }
}

/// One thing that happened, for programs.
#[derive(Debug, Serialize)]
struct NodeRecord<'r> {
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
    held_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_seconds: Option<f64>,
    /// What kind of failure it was that is tried again, or gone on without.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    /// Whose words the detail is.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'r, str>>,
}

impl<'r> NodeRecord<'r> {
    /// Returns the record that a node is over.
    fn of(node: &'r str, at: Duration) -> Self {
        Self {
            format: "orderly-run/1",
            record: "node",
            time: clock::now(),
            seconds: (at.as_secs_f64() * 1000.0).round() / 1000.0,
            node,
            event: "over",
            task: None,
            outcome: None,
            held_by: None,
            after_seconds: None,
            failure: None,
            told_by: None,
            detail: None,
        }
    }
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Weight {
    /// Of interest when looking closely.
    Detail,
    Event,
    /// Shown also to the quiet, and told to syslog.
    Failure,
}

impl Telling<'_> {
    /// Tells of what happened at one time: people see nodes to which the same happened folded, the
    /// log has a line and programs a record for each.
    pub fn notices(&mut self, notices: &[Notice]) {
        for line in folded(notices, self.name) {
            match line.weight {
                Weight::Failure => self.reporter.warn(line.text),
                Weight::Event => self.reporter.event(&line.text),
                Weight::Detail => self.reporter.detail(line.text),
            }
        }
        for notice in notices {
            self.keep(notice);
            if let Some(timeline) = &mut self.timeline {
                timeline.hear((self.name)(notice.node), notice.at, &notice.what);
            }
        }
    }

    /// Tells the log and programs of one notice.
    fn keep(&mut self, notice: &Notice) {
        let name = (self.name)(notice.node);
        let (weight, clause) = clause(&notice.what, self.name);
        if let Some(log) = &mut self.log {
            let line = format!("{name}: {clause}");
            if weight == Weight::Failure { log.failure(&line) } else { log.line(&line) }
        }
        let mut record = NodeRecord::of(name, notice.at);
        match &notice.what {
            Happening::Began(task) => (record.event, record.task) = ("began", Some(task_word(*task))),
            Happening::Went(doing) => {
                (record.event, record.detail) = ("went", Some(doing.words().into()));
            }
            Happening::WaitedFor(limit) => {
                (record.event, record.after_seconds) = ("waited_for", Some(limit.as_secs_f64()));
            }
            Happening::Retried(failure, pause) => {
                record.event = "retried";
                record.after_seconds = Some(pause.as_secs_f64());
                record.failure = Some(failure.kind.word());
                (record.detail, record.told_by) =
                    (Some(failure.detail().into()), Some(failure.teller.word()));
            }
            Happening::Missed(task, failure) => {
                (record.event, record.task) = ("missed", Some(task_word(*task)));
                record.failure = Some(failure.kind.word());
                (record.detail, record.told_by) =
                    (Some(failure.detail().into()), Some(failure.teller.word()));
            }
            Happening::LetGo(_, limit) => {
                (record.event, record.after_seconds) = ("let_go", Some(limit.as_secs_f64()));
            }
            Happening::Over(Outcome::Held(by)) => {
                (record.event, record.held_by) = ("held", Some(fold(by, self.name)));
            }
            Happening::Over(outcome) => {
                record.outcome = Some(outcome.word());
                record.detail = outcome.detail().map(Cow::Borrowed);
                record.told_by = outcome.reason().and_then(Reason::teller).map(Teller::word);
            }
        }
        self.reporter.record(&record);
    }

    /// Tells programs how held nodes end. Who else holds them is only known at the end: others before them may fail
    /// later than the first.
    pub(crate) fn held(&mut self, endings: &[NodeEnding], at: Duration) {
        for ending in endings.iter().filter(|ending| ending.outcome.held_by().is_some()) {
            let mut record = NodeRecord::of((self.name)(ending.node), at);
            record.outcome = Some(ending.outcome.word());
            record.held_by = ending.outcome.held_by().map(|by| fold(by, self.name));
            self.reporter.record(&record);
        }
    }

    /// A subsystem is called, or what undoes it: for the log and the picture.
    pub fn subsystem_called(&mut self, program: &str, place: &str, at: Duration) {
        self.log(&format!("subsystem {program} on {place}: called"));
        if let Some(timeline) = &mut self.timeline {
            timeline.enter(program, at, Some(Stage::Subsystem));
        }
    }

    /// A subsystem has ended; with the reason where it failed.
    pub fn subsystem_ended(&mut self, program: &str, place: &str, at: Duration, failure: Option<&str>) {
        if failure.is_none() {
            self.log(&format!("subsystem {program} on {place}: done"));
        }
        if let Some(timeline) = &mut self.timeline {
            let said = failure.map_or_else(|| "done".to_owned(), |clause| format!("failed: {clause}"));
            let fate = if failure.is_none() { Fate::Well } else { Fate::Bad };
            timeline.over(program, TimelineEnd { at, fate, said });
        }
    }

    /// A phase of the run is over: for the log and the picture.
    pub fn phase_over(&mut self, phase: Phase, at: Duration, took: Duration) {
        self.log(&format!("{PHASE_OVER}: {} ({})", phase.words(), duration::show(took)));
        if let Some(timeline) = &mut self.timeline {
            timeline.close(at);
        }
    }

    /// Says something to people and the log.
    pub fn say(&mut self, line: &str) {
        self.reporter.event(line);
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

    pub(crate) fn interrupted(&mut self, outstanding: usize) {
        let calls = match outstanding {
            0 => String::new(),
            1 => "; one driver call is waited for (again to end it)".to_owned(),
            count => format!("; {count} driver calls are waited for (again to end them)"),
        };
        self.warn(&format!("interrupted: nothing more is begun{calls}"));
    }
}

/// One line for people.
#[derive(Debug, PartialEq, Eq)]
struct NoticeLine {
    weight: Weight,
    text: String,
}

/// Returns the lines of notices that came together, in order, those to whose nodes the same happened
/// in one. What happened to a node is never said before what happened to it earlier.
fn folded<'n>(notices: &[Notice], name: &Naming<'n>) -> Vec<NoticeLine> {
    let mut lines: Vec<((Weight, Words), Vec<NodeId>)> = Vec::new();
    let mut alike: HashMap<(Weight, Words), usize> = HashMap::new();
    let mut last: HashMap<NodeId, usize> = HashMap::new();
    for notice in notices {
        let earliest = last.get(&notice.node).map_or(0, |at| at + 1);
        let key = clause(&notice.what, name);
        let at = match alike.get(&key) {
            Some(&at) if at >= earliest => at,
            Some(_) | None => {
                lines.push((key.clone(), Vec::new()));
                alike.insert(key, lines.len() - 1);
                lines.len() - 1
            }
        };
        lines[at].1.push(notice.node);
        last.insert(notice.node, at);
    }
    let line = |((weight, said), nodes): ((Weight, Words), Vec<NodeId>)| NoticeLine {
        weight,
        text: format!("{}: {}", fold(&nodes, name), said.of_count(nodes.len())),
    };
    lines.into_iter().map(line).collect()
}

/// Returns what people read of it, equal where it is the same for several nodes.
fn clause<'n>(what: &Happening, name: &Naming<'n>) -> (Weight, Words) {
    match what {
        Happening::Began(task) => (Weight::Event, task.words().into()),
        Happening::Went(doing) => (Weight::Detail, doing.words().into()),
        Happening::WaitedFor(limit) => {
            let limit = duration::show(*limit);
            (Weight::Event, format!("not up; it may be booting, and is waited for up to {limit}").into())
        }
        Happening::Retried(failure, pause) => {
            let again = format!("; tried again in {}", duration::show(*pause));
            (Weight::Event, failure.words().then(again))
        }
        Happening::Missed(task, failure) => {
            let what = format!("{} did not succeed: ", task.words());
            (Weight::Failure, Words::from(what).then(failure.words()))
        }
        Happening::LetGo(wanted, limit) => {
            let limit = duration::show(*limit);
            let wanted = if *wanted == Probe::Down { "down" } else { "up" };
            (
                Weight::Failure,
                format!("not {wanted} after {limit}, and what waits for it goes on (-W)").into(),
            )
        }
        Happening::Over(outcome) => over(outcome, name),
    }
}

fn over<'n>(outcome: &Outcome, name: &Naming<'n>) -> (Weight, Words) {
    let words = Words::from(outcome.to_string());
    match (outcome, outcome.held_by()) {
        // Each failure holds many: they are named once, folded, at the end.
        (_, Some(by)) => (Weight::Event, format!("not begun, held by {}", fold(by, name)).into()),
        (Outcome::AlreadyUp | Outcome::AlreadyDown, _) => (Weight::Detail, words),
        _ if outcome.is_well() => (Weight::Event, words),
        _ => match outcome.reason() {
            Some(reason) => (Weight::Failure, words.then(": ").then(reason.words().clone())),
            None => (Weight::Failure, words),
        },
    }
}

fn task_word(task: Task) -> &'static str {
    match task {
        Task::PowerOn => "power_on",
        Task::PowerOff => "power_off",
        Task::Reset => "reset",
        Task::ReadPower => "read_power",
        Task::Probe => "probe",
        Task::Run(RemoteCommand::Notify) => "notify",
        Task::Run(RemoteCommand::EndUsers) => "end_users",
        Task::Run(RemoteCommand::Halt) => "halt",
        Task::Run(RemoteCommand::Restart) => "restart",
        Task::Run(RemoteCommand::Maintenance) => "maintenance",
        Task::Run(RemoteCommand::ReadBootId) => "read_boot_id",
    }
}

/// Returns the names of nodes as people read them, folded.
pub fn fold<'n>(nodes: &[NodeId], name: &Naming<'n>) -> String {
    orderly_plan::nodeset::fold(nodes.iter().map(|&node| name(node)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orderly_plan::drivers::{Failure, FailureKind};

    const NAMES: [&str; 4] = ["n01", "n02", "n03", "n04"];

    fn said(notices: &[(u32, Happening)]) -> Vec<String> {
        let notices: Vec<Notice> = notices
            .iter()
            .map(|(node, what)| Notice { at: Duration::ZERO, node: NodeId(*node), what: what.clone() })
            .collect();
        folded(&notices, &|node| NAMES[node.index()]).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn nodes_to_which_the_same_happened_share_a_line() {
        let on = || Happening::Began(Task::PowerOn);
        let up = || Happening::Over(Outcome::Up);
        let said_of = said(&[(0, up()), (1, on()), (2, on()), (3, on())]);
        assert_eq!(said_of, ["n01: up", "n[02-04]: powering on"]);
        let order = said(&[(0, on()), (0, up()), (1, up()), (1, on())]);
        assert_eq!(order, ["n01: powering on", "n[01-02]: up", "n02: powering on"], "never turned round");
    }

    #[test]
    fn the_own_name_of_a_node_in_what_was_run_keeps_no_lines_apart() {
        let failed = |name: &str| {
            let cause = Words::of_node(format!("power on {name}: no"), &[name]);
            Happening::Retried(Failure::own(FailureKind::Failed, cause), Duration::from_secs(1))
        };
        assert_eq!(said(&[(0, failed("n01"))]), ["n01: power on n01: no; tried again in 1.0s"]);
        let both = said(&[(0, failed("n01")), (2, failed("n03"))]);
        assert_eq!(both, ["n[01,03]: power on n01: no; tried again in 1.0s (the others alike)"]);
        let of_both = || {
            let failure = Failure::own(FailureKind::Failed, "power on n01 n03: no");
            Happening::Retried(failure, Duration::from_secs(1))
        };
        let call = said(&[(0, of_both()), (2, of_both())]);
        assert_eq!(call, ["n[01,03]: power on n01 n03: no; tried again in 1.0s"]);
    }
}
