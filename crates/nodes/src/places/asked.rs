//! What the commands and drivers of `cluster.toml` ask of nodes.

use crate::config::{Cluster, Patch, Profile};
use crate::power::PowerDriver;
use crate::shell::ShellDriver;
use crate::template::Template;
use std::collections::BTreeSet;

/// Returns the attributes of the inventory for which some command or driver asks.
pub(crate) fn attributes(cluster: &Cluster) -> BTreeSet<String> {
    let of_commands = of_cluster(cluster);
    let of_commands = of_commands.iter().flat_map(|(_, template)| template.attributes());
    let of_drivers = cluster.power_drivers().flat_map(PowerDriver::attributes);
    let of_shell = cluster.shell_drivers().flat_map(ShellDriver::attributes);
    of_commands.chain(of_drivers).chain(of_shell).map(str::to_owned).collect()
}

/// Returns the commands of a configuration, each under its key.
pub(super) fn of_cluster(cluster: &Cluster) -> Vec<(&'static str, &Template)> {
    let overrides = cluster.group_overrides.values().chain(cluster.node_overrides.values());
    of_profile(&cluster.profile).into_iter().chain(overrides.flat_map(of_patch)).collect()
}

/// Returns the commands that some nodes have, each under its key.
pub(super) fn of_profile(profile: &Profile) -> Vec<(&'static str, &Template)> {
    let shell = profile.shell.template().map(|run| ("shell.run", run));
    let probe = profile.probe.driver.template().map(|up| ("probe.up", up));
    profile.power.driver.templates().into_iter().chain(shell).chain(probe).collect()
}

fn of_patch(patch: &Patch) -> Vec<(&'static str, &Template)> {
    let power = patch.power.driver.iter().flat_map(|driver| driver.templates());
    let shell = patch.shell.driver.iter().filter_map(|driver| Some(("shell.run", driver.template()?)));
    let probe = patch.probe.driver.iter().filter_map(|driver| Some(("probe.up", driver.template()?)));
    power.chain(shell).chain(probe).collect()
}
