//! What holds for one node, and how an override changes it.

use super::{NodeLimits, PowerSettings, ProbeSettings, ShellSettings, Shutdown};
use crate::power::PowerDriver;
use crate::probe::{ProbeBy, ProbeDriver};
use crate::shell::ShellDriver;
use crate::users::{self, EndUsers};
use std::sync::Arc;
use std::time::Duration;

/// Drivers, commands and limits of a node.
#[derive(Debug, Clone)]
pub struct Profile {
    pub power: PowerSettings,
    pub shell: ShellSettings,
    pub probe: ProbeSettings,
    pub shutdown: Shutdown,
    pub limits: NodeLimits,
}

/// What an override says; what it leaves out stays as it was.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    pub power: PowerPatch,
    pub shell: ShellPatch,
    pub probe: ProbePatch,
    pub shutdown: ShutdownPatch,
    pub limits: LimitsPatch,
}

#[derive(Debug, Clone, Default)]
pub struct PowerPatch {
    pub driver: Option<Arc<dyn PowerDriver>>,
    pub timeout: Option<Duration>,
}

#[derive(Debug, Clone, Default)]
pub struct ShellPatch {
    pub driver: Option<Arc<dyn ShellDriver>>,
    pub timeout: Option<Duration>,
    pub aliases: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbePatch {
    pub driver: Option<ProbeDriver>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub stable: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShutdownPatch {
    pub notify: Option<String>,
    pub notify_timeout: Option<Duration>,
    pub halt: Option<String>,
    pub restart: Option<String>,
    pub maintenance: Option<String>,
    pub end_users: Option<EndUsers>,
    pub grace: Option<Duration>,
    pub settle: Option<Duration>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    pub boot: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    pub reset_stuck: Option<bool>,
}

impl Profile {
    /// Changes what `patch` says.
    pub fn apply(&mut self, patch: &Patch) {
        fn set<T: Clone>(place: &mut T, said: &Option<T>) {
            if let Some(value) = said {
                place.clone_from(value);
            }
        }
        set(&mut self.power.driver, &patch.power.driver);
        set(&mut self.power.timeout, &patch.power.timeout);
        self.shell.driver = patch.shell.driver.clone().or(self.shell.driver.take());
        self.shell.timeout = patch.shell.timeout.or(self.shell.timeout);
        set(&mut self.shell.aliases, &patch.shell.aliases);
        set(&mut self.probe.driver, &patch.probe.driver);
        set(&mut self.probe.interval, &patch.probe.interval);
        set(&mut self.probe.timeout, &patch.probe.timeout);
        set(&mut self.probe.stable, &patch.probe.stable);
        set(&mut self.shutdown.notify, &patch.shutdown.notify);
        set(&mut self.shutdown.notify_timeout, &patch.shutdown.notify_timeout);
        set(&mut self.shutdown.halt, &patch.shutdown.halt);
        set(&mut self.shutdown.restart, &patch.shutdown.restart);
        set(&mut self.shutdown.maintenance, &patch.shutdown.maintenance);
        set(&mut self.shutdown.end_users, &patch.shutdown.end_users);
        set(&mut self.shutdown.grace, &patch.shutdown.grace);
        set(&mut self.shutdown.settle, &patch.shutdown.settle);
        set(&mut self.limits.boot, &patch.limits.boot);
        set(&mut self.limits.timeout, &patch.limits.timeout);
        set(&mut self.limits.retries, &patch.limits.retries);
        set(&mut self.limits.reset_stuck, &patch.limits.reset_stuck);
    }

    /// Tells whether some driver is the simulator.
    pub fn is_simulated(&self) -> bool {
        self.power.driver.is_simulated()
            || self.shell.driver.as_deref().is_some_and(ShellDriver::is_simulated)
            || self.probe.driver.by == ProbeBy::Simulator
    }

    /// Tells whether some driver acts on, or asks, something outside the simulator.
    pub fn is_real(&self) -> bool {
        power_is_real(&*self.power.driver)
            || self.shell.driver.as_deref().is_some_and(shell_is_real)
            || probe_is_real(&self.probe.driver)
    }

    /// Returns the limit of one power call.
    pub fn power_timeout(&self) -> Duration {
        self.power.timeout.min(self.limits.timeout)
    }

    /// Returns the limit of one command on the node.
    pub fn shell_timeout(&self) -> Duration {
        self.shell.timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout)
    }

    /// Returns the command that ends users' processes, where that is wanted.
    pub(crate) fn users_command(&self) -> Option<String> {
        users::command(self.shutdown.end_users, self.shutdown.grace)
    }

    /// Tells whether power can be read.
    pub fn reads_power(&self) -> bool {
        self.power.driver.reads()
    }
}

impl Patch {
    /// Tells whether it brings the simulator in.
    pub fn is_simulated(&self) -> bool {
        self.power.driver.as_ref().is_some_and(|driver| driver.is_simulated())
            || self.shell.driver.as_deref().is_some_and(ShellDriver::is_simulated)
            || self.probe.driver.as_ref().is_some_and(|driver| driver.by == ProbeBy::Simulator)
    }

    /// Tells whether it brings in a driver outside the simulator.
    pub fn is_real(&self) -> bool {
        self.power.driver.as_deref().is_some_and(power_is_real)
            || self.shell.driver.as_deref().is_some_and(shell_is_real)
            || self.probe.driver.as_ref().is_some_and(probe_is_real)
    }
}

fn power_is_real(driver: &dyn PowerDriver) -> bool {
    driver.switches() && !driver.is_simulated()
}

fn shell_is_real(driver: &dyn ShellDriver) -> bool {
    !driver.is_simulated()
}

// `power` and `shell` ask through the other two drivers, and are as real as those.
fn probe_is_real(driver: &ProbeDriver) -> bool {
    matches!(driver.by, ProbeBy::Connection { .. } | ProbeBy::CommandHere(_))
}
