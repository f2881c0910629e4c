//! What came of a run, for people (folded by reason) and for programs (the `report` record).

mod summary;

use crate::drivers::{NodeId, Teller};
use crate::duration;
use crate::graph::Order;
use crate::nodeset;
use crate::outcome::{NodeEnding, Outcome, Reason};
use crate::words::{ALIKE, Words};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
pub use summary::{
    CriticalNode, NextCommand, NextStep, Phase, PhaseTime, SlowNode, StageTime, Summary, critical_nodes,
    slower_than_usual,
};

/// Names of nodes by number.
pub type Naming<'n> = dyn Fn(NodeId) -> &'n str + 'n;

/// Nodes that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// They are as was asked.
    pub well: bool,
    pub nodes: Vec<NodeId>,
    /// `up: n[01-16] (16 nodes, 21s to 2m10s)`, `held by n17: n[18-20] (3 nodes)`.
    pub text: String,
}

/// Returns the endings folded by reason: what went well first, then what did not.
pub fn rows<'n>(endings: &[NodeEnding], name: &Naming<'n>) -> Vec<ReportRow> {
    let mut folded: BTreeMap<(u8, String, Option<&Words>), Vec<&NodeEnding>> = BTreeMap::new();
    let holders = HoldingNodes::new(endings, name);
    for ending in endings {
        let (rank, head) = key(ending, &holders);
        let class = ending.outcome.reason().map(Reason::class);
        folded.entry((rank, head, class)).or_default().push(ending);
    }
    folded.into_iter().map(|((_, head, _), ended)| row(&head, &ended, name)).collect()
}

/// Endings with the same key, and comparable reasons, share a row.
fn key(ending: &NodeEnding, holders: &HoldingNodes<'_>) -> (u8, String) {
    let rank = match ending.outcome {
        Outcome::Up | Outcome::Down | Outcome::Restarted | Outcome::Maintenance => 0,
        Outcome::AlreadyUp | Outcome::AlreadyDown => 1,
        Outcome::Failed(_) => 2,
        Outcome::TimedOut(_) => 3,
        Outcome::Unreachable(_) => 4,
        Outcome::Unknown(_) => 5,
        Outcome::Held(_) => 6,
        Outcome::Begun => 7,
        Outcome::Skipped | Outcome::GivenUp(_) => 8,
    };
    let head = match holders.of(ending) {
        Some(by) => format!("held by {by}"),
        None => ending.outcome.to_string(),
    };
    (rank, head)
}

/// The failed nodes that hold others, folded; many are held by the same.
struct HoldingNodes<'e>(HashMap<&'e [NodeId], String>);

impl<'e> HoldingNodes<'e> {
    fn new<'n>(endings: &'e [NodeEnding], name: &Naming<'n>) -> Self {
        let mut folded = HashMap::new();
        for by in endings.iter().filter_map(|ending| ending.outcome.held_by()) {
            folded.entry(by).or_insert_with(|| nodeset::fold(by.iter().map(|&node| name(node))));
        }
        Self(folded)
    }

    fn of(&self, ending: &NodeEnding) -> Option<&str> {
        self.0.get(ending.outcome.held_by()?).map(String::as_str)
    }
}

fn row<'n>(head: &str, ended: &[&NodeEnding], name: &Naming<'n>) -> ReportRow {
    let nodes: Vec<NodeId> = ended.iter().map(|ending| ending.node).collect();
    let set = nodeset::fold(nodes.iter().map(|&node| name(node)));
    let mut text = format!("{head}: {set}");
    let mut aside = Vec::new();
    if nodes.len() > 1 {
        aside.push(format!("{} nodes", nodes.len()));
    }
    // How long it took to find out that nothing was to be done says nothing.
    let took = ended
        .iter()
        .filter(|ending| !matches!(ending.outcome, Outcome::AlreadyUp | Outcome::AlreadyDown))
        .filter_map(|ending| Some(ending.ended?.saturating_sub(ending.began?)));
    let (least, most) = (took.clone().min(), took.max());
    if let (Some(least), Some(most)) = (least, most) {
        if !most.is_zero() {
            let (least, most) = (duration::show(least), duration::show(most));
            aside.push(if least == most { most } else { format!("{least} to {most}") });
        }
    }
    if !aside.is_empty() {
        text.push_str(&format!(" ({})", aside.join(", ")));
    }
    if let Some(said) = said_most(ended) {
        text.push_str(&format!(": {said}"));
    }
    ReportRow { well: ended.iter().all(|ending| ending.outcome.is_well()), nodes, text }
}

/// Returns the words that were said of most of these nodes, and whether others are only alike.
fn said_most(ended: &[&NodeEnding]) -> Option<String> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    let all = ended.iter().filter_map(|ending| ending.outcome.detail());
    all.clone().for_each(|words| *count.entry(words).or_default() += 1);
    // Of as many, those of the first: the report is the same whichever way a map is gone through.
    let most = all.rev().max_by_key(|words| count[words])?;
    Some(if count.len() > 1 { format!("{most}{ALIKE}") } else { most.to_owned() })
}

/// How many nodes of a critical path are named; longer ones begin later.
const PATH: usize = 16;

/// Returns why a run took as long as it did: the node that ended last, or was still at it in the end, before it the one
/// for which it waited longest, and so on; the first one first.
pub fn critical_path<'e>(order: &Order, endings: &'e [NodeEnding]) -> Vec<&'e NodeEnding> {
    let by_node: BTreeMap<NodeId, &NodeEnding> = endings.iter().map(|ending| (ending.node, ending)).collect();
    let mut path = Vec::new();
    let until = |ending: &NodeEnding| ending.ended.or(ending.left);
    let took = |ending: &&NodeEnding| ending.began.is_some() && until(ending) > ending.began;
    let mut last = endings.iter().filter(took).max_by_key(|ending| (until(ending), ending.node));
    while let Some(ending) = last {
        path.push(ending);
        if path.len() == PATH {
            break;
        }
        last = order
            .all_leading(&[ending.node])
            .iter()
            .filter_map(|node| by_node.get(node).copied())
            .filter(took)
            .filter_map(|leader| Some((went_on(leader, ending)?, leader.node, leader)))
            .max_by_key(|&(at, node, _)| (at, node))
            .map(|(_, _, leader)| leader);
    }
    path.reverse();
    path
}

/// Returns when a leading node held `next` no longer: it was over, or let go.
fn went_on(leader: &NodeEnding, next: &NodeEnding) -> Option<Duration> {
    let times = [leader.ended, leader.let_go].into_iter().flatten();
    times.filter(|at| next.began.is_some_and(|began| *at <= began)).max()
}

/// A node of a critical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStep {
    pub node: NodeId,
    pub began: Duration,
    pub took: Duration,
    pub end: StepEnd,
}

/// Until when a node of a critical path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// It was over.
    Over,
    /// What waits for it went on.
    LetGo,
    /// The run was ended.
    Left,
}

/// Returns a critical path with how long the run was at each node of it.
pub fn steps(path: &[&NodeEnding]) -> Vec<PathStep> {
    let step = |(at, ending): (usize, &&NodeEnding)| {
        let began = ending.began.unwrap_or_default();
        let went_on = path.get(at + 1).and_then(|next| went_on(ending, next));
        let (until, end) = match (went_on, ending.ended, ending.left) {
            (Some(at), ended, _) if ended != Some(at) => (at, StepEnd::LetGo),
            (_, Some(at), _) => (at, StepEnd::Over),
            (_, None, left) => (left.unwrap_or(began), StepEnd::Left),
        };
        PathStep { node: ending.node, began, took: until.saturating_sub(began), end }
    };
    path.iter().enumerate().map(step).collect()
}

/// Returns a critical path as people read it: `n01 (30s), then n04 (2m40s)`.
pub fn show_path<'n>(path: &[&NodeEnding], name: &Naming<'n>) -> String {
    let shown = |step: &PathStep| {
        let (name, took) = (name(step.node), duration::show(step.took));
        match step.end {
            StepEnd::Over => format!("{name} ({took})"),
            StepEnd::LetGo => format!("{name} (let go after {took})"),
            StepEnd::Left => format!("{name} ({took}, and not over)"),
        }
    };
    steps(path).iter().map(shown).collect::<Vec<_>>().join(", then ")
}

/// The last record of a run.
#[derive(Debug, Serialize)]
pub struct RunReport<'r> {
    pub format: &'static str,
    pub record: &'static str,
    pub time: String,
    pub program: &'r str,
    pub simulated: bool,
    #[serde(flatten)]
    pub end: ReportedEnd<'r>,
    /// How many nodes ended how.
    pub counts: BTreeMap<&'static str, usize>,
    pub nodes: Vec<NodeReport<'r>>,
    /// Targets that are away, and were not waited for, as a node set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// What subsystems quieted and nothing has undone yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quieted: Vec<QuietedReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<ShortageReport<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// How a whole run ended, for programs.
#[derive(Debug, Serialize)]
pub struct ReportedEnd<'r> {
    /// The word of the exit status.
    pub status: &'r str,
    pub exit: u8,
    pub seconds: f64,
    #[serde(flatten)]
    pub summary: &'r Summary<'r>,
}

impl<'r> ReportedEnd<'r> {
    /// Returns the end of a run that took so long, with the word and the number of its exit status.
    pub fn new((status, exit): (&'r str, u8), took: Duration, summary: &'r Summary<'r>) -> Self {
        Self { status, exit, seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0, summary }
    }
}

/// What a subsystem quieted, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuietedReport {
    pub subsystem: String,
    /// The program that undoes it.
    pub undone_by: String,
    /// As a node set.
    pub nodes: String,
}

/// A group of which too few came up for others that wait for so many, for programs.
#[derive(Debug, Serialize)]
pub struct ShortageReport<'r> {
    pub group: &'r str,
    pub up: usize,
    pub needed: usize,
    pub members: usize,
    /// The groups that wait.
    pub waiting: Vec<&'r str>,
}

/// How one node ended, for programs.
#[derive(Debug, Serialize)]
pub struct NodeReport<'r> {
    pub node: &'r str,
    pub outcome: &'static str,
    /// The failed nodes that hold it, as a node set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'r str>,
    /// Whose words those are: `power`, `shell`, `probe`, `run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<f64>,
    /// What waits for it went on before it was over (`-W`).
    #[serde(skip_serializing_if = "is_false")]
    pub let_go: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Returns how many nodes ended how.
pub fn counts(endings: &[NodeEnding]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for ending in endings {
        *counts.entry(ending.outcome.word()).or_insert(0) += 1;
    }
    counts
}

/// Returns the endings for programs.
pub fn nodes<'r>(endings: &'r [NodeEnding], name: &Naming<'r>) -> Vec<NodeReport<'r>> {
    let holders = HoldingNodes::new(endings, name);
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    endings
        .iter()
        .map(|ending| NodeReport {
            node: name(ending.node),
            outcome: ending.outcome.word(),
            held_by: holders.of(ending).map(str::to_owned),
            detail: ending.outcome.detail(),
            told_by: ending.outcome.reason().and_then(Reason::teller).map(Teller::word),
            began_seconds: ending.began.map(seconds),
            took_seconds: ending
                .began
                .zip(ending.ended)
                .map(|(began, ended)| seconds(ended.saturating_sub(began))),
            let_go: ending.let_go.is_some(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GroupId;

    const NAMES: [&str; 5] = ["n01", "n02", "n03", "n04", "n05"];

    fn name(node: NodeId) -> &'static str {
        NAMES[node.index()]
    }

    fn ending(node: u32, outcome: Outcome, began: Option<u64>, ended: Option<u64>) -> NodeEnding {
        let time = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        let (began, ended) = (time(began), time(ended));
        NodeEnding { outcome, began, ended, ..NodeEnding::skipped(NodeId(node)) }
    }

    #[test]
    fn endings_are_folded_by_reason() {
        let failed = |node| Outcome::Failed(Words::of_node(format!("power on {node}: no"), &[node]).into());
        let endings = [
            ending(0, Outcome::Up, Some(0), Some(20)),
            ending(1, Outcome::Up, Some(0), Some(30)),
            ending(2, failed("n03"), Some(0), Some(1)),
            ending(3, failed("n04"), Some(0), Some(1)),
            ending(4, Outcome::Held([NodeId(2), NodeId(3)].into()), None, None),
            ending(4, Outcome::AlreadyDown, Some(0), Some(3)),
        ];
        let said: Vec<String> = rows(&endings, &name).into_iter().map(|row| row.text).collect();
        assert_eq!(
            said,
            [
                "up: n[01-02] (2 nodes, 20s to 30s)",
                "already down: n05",
                "failed: n[03-04] (2 nodes, 1.0s): power on n03: no (the others alike)",
                "held by n[03-04]: n05",
            ]
        );
        assert_eq!(counts(&endings)["failed"], 2);
    }

    /// A call for five hundred nodes that was ended gave as many rows.
    #[test]
    fn what_was_run_for_many_nodes_at_once_keeps_no_rows_apart() {
        let lost = || Outcome::Unknown("power on n01 n02 n03: interrupted".to_owned().into());
        let endings: Vec<NodeEnding> = (0..3).map(|node| ending(node, lost(), Some(0), Some(3))).collect();
        let said: Vec<String> = rows(&endings, &name).into_iter().map(|row| row.text).collect();
        assert_eq!(said, ["unknown: n[01-03] (3 nodes, 3.0s): power on n01 n02 n03: interrupted"]);
    }

    /// Sixteen nodes of one controller ended in two rows, by what was heard before their limit fell.
    #[test]
    fn nodes_that_fail_alike_share_a_row_whatever_was_heard_last() {
        let unreachable =
            |aside: &str| Outcome::Unreachable(Reason::with_aside("power unknown for 10s", aside));
        let why = "; the controller does not answer";
        let endings = [(0, ""), (1, why), (2, why), (3, "; no login")]
            .map(|(node, aside)| ending(node, unreachable(aside), Some(0), Some(10)));
        let said: Vec<String> = rows(&endings, &name).into_iter().map(|row| row.text).collect();
        assert_eq!(
            said,
            [
                "unreachable: n[01-04] (4 nodes, 10s): power unknown for 10s; the controller does not answer (the \
              others alike)"
            ]
        );
        assert_eq!(
            endings[1].outcome.detail(),
            Some("power unknown for 10s; the controller does not answer")
        );
    }

    /// `user NODEADMIN rejected` was told as `user n01ADMIN rejected`.
    #[test]
    fn the_word_node_in_what_a_driver_said_stays() {
        let said = || "sh -c 'NODE=$1; x': user NODEADMIN rejected".to_owned();
        let one = [ending(0, Outcome::Failed(said().into()), Some(0), Some(0))];
        assert_eq!(rows(&one, &name)[0].text, format!("failed: n01: {}", said()));
        let two = [0, 1].map(|node| ending(node, Outcome::Failed(said().into()), Some(0), Some(0)));
        assert_eq!(rows(&two, &name)[0].text, format!("failed: n[01-02] (2 nodes): {}", said()));
    }

    #[test]
    fn the_critical_path_ends_at_the_last_and_begins_at_the_first() {
        let groups: Vec<Vec<NodeId>> = (0..3).map(|n| vec![NodeId(n)]).collect();
        let order = Order::new(5, &groups, &[(GroupId(0), GroupId(2)), (GroupId(1), GroupId(2))]);
        let endings = [
            ending(0, Outcome::Up, Some(0), Some(20)),
            ending(1, Outcome::Up, Some(0), Some(30)),
            ending(2, Outcome::Up, Some(30), Some(90)),
            ending(3, Outcome::Up, Some(0), Some(40)),
        ];
        assert_eq!(show_path(&critical_path(&order, &endings), &name), "n02 (30s), then n03 (1m00s)");
    }

    /// The node at which the run was when it was interrupted was on no path, and one that was let go was never before it.
    #[test]
    fn the_critical_path_goes_on_to_the_end_of_the_run_and_past_who_was_let_go() {
        let groups: Vec<Vec<NodeId>> = (0..2).map(|n| vec![NodeId(n)]).collect();
        let order = Order::new(5, &groups, &[(GroupId(0), GroupId(1))]);
        let time = |seconds| Some(Duration::from_secs(seconds));
        let endings = [
            NodeEnding { let_go: time(15), ..ending(0, Outcome::Up, Some(0), Some(80)) },
            NodeEnding { left: time(90), ..ending(1, Outcome::Begun, Some(15), None) },
            ending(2, Outcome::Up, Some(0), Some(40)),
        ];
        let shown = |endings| show_path(&critical_path(&order, endings), &name);
        assert_eq!(shown(&endings), "n01 (let go after 15s), then n02 (1m15s, and not over)");
        assert_eq!(shown(&endings[2..]), "n03 (40s)");
    }
}
