//! What can be done with every part, and the plan of a release or a takeover in the making.

use crate::action::{Action, Part, Way};
use crate::answer::Answer;
use crate::host::Host;
use crate::mountinfo::Mounts;
use crate::platform::Argv;
use orderly_plan::step::{Plan, Step, StepName, Undo};

/// How a part is on this host, each with its word for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartPresence {
    Here(&'static str),
    Missing(&'static str),
    /// Something else has its place.
    Other(&'static str),
    /// Why nobody can say.
    Unknown(String),
}

impl PartPresence {
    /// Returns what is shown of it.
    pub fn word(&self) -> String {
        match self {
            Self::Here(word) | Self::Missing(word) | Self::Other(word) => (*word).to_owned(),
            Self::Unknown(why) => format!("unknown ({why})"),
        }
    }
}

/// How things are before a takeover.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    pub is_held: bool,
    /// The peer is powered off before anything is taken.
    pub fences: bool,
    pub mounts: &'a Mounts,
}

/// What can be done with a part.
pub trait Transfer {
    /// Returns its kind as a word, and its name, which no other part of its kind has.
    fn title(&self) -> (&'static str, String);

    /// Tells how it is on this host.
    ///
    /// # Errors
    /// Why nobody can say.
    fn look(&self, host: &mut Host<'_>) -> anyhow::Result<PartPresence>;

    /// Tells how it is on this host, also where nobody can say.
    fn presence(&self, host: &mut Host<'_>) -> PartPresence {
        self.look(host).unwrap_or_else(|error| PartPresence::Unknown(format!("{error:#}")))
    }

    /// Tells whether it is as a step that goes this way leaves it.
    ///
    /// # Errors
    /// Why nobody can say.
    fn check(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<Answer>;

    /// Takes it or lets go of it.
    ///
    /// # Errors
    /// What failed.
    fn act(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<()>;

    /// Returns the commands that do it.
    fn commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv>;

    /// Returns the commands without which it cannot be done.
    fn needed_commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        self.commands(way, host)
    }

    /// Says why the system does it for nobody who asks, with the remedy.
    fn refusal(&self, _way: Way, _host: &mut Host<'_>) -> Option<String> {
        None
    }

    /// Tells whether anything of it is here, which a takeover that only completes what is here leaves there.
    fn is_any_here(&self, host: &mut Host<'_>) -> bool {
        matches!(self.check(Way::Take, host), Ok(Answer::Yes))
    }

    /// Returns what speaks against taking it, each with its remedy.
    fn against_taking(&self, situation: Situation<'_>, host: &mut Host<'_>) -> Vec<String>;

    /// Adds to a release what lets go of it as it is here, or says what speaks against that.
    fn plan_release(&self, _mounts: &Mounts, _draft: &mut PlanDraft, _host: &mut Host<'_>) {}
}

/// A plan in the making, with everything that speaks against it.
#[derive(Debug)]
pub struct PlanDraft {
    pub plan: Plan<Action>,
    /// Each a reason to refuse, with its remedy.
    pub objections: Vec<String>,
    /// What is worth knowing beforehand.
    pub notes: Vec<String>,
}

impl Default for PlanDraft {
    fn default() -> Self {
        Self { plan: Plan { steps: Vec::new() }, objections: Vec::new(), notes: Vec::new() }
    }
}

impl PlanDraft {
    /// Adds a step.
    pub fn step(&mut self, name: impl Into<String>, action: Action, undo: Undo<Action>) {
        self.plan.steps.push(Step { name: StepName(name.into()), action, undo });
    }

    /// Adds a step that leaves nothing to take back.
    pub fn lasting(&mut self, name: impl Into<String>, action: Action) {
        self.step(name, action, Undo::Nothing);
    }

    /// Adds the step by which a part goes this way, and back if the run is taken back.
    pub fn part(&mut self, way: Way, part: Part) {
        let back = if way == Way::Take { Way::LetGo } else { Way::Take };
        let undo = Undo::Action(Action::Part { way: back, part: part.clone() });
        self.step(part.step_name(way), Action::Part { way, part }, undo);
    }

    /// Adds the same, of which nothing is taken back.
    pub fn lasting_part(&mut self, way: Way, part: Part) {
        self.lasting(part.step_name(way), Action::Part { way, part });
    }
}
