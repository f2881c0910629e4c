//! What a run and whoever looks at it say to each other, a line of JSON each (`orderly-run/1`).
//!
//! The run greets; then it is asked, one thing after the other, and each is answered by records of which the last is an
//! `answer`. Whoever asked to `watch` is told from then on what happens, until the `end`.

use orderly_exec::printable;
use orderly_exec::visitors::{FORMAT, Weight};
use orderly_plan::doing::Doing;
use orderly_plan::drivers::NodeId;
use orderly_plan::nodeset;
use orderly_plan::notice::{Busy, HeldBack, Hindered, NodeStanding, RunStatus};
use orderly_plan::report::Naming;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// How much of what is asked is shown again.
const SHOWN: usize = 60;

/// What can be asked of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum RunRequest {
    /// To be told what happens, from now on.
    Watch {
        /// The records of nodes, too.
        #[serde(default)]
        records: bool,
        #[serde(default)]
        details: bool,
    },
    /// Where the run stands, and these nodes in it.
    Status {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nodes: Option<String>,
    },
    GiveUp {
        nodes: String,
        /// Who asks.
        by: String,
    },
    /// As long again as the limit says where nothing is said.
    MoreTime {
        nodes: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
        by: String,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Envelope<T> {
    format: String,
    #[serde(flatten)]
    what: T,
}

impl RunRequest {
    /// Returns what a line asks.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(line: &str) -> Result<Self, String> {
        let shown = |text: &str, most| printable(text).chars().take(most).collect::<String>();
        let said: Envelope<Self> = serde_json::from_str(line).map_err(|error| {
            format!("not understood: {}: {}", shown(&error.to_string(), 3 * SHOWN), shown(line, SHOWN))
        })?;
        if said.format != FORMAT {
            return Err(format!("format is \"{}\", not \"{FORMAT}\"", shown(&said.format, SHOWN)));
        }
        if let Self::MoreTime { seconds: Some(seconds), .. } = &said.what {
            if longer(*seconds).is_none() {
                return Err(format!("{seconds} seconds are no time that can be added"));
            }
        }
        Ok(said.what)
    }

    /// Returns the line that asks this.
    pub fn line(&self) -> String {
        let said = Envelope { format: FORMAT.to_owned(), what: self };
        let mut line = serde_json::to_string(&said).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// Returns so many seconds as a time that can be added to a limit.
pub(super) fn longer(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|longer| !longer.is_zero())
}

/// What a run says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum RunRecord {
    /// First of all.
    Hello {
        number: u64,
        pid: u32,
        program: String,
    },
    /// A line for people.
    Line {
        weight: Weight,
        text: String,
    },
    Status(StatusRecord),
    Standing(StandingRecord),
    /// What was asked is done, or why it is not.
    Answer {
        ok: bool,
        text: String,
    },
    /// So many lines were left out, because they were not read in time.
    Skipped {
        lines: usize,
    },
    /// It goes on as another program, under the same number.
    GoesOn {
        program: String,
    },
    End {
        status: String,
        exit: u8,
    },
    /// What is for other programs.
    #[serde(other)]
    Other,
}

impl RunRecord {
    /// Returns what a line says.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(line: &str) -> Result<Self, String> {
        let said: Envelope<Self> = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if said.format != FORMAT {
            return Err(format!("format is \"{}\", not \"{FORMAT}\"", printable(&said.format)));
        }
        Ok(said.what)
    }
}

/// A record with its format.
#[derive(Debug, Serialize)]
pub(crate) struct Sent<T> {
    format: &'static str,
    #[serde(flatten)]
    what: T,
}

impl<T> Sent<T> {
    pub(crate) fn new(what: T) -> Self {
        Self { format: FORMAT, what }
    }
}

/// Where a run stands; names are folded, times are seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// What it is at; empty between two things.
    pub phase: String,
    pub done: usize,
    pub failed: usize,
    pub held: usize,
    pub total: usize,
    /// Since this phase began.
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_seconds: Option<f64>,
    #[serde(default)]
    pub busy: Vec<BusyRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<HinderedRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<HinderedRecord>,
    /// What it waits for and other runs have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<HeldBack>,
}

/// Nodes that are at the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusyRecord {
    pub nodes: String,
    pub doing: String,
    /// How long, the longest of them.
    pub seconds: f64,
    /// What power and probe said last.
    pub last: String,
}

/// Nodes that are not begun, and who is in their way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HinderedRecord {
    pub nodes: String,
    pub by: String,
}

/// Where one node stands in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StandingRecord {
    pub node: String,
    /// In words: `booting`, `waiting for others`, `over`.
    pub doing: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What power and probe said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How long until its time is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Returns a number of seconds as a time; what is none is no time.
fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn fold<'n>(nodes: &[NodeId], name: &Naming<'n>) -> String {
    nodeset::fold(nodes.iter().map(|&node| name(node)))
}

impl StatusRecord {
    /// Returns the record of where a run stands that began then.
    pub(crate) fn of<'n>(status: &RunStatus, began: Duration, now: Duration, name: &Naming<'n>) -> Self {
        let mut busy: Vec<(&Busy, Vec<NodeId>)> = Vec::new();
        let mut places: HashMap<(Doing, &str), usize> = HashMap::new();
        for one in &status.busy {
            let at = *places.entry((one.doing, one.last.as_str())).or_insert_with(|| {
                busy.push((one, Vec::new()));
                busy.len() - 1
            });
            busy[at].1.push(one.node);
        }
        let of_busy = |(first, nodes): (&Busy, Vec<NodeId>)| BusyRecord {
            nodes: fold(&nodes, name),
            doing: first.doing.words().to_owned(),
            seconds: seconds(now.saturating_sub(first.since)),
            last: first.last.clone(),
        };
        Self {
            phase: status.phase.clone().into_owned(),
            done: status.done,
            failed: status.failed,
            held: status.held,
            total: status.total,
            seconds: seconds(now.saturating_sub(began)),
            left_seconds: status.left.map(seconds),
            busy: busy.into_iter().map(of_busy).collect(),
            held_by: Vec::new(),
            waiting_for: Vec::new(),
            held_back: status.held_back.clone(),
        }
    }

    /// Adds who is held by whom, and who waits for whom.
    pub(super) fn with<'n>(mut self, held: &[Hindered], waiting: &[Hindered], name: &Naming<'n>) -> Self {
        let record =
            |one: &Hindered| HinderedRecord { nodes: fold(&one.nodes, name), by: fold(&one.by, name) };
        self.held_by = held.iter().map(record).collect();
        self.waiting_for = waiting.iter().map(record).collect();
        self
    }
}

/// A status as it was sent, for people: nodes have numbers again, by which they are named.
#[derive(Debug, Default)]
pub(super) struct ReadStatus {
    names: Vec<String>,
    pub(super) status: RunStatus,
    pub(super) held: Vec<Hindered>,
    pub(super) waiting: Vec<Hindered>,
    /// Now, where the phase began at 0.
    pub(super) now: Duration,
}

impl ReadStatus {
    pub(super) fn of(record: &StatusRecord) -> Self {
        let mut read = Self { now: time(record.seconds), ..Self::default() };
        for one in &record.busy {
            let since = read.now.saturating_sub(time(one.seconds));
            // Of a later release, which knows more.
            let Some(doing) = Doing::read(&one.doing) else { continue };
            let nodes = read.numbers(&one.nodes);
            let busy = |node| Busy { node, doing, since, last: one.last.clone() };
            read.status.busy.extend(nodes.into_iter().map(busy));
        }
        for one in &record.held_by {
            let (nodes, by) = (read.numbers(&one.nodes), read.numbers(&one.by));
            read.held.push(Hindered { nodes, by });
        }
        for one in &record.waiting_for {
            let (nodes, by) = (read.numbers(&one.nodes), read.numbers(&one.by));
            read.waiting.push(Hindered { nodes, by });
        }
        read.status = RunStatus {
            phase: record.phase.clone().into(),
            done: record.done,
            failed: record.failed,
            held: record.held,
            total: record.total,
            left: record.left_seconds.map(time),
            busy: read.status.busy,
            held_back: record.held_back.clone(),
        };
        read
    }

    /// Returns new numbers for the nodes of a set; what is none is one name.
    fn numbers(&mut self, set: &str) -> Vec<NodeId> {
        let names = nodeset::expand(set).unwrap_or_else(|_| vec![set.to_owned()]);
        let number = |name| {
            self.names.push(name);
            NodeId(u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX))
        };
        names.into_iter().map(number).collect()
    }

    pub(super) fn name(&self, node: NodeId) -> &str {
        self.names.get(node.index()).map_or("", String::as_str)
    }
}

impl StandingRecord {
    pub(super) fn of<'n>(node: NodeId, standing: &NodeStanding, now: Duration, name: &Naming<'n>) -> Self {
        let node = name(node).to_owned();
        match standing {
            NodeStanding::Waiting(by) => Self {
                node,
                doing: Doing::WaitingForOthers.words().to_owned(),
                waits_for: Some(fold(by, name)),
                ..Self::default()
            },
            NodeStanding::AtWork(busy, ends) => Self {
                node,
                doing: busy.doing.words().to_owned(),
                seconds: Some(seconds(now.saturating_sub(busy.since))),
                last: Some(busy.last.clone()).filter(|last| !last.is_empty()),
                limit_seconds: ends.map(|ends| seconds(ends.saturating_sub(now))),
                ..Self::default()
            },
            NodeStanding::Over(outcome) => Self {
                node,
                doing: "over".to_owned(),
                outcome: Some(outcome.word().to_owned()),
                held_by: outcome.held_by().map(|by| fold(by, name)),
                detail: outcome.detail().map(str::to_owned),
                ..Self::default()
            },
        }
    }

    /// Says it to people, without the node.
    pub(super) fn clause(&self) -> String {
        let show = |seconds: f64| orderly_plan::duration::show(time(seconds));
        match (&self.outcome, &self.waits_for) {
            (Some(_), _) if self.held_by.is_some() => {
                format!("not begun, held by {}", self.held_by.as_deref().unwrap_or_default())
            }
            (Some(outcome), _) => {
                let detail = self.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
                format!("over, {}{detail}", outcome.replace('_', " "))
            }
            (None, Some(by)) if by.is_empty() => "waiting for its turn".to_owned(),
            (None, Some(by)) => format!("waiting for {by}"),
            (None, None) => {
                let mut text = self.doing.clone();
                if let Some(seconds) = self.seconds {
                    text.push_str(&format!(" for {}", show(seconds)));
                }
                if let Some(last) = &self.last {
                    text.push_str(&format!(" ({last})"));
                }
                if let Some(left) = self.limit_seconds {
                    text.push_str(&format!(", given up in {}", show(left)));
                }
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_as_it_was_written() {
        let by = || "alice as root".to_owned();
        for request in [
            RunRequest::Watch { records: true, details: false },
            RunRequest::Status { nodes: None },
            RunRequest::Status { nodes: Some("n[1-3]".into()) },
            RunRequest::GiveUp { nodes: "n1".into(), by: by() },
            RunRequest::MoreTime { nodes: "n1".into(), seconds: Some(600.0), by: by() },
            RunRequest::MoreTime { nodes: "n1".into(), seconds: None, by: by() },
        ] {
            assert_eq!(RunRequest::read(request.line().trim_end()), Ok(request));
        }
        let watch = r#"{"format": "orderly-run/1", "request": "watch"}"#;
        assert_eq!(RunRequest::read(watch), Ok(RunRequest::Watch { records: false, details: false }));
    }

    #[test]
    fn what_is_no_request_is_told_in_words_of_bounded_length() {
        for wrong in [
            "",
            "GET / HTTP/1.1",
            "{}",
            r#"{"format": "orderly-run/2", "request": "watch"}"#,
            r#"{"format": "orderly-run/1", "request": "reboot"}"#,
            r#"{"format": "orderly-run/1", "request": "\u001b[2J"}"#,
            r#"{"format": "orderly-run/1", "request": "more_time", "nodes": "n1", "by": "x", "seconds": -1}"#,
            r#"{"format": "orderly-run/1", "request": "more_time", "nodes": "n1", "by": "x", "seconds": 1e300}"#,
            &"[".repeat(100_000),
        ] {
            let error = RunRequest::read(wrong).unwrap_err();
            assert!(error.len() < 1000 && !error.contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn a_status_is_read_as_it_was_sent() {
        const NAMES: [&str; 4] = ["n1", "n2", "n3", "n4"];
        let second = Duration::from_secs;
        let busy = |node, since, last: &str| Busy {
            node: NodeId(node),
            doing: Doing::Booting,
            since: second(since),
            last: last.to_owned(),
        };
        let status = RunStatus {
            phase: "starting".into(),
            done: 1,
            failed: 2,
            held: 3,
            total: 9,
            busy: vec![busy(0, 10, "power on"), busy(2, 12, "power on"), busy(1, 20, "")],
            left: Some(second(30)),
            held_back: Vec::new(),
        };
        let name = |node: NodeId| NAMES[node.index()];
        let held = [Hindered { nodes: vec![NodeId(3)], by: vec![NodeId(0), NodeId(1)] }];
        let record = StatusRecord::of(&status, second(5), second(40), &name).with(&held, &[], &name);
        let line = serde_json::to_string(&Sent::new(RunRecord::Status(record))).unwrap();
        let Ok(RunRecord::Status(record)) = RunRecord::read(&line) else { panic!("{line}") };
        let read = ReadStatus::of(&record);
        let names: Vec<&str> = read.status.busy.iter().map(|busy| read.name(busy.node)).collect();
        assert_eq!(names, ["n1", "n3", "n2"]);
        assert_eq!(read.now - read.status.busy[0].since, second(30));
        assert_eq!((&*read.status.phase, read.status.left), ("starting", Some(second(30))));
        let by: Vec<&str> = read.held[0].by.iter().map(|&node| read.name(node)).collect();
        assert_eq!(by, ["n1", "n2"]);
        assert_eq!(RunRecord::read(r#"{"format": "orderly-run/1", "record": "node"}"#), Ok(RunRecord::Other));
    }
}
