//! What came of powering the peer off, for the end of a run.
//!
//! Invariant: once `fence` was started no run ends with 2, 3 or 4
//! (`fence::after_a_fence_no_run_ends_as_if_nothing_was_touched`).

use crate::steps::{fence_step, off_step};
use orderly_host::action::Action;
use orderly_host::carry::Ending;
use orderly_host::config::HostTable;
use orderly_plan::release::Outcome;
use orderly_plan::step::{Plan, StepName};

/// Whether the peer's power is proven to be off after it was fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fenced {
    /// By this run.
    Proven,
    /// By the run that this one finished.
    Before,
    Unproven,
}

impl Fenced {
    /// Returns what is said of it at the end of a run.
    pub(crate) fn clause(self, peer: &str) -> String {
        match self {
            Self::Proven => format!("{peer} was fenced, and its power is off"),
            Self::Before => format!("{peer} was fenced by the run that was finished"),
            Self::Unproven => {
                format!(
                    "{peer} was fenced, and its power is NOT proven to be off: find out how it stands before anything else"
                )
            }
        }
    }
}

/// Returns what came of fencing; `None` where nobody was fenced.
pub(crate) fn of(plan: &Plan<Action>, ending: &Ending, peer: &HostTable) -> Option<Fenced> {
    let fencing = plan.steps.iter().position(|step| step.action == Action::Fence)?;
    let last = |name: &str| ending.steps.iter().rev().find(|step| step.step == name);
    let is_bad = |outcome: &Outcome| outcome.outcome != "done";
    let (fence, off) = (last(&fence_step(&peer.name)), last(&off_step(&peer.name)));
    let answers = ending.failure.as_ref().is_some_and(|(step, _)| is_peers(plan, step, peer));
    if answers || off.is_some_and(is_bad) || fence.is_some_and(is_bad) {
        return Some(Fenced::Unproven);
    }
    if fence.is_some() {
        return Some(Fenced::Proven);
    }
    let later = plan.steps.iter().skip(fencing + 1);
    let mut later = later.filter(|step| ending.steps.iter().any(|ended| ended.step == step.name.0));
    later.next().map(|_| Fenced::Before)
}

/// Tells whether a step asks at the peer's own address: whoever answers there shows that its power is on.
fn is_peers(plan: &Plan<Action>, name: &StepName, peer: &HostTable) -> bool {
    plan.steps.iter().any(|step| {
        step.name == *name
            && matches!(&step.action, Action::Silence { ip } if Some(ip) == peer.address.as_ref())
    })
}
