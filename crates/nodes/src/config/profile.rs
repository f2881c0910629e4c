//! What holds for one node, and how an override changes it.

use super::{
    LimitsPatch, NodeLimits, PowerPatch, PowerSettings, ProbePatch, ProbeSettings, ShellPatch, ShellSettings,
    Shutdown, ShutdownPatch,
};
use crate::power::PowerDriver;
use crate::probe::{ProbeBy, ProbeDriver};
use crate::shell::ShellDriver;
use crate::users;
use std::time::Duration;

/// Drivers, commands and limits of a node.
#[derive(Debug, Clone, Default)]
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

impl Profile {
    /// Changes what `patch` says.
    pub fn apply(&mut self, patch: &Patch) {
        self.power.apply(&patch.power);
        self.shell.apply(&patch.shell);
        self.probe.apply(&patch.probe);
        self.shutdown.apply(&patch.shutdown);
        self.limits.apply(&patch.limits);
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

    /// Returns the command that ends users' processes, where that is wanted; they get no more than `most` for it.
    pub(crate) fn users_command(&self, most: Duration) -> Option<String> {
        users::command(self.shutdown.end_users, self.shutdown.grace.min(most))
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
