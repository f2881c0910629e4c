//! What came of powering the peer off, for the end of a run.
//!
//! Invariant: once `fence` was started no run ends with 2, 3 or 4
//! (`fence::after_a_fence_no_run_ends_as_if_nothing_was_touched`).

use orderly_host::action::Action;
use orderly_host::config::HostTable;
use orderly_host::executor::{EndedStep, RunEnding};
use orderly_plan::release::StepOutcome;
use orderly_plan::step::Plan;

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
                    "{peer} was fenced, and its power is NOT proven to be off: look at it yourself, and once you know that it is off: ha-takeover --peer-down {peer}"
                )
            }
        }
    }
}

/// Returns what came of fencing; `None` where nobody was fenced.
pub(crate) fn of(plan: &Plan<Action>, ending: &RunEnding<Action>, peer: &HostTable) -> Option<Fenced> {
    let fencing = plan.steps.iter().position(|step| step.action == Action::Fence)?;
    let last = |action: &Action| ending.steps.iter().rev().find(|step| step.action == *action);
    let is_bad = |step: &EndedStep<Action>| step.outcome != StepOutcome::Done;
    let (fence, off) = (last(&Action::Fence), last(&Action::ProveOff));
    // Whoever answers at the peer's own address shows that its power is on.
    let answers =
        peer.address.as_ref().is_some_and(|ip| last(&Action::Silence { ip: ip.clone() }).is_some_and(is_bad));
    if answers || off.is_some_and(is_bad) || fence.is_some_and(is_bad) {
        return Some(Fenced::Unproven);
    }
    if fence.is_some() {
        return Some(Fenced::Proven);
    }
    ending.steps.iter().any(|step| step.id.0 > fencing).then_some(Fenced::Before)
}
