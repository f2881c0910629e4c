//! Battery mode: the phases of a shutdown, planned backwards from the time at which the power is gone.
//!
//! The nodes come last and get what they need; before them stand, each with what is left by then, the subsystems, the
//! grace of users' processes, the telling of users, and their wait. Where not even the nodes fit with their power-offs,
//! those are left out, for a halted node is safe; where the halts do not fit with the limits on calls they go without
//! those; where the halts alone do not fit they begin at once.
//!
//! Invariant: what a node needs to be halted, settling included, is never shortened, and no power-off begins that would
//! not be over in time (`a_run_that_goes_as_was_foretold_is_over_in_time`).

mod forecast;
mod imagined;
#[cfg(test)]
mod tests;

use crate::drivers::NodeId;
use crate::graph::VertexKind;
pub use forecast::{CallLimits, Forecast, NodeCalls, NodesTime, SlotUse};
use std::time::Duration;

/// How long a node takes, as far as is known; nothing for one that is not stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeTakes {
    /// From its turn until it is down, settling included.
    pub halt: Duration,
    /// From its power-off until its power reads off; none where it is not to be switched off.
    pub off: Option<Duration>,
}

/// What a shutdown would take where there is time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedTimes {
    /// How long users wait (`-T`).
    pub wait: Duration,
    /// How long telling them may take; none where they are not told.
    pub tell: Option<Duration>,
    /// How long their processes get from TERM to KILL; none where they are not ended.
    pub grace: Option<Duration>,
    /// How long the subsystems take, one after the other where they are ordered; none where none is called.
    pub subsystems: Option<Duration>,
    /// What one call takes beside.
    pub call: Duration,
    /// In how many rounds their processes are ended, where not all nodes can be called at once.
    pub rounds: u32,
    /// What comes after all nodes: this machine itself.
    pub last: Duration,
}

/// How much of it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// All of it.
    Whole,
    /// All of it, with less notice or grace.
    Shortened,
    /// All but power-offs, which are left out.
    NoPowerOff,
    /// The halts, and not the subsystems: those are ended when the halts have to begin.
    CutSubsystems,
    /// Not even the halts.
    Late,
}

/// What users get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserTimes {
    /// How long they wait.
    pub wait: Duration,
    /// How long telling them may take; none where there is no time for it.
    pub tell: Option<Duration>,
    /// How long their processes get; none where they are not ended by themselves.
    pub grace: Option<Duration>,
}

/// What there is time for. Times are from the moment of the plan on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlinePlan {
    pub fit: Fit,
    /// The halts fit only without the limits on calls.
    pub lifts_limits: bool,
    pub users: UserTimes,
    /// How long the subsystems may take; none where none is called.
    pub subsystems: Option<Duration>,
    /// When users have been told at the latest.
    pub notice_by: Duration,
    /// When users' processes are ended at the latest.
    pub users_by: Duration,
    /// When the subsystems are over, and the first halt is sent, at the latest.
    pub halts_by: Duration,
    /// How long the nodes take, this machine included.
    pub nodes: NodesTime,
    /// By node: before when its power-off begins, or never.
    pub cut_before: Vec<Duration>,
    /// Those that are not down in time, sorted.
    pub late: Vec<NodeId>,
}

impl DeadlinePlan {
    /// Plans what is to be over in `left`.
    pub fn new(left: Duration, forecast: &Forecast<'_>, asked: &AskedTimes) -> Self {
        let takes = &forecast.takes;
        let subsystems = asked.subsystems.unwrap_or_default();
        let has_offs = forecast.has_offs();
        // Last of all comes this machine itself; and what is held up may be seen a little late.
        let (free, held) =
            (forecast.free.halts + asked.last, forecast.held.halts + asked.last + forecast.slack);
        let (fit, lifts_limits, spare) =
            if let Some(spare) = left.checked_sub(subsystems + held + forecast.held.offs) {
                (Fit::Whole, false, spare)
            } else if let Some(spare) = left.checked_sub(subsystems + held).filter(|_| has_offs) {
                (Fit::NoPowerOff, false, spare)
            } else if let Some(spare) = left.checked_sub(subsystems + free) {
                (if has_offs { Fit::NoPowerOff } else { Fit::Whole }, true, spare)
            } else if left >= free {
                (Fit::CutSubsystems, true, Duration::ZERO)
            } else {
                (Fit::Late, true, Duration::ZERO)
            };
        let lifts_limits = lifts_limits && (forecast.is_held() || fit == Fit::Late);
        let keeps_power = !has_offs || fit != Fit::Whole;
        let halts = if lifts_limits { free } else { held };
        let offs = if lifts_limits { forecast.free.offs } else { forecast.held.offs };
        let subsystems = match fit {
            Fit::Late => None,
            Fit::CutSubsystems => asked.subsystems.map(|_| left.saturating_sub(halts)),
            Fit::Whole | Fit::Shortened | Fit::NoPowerOff => asked.subsystems,
        };
        let nodes = if keeps_power { halts } else { halts + offs };
        let halts_by = left.saturating_sub(nodes);
        let users_by = halts_by.saturating_sub(subsystems.unwrap_or_default());
        let given = Given::of(spare, asked);
        let is_short = given != Given::of(Duration::MAX, asked);
        let late = if fit == Fit::Late { late(left, forecast) } else { Vec::new() };
        let after = asked.last + forecast.slack;
        let cut_before = |(node, takes): (usize, &NodeTakes)| match takes.off {
            Some(off) if !keeps_power => left.saturating_sub(after + off + forecast.behind(node)),
            Some(_) | None => Duration::ZERO,
        };
        Self {
            fit: if fit == Fit::Whole && is_short { Fit::Shortened } else { fit },
            lifts_limits,
            users: given.users,
            subsystems,
            notice_by: users_by.saturating_sub(given.ending),
            users_by,
            halts_by,
            nodes: NodesTime { halts, offs },
            cut_before: takes.iter().enumerate().map(cut_before).collect(),
            late,
        }
    }

    /// Returns the plan once the first halt is sent, `passed` after the moment of this one and `left` before the end: the
    /// phases before may have taken less than was thought, or more.
    ///
    /// Power-offs that were said to be left out stay so. Each one that was said is decided by itself, when its time has
    /// come.
    #[must_use]
    pub fn at_first_halt(
        &self,
        (passed, left): (Duration, Duration),
        forecast: &Forecast<'_>,
        asked: &AskedTimes,
    ) -> Self {
        let mut plan = Self::new(left, forecast, asked);
        // What was said to hold no more does not begin to hold again.
        plan.lifts_limits |= self.lifts_limits;
        if !self.fits() && forecast.has_offs() {
            plan.keep_power();
        } else if self.fits() && plan.fit == Fit::NoPowerOff {
            plan.cut_before = self.cut_before.iter().map(|before| before.saturating_sub(passed)).collect();
            plan.fit = Fit::Shortened;
        }
        plan
    }

    /// Leaves all power-offs out.
    pub fn keep_power(&mut self) {
        self.cut_before.fill(Duration::ZERO);
        self.fit = if self.fits() { Fit::NoPowerOff } else { self.fit };
    }

    /// Tells whether everything that was asked for is done in time, however short.
    pub fn fits(&self) -> bool {
        matches!(self.fit, Fit::Whole | Fit::Shortened)
    }
}

/// What is left for users: first that they are told and their processes ended at all, then the grace, then the time
/// that telling may take, then their wait.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    users: UserTimes,
    /// What ending their processes takes in all.
    ending: Duration,
}

impl Given {
    fn of(mut spare: Duration, asked: &AskedTimes) -> Self {
        let mut take = |wanted: Duration| {
            let given = wanted.min(spare);
            spare -= given;
            given
        };
        let rounds = asked.rounds.max(1);
        let told = asked.tell.map(|most| take(most.min(asked.call)));
        // A call that cannot end in time is not begun.
        let calls = asked.call.saturating_mul(rounds);
        let ended = asked.grace.map(|_| take(calls)).filter(|given| *given == calls);
        let graces = asked.grace.filter(|_| ended.is_some()).map(|grace| take(grace.saturating_mul(rounds)));
        let more = asked.tell.map(|most| take(most.saturating_sub(asked.call)));
        let tell = told.zip(more).map(|(told, more)| told + more).filter(|tell| !tell.is_zero());
        let wait = take(asked.wait);
        let users = UserTimes { wait, tell, grace: graces.map(|graces| graces / rounds) };
        Self { users, ending: ended.unwrap_or_default() + graces.unwrap_or_default() }
    }
}

/// Returns those that are not down in time, where all go as soon as they may.
fn late(left: Duration, forecast: &Forecast<'_>) -> Vec<NodeId> {
    let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let order = forecast.order;
    let mut over = vec![0u64; order.vertex_count()];
    let mut late = Vec::new();
    for vertex in order.sorted().unwrap_or_default() {
        let begins = over[vertex.index()];
        let mut ends = begins;
        if let VertexKind::Node(node) = order.what(vertex) {
            ends += forecast.halt[node.index()];
            if ends > left && forecast.takes[node.index()] != NodeTakes::default() {
                late.push(node);
            }
        }
        for next in order.trailing(vertex) {
            over[next.index()] = over[next.index()].max(ends);
        }
    }
    late.sort_unstable();
    late
}
