//! What changes hands with the asset, a file each: services, mounts, loopbacks, shares, addresses. A part says how it is
//! on this host, and how it is taken and let go of; plans, `-n`, `--status` and the refusals go through the one list
//! that [`configured`] returns.

pub mod address;
pub mod loopback;
pub mod mount;
pub mod service;
pub mod share;

use crate::action::Action;
use crate::answer::Answer;
use crate::host::Host;
use crate::mountinfo::Mounts;
use crate::mounts;
use crate::platform::Argv;
use address::Address;
use loopback::Loopback;
use mount::AssetMount;
use orderly_plan::step::{Plan, Step, StepName, Undo};
use serde::{Deserialize, Serialize};
use service::Service;
use share::Share;
use std::cmp::Reverse;

/// A part, as it was found here or as it is to be: it stands in the journal with all that giving it back needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    Service(Service),
    Mount(AssetMount),
    Loopback(Loopback),
    Share(Share),
    Address(Address),
}

/// The kinds of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Service,
    Mount,
    Loopback,
    Share,
    Address,
}

impl PartKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Service, Self::Mount, Self::Loopback, Self::Share, Self::Address];
}

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

/// Which way a part goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Take,
    LetGo,
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

    /// Returns the name of the step that goes this way.
    fn step_name(&self, way: Way) -> String;

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

impl std::ops::Deref for Part {
    type Target = dyn Transfer;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Service(part) => part,
            Self::Mount(part) => part,
            Self::Loopback(part) => part,
            Self::Share(part) => part,
            Self::Address(part) => part,
        }
    }
}

/// Returns the parts of a kind, as they are configured.
pub fn configured(kind: PartKind, host: &Host<'_>) -> Vec<Part> {
    let config = host.config;
    let mount = |table| AssetMount(mounts::configured(host.asset.as_ref(), table));
    match kind {
        PartKind::Service => config.services.iter().map(|table| Part::Service(Service::of(table))).collect(),
        PartKind::Mount => config.asset.mounts.iter().map(|table| Part::Mount(mount(table))).collect(),
        PartKind::Loopback => {
            config.loopbacks.iter().map(|table| Part::Loopback(Loopback::of(table))).collect()
        }
        PartKind::Share => {
            config.shares.iter().map(|table| Part::Share(Share::of(table, config.platform))).collect()
        }
        PartKind::Address => config.addresses.iter().map(|table| Part::Address(Address::of(table))).collect(),
    }
}

/// Returns the parts of a kind in the order in which they go this way: what needs another one goes before it, and comes
/// back after it.
pub fn in_order(kind: PartKind, way: Way, host: &Host<'_>) -> Vec<Part> {
    let mut parts = configured(kind, host);
    parts.sort_by_key(|part| match part {
        Part::Loopback(loopback) => Reverse(loopback.0.at.components().count()),
        Part::Service(_) | Part::Mount(_) | Part::Share(_) | Part::Address(_) => Reverse(0),
    });
    if way == Way::Take && matches!(kind, PartKind::Service | PartKind::Loopback) {
        parts.reverse();
    }
    parts
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    const PAIR: &str = r#"
[[host]]
name = "ec1"
[[host]]
name = "ec2"
[asset]
kind = "command"
identity = ["id"]
state = ["state"]
take = ["take"]
[[asset.mount]]
at = "/a"
[[service]]
name = "first"
unit = "first.service"
[[service]]
name = "second"
unit = "second.service"
[[loopback]]
source = "/a/b"
at = "/b"
[[loopback]]
source = "/a/c"
at = "/b/c"
[[share]]
path = "/a/s"
[[share]]
path = "/a/t"
"#;

    #[test]
    fn what_needs_another_part_goes_before_it_and_comes_back_after_it() {
        let config = Config::read(Path::new("ha.toml"), PAIR, "ec1").unwrap();
        let host = Host::new(&config, None).unwrap();
        let names = |kind, way| -> Vec<String> {
            in_order(kind, way, &host).iter().map(|part| part.step_name(way)).collect()
        };
        assert_eq!(names(PartKind::Service, Way::LetGo), ["stop first", "stop second"]);
        assert_eq!(names(PartKind::Service, Way::Take), ["start second", "start first"]);
        assert_eq!(names(PartKind::Loopback, Way::LetGo), ["unmount /b/c", "unmount /b"]);
        assert_eq!(names(PartKind::Loopback, Way::Take), ["mount /b", "mount /b/c"]);
        for way in [Way::LetGo, Way::Take] {
            let shares: Vec<(&str, String)> =
                in_order(PartKind::Share, way, &host).iter().map(|part| part.title()).collect();
            assert_eq!(shares, [("share", "/a/s".to_owned()), ("share", "/a/t".to_owned())]);
        }
    }

    #[test]
    fn every_kind_of_part_is_listed_and_survives_the_journal() {
        let text = format!("{PAIR}[[address]]\ncidr = \"192.0.2.10/24\"\ndevice = \"eth0\"\n");
        let config = Config::read(Path::new("ha.toml"), &text, "ec1").unwrap();
        let host = Host::new(&config, None).unwrap();
        for kind in PartKind::ALL {
            let mut draft = PlanDraft::default();
            configured(kind, &host).into_iter().for_each(|part| draft.part(Way::LetGo, part));
            assert!(!draft.plan.steps.is_empty(), "{kind:?}");
            let json = serde_json::to_string(&draft.plan).unwrap();
            assert!(json.contains(r#"{"act":"part","way":"let_go","part":{"kind":"#), "{json}");
            assert_eq!(serde_json::from_str::<Plan<Action>>(&json).unwrap(), draft.plan);
        }
    }
}
