//! What the calls of special subsystems have in common: where they are called, and how.

use crate::backend::Backend;
use crate::command::RunsOn;
use crate::config::{SubsystemHost, SubsystemOperands};
use crate::site::Site;
use orderly_plan::drivers::NodeId;
use orderly_plan::survey::Condition;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

/// Returns a node as subsystems are given it.
pub fn operand(site: &Site, node: NodeId) -> String {
    let node = site.inventory.node(node);
    match (site.cluster.subsystem.operands, node.number) {
        (SubsystemOperands::Numbers, Some(number)) => number.to_string(),
        (SubsystemOperands::Numbers, None) | (SubsystemOperands::Names, _) => node.name.clone(),
    }
}

/// Returns the call of a subsystem, word for word as IBM documents it.
pub fn argv(command: &str, flag: &str, control: &str, log: &Path, operands: &[String]) -> Vec<String> {
    let log = log.to_string_lossy();
    let fixed = [command, flag, "-b", control, "-f", &log].map(str::to_owned);
    fixed.into_iter().chain(operands.iter().cloned()).collect()
}

/// Returns where the subsystems of a partition are called, and its name for people. `conditions` is by node.
///
/// # Errors
/// Why there is no such place, in words.
pub fn host(
    site: &Site,
    drivers: &dyn Backend,
    conditions: &[Condition],
    partition: Option<&str>,
) -> Result<(RunsOn, String), String> {
    match &site.cluster.subsystem.host {
        SubsystemHost::Control => Ok((RunsOn::Control, "this machine".to_owned())),
        SubsystemHost::Node(name) => match site.inventory.by_name(name) {
            Some(node) => Ok((RunsOn::Node(node), name.clone())),
            None => Err(format!("subsystem.host: the inventory has no node \"{name}\"")),
        },
        SubsystemHost::Random => {
            let up: Vec<NodeId> = site
                .inventory
                .ids()
                .filter(|&node| site.inventory.node(node).partition.as_deref() == partition)
                .filter(|node| conditions[node.index()] == Condition::Up)
                .filter(|&node| drivers.abilities(node).runs_commands)
                .collect();
            // Any will do: this only spreads the work.
            let chance = usize::try_from(RandomState::new().hash_one(up.len()) % (1 << 31)).unwrap_or(0);
            match up.get(chance % up.len().max(1)) {
                Some(&node) => Ok((RunsOn::Node(node), site.name(node).to_owned())),
                None => Err(format!("no node of partition {} can be reached", partition.unwrap_or("(none)"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subsystem_is_called_word_for_word_as_documented() {
        let log = Path::new("/var/adm/SPlogs/cs/cshut.1121214907.4711");
        let numbers = ["1", "2", "3"].map(str::to_owned);
        assert_eq!(
            argv("/full/path/subsystemA", "-h", "129.40.64.70", log, &numbers).join(" "),
            "/full/path/subsystemA -h -b 129.40.64.70 -f /var/adm/SPlogs/cs/cshut.1121214907.4711 1 2 3"
        );
    }
}
