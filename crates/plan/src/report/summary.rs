//! What the end of a run tells beyond how each node ended: how long its phases and the stages of nodes took, who was
//! slow, and what to type next; for people as lines, for programs as parts of the report.

use super::{Naming, StepEnd, critical_path, steps};
use crate::drivers::NodeId;
use crate::duration;
use crate::graph::Order;
use crate::outcome::NodeEnding;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// What is told at the end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary<'r> {
    /// How long each phase of the run took.
    pub phases: Vec<PhaseTime>,
    /// How long nodes were in each stage.
    pub stages: Vec<StageTime>,
    /// The nodes because of which the run took as long as it did, the first one first.
    pub critical_path: Vec<CriticalNode<'r>>,
    /// The nodes that took much longer than they usually do, the slowest first.
    pub slower: Vec<SlowNode<'r>>,
    /// The commands that lead on where not all went well.
    pub next: Vec<NextCommand>,
}

impl Summary<'_> {
    /// Returns its lines for people, but for phases and critical path, which stand in lines of their own program.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = show_stages(&self.stages).into_iter().collect();
        lines.extend(show_slower(&self.slower));
        lines.extend(self.next.iter().map(|next| format!("{}: {}", next.says, next.command)));
        lines
    }
}

/// A phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is asked how the nodes stand.
    Asking,
    Notice,
    Users,
    Subsystems,
    /// Nodes are started or stopped.
    Nodes,
}

impl Phase {
    /// Returns the word for it, as people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Asking => "asking how the nodes stand",
            Self::Notice => "notice",
            Self::Users => "users' processes",
            Self::Subsystems => "subsystems",
            Self::Nodes => "nodes",
        }
    }
}

/// How long a phase took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PhaseTime {
    pub phase: Phase,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

/// How long nodes were in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StageTime {
    /// The word of the stage.
    pub stage: &'static str,
    /// How many nodes were in it.
    pub nodes: usize,
    /// Half of them were no longer in it than this.
    #[serde(rename = "middle_seconds", serialize_with = "seconds")]
    pub middle: Duration,
    #[serde(rename = "most_seconds", serialize_with = "seconds")]
    pub most: Duration,
}

/// A node of the critical path, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CriticalNode<'r> {
    pub node: &'r str,
    #[serde(rename = "began_seconds", serialize_with = "seconds")]
    pub began: Duration,
    #[serde(rename = "took_seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// Until when the run was at it.
    pub until: StepEnd,
}

/// A node that took much longer than it usually does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SlowNode<'r> {
    pub node: &'r str,
    #[serde(rename = "took_seconds", serialize_with = "seconds")]
    pub took: Duration,
    #[serde(rename = "usual_seconds", serialize_with = "seconds")]
    pub usual: Duration,
}

/// What a next command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// The same again.
    Retry,
    /// Nodes that are on and not up are reset.
    ResetStuck,
    /// Held nodes go without those that hold them.
    GoWithout,
    /// The power of nodes that hang is cut.
    ForceOff,
    /// What was up is brought back, and nodes that were halted and kept their power are reset.
    Restore,
    /// Nodes that nobody holds, and that hold another.
    FirstOfAll,
    /// A node with all that hold it.
    InOrder,
    /// A node that nobody holds.
    Unheld,
    /// It is looked closer why nodes do not answer.
    Check,
}

/// What to type next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextCommand {
    pub reason: NextStep,
    /// The nodes that it is about, as a node set.
    pub nodes: String,
    /// What it is for, as people read it.
    pub says: String,
    /// As it is typed.
    pub command: String,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Returns the stages as people read them; nothing of what takes no time, nothing of a single node, whose time is told
/// already, and nothing of the notice, which is a phase.
fn show_stages(stages: &[StageTime]) -> Option<String> {
    let is_worth = |stage: &&StageTime| {
        stage.nodes > 1 && stage.most >= Duration::from_secs(1) && stage.stage != Phase::Notice.words()
    };
    let shown = |stage: &StageTime| {
        let (middle, most) = (duration::show(stage.middle), duration::show(stage.most));
        let most = if most == middle { String::new() } else { format!(" (at most {most})") };
        format!("{} {middle}{most}", stage.stage)
    };
    let shown: Vec<String> = stages.iter().filter(is_worth).map(shown).collect();
    (!shown.is_empty()).then(|| format!("a node took: {}", shown.join(", ")))
}

/// Returns the critical path of a run for programs.
pub fn critical_nodes<'r>(order: &Order, endings: &[NodeEnding], name: &Naming<'r>) -> Vec<CriticalNode<'r>> {
    let steps = steps(&critical_path(order, endings));
    let node = |step: super::PathStep| CriticalNode {
        node: name(step.node),
        began: step.began,
        took: step.took,
        until: step.end,
    };
    steps.into_iter().map(node).collect()
}

/// How many of those that were slow people see named.
const SLOW: usize = 10;

/// Returns the nodes that took much longer than they usually do, the slowest first.
pub fn slower_than_usual<'r>(
    endings: &[NodeEnding],
    usual: &dyn Fn(NodeId) -> Option<Duration>,
    name: &Naming<'r>,
) -> Vec<SlowNode<'r>> {
    let slow = |ending: &NodeEnding| {
        let took = ending.ended?.saturating_sub(ending.began?);
        let usual = usual(ending.node)?;
        let is_slow = ending.outcome.is_well() && took > usual + usual / 2 + Duration::from_secs(5);
        is_slow.then_some((took.saturating_sub(usual), ending.node, took, usual))
    };
    let mut slow: Vec<_> = endings.iter().filter_map(slow).collect();
    slow.sort_by_key(|&(over, node, ..)| (std::cmp::Reverse(over), node));
    slow.into_iter().map(|(_, node, took, usual)| SlowNode { node: name(node), took, usual }).collect()
}

/// Returns the slow nodes as people read them.
fn show_slower(slow: &[SlowNode<'_>]) -> Option<String> {
    let shown = |one: &SlowNode<'_>| {
        format!("{} ({}, usually {})", one.node, duration::show(one.took), duration::show(one.usual))
    };
    let named: Vec<String> = slow.iter().take(SLOW).map(shown).collect();
    let more = slow.len().saturating_sub(SLOW);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("slower than usual: {}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    fn stage(stage: &'static str, nodes: usize, middle: u64, most: u64) -> StageTime {
        let ms = Duration::from_millis;
        StageTime { stage, nodes, middle: ms(middle), most: ms(most) }
    }

    #[test]
    fn the_middle_and_the_longest_of_each_stage_are_told() {
        assert_eq!(show_stages(&[stage("power", 1, 1_000, 1_000)]), None, "its time is told already");
        let stages = [
            stage("notice", 3, 300_000, 300_000),
            stage("queued", 2, 1_000, 1_000),
            stage("probing", 2, 10, 900),
            stage("power", 3, 1_000, 40_000),
            stage("booting", 2, 8_000, 8_000),
        ];
        let said = show_stages(&stages).unwrap();
        assert_eq!(said, "a node took: queued 1.0s, power 1.0s (at most 40s), booting 8.0s");
    }

    #[test]
    fn people_see_the_ten_slowest_and_programs_all() {
        let ending = |node: u32| NodeEnding {
            outcome: Outcome::Up,
            began: Some(Duration::ZERO),
            ended: Some(Duration::from_secs(60 + u64::from(node))),
            ..NodeEnding::skipped(NodeId(node))
        };
        let endings: Vec<NodeEnding> = (0..12).map(ending).collect();
        let usual = |node: NodeId| (node.0 > 0).then_some(Duration::from_secs(20));
        let slow = slower_than_usual(&endings, &usual, &|_| "n");
        assert_eq!((slow.len(), slow[0].took), (11, Duration::from_secs(71)));
        let said = show_slower(&slow).unwrap();
        assert!(said.starts_with("slower than usual: n (1m11s, usually 20s), n (1m10s"), "{said}");
        assert!(said.ends_with(" and 1 more"), "{said}");
    }

    #[test]
    fn programs_read_seconds_and_words() {
        let summary = Summary {
            phases: vec![PhaseTime { phase: Phase::Asking, took: Duration::from_millis(1_500) }],
            stages: vec![stage("power", 2, 1_000, 2_000)],
            critical_path: vec![CriticalNode {
                node: "n1",
                began: Duration::ZERO,
                took: Duration::from_secs(2),
                until: StepEnd::LetGo,
            }],
            slower: Vec::new(),
            next: vec![NextCommand {
                reason: NextStep::GoWithout,
                nodes: "n2".to_owned(),
                says: "to start n2 without n1".to_owned(),
                command: "cstartup -X n2".to_owned(),
            }],
        };
        let written = serde_json::to_value(&summary).unwrap();
        assert_eq!(written["phases"][0], serde_json::json!({"phase": "asking", "seconds": 1.5}));
        let stage = serde_json::json!(
            {"stage": "power", "nodes": 2, "middle_seconds": 1.0, "most_seconds": 2.0}
        );
        assert_eq!(written["stages"][0], stage);
        assert_eq!(written["critical_path"][0]["until"], "let_go");
        assert_eq!(written["slower"], serde_json::json!([]));
        assert_eq!(written["next"][0]["reason"], "go_without");
        assert_eq!(summary.lines().last().unwrap(), "to start n2 without n1: cstartup -X n2");
    }
}
