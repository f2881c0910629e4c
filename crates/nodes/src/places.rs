//! Places of commands that only some nodes can fill: attributes of the inventory, and numbers.
//!
//! A name that no node has is a slip of the hand. What a target lacks is told before anything runs; what another node
//! lacks concerns it alone: it is unknown where it is asked.

pub(crate) mod asked;

use crate::roster::MemberKind;
use crate::site::{Site, fold};
use crate::template;
use asked::{of_cluster, of_profile};
use orderly_exec::{OrStatus, Status};
use orderly_plan::diagnostic::{Diagnostic, Diagnostics};
use orderly_plan::drivers::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Rejects places that no node has, and targets for which a command cannot be made.
///
/// # Errors
/// Rejected (3), all at once.
pub fn check(site: &Site, targets: &[NodeId]) -> anyhow::Result<()> {
    let mut wrong = unknown(site);
    wrong.0.extend(unknown_limits(site).0);
    if wrong.is_empty() {
        wrong = unfilled(site, targets);
    }
    wrong.or(()).or_status(Status::Rejected)
}

/// Says of places that no node has them.
fn unknown(site: &Site) -> Diagnostics {
    let known = site.inventory.attribute_names();
    let mut asked: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    for (key, template) in of_cluster(&site.cluster) {
        let unknown = template.attributes().into_iter().filter(|name| !known.contains(name));
        unknown.for_each(|name| {
            asked.entry(name).or_default().insert(key);
        });
    }
    let mut wrong = Diagnostics::default();
    let words: Vec<&str> = known.into_iter().chain(template::PLACES.iter().map(|(name, _)| *name)).collect();
    for (name, keys) in asked {
        let keys: Vec<&str> = keys.into_iter().collect();
        let clause = format!(
            "{}: {{{name}}} is no place for a node, and no node of {} has an attribute \"{name}\"",
            keys.join(", "),
            site.inventory.file()
        );
        let blanks = format!("braces that are meant as they stand have blanks within them: {{ {name} }}");
        let diagnostic = Diagnostic::about(&site.cluster.file, clause).suggest(name, words.iter().copied());
        wrong.push(if diagnostic.hint.is_some() { diagnostic } else { diagnostic.hint(blanks) });
    }
    wrong
}

/// Says of attributes for whose values there is a limit that no node has them: it would hold for nothing.
fn unknown_limits(site: &Site) -> Diagnostics {
    let limits = &site.cluster.limits;
    let known = site.inventory.attribute_names();
    let mut wrong = Diagnostics::default();
    for (key, name) in [("limits.per", &limits.per), ("limits.booting_per", &limits.booting_per)] {
        let Some(name) = name.as_deref().filter(|name| !known.contains(name)) else { continue };
        let clause = format!("{key}: no node of {} has an attribute \"{name}\"", site.inventory.file());
        wrong.push(Diagnostic::about(&site.cluster.file, clause).suggest(name, known.iter().copied()));
    }
    wrong
}

/// Says for which of these nodes, and of the units that are switched with them, a command cannot be made.
fn unfilled(site: &Site, targets: &[NodeId]) -> Diagnostics {
    // One line for all of whom the same is to be said.
    let mut found: BTreeMap<(&'static str, String), Vec<NodeId>> = BTreeMap::new();
    for &id in targets.iter().chain(&site.units_of(targets)) {
        let member = site.roster.member(id);
        let profile = site.profile(id);
        for (key, template) in of_profile(&profile) {
            if member.kind == MemberKind::Node || key.starts_with("power") {
                if let Some(objection) = template.objection(member) {
                    found.entry((key, objection.clause)).or_default().push(id);
                }
            }
        }
    }
    let mut wrong = Diagnostics::default();
    for ((key, clause), nodes) in found {
        let clause = format!("{}: {key}: {clause}", fold(site, &nodes));
        let hint = "write it into the inventory, or give such nodes a command of their own in an override";
        wrong.push(Diagnostic::about(&site.cluster.file, clause).hint(hint));
    }
    wrong
}
