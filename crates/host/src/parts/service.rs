//! Services: stopped before the asset goes, started when it is here. How one is asked is in `service/state.rs`.

pub mod state;

use super::transfer::{PartPresence, PlanDraft, Situation, Transfer};
use crate::action::{Part, Service, Way};
use crate::answer::Answer;
use crate::boot;
use crate::config::{Control, ServiceTable};
use crate::host::{Host, LOOKING};
use crate::ledger::{self, Ledger};
use crate::mountinfo::Mounts;
use crate::platform::Argv;
use anyhow::Context;
pub use state::{ServiceState, state};
use std::time::Instant;

impl Service {
    /// Returns the service of a table.
    pub fn of(table: &ServiceTable) -> Self {
        Self { name: table.name.clone() }
    }

    fn table<'c>(&self, host: &Host<'c>) -> anyhow::Result<&'c ServiceTable> {
        let found = host.config.services.iter().find(|table| table.name == self.name);
        found.with_context(|| format!("the configuration has no service {} any more", self.name))
    }

    fn state(&self, host: &mut Host<'_>) -> anyhow::Result<ServiceState> {
        Ok(state(self.table(host)?, &mut host.runner))
    }
}

impl Transfer for Service {
    fn title(&self) -> (&'static str, String) {
        ("service", self.name.clone())
    }

    fn look(&self, host: &mut Host<'_>) -> anyhow::Result<PartPresence> {
        Ok(match self.state(host)? {
            ServiceState::Up => PartPresence::Here("up"),
            ServiceState::Down => PartPresence::Missing("down"),
            ServiceState::Unknown(why) => PartPresence::Unknown(why),
        })
    }

    fn check(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<Answer> {
        Ok(match (self.state(host)?, way) {
            (ServiceState::Unknown(why), _) => Answer::Unknown(why),
            (ServiceState::Up, Way::Take) | (ServiceState::Down, Way::LetGo) => Answer::Yes,
            (ServiceState::Up, Way::LetGo) => Answer::No("it still runs".to_owned()),
            (ServiceState::Down, Way::Take) => Answer::No("it does not run".to_owned()),
        })
    }

    /// A command that returns has not always finished: the state is waited for within the limit.
    fn act(&self, way: Way, host: &mut Host<'_>) -> anyhow::Result<()> {
        let limit = self.table(host)?.timeout;
        if way == Way::Take {
            ledger::change(Ledger::note_running)?;
        }
        let until = Instant::now() + limit;
        host.run(&self.commands(way, host), limit)?;
        while self.check(way, host)? != Answer::Yes && Instant::now() < until {
            host.runner.pause(LOOKING);
            if host.runner.interrupted().is_some() {
                break;
            }
        }
        Ok(())
    }

    fn commands(&self, way: Way, host: &Host<'_>) -> Vec<Argv> {
        self.table(host).map(|table| table.command(way)).into_iter().collect()
    }

    fn refusal(&self, way: Way, host: &mut Host<'_>) -> Option<String> {
        let Control::Unit(unit) = &self.table(host).ok()?.control else { return None };
        state::refusal(unit, way, &mut host.runner)
    }

    fn against_taking(&self, situation: Situation<'_>, host: &mut Host<'_>) -> Vec<String> {
        if situation.is_held {
            return Vec::new();
        }
        let name = &self.name;
        let why = match self.presence(host) {
            PartPresence::Missing(_) => None,
            PartPresence::Unknown(why) => {
                Some(format!("service {name}: nobody can say whether it runs: {why}"))
            }
            PartPresence::Here(_) | PartPresence::Other(_) => {
                Some(format!("service {name} runs here without the asset; stop it"))
            }
        };
        why.into_iter().collect()
    }

    /// A service that is down stays in the plan: it must still be down at the end.
    fn plan_release(&self, _mounts: &Mounts, draft: &mut PlanDraft, host: &mut Host<'_>) {
        if let Ok(ServiceTable { control: Control::Unit(unit), .. }) = self.table(host) {
            if let Some(by) = boot::wanted(unit) {
                host.notes.push(format!(
                "{unit} is wanted by {by}, so it starts at boot, with the asset or without; systemctl disable {unit}"
            ));
            }
        }
        let (name, part) = (&self.name, Part::Service(self.clone()));
        match self.presence(host) {
            PartPresence::Here(_) | PartPresence::Other(_) => draft.part(Way::LetGo, part),
            PartPresence::Missing(_) => draft.lasting_part(Way::LetGo, part),
            PartPresence::Unknown(why) => {
                draft.objections.push(format!("service {name}: nobody can say whether it runs: {why}"));
            }
        }
    }
}

impl ServiceTable {
    /// Returns the command that starts or stops it.
    pub fn command(&self, way: Way) -> Argv {
        let verb = if way == Way::Take { "start" } else { "stop" };
        match &self.control {
            Control::Commands { start, stop, .. } => if way == Way::Take { start } else { stop }.clone(),
            Control::Unit(unit) => ["systemctl", verb, "--", unit].map(str::to_owned).to_vec(),
        }
    }
}
